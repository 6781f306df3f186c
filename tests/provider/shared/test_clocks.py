"""Processes that stand still, clocks that go on, and numbers that hold all the same."""

import asyncio

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.provider.sharing_policy import SharingPolicy
from aritma_auth.stores import Record
from support.clock import FakeClock
from support.fakes import settle
from support.rig import LOST, SPENT, UNSENT, Rig, presented, rotated
from support.sharing import entry_of, key_for, key_of
from support.stores import lose_memory

pytestmark = pytest.mark.usefixtures("no_leftovers")

ALICE = aa.SignedInGrant("alice")


async def signed_in(clock, store, **settings):
    """Make a provider whose sign-in must be refreshed."""
    rig = Rig(clock, grant=ALICE, store=store, **settings)
    await rig.provider.set_token(rotated(rig, refresh_token="old"))
    clock.advance(3600)
    return rig


def after_claim(store, act):
    """Let something happen once, between the writing of a mark and the news of it."""
    save = store.save

    async def save_and_act(key, record, **kwargs):
        written = await save(key, record, **kwargs)
        if record.redeeming_since is not None and store.save is save_and_act:
            store.save = save
            await act()
        return written

    store.save = save_and_act


@pytest.mark.parametrize("frozen", [6, 11, 25])
async def test_a_process_that_stood_still_claims_again(clock, store, frozen):
    """The others count the age of its mark from before: it presents nothing under an old one."""
    rig = await signed_in(clock, store)

    async def freeze():
        clock.advance(frozen)

    after_claim(store, freeze)
    marks, fetch = [], rig.client.fetch_token

    async def fetch_token(grant, *, timeout=None):
        marks.append(entry_of(store).record.redeeming_since)
        return await fetch(grant)

    rig.client.fetch_token = fetch_token
    await rig.get()

    assert marks == [clock.time()]
    assert presented(rig) == ["old"]


@pytest.mark.parametrize("frozen", [6, 11, 1000])
async def test_a_process_that_stood_still_presents_nothing_that_another_has_spent(
    clock, store, frozen
):
    """It finds the successor when it claims again."""
    rig = await signed_in(clock, store)

    async def freeze():
        clock.advance(frozen)
        successor = rotated(rig, refresh_token="successor")
        entry = entry_of(store)
        record = Record(successor, entry.record.serial + 1)
        await store.save(key_of(store), record, replaces=entry.generation)

    after_claim(store, freeze)
    token = await rig.provider.get_token()

    assert token.refresh_token == "successor"
    assert presented(rig) == []


@pytest.mark.parametrize(("took", "left"), [(0, 3600), (100, 3500), (3000, 600)])
async def test_the_age_that_a_store_tells_counts_from_the_question(clock, store, took, left):
    """The store may have told it long before its response arrived."""
    await Rig(clock, store=store).get()
    load = store.load

    async def load_slowly(key):
        entry = await load(key)
        clock.advance(took)
        return entry and attrs.evolve(entry, token_age=0.0)

    store.load = load_slowly
    rig = Rig(clock, store=store, sharing=SharingPolicy(store_timeout=9999))
    rig.client.answers = [UNSENT] * 9
    await rig.get()

    assert rig.provider.status().expires_in == pytest.approx(left)


@pytest.mark.parametrize("lifetime", [3600, 100, None])
async def test_a_stored_token_that_came_too_late_is_not_served(clock, store, lifetime):
    """Its life was over when the store's response arrived."""
    await Rig(clock, store=store, lifetime=lifetime).get()
    load = store.load

    async def load_slowly(key):
        entry = await load(key)
        clock.advance(3601)
        return entry and attrs.evolve(entry, token_age=0.0)

    store.load = load_slowly
    rig = Rig(clock, store=store)
    rig.client.answers = [UNSENT] * 9
    with pytest.raises(aa.TransportError):
        await rig.get()


@pytest.mark.parametrize("slept", [0, 1000, 3500])
async def test_a_stored_token_ages_while_the_machine_sleeps(store, slept):
    """A monotonic clock that stops during sleep does not make it younger."""
    clock = FakeClock(counts_suspend=False)
    await Rig(clock, store=store).get()
    load = store.load

    async def load_and_sleep(key):
        entry = await load(key)
        clock.wall += slept
        store.load = load
        return entry

    store.load = load_and_sleep
    rig = Rig(clock, store=store)
    rig.client.answers = [UNSENT] * 9
    await rig.get()

    assert rig.provider.status().expires_in == pytest.approx(3600 - slept)


@pytest.mark.parametrize("slept", [3600, 3601, 86400])
async def test_a_stored_token_that_ended_while_the_machine_slept_is_not_served(store, slept):
    """The machine went to sleep between the question to the store and its response."""
    clock = FakeClock(counts_suspend=False)
    await Rig(clock, store=store).get()
    load = store.load

    async def load_and_sleep(key):
        entry = await load(key)
        clock.wall += slept
        return entry

    store.load = load_and_sleep
    rig = Rig(clock, store=store)
    rig.client.answers = [UNSENT] * 9
    with pytest.raises(aa.TransportError):
        await rig.get()


@pytest.mark.parametrize("step", [5, 60, -60])
async def test_a_step_of_the_wall_clock_makes_no_mark_older(clock, store, step):
    """The mark is waited for by the clock that never steps, from when it was seen."""
    rig = await signed_in(clock, store)
    entry = entry_of(store)
    marked = attrs.evolve(entry.record, redeeming_since=clock.time())
    await store.save(key_of(store), marked, replaces=entry.generation)
    slept, began = clock.sleep, clock.monotonic()

    async def sleep(seconds):
        if clock.monotonic() == began:
            clock.wall += step
        await slept(seconds)

    clock.sleep = sleep
    await rig.get()

    assert 10 <= clock.monotonic() - began < 11


@pytest.mark.parametrize("timeout", [30, 12, 3])
async def test_a_refresh_ends_by_its_time_out(clock, store, timeout):
    """Whatever it waits for: a lease, a mark, or the next attempt."""
    policy = RefreshPolicy(refresh_timeout=timeout)
    rig = await signed_in(clock, store, policy=policy)
    lease = await store.acquire(key_for(rig), seconds=9999)
    began = clock.monotonic()
    with pytest.raises(aa.TransportError, match="another process is refreshing"):
        await rig.get()
    waited = clock.monotonic() - began
    await lease.release()

    assert waited == pytest.approx(timeout)


async def lose(clock, store, seconds, **usage):
    """Let the response to the first exchange be lost after some seconds; give the provider."""
    rig = await signed_in(clock, store, refresh_tokens=aa.RefreshTokenUsage(**usage))
    times, fetch = [], rig.client.fetch_token

    async def fetch_token(grant, *, timeout=None):
        times.append(clock.monotonic())
        if len(times) == 1:
            clock.advance(seconds)
            rig.client.answers = [LOST]
        return await fetch(grant)

    rig.client.fetch_token, rig.times = fetch_token, times
    return rig


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("seconds", [0, 4, 10])
async def test_a_lost_exchange_is_repeated_within_the_servers_grace(clock, store, seconds, draw):
    """Ten to fifteen seconds after it was sent, when the user has said that there is a grace."""
    rig = await lose(clock, store, seconds, grace=30)
    rig.draw = draw
    await rig.get()
    first, second = rig.times

    assert 10 <= second - first < 15
    assert presented(rig) == ["old", "old"]
    assert entry_of(store).record.redeeming_since is None


async def test_a_lost_exchange_is_not_repeated_without_a_grace(clock, store):
    """To a server that detects reuse the refresh token would look stolen."""
    rig = await lose(clock, store, 2, grace=0)
    with pytest.raises(aa.TransportError):
        await rig.get()

    assert presented(rig) == ["old"]


async def test_a_lost_exchange_of_a_reusable_token_is_repeated_at_once(clock, store):
    """The refresh token cannot be spent: nothing is waited for, and no mark is put on it."""
    rig = await lose(clock, store, 2, reusable=True)
    saved, save = [], store.save

    async def watch(key, record, **conditions):
        saved.append(record.redeeming_since)
        return await save(key, record, **conditions)

    store.save = watch
    await rig.get()
    first, second = rig.times

    assert second - first == 2
    assert presented(rig) == ["old", "old"]
    assert set(saved) == {None}


async def test_a_reusable_token_is_presented_although_the_store_is_away(clock, store):
    """Nobody else can have spent it."""
    rig = await signed_in(clock, store, refresh_tokens=aa.RefreshTokenUsage(reusable=True))
    store.failing = {"load", "acquire"}
    await rig.get()

    assert presented(rig) == ["old"]


async def test_a_reusable_token_that_is_refused_ends_the_sign_in(clock, store):
    """The server's word ends it, and the token is not presented again."""
    grant = aa.RefreshTokenGrant("old")
    usage = aa.RefreshTokenUsage(reusable=True)
    rig = Rig(clock, grant=grant, store=store, refresh_tokens=usage)
    rig.client.answers = [SPENT]
    with pytest.raises(aa.ReauthenticationRequiredError):
        await rig.get()

    assert presented(rig) == ["old"]


async def test_a_lost_code_is_never_repeated(clock, store):
    """A grace is for refresh tokens (RFC 6749 §4.1.2 ends a code's sign-in)."""
    grant = aa.DeviceCodeGrant("code")
    rig = Rig(clock, grant=grant, store=store, refresh_tokens=aa.RefreshTokenUsage(grace=60))
    rig.client.answers = [LOST]
    with pytest.raises(aa.TransportError):
        await rig.get()
    clock.advance(60)
    lose_memory(store)
    with pytest.raises(aa.ReauthenticationRequiredError):
        await rig.get()

    assert rig.client.requests == 1


async def test_the_write_follows_the_response_at_once(clock, store):
    """Between them the store is asked for nothing else."""
    rig = await signed_in(clock, store)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    calls = []

    def noted(name, method):
        async def note(*args, **kwargs):
            calls.append(name)
            return await method(*args, **kwargs)

        return note

    for name in ("load", "save", "acquire"):
        setattr(store, name, noted(name, getattr(store, name)))
    answer.set_result(rotated(rig, refresh_token="new"))
    await caller

    assert calls == ["save"]

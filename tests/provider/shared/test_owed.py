"""What a store does not have yet is owed to it, and written as long as the process lives."""

import asyncio

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.events import RefreshTokenAtRisk
from aritma_auth.provider.sharing_policy import SharingPolicy
from aritma_auth.stores import Record
from support.fakes import settle, until
from support.rig import SPENT, Rig, presented, rotated
from support.sharing import entry_of, hold_lease, key_for, key_of

pytestmark = pytest.mark.usefixtures("no_leftovers")

ALICE = aa.SignedInGrant("alice")
SOON = SharingPolicy(store_retry_interval=0.01)


async def signed_in(clock, store, *, sharing=SOON):
    """Make a provider whose sign-in must be refreshed."""
    rig = Rig(clock, grant=ALICE, store=store, sharing=sharing)
    await rig.provider.set_token(rotated(rig, refresh_token="old"))
    clock.advance(3600)
    return rig


async def refresh_without_writing(clock, store, rig):
    """Let the store go away between claim and write, for longer than the others wait."""
    rig.client.answers = [rotated(rig, refresh_token="new")]
    rig.client.answers[0] = attrs.evolve(
        rig.client.answers[0], issued_at=clock.time(), expires_at=clock.time() + 3600
    )
    store.failing = {"keep"}
    token = await rig.provider.get_token()
    assert token.refresh_token == "new"
    assert entry_of(store).token.refresh_token == "old"


async def test_a_successor_is_written_when_the_store_is_back_and_nobody_asks(clock, store):
    """The process goes on trying although its callers have what they need."""
    rig = await signed_in(clock, store)
    await refresh_without_writing(clock, store, rig)
    clock.advance(3600)
    store.failing = set()
    await until(lambda: entry_of(store).token.refresh_token == "new")


async def test_a_successor_is_written_before_the_provider_is_closed(clock, store):
    """Closing tries for the last time."""
    rig = await signed_in(clock, store, sharing=SharingPolicy())
    await refresh_without_writing(clock, store, rig)
    store.failing = set()
    clock.advance(10)
    await rig.provider.aclose()

    assert entry_of(store).token.refresh_token == "new"


async def test_nothing_is_tried_after_the_provider_is_closed(clock, store):
    """The store was away to the end."""
    rig = await signed_in(clock, store)
    await refresh_without_writing(clock, store, rig)
    await rig.provider.aclose()
    store.failing = set()
    clock.advance(10)
    await asyncio.sleep(0.05)

    assert entry_of(store).token.refresh_token == "old"


async def test_a_successor_that_a_sign_in_has_overtaken_is_dropped(clock, store):
    """The process stops trying: the newer one counts."""
    rig = await signed_in(clock, store)
    await refresh_without_writing(clock, store, rig)
    newer = Record(rotated(rig, refresh_token="of a sign-in"), entry_of(store).record.serial + 100)
    store.failing = set()
    await store.save(key_of(store), newer, replaces=entry_of(store).generation)
    clock.advance(10)
    await asyncio.sleep(0.05)

    assert entry_of(store).token.refresh_token == "of a sign-in"
    assert await rig.provider.aclose() is None


async def test_a_process_that_finds_an_old_mark_waits_for_the_successor(clock, store):
    """The store may have been away: the one that has the successor writes it within a moment."""
    rig = await signed_in(clock, store, sharing=SharingPolicy())
    await refresh_without_writing(clock, store, rig)
    clock.advance(3600)
    other = Rig(clock, grant=ALICE, store=store)
    slept = clock.sleep

    async def sleep(seconds):
        await slept(seconds)
        if store.failing and clock.mono > began + 2:
            store.failing = set()
            await rig.provider.aclose()

    began, clock.sleep = clock.mono, sleep
    await other.get()

    assert presented(other) == ["new"]
    assert other.happened(RefreshTokenAtRisk) == []


@pytest.mark.parametrize("act", ["sign in", "sign out"])
async def test_what_the_user_did_while_the_store_was_away_is_written_later(clock, store, act):
    """Nobody asks for a token meanwhile."""
    rig = await signed_in(clock, store)
    store.failing = {"load"}
    if act == "sign in":
        await rig.provider.set_token(rotated(rig, refresh_token="new"))
    else:
        with pytest.raises(aa.StoreError):
            await rig.provider.forget()
    store.failing = set()
    clock.advance(10)
    wanted = "new" if act == "sign in" else None
    await until(lambda: getattr(entry_of(store).token, "refresh_token", None) == wanted)


@pytest.mark.parametrize("here", [True, False], ids=["same process", "another process"])
@pytest.mark.parametrize("verdict", [SPENT, None], ids=["refused", "accepted"])
async def test_a_sign_in_during_an_exchange_is_neither_spent_nor_lost(clock, store, here, verdict):
    """Its refresh token is claimed before it is presented, and its successor is kept."""
    rig = await signed_in(clock, store)
    other = Rig(clock, grant=ALICE, store=store)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    marks, fetch = {}, rig.client.fetch_token

    async def fetch_token(grant, *, timeout=None):
        marks[grant.refresh_token.text] = entry_of(store).record.redeeming_since
        return await fetch(grant)

    rig.client.fetch_token = fetch_token
    ended = rotated(rig, refresh_token="RT4", issued_at=clock.time() - 9, expires_at=clock.time())
    await (rig if here else other).provider.set_token(ended)
    rig.client.answers = [rotated(rig, refresh_token="RT5")]
    if verdict is None:
        answer.set_result(rotated(rig, refresh_token="successor of the old one"))
    else:
        answer.set_exception(verdict.copy())
    await caller

    assert presented(rig) == ["old", "RT4"]
    assert marks["RT4"] is not None
    assert entry_of(store).token.refresh_token == "RT5"
    assert (await rig.provider.get_token()).refresh_token == "RT5"


async def test_a_token_that_was_refused_for_good_is_not_presented_again(clock, store):
    """Not even when the store could not be told."""
    rig = await signed_in(clock, store)
    rig.client.answers = [SPENT]
    load = store.load

    async def load_in_vain(key):
        if rig.client.requests:
            raise OSError("away")
        return await load(key)

    store.load = load_in_vain
    with pytest.raises(aa.TransportError, match="away"):
        await rig.get()
    store.load = load
    clock.advance(60)
    with pytest.raises(aa.ReauthenticationRequiredError):
        await rig.get()

    assert presented(rig) == ["old"]


@pytest.mark.parametrize("trouble", ["load", "lease", "save"])
async def test_a_store_that_fails_once_does_not_ask_for_a_new_sign_in(clock, store, trouble):
    """A fresh process knows of no sign-in: only the store can say whether there is one."""
    await (await signed_in(clock, store)).provider.aclose()
    rig = Rig(clock, grant=ALICE, store=store)
    store.failing = {trouble}
    with pytest.raises(aa.TransportError, match="store is away") as caught:
        await rig.get()
    store.failing = set()
    clock.advance(caught.value.retry_after)

    assert not caught.value.is_permanent
    # A store that has never worked here is not waited for.
    assert bool(clock.slept) is (trouble != "load")
    assert await rig.get() == "token-1"
    assert presented(rig) == ["old"]


async def test_nothing_of_the_grant_is_presented_after_a_sign_out(clock, store):
    """By another process that has only just started with it."""
    grant = aa.RefreshTokenGrant("first")
    rig, other = (Rig(clock, grant=grant, store=store) for _ in range(2))
    await rig.get()
    await rig.provider.forget()
    with pytest.raises(aa.ReauthenticationRequiredError):
        await other.get()

    assert presented(other) == []
    assert entry_of(store).token is None


@pytest.mark.parametrize("seconds", [0, 1, 100])
async def test_a_call_after_forget_never_gets_the_old_token(clock, store, seconds):
    """Although a slow refresh that began before it ends after it."""
    rig = await signed_in(clock, store)
    acquire, go_on = store.acquire, asyncio.Event()

    async def acquire_late(key, *, seconds):
        await go_on.wait()
        return await acquire(key, seconds=seconds)

    store.acquire = acquire_late
    caller = asyncio.create_task(rig.get())
    await settle()
    leaving = asyncio.create_task(rig.provider.forget())
    await settle()
    go_on.set()
    await leaving
    clock.advance(seconds)
    with pytest.raises(aa.ReauthenticationRequiredError):
        await rig.get()
    await asyncio.gather(caller, return_exceptions=True)

    assert presented(rig) == []
    assert entry_of(store).token is None


@pytest.mark.parametrize("is_slow", [True, False])
async def test_a_call_after_set_token_gets_the_new_sign_in(clock, store, is_slow):
    """Although the old one is being refreshed, and the new one is being written."""
    rig = await signed_in(clock, store)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    save, go_on = store.save, asyncio.Event()

    async def save_slowly(key, record, **kwargs):
        await go_on.wait()
        return await save(key, record, **kwargs)

    if is_slow:
        store.save = save_slowly
    token = rotated(rig, refresh_token="new")
    signing_in = asyncio.create_task(rig.provider.set_token(token))
    await settle()
    answer.set_result(rotated(rig, refresh_token="successor of the old one"))
    await settle()
    got = await rig.get()
    go_on.set()
    await asyncio.gather(signing_in, caller)

    assert got == token.access_token == await rig.get()
    assert entry_of(store).token.refresh_token == "new"
    assert presented(rig) == ["old"]


@pytest.mark.parametrize("grant", [ALICE, aa.ClientCredentialsGrant("bankservice")], ids=str)
async def test_a_rejected_token_does_not_come_back_by_a_postponed_refresh(clock, store, grant):
    """A caller has joined it when the API rejects the token in hand."""
    rig = Rig(clock, grant=grant, store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="old"))
    clock.advance(3000)
    acquire, go_on = store.acquire, asyncio.Event()
    lease = await acquire(key_for(rig), seconds=9999)

    async def acquire_late(key, *, seconds):
        await go_on.wait()
        return await acquire(key, seconds=seconds)

    store.acquire = acquire_late
    rejected = await rig.provider.get_token()
    await settle()
    rig.provider.report_rejected(rejected)
    caller = asyncio.create_task(rig.get())
    await settle()
    go_on.set()
    await settle()
    is_waiting = not caller.done()
    await lease.release()

    assert is_waiting
    assert await caller != rejected.access_token


@pytest.mark.parametrize("lifetime", [20, 60, 1800])
async def test_a_rejected_token_does_not_come_back_while_another_process_refreshes(
    clock, store, lifetime
):
    """The store has it still: its successor was never stored, and has ended."""
    rig = Rig(clock, store=store)
    rejected = await rig.provider.get_token()
    store.failing = {"save"}
    rig.provider.report_rejected(rejected)
    rig.client.lifetime = lifetime
    await rig.get()
    store.failing = set()
    clock.advance(lifetime)
    lease = await hold_lease(store)
    caller = asyncio.create_task(rig.get())
    await settle()
    is_waiting = not caller.done()
    await lease.release()

    assert is_waiting
    assert await caller == "token-3"

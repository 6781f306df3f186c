"""One-time refresh tokens: they are claimed before they are exchanged, and kept afterwards."""

import asyncio

import pytest

import aritma_auth as aa
from aritma_auth.events import (
    RefreshTokenAtRisk,
)
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.provider.sharing_policy import SharingPolicy
from aritma_auth.stores import Record
from support.fakes import settle
from support.rig import LOST, SPENT, UNSENT, Rig, presented, rotated
from support.sharing import entry_of, key_for, key_of

pytestmark = pytest.mark.usefixtures("no_leftovers")

REFRESH = aa.RefreshTokenGrant("first")


async def test_a_refresh_token_is_claimed_before_it_is_exchanged(clock, store):
    """A process that comes after a crash finds the mark on the refresh token."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    during = entry_of(store).record
    answer.set_result(rotated(rig, refresh_token="third"))
    await caller

    assert during.redeeming_since == clock.time()
    assert during.token.refresh_token == "second"
    assert entry_of(store).record.redeeming_since is None
    assert entry_of(store).token.refresh_token == "third"
    assert entry_of(store).record.serial == 2


@pytest.mark.parametrize("age", [-300.0, 0.0, 5.0, 45.0, 200.0, 7200.0])
async def test_after_a_crash_the_next_one_waits_before_it_presents_the_same(clock, store, age):
    """A process waits for the response of a crashed one, however old the mark seems, then presents the same token and reports the risk."""
    rig = Rig(clock, grant=REFRESH, store=store)
    token = rotated(rig, refresh_token="second")
    await store.save(key_for(rig), Record(token, 1, clock.time() + 3595 - age), replaces=0)
    clock.advance(3595)
    await rig.get()

    assert presented(rig) == ["second"]
    assert 3605 <= clock.time() - 1_700_000_000 < 3606
    assert rig.happened(RefreshTokenAtRisk) == [RefreshTokenAtRisk(token.fingerprint)]


async def test_a_process_that_was_only_slow_is_waited_for(clock, store):
    """A successor that a slow process stores at last is adopted."""
    rig = Rig(clock, grant=REFRESH, store=store)
    key = key_for(rig)
    await store.save(
        key, Record(rotated(rig, refresh_token="second"), 1, clock.time() + 3600), replaces=0
    )
    clock.advance(3600)
    slept = clock.sleep

    async def sleep(seconds):
        if entry_of(store).generation == 1:
            late = rotated(rig, refresh_token="third")
            await store.save(key, Record(late, 2), replaces=1)
        await slept(seconds)

    clock.sleep = sleep
    token = await rig.provider.get_token()

    assert token.refresh_token == "third"
    assert presented(rig) == []
    assert rig.happened(RefreshTokenAtRisk) == []


async def test_another_machines_clock_does_not_make_anyone_wait_for_ever(clock, store):
    """A mark of the future counts as one of now."""
    rig = Rig(clock, grant=REFRESH, store=store)
    await store.save(key_for(rig), Record(None, 0, clock.time() + 10), replaces=0)
    await rig.get()

    assert presented(rig) == ["first"]
    assert rig.happened(RefreshTokenAtRisk) == [RefreshTokenAtRisk("")]


async def test_a_claim_that_comes_too_late_looks_again(clock, store):
    """A claim that finds another sign-in looks again, and adopts that."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    save, key = store.save, key_of(store)

    async def save_late(*args, **kwargs):
        store.save = save
        signed_in = rotated(rig, refresh_token="of another sign-in")
        await save(key, Record(signed_in, 9), replaces=entry_of(store).generation)
        return await save(*args, **kwargs)

    store.save = save_late
    token = await rig.provider.get_token()

    assert token.refresh_token == "of another sign-in"
    assert presented(rig) == ["first"]


async def test_a_claim_that_never_succeeds_ends(clock, store):
    """The process presents no refresh token that it could not claim."""
    store.failing = {"conflict"}
    rig = Rig(clock, grant=REFRESH, store=store)

    with pytest.raises(aa.TransportError, match="faster than it can be claimed"):
        await rig.get()
    assert presented(rig) == []


async def test_a_lost_response_leaves_the_mark(clock, store):
    """A lost response leaves the mark for the next process."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second"), LOST]
    await rig.get()
    clock.advance(3600)
    with pytest.raises(aa.TransportError):
        await rig.get()

    assert entry_of(store).record.redeeming_since is not None
    assert entry_of(store).record.backoff.error.may_have_arrived


async def test_a_question_that_never_left_takes_the_mark_away(clock, store):
    """A request that was not sent has presented no refresh token."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second"), *[UNSENT] * 3]
    await rig.get()
    clock.advance(3600)
    with pytest.raises(aa.TransportError):
        await rig.get()

    assert entry_of(store).record.redeeming_since is None


async def test_a_mark_of_a_clock_that_is_far_ahead_is_waited_for_once(clock, store):
    """A process waits ten seconds by its own clock for a mark of the next hour."""
    rig = Rig(clock, grant=REFRESH, store=store)
    await store.save(key_for(rig), Record(None, 0, clock.time() + 3600), replaces=0)
    began = clock.monotonic()
    await rig.get()

    assert presented(rig) == ["first"]
    assert 10 <= clock.monotonic() - began < 11


async def test_a_mark_may_be_waited_for_longer_than_a_hundred_looks(clock, store):
    """A process waits for a mark as long as the policy says."""
    policy, sharing = RefreshPolicy(refresh_timeout=60), SharingPolicy(redemption_timeout=40)
    rig = Rig(clock, grant=REFRESH, store=store, policy=policy, sharing=sharing)
    await store.save(key_for(rig), Record(None, 0, clock.time()), replaces=0)
    await rig.get()

    assert presented(rig) == ["first"]


async def test_marks_without_end_are_not_waited_for_without_end(clock, store):
    """A process stops waiting for marks that keep coming."""
    rig = Rig(clock, grant=REFRESH, store=store)
    key, slept = key_for(rig), clock.sleep
    await store.save(key, Record(None, 0, clock.time()), replaces=0)

    async def sleep(seconds):
        await slept(seconds)
        await store.save(key, Record(None, 0, clock.time()), replaces=entry_of(store).generation)

    clock.sleep = sleep
    with pytest.raises(aa.TransportError, match="faster than it can be claimed"):
        await rig.get()
    assert presented(rig) == []


async def test_the_newest_refresh_token_is_in_the_store_before_it_is_served(clock, store):
    """The newest refresh token is stored before a caller gets the token."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()

    entry = entry_of(store)
    assert entry.token.refresh_token == "second"


@pytest.mark.parametrize("steps", range(12))
async def test_cancelling_callers_anywhere_keeps_the_newest_refresh_token(clock, store, steps):
    """Cancelling callers at any step loses no successor and presents no spent refresh token."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    caller = asyncio.create_task(rig.get())
    for _ in range(steps):
        await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait((caller,))
    await rig.get()
    clock.advance(3600)
    restarted = Rig(clock, grant=REFRESH, store=store)
    await restarted.get()

    assert presented(rig) == ["first"]
    assert presented(restarted) == ["second"]


async def test_a_refresh_token_that_another_process_rotated_is_found_in_the_store(clock, store):
    """On invalid_grant the store is loaded once more before the sign-in counts as ended."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    key = key_of(store)
    newer = Token("t", refresh_token="sibling", issued_at=clock.time() - 1, expires_at=clock.time())
    await store.save(key, Record(newer, 2), replaces=entry_of(store).generation)
    answer.set_exception(SPENT.copy())
    await caller

    assert presented(rig) == ["first", "second", "sibling"]


async def test_closing_waits_for_the_store(clock, store):
    """Closing waits for the write of a token."""
    rig = Rig(clock, grant=REFRESH, store=store)
    writing = asyncio.Event()
    go_on = asyncio.Event()
    save = store.save

    async def slow_save(key, record, **kwargs):
        if record.token is not None:
            writing.set()
            await go_on.wait()
        return await save(key, record, **kwargs)

    store.save = slow_save
    caller = asyncio.create_task(rig.get())
    await writing.wait()
    closing = asyncio.create_task(rig.provider.aclose())
    await settle()
    is_waiting = not closing.done()
    go_on.set()
    await closing

    assert is_waiting
    assert await caller == "token-1"
    assert entry_of(store)

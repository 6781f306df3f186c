"""A store that is away, has lost its memory or cannot be read."""

import asyncio

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.events import (
    StoreFailed,
    StoreReturned,
)
from aritma_auth.provider.sharing_policy import SharingPolicy
from aritma_auth.stores import Entry, Record, SharedBackoff
from support.clock import LoopClock
from support.fakes import settle
from support.loops import LeapingLoop
from support.rig import DOWN, UNSENT, Rig, presented, rotated
from support.sharing import entry_of, hold_lease, key_for, key_of
from support.stores import FailingStore, lose_memory, put_in

pytestmark = pytest.mark.usefixtures("no_leftovers")

REFRESH = aa.RefreshTokenGrant("first")


def failures_of(rig):
    """Give each operation that failed, and the class of its error."""
    return {(it.operation, it.error.partition(",")[0]) for it in rig.happened(StoreFailed)}


async def test_without_its_store_a_service_asks_for_itself(clock, store):
    """A service without its store sends its own requests, and leaves the store alone for a while."""
    store.failing = {"load", "save", "lease"}
    rig = Rig(clock, store=store)
    await rig.get()
    clock.advance(3600)
    await rig.get()
    store.failing = set()
    clock.advance(3600)
    await rig.get()

    assert rig.client.requests == 3
    assert len(rig.happened(StoreFailed)) == 2
    assert rig.happened(StoreReturned) == [StoreReturned()]


async def test_a_store_that_comes_back_gets_the_newer_token(clock, store):
    """A store that comes back gets the newer token, and the other processes adopt it."""
    rig = Rig(clock, store=store)
    await rig.get()
    clock.advance(3600)
    store.failing = {"load"}
    await rig.get()
    store.failing = set()
    clock.advance(3600)
    await rig.get()

    assert entry_of(store).record.serial == 3


async def test_without_its_store_a_refresh_token_is_not_presented(clock, store):
    """A refresh token is not presented without the lease, since another process may be presenting it."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    token = await rig.get()
    clock.advance(3000)
    store.failing = {"lease"}
    served = await rig.get()
    await settle()
    clock.advance(600)
    with pytest.raises(aa.TransportError, match="not presented without its lock") as caught:
        await rig.get()

    assert served == token
    assert not caught.value.is_permanent
    assert presented(rig) == ["first"]


def end_outage(store, clock, *, after):
    """Let the store work again once the clock has slept so often."""
    slept = clock.sleep

    async def sleep(seconds):
        await slept(seconds)
        if len(clock.slept) == after:
            store.failing = set()

    clock.sleep = sleep


@pytest.mark.parametrize("trouble", ["load", "lease", "save"])
@pytest.mark.parametrize("grant", [REFRESH, aa.SignedInGrant("alice")])
async def test_callers_without_a_token_wait_for_a_store_that_is_away_shortly(
    clock, store, trouble, grant
):
    """It has worked before: a restart of the store costs them time, and no failure."""
    rig = Rig(clock, grant=grant, store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="second"))
    clock.advance(3600)
    store.failing = {trouble}
    end_outage(store, clock, after=2)

    assert await rig.get() == "token-2"
    assert presented(rig) == ["second"]
    assert len(clock.slept) == 2


@pytest.mark.parametrize("trouble", ["load", "lease", "save"])
async def test_callers_do_not_wait_long_for_a_store_that_stays_away(clock, store, trouble):
    """For as long as a refresh token that is being exchanged is waited for; then all fail at once."""
    rig = Rig(clock, grant=REFRESH, store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="second"))
    clock.advance(3600)
    store.failing = {trouble}
    for _ in range(3):
        with pytest.raises(aa.TransportError, match="store is away") as caught:
            await rig.get()
        clock.advance(caught.value.retry_after)

    assert 8 <= sum(clock.slept) <= 12.5


async def test_nobody_waits_for_a_store_while_a_token_lives(clock, store):
    """The failure comes at once, and the token is served."""
    rig = Rig(clock, grant=REFRESH, store=store)
    token = await rig.get()
    clock.advance(3590)
    store.failing = {"load"}

    assert await rig.get() == token
    assert clock.slept == []


async def test_a_server_with_a_grace_may_be_asked_all_the_same(clock, store):
    """A refresh token is presented without the lease if the user says that the server permits it."""
    sharing = SharingPolicy(refresh_without_store=True)
    rig = Rig(clock, grant=REFRESH, store=store, sharing=sharing)
    store.failing = {"load"}
    await rig.get()

    assert presented(rig) == ["first"]


async def test_a_restart_without_store_and_server_serves_what_was_seen(clock, store):
    """A stored token that lives is served when the lease fails after the look."""
    await Rig(clock, store=store).get()
    clock.advance(3000)
    store.failing = {"lease"}
    rig = Rig(clock, store=store)
    rig.client.answers = [DOWN] * 9

    assert await rig.get() == "token-1"


async def test_an_entry_that_cannot_be_read_is_overwritten(clock, store):
    """An unreadable entry of a service is reported, and replaced by its next token."""
    rig = Rig(clock, store=store)
    put_in(store, key_for(rig), Entry(Record(), 5, problem="odd"))
    await rig.get()

    assert entry_of(store).generation == 6
    assert StoreFailed("read", "odd") in rig.happened(StoreFailed)


async def test_a_store_that_lost_its_memory_gets_it_back(clock, store):
    """A store that lost its memory gets a moment to receive a newer refresh token."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    newer = rotated(rig, refresh_token="third")
    key = key_of(store)
    lose_memory(store)
    slept = clock.sleep

    async def sleep(seconds):
        if entry_of(store).record.serial == 1:
            await store.save(key, Record(newer, 2), replaces=entry_of(store).generation)
        await slept(seconds)

    clock.sleep = sleep
    token = await rig.provider.get_token()

    assert token.refresh_token == "third"
    assert presented(rig) == ["first"]


async def test_a_store_that_lost_its_memory_is_filled_by_a_process_that_knows(clock, store):
    """A store that lost its memory gets the newest token that any process has written back."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    lose_memory(store)
    await rig.get()

    assert presented(rig) == ["first", "second"]


async def test_an_older_token_in_the_store_does_not_beat_the_own_one(clock, store):
    """A process prefers its own newer token to an older one that another has written back."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    rig.client.answers = [rotated(rig, refresh_token="third")]
    await rig.get()
    clock.advance(3600)
    older = Record(aa.Token("old", refresh_token="second"), 1)
    await store.save(key_of(store), older, replaces=entry_of(store).generation)
    await rig.get()

    assert presented(rig) == ["first", "second", "third"]


async def test_a_leader_after_a_loss_learns_of_the_newer_token(clock, store):
    """A process with a living token writes it back although another holds the lease."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="newest"))
    older = Record(rotated(rig, refresh_token="older"), 1)
    lose_memory(store)
    await store.save(key_for(rig), older, replaces=0)
    lease = await hold_lease(store)
    clock.advance(3000)
    await rig.get()
    await settle()
    await lease.release()

    assert entry_of(store).token.refresh_token == "newest"


async def test_an_outage_stops_a_newer_sign_in_too(clock, store):
    """An outage of the server stops a newer sign-in too."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    await store.save(key_for(rig), Record(None, 1, None, SharedBackoff(DOWN, 1, 9.0)), replaces=0)
    store.failing = {"load"}
    await rig.provider.set_token(rotated(rig, refresh_token="new"))
    store.failing = set()
    clock.advance(3600)
    with pytest.raises(aa.TransportError, match="down"):
        await rig.get()

    assert presented(rig) == []


async def test_a_stored_token_that_was_all_there_was_is_written_back(clock, store):
    """A stored token that was all there was is written back with its refresh token."""
    grant = aa.SignedInGrant("alice")
    one, other = (Rig(clock, grant=grant, store=store) for _ in range(2))
    await one.provider.set_token(rotated(one, refresh_token="second"))
    clock.advance(3550)
    other.client.answers = [UNSENT] * 3
    await other.get()
    lose_memory(store)
    clock.advance(600)
    await other.get()

    assert presented(other)[-1] == "second"


async def test_nobody_waits_for_a_store_that_a_service_can_do_without(clock, store):
    """A service does not wait for a store that has failed, since its token can be had again."""
    store.failing = {"save"}
    rig = Rig(clock, store=store)

    assert await rig.get() == "token-1"
    assert clock.slept == []


@pytest.mark.parametrize("kind", [aa.StoreError, aa.ConfigurationError])
async def test_a_stores_own_words_are_told(clock, store, kind):
    """An error of the store that is ours is reported in its own words."""

    async def load(_key):
        raise kind("give tokens a folder that is yours alone")

    store.load = load
    rig = Rig(clock, store=store)
    await rig.get()

    failed = StoreFailed("load", "give tokens a folder that is yours alone")
    assert rig.happened(StoreFailed)[0] == failed


async def test_when_the_write_fails_the_token_is_served_and_the_failure_is_loud(
    clock, store, canary
):
    """A failed write is reported, the token is served, and the next refresh presents its successor."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    store.failing = {"keep"}
    rig.client.answers = [rotated(rig, refresh_token="third")]
    rig.client.answers[0] = attrs.evolve(
        rig.client.answers[0], issued_at=clock.time(), expires_at=clock.time() + 3600
    )
    served = await rig.provider.get_token()
    clock.advance(3600)
    store.failing = set()
    await rig.get()

    assert served.refresh_token == "third"
    assert failures_of(rig) == {("save", "OSError")}
    assert presented(rig) == ["first", "second", "third"]


async def test_a_successor_is_kept_as_soon_as_the_store_is_back(clock, store):
    """A successor is written as soon as the store is back, while the other processes wait for it."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    store.failing = {"keep"}
    slept = clock.sleep

    async def sleep(seconds):
        await slept(seconds)
        if clock.wall >= 1_700_003_608:
            store.failing = set()

    clock.sleep = sleep
    rig.client.answers = [rotated(rig, refresh_token="third")]
    await rig.get()

    assert entry_of(store).token.refresh_token == "third"
    assert set(clock.slept) == {2.0}


@pytest.mark.parametrize("ending", ["closed", "stopped"])
def test_a_successor_is_kept_by_the_next_loop(ending):
    """The timer of a loop that has ended never fires: the next loop tries in its place."""
    clock = LoopClock()
    store = FailingStore(clock=clock)
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    store.failing = {"keep"}
    first, second = LeapingLoop(), LeapingLoop()
    first.run_until_complete(rig.get())
    if ending == "closed":
        first.close()

    async def job():
        clock.advance(3600)
        with pytest.raises(aa.TransportError, match="the token store is away"):
            await rig.get()
        store.failing = set()
        await asyncio.sleep(60)

    second.run_until_complete(job())

    assert entry_of(store).token.refresh_token == "second"
    second.run_until_complete(rig.provider.aclose())
    for loop in (first, second):
        loop.close()


@pytest.mark.parametrize("fields", [{"issued_at": 0.0}, {"issued_at": 0.0, "refresh_token": "r"}])
async def test_a_token_without_its_time_is_adopted_all_the_same(clock, store, fields):
    """A client of a caller's own may leave out when it has asked: the provider knows."""
    one, other = (Rig(clock, store=store) for _ in range(2))
    one.client.answers = [rotated(one, **fields)]
    clock.advance(1.0)
    tokens = [await one.get(), await other.get()]
    for rig in (one, other):
        await rig.provider.aclose()

    assert tokens == ["token-1", "token-1"]
    assert other.client.requests == 0


@pytest.mark.parametrize("seconds", [5, 13, 30])
@pytest.mark.parametrize("grant", [REFRESH, aa.SignedInGrant("alice")])
async def test_a_store_that_can_only_be_read_is_away(clock, store, grant, seconds):
    """A full disk and a replica can be read: the error names the store, and no other process."""
    store.failing = {"save"}
    policy = aa.RefreshPolicy(refresh_timeout=seconds)
    rig = Rig(clock, grant=grant, store=store, policy=policy)
    if grant is not REFRESH:
        await rig.provider.set_token(rig.client.make_token(refresh_token="first"))
        clock.advance(4000)

    for _ in range(3):
        with pytest.raises(aa.TransportError, match="the token store is away") as caught:
            await rig.get()
        assert caught.value.retry_after > 0
        clock.advance(60)
    assert rig.client.requests == 0
    store.failing = set()
    assert (await rig.provider.get_token()).access_token
    await rig.provider.aclose()


async def test_a_store_that_cannot_be_read_costs_nobody_a_token(clock, store):
    """A service whose store cannot be loaded asks the server instead."""
    store.failing = {"load"}
    rig = Rig(clock, store=store)

    assert await rig.get() == "token-1"
    assert ("load", "OSError") in failures_of(rig)

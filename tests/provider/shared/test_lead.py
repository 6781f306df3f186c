"""Who leads the refresh for all who share a store, and how long the others wait."""

import asyncio

import pytest

import aritma_auth as aa
from aritma_auth.events import (
    StoreFailed,
)
from aritma_auth.provider.sharing_policy import SharingPolicy
from aritma_auth.stores import Record, SharedBackoff
from support.fakes import settle
from support.rig import DOWN, Rig
from support.sharing import entry_of, hold_lease, key_for, key_of
from support.stores import FailingStore

pytestmark = pytest.mark.usefixtures("no_leftovers")

REFRESH = aa.RefreshTokenGrant("first")


async def test_a_cold_fleet_makes_one_request(clock, store):
    """The other processes wait for the token that the leader gets."""
    rigs = [Rig(clock, store=store) for _ in range(5)]
    answer = rigs[0].client.hold()
    tokens = [asyncio.create_task(rig.get()) for rig in rigs]
    await settle()
    answer.set_result(rigs[0].client.make_token())

    assert len(set(await asyncio.gather(*tokens))) == 1
    assert sum(rig.client.requests for rig in rigs) == 1


async def test_a_stale_token_is_left_to_the_process_that_refreshes_it(clock, store):
    """A process serves its stale token while another refreshes it, and looks again a moment later."""
    one, other = Rig(clock, store=store), Rig(clock, store=store)
    token = await one.get()
    await other.get()
    clock.advance(3000)
    lease = await hold_lease(store)
    served = await one.get()
    await settle()
    looked = one.client.requests
    clock.advance(0.4)
    still = one.provider.peek()
    clock.advance(1.2)
    await lease.release()
    await one.get()
    await settle()

    assert served == token
    assert looked == 1
    assert still is not None
    assert one.client.requests == 2


async def test_a_postponed_refresh_never_reaches_beyond_the_hard_window(clock, store):
    """A postponed refresh ends at the blocking window, where callers wait for it."""
    rig = Rig(clock, store=store, lifetime=2)
    await rig.get()
    clock.advance(1.8)
    lease = await hold_lease(store)
    await rig.get()
    await settle()
    clock.advance(0.15)

    assert rig.provider.status().freshness == "expiring"
    await lease.release()


async def test_a_process_without_a_token_waits_for_the_one_that_refreshes_it(clock, store):
    """A process without a token looks more and more rarely, and leads once the lease is free."""
    rig = Rig(clock, store=store)
    await rig.get()
    clock.advance(3600)
    lease = await hold_lease(store)
    waiting = asyncio.create_task(rig.get())
    for _ in range(5):
        await settle()
    is_waiting, asked = not waiting.done(), rig.client.requests
    await lease.release()
    await store.save(
        key_of(store),
        Record(backoff=SharedBackoff(DOWN, 1, 0.0)),
        replaces=entry_of(store).generation,
    )

    assert await waiting == "token-2"
    assert (is_waiting, asked) == (True, 1)


async def test_waiting_ends_in_time(clock, store):
    """A process stops waiting by its time-out, whatever the holder of the lease does."""
    rig = Rig(clock, grant=REFRESH, store=store)
    lease = await store.acquire(key_for(rig), seconds=3600)

    with pytest.raises(aa.TransportError, match="another process is refreshing"):
        await rig.get()
    assert rig.client.requests == 0
    await lease.release()


class Beating:
    """A lease that counts how often it is kept, and fails now and then."""

    fence = 1

    def __init__(self):
        self.beats = 0
        self.kept_enough = asyncio.Event()

    async def keep(self):
        self.beats += 1
        if self.beats == 4:
            self.kept_enough.set()
        if self.beats % 2:
            raise OSError("away for a moment")
        return True

    async def release(self):
        raise OSError("gone")


async def test_a_lease_is_kept_while_the_server_is_slow(clock, store):
    """A lease is kept alive although single heartbeats fail."""
    lease = Beating()

    async def acquire(_key, *, seconds):
        return lease

    store.acquire = acquire
    sharing = SharingPolicy(lease=0.003, max_lease=60)
    rig = Rig(clock, store=store, sharing=sharing)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await lease.kept_enough.wait()
    answer.set_result(rig.client.make_token())

    assert await caller == "token-1"


async def test_a_lease_is_not_kept_for_ever(clock, store):
    """A refresh that hangs gives its lease up to another process in the end."""
    lease = Beating()

    async def acquire(_key, *, seconds):
        return lease

    store.acquire = acquire
    sharing = SharingPolicy(lease=0.003, max_lease=0.004)
    rig = Rig(clock, store=store, sharing=sharing)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await asyncio.sleep(0.05)
    answer.set_result(rig.client.make_token())
    await caller

    assert lease.beats <= 4


async def test_a_token_that_came_meanwhile_is_not_put_off(clock, store):
    """A token that came meanwhile is not put off by the refresh of its predecessor."""
    rig = Rig(clock, store=store)
    await rig.get()
    clock.advance(3000)
    lease = await hold_lease(store)
    acquire = store.acquire

    async def acquire_late(key, *, seconds):
        await rig.provider.set_token(rig.client.make_token())
        return await acquire(key, seconds=seconds)

    store.acquire = acquire_late
    await rig.get()
    await settle()

    assert rig.provider.status().refresh_in == pytest.approx(2700)
    await lease.release()


async def test_a_watcher_that_goes_in_the_last_moment_disturbs_nobody():
    """A change of the entry and the cancellation of its watcher may meet."""
    store = aa.MemoryTokenStore()
    watching = asyncio.create_task(store.watch("key", generation=0))
    await settle()
    await store.save("key", Record(), replaces=0)
    watching.cancel()
    await asyncio.wait((watching,))

    assert watching.cancelled()


async def test_a_token_that_ended_is_not_put_off(clock, store):
    """A token that ended is refreshed although another process held the lease a moment ago."""
    rig = Rig(clock, store=store)
    await rig.get()
    clock.advance(3000)
    acquire, releasing = store.acquire, []

    async def acquire_late(key, *, seconds):
        if releasing:
            return await acquire(key, seconds=seconds)
        releasing.append(asyncio.create_task(settle()))
        clock.advance(600)
        return None

    store.acquire = acquire_late
    await rig.get()
    await settle()
    await asyncio.gather(*releasing)
    # That refresh had no time left, and failed.
    clock.advance(1.4)

    assert await rig.get() == "token-2"
    assert rig.client.requests == 2


async def test_a_watch_that_fails_is_no_reason_to_hurry(clock):
    """A store whose watch fails is looked at as rarely as one that cannot watch."""
    store = FailingStore()
    rig = Rig(clock, grant=REFRESH, store=store)
    looks, load, slept = [], store.load, clock.sleep

    async def watch(_key, *, generation):
        raise OSError("no subscription")

    async def count(key):
        looks.append(key)
        assert len(looks) < 300
        return await load(key)

    async def sleep(seconds):
        await settle()
        await slept(seconds)

    store.watch, store.load, clock.sleep = watch, count, sleep
    lease = await store.acquire(key_for(rig), seconds=3600)
    with pytest.raises(aa.TransportError, match="another process is refreshing"):
        await rig.get()
    await lease.release()


@pytest.mark.parametrize("has_ended", [False, True])
async def test_a_clock_that_cannot_sleep_ends_the_wait_for_another_process(clock, has_ended):
    """It is named, and the store is not polled without a pause."""
    store = aa.MemoryTokenStore()
    rig = Rig(clock, store=store)
    looks, load = [], store.load

    async def count(key):
        looks.append(key)
        return await load(key)

    async def watch(_key, *, generation):
        if has_ended:
            raise OSError("no subscription")
        await asyncio.Event().wait()

    async def sleep(_seconds):
        raise OSError("no timer")

    store.watch, store.load, clock.sleep = watch, count, sleep
    lease = await store.acquire(key_for(rig), seconds=3600)
    with pytest.raises(aa.ConfigurationError, match=r"sleep\(\) of the clock FakeClock raised OSE"):
        await rig.get()
    await lease.release()
    await rig.provider.aclose()

    assert len(looks) < 5


async def test_the_leader_adopts_what_came_between_look_and_lease(clock, store):
    """A leader adopts what the previous holder has stored just before."""
    rig = Rig(clock, store=store)
    acquire, key = store.acquire, key_for(rig)

    async def acquire_late(_key, *, seconds):
        await store.save(key, Record(rig.client.make_token(), 1), replaces=0)
        return await acquire(key, seconds=seconds)

    store.acquire = acquire_late

    assert await rig.get() == "token-1"
    assert rig.client.requests == 0


async def test_a_writer_that_always_loses_is_told(clock, store):
    """A writer that others always overtake serves its token all the same, and reports it."""
    store.failing = {"conflict"}
    rig = Rig(clock, store=store)

    assert await rig.get() == "token-1"
    assert rig.happened(StoreFailed) == [StoreFailed("save", "other writers were faster")]

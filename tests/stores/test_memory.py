"""Memory: what a MemoryTokenStore lets go of, and what it must remember."""

import asyncio
import gc
import os
import tracemalloc
import weakref

import pytest

import aritma_auth as aa
from aritma_auth.stores import Record, SharedBackoff, memory
from support.clock import FakeClock
from support.rig import Rig
from support.stores import KEY, kept_in

pytestmark = pytest.mark.usefixtures("no_leftovers")

MANY = 5000


@pytest.fixture
def store(clock):
    return aa.MemoryTokenStore(clock=clock)


def record_of(clock, **fields):
    now = clock.time()
    return Record(aa.Token("t" * 500, **({"issued_at": now, "expires_at": now + 60} | fields)), 1)


def tokens_in_memory(text):
    return sum(
        isinstance(thing, aa.Token) and thing.access_token == text for thing in gc.get_objects()
    )


async def test_a_forgotten_token_is_let_go(clock, store):
    """After forget() neither the store nor the provider keeps the token."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    await rig.provider.set_token(rig.client.make_token(refresh_token="r"))
    before = tokens_in_memory("token-1")
    await rig.provider.forget()
    gc.collect()

    assert before >= 1
    assert tokens_in_memory("token-1") == 0
    assert "0 tokens" in repr(store)


async def test_many_sign_outs_leave_a_bounded_number_of_notes(clock, store):
    """A note keeps other providers from writing the token back; the oldest ones go."""
    for number in range(MANY):
        key = f"{number:032}"
        await store.save(key, record_of(clock, refresh_token="r"), replaces=0)
        await store.save(key, Record(serial=2), replaces=1)

    kept = kept_in(store)
    assert len(kept) == 1000
    assert min(kept) == f"{MANY - 1000:032}"
    assert (await store.load(f"{MANY - 1:032}")).record == Record(serial=2)
    assert await store.load(KEY) is None


async def test_many_sign_outs_do_not_make_the_process_grow(clock, store):
    """Ten thousand sign-ins and sign-outs take less memory afterwards than a hundred tokens."""

    async def sign_in_and_out(start, count):
        for number in range(start, start + count):
            key = f"{number:032}"
            await store.save(key, record_of(clock, refresh_token="r"), replaces=0)
            lease = await store.acquire(key, seconds=30)
            await store.save(key, Record(serial=2), replaces=1, fence=lease.fence)
            await lease.release()

    await sign_in_and_out(0, 2000)
    gc.collect()
    tracemalloc.start()
    await sign_in_and_out(2000, MANY)
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    # A thousand notes were replaced by others of the same size.
    assert grown < 1000 * 600


async def test_a_sign_out_is_remembered_by_the_next_sign_in(clock, store):
    """A signed-in user is no note, however many others sign out."""
    await store.save(KEY, Record(serial=1), replaces=0)
    await store.save(KEY, record_of(clock, refresh_token="r"), replaces=1)
    for number in range(1, 1500):
        await store.save(f"{number:032}", Record(serial=1), replaces=0)

    assert (await store.load(KEY)).token is not None


@pytest.mark.parametrize(
    ("fields", "is_kept"),
    [
        ({}, False),
        ({"expires_at": None}, False),
        ({"refresh_token": "r"}, True),
    ],
    ids=["ended", "without a lifetime", "with a refresh token"],
)
async def test_a_token_that_nobody_can_use_any_more_is_let_go(clock, store, fields, is_kept):
    """A service with many tenants over one store must not grow with every tenant there ever was."""
    for number in range(1500):
        await store.save(f"{number:032}", record_of(clock, **fields), replaces=0)
    clock.advance(48 * 3600)
    for number in range(2000, 4000):
        await store.save(f"{number:032}", record_of(clock), replaces=0)

    assert (await store.load(f"{0:032}") is not None) is is_kept
    assert len(kept_in(store)) == 2000 + 1500 * is_kept


async def test_an_exchange_under_way_and_a_backoff_are_kept(clock, store):
    """A mark is kept for ever, and a backoff for a minute after its end."""
    down = SharedBackoff(aa.TransportError("down"), 2, 30.0)
    await store.save("mark", Record(redeeming_since=1.0), replaces=0)
    await store.save("backoff", Record(backoff=down), replaces=0)
    await store.save("nothing", Record(), replaces=0)
    held = await store.acquire("held", seconds=1000)
    await store.acquire("left", seconds=1)
    clock.advance(60)
    for number in range(1000):
        await store.save(f"{number:032}", record_of(clock, expires_at=None), replaces=0)
    after_a_minute = set(kept_in(store))
    clock.advance(60)
    for number in range(2000, 4000):
        await store.save(f"{number:032}", record_of(clock, expires_at=None), replaces=0)

    assert {"mark", "backoff"} <= after_a_minute
    assert "mark" in kept_in(store)
    assert "backoff" not in kept_in(store)
    assert await held.keep()
    assert await store.acquire("left", seconds=1) is not None


async def test_a_backoff_is_counted_down_by_the_clock(clock, store):
    """A shared failure ends by itself, and its count stays for the next one."""
    await store.save(
        KEY, Record(backoff=SharedBackoff(aa.TransportError("down"), 2, 30.0)), replaces=0
    )
    left = []
    for _ in range(4):
        clock.advance(10)
        left.append((await store.load(KEY)).record.backoff.seconds)

    assert left == [20, 10, 0, -10]
    assert (await store.load(KEY)).record.backoff.count == 2


async def test_a_lease_lasts_as_long_as_the_clock_says(clock, store):
    """Another holder may come once its time has passed; a kept lease goes on."""
    lease = await store.acquire(KEY, seconds=10)
    clock.advance(9)
    assert await lease.keep()
    clock.advance(9)
    assert await store.acquire(KEY, seconds=10) is None
    clock.advance(2)
    after = await store.acquire(KEY, seconds=10)

    assert after.fence > lease.fence
    assert not await lease.keep()
    await lease.release()
    assert await after.keep()


async def test_a_waiter_that_leaves_is_let_go(store):
    """A cancelled watch leaves nothing behind."""
    watching = asyncio.create_task(store.watch(KEY, generation=0))
    await asyncio.sleep(0)
    future = weakref.ref(watching.get_coro())
    watching.cancel()
    await asyncio.wait([watching])
    del watching
    gc.collect()

    assert future() is None


async def test_of_two_waiters_one_may_leave(store):
    """The other one is notified of the next write."""
    waiting = [asyncio.create_task(store.watch(KEY, generation=0)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    await store.save(KEY, Record(serial=1), replaces=0)

    await asyncio.wait_for(waiting[1], 30)


async def test_a_waiter_may_leave_just_as_the_write_comes(store):
    """The wake-up of a waiter that was cancelled meanwhile does nothing."""
    waiting = asyncio.create_task(store.watch(KEY, generation=0))
    await asyncio.sleep(0)
    await store.save(KEY, Record(serial=1), replaces=0)
    waiting.cancel()
    await asyncio.wait([waiting])
    await asyncio.sleep(0)

    assert waiting.cancelled()


def test_a_provider_that_fails_recovers_with_a_store_in_memory():
    """The first version kept the seconds of a backoff as they were: nobody asked again, ever."""

    async def run():
        clock = FakeClock()
        store = aa.MemoryTokenStore(clock=clock)
        rig = Rig(clock, store=store)
        rig.client.answers = [aa.TransportError("down", may_have_arrived=False)] * 3
        with pytest.raises(aa.TransportError) as caught:
            await rig.get()
        clock.advance(caught.value.retry_after + 60)
        return await rig.get()

    assert asyncio.run(run()).startswith("token-")
    assert memory.MemoryTokenStore is aa.MemoryTokenStore


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_waits_for_no_lease_of_its_parent(store):
    """The child has a copy of the lease, and nobody who would release it."""
    asyncio.run(store.acquire(KEY, seconds=3600))
    child = os.fork()
    if child == 0:
        lease = asyncio.run(store.acquire(KEY, seconds=3600))
        again = asyncio.run(store.acquire(KEY, seconds=3600))
        os._exit(0 if lease is not None and again is None else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert asyncio.run(store.acquire(KEY, seconds=3600)) is None

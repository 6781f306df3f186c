"""Leases of files and keyrings: they end however their holder does."""

import asyncio
import contextlib
import gc
import os
import threading
import time
import weakref

import pytest

import aritma_auth as aa
from aritma_auth.stores import file_lease
from aritma_auth.stores.file_lease import FileLease
from support.clock import FakeClock
from support.fakes import until
from support.stores import KEY, NEW, OLD, OTHER_KEY

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
def store(folder):
    return aa.FileTokenStore(folder)


async def test_a_lease_is_released_from_any_thread_and_loop(store):
    """Another thread and loop may release a lease, even twice."""
    lease = await store.acquire(KEY, seconds=30)

    def elsewhere():
        asyncio.run(lease.release())
        asyncio.run(lease.release())

    await asyncio.to_thread(elsewhere)

    assert not await lease.keep()
    after = await store.acquire(KEY, seconds=30)
    assert after.fence == 2
    await after.release()


def test_a_lease_outlives_its_loop_and_ends_with_its_owner(store):
    """A closed loop does not end a lease, and dropping the lease does."""
    lease = asyncio.run(store.acquire(KEY, seconds=30))

    assert asyncio.run(lease.keep())
    assert asyncio.run(store.acquire(KEY, seconds=30)) is None
    del lease
    gc.collect()
    after = asyncio.run(store.acquire(KEY, seconds=30))
    asyncio.run(after.release())


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_caller_that_is_cancelled_leaves_no_lease(store, monkeypatch, when):
    """A cancelled request for a lease leaves none, though its thread goes on."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    take = FileLease.acquire

    def slow_take(lease):
        if when == "after":
            take(lease)
        begun.set()
        go_on.wait(10)
        try:
            return take(lease) if when == "before" else lease.is_held
        finally:
            ended.set()

    with monkeypatch.context() as patch:
        patch.setattr(FileLease, "acquire", slow_take)
        asking = asyncio.create_task(store.acquire(KEY, seconds=30))
        await asyncio.to_thread(begun.wait, 10)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        go_on.set()
        await asyncio.to_thread(ended.wait, 10)
    after = await store.acquire(KEY, seconds=30)

    assert after is not None
    await after.release()


async def gone(name="aritma-auth leases"):
    """Wait until no thread of that name is left."""
    await until(lambda: not any(thread.name == name for thread in threading.enumerate()))


async def test_a_lease_that_nobody_keeps_ends_in_time(store):
    """The holder's loop may stand still for ever, and its process may live on."""
    lease = await store.acquire(KEY, seconds=0.1)
    await until(lambda: not lease.is_held)
    after = await store.acquire(KEY, seconds=30)

    assert after is not None
    assert not await lease.keep()
    assert after.fence == lease.fence + 1
    await lease.release()
    assert await after.keep()
    await after.release()


async def test_a_lease_that_is_kept_does_not_end(store, monkeypatch):
    """Each call of keep() restarts the lease's time."""
    clock = FakeClock()
    monkeypatch.setattr(file_lease, "time", clock)
    lease = await store.acquire(KEY, seconds=5)
    for _ in range(4):
        clock.advance(4)
        assert await lease.keep()

    assert await store.acquire(KEY, seconds=30) is None
    clock.advance(6)
    # The thread that ends leases looks at the clock when it has slept, or is told of another lease.
    other = await store.acquire(OTHER_KEY, seconds=30)
    await until(lambda: not lease.is_held)
    await other.release()


@pytest.mark.parametrize("mode", ["stands still", "is closed"])
def test_a_lease_whose_loop_runs_no_more_ends_in_time(store, mode):
    """A synchronous wrapper with a time-out leaves a loop, and a lease, behind."""
    loop = asyncio.new_event_loop()
    lease = loop.run_until_complete(store.acquire(KEY, seconds=0.2))
    if mode == "is closed":
        loop.close()
    asyncio.run(until(lambda: not lease.is_held))
    after = asyncio.run(store.acquire(KEY, seconds=30))

    assert after is not None
    assert not lease.is_held
    asyncio.run(after.release())
    loop.close()


async def test_the_thread_that_ends_leases_ends_with_them(store):
    """Nothing is left after the last lease was released, dropped or ended in time."""
    leases = [await store.acquire(str(number), seconds=30) for number in range(3)]
    assert sum(thread.name == "aritma-auth leases" for thread in threading.enumerate()) == 1
    await leases[0].release()
    leases[1].end()
    dropped = weakref.ref(leases[2])
    leases.clear()
    while dropped() is not None:
        # The worker thread may not have let go of its last call yet.
        await asyncio.sleep(0.01)
        gc.collect()
    short = await store.acquire("short", seconds=0.05)

    await gone()
    assert not short.is_held


async def test_a_holder_that_writes_after_its_time_does_not_overwrite_the_next(store):
    """The fence refuses the write of a holder that was frozen longer than its lease."""
    late = await store.acquire(KEY, seconds=0.05)
    await until(lambda: not late.is_held)
    next_one = await store.acquire(KEY, seconds=30)
    assert await store.save(KEY, NEW, replaces=0, fence=next_one.fence)

    assert not await store.save(KEY, OLD, replaces=1, fence=late.fence)
    assert (await store.load(KEY)).record == NEW
    await next_one.release()


async def test_a_cancelled_release_has_released(store):
    """Releasing awaits nothing, so that no cancellation can come between."""
    lease = await store.acquire(KEY, seconds=30)

    async def release():
        asyncio.current_task().cancel()
        await lease.release()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.ensure_future(release())
    after = await store.acquire(KEY, seconds=30)

    assert after is not None
    await after.release()


async def test_a_lease_is_held_without_a_thread_that_could_not_start(tmp_path, monkeypatch):
    """An interpreter that shuts down starts no thread; the lease then ends with the process."""

    def refuse(thread):
        raise RuntimeError("can't start new thread at interpreter shutdown")

    await gone()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        lease = FileLease(tmp_path / "a.lease", lambda: 0, 0.05)
        assert lease.acquire()
    assert lease.is_held
    lease.end()


async def test_leases_of_before_are_not_watched_in_a_child(tmp_path):
    """Watching anew leaves the old lease to its own process, and ends the new one in time."""
    await gone()
    old = FileLease(tmp_path / "old.lease", lambda: 0, 0.1)
    assert old.acquire()
    file_lease.watch_anew()
    new = FileLease(tmp_path / "new.lease", lambda: 0, 0.05)
    assert new.acquire()
    await gone()

    assert not new.is_held
    old.end()


def in_child(path, inherited):
    """Return whether a lease of a forked child ends in time, and the parent's is not held there."""
    own = FileLease(path, lambda: 0, 0.05)
    own.acquire()
    deadline = time.monotonic() + 20
    while own.is_held and time.monotonic() < deadline:
        time.sleep(0.01)
    return not own.is_held and not inherited.is_held


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
async def test_a_forked_child_ends_leases_of_its_own(store, tmp_path):
    """The child has neither its parent's leases nor the thread that ends them."""
    lease = await store.acquire(KEY, seconds=30)
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            code = 7 if in_child(tmp_path / "a.lease", lease) else 2
        os._exit(code)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)

    assert os.waitstatus_to_exitcode(status) == 7
    assert await lease.keep()
    await lease.release()

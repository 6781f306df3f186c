"""Leases of files and keyrings: they end however their holder does."""

import asyncio
import gc
import threading

import pytest

import aritma_auth as aa
from aritma_auth.stores.file_lease import FileLease
from support.stores import KEY

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
def store(folder):
    return aa.FileTokenStore(folder)


async def test_a_lease_is_released_from_any_thread_and_loop(store):
    """Another thread and loop may release a lease, even twice."""
    lease = await store.acquire(KEY, seconds=1)

    def elsewhere():
        asyncio.run(lease.release())
        asyncio.run(lease.release())

    await asyncio.to_thread(elsewhere)

    assert not await lease.keep()
    after = await store.acquire(KEY, seconds=1)
    assert after.fence == 2
    await after.release()


def test_a_lease_outlives_its_loop_and_ends_with_its_owner(store):
    """A closed loop does not end a lease, and dropping the lease does."""
    lease = asyncio.run(store.acquire(KEY, seconds=1))

    assert asyncio.run(lease.keep())
    assert asyncio.run(store.acquire(KEY, seconds=1)) is None
    del lease
    gc.collect()
    after = asyncio.run(store.acquire(KEY, seconds=1))
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
        asking = asyncio.create_task(store.acquire(KEY, seconds=1))
        await asyncio.to_thread(begun.wait, 10)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        go_on.set()
        await asyncio.to_thread(ended.wait, 10)
    after = await store.acquire(KEY, seconds=1)

    assert after is not None
    await after.release()

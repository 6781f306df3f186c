"""Locks and leases: threads, cancellation, loops that end, children, and processes that are killed."""

import asyncio
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

import aritma_auth as aa
from aritma_auth.stores import Record, file_lock
from aritma_auth.stores.file_lease import FileLease
from aritma_auth.stores.file_lock import FileLock
from support.disk import open_files

pytestmark = pytest.mark.usefixtures("no_leftovers")

KEY = "0" * 32


@pytest.fixture
def folder(tmp_path):
    """Give a place for a folder; whatever a test opens there, it closes."""
    yield tmp_path / "tokens"
    gc.collect()
    assert open_files(tmp_path) == []


@pytest.fixture
def store(folder):
    return aa.FileTokenStore(folder)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.lock"


def test_a_lock_is_for_one(path):
    """Threads of one process are as many as they like."""
    one, other = FileLock(path), FileLock(path)

    assert one.acquire()
    assert one.is_held
    assert not other.acquire()
    one.release()
    assert not one.is_held
    assert other.acquire()
    other.release()


def test_a_lock_that_was_given_back_while_it_was_taken_is_not_held(path):
    """Its taker was cancelled, and nobody would give it back again."""
    lock = FileLock(path, lambda file: lock.release())

    assert not lock.acquire()
    assert not lock.is_held
    assert not lock.acquire()
    after = FileLock(path)
    assert after.acquire()
    after.release()


def test_a_lock_whose_preparation_fails_is_free(path):
    """The file is closed."""

    def fail(file):
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        FileLock(path, fail).acquire()
    lock = FileLock(path)
    assert lock.acquire()
    lock.release()


def test_a_lock_file_that_is_removed_meanwhile_guards_nothing(path, monkeypatch):
    """A new one is made and locked."""
    samestat, seen = os.path.samestat, []

    def removed_first(one, other):
        seen.append(path.stat().st_ino)
        return samestat(one, other) and len(seen) > 1

    monkeypatch.setattr(os.path, "samestat", removed_first)
    lock = FileLock(path)

    assert lock.acquire()
    assert len(seen) == 2
    assert len(open_files(path)) <= 1
    lock.release()


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_lock_file_that_is_always_removed_is_an_error(path, monkeypatch, is_gone):
    """It must not be tried for ever; nothing remains open."""
    if is_gone:
        # The folder goes away before each opening.
        monkeypatch.setattr(file_lock, "open_lock_file", lambda path: path.rmdir())
    else:
        monkeypatch.setattr(os.path, "samestat", lambda one, other: False)

    with pytest.raises(FileNotFoundError, match="must not be removed"):
        FileLock(path).acquire()
    assert open_files(path) == []


def test_a_lock_that_nobody_holds_any_more_is_free(path):
    """Its owner was dropped without a word."""
    lock = FileLock(path)
    lock.acquire()
    del lock
    gc.collect()
    after = FileLock(path)

    assert after.acquire()
    after.release()


def test_giving_back_unlocks_what_a_child_still_has_open(path):
    """Children of other languages know nothing of this lock."""
    lock = FileLock(path)
    lock.acquire()
    inherited = os.dup(lock._file)
    lock.release()
    after = FileLock(path)

    assert after.acquire()
    after.release()
    os.close(inherited)


def test_a_writer_that_fails_gives_the_lock_back(path, monkeypatch):
    """Whoever still refers to it."""
    made, make = [], FileLock
    monkeypatch.setattr(file_lock, "FileLock", lambda path: made.append(make(path)) or made[-1])
    with pytest.raises(KeyError), file_lock.exclusive(path):
        was_held = made[0].is_held
        raise KeyError

    assert was_held
    assert not made[0].is_held


def test_a_forked_child_leaves_the_lock_to_its_parent(path):
    """It neither holds it nor unlocks it."""
    lock = FileLock(path)
    lock.acquire()
    parents = os.dup(lock._file)
    file_lock._after_fork()

    assert not lock.is_held
    assert not FileLock(path).acquire()
    lock.release()
    assert not FileLock(path).acquire()
    os.close(parents)


async def test_a_lease_is_given_back_from_any_thread_and_loop(store):
    """Twice is no error."""
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
    """A loop that was closed gives nothing back; dropping the lease does."""
    lease = asyncio.run(store.acquire(KEY, seconds=1))

    assert asyncio.run(lease.keep())
    assert asyncio.run(store.acquire(KEY, seconds=1)) is None
    del lease
    gc.collect()
    after = asyncio.run(store.acquire(KEY, seconds=1))
    asyncio.run(after.release())


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_caller_that_is_cancelled_leaves_no_lease(store, monkeypatch, when):
    """The thread goes on and may yet be granted it."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    take = FileLease.acquire

    def slow_take(lease):
        if when == "after":
            take(lease)
        begun.set()
        go_on.wait(10)
        try:
            return take(lease) if when == "before" else lease._lock.is_held
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


WORKER = """
import asyncio, json, os, sys, time
from pathlib import Path
import aritma_auth as aa
from aritma_auth.stores import Record

folder, task = Path(sys.argv[1]), sys.argv[2]
store, key = aa.FileTokenStore(folder), "0" * 32

async def add_one(fence):
    while True:
        entry = await store.load(key)
        record = Record(None, 1 if entry is None else entry.record.serial + 1)
        replaces = 0 if entry is None else entry.generation
        if await store.save(key, record, replaces=replaces, fence=fence):
            break

async def count(rounds):
    fences, collisions = [], 0
    for _ in range(rounds):
        while (lease := await store.acquire(key, seconds=1)) is None:
            await asyncio.sleep(0.001)
        fences.append(lease.fence)
        try:
            os.close(os.open(folder.parent / "inside", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            collisions += 1
        await add_one(lease.fence)
        (folder.parent / "inside").unlink()
        await lease.release()
    for _ in range(rounds):
        await add_one(0)
    print(json.dumps([fences, collisions]))

async def hold():
    lease = await store.acquire(key, seconds=1)
    is_child = task == "hold-with-child" and os.fork() == 0
    if is_child or task == "hold":
        print(os.getpid(), flush=True)
    time.sleep(60)

async def write():
    print(0, flush=True)
    for number in range(10**6):
        entry = await store.load(key)
        token = aa.Token("x" * 20_000)
        await store.save(key, Record(token, number), replaces=entry.generation if entry else 0)

asyncio.run({"count": lambda: count(20), "write": write}.get(task, hold)())
"""


@contextlib.contextmanager
def process(folder, task):
    """Run a worker; it is killed at the end."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), task], stdout=subprocess.PIPE, text=True
    )
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()


async def test_processes_take_turns_and_lose_nothing(store, folder):
    """Each refreshes alone under its lease, and no write overwrites another's; nobody reads a half."""
    problems, before = [], None
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(process(folder, "count")) for _ in range(3)]
        while any(worker.poll() is None for worker in workers):
            entry = await store.load(KEY)
            if entry is not None:
                problems += [entry.problem] if entry.problem else []
                assert before is None or entry.record.serial >= before
                before = entry.record.serial
            await asyncio.sleep(0.001)
        told = [json.loads(worker.stdout.read()) for worker in workers]
    fences = [fence for one, _ in told for fence in one]

    assert (await store.load(KEY)).record.serial == 3 * 2 * 20
    assert sorted(fences) == list(range(1, 61))
    assert [one == sorted(one) for one, _ in told] == [True] * 3
    assert [collisions for _, collisions in told] == [0] * 3
    assert problems == []


@pytest.mark.parametrize("task", ["hold", "hold-with-child"])
async def test_a_killed_holder_frees_its_lease_at_once(store, folder, task):
    """Although a child that it forked lives on."""
    with process(folder, task) as worker:
        child = int(await asyncio.to_thread(worker.stdout.readline))
        while_held = await store.acquire(KEY, seconds=1)
        worker.send_signal(signal.SIGKILL)
        await asyncio.to_thread(worker.wait)
        lease = await store.acquire(KEY, seconds=1)
        if task == "hold-with-child":
            os.kill(child, signal.SIGKILL)

    assert while_held is None
    assert lease.fence == 2
    await lease.release()


async def test_killed_writers_leave_whole_entries(store, folder):
    """Whenever they are killed, the next one reads and writes as if nothing had been."""
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(process(folder, "write")) for _ in range(2)]
        for worker in workers:
            await asyncio.to_thread(worker.stdout.readline)
        for number, worker in enumerate(workers):
            await asyncio.sleep(0.01 * (number + 1))
            worker.send_signal(signal.SIGKILL)
            await asyncio.to_thread(worker.wait)
            entry = await store.load(KEY)
            assert entry is None or entry.problem is None
    entry = await store.load(KEY)

    assert await store.save(KEY, Record(), replaces=0 if entry is None else entry.generation)
    assert sorted(file.suffix for file in folder.iterdir()) == [".lock", ".token"]

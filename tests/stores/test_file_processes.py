"""Several processes over one folder, some of which are killed."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest

import aritma_auth as aa
from aritma_auth.stores import Record
from support.stores import KEY

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
def store(folder):
    return aa.FileTokenStore(folder)


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
        while (lease := await store.acquire(key, seconds=30)) is None:
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
    lease = await store.acquire(key, seconds=30)
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
    """Run a worker process, which is killed at the end."""
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
    """Each process refreshes alone under its lease, no write is overwritten, and nobody reads half a file."""
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
    """A killed process's lease is free at once, although a child that it forked lives on."""
    with process(folder, task) as worker:
        child = int(await asyncio.to_thread(worker.stdout.readline))
        while_held = await store.acquire(KEY, seconds=30)
        worker.send_signal(signal.SIGKILL)
        await asyncio.to_thread(worker.wait)
        lease = await store.acquire(KEY, seconds=30)
        if task == "hold-with-child":
            os.kill(child, signal.SIGKILL)

    assert while_held is None
    assert lease.fence == 2
    await lease.release()


async def test_killed_writers_leave_whole_entries(store, folder):
    """Writers that are killed at any moment leave a whole entry and no lock."""
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

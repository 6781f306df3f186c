"""A bounded number of threads for calls that may block for ever."""

import asyncio
import gc
import os
import threading
import time
import weakref

import pytest

from aritma_auth.runtime import threads
from aritma_auth.runtime.threads import WorkerThreads
from support.fakes import until
from support.internals import calls_of

pytestmark = pytest.mark.usefixtures("no_leftovers")


def running(name):
    return [thread for thread in threading.enumerate() if thread.name == name]


@pytest.fixture
def workers(request, monkeypatch):
    """Give two threads that end soon after their work."""
    monkeypatch.setattr(threads, "_IDLE", 0.05)
    return WorkerThreads(f"workers of {request.node.name}", limit=2)


async def test_a_call_runs_in_a_thread_and_gives_its_result(workers):
    """The loop goes on meanwhile."""
    thread = await workers.run(threading.current_thread)

    assert thread is not threading.main_thread()
    assert thread.daemon


async def test_what_a_call_raises_is_raised_where_it_is_awaited(workers):
    """The exception is the call's own."""

    def fail():
        raise OSError("no such disk")

    with pytest.raises(OSError, match="no such disk"):
        await workers.run(fail)


async def test_calls_that_hang_hold_no_more_threads_than_the_limit(workers, request):
    """A thousand calls wait in the queue, and are dropped when nobody waits for them."""
    release = threading.Event()
    begun = []

    def hang():
        begun.append(1)
        release.wait()

    calls = [asyncio.create_task(workers.run(hang)) for _ in range(1000)]
    await asyncio.wait(calls, timeout=0.05)

    assert len(running(f"workers of {request.node.name}")) == 2
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    release.set()
    assert await workers.run(lambda: "next") == "next"
    assert len(begun) == 2


async def test_calls_that_nobody_waits_for_are_let_go_while_all_threads_hang(workers):
    """A disk that is dead for a day costs no memory for each attempt to use it."""
    release = threading.Event()
    hanging = [asyncio.create_task(workers.run(release.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    kept = []
    for _ in range(1000):
        argument = type("Argument", (), {})()
        kept.append(weakref.ref(argument))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await workers.run(lambda argument=argument: argument)
        del argument
    gc.collect()

    assert sum(argument() is not None for argument in kept) <= 1
    release.set()
    assert await asyncio.gather(*hanging) == [True, True]


async def test_idle_threads_end(workers, request):
    """Nothing is left some time after the last call."""
    await asyncio.gather(*(workers.run(time.monotonic) for _ in range(10)))
    name = f"workers of {request.node.name}"
    await until(lambda: not running(name))

    assert await workers.run(lambda: 1) == 1


async def test_a_call_that_comes_as_a_thread_ends_is_not_forgotten(workers):
    """Calls that come at the pace at which threads end all return."""
    for _ in range(20):
        assert await asyncio.wait_for(workers.run(lambda: 1), 30) == 1
        await asyncio.sleep(0.05)


async def test_all_workers_start_over(workers):
    """What a forked child does first: new threads run what comes next."""
    await workers.run(time.monotonic)
    threads.start_all_over()

    assert await workers.run(lambda: 7) == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
async def test_a_forked_child_makes_threads_of_its_own(workers):
    """The parent's threads do not exist in the child."""
    await workers.run(time.monotonic)
    child = os.fork()
    if child == 0:
        try:
            result = asyncio.new_event_loop().run_until_complete(
                asyncio.wait_for(workers.run(lambda: 7), 30)
            )
            os._exit(result)
        finally:
            os._exit(1)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)

    assert os.waitstatus_to_exitcode(status) == 7


async def test_a_call_that_is_cancelled_as_its_thread_takes_it_is_not_made():
    """The caller left between the queue and the call."""
    workers, made = WorkerThreads("none", limit=0), []
    leaving = asyncio.create_task(workers.run(lambda: made.append(1)))
    await asyncio.sleep(0)
    (call,) = calls_of(workers).values()

    leaving.cancel()
    await asyncio.wait([leaving])
    call()

    assert leaving.cancelled()
    assert made == []

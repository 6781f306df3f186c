"""Tasks that neither end too early nor run too long."""

import asyncio
import contextlib
import gc
import inspect
import logging
import threading
import time
from concurrent.futures import Future
from functools import partial

import pytest

from aritma_auth.runtime.tasks import (
    GuardedTask,
    WorkBrokenOffError,
    is_lost,
    run_to_the_end,
    run_within,
    stop_if_lost,
    uninterrupted,
)
from support.fakes import settle
from support.loops import COLLECTS_IN_ORDER


async def hang():
    """Wait for ever, as for a vault that never responds."""
    await asyncio.Event().wait()


async def await_a_cancelled_task():
    """Raise CancelledError although the caller was not cancelled."""
    task = asyncio.ensure_future(asyncio.sleep(10))
    task.cancel()
    await task


async def test_bounded_work_returns_its_result_and_raises_its_error():
    """Within its time it behaves as if it were awaited directly."""

    async def succeed():
        return "result"

    async def fail():
        raise KeyError("detail")

    assert await run_within(1, succeed()) == "result"
    with pytest.raises(KeyError):
        await run_within(1, fail())


async def test_bounded_work_that_swallows_its_cancellation_is_left_to_itself(monkeypatch):
    """It is given a moment to end, and then its caller goes on without it."""
    monkeypatch.setattr("aritma_auth.runtime.tasks._GRACE", 0.02)
    may_end = asyncio.Event()

    async def work():
        while not may_end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await may_end.wait()

    with pytest.raises(TimeoutError):
        await run_within(0.01, work())
    may_end.set()
    await settle()


async def test_bounded_work_ends_with_its_caller():
    """A cancelled caller takes the work along, and waits for it."""
    ended = []

    async def work():
        try:
            await hang()
        finally:
            await asyncio.sleep(0)
            ended.append(1)

    caller = asyncio.ensure_future(run_within(10, work()))
    await settle()
    caller.cancel()
    await asyncio.wait((caller,))

    assert caller.cancelled()
    assert ended == [1]


async def test_bounded_work_that_finishes_while_it_is_stopped_counts():
    """A result that comes in the last moment is not thrown away."""

    async def work():
        try:
            await hang()
        except asyncio.CancelledError:
            return "result"

    assert await run_within(0.01, work()) == "result"
    with pytest.raises(WorkBrokenOffError):
        await run_within(1, await_a_cancelled_task())


@pytest.mark.parametrize("turns", [1, 3, 15])
async def test_bounded_work_may_take_what_has_arrived_while_the_loop_stood_still(turns):
    """Its time was over meanwhile, and a few turns later it would have ended."""
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()

    async def work():
        await arrived.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        return "result"

    def stand_still():
        time.sleep(0.03)
        arrived.set()

    loop.call_soon(stand_still)
    assert await run_within(0.01, work()) == "result"


async def test_a_section_outside_of_any_guarded_task_changes_nothing():
    """A store may be used by a caller's own code too: its cancellation is the caller's affair."""

    async def work(coroutine):
        with uninterrupted():
            return await coroutine

    task = asyncio.ensure_future(work(hang()))
    await settle()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await work(asyncio.sleep(0, "result")) == "result"


def test_a_loops_end_waits_for_a_section_and_for_no_more():
    """asyncio.run returns when the section has ended, and cuts off what comes after it."""
    steps = []

    async def work():
        with uninterrupted():
            await asyncio.sleep(0.05)
            steps.append("inside")
            with uninterrupted():
                await asyncio.sleep(0)
            steps.append("still inside")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        steps.append("after")

    async def job():
        task = asyncio.ensure_future(run_to_the_end_of(work))
        await asyncio.wait((task,), timeout=0.01)

    asyncio.run(job())

    assert steps == ["inside", "still inside"]


async def run_to_the_end_of(work):
    """Run work in a guarded task, and wait for it."""
    task = GuardedTask(work(), "test", lambda task: None)
    await asyncio.wait((task.work,))


async def test_work_that_runs_to_the_end_returns_its_result_and_raises_its_error():
    """It behaves as if it were awaited directly."""

    async def succeed():
        return "result"

    async def fail():
        raise KeyError("detail")

    assert await run_to_the_end(succeed(), "test") == "result"
    with pytest.raises(KeyError):
        await run_to_the_end(fail(), "test")


def test_an_error_that_nobody_receives_is_not_reported(caplog):
    """Its caller was cancelled; asyncio would report the error when it is collected."""

    async def fail():
        await asyncio.sleep(0.02)
        raise KeyError("detail")

    async def job():
        task = asyncio.ensure_future(run_to_the_end(fail(), "test"))
        await settle()
        task.cancel()

    asyncio.run(job())
    gc.collect()

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_an_error_in_the_turn_of_the_cancellation_is_not_reported(caplog):
    """The work failed, and before its caller could be told, that was cancelled."""
    loop = asyncio.get_running_loop()
    failing = loop.create_future()

    async def fail():
        await failing

    caller = asyncio.ensure_future(run_within(1, fail()))
    await settle()
    failing.set_exception(KeyError("detail"))
    # Behind the work's own step, and before the caller's.
    loop.call_soon(caller.cancel)
    with pytest.raises(asyncio.CancelledError):
        await caller
    del caller
    gc.collect()

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("turns", [0, 1, 2])
@pytest.mark.parametrize("work", [settle, hang])
def test_work_of_a_loop_that_was_closed_is_let_go_in_silence(recwarn, caplog, turns, work):
    """It had not begun, or not ended: Python would report it from wherever it is collected."""
    loop = asyncio.new_event_loop()

    async def run():
        await run_within(1, work())

    def stop():
        nonlocal turns
        turns -= 1
        loop.call_soon(loop.stop if turns < 0 else stop)

    loop.call_soon(lambda: GuardedTask(run(), "work"))
    loop.call_soon(stop)
    loop.run_forever()
    loop.close()
    gc.collect()

    assert not recwarn.list
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("begin", [run_to_the_end, GuardedTask, partial(run_within, 1)])
def test_without_a_loop_no_coroutine_is_left_behind(recwarn, begin):
    """A coroutine that is collected after its loop cleans up in vain, and makes no noise."""
    with pytest.raises(RuntimeError, match="no running event loop"):
        begin(settle(), name="work").send(None)
    gc.collect()

    assert not recwarn.list


async def fail():
    """Fail at once."""
    raise ValueError


@pytest.mark.skipif(not COLLECTS_IN_ORDER, reason="the task may be collected before its waiter")
def test_an_error_of_a_loop_that_was_closed_is_let_go_in_silence(caplog):
    """The work ended in the very turn after which its loop ran no more."""
    loop = asyncio.new_event_loop()
    work = fail()

    async def run():
        await run_within(1, work)

    def stop():
        loop.call_soon(loop.stop if inspect.getcoroutinestate(work) == "CORO_CLOSED" else stop)

    loop.call_soon(lambda: GuardedTask(run(), "work"))
    loop.call_soon(stop)
    loop.run_forever()
    loop.close()
    gc.collect()

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_task_of_a_loop_that_is_over_is_not_waited_for():
    """Closing on another loop goes on at once: that loop runs no task to its end any more."""
    loop = asyncio.new_event_loop()
    began = []

    async def begin():
        began.append(GuardedTask(asyncio.sleep(3600), "work"))

    loop.run_until_complete(begin())
    asyncio.run(began[0].end())

    assert not began[0].work.done()
    began[0].cut()
    loop.run_until_complete(began[0].end())
    loop.close()


async def test_a_task_of_another_loop_is_waited_for_in_time():
    """The wait for another loop's task has a limit of its own."""
    began: Future[GuardedTask] = Future()
    over = threading.Event()

    async def work():
        task = GuardedTask(asyncio.sleep(3600), "work")
        began.set_result(task)
        await asyncio.to_thread(over.wait)
        task.cut()
        await task.end()

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    task = await asyncio.wrap_future(began)
    await task.end(0.01)

    assert not task.work.done()
    over.set()
    await task.end(5.0)
    await asyncio.to_thread(thread.join)
    assert task.work.done()


async def test_work_that_was_given_up_ends_where_it_asks_and_not_inside_a_section():
    """A section's result may be kept; what would begin after it does not."""
    gate, steps = asyncio.Event(), []

    async def work():
        with uninterrupted():
            await gate.wait()
            steps.append(is_lost())
        stop_if_lost()
        steps.append("began")

    task = GuardedTask(work(), "work")
    await settle()
    task.lose()
    await settle()
    assert not task.work.done()
    gate.set()
    await task.end()

    assert task.work.cancelled()
    assert steps == [True]


async def test_a_task_that_work_has_started_is_not_lost_with_it():
    """It has inherited the context, and goes on after the work has ended."""
    gate, started = asyncio.Event(), []

    async def outlive():
        await gate.wait()
        stop_if_lost()
        return "went on"

    async def work():
        started.append(asyncio.ensure_future(outlive()))
        await asyncio.sleep(3600)

    task = GuardedTask(work(), "work")
    await settle()
    task.lose()
    await task.end()
    task.lose()
    gate.set()

    assert await started[0] == "went on"


async def test_work_that_has_ended_cannot_be_given_up():
    """There is nothing that it could still begin."""
    task = GuardedTask(asyncio.sleep(0, "result"), "work")
    await task.end()
    task.lose()

    assert not task.is_lost

"""Turns: one holder at a time, over all loops and threads, and never stuck for good."""

import asyncio
import threading

import pytest

from aritma_auth.runtime.turns import Turns

pytestmark = pytest.mark.usefixtures("no_leftovers")

LONG = 30.0


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def arrives(task):
    """Require a turn to come at once: after its time it would come in any case."""
    await settle()
    assert task.done()
    await task


async def begin(turns, holder, seconds=LONG):
    """Let a holder ask for its turn; give the task that waits."""
    task = asyncio.create_task(turns.take(holder, seconds))
    await settle()
    return task


async def test_turns_come_in_the_order_of_arrival():
    """Each holder waits for the one before it."""
    turns = Turns()
    first, second, third = [await begin(turns, name) for name in "abc"]
    assert (first.done(), second.done(), third.done()) == (True, False, False)
    turns.give_back("a")
    await settle()
    assert (second.done(), third.done()) == (True, False)
    turns.give_back("b")
    await arrives(third)


async def test_only_the_holder_gives_the_turn_back():
    """A holder that has it no more, or never had it, changes nothing."""
    turns = Turns()
    await turns.take("a", LONG)
    second = await begin(turns, "b")
    turns.give_back("nobody")
    await settle()
    assert not second.done()
    turns.give_back("a")
    turns.give_back("a")
    await arrives(second)


async def test_the_first_turn_waits_for_those_who_were_there_before():
    """Each of them ends, or waits for a turn too."""
    turns = Turns(["a", "b", "c"])
    first, second = await begin(turns, "a"), await begin(turns, "b")
    assert not first.done()
    turns.give_back("c")
    await settle()
    assert (first.done(), second.done()) == (True, False)
    turns.give_back("a")
    await arrives(second)


async def test_a_turn_that_is_not_given_back_is_taken_away():
    """After its time a waiter has the turn, and the old holder gives nothing back."""
    turns = Turns()
    await turns.take("a", LONG)
    await turns.take("b", 0.01)
    third = await begin(turns, "c")
    turns.give_back("a")
    await settle()
    assert not third.done()
    turns.give_back("b")
    await arrives(third)


async def test_those_before_are_not_waited_for_without_end():
    """One that never ends costs the first waiter its time, and nobody else any."""
    turns = Turns(["hung"])
    await turns.take("a", 0.01)
    second = await begin(turns, "b")
    turns.give_back("a")
    await arrives(second)


async def test_a_waiter_that_is_cancelled_leaves_no_gap():
    """The next one has the turn, whether it was cancelled while it waited or as its turn came."""
    turns = Turns()
    await turns.take("a", LONG)
    second, third, fourth = [await begin(turns, name) for name in "bcd"]
    second.cancel()
    await settle()
    turns.give_back("a")
    third.cancel()
    await settle()

    assert second.cancelled()
    assert third.cancelled()
    await arrives(fourth)


async def test_a_turn_goes_from_thread_to_thread():
    """The waiter of another loop is told on its own loop."""
    turns = Turns()
    await turns.take("a", LONG)
    has_begun = threading.Event()

    async def wait():
        asyncio.get_running_loop().call_later(0, has_begun.set)
        await turns.take("b", LONG)
        turns.give_back("b")

    other = asyncio.create_task(asyncio.to_thread(asyncio.run, wait()))
    await asyncio.to_thread(has_begun.wait)
    turns.give_back("a")
    await other
    await turns.take("c", LONG)


async def test_a_waiter_whose_loop_is_closed_is_passed_over():
    """Its loop cannot be told, and the next one has the turn."""
    turns = Turns()
    await turns.take("a", LONG)
    loop = asyncio.new_event_loop()
    waiting = turns.take("b", LONG)

    def leave_behind():
        asyncio.set_event_loop(loop)
        task = loop.create_task(waiting)
        loop.run_until_complete(settle())
        # Nobody will ever run it again.
        task._log_destroy_pending = False
        loop.close()
        return task

    task = await asyncio.to_thread(leave_behind)
    third = await begin(turns, "c")
    turns.give_back("a")
    await arrives(third)
    del task

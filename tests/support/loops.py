"""Event loops other than asyncio's default."""

import asyncio
import selectors
import sysconfig

COLLECTS_IN_ORDER = not sysconfig.get_config_var("Py_GIL_DISABLED")
"""
Python finalizes what was left of a closed loop in the order in which it was made.

A coroutine comes before the session that it opened, and closes it in silence. A free-threaded build
finalizes in any order, so that a session may warn first that it was not closed.
"""


def new_eager_loop():
    """Make a loop that runs a task's first step when it is created (Python 3.12)."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop


class _Leaping(selectors.DefaultSelector):
    """Waits for no timer: tells the loop's time to leap instead."""

    leaped = 0.0

    def select(self, timeout=None):
        if timeout is None:
            return super().select()
        self.leaped += max(timeout, 0.0)
        return super().select(0)


class LeapingLoop(asyncio.SelectorEventLoop):
    """A loop whose waits take no time and always the same: its time leaps to the next timer."""

    def __init__(self):
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self):
        return self._leaping.leaped


def run_leaping(coroutine):
    """Run a coroutine on a loop whose waits take no time; give its result."""
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        return runner.run(coroutine)

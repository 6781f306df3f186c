"""
At most one run of some work at a time, joined by every caller that needs its result.

Theory of operation
-------------------

::

      loop 1                                    loop 2, in another thread
      caller A --- future --+               +-- future --- caller C looks every 0.1 s
      caller B --- future --+-- Flight -----+              whether loop 1 still runs
                                |
                    guard task -> work task     no caller owns them

A flight is one run. The first caller launches it on its own loop; every caller, the first one
included, waits for a future of its own. A cancelled caller abandons its future and changes nothing
else. When the work task ends, whatever ended it, a callback takes its result, forgets the flight
and resolves the futures of each loop on that loop.

A flight is *lost* when it ends without a result: it was cancelled or interrupted, or its loop was
closed, or has stood still for longer than a waiter's patience. Its waiters get None and start over.
If that loop goes on after all, the work ends before it begins anything new (`stop_if_lost`): it may
keep what has come, and asks nobody.

The state is one thread lock's: taken for microseconds, never across an await. asyncio's own locks
belong to one loop. The work must report its failures as values: one exception object raised by
thousands of waiters grows a traceback with a frame of each.
"""

import asyncio
import contextlib
import itertools
import os
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from aritma_auth.runtime.tasks import GuardedTask

if TYPE_CHECKING:
    from threading import RLock

R = TypeVar("R")

_LOOK_AGAIN = 0.1
"""Seconds after which a waiter in another loop looks whether the flight's loop still runs."""

_PATIENCE = 1.0
"""Seconds that a loop may stand still before its flight counts as lost."""


_WOKEN_IN_A_TURN = 100
"""Waiters that go on in one turn of their loop."""

_NUMBERS = itertools.count(1)


class Flight(Generic[R]):
    """
    One run of the work.

    Attributes:
        loop: The event loop that runs it.

        number: Tells the flights of this process apart.

        is_over: It has ended.

        result: Its result, or None if it is under way or was lost.

        bug: Name of the exception that the work raised although it must not, or None.
    """

    __slots__ = ("bug", "is_over", "loop", "number", "pid", "result", "task", "waiting")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.number = next(_NUMBERS)
        self.pid = os.getpid()
        self.task: GuardedTask[R] | None = None
        self.waiting: deque[asyncio.Future[R | None]] = deque()
        self.is_over = False
        self.result: R | None = None
        self.bug: str | None = None

    def resolve(self, futures: "deque[asyncio.Future[R | None]]") -> None:
        """
        Give waiters of the running loop the outcome, some in each of its turns.

        A future that is resolved holds a handle of the loop until its waiter goes on. For ten
        thousand at once that is more memory than their futures, and nothing else would run.
        """
        bug, result = self.bug, self.result
        for _ in range(min(len(futures), _WOKEN_IN_A_TURN)):
            future = futures.popleft()
            if future.done():
                continue
            if bug is None:
                future.set_result(result)
            else:
                # Starting over would raise it again, for ever.
                future.set_exception(RuntimeError(f"the work in flight raised {bug}"))
        if futures:
            asyncio.get_running_loop().call_soon(self.resolve, futures)


class SingleFlight(Generic[R]):
    """
    At most one run of some work at a time.

    Args:
        work: Makes the work's coroutine, given its flight; its result is a value, failures
            included, never None.

        lock: Guards the flight, and what the work's owner changes together with it.

        on_end: Called with the lock held when a flight has ended.

        patience: Returns the seconds that a flight's loop may stand still; the default is 1 s.
    """

    __slots__ = ("_flight", "_lock", "_on_end", "_patience", "_work")

    def __init__(
        self,
        work: Callable[[Flight[R]], Coroutine[object, object, R]],
        lock: "RLock",
        on_end: Callable[[], None] | None = None,
        patience: Callable[[Flight[R]], float] | None = None,
    ) -> None:
        self._work = work
        self._lock = lock
        self._on_end = on_end
        self._patience = patience
        self._flight: Flight[R] | None = None

    @property
    def current(self) -> Flight[R] | None:
        """The flight under way, or None."""
        flight = self._flight
        if flight is None:
            return None
        with self._lock:
            if flight.pid != os.getpid():
                # Its task and its waiters are those of the parent process.
                self._flight = None
            elif flight.loop.is_closed():
                self._end(flight, None)
            return self._flight

    def launch(self) -> Flight[R]:
        """Return the flight under way, or start one on the running loop."""
        with self._lock:
            flight = self.current
            if flight is None:
                flight = self._flight = Flight()
                try:
                    flight.task = GuardedTask(
                        self._run(flight),
                        "aritma-auth refresh",
                        partial(self._ended, flight),
                    )
                except BaseException:
                    self._flight = None
                    raise
            return flight

    async def _run(self, flight: Flight[R]) -> R:
        # An eager task factory runs a task's first step inside create_task, under our lock.
        await asyncio.sleep(0)
        return await self._work(flight)

    def join(self, flight: Flight[R], timeout: float | None = None) -> Awaitable[R | None]:
        """
        Return what a caller awaits to get a flight's result, from any loop.

        Args:
            flight: What `launch` returned.

            timeout: Seconds to wait at most; the flight goes on.

        Returns:
            Its result, or None if it was lost.

        Raises:
            TimeoutError: The time is over.

            RuntimeError: The work raised, which it must not.
        """
        loop = asyncio.get_running_loop()
        if timeout is None and loop is flight.loop:
            return self._future(flight, loop)
        return self._watch(flight, timeout)

    def join_here(self) -> "asyncio.Future[R | None] | None":
        """
        Return a future of the flight under way if it is the running loop's own, else None.

        A shorter way than `join`: in a stampede each step and each coroutine counts ten thousand
        times.
        """
        flight, loop = self._flight, asyncio.get_running_loop()
        return self._future(flight, loop) if flight is not None and flight.loop is loop else None

    def _future(
        self, flight: Flight[R], loop: asyncio.AbstractEventLoop
    ) -> "asyncio.Future[R | None]":
        # Not loop.create_future(): a frame of Python's own for each waiter, and the same class.
        future: asyncio.Future[R | None] = asyncio.Future(loop=loop)
        # No lock: the flight takes its waiters after it has said that it is over. Whichever comes
        # later resolves this one, here or on this loop.
        flight.waiting.append(future)
        if flight.is_over:
            flight.resolve(deque((future,)))
        return future

    async def _watch(self, flight: Flight[R], timeout: float | None) -> R | None:
        future = self._future(flight, asyncio.get_running_loop())
        async with asyncio.timeout(timeout):
            if future.get_loop() is flight.loop:
                return await future
            standing_still = 0.0
            while not future.done():
                await asyncio.wait((future,), timeout=_LOOK_AGAIN)
                standing_still = 0.0 if flight.loop.is_running() else standing_still + _LOOK_AGAIN
                patience = _PATIENCE if self._patience is None else self._patience(flight)
                if flight.loop.is_closed() or standing_still > patience:
                    assert flight.task is not None  # noqa: S101 - only one that has begun is known
                    # First: whoever is told of its end counts on it to begin nothing more.
                    flight.task.lose()
                    self._end(flight, None)
            return future.result()

    async def cancel(self) -> None:
        """Cancel the flight under way as soon as it may be interrupted, and wait for its end."""
        flight = self.current
        if flight is None or flight.task is None:
            return
        if flight.loop is asyncio.get_running_loop():
            flight.task.cut()
            await flight.task.end()
        else:
            flight.task.cut_from_elsewhere()
            await self._watch(flight, None)

    def _ended(self, flight: Flight[R], task: "asyncio.Task[R]") -> None:
        result: R | None = None
        if not task.cancelled():
            error = task.exception()
            if error is None:
                result = task.result()
            elif isinstance(error, Exception):
                # An interrupt is no bug: asyncio has passed it on, and the flight is lost.
                flight.bug = type(error).__name__
        self._end(flight, result)

    def _end(self, flight: Flight[R], result: R | None) -> None:
        with self._lock:
            if flight.is_over:
                return
            flight.result = result
            flight.is_over = True
            waiting, flight.waiting = flight.waiting, deque()
            if self._flight is flight:
                self._flight = None
                if self._on_end is not None:
                    self._on_end()
        by_loop = defaultdict[asyncio.AbstractEventLoop, deque[asyncio.Future[R | None]]](deque)
        # Moved, not copied: a stampede would hold them twice.
        while waiting:
            future = waiting.popleft()
            by_loop[future.get_loop()].append(future)
        here = asyncio._get_running_loop()  # noqa: SLF001 - documented; get_running_loop raises
        for loop, futures in by_loop.items():
            if loop is here:
                flight.resolve(futures)
                continue
            # A closed loop has no waiters left.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(flight.resolve, futures)


class ObservedFlight(SingleFlight[R]):
    """
    A single flight that tells who waits: a class of its own, so that the other pays nothing.

    Args:
        work: As for `SingleFlight`.

        lock: As for `SingleFlight`.

        on_end: As for `SingleFlight`.

        patience: As for `SingleFlight`.

        on_wait: Called in the context of each caller that begins to wait.
    """

    __slots__ = ("_on_wait",)

    def __init__(
        self,
        work: Callable[[Flight[R]], Coroutine[object, object, R]],
        lock: "RLock",
        on_end: Callable[[], None] | None,
        patience: Callable[[Flight[R]], float] | None,
        on_wait: Callable[[Flight[R]], None],
    ) -> None:
        super().__init__(work, lock, on_end, patience)
        self._on_wait = on_wait

    def _future(
        self, flight: Flight[R], loop: asyncio.AbstractEventLoop
    ) -> "asyncio.Future[R | None]":
        self._on_wait(flight)
        return super()._future(flight, loop)

"""
One piece of work in flight, joined by whoever needs its result.

The flight is a task that nobody who waits owns: cancelling any caller, also the one that started
it, ends that caller's wait and nothing else. A thread lock guards it, held for microseconds and
never across an await, so that several event loops and threads may share one flight.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Generic, TypeVar

from aritma_auth.runtime.lock import ForkSafeLock, forks

R = TypeVar("R")

_LOOK_AGAIN = 0.1
"""Seconds after which a waiter in another loop looks whether the flight's loop still runs."""

_PATIENCE = 10
"""Looks at a loop that stands still before its flight counts as lost."""


class Flight(Generic[R]):
    """
    One run of the work.

    Attributes:
        loop: The event loop that runs it.

        is_over: It has finished or was lost.

        result: What it brought, or None if it was lost: cancelled, or its loop is gone.

        bug: Name of the exception that the work raised although it must not, or None.
    """

    __slots__ = ("bug", "is_over", "loop", "result", "task", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.task: asyncio.Task[None] | None = None
        self.waiting: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        self.is_over = False
        self.result: R | None = None
        self.bug: str | None = None


class SingleFlight(Generic[R]):
    """
    At most one run of some work at a time, whoever comes, goes or is cancelled.

    Args:
        work: Makes the work's coroutine; its result is a value, failures included, never None.

        lock: Guards the flight, and whatever else changes together with it.

        on_finished: Called under the lock when a flight is over.
    """

    __slots__ = ("_flight", "_forks", "_lock", "_on_finished", "_work")

    def __init__(
        self,
        work: Callable[[], Awaitable[R]],
        lock: ForkSafeLock,
        on_finished: Callable[[], None] | None = None,
    ) -> None:
        self._work = work
        self._lock = lock
        self._on_finished = on_finished
        self._flight: Flight[R] | None = None
        self._forks = forks()

    @property
    def current(self) -> Flight[R] | None:
        """The flight under way, or None."""
        with self._lock:
            if self._forks != forks():
                # A forked child: its parent's flight and waiters are not its own.
                self._flight, self._forks = None, forks()
            flight = self._flight
            if flight is not None and flight.loop.is_closed():
                self._finish(flight, None)
            return self._flight

    def launch(self) -> Flight[R]:
        """Give the flight under way, or start one on the running loop; nobody waits for it yet."""
        with self._lock:
            flight = self.current
            if flight is None:
                flight = self._flight = Flight(asyncio.get_running_loop())
                self._start(flight)
            return flight

    def _start(self, flight: Flight[R]) -> None:
        run = self._run(flight)
        try:
            # A clean context: not the first caller's tracing span or log fields.
            flight.task = flight.loop.create_task(
                run, name="aritma-auth refresh", context=Context()
            )
        except BaseException:
            run.close()
            self._flight = None
            raise
        # A loop closed in mid-flight destroys the task: that is accounted for in `current`.
        with contextlib.suppress(AttributeError):
            flight.task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - no other way

    async def _run(self, flight: Flight[R]) -> None:
        result: R | None = None
        try:
            # Eager task factories run a task's first step inside create_task, under our lock.
            await asyncio.sleep(0)
            result = await self._work()
        except Exception as error:  # noqa: BLE001 - told to every waiter
            flight.bug = type(error).__name__
        finally:
            self._finish(flight, result)

    async def join(self, flight: Flight[R], timeout: float | None = None) -> R | None:
        """
        Wait for a flight, from any loop.

        Args:
            flight: What `launch` gave.

            timeout: Seconds to wait at most; the flight goes on.

        Returns:
            What it brought, or None if it was lost.

        Raises:
            TimeoutError: The time is over.

            RuntimeError: The work raised, which it must not.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            if flight.is_over:
                return _result_of(flight)
            future = loop.create_future()
            flight.waiting.setdefault(loop, []).append(future)
        if timeout is None and loop is flight.loop:
            await future
        else:
            async with asyncio.timeout(timeout):
                await self._watch(flight, future)
        return _result_of(flight)

    async def _watch(self, flight: Flight[R], future: asyncio.Future[None]) -> None:
        if future.get_loop() is flight.loop:
            await future
            return
        standing_still = 0
        while not future.done():
            await asyncio.wait((future,), timeout=_LOOK_AGAIN)
            standing_still = 0 if flight.loop.is_running() else standing_still + 1
            if flight.loop.is_closed() or standing_still > _PATIENCE:
                self._finish(flight, None)

    async def cancel(self, *, unless: Callable[[], bool]) -> None:
        """
        Cancel the flight under way, if any, and wait until it has ended.

        Args:
            unless: Asked on the flight's own loop; if True the flight goes on to its end.
        """
        flight = self.current
        if flight is None or flight.task is None:
            return
        task = flight.task

        def cut_off() -> None:
            # On its own loop nothing can begin between the look and the cut.
            if not unless():
                task.cancel()

        if flight.loop is asyncio.get_running_loop():
            cut_off()
            await asyncio.wait((task,))
        else:
            with contextlib.suppress(RuntimeError):
                flight.loop.call_soon_threadsafe(cut_off)
            await self.join(flight)

    def _finish(self, flight: Flight[R], result: R | None) -> None:
        with self._lock:
            if flight.is_over:
                return
            flight.is_over = True
            flight.result = result
            if self._flight is flight:
                self._flight = None
                if self._on_finished is not None:
                    self._on_finished()
            waiting, flight.waiting = flight.waiting, {}
        here = _running_loop()
        for loop, futures in waiting.items():
            if loop is here:
                _wake(futures)
            else:
                # A closed loop has no waiters left to wake.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(_wake, futures)


def _result_of(flight: Flight[R]) -> R | None:
    if flight.bug is not None:
        # Starting over would do it again, for ever.
        raise RuntimeError(f"the work in flight raised {flight.bug}")
    return flight.result


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _wake(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)

"""
A few threads for calls that may block for ever, such as a file on a dead disk.

The default executor of asyncio is not used: calls that hang would take its threads from the
application, whose name resolution runs there, and keep the process from ending.
"""

import asyncio
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from aritma_auth.runtime.lock import after_fork

R = TypeVar("R")

_IDLE = 1.0
"""Seconds without work after which a thread ends."""


class WorkerThreads:
    """
    At most so many daemon threads, started when they are needed, ended when they are idle.

    Further calls wait in a queue. A cancelled caller does not wait for its call, which is dropped
    if it has not begun, so that a thousand calls to a dead disk leave nothing behind. A call that
    has begun occupies its thread until it returns.

    Args:
        name: The name of the threads.

        limit: The highest number of threads.
    """

    def __init__(self, name: str, limit: int = 4) -> None:
        self._name = name
        self._limit = limit
        self.start_over()
        _all_workers.add(self)

    def start_over(self) -> None:
        """Forget threads and calls, which a forked child does not have."""
        self._changed = threading.Condition()
        self._calls: dict[Future[None], Callable[[], None]] = {}
        self._threads = 0
        self._idle = 0

    async def run(self, function: Callable[[], R]) -> R:
        """
        Call a function in a thread.

        Args:
            function: What may block.

        Returns:
            What it returns; what it raises is raised here.
        """
        done: Future[None] = Future()
        results: list[R] = []

        def call() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                results.append(function())
            except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
                done.set_exception(error)
            else:
                done.set_result(None)

        try:
            with self._changed:
                self._calls[done] = call
                if len(self._calls) > self._idle and self._threads < self._limit:
                    threading.Thread(target=self._work, name=self._name, daemon=True).start()
                    self._threads += 1
                else:
                    self._changed.notify()
            await asyncio.wrap_future(done)
        finally:
            with self._changed:
                self._calls.pop(done, None)
        return results[0]

    def _work(self) -> None:
        while (call := self._next_call()) is not None:
            call()
            # Nothing of a finished call is kept while the thread waits for the next.
            del call

    def _next_call(self) -> Callable[[], None] | None:
        with self._changed:
            self._idle += 1
            has_call = self._changed.wait_for(lambda: self._calls, _IDLE)
            self._idle -= 1
            if has_call:
                return self._calls.pop(next(iter(self._calls)))
            self._threads -= 1
            return None


_all_workers: "weakref.WeakSet[WorkerThreads]" = weakref.WeakSet()


@after_fork
def start_all_over() -> None:
    """Forget all threads and calls, in a forked child."""
    # Before the child runs anything else, so that no two of its threads can come at once.
    for workers in list(_all_workers):
        workers.start_over()

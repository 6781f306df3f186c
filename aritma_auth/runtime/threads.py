"""
A few threads for calls that may block for ever, such as a file on a dead disk.

The default executor of asyncio is not used: calls that hang would take its threads from the
application, whose name resolution runs there, and keep the process from ending.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from aritma_auth.runtime.lock import fork_safe_lock, forks

R = TypeVar("R")

_IDLE = 1.0
"""Seconds without work after which a thread ends."""


class WorkerThreads:
    """
    At most so many daemon threads, made when they are needed, ended when they are idle.

    Calls beyond that wait in a queue. A caller that is cancelled waits no longer: its call is
    dropped if it has not begun, and holds its thread until it returns if it has.

    Args:
        name: The threads' name.

        limit: How many there are at most.
    """

    def __init__(self, name: str, limit: int = 4) -> None:
        self._name = name
        self._limit = limit
        self._lock = fork_safe_lock()
        self._start_over()

    def _start_over(self) -> None:
        self._forks = forks()
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
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
        future: Future[R] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            if self._forks != forks():
                # A forked child has none of its parent's threads.
                self._start_over()
            self._calls.put(call)
            if self._calls.qsize() > self._idle and self._threads < self._limit:
                self._threads += 1
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
        return await asyncio.wrap_future(future)

    def _work(self) -> None:
        while (call := self._next_call()) is not None:
            call()
            # Nothing of a finished call is kept while the thread waits for the next.
            del call

    def _next_call(self) -> Callable[[], None] | None:
        with self._lock:
            self._idle += 1
        try:
            call = self._calls.get(timeout=_IDLE)
        except queue.Empty:
            call = None
        with self._lock:
            self._idle -= 1
            if call is None and not self._calls.empty():
                # It was put just as the time was over.
                call = self._calls.get()
            if call is None:
                self._threads -= 1
        return call

"""
Turns: one holder at a time, in the order of arrival, over all event loops and threads.

asyncio.Lock belongs to one event loop, and a holder that never gives it back would stop everybody
for good. Here a waiter that has waited too long takes the turn away.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable

from aritma_auth.runtime.lock import fork_safe_lock


class Turns:
    """
    The turns of one place.

    Args:
        before: Who is there already: the first turn begins when each of them has given it back, or
            waits for a turn too.
    """

    __slots__ = ("_before", "_holder", "_lock", "_waiting")

    def __init__(self, before: Iterable[object] = ()) -> None:
        self._lock = fork_safe_lock()
        self._before = set(before)
        self._holder: object | None = None
        self._waiting: deque[tuple[object, asyncio.Future[None]]] = deque()

    async def take(self, holder: object, seconds: float) -> None:
        """
        Wait for the turn, and hold it until it is given back.

        Args:
            holder: Who takes it.

            seconds: After these the turn is taken away from its holder.
        """
        waiter = asyncio.get_running_loop().create_future()
        place = (holder, waiter)
        with self._lock:
            self._before.discard(holder)
            self._waiting.append(place)
            self._pass_on()
        is_done = False
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await waiter
            is_done = True
        finally:
            self._leave(place, takes_it=is_done)

    def _leave(self, place: tuple[object, "asyncio.Future[None]"], *, takes_it: bool) -> None:
        holder, _ = place
        with self._lock:
            if place in self._waiting:
                self._waiting.remove(place)
                if takes_it:
                    self._before.clear()
                    self._holder = holder
            elif not takes_it:
                self.give_back(holder)

    def give_back(self, holder: object) -> None:
        """
        Give the turn to the next who waits; nothing happens if the holder has it no more.

        Args:
            holder: Who has taken it, or was there before.
        """
        with self._lock:
            self._before.discard(holder)
            if self._holder == holder:
                self._holder = None
            self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting and self._holder is None and not self._before:
            holder, waiter = self._waiting.popleft()
            # A loop that has been closed under its waiter cannot be told.
            with contextlib.suppress(RuntimeError):
                waiter.get_loop().call_soon_threadsafe(_wake, waiter)
                self._holder = holder


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)

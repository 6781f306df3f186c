"""Objects that live as long as their event loop, such as a client's connections."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

from aritma_auth.runtime.tasks import GuardedTask, retrieve, uninterrupted

T = TypeVar("T")


class PerLoop(Generic[T]):
    """
    One object for each event loop, made when it is first needed there.

    Args:
        make: Makes the running loop's.

        close: Ends one, in its loop: when the caller says so, or with a loop that ends as
            ``asyncio.run`` ends its own.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._make = make
        self._close = close
        self._made: dict[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None, None]]] = {}
        self._ending: dict[asyncio.AbstractEventLoop, GuardedTask[None]] = {}

    def get(self) -> T:
        """Return that of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._made:
            self._forget_closed_loops()
            made = self._make()
            self._made[loop] = made, _begin(self._close_later(made))
        return self._made[loop][0]

    def _forget_closed_loops(self) -> None:
        for loop in [*self._made, *self._ending]:
            if loop.is_closed():
                self._made.pop(loop, None)
                self._ending.pop(loop, None)

    async def _close_later(self, made: T) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            # The connections are gone whatever a server that is away makes of it.
            with contextlib.suppress(Exception):
                await self._close(made)

    async def aclose(self) -> None:
        """End that of the running event loop, if there is one; call it again if it is cut short."""
        self._forget_closed_loops()
        loop = asyncio.get_running_loop()
        _, closing = self._made.pop(loop, (None, None))
        if closing is not None:
            self._ending[loop] = GuardedTask(_end(closing), "aritma-auth store", retrieve)
        ending = self._ending.get(loop)
        if ending is not None:
            await ending.end()
            self._ending.pop(loop, None)


async def _end(closing: AsyncGenerator[None, None]) -> None:
    with uninterrupted():
        await closing.aclose()


def _begin(closing: AsyncGenerator[None, None]) -> AsyncGenerator[None, None]:
    """Run an asynchronous generator up to its yield, so that the end of its loop closes it."""
    with contextlib.suppress(StopIteration):
        closing.asend(None).send(None)
    return closing

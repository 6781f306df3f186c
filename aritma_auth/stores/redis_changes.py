"""
Notifications of changed entries: a waiter learns of a write at once, and not at its next look.

Each write publishes the entry's name and new generation on one channel for all entries. A process
subscribes while it waits for another: one connection an event loop, closed after a quiet second.
Redis delivers a message at most once. What was published before the subscription began is found by
a look at the entry, and what is lost all the same by the provider, which goes on polling.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Protocol

from aritma_auth.errors import StoreError
from aritma_auth.runtime.tasks import GuardedTask
from aritma_auth.stores.redis_connection import problem_of

_QUIET = 1.0
"""Seconds without a message after which the connection is closed if nobody waits."""

_COOL_DOWN = 10.0
"""Seconds after a failure in which no subscription is tried: the user may not have the right."""


class PubSub(Protocol):
    """What is needed of redis-py's ``PubSub``."""

    async def subscribe(self, channel: str) -> object:
        """Send SUBSCRIBE; the confirmation comes as a message."""
        ...

    async def get_message(self, *, timeout: float) -> dict[str, object] | None:
        """Return the next message, or None after so many seconds."""
        ...

    async def aclose(self) -> None:
        """Close the connection."""
        ...


class SubscribingClient(Protocol):
    """What is needed of a client; a cluster's has it too."""

    def pubsub(self) -> PubSub:
        """Return a connection to subscribe with; nothing is sent yet."""
        ...


class ChangeListener:
    """
    Waits for changes in one event loop.

    Args:
        open_pubsub: Returns a ``PubSub`` of the loop's client.

        channel: On which all changes are published.

        timeout: Seconds for one step of opening or closing the connection.
    """

    def __init__(self, open_pubsub: Callable[[], PubSub], channel: str, timeout: float) -> None:
        self._open_pubsub = open_pubsub
        self._channel = channel
        self._timeout = timeout
        self._subscription: _Subscription | None = None
        self._rests_until = float("-inf")

    async def wait(
        self, entry: str, generation: int, is_changed: Callable[[], Awaitable[bool]]
    ) -> None:
        """
        Wait until an entry has another generation.

        Args:
            entry: Its name.

            generation: The one that the caller knows.

            is_changed: Looks whether the entry has another one by now.

        Raises:
            StoreError: No notification will come.
        """
        subscription, now = self._subscription, asyncio.get_running_loop().time()
        if subscription is None or subscription.is_over:
            if now < self._rests_until:
                raise StoreError("Redis has failed to notify of changes a moment ago")
            subscription = _Subscription(self._open_pubsub(), self._channel, self._timeout)
            self._subscription = subscription
        try:
            await subscription.wait(entry, generation, is_changed)
        except StoreError:
            self._rests_until = now + _COOL_DOWN
            raise

    async def aclose(self) -> None:
        """Close the connection; each waiter gets an error."""
        if self._subscription is not None:
            await self._subscription.aclose()


class _Subscription:
    """One connection, and the task that reads it until it fails or nobody waits."""

    def __init__(self, pubsub: PubSub, channel: str, timeout: float) -> None:
        self.is_over = False
        self._pubsub = pubsub
        self._channel = channel
        self._timeout = timeout
        self._confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)
        # Latest generation by entry, of those that were waited for: published, or a waiter's.
        self._known: dict[str, int] = {}
        self._reading: GuardedTask[None] | None = None

    async def wait(
        self, entry: str, generation: int, is_changed: Callable[[], Awaitable[bool]]
    ) -> None:
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[entry].add(change)
        if self._reading is None:
            # Not before there is a waiter: an eager task may end at once, and tells its waiters.
            self._reading = GuardedTask(self._read(), "aritma-auth changes")
        try:
            await asyncio.shield(self._confirmed)
            is_current = self._known.get(entry) == generation
            self._known[entry] = generation
            if is_current or not await is_changed():
                await change
        finally:
            self._waiting[entry].discard(change)
            if not self._waiting[entry]:
                del self._waiting[entry]

    async def _read(self) -> None:
        problem = StoreError("Redis notifies of no changes any more")
        try:
            async with asyncio.timeout(self._timeout):
                await self._pubsub.subscribe(self._channel)
            while (message := await self._next_message()) is not None:
                self._receive(message)
        except Exception as error:  # noqa: BLE001 - no exception of redis-py leaves the package
            problem = StoreError(f"Redis failed to notify of changes: {problem_of(error)}")
        finally:
            self._end(problem)
            with contextlib.suppress(Exception):
                await self._pubsub.aclose()

    async def _next_message(self) -> dict[str, object] | None:
        """Return the next message, or None if nobody waits for one."""
        while True:
            message = await self._pubsub.get_message(timeout=_QUIET)
            if message is not None:
                return message
            if not self._confirmed.done():
                raise TimeoutError
            if not self._waiting:
                return None

    def _receive(self, message: dict[str, object]) -> None:
        if message["type"] != "message":
            if self._confirmed.done():
                # redis-py has opened another connection, and a message may have been lost.
                self._wake(list(self._waiting))
            else:
                self._confirmed.set_result(None)
            return
        data = message["data"]
        text = data.decode(errors="replace") if isinstance(data, bytes) else str(data)
        entry, _, generation = text.rpartition(" ")
        if entry in self._known and generation.isdecimal():
            self._known[entry] = int(generation)
            self._wake([entry])

    def _wake(self, entries: list[str]) -> None:
        for entry in entries:
            for change in self._waiting.get(entry, ()):
                if not change.done():
                    change.set_result(None)

    def _end(self, problem: StoreError) -> None:
        self.is_over = True
        waiting = [change for changes in self._waiting.values() for change in changes]
        for future in (self._confirmed, *waiting):
            if not future.done():
                future.set_exception(problem.copy())
                # Its waiter may be gone; asyncio would report an exception that nobody retrieves.
                future.exception()

    async def aclose(self) -> None:
        assert self._reading is not None  # noqa: S101 - a subscription is made for a waiter
        self._reading.cut()
        await self._reading.end(self._timeout)

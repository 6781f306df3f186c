"""
Refreshes the sign-ins that nobody uses before their refresh tokens die of idleness.

Theory of operation
-------------------

::

    issued                   idle / 2                            idle: the server forgets it
      |------- left alone ------|------- refreshed by the next visit ------|
                                 ^    ^    ^    ^   a visit each idle / 10

In a round each key is visited once, in an order drawn anew, evenly spread over the round. A visit
looks at the cached token, then at the stored one, and refreshes only what has lain unused for half
of ``idle``: about five visits are left for a server that is away. The refresh is the provider's own
flight, so under the shared lease one process of a fleet leads it. Once it has, the stored token is
young, and the visits of the others end with a look.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable
from typing import Generic, TypeVar

from aritma_auth.caller_code import call, require_clock
from aritma_auth.errors import (
    AritmaAuthError,
    require_count,
    require_function,
    require_seconds,
    wrong_kind,
)
from aritma_auth.provider.provider import TokenProvider
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.raised import describe_raised
from aritma_auth.runtime.tasks import WorkBrokenOffError, run_within

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

Keys = Iterable[K] | Callable[[], Awaitable[Iterable[K]]]

_ROUNDS = 10
"""Rounds while an unused refresh token lives."""

_UNUSED = 0.5
"""Part of that time after which it is refreshed."""

_LIST_WITHIN = 60.0
"""Seconds that a caller's function may take to list its keys."""

_log = logging.getLogger("aritma_auth")


class IdleKeeper(Generic[K]):
    """
    Visits keys until it is cancelled or stopped.

    Args:
        provider_of: Gives a key's provider.

        keys: The keys, or an async function that lists them anew for each round, within a minute.

        idle: Seconds for which the server lets an unused refresh token live.

        concurrency: Visits at the same time.

        clock: Tells when to visit.

        draw: Random numbers in [0, 1) for order and pace.

    Raises:
        ConfigurationError: An argument is of the wrong kind; the message names it.
    """

    def __init__(
        self,
        provider_of: Callable[[K], TokenProvider],
        keys: Keys[K],
        *,
        idle: float,
        concurrency: int,
        clock: Clock = SYSTEM_CLOCK,
        draw: Callable[[], float] = random.random,
    ) -> None:
        required = "a collection of keys, or an async function"
        if isinstance(keys, str | bytes):
            raise wrong_kind("keys", required, keys)
        if not isinstance(keys, Iterable):
            require_function("keys", required, keys, 0, is_awaited=True)
        require_seconds("idle", idle, above_zero=True)
        require_count("concurrency", concurrency, least=1)
        self._provider_of = provider_of
        self._keys = keys
        self._idle = idle
        self._clock = require_clock(clock)
        self._draw = draw
        self._slots = asyncio.Semaphore(concurrency)
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """End the run as soon as its visits have ended; from any thread."""
        # A loop that was closed runs nothing any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def wait_until_ended(self) -> None:
        """Wait for the end of a run on this loop; one on another loop ends by itself."""
        if self._loop is asyncio.get_running_loop():
            await self._ended.wait()

    async def run(self) -> None:
        """Visit the keys, round after round."""
        try:
            async with asyncio.TaskGroup() as visits:
                while not self._stopping.is_set():
                    await self._make_round(visits)
        finally:
            self._ended.set()

    async def _make_round(self, visits: asyncio.TaskGroup) -> None:
        keys = await self._unless_stopped(self._list()) or []
        length = self._idle / _ROUNDS
        if not keys:
            await self._unless_stopped(self._clock.sleep(length))
        for key in sorted(keys, key=lambda _key: self._draw()):
            await self._slots.acquire()
            visits.create_task(self._visit(key), name="aritma-auth keep-alive")
            pause = length / len(keys) * (0.5 + self._draw())
            await self._unless_stopped(self._clock.sleep(pause))
            if self._stopping.is_set():
                return

    async def _list(self) -> list[K]:
        try:
            if callable(self._keys):
                return await run_within(_LIST_WITHIN, _fetch_keys(self._keys))
            return call("the keys", list, self._keys)
        except AritmaAuthError as known:
            problem = str(known)
        except WorkBrokenOffError as broken:
            problem = broken.raised
        except Exception as error:  # noqa: BLE001 - whatever a caller's own function raises
            problem = describe_raised(error)
        _log.error("keep_alive could not list its keys: %s", problem)
        return []

    async def _visit(self, key: K) -> None:
        try:
            provider = self._find_provider(key)
            if provider is not None:
                await provider.refresh_if_idle(self._idle * _UNUSED)
        except AritmaAuthError:
            # The provider's events have said so; the next round tries again.
            pass
        except Exception as error:  # noqa: BLE001 - of a caller's store
            _log.error("keep_alive could not visit a key: %s", describe_raised(error))
        finally:
            self._slots.release()

    def _find_provider(self, key: K) -> TokenProvider | None:
        try:
            return self._provider_of(key)
        except AritmaAuthError as error:
            _log.error("keep_alive could not visit a key: %s", error)
            return None

    async def _unless_stopped(self, work: Coroutine[object, object, T]) -> T | None:
        """Await some work, or until this is stopped."""
        working = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            working.cancel()
            stopping.cancel()


async def _fetch_keys(keys: Callable[[], Awaitable[Iterable[K]]]) -> list[K]:
    return list(await keys())

"""A store that may fail: bounded in time, left alone for a while after a failure, never trusted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from aritma_auth.errors import ConfigurationError, StoreError
from aritma_auth.events import Listener, StoreFailed, StoreReturned, notify
from aritma_auth.provider.policy import SharingPolicy
from aritma_auth.runtime.clock import Clock
from aritma_auth.runtime.tasks import uninterrupted
from aritma_auth.stores import Entry, Lease, Record, TokenStore

T = TypeVar("T")

_BEATS = 3
"""Times that a lease is kept while it would last once."""


class StoreUnavailableError(Exception):
    """The store cannot be used now; it never leaves the package."""


class ResilientStore:
    """
    One key of a store.

    Args:
        store: The store.

        key: The key.

        sharing: How long operations, leases and pauses last.

        clock: Tells the time.

        on_event: Told when the store fails and when it is back.
    """

    def __init__(
        self,
        store: TokenStore,
        key: str,
        sharing: SharingPolicy,
        clock: Clock,
        on_event: Listener | None,
    ) -> None:
        self._store = store
        self._key = key
        self._sharing = sharing
        self._clock = clock
        self._on_event = on_event
        self._away_until: float | None = None

    async def load(self) -> Entry | None:
        """
        Give the entry, or None.

        Raises:
            StoreUnavailableError: It cannot be had.
        """
        entry = await self._run("load", lambda: self._store.load(self._key))
        if entry is not None and entry.problem is not None:
            notify(self._on_event, StoreFailed("read", entry.problem))
        return entry

    async def save(self, record: Record, *, replaces: int, fence: int = 0) -> bool:
        """
        Write a record if nobody else has meanwhile.

        Args:
            record: What to keep.

            replaces: Generation of the entry that was loaded, or 0 for none.

            fence: Number of the lease, or 0.

        Raises:
            StoreUnavailableError: It is not known whether it was written.
        """
        return await self._run(
            "save", lambda: self._store.save(self._key, record, replaces=replaces, fence=fence)
        )

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[int | None]:
        """
        Hold the right to refresh, kept alive as long as the context lasts.

        Yields:
            The lease's number, or None if somebody else holds it.

        Raises:
            StoreUnavailableError: It is not known whether it was granted.
        """
        seconds = self._sharing.lease
        lease = await self._run("lease", lambda: self._store.acquire(self._key, seconds=seconds))
        if lease is None:
            yield None
            return
        beating = asyncio.create_task(self._keep(lease))
        try:
            yield lease.fence
        finally:
            with uninterrupted():
                beating.cancel()
                await asyncio.wait((beating,))
                await self._attempt(lease.release)

    async def _keep(self, lease: Lease) -> None:
        # The engine's time, not the provider's clock: a lease runs out in the engine.
        pause = self._sharing.lease / _BEATS
        for _ in range(int(self._sharing.max_lease / pause)):
            await asyncio.sleep(pause)
            await self._attempt(lease.keep)

    async def _attempt(self, work: Callable[[], Awaitable[object]]) -> None:
        # Also while the store is left alone, whatever comes of it: the lease ends by itself.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._sharing.store_timeout):
                await work()

    async def changed(self, entry: Entry | None, seconds: float) -> Entry | None:
        """
        Wait for a change of the entry, and give it as it is then.

        Args:
            entry: As it was loaded.

            seconds: How long to wait at most; a store that cannot watch is looked at after that.

        Raises:
            StoreUnavailableError: It cannot be had.
        """
        if not self._store.can_watch:
            await self._clock.sleep(seconds)
            return await self.load()
        generation = 0 if entry is None else entry.generation
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        watching = asyncio.ensure_future(self._store.watch(self._key, generation=generation))
        try:
            await asyncio.wait((sleeping, watching), return_when=asyncio.FIRST_COMPLETED)
            if watching.done() and (watching.cancelled() or watching.exception()):
                # Looking again at once would only load a store that is not well.
                await asyncio.wait((sleeping,))
        finally:
            for task in (sleeping, watching):
                task.cancel()
            await asyncio.gather(sleeping, watching, return_exceptions=True)
        return await self.load()

    async def _run(self, operation: str, work: Callable[[], Awaitable[T]]) -> T:
        away_until = self._away_until
        if away_until is not None and self._clock.monotonic() < away_until:
            raise StoreUnavailableError
        try:
            async with asyncio.timeout(self._sharing.store_timeout):
                result = await work()
        except (ConfigurationError, StoreError) as error:
            # Ours: they hold no secret, and say what to do.
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a store raises
            problem = type(error).__name__
        else:
            if away_until is not None:
                self._away_until = None
                notify(self._on_event, StoreReturned())
            return result
        self._away_until = self._clock.monotonic() + self._sharing.store_retry_interval
        notify(self._on_event, StoreFailed(operation, problem))
        raise StoreUnavailableError

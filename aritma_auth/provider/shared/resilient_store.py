"""A store that may fail: bounded in time, and left alone for a while after a failure."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from aritma_auth import events
from aritma_auth.caller_code import WHETHER, Promise
from aritma_auth.errors import ConfigurationError, StoreError
from aritma_auth.events.base import Listener
from aritma_auth.events.listeners import notify
from aritma_auth.provider.shared.returned import A_LEASE, AN_ENTRY, BOTH
from aritma_auth.provider.sharing_policy import SharingPolicy
from aritma_auth.runtime.clock import Clock
from aritma_auth.runtime.tasks import (
    WorkBrokenOffError,
    run_to_the_end,
    run_within,
    silence,
    uninterrupted,
)
from aritma_auth.stores import Entry, Lease, Record, TokenStore
from aritma_auth.stores.contract import PairedOperations

P = ParamSpec("P")
T = TypeVar("T")

_BEATS = 3
"""Times that a lease is kept while it would last once."""


class StoreUnavailableError(Exception):
    """The store cannot be used now; it never leaves the package."""


class ResilientStore:
    """
    One key of a store.

    Raises from each method StoreUnavailableError: whether the store has done what was asked is not
    known.
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

    def try_again(self) -> None:
        """Let the next operation try, also while the store is left alone."""
        if self._away_until is not None:
            self._away_until = self._clock.monotonic()

    async def load(self) -> Entry | None:
        """Return the entry, or None."""
        entry = await self._run("load", AN_ENTRY, self._store.load)
        self._report_unreadable(entry)
        return entry

    def _report_unreadable(self, entry: Entry | None) -> None:
        if entry is not None and entry.problem is not None:
            notify(self._on_event, events.StoreFailed("read", entry.problem))

    async def save(self, record: Record, *, replaces: int, fence: int) -> bool:
        """Write a record if the entry is still of that generation; tell whether it was."""
        save = self._store.save
        return await self._run("save", WHETHER, save, record, replaces=replaces, fence=fence)

    async def save_and_release(
        self, record: Record, lease: "HeldLease", *, replaces: int, fence: int
    ) -> bool:
        """Write a record as `save` does, and release the lease if the store does both at once."""
        store = self._store
        if not isinstance(store, PairedOperations):
            return await self.save(record, replaces=replaces, fence=fence)
        is_written = await self._run(
            "save",
            WHETHER,
            store.save_and_release,
            record,
            replaces=replaces,
            fence=fence,
            lease=lease.granted,
        )
        if is_written:
            await lease.end()
        return is_written

    async def acquire(self) -> "HeldLease | None":
        """Ask for the right to refresh; None if another process has it."""
        request = _LeaseRequest(self._store, self._sharing)
        try:
            lease = await self._run("lease", A_LEASE, request.send)
        except (asyncio.CancelledError, StoreUnavailableError):
            await request.abandon()
            raise
        if lease is None:
            return None
        self._report_unreadable(request.entry)
        return HeldLease(lease, self._sharing, request.entry, is_loaded=request.is_loaded)

    async def wait_for_change(self, generation: int, seconds: float) -> None:
        """Wait until the entry is of another generation, or for so long."""
        if not self._can_watch():
            await self._clock.sleep(seconds)
            return
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        watch = _call(self._store.watch, self._key, generation=generation)
        watching = asyncio.ensure_future(watch)
        silence(sleeping)
        silence(watching)
        try:
            await asyncio.wait((sleeping, watching), return_when=asyncio.FIRST_COMPLETED)
            if watching.done() and (watching.cancelled() or watching.exception()):
                # Looking again at once would only load a store that is not well.
                await asyncio.wait((sleeping,))
            if sleeping.done():
                # The clock of a caller's own may have failed.
                sleeping.result()
        finally:
            for task in (sleeping, watching):
                task.cancel()
            await asyncio.wait((sleeping, watching), timeout=self._sharing.store_timeout)

    def _can_watch(self) -> bool:
        try:
            return bool(self._store.can_watch)
        except Exception:  # noqa: BLE001 - whatever a store raises
            return False

    async def _run(
        self,
        operation: str,
        promise: Promise,
        method: Callable[Concatenate[str, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        away_until = self._away_until
        if away_until is not None and self._clock.monotonic() < away_until:
            raise StoreUnavailableError
        began = self._clock.monotonic()
        try:
            work = _call(method, self._key, *args, **kwargs)
            result = await run_within(self._sharing.store_timeout, work, "aritma-auth store")
            promise.require(method, result)
        except (ConfigurationError, StoreError) as error:
            # Ours: they hold no secret, and say what to do.
            problem = str(error)
        except WorkBrokenOffError as broken:
            problem = broken.raised
        except Exception as error:  # noqa: BLE001 - whatever a store raises
            from aritma_auth.runtime.raised import describe_raised  # of wrong code only

            problem = describe_raised(error)
        else:
            notify(self._on_event, events.StoreUsed(operation, self._clock.monotonic() - began))
            if away_until is not None:
                self._away_until = None
                notify(self._on_event, events.StoreReturned())
            return result
        self._away_until = self._clock.monotonic() + self._sharing.store_retry_interval
        notify(self._on_event, events.StoreFailed(operation, problem))
        raise StoreUnavailableError


async def _call(method: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    return await method(*args, **kwargs)


class _LeaseRequest:
    """A request for a lease: granted after the flight has given up, the lease is given back."""

    def __init__(self, store: TokenStore, sharing: SharingPolicy) -> None:
        self._store = store
        self._sharing = sharing
        self._granted: Lease | None = None
        self._is_abandoned = False
        self.entry: Entry | None = None
        self.is_loaded = False

    async def send(self, key: str) -> Lease | None:
        store, seconds = self._store, self._sharing.lease
        if isinstance(store, PairedOperations):
            granted = await store.acquire_and_load(key, seconds=seconds)
            BOTH.require(store.acquire_and_load, granted)
            self._granted, self.entry = granted or (None, None)
            self.is_loaded = True
        else:
            lease = await store.acquire(key, seconds=seconds)
            A_LEASE.require(store.acquire, lease)
            self._granted = lease
        lease = self._granted
        if self._is_abandoned:
            await self.abandon()
        return lease

    async def abandon(self) -> None:
        self._is_abandoned = True
        lease, self._granted = self._granted, None
        if lease is not None:
            await HeldLease(lease, self._sharing).release()


class HeldLease:
    """
    A lease that is kept alive until it is released, though not for ever.

    Args:
        granted: The store's lease.

        sharing: The numbers.

        entry: What was loaded with it.

        is_loaded: The entry was loaded with it.
    """

    def __init__(
        self,
        granted: Lease,
        sharing: SharingPolicy,
        entry: Entry | None = None,
        *,
        is_loaded: bool = False,
    ) -> None:
        self.granted = granted
        self.entry = entry
        self.is_loaded = is_loaded
        self.is_held = True
        self._sharing = sharing
        self._beating = asyncio.create_task(self._beat())
        silence(self._beating)

    @property
    def fence(self) -> int:
        """The lease's number."""
        return self.granted.fence

    async def _beat(self) -> None:
        # The engine's time, not the provider's clock: a lease runs out in the engine.
        pause = self._sharing.lease / _BEATS
        for _ in range(int(self._sharing.max_lease / pause)):
            await asyncio.sleep(pause)
            await self._attempt(self.granted.keep)

    async def release(self) -> None:
        """Give it back: to the end, whoever is cancelled meanwhile."""
        self._beating.cancel()
        # Who closes the provider waits for it too: nothing goes on afterwards.
        with uninterrupted():
            await run_to_the_end(self._give_back(), "aritma-auth lease")

    async def _give_back(self) -> None:
        await self._attempt(self.granted.release)
        await self.end()

    async def end(self) -> None:
        """Keep a lease no longer that was given back."""
        self.is_held = False
        self._beating.cancel()
        # Bounded: a store may swallow its cancellation.
        await asyncio.wait((self._beating,), timeout=self._sharing.store_timeout)

    async def _attempt(self, work: Callable[[], Awaitable[object]]) -> None:
        # Also while the store is left alone, whatever comes of it: the lease ends by itself.
        with contextlib.suppress(Exception):
            await run_within(self._sharing.store_timeout, _call(work), "aritma-auth lease")

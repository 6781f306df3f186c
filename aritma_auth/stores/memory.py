"""A store in memory: for several providers of one process, and for tests."""

import asyncio
import contextlib
import time

import attrs

from aritma_auth.runtime.lock import ForkSafeLock
from aritma_auth.stores import Entry, Lease, Record


class MemoryTokenStore:
    """Keeps tokens as long as the process lives."""

    can_watch = True

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._saved_at: dict[str, float] = {}
        self._leases: dict[str, _MemoryLease] = {}
        self._written: dict[str, int] = {}
        self._watching: dict[str, list[asyncio.Future[None]]] = {}
        self._lock = ForkSafeLock()

    async def load(self, key: str) -> Entry | None:
        """Give the entry of a key, or None."""
        with self._lock:
            entry, saved_at = self._entries.get(key), self._saved_at.get(key, 0.0)
        if entry is None or entry.record.backoff is None:
            return entry
        # The seconds that are left, not those that were left when it was saved.
        backoff = entry.record.backoff
        left = backoff.seconds - (time.monotonic() - saved_at)
        record = attrs.evolve(entry.record, backoff=attrs.evolve(backoff, seconds=left))
        return attrs.evolve(entry, record=record)

    async def save(self, key: str, record: Record, *, replaces: int, fence: int = 0) -> bool:
        """
        Write a record if nobody else has meanwhile.

        Args:
            key: The key.

            record: What to keep.

            replaces: Generation of the entry that was loaded, or 0 for none.

            fence: Number of the lease under which it is written, or 0 without one.
        """
        with self._lock:
            entry, written = self._entries.get(key), self._written.get(key, 0)
            if (0 if entry is None else entry.generation) != replaces or 0 < fence < written:
                return False
            self._entries[key] = Entry(record, replaces + 1)
            self._saved_at[key] = time.monotonic()
            self._written[key] = max(fence, written)
        self._tell(key)
        return True

    async def delete(self, key: str) -> None:
        """Forget a key."""
        with self._lock:
            self._entries.pop(key, None)
            self._saved_at.pop(key, None)
        self._tell(key)

    async def acquire(self, key: str, *, seconds: float) -> Lease | None:
        """
        Ask for the right to refresh a key's token.

        Args:
            key: The key.

            seconds: How long it lasts unless it is kept.
        """
        with self._lock:
            held = self._leases.get(key)
            if held is not None and held.is_held:
                return None
            lease = _MemoryLease(1 if held is None else held.fence + 1, seconds)
            self._leases[key] = lease
            return lease

    async def watch(self, key: str, *, generation: int) -> None:
        """
        Wait until the entry's generation is another.

        Args:
            key: The key.

            generation: Of the entry as it was loaded, or 0 for none.
        """
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            entry = self._entries.get(key)
            if (0 if entry is None else entry.generation) != generation:
                return
            self._watching.setdefault(key, []).append(future)
        try:
            await future
        finally:
            with self._lock, contextlib.suppress(KeyError, ValueError):
                self._watching[key].remove(future)

    def _tell(self, key: str) -> None:
        with self._lock:
            watching = self._watching.pop(key, [])
        for future in watching:
            # A closed loop has nobody left to wake.
            with contextlib.suppress(RuntimeError):
                future.get_loop().call_soon_threadsafe(_wake, future)

    def __repr__(self) -> str:
        tokens = sum(entry.token is not None for entry in self._entries.values())
        return f"<MemoryTokenStore of {tokens} tokens>"


@attrs.define
class _MemoryLease:
    fence: int
    seconds: float
    _until: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._until = time.monotonic() + self.seconds

    @property
    def is_held(self) -> bool:
        return time.monotonic() < self._until

    async def keep(self) -> bool:
        is_held = self.is_held
        if is_held:
            self._until = time.monotonic() + self.seconds
        return is_held

    async def release(self) -> None:
        self._until = float("-inf")


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)

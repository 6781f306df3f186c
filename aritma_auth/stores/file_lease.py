"""
Leases in lock files, which count them.

A lease ends when it is released, when its process ends, when its owner drops it, or when nobody has
kept it in time: a holder whose event loop stands still must not keep the others waiting for ever.
"""

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import final

from aritma_auth.runtime.lock import after_fork
from aritma_auth.stores.file_lock import FileLock

_DIGITS = 20


@final
class FileLease:
    """
    The right to refresh a key's token.

    Args:
        path: The lock file, in which the leases are counted.

        latest_write: Returns the fence of the latest write, for a file that has lost its count.

        seconds: How long the lease lasts unless it is kept.
    """

    __slots__ = ("__weakref__", "_fence", "_latest_write", "_lock", "_seconds")

    def __init__(self, path: Path, latest_write: Callable[[], int], seconds: float) -> None:
        self._lock = FileLock(path, self._count)
        self._latest_write = latest_write
        self._seconds = seconds
        self._fence = 0

    @property
    def fence(self) -> int:
        """The lease's number; 0 before it is acquired."""
        return self._fence

    @property
    def is_held(self) -> bool:
        """Whether the lease was acquired and has not ended."""
        return self._lock.is_held

    def acquire(self) -> bool:
        """Try to acquire the lease, as `FileLock.acquire` does."""
        is_held = self._lock.acquire()
        if is_held:
            _expiry.watch(self, self._seconds)
        return is_held

    def end(self) -> None:
        """Release the lease, from any thread."""
        self._lock.release()
        _expiry.dismiss(self)

    async def keep(self) -> bool:
        """Restart the lease's time, and return whether the lease was still held."""
        is_held = self.is_held
        if is_held:
            _expiry.watch(self, self._seconds)
        return is_held

    async def release(self) -> None:
        """Release the lease; nothing is awaited, so that no cancellation can come between."""
        self.end()

    def _count(self, file: int) -> None:
        os.lseek(file, 0, os.SEEK_SET)
        kept = os.read(file, _DIGITS)
        last = int(kept) if kept.isdigit() else 0
        self._fence = max(last, self._latest_write()) + 1
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, f"{self._fence:0{_DIGITS}}".encode())

    def __repr__(self) -> str:
        return f"<FileLease {self._fence}>"


class _Expiry:
    """Ends the leases that were not kept in time, in a thread that runs while there are leases."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ends: weakref.WeakKeyDictionary[FileLease, float] = weakref.WeakKeyDictionary()
        self._is_running = False

    def watch(self, lease: FileLease, seconds: float) -> None:
        """End a lease after some seconds from now."""
        with self._changed:
            self._ends[lease] = time.monotonic() + seconds
            self._changed.notify()
            if not self._is_running:
                thread = threading.Thread(target=self._run, name="aritma-auth leases", daemon=True)
                # An interpreter that shuts down starts no thread, and ends the lease itself.
                with contextlib.suppress(RuntimeError):
                    thread.start()
                    self._is_running = True

    def dismiss(self, lease: FileLease) -> None:
        """Watch a lease no more; the thread ends with the last one."""
        with self._changed:
            self._ends.pop(lease, None)
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while (pause := self._end_overdue()) is not None:
                self._changed.wait(pause)
            self._is_running = False

    def _end_overdue(self) -> float | None:
        """End what is overdue, and return the seconds until the next end; None without a lease."""
        now = time.monotonic()
        for lease, end in list(self._ends.items()):
            if end <= now:
                del self._ends[lease]
                lease.end()
        return min((end - now for end in self._ends.values()), default=None)


_expiry = _Expiry()


@after_fork
def watch_anew() -> None:
    """Watch no lease, in a forked child: it has neither its parent's leases nor the thread."""
    # Another thread of the parent may have held the lock.
    global _expiry  # noqa: PLW0603 - one for the process
    _expiry = _Expiry()

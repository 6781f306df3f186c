"""
Locks between the processes of one machine, which end with whoever holds them, however it ends.

The lock is the operating system's, on an open file: no time-out has to free what a killed process
held. The file remains; only the lock on it counts.
"""

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import final

from aritma_auth.stores.private_files import make_folder, open_lock_file

_PATIENCE = 2.0
"""Seconds that a writer waits for others; each holds the lock for milliseconds."""

_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.0005, 0.02, 1.5
_TRIES = 5
_DIGITS = 20


@final
class FileLock:
    """
    A lock that is taken once, by one process, thread or task, and given back from anywhere.

    Args:
        path: The lock file.

        prepare: Called with its descriptor once it is locked, before it counts as held.
    """

    __slots__ = ("__weakref__", "_file", "_guard", "_is_held", "_is_over", "_path", "_prepare")

    def __init__(self, path: Path, prepare: Callable[[int], None] | None = None) -> None:
        self._path = path
        self._prepare = prepare
        self._guard = threading.Lock()
        self._file: int | None = None
        self._is_held = False
        self._is_over = False
        _everyone.add(self)

    @property
    def is_held(self) -> bool:
        """It was taken, and has not been given back."""
        return self._is_held

    def take(self) -> bool:
        """
        Take it without waiting; blocks as long as the disk does.

        Returns:
            Whether it is held now; not if somebody else holds it, or if it was given back
            meanwhile.

        Raises:
            OSError: The lock file cannot be had.
        """
        is_locked = False
        try:
            is_locked = self._lock()
        finally:
            with self._guard:
                self._is_held = is_locked and not self._is_over
            if not self._is_held:
                self._close()
        return self._is_held

    def give_back(self) -> None:
        """Let others have it; whoever is taking it just now will not get it."""
        with self._guard:
            self._is_over = True
            # While it is being taken, its descriptor is the taker's.
            is_held, self._is_held = self._is_held, False
        if is_held:
            self._close(unlock=True)

    def _lock(self) -> bool:
        from filelock import lock_descriptor  # noqa: PLC0415 - extra "file"

        for _ in range(_TRIES):
            make_folder(self._path.parent)
            with contextlib.suppress(FileNotFoundError):
                # The folder went away, perhaps between the opening and the locking.
                self._file = open_lock_file(self._path)
                if not lock_descriptor(self._file, blocking=False):
                    return False
                if os.path.samestat(os.fstat(self._file), self._path.stat()):
                    if self._prepare is not None:
                        self._prepare(self._file)
                    return True
            self._close()
        raise FileNotFoundError(f"the lock file is removed again and again: {self._path}")

    def _close(self, *, unlock: bool = False) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        try:
            if unlock:
                from filelock import unlock_descriptor  # noqa: PLC0415 - extra "file"

                # Closing unlocks too, unless a child has it open; and Windows takes its time.
                unlock_descriptor(file)
        finally:
            os.close(file)

    def forget(self) -> None:
        """Leave the lock to the parent, in a forked child."""
        self._guard = threading.Lock()
        self._is_held, self._is_over = False, True
        self._close()

    def __del__(self) -> None:
        self._close()


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """
    Hold a lock for a moment; blocks the thread until it is free.

    Args:
        path: The lock file.

    Raises:
        TimeoutError: Others hold it for too long, such as a process that was stopped.

        OSError: The lock file cannot be had.
    """
    lock = FileLock(path)
    deadline, pause = time.monotonic() + _PATIENCE, _FIRST_PAUSE
    while not lock.take():
        if time.monotonic() >= deadline:
            raise TimeoutError("another process holds the lock of the tokens")
        time.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)
    try:
        yield
    finally:
        lock.give_back()


@final
class FileLease:
    """
    The right to refresh a key's token, until it is given back or the process ends.

    Args:
        path: The lock file, in which the leases are counted.

        written: Gives the number of the lease under which was written last, for a lock file that
            has lost its count.
    """

    __slots__ = ("_fence", "_lock", "_written")

    def __init__(self, path: Path, written: Callable[[], int]) -> None:
        self._lock = FileLock(path, self._count)
        self._written = written
        self._fence = 0

    @property
    def fence(self) -> int:
        """The lease's number; 0 before it is taken."""
        return self._fence

    def take(self) -> bool:
        """Take it without waiting, as `FileLock.take` does."""
        return self._lock.take()

    def give_back(self) -> None:
        """Give it back, as `FileLock.give_back` does."""
        self._lock.give_back()

    async def keep(self) -> bool:
        """Tell whether it is still held: it has no time to start anew."""
        return self._lock.is_held

    async def release(self) -> None:
        """Give it back: a system call that waits for nothing, and no thread is needed for it."""
        self._lock.give_back()

    def _count(self, file: int) -> None:
        os.lseek(file, 0, os.SEEK_SET)
        kept = os.read(file, _DIGITS)
        last = int(kept) if kept.isdigit() else 0
        self._fence = max(last, self._written()) + 1
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, f"{self._fence:0{_DIGITS}}".encode())

    def __repr__(self) -> str:
        return f"<FileLease {self._fence}>"


_everyone: "weakref.WeakSet[FileLock]" = weakref.WeakSet()


def _after_fork() -> None:
    # A child that kept the open file would keep the lock alive after its parent's end.
    for lock in list(_everyone):
        lock.forget()


# Windows has no fork.
getattr(os, "register_at_fork", dict)(after_in_child=_after_fork)

"""
Locks between the processes of one machine, which end with their holder, however it ends.

The lock is the operating system's, on an open file: no time-out is needed to free what a killed
process held. The file remains; only the lock on it counts.
"""

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import final

from aritma_auth.runtime.lock import after_fork
from aritma_auth.stores.private_files import make_folder, open_lock_file

PATIENCE = 2.0
"""Seconds that a writer waits for others; each holds the lock for milliseconds."""

_MIN_PAUSE, _MAX_PAUSE, _GROWTH = 0.0005, 0.02, 1.5
_ATTEMPTS = 5


@final
class FileLock:
    """
    A lock that one process, thread or task acquires once, and that any of them may release.

    Args:
        path: The lock file.

        prepare: Called with the file's descriptor once it is locked, before the lock is held.
    """

    __slots__ = ("__weakref__", "_file", "_guard", "_is_held", "_is_over", "_path", "_prepare")

    def __init__(self, path: Path, prepare: Callable[[int], None] | None = None) -> None:
        self._path = path
        self._prepare = prepare
        self._guard = threading.Lock()
        self._file: int | None = None
        self._is_held = False
        self._is_over = False
        _all_locks.add(self)

    @property
    def is_held(self) -> bool:
        """Whether the lock was acquired and not released."""
        return self._is_held

    def acquire(self) -> bool:
        """
        Try to acquire the lock, without waiting for other holders; blocks as long as the disk does.

        Returns:
            Whether it is held now. False if another holder has it, or if it was released meanwhile.

        Raises:
            OSError: The lock file cannot be used.
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

    def release(self) -> None:
        """Release the lock for good; an `acquire` that runs in another thread will not get it."""
        with self._guard:
            self._is_over = True
            # While `acquire` runs, the descriptor belongs to its thread.
            is_held, self._is_held = self._is_held, False
        if is_held:
            self._close(unlock=True)

    def _lock(self) -> bool:
        from filelock import lock_descriptor  # extra "file"

        for _ in range(_ATTEMPTS):
            make_folder(self._path.parent)
            with contextlib.suppress(FileNotFoundError):
                # The folder may be removed between any two of these steps.
                self._file = open_lock_file(self._path)
                if not lock_descriptor(self._file, blocking=False):
                    return False
                if os.path.samestat(os.fstat(self._file), self._path.stat()):
                    if self._prepare is not None:
                        self._prepare(self._file)
                    return True
            self._close()
        raise FileNotFoundError(f"the lock file must not be removed while in use: {self._path}")

    def _close(self, *, unlock: bool = False) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        try:
            if unlock:
                from filelock import unlock_descriptor  # extra "file"

                # Closing unlocks too, but not while a child process has the file open, and on
                # Windows only after a while.
                unlock_descriptor(file)
        finally:
            os.close(file)

    def abandon(self) -> None:
        """Leave the lock to the parent process, in a forked child."""
        self._guard = threading.Lock()
        self._is_held, self._is_over = False, True
        self._close()

    def __del__(self) -> None:
        self._close()


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """
    Hold a lock for milliseconds; blocks the thread until the lock is free.

    Raises:
        TimeoutError: Other holders keep it too long, such as a process that was stopped.

        OSError: The lock file cannot be used.
    """
    lock = FileLock(path)
    deadline, pause = time.monotonic() + PATIENCE, _MIN_PAUSE
    while not lock.acquire():
        if time.monotonic() >= deadline:
            raise TimeoutError("another process holds the lock of the entry")
        time.sleep(pause)
        pause = min(pause * _GROWTH, _MAX_PAUSE)
    try:
        yield
    finally:
        lock.release()


_all_locks: "weakref.WeakSet[FileLock]" = weakref.WeakSet()


@after_fork
def abandon_all_locks() -> None:
    """Leave every lock to the parent process, in a forked child."""
    # A child that kept the file open would keep the lock alive after its parent's end.
    for lock in list(_all_locks):
        lock.abandon()

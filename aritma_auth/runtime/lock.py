"""A lock for state that threads share, held for microseconds and never across an await."""

import os
import threading
from types import TracebackType

_forks = 0


def forks() -> int:
    """Give how often this process's line was forked: what a child inherits is of another number."""
    return _forks


class ForkSafeLock:
    """
    A re-entrant thread lock that is new in a forked child.

    Re-entrant because the garbage collector may run a flight's end inside it; new because a child
    inherits a lock that a thread of its parent may have held.
    """

    __slots__ = ("_forks", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._forks = _forks

    def __enter__(self) -> None:
        if self._forks != _forks:
            # A child begins with one thread: nobody else is here.
            self._lock, self._forks = threading.RLock(), _forks
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()


STATE_LOCK = ForkSafeLock()
"""
The lock of every provider's state: one for all, so that no two can be waited for in turn.

It is taken on the slow path alone, for microseconds.
"""


def _after_fork() -> None:
    global _forks  # noqa: PLW0603 - counts, for the whole process
    _forks += 1


# Windows has no fork.
getattr(os, "register_at_fork", dict)(after_in_child=_after_fork)

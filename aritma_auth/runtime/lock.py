"""
Locks for state that threads share: held for microseconds, never across an await.

A child of fork inherits a lock as it was, perhaps held by a thread that the child does not have. So
every lock is reset in the child before any of its code runs. A lock that looks for a fork when it
is entered could be reset by one thread while another already holds it.
"""

import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threading import RLock

_locks: "weakref.WeakSet[RLock]" = weakref.WeakSet()


def fork_safe_lock() -> "RLock":
    """Return a re-entrant lock: the garbage collector may end a flight while the lock is held."""
    lock = threading.RLock()
    _locks.add(lock)
    return lock


def after_fork(function: Callable[[], None]) -> Callable[[], None]:
    """Call a function in each forked child before any of its code runs; a decorator."""
    # Windows has no fork.
    getattr(os, "register_at_fork", dict)(after_in_child=function)
    return function


@after_fork
def reset_all_locks() -> None:
    """Reset every lock, in a forked child."""
    for lock in list(_locks):
        # What threading and logging do with their own locks.
        lock._at_fork_reinit()  # type: ignore[attr-defined] # noqa: SLF001 - it has no public name


STATE_LOCK = fork_safe_lock()
"""
The lock of every provider's state: one for all, so that no two can wait for each other.

Only the slow path takes it.
"""

"""A lock for state that threads share, held for microseconds and never across an await."""

import threading
from types import TracebackType


class ForkSafeLock:
    """
    A re-entrant thread lock that a forked child can replace.

    Re-entrant because the garbage collector may run a flight's end inside it; replaceable because
    a child inherits a lock that a thread of its parent may have held.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Forget who holds it."""
        self._lock = threading.RLock()

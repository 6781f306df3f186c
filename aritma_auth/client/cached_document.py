"""A document that a server publishes: fetched by one request at a time, and cached."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import attrs

from aritma_auth.errors import AritmaAuthError, TransportError, copy_with_retry_after
from aritma_auth.runtime.clock import Clock
from aritma_auth.runtime.lock import fork_safe_lock
from aritma_auth.runtime.single_flight import SingleFlight
from aritma_auth.runtime.tasks import stop_if_lost
from aritma_auth.runtime.values import Value

T = TypeVar("T")

DAY = 86_400.0
"""Seconds for which a document counts as new: IdentityServer announces keys 14 days ahead."""

STALE = 7 * DAY
"""Seconds for which it serves when no newer one can be had."""

COOL_DOWN = 60.0
"""Seconds between two reloads that something unknown has forced, and after a failure at most."""

_FIRST_PAUSE = 1.0
_MAX_FLIGHTS = 10
"""Requests that a caller waits for before it gives up: each ended with its event loop."""


@attrs.frozen(eq=False, repr=False)
class _Kept(Value, Generic[T]):
    value: T
    fetched_at: float


@attrs.frozen(eq=False, repr=False)
class _Failed(Value):
    error: AritmaAuthError
    at: float
    pause: float


class CachedDocument(Generic[T]):
    """
    A document that a server publishes, for any number of callers, event loops and threads.

    After a failure nothing is fetched for a second, then for two, up to a minute. Meanwhile callers
    get the old document, or the failure if there is none.

    Args:
        fetch: Fetches the document.

        clock: Tells the time. If it is set back, the cached document counts as old.
    """

    def __init__(self, fetch: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._kept: _Kept[T] | None = None
        self._failed: _Failed | None = None
        self._forced_at = float("-inf")
        self._lock = fork_safe_lock()
        self._flights: SingleFlight[_Kept[T] | _Failed] = SingleFlight(self._run, self._lock)

    def put(self, value: T, fetched_at: float) -> None:
        """
        Put a document in place that was fetched before, by this process or another.

        Args:
            value: The document.

            fetched_at: POSIX seconds.
        """
        self._kept = _Kept(value, fetched_at)

    async def get(self) -> T:
        """
        Give the document, fetched at most once a day.

        Raises:
            AritmaAuthError: It cannot be fetched, and none is cached; ``retry_after`` says when the
                next fetch is allowed.
        """
        return await self._obtain(is_forced=False)

    async def reload(self) -> T:
        """
        Give a newer document, at most once a minute; else the cached one.

        Raises:
            AritmaAuthError: As `get` says.
        """
        return await self._obtain(is_forced=True)

    async def _obtain(self, *, is_forced: bool) -> T:
        # A flight is lost when its event loop ends: start over.
        for _ in range(_MAX_FLIGHTS):
            with self._lock:
                outcome = self._at_hand(is_forced=is_forced)
                flight = self._flights.launch() if outcome is None else None
            if flight is not None:
                outcome = await self._flights.join(flight)
            if outcome is not None:
                return self._open(outcome)
        raise TransportError(
            "the server's document was asked for again and again, and each event loop that asked "
            "ended before the response: keep the loops running",
            may_have_arrived=False,
        )

    def _at_hand(self, *, is_forced: bool) -> _Kept[T] | _Failed | None:
        """Give what is served without a request; None if one is under way or must be made."""
        kept, failed = self._kept, self._failed
        if kept is not None and not is_forced and self._is_within(DAY, kept.fetched_at):
            return kept
        if self._flights.current is not None:
            return None
        if failed is not None and self._is_within(failed.pause, failed.at):
            return failed
        if is_forced:
            if kept is not None and self._is_within(COOL_DOWN, self._forced_at):
                return kept
            self._forced_at = self._clock.time()
        return None

    def _is_within(self, seconds: float, since: float) -> bool:
        return 0 <= self._clock.time() - since < seconds

    def _open(self, outcome: _Kept[T] | _Failed) -> T:
        if isinstance(outcome, _Kept):
            return outcome.value
        kept = self._kept
        # The server is down, and its keys are probably the same: serve the stale document.
        if kept is not None and self._is_within(STALE, kept.fetched_at):
            return kept.value
        pause = outcome.at + outcome.pause - self._clock.time()
        raise copy_with_retry_after(outcome.error, pause)

    async def _run(self, _flight: object) -> _Kept[T] | _Failed:
        started = self._clock.time()
        try:
            kept = _Kept(await self._fetch(), started)
        except AritmaAuthError as error:
            # Another loop may have the document by now.
            stop_if_lost()
            # From now on the growing pause decides, not the minute.
            self._forced_at = float("-inf")
            self._failed = self._failure(error.copy())
            return self._failed
        self._kept, self._failed = kept, None
        return kept

    def _failure(self, error: AritmaAuthError) -> _Failed:
        longer = _FIRST_PAUSE if self._failed is None else 2 * self._failed.pause
        pause = min(max(longer, error.retry_after or 0.0), COOL_DOWN)
        return _Failed(error, self._clock.time(), pause)

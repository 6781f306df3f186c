"""
When the next token request may be sent: after failures, and after an API rejected a token.

Pure: ``now`` is an argument in seconds of the monotonic clock, ``draw`` a number in [0, 1).
"""

from typing import TYPE_CHECKING

import attrs

from aritma_auth.errors import AritmaAuthError, copy_with_retry_after
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.runtime.values import Value

if TYPE_CHECKING:
    from aritma_auth.provider.sharing_policy import SharingPolicy
    from aritma_auth.stores.contract import SharedBackoff

_SHORT, _SHORT_PAUSES = 1.8, 3
_LEAST_FIRST = 7 / 9
"""
The first pauses, in units of ``backoff_base``, and what the first is at least as a part of them.

They sum up to 5 units at least, and none is longer than 1.8. So an outage of five seconds gets
three token requests, whatever is drawn, and the next one follows its end within two seconds, of
which a fifth of a second is left for the requests themselves. The first pause alone is drawn: it
sets apart the processes that have failed together.
"""


@attrs.frozen(eq=False, repr=False)
class RetryState(Value):
    """
    The refreshes that failed since the last success, and when the next may be tried.

    Attributes:
        error: The last failure; each caller gets a copy of its own.

        count: Failures in a row, this one included.

        not_before: Monotonic seconds before which no token request is sent.

        look_at: Monotonic seconds from which a caller may look whether what was refused for good
            has changed: the credential, or the store's entry.

        refused: Fingerprint of what was refused, or None.

        since: Monotonic seconds of the first of these failures.
    """

    error: AritmaAuthError
    count: int
    not_before: float
    look_at: float = float("inf")
    refused: str | None = None
    since: float = 0.0

    def as_error(self, *, now: float) -> AritmaAuthError:
        """Make one caller's own error, with the seconds that are left to wait."""
        return copy_with_retry_after(self.error, self.not_before - now)


def plan_retry(
    policy: RefreshPolicy,
    error: AritmaAuthError,
    previous: RetryState | None,
    *,
    now: float,
    draw: float,
    calm_until: float | None = None,
    alive_until: float | None = None,
    refused: str | None = None,
    told: "SharedBackoff | None" = None,
) -> RetryState:
    """
    Decide when to try again after a failed refresh.

    Args:
        policy: The numbers.

        error: What went wrong.

        previous: The failure before this one, if nothing worked in between.

        now: Monotonic seconds.

        draw: Random number in [0, 1) for the jitter.

        calm_until: Monotonic seconds until which no caller needs a new token; after the short
            pauses a sixteenth of that time is the shortest.

        alive_until: Monotonic seconds when the cached token ends: unless the server itself asked
            for a longer pause, it is asked then at the latest, since it may be back.

        refused: Fingerprint of the credential and store entry that a permanent refusal is about.

        told: The failure is another process's, as the store tells; nothing was sent here.
    """
    since = now if previous is None else previous.since
    if told is not None and not error.is_permanent:
        # Not the pause of a failure met here: it would begin when the fleet's is over.
        pause = _asked_for(policy, told.seconds, draw)
        return RetryState(error, told.count, now + pause, since=since)
    count = 1 if previous is None else previous.count + 1
    pause = _own_pause(policy, error, count, draw)
    if calm_until is not None and count > _SHORT_PAUSES and not error.is_permanent:
        pause = max(pause, (calm_until - now) / 16)
    if alive_until is not None:
        pause = min(pause, max(0.0, alive_until - now))
    look_at = now + policy.permanent_error_backoff_base if error.is_permanent else float("inf")
    pause = max(pause, _requested_pause(policy, error, draw))
    return RetryState(error, count, now + pause, look_at, refused, since)


def pause_between_attempts(
    policy: RefreshPolicy, error: AritmaAuthError, attempt: int, draw: float
) -> float:
    """
    Return the pause after the n-th attempt of one refresh, with full jitter.

    Callers wait for it, and the attempts are few: a connection that was lost once costs them half
    of ``backoff_base`` on average.
    """
    pause = draw * _doubled(policy.backoff_base, policy.backoff_cap, attempt)
    return max(pause, _requested_pause(policy, error, draw))


def _own_pause(policy: RefreshPolicy, error: AritmaAuthError, count: int, draw: float) -> float:
    if error.is_permanent:
        return _doubled(
            policy.permanent_error_backoff_base, policy.permanent_error_backoff_cap, count
        )
    return backoff(policy, count, draw)


def _requested_pause(policy: RefreshPolicy, error: AritmaAuthError, draw: float) -> float:
    """
    Return the server's ``Retry-After``, capped and stretched; 0 without one.

    It never shortens the backoff: a server that says "1 s" throughout an outage would get three
    times the requests of one that says nothing.
    """
    if error.retry_after is None or error.is_permanent:
        return 0.0
    return _asked_for(policy, error.retry_after, draw)


def _asked_for(policy: RefreshPolicy, seconds: float, draw: float) -> float:
    return min(seconds, policy.retry_after_cap) * (1 + policy.retry_after_jitter * draw)


def plan_shared_pause(
    policy: RefreshPolicy,
    sharing: "SharingPolicy",
    error: AritmaAuthError,
    *,
    count: int,
    draw: float,
    alive_for: float | None = None,
) -> float:
    """
    Decide for how many seconds no process of a fleet sends a token request.

    Args:
        policy: The numbers of one process.

        sharing: The numbers of the fleet.

        error: What went wrong.

        count: Failures in a row, this one included.

        draw: Random number in [0, 1) for the jitter.

        alive_for: Seconds that the token in use still lives, or None without one.
    """
    pause = _own_pause(policy, error, count, draw)
    if not error.is_permanent:
        pause = min(pause, sharing.shared_backoff_cap)
    if alive_for is not None:
        pause = min(pause, alive_for)
    return max(pause, _requested_pause(policy, error, draw))


def backoff(policy: RefreshPolicy, count: int, draw: float) -> float:
    """
    Return the pause after the n-th refresh in a row that failed transiently.

    After the short ones equal jitter, 50-100 % of a limit that doubles: the ninth request of an
    outage comes after a minute, whatever is drawn.
    """
    doublings = max(0, count - _SHORT_PAUSES)
    limit = _doubled(policy.backoff_base * _SHORT, policy.backoff_cap, doublings + 1)
    least = 0.5 if doublings else 1.0
    if count == 1:
        least = _LEAST_FIRST
    return limit * (least + (1 - least) * draw)


def _doubled(base: float, cap: float, count: int) -> float:
    # The exponent is bounded: 2.0 ** 1024 overflows.
    return float(min(cap, base * 2.0 ** min(count - 1, 60)))


@attrs.frozen(eq=False, repr=False)
class ForcedRefreshLimiter(Value):
    """
    How often an API's 401 may force a refresh.

    Attributes:
        closed_until: Monotonic seconds before which no 401 forces one.

        interval: Seconds for which the limiter was closed last.
    """

    closed_until: float = float("-inf")
    interval: float = 0.0

    def admit(
        self, policy: RefreshPolicy, *, now: float, lifetime: float
    ) -> "ForcedRefreshLimiter | None":
        """
        Let a 401 force a refresh, and return the limiter closed behind it; None refuses.

        Args:
            policy: The numbers.

            now: Monotonic seconds.

            lifetime: The rejected token's, in seconds. The limiter is never closed for longer than
                half of it, since such tokens are refreshed that often anyway.
        """
        if now < self.closed_until:
            return None
        # Rejected again soon after it opened: the refreshes do not help.
        is_repeated = now < self.closed_until + self.interval
        interval = policy.forced_refresh_interval_base
        if is_repeated:
            interval = min(policy.forced_refresh_interval_cap, self.interval * 2)
        interval = min(interval, lifetime / 2)
        return ForcedRefreshLimiter(now + interval, interval)

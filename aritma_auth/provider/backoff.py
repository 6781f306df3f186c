"""
When the server may be asked again: after failures, and after an API refused a token.

Pure: ``now`` is seconds of the monotonic clock, ``draw`` a random number in [0, 1).
"""

import attrs

from aritma_auth.errors import AritmaAuthError
from aritma_auth.provider.policy import RefreshPolicy, SharingPolicy


@attrs.frozen
class RetryState:
    """
    A refresh that failed, and when the next may be tried.

    Attributes:
        error: What every caller hears, each its own copy.

        count: Failures in a row, this one included.

        not_before: Monotonic seconds before which nothing is sent.
    """

    error: AritmaAuthError
    count: int
    not_before: float

    def as_error(self, *, now: float) -> AritmaAuthError:
        """
        Make one caller's own error, with the seconds that are left to wait.

        Args:
            now: Monotonic seconds.
        """
        error = self.error.copy()
        error.retry_after = max(0.0, self.not_before - now)
        return error


def plan_retry(
    policy: RefreshPolicy,
    error: AritmaAuthError,
    previous: RetryState | None,
    *,
    now: float,
    draw: float,
    calm_until: float | None = None,
    alive_until: float | None = None,
) -> RetryState:
    """
    Decide when to try again after a failed refresh.

    Args:
        policy: The numbers.

        error: What went wrong.

        previous: The failure before this one, if nothing worked in between.

        now: Monotonic seconds.

        draw: Random number in [0, 1) for the jitter.

        calm_until: Monotonic seconds until which nobody needs a new token; a sixteenth of that
            time is the shortest pause.

        alive_until: Monotonic seconds when the token in hand ends: the server is asked then at the
            latest, since it may be back.
    """
    count = 1 if previous is None else previous.count + 1
    if error.is_permanent:
        return RetryState(
            error,
            count,
            now
            + _doubled(
                policy.permanent_error_backoff_base, policy.permanent_error_backoff_cap, count
            ),
        )
    if error.retry_after is not None:
        asked = min(error.retry_after, policy.retry_after_cap)
        return RetryState(error, count, now + asked * (1 + policy.retry_after_jitter * draw))
    pause = backoff(policy, count, draw)
    if calm_until is not None:
        pause = max(pause, (calm_until - now) / 16)
    if alive_until is not None:
        pause = min(pause, alive_until - now)
    return RetryState(error, count, now + pause)


def plan_shared_pause(
    policy: RefreshPolicy,
    sharing: SharingPolicy,
    error: AritmaAuthError,
    *,
    count: int,
    draw: float,
    alive_for: float | None = None,
) -> float:
    """
    Decide for how many seconds nobody of a fleet asks the server again.

    Args:
        policy: The numbers of one process.

        sharing: The numbers of the fleet.

        error: What went wrong.

        count: Failures in a row, this one included.

        draw: Random number in [0, 1) for the jitter.

        alive_for: Seconds that the token in use still lives, or None without one.
    """
    failure = plan_retry(
        policy,
        error,
        RetryState(error, count - 1, 0.0),
        now=0.0,
        # One of the fleet asks for all: its pause is never near zero.
        draw=0.5 + draw / 2,
        alive_until=alive_for,
    )
    if error.is_permanent or error.retry_after is not None:
        return failure.not_before
    return min(failure.not_before, sharing.shared_backoff_cap)


def backoff(policy: RefreshPolicy, count: int, draw: float) -> float:
    """
    Give the pause after the n-th transient failure in a row, with full jitter.

    Args:
        policy: The numbers.

        count: Failures so far, at least 1.

        draw: Random number in [0, 1).
    """
    return draw * _doubled(policy.backoff_base, policy.backoff_cap, count)


def _doubled(base: float, cap: float, count: int) -> float:
    # The exponent is bounded: 2.0 ** 1024 overflows.
    return float(min(cap, base * 2.0 ** min(count - 1, 60)))


@attrs.frozen
class ForcedRefreshLimiter:
    """
    How often an API's 401 may force a refresh.

    Attributes:
        closed_until: Monotonic seconds before which no 401 forces one.

        pause: How long the gate was closed last.
    """

    closed_until: float = float("-inf")
    pause: float = 0.0

    def admit(
        self, policy: RefreshPolicy, *, now: float, lifetime: float
    ) -> "ForcedRefreshLimiter | None":
        """
        Let a 401 force a refresh and close the gate behind it, or refuse with None.

        Args:
            policy: The numbers.

            now: Monotonic seconds.

            lifetime: The refused token's, in seconds; the gate is never closed longer than half of
                it, since such tokens are refreshed that often anyway.
        """
        if now < self.closed_until:
            return None
        # Refused again soon after the gate opened: the refreshes do not help.
        again = now < self.closed_until + self.pause
        pause = (
            min(policy.forced_refresh_interval_cap, self.pause * 2)
            if again
            else policy.forced_refresh_interval_base
        )
        pause = min(pause, lifetime / 2)
        return ForcedRefreshLimiter(now + pause, pause)

"""
The token's life, as a pure state machine.

    issued            refresh_at     must_refresh_at   expires_at
      |---- FRESH -----|---- STALE ----|--- EXPIRING ---|--- EXPIRED: never served
        serve            serve, renew     wait for the
                         in background    renewal; if it fails, serve

Nothing here reads a clock or draws a random number: ``now`` is given in seconds of the monotonic
clock, ``wall`` in POSIX seconds, ``draw`` as a number in [0, 1).
"""

import enum
from collections.abc import Callable
from typing import TypeVar

import attrs

from aritma_auth.errors import AritmaAuthError, ConfigurationError

V = TypeVar("V", int, float)


class Freshness(enum.Enum):
    """What may be done with the cached token."""

    NONE = "none"
    FRESH = "fresh"
    STALE = "stale"
    EXPIRING = "expiring"
    EXPIRED = "expired"


def _positive(_instance: object, attribute: "attrs.Attribute[V]", value: V) -> None:
    if not value > 0:
        raise ConfigurationError(f"RefreshPolicy: {attribute.name} must be greater than 0")


def _share(_instance: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigurationError(f"RefreshPolicy: {attribute.name} must be between 0 and 1")


def _seconds(default: float) -> float:
    return attrs.field(default=default, validator=_positive)


def _fraction(default: float) -> float:
    return attrs.field(default=default, validator=_share)


@attrs.frozen(kw_only=True)
class RefreshPolicy:
    """
    Every number of a token's life; all times in seconds.

    Attributes:
        soft_fraction: Share of the lifetime, before its end, in which renewal goes on in the
            background.

        soft_cap: That window at most.

        soft_jitter: Share of that window over which its start is spread, so that a fleet does not
            move as one.

        hard_fraction: Share of the lifetime, before its end, in which callers wait for a renewal.

        hard_cap: That window at most.

        assumed_lifetime: Lifetime when the server states none (RFC 6749 §5.1 only recommends it).

        longest_lifetime: Lifetime believed at most.

        renewal_timeout: One whole renewal, retries included.

        attempts: Requests in one renewal at most, when no live token is in hand.

        backoff_base: Longest first pause after a transient failure; doubles from there.

        backoff_cap: That pause at most.

        refusal_base: First pause after a permanent no; doubles from there.

        refusal_cap: That pause at most.

        retry_after_cap: A server's ``Retry-After`` is obeyed up to this.

        retry_after_jitter: Share by which such a pause is stretched at most.

        rejection_base: After a renewal that an API's 401 forced, no other is forced for so long.

        rejection_cap: That pause at most, when the API keeps refusing.
    """

    soft_fraction: float = _fraction(0.25)
    soft_cap: float = _seconds(900.0)
    soft_jitter: float = _fraction(0.5)
    hard_fraction: float = _fraction(0.05)
    hard_cap: float = _seconds(60.0)
    assumed_lifetime: float = _seconds(300.0)
    longest_lifetime: float = _seconds(30 * 86400.0)
    renewal_timeout: float = _seconds(30.0)
    attempts: int = attrs.field(default=3, validator=_positive)
    backoff_base: float = _seconds(1.0)
    backoff_cap: float = _seconds(300.0)
    refusal_base: float = _seconds(1.0)
    refusal_cap: float = _seconds(300.0)
    retry_after_cap: float = _seconds(3600.0)
    retry_after_jitter: float = _fraction(0.1)
    rejection_base: float = _seconds(30.0)
    rejection_cap: float = _seconds(300.0)


@attrs.frozen
class Life:
    """
    The marks on one token's line of time, in seconds of the monotonic clock.

    Attributes:
        issued_at: When the request for it left.

        refresh_at: From here on it is STALE.

        must_refresh_at: From here on it is EXPIRING.

        expires_at: From here on it is EXPIRED.

        wall_issued_at: POSIX seconds of ``issued_at``.
    """

    issued_at: float
    refresh_at: float
    must_refresh_at: float
    expires_at: float
    wall_issued_at: float

    @property
    def lifetime(self) -> float:
        """Seconds from request to end."""
        return self.expires_at - self.issued_at

    def now(self, *, monotonic: float, wall: float) -> float:
        """
        Give the later of what two clocks say, for machines whose monotonic clock sleeps too.

        Args:
            monotonic: Monotonic seconds.

            wall: POSIX seconds.
        """
        return max(monotonic, self.issued_at + (wall - self.wall_issued_at))

    def freshness(self, now: float) -> Freshness:
        """
        Say what may be done with the token.

        Args:
            now: Monotonic seconds.
        """
        if now < self.refresh_at:
            return Freshness.FRESH
        if now < self.must_refresh_at:
            return Freshness.STALE
        return Freshness.EXPIRING if now < self.expires_at else Freshness.EXPIRED

    def outlasts(self, min_ttl: float, *, now: float, policy: RefreshPolicy) -> bool:
        """
        Tell whether the token lives as long as a caller asks, as far as one can ask.

        Args:
            min_ttl: Seconds; more than the lifetime without its soft window cannot be had, since
                every call would renew.

            now: Monotonic seconds.

            policy: The numbers.
        """
        most = self.lifetime * (1 - policy.soft_fraction)
        return now + min(min_ttl, most) <= self.expires_at


def plan_life(
    policy: RefreshPolicy, lifetime: float | None, *, issued_at: float, wall: float, draw: float
) -> Life:
    """
    Set the marks of a new token.

    Args:
        policy: The numbers.

        lifetime: Seconds that the server stated, or None.

        issued_at: Monotonic seconds when the request left.

        wall: POSIX seconds of the same moment.

        draw: Where in its spread the soft window starts, in [0, 1).
    """
    stated = policy.assumed_lifetime if lifetime is None else lifetime
    life = min(stated, policy.longest_lifetime)
    soft = min(life * policy.soft_fraction, policy.soft_cap)
    # Never wider than the soft window: waiting must not begin before renewing.
    hard = min(life * policy.hard_fraction, policy.hard_cap, soft)
    start = max(hard, soft * (1 - policy.soft_jitter * draw))
    end = issued_at + life
    return Life(issued_at, end - start, end - hard, end, wall)


@attrs.frozen
class Failure:
    """
    A renewal that failed, and when the next may be tried.

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
    previous: Failure | None,
    *,
    now: float,
    draw: float,
    calm_until: float | None = None,
) -> Failure:
    """
    Decide when to try again after a failed renewal.

    Args:
        policy: The numbers.

        error: What went wrong.

        previous: The failure before this one, if nothing worked in between.

        now: Monotonic seconds.

        draw: Random number in [0, 1) for the jitter.

        calm_until: Monotonic seconds until which nobody needs a new token; a sixteenth of that
            time is the shortest pause.
    """
    count = 1 if previous is None else previous.count + 1
    if error.is_permanent:
        return Failure(error, count, now + _doubled(policy.refusal_base, policy.refusal_cap, count))
    if error.retry_after is not None:
        asked = min(error.retry_after, policy.retry_after_cap)
        return Failure(error, count, now + asked * (1 + policy.retry_after_jitter * draw))
    pause = backoff(policy, count, draw)
    if calm_until is not None:
        pause = max(pause, (calm_until - now) / 16)
    return Failure(error, count, now + pause)


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
class RejectionGate:
    """
    How often an API's 401 may force a renewal.

    Attributes:
        closed_until: Monotonic seconds before which no 401 forces one.

        pause: How long the gate was closed last.
    """

    closed_until: float = float("-inf")
    pause: float = 0.0

    def admit(self, policy: RefreshPolicy, *, now: float) -> "RejectionGate | None":
        """
        Let a 401 force a renewal and close the gate behind it, or refuse with None.

        Args:
            policy: The numbers.

            now: Monotonic seconds.
        """
        if now < self.closed_until:
            return None
        # Refused again soon after the gate opened: the renewals do not help.
        again = now < self.closed_until + self.pause
        pause = min(policy.rejection_cap, self.pause * 2) if again else policy.rejection_base
        return RejectionGate(now + pause, pause)


Draw = Callable[[], float]
"""A source of random numbers in [0, 1)."""


class Step(enum.Enum):
    """What `get_token` does next."""

    SERVE = "serve"
    SERVE_AND_RENEW = "serve and renew"
    WAIT = "wait"
    REFUSE = "refuse"


def decide(freshness: Freshness, *, long_enough: bool, failure: Failure | None, now: float) -> Step:
    """
    Decide what a caller gets.

    Args:
        freshness: State of the cached token.

        long_enough: It lives as long as the caller asks for.

        failure: The failures since the last success, or None.

        now: Monotonic seconds.
    """
    gate_is_closed = failure is not None and now < failure.not_before
    if freshness in {Freshness.NONE, Freshness.EXPIRED}:
        # A permanent no is looked at again in flight: the credential may have changed.
        refused = gate_is_closed and failure is not None and not failure.error.is_permanent
        return Step.REFUSE if refused else Step.WAIT
    if gate_is_closed or (freshness is Freshness.FRESH and long_enough):
        return Step.SERVE
    # Static stability: once a renewal has failed, nobody waits for the next while a token lives.
    calm = freshness is Freshness.STALE or failure is not None
    return Step.SERVE_AND_RENEW if calm and long_enough else Step.WAIT

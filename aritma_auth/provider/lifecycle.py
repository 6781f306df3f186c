"""
The token's life, as a pure state machine.

    issued            refresh_at     must_refresh_at   expires_at
      |---- FRESH -----|---- STALE ----|--- EXPIRING ---|--- EXPIRED: never served
        serve            serve, refresh     wait for the
                         in background    refresh; if it fails, serve

Nothing here reads a clock or draws a random number: ``now`` is given in seconds of the monotonic
clock, ``wall`` in POSIX seconds, ``draw`` as a number in [0, 1).
"""

import enum

import attrs

from aritma_auth.provider.backoff import RetryState
from aritma_auth.provider.policy import RefreshPolicy


class Freshness(enum.Enum):
    """What may be done with the cached token."""

    NONE = "none"
    FRESH = "fresh"
    STALE = "stale"
    EXPIRING = "expiring"
    EXPIRED = "expired"


@attrs.frozen(weakref_slot=False)
class TokenLifetime:
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

    def postponed(self, until: float) -> "TokenLifetime":
        """
        Give the same life with its refresh put off, since somebody else is at it.

        Args:
            until: Monotonic seconds; the hard window stays where it is.
        """
        later = min(max(until, self.refresh_at), self.must_refresh_at)
        return attrs.evolve(self, refresh_at=later)

    def outlasts(self, min_ttl: float, *, now: float, policy: RefreshPolicy) -> bool:
        """
        Tell whether the token lives as long as a caller asks, as far as one can ask.

        Args:
            min_ttl: Seconds; more than the lifetime without its soft window cannot be had, since
                every call would refresh.

            now: Monotonic seconds.

            policy: The numbers.
        """
        most = self.lifetime * (1 - policy.background_window_fraction)
        return now + min(min_ttl, most) <= self.expires_at


def plan_lifetime(
    policy: RefreshPolicy, lifetime: float | None, *, issued_at: float, wall: float, draw: float
) -> TokenLifetime:
    """
    Set the marks of a new token.

    Args:
        policy: The numbers.

        lifetime: Seconds that the server stated, or None.

        issued_at: Monotonic seconds when the request left.

        wall: POSIX seconds of the same moment.

        draw: Where in its spread the soft window starts, in [0, 1).
    """
    stated = policy.default_lifetime if lifetime is None else lifetime
    life = min(stated, policy.max_lifetime)
    soft = min(life * policy.background_window_fraction, policy.background_window_cap)
    # Never wider than the soft window: waiting must not begin before refreshing.
    hard = min(life * policy.blocking_window_fraction, policy.blocking_window_cap, soft)
    start = max(hard, soft * (1 - policy.background_window_jitter * draw))
    end = issued_at + life
    return TokenLifetime(issued_at, end - start, end - hard, end, wall)


class Action(enum.Enum):
    """What `get_token` does next."""

    SERVE = "serve"
    SERVE_AND_REFRESH = "serve and refresh"
    WAIT = "wait"
    REFUSE = "refuse"


def decide(
    freshness: Freshness,
    *,
    long_enough: bool,
    failure: RetryState | None,
    is_refreshing: bool,
    now: float,
) -> Action:
    """
    Decide what a caller gets.

    Args:
        freshness: State of the cached token.

        long_enough: It lives as long as the caller asks for.

        failure: The failures since the last success, or None.

        is_refreshing: A refresh that began in the background is still under way.

        now: Monotonic seconds.
    """
    gate_is_closed = failure is not None and now < failure.not_before
    if freshness in {Freshness.NONE, Freshness.EXPIRED}:
        # A permanent no is looked at again in flight: the credential may have changed.
        refused = gate_is_closed and failure is not None and not failure.error.is_permanent
        return Action.REFUSE if refused else Action.WAIT
    if gate_is_closed or (freshness is Freshness.FRESH and long_enough):
        return Action.SERVE
    # Static stability: once a refresh has failed, nobody waits for the next while a token lives;
    # nor for one that began in time and is only slow.
    calm = freshness is Freshness.STALE or failure is not None or is_refreshing
    return Action.SERVE_AND_REFRESH if calm and long_enough else Action.WAIT

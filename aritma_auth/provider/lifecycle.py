"""
The life of one token, as a pure state machine.

Theory of operation
-------------------

::

    issued_at        refresh_at       must_refresh_at    expires_at
      |---- FRESH ------|----- STALE -----|--- EXPIRING ---|--- EXPIRED
      |  serve it       |  serve it, and  |  wait for the  |  never serve it: wait for the
      |                 |  refresh in the |  refresh; if   |  refresh, or raise its failure
      |                 |  background     |  that fails,   |
      |                 |                 |  serve it      |
                        <------ background window --------->
                                          <- blocking win.->

Both windows scale with the lifetime, so that a token of 25 s is reused and one of an hour leaves
a quarter of an hour for an outage of the server. The start of the background window is drawn once
for each token, in the first half of that window, so that a fleet does not refresh as one.

The marks are seconds of the provider's clock: the monotonic one. Where that clock stops while the
machine sleeps, the wall clock is a second opinion, and the later of the two counts
(`TokenLifetime.now`). A lifetime counts from the moment when the request left, on both clocks: a
response that took 100 s of 120 leaves 20.

`decide` is the whole decision of `get_token`. The failures of earlier refreshes take part in it:
until the backoff is over a living token is served without a refresh, and without one the failure is
raised again. After a permanent refusal a caller looks now and then whether the credential has
changed.

Nothing here reads a clock or draws a random number: ``now`` is an argument in seconds of the
monotonic clock, ``wall`` in POSIX seconds, ``draw`` a number in [0, 1).
"""

import enum

import attrs

from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.backoff import RetryState
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.runtime.values import Value

_NEVER = float("-inf")


class Freshness(enum.Enum):
    """What may be done with the cached token."""

    NONE = "none"
    FRESH = "fresh"
    STALE = "stale"
    EXPIRING = "expiring"
    EXPIRED = "expired"


@attrs.frozen(weakref_slot=False, eq=False, repr=False)
class TokenLifetime(Value):
    """
    A token and the marks on its line of time.

    Attributes:
        token: The token, or None. Without marks it is kept for its refresh token alone.

        issued_at: Monotonic seconds when its request left.

        wall_issued_at: POSIX seconds of the same moment.

        refresh_at: From here on it is STALE.

        must_refresh_at: From here on it is EXPIRING.

        expires_at: From here on it is EXPIRED.
    """

    token: Token | None = None
    issued_at: float = _NEVER
    wall_issued_at: float = _NEVER
    refresh_at: float = _NEVER
    must_refresh_at: float = _NEVER
    expires_at: float = _NEVER

    @property
    def lifetime(self) -> float:
        """Seconds from request to end."""
        return self.expires_at - self.issued_at

    @property
    def is_usable(self) -> bool:
        """The token has marks: it may be served until it ends."""
        return self.expires_at != _NEVER

    def now(self, *, monotonic: float, wall: float) -> float:
        """Return the later of what two clocks say, for monotonic clocks that stop during sleep."""
        if not self.is_usable:
            return monotonic
        return max(monotonic, self.issued_at + (wall - self.wall_issued_at))

    def freshness(self, now: float) -> Freshness:
        """Return what may be done with the token."""
        if not self.is_usable:
            return Freshness.NONE
        if now < self.refresh_at:
            return Freshness.FRESH
        if now < self.must_refresh_at:
            return Freshness.STALE
        return Freshness.EXPIRING if now < self.expires_at else Freshness.EXPIRED

    def is_alive(self, now: float) -> bool:
        """Tell whether the token may be served."""
        return now < self.expires_at

    def outlasts(self, min_ttl: float, *, now: float, policy: RefreshPolicy) -> bool:
        """
        Tell whether the token lives as long as a caller asks.

        More than the lifetime without its background window is not granted: every call would
        refresh.
        """
        most = self.lifetime * (1 - policy.background_window_fraction)
        return self.is_usable and now + min(min_ttl, most) <= self.expires_at

    def postponed(self, until: float) -> "TokenLifetime":
        """Return the same lifetime with a later background window; the blocking one stays."""
        later = min(max(until, self.refresh_at), self.must_refresh_at)
        return attrs.evolve(self, refresh_at=later)


NO_TOKEN = TokenLifetime()


def plan_lifetime(
    policy: RefreshPolicy, token: Token, *, issued_at: float, wall: float, draw: float
) -> TokenLifetime:
    """
    Set the marks of a new token.

    Args:
        policy: The numbers.

        token: The token; its stamps are by the wall clock of the process that requested it.

        issued_at: Monotonic seconds when its request left.

        wall: POSIX seconds of the same moment.

        draw: Where in its spread the background window starts, in [0, 1).
    """
    lifetime = policy.default_lifetime
    if token.expires_at is not None:
        lifetime = max(0.0, token.expires_at - (token.issued_at or wall))
    lifetime = min(lifetime, policy.max_lifetime)
    background = min(lifetime * policy.background_window_fraction, policy.background_window_cap)
    # Never wider than the background window: waiting must not begin before refreshing.
    blocking = min(
        lifetime * policy.blocking_window_fraction, policy.blocking_window_cap, background
    )
    start = max(blocking, background * (1 - policy.background_window_jitter * draw))
    end = issued_at + lifetime
    return TokenLifetime(token, issued_at, wall, end - start, end - blocking, end)


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
    is_backing_off = failure is not None and now < failure.not_before
    if freshness is Freshness.NONE or freshness is Freshness.EXPIRED:
        # A changed credential ends a permanent refusal early, and a flight looks for one.
        is_refused = is_backing_off and failure is not None and now < failure.look_at
        return Action.REFUSE if is_refused else Action.WAIT
    if is_backing_off or (freshness is Freshness.FRESH and long_enough):
        return Action.SERVE
    # Static stability: while a token lives no caller waits for the refresh after a failed one, nor
    # for one that began in time and is only slow.
    is_calm = freshness is Freshness.STALE or failure is not None or is_refreshing
    return Action.SERVE_AND_REFRESH if is_calm and long_enough else Action.WAIT

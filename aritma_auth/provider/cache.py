"""What a provider remembers: its token, its failures, and the last token that an API rejected."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from aritma_auth.errors import AritmaAuthError
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.backoff import ForcedRefreshLimiter, RetryState, plan_retry
from aritma_auth.provider.lifecycle import (
    NO_TOKEN,
    Action,
    TokenLifetime,
    decide,
    plan_lifetime,
)
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.runtime.clock import Clock
from aritma_auth.runtime.values import Value

if TYPE_CHECKING:
    from aritma_auth.stores.contract import SharedBackoff

_NOT_FORCED = ForcedRefreshLimiter()


@attrs.frozen(weakref_slot=False, eq=False, repr=False)
class IssuedToken(Value):
    """
    A token with the moment when its request left, by both clocks.

    Attributes:
        token: The token.

        issued_at: Monotonic seconds from which its lifetime counts.

        wall_issued_at: POSIX seconds of the same moment.

        is_adopted: Another process had stored it; no token request was sent.

        problem: The failure to raise although a token came: it is kept for its refresh token, and
            is not served. None if all is well.
    """

    token: Token
    issued_at: float
    wall_issued_at: float
    is_adopted: bool = False
    problem: AritmaAuthError | None = None


class TokenCache:
    """
    The memory of one provider; its caller holds the state lock around every change.

    Attributes:
        current: The cached token; one object, so that the cached path reads it without a lock.

        failure: The failures since the last success, or None.

        rejected: The token that an API rejected last, or None.

        generation: Counts the tokens put in place, so that a slow refresh overwrites no newer one.

        reported_skew: The server's clock skew that was reported last, in seconds.

        now: The clock that the token's marks are on; it goes on while the machine sleeps.
    """

    __slots__ = (
        "_clock",
        "_draw",
        "_forced",
        "_policy",
        "current",
        "failure",
        "generation",
        "now",
        "rejected",
        "reported_skew",
    )

    def __init__(self, policy: RefreshPolicy, clock: Clock, draw: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self._draw = draw
        self._forced = _NOT_FORCED
        self.current = NO_TOKEN
        self.failure: RetryState | None = None
        self.generation = 0
        self.rejected: Token | None = None
        self.reported_skew = 0.0
        self.now = clock.monotonic if clock.counts_suspend else self._later_clock

    def _later_clock(self) -> float:
        return self.current.now(monotonic=self._clock.monotonic(), wall=self._clock.time())

    @property
    def is_alive(self) -> bool:
        """The cached token may be served."""
        return self.current.is_alive(self.now())

    def decide(self, min_ttl: float, *, is_refreshing: bool) -> Action:
        """Decide what a caller gets that wants a token with so many seconds left."""
        now, current = self.now(), self.current
        return decide(
            current.freshness(now),
            long_enough=current.outlasts(min_ttl, now=now, policy=self._policy),
            failure=self.failure,
            is_refreshing=is_refreshing,
            now=self._clock.monotonic(),
        )

    def put(self, token: Token) -> Token:
        """Put a token in place that no refresh brought; return it with the time it counts from."""
        now = self._clock.time()
        if not token.issued_at:
            token = attrs.evolve(token, issued_at=now)
        age = max(0.0, now - token.issued_at)
        issued = IssuedToken(token, self._clock.monotonic() - age, now - age)
        self.install(self.plan(issued))
        return token

    def would_serve(self, issued: IssuedToken) -> bool:
        """Tell whether a token that is not in place any more may be served all the same."""
        return self.serves(self.plan(issued))

    def serves(self, lifetime: TokenLifetime) -> bool:
        """Tell whether a token with these marks may be served now."""
        now = self._clock.monotonic()
        if not self._clock.counts_suspend:
            now = lifetime.now(monotonic=now, wall=self._clock.time())
        return lifetime.is_alive(now)

    def plan(self, issued: IssuedToken) -> TokenLifetime:
        """Set a token's marks; nothing is put in place yet."""
        lifetime = plan_lifetime(
            self._policy,
            issued.token,
            issued_at=issued.issued_at,
            wall=issued.wall_issued_at,
            draw=self._draw(),
        )
        if self.is_rejected(issued.token):
            # The server insists on a token that an API rejects: look again as soon as a rejection
            # may force a refresh, and not only when the token ends.
            soon = issued.issued_at + self._policy.forced_refresh_interval_base
            return attrs.evolve(lifetime, refresh_at=min(lifetime.refresh_at, soon))
        return lifetime

    def install(self, lifetime: TokenLifetime) -> None:
        """Put a token in place and forget the failures before it."""
        self.generation += 1
        self.current = lifetime
        self.failure = None

    def take_refresh_token(self, ended: Token) -> None:
        """Keep the cached token, which lives, with the refresh token of one that has ended."""
        held = self.current.token
        if held is not None and ended.refresh_token is not None:
            held = attrs.evolve(held, refresh_token=ended.refresh_token)
        self.current = attrs.evolve(self.current, token=held)

    def postpone(self, seconds: float) -> None:
        """Put the refresh off, since another process is at it."""
        self.current = self.current.postponed(self._clock.monotonic() + seconds)

    def record(
        self, error: AritmaAuthError, refused: str | None, told: "SharedBackoff | None"
    ) -> RetryState:
        """
        Return the failures with this one, and when the next refresh may be tried.

        Args:
            error: What went wrong.

            refused: Fingerprint of what the error is about if it is permanent, or None.

            told: What the store tells of it if another process has met it, or None.
        """
        lifetime = self.current if self.is_alive else None
        return plan_retry(
            self._policy,
            error.copy(),
            self.failure,
            now=self._clock.monotonic(),
            draw=self._draw(),
            calm_until=None if lifetime is None else lifetime.must_refresh_at,
            alive_until=None if lifetime is None else lifetime.expires_at,
            refused=refused,
            told=told,
        )

    def drop(self, token: Token) -> bool | None:
        """
        Drop a token that an API rejected; its refresh token stays.

        Returns:
            Whether a rejection may force a refresh now; None if the token is not the cached one.
        """
        if not self.is_current(token):
            return None
        limiter = self._forced.admit(
            self._policy, now=self._clock.monotonic(), lifetime=self.current.lifetime
        )
        if limiter is None:
            return False
        self._forced = limiter
        self.rejected = token
        self.current = TokenLifetime(self.current.token)
        return True

    def is_current(self, token: Token) -> bool:
        """Tell whether this is the cached token, and not dropped."""
        held = self.current.token
        return (
            held is not None and self.current.is_usable and held.access_token == token.access_token
        )

    def is_rejected(self, token: Token) -> bool:
        """Tell whether an API has rejected this token."""
        return self.rejected is not None and self.rejected.access_token == token.access_token

    def clear(self) -> None:
        """Forget the token; a refresh that is under way puts none in its place."""
        self.current = NO_TOKEN
        self.failure = None
        self.rejected = None
        self.generation += 1

    def error_of(self, failure: RetryState) -> AritmaAuthError:
        """Make one caller's own error of a failure."""
        return failure.as_error(now=self._clock.monotonic())

    @property
    def backoff(self) -> RetryState | None:
        """The failures whose pause is not over, or None."""
        failure = self.failure
        return failure if failure is not None and self.seconds_to_retry(failure) > 0 else None

    def seconds_to_retry(self, failure: RetryState) -> float:
        """Return the seconds before the next refresh may be tried."""
        return max(0.0, failure.not_before - self._clock.monotonic())

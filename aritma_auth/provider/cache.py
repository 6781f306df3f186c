"""What a provider remembers: the token, its failures, and the gates they close."""

from collections.abc import Callable

import attrs

from aritma_auth.errors import AritmaAuthError
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.backoff import ForcedRefreshLimiter, RetryState, plan_retry
from aritma_auth.provider.lifecycle import Action, Freshness, TokenLifetime, decide, plan_lifetime
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.runtime.clock import Clock
from aritma_auth.runtime.lock import STATE_LOCK

_NOT_REJECTED = ForcedRefreshLimiter()


@attrs.frozen
class Obtained:
    """
    A token and when its request left.

    Attributes:
        token: The token.

        issued_at: Monotonic seconds from which its lifetime counts.

        is_adopted: Another process had it; nothing was asked of the server.
    """

    token: Token
    issued_at: float
    is_adopted: bool = False


class Held:
    """
    The cached token with the two marks that the cached path compares.

    The marks are of the provider's clock; without a life the token is only kept for its refresh
    token.
    """

    __slots__ = ("expires_at", "life", "refresh_at", "token")

    def __init__(self, token: Token | None = None, life: TokenLifetime | None = None) -> None:
        self.token = token
        self.life = life
        self.refresh_at = float("-inf") if life is None else life.refresh_at
        self.expires_at = float("-inf") if life is None else life.expires_at

    @property
    def issued_at(self) -> float:
        """Monotonic seconds when the token's request left."""
        return float("-inf") if self.life is None else self.life.issued_at

    def holds(self, token: Token) -> bool:
        """Tell whether this is that token."""
        return self.token is not None and self.token.access_token == token.access_token

    def freshness(self, now: float) -> Freshness:
        """Say what may be done with the token at this time of the provider's clock."""
        return Freshness.NONE if self.life is None else self.life.freshness(now)

    def is_alive(self, now: float) -> bool:
        """Tell whether the token may be served."""
        return now < self.expires_at

    def outlasts(self, min_ttl: float, *, now: float, policy: RefreshPolicy) -> bool:
        """Tell whether the token lives as long as a caller asks, as far as one can ask."""
        return self.life is not None and self.life.outlasts(min_ttl, now=now, policy=policy)


_NOTHING = Held()


class TokenCache:
    """
    The memory of one provider; its caller holds the lock around every change.

    Args:
        policy: The numbers of a token's life.

        clock: Tells the time.

        draw: Random numbers in [0, 1) for the jitter.

    Attributes:
        held: The token so far.

        failure: The failures since the last success, or None.

        rejected: The token that an API refused last, or None.

        generation: Counts the tokens put in place, so that a slow refresh overwrites no newer one.

        lock: Held by the caller around every look and change that belong together.

        now: The clock that the token's marks are on: it goes on while the machine sleeps.
    """

    __slots__ = (
        "_clock",
        "_draw",
        "_policy",
        "_rejections",
        "failure",
        "generation",
        "held",
        "now",
        "rejected",
    )

    lock = STATE_LOCK

    def __init__(self, policy: RefreshPolicy, clock: Clock, draw: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self._draw = draw
        self._rejections = _NOT_REJECTED
        self.held = _NOTHING
        self.failure: RetryState | None = None
        self.generation = 0
        self.rejected: Token | None = None
        self.now = clock.monotonic if clock.counts_suspend else self._later_clock

    def decide(self, min_ttl: float, *, is_refreshing: bool) -> Action:
        """
        Decide what a caller gets.

        Args:
            min_ttl: Seconds that the token should still live.

            is_refreshing: A refresh that began in the background is still under way.
        """
        now = self.now()
        return decide(
            self.held.freshness(now),
            long_enough=self.held.outlasts(min_ttl, now=now, policy=self._policy),
            failure=self.failure,
            is_refreshing=is_refreshing,
            now=self._clock.monotonic(),
        )

    def hold(self, obtained: Obtained) -> Held:
        """
        Set the marks of a token on the provider's clock; nothing is put in place yet.

        Args:
            obtained: The token and when its request left.
        """
        token, issued_at = obtained.token, obtained.issued_at
        wall = self._clock.time() - (self._clock.monotonic() - issued_at)
        stated = None
        if token.expires_at is not None:
            stated = token.expires_at - (token.issued_at or wall)
        life = plan_lifetime(
            self._policy, stated, issued_at=issued_at, wall=wall, draw=self._draw()
        )
        return Held(token, life)

    def install(self, held: Held) -> None:
        """
        Put a token in place and forget the failures before it.

        Args:
            held: The token with its marks.
        """
        self.generation += 1
        self.held = held
        self.failure = None

    def postpone(self, seconds: float, generation: int) -> None:
        """
        Put the refresh off, since somebody else is at it.

        Args:
            seconds: How long.

            generation: The cache's when the refresh began.
        """
        held = self.held
        if held.life is not None and self.generation == generation:
            until = self._clock.monotonic() + seconds
            self.held = Held(held.token, held.life.postponed(until))

    def record(self, error: AritmaAuthError, generation: int) -> RetryState:
        """
        Remember a failed refresh and decide when the next may be tried.

        Args:
            error: What went wrong.

            generation: The cache's when the refresh began; if a token was put in place since, the
                failure is no longer of interest and is not remembered.
        """
        held = self.held
        life = held.life if held.is_alive(self.now()) else None
        failure = plan_retry(
            self._policy,
            error.copy(),
            self.failure,
            now=self._clock.monotonic(),
            draw=self._draw(),
            calm_until=None if life is None else life.must_refresh_at,
            alive_until=None if life is None else life.expires_at,
        )
        if self.generation == generation:
            self.failure = failure
        return failure

    def drop(self, token: Token) -> bool | None:
        """
        Drop a token that an API refused; its refresh token stays.

        Args:
            token: The refused token.

        Returns:
            Whether the gate let it; None if it is not the cached token any more.
        """
        held = self.held
        if held.life is None or not held.holds(token):
            return None
        gate = self._rejections.admit(
            self._policy, now=self._clock.monotonic(), lifetime=held.life.lifetime
        )
        if gate is None:
            return False
        self._rejections = gate
        self.rejected = token
        self.held = Held(held.token)
        return True

    def put(self, token: Token) -> Token:
        """
        Put a token in place that came by another way than a refresh.

        Args:
            token: The newest token.

        Returns:
            The same, with the time from which it counts.
        """
        now = self._clock.time()
        if not token.issued_at:
            token = attrs.evolve(token, issued_at=now)
        age = max(0.0, now - token.issued_at)
        self.install(self.hold(Obtained(token, self._clock.monotonic() - age)))
        return token

    def clear(self) -> None:
        """Forget the token; a refresh still under way puts none in its place."""
        self.held = _NOTHING
        self.failure = None
        self.generation += 1

    def error_of(self, failure: RetryState) -> AritmaAuthError:
        """
        Make one caller's own error of a failure.

        Args:
            failure: What every caller hears.
        """
        return failure.as_error(now=self._clock.monotonic())

    def seconds_to_retry(self, failure: RetryState) -> float:
        """
        Give the seconds before the next refresh may be tried.

        Args:
            failure: The failure that closed the gate.
        """
        return max(0.0, failure.not_before - self._clock.monotonic())

    def _later_clock(self) -> float:
        monotonic, life = self._clock.monotonic(), self.held.life
        return monotonic if life is None else life.now(monotonic=monotonic, wall=self._clock.time())

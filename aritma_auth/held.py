"""The cached token as a provider holds it, and as a health check may see it."""

import attrs

from aritma_auth.lifecycle import Failure, Freshness, Life, RefreshPolicy
from aritma_auth.protocol.tokens import Token


class Held:
    """
    The cached token with the two marks that the cached path compares.

    The marks are of the provider's clock; without a life the token is only kept for its refresh
    token.
    """

    __slots__ = ("expires_at", "life", "refresh_at", "token")

    def __init__(self, token: Token | None = None, life: Life | None = None) -> None:
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


@attrs.frozen
class ProviderStatus:
    """
    What a health check may show of a provider.

    Attributes:
        freshness: ``none``, ``fresh``, ``stale``, ``expiring`` or ``expired``.

        expires_in: Seconds that the token still lives, or None without one.

        refresh_in: Seconds until its renewal begins in the background, or None without one.

        is_renewing: A renewal is under way.

        failures: Renewals that failed in a row.

        retry_in: Seconds before the next renewal may be tried after failures, or None.

        last_error: Text of the last failure, or None.

        fingerprint: Eight hex digits of the token, or None.

        scope: What was granted, or None.
    """

    freshness: str
    expires_in: float | None
    refresh_in: float | None
    is_renewing: bool
    failures: int
    retry_in: float | None
    last_error: str | None
    fingerprint: str | None
    scope: tuple[str, ...] | None

    @classmethod
    def of(
        cls,
        held: Held,
        failure: Failure | None,
        *,
        now: float,
        monotonic: float,
        is_renewing: bool,
    ) -> "ProviderStatus":
        """
        Describe a provider.

        Args:
            held: Its cached token.

            failure: Its failures since the last success.

            now: Seconds of the clock that the token's marks are on.

            monotonic: Seconds of the clock that the failure's gate is on.

            is_renewing: A renewal is under way.
        """
        token = held.token if held.is_alive(now) else None
        return cls(
            freshness=held.freshness(now).value,
            expires_in=held.expires_at - now if token else None,
            refresh_in=max(0.0, held.refresh_at - now) if token else None,
            is_renewing=is_renewing,
            failures=0 if failure is None else failure.count,
            retry_in=None if failure is None else max(0.0, failure.not_before - monotonic),
            last_error=None if failure is None else str(failure.error),
            fingerprint=token.fingerprint if token else None,
            scope=token.scope if token else None,
        )

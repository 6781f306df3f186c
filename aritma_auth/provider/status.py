"""What a health check may show of a provider."""

import attrs

from aritma_auth.protocol.redaction import mask_hidden
from aritma_auth.provider.cache import TokenCache


@attrs.frozen
class ProviderStatus:
    """
    What a health check may show of a provider.

    Attributes:
        freshness: ``none``, ``fresh``, ``stale``, ``expiring`` or ``expired``.

        expires_in: Seconds that the token still lives, or None without one.

        refresh_in: Seconds until its refresh begins in the background, or None without one.

        is_refreshing: A refresh is under way.

        failures: Refreshes that failed in a row.

        retry_in: Seconds before the next refresh may be tried after failures, or None.

        last_error: Text of the last failure, or None.

        fingerprint: Eight hex digits of the token, or None.

        scope: What was granted, or None.
    """

    freshness: str
    expires_in: float | None
    refresh_in: float | None
    is_refreshing: bool
    failures: int
    retry_in: float | None
    last_error: str | None
    fingerprint: str | None
    scope: tuple[str, ...] | None

    @classmethod
    def of(cls, cache: TokenCache, *, is_refreshing: bool) -> "ProviderStatus":
        """Describe a provider by what it remembers."""
        current, failure, now = cache.current, cache.failure, cache.now()
        token = current.token if current.is_alive(now) else None
        return cls(
            freshness=current.freshness(now).value,
            expires_in=current.expires_at - now if token else None,
            refresh_in=max(0.0, current.refresh_at - now) if token else None,
            is_refreshing=is_refreshing,
            failures=0 if failure is None else failure.count,
            retry_in=None if failure is None else cache.seconds_to_retry(failure),
            last_error=None if failure is None else str(failure.error),
            fingerprint=token.fingerprint if token else None,
            scope=tuple(map(mask_hidden, token.scope))
            if token and token.scope is not None
            else None,
        )

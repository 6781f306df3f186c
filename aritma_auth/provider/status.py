"""What a health check may show of a provider and of a pool: values, and the same as JSON."""

import attrs

from aritma_auth.errors import printable
from aritma_auth.protocol.redaction import mask_hidden
from aritma_auth.provider.cache import TokenCache
from aritma_auth.provider.settings import Settings

SHOWN_FAILURES = 100
"""Failing providers that a pool's status describes at most."""


@attrs.frozen
class ProviderStatus:
    """
    What a health check may show of a provider.

    Attributes:
        issuer: The authorization server, tenant path included.

        client_id: The client's identifier.

        tenant: The tenant of the environment, or None.

        key: The provider's key in its pool, as the pool's ``label`` shows it, or None.

        grant: The grant type that the provider was made with.

        freshness: ``none``, ``fresh``, ``stale``, ``expiring`` or ``expired``.

        expires_in: Seconds that the token still lives, or None without one.

        refresh_in: Seconds until its refresh begins in the background, or None without one.

        is_refreshing: A refresh is under way.

        failures: Refreshes that failed in a row.

        failing_for: Seconds since the first of them, or None.

        retry_in: Seconds before the next refresh may be tried after failures, or None.

        last_error: Text of the last failure, or None.

        last_error_type: Name of its class, such as ``InvalidClientError``, or None.

        fingerprint: Eight hex digits of the token, or None.

        scope: What was granted, or None.
    """

    issuer: str
    client_id: str
    tenant: str | None
    key: str | None
    grant: str
    freshness: str
    expires_in: float | None
    refresh_in: float | None
    is_refreshing: bool
    failures: int
    failing_for: float | None
    retry_in: float | None
    last_error: str | None
    last_error_type: str | None
    fingerprint: str | None
    scope: tuple[str, ...] | None

    @classmethod
    def of(cls, settings: Settings, cache: TokenCache, *, is_refreshing: bool) -> "ProviderStatus":
        """Describe a provider by what it was made with, and by what it remembers."""
        current, failure, now = cache.current, cache.failure, cache.now()
        token = current.token if current.is_alive(now) else None
        environment, monotonic = settings.client.environment, settings.clock.monotonic()
        return cls(
            issuer=environment.issuer,
            client_id=settings.client.client_id,
            tenant=environment.tenant,
            key=printable(settings.key) or None,
            grant=settings.grant_name,
            freshness=current.freshness(now).value,
            expires_in=current.expires_at - now if token else None,
            refresh_in=max(0.0, current.refresh_at - now) if token else None,
            is_refreshing=is_refreshing,
            failures=0 if failure is None else failure.count,
            failing_for=None if failure is None else max(0.0, monotonic - failure.since),
            retry_in=None if failure is None else cache.seconds_to_retry(failure),
            last_error=None if failure is None else str(failure.error),
            last_error_type=None if failure is None else type(failure.error).__name__,
            fingerprint=token.fingerprint if token else None,
            scope=tuple(map(mask_hidden, token.scope))
            if token and token.scope is not None
            else None,
        )

    @property
    def has_token(self) -> bool:
        """There is a token that may be sent."""
        return self.expires_in is not None

    def as_dict(self) -> dict[str, object]:
        """Return the status for ``json.dumps``; docs/reference/status.md has its JSON schema."""
        described = attrs.asdict(self)
        return {**described, "has_token": self.has_token}


@attrs.frozen
class PoolStatus:
    """
    What a health check may show of a pool.

    Attributes:
        size: Providers that it holds.

        max_size: Providers that it holds at most, unless more of them must stay.

        refreshing: Providers whose refresh is under way.

        failing: Providers whose last refresh failed.

        without_token: Those of them whose calls fail, since no token lives.

        failures: Their statuses, those without a token first and then by the time since their first
            failure; at most 100.
    """

    size: int
    max_size: int
    refreshing: int
    failing: int
    without_token: int
    failures: tuple[ProviderStatus, ...]

    @classmethod
    def of(cls, statuses: list[ProviderStatus], max_size: int) -> "PoolStatus":
        """Describe a pool by its providers."""
        failing = [status for status in statuses if status.failures]
        failing.sort(key=lambda status: (status.has_token, -(status.failing_for or 0.0)))
        return cls(
            size=len(statuses),
            max_size=max_size,
            refreshing=sum(status.is_refreshing for status in statuses),
            failing=len(failing),
            without_token=sum(not status.has_token for status in failing),
            failures=tuple(failing[:SHOWN_FAILURES]),
        )

    def as_dict(self) -> dict[str, object]:
        """Return the status for ``json.dumps``; docs/reference/status.md has its JSON schema."""
        described = attrs.asdict(self, recurse=False)
        return {**described, "failures": [status.as_dict() for status in self.failures]}

"""Every number of a token's life, with its default."""

from typing import TypeVar

import attrs

from aritma_auth.errors import ConfigurationError

V = TypeVar("V", int, float)


class _Numbers:
    """Numbers with defaults; the ``repr`` shows those that were set."""

    __slots__ = ()

    def __repr__(self) -> str:
        cls: type[attrs.AttrsInstance] = type(self)  # type: ignore[assignment] # of the two below
        given = ((field, getattr(self, field.name)) for field in attrs.fields(cls))
        changed = (f"{field.name}={value!r}" for field, value in given if value != field.default)
        return f"{cls.__name__}({', '.join(changed)})"


def _positive(instance: object, attribute: "attrs.Attribute[V]", value: V) -> None:
    if not value > 0:
        raise ConfigurationError(
            f"{type(instance).__name__}: {attribute.name} must be greater than 0"
        )


def _share(instance: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigurationError(
            f"{type(instance).__name__}: {attribute.name} must be between 0 and 1"
        )


def _seconds(default: float) -> float:
    return attrs.field(default=default, validator=_positive)


def _fraction(default: float) -> float:
    return attrs.field(default=default, validator=_share)


@attrs.frozen(kw_only=True, repr=False)
class RefreshPolicy(_Numbers):
    """
    Every number of a token's life; all times in seconds.

    Attributes:
        background_window_fraction: Share of the lifetime, before its end, in which refresh goes on
            in the background.

        background_window_cap: That window at most.

        background_window_jitter: Share of that window over which its start is spread, so that a
            fleet does not move as one.

        blocking_window_fraction: Share of the lifetime, before its end, in which callers wait for a
            refresh.

        blocking_window_cap: That window at most.

        default_lifetime: Lifetime when the server states none (RFC 6749 §5.1 only recommends it).

        max_lifetime: Lifetime believed at most.

        refresh_timeout: One whole refresh, retries included.

        max_attempts: Requests in one refresh at most, when no live token is in hand.

        backoff_base: Longest first pause after a transient failure; doubles from there.

        backoff_cap: That pause at most.

        permanent_error_backoff_base: First pause after a permanent no; doubles from there.

        permanent_error_backoff_cap: That pause at most.

        retry_after_cap: A server's ``Retry-After`` is obeyed up to this.

        retry_after_jitter: Share by which such a pause is stretched at most.

        forced_refresh_interval_base: After a refresh that an API's 401 forced, no other is forced
            for so long, or for half the token's lifetime if that is shorter.

        forced_refresh_interval_cap: That pause at most, when the API keeps refusing.
    """

    background_window_fraction: float = _fraction(0.25)
    background_window_cap: float = _seconds(900.0)
    background_window_jitter: float = _fraction(0.5)
    blocking_window_fraction: float = _fraction(0.05)
    blocking_window_cap: float = _seconds(60.0)
    default_lifetime: float = _seconds(300.0)
    max_lifetime: float = _seconds(30 * 86400.0)
    refresh_timeout: float = _seconds(30.0)
    max_attempts: int = attrs.field(default=3, validator=_positive)
    backoff_base: float = _seconds(1.0)
    backoff_cap: float = _seconds(300.0)
    permanent_error_backoff_base: float = _seconds(1.0)
    permanent_error_backoff_cap: float = _seconds(300.0)
    retry_after_cap: float = _seconds(3600.0)
    retry_after_jitter: float = _fraction(0.1)
    forced_refresh_interval_base: float = _seconds(30.0)
    forced_refresh_interval_cap: float = _seconds(300.0)


@attrs.frozen(kw_only=True, repr=False)
class SharingPolicy(_Numbers):
    """
    How processes that share a store share one refresh; all times in seconds.

    Attributes:
        lease: How long the right to refresh lasts when its holder dies.

        max_lease: How long one refresh may keep it.

        recheck_interval: While somebody else refreshes a token that still lives: when to look
            again.

        min_poll: While somebody else refreshes and callers wait: when to look first; the pauses
            grow from there.

        max_poll: Those pauses at most.

        store_timeout: One operation of the store.

        store_retry_interval: After a failed one the store is left alone for so long.

        shared_backoff_cap: A failure without ``Retry-After`` keeps the whole fleet from asking for
            so long at most; lower than a process's own, so that a server that is back is soon used.

        redemption_timeout: A refresh token that somebody began to exchange and whose successor has
            not come is presented again after so long: the time-out of that request.

        store_loss_grace: After the store has lost its memory: how long to wait for a process that
            knows a newer refresh token than this one.

        refresh_without_store: A one-time refresh token is presented although the store is away.
            Only for servers with a grace for tokens presented twice: others end the sign-in.
    """

    lease: float = _seconds(10.0)
    max_lease: float = _seconds(60.0)
    recheck_interval: float = _seconds(1.0)
    min_poll: float = _seconds(0.02)
    max_poll: float = _seconds(0.25)
    store_timeout: float = _seconds(5.0)
    store_retry_interval: float = _seconds(2.0)
    shared_backoff_cap: float = _seconds(30.0)
    redemption_timeout: float = _seconds(10.0)
    store_loss_grace: float = _seconds(1.0)
    refresh_without_store: bool = False

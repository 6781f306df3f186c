"""Every number of a token's life, with its default."""

import sys
from typing import TypeVar

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.runtime.values import Value

V = TypeVar("V", int, float)


class Numbers(Value):
    """Numbers with defaults; the ``repr`` shows those that were set."""

    __slots__ = ()

    def __repr__(self) -> str:
        cls = type(self)
        given = ((field, getattr(self, field.name)) for field in attrs.fields(cls))
        changed = (f"{field.name}={value!r}" for field, value in given if value != field.default)
        return f"{cls.__name__}({', '.join(changed)})"


def require(instance: object, name: str, value: object, required: str, *, holds: bool) -> None:
    """Raise an error that names a policy's argument unless the rule holds."""
    if not holds:
        found = repr(value) if isinstance(value, int | float) else f"of type {type(value).__name__}"
        raise ConfigurationError(
            f"{type(instance).__name__}: {name} must be {required}; it is {found}"
        )


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number."""
    # Compared, not converted: an int may be larger than any float; and nan compares to nothing.
    limit = sys.float_info.max
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= limit


def _seconds_above_zero(instance: object, attribute: "attrs.Attribute[V]", value: V) -> None:
    holds = is_number(value) and value > 0
    require(instance, attribute.name, value, "a number of seconds, more than 0", holds=holds)


def _from_zero_to_one(instance: object, attribute: "attrs.Attribute[V]", value: V) -> None:
    holds = is_number(value) and 0 <= value <= 1
    require(instance, attribute.name, value, "a number from 0 to 1", holds=holds)


def _at_least_one(instance: object, attribute: "attrs.Attribute[int]", value: object) -> None:
    holds = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    require(instance, attribute.name, value, "a whole number, 1 or more", holds=holds)


def seconds(default: float) -> float:
    """Return a field of seconds above zero."""
    return attrs.field(default=default, validator=_seconds_above_zero)


def _fraction(default: float) -> float:
    return attrs.field(default=default, validator=_from_zero_to_one)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class RefreshPolicy(Numbers):
    """
    Every number of a token's life; all times in seconds.

    Attributes:
        background_window_fraction: A refresh starts in the background when this fraction of the
            token's lifetime is left; the token is served meanwhile.

        background_window_cap: A refresh starts in the background no earlier than this before the
            token's end, however long it lives.

        background_window_jitter: The start of the background refresh is drawn anew for each token,
            within this fraction of the window, so that many processes do not refresh at once.

        blocking_window_fraction: Callers wait for the refresh when this fraction of the token's
            lifetime is left; if the refresh fails they still get the token.

        blocking_window_cap: Callers wait no earlier than this before the token's end.

        default_lifetime: A token counts as this long-lived if the server states no ``expires_in``
            (RFC 6749 §5.1 only recommends it).

        max_lifetime: A token counts as no longer-lived than this, whatever the server states.

        refresh_timeout: One refresh ends after this, with a failure if need be: loading the secret,
            all attempts and the pauses between them.

        max_attempts: One refresh sends at most this many token requests. Only the first refresh
            after a success sends more than one, and only if no living token is cached.

        backoff_base: The unit of the pauses after refreshes that failed transiently. The first
            pause is 1.4 to 1.8 times as long, the second and third 1.8 times; then a limit of 1.8
            doubles with each failure, and a pause is drawn from its upper half. An outage of 5 s
            gets three token requests, one of 60 s at most eight, and a short one's end is noticed
            within 2 s. The pauses between the attempts of one refresh are up to 1, 2, 4 … times as
            long, since callers wait.

        backoff_cap: No pause after transient failures is longer than this.

        permanent_error_backoff_base: The first pause after a permanent failure; each further one
            doubles it. Meanwhile a caller looks this often whether the credential has changed.

        permanent_error_backoff_cap: No pause after permanent failures is longer than this.

        retry_after_cap: A server's ``Retry-After`` is obeyed up to this.

        retry_after_jitter: Such a pause is stretched by up to this fraction of it.

        forced_refresh_interval_base: After an API's 401 has forced a refresh, no other 401 forces
            one for this long, or for half of the token's lifetime if that is shorter.

        forced_refresh_interval_cap: That interval doubles up to this while the API keeps rejecting.

        on_token_timeout: One call of a provider's ``on_token`` ends after this, with a failure if
            need be; callers wait that long for a new token.

    Raises:
        ConfigurationError: A number makes no sense; the message names it.
    """

    background_window_fraction: float = _fraction(0.25)
    background_window_cap: float = seconds(900.0)
    background_window_jitter: float = _fraction(0.5)
    blocking_window_fraction: float = _fraction(0.05)
    blocking_window_cap: float = seconds(60.0)
    default_lifetime: float = seconds(300.0)
    max_lifetime: float = seconds(30 * 86400.0)
    refresh_timeout: float = seconds(30.0)
    max_attempts: int = attrs.field(default=3, validator=_at_least_one)
    backoff_base: float = seconds(1.0)
    backoff_cap: float = seconds(300.0)
    permanent_error_backoff_base: float = seconds(1.0)
    permanent_error_backoff_cap: float = seconds(300.0)
    retry_after_cap: float = seconds(3600.0)
    retry_after_jitter: float = _fraction(0.1)
    forced_refresh_interval_base: float = seconds(30.0)
    forced_refresh_interval_cap: float = seconds(300.0)
    on_token_timeout: float = seconds(10.0)

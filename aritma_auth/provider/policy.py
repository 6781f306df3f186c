"""Every number of a token's life and of sharing its refresh, with its default."""

import math
from typing import TypeVar

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.runtime.values import Value

V = TypeVar("V", int, float)


class _Numbers(Value):
    """Numbers with defaults; the ``repr`` shows those that were set."""

    __slots__ = ()

    def __repr__(self) -> str:
        cls: type[attrs.AttrsInstance] = type(self)  # type: ignore[assignment] # of the two below
        given = ((field, getattr(self, field.name)) for field in attrs.fields(cls))
        changed = (f"{field.name}={value!r}" for field, value in given if value != field.default)
        return f"{cls.__name__}({', '.join(changed)})"


def _require(instance: object, name: str, value: object, required: str, *, holds: bool) -> None:
    if not holds:
        found = repr(value) if isinstance(value, int | float) else f"of type {type(value).__name__}"
        raise ConfigurationError(
            f"{type(instance).__name__}: {name} must be {required}; it is {found}"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _seconds_above_zero(instance: object, attribute: "attrs.Attribute[V]", value: V) -> None:
    holds = _is_number(value) and value > 0
    _require(instance, attribute.name, value, "a number of seconds, more than 0", holds=holds)


def _from_zero_to_one(instance: object, attribute: "attrs.Attribute[V]", value: V) -> None:
    holds = _is_number(value) and 0 <= value <= 1
    _require(instance, attribute.name, value, "a number from 0 to 1", holds=holds)


def _at_least_one(instance: object, attribute: "attrs.Attribute[int]", value: object) -> None:
    holds = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    _require(instance, attribute.name, value, "a whole number, 1 or more", holds=holds)


def _yes_or_no(instance: object, attribute: "attrs.Attribute[bool]", value: object) -> None:
    holds = isinstance(value, bool)
    _require(instance, attribute.name, value, "True or False", holds=holds)


def _zero_or_more(instance: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    holds = _is_number(value) and value >= 0
    _require(instance, attribute.name, value, "a number of seconds, 0 or more", holds=holds)


def _seconds(default: float) -> float:
    return attrs.field(default=default, validator=_seconds_above_zero)


def _fraction(default: float) -> float:
    return attrs.field(default=default, validator=_from_zero_to_one)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class RefreshPolicy(_Numbers):
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

        backoff_base: The first pause after a transient failure is at most this long; each further
            failure doubles it.

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
    background_window_cap: float = _seconds(900.0)
    background_window_jitter: float = _fraction(0.5)
    blocking_window_fraction: float = _fraction(0.05)
    blocking_window_cap: float = _seconds(60.0)
    default_lifetime: float = _seconds(300.0)
    max_lifetime: float = _seconds(30 * 86400.0)
    refresh_timeout: float = _seconds(30.0)
    max_attempts: int = attrs.field(default=3, validator=_at_least_one)
    backoff_base: float = _seconds(1.0)
    backoff_cap: float = _seconds(300.0)
    permanent_error_backoff_base: float = _seconds(1.0)
    permanent_error_backoff_cap: float = _seconds(300.0)
    retry_after_cap: float = _seconds(3600.0)
    retry_after_jitter: float = _fraction(0.1)
    forced_refresh_interval_base: float = _seconds(30.0)
    forced_refresh_interval_cap: float = _seconds(300.0)
    on_token_timeout: float = _seconds(10.0)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class SharingPolicy(_Numbers):
    """
    Every number of sharing one refresh through a store; all times in seconds.

    Attributes:
        lease: The right to refresh ends this long after the process that held it has died.

        max_lease: One refresh keeps that right no longer than this.

        recheck_interval: While another process refreshes and the cached token lives, the store is
            looked at again after about this.

        min_poll: While another process refreshes and callers wait, the store is looked at first
            after about this; the pauses grow from there.

        max_poll: Those pauses grow up to this.

        store_timeout: One operation of the store ends after this, with a failure if need be.

        store_retry_interval: After a failed operation the store is left alone for this long.

        shared_backoff_cap: A transient failure without ``Retry-After`` keeps all processes from
            sending a token request for at most this long. It is lower than one process's own cap,
            so that a server that is back is soon used.

        redemption_timeout: A refresh token that is being exchanged, and whose successor does not
            come, is presented again after this: the time-out of a token request. No longer than
            ``RefreshPolicy.refresh_timeout``, which ends each request too.

        store_loss_grace: After the store has lost its memory, wait this long for a process that
            knows a newer refresh token than this one.

        refresh_without_store: Present a one-time refresh token although the store is away. Only for
            servers with a grace for tokens that are presented twice: others end the sign-in. One
            that the server lets be reused is presented in any case.

    Raises:
        ConfigurationError: A number makes no sense; the message names it.
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
    refresh_without_store: bool = attrs.field(default=False, validator=_yes_or_no)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class RefreshTokenUsage(_Numbers):
    """
    What the server does with a refresh token that is presented again.

    It decides what follows when the response to a refresh was lost, so that nobody knows whether
    the refresh token is spent. By default it may be, and the refresh is not repeated within the
    same flight: to a server that detects reuse it would look stolen.

    Attributes:
        reusable: The refresh token stays valid (IdentityServer's ``ReUse``). A refresh whose
            response was lost is repeated like any other request, and processes that share a store
            need not mark the token before they present it.

        grace: Seconds for which a spent refresh token is accepted again after its first use; 30 to
            60 where servers have such a grace. A refresh whose response was lost is then repeated
            as soon as the first request must be over (``SharingPolicy.redemption_timeout``), and
            within the grace: that must be longer, and ``RefreshPolicy.refresh_timeout`` too.

    Raises:
        ConfigurationError: An argument makes no sense; the message names it.

    Spec: RFC 6749 §6; RFC 9700 §4.14.2.
    """

    reusable: bool = attrs.field(default=False, validator=_yes_or_no)
    grace: float = attrs.field(default=0.0, validator=_zero_or_more)

    def __attrs_post_init__(self) -> None:
        holds = not (self.reusable and self.grace)
        _require(self, "grace", self.grace, "0 for a reusable refresh token", holds=holds)


ONE_TIME = RefreshTokenUsage()
"""A refresh token may be spent at its first use."""

_ENOUGH = 0.15
"""Part of ``redemption_timeout`` that must be left when a one-time refresh token is presented."""


def enough_to_redeem(sharing: SharingPolicy) -> float:
    """
    Return the seconds that must be left of a refresh when it presents a one-time refresh token.

    A request that is cut off at once loses the successor, although nothing was wrong.
    """
    return sharing.redemption_timeout * _ENOUGH


def fit_together(
    policy: RefreshPolicy, sharing: SharingPolicy, usage: RefreshTokenUsage
) -> SharingPolicy:
    """
    Return the numbers of sharing as they are beside those of a refresh.

    Raises:
        ConfigurationError: The refresh would end, or the server's grace, before a lost refresh is
            repeated.
    """
    longest, redemption = policy.refresh_timeout, sharing.redemption_timeout
    if usage.grace:
        needed = f"for the repetition after SharingPolicy.redemption_timeout ({redemption:g} s)"
        _require(
            usage,
            "grace",
            usage.grace,
            f"0, or longer than {redemption:g} s {needed}",
            holds=usage.grace > redemption,
        )
        least = redemption + enough_to_redeem(sharing)
        _require(
            policy,
            "refresh_timeout",
            longest,
            f"longer than {least:g} s {needed}, since refresh_tokens has a grace",
            holds=longest > least,
        )
    # No request outlives its refresh, so that nobody has to wait longer than that for its end.
    return sharing if redemption <= longest else attrs.evolve(sharing, redemption_timeout=longest)

"""Every number of a token's life, with its default."""

from typing import TypeVar

import attrs

from aritma_auth.errors import ConfigurationError

V = TypeVar("V", int, float)


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


@attrs.frozen(kw_only=True)
class RefreshPolicy:
    """
    Every number of a token's life; all times in seconds.

    Attributes:
        soft_fraction: Share of the lifetime, before its end, in which renewal goes on in the
            background.

        soft_cap: That window at most.

        soft_jitter: Share of that window over which its start is spread, so that a fleet does not
            move as one.

        hard_fraction: Share of the lifetime, before its end, in which callers wait for a renewal.

        hard_cap: That window at most.

        assumed_lifetime: Lifetime when the server states none (RFC 6749 §5.1 only recommends it).

        longest_lifetime: Lifetime believed at most.

        renewal_timeout: One whole renewal, retries included.

        attempts: Requests in one renewal at most, when no live token is in hand.

        backoff_base: Longest first pause after a transient failure; doubles from there.

        backoff_cap: That pause at most.

        refusal_base: First pause after a permanent no; doubles from there.

        refusal_cap: That pause at most.

        retry_after_cap: A server's ``Retry-After`` is obeyed up to this.

        retry_after_jitter: Share by which such a pause is stretched at most.

        rejection_base: After a renewal that an API's 401 forced, no other is forced for so long,
            or for half the token's lifetime if that is shorter.

        rejection_cap: That pause at most, when the API keeps refusing.
    """

    soft_fraction: float = _fraction(0.25)
    soft_cap: float = _seconds(900.0)
    soft_jitter: float = _fraction(0.5)
    hard_fraction: float = _fraction(0.05)
    hard_cap: float = _seconds(60.0)
    assumed_lifetime: float = _seconds(300.0)
    longest_lifetime: float = _seconds(30 * 86400.0)
    renewal_timeout: float = _seconds(30.0)
    attempts: int = attrs.field(default=3, validator=_positive)
    backoff_base: float = _seconds(1.0)
    backoff_cap: float = _seconds(300.0)
    refusal_base: float = _seconds(1.0)
    refusal_cap: float = _seconds(300.0)
    retry_after_cap: float = _seconds(3600.0)
    retry_after_jitter: float = _fraction(0.1)
    rejection_base: float = _seconds(30.0)
    rejection_cap: float = _seconds(300.0)


@attrs.frozen(kw_only=True)
class SharingPolicy:
    """
    How processes that share a store share one renewal; all times in seconds.

    Attributes:
        lease: How long the right to renew lasts when its holder dies.

        longest_lease: How long one renewal may keep it.

        look_again: While somebody else renews a token that still lives: when to look again.

        first_poll: While somebody else renews and callers wait: when to look first; the pauses
            grow from there.

        longest_poll: Those pauses at most.

        store_timeout: One operation of the store.

        store_pause: After a failed one the store is left alone for so long.

        gate_cap: A failure without ``Retry-After`` keeps the whole fleet from asking for so long at
            most; lower than a process's own, so that a server that is back is soon used.

        redeeming: A refresh token that somebody began to exchange and whose successor has not come
            is presented again after so long: the time-out of that request.

        settle: After the store has lost its memory: how long to wait for a process that knows a
            newer refresh token than this one.

        redeems_without_lock: A one-time refresh token is presented although the store is away.
            Only for servers with a grace for tokens presented twice: others end the sign-in.
    """

    lease: float = _seconds(10.0)
    longest_lease: float = _seconds(60.0)
    look_again: float = _seconds(1.0)
    first_poll: float = _seconds(0.02)
    longest_poll: float = _seconds(0.25)
    store_timeout: float = _seconds(5.0)
    store_pause: float = _seconds(2.0)
    gate_cap: float = _seconds(30.0)
    redeeming: float = _seconds(10.0)
    settle: float = _seconds(1.0)
    redeems_without_lock: bool = False

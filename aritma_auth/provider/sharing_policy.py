"""Every number of sharing a refresh, and what a server does with refresh tokens."""

import attrs

from aritma_auth.provider.policy import Numbers, RefreshPolicy, is_number, require, seconds


def _yes_or_no(instance: object, attribute: "attrs.Attribute[bool]", value: object) -> None:
    holds = isinstance(value, bool)
    require(instance, attribute.name, value, "True or False", holds=holds)


def _zero_or_more(instance: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    holds = is_number(value) and value >= 0
    require(instance, attribute.name, value, "a number of seconds, 0 or more", holds=holds)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class SharingPolicy(Numbers):
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

        store_retry_interval: After a failed operation the store is left alone for this long; a
            sign-in, a ``forget`` and the end of the provider ask it all the same.

        shared_backoff_cap: A transient failure without ``Retry-After`` keeps all processes from
            sending a token request for at most this long. It is lower than one process's own cap,
            so that a server that is back is soon used.

        redemption_timeout: A refresh token that is being exchanged, and whose successor does not
            come, is presented again after this: the time-out of a token request. No longer than
            ``RefreshPolicy.refresh_timeout``, which ends each request too. Callers without a token
            wait as long for a store that has gone away.

        store_loss_grace: After the store has lost its memory, wait this long for a process that
            knows a newer refresh token than this one.

        refresh_without_store: Present a one-time refresh token although the store is away. Only for
            servers with a grace for tokens that are presented twice: others end the sign-in. One
            that the server lets be reused is presented in any case.

    Raises:
        ConfigurationError: A number makes no sense; the message names it.
    """

    lease: float = seconds(10.0)
    max_lease: float = seconds(60.0)
    recheck_interval: float = seconds(1.0)
    min_poll: float = seconds(0.02)
    max_poll: float = seconds(0.25)
    store_timeout: float = seconds(5.0)
    store_retry_interval: float = seconds(2.0)
    shared_backoff_cap: float = seconds(30.0)
    redemption_timeout: float = seconds(10.0)
    store_loss_grace: float = seconds(1.0)
    refresh_without_store: bool = attrs.field(default=False, validator=_yes_or_no)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class RefreshTokenUsage(Numbers):
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
        require(self, "grace", self.grace, "0 for a reusable refresh token", holds=holds)


ONE_TIME = RefreshTokenUsage()
"""A refresh token may be spent at its first use."""

DEFAULT_SHARING = SharingPolicy()

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
        require(
            usage,
            "grace",
            usage.grace,
            f"0, or longer than {redemption:g} s {needed}",
            holds=usage.grace > redemption,
        )
        least = redemption + enough_to_redeem(sharing)
        require(
            policy,
            "refresh_timeout",
            longest,
            f"longer than {least:g} s {needed}, since refresh_tokens has a grace",
            holds=longest > least,
        )
    # No request outlives its refresh, so that nobody has to wait longer than that for its end.
    return sharing if redemption <= longest else attrs.evolve(sharing, redemption_timeout=longest)

"""What a provider is made with, and what it needs of a client."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import attrs

from aritma_auth import events
from aritma_auth.environment import Environment
from aritma_auth.errors import AritmaAuthError, printable, require_instance, wrong_kind
from aritma_auth.events.listeners import notify, require_listener, takes_routine
from aritma_auth.protocol.client_auth import ClientAuth
from aritma_auth.protocol.credentials import CredentialSource
from aritma_auth.protocol.grants import Grant
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.backoff import RetryState
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.tasks import WorkBrokenOffError, run_within
from aritma_auth.runtime.values import Value

if TYPE_CHECKING:
    from aritma_auth.events.base import E, Event, Listener
    from aritma_auth.provider.announcer import TokenAnnouncer, TokenCallback
    from aritma_auth.provider.bound_requests import RequestProofs
    from aritma_auth.provider.sharing_policy import RefreshTokenUsage, SharingPolicy
    from aritma_auth.stores import TokenStore

CLOSED = "this TokenProvider is closed: make a new one"


class TokenSource(Protocol):
    """What a provider needs of a client; `aritma_auth.OAuthClient` is one."""

    @property
    def client_id(self) -> str:
        """The client's identifier."""
        ...

    @property
    def client_auth(self) -> ClientAuth:
        """How the client authenticates; a refused token request is repeated once it changes."""
        ...

    @property
    def environment(self) -> Environment:
        """The authorization server and its APIs."""
        ...

    @property
    def clock_skew(self) -> float:
        """Seconds that the server's clock is ahead of ours."""
        ...

    async def fetch_token(self, grant: Grant, *, timeout: float | None = None) -> Token:
        """
        Ask the token endpoint for a token, now.

        Args:
            grant: What entitles the client to the token.

            timeout: Seconds for the request, or None for the client's own.

        Raises:
            AritmaAuthError: No token came.
        """
        ...


_COMPARED_WITHIN = 3.0
"""Seconds to load a secret that is only compared: the refresh's own time has been used by then."""

_MEMBERS = ("client_id", "client_auth", "environment", "clock_skew", "fetch_token")


@attrs.frozen(weakref_slot=False, eq=False, repr=False)
class Settings(Value):
    """What a provider was made with; the names are those of its arguments."""

    client: TokenSource
    grant: Grant
    store: "TokenStore | None"
    policy: RefreshPolicy
    _sharing: "SharingPolicy | None"
    clock: Clock
    draw: Callable[[], float]
    on_event: "Listener | None"
    key: str = ""
    on_token: "TokenAnnouncer | None" = None
    _refresh_tokens: "RefreshTokenUsage | None" = None

    @property
    def sharing(self) -> "SharingPolicy":
        """The numbers of sharing; their defaults are loaded when first used, as by a store."""
        from aritma_auth.provider.sharing_policy import DEFAULT_SHARING, fit_together

        given = DEFAULT_SHARING if self._sharing is None else self._sharing
        return fit_together(self.policy, given, self.refresh_tokens)

    @property
    def refresh_tokens(self) -> "RefreshTokenUsage":
        """What the server does with refresh tokens; the default is loaded when first used."""
        from aritma_auth.provider.sharing_policy import ONE_TIME

        return ONE_TIME if self._refresh_tokens is None else self._refresh_tokens

    @property
    def grant_name(self) -> str:
        """The grant type, or the class of a grant without a registered one."""
        return self.grant.grant_type or type(self.grant).__name__

    @property
    def proofs(self) -> "RequestProofs | None":
        """What makes the proofs of a client whose tokens are bound to a key, or None."""
        return getattr(self.client, "proofs", None)

    def label(self, event: "E") -> "E":
        """Say in an event whose token it is about."""
        client = self.client
        environment = client.environment
        return attrs.evolve(
            event,
            issuer=environment.issuer,
            client_id=client.client_id,
            tenant=environment.tenant or "",
            key=printable(self.key),
            grant=self.grant_name,
            scope=self.grant.scope or (),
        )

    def report(self, event: "Event") -> None:
        """Tell the listener, if there is one, what happened and whose token it is about."""
        if self.on_event is not None:
            notify(self.on_event, self.label(event))

    def report_routine(self, make: "Callable[[], Event]") -> None:
        """Report an event of every healthy refresh; it is made only if the listener takes it."""
        if takes_routine(self.on_event):
            self.report(make())

    def report_recovery(self, failure: RetryState | None, now: float) -> None:
        """Report that there is a token again, if refreshes had failed."""
        if failure is not None:
            self.report(events.RefreshRecovered(now - failure.since, failure.count))


def make_settings(
    client: TokenSource,
    grant: Grant,
    *,
    store: "TokenStore | None",
    policy: RefreshPolicy,
    sharing: "SharingPolicy | None",
    clock: Clock,
    on_event: "Listener | None",
    on_token: "TokenCallback | None",
    refresh_tokens: "RefreshTokenUsage | None",
    draw: Callable[[], float],
) -> Settings:
    """
    Check the arguments of a provider.

    Raises:
        ConfigurationError: One is of the wrong kind; the message names it.
    """
    if isinstance(client, type) or not all(hasattr(client, name) for name in _MEMBERS):
        raise wrong_kind("client", "a TokenSource, such as OAuthClient(client_id, secret)", client)
    require_instance(
        "grant", 'a grant, such as ClientCredentialsGrant("bankservice")', grant, Grant
    )
    require_instance("policy", "a RefreshPolicy", policy, RefreshPolicy)
    if sharing is not None or refresh_tokens is not None:
        _require_sharing(policy, sharing, refresh_tokens)
    if clock is not SYSTEM_CLOCK:
        from aritma_auth.caller_code import require_clock  # tests and simulations have one

        clock = require_clock(clock)
    require_listener(on_event)
    settings = Settings(
        client,
        grant,
        store,
        policy,
        sharing,
        clock,
        draw,
        on_event,
        refresh_tokens=refresh_tokens,
    )
    if store is not None:
        from aritma_auth.stores.key import store_for  # with a store only

        settings = attrs.evolve(settings, store=store_for(grant, store, settings.report))
    if on_token is not None:
        from aritma_auth.provider.announcer import (
            TokenAnnouncer,
            require_callback,
        )  # with a callback only

        require_callback(on_token)
        settings = attrs.evolve(settings, on_token=TokenAnnouncer(on_token, policy, draw))
    return settings


def _require_sharing(
    policy: RefreshPolicy,
    sharing: "SharingPolicy | None",
    refresh_tokens: "RefreshTokenUsage | None",
) -> None:
    from aritma_auth.provider import sharing_policy as numbers  # few give any

    sharing = numbers.DEFAULT_SHARING if sharing is None else sharing
    usage = numbers.ONE_TIME if refresh_tokens is None else refresh_tokens
    require_instance("sharing", "a SharingPolicy", sharing, numbers.SharingPolicy)
    require_instance("refresh_tokens", "a RefreshTokenUsage", usage, numbers.RefreshTokenUsage)
    numbers.fit_together(policy, sharing, usage)


async def credential_fingerprint(settings: Settings) -> str:
    """
    Return a text that changes with the client's secret and with what the grant presents.

    Where a secret cannot be loaded, the reason stands for it.
    """
    found = []
    if settings.client.client_auth.secret is not None:
        found.append(await _fingerprint_of(settings.client.client_auth.secret, settings.policy))
    for source in settings.grant.sources().values():
        key, peek = getattr(source, "key", None), getattr(source, "peek", None)
        if isinstance(key, CredentialSource):
            found.append(await _fingerprint_of(key, settings.policy))
        # A new sign-in of the subject's may be presented at once.
        found.append("" if peek is None else _fingerprint_of_subject(peek))
    return " ".join(found)


def _fingerprint_of_subject(peek: Callable[[], Token | None]) -> str:
    from aritma_auth.caller_code import call  # few grants have a subject

    try:
        token = call("peek", peek)
    except AritmaAuthError as error:
        return str(error)
    return "" if token is None else token.fingerprint


async def _fingerprint_of(secret: CredentialSource, policy: RefreshPolicy) -> str:
    async def load() -> str:
        return (await secret.load()).fingerprint

    try:
        return await run_within(min(policy.refresh_timeout, _COMPARED_WITHIN), load())
    except AritmaAuthError as error:
        return str(error)
    except WorkBrokenOffError as broken:
        return broken.raised
    except Exception as error:  # noqa: BLE001 - a secret's own callable or class may raise anything
        return type(error).__name__

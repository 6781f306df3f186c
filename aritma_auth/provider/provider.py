"""The token cache: one token, refreshed before it is needed, shared by every caller."""

import asyncio
import contextlib
import os
import random
import weakref
from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import TYPE_CHECKING, Self, Unpack

from aritma_auth import events
from aritma_auth.environment import PRODUCTION, Environment
from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    ProviderClosedError,
    TokenTimeoutError,
    TransportError,
    require_seconds,
    wrong_kind,
)
from aritma_auth.events.listeners import log_event
from aritma_auth.protocol.grants import ClientCredentialsGrant, Grant
from aritma_auth.protocol.tokens import Token, find_unsendable
from aritma_auth.provider.backoff import RetryState
from aritma_auth.provider.cache import IssuedToken, TokenCache
from aritma_auth.provider.lifecycle import Action
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.provider.settings import CLOSED, TokenSource, make_settings
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.closing import AsyncCloseable
from aritma_auth.runtime.hidden_arguments import hides_arguments, hides_awaited_arguments
from aritma_auth.runtime.lock import STATE_LOCK

if TYPE_CHECKING:
    import aiohttp

    from aritma_auth.configuration.registration import Registration
    from aritma_auth.events.base import E, Listener
    from aritma_auth.protocol.client_auth import ClientAuth
    from aritma_auth.provider.announcer import TokenCallback
    from aritma_auth.provider.bound_requests import RequestProofs
    from aritma_auth.provider.middleware import BearerMiddleware
    from aritma_auth.provider.options import ProviderOptions
    from aritma_auth.provider.refresh import Outcome, TokenRefresher
    from aritma_auth.provider.sharing_policy import RefreshTokenUsage, SharingPolicy
    from aritma_auth.provider.status import ProviderStatus
    from aritma_auth.runtime.single_flight import Flight, SingleFlight
    from aritma_auth.secret import Secret
    from aritma_auth.stores import TokenStore

_POLICY = RefreshPolicy()

_ROUNDS = 10
"""Flights that a caller joins before it gives up: each was lost, or its token ended at once."""

_FOREVER = 10 * 365 * 86_400.0

_STAY = 1.0
"""Seconds that a caller on a short-lived loop stays for a refresh in the background."""


class TokenProvider(AsyncCloseable):
    """
    Gives a token that works, refreshed before it is needed, with one request at a time.

    Any number of coroutines, event loops and threads may share one provider. Cancelling one of
    them ends its own wait and nothing else.

    Args:
        client: Sends the token requests; usually an `OAuthClient`.

        grant: What entitles the client to its first token.

        store: Keeps tokens beyond this provider's own memory: across restarts, and for others. A
            PasswordGrant and a SignedInGrant without end_user take part in no store.

        policy: The numbers of a token's life.

        sharing: The numbers of sharing its refresh through the store; None takes the defaults.

        clock: The clocks of the token's life.

        on_event: Receives the events; by default they are logged. It must not block.

        on_token: A coroutine function that keeps each new token for you, as in a database of your
            own: awaited before the token is given to anybody, one call at a time, and called again
            later if it fails. It receives None when the token is forgotten. It must not await this
            provider. Tokens that another process has stored are that process's to tell.

        refresh_tokens: What the server does with a refresh token that is presented again; None
            takes it for spent at its first use.

        draw: Random numbers in [0, 1) for the jitter; only tests give their own.

    Raises:
        ConfigurationError: An argument is of the wrong kind; the message names it.

    Source: Aritma's authentication page ("Reuse the access token until it expires").
    """

    __slots__ = (
        "__weakref__",
        "_cache",
        "_home",
        "_is_closed",
        "_is_in_background",
        "_is_wanted",
        "_must_stay",
        "_refresher",
        "_settings",
    )

    @hides_arguments
    def __init__(
        self,
        client: TokenSource,
        grant: Grant,
        *,
        store: "TokenStore | None" = None,
        policy: RefreshPolicy = _POLICY,
        sharing: "SharingPolicy | None" = None,
        clock: Clock = SYSTEM_CLOCK,
        on_event: "Listener | None" = log_event,
        on_token: "TokenCallback | None" = None,
        refresh_tokens: "RefreshTokenUsage | None" = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings = make_settings(
            client,
            grant,
            store=store,
            policy=policy,
            sharing=sharing,
            clock=clock,
            on_event=on_event,
            on_token=on_token,
            refresh_tokens=refresh_tokens,
            draw=draw,
        )
        self._cache = TokenCache(settings.policy, settings.clock, settings.draw)
        self._refresher: TokenRefresher | None = None
        # The first event loop that needed a refresh, and whether another one has been seen since.
        self._home: weakref.ref[asyncio.AbstractEventLoop] | None = None
        self._must_stay = False
        self._is_in_background = False
        self._is_closed = False
        # The reference bit of a pool's second-chance eviction.
        self._is_wanted = False

    @classmethod
    @hides_arguments
    def client_credentials(
        cls,
        client_id: str,
        client_auth: "str | Secret | ClientAuth",
        *,
        scope: str | Iterable[str] | None = "bankservice",
        environment: Environment | str = PRODUCTION,
        session: "aiohttp.ClientSession | None" = None,
        **options: "Unpack[ProviderOptions]",
    ) -> Self:
        """
        Make a provider for a service with a client id and a secret, in one line.

        Args:
            client_id: The client's identifier, as Aritma gave it.

            client_auth: The secret, or another way for the client to authenticate.

            scope: Scope to ask for; None sends none.

            environment: Where Aritma ID is, or an issuer's URL.

            session: An ``aiohttp.ClientSession`` whose connections token requests use.

            options: As for `TokenProvider` itself; ``clock`` is the client's too.

        Spec: RFC 6749 §4.4; Aritma's authentication page.
        """
        from aritma_auth.client.client import OAuthClient  # a convenience only

        clock = options.get("clock", SYSTEM_CLOCK)
        client = OAuthClient(
            client_id, client_auth, environment=environment, session=session, clock=clock
        )
        return cls(client, ClientCredentialsGrant(scope=scope), **options)

    @classmethod
    def from_env(
        cls,
        *,
        session: "aiohttp.ClientSession | None" = None,
        **options: "Unpack[ProviderOptions]",
    ) -> Self:
        """
        Make a provider of what the environment's ``ARITMA_`` variables say.

        They are those of `OAuthClient.from_env`, and ``ARITMA_SCOPE`` (at Aritma ``bankservice`` by
        default), ``ARITMA_AUDIENCE`` and ``ARITMA_RESOURCE``.

        Args:
            session: An ``aiohttp.ClientSession`` whose connections token requests use.

            options: As for `TokenProvider` itself; ``clock`` is the client's too.

        Raises:
            ConfigurationError: Variables are missing, unusable or contradictory; all are named.
        """
        from aritma_auth.configuration import registration  # a convenience only

        return cls._of_registration(registration.from_variables(), session, options)

    @classmethod
    def from_config(
        cls,
        name: str,
        *,
        path: "str | os.PathLike[str] | None" = None,
        session: "aiohttp.ClientSession | None" = None,
        **options: "Unpack[ProviderOptions]",
    ) -> Self:
        """
        Make a provider of a registration in a TOML file.

        Args:
            name: The registration's name, as in ``[registrations.payments]``.

            path: The file; None takes ``ARITMA_CONFIG``, else ``aritma.toml`` in the current
                folder.

            session: An ``aiohttp.ClientSession`` whose connections token requests use.

            options: As for `TokenProvider` itself; ``clock`` is the client's too.

        Raises:
            ConfigurationError: The file has no such registration, or something in it is unknown,
                unusable or contradictory.
        """
        from aritma_auth.configuration import registration  # a convenience only

        return cls._of_registration(registration.from_file(name, path), session, options)

    @classmethod
    def _of_registration(
        cls,
        known: "Registration",
        session: "aiohttp.ClientSession | None",
        options: "ProviderOptions",
    ) -> Self:
        from aritma_auth.client.client import OAuthClient  # a convenience only

        clock = options.get("clock", SYSTEM_CLOCK)
        client = OAuthClient(**known.client_arguments, session=session, clock=clock)
        return cls(client, known.make_grant(), **options)

    async def get_token(self, min_ttl: float = 0.0, timeout: float | None = None) -> Token:
        """
        Give a token that works.

        Args:
            min_ttl: Seconds that the token should still live. If the server is down, or its tokens
                never live so long, the one that lives is given.

            timeout: Seconds that this caller waits at most; the shared refresh goes on. A token
                that still lives is given when they are over.

        Raises:
            TokenTimeoutError: The caller's time is over.

            ProviderClosedError: The provider was closed.

            AritmaAuthError: No live token is left and none could be had; ``is_permanent`` and
                ``retry_after`` say whether and when asking again makes sense.
        """
        # The cached path: no lock, no await, one comparison or two. The marks of one object. Each
        # look-up shows in what a call costs, and each name in what one that waits keeps.
        now, current = self._cache.now, self._cache.current
        if (
            current.token is not None
            and now() < current.refresh_at
            and (not min_ttl or now() + _seconds(min_ttl) <= current.expires_at)
        ):
            return current.token
        min_ttl = min_ttl and _seconds(min_ttl)
        return self._joined(await self._join(timeout)) or await self._wait(min_ttl, timeout)

    def _join(self, timeout: float | None) -> "Awaitable[Outcome | None]":
        """
        Join a flight of this loop if no token lives and no backoff holds, else nothing.

        A stampede: each step counts ten thousand times, so the usual outcome needs no lock.
        """
        refresher, cache = self._refresher, self._cache
        current = cache.current
        if (
            refresher is None
            or timeout is not None
            or (current.token is not None and cache.now() < current.expires_at)
            or cache.failure is not None
            or self._is_closed
            or self._settings.on_token is not None
        ):
            return _NOTHING
        return refresher.flights.join_here() or _NOTHING

    def _joined(self, outcome: "Outcome | None") -> Token | None:
        """Return the token of a flight that was joined; None if none was, or it was lost."""
        return None if outcome is None else self._served(outcome)

    async def _wait(self, min_ttl: float, timeout: float | None) -> Token:
        """Give a token as `get_token` does, whatever state the provider is in."""
        cache = self._cache
        deadline = None if timeout is None else _deadline(timeout)
        try:
            for _ in range(_ROUNDS):
                step = self._step(min_ttl, deadline)
                if isinstance(step, Token):
                    return step
                served = self._served(await step)
                if served is not None:
                    return served
        except TimeoutError as error:
            if isinstance(error, TokenTimeoutError):
                # The refresh's own failure: its client has a time-out like this one.
                raise
        else:
            raise TransportError(
                f"{_ROUNDS} refreshes in a row were cut off, or brought a token that had ended: "
                "let the event loop live longer than a token request, and compare the clocks",
                may_have_arrived=False,
            )
        # A caller that is out of time is better served with a token that ends soon than with none.
        current = cache.current
        if current.token is not None and current.is_alive(cache.now()):
            return current.token
        raise TokenTimeoutError("no token within this caller's timeout: the refresh goes on")

    def peek(self) -> Token | None:
        """Give the cached token if it is fresh, else None: then await `get_token`."""
        cache = self._cache
        current = cache.current
        now = cache.now
        return current.token if now() < current.refresh_at else None

    def _step(self, min_ttl: float, deadline: float | None) -> "Token | Awaitable[Outcome | None]":
        """Return the token to serve, or what to wait for."""
        cache, loop = self._cache, asyncio.get_running_loop()
        with STATE_LOCK:
            self._require_open()
            self._visit(loop)
            flight = self._flight
            is_in_background = flight is not None and self._is_in_background
            action = cache.decide(min_ttl, is_refreshing=is_in_background)
            token, failure = cache.current.token, cache.failure
            if action is Action.REFUSE and failure is not None:
                raise cache.error_of(failure)
            if action is Action.SERVE and token is not None:
                return token
            flights = self._ready().flights
            if action is Action.WAIT:
                self._require_outside_callback()
            flight = flights.launch()
            if action is Action.SERVE_AND_REFRESH and token is not None:
                self._is_in_background = True
                if not self._must_stay:
                    return token
                return _stay(flights, flight, deadline)
        return flights.join(flight, None if deadline is None else deadline - loop.time())

    @property
    def _flight(self) -> "Flight[Outcome] | None":
        refresher = self._refresher
        return None if refresher is None else refresher.flights.current

    def _visit(self, loop: asyncio.AbstractEventLoop) -> None:
        """
        Remember the first loop, and whether there is another.

        A refresh may not be left to a loop whose end would cut it off, as in one asyncio.run after
        another over one provider. Once a second loop was seen, a caller stays until the refresh has
        ended, and spares the next loop a request.
        """
        if self._home is None:
            self._home = weakref.ref(loop)
        elif self._home() is not loop:
            self._must_stay = True

    def _ready(self) -> "TokenRefresher":
        refresher = self._refresher
        if refresher is None:
            from aritma_auth.provider.refresh import TokenRefresher  # with the first

            refresher = TokenRefresher(self._settings, self._cache, self._rest)
            self._refresher = refresher
        return refresher

    def _rest(self) -> None:
        refresher = self._refresher
        if refresher is not None and refresher.flights.current is None:
            self._is_in_background = False
            # An idle provider keeps its token and little else: a process may have thousands.
            if refresher.is_disposable:
                self._refresher = None

    def _served(self, outcome: "Outcome | None") -> Token | None:
        """Return the token for a caller that has waited; None if it must start over."""
        cache = self._cache
        current = cache.current
        # Not the flight's own token: another may be newer, and time has passed since.
        now = cache.now
        if current.token is not None and now() < current.expires_at:
            return current.token
        if isinstance(outcome, RetryState):
            raise cache.error_of(outcome)
        if not self._is_closed or not isinstance(outcome, IssuedToken):
            return None
        # Closing has emptied the cache while the token was on its way to this caller.
        return outcome.token if cache.would_serve(outcome) else None

    @hides_arguments
    def report_rejected(self, token: Token) -> bool:
        """
        Report that an API rejected a token with a 401.

        The token is dropped, so that the next caller gets another, unless a refresh was forced so
        recently that another would not help.

        Args:
            token: The token that the request carried, as `get_token` gave it.

        Returns:
            Whether a different token may be had: a newer one is here, or a refresh is forced.
        """
        if not isinstance(token, Token):
            raise wrong_kind("token", "the Token that the request carried", token)
        with STATE_LOCK:
            is_dropped = self._cache.drop(token)
        if is_dropped is None:
            return True
        self._settings.report(events.TokenRejected(token.fingerprint, refreshes=is_dropped))
        return is_dropped

    @hides_awaited_arguments(ConfigurationError)
    async def set_token(self, token: Token) -> None:
        """
        Put a token in place, such as the one a sign-in has just brought.

        Once called the token is written to the store and told to ``on_token``, whether or not the
        caller is cancelled meanwhile.

        Args:
            token: Its refresh token, if it has one, is used for the refreshes.

        Raises:
            ProviderClosedError: The provider was closed.
        """
        if not isinstance(token, Token):
            raise wrong_kind("token", "a Token, such as sign_in.token", token)
        unsendable = find_unsendable(token)
        if unsendable is not None:
            raise ConfigurationError(
                f"token must have {unsendable} of printable ASCII characters, as the server sent "
                "it: check how it was kept; a line break at its end is a common mistake"
            )
        settings = self._settings
        self._require_outside_callback()
        with STATE_LOCK:
            self._require_open()
            self._visit(asyncio.get_running_loop())
            failure = self._cache.failure
            token = self._cache.put(token)
            current = self._cache.current
            must_keep = settings.store is not None or settings.on_token is not None
            refresher = self._ready() if must_keep else None
            if refresher is not None:
                refresher.signed_in(token)
        if refresher is not None:
            await refresher.keep()
            with STATE_LOCK:
                self._rest()
        now = settings.clock.monotonic()
        settings.report(
            events.TokenSet(token.fingerprint, current.lifetime, now - current.issued_at)
        )
        settings.report_recovery(failure, now)

    async def forget(self) -> None:
        """
        Forget the token, here and in the store, as when an end-user signs out without `sign_out`.

        ``on_token`` receives None.

        The provider stays usable: its grant gets another token if it may be presented again, and
        `set_token` brings the next sign-in. Others who share the store learn of it when they would
        refresh, and do not bring the token back; until then they may serve it.

        Raises:
            ProviderClosedError: The provider was closed.

            StoreError: The store may have it still; here it is forgotten all the same.
        """
        self._require_outside_callback()
        with STATE_LOCK:
            self._require_open()
            refresher = self._ready()
        try:
            await refresher.forget()
        finally:
            with STATE_LOCK:
                self._rest()

    async def sign_out(self) -> bool:
        """
        Revoke the token at the server, then forget it here and in the store, and tell ``on_token``.

        The refresh token is revoked if there is one, else the access token. The token is forgotten
        even if the server cannot be reached; the error then says so. A client without ``revoke``
        only forgets.

        Returns:
            Whether the token was revoked. False if there was none, or if the server offers no
            revocation: then `events.TokenForgotten` says so.

        Raises:
            ProviderClosedError: The provider was closed.

            AritmaAuthError: The token could not be revoked; it is forgotten all the same.

            StoreError: The store may have it still; here it is forgotten all the same.

        Spec: RFC 7009 §2.
        """
        self._require_outside_callback()
        with STATE_LOCK:
            self._require_open()
            refresher = self._ready()
        try:
            return await refresher.sign_out()
        finally:
            with STATE_LOCK:
                self._rest()

    def label_event(self, event: "E") -> "E":
        """
        Say in an event whose token it is about: issuer, client, tenant, pool key, grant and scope.

        Args:
            event: What happened, such as an event of your own.
        """
        return self._settings.label(event)

    async def refresh_if_idle(self, seconds: float) -> bool:
        """
        Refresh a sign-in that nobody has refreshed for so long, here or in another process.

        A token without a refresh token is left alone: it is no sign-in, or cannot be refreshed.

        Args:
            seconds: Age of the newest token from which it is refreshed.

        Returns:
            Whether it was refreshed.

        Raises:
            ProviderClosedError: The provider was closed.

            AritmaAuthError: It could not be refreshed, and its access token has expired.
        """
        require_seconds("seconds", seconds)
        with STATE_LOCK:
            self._require_open()
            token = self._cache.current.token
            refresher = self._ready()
        if token is None or self._age_of(token) >= seconds:
            # Another process may have refreshed it: the store says so.
            token = await refresher.newest()
        if token is None or token.refresh_token is None or self._age_of(token) < seconds:
            with STATE_LOCK:
                self._rest()
            return False
        # More than any token lives: one that has lain for long is not fresh enough.
        refreshed = await self.get_token(_FOREVER)
        return refreshed.access_token != token.access_token

    def _age_of(self, token: Token) -> float:
        return self._settings.clock.time() - token.issued_at

    def identity(self) -> str | None:
        """
        Return whose its tokens are: the same text for two providers of the same tokens.

        It is the key of their entry in a store, and reveals nothing. None if the grant cannot say.
        """
        from aritma_auth.stores.key import token_key  # with a store, or as a subject

        settings = self._settings
        if settings.grant.identity() is None:
            return None
        return token_key(settings.client, settings.grant)

    def status(self) -> "ProviderStatus":
        """Describe the provider for a health check; nothing in it is secret."""
        from aritma_auth.provider.status import ProviderStatus  # for health checks only

        with STATE_LOCK:
            return ProviderStatus.of(
                self._settings, self._cache, is_refreshing=self._flight is not None
            )

    async def is_ready(self, timeout: float = 1.0) -> bool:
        """
        Tell whether a token that works is there, or can be had now: for a readiness probe.

        While refreshes fail the answer comes from the backoff, at once: probes send no requests of
        their own.

        Args:
            timeout: Seconds to wait for a token; give fewer than the probe's own time-out.
        """
        require_seconds("timeout", timeout)
        try:
            await self.get_token(timeout=timeout)
        except AritmaAuthError:
            return False
        return True

    @property
    def proofs(self) -> "RequestProofs | None":
        """What proves the key that the tokens are bound to; None for bearer tokens."""
        return self._settings.proofs

    def middleware(
        self,
        origins: Iterable[str] | None = None,
        *,
        strict: bool = False,
        keep_authorization: bool = False,
    ) -> "BearerMiddleware":
        """
        Make the middleware that signs an aiohttp session's requests with this provider's token.

        Args:
            origins: URLs whose scheme, host and port the token may go to; by default the
                environment's ``api_origins``.

            strict: Refuse requests to other origins instead of sending them unsigned.

            keep_authorization: Leave a request alone that has an ``Authorization`` header of its
                own; by default the token replaces it, with an event.

        Raises:
            ConfigurationError: No origin is known, or one is not secure; or the grant asks for what
                is no access token.
        """
        from aritma_auth.provider.middleware import (  # a convenience only
            BearerMiddleware,
            read_from,
        )

        if self._settings.grant.token_types:
            raise ConfigurationError(
                "this provider's grant asks for what is no access token: present it to a token "
                "endpoint, as JwtBearerGrant(provider) does"
            )
        if origins is None:
            origins = self._settings.client.environment.api_urls
        middleware = BearerMiddleware(
            self,
            origins,
            strict=strict,
            keep_authorization=keep_authorization,
            on_event=self._settings.on_event,
        )
        # A subclass may look elsewhere.
        is_cached = type(self).peek is TokenProvider.peek
        return read_from(middleware, self._cache) if is_cached else middleware

    def session(
        self,
        base_url: str | None = None,
        *,
        origins: Iterable[str] | None = None,
        strict: bool = False,
        timeout: "aiohttp.ClientTimeout | None" = None,
        middlewares: "Iterable[aiohttp.ClientMiddlewareType]" = (),
        proxy: str | None = None,
    ) -> "aiohttp.ClientSession":
        """
        Open a session for an API, signed by this provider and with its client's certificate.

        The certificate is the one of the token requests, as tokens that are bound to it need
        (RFC 8705 §3). Any server that asks for a certificate is shown it: it is no secret.

        Args:
            base_url: What the paths of requests are added to; it ends in a slash.

            origins: URLs that the token may go to; by default the environment's ``api_origins``.

            strict: Refuse requests to other origins instead of sending them unsigned.

            timeout: Of each request; 30 seconds by default.

            middlewares: Further ones; they see the request before it is signed.

            proxy: URL of the proxy for these requests; the client has one of its own.

        Returns:
            A session that the caller closes.

        Raises:
            ConfigurationError: No origin is known, or one is not secure.
        """
        from aritma_auth.provider.api_session import open_session  # a convenience only

        signer = self.middleware(origins, strict=strict)
        return open_session(self._settings.client, signer, base_url, timeout, middlewares, proxy)

    async def __aenter__(self) -> Self:
        self._require_open()
        return self

    async def aclose(self) -> None:
        """
        Close: no task, socket or thread is left, and callers in flight get ProviderClosedError.

        A refresh token that is being exchanged is waited for, so that its successor is not lost;
        so is a call of ``on_token``, which is called once more if it has failed before.
        """
        self._require_outside_callback()
        with STATE_LOCK:
            self._is_closed = True
            rejected = self._cache.rejected
            self._cache.clear()
            # A refresh that is ending must not adopt it again for a caller that waits.
            self._cache.rejected = rejected
            refresher = self._refresher
        if refresher is not None:
            await refresher.aclose()
        if self._settings.on_token is not None:
            await self._settings.on_token.aclose()

    def __repr__(self) -> str:
        return f"<TokenProvider of {self._settings.client.client_id!r}: {self.status().freshness}>"

    def _require_outside_callback(self) -> None:
        # It would wait for a refresh that waits for the callback.
        on_token = self._settings.on_token
        if on_token is not None and on_token.is_calling:
            raise ConfigurationError(
                "on_token must not await its own provider: it is called before the token is given "
                "to anybody. Do it in a task, which goes on when the callback has returned"
            )

    def _require_open(self) -> None:
        if self._is_closed:
            raise ProviderClosedError(CLOSED)


async def _stay(
    flights: "SingleFlight[Outcome]", flight: "Flight[Outcome]", deadline: float | None
) -> "Outcome | None":
    """Wait a while for a refresh that the end of this caller's loop would cut off."""
    left = _STAY if deadline is None else deadline - asyncio.get_running_loop().time()
    # The end of the stay is not the caller's: its token may have ended meanwhile.
    with contextlib.suppress(TimeoutError):
        return await flights.join(flight, min(_STAY, left))
    return None


def _seconds(min_ttl: float) -> float:
    require_seconds("min_ttl", min_ttl)
    return min_ttl


def _deadline(timeout: float) -> float:
    require_seconds("timeout", timeout)
    return asyncio.get_running_loop().time() + timeout


class _Nothing:
    """What a caller awaits that joins no flight."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


_NOTHING = _Nothing()

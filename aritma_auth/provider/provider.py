"""The token cache: one token, shared by everyone who waits."""

import os
import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Self

from aritma_auth.environment import PRODUCTION, Environment
from aritma_auth.errors import ConfigurationError, ProviderClosedError
from aritma_auth.events import Listener, TokenRejected, log_event, notify
from aritma_auth.protocol.grants import ClientCredentialsGrant, Grant
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.backoff import RetryState
from aritma_auth.provider.cache import Obtained, TokenCache
from aritma_auth.provider.lifecycle import Action
from aritma_auth.provider.policy import RefreshPolicy, SharingPolicy
from aritma_auth.provider.refresh import RefreshMachinery
from aritma_auth.provider.status import ProviderStatus
from aritma_auth.provider.token_request import Settings, TokenSource
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.closing import AsyncCloseable
from aritma_auth.stores import TokenStore
from aritma_auth.stores.key import store_for

if TYPE_CHECKING:
    import aiohttp

    from aritma_auth.protocol.client_auth import ClientAuth
    from aritma_auth.provider.middleware import BearerMiddleware
    from aritma_auth.secret import Secret

_POLICY, _SHARING = RefreshPolicy(), SharingPolicy()


class TokenProvider(AsyncCloseable):
    """
    Gives a token that works, refreshed before it is needed, with one request at a time.

    Any number of coroutines, event loops and threads may share one provider. Cancelling one of
    them ends its own wait and nothing else.

    Args:
        client: Asks the authorization server; usually an `OAuthClient`.

        grant: What entitles the client to its first token.

        store: Keeps tokens beyond this provider's own memory: across restarts, and for others. A
            PasswordGrant and a SignedInGrant without end_user take part in no store.

        policy: The numbers of a token's life.

        sharing: The numbers of sharing its refresh through the store.

        clock: Tells the time.

        draw: Random numbers in [0, 1) for the jitter.

        on_event: Told what happens; by default it is logged. It must not block.

    Attributes:
        is_wanted: A pool's mark: it was asked for since the pool made room last.

    Source: Aritma's authentication page ("Reuse the access token until it expires").
    """

    __slots__ = (
        "__weakref__",
        "_cache",
        "_is_closed",
        "_is_in_background",
        "_renewer",
        "_settings",
        "is_wanted",
    )

    def __init__(
        self,
        client: TokenSource,
        grant: Grant,
        *,
        store: TokenStore | None = None,
        policy: RefreshPolicy | None = None,
        sharing: SharingPolicy | None = None,
        clock: Clock = SYSTEM_CLOCK,
        draw: Callable[[], float] = random.random,
        on_event: Listener | None = log_event,
    ) -> None:
        if not isinstance(grant, Grant):
            raise ConfigurationError("give a grant's value, such as ClientCredentialsGrant()")
        policy, sharing = policy or _POLICY, sharing or _SHARING
        store = store_for(grant, store, on_event)
        self._settings = Settings(client, grant, store, policy, sharing, clock, draw, on_event)
        self._cache = TokenCache(policy, clock, draw)
        self._renewer: RefreshMachinery | None = None
        self._is_in_background = False
        self._is_closed = False
        self.is_wanted = False

    @classmethod
    def client_credentials(
        cls,
        client_id: str,
        client_auth: "str | Secret | ClientAuth",
        *,
        scope: str | Iterable[str] | None = "bankservice",
        environment: Environment = PRODUCTION,
        session: "aiohttp.ClientSession | None" = None,
        policy: RefreshPolicy | None = None,
        on_event: Listener | None = log_event,
    ) -> Self:
        """
        Make a provider for a service with a client id and a secret, in one line.

        Args:
            client_id: The client's identifier, as Aritma gave it.

            client_auth: The secret, or another way for the client to authenticate.

            scope: Scope to ask for; None sends none.

            environment: Where Aritma ID is.

            session: An ``aiohttp.ClientSession`` whose connections token requests use.

            policy: The numbers of a token's life.

            on_event: Told what happens; by default it is logged.

        Spec: RFC 6749 §4.4; Aritma's authentication page.
        """
        from aritma_auth.client.client import OAuthClient  # noqa: PLC0415 - a convenience only

        client = OAuthClient(client_id, client_auth, environment=environment, session=session)
        return cls(client, ClientCredentialsGrant(scope=scope), policy=policy, on_event=on_event)

    @classmethod
    def from_env(
        cls,
        *,
        session: "aiohttp.ClientSession | None" = None,
        policy: RefreshPolicy | None = None,
        on_event: Listener | None = log_event,
    ) -> Self:
        """
        Make a provider of what the environment variables say.

        They are those of `OAuthClient.from_env`, and ``ARITMA_SCOPE`` (default ``bankservice``).

        Args:
            session: An ``aiohttp.ClientSession`` whose connections token requests use.

            policy: The numbers of a token's life.

            on_event: Told what happens; by default it is logged.

        Raises:
            ConfigurationError: A variable is missing or makes no sense; it is named.
        """
        from aritma_auth.client.client import OAuthClient  # noqa: PLC0415 - a convenience only

        grant = ClientCredentialsGrant(scope=os.environ.get("ARITMA_SCOPE", "bankservice"))
        client = OAuthClient.from_env(session=session)
        return cls(client, grant, policy=policy, on_event=on_event)

    async def get_token(self, min_ttl: float = 0.0, timeout: float | None = None) -> Token:
        """
        Give a token that works.

        Args:
            min_ttl: Seconds that the token should still live. If the server is down, or its tokens
                never live so long, the one that lives is given.

            timeout: Seconds that this caller waits at most; the shared refresh goes on.

        Raises:
            TokenTimeoutError: The caller's time is over.

            ProviderClosedError: The provider was closed.

            AritmaAuthError: No live token is left and none could be had; ``is_permanent`` and
                ``retry_after`` say whether and when asking again makes sense.
        """
        # The cached path: no lock, no await, one comparison or two.
        cache = self._cache
        held = cache.held
        now = cache.now()
        token = held.token
        if token is not None and now < held.refresh_at and now + min_ttl <= held.expires_at:
            return token
        return await self._obtain(min_ttl, timeout)

    def peek(self) -> Token | None:
        """Give the cached token if it is fresh, else None: then `get_token` is to be awaited."""
        cache = self._cache
        held = cache.held
        return held.token if cache.now() < held.refresh_at else None

    async def _obtain(self, min_ttl: float, timeout: float | None) -> Token:
        while True:
            with self._cache.lock:
                self._require_open()
                token, failure = self._cache.held.token, self._cache.failure
                is_refreshing = self._is_in_background and self.is_refreshing
                step = self._cache.decide(min_ttl, is_refreshing=is_refreshing)
                if step is Action.REFUSE and failure is not None:
                    raise self._cache.error_of(failure)
                if step is Action.SERVE and token is not None:
                    return token
                renewer = self._ready()
                self._is_in_background |= step is Action.SERVE_AND_REFRESH
                flight = renewer.flights.launch()
            if step is Action.SERVE_AND_REFRESH and token is not None:
                return token
            # A flight is lost when its event loop ends: then start over.
            if finished := self._served(await renewer.land(flight, timeout)):
                return finished

    def _ready(self) -> RefreshMachinery:
        renewer = self._renewer
        if renewer is None:
            renewer = self._renewer = RefreshMachinery(self._settings, self._cache, self._rest)
        return renewer

    def _rest(self) -> None:
        # An idle provider keeps its token and little else: there may be thousands.
        self._is_in_background = False
        if self._renewer is not None and self._renewer.may_rest(self._cache):
            self._renewer = None

    def _served(self, outcome: Obtained | RetryState | None) -> Token | None:
        if not isinstance(outcome, RetryState):
            return None if outcome is None else outcome.token
        held = self._cache.held
        if held.token is not None and held.is_alive(self._cache.now()):
            return held.token
        raise self._cache.error_of(outcome)

    def invalidate(self, token: Token) -> bool:
        """
        Drop a token that an API refused, so that the next caller gets another.

        Args:
            token: The refused token, as `get_token` gave it.

        Returns:
            Whether it was dropped: False if it is no longer the cached one, or if a refresh was
            forced so recently that another would not help.
        """
        with self._cache.lock:
            dropped = self._cache.drop(token)
        if dropped is not None:
            notify(self._settings.on_event, TokenRejected(token.fingerprint, refreshes=dropped))
        return dropped is True

    def report_rejected(self, token: Token) -> bool:
        """
        Report an API's 401.

        Args:
            token: The token that the request carried.

        Returns:
            Whether a different token can be had: a newer one is here or a refresh may be forced.
        """
        if self.invalidate(token):
            return True
        held = self._cache.held
        return held.life is None or not held.holds(token)

    async def set_token(self, token: Token) -> None:
        """
        Put a token in place, and into the store, such as the one a sign-in has just brought.

        Args:
            token: Its refresh token, if it has one, is used for the refreshes.

        Raises:
            ProviderClosedError: The provider was closed.
        """
        with self._cache.lock:
            self._require_open()
            coordinator = self._ready().coordinator
            token = self._cache.put(token)
        if coordinator is not None:
            await coordinator.keep(token)

    async def forget(self) -> None:
        """
        Forget the token, here and in the store, as when a person signs out; revoke it first.

        The provider stays usable: its grant gets another token if it may be presented again, and
        `set_token` brings the next sign-in. Others who share the store learn of it when they would
        refresh, and do not bring the token back; until then they may serve it.

        Raises:
            ProviderClosedError: The provider was closed.

            StoreError: The store may have it still; here it is forgotten all the same.
        """
        with self._cache.lock:
            self._require_open()
            renewer = self._ready()
        try:
            await renewer.forget()
        finally:
            with self._cache.lock:
                self._cache.clear()

    def status(self) -> ProviderStatus:
        """Describe the provider for a health check; nothing in it is secret."""
        with self._cache.lock:
            return ProviderStatus.of(self._cache, is_refreshing=self.is_refreshing)

    @property
    def is_refreshing(self) -> bool:
        """A refresh is under way."""
        with self._cache.lock:
            renewer = self._renewer
            return renewer is not None and renewer.flights.current is not None

    @property
    def is_idle(self) -> bool:
        """No refresh is under way, and no refresh token is known here alone."""
        token = self._cache.held.token
        is_sole_keeper = token is not None and token.refresh_token and self._settings.store is None
        return not is_sole_keeper and not self.is_refreshing

    def middleware(
        self, origins: Iterable[str] | None = None, *, strict: bool = False
    ) -> "BearerMiddleware":
        """
        Make the middleware that signs an aiohttp session's requests with this provider's token.

        Args:
            origins: URLs whose scheme, host and port the token may go to; by default the
                environment's ``api_origins``.

            strict: Refuse requests to other origins instead of sending them unsigned.

        Raises:
            ConfigurationError: No origin is known, or one is not secure.
        """
        from aritma_auth.provider.middleware import BearerMiddleware  # noqa: PLC0415 - a convenience only

        if origins is None:
            origins = self._settings.client.environment.api_urls
        return BearerMiddleware(self, origins, strict=strict, on_event=self._settings.on_event)

    async def aclose(self) -> None:
        """
        Close: no task, socket or thread is left, and callers in flight hear ProviderClosedError.

        A refresh token that is being exchanged is waited for, so that its successor is not lost.
        """
        with self._cache.lock:
            self._is_closed = True
            self._cache.clear()
            renewer = self._renewer
        if renewer is not None:
            await renewer.stop()

    def __repr__(self) -> str:
        return f"<TokenProvider of {self._settings.client.client_id!r}: {self.status().freshness}>"

    def _require_open(self) -> None:
        if self._is_closed:
            raise ProviderClosedError("this TokenProvider is closed: make a new one")

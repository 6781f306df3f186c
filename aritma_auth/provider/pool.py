"""Thousands of tenants, end-users or scopes: one provider for each, as many as fit."""
# ruff: noqa: SLF001 - a pool looks after its providers from inside

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable
from contextvars import ContextVar
from itertools import islice
from typing import TYPE_CHECKING, Generic, Self, TypeVar

import attrs

from aritma_auth.caller_code import call
from aritma_auth.environment import PRODUCTION, Environment
from aritma_auth.errors import (
    ProviderClosedError,
    require_count,
    require_function,
    require_instance,
    wrong_kind,
)
from aritma_auth.events.listeners import log_event
from aritma_auth.protocol.grants import ClientCredentialsGrant
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.backoff import RetryState
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.provider.provider import TokenProvider
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.closing import AsyncCloseable
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.lock import STATE_LOCK
from aritma_auth.stores.key import require_store

if TYPE_CHECKING:
    import aiohttp

    from aritma_auth.events.base import Listener
    from aritma_auth.protocol.client_auth import ClientAuth
    from aritma_auth.provider.keep_alive import IdleKeeper, Keys
    from aritma_auth.provider.keyed_middleware import KeyedBearerMiddleware
    from aritma_auth.provider.status import PoolStatus
    from aritma_auth.secret import Secret
    from aritma_auth.stores import TokenStore

K = TypeVar("K", bound=Hashable)

_POLICY = RefreshPolicy()

_BACKOFFS = 10_000
"""Backoffs of evicted providers that are kept at most: a hundredth of what a provider takes."""

_LOOKS = 64
"""Providers looked at to make room for one; if all of them must stay, the pool grows."""


class TokenProviderPool(AsyncCloseable, Generic[K]):
    """
    One provider a key, made when it is first asked for, evicted when others are used more.

    The failures of one key are no other's, and a backoff or a server's ``Retry-After`` outlives its
    provider. A provider stays while it refreshes, and while it has the only copy of an end-user's
    refresh token: give those a store. An evicted provider that is still referenced elsewhere is
    found again instead of made anew, so that a key never has two.

    Args:
        factory: Makes the provider of a key; let the providers share what they can, such as the
            session, the client and the store.

        max_size: Providers held; more only while all that were looked at must stay.

        label: Returns the text by which events, log lines and the status name a key. Give one if a
            key must not be read there, such as a session identifier.

    Raises:
        ConfigurationError: ``factory`` or ``label`` is no function, or ``max_size`` is no positive
            number.
    """

    @hides_arguments
    def __init__(
        self,
        factory: Callable[[K], TokenProvider],
        *,
        max_size: int = 10_000,
        label: Callable[[K], str] = str,
    ) -> None:
        makes, labels = "a function that makes the provider of a key", "a function of a key"
        require_function("factory", makes, factory, 1, is_awaited=False)
        require_function("label", f"{labels} that returns its text", label, 1, is_awaited=False)
        require_count("max_size", max_size, least=1)
        self._factory = factory
        self._max_size = max_size
        self._label = label
        self._providers: dict[K, TokenProvider] = {}
        self._evicted: weakref.WeakValueDictionary[K, TokenProvider] = weakref.WeakValueDictionary()
        self._backoffs: dict[K, RetryState] = {}
        self._closing: list[TokenProvider] | None = None
        self._keepers: set[IdleKeeper[K]] = set()

    @staticmethod
    @hides_arguments
    def for_tenants(
        client_id: str,
        client_auth: "str | Secret | ClientAuth",
        *,
        scope: str | Iterable[str] | None = "bankservice",
        environment: Environment | str = PRODUCTION,
        session: "aiohttp.ClientSession | None" = None,
        store: "TokenStore | None" = None,
        policy: RefreshPolicy = _POLICY,
        max_size: int = 10_000,
        on_event: "Listener | None" = log_event,
    ) -> "TokenProviderPool[str]":
        """
        Make a pool whose keys are tenants' names, for one client that serves them all.

        Args:
            client_id: The client's identifier, as Aritma gave it.

            client_auth: The secret, or another way for the client to authenticate.

            scope: Scope to ask for; None sends none.

            environment: Where Aritma ID is, or an issuer's URL; each tenant's name goes into its
                path.

            session: An ``aiohttp.ClientSession`` whose connections token requests use.

            store: Keeps the tokens beyond this process.

            policy: The numbers of a token's life.

            max_size: Providers held at most.

            on_event: Receives the events; by default they are logged.

        Source: Aritma ID's page on tenants.
        """
        from aritma_auth.client.client import OAuthClient  # a convenience only

        require_store(store)
        grant = ClientCredentialsGrant(scope=scope)
        known = Environment.of(environment)

        def make(tenant: str) -> TokenProvider:
            client = OAuthClient(
                client_id,
                client_auth,
                environment=known.for_tenant(tenant),
                session=session,
            )
            return TokenProvider(client, grant, store=store, policy=policy, on_event=on_event)

        # A wrong argument is an error here, and not when the first tenant asks.
        make("tenant")
        return TokenProviderPool(make, max_size=max_size)

    def provider(self, key: K) -> TokenProvider:
        """
        Give a key's provider.

        Args:
            key: The key.

        Raises:
            ProviderClosedError: The pool was closed.
        """
        try:
            provider = self._providers[key]
        except KeyError:
            return self._make(key)
        except TypeError:
            problem = wrong_kind("key", "hashable, such as a tenant's name", key)
        else:
            # Second chance: a reference bit costs less than keeping the keys in order would.
            provider._is_wanted = True
            return provider
        raise problem

    def _look_at(self, key: K) -> TokenProvider:
        """Give a key's provider, without counting it as asked for."""
        provider = self._providers.get(key)
        return self._make(key) if provider is None else provider

    def _make(self, key: K) -> TokenProvider:
        self._require_open()
        _require_key(key)
        known = self._evicted.get(key)
        made = call("the pool's factory", self._factory, key) if known is None else known
        if not isinstance(made, TokenProvider):
            raise wrong_kind("what the pool's factory returns", "a TokenProvider", made)
        if known is None:
            label = call("the pool's label", self._label, key)
            require_instance("what the pool's label returns", "a text", label, str)
            made._settings = attrs.evolve(made._settings, key=label)
        with STATE_LOCK:
            self._require_open()
            # Another thread may have been faster, and its provider evicted again.
            known = self._evicted.pop(key, made)
            provider = self._providers.setdefault(key, known)
            backoff = self._backoffs.pop(key, None)
            if backoff is not None:
                provider._cache.failure = provider._cache.failure or backoff
            self._make_room(provider)
        return provider

    def _make_room(self, newest: TokenProvider) -> None:
        """Evict providers that may go and were not asked for since the last time."""
        providers = self._providers
        for key, provider in list(islice(providers.items(), _LOOKS)):
            if len(providers) <= self._max_size:
                return
            del providers[key]
            is_wanted = provider._is_wanted or provider is newest
            if is_wanted or not _may_be_evicted(provider):
                provider._is_wanted = False
                providers[key] = provider
            else:
                self._evicted[key] = provider
                self._keep_backoff(key, provider)

    def _keep_backoff(self, key: K, provider: TokenProvider) -> None:
        """Keep what an evicted provider knows of its server's pauses; let go of what is over."""
        backoffs, cache = self._backoffs, provider._cache
        for old in list(islice(backoffs, 2)):
            if len(backoffs) >= _BACKOFFS or cache.seconds_to_retry(backoffs[old]) == 0:
                del backoffs[old]
        if cache.backoff is not None:
            backoffs[key] = cache.backoff

    def _require_open(self) -> None:
        if self._closing is not None:
            raise ProviderClosedError("this TokenProviderPool is closed: make a new one")

    async def get_token(self, key: K, min_ttl: float = 0.0, timeout: float | None = None) -> Token:
        """
        Give a token that works for a key.

        Args:
            key: The key.

            min_ttl: Seconds that the token should still live.

            timeout: Seconds that this caller waits at most; the shared refresh goes on.

        Raises:
            AritmaAuthError: As `TokenProvider.get_token` says.
        """
        return await self.provider(key).get_token(min_ttl, timeout)

    async def forget(self, key: K) -> None:
        """
        Forget a key's token, as `TokenProvider.forget` does, and its provider.

        Args:
            key: The key.

        Raises:
            StoreError: The store may have the token still; its provider is kept, and knows better.
        """
        provider = self.provider(key)
        await provider.forget()
        with STATE_LOCK:
            if self._providers.get(key) is provider:
                del self._providers[key]
                self._evicted[key] = provider

    async def keep_alive(
        self,
        keys: "Keys[K]",
        *,
        idle: float,
        concurrency: int = 4,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """
        Refresh sign-ins that nobody uses before the server forgets them; run this as a task.

        Each key is looked at about ten times while an unused refresh token lives, spread over time,
        and refreshed when its token is half as old as that. Processes that share a store share the
        refreshes. The provider's events report a failure, and the next round tries again.

        It ends when it is cancelled, or when the pool is closed.

        Args:
            keys: The keys, or an async function that lists them anew for each round, within a
                minute.

            idle: Seconds for which the server lets an unused refresh token live.

            concurrency: Keys looked at, at the same time.

            clock: Tells when to look.

        Raises:
            ProviderClosedError: The pool was closed before.

            ConfigurationError: An argument is of the wrong kind; the message names it.
        """
        from aritma_auth.provider.keep_alive import IdleKeeper  # few pools hold sign-ins

        self._require_open()
        keeper = IdleKeeper(self._look_at, keys, idle=idle, concurrency=concurrency, clock=clock)
        self._keepers.add(keeper)
        try:
            await keeper.run()
        finally:
            self._keepers.discard(keeper)

    def middleware(
        self,
        key: "Callable[[aiohttp.ClientRequest], K] | ContextVar[K]",
        origins: Iterable[str],
        *,
        strict: bool = False,
        keep_authorization: bool = False,
        on_event: "Listener | None" = log_event,
    ) -> "KeyedBearerMiddleware[K]":
        """
        Make the middleware that signs each request with the token of its own key.

        Args:
            key: Returns the key of a request; or a context variable that holds it.

            origins: URLs whose scheme, host and port the tokens may go to.

            strict: Refuse requests to other origins instead of sending them unsigned.

            keep_authorization: Leave a request alone that has an ``Authorization`` header of its
                own; by default the token replaces it, with an event.

            on_event: Receives an event when a request goes out unsigned, or its header is replaced.

        Raises:
            ConfigurationError: No origin is given, or one is not secure.
        """
        from aritma_auth.provider.keyed_middleware import (
            KeyedBearerMiddleware,
        )  # a convenience only

        return KeyedBearerMiddleware(
            self,
            key,
            origins,
            strict=strict,
            keep_authorization=keep_authorization,
            on_event=on_event,
        )

    def status(self) -> "PoolStatus":
        """Describe the pool for a health check, and what fails; nothing in it is secret."""
        from aritma_auth.provider.status import PoolStatus  # for health checks only

        statuses = [provider.status() for provider in list(self._providers.values())]
        return PoolStatus.of(statuses, self._max_size)

    def keys(self) -> tuple[K, ...]:
        """List the keys whose providers the pool holds now."""
        return tuple(self._providers.copy())

    def __len__(self) -> int:
        return len(self._providers)

    async def __aenter__(self) -> Self:
        self._require_open()
        return self

    async def aclose(self) -> None:
        """Close every provider as `TokenProvider.aclose` does; call it again if it is cut short."""
        with STATE_LOCK:
            if self._closing is None:
                self._closing = [*self._providers.values(), *self._evicted.values()]
                self._providers.clear()
                self._evicted.clear()
        keepers = tuple(self._keepers)
        for keeper in keepers:
            keeper.stop()
        # All at once: each may wait for a token request.
        await asyncio.gather(*(provider.aclose() for provider in self._closing))
        await asyncio.gather(*(keeper.wait_until_ended() for keeper in keepers))
        self._closing.clear()

    def __repr__(self) -> str:
        return f"<TokenProviderPool of {len(self)} providers>"


def _require_key(key: object) -> None:
    """Require a key to name somebody: None would be everybody of whom nothing is known."""
    if key is None or isinstance(key, Awaitable) or key != key:  # noqa: PLR0124 - nan is not itself
        if isinstance(key, Coroutine):
            key.close()
        raise wrong_kind(
            "key",
            "the same value for the same tenant, end-user or scope, and not awaited for",
            key,
        )


def _may_be_evicted(provider: TokenProvider) -> bool:
    """Tell whether a new provider could take this one's place and lose nothing."""
    if provider._flight is not None:
        return False
    announcer = provider._settings.on_token
    if announcer is not None and announcer.is_owed:
        return False
    token, refresher = provider._cache.current.token, provider._refresher
    has_refresh_token = token is not None and token.refresh_token is not None
    if not has_refresh_token or provider._settings.grant.is_reusable:
        return True
    return refresher is not None and refresher.is_stored

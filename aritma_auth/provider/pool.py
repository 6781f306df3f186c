"""Thousands of tenants, people or scopes: one provider for each, as many as fit."""

import weakref
from collections.abc import Callable, Hashable, Iterable
from contextvars import ContextVar
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from aritma_auth.environment import PRODUCTION, Environment
from aritma_auth.errors import ConfigurationError, ProviderClosedError
from aritma_auth.events import Listener, log_event
from aritma_auth.protocol.grants import ClientCredentialsGrant
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.provider.provider import TokenProvider
from aritma_auth.runtime.closing import AsyncCloseable
from aritma_auth.runtime.lock import STATE_LOCK

if TYPE_CHECKING:
    import aiohttp

    from aritma_auth.protocol.client_auth import ClientAuth
    from aritma_auth.provider.middleware import KeyedBearerMiddleware
    from aritma_auth.secret import Secret
    from aritma_auth.stores import TokenStore

K = TypeVar("K", bound=Hashable)

_LOOKS = 64
"""Providers looked at to make room for one; if all of them are busy, the pool grows."""


@attrs.frozen
class PoolStatus:
    """
    What a health check may show of a pool.

    Attributes:
        size: Providers that it holds.

        max_size: Providers that it holds at most, unless more of them are busy.

        refreshing: Providers whose refresh is under way.

        failing: Providers whose last refresh failed.
    """

    size: int
    max_size: int
    refreshing: int
    failing: int


class TokenProviderPool(AsyncCloseable, Generic[K]):
    """
    One provider a key, made when it is first asked for, forgotten when others are wanted more.

    The failures of one key are no other's. A provider is never forgotten while it refreshes, nor
    while it alone knows a refresh token: give those a store. One that somebody still holds is found
    again instead of made anew, so that a key never has two.

    Args:
        factory: Makes the provider of a key; let the providers share what they can, such as the
            session, the client and the store.

        max_size: Providers held; more only while all that were looked at are busy.

    Raises:
        ConfigurationError: ``max_size`` is not positive.
    """

    def __init__(self, factory: Callable[[K], TokenProvider], *, max_size: int = 10_000) -> None:
        if max_size < 1:
            raise ConfigurationError("max_size must be greater than 0")
        self._factory = factory
        self._max_size = max_size
        self._providers: dict[K, TokenProvider] = {}
        self._forgotten: weakref.WeakValueDictionary[K, TokenProvider] = (
            weakref.WeakValueDictionary()
        )
        self._is_closed = False

    @staticmethod
    def for_tenants(
        client_id: str,
        client_auth: "str | Secret | ClientAuth",
        *,
        scope: str | Iterable[str] | None = "bankservice",
        environment: Environment = PRODUCTION,
        session: "aiohttp.ClientSession | None" = None,
        store: "TokenStore | None" = None,
        policy: RefreshPolicy | None = None,
        max_size: int = 10_000,
        on_event: Listener | None = log_event,
    ) -> "TokenProviderPool[str]":
        """
        Make a pool whose keys are tenants' names, for one client that serves them all.

        Args:
            client_id: The client's identifier, as Aritma gave it.

            client_auth: The secret, or another way for the client to authenticate.

            scope: Scope to ask for; None sends none.

            environment: Where Aritma ID is; each tenant's name goes into its path.

            session: An ``aiohttp.ClientSession`` whose connections token requests use.

            store: Keeps the tokens beyond this process.

            policy: The numbers of a token's life.

            max_size: Providers held at most.

            on_event: Told what happens; by default it is logged.

        Source: Aritma ID's page on tenants.
        """
        from aritma_auth.client.client import OAuthClient  # noqa: PLC0415 - a convenience only

        grant = ClientCredentialsGrant(scope=scope)

        def make(tenant: str) -> TokenProvider:
            client = OAuthClient(
                client_id,
                client_auth,
                environment=environment.for_tenant(tenant),
                session=session,
            )
            return TokenProvider(client, grant, store=store, policy=policy, on_event=on_event)

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
        # Second chance: a mark costs a look-up less than keeping the keys in order would.
        provider.is_wanted = True
        return provider

    def _make(self, key: K) -> TokenProvider:
        self._require_open()
        known = self._forgotten.get(key)
        made = self._factory(key) if known is None else known
        with STATE_LOCK:
            self._require_open()
            # Another thread may have been faster, and its provider forgotten again.
            known = self._forgotten.pop(key, made)
            provider = self._providers.setdefault(key, known)
            self._make_room(provider)
        return provider

    def _make_room(self, newest: TokenProvider) -> None:
        """Forget those that can be had again and were not asked for since the last time."""
        providers = self._providers
        for key, provider in list(islice(providers.items(), _LOOKS)):
            if len(providers) <= self._max_size:
                return
            del providers[key]
            if provider.is_wanted or provider is newest or not provider.is_idle:
                provider.is_wanted = False
                providers[key] = provider
            else:
                self._forgotten[key] = provider

    def _require_open(self) -> None:
        if self._is_closed:
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
                self._forgotten[key] = provider

    def middleware(
        self,
        pick: "Callable[[aiohttp.ClientRequest], K] | ContextVar[K]",
        origins: Iterable[str],
        *,
        strict: bool = False,
        on_event: Listener | None = log_event,
    ) -> "KeyedBearerMiddleware[K]":
        """
        Make the middleware that signs each request with the token of its own key.

        Args:
            pick: Gives the key of a request; or a context variable that holds it.

            origins: URLs whose scheme, host and port the tokens may go to.

            strict: Refuse requests to other origins instead of sending them unsigned.

            on_event: Told when a request goes out unsigned.

        Raises:
            ConfigurationError: No origin is given, or one is not secure.
        """
        from aritma_auth.provider.middleware import KeyedBearerMiddleware  # noqa: PLC0415 - a convenience only

        return KeyedBearerMiddleware(self, pick, origins, strict=strict, on_event=on_event)

    def status(self) -> PoolStatus:
        """Describe the pool for a health check; nothing in it is secret."""
        statuses = [provider.status() for provider in list(self._providers.values())]
        return PoolStatus(
            len(statuses),
            self._max_size,
            sum(status.is_refreshing for status in statuses),
            sum(status.failures > 0 for status in statuses),
        )

    def __len__(self) -> int:
        return len(self._providers)

    async def aclose(self) -> None:
        """Close every provider, as `TokenProvider.aclose` does."""
        with STATE_LOCK:
            self._is_closed = True
            providers = [*self._providers.values(), *self._forgotten.values()]
            self._providers.clear()
            self._forgotten.clear()
        for provider in providers:
            await provider.aclose()

    def __repr__(self) -> str:
        return f"<TokenProviderPool of {len(self)} providers>"

"""All that a provider's renewals need, put together when one begins and let go when it rests."""

from collections.abc import Awaitable, Callable

from aritma_auth.errors import TokenTimeoutError
from aritma_auth.gates import Failure
from aritma_auth.renewal.cache import Obtained, TokenCache
from aritma_auth.renewal.guarding import GuardedStore
from aritma_auth.renewal.keeping import TokenKeeper
from aritma_auth.renewal.requesting import TokenRequester
from aritma_auth.renewal.settings import Settings
from aritma_auth.renewal.work import Renewal
from aritma_auth.runtime.single_flight import Flight, SingleFlight
from aritma_auth.stores.key import token_key


class Renewer:
    """
    The flights of one provider and what they do.

    Args:
        settings: What the provider was made with.

        cache: What it remembers.

        on_landed: Called under the cache's lock when a flight is over.

    Attributes:
        flights: One renewal at a time.

        keeper: Knows the store, or None without one.
    """

    __slots__ = ("_is_forgetful", "_renewal", "flights", "keeper")

    def __init__(
        self, settings: Settings, cache: TokenCache, on_landed: Callable[[], None]
    ) -> None:
        client, clock, on_event = settings.client, settings.clock, settings.on_event
        requester = TokenRequester(client, settings.grant, settings.policy, clock, settings.draw)
        self.keeper: TokenKeeper | None = None
        if settings.store is not None:
            key = token_key(client.identity, settings.grant)
            store = GuardedStore(settings.store, key, settings.sharing, clock, on_event)
            self.keeper = TokenKeeper(settings, requester, store)
        self._is_forgetful = self.keeper is None and settings.grant.is_reusable
        self._renewal = Renewal(client, requester, self.keeper, cache, clock, on_event)
        self.flights: SingleFlight[Obtained | Failure] = SingleFlight(
            self._renewal.run, cache.lock, on_landed
        )

    @property
    def is_critical(self) -> bool:
        """Something that can be spent only once is on its way: cutting it off would lose it."""
        return self._renewal.is_critical

    def land(
        self, flight: Flight[Obtained | Failure], timeout: float | None
    ) -> Awaitable[Obtained | Failure | None]:
        """
        Wait for a flight.

        Args:
            flight: The flight.

            timeout: Seconds that the caller waits at most; the flight goes on.

        Returns:
            What it brought, or None if it was lost.

        Raises:
            TokenTimeoutError: The caller's time is over.
        """
        # In a stampede each frame counts ten thousand times: without a limit one less will do.
        if timeout is None:
            return self.flights.join(flight)
        return self._land_in_time(flight, timeout)

    async def _land_in_time(
        self, flight: Flight[Obtained | Failure], timeout: float
    ) -> Obtained | Failure | None:
        try:
            return await self.flights.join(flight, timeout)
        except TimeoutError:
            pass
        raise TokenTimeoutError("no token within this caller's timeout: the renewal goes on")

    async def stop(self) -> None:
        """Cut off the renewal under way, or wait for what can be had only once."""
        await self.flights.cancel(unless=lambda: self.is_critical)

    async def forget(self) -> None:
        """
        Stop, and forget the token in the store.

        Raises:
            StoreError: The store may have it still.
        """
        await self.stop()
        await self._renewal.forget()

    def may_rest(self, cache: TokenCache) -> bool:
        """
        Tell whether nothing here is worth remembering until the next renewal.

        Args:
            cache: What the provider remembers.
        """
        return self._is_forgetful and cache.failure is None

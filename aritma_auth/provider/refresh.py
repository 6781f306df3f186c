"""What one flight does: look at the gate, get a token, settle what came in the cache."""

from collections.abc import Awaitable, Callable

from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    TokenTimeoutError,
    TransportError,
)
from aritma_auth.events import (
    ClockSkewed,
    Listener,
    RefreshFailed,
    TokenAdopted,
    TokenRefreshed,
    notify,
)
from aritma_auth.provider.backoff import RetryState
from aritma_auth.provider.cache import Held, Obtained, TokenCache
from aritma_auth.provider.shared.coordinator import Postponed, RefreshCoordinator
from aritma_auth.provider.shared.resilient_store import ResilientStore
from aritma_auth.provider.shared.stored_token import Need
from aritma_auth.provider.token_request import (
    Settings,
    TokenRequester,
    TokenSource,
    credential_fingerprint,
)
from aritma_auth.runtime.clock import Clock
from aritma_auth.runtime.single_flight import Flight, SingleFlight
from aritma_auth.stores.key import token_key

_SKEW_WORTH_TELLING = 30.0


class Refresh:
    """
    The work of a provider's flights.

    Args:
        client: Knows the credential and the server's clock.

        requester: Asks the server.

        coordinator: Looks in the store first, or None without a store.

        cache: Takes what came.

        clock: Tells the time.

        on_event: Told what happened, after it is settled.
    """

    __slots__ = (
        "_cache",
        "_client",
        "_clock",
        "_coordinator",
        "_on_event",
        "_refused_credential",
        "_requester",
    )

    def __init__(
        self,
        client: TokenSource,
        requester: TokenRequester,
        coordinator: RefreshCoordinator | None,
        cache: TokenCache,
        clock: Clock,
        on_event: Listener | None,
    ) -> None:
        self._client = client
        self._requester = requester
        self._coordinator = coordinator
        self._cache = cache
        self._clock = clock
        self._on_event = on_event
        self._refused_credential: str | None = None

    @property
    def is_critical(self) -> bool:
        """Something that can be spent only once is on its way: cutting it off would lose it."""
        return (
            self._requester.is_critical
            if self._coordinator is None
            else self._coordinator.is_critical
        )

    async def forget(self) -> None:
        """
        Forget what a sign-in began with, and what the store has.

        Raises:
            StoreError: The store may have it still.
        """
        self._requester.forget()
        if self._coordinator is not None:
            await self._coordinator.forget()

    async def run(self) -> Obtained | RetryState:
        """Refresh the cache's token; a failure is a result too."""
        with self._cache.lock:
            held, failure = self._cache.held, self._cache.failure
            generation = self._cache.generation
        if failure is not None and await self._is_still_refused(failure):
            return failure
        error: AritmaAuthError
        try:
            obtained = await self._obtain(held)
        except AritmaAuthError as known:
            error = known
        except Exception as bug:  # noqa: BLE001 - a caller's own client, store or clock
            error = ConfigurationError(
                f"the refresh broke on {type(bug).__name__}: mend the client that it uses"
            )
        else:
            if isinstance(obtained, Postponed):
                return self._postpone(obtained, held, generation)
            return await self._accept(obtained, generation)
        return await self._refuse(error, generation)

    async def _obtain(self, held: Held) -> Obtained | Postponed:
        now = self._cache.now()
        is_patient = not held.is_alive(now)
        if self._coordinator is None:
            return await self._requester.run(held.token, patient=is_patient)
        spare_until = float("-inf") if held.life is None else held.life.must_refresh_at
        return await self._coordinator.run(
            Need(
                held.token,
                rejected=self._cache.rejected,
                is_patient=is_patient,
                spare=held.token,
                spare_until=spare_until,
            )
        )

    def _postpone(self, postponed: Postponed, held: Held, generation: int) -> Obtained:
        with self._cache.lock:
            self._cache.postpone(postponed.seconds, generation)
        return Obtained(postponed.token, held.issued_at)

    async def _accept(self, obtained: Obtained, generation: int) -> Obtained | RetryState:
        cache = self._cache
        held = cache.hold(obtained)
        with cache.lock:
            # A slow refresh overwrites nothing newer.
            if cache.generation == generation:
                cache.install(held)
                generation = cache.generation
        if not held.is_alive(cache.now()):
            # Kept for its refresh token, but never served.
            late = TransportError("the token had expired when its answer came: try again later")
            return await self._refuse(late, generation)
        took = self._clock.monotonic() - obtained.issued_at
        fingerprint = obtained.token.fingerprint
        lifetime = held.expires_at - held.issued_at
        notify(
            self._on_event,
            TokenAdopted(fingerprint)
            if obtained.is_adopted
            else TokenRefreshed(fingerprint, lifetime, took),
        )
        if abs(self._client.clock_skew) > _SKEW_WORTH_TELLING:
            notify(self._on_event, ClockSkewed(self._client.clock_skew))
        return obtained

    async def _refuse(self, error: AritmaAuthError, generation: int) -> RetryState:
        if error.is_permanent:
            self._refused_credential = await self._credential()
        with self._cache.lock:
            failure = self._cache.record(error, generation)
            is_alive = self._cache.held.is_alive(self._cache.now())
        pause = self._cache.seconds_to_retry(failure)
        notify(self._on_event, RefreshFailed(failure.error, failure.count, pause, is_alive))
        return failure

    async def _is_still_refused(self, failure: RetryState) -> bool:
        if not failure.error.is_permanent or self._cache.seconds_to_retry(failure) == 0:
            return False
        # A changed secret or store entry opens the gate at once.
        return await self._credential() == self._refused_credential

    async def _credential(self) -> str:
        serial = 0 if self._coordinator is None else await self._coordinator.serial()
        return f"{serial} {await credential_fingerprint(self._client)}"


class RefreshMachinery:
    """
    The flights of one provider and what they do.

    Args:
        settings: What the provider was made with.

        cache: What it remembers.

        on_finished: Called under the cache's lock when a flight is over.

    Attributes:
        flights: One refresh at a time.

        coordinator: Knows the store, or None without one.
    """

    __slots__ = ("_is_forgetful", "_renewal", "coordinator", "flights")

    def __init__(
        self, settings: Settings, cache: TokenCache, on_finished: Callable[[], None]
    ) -> None:
        client, clock, on_event = settings.client, settings.clock, settings.on_event
        requester = TokenRequester(client, settings.grant, settings.policy, clock, settings.draw)
        self.coordinator: RefreshCoordinator | None = None
        if settings.store is not None:
            key = token_key(client, settings.grant)
            store = ResilientStore(settings.store, key, settings.sharing, clock, on_event)
            self.coordinator = RefreshCoordinator(settings, requester, store)
        self._is_forgetful = self.coordinator is None and settings.grant.is_reusable
        self._renewal = Refresh(client, requester, self.coordinator, cache, clock, on_event)
        self.flights: SingleFlight[Obtained | RetryState] = SingleFlight(
            self._renewal.run, cache.lock, on_finished
        )

    @property
    def is_critical(self) -> bool:
        """Something that can be spent only once is on its way: cutting it off would lose it."""
        return self._renewal.is_critical

    def land(
        self, flight: Flight[Obtained | RetryState], timeout: float | None
    ) -> Awaitable[Obtained | RetryState | None]:
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
        self, flight: Flight[Obtained | RetryState], timeout: float
    ) -> Obtained | RetryState | None:
        try:
            return await self.flights.join(flight, timeout)
        except TimeoutError:
            pass
        raise TokenTimeoutError("no token within this caller's timeout: the refresh goes on")

    async def stop(self) -> None:
        """Cut off the refresh under way, or wait for what can be had only once."""
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
        Tell whether nothing here is worth remembering until the next refresh.

        Args:
            cache: What the provider remembers.
        """
        return self._is_forgetful and cache.failure is None

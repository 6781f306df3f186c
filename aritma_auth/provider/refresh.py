"""One refresh: look at the backoff, get a token, and settle what came in the cache."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import attrs

from aritma_auth import events
from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    EndpointMissingError,
    ProviderClosedError,
    ReauthenticationRequiredError,
    TransportError,
)
from aritma_auth.events.listeners import WaitingListener, notify_of_wait
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.backoff import RetryState
from aritma_auth.provider.cache import IssuedToken, TokenCache
from aritma_auth.provider.settings import CLOSED, Settings, credential_fingerprint
from aritma_auth.provider.token_request import TokenRequester
from aritma_auth.runtime.lock import STATE_LOCK
from aritma_auth.runtime.single_flight import Flight, ObservedFlight, SingleFlight
from aritma_auth.runtime.tasks import (
    GuardedTask,
    WorkBrokenOffError,
    retrieve,
    run_to_the_end,
    run_within,
    stop_if_lost,
    uninterrupted,
)

if TYPE_CHECKING:
    from aritma_auth.provider.shared.coordinator import RefreshCoordinator
    from aritma_auth.provider.shared.messages import Postpone
    from aritma_auth.stores.contract import SharedBackoff

Outcome = IssuedToken | RetryState | Literal[True]
"""
The result of a flight: True if the cache has a token as before.

A failure is a value too, of which each caller raises a copy.
"""

_NOTABLE_SKEW = 30.0

_LOST_SIGN_OUT = (
    "the event loop of this sign-out stood still, and the provider was closed or signed out "
    "elsewhere meanwhile: the token may not be revoked"
)


@runtime_checkable
class _Revoker(Protocol):
    async def revoke(self, token: Token) -> None: ...


class TokenRefresher:
    """
    Refreshes one provider's token, by one flight at a time.

    It exists while a refresh is under way, and afterwards only if it remembers something that the
    next refresh needs.

    Args:
        settings: What the provider was made with.

        cache: What it remembers; takes the results.

        on_end: Called with the state lock held when a flight has ended.
    """

    __slots__ = (
        "_cache",
        "_is_closed",
        "_requester",
        "_settings",
        "_signing_out",
        "coordinator",
        "flights",
    )

    def __init__(self, settings: Settings, cache: TokenCache, on_end: Callable[[], None]) -> None:
        self._settings = settings
        self._cache = cache
        self._requester = TokenRequester(settings)
        self._signing_out: GuardedTask[bool] | None = None
        self._is_closed = False
        self.coordinator = self._coordinate()
        self.flights = self._make_flights(on_end)

    def _make_flights(self, on_end: Callable[[], None]) -> SingleFlight[Outcome]:
        listener = self._settings.on_event
        if not isinstance(listener, WaitingListener):
            return SingleFlight(self._run, STATE_LOCK, on_end, self._patience)

        def on_wait(flight: Flight[Outcome]) -> None:
            notify_of_wait(listener, flight.number)

        return ObservedFlight(self._run, STATE_LOCK, on_end, self._patience, on_wait)

    @property
    def is_disposable(self) -> bool:
        """Nothing here is worth remembering until the next refresh."""
        return (
            self.coordinator is None
            and self._settings.grant.is_reusable
            and self._cache.failure is None
            and (self._signing_out is None or self._signing_out.work.done())
        )

    def _patience(self, flight: Flight[Outcome]) -> float:
        # The response to a one-time refresh token may wait in the socket of a loop that stands.
        is_once = flight.task is not None and flight.task.is_uninterruptible
        return self._settings.sharing.redemption_timeout if is_once else 1.0

    @property
    def is_stored(self) -> bool:
        """The newest token is in the store."""
        return self.coordinator is not None and self.coordinator.is_stored

    async def sign_out(self) -> bool:
        """
        Revoke the newest token if the client can, and forget it; once begun, both are done.

        Returns:
            Whether it was revoked.

        Raises:
            AritmaAuthError: It could not be revoked, or the store may have it still.
        """
        await self._end_sign_out()
        if self._is_closed:
            # While this one has waited for the one before it.
            raise ProviderClosedError(CLOSED)
        task = self._signing_out = GuardedTask(self._sign_out(), "aritma-auth sign-out", retrieve)
        await asyncio.wait((task.work,))
        if task.work.cancelled():
            raise TransportError(_LOST_SIGN_OUT, may_have_arrived=False)
        return task.work.result()

    async def _end_sign_out(self) -> None:
        policy, sharing = self._settings.policy, self._settings.sharing
        while (signing_out := self._signing_out) is not None:
            await signing_out.end(policy.refresh_timeout + sharing.store_timeout)
            # On a loop that stands still it would go on after the next one, or after `aclose`.
            signing_out.lose()
            if self._signing_out is signing_out:
                self._signing_out = None

    async def _sign_out(self) -> bool:
        is_revoked, is_revocable = False, True
        try:
            is_revoked = await self._revoke()
        except EndpointMissingError:
            is_revocable = False
        finally:
            stop_if_lost()
            await self.forget(is_revoked=is_revoked, is_revocable=is_revocable)
        return is_revoked

    async def _revoke(self) -> bool:
        # A refresh that is under way brings the token that must be revoked.
        await self.flights.cancel()
        client, token = self._settings.client, await self.newest()
        if token is None or not isinstance(client, _Revoker):
            return False
        limit = self._settings.policy.refresh_timeout
        problem: AritmaAuthError
        try:
            await run_within(limit, client.revoke(token), "aritma-auth sign-out")
        except AritmaAuthError:
            raise
        except TimeoutError:
            problem = TransportError(f"the token was not revoked within {limit:g} s")
        except WorkBrokenOffError as broken:
            from aritma_auth.caller_code import broken_off  # of wrong clients only

            problem = broken_off("the client's revoke", broken, may_have_arrived=True)
        except Exception as bug:  # noqa: BLE001 - a caller's own client
            problem = ConfigurationError(
                f"the client's revoke raised {type(bug).__name__}: it must raise an error of "
                "aritma_auth, or return"
            )
        else:
            return True
        raise problem

    async def newest(self) -> Token | None:
        """Return the newest token that is known here or in the store."""
        if self.coordinator is None:
            return self._cache.current.token
        return await self.coordinator.newest()

    def signed_in(self, token: Token | None) -> None:
        """Learn of the token of `set_token`, or with None of its end, with the state lock held."""
        if self.coordinator is not None:
            self.coordinator.signed_in(token)
        if self._settings.on_token is not None:
            self._settings.on_token.announce(token, self._settings.report)

    async def keep(self) -> None:
        """Write that token to the store, and tell the callback; once begun, both are done."""
        await run_to_the_end(self._keep(), "aritma-auth store")

    async def _keep(self) -> None:
        if self.coordinator is not None:
            await self.coordinator.write()
        if self._settings.on_token is not None:
            await self._settings.on_token.deliver()

    async def forget(self, *, is_revoked: bool = False, is_revocable: bool = True) -> None:
        """
        Stop the refresh, and forget the token, here and in the store, and the grant it came by.

        Raises:
            StoreError: The store may have it still.
        """
        try:
            await self._stop_and_clear(is_revoked=is_revoked, is_revocable=is_revocable)
        finally:
            await run_to_the_end(self._forget(), "aritma-auth store")

    async def _stop_and_clear(self, *, is_revoked: bool, is_revocable: bool) -> None:
        try:
            flight = self.flights.current
            if flight is not None and flight.task is not None and flight.task.is_uninterruptible:
                # Its callers get what it brings; then that is forgotten too.
                await self.flights.cancel()
        finally:
            with STATE_LOCK:
                token = self._cache.current.token
                self._cache.clear()
                self._requester.forget()
                self.signed_in(None)
            fingerprint = "" if token is None else token.fingerprint
            self._settings.report(
                events.TokenForgotten(fingerprint, is_revoked=is_revoked, is_revocable=is_revocable)
            )
        await self.flights.cancel()

    async def _forget(self) -> None:
        try:
            if self.coordinator is not None:
                await self.coordinator.forget()
        finally:
            if self._settings.on_token is not None:
                await self._settings.on_token.deliver()

    async def aclose(self) -> None:
        """Stop the refresh, and try for the last time to write what the store does not have."""
        self._is_closed = True
        await self._end_sign_out()
        await self.flights.cancel()
        if self.coordinator is not None:
            await run_to_the_end(self.coordinator.aclose(), "aritma-auth store")

    async def _run(self, flight: Flight[Outcome]) -> Outcome:
        """Refresh; every failure is a value."""
        try:
            return await self._fly(flight)
        except Exception as error:  # noqa: BLE001 - a failed clock cannot tell when to try again
            return RetryState(_as_ours(error), 1, float("-inf"))

    async def _fly(self, flight: Flight[Outcome]) -> Outcome:
        """Refresh, and report the flight's start and end."""
        settings = self._settings
        started = settings.clock.monotonic()
        settings.report_routine(lambda: events.FlightStarted(flight.number, self._cache.is_alive))
        try:
            outcome = await self._refresh()
        except asyncio.CancelledError:
            # Named, and no finally: a coroutine that is thrown away with its loop reports nothing.
            self._report_end(flight, "cancelled", started)
            raise
        self._report_end(flight, _name_of(outcome), started)
        return outcome

    def _report_end(self, flight: Flight[Outcome], outcome: str, started: float) -> None:
        took = self._settings.clock.monotonic() - started
        self._settings.report_routine(
            lambda: events.FlightEnded(flight.number, outcome, took, len(flight.waiting))
        )

    async def _refresh(self) -> Outcome:
        cache = self._cache
        with STATE_LOCK:
            failure, generation = cache.failure, cache.generation
        if failure is not None and await self._is_still_refused(failure):
            return failure
        try:
            issued = await self._obtain(failure)
        except Exception as raised:  # noqa: BLE001 - a caller's own client or store
            error = _as_ours(raised)
        else:
            if isinstance(issued, IssuedToken):
                await self._announce(issued, generation)
                return await self._accept(issued, generation)
            if issued is None:
                return True
            return await self._stand_back(issued, generation)
        # Only a token is kept of a flight that was given up: its failure is nobody's.
        stop_if_lost()
        return await self._refuse(error, generation)

    async def _is_still_refused(self, failure: RetryState) -> bool:
        """Tell whether a permanent refusal holds: neither credential nor store entry changed."""
        if failure.refused is None or self._cache.seconds_to_retry(failure) == 0:
            return False
        # Other callers get the refusal at once meanwhile: a secret's callable may hang.
        looking = self._look_later(failure, float("inf"))
        try:
            return await self._fingerprint() == failure.refused
        finally:
            interval = self._settings.policy.permanent_error_backoff_base
            self._look_later(looking, self._settings.clock.monotonic() + interval)

    def _look_later(self, failure: RetryState, look_at: float) -> RetryState:
        later = attrs.evolve(failure, look_at=look_at)
        with STATE_LOCK:
            if self._cache.failure is failure:
                self._cache.failure = later
        return later

    async def _stand_back(self, told: "Postpone | SharedBackoff", generation: int) -> Outcome:
        """Leave the refresh to another process, or its failure."""
        from aritma_auth.stores.contract import SharedBackoff  # with a store only

        if isinstance(told, SharedBackoff):
            return await self._refuse(told.error, generation, told)
        with STATE_LOCK:
            if self._cache.generation == generation:
                self._cache.postpone(told.seconds)
        return True

    async def _obtain(
        self, failure: RetryState | None
    ) -> "IssuedToken | Postpone | SharedBackoff | None":
        if self.coordinator is not None:
            return await self.coordinator.refresh()
        # After a failure one request is a probe; more would feed an outage.
        is_patient = not self._cache.is_alive and failure is None
        return await self._requester.run(lambda: self._cache.current.token, patient=is_patient)

    async def _announce(self, issued: IssuedToken, generation: int) -> None:
        """Tell the callback of a token before it is served; with a store the coordinator does."""
        announcer = self._settings.on_token
        if announcer is None or self.coordinator is not None:
            return
        with STATE_LOCK:
            if self._cache.generation != generation:
                return
            announcer.announce(issued.token, self._settings.report)
        # The refresh token's successor is on its way to where it is kept.
        with uninterrupted():
            await announcer.deliver()

    async def _accept(self, issued: IssuedToken, generation: int) -> Outcome:
        cache, settings = self._cache, self._settings
        lifetime = cache.plan(issued)
        problem, is_over = issued.problem, not cache.serves(lifetime)
        with STATE_LOCK:
            failure, is_first = cache.failure, cache.current.token is None
            is_useless = problem is None and is_over and not cache.is_current(issued.token)
            # A slow refresh overwrites nothing newer.
            if cache.generation == generation:
                if is_useless and cache.is_alive:
                    # Static stability: a token that lives gives way to none that has ended.
                    cache.take_refresh_token(issued.token)
                else:
                    cache.install(lifetime)
                generation = cache.generation
        if problem is None and is_over:
            took = settings.clock.monotonic() - issued.issued_at
            problem = TransportError(
                "the token had expired when its response came: it was valid for "
                f"{max(0.0, lifetime.lifetime):.3g} s, and the response took {took:.3g} s. Compare "
                "the clocks, and look at what delays the response"
            )
        if problem is not None:
            return await self._refuse(problem, generation)
        now = settings.clock.monotonic()
        settings.report_routine(
            lambda: _event_of(issued, lifetime.lifetime, now - issued.issued_at, is_first=is_first)
        )
        settings.report_recovery(failure, now)
        self._report_skew(settings.client.clock_skew)
        return issued

    def _report_skew(self, skew: float) -> None:
        """Report a skewed clock once, and again when it has moved as far once more."""
        if abs(skew) <= _NOTABLE_SKEW:
            skew = 0.0
        if abs(skew - self._cache.reported_skew) > _NOTABLE_SKEW:
            self._cache.reported_skew = skew
            if skew:
                self._settings.report(events.ClockSkewed(skew))

    async def _refuse(
        self, error: AritmaAuthError, generation: int, told: "SharedBackoff | None" = None
    ) -> RetryState:
        refused = await self._fingerprint() if error.is_permanent else None
        cache = self._cache
        with STATE_LOCK:
            before = cache.failure
            failure = cache.record(error, refused, told)
            if cache.generation == generation:
                cache.failure = failure
            is_alive = cache.is_alive
        settings, pause = self._settings, cache.seconds_to_retry(failure)
        settings.report(events.RefreshFailed(failure.error, failure.count, pause, is_alive))
        if _demands_sign_in(failure) and not (before and _demands_sign_in(before)):
            settings.report(events.ReauthenticationRequired(failure.error, is_alive))
        return failure

    async def _fingerprint(self) -> str:
        """Return a text that changes with the credential or with the store's entry."""
        settings = self._settings
        serial = 0 if self.coordinator is None else await self.coordinator.serial()
        credential = await credential_fingerprint(settings)
        return f"{serial} {credential}"

    def _coordinate(self) -> "RefreshCoordinator | None":
        settings, cache = self._settings, self._cache
        if settings.store is None:
            return None
        from aritma_auth.provider.shared.coordinator import RefreshCoordinator  # with a store only
        from aritma_auth.provider.shared.knowledge import Moment
        from aritma_auth.provider.shared.resilient_store import ResilientStore
        from aritma_auth.stores.key import token_key

        def look_around() -> Moment:
            current, now = cache.current, settings.clock.monotonic()
            # The cache's clock may be ahead: it also counts the machine's sleep.
            ahead = cache.now() - now
            return Moment(
                now,
                settings.clock.time(),
                settings.draw(),
                held=current.token,
                held_until=current.expires_at - ahead,
                spare_until=current.must_refresh_at - ahead,
                rejected=cache.rejected,
                # After a failure one request is a probe; more would feed an outage.
                is_patient=cache.failure is None and not cache.is_alive,
                counts_suspend=settings.clock.counts_suspend,
            )

        key = token_key(settings.client, settings.grant)
        store = ResilientStore(
            settings.store, key, settings.sharing, settings.clock, settings.report
        )
        return RefreshCoordinator(settings, self._requester, store, look_around)


def _as_ours(raised: Exception) -> AritmaAuthError:
    if isinstance(raised, AritmaAuthError):
        return raised.copy()
    return ConfigurationError(
        f"the client or the store raised {type(raised).__name__}: it must raise an error of "
        "aritma_auth, or return"
    )


def _event_of(
    issued: IssuedToken, lifetime: float, age: float, *, is_first: bool
) -> "events.Event":
    fingerprint = issued.token.fingerprint
    if issued.is_adopted:
        return events.TokenAdopted(fingerprint, lifetime, age, is_first)
    kind = events.TokenAcquired if is_first else events.TokenRefreshed
    return kind(fingerprint, lifetime, age)


def _name_of(outcome: Outcome) -> str:
    if isinstance(outcome, IssuedToken):
        return "adopted" if outcome.is_adopted else "issued"
    return "failed" if isinstance(outcome, RetryState) else "postponed"


def _demands_sign_in(failure: RetryState) -> bool:
    return isinstance(failure.error, ReauthenticationRequiredError)

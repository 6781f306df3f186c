"""The token cache: one token, shared by everyone who waits."""

import os
import random
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aritma_auth.clock import SYSTEM_CLOCK, Clock
from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    ProviderClosedError,
    TokenTimeoutError,
    TransportError,
)
from aritma_auth.events import (
    ClockSkewed,
    Event,
    Listener,
    RenewalFailed,
    TokenAdopted,
    TokenRejected,
    TokenRenewed,
    log_event,
    notify,
)
from aritma_auth.flight import Flight, SingleFlight
from aritma_auth.held import Held, ProviderStatus
from aritma_auth.lifecycle import (
    Failure,
    RefreshPolicy,
    RejectionGate,
    Step,
    decide,
    plan_life,
    plan_retry,
)
from aritma_auth.protocol.grants import Grant
from aritma_auth.protocol.tokens import Token
from aritma_auth.renewal import Obtained, Renewal, TokenClient

if TYPE_CHECKING:
    from aritma_auth.middleware import BearerMiddleware

_SKEW_WORTH_TELLING = 30.0


class TokenProvider:
    """
    Gives a token that works, renewed before it is needed, with one request at a time.

    Any number of coroutines, event loops and threads may share one provider. Cancelling one of
    them ends its own wait and nothing else.

    Args:
        client: Asks the authorization server; usually an `OAuthClient`.

        grant: What entitles the client to its first token.

        policy: The numbers of a token's life.

        clock: Tells the time.

        draw: Random numbers in [0, 1) for the jitter.

        on_event: Told what happens; by default it is logged. It must not block.

    Source: Aritma's authentication page ("Reuse the access token until it expires").
    """

    def __init__(
        self,
        client: TokenClient,
        grant: Grant,
        *,
        policy: RefreshPolicy | None = None,
        clock: Clock = SYSTEM_CLOCK,
        draw: Callable[[], float] = random.random,
        on_event: Listener | None = log_event,
    ) -> None:
        self._client = client
        self._policy = policy or RefreshPolicy()
        self._clock = clock
        self._draw = draw
        self._on_event = on_event
        self._renewal = Renewal(client, grant, self._policy, clock, draw)
        self._flights: SingleFlight[Obtained | Failure] = SingleFlight(self._renew)
        self._now = clock.monotonic if clock.counts_suspend else self._later_clock
        self._held = Held()
        self._failure: Failure | None = None
        self._rejections = RejectionGate()
        self._rejected: Token | None = None
        self._generation = 0
        self._refused_credential: str | None = None
        self._is_closed = False

    async def get_token(self, min_ttl: float = 0.0, timeout: float | None = None) -> Token:
        """
        Give a token that works.

        Args:
            min_ttl: Seconds that the token should still live. If the server is down, or its tokens
                never live so long, the one that lives is given.

            timeout: Seconds that this caller waits at most; the shared renewal goes on.

        Raises:
            TokenTimeoutError: The caller's time is over.

            ProviderClosedError: The provider was closed.

            AritmaAuthError: No live token is left and none could be had; ``is_permanent`` and
                ``retry_after`` say whether and when asking again makes sense.
        """
        held = self._held
        now = self._now()
        token = held.token
        if token is not None and now < held.refresh_at and now + min_ttl <= held.expires_at:
            return token
        return await self._obtain(min_ttl, timeout)

    async def _obtain(self, min_ttl: float, timeout: float | None) -> Token:
        while True:
            with self._flights.lock:
                self._require_open()
                held, failure, now = self._held, self._failure, self._now()
                step = decide(
                    held.freshness(now),
                    long_enough=held.outlasts(min_ttl, now=now, policy=self._policy),
                    failure=failure,
                    now=self._clock.monotonic(),
                )
                launched = step in {Step.SERVE_AND_RENEW, Step.WAIT}
                flight = self._flights.launch() if launched else None
            if step is Step.REFUSE and failure is not None:
                raise failure.as_error(now=self._clock.monotonic())
            if held.token is not None and step is not Step.WAIT:
                return held.token
            if flight is not None and (token := await self._await_landing(flight, timeout)):
                return token
            # The flight was lost with its event loop: start over.

    async def _await_landing(
        self, flight: Flight[Obtained | Failure], timeout: float | None
    ) -> Token | None:
        try:
            outcome = await self._flights.join(flight, timeout)
        except TimeoutError:
            is_late = True
        else:
            is_late = False
        if is_late:
            raise TokenTimeoutError("no token within this caller's timeout: the renewal goes on")
        if not isinstance(outcome, Failure):
            return None if outcome is None else outcome.token
        with self._flights.lock:
            held = self._held
        if held.token is not None and held.is_alive(self._now()):
            return held.token
        raise outcome.as_error(now=self._clock.monotonic())

    def invalidate(self, token: Token) -> bool:
        """
        Drop a token that an API refused, so that the next caller gets another.

        Args:
            token: The refused token, as `get_token` gave it.

        Returns:
            Whether it was dropped: False if it is no longer the cached one, or if a renewal was
            forced so recently that another would not help.
        """
        with self._flights.lock:
            held = self._held
            if held.life is None or not held.holds(token):
                return False
            gate = self._rejections.admit(self._policy, now=self._clock.monotonic())
            if gate is not None:
                self._rejections = gate
                self._held = Held(held.token)
                self._rejected = token
        self._tell(TokenRejected(token.fingerprint, renews=gate is not None))
        return gate is not None

    def reject(self, token: Token) -> bool:
        """
        Report an API's 401.

        Args:
            token: The token that the request carried.

        Returns:
            Whether a different token can be had: a newer one is here or a renewal may be forced.
        """
        if self.invalidate(token):
            return True
        with self._flights.lock:
            return self._held.life is None or not self._held.holds(token)

    async def set_token(self, token: Token) -> None:
        """
        Put a token in place, such as the one a sign-in has just brought.

        Args:
            token: Its refresh token, if it has one, is used for the renewals.
        """
        with self._flights.lock:
            self._require_open()
            now, wall = self._clock.monotonic(), self._clock.time()
            age = max(0.0, wall - token.issued_at) if token.issued_at else 0.0
            self._install(Obtained(token, now - age))

    def status(self) -> ProviderStatus:
        """Describe the provider for a health check; nothing in it is secret."""
        with self._flights.lock:
            held, failure = self._held, self._failure
            is_renewing = self._flights.current is not None
        return ProviderStatus.of(
            held,
            failure,
            now=self._now(),
            monotonic=self._clock.monotonic(),
            is_renewing=is_renewing,
        )

    def middleware(
        self, origins: Iterable[str] | None = None, *, strict: bool = False
    ) -> "BearerMiddleware":
        """
        Make the middleware that signs an aiohttp session's requests with this provider's token.

        Args:
            origins: URLs whose scheme, host and port the token may go to; by default the
                environment's ``api_origins``.

            strict: Refuse requests to other origins instead of sending them unsigned.
        """
        from aritma_auth.middleware import BearerMiddleware  # noqa: PLC0415 - it imports us

        if origins is None:
            origins = self._client.environment.api_urls
        return BearerMiddleware(self, origins, strict=strict, on_event=self._on_event)

    async def aclose(self) -> None:
        """
        Close: no task, socket or thread is left, and callers in flight hear ProviderClosedError.

        A refresh token that is being exchanged is waited for, so that its successor is not lost.
        """
        with self._flights.lock:
            self._is_closed = True
            self._held = Held()
        while (flight := self._flights.current) is not None:
            if self._renewal.is_critical:
                await self._flights.join(flight)
            else:
                await self._flights.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        status = self.status()
        return f"<TokenProvider of {self._client.client_id!r}: {status.freshness}>"

    async def _renew(self) -> Obtained | Failure:
        with self._flights.lock:
            held, failure, generation = self._held, self._failure, self._generation
        if failure is not None and await self._still_refused(failure):
            return failure
        error: AritmaAuthError
        try:
            obtained = await self._renewal.run(held.token, patient=not held.is_alive(self._now()))
            return self._accept(obtained, generation)
        except AritmaAuthError as known_error:
            error = known_error
        except Exception as bug:  # noqa: BLE001 - a caller's client, store or clock
            error = ConfigurationError(
                f"the renewal broke on {type(bug).__name__}: mend the client or store it uses"
            )
        if error.is_permanent:
            self._refused_credential = await self._credential()
        return self._record(error, generation)

    async def _still_refused(self, failure: Failure) -> bool:
        if not failure.error.is_permanent or self._clock.monotonic() >= failure.not_before:
            return False
        # A changed secret opens the gate at once.
        return await self._credential() == self._refused_credential

    async def _credential(self) -> str:
        try:
            return await self._client.credential_fingerprint()
        except AritmaAuthError as error:
            return str(error)

    def _accept(self, obtained: Obtained, generation: int) -> Obtained:
        with self._flights.lock:
            if self._generation == generation and not self._is_closed:
                self._install(obtained)
            held, now = self._held, self._clock.monotonic()
        if held.token is obtained.token and not held.is_alive(self._now()):
            raise TransportError("the token had expired when its answer came: try again later")
        token, lifetime = obtained.token, held.expires_at - held.issued_at
        self._tell(
            TokenAdopted(token.fingerprint)
            if obtained.is_adopted
            else TokenRenewed(token.fingerprint, lifetime, now - obtained.issued_at)
        )
        if abs(self._client.clock_skew) > _SKEW_WORTH_TELLING:
            self._tell(ClockSkewed(self._client.clock_skew))
        return obtained

    def _install(self, obtained: Obtained) -> None:
        token, issued_at = obtained.token, obtained.issued_at
        lifetime = None
        if token.expires_at is not None:
            lifetime = token.expires_at - (token.issued_at or self._clock.time())
        life = plan_life(
            self._policy,
            lifetime,
            issued_at=issued_at,
            wall=self._clock.time() - (self._clock.monotonic() - issued_at),
            draw=self._draw(),
        )
        self._generation += 1
        self._held = Held(token, life)
        self._failure = None

    def _record(self, error: AritmaAuthError, generation: int) -> Failure:
        with self._flights.lock:
            held, now = self._held, self._clock.monotonic()
            is_alive = held.is_alive(self._now())
            calm_until = held.life.must_refresh_at if held.life and is_alive else None
            failure = plan_retry(
                self._policy,
                error.copy(),
                self._failure,
                now=now,
                draw=self._draw(),
                calm_until=calm_until,
            )
            if self._generation == generation:
                self._failure = failure
        self._tell(RenewalFailed(failure.error, failure.count, failure.not_before - now, is_alive))
        return failure

    def _later_clock(self) -> float:
        monotonic, life = self._clock.monotonic(), self._held.life
        return monotonic if life is None else life.now(monotonic=monotonic, wall=self._clock.time())

    def _require_open(self) -> None:
        if self._is_closed:
            raise ProviderClosedError("this TokenProvider is closed: make a new one")

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            notify(self._on_event, event)

"""
Receives Aritma's events: an endpoint for aiohttp.web, for ASGI, or for any other server.

    request --> handshake? --> authorization --> body within its limits --> envelopes --> tenant
                                                                               |
                           200 <-- every handler once, in the order of the batch
                           503 <-- one has failed, or another request has it: deliver again

A refused request gets a status and nothing else, and the log gets a reason that quotes nothing.
"""

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeGuard, TypeVar

import attrs

from aritma_auth.banking.authorization import AcceptedAuthorization, RefusedError
from aritma_auth.banking.cloud_events import CloudEvent, parse_cloud_events
from aritma_auth.banking.deliveries import DeliveryLog, MemoryDeliveryLog
from aritma_auth.banking.dispatcher import EventDispatcher
from aritma_auth.banking.events import (
    EVENT_TYPES,
    BankingEvent,
    parse_event,
    require_event_types,
)
from aritma_auth.banking.handshake import (
    VALIDATION_HEADERS,
    Handshake,
    open_validation_url,
    parse_handshake,
)
from aritma_auth.banking.kinds import parse_fields
from aritma_auth.caller_code import require_clock
from aritma_auth.environment import PRODUCTION, Environment
from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    VerificationError,
    require_count,
    require_flag,
    require_instance,
    require_seconds,
    wrong_kind,
)
from aritma_auth.events import DeliveryRefused
from aritma_auth.events.base import Event, Listener
from aritma_auth.events.listeners import log_event, notify, require_listener
from aritma_auth.network.transport import Transport
from aritma_auth.protocol.parameters import parse_names
from aritma_auth.protocol.redaction import HiddenBytes
from aritma_auth.protocol.tenants import TENANT_CLAIM, find_tenant_problem
from aritma_auth.protocol.urls import Origin, origin_of, require_secure_url
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.tasks import WorkBrokenOffError, run_within
from aritma_auth.runtime.values import Value
from aritma_auth.secret import Secret

if TYPE_CHECKING:
    import aiohttp
    from aiohttp import web

    from aritma_auth.banking.asgi import Message, Scope

E = TypeVar("E", bound=BankingEvent | CloudEvent)

_METHODS = ("POST", "PUT", "OPTIONS")
_WEEK = 7 * 24 * 3600.0
_RETRY_AFTER = "10"
_LEAST = 0.1
"""Seconds that are left for one step, at the least."""


@attrs.frozen(eq=False, repr=False)
class EventReply(Value):
    """
    What to respond with; the body is empty.

    Attributes:
        status: HTTP status.

        headers: Header fields.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict)


class EventReceiver:
    """
    The endpoint to which Aritma delivers events.

    An instance is an ASGI application, and `aiohttp` is a handler for aiohttp.web. An event whose
    handler has failed, or whose process has died, is delivered again; one that was handled is not
    handled again, as long as the log of deliveries remembers it.

    Args:
        authorization: The value of ``Authorization`` that the subscription names, or two while one
            replaces the other. Each is loaded anew for each request.

        tenants: The tenants whose events are accepted (``tid``), or None for those that the
            environment accepts, which is every tenant unless it names some.

        environment: Whose APIs may name a validation URL.

        validation_origins: Further URLs at whose origins a validation URL may be.

        validation_headers: Fields that may hold the validation URL.

        authorize_handshake: Require the authorization of handshakes too. Otherwise one that comes
            without is accepted, since Aritma's pages do not say whether it has it.

        deliveries: Remembers what was handled; by default in this process.

        event_types: The typed events by the ``type`` of their envelope.

        max_body: Bytes of a request at most.

        max_events: Events of a batch at most.

        timeout: Seconds for one request, its handlers included.

        retention: Seconds to remember what was handled; longer than Aritma delivers again.

        session: The session whose connections open the validation URL.

        on_event: Is called with what happens; by default it is logged.

        clock: The clock that bounds a request.

    Raises:
        ConfigurationError: An argument is of the wrong kind.

    Source: Aritma's Events API. Its events carry no signature: the authorization is all that tells
    the sender.
    """

    @hides_arguments
    def __init__(
        self,
        authorization: Secret | Sequence[Secret],
        *,
        tenants: str | Iterable[str] | None,
        environment: Environment = PRODUCTION,
        validation_origins: Iterable[str] = (),
        validation_headers: Iterable[str] = VALIDATION_HEADERS,
        authorize_handshake: bool = False,
        deliveries: DeliveryLog | None = None,
        event_types: Mapping[str, type[BankingEvent]] = EVENT_TYPES,
        max_body: int = 1 << 20,
        max_events: int = 5000,
        timeout: float = 25.0,
        retention: float = _WEEK,
        session: "aiohttp.ClientSession | None" = None,
        on_event: Listener | None = log_event,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._authorization = AcceptedAuthorization(authorization)
        require_instance("environment", "an Environment", environment, Environment)
        self._tenants = environment.tenants if tenants is None else _tenants(tenants)
        self._origins = environment.api_origins | _origins(validation_origins)
        self._validation_headers = parse_names(validation_headers, "validation_headers")
        require_flag("authorize_handshake", authorize_handshake)
        self._authorize_handshake = authorize_handshake
        log = MemoryDeliveryLog() if deliveries is None else deliveries
        require_instance("deliveries", "a DeliveryLog or None", log, DeliveryLog)
        require_event_types(event_types)
        self._types = dict(event_types)
        require_count("max_body", max_body, least=1)
        require_count("max_events", max_events, least=1)
        self._max_body = max_body
        self._max_events = max_events
        require_seconds("timeout", timeout, above_zero=True)
        require_seconds("retention", retention, above_zero=True)
        self._timeout = timeout
        # It refuses what is no session, and one that verifies no certificate.
        Transport(session, timeout=timeout)
        self._session = session
        require_listener(on_event)
        self._on_event = on_event
        clock = require_clock(clock)
        self._clock = clock
        self._dispatcher = EventDispatcher(
            log, timeout=timeout, retention=retention, clock=clock, tell=self._tell
        )
        self._is_validating = False

    def on(
        self, kind: type[E], *, name: str | None = None
    ) -> Callable[[Callable[[E], Awaitable[None]]], Callable[[E], Awaitable[None]]]:
        """
        Register a handler; a decorator.

        Args:
            kind: The events it takes: a typed event, `BankingEvent` for all of these, or
                `CloudEvent` for every event as it was delivered.

            name: Its name in the log of deliveries; the function's by default. Renaming a
                handler handles again what is delivered again.

        Raises:
            ConfigurationError: The kind is no event, the handler no coroutine function, or another
                handler has the name.
        """
        return self._dispatcher.on(kind, name)

    async def receive(
        self, method: str, headers: Iterable[tuple[str, str]], body: AsyncIterable[bytes]
    ) -> EventReply:
        """
        Receive one request, from whatever server; whatever it holds, there is a reply.

        Args:
            method: Its method.

            headers: Its header fields as pairs, repeated ones included.

            body: Its body, part by part; it is read as far as it may be long.

        Raises:
            ConfigurationError: An argument is of the wrong kind.
        """
        require_instance("method", "a text, such as request.method", method, str)
        fields = parse_fields(headers)
        require_instance("body", "an asynchronous iterable of bytes", body, AsyncIterable)
        deadline = self._clock.monotonic() + self._timeout
        try:
            return await self._receive(method, fields, body, deadline)
        except RefusedError as refused:
            return self._refuse(refused.status, refused.reason)
        except VerificationError as error:
            return self._refuse(400, str(error))
        except AritmaAuthError as error:
            return self._refuse(503, f"this receiver cannot work now ({type(error).__name__})")

    async def _receive(
        self,
        method: str,
        fields: tuple[tuple[str, str], ...],
        body: AsyncIterable[bytes],
        deadline: float,
    ) -> EventReply:
        if method not in _METHODS:
            return EventReply(405, {"Allow": ", ".join(_METHODS)})
        handshake = parse_handshake(method, fields, self._validation_headers)
        if handshake is not None:
            return await self._shake_hands(handshake, fields, deadline)
        await self._authorization.require(fields, timeout=self._left(deadline))
        events, problems = [], []
        for envelope in await self._read(fields, body, deadline):
            try:
                events.append(parse_event(envelope, self._types))
            except VerificationError as error:
                # The others of its batch must not be lost with it; handlers of envelopes get it.
                events.append(envelope)
                problems.append(str(error))
        if not await self._dispatcher.handle_all(events, deadline):
            return EventReply(503, {"Retry-After": _RETRY_AFTER})
        return self._refuse(400, problems[0]) if problems else EventReply(200)

    def _refuse(self, status: int, reason: str) -> EventReply:
        self._tell(DeliveryRefused(reason, status))
        return EventReply(status, {"Retry-After": _RETRY_AFTER} if status == 503 else {})

    def _tell(self, event: Event) -> None:
        notify(self._on_event, event)

    async def _shake_hands(
        self, handshake: Handshake, fields: tuple[tuple[str, str], ...], deadline: float
    ) -> EventReply:
        has_authorization = any(name.lower() == "authorization" for name, _ in fields)
        if has_authorization or self._authorize_handshake:
            await self._authorization.require(fields, timeout=self._left(deadline))
        if handshake.validation_url is not None:
            if self._is_validating:
                # One at a time: nobody may multiply requests to Aritma by way of this receiver.
                raise RefusedError(503, "another handshake is under way")
            self._is_validating = True
            try:
                is_done = await open_validation_url(
                    handshake,
                    self._origins,
                    timeout=self._left(deadline),
                    session=self._session,
                )
            finally:
                self._is_validating = False
            if not is_done:
                raise RefusedError(503, "the validation URL did not respond with success")
        origin = handshake.origin
        # Only what could be a host's name is repeated in the response.
        if not _is_host(origin):
            return EventReply(200, {})
        return EventReply(200, {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})

    async def _read(
        self, fields: tuple[tuple[str, str], ...], body: AsyncIterable[bytes], deadline: float
    ) -> tuple[CloudEvent, ...]:
        encodings = [value for name, value in fields if name.lower() == "content-encoding"]
        if any(encoding.strip().lower() != "identity" for encoding in encodings):
            raise RefusedError(400, "the body must not be compressed")
        try:
            octets = await run_within(
                self._left(deadline), _read_body(body, self._max_body), "aritma-auth events"
            )
        except (TimeoutError, WorkBrokenOffError):
            octets = None
        except Exception:  # noqa: BLE001 - a server's own error of a connection that broke off
            octets = None
        if octets is None:
            raise RefusedError(400, "the body is too long, too slow or was broken off")
        envelopes = parse_cloud_events(fields, octets, max_events=self._max_events)
        for envelope in envelopes:
            # The problem itself would quote the event.
            if find_tenant_problem({TENANT_CLAIM: envelope.tenant}, self._tenants) is not None:
                raise RefusedError(400, "the event is of another tenant, or names none")
        return envelopes

    def _left(self, deadline: float) -> float:
        return max(_LEAST, deadline - self._clock.monotonic())

    async def aiohttp(self, request: "web.Request") -> "web.Response":
        """
        Receive a request of aiohttp.web: ``add_route("*", "/events", receiver.aiohttp)``.

        Args:
            request: The request.
        """
        from aiohttp import web  # a service on ASGI does not load it

        reply = await self.receive(
            request.method, request.headers.items(), request.content.iter_any()
        )
        return web.Response(status=reply.status, headers=reply.headers)

    async def __call__(
        self,
        scope: "Scope",
        receive: "Callable[[], Awaitable[Message]]",
        send: "Callable[[Message], Awaitable[None]]",
    ) -> None:
        """
        Receive a request of an ASGI server: ``app.add_route("/events", receiver)``.

        Args:
            scope: The connection.

            receive: Gives its messages.

            send: Takes ours.

        Spec: ASGI 3.0, HTTP and lifespan.
        """
        from aritma_auth.banking.asgi import serve  # aiohttp.web needs none of it

        await serve(self.receive, scope, receive, send)

    def __repr__(self) -> str:
        return f"<EventReceiver with {len(self._dispatcher)} handlers>"


async def _read_body(body: AsyncIterable[bytes], limit: int) -> HiddenBytes | None:
    read = bytearray()
    async for part in body:
        read += part
        if len(read) > limit:
            read.clear()
            return None
    return HiddenBytes(read)


def _is_host(text: str | None) -> TypeGuard[str]:
    return (
        text is not None
        and text.isascii()
        and 0 < len(text) <= 253
        and all(character.isalnum() or character in "-.:" for character in text)
    )


def _tenants(given: object) -> frozenset[str]:
    named: object = (given,) if isinstance(given, str) else given
    required = "a tenant's id, several, or None for every tenant"
    if not isinstance(named, Iterable):
        raise wrong_kind("tenants", required, given)
    named = tuple(named)
    tenants = [tenant for tenant in named if isinstance(tenant, str) and tenant]
    if not tenants or len(tenants) != len(named):
        raise ConfigurationError(f"tenants must be {required}; each is a text and not empty")
    return frozenset(tenants)


def _origins(urls: object) -> frozenset[Origin]:
    if isinstance(urls, str) or not isinstance(urls, Iterable):
        raise wrong_kind("validation_origins", "a list of URLs", urls)
    return frozenset(origin_of(require_secure_url(url, "an origin")) for url in urls)

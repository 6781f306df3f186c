"""
Metrics and spans for OpenTelemetry; needs only its API, and costs nothing until it is used.

`Telemetry` is a listener of events. Metrics are made of the events. A flight is one span at the
root of a trace of its own, since it belongs to no caller::

    trace 1   GET /payments ------------- waits ......... link --+
    trace 2   GET /accounts ------------- waits ... link --+     |
                                                           v     v
    trace 3                                  aritma_auth.refresh
                                               +- POST (of whatever instruments aiohttp)

A caller that waits gets a link from its own span to the flight's. A caller that is served from the
cache costs nothing.
"""

import threading
from collections import OrderedDict
from contextvars import ContextVar, Token

import attrs

from aritma_auth.caller_code import require_clock
from aritma_auth.errors import require_count, require_flag, require_instance
from aritma_auth.events import FlightEnded, FlightStarted, RefreshFailed
from aritma_auth.events.base import Event, Listener
from aritma_auth.events.listeners import log_event, notify, require_listener
from aritma_auth.optional import require
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.version import __version__

require("otel", "opentelemetry.metrics", "opentelemetry.trace")

from opentelemetry import context, metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import (
    Span,
    SpanContext,
    StatusCode,
    Tracer,
    TracerProvider,
)

from aritma_auth.integrations.opentelemetry_metrics import (
    Attributes,
    TelemetryMetrics,
    error_of,
    server_of,
)

__all__ = ["Telemetry"]

_SCOPE = "aritma_auth"
_REMEMBERED = 10_000
"""Flights that are remembered: one whose event loop was closed never ends."""


class Telemetry:
    """
    Turn events into OpenTelemetry metrics and spans: ``TokenProvider(..., on_event=Telemetry())``.

    One object serves any number of providers, pools and middlewares. docs/reference/telemetry.md
    lists every name.

    Args:
        then: Receives each event too; by default it is logged.

        meter_provider: Makes the instruments; by default the global one.

        tracer_provider: Makes the spans; by default the global one.

        per_key: Report issuer, tenant and pool key with each metric. Each key is a time series of
            its own: switch it off for more than some hundred keys. Then the gauges show the worst
            of all keys.

        clock: Tells how old a token is.

    Raises:
        ConfigurationError: An argument is of the wrong kind, or opentelemetry-api is not installed.

    Source: OpenTelemetry semantic conventions for ``error.type``, ``server.address`` and
        ``http.response.status_code``.
    """

    def __init__(
        self,
        then: Listener | None = log_event,
        *,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        per_key: bool = True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        require_listener(then, "then")
        if meter_provider is not None:
            require_instance("meter_provider", "a MeterProvider", meter_provider, MeterProvider)
        if tracer_provider is not None:
            require_instance("tracer_provider", "a TracerProvider", tracer_provider, TracerProvider)
        require_flag("per_key", per_key)
        clock = require_clock(clock)
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider)
        self._then = then
        self._metrics = TelemetryMetrics(meter, clock, per_key=per_key)
        self._spans = _Spans(trace.get_tracer(_SCOPE, __version__, tracer_provider))

    def __call__(self, event: Event) -> None:
        """Count an event, and show it in the span of its flight."""
        require_instance("event", "an Event", event, Event)
        notify(self._then, event)
        try:
            self._metrics.record(event)
        finally:
            # A flight's span ends, although a meter of the service's own raises.
            self._spans.record(event)

    def on_wait(self, flight: int) -> None:
        """Link the caller's current span to the flight that it waits for."""
        require_count("flight", flight)
        self._spans.link(flight)


@attrs.define
class _Flight:
    """A flight's span, and what restores the context that it was made in."""

    span: Span
    restore: Token[context.Context]


class _Spans:
    """Makes a span of each flight, and links to it from the spans of those who wait."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._lock = threading.Lock()
        self._flights: OrderedDict[int, SpanContext] = OrderedDict()
        self._waiting: OrderedDict[int, list[Span]] = OrderedDict()

    def record(self, event: Event) -> None:
        """Begin or end a flight's span, or add to it; called in the flight's own context."""
        match event:
            case FlightStarted():
                self._begin(event)
            case FlightEnded():
                self._end(event)
            case RefreshFailed(error=error):
                if (flight := _current.get()) is not None:
                    flight.span.set_attributes(error_of(error))
                    flight.span.set_status(StatusCode.ERROR, str(error))
            case _:
                if (flight := _current.get()) is not None:
                    flight.span.add_event(type(event).__name__, _details_of(event))

    def _begin(self, event: FlightStarted) -> None:
        about: Attributes = {
            "aritma_auth.flight": event.flight,
            "aritma_auth.client_id": event.client_id,
            "aritma_auth.grant": event.grant,
            "aritma_auth.issuer": event.issuer,
            "aritma_auth.tenant": event.tenant,
            "aritma_auth.key": event.key,
            **server_of(event.issuer),
        }
        span = self._tracer.start_span(
            "aritma_auth.refresh",
            # The flight serves every caller: it is nobody's child.
            context.Context(),
            attributes={name: value for name, value in about.items() if value},
        )
        # What instruments the client makes its spans below this one. The flight runs in a task and
        # a context of its own, which end with it.
        restore = context.attach(trace.set_span_in_context(span, context.Context()))
        _current.set(_Flight(span, restore))
        target = span.get_span_context()
        with self._lock:
            self._flights[event.flight] = target
            if len(self._flights) > _REMEMBERED:
                self._flights.popitem(last=False)
            waiting = self._waiting.pop(event.flight, ())
        for waiter in waiting:
            _link(waiter, target)

    def _end(self, event: FlightEnded) -> None:
        with self._lock:
            self._flights.pop(event.flight, None)
            self._waiting.pop(event.flight, None)
        flight = _current.get()
        if flight is None:
            return
        _current.set(None)
        context.detach(flight.restore)
        flight.span.set_attributes(
            {"aritma_auth.outcome": event.outcome, "aritma_auth.waiters": event.waiters}
        )
        flight.span.end()

    def link(self, flight: int) -> None:
        """Link the current span to a flight, at once or when the flight begins."""
        waiter = trace.get_current_span()
        if not waiter.is_recording():
            return
        with self._lock:
            target = self._flights.get(flight)
            if target is None:
                # A flight's first step comes after its first callers.
                self._waiting.setdefault(flight, []).append(waiter)
                if len(self._waiting) > _REMEMBERED:
                    self._waiting.popitem(last=False)
        if target is not None:
            _link(waiter, target)


_current: ContextVar[_Flight | None] = ContextVar("_current", default=None)
"""The flight whose task runs; a task of another flight has a context of its own."""


def _link(waiter: Span, target: SpanContext) -> None:
    # A caller that was cancelled meanwhile has ended its span.
    if waiter.is_recording():
        waiter.add_link(target)


def _details_of(event: Event) -> dict[str, str | int | float | bool]:
    """Return what an event says beyond whose token it is about."""
    told = event.as_dict().items()
    return {f"aritma_auth.{name}": value for name, value in told if name not in _ABOUT}


_ABOUT = {field.name for field in attrs.fields(Event)} - {"fingerprint"} | {"event"}

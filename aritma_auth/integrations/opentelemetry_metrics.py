"""The metrics of `aritma_auth.integrations.opentelemetry.Telemetry`."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial

import attrs
from opentelemetry.metrics import CallbackOptions, Counter, Meter, Observation
from yarl import URL

from aritma_auth.events import (
    FlightEnded,
    NonceRequired,
    RefreshFailed,
    RequestReplayed,
    RequestUnsigned,
    StoreFailed,
    StoreUsed,
    TokenAcquired,
    TokenAdopted,
    TokenForgotten,
    TokenRefreshed,
    TokenRejected,
    TokenRequestFailed,
    TokenSet,
)
from aritma_auth.events.base import Event
from aritma_auth.runtime.clock import Clock

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_WAITERS = (0.0, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 1000.0, 10_000.0)

_REMEMBERED = 10_000
"""Providers that are remembered: a pool may have any number of keys."""

_GONE = 3600.0
"""Seconds after its end for which a token is reported, so that an alert can see that it ended."""

Attributes = dict[str, str | int]


@attrs.define
class _Held:
    """A provider's token: whose it is, its begin and end, and the failures since."""

    about: Attributes
    issued_at: float | None = None
    expires_at: float = 0.0
    failures: int = 0


_Whose = tuple[str, str, str, str, str, tuple[str, ...]]
_Read = Callable[[_Held, float], float | None]
_Worst = Callable[[float, float], float]

_GAUGES: tuple[tuple[str, str, str, _Read, _Worst], ...] = (
    (
        "aritma_auth.token.age",
        "s",
        "Seconds since the token's request",
        lambda held, now: None if held.issued_at is None else now - held.issued_at,
        max,
    ),
    (
        "aritma_auth.token.remaining",
        "s",
        "Seconds that the token still lives; negative once it has ended",
        lambda held, now: None if held.issued_at is None else held.expires_at - now,
        min,
    ),
    (
        "aritma_auth.refresh.consecutive_failures",
        "{refresh}",
        "Refreshes that failed in a row; 0 while all is well",
        lambda held, _now: held.failures,
        max,
    ),
)
"""Name, unit, description, how it is read, and which of two values is the worse."""


class TelemetryMetrics:
    """Makes metrics of events; they are listed in docs/reference/telemetry.md."""

    def __init__(self, meter: Meter, clock: Clock, *, per_key: bool) -> None:
        self._clock = clock
        self._per_key = per_key
        self._lock = threading.Lock()
        self._held: OrderedDict[_Whose, _Held] = OrderedDict()
        count, measure = meter.create_counter, meter.create_histogram
        self._requests = count(
            "aritma_auth.token.requests", "{request}", "Token requests, by their outcome"
        )
        self._duration = measure(
            "aritma_auth.refresh.duration",
            "s",
            "Duration of refreshes",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._waiters = measure(
            "aritma_auth.refresh.waiters",
            "{caller}",
            "Callers that waited for a refresh",
            explicit_bucket_boundaries_advisory=_WAITERS,
        )
        self._failures = count("aritma_auth.refresh.failures", "{refresh}", "Failed refreshes")
        rejections = count(
            "aritma_auth.token.rejections", "{response}", "Tokens that an API rejected with 401"
        )
        self._nonces = count(
            "aritma_auth.request.nonce_retries",
            "{request}",
            "Requests sent again with a nonce in the proof",
        )
        self._replays = count(
            "aritma_auth.request.replays", "{request}", "Requests sent again with another token"
        )
        unsigned = count(
            "aritma_auth.request.unsigned", "{request}", "Requests sent without a token"
        )
        self._store = count(
            "aritma_auth.store.operations", "{operation}", "Operations of the token store"
        )
        self._plain: dict[type[Event], Counter] = {
            TokenAcquired: self._requests,
            TokenRefreshed: self._requests,
            TokenRejected: rejections,
            # Not by origin: a hostile redirect could name any number.
            RequestUnsigned: unsigned,
        }
        for name, unit, description, read, worst in _GAUGES:
            observe = partial(self._observe, read, worst)
            meter.create_observable_gauge(name, [observe], unit, description)

    def record(self, event: Event) -> None:
        """Count an event."""
        about = self._about(event)
        self._remember(event)
        if counter := self._plain.get(type(event)):
            counter.add(1, about)
        match event:
            case TokenRequestFailed(error=error):
                self._requests.add(1, about | error_of(error))
            case RefreshFailed(error=error):
                self._failures.add(1, about | error_of(error))
            case FlightEnded(outcome=outcome, took=took, waiters=waiters):
                about |= {"aritma_auth.outcome": outcome}
                self._duration.record(took, about)
                self._waiters.record(waiters, about)
            case RequestReplayed(origin=origin, status=status):
                about |= {"http.response.status_code": status, **server_of(origin)}
                self._replays.add(1, about)
            case NonceRequired(origin=origin):
                self._nonces.add(1, about | server_of(origin))
            case StoreUsed(operation=operation):
                self._store.add(1, about | {"aritma_auth.operation": operation})
            case StoreFailed(operation=operation):
                about |= {"aritma_auth.operation": operation, "error.type": "StoreError"}
                self._store.add(1, about)

    def _remember(self, event: Event) -> None:
        """Keep what the gauges show."""
        match event:
            case TokenAcquired(took=age) | TokenRefreshed(took=age):
                lifetime = event.lifetime
            case TokenAdopted(age=age) | TokenSet(age=age):
                lifetime = event.lifetime
            case RefreshFailed(failures=failures):
                with self._lock:
                    self._held_by(event).failures = failures
                return
            case TokenForgotten():
                with self._lock:
                    self._held.pop(_whose(event), None)
                return
            case _:
                return
        issued_at = self._clock.monotonic() - age
        with self._lock:
            held = self._held_by(event)
            held.issued_at, held.expires_at, held.failures = issued_at, issued_at + lifetime, 0

    def _about(self, event: Event) -> Attributes:
        """Return whose token an event is about, as far as it is known."""
        found: Attributes = {
            "aritma_auth.client_id": event.client_id,
            "aritma_auth.grant": event.grant,
        }
        if self._per_key:
            found["aritma_auth.issuer"] = event.issuer
            found["aritma_auth.tenant"] = event.tenant
            found["aritma_auth.key"] = event.key
        return {name: value for name, value in found.items() if value}

    def _held_by(self, event: Event) -> _Held:
        """Return what an event's provider holds; the caller has the lock."""
        whose = _whose(event)
        held = self._held.setdefault(whose, _Held(self._about(event)))
        self._held.move_to_end(whose)
        if len(self._held) > _REMEMBERED:
            self._held.popitem(last=False)
        return held

    def _observe(
        self, read: _Read, worst: _Worst, _options: CallbackOptions
    ) -> Iterable[Observation]:
        """Give a gauge's value for each series; the worst of the providers that share one."""
        now = self._clock.monotonic()
        found: dict[tuple[tuple[str, str | int], ...], float] = {}
        with self._lock:
            for whose, held in list(self._held.items()):
                if not held.failures and held.expires_at < now - _GONE:
                    del self._held[whose]
                    continue
                value, series = read(held, now), tuple(held.about.items())
                if value is not None:
                    found[series] = worst(value, found.get(series, value))
        return [Observation(value, dict(series)) for series, value in found.items()]


def error_of(error: Exception) -> Attributes:
    """Return the attributes of a failure."""
    # The class and not the server's error code: a server could name any number.
    return {"error.type": type(error).__name__}


def server_of(url: str) -> Attributes:
    """Return the attributes of a server."""
    host, port = URL(url).host, URL(url).port
    return {} if host is None or port is None else {"server.address": host, "server.port": port}


def _whose(event: Event) -> _Whose:
    """Return what tells the providers apart."""
    return event.issuer, event.client_id, event.tenant, event.key, event.grant, event.scope

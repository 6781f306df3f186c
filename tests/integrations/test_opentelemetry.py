"""What OpenTelemetry's own SDK collects of a provider, with its exporters in memory."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.metrics import NoOpHistogram, NoOpMeter, NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes

import aritma_auth as aa
from aritma_auth import events
from aritma_auth.integrations import opentelemetry as otel
from aritma_auth.integrations import opentelemetry_metrics
from aritma_auth.integrations.opentelemetry import Telemetry
from support.fakes import FakeClient, settle
from support.rig import DOWN, GRANT, REFUSED

pytestmark = pytest.mark.usefixtures("no_leftovers")

ABOUT = {
    "aritma_auth.client_id": "fake",
    "aritma_auth.grant": "client_credentials",
    "aritma_auth.issuer": "https://idp.example",
}


class Collected:
    """Telemetry with the SDK behind it, and what arrived there."""

    def __init__(self, clock, **settings):
        self.reader = InMemoryMetricReader()
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.events = []
        self.telemetry = Telemetry(
            self.events.append,
            meter_provider=MeterProvider([self.reader]),
            tracer_provider=self.tracers,
            clock=clock,
            **settings,
        )

    def metrics(self):
        """Give the metrics by name, each as a list of attributes and points."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: [(dict(point.attributes), point) for point in metric.data.data_points]
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def values(self, name):
        """Give a counter's or gauge's values by their attributes beyond whose they are."""
        return {
            tuple(v for k, v in attributes.items() if k not in ABOUT): point.value
            for attributes, point in self.metrics().get(name, [])
        }

    def spans(self):
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def collected(clock):
    return Collected(clock)


@pytest.fixture
def client(clock):
    return FakeClient(clock)


def provider_of(collected, client, **settings):
    settings = {"policy": aa.RefreshPolicy(max_attempts=1), "draw": lambda: 0.5} | settings
    return aa.TokenProvider(
        client, GRANT, clock=client.clock, on_event=collected.telemetry, **settings
    )


async def test_token_requests_are_counted_by_their_outcome(collected, client, clock):
    """A failure has its class as error.type, as the semantic conventions name it."""
    provider = provider_of(collected, client)
    client.answers = [DOWN, REFUSED]
    for _ in range(2):
        with pytest.raises(aa.AritmaAuthError):
            await provider.get_token()
        clock.advance(600)
    await provider.get_token()
    (about, _), *_ = collected.metrics()["aritma_auth.token.requests"]

    assert collected.values("aritma_auth.token.requests") == {
        ("TransportError",): 1,
        ("InvalidClientError",): 1,
        (): 1,
    }
    assert collected.values("aritma_auth.refresh.failures") == {
        ("TransportError",): 1,
        ("InvalidClientError",): 1,
    }
    assert about.items() >= ABOUT.items()


async def test_a_refresh_is_measured_with_those_who_waited(collected, client, clock):
    """Its duration and its waiters are histograms by outcome."""
    provider = provider_of(collected, client)
    answer = client.hold()
    callers = [asyncio.create_task(provider.get_token()) for _ in range(3)]
    await settle()
    clock.advance(2)
    answer.set_result(None)
    await asyncio.gather(*callers)
    metrics = collected.metrics()
    ((about, duration),) = metrics["aritma_auth.refresh.duration"]
    ((_, waiters),) = metrics["aritma_auth.refresh.waiters"]

    assert about == ABOUT | {"aritma_auth.outcome": "issued"}
    assert (duration.sum, duration.count, waiters.sum) == (2.0, 1, 3)


async def test_a_tokens_age_and_rest_are_gauges(collected, client, clock):
    """They follow the clock between two refreshes, and show an ended token for an hour."""
    provider = provider_of(collected, client)
    await provider.get_token()
    clock.advance(600)
    age = collected.values("aritma_auth.token.age")
    remaining = collected.values("aritma_auth.token.remaining")
    clock.advance(3600)
    ended = collected.values("aritma_auth.token.remaining")
    clock.advance(3600)

    assert (age, remaining, ended) == ({(): 600.0}, {(): 3000.0}, {(): -600.0})
    assert collected.values("aritma_auth.token.remaining") == {}


async def test_failures_in_a_row_are_a_gauge_that_returns_to_zero(collected, client, clock):
    """It can be alerted on, and does not vanish while refreshes fail."""
    provider = provider_of(collected, client)
    client.answers = [DOWN] * 3
    for _ in range(3):
        with pytest.raises(aa.TransportError):
            await provider.get_token()
        clock.advance(7200)
    failing = collected.values("aritma_auth.refresh.consecutive_failures")
    without_token = collected.values("aritma_auth.token.remaining")
    await provider.get_token()

    assert (failing, without_token) == ({(): 3}, {})
    assert collected.values("aritma_auth.refresh.consecutive_failures") == {(): 0}


async def test_a_forgotten_token_is_no_longer_reported(collected, client):
    """A sign-out is no token that ends."""
    provider = provider_of(collected, client)
    await provider.get_token()
    await provider.forget()
    collected.telemetry(events.TokenForgotten("1a2b3c4d", is_revoked=False))

    assert collected.values("aritma_auth.token.remaining") == {}


def pool_of(collected, clock, **clients):
    return aa.TokenProviderPool(
        lambda key: provider_of(collected, clients[key], policy=aa.RefreshPolicy())
    )


async def test_each_key_of_a_pool_is_a_series_of_its_own(collected, clock):
    """A dashboard shows which tenant's token ends."""
    clients = {"acme": FakeClient(clock, 600), "bolt": FakeClient(clock, 60)}
    pool = pool_of(collected, clock, **clients)
    for key in clients:
        await pool.get_token(key)

    assert collected.values("aritma_auth.token.remaining") == {("acme",): 600.0, ("bolt",): 60.0}


async def test_without_keys_a_gauge_shows_the_worst(clock):
    """Ten thousand tenants are one series, and their names go nowhere."""
    collected = Collected(clock, per_key=False)
    clients = {"acme": FakeClient(clock, 600), "bolt": FakeClient(clock, 60)}
    pool = pool_of(collected, clock, **clients)
    await pool.get_token("acme")
    clock.advance(10)
    await pool.get_token("bolt")
    ((about, _),) = collected.metrics()["aritma_auth.token.requests"]

    assert collected.values("aritma_auth.token.remaining") == {(): 60.0}
    assert collected.values("aritma_auth.token.age") == {(): 10.0}
    assert about == {
        "aritma_auth.client_id": "fake",
        "aritma_auth.grant": "client_credentials",
    }


async def test_any_number_of_keys_fills_no_memory(collected, monkeypatch):
    """Those that were seen last are remembered."""
    monkeypatch.setattr(opentelemetry_metrics, "_REMEMBERED", 3)
    for number in range(10):
        collected.telemetry(events.TokenSet("1a2b3c4d", 60.0, 0.0, key=str(number)))

    assert collected.values("aritma_auth.token.remaining") == {
        ("7",): 60.0,
        ("8",): 60.0,
        ("9",): 60.0,
    }


def test_what_a_middleware_and_a_store_do_is_counted(collected):
    """Rejections, replays, unsigned requests and store operations have counters of their own."""
    for event in (
        events.TokenRejected("1a2b3c4d", refreshes=True),
        events.RequestReplayed("https://api.example", 200),
        events.NonceRequired("https://api.example:8443"),
        events.RequestUnsigned("https://other.example"),
        events.StoreUsed("load", 0.1),
        events.StoreFailed("load", "TimeoutError"),
        events.TokenAdopted("1a2b3c4d", 60.0, 10.0),
    ):
        collected.telemetry(event)

    assert collected.values("aritma_auth.token.rejections") == {(): 1}
    assert collected.values("aritma_auth.request.replays") == {(200, "api.example", 443): 1}
    assert collected.values("aritma_auth.request.unsigned") == {(): 1}
    assert collected.values("aritma_auth.store.operations") == {
        ("load",): 1,
        ("load", "StoreError"): 1,
    }
    assert collected.values("aritma_auth.token.remaining") == {(): 50.0}
    assert collected.values("aritma_auth.request.nonce_retries") == {("api.example", 8443): 1}
    assert len(collected.events) == 7


async def test_each_waiting_span_links_to_the_one_flight(collected, client, clock):
    """The flight is the root of a trace of its own, and the callers keep theirs."""
    provider = provider_of(collected, client)
    tracer = collected.tracers.get_tracer("service")
    answer = client.hold()

    async def call(number):
        with tracer.start_as_current_span(f"request {number}"):
            await provider.get_token()

    callers = [asyncio.create_task(call(1))]
    await settle()
    callers += [asyncio.create_task(call(2)), asyncio.create_task(provider.get_token())]
    await settle()
    answer.set_result(None)
    await asyncio.gather(*callers)
    spans = collected.spans()
    flight = spans["aritma_auth.refresh"]

    for number in (1, 2):
        request = spans[f"request {number}"]
        assert [link.context.span_id for link in request.links] == [flight.context.span_id]
        assert request.context.trace_id != flight.context.trace_id
    assert flight.parent is None
    assert flight.attributes["aritma_auth.waiters"] == 3
    assert flight.attributes["aritma_auth.outcome"] == "issued"
    assert flight.attributes["server.address"] == "idp.example"
    assert [event.name for event in flight.events] == ["TokenAcquired"]


async def test_a_request_that_is_served_from_the_cache_has_no_link(collected, client):
    """Nor does it make a span."""
    provider = provider_of(collected, client)
    await provider.get_token()
    with collected.tracers.get_tracer("service").start_as_current_span("request"):
        await provider.get_token()

    assert collected.spans()["request"].links == ()
    assert client.requests == 1


async def test_what_instruments_the_client_is_below_the_flight(collected, client):
    """The span of the token request is a child of the flight's, and no caller's."""
    provider = provider_of(collected, client)
    tracer = collected.tracers.get_tracer("aiohttp")
    fetch = client.fetch_token

    async def fetch_token(grant, *, timeout=None):
        with tracer.start_as_current_span("POST"):
            return await fetch(grant, timeout=timeout)

    client.fetch_token = fetch_token
    with tracer.start_as_current_span("request"):
        await provider.get_token()
        current = trace.get_current_span()
    spans = collected.spans()

    assert spans["POST"].parent.span_id == spans["aritma_auth.refresh"].context.span_id
    assert current.get_span_context() == spans["request"].context


async def test_a_flight_is_nobodys_child(collected):
    """Not even of the span in whose context it begins."""
    with collected.tracers.get_tracer("service").start_as_current_span("request"):
        await asyncio.create_task(start(collected, 1, ends=True))

    assert collected.spans()["aritma_auth.refresh"].parent is None


async def test_a_failed_flight_is_an_error(collected, client):
    """Its status has the text, and error.type the class."""
    provider = provider_of(collected, client)
    client.answers = [DOWN]
    with pytest.raises(aa.TransportError):
        await provider.get_token()
    flight = collected.spans()["aritma_auth.refresh"]

    assert not flight.status.is_ok
    assert "down" in flight.status.description
    assert flight.attributes["error.type"] == "TransportError"
    assert flight.attributes["aritma_auth.outcome"] == "failed"


class BrokenMeterProvider(NoOpMeterProvider):
    """A meter provider of a service whose histograms raise."""

    def get_meter(self, name, *arguments, **settings):
        meter = NoOpMeter(name)
        meter.create_histogram = BrokenHistogram
        return meter


class BrokenHistogram(NoOpHistogram):
    def record(self, *arguments, **settings):
        raise OSError("the disk is full")


async def test_a_meter_that_raises_leaves_spans_whole(collected, client, caplog):
    """The token is given, the flight's span has its end, and the log names what has raised."""
    collected.telemetry = Telemetry(
        None, meter_provider=BrokenMeterProvider(), tracer_provider=collected.tracers
    )
    token = await provider_of(collected, client).get_token()
    flight = collected.spans()["aritma_auth.refresh"]

    assert token is not None
    assert flight.attributes["aritma_auth.outcome"] == "issued"
    assert "an event listener raised OSError" in caplog.text


async def test_an_exporter_that_raises_hurts_nobody(collected, client, monkeypatch):
    """The token is given, and the next flight has its own span."""

    def export(spans):
        raise OSError("the collector is away")

    with monkeypatch.context() as broken:
        broken.setattr(collected.exporter, "export", export)
        provider = provider_of(collected, client)
        token = await provider.get_token()
    await provider.forget()
    await provider.get_token()

    (flight,) = collected.exporter.get_finished_spans()

    assert token is not None
    assert flight.attributes["aritma_auth.outcome"] == "issued"


async def test_a_caller_that_is_gone_gets_no_link(collected, client, caplog):
    """Its span has ended before the flight began; the SDK would complain."""
    provider = provider_of(collected, client)
    tracer = collected.tracers.get_tracer("service")
    answer = client.hold()
    with tracer.start_as_current_span("request"):
        collected.telemetry.on_wait(10**9)
        waiting = asyncio.ensure_future(provider.get_token())
        await asyncio.sleep(0)
    await settle()
    answer.set_result(None)
    await waiting
    collected.telemetry(events.FlightStarted(10**9, has_live_token=False))
    collected.telemetry(events.FlightEnded(10**9, "issued", 0.0, 1))

    assert collected.spans()["request"].links == ()
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


async def test_flights_that_never_end_fill_no_memory(collected, monkeypatch):
    """A loop that is closed takes its flight along, and its callers with it."""
    monkeypatch.setattr(otel, "_REMEMBERED", 2)
    tracer = collected.tracers.get_tracer("service")
    with tracer.start_as_current_span("waits for lost flights"):
        for number in range(5):
            collected.telemetry.on_wait(number)
    for number in range(5):
        await asyncio.create_task(start(collected, number))
    with tracer.start_as_current_span("late"):
        for number in range(5):
            collected.telemetry.on_wait(number)

    assert len(collected.spans()["late"].links) == 2


async def start(collected, number, *, ends=False):
    collected.telemetry(events.FlightStarted(number, has_live_token=False))
    if ends:
        collected.telemetry(events.FlightEnded(number, "issued", 0.1, 0))


async def test_what_comes_from_outside_of_a_flight_makes_no_span(collected):
    """A failure or an end without a start, as after a change of listeners, changes nothing."""
    collected.telemetry(events.RefreshFailed(DOWN, 1, 1.0, has_live_token=False))
    collected.telemetry(events.FlightEnded(1, "failed", 0.0, 0))

    assert collected.spans() == {}


async def test_a_listener_of_waits_that_raises_hurts_nobody(clock, caplog):
    """Its error is logged by its class's name, and the caller gets its token."""

    class Listener:
        def __call__(self, event):
            pass

        def on_wait(self, flight):
            raise RuntimeError("secret detail")

    provider = aa.TokenProvider(FakeClient(clock), GRANT, clock=clock, on_event=Listener())

    assert (await provider.get_token()).access_token == "token-1"
    assert "raised RuntimeError" in caplog.text
    assert "secret detail" not in caplog.text


@pytest.mark.parametrize("arguments", [{"then": "log"}, {"clock": 7}])
def test_arguments_of_the_wrong_kind_are_named(arguments):
    """The error comes at construction."""
    with pytest.raises(aa.ConfigurationError, match=r"^(then|clock) must be"):
        Telemetry(**arguments)


async def test_without_an_sdk_nothing_happens(clock):
    """The API alone makes instruments and spans that do nothing."""
    provider = aa.TokenProvider(FakeClient(clock), GRANT, clock=clock, on_event=Telemetry(None))

    assert (await provider.get_token()).access_token == "token-1"


def test_a_service_without_telemetry_does_not_load_it():
    """The API's import costs tens of milliseconds."""
    program = "import sys, aritma_auth as aa; aa.TokenProvider, aa.OAuthClient, aa.BearerMiddleware"
    ran = subprocess.run(
        [sys.executable, "-c", f"{program}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "opentelemetry" not in ran.stdout


def test_without_the_extra_the_import_names_it():
    """The first thing that is said is what to install."""
    code = "import sys; sys.modules['opentelemetry.trace'] = None; import aritma_auth.integrations.opentelemetry"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert 'pip install "aritma-auth[otel]"' in ran.stderr


def test_every_instrument_is_in_the_reference(collected):
    """A dashboard is built from that page."""
    page = (Path(__file__).parents[2] / "docs/reference/telemetry.md").read_text(encoding="utf-8")
    listed = re.findall(
        r"^\| `(aritma_auth\.[\w.]+)` \| (?:counter|histogram|gauge) \|", page, re.MULTILINE
    )
    source = Path(opentelemetry_metrics.__file__).read_text(encoding="utf-8")
    made = set(re.findall(r'"(aritma_auth\.(?:token|refresh|request|store)\.[\w.]+)"', source))

    assert set(listed) == made
    assert listed == sorted(listed)


def test_what_is_not_our_own_is_a_stable_convention():
    """A name outside of our namespace is one that the semantic conventions promise to keep."""
    sources = [Path(module.__file__).read_text("utf-8") for module in (otel, opentelemetry_metrics)]
    named = set(re.findall(r'"([a-z]+(?:\.[a-z_]+)+)":', "".join(sources)))
    stable = {
        value
        for conventions in (error_attributes, http_attributes, server_attributes)
        for value in vars(conventions).values()
        if isinstance(value, str)
    }
    conventional = {name for name in named if not name.startswith("aritma_auth.")}

    assert conventional == {
        "error.type",
        "http.response.status_code",
        "server.address",
        "server.port",
    }
    assert conventional <= stable

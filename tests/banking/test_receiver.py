"""The endpoint of events: handshakes, the authorization, limits, tenants, handlers, servers."""

import asyncio
import gzip
import json

import aiohttp
import pytest
from aiohttp import web
from fastapi import FastAPI

import aritma_auth as aa
from aritma_auth import banking, events
from aritma_auth.sandbox import Sandbox, Subscription
from support.asgi import serving_asgi
from support.clock import FakeClock
from support.loopback import serving
from support.loops import run_leaping
from support.sandbox_wire import tokens_of

TENANT = "00000000-0000-0000-0000-000000000000"
ENVELOPE = {
    "specversion": "1.0",
    "id": "2d59f3a8",
    "source": "kx9mp3rw2jf5nt42",
    "type": "banking.payment.status.updated",
    "tid": TENANT,
    "data": {"paymentId": "p1", "transactionStatus": "PDNG"},
}
BODY = json.dumps(ENVELOPE).encode()
SECRET = "Bearer chosen-at-random"


class Seen(list):
    """What a receiver reports."""

    def kinds(self):
        return [type(event).__name__ for event in self]

    @property
    def reason(self):
        """The one reason for which a request was refused."""
        (refused,) = [event for event in self if isinstance(event, events.DeliveryRefused)]
        return refused.reason


@pytest.fixture
def seen():
    return Seen()


@pytest.fixture
def receiver(seen):
    return make(seen)


def make(seen, authorization=None, **settings):
    """Make a receiver for the tenant of the tests."""
    accepted = aa.Secret(SECRET) if authorization is None else authorization
    return banking.EventReceiver(
        accepted, **({"tenants": TENANT, "on_event": seen.append} | settings)
    )


async def parts_of(body):
    """Give a body in two parts, as a server does."""
    yield body[: len(body) // 2]
    yield body[len(body) // 2 :]


async def send(receiver, body=BODY, method="POST", *fields, authorization=SECRET):
    """Send one request to a receiver."""
    headers = [("Content-Type", "application/cloudevents+json"), *fields]
    if authorization is not None:
        headers.append(("Authorization", authorization))
    parts = parts_of(body) if isinstance(body, bytes) else body
    return await receiver.receive(method, headers, parts)


def record(receiver, kind=banking.PaymentStatusUpdated, **settings):
    """Register a handler that remembers; give what it remembers."""
    handled = []

    @receiver.on(kind, **({"name": f"record {kind.__name__}"} | settings))
    async def remember(event):
        handled.append(event)

    return handled


# Handlers


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_an_event_reaches_its_handlers(receiver, seen, method):
    """A typed handler, a handler of all typed events and one of envelopes each get it."""
    typed = record(receiver)
    all_typed = record(receiver, banking.BankingEvent)
    raw = record(receiver, banking.CloudEvent)
    others = record(receiver, banking.ConsentStatusUpdated)

    assert await send(receiver, BODY, method) == banking.EventReply(200)
    assert typed == all_typed == [banking.parse_event(raw[0])]
    assert typed[0].has_status("pdng")
    assert others == []
    assert seen == []
    assert repr(receiver) == "<EventReceiver with 4 handlers>"


async def test_an_event_without_handler_is_accepted(receiver):
    """A subscription may have more types than this service wants."""
    unknown = ENVELOPE | {"type": "banking.account.created"}
    raw = record(receiver, banking.CloudEvent)

    assert (await send(receiver, json.dumps(unknown).encode())).status == 200
    assert [event.type for event in raw] == ["banking.account.created"]


async def test_a_duplicate_is_dropped(receiver, seen):
    """An event that comes again is accepted, and no handler gets it."""
    handled = record(receiver)

    assert [(await send(receiver)).status for _ in range(3)] == [200, 200, 200]
    assert len(handled) == 1
    assert seen.kinds() == ["DeliveryRepeated"] * 2


async def test_the_same_id_of_another_source_is_another_event(receiver):
    """An id is unique among those of its source alone."""
    handled = record(receiver)
    other = json.dumps(ENVELOPE | {"source": "another"}).encode()

    assert [(await send(receiver, body)).status for body in (BODY, other)] == [200, 200]
    assert len(handled) == 2


@pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit, BaseExceptionGroup])
async def test_a_handler_that_raises_no_exception_gets_the_event_again(receiver, seen, kind):
    """What it awaits may be cancelled by others: its claim is given back at once."""
    attempts = []

    @receiver.on(banking.PaymentStatusUpdated)
    async def fragile(event):
        attempts.append(event)
        if len(attempts) == 1:
            raise kind("x", [KeyError()]) if kind is BaseExceptionGroup else kind

    first, second = await send(receiver), await send(receiver)

    assert (first.status, second.status) == (503, 200)
    (failed,) = (event for event in seen if isinstance(event, events.DeliveryFailed))
    assert kind.__name__.removeprefix("Base") in failed.error


async def test_a_log_that_raises_no_exception_is_reported(seen):
    """A log of a caller's own may await what others cancel."""

    class Log(banking.MemoryDeliveryLog):
        async def claim(self, key, owner, *, seconds):
            raise asyncio.CancelledError

    receiver = make(seen, deliveries=Log())
    record(receiver, banking.CloudEvent)

    assert (await send(receiver)).status == 503
    (failed,) = (event for event in seen if isinstance(event, events.DeliveryFailed))
    assert failed.error.startswith("CancelledError")


async def test_a_handler_that_fails_gets_the_event_again(receiver, seen, canary):
    """The other handlers have done their part, and the failure's text reaches no log."""
    attempts, others = [], record(receiver, banking.CloudEvent)

    @receiver.on(banking.PaymentStatusUpdated)
    async def fragile(event):
        attempts.append(event)
        if len(attempts) == 1:
            raise ValueError(canary.text)

    first, second = await send(receiver), await send(receiver)

    assert (first.status, second.status) == (503, 200)
    assert first.headers == {"Retry-After": "10"}
    assert (len(attempts), len(others)) == (2, 1)
    failed = seen[0]
    assert (failed.handler, failed.event_type) == (
        fragile.__qualname__,
        "banking.payment.status.updated",
    )
    assert failed.error.startswith("ValueError, test_receiver.py:")
    assert failed.error.endswith(" in fragile")
    canary.assert_hidden(failed)


async def test_a_batch_goes_on_after_a_failure(receiver):
    """One poisoned event does not hold up the others, and alone is left when the batch comes again."""
    handled, tried = [], []

    @receiver.on(banking.PaymentStatusUpdated)
    async def fragile(event):
        tried.append(event.envelope.id)
        if event.envelope.id == "1":
            raise RuntimeError
        handled.append(event.envelope.id)

    batch = json.dumps([ENVELOPE | {"id": str(number)} for number in range(3)]).encode()
    assert [(await send(receiver, batch)).status for _ in range(2)] == [503, 503]
    assert handled == ["0", "2"]
    assert tried == ["0", "1", "2", "1"]


async def test_a_handler_that_is_at_work_is_not_doubled(receiver, seen):
    """While one request handles an event, another with the same event is told to come again."""
    goes_on, begun, handled = asyncio.Event(), asyncio.Event(), []

    @receiver.on(banking.PaymentStatusUpdated)
    async def slow(event):
        begun.set()
        await goes_on.wait()
        handled.append(event)

    first = asyncio.ensure_future(send(receiver))
    await begun.wait()
    second = await send(receiver)
    goes_on.set()

    assert ((await first).status, second.status) == (200, 503)
    assert len(handled) == 1
    assert seen[0].error == "another request handles it"


def test_a_handler_that_takes_too_long_comes_again_later(seen):
    """The request ends in time; the claim runs out later, since the handler may still be at work."""
    clock = FakeClock()
    log = banking.MemoryDeliveryLog(clock=clock)
    receiver = make(seen, timeout=5, deliveries=log, clock=clock)
    attempts = []

    @receiver.on(banking.PaymentStatusUpdated)
    async def slow(event):
        attempts.append(event)
        if len(attempts) == 1:
            await asyncio.Event().wait()

    async def deliver():
        return (await send(receiver)).status

    assert run_leaping(deliver()) == 503
    assert seen.pop().error == "it took too long"
    assert run_leaping(deliver()) == 503
    clock.advance(60)
    assert run_leaping(deliver()) == 200
    assert len(attempts) == 2


async def test_no_handler_begins_after_the_deadline(seen):
    """What a request has no time for comes with the next one."""
    clock = FakeClock()
    receiver = make(seen, timeout=5, clock=clock)
    handled = []

    @receiver.on(banking.PaymentStatusUpdated)
    async def slow(event):
        handled.append(event.envelope.id)
        clock.advance(6)

    batch = json.dumps([ENVELOPE | {"id": str(number)} for number in range(2)]).encode()
    assert [(await send(receiver, batch)).status for _ in range(2)] == [503, 200]
    assert handled == ["0", "1"]


async def test_a_cancelled_request_undoes_no_finished_handler(seen):
    """A client that goes away while the log writes does not make the event come twice."""
    handled, waiting, goes_on = [], asyncio.Event(), asyncio.Event()

    class SlowLog(banking.MemoryDeliveryLog):
        async def finish(self, key, *, seconds):
            waiting.set()
            await goes_on.wait()
            await super().finish(key, seconds=seconds)

    receiver = make(seen, deliveries=SlowLog())

    @receiver.on(banking.PaymentStatusUpdated)
    async def handler(event):
        handled.append(event)

    request = asyncio.ensure_future(send(receiver))
    await waiting.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    goes_on.set()
    await asyncio.sleep(0)
    assert (await send(receiver)).status == 200
    assert len(handled) == 1


@pytest.mark.parametrize("error", [aa.StoreError("away"), RuntimeError("a bug")])
async def test_a_log_that_fails_makes_the_event_come_again(seen, error):
    """Without the log nobody can tell a duplicate: nothing is handled."""

    class BrokenLog(banking.MemoryDeliveryLog):
        async def claim(self, key, owner, *, seconds):
            raise error

    receiver = make(seen, deliveries=BrokenLog())
    handled = record(receiver)

    assert (await send(receiver)).status == 503
    assert handled == []
    assert seen[0].error.startswith(f"{type(error).__name__}, test_receiver.py:")


def test_handlers_are_coroutine_functions_with_names_of_their_own(receiver):
    """What cannot be a handler is refused when it is registered."""

    async def handler(event):
        """Handle nothing."""

    receiver.on(banking.CloudEvent)(handler)
    with pytest.raises(aa.ConfigurationError, match="a name of its own"):
        receiver.on(banking.CloudEvent)(handler)
    receiver.on(banking.CloudEvent, name="another")(handler)
    with pytest.raises(aa.ConfigurationError, match="the handler must be a coroutine function"):
        receiver.on(banking.CloudEvent)(print)
    for kind in (dict, "banking.payment.status.updated", None):
        with pytest.raises(aa.ConfigurationError, match="kind must be a class of events"):
            receiver.on(kind)


# The authorization


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "x",
        SECRET[:-1],
        SECRET + " ",
        SECRET + "x",
        SECRET.lower(),
        "x" * 100_000,
        "Bearer chosen-at-rando\udcff",
    ],
)
async def test_a_wrong_authorization_is_401(receiver, seen, canary, given):
    """Whatever its length, a wrong value is refused before the body is read."""
    handled = record(receiver)

    async def unread():
        raise AssertionError("the body is read")
        yield b""

    assert await send(receiver, unread(), authorization=given) == banking.EventReply(401)
    assert handled == []
    assert SECRET not in seen.reason
    assert "Authorization" in seen.reason


async def test_two_authorizations_in_one_request_are_401(receiver):
    """One of them could be looked at here, and the other by what stands in front."""
    reply = await send(receiver, BODY, "POST", ("authorization", SECRET))

    assert reply.status == 401


async def test_the_authorization_rotates(seen):
    """Two values are accepted at once, and each is loaded anew for each request."""
    current = {"secret": SECRET}
    receiver = make(
        seen, [aa.Secret("Bearer the-old-one"), aa.Secret.from_callable(lambda: current["secret"])]
    )

    for given, status in [(SECRET, 200), ("Bearer the-old-one", 200), ("Bearer the-new-one", 401)]:
        assert (await send(receiver, authorization=given)).status == status
    current["secret"] = "Bearer the-new-one"
    assert (await send(receiver, authorization="Bearer the-new-one")).status == 200
    assert (await send(receiver)).status == 401


@pytest.mark.parametrize("name", ["missing", "hangs"])
async def test_a_secret_that_cannot_be_loaded_is_503(seen, name):
    """The sender comes again, since it may be right; the other secret still counts."""

    async def hangs():
        await asyncio.Event().wait()

    broken = {"missing": aa.Secret.from_env("NOT_THERE"), "hangs": aa.Secret.from_callable(hangs)}
    timeout = 0.3 if name == "hangs" else 25
    receiver = make(seen, [aa.Secret(SECRET), broken[name]], timeout=timeout)

    reply = await send(receiver, authorization="Bearer other")

    assert reply.status == 503
    assert seen.reason == "an accepted authorization cannot be loaded"
    if name == "missing":
        assert (await send(receiver)).status == 200


@pytest.mark.parametrize("wrong", ["plain", None, [], ["plain"], [aa.Secret("a")] * 3])
def test_the_authorization_is_one_or_two_secrets(wrong):
    """A plain text is refused, since it would show; so are none and three."""
    with pytest.raises(aa.ConfigurationError, match="authorization must be a Secret") as caught:
        banking.EventReceiver(wrong, tenants=None)

    assert "plain" not in str(caught.value)


# Limits and tenants


async def test_another_tenant_is_refused(receiver, seen):
    """A batch in which one event is another tenant's is refused whole, before any handler."""
    handled = record(receiver)
    other = ENVELOPE | {"id": "2", "tid": "11111111-1111-1111-1111-111111111111"}
    nobody = {name: value for name, value in ENVELOPE.items() if name != "tid"}

    for batch in ([ENVELOPE, other], [nobody]):
        seen.clear()
        assert (await send(receiver, json.dumps(batch).encode())).status == 400
        assert seen.reason == "the event is of another tenant, or names none"
    assert handled == []


@pytest.mark.parametrize("tenants", [None, [TENANT, "another"], {"another", TENANT}])
async def test_several_tenants_may_be_accepted(seen, tenants):
    """One receiver serves the tenants that it names, or all if it says so."""
    assert (await send(make(seen, tenants=tenants))).status == 200


@pytest.mark.parametrize(("tenant", "status"), [(TENANT, 200), ("acme", 400)])
async def test_the_environments_tenants_count(seen, tenant, status):
    """Where the environment accepts some tenants alone, so does the receiver."""
    shared = aa.PRODUCTION.for_tenant(tenant, shares_issuer=True)

    assert (await send(make(seen, tenants=None, environment=shared))).status == status


@pytest.mark.parametrize("wrong", ["", [], [""], [5], 5])
def test_tenants_are_names(seen, wrong):
    """An empty list would accept no sender, or every one: it is refused."""
    with pytest.raises(aa.ConfigurationError, match="tenants must be"):
        make(seen, tenants=wrong)


async def test_a_long_body_is_not_read_to_its_end(seen):
    """Reading ends as soon as the body is longer than it may be."""
    receiver, read = make(seen, max_body=1000), []

    async def endless():
        while True:
            read.append(100)
            yield b" " * 100

    assert (await send(receiver, endless())).status == 400
    assert sum(read) == 1100
    assert (await send(receiver, BODY + b" " * (1000 - len(BODY)))).status == 200


@pytest.mark.parametrize("ending", ["slow", "broken", "cancelled"])
async def test_a_body_that_does_not_end_is_refused(seen, ending):
    """A sender that is slow, or breaks off, holds nothing up."""

    async def body():
        yield b"{"
        if ending == "slow":
            await asyncio.Event().wait()
        raise asyncio.CancelledError if ending == "cancelled" else ConnectionResetError

    assert (await send(make(seen, timeout=0.1), body())).status == 400


async def test_a_compressed_body_is_refused(receiver, seen):
    """A small body could unpack to a large one, here or in what stands in front."""
    packed = gzip.compress(BODY)

    assert (await send(receiver, packed, "POST", ("Content-Encoding", "gzip"))).status == 400
    assert seen.reason == "the body must not be compressed"
    assert (await send(receiver, BODY, "POST", ("Content-Encoding", "gzip"))).status == 400
    assert (await send(receiver, BODY, "POST", ("Content-Encoding", "identity"))).status == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]x", json.dumps(ENVELOPE | {"data": {}}).encode(), b'{"id":1,"id":2}']
)
async def test_what_is_no_event_is_400(receiver, canary, body):
    """The response has no detail; the log has a reason and nothing of the body."""
    body = body.replace(b"id", canary.text.encode()) if b"id" in body else body

    assert await send(receiver, body) == banking.EventReply(400)


async def test_a_known_type_with_odd_data_costs_no_other_event(receiver, seen):
    """The others of its batch are handled, envelopes reach their handlers, and it is refused."""
    typed, raw = record(receiver), record(receiver, banking.CloudEvent)
    odd = ENVELOPE | {"id": "odd", "data": {"paymentId": 5}}
    batch = json.dumps([ENVELOPE, odd, ENVELOPE | {"id": "2"}]).encode()

    assert (await send(receiver, batch)).status == 400
    assert [event.envelope.id for event in typed] == [ENVELOPE["id"], "2"]
    assert [event.id for event in raw] == [ENVELOPE["id"], "odd", "2"]
    assert seen.reason == "the event's paymentId must be a text"


async def test_a_huge_batch_is_refused(seen):
    """The number of events in one request is bounded."""
    receiver = make(seen, max_events=2)

    assert (await send(receiver, json.dumps([ENVELOPE] * 3).encode())).status == 400


async def test_other_methods_are_refused(receiver):
    """The endpoint has no page."""
    reply = await send(receiver, b"", "GET")

    assert (reply.status, reply.headers) == (405, {"Allow": "POST, PUT, OPTIONS"})


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"environment": "production"}, "environment must be an Environment"),
        ({"deliveries": {}}, "deliveries must be a DeliveryLog"),
        ({"max_body": "1"}, "max_body must be a whole number"),
        ({"max_events": None}, "max_events must be a whole number"),
        ({"timeout": 0}, "timeout must be"),
        ({"retention": -1}, "retention must be"),
        ({"clock": 5}, "clock must be a Clock"),
        ({"on_event": 5}, "on_event must be"),
        ({"validation_origins": "https://a.example"}, "validation_origins must be a list"),
        ({"validation_origins": ["http://a.example"]}, "an origin must use https"),
    ],
)
def test_arguments_are_checked(seen, settings, problem):
    """Each argument of the wrong kind is named."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        make(seen, **settings)


# Handshakes


@pytest.fixture
async def aritma():
    """Stand in for the host that opens validations; give its URL and the paths that were asked."""
    asked = []

    async def respond(request):
        asked.append(request.path_qs)
        if request.path == "/redirect":
            raise web.HTTPFound("/elsewhere")
        return web.Response(status=404 if request.path == "/missing" else 200)

    async with serving(respond) as url:
        yield url, asked


def shaking(seen, url, **settings):
    return make(seen, validation_origins=[url], **settings)


async def shake(receiver, url, method="OPTIONS", *fields, name="WebHook-Request-Callback", **kinds):
    """Send a handshake."""
    fields = ((name, url), *fields) if url is not None else fields
    return await send(receiver, b"", method, *fields, **kinds)


@pytest.mark.parametrize("authorization", [None, SECRET])
@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("OPTIONS", "WebHook-Request-Callback"),
        ("POST", "validationUrl"),
        ("POST", "Validation-URL"),
    ],
)
async def test_a_handshake_opens_the_validation_url(seen, aritma, method, name, authorization):
    """Either form gets a response, with or without the authorization."""
    url, asked = aritma
    reply = await shake(
        shaking(seen, url), f"{url}/validate?code=1", method, name=name, authorization=authorization
    )

    assert reply == banking.EventReply(200)
    assert asked == ["/validate?code=1"]


async def test_the_senders_host_is_allowed_back(receiver):
    """CloudEvents' handshake without a URL is granted by header fields; no other text is repeated."""
    origin = ("WebHook-Request-Origin", "events.aritma.io")
    reply = await shake(receiver, None, "OPTIONS", origin)

    assert reply.headers == {
        "WebHook-Allowed-Origin": "events.aritma.io",
        "WebHook-Allowed-Rate": "*",
    }
    for odd in ("<script>", "", "a" * 300, "å"):
        assert (
            await shake(receiver, None, "OPTIONS", ("WebHook-Request-Origin", odd))
        ).headers == {}
    assert (await shake(receiver, None, "OPTIONS", origin, origin)).headers == {}


FOREIGN = [
    "https://evil.example/validate",
    "https://events.aritma.io.evil.example/",
    "https://events.aritma.io@evil.example/",
    "https://events.aritma.io:8443/",
    "http://events.aritma.io/",
    "http://127.0.0.1/",
    "http://169.254.169.254/latest/meta-data",
    "https://10.0.0.1/",
    "https://[::1]/",
    "https://events.aritma.io\\@evil.example/",
    "https://events.aritma.io/#fragment",
    "//events.aritma.io/",
    "file:///etc/passwd",
    "ftp://events.aritma.io/",
    "javascript:alert(1)",
    "",
    "https://events.aritma.io/" + "a" * 3000,
    "https://events.aritma.io/ a",
]


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
@pytest.mark.parametrize("url", FOREIGN)
async def test_a_foreign_validation_url_is_never_opened(receiver, seen, monkeypatch, url, method):
    """Only https at an allowed origin is opened: a request must not steer this server."""

    async def refuse(*_args, **_kinds):
        raise AssertionError("a request is sent")

    monkeypatch.setattr(aiohttp.ClientSession, "_request", refuse)

    assert await shake(receiver, url, method) == banking.EventReply(400)
    assert seen.reason == "the handshake's validation URL is at no allowed origin"


async def test_two_validation_urls_are_refused(receiver, seen):
    """One of them could be looked at, and the other opened."""
    second = ("validationUrl", "https://events.aritma.io/2")

    assert (await shake(receiver, "https://events.aritma.io/1", "POST", second)).status == 400
    assert "several" in seen.reason


@pytest.mark.parametrize("path", ["/redirect", "/missing"])
async def test_a_validation_that_fails_is_503(seen, aritma, path):
    """No redirect is followed; whatever is no success makes Aritma ask again."""
    url, asked = aritma

    assert (await shake(shaking(seen, url), f"{url}{path}")).status == 503
    assert asked == [path]


async def test_a_validation_that_hangs_ends(seen):
    """The request for the validation URL has the receiver's time and no more."""

    async def hang(_request):
        await asyncio.Event().wait()

    async with serving(hang) as url:
        receiver = shaking(seen, url, timeout=0.2)
        one, two = await asyncio.gather(shake(receiver, f"{url}/1"), shake(receiver, f"{url}/2"))

    assert (one.status, two.status) == (503, 503)
    assert {event.reason for event in seen} == {
        "the validation URL did not respond with success",
        "another handshake is under way",
    }


async def test_a_session_that_is_closed_is_503(seen, aritma):
    """A defect of this service is not the sender's fault."""
    url, _ = aritma
    session = aiohttp.ClientSession()
    await session.close()

    assert (await shake(shaking(seen, url, session=session), f"{url}/1")).status == 503


async def test_the_authorization_of_a_handshake_counts(seen, aritma):
    """A wrong one is refused always, a missing one if the receiver says so."""
    url, asked = aritma
    strict = shaking(seen, url, authorize_handshake=True)

    assert (await shake(shaking(seen, url), f"{url}/1", authorization="wrong")).status == 401
    assert (await shake(strict, f"{url}/1", authorization=None)).status == 401
    assert asked == []
    assert (await shake(strict, f"{url}/1")).status == 200


# Servers


@pytest.fixture
async def sandbox():
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(params=["aiohttp.web", "FastAPI", "ASGI alone"])
async def served(request, seen, sandbox):
    """Serve a receiver; give it, and its subscription to the sandbox's events."""
    receiver = make(seen, environment=sandbox.environment, max_body=1 << 16)
    if request.param == "aiohttp.web":
        serving_it = serving(receiver.aiohttp)
    elif request.param == "FastAPI":
        app = FastAPI()
        app.add_route("/events", receiver)
        serving_it = serving_asgi(app)
    else:
        serving_it = serving_asgi(receiver)
    async with serving_it as url:
        yield receiver, Subscription(url=f"{url}/events", authorization=SECRET)


PAYMENT = {"paymentId": "p1", "transactionStatus": "pdng"}


async def test_a_server_receives_what_the_sandbox_sends(sandbox, served, seen):
    """Handshake, every form of an event, duplicates, and what is refused, over real sockets."""
    receiver, subscription = served
    handled = record(receiver)
    send_to = sandbox.events

    assert await send_to.subscribe(subscription)
    for mode in ("structured", "binary", "batch", "mixed"):
        event = send_to.envelope(subscription, data=PAYMENT)
        delivery = await send_to.deliver(subscription, [event], mode=mode, method="PUT", times=2)
        assert delivery.statuses == (200, 200)
    assert len(handled) == 4
    assert seen.kinds() == ["DeliveryRepeated"] * 4

    event = send_to.envelope(subscription, data=PAYMENT)
    wrong = await send_to.deliver(subscription, [event], authorization="Bearer other")
    foreign = send_to.envelope(subscription, data=PAYMENT, tid="another")
    other = await send_to.deliver(subscription, [foreign])
    assert (wrong.statuses, other.statuses) == ((401,) * 3, (400,) * 3)
    assert [letter["eventId"] for letter in send_to.dead_letters] == [event["id"], foreign["id"]]
    assert len(handled) == 4


async def test_a_failing_handler_costs_retries_and_no_event(sandbox, served):
    """The sandbox delivers again until the handler has worked."""
    receiver, subscription = served
    attempts = []

    @receiver.on(banking.CloudEvent)
    async def fragile(event):
        attempts.append(event.id)
        if len(attempts) < 3:
            raise RuntimeError

    await sandbox.events.subscribe(subscription)
    (delivery,) = await sandbox.events.publish(event_type(subscription), PAYMENT)

    assert delivery.statuses == (503, 503, 200)
    assert len(set(attempts)) == 1


def event_type(subscription):
    """Let a subscription want the type of the tests' events, and give it."""
    subscription.types = ("banking.payment.status.updated",)
    return subscription.types[0]


async def test_a_server_refuses_a_flood(sandbox, served):
    """A long body is refused by its limit, whatever the server's own is."""
    _, subscription = served
    headers = {"Authorization": SECRET, "Content-Type": "application/cloudevents+json"}
    async with aiohttp.ClientSession() as http:
        async with http.post(subscription.url, data=b" " * (1 << 17), headers=headers) as response:
            assert response.status == 400
            assert await response.read() == b""


async def test_asgi_speaks_http_alone(receiver):
    """A WebSocket is refused, and a client that goes away is a broken body."""
    sent = []

    async def send_message(message):
        sent.append(message)

    async def gone():
        return {"type": "http.disconnect"}

    with pytest.raises(aa.ConfigurationError, match="not by a WebSocket"):
        await receiver({"type": "websocket"}, gone, send_message)
    headers = [(b"authorization", SECRET.encode()), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "headers": headers}
    await receiver(scope, gone, send_message)

    assert sent == [
        {"type": "http.response.start", "status": 400, "headers": [(b"content-length", b"0")]},
        {"type": "http.response.body", "body": b""},
    ]


async def test_events_and_polling_tell_the_same_of_a_payment(sandbox, served):
    """A signature reaches the payment by an event alone, and the bank's own words agree."""
    receiver, subscription = served
    subscription.types = ("banking.payment.authorized", "banking.payment.status.updated")
    await sandbox.events.subscribe(subscription)
    payment = banking.PendingPayment.generate("api/bulk-payments/credit-transfer")
    kept = {}

    @receiver.on(banking.PaymentAuthorized)
    @receiver.on(banking.PaymentStatusUpdated, name="status")
    async def merge(event):
        kept["payment"] = kept["payment"].merge_event(event)

    sandbox.payments.required_authorizations = 2
    tokens = aa.TokenProvider.client_credentials(
        "sandbox-service", "sandbox-secret", scope="api", environment=sandbox.environment
    )

    async def call(bank, request):
        async with bank.request(**request.arguments(), raise_for_status=True) as response:
            return await response.json()

    environment = sandbox.environment
    async with (
        tokens,
        aiohttp.ClientSession(sandbox.banking_url, middlewares=[tokens.middleware()]) as bank,
    ):
        payment = payment.begin_creation({}, now=1.0)
        members = await call(bank, payment.build_creation_request({}))
        kept["payment"] = payment.created(members, environment=environment)
        for signer in ("alice", "bob"):
            payment = kept["payment"].begin_authorization(signer)
            members = await call(bank, payment.build_authorization_request(signer))
            payment = payment.authorization_started(signer, members, environment=environment)
            kept["payment"] = payment
            token = (await tokens_of(sandbox, user=signer))["access_token"]
            step = payment.step(signer, environment=environment)
            body = step.confirmation_body(aa.Token(token))
            await call(bank, banking.ApiRequest(method="PUT", path=step.confirmation, json=body))
        told = kept["payment"]
        polled = told.merge_payment(
            await call(bank, banking.ApiRequest(method="GET", path=told.url)), now=2e9
        )

    assert set(told.signed_by) == {"alice", "bob"}
    assert (told.remaining, told.is_executed) == (0, True)
    assert (polled.remaining, polled.is_executed) == (0, True)

"""
Servers and APIs that repeat the secrets they were sent: nothing of ours passes the echo on.

A canary stands in each secret that can be sent. The server repeats it in each text that it controls,
in each spelling. Logs at DEBUG, events, exceptions with their frames' locals, reprs, serialisers,
pickles, spans, metrics and standard output are then searched for every piece of it.
"""

import base64
import contextlib
import functools
import json
import logging
import os
import pickle
import traceback
from urllib.parse import quote_plus

import aiohttp
import attrs
import cattrs
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import aritma_auth as aa
from aritma_auth import cli, events
from aritma_auth.integrations.opentelemetry import Telemetry
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.redaction import HiddenStr
from aritma_auth.protocol.token_endpoint import parse_token_response
from aritma_auth.sandbox import Sandbox
from aritma_auth.sandbox.faults.echo import PLACES_IN_RESPONSE, SPELLINGS
from aritma_auth.sandbox.identity.keys import signing_key
from support.apart import sandbox_apart
from support.journeys import REDIRECT_URI, begin, client_of

pytestmark = [
    pytest.mark.usefixtures("no_leftovers"),
    pytest.mark.filterwarnings("ignore:the password grant is discouraged"),
]

CORE = "k7Qx2mZr9TbWv4Lc8NdY"
"""The middle of each canary: no spelling but percent, escapes and base64 changes these characters."""

SECRET = f"cän/+ %&\"'<{CORE}>~"
"""A canary with whatever any spelling changes."""

REFRESH_TOKEN = SECRET.replace("ä", "a")
"""The same within what a refresh token may have (RFC 6749 §A.17)."""

BEARER = f"can/+~{CORE}.-_="
"""The same within what a header may carry (RFC 6750 §2.1)."""

JWT_START = "eyJhbGciOiJSUzI1NiI"
"""How the client assertions below begin; no test knows how they go on."""

_PIECE = 7


@functools.cache
def traces_of(secret, core=CORE):
    """Give every spelling of every seven characters of a secret's core."""
    plain = [core[at : at + _PIECE] for at in range(len(core) - _PIECE + 1)]
    traces = set(plain)
    for name in ("percent", "unicode-escapes", "hex"):
        spelled = [SPELLINGS[name](piece) for piece in plain]
        traces.update(spelled, map(str.upper, spelled))
    for around in (secret, quote_plus(secret)):
        head, _, tail = around.encode().partition(core.encode())
        for offset in range(3):
            # The characters of base64 depend on how many stand before, modulo three.
            before = bytes(offset) + head
            encoded = base64.b64encode(before + core.encode() + tail).decode().rstrip("=")
            own = encoded[4 * len(before) // 3 + 1 : 4 * (len(before) + len(core)) // 3 - 1]
            traces.update(own[at : at + _PIECE] for at in range(len(own) - _PIECE + 1))
    return traces


class Watch(logging.Handler):
    """Collects every text that a run shows to anyone."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.texts = []
        self.events = []
        self._spans, self._metrics = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.on_event = Telemetry(
            self._learn, meter_provider=MeterProvider([self._metrics]), tracer_provider=tracers
        )

    def emit(self, record):
        self.texts += [record.getMessage(), repr(record.__dict__)]
        if record.exc_info and record.exc_info[1] is not None:
            self.add(record.exc_info[1])

    def _learn(self, event):
        self.events.append(event)
        self.texts.append(repr(event.as_dict()))

    def add_telemetry(self):
        """Show what has left the process by an exporter."""
        for span in self._spans.get_finished_spans():
            self.texts.append(span.to_json())
        self._spans.clear()
        data = self._metrics.get_metrics_data()
        metrics = [
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        # A metric's numbers are no text.
        points = (point for metric in metrics for point in metric.data.data_points)
        self.texts += {repr(dict(point.attributes)) for point in points}

    def add(self, *things):
        """Show a thing in every way in which a program or an error reporter may show it."""
        for thing in things:
            self.texts += [repr(thing), str(thing), "%s %r" % (thing, thing)]  # noqa: UP031
            for dump in (attrs.asdict, attrs.astuple, cattrs.unstructure, vars):
                with contextlib.suppress(Exception):
                    self.texts.append(repr(dump(thing)))
            with contextlib.suppress(Exception):
                self.texts.append(pickle.dumps(thing, protocol=0).decode("latin-1"))
            if isinstance(thing, BaseException):
                self._add_error(thing)

    def _add_error(self, error):
        self.texts.append(repr(error.args))
        report = traceback.TracebackException.from_exception(error, capture_locals=True)
        frames = [frame for frame in report.stack if f"{os.sep}tests{os.sep}" not in frame.filename]
        report.stack = traceback.StackSummary.from_list(frames)
        self.texts += list(report.format())
        for related in (error.__cause__, error.__context__):
            if related is not None:
                self.add(related)

    def found(self, secret, core=CORE):
        """Give the texts in which a piece of the secret stands."""
        self.add_telemetry()
        traces = traces_of(secret, core)
        texts = set(self.texts)
        # A repr doubles each backslash.
        texts |= {text.replace("\\\\", "\\") for text in texts if "\\\\" in text}
        together = "\0".join(texts)
        shown = [trace for trace in traces if trace in together]
        return [text for text in texts if any(trace in text for trace in shown)]


@pytest.fixture
def watch(capfd):
    """Watch logs at DEBUG, standard output and standard error."""
    watch = Watch()
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(watch)
    yield watch
    root.removeHandler(watch)
    root.setLevel(level)


@pytest.fixture
async def sandbox():
    async with Sandbox(server_version="duende-7.4") as sandbox:
        sandbox.sign_in_automatically("alice")
        yield sandbox


def confidential(sandbox, auth=None, client_id="sandbox-web"):
    auth = aa.ClientSecretPost(aa.Secret("unrelated-secret")) if auth is None else auth
    return aa.OAuthClient(client_id, auth, environment=sandbox.environment, clock=sandbox.clock)


def by_grant(grant_of, auth_of=lambda: None):
    """Make a sender of token requests: a provider with a listener, as services use it."""

    async def send(sandbox, watch):
        grant = grant_of()
        client = confidential(sandbox, auth_of())
        async with aa.TokenProvider(
            client,
            grant,
            policy=aa.RefreshPolicy(max_attempts=1),
            clock=sandbox.clock,
            on_event=watch.on_event,
        ) as tokens:
            watch.add(grant, client, client.client_auth, tokens, tokens.status())
            await collect(watch, tokens.get_token())
            watch.add(tokens, tokens.status())

    return send


async def collect(watch, awaitable):
    """Await what may fail, and look at what came of it."""
    try:
        watch.add(await awaitable)
    except aa.AritmaAuthError as error:
        watch.add(error)


async def send_code(sandbox, watch):
    client = client_of(sandbox)
    sandbox.overrides.authorization_response = {"code": SECRET}
    request, callback = await begin(client)
    watch.add(request)
    await collect(watch, client.complete_sign_in(request, callback))


async def send_refresh_token(sandbox, watch):
    client = confidential(sandbox)
    async with aa.TokenProvider(
        client,
        aa.SignedInGrant("alice"),
        policy=aa.RefreshPolicy(max_attempts=1),
        clock=sandbox.clock,
        on_event=watch.on_event,
    ) as tokens:
        expires_at = sandbox.clock.time() + 60
        await tokens.set_token(
            aa.Token("a-token", refresh_token=REFRESH_TOKEN, expires_at=expires_at)
        )
        sandbox.clock.advance(61)
        await collect(watch, tokens.get_token())


async def send_device_request(sandbox, watch):
    client = confidential(sandbox, aa.ClientSecretPost(aa.Secret(SECRET)))
    await collect(watch, client.begin_device_sign_in("openid"))


async def send_revocation(sandbox, watch):
    await collect(watch, confidential(sandbox).revoke(SECRET))


async def send_introspection(sandbox, watch):
    await collect(watch, confidential(sandbox).introspect(SECRET))


async def send_userinfo(sandbox, watch):
    await collect(
        watch, confidential(sandbox).fetch_userinfo(aa.Token(BEARER), subject="user-alice")
    )


async def send_api_request(sandbox, watch):
    client = confidential(sandbox)
    async with (
        aa.TokenProvider(
            client, aa.SignedInGrant("alice"), clock=sandbox.clock, on_event=watch.on_event
        ) as tokens,
        aiohttp.ClientSession(sandbox.banking_url, middlewares=[tokens.middleware()]) as bank,
    ):
        expires_at = sandbox.clock.time() + 3600
        await tokens.set_token(aa.Token(BEARER, expires_at=expires_at))
        try:
            async with bank.get("api/accounts") as response:
                # The response is the caller's; what it becomes through our parsers is ours.
                watch.add(response.request_info)
        except (aiohttp.ClientError, aa.AritmaAuthError) as error:
            watch.add(error)
        watch.add(tokens, tokens.status())


EXCHANGE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SENDERS = {
    "client_secret in the form": (
        by_grant(
            lambda: aa.ClientCredentialsGrant("api"),
            lambda: aa.ClientSecretPost(aa.Secret(SECRET)),
        ),
        "token",
    ),
    "client_secret in Basic": (
        by_grant(
            lambda: aa.ClientCredentialsGrant("api"),
            lambda: aa.ClientSecretBasic(aa.Secret(SECRET)),
        ),
        "token",
    ),
    "client_secret in plain Basic": (
        by_grant(
            lambda: aa.ClientCredentialsGrant("api"),
            lambda: aa.ClientSecretBasic(aa.Secret(SECRET), is_form_encoded=False),
        ),
        "token",
    ),
    "client assertion": (
        by_grant(
            lambda: aa.ClientCredentialsGrant("api"),
            lambda: aa.PrivateKeyJwt(aa.Secret(signing_key(0).private.decode())),
        ),
        "token",
    ),
    "password": (by_grant(lambda: aa.PasswordGrant("alice", SECRET)), "token"),
    "code": (send_code, "token"),
    "refresh token": (send_refresh_token, "token"),
    "device code": (by_grant(lambda: aa.DeviceCodeGrant(SECRET)), "token"),
    "delegated token": (by_grant(lambda: aa.DelegationGrant(SECRET)), "token"),
    "subject token": (by_grant(lambda: aa.TokenExchangeGrant(SECRET)), "token"),
    "actor token": (
        by_grant(lambda: aa.TokenExchangeGrant("subject-token", actor_token=SECRET)),
        "token",
    ),
    "field of a custom grant": (
        by_grant(lambda: aa.CustomGrant(EXCHANGE, {"assertion": SECRET})),
        "token",
    ),
    "extra parameter": (
        by_grant(lambda: aa.ClientCredentialsGrant("api", extra={"api_key": SECRET})),
        "token",
    ),
    "client_secret for a device": (send_device_request, "deviceauthorization"),
    "revoked token": (send_revocation, "revocation"),
    "introspected token": (send_introspection, "introspect"),
    "bearer token at UserInfo": (send_userinfo, "userinfo"),
    "bearer token at an API": (send_api_request, "api"),
}


@pytest.mark.parametrize("place", PLACES_IN_RESPONSE)
@pytest.mark.parametrize("sent", SENDERS)
async def test_an_echo_is_not_passed_on(sandbox, watch, capfd, sent, place):
    """A secret that the server repeats, in any spelling and place, shows nowhere at this side."""
    send, where = SENDERS[sent]
    secret, core = (BEARER if "bearer" in sent else SECRET), CORE
    if sent == "refresh token":
        secret = REFRESH_TOKEN
    if sent == "client assertion":
        secret = core = JWT_START
    leaks = {}
    for spelling in SPELLINGS:
        watch.texts.clear()
        watch.events.clear()
        before = sandbox.requests_at(where)
        # A 401 is read by another way, as a refused client or token.
        for status in (400, 401) if place in {"error_description", "html"} else (401,):
            sandbox.faults.echo_next(spelling, place, status=status, where=where, times=4)
            await send(sandbox, watch)
            sandbox.faults.at(where).clear()
        watch.add(*watch.events)
        watch.texts += capfd.readouterr()
        assert sandbox.requests_at(where) > before
        if found := watch.found(secret, core):
            leaks[spelling] = found[:3]

    assert leaks == {}


@pytest.mark.parametrize("member", ["error", "error_description", "error_uri", "iss"])
@pytest.mark.parametrize("name", ["state", "nonce"])
async def test_an_authorization_response_that_repeats_the_request(sandbox, watch, name, member):
    """The browser brings back what the request held, in any text of an error."""
    client = client_of(sandbox)
    leaks = {}
    for spelling, spell in SPELLINGS.items():
        request = await client.begin_sign_in(REDIRECT_URI)
        secret = getattr(request, name).text
        callback = {"error": "access_denied", "state": request.state.text}
        callback["iss"] = sandbox.identity_url
        callback[member] = spell(str(secret))
        watch.texts.clear()
        await collect(watch, client.complete_sign_in(request, callback))
        watch.add(request)
        if found := watch.found(secret, secret):
            leaks[spelling] = found[:3]

    assert leaks == {}


@pytest.mark.parametrize("member", ["token_endpoint", "jwks_uri", "x-trace"])
async def test_metadata_that_repeat_a_secret(sandbox, watch, member):
    """A server may put a secret that it was sent before into its metadata; issuers are quoted."""
    environment = aa.Environment.at(sandbox.identity_url, discover=True)
    client = aa.OAuthClient("sandbox-service", SECRET, environment=environment, clock=sandbox.clock)
    leaks = {}
    for spelling, spell in SPELLINGS.items():
        watch.texts.clear()
        sandbox.overrides.metadata = {member: f"https://evil.example/{spell(SECRET)}"}
        await collect(watch, client.fetch_metadata())
        sandbox.faults.fail_next(404, page="empty")
        await collect(watch, client.fetch_token(aa.ClientCredentialsGrant("api")))
        if found := watch.found(SECRET):
            leaks[spelling] = found[:3]

    assert leaks == {}


async def test_a_step_up_challenge_that_repeats_the_token(sandbox, watch):
    """The error of a step-up holds what the API asks for, and no echo of the token."""
    leaks = {}
    for spelling, spell in SPELLINGS.items():
        watch.texts.clear()
        text = spell(BEARER).replace("\\", "\\\\").replace('"', '\\"')
        challenge = (
            f'Bearer error="insufficient_user_authentication", error_description="{text}", '
            f'acr_values="{text}"'
        )
        sandbox.faults.respond_next(
            b"", status=401, headers={"WWW-Authenticate": challenge}, where="api", times=4
        )
        await send_api_request(sandbox, watch)
        sandbox.faults.at("api").clear()
        if found := watch.found(BEARER):
            leaks[spelling] = found[:3]

    assert leaks == {}


def test_the_search_finds_every_spelling():
    """Each spelling of the canary, whole, in a repr or cut after ten characters of its core, is found."""
    cut = SECRET[: SECRET.index(CORE) + 10]
    for text in (SECRET, cut, f"the-client:{quote_plus(SECRET)}", BEARER):
        secret = BEARER if text is BEARER else SECRET
        for spelling, spell in SPELLINGS.items():
            watch = Watch()
            watch.texts = [repr({"said": f"no: {spell(text)}"})]
            assert watch.found(secret), (spelling, text)


async def test_the_search_looks_into_spans_and_metrics(watch):
    """What an exporter would send is searched, a failure's text included."""
    error = aa.TransportError(SECRET)
    watch.on_event(events.FlightStarted(1, has_live_token=False))
    watch.on_event(events.RefreshFailed(error, 1, 1.0, has_live_token=False, tenant=SECRET))
    watch.on_event(events.FlightEnded(1, "failed", 0.1, 1))
    watch.texts.clear()
    found = watch.found(SECRET)

    assert [text for text in found if "aritma_auth.refresh" in text]
    assert [text for text in found if "aritma_auth.tenant" in text and "span_id" not in text]


def test_an_echo_hides_a_scope_and_leaves_its_value():
    """A scope that repeats a secret, or is too long to be searched, is usable and never shown."""
    for granted, is_shown in ((f"api {CORE}", False), (f"api {'x' * 5000}", False), ("api", True)):
        body = json.dumps({"access_token": "a", "token_type": "Bearer", "scope": granted})
        token = parse_token_response(
            HttpResponse(200, {}, body.encode(), (HiddenStr(CORE),)), sent_at=0.0
        )

        assert token.scope == tuple(granted.split())
        assert ("api" in repr(token)) is is_shown


@pytest.mark.parametrize("command", [["token"], ["doctor"]], ids=" ".join)
def test_a_command_shows_no_echo(watch, capfd, monkeypatch, command):
    """The commands print errors and findings to a terminal, which must not show the secret either."""
    for name in [name for name in os.environ if name.startswith("ARITMA_")]:
        monkeypatch.delenv(name)
    leaks = {}
    with sandbox_apart() as sandbox:
        monkeypatch.setenv("ARITMA_ENVIRONMENT", sandbox.identity_url)
        monkeypatch.setenv("ARITMA_CLIENT_ID", "sandbox-service")
        monkeypatch.setenv("ARITMA_CLIENT_SECRET", SECRET)
        for place in PLACES_IN_RESPONSE:
            for spelling in SPELLINGS:
                watch.texts.clear()
                sandbox.faults.echo_next(spelling, place, status=401, times=4)
                cli.run(command)
                sandbox.faults.at("token").clear()
                watch.texts += capfd.readouterr()
                if found := watch.found(SECRET):
                    leaks[place, spelling] = found[:3]

    assert leaks == {}

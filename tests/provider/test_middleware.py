"""The bearer middleware, always over a real wire."""

import asyncio
import io
import json
import time
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import WSServerHandshakeError, web
from yarl import URL

import aritma_auth as aa
from aritma_auth.events import AuthorizationReplaced, RequestUnsigned
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.middleware import BearerMiddleware
from support.clock import FakeClock
from support.fakes import FakeClient
from support.internals import allow, remembered_by
from support.loopback import serving

pytestmark = pytest.mark.usefixtures("no_leftovers")

GRANT = aa.ClientCredentialsGrant(scope="bankservice")


class Api:
    """An API that knows which tokens are good."""

    def __init__(self):
        self.refused = set()
        self.refuses_all = False
        self.seen = []
        self.bodies = []
        self.unread = 0

    async def __call__(self, request):
        authorization = request.headers.get("Authorization")
        self.seen.append(authorization)
        if request.path.startswith("/redirect"):
            return web.Response(status=302, headers={"Location": request.query["to"]})
        self.bodies.append(await request.read())
        if self.refuses_all or authorization is None or authorization in self.refused:
            body = b"x" * self.unread if self.unread else b'{"title":"no"}'
            return web.Response(status=401, body=body, headers={"WWW-Authenticate": "Bearer"})
        if request.path == "/ws":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.send_str(authorization)
            await socket.close()
            return socket
        return web.json_response({"authorization": authorization})


class Bank:
    """An API, a provider for it, and a session that the provider's middleware signs."""

    def __init__(self, url, api, clock, session_settings, **middleware_settings):
        self.api = api
        self.url = url
        self.client = FakeClient(clock)
        self.events = []
        self.provider = aa.TokenProvider(
            self.client, GRANT, clock=clock, on_event=self.events.append
        )
        self.middleware = self.provider.middleware([url], **middleware_settings)
        self.session = aiohttp.ClientSession(url, middlewares=[self.middleware], **session_settings)

    async def get(self, path="/", **kwargs):
        async with self.session.get(path, **kwargs) as response:
            return response.status, await response.text()


@pytest.fixture
async def open_bank(clock):
    """Give a function that makes a bank; close all of them at the end."""
    closing = []

    async def make(session_settings=None, **middleware_settings):
        api = Api()
        server = serving(api)
        bank = Bank(
            await server.__aenter__(), api, clock, session_settings or {}, **middleware_settings
        )
        closing.append((bank, server))
        return bank

    yield make
    for bank, server in closing:
        await bank.session.close()
        await bank.provider.aclose()
        await server.__aexit__(None, None, None)


@pytest.fixture
async def bank(open_bank):
    return await open_bank()


async def test_calls_are_signed(bank):
    """Each call carries the cached token, which one request has brought."""
    answers = [await bank.get() for _ in range(3)]

    assert {status for status, _ in answers} == {200}
    assert json.loads(answers[0][1]) == {"authorization": "Bearer token-1"}
    assert bank.client.requests == 1


async def test_a_request_can_be_signed_alone(bank):
    """The middleware works for one request of a session without it."""
    async with aiohttp.ClientSession() as plain:
        async with plain.get(bank.url, middlewares=(bank.middleware,)) as response:
            signed = await response.json()

    assert signed == {"authorization": "Bearer token-1"}


async def test_another_source_signs_with_the_same_origins(bank):
    """And the first goes on with its own."""
    other = FakeClient(bank.client.clock)
    other.answers = [Token("other")]
    async with aa.TokenProvider(other, GRANT, on_event=None) as tokens:
        twin = bank.middleware.with_source(tokens)
        await bank.get(middlewares=(twin,))
    await bank.get()

    assert bank.api.seen == ["Bearer other", "Bearer token-1"]
    assert repr(twin) == repr(bank.middleware)


async def test_a_replaced_header_is_reported(bank):
    """The event names the origin alone; neither header shows."""
    await bank.get(headers={"Authorization": "Basic c2VjcmV0"})

    (event,) = [event for event in bank.events if isinstance(event, AuthorizationReplaced)]
    assert event.origin == bank.url
    assert bank.api.seen == ["Bearer token-1"]


async def test_the_first_replaced_header_of_an_origin_is_a_warning(bank, caplog):
    """Whoever sends another header than the token sees it at once, and not at each request."""
    caplog.set_level("DEBUG", "aritma_auth")
    middleware = aa.BearerMiddleware(bank.provider, [bank.url])
    async with aiohttp.ClientSession(middlewares=[middleware]) as session:
        for _ in range(2):
            async with session.get(bank.url, headers={"Authorization": "Basic c2VjcmV0"}):
                pass

    told = [r for r in caplog.records if "was replaced" in r.getMessage()]
    assert [r.levelname for r in told] == ["WARNING", "DEBUG"]
    assert "keep_authorization=True" in told[0].getMessage()


async def test_a_sessions_own_header_is_replaced_too(open_bank):
    """The session's default headers are part of each of its requests."""
    bank = await open_bank({"headers": {"Authorization": "Basic c2VjcmV0"}})
    await bank.get()

    assert bank.api.seen == ["Bearer token-1"]
    assert [type(event).__name__ for event in bank.events if "Replaced" in type(event).__name__]


@pytest.mark.parametrize("header", ["Bearer mine", "Basic c2VjcmV0"])
async def test_a_header_set_by_hand_is_kept_if_wanted(open_bank, header):
    """Such a request is the caller's: no token is fetched for it, and a 401 is not repeated."""
    bank = await open_bank(keep_authorization=True)
    bank.api.refused.add(header)
    status, _ = await bank.get(headers={"Authorization": header})
    signed, _ = await bank.get()

    assert (status, signed) == (401, 200)
    assert bank.api.seen == [header, "Bearer token-1"]
    assert bank.client.requests == 1


async def test_a_refused_token_that_comes_again_gets_no_repetition(bank):
    """The caller gets the API's first response, whose body can still be read."""
    same = bank.client.make_token()
    bank.client.answers = [same] * 3
    bank.api.refused.add(same.authorization)
    status, text = await bank.get()

    assert (status, text) == (401, '{"title":"no"}')
    assert bank.api.seen == ["Bearer token-1"]
    assert bank.client.requests == 2


async def test_a_refused_token_that_comes_again_later_makes_no_storm(bank):
    """Neither at the API nor at the token endpoint, however many calls there are."""
    same = bank.client.make_token()
    bank.client.answers = [same] * 300
    bank.api.refused.add(same.authorization)
    statuses = [(await bank.get())[0] for _ in range(20)]

    assert set(statuses) == {401}
    assert len(bank.api.seen) == 20
    assert bank.client.requests == 2


@pytest.mark.parametrize("origins", [None, ["https://elsewhere.example"]], ids=["default", "own"])
async def test_the_first_unsigned_request_to_an_origin_is_a_warning(caplog, origins):
    """The same call with a 401 would else be read as a lack of permission."""
    caplog.set_level("DEBUG", "aritma_auth")
    client = FakeClient(["https://api.example"])
    middleware = aa.TokenProvider(client, aa.ClientCredentialsGrant()).middleware(origins)
    others = [Api(), Api()]
    async with serving(others[0]) as one, serving(others[1]) as other:
        async with aiohttp.ClientSession(middlewares=[middleware]) as session:
            for url in (one, one, other):
                async with session.get(url):
                    pass

    levels = [r.levelname for r in caplog.records if "sent unsigned" in r.getMessage()]
    assert levels == ["WARNING", "DEBUG", "WARNING"]


async def test_any_number_of_other_origins_fills_no_memory():
    """Those beyond the first 64 are logged for debugging alone."""
    events = []
    provider = aa.TokenProvider(FakeClient(FakeClock()), GRANT, on_event=events.append)
    middleware = provider.middleware()

    async def handler(request):
        return None

    for number in range(100):
        request = SimpleNamespace(url=URL(f"https://host{number}.example"), headers={})
        await middleware(request, handler)

    assert [event.is_first for event in events] == [True] * 64 + [False] * 36


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 60\r\n\r\nx",
        b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
        b"\r\nx",
    ],
    ids=["a length", "chunks", "until the end of the connection"],
)
async def test_a_refused_response_that_stops_is_not_waited_for(clock, head, monkeypatch):
    """A second at most; then the connection is closed and the call is repeated on another."""
    monkeypatch.setattr("aritma_auth.provider.replay._READ_WITHIN", 0.1)
    calls, ending = [], asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        calls.append(1)
        if len(calls) == 1:
            writer.write(b"HTTP/1.1 401 Unauthorized\r\n" + head)
            await writer.drain()
            await ending.wait()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    provider = aa.TokenProvider(FakeClient(clock), GRANT, clock=clock, on_event=None)
    started = time.monotonic()
    async with aiohttp.ClientSession(url, middlewares=[provider.middleware([url])]) as session:
        async with session.get("/") as response:
            text = await response.text()
    took = time.monotonic() - started
    ending.set()
    server.close()
    await server.wait_closed()

    assert text == "ok"
    assert took < 20


async def test_a_header_set_by_hand_is_replaced(bank):
    """Whatever set the header, the API sees the provider's token alone."""
    await bank.get(headers={"Authorization": "Bearer stale", "authorization": "Basic x"})

    assert bank.api.seen == ["Bearer token-1"]


async def test_five_hundred_refusals_make_one_refresh_and_all_succeed(bank):
    """After a revocation every call is repeated once with the new token."""
    await bank.get()
    bank.api.refused.add("Bearer token-1")
    answers = await asyncio.gather(*(bank.get() for _ in range(500)))

    assert [status for status, _ in answers] == [200] * 500
    assert bank.client.requests == 2


async def test_an_api_that_refuses_every_token_gets_two_requests_a_call(bank):
    """The second 401 goes to the caller, and no storm follows."""
    bank.api.refuses_all = True
    answers = [await bank.get() for _ in range(5)]

    assert answers == [(401, '{"title":"no"}')] * 5
    assert bank.client.requests == 2
    assert len(bank.api.seen) == 6


@pytest.mark.parametrize(
    "make_body",
    [
        pytest.param(lambda: b"bytes", id="bytes"),
        pytest.param(lambda: "text", id="text"),
        pytest.param(lambda: {"form": "x"}, id="form"),
        pytest.param(lambda: io.BytesIO(b"file"), id="file"),
    ],
)
async def test_bodies_that_can_be_sent_again_are(bank, make_body):
    """The second request carries the same bytes as the first."""
    bank.api.refused.add("Bearer token-1")
    async with bank.session.post("/", data=make_body()) as response:
        status = response.status

    assert status == 200
    assert len(bank.api.bodies) == 2
    assert bank.api.bodies[0] == bank.api.bodies[1] != b""


async def test_a_streamed_body_is_never_sent_again_empty(bank):
    """The 401 goes to the caller: the stream is spent."""
    bank.api.refused.add("Bearer token-1")

    async def stream():
        yield b"part one, "
        yield b"part two"

    async with bank.session.post("/", data=stream()) as response:
        status, text = response.status, await response.text()

    assert (status, text) == (401, '{"title":"no"}')
    assert bank.api.bodies == [b"part one, part two"]


async def test_a_stream_that_is_refused_early_is_not_repeated_by_its_rest(bank):
    """A server may refuse before it has read: what is left of the stream is no whole."""
    chunks = []

    async def refuse_early(request):
        return web.Response(status=401)

    async def stream():
        for number in range(20):
            chunks.append(number)
            yield b"x" * 65536
            await asyncio.sleep(0)

    async with serving(refuse_early) as url:
        async with aiohttp.ClientSession(middlewares=[bank.provider.middleware([url])]) as session:
            async with session.post(url, data=stream()) as response:
                status = response.status

    assert status == 401
    assert bank.client.requests == 1
    assert chunks == sorted(set(chunks))


async def test_a_redirect_to_another_origin_never_sees_the_token(bank):
    """The hop to another origin goes unsigned, and an event reports it."""
    strangers = Api()
    async with serving(strangers) as stranger:
        status, _ = await bank.get("/redirect", params={"to": stranger})

    assert status == 401
    assert strangers.seen == [None]
    assert bank.api.seen == ["Bearer token-1"]
    assert [e.origin for e in bank.events if isinstance(e, RequestUnsigned)] == [stranger]


async def test_another_origin_stays_unsigned(bank):
    """However often it is met: only what is allowed is remembered."""
    strangers = Api()
    async with serving(strangers) as stranger:
        for _ in range(3):
            await bank.get(stranger)

    assert strangers.seen == [None] * 3


async def test_a_redirect_within_the_origin_is_signed_again(bank):
    """The middleware signs each hop of a redirect anew."""
    status, _ = await bank.get("/redirect", params={"to": "/there"})

    assert status == 200
    assert bank.api.seen == ["Bearer token-1"] * 2


async def test_strict_refuses_other_origins(open_bank):
    """A request to another origin is not sent at all."""
    bank = await open_bank(strict=True)
    strangers = Api()
    async with serving(strangers) as stranger:
        with pytest.raises(aa.ConfigurationError, match="only, not to"):
            await bank.get("/redirect", params={"to": stranger})

    assert strangers.seen == []


async def test_a_websocket_is_signed(bank):
    """Its handshake is a request like any other, a refused one is repeated."""
    bank.api.refused.add("Bearer token-1")
    async with bank.session.ws_connect("/ws") as socket:
        greeting = await socket.receive_str()

    assert greeting == "Bearer token-2"


async def test_a_refused_handshake_shows_no_token(bank, canary):
    """aiohttp's exception has lost the header."""
    bank.api.refuses_all = True
    await bank.provider.set_token(Token(canary.text))
    bank.client.answers = [Token(canary.text + "2")]

    with pytest.raises(WSServerHandshakeError) as caught:
        await bank.session.ws_connect("/ws")
    canary.assert_hidden(caught.value, caught.value.request_info)


async def test_aiohttps_exceptions_and_responses_show_no_token(open_bank, canary):
    """Neither the exception, its locals, the response nor the trace hooks' repr shows it."""
    traced = []

    async def trace(session, context, params):
        traced.append(repr(params) + repr(params.headers))

    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(trace)
    bank = await open_bank({"raise_for_status": True, "trace_configs": [tracing]})
    await bank.provider.set_token(Token(canary.text))
    async with bank.session.get("/") as response:
        info = response.request_info
    bank.api.refuses_all = True
    bank.client.answers = [Token(canary.text + "2")]
    with pytest.raises(aiohttp.ClientResponseError) as caught:
        await bank.get()

    canary.assert_hidden(info, info.headers, response, caught.value, caught.value.request_info)
    assert "Authorization" not in info.headers
    assert "Authorization" not in caught.value.request_info.headers
    assert len(traced) == 3
    assert canary.text not in str(traced)


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("is_replayed", [True, False])
async def test_a_second_value_of_an_inner_middleware_is_not_shown(
    bank, canary, name, when, is_replayed
):
    """A middleware below adds the token once more, before it sends the request or afterwards."""
    await bank.provider.set_token(Token("stale" if is_replayed else canary.text))
    bank.api.refused.add("Bearer stale")
    bank.client.answers = [Token(canary.text)]

    async def add(request, handler):
        if when == "before":
            request.headers.add(name, f"Bearer {canary.text}")
        response = await handler(request)
        if when == "after":
            request.headers.add(name, f"Bearer {canary.text}")
        return response

    async with bank.session.get("/", middlewares=(bank.middleware, add)) as response:
        assert response.status == 200
        info = response.request_info

    assert len(bank.api.seen) == 1 + is_replayed
    assert name not in info.headers
    canary.assert_hidden(info, info.headers)


async def test_a_connection_that_breaks_shows_no_token(bank, canary):
    """The header is taken away when the call fails, too."""
    await bank.provider.set_token(Token(canary.text))

    async def break_off(request):
        request.transport.abort()
        return web.Response()

    async with serving(break_off) as url:
        async with aiohttp.ClientSession(middlewares=[bank.provider.middleware([url])]) as session:
            with pytest.raises(aiohttp.ClientError) as caught:
                await session.post(url)

    canary.assert_hidden(caught.value)


async def test_without_a_token_nothing_is_sent(bank):
    """The caller gets the error that says why there is none."""
    bank.client.answers = [aa.InvalidClientError("invalid_client")]

    with pytest.raises(aa.InvalidClientError):
        await bank.get()
    assert bank.api.seen == []


async def test_a_refused_call_without_a_new_token_is_the_providers_error(bank):
    """When the refresh after a 401 fails, the caller gets its error."""
    await bank.get()
    bank.api.refused.add("Bearer token-1")
    bank.client.answers = [aa.InvalidClientError("invalid_client")]

    with pytest.raises(aa.InvalidClientError):
        await bank.get()


async def test_a_short_request_timeout_does_not_abort_the_refresh(bank):
    """Others get the token of the same token request."""
    answer = bank.client.hold()
    patient = asyncio.create_task(bank.get())
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await bank.get(timeout=aiohttp.ClientTimeout(total=0.05))
    answer.set_result(None)
    status, _ = await patient

    assert status == 200
    assert bank.client.requests == 1


async def test_one_connection_is_enough_for_a_refused_call(open_bank):
    """The refused response's connection is free before the next request needs one."""
    bank = await open_bank({"connector": aiohttp.TCPConnector(limit=1)})
    bank.api.unread = 1_000_000
    bank.api.refused.add("Bearer token-1")
    status, _ = await asyncio.wait_for(bank.get(), 30)

    assert status == 200


async def test_a_long_refusal_is_not_waited_for(bank):
    """Its connection is given up instead of read to the end."""
    served = asyncio.Event()

    async def answer(request):
        if request.headers["Authorization"] == "Bearer token-2":
            return web.Response()
        response = web.StreamResponse(status=401, headers={"Content-Length": "1000000"})
        await response.prepare(request)
        await response.write(b"the beginning")
        await served.wait()
        return response

    async with serving(answer) as url:
        async with aiohttp.ClientSession(middlewares=[bank.provider.middleware([url])]) as session:
            async with session.get(url, timeout=aiohttp.ClientTimeout(30)) as response:
                assert response.status == 200
        served.set()


async def test_the_second_refusal_is_readable(bank):
    """Its body reaches the caller whole."""
    bank.api.unread = 200_000
    bank.api.refuses_all = True
    status, text = await bank.get()

    assert (status, len(text)) == (401, 200_000)


SCOPE = 'Bearer realm="api", error="insufficient_scope", scope="api banking.ais.read"'
SIGN_IN = (
    'Bearer error="insufficient_user_authentication", '
    'error_description="A stronger sign-in is needed", acr_values="mfa verify", max_age="300"'
)


@pytest.fixture
async def call(bank):
    """Give a function that calls an API of these answers; each call is signed by the bank's own."""

    async def call(*answers, **kwargs):
        seen = []

        async def answer(request):
            seen.append(request.headers.get("Authorization"))
            status, challenges = answers[min(len(seen), len(answers)) - 1]
            headers = [("WWW-Authenticate", challenge) for challenge in challenges]
            return web.Response(status=status, headers=headers, text="body")

        async with serving(answer) as url:
            middlewares = [bank.provider.middleware([url])]
            async with aiohttp.ClientSession(middlewares=middlewares) as session:
                async with session.get(url, **kwargs) as response:
                    return response.status, await response.text(), seen

    return call


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("challenges", "asked"),
    [
        ([SCOPE], ((), None, ("api", "banking.ais.read"))),
        ([SIGN_IN], (("mfa", "verify"), 300, None)),
        ([SIGN_IN.replace("Bearer", "bEARER")], (("mfa", "verify"), 300, None)),
        ([SIGN_IN.replace("Bearer", "DPoP")], (("mfa", "verify"), 300, None)),
        (["Basic realm=x", SCOPE], ((), None, ("api", "banking.ais.read"))),
        ([f"Negotiate abc==, {SCOPE}"], ((), None, ("api", "banking.ais.read"))),
        (['Bearer error="insufficient_scope"'], ((), None, None)),
    ],
    ids=["scope", "sign-in", "any-case", "dpop", "second-field", "second-challenge", "bare"],
)
async def test_a_call_for_more_becomes_an_error_that_says_what(
    bank, call, status, challenges, asked
):
    """Nothing is refreshed: another token of the same kind would be refused as well."""
    with pytest.raises(aa.StepUpRequiredError) as caught:
        await call((status, challenges))

    error = caught.value
    assert (error.acr_values, error.max_age, error.scope) == asked
    assert error.is_permanent
    assert bank.client.requests == 1


@pytest.mark.parametrize(
    "challenges",
    [
        [],
        ["Bearer"],
        ['Bearer error="invalid_token"'],
        ['Basic error="insufficient_scope"'],
        ['Bearer error="Insufficient_Scope"'],
        ["Bearer error=insufficient_scope extra"],
    ],
)
async def test_every_other_403_is_the_callers(bank, call, challenges):
    """Whatever it says, the response comes back unread and nothing is refreshed."""
    if challenges and challenges[-1].endswith("extra"):
        challenges = ["nonsense ; " + challenges[-1]]
    status, text, seen = await call((403, challenges))

    assert (status, text, seen) == (403, "body", ["Bearer token-1"])
    assert bank.client.requests == 1


@pytest.mark.parametrize("challenges", [[], ["Bearer"], ['Bearer error="invalid_token"']])
async def test_an_invalid_token_is_refreshed(bank, call, challenges):
    """RFC 6750 §3.1; an API that gives no reason means the same."""
    status, _, seen = await call((401, challenges), (200, []))

    assert (status, seen) == (200, ["Bearer token-1", "Bearer token-2"])


async def test_a_challenge_for_more_after_a_refresh_is_raised_too(bank, call):
    """The second response's challenge is parsed like the first."""
    with pytest.raises(aa.StepUpRequiredError):
        await call((401, ["Bearer"]), (403, [SIGN_IN]))

    assert bank.client.requests == 2


async def test_a_call_for_more_leaves_its_connection_free(bank):
    """While the caller still holds the error."""

    async def answer(request):
        if request.path == "/good":
            return web.Response()
        return web.Response(status=403, headers={"WWW-Authenticate": SCOPE}, body=b"x" * 1_000_000)

    async with serving(answer) as url:
        async with aiohttp.ClientSession(
            url,
            connector=aiohttp.TCPConnector(limit=1),
            middlewares=[bank.provider.middleware([url])],
        ) as session:
            with pytest.raises(aa.StepUpRequiredError) as caught:
                await session.get("/")
            async with session.get("/good", timeout=aiohttp.ClientTimeout(30)) as response:
                assert response.status == 200

    assert caught.value.scope


async def test_a_good_response_is_not_looked_into(bank, call):
    """Its header fields are not parsed, whatever they say."""
    status, text, _ = await call((200, [SCOPE]))

    assert (status, text) == (200, "body")


async def test_another_origins_challenge_is_ignored(bank, call):
    """A challenge from an origin that got no token changes nothing."""

    async def stranger(request):
        return web.Response(status=403, headers={"WWW-Authenticate": SCOPE})

    async with serving(stranger) as url:
        async with bank.session.get(url) as response:
            assert response.status == 403


async def test_a_websocket_that_needs_a_stronger_sign_in_says_so(bank, canary):
    """Its handshake raises the same error, and it shows no token."""
    await bank.provider.set_token(Token(canary.text))

    async def refuse(request):
        return web.Response(status=401, headers={"WWW-Authenticate": SIGN_IN})

    async with serving(refuse) as url:
        async with aiohttp.ClientSession(middlewares=[bank.provider.middleware([url])]) as session:
            with pytest.raises(aa.StepUpRequiredError) as caught:
                await session.ws_connect(url)

    canary.assert_hidden(caught.value)


async def test_a_refusal_that_breaks_off_is_repeated_all_the_same(bank):
    """Its connection is lost, the call is not."""
    seen = []

    async def answer(request):
        seen.append(request.headers["Authorization"])
        if len(seen) > 1:
            return web.Response()
        response = web.StreamResponse(status=401, headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        request.transport.abort()
        return response

    async with serving(answer) as url:
        async with aiohttp.ClientSession(middlewares=[bank.provider.middleware([url])]) as session:
            async with session.post(url, data=b"x") as response:
                assert response.status == 200

    assert seen == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://api.example/x", True),
        ("https://api.example:443/x", True),
        ("wss://api.example/x", True),
        ("https://API.example/x", True),
        ("http://api.example/x", False),
        ("https://api.example:444/x", False),
        ("https://api.example.evil.example/x", False),
        ("https://evil.example/https://api.example/", False),
        ("https://other.example/x", False),
    ],
)
def test_origins_are_compared_whole(url, allowed):
    """Scheme, host and port, each equal."""
    provider = aa.TokenProvider(FakeClient(FakeClock()), GRANT)

    assert provider.middleware().allows(url) is allowed


async def test_the_same_host_by_another_scheme_is_another_origin(bank):
    """It is unsigned, although its authority was compared before, by https."""
    middleware = bank.provider.middleware([bank.url.replace("http:", "https:")])
    assert allow(middleware, URL(bank.url).with_scheme("https"))
    async with aiohttp.ClientSession(middlewares=[middleware]) as session:
        async with session.get(bank.url) as response:
            status = response.status

    assert status == 401
    assert bank.api.seen == [None]


async def test_many_spellings_of_an_origin_fill_no_memory():
    """What is remembered is bounded, what is allowed is not."""
    provider = aa.TokenProvider(FakeClient(FakeClock()), GRANT)
    middleware = provider.middleware()
    urls = [URL(f"https://user{number}@api.example/x", encoded=True) for number in range(200)]

    assert all(allow(middleware, url) for url in urls)
    assert len(remembered_by(middleware)) == 64


@pytest.mark.parametrize(
    ("origins", "problem"),
    [
        ([], "at least one API"),
        (["http://api.example"], "must use https"),
        ("https://api.example", r"a collection of URLs, such as \[url\]; it is of type str"),
        (["api.example/v3"], "such as 'https://api.example', not 'api.example/v3'"),
        (["*"], r"such as 'https://api\.example\.com', not '\*'"),
        (b"https://api.example", "a collection of URLs.* it is of type bytes"),
        ([42], "each of origins must be a URL; it is of type int"),
        (None, "a collection of URLs"),
    ],
)
def test_wrong_origins_are_refused_at_once(origins, problem):
    """The error is raised when the middleware is made, and names what is wrong."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        BearerMiddleware(aa.TokenProvider(FakeClient(FakeClock()), GRANT), origins)


def test_the_repr_names_the_origins():
    """Neither token nor source shows."""
    provider = aa.TokenProvider(FakeClient(FakeClock()), GRANT)
    middleware = BearerMiddleware(provider, ["https://b.example", "https://a.example:8443/path"])

    assert repr(middleware) == (
        "<BearerMiddleware for https://a.example:8443, https://b.example:443>"
    )

"""httpx with a provider's tokens: the rules of the aiohttp middleware, sync and async."""

import asyncio
import gc
import subprocess
import sys
import threading

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import aritma_auth as aa
from aritma_auth.events import (
    AuthorizationReplaced,
    RequestReplayed,
    RequestUnsigned,
    TokenRejected,
)
from aritma_auth.integrations.httpx import BearerAuth
from support.rig import REFUSED, Rig

API = "https://api.example/accounts"


class Api(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Responds as a test says, and notes what came."""

    def __init__(self, *responses):
        self.responses = list(responses)
        self.headers = []
        self.bodies = []

    async def handle_async_request(self, request):
        # Not request.aread(), by which a MockTransport makes a stream repeatable.
        return self.respond(request, b"".join([part async for part in request.stream]))

    def handle_request(self, request):
        return self.respond(request, b"".join(request.stream))

    def respond(self, request, body):
        self.headers.append(request.headers.get("Authorization"))
        self.bodies.append(body)
        answer = self.responses.pop(0) if self.responses else httpx.Response(200)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
async def rig(clock, no_leftovers):
    rig = Rig(clock)
    yield rig
    await rig.provider.aclose()


def send(api, auth, method="GET", url=API, *, is_sync=False, **arguments):
    """Send one request with a client of either kind; return what is awaited for its response."""
    if is_sync:

        def run():
            with httpx.Client(transport=api, auth=auth, follow_redirects=True) as client:
                return client.request(method, url, **arguments)

        return asyncio.to_thread(run)

    async def run_async():
        async with httpx.AsyncClient(transport=api, auth=auth, follow_redirects=True) as client:
            return await client.request(method, url, **arguments)

    return run_async()


both = pytest.mark.parametrize("is_sync", [False, True], ids=["async", "sync"])


@both
async def test_a_request_is_signed_and_its_header_removed(rig, is_sync):
    """The API gets the token, and what a program logs of the response does not."""
    api = Api()
    response = await send(api, BearerAuth(rig.provider), is_sync=is_sync)
    again = await send(api, BearerAuth(rig.provider), is_sync=is_sync)

    assert api.headers == ["Bearer token-1"] * 2
    assert "Authorization" not in response.request.headers
    assert (response.status_code, again.status_code) == (200, 200)
    assert rig.client.requests == 1


@both
async def test_other_origins_are_not_signed(rig, is_sync):
    """Scheme, host and port must be named; the request passes with an event."""
    api, auth = Api(), BearerAuth(rig.provider)
    for url in ("https://other.example/", "http://api.example/", "https://api.example:444/"):
        await send(api, auth, url=url, is_sync=is_sync)

    assert api.headers == [None] * 3
    assert [(event.origin, event.is_first) for event in rig.happened(RequestUnsigned)] == [
        ("https://other.example:443", True),
        ("http://api.example:80", True),
        ("https://api.example:444", True),
    ]
    assert rig.client.requests == 0


async def test_strict_refuses_other_origins(rig):
    """The request to another origin is not sent at all."""
    api = Api()
    with pytest.raises(aa.ConfigurationError, match=r"only, not to https://other\.example"):
        await send(api, BearerAuth(rig.provider, strict=True), url="https://other.example/")

    assert api.headers == []


async def test_the_origins_are_the_environments_or_given(rig):
    """As those of the middleware."""
    api = Api()
    await send(
        api, BearerAuth(rig.provider, ["https://other.example"]), url="https://other.example/"
    )
    await send(api, BearerAuth(rig.provider, ["https://other.example"]))

    assert api.headers == ["Bearer token-1", None]
    assert repr(BearerAuth(rig.provider)) == "<BearerAuth for https://api.example:443>"


@both
async def test_a_redirect_to_another_origin_never_sees_the_token(rig, is_sync):
    """httpx removes the header there, and nothing that is left shows it."""
    api = Api(httpx.Response(302, headers={"Location": "https://other.example/"}))
    response = await send(api, BearerAuth(rig.provider), is_sync=is_sync)

    assert api.headers == ["Bearer token-1", None]
    assert ["Authorization" in each.request.headers for each in (response, *response.history)] == [
        False,
        False,
    ]


@both
async def test_a_redirect_within_the_origin_is_signed(rig, is_sync):
    """And neither of the two requests keeps the header."""
    api = Api(httpx.Response(302, headers={"Location": "/elsewhere"}))
    response = await send(api, BearerAuth(rig.provider), is_sync=is_sync)

    assert api.headers == ["Bearer token-1"] * 2
    assert ["Authorization" in each.request.headers for each in (response, *response.history)] == [
        False,
        False,
    ]


async def test_another_origins_refusal_says_nothing_of_the_token(rig):
    """A redirect led there: the token is neither rejected nor sent again."""
    api = Api(
        httpx.Response(302, headers={"Location": "https://other.example/"}), httpx.Response(401)
    )
    response = await send(api, BearerAuth(rig.provider))

    assert response.status_code == 401
    assert rig.happened(TokenRejected) == []
    assert len(api.headers) == 2


@both
async def test_a_refused_request_is_repeated_once_with_another_token(rig, is_sync):
    """Its body is sent again."""
    api = Api(httpx.Response(401, content=b"x" * 100))
    response = await send(api, BearerAuth(rig.provider), "POST", json={"a": 1}, is_sync=is_sync)

    assert response.status_code == 200
    assert api.headers == ["Bearer token-1", "Bearer token-2"]
    assert api.bodies == [b'{"a":1}'] * 2
    assert [event.status for event in rig.happened(RequestReplayed)] == [200]


@both
async def test_a_second_refusal_is_the_callers(rig, is_sync):
    """No third request is sent."""
    api = Api(httpx.Response(401), httpx.Response(401))
    response = await send(api, BearerAuth(rig.provider), is_sync=is_sync)

    assert response.status_code == 401
    assert len(api.headers) == 2


async def test_the_same_token_is_not_sent_again(rig):
    """A server that has no other one gets no second refusal."""
    api = Api(httpx.Response(401))
    token = rig.client.make_token()
    rig.client.answers = [token, token]
    response = await send(api, BearerAuth(rig.provider))

    assert response.status_code == 401
    assert len(api.headers) == 1


async def test_a_hundred_refusals_are_one_refresh(rig):
    """However many requests got one."""
    api = Api(*[httpx.Response(401) for _ in range(100)])
    auth = BearerAuth(rig.provider)
    await rig.get()
    await asyncio.gather(*(send(api, auth) for _ in range(100)))

    assert rig.client.requests == 2


@pytest.mark.parametrize("status", [403, 500])
async def test_other_refusals_are_the_callers(rig, status):
    """Only a 401 says that another token may help."""
    api = Api(httpx.Response(status))

    assert (await send(api, BearerAuth(rig.provider))).status_code == status
    assert len(api.headers) == 1


@both
async def test_a_streamed_body_is_never_sent_again_empty(rig, is_sync):
    """The caller gets the refusal."""

    async def parts():
        yield b"once"

    api = Api(httpx.Response(401))
    content = iter([b"once"]) if is_sync else parts()
    response = await send(api, BearerAuth(rig.provider), "POST", content=content, is_sync=is_sync)

    assert response.status_code == 401
    assert api.bodies == [b"once"]


@both
async def test_a_stronger_sign_in_is_an_error(rig, is_sync):
    """The challenge names what the end-user must do."""
    challenge = 'Bearer error="insufficient_user_authentication", acr_values="mfa"'
    api = Api(httpx.Response(401, headers={"WWW-Authenticate": challenge}))
    with pytest.raises(aa.StepUpRequiredError) as demanded:
        await send(api, BearerAuth(rig.provider), is_sync=is_sync)

    assert demanded.value.acr_values == ("mfa",)
    assert len(api.headers) == 1


async def test_a_repetition_may_ask_for_more_too(rig):
    """The second challenge counts like the first."""
    challenge = 'Bearer error="insufficient_scope", scope="payments"'
    api = Api(httpx.Response(401), httpx.Response(403, headers={"WWW-Authenticate": challenge}))
    with pytest.raises(aa.StepUpRequiredError):
        await send(api, BearerAuth(rig.provider))


@both
async def test_without_a_token_nothing_is_sent(rig, is_sync):
    """The provider's error is the caller's."""
    api = Api()
    rig.client.answers = [REFUSED]
    with pytest.raises(aa.InvalidClientError):
        await send(api, BearerAuth(rig.provider), is_sync=is_sync)

    assert api.headers == []


@both
async def test_an_error_of_httpx_shows_no_token(rig, is_sync, canary):
    """Its request is the one that was signed."""
    rig.client.answers = [rig.client.make_token(extra={})]
    api = Api(httpx.ConnectError("refused"))
    with pytest.raises(httpx.ConnectError) as failed:
        await send(api, BearerAuth(rig.provider), is_sync=is_sync)

    assert "Authorization" not in failed.value.request.headers


@both
@pytest.mark.parametrize("kind", ["transport", "too many redirects", "hook"])
async def test_an_error_after_a_redirect_shows_no_token(rig, is_sync, kind):
    """Its request is one that httpx has made, with a copy of the header."""
    redirects = [httpx.Response(302, headers={"Location": f"/{step}"}) for step in range(30)]
    last = httpx.ReadTimeout("slow") if kind == "transport" else httpx.Response(500)
    api = Api(*(redirects if kind == "too many redirects" else redirects[:2]), last)
    error = {"transport": httpx.ReadTimeout, "hook": httpx.HTTPStatusError}.get(
        kind, httpx.TooManyRedirects
    )
    auth = BearerAuth(rig.provider)

    def judge(response):
        if response.status_code == 500:
            response.raise_for_status()

    async def judge_async(response):
        judge(response)

    settings = {"transport": api, "auth": auth, "follow_redirects": True}

    def run():
        with httpx.Client(**settings, event_hooks={"response": [judge]}) as client:
            client.get(API)

    with pytest.raises(error) as failed:
        if is_sync:
            await asyncio.to_thread(run)
        else:
            hooks = {"response": [judge_async]}
            async with httpx.AsyncClient(**settings, event_hooks=hooks) as client:
                await client.get(API)

    assert len(api.headers) >= 3
    assert set(api.headers) == {"Bearer token-1"}
    assert "Authorization" not in failed.value.request.headers


@both
async def test_the_error_of_another_call_is_left_alone(rig, is_sync):
    """A call may be made while an error of another one is handled, even one without a request."""
    others = httpx.Request("GET", API, headers={"Authorization": "Bearer another"})
    redirect = httpx.Response(302, headers={"Location": "/elsewhere"})
    api = Api(redirect, httpx.ReadTimeout("slow"))
    auth = BearerAuth(rig.provider)
    settings = {"transport": api, "auth": auth, "follow_redirects": True}

    async def call():
        if not is_sync:
            async with httpx.AsyncClient(**settings) as client:
                await client.get(API)
        with httpx.Client(**settings) as client:
            client.get(API)

    await rig.provider.get_token()
    with pytest.raises(httpx.ReadTimeout) as failed:
        try:
            raise httpx.ConnectError("no request")
        except httpx.ConnectError:
            try:
                raise httpx.ConnectError("refused", request=others)
            except httpx.ConnectError:
                await call()

    assert others.headers["Authorization"] == "Bearer another"
    assert "Authorization" not in failed.value.request.headers


@both
async def test_errors_in_a_circle_are_looked_at_once(rig, is_sync):
    """A program may have chained them so, and the call still ends."""
    redirect = httpx.Response(302, headers={"Location": "/elsewhere"})
    api = Api(redirect, httpx.ReadTimeout("slow"))
    one, other = ValueError(), ValueError()
    one.__context__, other.__context__ = other, one
    settings = {"transport": api, "auth": BearerAuth(rig.provider), "follow_redirects": True}

    async def call():
        if not is_sync:
            async with httpx.AsyncClient(**settings) as client:
                await client.get(API)
        with httpx.Client(**settings) as client:
            client.get(API)

    await rig.provider.get_token()
    with pytest.raises(httpx.ReadTimeout) as failed:
        try:
            raise one
        except ValueError:
            await call()

    assert "Authorization" not in failed.value.request.headers


@both
async def test_a_redirect_that_is_not_followed_shows_no_token(rig, is_sync):
    """The request that it proposes is signed when it is sent."""
    redirect = httpx.Response(302, headers={"Location": "/elsewhere"})
    api, auth = Api(redirect), BearerAuth(rig.provider)
    response = await send(api, auth, is_sync=is_sync, follow_redirects=False)

    assert response.status_code == 302
    assert "Authorization" not in response.next_request.headers


async def test_a_header_of_the_requests_own_is_replaced_or_kept(rig):
    """As by the middleware, with an event."""
    api = Api()
    own = {"Authorization": "Basic eDp5"}
    await send(api, BearerAuth(rig.provider), headers=own)
    await send(api, BearerAuth(rig.provider, keep_authorization=True), headers=own)

    assert api.headers == ["Bearer token-1", "Basic eDp5"]
    assert len(rig.happened(AuthorizationReplaced)) == 1


@both
@pytest.mark.parametrize("size", [100, 1 << 20], ids=["small", "large"])
async def test_the_refused_response_is_read_in_bounds(rig, is_sync, size):
    """httpx reads it before the repetition: a large one is dropped with its connection."""

    class Body(httpx.AsyncByteStream, httpx.SyncByteStream):
        read = 0
        closed = 0

        async def __aiter__(self):
            for part in self:
                yield part

        def __iter__(self):
            while self.read < size:
                self.read += 100
                yield b"x" * 100

        async def aclose(self):
            self.close()

        def close(self):
            self.closed += 1

    body = Body()
    api = Api(httpx.Response(401, stream=body))
    response = await send(api, BearerAuth(rig.provider), is_sync=is_sync)

    assert response.status_code == 200
    assert body.read <= (1 << 16) + 100
    assert body.closed
    assert len(response.history[0].content) == (size if size < 1 << 16 else 0)


async def test_a_refused_response_that_does_not_end_is_given_up(rig, monkeypatch):
    """The repetition does not wait for a body that trickles."""
    monkeypatch.setattr("aritma_auth.integrations.httpx_requests._READ_WITHIN", 0.01)

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self):
            yield b"x"
            await asyncio.Event().wait()

    api = Api(httpx.Response(401, stream=Endless()))

    assert (await send(api, BearerAuth(rig.provider))).status_code == 200
    gc.collect()


async def test_a_synchronous_body_that_trickles_is_given_up(rig, monkeypatch):
    """The time counts from part to part."""
    monkeypatch.setattr("aritma_auth.integrations.httpx_requests._READ_WITHIN", -1.0)

    class Trickle(httpx.SyncByteStream):
        parts = 0

        def __iter__(self):
            while True:
                self.parts += 1
                yield b"x"

    body = Trickle()
    api = Api(httpx.Response(401, stream=body))

    assert (await send(api, BearerAuth(rig.provider), is_sync=True)).status_code == 200
    assert body.parts == 1


def test_synchronous_programs_share_one_provider(clock):
    """Threads without an event loop make one token request."""
    rig = Rig(clock)
    api, auth = Api(), BearerAuth(rig.provider)

    def work():
        with httpx.Client(transport=api, auth=auth) as client:
            for _ in range(5):
                client.get(API)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(rig.provider.aclose())

    assert api.headers == ["Bearer token-1"] * 20
    assert rig.client.requests == 1


async def test_a_synchronous_client_blocks_no_event_loop(rig):
    """The error names the client that does not; a fresh token needs no loop."""

    def call():
        transport = httpx.MockTransport(lambda request: httpx.Response(200))
        with httpx.Client(transport=transport, auth=BearerAuth(rig.provider)) as client:
            return client.get(API)

    with pytest.raises(aa.ConfigurationError, match=r"use httpx\.AsyncClient"):
        call()
    await rig.get()

    assert call().status_code == 200


@pytest.mark.parametrize(
    ("variables", "is_refused"),
    [({"http_proxy": "http://proxy.example:80"}, True), ({"no_proxy": "*"}, False), ({}, False)],
    ids=["a proxy", "no proxy for it", "none"],
)
async def test_loopback_is_signed_directly_only(rig, monkeypatch, variables, is_refused):
    """A proxy would see the token in clear."""
    for name in ("http_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    if variables.get("no_proxy"):
        monkeypatch.setenv("http_proxy", "http://proxy.example:80")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    api, auth = Api(), BearerAuth(rig.provider, ["http://127.0.0.1:8000"])
    if is_refused:
        with pytest.raises(aa.ConfigurationError, match="only directly"):
            await send(api, auth, url="http://127.0.0.1:8000/")
    else:
        await send(api, auth, url="http://127.0.0.1:8000/")

    assert api.headers == ([] if is_refused else ["Bearer token-1"])


async def test_a_hop_to_loopback_is_signed_directly_only(rig, monkeypatch):
    """A redirect must not lead the token through a proxy either."""
    monkeypatch.setenv("http_proxy", "http://proxy.example:80")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    away = httpx.Response(302, headers={"Location": "http://127.0.0.1:8000/"})
    api = Api(away, httpx.Response(401))
    with pytest.raises(aa.ConfigurationError, match="only directly"):
        await send(api, BearerAuth(rig.provider, ["https://api.example", "http://127.0.0.1:8000"]))

    assert api.headers == ["Bearer token-1", None]


async def test_a_source_of_ones_own_signs_too():
    """Whatever gives tokens, with its origins and its listener."""

    class Source:
        rejected = []

        async def get_token(self, min_ttl=0.0, timeout=None):
            return aa.Token("own")

        def peek(self):
            return None

        def report_rejected(self, token):
            self.rejected.append(token.access_token)
            return False

    events, api = [], Api(httpx.Response(401))
    auth = BearerAuth(Source(), ["https://api.example"], on_event=events.append)
    response = await send(api, auth)
    await send(api, auth, url="https://other.example")

    assert (response.status_code, api.headers) == (401, ["Bearer own", None])
    assert Source.rejected == ["own"]
    assert [type(event) for event in events] == [RequestUnsigned]
    with pytest.raises(aa.ConfigurationError, match="origins must name at least one API"):
        BearerAuth(Source())


@both
async def test_a_redirect_to_another_named_origin_is_signed_once_refused(rig, is_sync):
    """httpx goes there without the token, and its refusal does not blame the token."""
    away = httpx.Response(302, headers={"Location": "https://two.example/there"})
    api = Api(away, httpx.Response(401), httpx.Response(200))
    auth = BearerAuth(rig.provider, ["https://api.example", "https://two.example"])
    response = await send(api, auth, is_sync=is_sync)

    assert (response.status_code, str(response.url)) == (200, "https://two.example/there")
    assert api.headers == ["Bearer token-1", None, "Bearer token-1"]
    assert rig.happened(TokenRejected) == []


async def test_a_repetition_that_is_led_elsewhere_asks_for_nothing(rig):
    """The challenge of a foreign server is not the API's, the second time as the first."""
    away = httpx.Response(302, headers={"Location": "https://other.example/"})
    foreign = httpx.Response(
        401, headers={"WWW-Authenticate": 'Bearer scope="x", error="insufficient_scope"'}
    )
    response = await send(Api(httpx.Response(401), away, foreign), BearerAuth(rig.provider))

    assert response.status_code == 401


async def test_a_real_server_sees_what_it_should(rig):
    """Over real sockets: a refusal, a repetition, a redirect to another port."""
    seen = []

    async def api(request):
        seen.append((request.path, request.headers.get("Authorization")))
        if request.headers.get("Authorization") == "Bearer token-1":
            return web.Response(status=401, text="no")
        if request.path == "/elsewhere":
            raise web.HTTPFound(f"http://127.0.0.1:{other.port}/there")
        return web.Response(text="yes")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api)
    other_app = web.Application()
    other_app.router.add_route("*", "/{path:.*}", api)
    async with TestServer(app) as server, TestServer(other_app) as other:
        auth = BearerAuth(rig.provider, [f"http://127.0.0.1:{server.port}"])
        async with httpx.AsyncClient(
            auth=auth, base_url=f"http://127.0.0.1:{server.port}", follow_redirects=True
        ) as client:
            first = await client.get("/accounts")
            second = await client.get("/elsewhere")

    assert (first.text, second.text) == ("yes", "yes")
    assert seen == [
        ("/accounts", "Bearer token-1"),
        ("/accounts", "Bearer token-2"),
        ("/elsewhere", "Bearer token-2"),
        ("/there", None),
    ]


def test_without_the_extra_its_name_is_told():
    """The error says what to install."""
    program = (
        "import sys; sys.modules['httpx'] = None\n"
        "import aritma_auth as aa\n"
        "try:\n    import aritma_auth.integrations.httpx\n"
        "except aa.ConfigurationError as error:\n    print(error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert 'pip install "aritma-auth[httpx]"' in ran.stdout

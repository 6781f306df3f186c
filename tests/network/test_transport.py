"""Tests of the transport: what a request contains, and which responses are refused."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from aritma_auth.errors import ConfigurationError, InvalidResponseError, TransportError
from aritma_auth.network.transport import Transport
from aritma_auth.protocol.http_messages import HttpRequest
from aritma_auth.runtime.tasks import GuardedTask, uninterrupted
from support.loopback import serving
from support.tls import certificates

pytestmark = pytest.mark.usefixtures("no_leftovers")

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


def post(url, body=b"a=b"):
    return HttpRequest("POST", url, FORM, body)


async def see(seen, request):
    seen.append((request, await request.read()))
    return web.json_response({"ok": 1}, headers={"Set-Cookie": "session=abc"})


async def test_the_request_arrives_as_built():
    """The server receives the request's headers and body, and only what HTTP needs besides."""
    seen = []
    async with serving(lambda request: see(seen, request)) as url:
        response = await Transport().send(post(f"{url}/connect/token"))
    ((request, body),) = seen

    assert response.status == 200
    assert response.body == b'{"ok": 1}'
    assert response.headers["content-type"].startswith("application/json")
    assert body == b"a=b"
    assert dict(request.headers) == {
        "Host": url.removeprefix("http://"),
        "Accept-Encoding": "identity",
        "User-Agent": request.headers["User-Agent"],
        **FORM,
        "Content-Length": "3",
    }
    assert request.headers["User-Agent"].startswith("aritma-auth/")


async def test_a_get_has_no_body():
    """A GET request is sent without a body."""
    seen = []
    async with serving(lambda request: see(seen, request)) as url:
        await Transport().send(HttpRequest("GET", url))

    assert seen[0][1] == b""


async def test_the_callers_session_lends_only_its_connections(canary):
    """Its default headers, cookies, middlewares, traces and checks have no part in our request."""
    seen, traced, ran = [], [], []

    async def middleware(request, handler):
        ran.append(request)
        return await handler(request)

    async def trace(session, context, params):
        traced.append(params)

    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(trace)
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        serving(lambda request: see(seen, request)) as url,
        aiohttp.ClientSession(
            headers={"X-Api-Key": canary.text, "Authorization": canary.text},
            cookies={"tracking": canary.text},
            cookie_jar=jar,
            middlewares=[middleware],
            trace_configs=[tracing],
            raise_for_status=True,
        ) as session,
    ):
        await Transport(session).send(post(url))
        is_open = not session.closed
    request, _ = seen[0]

    assert canary.text not in str(request.headers)
    assert (traced, ran) == ([], [])
    assert "session" not in {cookie.key for cookie in jar}
    assert is_open


async def test_a_session_of_another_loop_is_left_alone():
    """A session belongs to one loop: elsewhere the request opens its own connection."""
    seen = []
    async with (
        serving(lambda request: see(seen, request)) as url,
        aiohttp.ClientSession() as session,
    ):
        transport = Transport(session)
        response = await asyncio.to_thread(lambda: asyncio.run(transport.send(post(url))))

    assert response.status == 200


async def test_a_closed_session_is_the_callers_error():
    """Nothing is sent, and the error says what to do."""
    async with aiohttp.ClientSession() as session:
        transport = Transport(session)

    with pytest.raises(ConfigurationError, match="must stay open"):
        await transport.send(post("https://idp.example"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status):
    """The credential is not sent to another address."""
    redirected = []
    async with serving(lambda request: see(redirected, request)) as elsewhere:

        async def redirect(request):
            return web.Response(status=status, headers={"Location": elsewhere})

        async with serving(redirect) as url:
            response = await Transport().send(post(url))

    assert response.status == status
    assert redirected == []


async def test_an_endless_response_is_cut_off():
    """The client reads at most a mebibyte of a response."""

    async def flood(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)

    async with serving(flood) as url:
        with pytest.raises(InvalidResponseError, match="more than 1048576 bytes"):
            await Transport().send(post(url))


async def test_a_compressed_response_is_refused_unread():
    """A small body that unpacks to a large one is never unpacked."""

    async def bomb(request):
        return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    async with serving(bomb) as url:
        with pytest.raises(InvalidResponseError, match="compress"):
            await Transport().send(post(url))


async def test_a_dripping_response_ends_with_the_total_timeout():
    """A byte now and then does not extend the total time-out."""

    async def drip(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    async with serving(drip) as url:
        with pytest.raises(TransportError, match=r"no response .* within 0.5 seconds") as caught:
            await Transport().send(post(url), timeout=0.5)

    assert caught.value.may_have_arrived


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", r"\(ServerDisconnectedError\): .*such as a password"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
            r"broke off its response \(ClientPayloadError",
        ),
        (b"this is no HTTP\r\n\r\n", "sent no valid HTTP response .*check scheme and port"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20000 + b"\r\n\r\n", "ClientResponseError"),
    ],
    ids=["closed", "truncated", "no HTTP", "huge header"],
)
async def test_broken_responses_are_transport_errors(raw, problem, canary):
    """aiohttp's errors never escape, nor do the secrets that they hold."""

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    request = HttpRequest(
        "POST", f"http://127.0.0.1:{port}", {"Authorization": canary.text}, canary.text.encode()
    )
    async with server:
        with pytest.raises(TransportError, match=problem) as caught:
            await Transport().send(request)

    assert caught.value.may_have_arrived
    assert caught.value.__context__ is None
    canary.assert_hidden(caught.value)


async def test_a_refused_connection_was_surely_not_sent(canary):
    """Nothing arrived, so anything may be sent again."""
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

    with pytest.raises(TransportError, match="ClientConnectorError: ECONNREFUSED") as caught:
        await Transport().send(post(f"http://127.0.0.1:{port}", canary.text.encode()))
    assert not caught.value.may_have_arrived
    canary.assert_hidden(caught.value)


async def test_tls_is_checked():
    """An unknown authority is refused before anything is sent."""
    seen = []
    server, trusting = certificates()
    async with serving(lambda request: see(seen, request), ssl_context=server) as url:
        with pytest.raises(TransportError, match=r"TLS with .*local issuer certificate") as caught:
            await Transport().send(post(url))
        response = await Transport(ssl_context=trusting).send(post(url))

    assert not caught.value.may_have_arrived
    assert response.status == 200
    assert len(seen) == 1


@pytest.mark.parametrize("url", ["http://id.aritma.io/x", "https://u:p@id.aritma.io", "/x"])
async def test_an_insecure_endpoint_is_never_called(url):
    """The URL is checked before the request."""
    with pytest.raises(ConfigurationError):
        await Transport().send(post(url))


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_is_positive(timeout):
    """Zero would mean no time-out to aiohttp."""
    with pytest.raises(ConfigurationError, match="more than 0"):
        Transport(timeout=timeout)


async def test_a_header_that_cannot_be_sent_is_the_callers_error(canary):
    """aiohttp refuses line breaks; the error is ours and names no value."""
    async with serving(lambda request: see([], request)) as url:
        request = HttpRequest("GET", url, {"X": f"a\r\n{canary.text}"})
        with pytest.raises(ConfigurationError, match="must be one that HTTP can carry") as caught:
            await Transport().send(request)

    canary.assert_hidden(caught.value)


async def test_what_was_given_up_sends_nothing():
    """Its loop stood still while it prepared the request, inside what must not be interrupted."""
    seen, prepared = [], asyncio.Event()

    async def work(url):
        with uninterrupted():
            await prepared.wait()
            await Transport().send(post(url))

    async with serving(lambda request: see(seen, request)) as url:
        task = GuardedTask(work(url), "work")
        await asyncio.sleep(0)
        task.lose()
        prepared.set()
        await task.end()

    with pytest.raises(TransportError, match="nobody waits for it any more") as caught:
        task.work.result()
    assert not caught.value.may_have_arrived
    assert seen == []

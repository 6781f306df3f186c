"""Tests of the connection that a request uses: proxies, TLS, kept connections, time-outs."""

import asyncio
import contextlib
import inspect
import socket
import ssl
import tempfile
import time

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver
from yarl import URL

import aritma_auth as aa
from aritma_auth.network.transport import Transport
from aritma_auth.protocol.http_messages import FORM, HttpRequest
from support.connect_proxy import connect_proxy
from support.loopback import serving
from support.tls import any_host, certificates, unverified

pytestmark = pytest.mark.usefixtures("no_leftovers")

CREDENTIALS = "http://user:p%40ss@"
ENCODED = "Basic dXNlcjpwQHNz"


def post(url, body=b"client_secret=hunter2"):
    return HttpRequest("POST", url, {"Content-Type": FORM}, body)


async def ok(request):
    return web.json_response({})


@pytest.fixture(autouse=True)
def no_proxy_variables(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
async def proxy():
    async with connect_proxy() as proxy:
        yield proxy


@pytest.fixture
async def server():
    """Give the URL of a server with TLS, and the settings of a client that trusts it."""
    settings, trusting = certificates()
    async with serving(ok, ssl_context=settings) as url:
        yield url, trusting


async def send(server, **session_settings):
    url, trusting = server
    connector = aiohttp.TCPConnector(ssl=trusting)
    async with aiohttp.ClientSession(connector=connector, **session_settings) as session:
        return await Transport(session).send(post(url))


async def test_the_sessions_proxy_is_used(server, proxy):
    """A service that reaches the world through a proxy sends its token requests there too."""
    response = await send(server, proxy=proxy.url)

    assert response.status == 200
    assert [head.split()[0] for head in proxy.heads] == ["CONNECT"]


@pytest.mark.filterwarnings("ignore:BasicAuth is:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The 'proxy_auth':DeprecationWarning")
@pytest.mark.parametrize(
    "credentials",
    [("user", "p@ss"), ("user", ""), ("user", "p:ss"), ("user", "grün", "utf-8")],
    ids=["a password", "an empty password", "a colon in the password", "UTF-8"],
)
async def test_the_sessions_proxy_auth_is_used(server, proxy, credentials):
    """It counts beside the proxy's URL, in the encoding that it was made with."""
    given = aiohttp.BasicAuth(*credentials)
    proxy.authorization = given.encode()

    assert (await send(server, proxy=proxy.url, proxy_auth=given)).status == 200


@pytest.mark.parametrize("way", ["in the URL", "environment"])
async def test_the_sessions_proxy_credentials_are_used(server, proxy, monkeypatch, way):
    """The credentials count from the session, from its URL and from the environment."""
    proxy.authorization = ENCODED
    with_credentials = proxy.url.replace("http://", CREDENTIALS)
    if way == "in the URL":
        settings = {"proxy": with_credentials}
    else:
        settings = {"trust_env": True}
        monkeypatch.setenv("HTTPS_PROXY", with_credentials)

    assert (await send(server, **settings)).status == 200


@pytest.mark.parametrize(("no_proxy", "uses"), [("", 1), ("127.0.0.1", 0), ("127.0.0.1:1", 1)])
async def test_a_session_that_trusts_the_environment_lends_its_proxy(
    server, proxy, monkeypatch, no_proxy, uses
):
    """The environment's HTTPS_PROXY and NO_PROXY count, and .netrc does not."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    await send(server, trust_env=True)

    assert len(proxy.heads) == uses


@pytest.mark.parametrize("way", ["session", "environment", "environment with NO_PROXY elsewhere"])
async def test_http_on_loopback_never_goes_through_a_proxy(proxy, monkeypatch, way):
    """The proxy would get the secret in clear text."""
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    if "NO_PROXY" in way:
        monkeypatch.setenv("NO_PROXY", "example.com")
    settings = {"proxy": proxy.url} if way == "session" else {"trust_env": True}
    async with serving(ok) as url, aiohttp.ClientSession(**settings) as session:
        response = await Transport(session).send(post(url))

    assert response.status == 200
    assert proxy.heads == []


class Elsewhere(AbstractResolver):
    """A resolver that leads every name to another server."""

    def __init__(self, url):
        self.port = URL(url).port

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [FOUND | {"host": "127.0.0.1", "port": self.port}]

    async def close(self):
        pass


class Tunnel(aiohttp.TCPConnector):
    """A connector that sends everything through something else, as those for SOCKS do."""

    def __init__(self, url):
        super().__init__()
        self.url = url

    async def connect(self, *_arguments, **_settings):
        raise AssertionError(self.url)


def own_sockets(url):
    def connect(_address):
        raise AssertionError(url)

    return aiohttp.TCPConnector(socket_factory=connect)


CONNECTORS = {
    "resolver": lambda url: aiohttp.TCPConnector(resolver=Elsewhere(url)),
    "connector": Tunnel,
    "sockets": own_sockets,
}


@pytest.mark.parametrize("way", CONNECTORS)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_http_on_loopback_never_leaves_by_a_sessions_own_connector(way, host):
    """Whatever a resolver or a connector says of this machine, the secret reaches no other."""
    seen = []

    async def other(request):
        seen.append(await request.text())
        return web.json_response({"is": "other"})

    async with serving(ok) as url, serving(other) as elsewhere:
        async with aiohttp.ClientSession(connector=CONNECTORS[way](elsewhere)) as session:
            response = await Transport(session).send(post(url.replace("127.0.0.1", host)))

    assert (response.status, response.body) == (200, b"{}")
    assert seen == []


async def test_http_on_loopback_may_use_a_socket_of_this_machine():
    """A sidecar listens on a Unix socket: that leads nowhere else."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/s"
        server = await asyncio.start_unix_server(serve, path)
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session:
            response = await Transport(session).send(post("http://localhost/token"))
        server.close()
        await server.wait_closed()

    assert response.status == 200


@pytest.mark.parametrize("status", [403, 407, 502, 503])
async def test_a_proxy_that_refuses_a_tunnel_has_passed_nothing_on(server, proxy, status):
    """No byte has reached the server: a code or a refresh token is not spent."""
    proxy.status = status
    with pytest.raises(aa.TransportError, match=f"proxy refused .* {status}") as caught:
        await send(server, proxy=proxy.url)

    assert not caught.value.may_have_arrived
    assert not caught.value.is_permanent


async def silent(reader, _writer):
    await reader.read()


def saying(octets, *, then_resets=False):
    """Make a proxy that answers so and ends the connection."""

    async def connected(reader, writer):
        if not then_resets:
            await reader.readuntil(b"\r\n\r\n")
        writer.write(octets)
        if not then_resets:
            writer.close()
            await writer.wait_closed()

    return connected


async def write_for_ever(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X: y\r\n" * 1000)
        await writer.drain()


OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"
BROKEN_TUNNELS = {
    "never answers": silent,
    "closes": saying(b""),
    "resets": saying(b"", then_resets=True),
    "speaks another protocol": saying(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "breaks off its answer": saying(b"HTTP/1.1 200 Conn"),
    "never ends its head": write_for_ever,
    "breaks off the handshake": saying(OPENED),
    "answers in the server's place": saying(OPENED + b"HTTP/1.1 200 OK\r\n\r\n{}"),
}


@pytest.mark.parametrize("what", BROKEN_TUNNELS)
async def test_a_proxy_that_opens_no_tunnel_has_passed_nothing_on(what):
    """However it breaks off, the request has not begun: nothing that can be presented once is spent."""
    tasks = []

    async def connected(reader, writer):
        tasks.append(asyncio.current_task())
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await BROKEN_TUNNELS[what](reader, writer)
        finally:
            writer.transport.abort()

    proxy = await asyncio.start_server(connected, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    with pytest.raises(aa.TransportError) as caught:
        await Transport(None, timeout=0.3, proxy=url).send(post("https://idp.example/token"))
    proxy.close()
    await asyncio.gather(*tasks)

    assert not caught.value.may_have_arrived
    assert "sent no valid HTTP response" not in str(caught.value)


class OddResolver(AbstractResolver):
    """A resolver of a session's own that returns or raises anything."""

    def __init__(self, outcome):
        self.outcome = outcome

    async def resolve(self, host, port=0, family=socket.AF_INET):
        if self.outcome is asyncio.sleep:
            await asyncio.sleep(60)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    async def close(self):
        pass


FOUND = {"hostname": "a", "host": "127.0.0.1", "family": socket.AF_INET, "proto": 0, "flags": 0}
RESOLVED = {
    "hangs": asyncio.sleep,
    "None": None,
    "nothing": [],
    "a text": "127.0.0.1",
    "an empty mapping": [{}],
    "no port": [FOUND | {"port": None}],
    "too high a port": [FOUND | {"port": 70_000}],
    "no host": [FOUND | {"port": 1, "host": None}],
    "OSError": OSError("canary"),
    "KeyError": KeyError("canary"),
    "CancelledError": asyncio.CancelledError("canary"),
    "GeneratorExit": GeneratorExit("canary"),
    "RuntimeError": RuntimeError("canary"),
    "ExceptionGroup": ExceptionGroup("canary", [OSError()]),
}


@pytest.mark.parametrize("outcome", RESOLVED)
async def test_a_resolver_of_the_sessions_own_may_return_or_raise_anything(outcome):
    """It is a connection that could not be had: nothing was sent, and nothing of it is repeated."""
    resolver = OddResolver(RESOLVED[outcome])
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False)
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aa.TransportError) as caught:
            await Transport(session, timeout=0.3).send(post("https://idp.example/token"))

    assert not caught.value.may_have_arrived
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize(
    "address", ["127.0.0.1:3128", "proxy", "ftp://proxy:21", "//x", "http://", "http://[::1"]
)
async def test_a_proxy_that_is_no_url_is_the_callers_error(server, monkeypatch, address):
    """The message says what a proxy's address looks like."""
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(aa.ConfigurationError, match="proxy must be an http or https URL"):
        await send(server, trust_env=True)


def test_every_setting_of_a_session_is_decided_on():
    """A setting that a new aiohttp brings fails this test until it is used or left out."""
    used = {"connector", "max_field_size", "max_line_size", "proxy", "proxy_auth", "read_bufsize"}
    used |= {"trust_env"}
    left_out = {
        # These would change a request that carries a credential, or show it.
        *("auth", "base_url", "cookie_jar", "cookies", "headers", "middlewares", "request_class"),
        *("raise_for_status", "skip_auto_headers", "trace_configs", "version"),
        # The client has limits of its own.
        *("auto_decompress", "conn_timeout", "max_headers", "read_timeout", "timeout"),
        # These do not concern the connection.
        *("connector_owner", "fallback_charset_resolver", "json_serialize", "json_serialize_bytes"),
        *("loop", "requote_redirect_url", "response_class", "ssl_shutdown_timeout"),
        "ws_response_class",
    }
    settings = set(inspect.signature(aiohttp.ClientSession).parameters)

    # Older versions of aiohttp lack some.
    assert settings - left_out <= used
    assert not used & left_out


@pytest.mark.parametrize(
    "setting", [False, unverified, any_host], ids=["off", "unverified", "any host"]
)
async def test_a_session_that_does_not_verify_certificates_is_refused(setting):
    """A client secret is sent only to a server whose certificate is verified."""
    given = setting() if callable(setting) else setting
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=given)) as session:
        with pytest.raises(aa.ConfigurationError, match="must verify certificates"):
            aa.OAuthClient("id", "secret", session=session)


@pytest.mark.parametrize("setting", [unverified, any_host])
def test_a_client_certificate_does_not_switch_verification_off(setting):
    """The context of a client certificate verifies the server too."""
    with pytest.raises(aa.ConfigurationError, match="the certificate's ssl_context must verify"):
        aa.OAuthClient("id", aa.TlsClientAuth(setting()))


@pytest.mark.parametrize("place", ["session", "certificate", "session, between two requests"])
async def test_a_context_that_stops_verifying_gets_no_secret(place):
    """Whoever has made a context may change it after the client was made."""
    settings, context = certificates()
    async with (
        serving(ok, ssl_context=settings) as url,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
    ):
        is_lent = place.startswith("session")
        transport = Transport(session) if is_lent else Transport(ssl_context=context)
        if "between" in place:
            await transport.send(post(url))
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with pytest.raises(aa.ConfigurationError, match="must verify certificates"):
            await transport.send(post(url))


@pytest.mark.parametrize("given", ["cert.pem", True, object])
def test_a_client_certificate_is_an_ssl_context(given):
    """A path or a flag is refused when the client is made, and not at its first request."""
    with pytest.raises(aa.ConfigurationError, match="must be a ClientCertificate or an ssl"):
        Transport(ssl_context=given)


async def test_a_proxy_that_is_away_is_what_the_error_names(server, canary):
    """The server itself may be well; the proxy's credentials are not shown."""
    with pytest.raises(aa.TransportError, match="the proxy on the way to 127") as caught:
        await send(server, proxy=f"http://me:{canary.text}@127.0.0.1:1")

    assert not caught.value.may_have_arrived
    canary.assert_hidden(caught.value)


@pytest.mark.filterwarnings("ignore:BasicAuth is:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The 'proxy_auth':DeprecationWarning")
@pytest.mark.parametrize("has_session", [True, False])
async def test_a_proxy_of_the_clients_own_comes_before_the_sessions(server, proxy, has_session):
    """A client without a session has a proxy too, and the session's credentials are not for it."""
    url, trusting = server
    elsewhere = {"proxy": "http://127.0.0.1:1", "proxy_auth": aiohttp.BasicAuth("user", "p@ss")}
    async with aiohttp.ClientSession(**elsewhere) as session:
        transport = Transport(
            session if has_session else None, ssl_context=trusting, proxy=proxy.url
        )
        response = await transport.send(post(url))

    assert response.status == 200
    assert [head.split()[0] for head in proxy.heads] == ["CONNECT"]
    assert "Proxy-Authorization" not in str(proxy.heads)


@pytest.mark.parametrize("given", [5, "my-proxy", "ftp://proxy:21", "http://[::1"])
def test_a_proxy_of_the_clients_own_is_a_url(given):
    """It is refused when the client is made; it may hold a password, so it is not quoted."""
    with pytest.raises(aa.ConfigurationError, match="proxy must be a") as caught:
        aa.OAuthClient("id", "secret", proxy=given)

    assert str(given) not in str(caught.value).replace("http://proxy.example", "")


async def test_a_session_that_pins_a_certificate_is_taken():
    """A fingerprint is stricter than an authority."""
    pinned = aiohttp.TCPConnector(ssl=aiohttp.Fingerprint(bytes(32)))
    async with aiohttp.ClientSession(connector=pinned) as session:
        assert aa.OAuthClient("id", "secret", session=session)


async def connections_used(is_one_time):
    """Send two requests over one session, and count the connections."""
    peers = set()

    async def note(request):
        peers.add(request.transport.get_extra_info("peername"))
        return web.json_response({})

    async with serving(note) as url, aiohttp.ClientSession() as session:
        transport = Transport(session)
        await transport.send(post(url))
        await transport.send(post(url), is_one_time=is_one_time)
        await transport.send(post(url), is_one_time=is_one_time)
    return len(peers)


async def test_what_can_be_presented_once_has_a_connection_of_its_own():
    """A server may close a kept connection just as a request arrives on it."""
    assert await connections_used(is_one_time=False) == 1
    assert await connections_used(is_one_time=True) == 3


@pytest.mark.parametrize(
    ("act", "is_one_time"),
    [
        (lambda client: client.fetch_token(aa.RefreshTokenGrant("r")), True),
        (lambda client: client.fetch_token(aa.DeviceCodeGrant("d")), True),
        (lambda client: client.fetch_token(aa.CustomGrant("urn:x")), True),
        (lambda client: client.revoke("r"), True),
        (lambda client: client.fetch_token(aa.ClientCredentialsGrant()), False),
        (lambda client: client.introspect("t"), False),
    ],
    ids=["refresh token", "device code", "custom", "revocation", "repeatable", "introspection"],
)
async def test_the_client_says_what_can_be_presented_once(monkeypatch, act, is_one_time):
    """Codes, one-time grants and revocations get a new connection; the rest may reuse one."""
    said = []

    async def refuse(transport, request, *, timeout=None, is_one_time=False):
        said.append(is_one_time)
        raise aa.TransportError("not sent", may_have_arrived=False)

    monkeypatch.setattr(Transport, "send", refuse)
    with pytest.raises(aa.TransportError):
        await act(aa.OAuthClient("id", "secret"))

    assert said == [is_one_time]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "act",
    [
        lambda client: client.fetch_token(aa.RefreshTokenGrant("r")),
        lambda client: client.fetch_token(aa.BackchannelGrant("a")),
        lambda client: client.fetch_token(aa.CustomGrant("authorization_code", {"code": "c"})),
        lambda client: client.revoke("r"),
    ],
    ids=["refresh token", "backchannel", "code", "revocation"],
)
async def test_a_kept_connection_that_dies_does_not_take_a_one_time_request_along(scheme, act):
    """The server closes the kept connection as soon as a second request arrives on it."""
    served = {}

    async def once_a_connection(request):
        peer = request.transport.get_extra_info("peername")
        served[peer] = served.get(peer, 0) + 1
        if served[peer] > 1:
            request.transport.close()
        return web.json_response({"access_token": "t", "token_type": "Bearer"})

    settings, trusting = certificates() if scheme == "https" else (None, True)
    async with (
        serving(once_a_connection, ssl_context=settings) as url,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session,
    ):
        client = aa.OAuthClient("id", "secret", environment=aa.Environment.at(url), session=session)
        await client.fetch_token(aa.ClientCredentialsGrant())
        for _ in range(3):
            await act(client)

    assert set(served.values()) == {1}


@pytest.mark.parametrize("grant", [aa.RefreshTokenGrant("r"), aa.ClientCredentialsGrant()])
async def test_a_response_that_has_arrived_outlives_a_loop_that_stood_still(grant):
    """The loop is blocked beyond the time-out while the response waits in the socket."""
    arrived = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        await asyncio.sleep(0)
        body = b'{"access_token":"t","token_type":"Bearer","expires_in":60}'
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        writer.write(head + body)
        await writer.drain()
        # Block the loop for longer than the client's time-out.
        time.sleep(0.6)  # noqa: ASYNC251 - the block is the test
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    client = aa.OAuthClient("id", "secret", environment=aa.Environment.at(url), timeout=0.5)

    assert (await client.fetch_token(grant)).access_token == "t"
    server.close()


async def hung(reader, writer):
    await reader.read()
    writer.close()


@pytest.mark.parametrize("stage", ["pool", "connect", "handshake", "response"])
async def test_a_time_out_tells_whether_the_request_was_sent(stage, monkeypatch):
    """Waiting for a connection, a host or a handshake sends nothing."""
    server = await asyncio.start_server(hung, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    scheme = "https" if stage == "handshake" else "http"
    connector = aiohttp.TCPConnector(limit=1)

    async def never(*_, **__):
        await asyncio.Event().wait()

    if stage == "connect":
        monkeypatch.setattr(connector, "_create_connection", never)
    async with aiohttp.ClientSession(connector=connector) as session:
        # A busy machine needs some time to send.
        seconds = 0.5 if stage == "response" else 0.1
        transport = Transport(session, timeout=seconds)
        url = f"{scheme}://127.0.0.1:{port}"
        if stage == "pool":
            blocking = asyncio.create_task(Transport(session, timeout=5).send(post(url)))
            await asyncio.sleep(0.05)
        with pytest.raises(aa.TransportError, match=f"within {seconds} seconds") as caught:
            await transport.send(post(url))
        if stage == "pool":
            blocking.cancel()
            await asyncio.wait([blocking])

    assert caught.value.may_have_arrived is (stage == "response")
    server.close()


async def test_a_cancelled_request_closes_its_connection():
    """The caller's cancellation reaches the request and closes its connection."""
    closed = asyncio.Event()
    arrived = asyncio.Event()

    async def watch(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        await reader.read()
        closed.set()
        writer.close()

    server = await asyncio.start_server(watch, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    sending = asyncio.create_task(Transport().send(post(url, b"")))
    await arrived.wait()
    sending.cancel()
    await asyncio.wait([sending])
    await asyncio.wait_for(closed.wait(), 20)

    assert sending.cancelled()
    server.close()

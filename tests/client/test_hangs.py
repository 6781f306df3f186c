"""Every coroutine of a client ends in time, whatever hangs."""

import asyncio
import contextlib
import time

import aiohttp
import pytest

import aritma_auth as aa
from aritma_auth.runtime import tasks

pytestmark = pytest.mark.usefixtures("no_leftovers")

TIMEOUT = 0.05
LIMIT = 10.0
"""Seconds after which a call counts as hung: two requests, and a busy machine."""


async def hang(*_arguments, **_settings):
    await asyncio.Event().wait()


async def swallow(*_arguments, **_settings):
    """Hang, and ignore the first cancellation."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.sleep(0.2)


class HungServer:
    """Accepts connections, and never comes to the end of a response."""

    def __init__(self, behave=None):
        self._behave = behave or never_respond
        self._writers = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def _connected(self, reader, writer):
        self._writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._behave(reader, writer)

    async def __aexit__(self, *_):
        for writer in self._writers:
            writer.transport.abort()
        self._server.close()


async def never_respond(reader, _writer):
    await reader.read()


async def never_read(reader, writer):
    writer.transport.pause_reading()
    await reader.read()


def repeating(head, part, *, pause=0.005):
    """Make a server that sends a head and then a part again and again, for ever."""

    async def behave(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while not writer.is_closing():
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


async def redirect(reader, writer):
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 307 Again\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SERVERS = {
    "never responds": never_respond,
    "never reads": never_read,
    "trickles": repeating(OK + b"Content-Length: 100000\r\n\r\n{", b" "),
    "sends headers for ever": repeating(OK, b"X-Header: value\r\n"),
    "sends chunks for ever": repeating(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "goes on to announce a response": repeating(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "redirects for ever": redirect,
}

KEY = aa.SigningKey.generate("ES256")
DEVICE = {"verification_uri": "https://x.example", "verification_uri_complete": None}


AUTHENTICATED = {
    "fetch_token": lambda client: client.fetch_token(aa.ClientCredentialsGrant()),
    "fetch_token, one-time": lambda client: client.fetch_token(aa.RefreshTokenGrant("r")),
    "introspect": lambda client: client.introspect("t"),
    "revoke": lambda client: client.revoke("t"),
    "begin_device_sign_in": lambda client: client.begin_device_sign_in("api"),
}
CALLS = AUTHENTICATED | {
    "begin_backchannel_sign_in": lambda client: client.begin_backchannel_sign_in(login_hint="a"),
    "complete_device_sign_in": lambda client: client.complete_device_sign_in(
        aa.DeviceAuthorization(
            device_code="d", user_code="u", interval=0.01, expires_at=time.time() + 0.2, **DEVICE
        )
    ),
    "complete_backchannel_sign_in": lambda client: client.complete_backchannel_sign_in(
        aa.BackchannelAuthentication(auth_req_id="d", expires_at=time.time() + 0.2, interval=0.01)
    ),
    "begin_sign_in": lambda client: client.begin_sign_in("https://app.example/callback"),
    "fetch_metadata": lambda client: client.fetch_metadata(),
    "fetch_keys": lambda client: client.fetch_keys(),
    "fetch_userinfo": lambda client: client.fetch_userinfo(aa.Token("t"), subject="alice"),
    "verify_id_token": lambda client: client.verify_id_token("a.b.c", nonce=None),
    "verify_logout_token": lambda client: client.verify_logout_token("a.b.c"),
    "end_session_url": lambda client: client.end_session_url(),
    "assess_profile": lambda client: client.assess_profile(aa.FAPI2),
    "begin_sign_in, pushed": lambda client: client.begin_sign_in(
        "https://app.example/callback", push=True
    ),
}


async def ends_in_time(call, client):
    """Await a call that must fail with an error of ours before it counts as hung."""
    started = time.monotonic()
    with pytest.raises(aa.AritmaAuthError) as caught:
        async with asyncio.timeout(LIMIT):
            await call(client)
    assert time.monotonic() - started < LIMIT
    return caught.value


def registered(url):
    return aa.RegisteredClient(
        client_id="id", registration_client_uri=url, registration_access_token="t"
    )


async def ask_all(url):
    """Make every call there is at the same time; return their errors by name."""

    async def ask(name, call):
        errors[name] = await ends_in_time(lambda _: call, None)

    errors, asking = {}, []
    for discover in (False, True):
        environment = aa.Environment.at(url, discover=discover)
        for name, call in CALLS.items():
            # Without discovery these send no request, or repeat it after a pause.
            if discover or name not in {
                "begin_sign_in",
                "begin_sign_in, pushed",
                "end_session_url",
            }:
                client = aa.OAuthClient("id", "secret", environment=environment, timeout=TIMEOUT)
                asking.append(ask((name, discover), call(client)))
        registrar = aa.ClientRegistrar(environment, timeout=TIMEOUT)
        asking.append(ask(("register", discover), registrar.register({})))
    asking += [
        ask("discover", aa.Environment.discover(url, timeout=TIMEOUT)),
        ask("fetch a registration", registrar.fetch(registered(url))),
        ask("update a registration", registrar.update(registered(url), {"client_name": "a"})),
        ask("delete a registration", registrar.delete(registered(url))),
    ]
    await asyncio.gather(*asking)
    return errors


@pytest.mark.parametrize("kind", SERVERS)
async def test_no_call_waits_for_a_server_that_never_ends(kind):
    """Each request has a time limit, metadata and keys included, and polling ends with its code."""
    async with HungServer(SERVERS[kind]) as server:
        errors = await ask_all(server.url)

    expected = [aa.TransportError, aa.ExpiredTokenError]
    if kind == "redirects for ever":
        # A redirect is a response that has ended, and is not followed.
        expected += [aa.InvalidResponseError]
    assert {name: error for name, error in errors.items() if type(error) not in expected} == {}


SIGNERS = {
    "private_key_jwt": lambda signer: {"client_auth": aa.PrivateKeyJwt(signer)},
    "a bound token": lambda signer: {"client_auth": "secret", "dpop": aa.DPoP(signer)},
    "a client assertion": lambda signer: {
        "client_auth": aa.ClientAssertion(aa.Secret.from_callable(lambda: signer.sign(b"")))
    },
}


@pytest.mark.parametrize("source", [hang, swallow])
@pytest.mark.parametrize("kind", SIGNERS)
async def test_a_signer_that_never_signs_is_not_waited_for(monkeypatch, kind, source):
    """A key management service may hang for every call that it takes part in."""
    monkeypatch.setattr(tasks, "_GRACE", 0.02)
    signer = aa.RemoteSigner("ES256", source, public_jwk=KEY.public_jwk)

    async def ask(call):
        client = aa.OAuthClient("id", **SIGNERS[kind](signer), timeout=TIMEOUT)
        return await ends_in_time(call, client)

    calls = [call for name, call in AUTHENTICATED.items() if "fetch_token" in name]
    errors = await asyncio.gather(*map(ask, calls))
    if source is swallow:
        await asyncio.sleep(0.3)

    assert {type(error) for error in errors} == {aa.TransportError}
    assert not any(error.may_have_arrived for error in errors)


GRANTS = {
    "the subject of an exchange": lambda source: aa.TokenExchangeGrant(Subject(source)),
    "the text of an assertion": lambda source: aa.JwtBearerGrant(
        aa.Secret.from_callable(source), "alice"
    ),
    "the signer of an assertion": lambda source: aa.JwtBearerGrant(
        aa.JwtAssertion(aa.RemoteSigner("ES256", source), "alice", issuer="i", audience="a")
    ),
}


class Subject:
    """A caller's own source of a subject token."""

    def __init__(self, get_token):
        self.get_token = get_token

    def peek(self):
        return None

    def identity(self):
        return "alice"

    def report_rejected(self, _token):
        return False


@pytest.mark.parametrize("source", [hang, swallow])
@pytest.mark.parametrize("kind", GRANTS)
async def test_a_source_that_never_gives_is_not_waited_for(monkeypatch, kind, source):
    """What a grant presents may come from anywhere."""
    monkeypatch.setattr(tasks, "_GRACE", 0.02)
    client = aa.OAuthClient("id", "secret", timeout=TIMEOUT)
    error = await ends_in_time(lambda client: client.fetch_token(GRANTS[kind](source)), client)
    if source is swallow:
        await asyncio.sleep(0.3)

    assert isinstance(error, aa.TransportError)
    assert not error.may_have_arrived


@pytest.mark.parametrize("source", [hang, swallow])
@pytest.mark.parametrize("name", AUTHENTICATED)
async def test_a_secret_that_never_loads_is_not_waited_for(monkeypatch, name, source):
    """Nothing was sent, and a source that ignores its cancellation changes nothing."""
    monkeypatch.setattr(tasks, "_GRACE", 0.02)
    client = aa.OAuthClient("id", aa.Secret.from_callable(source), timeout=TIMEOUT)
    async with asyncio.timeout(2 * LIMIT):
        with pytest.raises(aa.TransportError, match="credential did not return within") as caught:
            await AUTHENTICATED[name](client)

    assert not caught.value.may_have_arrived
    if source is swallow:
        # The source ignored its cancellation: wait for its own end before the loop closes.
        await asyncio.sleep(0.3)


class Resolver(aiohttp.abc.AbstractResolver):
    """Waits for ever instead of resolving a name."""

    async def resolve(self, host, port=0, family=0):
        await hang()

    async def close(self):
        """Do nothing, since there is nothing to close."""


@pytest.mark.parametrize("what", ["resolver", "proxy"])
async def test_a_way_that_never_opens_is_not_waited_for(what):
    """Nothing was sent: a code or a refresh token is not spent."""
    async with HungServer() as proxy:
        settings = {"connector": aiohttp.TCPConnector(resolver=Resolver())}
        if what == "proxy":
            settings = {"proxy": f"http://127.0.0.1:{proxy.port}"}
        async with aiohttp.ClientSession(**settings) as session:
            client = aa.OAuthClient("id", "secret", session=session, timeout=TIMEOUT)
            error = await ends_in_time(CALLS["fetch_token, one-time"], client)

    assert isinstance(error, aa.TransportError)
    assert not error.may_have_arrived


@pytest.mark.parametrize("kind", [KeyError, asyncio.CancelledError])
async def test_the_error_of_a_custom_source_is_named_by_its_class(kind, canary):
    """A credential source need not be a Secret; what it raises never leaves the package."""

    class Source:
        async def load(self):
            raise kind(canary.text)

    client = aa.OAuthClient("id", aa.ClientSecretPost(Source()))
    with pytest.raises(
        aa.ConfigurationError, match=f"source of the client's credential .*raised {kind.__name__}"
    ) as caught:
        await client.fetch_token(aa.ClientCredentialsGrant())

    canary.assert_hidden(caught.value)

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
    """Accepts connections, and never responds."""

    def __init__(self):
        self._writers = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _connected(self, reader, writer):
        self._writers.append(writer)
        with contextlib.suppress(OSError):
            await reader.read()

    async def __aexit__(self, *_):
        for writer in self._writers:
            writer.close()
        self._server.close()


AUTHENTICATED = {
    "fetch_token": lambda client: client.fetch_token(aa.ClientCredentialsGrant()),
    "fetch_token, one-time": lambda client: client.fetch_token(aa.RefreshTokenGrant("r")),
    "introspect": lambda client: client.introspect("t"),
    "revoke": lambda client: client.revoke("t"),
    "begin_device_sign_in": lambda client: client.begin_device_sign_in("api"),
}
CALLS = AUTHENTICATED | {
    "begin_sign_in": lambda client: client.begin_sign_in("https://app.example/callback"),
    "fetch_metadata": lambda client: client.fetch_metadata(),
    "fetch_keys": lambda client: client.fetch_keys(),
    "fetch_userinfo": lambda client: client.fetch_userinfo(aa.Token("t"), subject="alice"),
    "verify_id_token": lambda client: client.verify_id_token("a.b.c", nonce=None),
    "verify_logout_token": lambda client: client.verify_logout_token("a.b.c"),
    "end_session_url": lambda client: client.end_session_url(),
}


async def ends_in_time(call, client):
    """Await a call that must fail with an error of ours before it counts as hung."""
    started = time.monotonic()
    with pytest.raises(aa.AritmaAuthError) as caught:
        async with asyncio.timeout(LIMIT):
            await call(client)
    assert time.monotonic() - started < LIMIT
    return caught.value


@pytest.mark.parametrize("discover", [False, True], ids=["fixed", "discovered"])
@pytest.mark.parametrize("name", CALLS)
async def test_a_server_that_never_responds_is_not_waited_for(name, discover):
    """Each request has a time limit, metadata and keys included."""
    if not discover and name in {"begin_sign_in", "end_session_url"}:
        # Without discovery these send no request.
        return
    async with HungServer() as server:
        environment = aa.Environment.at(f"http://127.0.0.1:{server.port}", discover=discover)
        client = aa.OAuthClient("id", "secret", environment=environment, timeout=TIMEOUT)
        error = await ends_in_time(CALLS[name], client)

    assert isinstance(error, aa.TransportError)


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

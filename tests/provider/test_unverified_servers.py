"""A token goes to no server whose certificate is not verified."""

import ssl

import aiohttp
import pytest
from aiohttp import web

import aritma_auth as aa
from aritma_auth.testing import FakeClient
from support.loopback import serving
from support.tls import certificates

pytestmark = pytest.mark.usefixtures("no_leftovers")

API = "https://api.example"


def unverified():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def any_host():
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


class SentError(Exception):
    """The request would have gone out with these headers."""


async def stop(request, handler):
    """Stand where the connection begins: no test asks a foreign server."""
    raise SentError(request.headers.get("Authorization"))


async def call(*, connector_ssl=True, url=API, **settings):
    """Call an API through the middleware."""
    async with (
        aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant()) as tokens,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=connector_ssl),
            middlewares=[tokens.middleware([API]), stop],
        ) as session,
    ):
        await session.get(url, **settings)


@pytest.mark.parametrize("scheme", ["https", "wss"])
@pytest.mark.parametrize(
    "settings",
    [
        {"ssl": False},
        {"ssl": unverified()},
        {"ssl": any_host()},
        {"connector_ssl": False},
        {"connector_ssl": unverified()},
        {"connector_ssl": any_host()},
    ],
    ids=lambda settings: f"{settings}"[:24],
)
async def test_an_unverified_server_gets_no_token(settings, scheme):
    """Neither the request nor its session may switch verification off."""
    with pytest.raises(aa.ConfigurationError, match="must verify certificates and host names"):
        await call(url=API.replace("https", scheme), **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ssl": ssl.create_default_context(), "connector_ssl": False},
        {"ssl": aiohttp.Fingerprint(bytes(32)), "connector_ssl": False},
        {"connector_ssl": aiohttp.Fingerprint(bytes(32))},
    ],
    ids=["default", "own context", "own fingerprint", "the session's fingerprint"],
)
async def test_a_verified_server_gets_it(settings):
    """What a request says itself comes before its session; a fingerprint pins one certificate."""
    with pytest.raises(SentError, match="Bearer "):
        await call(**settings)


async def test_what_needs_no_token_may_go_anywhere():
    """A request that is not signed is the caller's own."""
    with pytest.raises(SentError, match="None"):
        await call(url="https://elsewhere.example", ssl=False)


async def test_https_on_loopback_may_be_unverified():
    """It is no worse than http on loopback, and local servers have certificates of their own."""
    seen = []

    async def note(request):
        seen.append(request.headers.get("Authorization"))
        return web.Response()

    async with (
        serving(note, ssl_context=certificates()[0]) as url,
        aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant()) as tokens,
        aiohttp.ClientSession(middlewares=[tokens.middleware([url])]) as session,
        session.get(url, ssl=False),
    ):
        assert len(seen) == 1
        assert seen[0].startswith("Bearer ")


async def test_a_session_of_the_provider_is_looked_at_too():
    """The context of its certificate may have been changed since."""
    context = ssl.create_default_context()
    client = aa.OAuthClient("id", aa.TlsClientAuth(context))
    tokens = aa.TokenProvider(client, aa.ClientCredentialsGrant())
    await tokens.set_token(aa.Token("t", expires_at=9e9))
    async with tokens, tokens.session(origins=[API]) as session:
        context.check_hostname = False
        with pytest.raises(aa.ConfigurationError, match="must verify certificates"):
            await session.get(API)

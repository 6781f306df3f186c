"""A token for http on loopback never passes a proxy, which would read it in clear text."""

from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

import aritma_auth as aa
from support.connect_proxy import connect_proxy
from support.loopback import serving

pytestmark = pytest.mark.usefixtures("no_leftovers")


class Tokens:
    """Gives one token."""

    def peek(self):
        return aa.Token("secret-token")

    async def get_token(self):
        return self.peek()

    def report_rejected(self, token):
        return False


@pytest.fixture(autouse=True)
def no_proxy_variables(monkeypatch):
    for name in ("HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def call(**settings):
    """Call a loopback API through the middleware; return the Authorization headers it saw."""
    seen = []

    async def note(request):
        seen.append(request.headers.get("Authorization"))
        return web.Response()

    async with serving(note) as url:
        middleware = aa.BearerMiddleware(Tokens(), [url])
        async with aiohttp.ClientSession(middlewares=[middleware], **settings) as session:
            async with session.get(url):
                return seen


@pytest.mark.parametrize("way", ["session", "environment"])
async def test_a_request_that_would_pass_a_proxy_is_not_sent(monkeypatch, way):
    """The error says what to set, and the proxy sees nothing."""
    async with connect_proxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        settings = {"proxy": proxy.url} if way == "session" else {"trust_env": True}
        with pytest.raises(aa.ConfigurationError, match="set NO_PROXY"):
            await call(**settings)

    assert proxy.heads == []


@pytest.mark.parametrize("host", ["localhost", "127.9.9.9", "[::1]", "LOCALHOST"])
@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_no_name_of_this_machine_is_reached_by_a_proxy(host, scheme):
    """Whatever the host is called and whatever the request opens, the token stays here."""
    async with connect_proxy() as proxy:
        middleware = aa.BearerMiddleware(Tokens(), [f"http://{host}:9"])
        async with aiohttp.ClientSession(middlewares=[middleware], proxy=proxy.url) as session:
            open_it = session.get if scheme == "http" else session.ws_connect
            with pytest.raises(aa.ConfigurationError, match="NO_PROXY"):
                await open_it(f"{scheme}://{host}:9/")

    assert proxy.heads == []


async def test_a_request_that_bypasses_the_proxy_is_signed(monkeypatch):
    """NO_PROXY names the loopback address."""
    async with connect_proxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")

        assert await call(trust_env=True) == ["Bearer secret-token"]
    assert proxy.heads == []


async def test_a_second_request_is_looked_at_again():
    """The first went directly; the same address through a proxy is refused all the same."""
    async with connect_proxy() as proxy, serving(lambda _: _ok()) as url:
        middleware = aa.BearerMiddleware(Tokens(), [url])
        async with aiohttp.ClientSession(middlewares=[middleware]) as session:
            async with session.get(url) as response:
                assert response.status == 200
            with pytest.raises(aa.ConfigurationError, match="NO_PROXY"):
                await session.get(url, proxy=proxy.url)

    assert proxy.heads == []


async def _ok():
    return web.Response()


async def test_https_is_allowed_once_and_remembered():
    """An https request may pass a proxy, which sees its ciphertext only."""
    seen = []

    async def handler(request):
        seen.append(request.headers["Authorization"])
        return SimpleNamespace(status=200)

    middleware = aa.BearerMiddleware(Tokens(), ["https://api.example"])
    for _ in range(2):
        request = SimpleNamespace(
            url=URL("https://api.example/v3"),
            headers=CIMultiDict(),
            proxy=URL("http://proxy:3128"),
            ssl=True,
            session=SimpleNamespace(connector=None),
        )
        await middleware(request, handler)

    assert seen == ["Bearer secret-token"] * 2

"""An application below a path of its host: mounted in another, or behind a proxy that strips it."""

import contextlib
from typing import Annotated

import aiohttp
import fastapi
import pytest
from aiohttp import web
from fastapi import Depends

from aritma_auth.integrations import aiohttp_web
from aritma_auth.integrations import fastapi as fastapi_web
from support.applications import serving_aiohttp
from support.asgi import listen, serving_asgi
from support.journeys import client_of, sandbox_of_an_application

HOP_BY_HOP = {"transfer-encoding", "content-length", "content-encoding"}


def make_aiohttp_app(sign_in):
    async def show_user(request):
        return web.Response(text=(await sign_in.require_user(request)).name)

    app = web.Application()
    sign_in.setup(app)
    app.add_routes([web.get("/accounts", show_user), web.get("/app/accounts", show_user)])
    return app


def make_fastapi_app(sign_in):
    app = fastapi.FastAPI(openapi_url=None)
    sign_in.install(app)

    @app.get("/accounts")
    async def show_user(user: Annotated[fastapi_web.SignedInUser, Depends(sign_in.require_user)]):
        return fastapi.Response(user.name)

    # A mount has a root path of its own, which is not the application's.
    mounted = fastapi.APIRouter()
    mounted.get("/accounts")(show_user)
    app.mount("/app", mounted)
    return app


@contextlib.asynccontextmanager
async def stripping(listener, prefix, inner):
    """Serve a proxy that forwards what is below a prefix, without it."""
    async with aiohttp.ClientSession(
        auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:

        async def forward(request):
            path = request.raw_path.removeprefix(prefix)
            async with session.request(
                request.method,
                f"{inner}{path}",
                headers=request.headers,
                data=await request.read(),
                allow_redirects=False,
            ) as response:
                headers = response.headers.copy()
                for name in HOP_BY_HOP:
                    headers.popall(name, None)
                body = await response.read()
                return web.Response(status=response.status, headers=headers, body=body)

        app = web.Application()
        app.router.add_route("*", f"{prefix}/{{rest:.*}}", forward)
        async with serving_aiohttp(app, listener):
            yield


@contextlib.asynccontextmanager
async def serving(kind, client, listener, url):
    """Serve an application below ``/app`` in one of the usual ways."""
    framework = aiohttp_web if kind.startswith("aiohttp") else fastapi_web
    sign_in = framework.WebSignIn(client, f"{url}/app")
    inner, inner_url = listen()
    if kind == "aiohttp, add_subapp":
        outer = web.Application()
        outer.add_subapp("/app", make_aiohttp_app(sign_in))
        ways = [serving_aiohttp(outer, listener)]
    elif kind == "aiohttp behind a proxy":
        ways = [
            serving_aiohttp(make_aiohttp_app(sign_in), inner),
            stripping(listener, "/app", inner_url),
        ]
    elif kind == "fastapi, mount":
        outer = fastapi.FastAPI(openapi_url=None)
        outer.mount("/app", make_fastapi_app(sign_in))
        ways = [contextlib.aclosing(sign_in), serving_asgi(outer, listener)]
    else:
        ways = [
            serving_asgi(make_fastapi_app(sign_in), inner, root_path="/app"),
            stripping(listener, "/app", inner_url),
        ]
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(inner.close)
        for way in ways:
            await stack.enter_async_context(way)
        yield


@pytest.fixture(
    params=[
        "aiohttp, add_subapp",
        "aiohttp behind a proxy",
        "fastapi, mount",
        "fastapi, uvicorn --root-path",
    ]
)
async def browser(request, no_leftovers):
    """Give a browser before an application below ``/app``."""
    listener, url = listen()
    with listener:
        async with sandbox_of_an_application(f"{url}/app") as sandbox:
            client = client_of(sandbox)
            async with serving(request.param, client, listener, url):
                jar = aiohttp.CookieJar(unsafe=True)
                async with aiohttp.ClientSession(url, cookie_jar=jar) as session:
                    yield session


async def origin_of(browser):
    """Return the origin of a browser's pages."""
    async with browser.get("/app/") as response:
        return str(response.url.origin())


async def see(browser, path):
    """Go to a page and through every redirect; give the last path, the status and the text."""
    async with browser.get(path) as response:
        return response.url.raw_path_qs, response.status, await response.text()


async def test_an_end_user_is_led_to_the_sign_in_and_back(browser):
    """The redirect URI and the way back have the prefix, and the way back its query."""
    assert await see(browser, "/app/accounts?from=2026") == (
        "/app/accounts?from=2026",
        200,
        "Alice Almås",
    )


async def test_a_page_whose_own_path_begins_like_the_prefix_is_found_again(browser):
    """What a proxy has stripped is put back, and what the application's own path has is no prefix."""
    assert await see(browser, "/app/app/accounts?from=2026") == (
        "/app/app/accounts?from=2026",
        200,
        "Alice Almås",
    )


async def test_a_link_to_such_a_page_names_the_whole_path(browser):
    """A path that begins with the prefix is taken as it is."""
    path, status, _ = await see(browser, "/app/sign-in?next=/app/app/accounts")

    assert (path, status) == ("/app/app/accounts", 200)


@pytest.mark.parametrize("following", ["/app/accounts", "/accounts"])
async def test_a_link_to_the_sign_in_may_leave_the_prefix_out(browser, following):
    """The page that follows is the application's own, however the link names it."""
    path, status, _ = await see(browser, f"/app/sign-in?next={following}")

    assert (path, status) == ("/app/accounts", 200)


@pytest.mark.parametrize("following", ["/app/sign-in", "/callback", "//evil.example/"])
async def test_a_link_in_a_circle_or_elsewhere_leads_home(browser, following):
    """The sign-in's own pages are known with the prefix and without it."""
    path, _, _ = await see(browser, f"/app/sign-in?next={following}")

    assert path == "/app/"


async def test_an_end_user_signs_out_and_comes_back(browser):
    """The form is accepted by its origin, and the page after the sign-out has the prefix."""
    await see(browser, "/app/accounts")
    own = {"Origin": await origin_of(browser)}
    async with browser.post("/app/sign-out", headers=own) as response:
        text = await response.text()

    assert response.url.path == "/app/signed-out"
    assert 'href="/app/"' in text
    names = {cookie.key for cookie in browser.cookie_jar}
    assert "app~session" not in names


async def test_who_has_no_session_and_signs_out_goes_home(browser):
    """Home is the prefix with its slash."""
    own = {"Origin": await origin_of(browser)}
    async with browser.post("/app/sign-out", headers=own, allow_redirects=False) as response:
        assert response.headers["Location"] == "/app/"

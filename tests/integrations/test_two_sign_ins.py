"""Two sign-ins that a request comes by: what one has found is nothing to the other."""

from typing import Annotated

import aiohttp
import fastapi
import pytest
from aiohttp import web
from fastapi import Depends

import aritma_auth as aa
from aritma_auth.integrations import aiohttp_web
from aritma_auth.integrations import fastapi as fastapi_web
from aritma_auth.sandbox import Sandbox
from support.applications import serving_aiohttp
from support.asgi import listen, serving_asgi


def make_aiohttp_app(own, other):
    async def show(request):
        found = [await own.find_user(request), await other.find_user(request)]
        return web.json_response([user and user.name for user in found])

    async def accounts(request):
        return web.Response(text=(await own.require_user(request)).name)

    app = web.Application()
    own.setup(app)
    app.add_routes([web.get("/both", show), web.get("/accounts", accounts)])
    return app


def make_fastapi_app(own, other):
    app = fastapi.FastAPI(openapi_url=None)
    own.install(app)

    @app.get("/both")
    async def show(
        mine: Annotated[fastapi_web.SignedInUser | None, Depends(own.find_user)],
        theirs: Annotated[fastapi_web.SignedInUser | None, Depends(other.find_user)],
    ):
        return fastapi.responses.JSONResponse([user and user.name for user in (mine, theirs)])

    @app.get("/accounts")
    async def accounts(user: Annotated[fastapi_web.SignedInUser, Depends(own.require_user)]):
        return fastapi.Response(user.name)

    return app


FRAMEWORKS = {
    "aiohttp": (aiohttp_web.WebSignIn, make_aiohttp_app, serving_aiohttp),
    "fastapi": (fastapi_web.WebSignIn, make_fastapi_app, serving_asgi),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_a_user_of_one_sign_in_is_none_of_another(framework, no_leftovers):
    """A handler that asks two sign-ins, of two clients, learns from each of its own session."""
    sign_in_class, make_app, serving = FRAMEWORKS[framework]
    listener, url = listen()
    with listener:
        async with Sandbox() as sandbox:
            sandbox.sign_in_automatically("alice")
            clients = (
                aa.OAuthClient(name, secret, environment=sandbox.environment)
                for name, secret in (
                    ("sandbox-web", "web-secret"),
                    ("sandbox-hybrid", "hybrid-secret"),
                )
            )
            own, other = (sign_in_class(client, url) for client in clients)
            async with serving(make_app(own, other), listener):
                jar = aiohttp.CookieJar(unsafe=True)
                async with aiohttp.ClientSession(url, cookie_jar=jar) as browser:
                    async with browser.get("/accounts") as response:
                        assert await response.text() == "Alice Almås"
                    async with browser.get("/both") as response:
                        assert await response.json() == ["Alice Almås", None]


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_an_application_has_one_sign_in(framework):
    """Of two, one would answer the errors of the other: the second is refused, and may be mounted."""
    sign_in_class, make_app, _ = FRAMEWORKS[framework]
    client = aa.OAuthClient("app", "secret", environment=aa.DEVELOPMENT)
    own = sign_in_class(client, "http://127.0.0.1:8000")
    paths = aiohttp_web.WebPaths(callback="/other", sign_in="/s", sign_out="/o", signed_out="/d")
    other = sign_in_class(client, "http://127.0.0.1:8000", paths=paths)
    app = make_app(own, other)

    for again in (own, other):
        with pytest.raises(aa.ConfigurationError, match="must have one sign-in"):
            (again.setup if framework == "aiohttp" else again.install)(app)

"""Sign end-users in to a FastAPI application."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Unpack
from urllib.parse import quote

import aiohttp

from aritma_auth.client.client import OAuthClient
from aritma_auth.errors import AritmaAuthError, ConfigurationError, require_instance
from aritma_auth.integrations.web_addresses import WebPaths
from aritma_auth.integrations.web_messages import NO_STORE, WebRequest, WebResponse
from aritma_auth.integrations.web_pages import WebPage
from aritma_auth.integrations.web_sessions import SignedInUser
from aritma_auth.integrations.web_settings import WebSettings
from aritma_auth.integrations.web_sign_in import (
    DEFAULT_SCOPE,
    SECOND_SIGN_IN,
    WebSignInFlow,
    require_user,
)
from aritma_auth.optional import require
from aritma_auth.runtime.hidden_arguments import hides_arguments

require("fastapi", "fastapi")

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SignedInUser", "WebPage", "WebPaths", "WebSettings", "WebSignIn"]

_FOUND = "aritma_auth.found"
_ROOT = "aritma_auth.root"


class WebSignIn:
    """
    The sign-in of a FastAPI application: its pages, its sessions, and calls for its users.

    `install` adds the pages. An endpoint then depends on `require_user`, or on a `session` that
    calls an API with the end-user's token; where there is none, the browser is redirected to the
    sign-in and back. Every error of this package that an endpoint raises becomes a page.

    Args:
        client: The client that end-users sign in to.

        base_url: Scheme, host and port of the application, as browsers see them: https, or http
            on loopback. Behind them the path below which it is mounted, or which a proxy strips.

        scope: Scope to ask for; ``openid`` must be in it, and ``offline_access`` lets the sign-in
            outlive its first access token.

        settings: `WebSettings` lists them.

    Raises:
        ConfigurationError: An argument is of the wrong kind or not secure, or FastAPI is not
            installed.
    """

    @hides_arguments
    def __init__(
        self,
        client: OAuthClient,
        base_url: str,
        scope: str | Iterable[str] = DEFAULT_SCOPE,
        **settings: Unpack[WebSettings],
    ) -> None:
        self._flow = WebSignInFlow(client, base_url, scope, **settings)

    def install(self, app: FastAPI) -> None:
        """
        Add the pages of the sign-in, and what turns errors into pages.

        Args:
            app: The application, before it has started.

        Raises:
            ConfigurationError: It is none of FastAPI, or has a sign-in already.
        """
        require_instance("app", "a FastAPI application", app, FastAPI)
        added: list[object] = [middleware.cls for middleware in app.user_middleware]
        if _Noting in added:
            raise ConfigurationError(SECOND_SIGN_IN)
        paths = self._flow.paths
        router = APIRouter(include_in_schema=False, lifespan=self._lifespan)
        router.add_api_route(paths.sign_in, self._serving("sign_in"))
        router.add_api_route(paths.callback, self._serving("callback"))
        router.add_api_route(paths.sign_out, self._serving("sign_out"), methods=["POST"])
        router.add_api_route(paths.signed_out, self._serving("signed_out"))
        router.add_api_route(paths.back_channel_logout, self._end_sessions, methods=["POST"])
        app.include_router(router)
        app.add_exception_handler(AritmaAuthError, self._respond_to)
        app.add_middleware(_Noting)

    async def find_user(self, request: Request) -> SignedInUser | None:
        """
        Return the end-user of the browser's session, or None; a dependency.

        Args:
            request: The browser's request. One that may change something (POST, a WebSocket)
                must come from a page of this application.

        Raises:
            VerificationError: Another site made the browser send it.

            AritmaAuthError: The session store is away.
        """
        require_instance("request", "a fastapi.Request", request, Request)
        found: dict[WebSignIn, SignedInUser | None] | None = request.scope.get(_FOUND)
        if found is None:
            raise ConfigurationError(
                "the application must have its sign-in, and has none: call sign_in.install(app) "
                "before it starts"
            )
        if self not in found:
            found[self] = await self._flow.find_user(_read(request))
        return found[self]

    async def require_user(self, request: Request) -> SignedInUser:
        """
        Return the end-user of the browser's session; without one the browser goes to the sign-in.

        A dependency: ``user: Annotated[SignedInUser, Depends(sign_in.require_user)]``.

        Args:
            request: As for `find_user`.

        Raises:
            ReauthenticationRequiredError: There is no session: it becomes a redirect.

            AritmaAuthError: As for `find_user`.
        """
        return require_user(await self.find_user(request))

    async def session(self, request: Request) -> AsyncIterator[aiohttp.ClientSession]:
        """
        Give an aiohttp session that signs its requests with the end-user's token.

        A dependency: ``bank: Annotated[aiohttp.ClientSession, Depends(sign_in.session)]``. Let the
        package's errors pass: a token that cannot be refreshed, or a stronger sign-in that the API
        demands, leads to a sign-in and back to this page.

        Args:
            request: As for `find_user`.

        Raises:
            AritmaAuthError: As for `require_user`.
        """
        async with self._flow.session(await self.require_user(request)) as session:
            yield session

    async def aclose(self) -> None:
        """
        Close the connections and the providers of this process; the sessions stay.

        An application with `install` does so at its end. One that is mounted in another has no
        end of its own: let the outer one's lifespan do it.
        """
        await self._flow.aclose()

    def __repr__(self) -> str:
        return f"<WebSignIn of {self._flow.client_id!r} at {self._flow.address.url}>"

    def _serving(self, page: str) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            return _write(await self._flow.serve(page, _read(request)))

        return handle

    async def _end_sessions(self, request: Request) -> Response:
        return _write(await self._flow.end_sessions(request.stream()))

    async def _respond_to(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, AritmaAuthError)  # noqa: S101 - for this class it is registered
        return _write(await self._flow.respond_to(_read(request), error))

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: object) -> AsyncIterator[None]:
        yield
        await self.aclose()


def _read(request: Request) -> WebRequest:
    query = request.scope["query_string"].decode("latin-1")
    # The path as it was sent: the decoded one would be encoded another way.
    path = request.scope.get("raw_path", b"").decode("latin-1") or quote(request.url.path)
    return WebRequest(
        method=request.method,
        path=f"{path}?{query}" if query else path,
        root=request.scope.get(_ROOT, ""),
        query=tuple(request.query_params.multi_items()),
        cookies=request.cookies,
        headers=request.headers,
    )


def _write(response: WebResponse) -> Response:
    written = Response(response.body, response.status)
    for name, value in response.headers:
        written.headers.append(name, value)
    return written


class _Noting:
    """
    Notes what a request needs of the sign-in: its end-user once found, and the application's root.

    No cache, and no back button after the sign-out, shows what an end-user has seen.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found: dict[WebSignIn, SignedInUser | None] = {}
        scope[_FOUND] = found
        # Here it is this application's; below, that of what is mounted in it.
        scope[_ROOT] = quote(scope.get("root_path", ""))

        async def send_marked(message: Message) -> None:
            if found and message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault(*NO_STORE)
            await send(message)

        await self._app(scope, receive, send_marked)

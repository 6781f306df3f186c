"""Sign end-users in to an application of aiohttp.web."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Unpack

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from aritma_auth.client.client import OAuthClient
from aritma_auth.errors import AritmaAuthError, ConfigurationError, require_instance
from aritma_auth.integrations.web_addresses import WebPaths
from aritma_auth.integrations.web_messages import WebRequest, WebResponse
from aritma_auth.integrations.web_pages import WebPage
from aritma_auth.integrations.web_sessions import SignedInUser
from aritma_auth.integrations.web_settings import WebSettings
from aritma_auth.integrations.web_sign_in import (
    DEFAULT_SCOPE,
    SECOND_SIGN_IN,
    WebSignInFlow,
    require_user,
)
from aritma_auth.runtime.hidden_arguments import hides_arguments

__all__ = ["SignedInUser", "WebPage", "WebPaths", "WebSettings", "WebSignIn"]

_PAGE: web.AppKey[web.AbstractRoute] = web.AppKey("aritma_auth_page", web.AbstractRoute)
_USERS: web.RequestKey[dict["WebSignIn", SignedInUser | None]] = web.RequestKey("aritma_auth_users")


class WebSignIn:
    """
    The sign-in of an aiohttp.web application: its pages, its sessions, and calls for its users.

    `setup` adds the pages. A handler then asks `require_user`, or opens a `session` that calls an
    API with the end-user's token; where there is none, the browser is redirected to the sign-in
    and back. Every error of this package that a handler raises becomes a page.

    Args:
        client: The client that end-users sign in to.

        base_url: Scheme, host and port of the application, as browsers see them: https, or http
            on loopback. Behind them the path below which it is mounted, or which a proxy strips.

        scope: Scope to ask for; ``openid`` must be in it, and ``offline_access`` lets the sign-in
            outlive its first access token.

        settings: `WebSettings` lists them.

    Raises:
        ConfigurationError: An argument is of the wrong kind, or not secure.
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

    def setup(self, app: web.Application) -> None:
        """
        Add the pages of the sign-in, and what turns errors into pages.

        Args:
            app: The application.

        Raises:
            ConfigurationError: It is none of aiohttp.web, or has a sign-in already.
        """
        require_instance("app", "an aiohttp.web.Application", app, web.Application)
        if _PAGE in app:
            raise ConfigurationError(SECOND_SIGN_IN)
        paths = self._flow.paths
        app.middlewares.append(self._respond_to_errors)
        app.on_response_prepare.append(_keep_out_of_caches)
        app.cleanup_ctx.append(self._close)
        app[_PAGE] = app.router.add_get(paths.sign_in, self._serving("sign_in"))
        app.add_routes(
            [
                web.get(paths.callback, self._serving("callback")),
                web.post(paths.sign_out, self._serving("sign_out")),
                web.get(paths.signed_out, self._serving("signed_out")),
                web.post(paths.back_channel_logout, self._end_sessions),
            ]
        )

    async def find_user(self, request: web.Request) -> SignedInUser | None:
        """
        Return the end-user of the browser's session, or None.

        Args:
            request: The browser's request. One that may change something (POST, a WebSocket)
                must come from a page of this application.

        Raises:
            VerificationError: Another site made the browser send it.

            AritmaAuthError: The session store is away.
        """
        require_instance("request", "an aiohttp.web.Request", request, web.Request)
        users: dict[WebSignIn, SignedInUser | None] = request.setdefault(_USERS, {})
        if self not in users:
            if _PAGE not in request.config_dict:
                raise ConfigurationError(
                    "the application must have its sign-in, and has none: call sign_in.setup(app) "
                    "before it starts"
                )
            users[self] = await self._flow.find_user(self._read(request))
        return users[self]

    async def require_user(self, request: web.Request) -> SignedInUser:
        """
        Return the end-user of the browser's session; without one the browser goes to the sign-in.

        Args:
            request: As for `find_user`.

        Raises:
            ReauthenticationRequiredError: There is no session: let it pass, it becomes a redirect.

            AritmaAuthError: As for `find_user`.
        """
        return require_user(await self.find_user(request))

    @contextlib.asynccontextmanager
    async def session(self, request: web.Request) -> AsyncIterator[aiohttp.ClientSession]:
        """
        Give an aiohttp session that signs its requests with the end-user's token.

        Use it as ``async with sign_in.session(request) as bank``. Let the package's errors pass: a
        token that cannot be refreshed, or a stronger sign-in that the API demands, leads to a
        sign-in and back to this page.

        Args:
            request: As for `find_user`.

        Raises:
            AritmaAuthError: As for `require_user`.
        """
        async with self._flow.session(await self.require_user(request)) as session:
            yield session

    def __repr__(self) -> str:
        return f"<WebSignIn of {self._flow.client_id!r} at {self._flow.address.url}>"

    def _serving(self, page: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            return _write(await self._flow.serve(page, self._read(request)))

        return handle

    async def _end_sessions(self, request: web.Request) -> web.StreamResponse:
        return _write(await self._flow.end_sessions(request.content.iter_any()))

    @web.middleware
    async def _respond_to_errors(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except AritmaAuthError as error:
            return _write(await self._flow.respond_to(self._read(request), error))

    def _read(self, request: web.Request) -> WebRequest:
        # Whatever mounts the application puts its path before those of the application's pages.
        page = request.config_dict[_PAGE].resource
        assert page is not None  # noqa: S101 - it was added by its path
        return WebRequest(
            method=request.method,
            path=request.path_qs,
            root=page.canonical.removesuffix(self._flow.paths.sign_in),
            query=tuple(request.query.items()),
            cookies=request.cookies,
            headers=request.headers,
        )

    async def _close(self, _app: web.Application) -> AsyncIterator[None]:
        yield
        await self._flow.aclose()


def _write(response: WebResponse) -> web.Response:
    headers = CIMultiDict(response.headers)
    return web.Response(status=response.status, headers=headers, body=response.body.encode())


async def _keep_out_of_caches(request: web.Request, response: web.StreamResponse) -> None:
    """Let no cache, and no back button after the sign-out, show what an end-user has seen."""
    if _USERS in request and "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"

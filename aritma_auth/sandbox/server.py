"""The sandbox's two servers on loopback: the identity server and the Banking APIs."""

import ssl
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from aritma_auth.sandbox.banking.api import BankingApi
from aritma_auth.sandbox.endpoints.client_endpoints import ClientEndpoints
from aritma_auth.sandbox.endpoints.metadata import MetadataEndpoints
from aritma_auth.sandbox.endpoints.registration import RegistrationEndpoints
from aritma_auth.sandbox.endpoints.userinfo_and_introspection import UserInfoAndIntrospection
from aritma_auth.sandbox.faults.wire import place_of
from aritma_auth.sandbox.identity.proofs import Nonces
from aritma_auth.sandbox.identity.session_management import CheckSessionFrame
from aritma_auth.sandbox.pages.device import DevicePages
from aritma_auth.sandbox.pages.home import HomePage
from aritma_auth.sandbox.pages.not_found import show_not_found
from aritma_auth.sandbox.pages.sign_in import SignInPages
from aritma_auth.sandbox.pages.sign_out import SignOutPages
from aritma_auth.sandbox.state import SandboxState


class LoopbackServers:
    """Listens, lets faults happen, and closes every socket in the end."""

    def __init__(
        self,
        state: SandboxState,
        host: str,
        ports: tuple[int, int],
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self._state = state
        self._host = host
        self._ports = ports
        self._ssl_context = ssl_context
        self._runners: list[web.AppRunner] = []
        self._connections: list[web.RequestHandler] = []

    async def start(self) -> None:
        """Listen, and tell the state the addresses."""
        try:
            await self._listen()
        except BaseException:
            await self.aclose()
            raise
        scheme = "http" if self._ssl_context is None else "https"
        self._state.urls = [_url_of(runner, scheme) for runner in self._runners]

    async def _listen(self) -> None:
        state = self._state
        pages = (
            HomePage(state),
            SignInPages(state),
            DevicePages(state),
            SignOutPages(state),
            CheckSessionFrame(),
        )
        identity = (
            MetadataEndpoints(state),
            ClientEndpoints(state),
            RegistrationEndpoints(state),
            UserInfoAndIntrospection(state),
            *pages,
        )
        for find_place, routes, port, nonces in (
            (place_of, identity, self._ports[0], state.proofs.identity),
            (lambda _path: "api", (BankingApi(state),), self._ports[1], state.proofs.api),
        ):
            app = web.Application(middlewares=[self._inject(find_place)])
            app.on_response_prepare.append(self._add_headers)
            app.on_response_prepare.append(_offer_nonce(nonces))
            for part in routes:
                part.add_routes(app)
            app.middlewares.append(show_not_found(state))
            runner = web.AppRunner(
                app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True
            )
            self._runners.append(runner)
            await runner.setup()
            site = web.TCPSite(runner, self._host, port, ssl_context=self._ssl_context)
            await site.start()

    async def aclose(self) -> None:
        """Release held requests and close every socket."""
        self._state.faults.release_all()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

    def _inject(self, find_place: Callable[[str], str | None]) -> Middleware:
        @web.middleware
        async def inject(request: web.Request, handler: Handler) -> web.StreamResponse:
            is_kept_alive = self._note_connection(request)
            where = find_place(request.path)
            if where is None:
                return await handler(request)
            faults = self._state.faults.at(where)
            return await faults.serve(request, handler, is_kept_alive=is_kept_alive)

        return inject

    def _note_connection(self, request: web.Request) -> bool:
        """Tell whether the connection has carried a request before, and remember it."""
        self._connections = [known for known in self._connections if known.transport is not None]
        is_known = request.protocol in self._connections
        if not is_known:
            self._connections.append(request.protocol)
        return is_known

    async def _add_headers(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Aritma-Sandbox"] = "stand-in"
        response.headers["Date"] = formatdate(self._state.clock.time(), usegmt=True)


def _offer_nonce(nonces: Nonces) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def offer(request: web.Request, response: web.StreamResponse) -> None:
        if nonces.is_offered and "DPoP" in request.headers:
            response.headers["DPoP-Nonce"] = nonces.offer()

    return offer


def _url_of(runner: web.AppRunner, scheme: str) -> str:
    host, port = runner.addresses[0][:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

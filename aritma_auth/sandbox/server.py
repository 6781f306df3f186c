"""The sandbox as a test or a person holds it: started, steered, looked at, closed."""

from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Self

from aiohttp import web
from aiohttp.typedefs import Middleware

from aritma_auth.errors import ConfigurationError
from aritma_auth.runtime.closing import AsyncCloseable
from aritma_auth.sandbox.banking.api import BankingApi
from aritma_auth.sandbox.controls import Steering
from aritma_auth.sandbox.faults import injection
from aritma_auth.sandbox.identity.metadata import Metadata
from aritma_auth.sandbox.identity.registrations import SandboxClient
from aritma_auth.sandbox.identity.routes import IdentityServer
from aritma_auth.sandbox.identity.session_management import CheckSession
from aritma_auth.sandbox.identity.userinfo_and_introspection import Inspection
from aritma_auth.sandbox.pages.device import DevicePages
from aritma_auth.sandbox.pages.sign_in import SignInPages
from aritma_auth.sandbox.pages.sign_out import SignOutPages
from aritma_auth.sandbox.state import place_of

if TYPE_CHECKING:
    import ssl

    from aritma_auth.environment import Environment

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_LAST_PORT = 65535


class Sandbox(Steering, AsyncCloseable):
    """
    A local stand-in for Aritma ID and Aritma's Banking APIs. It is not Aritma.

    Args:
        host: Where to listen; loopback only.

        identity_port: Port of the identity server; 0 takes a free one.

        banking_port: Port of the Banking APIs; 0 takes a free one.

        lifetime: Seconds that the sample clients' access tokens live.

        generation: Which IdentityServer to behave like: ``is4``, ``duende-6.3``, ``duende-7.4`` or
            ``duende-8``.

        ssl_context: A server's certificate, to serve https, for tests of trust.

    Attributes:
        clients: The registered clients by id; `client` is the default one.

        clock: The sandbox's time.

        people: The people by username.

        issuer: Makes the tokens and knows which are good; it rolls its keys.

        refresh_tokens: Keeps refresh tokens, and counts those presented twice.

        overrides: What the identity server says wrongly.

        logout_answers: What the clients answered to logout tokens: a status, or None for nothing.

        authorization_requests: Authorization requests so far.

        token_requests: The token requests that were answered, oldest first.

        uploads: Bytes of each upload that arrived, oldest first.

    Raises:
        ConfigurationError: ``host`` is not loopback, or a port is none.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        identity_port: int = 0,
        banking_port: int = 0,
        lifetime: int = 3600,
        generation: str = "is4",
        ssl_context: "ssl.SSLContext | None" = None,
    ) -> None:
        if host not in _LOOPBACK:
            raise ConfigurationError("the sandbox listens on loopback only: its secrets are public")
        if not (0 <= identity_port <= _LAST_PORT and 0 <= banking_port <= _LAST_PORT):
            raise ConfigurationError(f"a port is a number from 0 to {_LAST_PORT}")
        super().__init__(lifetime, generation)
        self._host = host
        self._ports = (identity_port, banking_port)
        self._ssl_context = ssl_context
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        """
        Start listening.

        Raises:
            ConfigurationError: joserfc is not installed.
        """
        _ = self.issuer.keys
        try:
            await self._listen()
        except BaseException:
            await self.aclose()
            raise
        scheme = "http" if self._ssl_context is None else "https"
        self._urls = [_url_of(runner, scheme) for runner in self._runners]

    async def _listen(self) -> None:
        pages = (SignInPages(self), DevicePages(self), SignOutPages(self), CheckSession())
        identity = (Metadata(self), IdentityServer(self), Inspection(self), *pages)
        for place, servers, port in (
            (place_of, identity, self._ports[0]),
            (lambda _path: "api", (BankingApi(self),), self._ports[1]),
        ):
            app = web.Application(middlewares=[self._meddle(place)])
            app.on_response_prepare.append(self._mark)
            for server in servers:
                server.add_routes(app)
            runner = web.AppRunner(
                app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True
            )
            self._runners.append(runner)
            await runner.setup()
            site = web.TCPSite(runner, self._host, port, ssl_context=self._ssl_context)
            await site.start()

    async def aclose(self) -> None:
        """Stop: held requests are let go, and no task or socket is left."""
        for place in self._faults.values():
            place.release()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    @property
    def environment(self) -> "Environment":
        """The sandbox as an environment, with its Banking APIs as the only origin."""
        from aritma_auth.environment import Environment  # noqa: PLC0415 - the client's side

        return Environment.at(self.identity_url, api_origins=[self.banking_url], name="sandbox")

    @property
    def client(self) -> SandboxClient:
        """The default client, confidential and for client_credentials."""
        return self.clients["sandbox-service"]

    @property
    def api_requests(self) -> int:
        """Requests that the Banking APIs received."""
        return self._faults["api"].count

    def requests_at(self, where: str) -> int:
        """
        Count the requests that arrived.

        Args:
            where: One of the places where faults may happen.
        """
        return self._place(where).count

    @property
    def peak_token_requests(self) -> int:
        """Token requests that were under way at the same time at most."""
        return self._faults["token"].peak

    def _meddle(self, place: Callable[[str], str | None]) -> Middleware:
        @web.middleware
        async def meddle(request: web.Request, handler: injection.Handler) -> web.StreamResponse:
            where = place(request.path)
            if where is None:
                return await handler(request)
            return await self._faults[where].serve(request, handler)

        return meddle

    async def _mark(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Aritma-Sandbox"] = "stand-in"
        response.headers["Date"] = formatdate(self.clock.time(), usegmt=True)


def _url_of(runner: web.AppRunner, scheme: str) -> str:
    host, port = runner.addresses[0][:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

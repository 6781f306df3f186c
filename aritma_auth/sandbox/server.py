"""The sandbox as a test or a person holds it: started, steered, looked at, closed."""

from collections.abc import Mapping
from email.utils import formatdate
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs
from aiohttp import web
from aiohttp.typedefs import Middleware

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox import faults
from aritma_auth.sandbox.banking import BankingApi
from aritma_auth.sandbox.clients import SAMPLE_CLIENTS, SAMPLE_PEOPLE, SandboxClient
from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.faults import Faults, Gate
from aritma_auth.sandbox.identity import IdentityServer
from aritma_auth.sandbox.issuing import TokenIssuer
from aritma_auth.sandbox.token_endpoint import TokenEndpoint, TokenRequest

if TYPE_CHECKING:
    import ssl

    from aritma_auth.environment import Environment

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_LAST_PORT = 65535
_HTML = "<!doctype html><title>Bad Gateway</title><h1>502 Bad Gateway</h1>"


class Sandbox:
    """
    A local stand-in for Aritma ID and Aritma's Banking APIs. It is not Aritma.

    Args:
        host: Where to listen; loopback only.

        identity_port: Port of the identity server; 0 takes a free one.

        banking_port: Port of the Banking APIs; 0 takes a free one.

        lifetime: Seconds that the sample clients' access tokens live.

        ssl_context: A server's certificate, to serve https, for tests of trust.

    Attributes:
        clients: The registered clients by id; `client` is the default one.

        clock: The sandbox's time.

        issuer: Makes the tokens and knows which are good.

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
        ssl_context: "ssl.SSLContext | None" = None,
    ) -> None:
        if host not in _LOOPBACK:
            raise ConfigurationError("the sandbox listens on loopback only: its secrets are public")
        if not (0 <= identity_port <= _LAST_PORT and 0 <= banking_port <= _LAST_PORT):
            raise ConfigurationError(f"a port is a number from 0 to {_LAST_PORT}")
        self._host = host
        self._ports = (identity_port, banking_port)
        self._ssl_context = ssl_context
        self._runners: list[web.AppRunner] = []
        self._urls: list[str] = []
        self.clients = {
            client.client_id: attrs.evolve(client, lifetime=lifetime) for client in SAMPLE_CLIENTS
        }
        self.people = {person.username: person for person in SAMPLE_PEOPLE}
        self.clock = SandboxClock()
        self.issuer = TokenIssuer(self.clock)
        self.token_endpoint = TokenEndpoint(self.clients, self.people, self.issuer)
        self.token_requests: list[TokenRequest] = []
        self.uploads: list[int] = []
        self._faults = {"token": Faults(), "api": Faults()}

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
        for place, server, port in (
            ("token", IdentityServer(self), self._ports[0]),
            ("api", BankingApi(self), self._ports[1]),
        ):
            app = web.Application(middlewares=[self._meddle(place)])
            app.on_response_prepare.append(self._mark)
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

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def identity_url(self) -> str:
        """The identity server's issuer, without trailing slash."""
        return self._url(0)

    @property
    def banking_url(self) -> str:
        """The Banking APIs' base URL, with trailing slash."""
        return f"{self._url(1)}/"

    @property
    def environment(self) -> "Environment":
        """The sandbox as an environment: its issuer, and its Banking APIs as the only origin."""
        from aritma_auth.environment import Environment  # noqa: PLC0415 - the client's side

        return Environment.at(self.identity_url, api_origins=[self.banking_url], name="sandbox")

    @property
    def client(self) -> SandboxClient:
        """The default client: confidential, for client_credentials."""
        return self.clients["sandbox-service"]

    @property
    def api_requests(self) -> int:
        """Requests that the Banking APIs received."""
        return self._faults["api"].count

    @property
    def peak_token_requests(self) -> int:
        """Token requests that were under way at the same time at most."""
        return self._faults["token"].peak

    def add_client(self, client: SandboxClient) -> SandboxClient:
        """
        Register a client, or replace one.

        Args:
            client: The client.
        """
        self.clients[client.client_id] = client
        return client

    def revoke_all(self) -> None:
        """Make every access token issued so far worthless: the APIs answer 401."""
        self.issuer.revoke_all()

    def hold(self, where: str = "token") -> Gate:
        """
        Hold requests until the gate is released.

        Args:
            where: ``token`` or ``api``.
        """
        return self._place(where).hold()

    def set_latency(self, seconds: float, where: str = "token") -> None:
        """
        Make every answer late.

        Args:
            seconds: How late.

            where: ``token`` or ``api``.
        """
        self._place(where).latency = seconds

    def delay_next(self, seconds: float, *, times: int = 1, where: str = "token") -> None:
        """
        Make the next answers late.

        Args:
            seconds: How late.

            times: How many answers.

            where: ``token`` or ``api``.
        """
        self._place(where).add(faults.delay(seconds), times)

    def fail_next(
        self,
        status: int,
        *,
        retry_after: float | str | None = None,
        times: int = 1,
        where: str = "token",
    ) -> None:
        """
        Answer the next requests with a gateway's error page.

        Args:
            status: HTTP status.

            retry_after: ``Retry-After`` as seconds or as a date.

            times: How many requests.

            where: ``token`` or ``api``.
        """
        headers = {"Content-Type": "text/html"}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        self._place(where).add(faults.answer(status, _HTML.encode(), headers), times)

    def answer_next(
        self,
        body: bytes,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        where: str = "token",
    ) -> None:
        """
        Answer the next requests with anything at all.

        Args:
            body: The body as it is.

            status: HTTP status.

            headers: Header fields; JSON's media type by default.

            times: How many requests.

            where: ``token`` or ``api``.
        """
        fields = {"Content-Type": "application/json"} if headers is None else headers
        self._place(where).add(faults.answer(status, body, fields), times)

    def redirect_next(self, location: str, *, status: int = 307, where: str = "token") -> None:
        """
        Redirect the next request.

        Args:
            location: Where to.

            status: HTTP status.

            where: ``token`` or ``api``.
        """
        self.answer_next(b"", status=status, headers={"Location": location}, where=where)

    def drop_next(self, *, times: int = 1, where: str = "token") -> None:
        """
        Close the connection before the next requests are worked on.

        Args:
            times: How many requests.

            where: ``token`` or ``api``.
        """
        self._place(where).add(faults.drop(processed=False), times)

    def lose_answer_next(self, *, times: int = 1, where: str = "token") -> None:
        """
        Close the connection after the next requests were worked on: the answer is lost.

        Args:
            times: How many requests.

            where: ``token`` or ``api``.
        """
        self._place(where).add(faults.drop(processed=True), times)

    def truncate_next(self, *, where: str = "token") -> None:
        """
        Break the next answer off in its middle.

        Args:
            where: ``token`` or ``api``.
        """
        self._place(where).add(faults.truncate())

    def flood_next(self, *, where: str = "token") -> None:
        """
        Answer the next request with a body that never ends.

        Args:
            where: ``token`` or ``api``.
        """
        self._place(where).add(faults.endless(0, b" " * 65536))

    def drip_next(self, interval: float = 0.05, *, where: str = "token") -> None:
        """
        Answer the next request byte by byte, for ever.

        Args:
            interval: Seconds between two bytes.

            where: ``token`` or ``api``.
        """
        self._place(where).add(faults.endless(interval, b" "))

    def bomb_next(self, size: int = 1 << 26, *, where: str = "token") -> None:
        """
        Answer the next request with a small body that unpacks to a large one.

        Args:
            size: Bytes when unpacked.

            where: ``token`` or ``api``.
        """
        self._place(where).add(faults.gzip_bomb(size))

    def _place(self, where: str) -> Faults:
        place = self._faults.get(where)
        if place is None:
            raise ConfigurationError("faults happen at token or api")
        return place

    def _url(self, number: int) -> str:
        if not self._urls:
            raise ConfigurationError("the sandbox has not been started")
        return self._urls[number]

    def _meddle(self, where: str) -> Middleware:
        @web.middleware
        async def meddle(request: web.Request, handler: faults.Handler) -> web.StreamResponse:
            if where == "token" and not request.path.endswith("/connect/token"):
                return await handler(request)
            return await self._faults[where].serve(request, handler)

        return meddle

    async def _mark(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Aritma-Sandbox"] = "stand-in"
        response.headers["Date"] = formatdate(self.clock.now(), usegmt=True)


def _url_of(runner: web.AppRunner, scheme: str) -> str:
    host, port = runner.addresses[0][:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

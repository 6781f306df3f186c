"""A client registration: who asks, how it proves that, and how its requests travel."""

import os
import time
from collections.abc import Callable, Iterable
from typing import Self, TypeVar

import aiohttp

from aritma_auth.discovery import Discovery
from aritma_auth.environment import PRODUCTION, Environment
from aritma_auth.errors import ConfigurationError, InvalidClientError
from aritma_auth.protocol.client_auth import (
    ClientAuth,
    ClientCredential,
    ClientSecretPost,
    NoClientAuth,
    TlsClientAuth,
    generate_jti,
)
from aritma_auth.protocol.id_token import DEFAULT_ALGORITHMS
from aritma_auth.protocol.metadata import ServerMetadata
from aritma_auth.protocol.sealed import Sealed
from aritma_auth.protocol.signatures import JsonWebKey
from aritma_auth.protocol.token_endpoint import build_authenticated_request
from aritma_auth.protocol.wire import HttpRequest, HttpResponse, Parameters, parse_http_date
from aritma_auth.resource import AsyncResource
from aritma_auth.secret import Secret
from aritma_auth.transport import Transport

T = TypeVar("T")


class RegisteredClient(AsyncResource):
    """
    One client registration at one authorization server, reached through aiohttp.

    Args:
        client_id: The client's identifier, as Aritma gave it.

        client_auth: How the client authenticates. A string or `Secret` is sent in the form
            (client_secret_post), as every sample of Aritma does; None is a public client.

        environment: Where Aritma ID is.

        session: An ``aiohttp.ClientSession`` whose connections are used; without one, each request
            opens and closes its own.

        timeout: Seconds for one request, from start to last byte.

        clock: Gives POSIX seconds.

        id_token_algorithms: Signature algorithms of ID tokens that this client accepts.

        leeway: Seconds that the server's clock and ours may differ when ID tokens are judged.

    Raises:
        ConfigurationError: ``client_id`` is empty or not printable, or the secret is empty.

    Spec: RFC 6749 §2.
    """

    def __init__(
        self,
        client_id: str,
        client_auth: str | Secret | ClientAuth | None = None,
        *,
        environment: Environment = PRODUCTION,
        session: aiohttp.ClientSession | None = None,
        timeout: float = 10.0,
        clock: Callable[[], float] = time.time,
        id_token_algorithms: Iterable[str] = DEFAULT_ALGORITHMS,
        leeway: float = 30.0,
    ) -> None:
        if not client_id or not client_id.isprintable():
            raise ConfigurationError("client_id must be a printable text: take it from Aritma")
        self._client_id = client_id
        self._client_auth = _as_client_auth(client_auth)
        self._environment = environment
        self._transport = Transport(
            session, timeout=timeout, ssl_context=getattr(self._client_auth, "ssl_context", None)
        )
        self._clock = clock
        self._skew = 0.0
        self._algorithms = frozenset(id_token_algorithms)
        self._leeway = leeway
        self._discovery = Discovery(
            environment,
            self.send,
            clock,
            by_certificate=isinstance(self._client_auth, TlsClientAuth),
        )

    @classmethod
    def from_env(
        cls, *, session: aiohttp.ClientSession | None = None, requires_secret: bool = True
    ) -> Self:
        """
        Make a client of what the environment variables say.

        ``ARITMA_CLIENT_ID``; ``ARITMA_CLIENT_SECRET``, or ``ARITMA_CLIENT_SECRET_FILE`` for a
        mounted secret; ``ARITMA_ENVIRONMENT`` (``production``, ``development`` or an issuer's URL;
        default ``production``); ``ARITMA_TENANT``, if there is one.

        Args:
            session: An ``aiohttp.ClientSession`` whose connections are used.

            requires_secret: A missing secret is an error; otherwise it makes a public client.

        Raises:
            ConfigurationError: A variable is missing or makes no sense; it is named.
        """
        client_id = os.environ.get("ARITMA_CLIENT_ID", "")
        if not client_id:
            raise ConfigurationError("set ARITMA_CLIENT_ID to the client id that Aritma gave")
        file = os.environ.get("ARITMA_CLIENT_SECRET_FILE")
        secret: Secret | None = None
        if file:
            secret = Secret.from_file(file)
        elif os.environ.get("ARITMA_CLIENT_SECRET"):
            secret = Secret.from_env("ARITMA_CLIENT_SECRET")
        elif requires_secret:
            raise ConfigurationError("set ARITMA_CLIENT_SECRET or ARITMA_CLIENT_SECRET_FILE")
        environment = Environment.named(os.environ.get("ARITMA_ENVIRONMENT", "production"))
        tenant = os.environ.get("ARITMA_TENANT")
        return cls(
            client_id,
            secret,
            environment=environment.for_tenant(tenant) if tenant else environment,
            session=session,
        )

    @property
    def client_id(self) -> str:
        """The client's identifier."""
        return self._client_id

    @property
    def client_auth(self) -> ClientAuth:
        """How the client authenticates."""
        return self._client_auth

    @property
    def environment(self) -> Environment:
        """Where Aritma ID and its APIs are."""
        return self._environment

    @property
    def transport(self) -> Transport:
        """What sends this client's requests."""
        return self._transport

    @property
    def identity(self) -> tuple[str, ...]:
        """Issuer, token endpoint, client id and method of authentication: whose the tokens are."""
        environment = self._environment
        # A discovered address may change; the issuer does not.
        known = environment.endpoints.get("token_endpoint", "")
        return (
            environment.issuer,
            known if environment.discovers else environment.token_endpoint,
            self._client_id,
            self._client_auth.method,
        )

    @property
    def clock_skew(self) -> float:
        """Seconds that the server's clock is ahead of ours, by its latest ``Date``."""
        return self._skew

    async def metadata(self) -> ServerMetadata:
        """
        Give what the server publishes of itself, fetched at most once a day.

        Raises:
            TransportError: No answer came.

            InvalidResponseError: There is no metadata, or it is unusable.

            IssuerMismatchError: It is another server's.

        Spec: RFC 8414 §3; OpenID Connect Discovery 1.0 §4.
        """
        return await self._discovery.metadata()

    async def keys(self) -> list[JsonWebKey]:
        """
        Give the server's public keys, fetched at most once a day.

        Raises:
            TransportError: No answer came.

            InvalidResponseError: The answer is no key set.

        Spec: RFC 7517 §5.
        """
        return await self._discovery.keys()

    async def endpoint(self, name: str) -> str:
        """
        Give an endpoint's URL: configured, discovered, or by IdentityServer's fixed paths.

        Args:
            name: Its metadata name, such as ``token_endpoint``.

        Raises:
            ConfigurationError: The server has none, or it stands on an origin that is not listed.
        """
        return await self._discovery.endpoint(name)

    async def ask(
        self,
        endpoint: str,
        parameters: Parameters,
        read: Callable[[HttpResponse, float], T],
        *,
        timeout: float | None = None,
    ) -> T:
        """
        Post a form with client authentication and read the answer.

        A refused secret is loaded once more, and the request repeated if it has changed.

        Args:
            endpoint: Metadata name of the endpoint.

            parameters: The form, without the client's authentication.

            read: Makes a value of the answer and the POSIX seconds when the request left.

            timeout: Seconds for one request, or None for the client's own.

        Raises:
            ConfigurationError: There is no such endpoint, or the secret is missing.

            TransportError: No answer came.
        """
        url = await self.endpoint(endpoint)
        secret = await self._load_secret()
        refusal: InvalidClientError
        try:
            return await self._post(url, parameters, secret, read, timeout)
        except InvalidClientError as error:
            refusal = error
        # Aritma rotates by adding a secret, switching, deleting the old one: look for the new one.
        fresher = await self._load_secret()
        if fresher == secret:
            raise refusal.copy()
        return await self._post(url, parameters, fresher, read, timeout)

    async def _post(
        self,
        url: str,
        parameters: Parameters,
        secret: Sealed | None,
        read: Callable[[HttpResponse, float], T],
        timeout: float | None,
    ) -> T:
        sent_at = self._clock()
        request = build_authenticated_request(
            url,
            parameters,
            client_auth=self._client_auth,
            credential=ClientCredential(
                self._client_id,
                secret,
                token_endpoint=url,
                issuer=self._environment.issuer,
                now=sent_at + self._skew,
                jti=generate_jti(),
            ),
        )
        return read(await self.send(request, timeout=timeout), sent_at)

    async def credential_fingerprint(self) -> str:
        """Give eight hex digits that change when the client's secret does."""
        secret = await self._load_secret()
        return "" if secret is None else secret.fingerprint

    async def send(self, request: HttpRequest, *, timeout: float | None = None) -> HttpResponse:
        """
        Send a protocol request and take the server's time from its answer.

        Args:
            request: What to send.

            timeout: Seconds, or None for the client's own.

        Raises:
            TransportError: No answer came.
        """
        response = await self._transport.send(request, timeout=timeout)
        date = parse_http_date(response.headers.get("date", ""))
        if date is not None:
            self._skew = date - self._clock()
        return response

    async def aclose(self) -> None:
        """Let go of the caller's session; requests under way end by themselves."""

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self._client_id!r} by {self._client_auth.method} "
            f"at {self._environment.issuer}>"
        )

    async def _load_secret(self) -> Sealed | None:
        source = self._client_auth.secret
        return None if source is None else await source.load()


def _as_client_auth(given: str | Secret | ClientAuth | None) -> ClientAuth:
    if given is None:
        return NoClientAuth()
    if isinstance(given, str):
        return ClientSecretPost(Secret(given))
    return ClientSecretPost(given) if isinstance(given, Secret) else given

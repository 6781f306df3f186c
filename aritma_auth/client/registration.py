"""A client registration: who asks, of whom, and the one thing every client asks for."""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import aiohttp

from aritma_auth.client.connection import ServerConnection
from aritma_auth.client.discovery import Discovery
from aritma_auth.client.token_verifier import TokenVerifier
from aritma_auth.client.transport import Transport
from aritma_auth.environment import PRODUCTION, Environment
from aritma_auth.errors import AritmaAuthError, ConfigurationError
from aritma_auth.protocol.client_auth import (
    ClientAuth,
    ClientSecretPost,
    NoClientAuth,
    TlsClientAuth,
)
from aritma_auth.protocol.grants import Grant
from aritma_auth.protocol.http_messages import HttpRequest, HttpResponse, Parameters
from aritma_auth.protocol.id_token import DEFAULT_ALGORITHMS
from aritma_auth.protocol.json_response import is_ambiguous
from aritma_auth.protocol.jwt import JsonWebKey
from aritma_auth.protocol.metadata import ServerMetadata
from aritma_auth.protocol.token_endpoint import parse_token_response
from aritma_auth.protocol.tokens import Token
from aritma_auth.runtime.closing import AsyncCloseable
from aritma_auth.secret import Secret

T = TypeVar("T")

BEGUN_ELSEWHERE = "another client has begun this sign-in: complete it with that one"


class RegisteredClient(AsyncCloseable):
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

        id_token_algorithms: Signature algorithms of ID tokens that this client accepts: RSA
            (``RS256`` …, ``PS256`` …), elliptic curves (``ES256`` …), ``Ed25519`` or ``EdDSA``.

        leeway: Seconds that the server's clock and ours may differ when ID tokens are judged.

    Raises:
        ConfigurationError: ``client_id`` is empty or not printable, the secret is empty, the
            environment is a text, or an algorithm is not known.

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
        id_token_algorithms: Iterable[str] = tuple(sorted(DEFAULT_ALGORITHMS)),
        leeway: float = 30.0,
    ) -> None:
        if not client_id or not client_id.isprintable():
            raise ConfigurationError("client_id must be a printable text: take it from Aritma")
        if isinstance(environment, str):
            raise ConfigurationError(
                "environment is an Environment: PRODUCTION, DEVELOPMENT, or Environment.named(text)"
            )
        auth = _as_client_auth(client_auth)
        transport = Transport(
            session, timeout=timeout, ssl_context=getattr(auth, "ssl_context", None)
        )
        self._environment = environment
        self._clock = clock
        self._connection = ServerConnection(transport, client_id, auth, environment.issuer, clock)
        self._discovery = Discovery(
            environment,
            self._connection.send,
            clock,
            by_certificate=isinstance(auth, TlsClientAuth),
        )
        self._verifier = TokenVerifier(
            self._connection, self._discovery, environment.issuers, id_token_algorithms, leeway
        )

    @property
    def client_id(self) -> str:
        """The client's identifier."""
        return self._connection.client_id

    @property
    def client_auth(self) -> ClientAuth:
        """How the client authenticates."""
        return self._connection.client_auth

    @property
    def environment(self) -> Environment:
        """Where Aritma ID and its APIs are."""
        return self._environment

    @property
    def transport(self) -> Transport:
        """What sends this client's requests."""
        return self._connection.transport

    @property
    def identity(self) -> tuple[str, ...]:
        """Issuer, token endpoint, client id, its authentication and the key that binds tokens."""
        environment = self._environment
        # A discovered address may change; the issuer does not.
        known = environment.endpoints.get("token_endpoint", "")
        return (
            environment.issuer,
            known if environment.discovers else environment.token_endpoint,
            self.client_id,
            self.client_auth.method,
            self.client_auth.thumbprint,
        )

    @property
    def clock_skew(self) -> float:
        """Seconds that the server's clock is ahead of ours, by its latest ``Date``."""
        return self._connection.clock_skew

    async def fetch_metadata(self) -> ServerMetadata:
        """
        Give what the server publishes of itself, fetched at most once a day.

        Raises:
            TransportError: No answer came.

            InvalidResponseError: There is no metadata, or it is unusable.

            IssuerMismatchError: It is another server's.

        Spec: RFC 8414 §3; OpenID Connect Discovery 1.0 §4.
        """
        return await self._discovery.fetch_metadata()

    async def fetch_keys(self) -> list[JsonWebKey]:
        """
        Give the server's public keys, fetched at most once a day.

        Raises:
            TransportError: No answer came.

            InvalidResponseError: The answer is no key set.

        Spec: RFC 7517 §5.
        """
        return await self._discovery.fetch_keys()

    async def endpoint(self, name: str) -> str:
        """
        Give an endpoint's URL: configured, discovered, or by IdentityServer's fixed paths.

        Args:
            name: Its metadata name, such as ``token_endpoint``.

        Raises:
            ConfigurationError: The server has none, or it stands on an origin that is not listed.
        """
        return await self._discovery.endpoint(name)

    async def fetch_token(self, grant: Grant, *, timeout: float | None = None) -> Token:
        """
        Ask the token endpoint for a token, now; for a cached one use a `TokenProvider`.

        Whoever is cancelled meanwhile loses the answer, and with it a refresh token that the server
        has just rotated. A provider's refreshes are cut off by nobody.

        Args:
            grant: What entitles the client to a token.

            timeout: Seconds for one request, or None for the client's own.

        Raises:
            ConfigurationError: The server is known to refuse this grant, the secret is missing, or
                a code is another client's or presented a second time.

            TransportError: No answer came.

            InvalidResponseError: The answer breaks the specification.

            OAuthError: The server refused.

        Spec: RFC 6749 §4, §5; Aritma's authentication page.
        """
        problems = grant.problems()
        if problems:
            raise ConfigurationError("; ".join(problems))
        if not grant.is_for(self.client_id, self.environment.issuer):
            raise ConfigurationError(BEGUN_ELSEWHERE)
        single_use = grant.single_use
        if single_use is not None and not single_use.take():
            raise ConfigurationError("a code is exchanged once: let the person sign in again")
        try:
            return await self.post_authenticated(
                "token_endpoint",
                grant.parameters(),
                lambda response, sent_at: parse_token_response(response, sent_at=sent_at),
                timeout=timeout,
            )
        except AritmaAuthError as error:
            if single_use is not None and _is_unused(error):
                single_use.give_back()
            raise

    async def post_authenticated(
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
        return await self._connection.post_authenticated(
            await self.endpoint(endpoint),
            parameters,
            read,
            token_endpoint=await self.endpoint("token_endpoint"),
            timeout=timeout,
        )

    async def credential_fingerprint(self) -> str:
        """Give eight hex digits that change when the client's secret does."""
        return await self._connection.credential_fingerprint()

    async def send(self, request: HttpRequest, *, timeout: float | None = None) -> HttpResponse:
        """
        Send a protocol request and take the server's time from its answer.

        Args:
            request: What to send.

            timeout: Seconds, or None for the client's own.

        Raises:
            TransportError: No answer came.
        """
        return await self._connection.send(request, timeout=timeout)

    async def aclose(self) -> None:
        """Let go of the caller's session; requests under way end by themselves."""

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.client_id!r} by {self.client_auth.method} "
            f"at {self._environment.issuer}>"
        )


def _is_unused(error: AritmaAuthError) -> bool:
    """Tell whether the server has surely not looked at what can be presented only once."""
    return isinstance(error, ConfigurationError) or not (error.is_permanent or is_ambiguous(error))


def _as_client_auth(given: str | Secret | ClientAuth | None) -> ClientAuth:
    if given is None:
        return NoClientAuth()
    if isinstance(given, str):
        return ClientSecretPost(Secret(given))
    return ClientSecretPost(given) if isinstance(given, Secret) else given

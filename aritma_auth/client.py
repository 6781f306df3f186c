"""One registration at one authorization server."""

import os
import time
from collections.abc import Callable, Iterable
from typing import Self

import aiohttp

from aritma_auth.environment import PRODUCTION, Environment
from aritma_auth.errors import ConfigurationError, InvalidClientError
from aritma_auth.protocol.client_auth import (
    ClientAuth,
    ClientCredential,
    ClientSecretPost,
    NoClientAuth,
    generate_jti,
)
from aritma_auth.protocol.grants import Grant
from aritma_auth.protocol.id_token import IdTokenExpectation, validate_id_token
from aritma_auth.protocol.sealed import HiddenStr, JsonValue, Members, Sealed
from aritma_auth.protocol.signatures import JsonWebKey, read_keys
from aritma_auth.protocol.token_endpoint import (
    build_token_request,
    parse_answer,
    parse_token_response,
)
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.wire import HttpRequest, HttpResponse, parse_http_date
from aritma_auth.resource import AsyncResource
from aritma_auth.secret import Secret
from aritma_auth.transport import Transport


class OAuthClient(AsyncResource):
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

    @classmethod
    def from_env(cls, *, session: aiohttp.ClientSession | None = None) -> Self:
        """
        Make a client of what the environment variables say.

        ``ARITMA_CLIENT_ID``; ``ARITMA_CLIENT_SECRET``, or ``ARITMA_CLIENT_SECRET_FILE`` for a
        mounted secret; ``ARITMA_ENVIRONMENT`` (``production``, ``development`` or an issuer's URL;
        default ``production``); ``ARITMA_TENANT``, if there is one.

        Args:
            session: An ``aiohttp.ClientSession`` whose connections are used.

        Raises:
            ConfigurationError: A variable is missing or makes no sense; it is named.
        """
        client_id = os.environ.get("ARITMA_CLIENT_ID", "")
        if not client_id:
            raise ConfigurationError("set ARITMA_CLIENT_ID to the client id that Aritma gave")
        file = os.environ.get("ARITMA_CLIENT_SECRET_FILE")
        if not file and not os.environ.get("ARITMA_CLIENT_SECRET"):
            raise ConfigurationError("set ARITMA_CLIENT_SECRET or ARITMA_CLIENT_SECRET_FILE")
        environment = Environment.named(os.environ.get("ARITMA_ENVIRONMENT", "production"))
        tenant = os.environ.get("ARITMA_TENANT")
        return cls(
            client_id,
            Secret.from_file(file) if file else Secret.from_env("ARITMA_CLIENT_SECRET"),
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
        return (
            environment.issuer,
            environment.token_endpoint,
            self._client_id,
            self._client_auth.method,
        )

    @property
    def clock_skew(self) -> float:
        """Seconds that the server's clock is ahead of ours, by its latest ``Date``."""
        return self._skew

    async def fetch_token(self, grant: Grant, *, timeout: float | None = None) -> Token:
        """
        Ask the token endpoint for a token, now; for a cached one use a `TokenProvider`.

        A refused secret is loaded once more, and the request repeated if it has changed.

        Args:
            grant: What entitles the client to a token.

            timeout: Seconds for one request, or None for the client's own.

        Raises:
            ConfigurationError: The server is known to refuse this grant, or the secret is missing.

            TransportError: No answer came.

            InvalidResponseError: The answer breaks the specification.

            OAuthError: The server refused.

        Spec: RFC 6749 §4, §5; Aritma's authentication page.
        """
        problems = grant.problems()
        if problems:
            raise ConfigurationError("; ".join(problems))
        secret = await self._load_secret()
        refusal: InvalidClientError
        try:
            return await self._request_token(grant, secret, timeout)
        except InvalidClientError as error:
            refusal = error
        # Aritma rotates by adding a secret, switching, deleting the old one: look for the new one.
        fresher = await self._load_secret()
        if fresher == secret:
            raise refusal.copy()
        return await self._request_token(grant, fresher, timeout)

    async def fetch_keys(self) -> list[dict[str, JsonValue]]:
        """
        Fetch the server's public keys, now.

        Raises:
            TransportError: No answer came.

            InvalidResponseError: The answer is no key set.

        Spec: RFC 7517 §5.
        """
        request = HttpRequest(
            "GET", self._environment.endpoint("jwks_uri"), {"Accept": "application/json"}
        )
        response = await self.send(request)
        return read_keys(parse_answer(response, now=self._clock(), what="the key set's endpoint"))

    async def verify_id_token(
        self,
        id_token: str,
        *,
        nonce: str | None,
        max_age: int | None = None,
        access_token: str | None = None,
        keys: Iterable[JsonWebKey] | None = None,
    ) -> Members:
        """
        Check an ID token that came from the token endpoint, and give its claims.

        Times are judged by the server's clock, as its answers have shown it.

        Args:
            id_token: The ID token.

            nonce: What the authorization request carried; None if it carried none.

            max_age: Seconds since the sign-in that the request tolerated, if it said.

            access_token: The access token that came with it, to check ``at_hash``.

            keys: The server's JSON Web Keys; by default they are fetched.

        Raises:
            IdTokenError: A check failed: treat the sign-in as hostile.

        Spec: OpenID Connect Core 1.0 §3.1.3.7.
        """
        id_token = HiddenStr(id_token)
        known = await self.fetch_keys() if keys is None else keys
        expected = IdTokenExpectation(
            issuers=self._environment.issuer_aliases | {self._environment.issuer},
            client_id=self._client_id,
            nonce=nonce,
            max_age=max_age,
            access_token=access_token,
        )
        return validate_id_token(id_token, known, expected, now=self._clock() + self._skew)

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
            f"<OAuthClient {self._client_id!r} by {self._client_auth.method} "
            f"at {self._environment.issuer}>"
        )

    async def _load_secret(self) -> Sealed | None:
        source = self._client_auth.secret
        return None if source is None else await source.load()

    async def _request_token(
        self, grant: Grant, secret: Sealed | None, timeout: float | None
    ) -> Token:
        endpoint = self._environment.token_endpoint
        sent_at = self._clock()
        request = build_token_request(
            endpoint,
            grant,
            client_auth=self._client_auth,
            credential=ClientCredential(
                self._client_id,
                secret,
                token_endpoint=endpoint,
                issuer=self._environment.issuer,
                now=sent_at + self._skew,
                jti=generate_jti(),
            ),
        )
        response = await self.send(request, timeout=timeout)
        return parse_token_response(response, sent_at=sent_at)


def _as_client_auth(given: str | Secret | ClientAuth | None) -> ClientAuth:
    if given is None:
        return NoClientAuth()
    if isinstance(given, str):
        return ClientSecretPost(Secret(given))
    return ClientSecretPost(given) if isinstance(given, Secret) else given

"""Registers clients at an authorization server, and manages their registrations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
from yarl import URL

from aritma_auth.caller_code import require_clock
from aritma_auth.client.connection import find_certificate_files
from aritma_auth.client.discovery import Discovery
from aritma_auth.environment import PRODUCTION, Environment
from aritma_auth.errors import ConfigurationError, require_instance, wrong_kind
from aritma_auth.network.transport import Transport, require_context
from aritma_auth.protocol.client_registration import (
    build_configuration_request,
    build_registration_request,
    parse_client_metadata,
    parse_deletion_response,
    parse_registration_response,
)
from aritma_auth.protocol.http_messages import HttpRequest, HttpResponse
from aritma_auth.protocol.redaction import JsonValue, Members, SecretText
from aritma_auth.protocol.registered_client import RegisteredClient
from aritma_auth.protocol.urls import origin_of, require_secure_url
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.hidden_arguments import hides_arguments, hides_awaited_arguments

if TYPE_CHECKING:
    import ssl

    import aiohttp

    from aritma_auth.certificate import ClientCertificate

_ENDPOINT = "registration_endpoint"


class ClientRegistrar:
    """
    Registers clients at one authorization server, without anybody's hands (RFC 7591).

    A caller that is cancelled in the middle of a call loses the response: a client that nobody
    knows, or a ``registration_access_token`` that has just been replaced.

    Args:
        environment: The authorization server: an `Environment`, or the issuer's URL. Its metadata
            names the endpoint, unless ``endpoints`` does.

        session: An ``aiohttp.ClientSession`` whose connections are used, as `OAuthClient` does.

        timeout: Seconds for one request.

        clock: Tells the time.

        certificate: What the server knows the software by before it is registered, as Open Finance
            Brazil wants it: a `ClientCertificate`, or an ``ssl.SSLContext`` with one.

    Raises:
        ConfigurationError: An argument is of the wrong kind or out of range; the message names it.

    Spec: RFC 7591; RFC 7592.
    """

    @hides_arguments
    def __init__(
        self,
        environment: Environment | str = PRODUCTION,
        *,
        session: "aiohttp.ClientSession | None" = None,
        timeout: float = 10.0,
        clock: Clock = SYSTEM_CLOCK,
        certificate: "ClientCertificate | ssl.SSLContext | None" = None,
    ) -> None:
        clock = require_clock(clock)
        self._environment = attrs.evolve(Environment.of(environment), discovers=True)
        self._clock = clock
        context = certificate and require_context(certificate)
        self._certificate = find_certificate_files(certificate)
        self._transport = Transport(session, timeout=timeout, ssl_context=context)
        self._discovery = Discovery(
            self._environment, self._send, clock, by_certificate=certificate is not None
        )

    @hides_awaited_arguments(ConfigurationError)
    async def register(
        self,
        metadata: Mapping[str, JsonValue],
        *,
        initial_access_token: str | None = None,
    ) -> RegisteredClient:
        """
        Register a client.

        Args:
            metadata: What the client says of itself, by the names of RFC 7591 §2: its
                ``redirect_uris``, ``grant_types``, ``token_endpoint_auth_method``, ``jwks`` with
                public keys alone, a ``software_statement``.

            initial_access_token: What entitles to register, if the server wants it.

        Returns:
            The client. Keep its `RegisteredClient.to_json`.

        Raises:
            ConfigurationError: The metadata are unusable, or the server registers no clients.

            TransportError: No response came; whether a client was registered is not known.

            InvalidResponseError: The response breaks the specification.

            OAuthError: The server refused, such as with ``invalid_client_metadata``,
                ``invalid_redirect_uri`` or ``invalid_software_statement``.

        Spec: RFC 7591 §3.
        """
        token = None if initial_access_token is None else _hide(initial_access_token)
        del initial_access_token
        given = parse_client_metadata(metadata)
        # A software statement is in it.
        del metadata
        endpoint = await self._discovery.endpoint(_ENDPOINT)
        return await self._ask(build_registration_request(endpoint, given, token))

    @hides_awaited_arguments(ConfigurationError)
    async def fetch(self, client: RegisteredClient) -> RegisteredClient:
        """
        Read a registration as the server has it now.

        Args:
            client: The client.

        Returns:
            The client to keep from now on, since its secret or its token may be another.

        Raises:
            ConfigurationError: The server gave nothing to manage it with, or an address elsewhere.

            TransportError: No response came.

            InvalidResponseError: The response breaks the specification.

            OAuthError: The server refused the token, or knows the client no more.

        Spec: RFC 7592 §2.1.
        """
        return await self._manage("GET", client)

    @hides_awaited_arguments(ConfigurationError)
    async def update(
        self, client: RegisteredClient, changes: Mapping[str, JsonValue]
    ) -> RegisteredClient:
        """
        Change a registration.

        Args:
            client: The client.

            changes: Metadata in the place of the registered ones; None removes one.

        Returns:
            The client to keep from now on, since its secret or its token may be another.

        Raises:
            AritmaAuthError: As `register` and `fetch` say.

        Spec: RFC 7592 §2.2.
        """
        given = parse_client_metadata(changes)
        del changes
        return await self._manage("PUT", client, given)

    @hides_awaited_arguments(ConfigurationError)
    async def delete(self, client: RegisteredClient) -> None:
        """
        Delete a registration: its tokens end with it.

        Args:
            client: The client.

        Raises:
            AritmaAuthError: As `fetch` says.

        Spec: RFC 7592 §2.3.
        """
        request = await self._configure("DELETE", client)
        parse_deletion_response(await self._send(request), now=self._clock.time())

    async def _manage(
        self, method: str, client: RegisteredClient, changes: Members | None = None
    ) -> RegisteredClient:
        return await self._ask(await self._configure(method, client, changes), client)

    async def _configure(
        self, method: str, client: RegisteredClient, changes: Members | None = None
    ) -> HttpRequest:
        require_instance(
            "client", "the RegisteredClient that register gave", client, RegisteredClient
        )
        request = build_configuration_request(method, client, changes)
        origin = origin_of(require_secure_url(request.url, "registration_client_uri"))
        # The token that manages the client goes nowhere else, whatever a response has named.
        endpoint = await self._discovery.endpoint(_ENDPOINT)
        trusted = self._environment.endpoint_origins | {
            origin_of(URL(url)) for url in (endpoint, self._environment.issuer)
        }
        if origin not in trusted:
            raise ConfigurationError(
                "registration_client_uri must be on the server's own origin, not at "
                f"{origin.url}: list that origin in endpoint_origins if you trust it"
            )
        return request

    async def _ask(
        self, request: HttpRequest, known: RegisteredClient | None = None
    ) -> RegisteredClient:
        response = await self._send(request)
        return parse_registration_response(response, now=self._clock.time(), known=known)

    async def _send(self, request: HttpRequest) -> HttpResponse:
        if self._certificate is not None:
            await self._certificate.refresh()
        # Over a fresh connection: aiohttp repeats what a closed one has lost, and a client would be
        # registered twice.
        response = await self._transport.send(request, is_one_time=True)
        return attrs.evolve(response, sent=request.secrets)

    def __repr__(self) -> str:
        return f"<ClientRegistrar at {self._environment.issuer}>"


def _hide(token: object) -> SecretText:
    if isinstance(token, str):
        return SecretText(token)
    problem = wrong_kind("initial_access_token", "the token's text or None", token)
    # A traceback with local variables would show it.
    del token
    raise problem

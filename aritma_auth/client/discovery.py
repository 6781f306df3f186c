"""What an authorization server publishes about itself: its metadata and its keys."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aritma_auth.client.cached_document import CachedDocument
from aritma_auth.environment import Environment
from aritma_auth.errors import InvalidResponseError, OAuthError
from aritma_auth.protocol.http_messages import HttpRequest, HttpResponse
from aritma_auth.protocol.json_response import parse_json_response
from aritma_auth.runtime.clock import Clock

if TYPE_CHECKING:
    from aritma_auth.protocol.jwt import JsonWebKey
    from aritma_auth.protocol.metadata import ServerMetadata

Send = Callable[[HttpRequest], Awaitable[HttpResponse]]

MAX_KEYS = 100
"""Keys of a set that count: a token without ``kid`` is tried with each that fits."""


class Discovery:
    """
    One server's endpoints, metadata and keys.

    Args:
        environment: What is known without asking.

        send: Sends a request.

        clock: Tells the time.

        by_certificate: The client has a certificate: the endpoint aliases for such clients are
            preferred.

    Spec: OpenID Connect Discovery 1.0; RFC 8414; RFC 8705 §5.
    """

    def __init__(
        self,
        environment: Environment,
        send: Send,
        clock: Clock,
        *,
        by_certificate: bool = False,
    ) -> None:
        self._environment = environment
        self._send = send
        self._clock = clock
        self._by_certificate = by_certificate
        self._metadata = CachedDocument(self._get_metadata, clock)
        self._keys = CachedDocument(self._get_keys, clock)

    async def fetch_metadata(self) -> "ServerMetadata":
        """
        Give the server's metadata, fetched at most once a day.

        Raises:
            IssuerMismatchError: The document is another server's.

            InvalidResponseError: There is no metadata at any of its addresses.

            TransportError: No response came.
        """
        return await self._metadata.get()

    async def endpoint(self, name: str) -> str:
        """
        Give an endpoint's URL: configured, discovered, or by IdentityServer's fixed paths.

        Args:
            name: Its metadata name, such as ``token_endpoint``.

        Raises:
            ConfigurationError: The server has none, or it is on an origin that is not listed.
        """
        environment = self._environment
        if name in environment.endpoints or not environment.discovers:
            return environment.endpoint(name)
        metadata = await self._metadata.get()
        return metadata.endpoint(name, by_certificate=self._by_certificate)

    async def requires_iss(self) -> bool:
        """Tell whether authorization responses must carry ``iss``; unknown without discovery."""
        if not self._environment.discovers:
            return False
        return (await self._metadata.get()).names_issuer_in_responses

    async def requires_par(self) -> bool:
        """
        Tell whether authorization requests must be pushed; unknown without discovery.

        Spec: RFC 9126 §5.
        """
        if not self._environment.discovers:
            return False
        members = (await self._metadata.get()).members
        return members.get("require_pushed_authorization_requests") is True

    async def fetch_keys(self) -> "list[JsonWebKey]":
        """Give the server's public keys, fetched at most once a day."""
        return await self._keys.get()

    async def reload_keys(self) -> "list[JsonWebKey]":
        """Give newer keys, fetched at most once a minute; else the cached ones."""
        return await self._keys.reload()

    async def keys_for(self, token: str) -> "list[JsonWebKey]":
        """
        Give the keys for a signed token; if it names no known one, they are fetched anew.

        Spec: OpenID Connect Core 1.0 §10.1.1.
        """
        from aritma_auth.protocol.jwt import names_unknown_key  # noqa: PLC0415 - a sign-in's

        keys = await self._keys.get()
        # Without a kid nothing tells whether a new key has signed it.
        names_a_key = names_unknown_key(token, ())
        is_known = names_a_key and not names_unknown_key(token, keys)
        return keys if is_known else await self._keys.reload()

    async def _get_metadata(self) -> "ServerMetadata":
        from aritma_auth.protocol.metadata import (  # noqa: PLC0415 - only with discovery
            build_metadata_urls,
            parse_metadata_response,
        )

        issuer, status, problem = self._environment.issuer, 404, ""
        for url in build_metadata_urls(issuer):
            response = await self._send(_get(url))
            try:
                return parse_metadata_response(
                    response,
                    issuers=self._environment.issuers,
                    trusted=self._environment.endpoint_origins,
                    now=self._clock.time(),
                )
            except (InvalidResponseError, OAuthError) as error:
                # Servers without a document there respond with a 404, a redirect or a web page.
                if response.status >= 500 or response.status == 429:
                    raise
                status = response.status
                problem = str(error)
        raise InvalidResponseError(
            f"{issuer} publishes no metadata ({problem}): give its endpoints", status=status
        )

    async def _get_keys(self) -> "list[JsonWebKey]":
        from aritma_auth.protocol.jwt import parse_key_set  # noqa: PLC0415 - a sign-in's

        response = await self._send(_get(await self.endpoint("jwks_uri")))
        members = parse_json_response(
            response, now=self._clock.time(), what="the key set's endpoint"
        )
        return list(parse_key_set(members)[:MAX_KEYS])


def _get(url: str) -> HttpRequest:
    return HttpRequest("GET", url, {"Accept": "application/json"})

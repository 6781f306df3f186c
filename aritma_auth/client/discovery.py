"""What an authorization server publishes about itself: its metadata and its keys."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from aritma_auth.environment import Environment
from aritma_auth.errors import ConfigurationError, InvalidResponseError, printable
from aritma_auth.protocol.client_auth import ClientAuth, ClientSecretPost
from aritma_auth.protocol.http_messages import HttpRequest, HttpResponse
from aritma_auth.protocol.redaction import Members
from aritma_auth.runtime.clock import Clock

if TYPE_CHECKING:
    from aritma_auth.client.cached_document import CachedDocument
    from aritma_auth.protocol.jwt import JsonWebKey
    from aritma_auth.protocol.metadata import ServerMetadata

T = TypeVar("T")

Send = Callable[[HttpRequest], Awaitable[HttpResponse]]

_BASIC = "client_secret_basic"
_LISTED = frozenset({_BASIC, "client_secret_jwt", "client_secret_post", "private_key_jwt"})
"""Methods that a server lists if it has them. Few list ``none``; a certificate has two names."""


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
        # Made when first used, since fixed endpoints need neither.
        self._made: dict[str, CachedDocument[Any]] = {}
        known = environment.published
        if known is not None:
            self._metadata.put(self._parse(known.metadata), known.fetched_at)
            if known.keys is not None:
                self._keys.put(known.keys, known.fetched_at)

    @property
    def _metadata(self) -> "CachedDocument[ServerMetadata]":
        return self._made.get("metadata") or self._make("metadata", self._get_metadata)

    @property
    def _keys(self) -> "CachedDocument[tuple[JsonWebKey, ...]]":
        return self._made.get("keys") or self._make("keys", self._get_keys)

    def _make(self, name: str, fetch: Callable[[], Awaitable[T]]) -> "CachedDocument[T]":
        from aritma_auth.client.cached_document import CachedDocument

        # One for all threads: setdefault is atomic.
        return self._made.setdefault(name, CachedDocument(fetch, self._clock))

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
            EndpointMissingError: The server has none.

            ConfigurationError: It is on an origin that is not listed, or is no secure URL.
        """
        if self._is_given(name):
            return self._environment.endpoint(name)
        metadata = await self._metadata.get()
        return metadata.endpoint(name, by_certificate=self._by_certificate)

    def _is_given(self, name: str) -> bool:
        """Tell whether an endpoint is known without the server's metadata."""
        environment = self._environment
        return not environment.discovers or name in environment.endpoints

    def is_fixed_path(self, name: str) -> bool:
        """Tell whether an endpoint is IdentityServer's, neither configured nor discovered."""
        environment = self._environment
        return not environment.discovers and name not in environment.endpoints

    async def issuers(self) -> frozenset[str]:
        """Give the issuers that may sign, with the template that a multi-tenant server names."""
        known = self._environment.issuers
        if not self._environment.discovers:
            return known
        return known | {(await self._metadata.get()).issuer}

    async def issuer(self) -> str:
        """Give the issuer as the server spells it, for assertions that name it."""
        environment = self._environment
        if self._is_given("token_endpoint"):
            return environment.issuer
        named = (await self._metadata.get()).issuer
        # A template is no issuer: the tenant that was asked is.
        return named if named in environment.issuers else environment.issuer

    async def choose_client_auth(self, given: ClientAuth, *, is_chosen: bool) -> ClientAuth:
        """
        Choose how to authenticate from what the server's metadata offers, if it is known.

        Args:
            given: The client's authentication.

            is_chosen: The caller has chosen the method. Otherwise a secret goes where the server
                wants it: in the form if it takes both.

        Raises:
            ConfigurationError: The server offers other methods only; nothing was sent.

        Spec: RFC 8414 §2 (``token_endpoint_auth_methods_supported``).
        """
        if self._is_given("token_endpoint"):
            return given
        metadata = await self._metadata.get()
        published = metadata.client_auth_methods
        # What is not said is Basic (RFC 8414 §2); a choice is not contradicted by silence.
        offered = frozenset(published or {_BASIC})
        if given.method in offered:
            return given
        if not is_chosen and isinstance(given, ClientSecretPost) and _BASIC in offered:
            from aritma_auth.protocol.client_auth import ClientSecretBasic  # few servers

            return ClientSecretBasic(given.secret)
        if not published or given.method not in _LISTED:
            return given
        raise ConfigurationError(
            f"the client must authenticate by a method that {metadata.issuer} offers "
            f"({printable(', '.join(published))}), not by {given.method}: choose one of these, or "
            "name token_endpoint in the environment's endpoints if the metadata are wrong"
        )

    async def require_pkce(self) -> None:
        """
        Require the server to offer the PKCE that is always sent, as far as that is known.

        Raises:
            ConfigurationError: It publishes other methods only.

        Spec: RFC 7636 §4.2; RFC 9700 §2.1.1.
        """
        if self._is_given("authorization_endpoint"):
            return
        metadata = await self._metadata.get()
        offered = metadata.code_challenge_methods
        if offered and "S256" not in offered:
            raise ConfigurationError(
                f"{metadata.issuer} must offer PKCE with S256, and its metadata offers "
                f"{printable(' '.join(offered), 100)}: let S256 be switched on at the server"
            )

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
        return await self._demands("require_pushed_authorization_requests")

    async def requires_signed_requests(self) -> bool:
        """
        Tell whether authorization requests must be signed; unknown without discovery.

        Spec: RFC 9101 §10.5.
        """
        return await self._demands("require_signed_request_object")

    async def _demands(self, name: str) -> bool:
        if not self._environment.discovers:
            return False
        return (await self._metadata.get()).members.get(name) is True

    async def fetch_keys(self) -> "tuple[JsonWebKey, ...]":
        """Give the server's public keys, fetched at most once a day."""
        return await self._keys.get()

    async def reload_keys(self) -> "tuple[JsonWebKey, ...]":
        """Give newer keys, fetched at most once a minute; else the cached ones."""
        return await self._keys.reload()

    async def keys_for(self, token: str) -> "tuple[JsonWebKey, ...]":
        """
        Give the keys for a signed token; if it names no known one, they are fetched anew.

        Spec: OpenID Connect Core 1.0 §10.1.1.
        """
        from aritma_auth.protocol.jwt import names_unknown_key  # a sign-in's

        keys = await self._keys.get()
        # Without a kid nothing tells whether a new key has signed it.
        names_a_key = names_unknown_key(token, ())
        is_known = names_a_key and not names_unknown_key(token, keys)
        return keys if is_known else await self._keys.reload()

    async def _get_metadata(self) -> "ServerMetadata":
        from aritma_auth.network.lookup import fetch_metadata  # only with discovery

        environment = self._environment
        return await fetch_metadata(
            self._send,
            environment.issuer,
            issuers=environment.issuers,
            trusted=environment.endpoint_origins,
            clock=self._clock,
        )

    def _parse(self, members: Members) -> "ServerMetadata":
        from aritma_auth.protocol.metadata import parse_metadata  # rarely known

        environment = self._environment
        return parse_metadata(
            members, issuers=environment.issuers, trusted=environment.endpoint_origins
        )

    async def _get_keys(self) -> "tuple[JsonWebKey, ...]":
        from aritma_auth.network.lookup import fetch_keys  # a sign-in's

        url = await self.endpoint("jwks_uri")
        try:
            return await fetch_keys(self._send, url, clock=self._clock)
        except InvalidResponseError as error:
            if not self.is_fixed_path("jwks_uri"):
                raise
            from aritma_auth.client.refusals import explain_fixed_path  # at the first failure

            refusal = explain_fixed_path(error, url)
        raise refusal

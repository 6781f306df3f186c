"""
Clients that register themselves, and manage their registration.

IdentityServer has no such endpoint of its own accord; Duende's Configuration API adds one at the
same path, without management. Spec: RFC 7591; RFC 7592.
"""

import json
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox.arguments import LOOPBACK
from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.client_authentication import secrets_match
from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.registrations import API_SCOPES, IDENTITY_SCOPES, SandboxClient
from aritma_auth.sandbox.identity.signed_jwts import is_signed_by, parse_jwt

Metadata = Mapping[str, object]

_STATEMENT_AGE = 300
_NOTIFICATION = "backchannel_client_notification_endpoint"
_SECRET_METHODS = frozenset({"client_secret_basic", "client_secret_post"})
_CERTIFICATE_NAMES = ("tls_client_auth_san_dns", "tls_client_auth_subject_dn")
_OF_THE_JWT = frozenset({"aud", "exp", "iat", "iss", "jti", "nbf", "sub"})


@attrs.define
class _Registration:
    token: str
    metadata: dict[str, object]


class ClientRegistrations:
    """
    Registers clients, and lets each manage its own registration.

    Attributes:
        initial_access_token: What entitles to register; None lets anyone.

        software_key: The key that signs software statements, in PEM or as a JSON Web Key; None
            takes no statement for more than a text.

        requires_certificate: Requests must come with a client certificate.

        tokens_rotate: Each response to a client has a new ``registration_access_token``, and the
            one before it is good no more.

        requests: The metadata of each request to register or update, as it came.
    """

    def __init__(self, clients: dict[str, SandboxClient], clock: SandboxClock) -> None:
        self._clients = clients
        self._clock = clock
        self._registered: dict[str, _Registration] = {}
        self.initial_access_token: str | None = None
        self.software_key: str | Mapping[str, object] | None = None
        self.requires_certificate = False
        self.tokens_rotate = True
        self.requests: list[Metadata] = []

    def register(self, metadata: Metadata, token: str, keys: Metadata | None) -> dict[str, object]:
        """
        Register a client.

        Args:
            metadata: What it says of itself.

            token: The request's bearer token; empty without one.

            keys: Its JWK Set, by value or fetched, or None.

        Returns:
            What describes the client, without the address that manages it.

        Raises:
            ErrorResponse: The token or the metadata are refused.
        """
        wanted = self.initial_access_token
        if wanted is not None and not secrets_match(token, wanted):
            raise ErrorResponse("invalid_token", status=401)
        client_id = f"dcr-{secrets.token_hex(8)}"
        return self._keep(client_id, metadata, keys, is_new=True)

    def read(self, client_id: str, token: str) -> dict[str, object]:
        """
        Describe a client to itself.

        Raises:
            ErrorResponse: The token is not the client's.
        """
        self._require_own(client_id, token)
        return self._describe(client_id)

    def update(
        self, client_id: str, token: str, metadata: Metadata, keys: Metadata | None
    ) -> dict[str, object]:
        """
        Replace a client's metadata.

        Raises:
            ErrorResponse: The token is not the client's, or the metadata are refused.
        """
        self._require_own(client_id, token)
        if metadata.get("client_id") != client_id:
            raise ErrorResponse("invalid_client_metadata", "client_id must be the client's own.")
        given = metadata.get("client_secret")
        if given is not None and given != self._clients[client_id].client_secret:
            raise ErrorResponse("invalid_client_metadata", "client_secret must be the client's.")
        kept = {n: v for n, v in metadata.items() if n not in {"client_id", "client_secret"}}
        return self._keep(client_id, kept, keys, is_new=False)

    def delete(self, client_id: str, token: str) -> None:
        """
        Forget a client.

        Raises:
            ErrorResponse: The token is not the client's.
        """
        self._require_own(client_id, token)
        del self._registered[client_id], self._clients[client_id]

    def _require_own(self, client_id: str, token: str) -> None:
        known = self._registered.get(client_id)
        if known is None or not secrets_match(token, known.token):
            raise ErrorResponse("invalid_token", status=401)

    def _keep(
        self, client_id: str, metadata: Metadata, keys: Metadata | None, *, is_new: bool
    ) -> dict[str, object]:
        self.requests.append(dict(metadata))
        registered = {**metadata, **self._parse_statement(metadata)}
        try:
            client = _make_client(client_id, registered, keys)
        except ConfigurationError as error:
            raise ErrorResponse("invalid_client_metadata", str(error)) from None
        if is_new:
            self._registered[client_id] = _Registration("", registered)
        else:
            client = attrs.evolve(client, secrets=self._clients[client_id].secrets)
            self._registered[client_id].metadata = registered
        self._clients[client_id] = client
        return self._describe(client_id)

    def _describe(self, client_id: str) -> dict[str, object]:
        known, client = self._registered[client_id], self._clients[client_id]
        if self.tokens_rotate or not known.token:
            known.token = secrets.token_urlsafe(24)
        secret = {"client_secret": client.client_secret, "client_secret_expires_at": 0}
        return {
            "client_id": client_id,
            "client_id_issued_at": int(self._clock.time()),
            **(secret if client.secrets else {}),
            **known.metadata,
            "registration_access_token": known.token,
        }

    def _parse_statement(self, metadata: Metadata) -> dict[str, object]:
        """Verify a software statement; what it says of the client outranks the rest."""
        key, statement = self.software_key, metadata.get("software_statement")
        if key is None:
            return {}
        text = statement if isinstance(statement, str) else ""
        public = json.dumps(dict(key)) if isinstance(key, Mapping) else key
        claims = parse_jwt(text)[1] if is_signed_by(text, public) else {}
        issued_at = claims.get("iat")
        if not isinstance(issued_at, int) or self._clock.time() - issued_at > _STATEMENT_AGE:
            raise ErrorResponse("invalid_software_statement")
        return {n: value for n, value in claims.items() if n not in _OF_THE_JWT}


def _find_key(keys: Metadata | None, use: str) -> Metadata | None:
    """Find the key of a JWK Set that verifies what a client signs, or that its tokens are for."""
    listed = (keys or {}).get("keys")
    known = [key for key in listed if isinstance(key, dict)] if isinstance(listed, list) else []
    return next((key for key in known if key.get("use", "sig") == use), None)


def _make_client(client_id: str, metadata: Metadata, keys: Metadata | None) -> SandboxClient:
    method = metadata.get("token_endpoint_auth_method", "client_secret_basic")
    grant_types = _texts(metadata, "grant_types", ("authorization_code",))
    redirect_uris = _texts(metadata, "redirect_uris", ())
    if not all(map(_is_redirect_uri, redirect_uris)) or (
        "authorization_code" in grant_types and not redirect_uris
    ):
        raise ErrorResponse("invalid_redirect_uri")
    key, name = _find_key(keys, "sig"), _find_name(metadata)
    encryption = _find_key(keys, "enc") if "id_token_encrypted_response_alg" in metadata else None
    is_usable: dict[object, bool] = {
        **dict.fromkeys((*_SECRET_METHODS, "none"), True),
        "private_key_jwt": key is not None,
        "tls_client_auth": name is not None,
    }
    if not is_usable.get(str(method)):
        raise ErrorResponse("invalid_client_metadata", "token_endpoint_auth_method")
    scope, notified = metadata.get("scope"), metadata.get(_NOTIFICATION)
    return SandboxClient(
        client_id=client_id,
        secrets=(secrets.token_urlsafe(24),) if method in _SECRET_METHODS else (),
        public_key=key,
        encryption_key=encryption,
        certificate_name=name if method == "tls_client_auth" else None,
        grant_types=grant_types,
        scopes=scope.split() if isinstance(scope, str) else (*IDENTITY_SCOPES, *API_SCOPES),
        redirect_uris=redirect_uris,
        requires_dpop=metadata.get("dpop_bound_access_tokens") is True,
        requires_par=metadata.get("require_pushed_authorization_requests") is True,
        userinfo_is_signed="userinfo_signed_response_alg" in metadata,
        backchannel_notification_uri=notified if isinstance(notified, str) else None,
    )


def _find_name(metadata: Metadata) -> str | None:
    """Find the name of a client's certificate: a DNS name, or the CN of its subject."""
    for member in _CERTIFICATE_NAMES:
        text = metadata.get(member)
        if isinstance(text, str):
            named = [part.strip()[3:] for part in text.split(",") if part.strip()[:3] == "CN="]
            return named[0] if named else text
    return None


def _texts(metadata: Metadata, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    given = metadata.get(name, default)
    if isinstance(given, list | tuple) and all(isinstance(each, str) for each in given):
        return tuple(given)
    raise ErrorResponse("invalid_client_metadata", name)


def _is_redirect_uri(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    is_loopback = parts.scheme == "http" and parts.hostname in LOOPBACK
    return (parts.scheme == "https" or is_loopback) and "#" not in uri

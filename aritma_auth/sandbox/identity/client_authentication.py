"""
Authentication of clients, and of APIs, at the identity server's endpoints.

Source: IdentityServer's ClientSecretValidator and BasicAuthenticationSecretParser.
"""

import base64
import binascii
import hmac
import math
from collections.abc import Mapping
from urllib.parse import unquote_plus

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.registrations import SandboxClient
from aritma_auth.sandbox.identity.server_versions import ServerVersion
from aritma_auth.sandbox.identity.signed_jwts import is_signed_by, parse_jwt

_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LEEWAY = 300


class ClientAssertions:
    """Validates client assertions and accepts each once."""

    def __init__(self, clients: Mapping[str, SandboxClient], clock: SandboxClock) -> None:
        self._clients = clients
        self._clock = clock
        self._seen: set[object] = set()

    def find_client(self, form: Mapping[str, str], audiences: set[str]) -> SandboxClient | None:
        """
        Authenticate a client by its assertion.

        Returns:
            The client, or None if anything is wrong.
        """
        assertion = form.get("client_assertion", "")
        _, claims = parse_jwt(assertion)
        client = self._clients.get(str(claims.get("sub")))
        if form.get("client_assertion_type") != _TYPE or client is None or not client.public_key:
            return None
        if not is_signed_by(assertion, client.public_key) or not self._are_valid(claims, audiences):
            return None
        self._seen.add(claims["jti"])
        return client

    def _are_valid(self, claims: Mapping[str, object], audiences: set[str]) -> bool:
        expires_at, jti = claims.get("exp"), claims.get("jti")
        return (
            claims.get("iss") == claims.get("sub")
            and claims.get("aud") in audiences
            and isinstance(expires_at, int)
            and self._clock.time() < expires_at + _LEEWAY
            and isinstance(jti, str)
            and jti not in self._seen
        )


_MAX_SECRET_LENGTH = 100
"""In characters (InputLengthRestrictions)."""


class ClientAuthenticator:
    """Authenticates clients by secret, Basic or assertion."""

    def __init__(
        self,
        clients: Mapping[str, SandboxClient],
        assertions: ClientAssertions,
        server_version: ServerVersion,
        clock: SandboxClock,
    ) -> None:
        self._clients = clients
        self._assertions = assertions
        self._server_version = server_version
        self._clock = clock
        self.secret_ends: dict[tuple[str, str], float] = {}

    def find_client(
        self, form: Mapping[str, str], authorization: str, issuer: str
    ) -> SandboxClient:
        """
        Authenticate a client: by an assertion, else by Basic, else by a secret in the form.

        Raises:
            ErrorResponse: ``invalid_client``; IdentityServer does not say what is wrong.
        """
        if "client_assertion" in form:
            audiences = {f"{issuer}/connect/token"}
            if self._server_version.assertion_for_issuer_alone:
                audiences = {issuer}
            elif self._server_version.assertion_for_issuer:
                audiences |= {issuer, f"{issuer}/connect/par", f"{issuer}/connect/ciba"}
            asserted = self._assertions.find_client(form, audiences)
            if asserted is None:
                raise ErrorResponse("invalid_client")
            return asserted
        client_id, secret = parse_credentials(form, authorization)
        if not client_id:
            raise ErrorResponse(self._server_version.missing_client_error)
        client = self._clients.get(client_id)
        if client is None or len(secret) > _MAX_SECRET_LENGTH:
            raise ErrorResponse("invalid_client")
        # An assertion that the client has signed as its grant authenticates it too (RFC 7521 §4.1).
        is_asserted = form.get("grant_type") == _JWT_BEARER
        # Of a client with a certificate the key verifies signed requests alone.
        is_by_key = client.public_key is not None and not client.has_certificate
        if is_by_key and not client.secrets and not is_asserted:
            raise ErrorResponse("invalid_client")
        now, ends = self._clock.time(), self.secret_ends
        valid = [each for each in client.secrets if now < ends.get((client_id, each), math.inf)]
        if client.secrets and not any(secrets_match(secret, each) for each in valid):
            raise ErrorResponse("invalid_client")
        return client


def parse_credentials(form: Mapping[str, str], authorization: str) -> tuple[str, str]:
    """Give the name and the secret of a request's header, else those of its form."""
    posted = form.get("client_id", ""), form.get("client_secret", "")
    return parse_basic(authorization) or posted


def parse_basic(authorization: str) -> tuple[str, str] | None:
    """
    Parse an ``Authorization: Basic`` header.

    Returns:
        Name and secret, both empty if the header is malformed; None for another scheme.
    """
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ("", "")
    # Form-decoded after base64, as IdentityServer does: "+" is a space, "%XX" a character.
    return (unquote_plus(name), unquote_plus(secret)) if colon else ("", "")


def secrets_match(given: str, valid: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(given.encode(), valid.encode())

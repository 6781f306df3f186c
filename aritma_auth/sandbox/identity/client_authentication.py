"""
Who asks: clients and APIs at the identity server's endpoints.

Source: IdentityServer's ClientSecretValidator and BasicAuthenticationSecretParser.
"""

import base64
import binascii
import hmac
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from urllib.parse import unquote_plus

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.registrations import SandboxClient
from aritma_auth.sandbox.identity.server_versions import ServerVersion
from aritma_auth.sandbox.refusals import Refusal

_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LEEWAY = 300
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]


class AssertionCheck:
    """
    Knows which assertions are good, and takes each once.

    Args:
        clients: The registered clients by id.

        clock: The sandbox's time.
    """

    def __init__(self, clients: Mapping[str, SandboxClient], clock: SandboxClock) -> None:
        self._clients = clients
        self._clock = clock
        self._seen: set[object] = set()

    def find_client(self, form: Mapping[str, str], audiences: set[str]) -> SandboxClient | None:
        """
        Find the client that an assertion proves.

        Args:
            form: The posted parameters.

            audiences: Whom an assertion may be for.

        Returns:
            The client, or None if anything is wrong.
        """
        assertion = form.get("client_assertion", "")
        claims = _claims(assertion)
        client = self._clients.get(str(claims.get("sub")))
        if form.get("client_assertion_type") != _TYPE or client is None or not client.public_key:
            return None
        if not _is_signed(assertion, client.public_key) or not self._holds(claims, audiences):
            return None
        self._seen.add(claims["jti"])
        return client

    def _holds(self, claims: Mapping[str, object], audiences: set[str]) -> bool:
        expires_at, jti = claims.get("exp"), claims.get("jti")
        return (
            claims.get("iss") == claims.get("sub")
            and claims.get("aud") in audiences
            and isinstance(expires_at, int)
            and self._clock.time() < expires_at + _LEEWAY
            and isinstance(jti, str)
            and jti not in self._seen
        )


def _claims(assertion: str) -> dict[str, object]:
    try:
        payload = assertion.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _is_signed(assertion: str, public_key: str) -> bool:
    from joserfc import jws  # noqa: PLC0415 - extra "sandbox"
    from joserfc.errors import JoseError  # noqa: PLC0415 - extra "sandbox"
    from joserfc.jwk import ECKey, RSAKey  # noqa: PLC0415 - extra "sandbox"

    for kind in (RSAKey, ECKey):
        try:
            jws.deserialize_compact(assertion, kind.import_key(public_key), _ALGORITHMS)
        except (JoseError, ValueError, TypeError):
            continue
        return True
    return False


_LONGEST = 100
"""Characters of a secret (InputLengthRestrictions)."""


class ClientCheck:
    """
    Knows the clients and how they prove who they are.

    Args:
        clients: The registered clients by id.

        assertions: Checks client assertions.

        server_version: How the server behaves.
    """

    def __init__(
        self,
        clients: Mapping[str, SandboxClient],
        assertions: AssertionCheck,
        server_version: ServerVersion,
    ) -> None:
        self._clients = clients
        self._assertions = assertions
        self._server_version = server_version

    def find_client(
        self, form: Mapping[str, str], authorization: str, issuer: str
    ) -> SandboxClient:
        """
        Authenticate a client: by Basic if it is there, else by a secret or assertion in the form.

        Args:
            form: The posted parameters.

            authorization: The ``Authorization`` header, or an empty text.

            issuer: The tenant's issuer; an assertion is for its token endpoint, and from Duende
                on for the issuer or its other endpoints too.

        Raises:
            Refusal: ``invalid_client``, whatever is wrong.
        """
        if "client_assertion" in form:
            audiences = {f"{issuer}/connect/token"}
            if self._server_version.assertion_for_issuer:
                audiences |= {issuer, f"{issuer}/connect/par", f"{issuer}/connect/ciba"}
            proven = self._assertions.find_client(form, audiences)
            if proven is None:
                raise Refusal("invalid_client")
            return proven
        client_id, secret = read_basic(authorization) or (
            form.get("client_id", ""),
            form.get("client_secret", ""),
        )
        if not client_id:
            raise Refusal(self._server_version.missing_client_error)
        client = self._clients.get(client_id)
        if client is None or len(secret) > _LONGEST:
            raise Refusal("invalid_client")
        if client.public_key and not client.secrets:
            raise Refusal("invalid_client")
        if client.secrets and not any(is_same(secret, valid) for valid in client.secrets):
            raise Refusal("invalid_client")
        return client


def read_basic(authorization: str) -> tuple[str, str] | None:
    """
    Read an ``Authorization: Basic`` header.

    Args:
        authorization: The header's value.

    Returns:
        Name and secret, both empty if it is malformed; None if it is no Basic at all.
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


def is_same(given: str, valid: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(given.encode(), valid.encode())

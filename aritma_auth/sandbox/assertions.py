"""
Client assertions, checked as IdentityServer checks them.

Source: IdentityServer's PrivateKeyJwtSecretValidator.
"""

import binascii
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping

from aritma_auth.sandbox.clients import SandboxClient
from aritma_auth.sandbox.clock import SandboxClock

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
            and self._clock.now() < expires_at + _LEEWAY
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

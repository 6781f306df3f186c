"""
Assertions: issued by trusted issuers, by clients, and by the sandbox for other servers (ID-JAG).

Spec: RFC 7523 §2.1, §3; draft-ietf-oauth-identity-assertion-authz-grant §3, §4.
"""

import json
import secrets
from collections.abc import Mapping

import attrs

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.keys import signing_key
from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.registrations import SandboxClient
from aritma_auth.sandbox.identity.signed_jwts import is_signed_by, parse_jwt
from aritma_auth.sandbox.identity.token_issuer import TokenIssuer

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
ASSERTION_ISSUER = "https://assertions.example"
"""The issuer that the sandbox trusts from its start, and for which it signs on request."""

_ID_JAG_TYP = "oauth-id-jag+jwt"
_LEEWAY = 30
_LIFETIME = 300
_KEY_NUMBER = 1_000
"""Of the assertion issuer's key: the sandbox's own are counted from 0."""


@attrs.frozen
class AssertedIdentity:
    """
    Whom an assertion is about.

    Attributes:
        subject: Its ``sub``; None stands for the client itself.

        scope: The scope that it asks for, or None.
    """

    subject: str | None
    scope: str | None


class Assertions:
    """
    Issues assertions, and redeems each once.

    Attributes:
        trusted: Public keys by issuer: in PEM, or JSON Web Keys as text.
    """

    def __init__(self, issuer: TokenIssuer, clock: SandboxClock) -> None:
        self._issuer = issuer
        self._clock = clock
        self._seen: set[tuple[object, object]] = set()
        self.trusted: dict[str, str] = {
            ASSERTION_ISSUER: json.dumps(signing_key(_KEY_NUMBER).public)
        }

    def issue(self, subject: str, audience: str, claims: Mapping[str, object]) -> str:
        """Issue an assertion as the trusted issuer does."""
        return signing_key(_KEY_NUMBER).sign(
            self._claims(ASSERTION_ISSUER, subject, audience) | dict(claims), {"typ": "JWT"}
        )

    def issue_id_jag(
        self, issuer: str, subject: str, audience: str, client_id: str, scope: str | None
    ) -> tuple[str, int]:
        """Issue an assertion of who has signed in here, for another server; with its lifetime."""
        claims = self._claims(issuer, subject, audience) | {"client_id": client_id}
        if scope:
            claims["scope"] = scope
        return self._issuer.keys[0].sign(claims, {"typ": _ID_JAG_TYP}), _LIFETIME

    def _claims(self, issuer: str, subject: str, audience: str) -> dict[str, object]:
        now = int(self._clock.time())
        return {
            "iss": issuer,
            "sub": subject,
            "aud": audience,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + _LIFETIME,
        }

    def redeem(self, text: str, issuer: str, client: SandboxClient) -> AssertedIdentity:
        """
        Validate an assertion.

        Args:
            text: The assertion.

            issuer: The tenant's issuer, which it must be for.

            client: The client that presents it.

        Raises:
            ErrorResponse: ``invalid_grant``.
        """
        header, claims = parse_jwt(text)
        keys = self._keys_of(claims.get("iss"), issuer, client)
        if not any(is_signed_by(text, key) for key in keys):
            raise ErrorResponse("invalid_grant", "The assertion's signature is not valid.")
        is_id_jag = header.get("typ") == _ID_JAG_TYP
        if is_id_jag and claims.get("client_id") != client.client_id:
            raise ErrorResponse("invalid_grant", "The assertion is for another client.")
        audiences = {issuer, f"{issuer}/", f"{issuer}/connect/token"}
        expires_at, once = claims.get("exp"), (claims.get("iss"), claims.get("jti"))
        if (
            claims.get("aud") not in audiences
            or not isinstance(expires_at, int)
            or self._clock.time() >= expires_at + _LEEWAY
            or not isinstance(once[1], str)
            # An ID-JAG may be presented as long as it lives; any other once.
            or (once in self._seen and not is_id_jag)
        ):
            raise ErrorResponse("invalid_grant", "The assertion is not valid here, or any more.")
        self._seen.add(once)
        subject, scope = claims.get("sub"), claims.get("scope")
        is_client = subject is None or subject == client.client_id
        return AssertedIdentity(
            None if is_client else str(subject), scope if isinstance(scope, str) else None
        )

    def _keys_of(self, named: object, issuer: str, client: SandboxClient) -> list[str]:
        if named == client.client_id:
            return [] if client.public_key is None else [client.public_key]
        if named == issuer:
            return [json.dumps(key.public) for key in self._issuer.keys]
        known = self.trusted.get(str(named))
        return [] if known is None else [known]

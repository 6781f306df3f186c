"""
Signed authorization requests (JAR): the parameters as claims of a JWT, so that none can be changed.

Spec: RFC 9101; FAPI 2.0 Message Signing §5.3.
"""

import contextlib

from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.redaction import JsonValue
from aritma_auth.protocol.signing import Signer
from aritma_auth.protocol.strict_json import JsonError, parse_json_object
from aritma_auth.protocol.unsigned_jwt import UnsignedJwt

_TYPE = "oauth-authz-req+jwt"
_MAX_LIFETIME = 3600


def build_request_object(
    request: AuthorizationRequest, signer: Signer, *, issuer: str, now: float, jti: str
) -> UnsignedJwt:
    """
    Build the request object of an authorization request, still to be signed.

    Args:
        request: The request.

        signer: The client's key.

        issuer: Whom it is for: the authorization server's issuer.

        now: POSIX seconds by the server's clock.

        jti: A fresh identifier.

    Returns:
        A JWT that is valid for as long as the request is, an hour at most.

    Spec: RFC 9101 §4, §10.8.
    """
    issued_at = int(now)
    claims: dict[str, JsonValue] = {
        **_as_claims(request),
        "iss": request.client_id,
        "aud": issuer,
        "jti": jti,
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + min(int(request.lifetime), _MAX_LIFETIME),
    }
    return UnsignedJwt(signer, claims, {"typ": _TYPE})


def _as_claims(request: AuthorizationRequest) -> dict[str, JsonValue]:
    """Return the parameters as claims: a number and JSON are themselves (RFC 9101 §4)."""
    claims: dict[str, JsonValue] = {name: str(text) for name, text in request.parameters()}
    if request.max_age is not None:
        claims["max_age"] = request.max_age
    if len(request.resource) > 1:
        claims["resource"] = list(request.resource)
    if request.authorization_details:
        details = request.authorization_details
        claims["authorization_details"] = [detail.to_members() for detail in details]
    # The parameter claims of OpenID Connect Core 1.0 §5.5 is a JSON object, too.
    wanted = claims.get("claims")
    if isinstance(wanted, str):
        with contextlib.suppress(JsonError):
            claims["claims"] = dict(parse_json_object(wanted.encode()).items())
    return claims

"""
Signed authorization requests (JAR): the parameters as claims of a JWT, so that none can be changed.

Spec: RFC 9101; FAPI 2.0 Message Signing §5.3.
"""

from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.json_parameters import build_claims
from aritma_auth.protocol.redaction import JsonValue
from aritma_auth.protocol.signing import Signer
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
        **build_claims(request.parameters()),
        **({} if request.max_age is None else {"max_age": request.max_age}),
        "iss": request.client_id,
        "aud": issuer,
        "jti": jti,
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + min(int(request.lifetime), _MAX_LIFETIME),
    }
    return UnsignedJwt(signer, claims, {"typ": _TYPE})

"""
Signed authorization responses (JARM): one JWT instead of parameters that anyone could have written.

The state comes first, as in a response that is not signed: without it anyone could have sent the
callback, and a forgery must not end the end-user's sign-in. Then the signature and the JWT's own
claims; what it carries is validated as every authorization response is.

Spec: JWT Secured Authorization Response Mode for OAuth 2.0 (JARM) §2.
"""

from collections.abc import Iterable
from typing import final

from aritma_auth.errors import (
    ConfigurationError,
    IssuerMismatchError,
    StateMismatchError,
    VerificationError,
)
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.callback import Callback, parse_callback
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.protocol.jwe import DecryptionKey, is_encrypted
from aritma_auth.protocol.jwt import (
    JsonWebKey,
    find_seconds,
    is_audience,
    parse_unverified_claims,
    verify_signature,
)
from aritma_auth.protocol.redaction import HiddenStr, Members, is_same_text
from aritma_auth.protocol.urls import describe_issuer

_VERIFIED = object()
_OF_THE_JWT = frozenset({"aud", "exp", "iat", "jti", "nbf"})


@final
class VerifiedResponse:
    """
    The parameters of an authorization response whose signature is verified.

    Only `verify_response_jwt` creates one: the type is the proof.
    """

    __slots__ = ("_pairs",)

    def __init__(self, proof: object, pairs: Parameters) -> None:
        if proof is not _VERIFIED:
            raise ConfigurationError("a VerifiedResponse must come from verify_response_jwt")
        self._pairs = pairs

    def items(self) -> Iterable[tuple[str, object]]:
        """Return the parameters."""
        return self._pairs

    def __repr__(self) -> str:
        return f"VerifiedResponse({', '.join(name for name, _ in self._pairs)})"


def parse_response_jwt(
    callback: Callback, request: AuthorizationRequest, key: DecryptionKey | None = None
) -> HiddenStr:
    """
    Parse the JWT of a signed authorization response, not yet verified.

    Args:
        callback: The callback in any of its forms.

        request: The request that the browser was redirected with.

        key: Opens a response that is encrypted to the client, or None.

    Returns:
        The JWT, decrypted; what stands beside it in the callback does not count.

    Raises:
        StateMismatchError: It belongs to another sign-in.

        VerificationError: There is no JWT: someone has replaced the signed response. Or it is
            encrypted to another key.

    Spec: JARM §2.2, §2.3, §2.4.
    """
    members = parse_callback(callback, response_mode=request.response_place)
    text = members.get("response")
    jwt = HiddenStr(text if isinstance(text, str) else "")
    if is_encrypted(jwt):
        if key is None:
            raise VerificationError(
                "the signed response must not be encrypted to a client without decryption_key: "
                "give it the key that the server has registered"
            )
        jwt = key.decrypt(jwt)
    claims = parse_unverified_claims(jwt)
    if claims is None:
        raise VerificationError(
            f"the callback must bring a signed response, since response_mode "
            f"{request.response_mode} demands one, and brings none: begin a new sign-in"
        )
    state = claims.get("state")
    if not isinstance(state, str) or not is_same_text(state, request.state.text):
        raise StateMismatchError(
            "the signed response's state is not that of this sign-in: it belongs to another sign-in"
        )
    return jwt


def verify_response_jwt(
    jwt: str,
    keys: Iterable[JsonWebKey],
    *,
    issuers: frozenset[str],
    client_id: str,
    algorithms: frozenset[str],
    now: float,
    leeway: float = 30.0,
) -> VerifiedResponse:
    """
    Verify a signed authorization response.

    Args:
        jwt: What `parse_response_jwt` gave.

        keys: The issuer's JSON Web Keys.

        issuers: The issuer and its aliases, compared exactly.

        client_id: The client that it must be for.

        algorithms: Signature algorithms accepted.

        now: POSIX seconds by the server's clock.

        leeway: Seconds that the clocks may differ.

    Returns:
        Its parameters, for `validate_authorization_response`.

    Raises:
        IssuerMismatchError: It comes from another server (mix-up).

        VerificationError: Another check failed: treat the sign-in as hostile.

    Spec: JARM §2.1, §2.4.
    """
    signed = verify_signature(jwt, keys, algorithms=algorithms)
    if not signed.has_type():
        raise VerificationError("typ of the signed response must be JWT")
    claims = signed.claims
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or issuer not in issuers:
        raise IssuerMismatchError(
            f"the signed response must come from {', '.join(sorted(issuers))}, but its iss is "
            f"{describe_issuer(issuer)}"
        )
    if not is_audience(claims.get("aud"), client_id, frozenset()):
        raise VerificationError("aud of the signed response must be this client alone")
    if _seconds(claims, "exp") + leeway <= now:
        raise VerificationError("the signed response has expired, or the clocks differ")
    for name in ("iat", "nbf"):
        if claims.get(name) is not None and _seconds(claims, name) - leeway > now:
            raise VerificationError(
                f"{name} of the signed response is in the future: check the clocks"
            )
    if not isinstance(claims.get("error"), str | None):
        # It would be passed over, and what stands beside it believed.
        raise VerificationError("error of the signed response must be a string")
    return VerifiedResponse(_VERIFIED, _as_parameters(claims))


def _seconds(claims: Members, name: str) -> float:
    seconds = find_seconds(claims, name)
    if seconds is None:
        raise VerificationError(f"{name} of the signed response must be a number of seconds")
    return seconds


def _as_parameters(claims: Members) -> Parameters:
    """Write the claims as a callback carries them; expires_in is a number in a JWT."""
    return tuple(
        (HiddenStr(name), HiddenStr(value))
        for name, value in claims.items()
        if name not in _OF_THE_JWT and isinstance(value, str | int) and not isinstance(value, bool)
    )

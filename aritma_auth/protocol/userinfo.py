"""UserInfo: claims about the end-user, believed only for the end-user who signed in."""

from collections.abc import Iterable

from aritma_auth.errors import InvalidResponseError, VerificationError
from aritma_auth.protocol.http_messages import FORM, HttpRequest, HttpResponse, encode_form
from aritma_auth.protocol.json_response import parse_json_response
from aritma_auth.protocol.jwt import JsonWebKey, describe_type, is_audience, verify_signature
from aritma_auth.protocol.redaction import HiddenStr, Members
from aritma_auth.protocol.strict_json import JsonError, parse_json_object
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.www_authenticate import find_refusal


def build_userinfo_request(endpoint: str, token: Token, *, in_body: bool = False) -> HttpRequest:
    """
    Build a request for the end-user's claims.

    Args:
        endpoint: The UserInfo endpoint.

        token: An access token with the scope ``openid``.

        in_body: Post the token as a form, for a proxy that lets no ``Authorization`` header
            through. Servers need not read it there, and the header is what logs know to hide.

    Spec: OpenID Connect Core 1.0 §5.3.1; RFC 6750 §2.1, §2.2.
    """
    headers = {"Accept": "application/json"}
    secrets = (HiddenStr(token.access_token),)
    if in_body:
        form = encode_form([("access_token", token.access_token)])
        return HttpRequest("POST", endpoint, headers | {"Content-Type": FORM}, form, secrets)
    headers["Authorization"] = token.authorization
    return HttpRequest("GET", endpoint, headers, secrets=secrets)


def parse_userinfo_response(response: HttpResponse, *, subject: str, now: float) -> Members:
    """
    Parse the UserInfo endpoint's response.

    Args:
        response: The response.

        subject: ``sub`` of the verified ID token.

        now: POSIX seconds.

    Raises:
        VerificationError: The claims are another end-user's: the token was swapped.

        OAuthError: The token was refused; IdentityServer says so in a header alone.

        InvalidResponseError: It holds no claims, or is signed: see `verify_userinfo_response`.

    Spec: OpenID Connect Core 1.0 §5.3.2, §5.3.3, §5.3.4.
    """
    refusal = find_refusal(response)
    if refusal is not None:
        raise refusal
    if response.media_type == "application/jwt":
        raise InvalidResponseError(
            "the UserInfo response must be verified first, since it is signed",
            status=response.status,
        )
    return _require_subject(
        parse_json_response(response, now=now, what="the UserInfo endpoint"), subject
    )


def is_signed_userinfo(response: HttpResponse) -> bool:
    """Tell whether a response holds claims that the server has signed."""
    return response.status == 200 and response.media_type == "application/jwt"


def verify_userinfo_response(
    text: str,
    keys: Iterable[JsonWebKey],
    *,
    subject: str,
    issuers: frozenset[str],
    client_id: str,
    algorithms: frozenset[str],
) -> Members:
    """
    Verify the UserInfo endpoint's response to a client that is registered for signed ones.

    Args:
        text: What `signed_userinfo_of` gave, decrypted.

        keys: The issuer's JSON Web Keys.

        subject: ``sub`` of the verified ID token.

        issuers: The issuer and its aliases.

        client_id: The client that it must be for.

        algorithms: Signature algorithms accepted.

    Raises:
        VerificationError: A check failed: discard it.

    Spec: OpenID Connect Core 1.0 §5.3.2, §5.3.4.
    """
    signed = verify_signature(text, keys, algorithms=algorithms)
    claims = signed.claims
    if not signed.has_type():
        raise VerificationError("typ of the signed UserInfo response must be JWT")
    if claims.get("iss") not in (None, *issuers):
        raise VerificationError("iss of the signed UserInfo response must be the server's issuer")
    if claims.get("aud") is not None and not is_audience(claims["aud"], client_id, frozenset()):
        raise VerificationError("aud of the signed UserInfo response must be this client alone")
    return _require_subject(claims, subject)


def parse_decrypted_userinfo(text: str, subject: str) -> Members:
    """
    Parse the claims of a response that was encrypted and not signed.

    Args:
        text: The JSON object that was inside.

        subject: ``sub`` of the verified ID token.

    Raises:
        VerificationError: It is no JSON object, or about another end-user.

    Spec: OpenID Connect Core 1.0 §5.3.2, §5.3.4.
    """
    try:
        claims = parse_json_object(text.encode())
    except JsonError:
        pass
    else:
        return _require_subject(claims, subject)
    raise VerificationError("the encrypted UserInfo response must hold a JWT or a JSON object")


def signed_userinfo_of(response: HttpResponse) -> HiddenStr:
    """Return the JWT of a signed response."""
    return HiddenStr(response.body.decode("ascii", errors="replace").strip())


def _require_subject(claims: Members, subject: str) -> Members:
    given = claims.get("sub")
    if given == subject:
        return claims
    # The error keeps this frame, and the names of claims may repeat the token.
    del claims
    found = "" if isinstance(given, str) else f" is {describe_type(given)}"
    del given
    raise VerificationError(
        f"the UserInfo response is about another end-user than signed in (sub{found}): discard it"
    )

"""UserInfo: what the server says of the person, believed only for that person."""

from aritma_auth.errors import InvalidResponseError, OAuthError, VerificationError, oauth_error
from aritma_auth.protocol.http_messages import FORM, HttpRequest, HttpResponse, encode_form
from aritma_auth.protocol.json_response import hide_echoes, parse_json_response
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.www_authenticate import parse_challenges


def build_userinfo_request(endpoint: str, token: Token, *, in_body: bool = False) -> HttpRequest:
    """
    Ask for a person's claims.

    Args:
        endpoint: The UserInfo endpoint.

        token: An access token with the scope ``openid``.

        in_body: Post the token as a form, for what lets no ``Authorization`` header through.
            Servers need not read it there, and the header is what logs and proxies know to hide.

    Spec: OpenID Connect Core 1.0 §5.3.1; RFC 6750 §2.1, §2.2.
    """
    headers = {"Accept": "application/json"}
    if in_body:
        form = encode_form([("access_token", token.access_token)])
        return HttpRequest("POST", endpoint, headers | {"Content-Type": FORM}, form)
    return HttpRequest("GET", endpoint, headers | {"Authorization": token.authorization})


def parse_userinfo_response(response: HttpResponse, *, subject: str, now: float) -> Members:
    """
    Read a person's claims.

    Args:
        response: The answer.

        subject: ``sub`` of the verified ID token.

        now: POSIX seconds.

    Raises:
        VerificationError: The claims are of another person: a swapped token.

        OAuthError: The token was refused; IdentityServer says so in a header alone.

        InvalidResponseError: The answer is none, or is signed, which was not asked for.

    Spec: OpenID Connect Core 1.0 §5.3.2, §5.3.3, §5.3.4.
    """
    refusal = _read_refusal(response)
    if refusal is not None:
        raise refusal
    if response.media_type == "application/jwt":
        raise InvalidResponseError(
            "the UserInfo answer is signed or encrypted: register the client for plain JSON",
            status=response.status,
        )
    claims = parse_json_response(response, now=now, what="the UserInfo endpoint")
    if claims.get("sub") != subject:
        raise VerificationError("the UserInfo answer is about another person: discard it")
    return claims


def _read_refusal(response: HttpResponse) -> OAuthError | None:
    """Read the header apart, so that no frame of the error holds its words."""
    if response.status not in {401, 403}:
        return None
    for challenge in parse_challenges([response.headers.get("www-authenticate", "")]):
        error = challenge.parameters.get("error")
        if error:
            said = hide_echoes(challenge.parameters.get("error_description", ""), response.sent)
            return oauth_error(error, said or None, status=response.status)
    return None

"""
Which key or certificate an access token says that it is bound to.

A client must not look inside an access token (RFC 9068 §6). A client that demands bound tokens
looks at this one claim all the same: otherwise a server that forgets it would go unnoticed.
"""

from collections.abc import Mapping

from aritma_auth.errors import InvalidResponseError
from aritma_auth.protocol.jwt import parse_unverified_claims
from aritma_auth.protocol.redaction import JsonValue


def find_confirmation(access_token: str) -> Mapping[str, JsonValue] | None:
    """
    Find the claim by which a token names its key.

    Args:
        access_token: The token's text.

    Returns:
        The members of ``cnf``, empty if the token names no key; None if it is opaque.

    Spec: RFC 7800 §3.1; RFC 8705 §3.1; RFC 9449 §6.1.
    """
    claims = parse_unverified_claims(access_token)
    if claims is None:
        return None
    confirmation = claims.get("cnf")
    return confirmation if isinstance(confirmation, dict) else {}


def unbound(member: str, named: Mapping[str, JsonValue]) -> InvalidResponseError:
    """
    Make the error of a token that is not bound to the client's key.

    Args:
        member: ``jkt`` for a key, ``x5t#S256`` for a certificate.

        named: What the token names.
    """
    found = "names another one" if member in named else "names none"
    what = "key" if member == "jkt" else "certificate"
    return InvalidResponseError(
        f"the access token must be bound to the client's {what}, and it {found} (cnf {member}): "
        "let the server register the client for bound tokens, or leave requires_bound_tokens and "
        "profile out",
        status=200,
        problems=(f"cnf {member} {found}",),
    )

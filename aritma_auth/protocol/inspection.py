"""What an access token says, for people to look at; never a validation, never for decisions."""

from aritma_auth.protocol.base64url import decode_base64url
from aritma_auth.protocol.json_text import parse_json_object
from aritma_auth.protocol.sealed import Members


def read_unverified_claims(access_token: str) -> Members | None:
    """
    Read the claims of an access token without checking anything.

    Args:
        access_token: The token's text.

    Returns:
        The claims, or None if the token is opaque, as it may well be.

    Spec: RFC 9068 §6 (a client must not look inside; a person may).
    """
    parts = access_token.split(".")
    if len(parts) != 3:
        return None
    try:
        return parse_json_object(decode_base64url(parts[1]))
    except ValueError:
        return None

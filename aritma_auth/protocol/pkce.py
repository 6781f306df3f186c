"""Proof Key for Code Exchange (RFC 7636): only the client that began a sign-in can complete it."""

import secrets
from hashlib import sha256

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.jws import encode_base64url
from aritma_auth.protocol.redaction import HiddenStr, SecretText

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def generate_code_verifier() -> SecretText:
    """Generate a code verifier of 256 random bits (RFC 7636 §4.1, §7.1)."""
    return SecretText(secrets.token_urlsafe(32))


def build_code_challenge(code_verifier: str) -> str:
    """
    Build the S256 challenge of a verifier; "plain" is not offered.

    Args:
        code_verifier: 43 to 128 unreserved characters.

    Raises:
        ConfigurationError: The verifier is of another length or has other characters.

    Spec: RFC 7636 §4.1, §4.2.
    """
    code_verifier = HiddenStr(code_verifier)
    if not 43 <= len(code_verifier) <= 128 or not _UNRESERVED.issuperset(code_verifier):
        raise ConfigurationError(
            "the code verifier must be 43 to 128 letters, digits and -._~, not "
            f"{len(code_verifier)} characters of any kind (RFC 7636 §4.1)"
        )
    return encode_base64url(sha256(code_verifier.encode()).digest())

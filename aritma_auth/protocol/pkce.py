"""Proof Key for Code Exchange: only who started a sign-in can finish it."""

import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.redaction import HiddenStr, SecretText

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def generate_code_verifier() -> SecretText:
    """Make a verifier of 256 random bits (RFC 7636 §4.1, §7.1)."""
    return SecretText(secrets.token_urlsafe(32))


def build_code_challenge(code_verifier: str) -> str:
    """
    Make the S256 challenge of a verifier; there is no "plain" here.

    Args:
        code_verifier: 43 to 128 unreserved characters.

    Raises:
        ConfigurationError: The verifier is of another length or has other characters.

    Spec: RFC 7636 §4.1, §4.2.
    """
    code_verifier = HiddenStr(code_verifier)
    if not 43 <= len(code_verifier) <= 128 or not _UNRESERVED.issuperset(code_verifier):
        raise ConfigurationError(
            "a code verifier is 43 to 128 letters, digits and -._~ (RFC 7636 §4.1)"
        )
    return urlsafe_b64encode(sha256(code_verifier.encode()).digest()).decode().rstrip("=")

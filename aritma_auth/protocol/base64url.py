"""The one spelling of base64url that JSON Web Tokens have."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*")


def encode_base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def decode_base64url(text: str) -> bytes:
    """
    Decode strictly.

    Python's own decoder skips what it does not know, so that one signature would have many
    spellings.

    Args:
        text: Without padding.

    Raises:
        ValueError: A foreign character, padding, or bits beyond the last byte.

    Spec: RFC 7515 §2; RFC 4648 §3.5.
    """
    if _ALPHABET.fullmatch(text) is not None and len(text) % 4 != 1:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if encode_base64url(data) == text:
            return data
    raise ValueError("the text is not base64url")

"""Base64url without padding (RFC 7515 §2), and the hash that so much of OAuth writes in it."""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode


def encode_base64url(octets: bytes) -> str:
    """Encode bytes."""
    return urlsafe_b64encode(octets).decode().rstrip("=")


def decode_base64url(text: str) -> bytes:
    """
    Decode a text.

    Raises:
        binascii.Error: It is no base64url.
    """
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def hash_base64url(text: str) -> str:
    """Hash a text with SHA-256."""
    return encode_base64url(hashlib.sha256(text.encode()).digest())

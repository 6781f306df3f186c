"""What a client and a browser can compare: ``session_state``, without HTTP."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def make_session_state(client_id: str, redirect_uri: str, session_id: str) -> str:
    """
    Make the value that the frame of ``/connect/checksession`` computes again.

    Args:
        client_id: Who asks.

        redirect_uri: Its origin, as browsers write it, is the client's.

        session_id: The browser's session.

    Spec: OpenID Connect Session Management 1.0 §2, §3.2.
    """
    salt = secrets.token_hex(16).upper()
    text = f"{client_id}{_origin_of(redirect_uri)}{session_id}{salt}"
    digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
    return f"{digest}.{salt}"


def _origin_of(redirect_uri: str) -> str:
    parts = urlsplit(redirect_uri)
    usual = _PORTS.get(parts.scheme)
    if usual is None:
        # An app's own scheme: no page of that origin will ever ask.
        return ""
    host = parts.netloc.lower().removesuffix(f":{usual}")
    return f"{parts.scheme}://{host}"

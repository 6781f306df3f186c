"""A page of your own, for a hidden frame, that notices when a session at the server ends."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from html import escape

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.urls import origin_of, require_secure_url

_DAY = 86_400
# Always the same text, so that one hash lets it run: what differs stands in its attributes.
_SCRIPT = """
"use strict";
const { message, src, seconds } = document.currentScript.dataset;
const { origin } = new URL(src);
const server = document.createElement("iframe");
let timer;
function ask() {
  server.contentWindow.postMessage(message, origin);
}
server.addEventListener("load", () => {
  timer = setInterval(ask, seconds * 1000);
  ask();
}, { once: true });
addEventListener("message", (event) => {
  if (event.origin !== origin || event.source !== server.contentWindow) return;
  if (event.data === "unchanged") return;
  clearInterval(timer);
  if (event.data === "changed") parent.postMessage("session changed", location.origin);
});
server.src = src;
server.title = "Session";
document.body.append(server);
"""
_SCRIPT_HASH = b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()


@attrs.frozen
class SessionPage:
    """
    A page for a hidden frame of your application, and the header fields to serve it with.

    Attributes:
        html: The page.

        headers: Its type, and a Content-Security-Policy: this script alone, a frame of the
            server's alone, and only your own pages may frame it.
    """

    html: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False, hash=False)


def build_session_page(
    check_session_iframe: str, *, client_id: str, session_state: str, interval: float = 5.0
) -> SessionPage:
    """
    Build the page that asks the server's frame whether the person still is signed in there.

    Serve it at the origin of your ``redirect_uri``, which the server has put into
    ``session_state``, and show it in a hidden frame. When the session has changed, it posts
    ``session changed`` to the page around it, if that is of the same origin, and asks no more:
    then try an authorization request with ``prompt="none"``, in place of signing anybody out at
    once. If the server's frame answers with an error it falls silent, as it must, for another
    request could bring no better answer.

    Args:
        check_session_iframe: The server's frame; `OAuthClient.endpoint` gives it by this name.

        client_id: The client that the person signed in to.

        session_state: `SignIn.session_state`, unchanged.

        interval: Seconds between two questions; they stay within the browser.

    Raises:
        ConfigurationError: ``check_session_iframe`` is not secure, or ``interval`` is not between
            0 and a day.

    Spec: OpenID Connect Session Management 1.0 §3.1.
    """
    origin = origin_of(require_secure_url(check_session_iframe, "check_session_iframe"))
    if not 0 < interval <= _DAY:
        raise ConfigurationError("interval must be more than no seconds and at most a day")
    data = {
        "message": f"{client_id} {session_state}",
        "src": check_session_iframe,
        "seconds": str(interval),
    }
    attributes = " ".join(f'data-{name}="{escape(value)}"' for name, value in data.items())
    policy = (
        f"default-src 'none'; script-src 'sha256-{_SCRIPT_HASH}'; frame-src {origin.url}; "
        "base-uri 'none'; frame-ancestors 'self'"
    )
    return SessionPage(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Session</title></head>'
        f"<body><script {attributes}>{_SCRIPT}</script></body></html>",
        {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": policy,
            # It belongs to one person's session.
            "Cache-Control": "no-store",
        },
    )

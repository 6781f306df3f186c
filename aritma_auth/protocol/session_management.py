"""A page for a hidden frame of your application that notices the end of the server's session."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from html import escape

import attrs

from aritma_auth.errors import ConfigurationError, require_instance, require_seconds
from aritma_auth.protocol.urls import origin_of, require_secure_url

_DAY = 86_400
# The text never varies, so that one hash in the policy allows it; data attributes vary.
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
  // A slow frame may still have a second question to respond to.
  if (event.data === "unchanged" || timer === undefined) return;
  timer = clearInterval(timer);
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
    Build the page that asks the server's frame whether the end-user is still signed in there.

    Serve it at the origin of your ``redirect_uri``, which the server has put into
    ``session_state``, and show it in a hidden frame. When the session has changed, it posts
    ``session changed`` to the page around it, if that has the same origin, and stops polling: then
    send an authorization request with ``prompt="none"`` before you sign the end-user out. If the
    server's frame responds with an error, polling stops without a message (§3.1).

    Args:
        check_session_iframe: The server's frame, from its metadata.

        client_id: The client that the end-user signed in to.

        session_state: `SignIn.session_state`, unchanged.

        interval: Seconds between two polls; they stay within the browser.

    Raises:
        ConfigurationError: ``check_session_iframe`` is not secure, or ``interval`` is not between
            0 and a day.

    Spec: OpenID Connect Session Management 1.0 §3.1.
    """
    require_instance("client_id", "the client's identifier", client_id, str)
    required = "SignIn.session_state, which a server without sessions does not send"
    require_instance("session_state", required, session_state, str)
    origin = origin_of(require_secure_url(check_session_iframe, "check_session_iframe"))
    require_seconds("interval", interval, above_zero=True)
    if interval > _DAY:
        raise ConfigurationError(f"interval must be at most a day, not {interval} seconds")
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
            # It belongs to one end-user's session.
            "Cache-Control": "no-store",
        },
    )

"""Session management: the check_session_iframe, and the session_state that it computes again."""

import hashlib
import secrets
from base64 import b64encode
from urllib.parse import urlsplit

from aiohttp import web

from aritma_auth.sandbox.identity.base64url import hash_base64url

STATE_COOKIE = "aritma-sandbox-session"
"""The cookie that the frame's script reads."""

_SCRIPT = """
"use strict";
const cookieName = document.currentScript.dataset.cookie;
const encoder = new TextEncoder();
function currentSession() {
  const cookies = document.cookie.split("; ").map((cookie) => cookie.split("="));
  return Object.fromEntries(cookies)[cookieName] ?? "";
}
async function hash(text) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(text)));
  const base64 = btoa(String.fromCharCode(...digest));
  return base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
async function check(message, origin) {
  const parts = /^(.+) ([^ .]+)\\.([^ .]+)$/.exec(message);
  if (parts === null) return "error";
  const [, clientId, given, salt] = parts;
  const known = await hash(clientId + origin + currentSession() + salt);
  return known === given ? "unchanged" : "changed";
}
addEventListener("message", async (event) => {
  const result = await check(event.data, event.origin);
  event.source.postMessage(result, event.origin);
});
"""
_SCRIPT_HASH = b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()


class CheckSessionFrame:
    """
    The route of the check_session_iframe.

    Spec: OpenID Connect Session Management 1.0 §3.2.
    """

    def add_routes(self, app: web.Application) -> None:
        """Add the routes, with and without a tenant."""
        for prefix in ("", "/{tenant}"):
            app.router.add_get(f"{prefix}/connect/checksession", self.frame)

    async def frame(self, _request: web.Request) -> web.Response:
        """Serve the frame; any client's page may embed it."""
        policy = f"default-src 'none'; script-src 'sha256-{_SCRIPT_HASH}'; base-uri 'none'"
        return web.Response(
            content_type="text/html",
            charset="utf-8",
            headers={"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"},
            text=(
                '<!doctype html><html lang="en"><head><meta charset="utf-8">'
                "<title>Session</title></head><body>"
                f'<script data-cookie="{STATE_COOKIE}">{_SCRIPT}</script></body></html>'
            ),
        )


_PORTS = {"http": 80, "https": 443}


def build_session_state(client_id: str, redirect_uri: str, session_id: str) -> str:
    """
    Build the ``session_state`` that the check_session_iframe computes again.

    Spec: OpenID Connect Session Management 1.0 §2, §3.2.
    """
    salt = secrets.token_hex(16).upper()
    text = f"{client_id}{_origin_of(redirect_uri)}{session_id}{salt}"
    return f"{hash_base64url(text)}.{salt}"


def _origin_of(redirect_uri: str) -> str:
    parts = urlsplit(redirect_uri)
    usual = _PORTS.get(parts.scheme)
    if usual is None:
        # A private-use scheme: no page has such an origin.
        return ""
    host = parts.netloc.lower().removesuffix(f":{usual}")
    return f"{parts.scheme}://{host}"

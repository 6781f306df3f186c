"""The frame that tells a client's page whether the browser's session is still the same one."""

import hashlib
from base64 import b64encode

from aiohttp import web

from aritma_auth.sandbox.forms import STATE_COOKIE

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
async function judge(asked, origin) {
  const parts = /^(.+) ([^ .]+)\\.([^ .]+)$/.exec(asked);
  if (parts === null) return "error";
  const [, clientId, said, salt] = parts;
  const known = await hash(clientId + origin + currentSession() + salt);
  return known === said ? "unchanged" : "changed";
}
addEventListener("message", async (event) => {
  const answer = await judge(event.data, event.origin);
  event.source.postMessage(answer, event.origin);
});
"""
_SCRIPT_HASH = b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()


class CheckSession:
    """
    The route of that frame.

    Spec: OpenID Connect Session Management 1.0 §3.2.
    """

    def add_routes(self, app: web.Application) -> None:
        """
        Add the routes, with and without a tenant.

        Args:
            app: The identity server's application.
        """
        for prefix in ("", "/{tenant}"):
            app.router.add_get(f"{prefix}/connect/checksession", self.frame)

    async def frame(self, _request: web.Request) -> web.Response:
        """Give the frame; any client's page may show it."""
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

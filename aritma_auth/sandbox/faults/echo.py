"""
Responses that repeat the request's secrets, as a careless or hostile server does.

Servers put request values into messages, logs put them into pages, and each of them encodes values
in its own way. A client must hide its secrets from its own logs in every one of these spellings.
"""

import base64
import html
import json
from collections.abc import Callable, Mapping
from urllib.parse import quote, quote_plus

from aiohttp import web
from aiohttp.typedefs import Handler

from aritma_auth.sandbox.faults.injection import Fault
from aritma_auth.sandbox.identity.base64url import encode_base64url
from aritma_auth.sandbox.identity.client_authentication import parse_basic


def _escape_every_character(text: str) -> str:
    utf16 = text.encode("utf-16-be")
    return "".join(f"\\u{utf16[i : i + 2].hex()}" for i in range(0, len(utf16), 2))


SPELLINGS: Mapping[str, Callable[[str], str]] = {
    "raw": str,
    "form": quote_plus,
    "percent": lambda text: "".join(f"%{octet:02x}" for octet in text.encode()),
    "uri": lambda text: quote(text, safe=""),
    "json": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "unicode-escapes": _escape_every_character,
    "html": html.escape,
    "hex": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64url": lambda text: encode_base64url(text.encode()),
}
"""The ways to write a value, by name."""

PLACES_IN_RESPONSE = (
    "error",
    "error_description",
    "error_uri",
    "member",
    "token_type",
    "scope",
    "html",
    "text",
    "challenge",
    "problem",
)
"""The texts of a response that a server controls, by name."""

_NOT_SECRET = frozenset(
    {
        "client_assertion_type",
        "client_id",
        "grant_type",
        "redirect_uri",
        "scope",
        "subject_token_type",
        "actor_token_type",
        "requested_token_type",
        "token_type_hint",
        "username",
    }
)


def echo(spelling: str, place: str, status: int) -> Fault:
    """Repeat the request's secrets in one text of the response."""
    spell = SPELLINGS[spelling]

    async def fault(request: web.Request, _handler: Handler) -> web.StreamResponse:
        return _respond(place, " ".join(map(spell, await _secrets_of(request))), status)

    return fault


async def _secrets_of(request: web.Request) -> list[str]:
    """Give every secret of a request: its form's and those of its ``Authorization`` header."""
    form = await request.post()
    found = [str(value) for name, value in form.items() if name not in _NOT_SECRET]
    header = request.headers.get("Authorization", "")
    basic = parse_basic(header)
    if basic is not None:
        found.append(basic[1])
    if header:
        found.append(header.partition(" ")[2])
    return found


def _respond(place: str, text: str, status: int) -> web.Response:
    members: dict[str, object] = {"error": "invalid_request"}
    if place == "text":
        return web.Response(status=status, text=text)
    if place == "html":
        page = f"<!doctype html><title>Error</title><p>{text}"
        return web.Response(status=status, text=page, content_type="text/html")
    if place == "challenge":
        challenge = f'Bearer error="invalid_token", error_description="{text}"'
        return web.Response(status=status, headers={"WWW-Authenticate": challenge})
    if place == "problem":
        problem = {"type": f"urn:{text}", "title": text, "status": status, "detail": text}
        return web.json_response(problem, status=status, content_type="application/problem+json")
    if place in {"token_type", "scope"}:
        members = {"access_token": "a", "token_type": "Bearer", "expires_in": 60}
    elif place == "member":
        members["trace"] = {"request": [text]}
    if place != "member":
        members[place] = text
    return web.json_response(members, status=200 if "access_token" in members else status)

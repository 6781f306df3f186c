"""
Refresh tokens that came in token responses which must not be used.

A server that rotates has spent the refresh token that was presented, whatever is wrong with its
response. Its successor goes to the sender of the request, which listens here: beside the error,
never in it, since an exception is logged, pickled, and shown by error reporters with its frames.

The sender hears of the request's departure too: what is presented once may be presented again only
when that request must be over.
"""

import json
import re
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING

from aritma_auth.protocol.http_messages import is_sendable
from aritma_auth.protocol.redaction import HiddenStr, SecretText
from aritma_auth.protocol.strict_json import JsonError, parse_json_object
from aritma_auth.protocol.tokens import Token

if TYPE_CHECKING:
    from aritma_auth.protocol.http_messages import HttpResponse

_listener: ContextVar[Callable[[Token], None] | None] = ContextVar("_listener", default=None)
_on_departure: ContextVar[Callable[[], None] | None] = ContextVar("_on_departure", default=None)


def listening_context(keep: Callable[[Token], None], depart: Callable[[], None]) -> Context:
    """
    Return a context for a task: in it, the successors in unusable responses are received.

    Args:
        keep: Called with a token that has expired, and is good for its refresh token alone.

        depart: Called when a request is about to leave.
    """
    context = copy_context()
    context.run(_listener.set, keep)
    context.run(_on_departure.set, depart)
    return context


def tell_departure() -> None:
    """Tell the listener, if there is one, that a request is about to leave."""
    depart = _on_departure.get()
    if depart is not None:
        depart()


def keep_successor(response: "HttpResponse", *, sent_at: float) -> None:
    """
    Give the refresh token of an unusable response to the listener, if there is one.

    Args:
        response: A token response that must not be used.

        sent_at: POSIX seconds when the request left.
    """
    keep = _listener.get()
    if keep is None or not 200 <= response.status < 300:
        return
    text = _find_refresh_token(response.body)
    if text and is_sendable(text):
        refresh_token = SecretText(text)
        # Nothing may use the access token that came: this one goes into no header.
        unusable = f"unusable-{refresh_token.fingerprint}"
        keep(
            Token(
                unusable, "N_A", expires_at=sent_at, issued_at=sent_at, refresh_token=refresh_token
            )
        )


def _find_refresh_token(body: bytes) -> HiddenStr | None:
    """Find the refresh token in JSON, or in what is none, such as the beginning of it."""
    try:
        member = parse_json_object(body).get("refresh_token")
    except JsonError:
        found = set(re.findall(rb'"refresh_token"\s*:\s*("(?:[^"\\]|\\.)*")', body))
        # Of two, nobody can say which is meant.
        member = _text(found.pop()) if len(found) == 1 else None
    return HiddenStr(member) if isinstance(member, str) else None


def _text(literal: bytes) -> HiddenStr | None:
    try:
        return HiddenStr(json.loads(literal))
    except ValueError:
        return None

"""JSON answers of every endpoint: an object with status 200, or what the server said instead."""

from collections.abc import Iterable

from aritma_auth.errors import (
    AritmaAuthError,
    InvalidResponseError,
    OAuthError,
    TransportError,
    oauth_error,
)
from aritma_auth.protocol.http_messages import HttpResponse, parse_retry_after
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.strict_json import JsonError, parse_json_object

_SHORTEST_SECRET = 4


def parse_json_response(response: HttpResponse, *, now: float, what: str) -> Members:
    """
    Read the JSON object of a 200 answer, or raise what the server said instead.

    Args:
        response: The answer.

        now: POSIX seconds, for ``Retry-After`` dates.

        what: Who answered, for the error's message.

    Raises:
        OAuthError: The answer is an OAuth error, whatever its status.

        InvalidResponseError: Neither a JSON object with status 200 nor an OAuth error.

    Spec: RFC 6749 §5.2.
    """
    retry_after = parse_retry_after(response, now=now)
    problem: str
    try:
        members = parse_json_object(response.body)
    except JsonError as error:
        problem = str(error)
    else:
        refusal = _read_refusal(members, response, retry_after)
        if refusal is not None:
            raise refusal
        if response.status == 200:
            return members
        problem = "the body is not an OAuth error"
    raise _unusable(response, what, problem, retry_after)


def _unusable(
    response: HttpResponse, what: str, problem: str, retry_after: float | None
) -> AritmaAuthError:
    kind = response.media_type or "no media type"
    if 300 <= response.status < 400:
        problem = "a redirect is never followed with a credential: configure the final URL"
    return InvalidResponseError(
        f"{what} answered {response.status} with {printable_kind(kind)}: {problem}",
        status=response.status,
        problems=(problem,),
        retry_after=retry_after,
    )


def printable_kind(media_type: str) -> str:
    """Shorten a media type for a message; anything that is not one is not shown."""
    known = all(char.isalnum() or char in "/+-._ " for char in media_type)
    return media_type[:60] if known and media_type.isascii() else "an unreadable media type"


def _read_refusal(
    members: Members, response: HttpResponse, retry_after: float | None
) -> OAuthError | None:
    error, status = members.get("error"), response.status
    # Some servers answer 200 with an error; a token beside it would be no error.
    if not isinstance(error, str) or not error or (status == 200 and "access_token" in members):
        return None
    return oauth_error(
        hide_echoes(error, response.sent),
        _said(members, "error_description", response),
        uri=_said(members, "error_uri", response),
        status=status,
        retry_after=retry_after,
    )


def _said(members: Members, name: str, response: HttpResponse) -> str | None:
    text = members.get(name)
    return hide_echoes(text, response.sent) if isinstance(text, str) and text else None


def hide_echoes(text: str, secrets: Iterable[str]) -> str:
    """
    Take out of a server's text what we had sent: some repeat the code or token they refuse.

    Args:
        text: What the server says, uncut.

        secrets: What must not show; the few shortest could be any word.
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return text


def is_ambiguous(error: AritmaAuthError) -> bool:
    """
    Tell whether the server may have done what was asked although no good answer came.

    Args:
        error: What came instead of an answer.
    """
    if isinstance(error, TransportError):
        return error.may_have_arrived
    if isinstance(error, InvalidResponseError | OAuthError):
        # 429 and 503 are given before the request is worked on.
        return error.status == 200 or (
            error.status is not None and error.status >= 500 and error.status != 503
        )
    return False

"""
The JSON response of any endpoint: an object with status 200, or what the server said instead.

Two kinds of failure are told apart, because different parties act on them: the server's refusal (an
OAuth error, in whatever status it comes, or a 401 to a client that authenticated) and everything
that does not come from an OAuth server at all, such as the page of a proxy.
"""

import re
from collections.abc import Callable, Container
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from aritma_auth.errors import (
    AritmaAuthError,
    InvalidResponseError,
    OAuthError,
    TransportError,
    oauth_error,
    printable,
)
from aritma_auth.protocol.http_messages import HttpResponse, parse_retry_after
from aritma_auth.protocol.redaction import MASK, Members
from aritma_auth.protocol.strict_json import JsonError, StructureError, parse_json_object, structure
from aritma_auth.protocol.urls import describe_url

if TYPE_CHECKING:
    from aritma_auth.protocol.www_authenticate import Challenge

T = TypeVar("T")

# Frameworks respond to each POST with 201, and a proxy that changes a response makes it 203.
_OK = frozenset({200, 201, 203})
# Codes of Keycloak and Auth0 for a client that has not authenticated.
_REFUSED_CLIENTS = frozenset({"access_denied", "unauthorized_client"})
# Where gateways and frameworks say what is wrong.
_SAYING = ("error", "error_description", "message", "detail", "title", "errorSummary")
_REASON_PHRASES = frozenset(status.phrase.lower() for status in HTTPStatus)
_EXCERPT = 60
_EXCERPT_READ = 512
# Not compiled here: only what cannot be used is matched, and re keeps what it has compiled.
_TOKEN_LIKE = r"[A-Za-z0-9._~+/=%-]{16,}"
"""Whatever looks like a credential: long, and of the characters that tokens are made of."""
_TOKEN_LIKE_SEGMENT = r"[A-Za-z0-9._~+=%-]{16,}"
"""The same within the path of a URL, whose slashes part it."""
_MAY_HOLD_TOKEN = rb"(?i)token|secret|assertion|password|bearer|eyJ"
_ABOUT_GRANT = r"(?i)^(?!.*\b([cx]srf|anti-?forgery|api|security)\b).*(token|grant)"
"""A sentence of what was presented, and not of a token that a gateway or a framework gives."""
_MEDIA_TYPE = r"[A-Za-z0-9!#$&^_.+/ -]{1,60}"


def parse_json_response(
    response: HttpResponse,
    *,
    now: float,
    what: str,
    is_authenticated: bool = False,
    success: Container[int] = _OK,
) -> Members:
    """
    Parse the JSON object of a success response, or raise what the server said instead.

    Args:
        response: The response.

        now: POSIX seconds, for ``Retry-After`` dates.

        what: The endpoint, for the error's message.

        is_authenticated: The request authenticated the client, so a bare 401 refuses the client.

        success: Statuses of a success response.

    Raises:
        OAuthError: The response is an OAuth error, whatever its status, or refuses the client.

        InvalidResponseError: Neither a JSON object with such a status nor an OAuth error.

    Spec: RFC 6749 §5.2.
    """
    retry_after = parse_retry_after(response, now=now)
    problem: str
    try:
        members = parse_json_object(response.body)
    except JsonError as error:
        problem = str(error)
        said = _excerpt(response)
    else:
        refusal = _parse_refusal(members, response, retry_after, is_authenticated=is_authenticated)
        if refusal is None and response.status in success:
            return members
        is_refusal = response.status >= 400
        problem = "the body is not an OAuth error" if is_refusal else "the status must be 200"
        said = _quote_members(members, response)
        # The error keeps this frame, and the names of members may repeat what was sent.
        del members
        if refusal is not None:
            raise refusal
    said += _describe_challenges(response)
    if is_authenticated and response.status == 401:
        # IdentityServer refuses an introspecting client by the status alone (RFC 7662 §2.3).
        said = f"status 401 with {_kind(response)} and no OAuth error{said}"
        raise oauth_error("invalid_client", said, status=401, retry_after=retry_after)
    raise _unusable(response, what, problem, said, retry_after)


def _parse_refusal(
    members: Members, response: HttpResponse, retry_after: float | None, *, is_authenticated: bool
) -> OAuthError | None:
    error, status = members.get("error"), response.status
    # Some servers send an error with status 200; beside a token "error" is a custom member.
    if not isinstance(error, str) or not error or (status in _OK and "access_token" in members):
        return None
    if not _is_oauth_code(error, status):
        return None
    description = _text(members, "error_description", response)
    if is_authenticated and status == 401 and error in _REFUSED_CLIENTS:
        # Status 401 is a client's that has not authenticated (§5.2), and never a grant's.
        description = error if description is None else f"{error}: {description}"
        error = "invalid_client"
    return oauth_error(
        _hide(error, response),
        description,
        uri=_text(members, "error_uri", response),
        status=status,
        retry_after=retry_after,
    )


def _is_oauth_code(error: str, status: int) -> bool:
    # An error is a code, nearly always with status 400 (§5.2). Frameworks write the status's phrase
    # there, some of them as a code, and gateways a sentence.
    if error.lower().replace("_", " ").replace("-", " ") in _REASON_PHRASES:
        return False
    # Authorization servers in the field write sentences as well. What stands in front of one knows
    # nothing of tokens and grants.
    return " " not in error or (status == 400 and re.match(_ABOUT_GRANT, error) is not None)


def _text(members: Members, name: str, response: HttpResponse) -> str | None:
    text = members.get(name)
    return _hide(text, response) if isinstance(text, str) and text else None


def _hide(text: str, response: HttpResponse) -> str:
    # Imported here: only a refusal is searched for what it repeats.
    from aritma_auth.protocol.echoes import hide_echoes

    return hide_echoes(text, response.sent)


def _unusable(
    response: HttpResponse, what: str, problem: str, said: str, retry_after: float | None
) -> InvalidResponseError:
    status = response.status
    if 300 <= status < 400:
        problem = (
            f"a redirect{_describe_target(response)} is never followed with a credential: "
            "configure the final URL"
        )
    return InvalidResponseError(
        f"{what} responded {status} with {_kind(response)}: {problem}{said}",
        status=status,
        problems=(problem,),
        retry_after=retry_after,
    )


def _describe_target(response: HttpResponse) -> str:
    location = response.headers.get("location", "")
    if not location:
        return ""
    target = describe_url(_hide(location, response))
    return f" to {re.sub(_TOKEN_LIKE_SEGMENT, MASK, target)}"


def _describe_challenges(response: HttpResponse) -> str:
    """Tell what a refusal's ``WWW-Authenticate`` asks for: perhaps another method (§5.2)."""
    field = response.headers.get("www-authenticate", "")
    if response.status < 400 or not field:
        return ""
    # Imported here: few refusals have a challenge.
    from aritma_auth.protocol.www_authenticate import parse_challenges

    return "".join(map(partial(_describe_challenge, response), parse_challenges([field])[:2]))


def _describe_challenge(response: HttpResponse, challenge: "Challenge") -> str:
    named = map(challenge.parameters.get, ("error", "error_description"))
    words = "".join(f", {_quote(text, response)!r}" for text in named if text)
    return f"; its challenge is {_quote(challenge.scheme.capitalize(), response)}{words}"


def _kind(response: HttpResponse) -> str:
    media_type = response.media_type
    if not media_type:
        return "no media type"
    # A log is a terminal: anything that is not a media type is not shown.
    if not re.fullmatch(_MEDIA_TYPE, media_type):
        return "an unreadable media type"
    return _hide(media_type, response)


def _excerpt(response: HttpResponse) -> str:
    """Show how an error page begins: that is how a user recognises the proxy that sent it."""
    start = response.body[:_EXCERPT_READ]
    # A token comes with status 200, or in JSON that was cut off, or in a form.
    if response.status < 400 or start.lstrip()[:1] in {b"", b"{", b"[", b'"'}:
        return ""
    if re.search(_MAY_HOLD_TOKEN, response.body):
        return ""
    return f"; it begins {_quote(start.decode(errors='replace'), response)!r}"


def _quote_members(members: Members, response: HttpResponse) -> str:
    """Show what a gateway or a framework says in the place of an OAuth error."""
    if response.status < 400:
        return ""
    said = []
    for name in _SAYING:
        text = members.get(name)
        if isinstance(text, dict):
            # Google and others have an object with a code and a message.
            text = text.get("message")
        if isinstance(text, str) and text:
            said.append(f"; {name} is {_quote(text, response)!r}")
    return "".join(said[:2])


def _quote(text: str, response: HttpResponse) -> str:
    hidden = " ".join(_hide(text, response).split())
    return printable(re.sub(_TOKEN_LIKE, MASK, hidden), _EXCERPT)


def structure_response(
    members: Members,
    model: type[T],
    find_problems: Callable[[T], tuple[str, ...]],
    *,
    what: str,
    status: int,
) -> T:
    """
    Make a value of a success response's members, or raise what is wrong with them.

    Args:
        members: The response's members.

        model: An attrs class whose fields are the members' names.

        find_problems: Says what is wrong with values of the right types, one sentence a member.

        what: The response, for the error's message, such as ``the token response``.

        status: HTTP status, for the error.

    Raises:
        InvalidResponseError: A member is missing, of the wrong type or not usable.
    """
    problems: tuple[str, ...]
    try:
        received = structure(members, model)
    except StructureError as error:
        problems = error.problems
    else:
        problems = find_problems(received)
        if not problems:
            return received
        del received
    # The error keeps this frame, and the names of members may repeat what was sent.
    del members
    raise InvalidResponseError(
        f"{what} is unusable: {'; '.join(problems)}", status=status, problems=problems
    )


def is_ambiguous(error: AritmaAuthError) -> bool:
    """
    Tell whether the server may have acted on a request although no usable response came.

    Args:
        error: What came instead.
    """
    if isinstance(error, TransportError):
        return error.may_have_arrived
    if isinstance(error, InvalidResponseError | OAuthError) and error.status is not None:
        # 429 and 503 are sent before the request is worked on.
        return 200 <= error.status < 300 or (error.status >= 500 and error.status != 503)
    return False


def is_unusable(error: AritmaAuthError) -> bool:
    """
    Tell whether a success response came that must not be used: it comes again if it is asked for.

    Args:
        error: What was raised for it.
    """
    return isinstance(error, InvalidResponseError) and 200 <= error.status < 300

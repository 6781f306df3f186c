"""What an API reports: problem details, statuses, times."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import attrs

from aritma_auth.errors import printable, require_instance
from aritma_auth.protocol.echoes import hide_echoes, hide_tokens
from aritma_auth.protocol.parameters import parse_texts
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.strict_json import JsonError, parse_json_object

# What a server may send in the place of an object is its fault; anything else is the caller's.
_JSON = (Mapping, list, int, float, type(None))

_MEMBERS = ("type", "title", "detail", "instance")


@attrs.frozen(kw_only=True)
class ApiProblem:
    """
    The problem that an API reports.

    Attributes:
        status: HTTP status of the response.

        type: URI of the problem type.

        title: The problem type in words, or None.

        detail: This occurrence in words, or None.

        instance: URI of this occurrence, or None.

        extra: Extension members; ``repr`` shows their names alone.

    Spec: RFC 9457 §3.1.
    """

    status: int
    type: str = "about:blank"
    title: str | None = None
    detail: str | None = None
    instance: str | None = None
    extra: Members = attrs.field(factory=Members)

    def __str__(self) -> str:
        return ": ".join([str(self.status), *filter(None, (self.title, self.detail))])


def parse_problem(
    status: int, body: bytes, content_type: str = "", *, sent: Iterable[str] = ()
) -> ApiProblem:
    """
    Parse an API's response of status 400 or more. Whatever a gateway sends, this does not raise.

    Args:
        status: HTTP status.

        body: The body.

        content_type: Its media type. Aritma's pages list problems as ``application/json``.

        sent: Secrets of the request, which the problem's texts must not repeat. What looks like an
            access token is masked without being named.

    Returns:
        The problem; control characters in its texts are replaced.

    Raises:
        ConfigurationError: An argument is of the wrong kind.

    Spec: RFC 9457 §3; RFC 7807.
    """
    require_instance("status", "a number, such as response.status", status, int)
    require_instance("body", "bytes, such as await response.read()", body, bytes)
    require_instance("content_type", "a text, such as response.content_type", content_type, str)
    secrets = parse_texts(sent, "sent")
    media_type = content_type.partition(";")[0].strip().lower()
    try:
        is_json = not media_type or media_type == "application/json" or media_type[-5:] == "+json"
        members = parse_json_object(body) if is_json else Members()
    except JsonError:
        members = Members()
    texts = {
        name: printable(hide_echoes(hide_tokens(value), secrets))
        for name in _MEMBERS
        if isinstance(value := members.get(name), str)
    }
    known = {*_MEMBERS, "status"}
    extra = {name: value for name, value in members.items() if name not in known}
    return ApiProblem(status=status, extra=Members(extra), **texts)


def is_status(value: object, *expected: str) -> bool:
    """
    Tell whether a status that an API sent is one of those expected, without regard to case.

    Aritma's pages write the same status as ``Created`` and as ``created``.

    Args:
        value: What the response has, such as its ``scaStatus``; anything but a text matches none.

        expected: Statuses, such as ``finalised``.

    Raises:
        ConfigurationError: One that is expected is no text.

    Source: Banking v4's OpenAPI, and its quick start.
    """
    for each in expected:
        require_instance("each of expected", "a status, such as 'finalised'", each, str)
    return isinstance(value, str) and value.casefold() in {each.casefold() for each in expected}


def read_members(members: object) -> Mapping[str, object]:
    """
    Read what ``response.json()`` gave: whatever the server sent in the place of an object is empty.

    Args:
        members: The JSON object.

    Raises:
        ConfigurationError: It is nothing that JSON is parsed to, such as a coroutine or the text.
    """
    require_instance("members", "a JSON object, such as await response.json()", members, _JSON)
    return members if isinstance(members, Mapping) else {}


def first_text(members: Mapping[str, object], names: Iterable[str]) -> str | None:
    """
    Return the first of some members that is a text and not empty.

    Args:
        members: The JSON object.

        names: The members' names.
    """
    values = (members.get(name) for name in names)
    return next((value for value in values if isinstance(value, str) and value), None)


def parse_time(value: object) -> float | None:
    """
    Parse a time that an API sent; one without a zone is UTC.

    Args:
        value: The member's value.

    Returns:
        POSIX seconds, or None if it is no time.

    Spec: RFC 3339.
    """
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        return None

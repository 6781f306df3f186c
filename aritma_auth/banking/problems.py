"""Problem details: what an API says went wrong."""

import attrs

from aritma_auth.errors import printable
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.strict_json import JsonError, parse_json_object

_MEMBERS = ("type", "title", "detail", "instance")


@attrs.frozen(kw_only=True)
class ApiProblem:
    """
    What an API says went wrong, as far as it says it.

    Attributes:
        status: HTTP status of the answer.

        type: URI of the kind of problem.

        title: The kind in words, or None.

        detail: This case in words, or None.

        instance: URI of this case, or None.

        extra: Further members; shown by name alone.

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


def parse_problem(status: int, body: bytes, content_type: str = "") -> ApiProblem:
    """
    Read an API's answer of status 400 or more. This never fails: gateways answer anything.

    Args:
        status: HTTP status.

        body: The body.

        content_type: Its media type. Aritma's pages list problems as ``application/json``.

    Returns:
        The problem; its texts are made printable.

    Spec: RFC 9457 §3; RFC 7807.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    try:
        is_json = not media_type or media_type == "application/json" or media_type[-5:] == "+json"
        members = parse_json_object(body) if is_json else Members()
    except JsonError:
        members = Members()
    texts = {
        name: printable(value) for name in _MEMBERS if isinstance(value := members.get(name), str)
    }
    known = {*_MEMBERS, "status"}
    extra = {name: value for name, value in members.items() if name not in known}
    return ApiProblem(status=status, extra=Members(extra), **texts)

"""Parameters of requests, and the error response to invalid ones."""

import json
from collections.abc import Container, Mapping, Sequence

from aiohttp import web

from aritma_auth.sandbox.identity.registrations import API_SCOPES, IDENTITY_SCOPES, SandboxClient

FORM = "application/x-www-form-urlencoded"
_MAX_SCOPE_LENGTH = 300


class ErrorResponse(Exception):  # noqa: N818 - a response, not an error of ours
    """
    An OAuth error response (RFC 6749 §5.2); without an error code its body is empty.

    Its hint is the sandbox's own word to a developer, and stands on pages alone.
    """

    def __init__(
        self,
        error: str | None,
        description: str | None = None,
        *,
        status: int = 400,
        hint: str | None = None,
    ) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status
        self.hint = hint


async def read_form_values(request: web.Request) -> dict[str, str]:
    """Read a posted form; values of a repeated name are joined by commas, as ASP.NET does."""
    form: dict[str, str] = {}
    for name, value in (await request.post()).items():
        form[name] = ",".join([form[name], str(value)]) if name in form else str(value)
    return form


def parse_details(form: Mapping[str, str]) -> tuple[Mapping[str, object], ...]:
    """
    Parse the requested authorization details; every type is known.

    Raises:
        ErrorResponse: ``invalid_authorization_details``.

    Spec: RFC 9396 §2, §5.
    """
    try:
        details = json.loads(form.get("authorization_details", "[]"))
    except ValueError:
        details = None
    if not isinstance(details, list) or not all(
        isinstance(detail, dict) and isinstance(detail.get("type"), str) for detail in details
    ):
        raise ErrorResponse("invalid_authorization_details")
    return tuple(details)


def leave_out_done(
    parameters: Mapping[str, Sequence[str]], prompts: Container[str], names: Container[str] = ()
) -> dict[str, list[str]]:
    """Leave out of an authorization request what has been done and must not be asked for again."""
    left = {name: list(values) for name, values in parameters.items() if name not in names}
    words = [word for word in " ".join(left.pop("prompt", [])).split() if word not in prompts]
    return left | ({"prompt": [" ".join(words)]} if words else {})


def parse_scope(form: Mapping[str, str], client: SandboxClient) -> tuple[str, ...]:
    """
    Parse the requested scope.

    Returns:
        The scope; without a request, every API scope that the client may have.

    Raises:
        ErrorResponse: ``invalid_scope``.
    """
    requested = form.get("scope", "").split()
    if not requested:
        return tuple(name for name in client.scopes if name not in IDENTITY_SCOPES)
    known = {*API_SCOPES, *IDENTITY_SCOPES}.intersection(client.scopes)
    if not known.issuperset(requested) or len(form["scope"]) > _MAX_SCOPE_LENGTH:
        raise ErrorResponse("invalid_scope")
    return tuple(dict.fromkeys(requested))

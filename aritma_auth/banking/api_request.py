"""A request to one of Aritma's APIs as a value: nothing here sends it. Pure."""

from collections.abc import Mapping
from typing import Required, TypedDict, TypeVar
from urllib.parse import quote

import attrs

from aritma_auth.errors import ConfigurationError, require_instance
from aritma_auth.runtime.values import Value

T = TypeVar("T")


class RequestArguments(TypedDict, total=False):
    """Arguments of ``request`` of an aiohttp session, or of an httpx client."""

    method: Required[str]
    url: Required[str]
    headers: Mapping[str, str]
    params: Mapping[str, str]
    json: Mapping[str, object]


@attrs.frozen(eq=False, repr=False, kw_only=True)
class ApiRequest(Value):
    """
    A request for your own session: ``session.request(**request.arguments())``.

    Attributes:
        method: Its method.

        path: Its path, relative to the API's base URL.

        headers: Its header fields.

        params: Its query.

        json: Its body, or None; it does not show.
    """

    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    params: Mapping[str, str] = attrs.field(factory=dict)
    json: Mapping[str, object] | None = attrs.field(default=None, repr=False)

    def arguments(self) -> RequestArguments:
        """Return the arguments for a session's ``request``; what is empty is left out."""
        arguments = RequestArguments(method=self.method, url=self.path)
        if self.headers:
            arguments["headers"] = dict(self.headers)
        if self.params:
            arguments["params"] = dict(self.params)
        if self.json is not None:
            arguments["json"] = self.json
        return arguments


def leave_out_missing(members: Mapping[str, T | None]) -> dict[str, T]:
    """Leave out what is None: an API reads a null as a value."""
    return {name: value for name, value in members.items() if value is not None}


def require_method(name: str, given: object) -> None:
    """
    Require an HTTP method.

    Args:
        name: The argument.

        given: What was given.

    Raises:
        ConfigurationError: It is no word.
    """
    if not (isinstance(given, str) and given.isascii() and given.isalpha()):
        raise ConfigurationError(f"{name} must be a method, such as GET, not {given!r:.60}")


def fill_path(name: str, template: str, **values: str) -> str:
    """
    Fill a path's placeholders, each value encoded as one segment.

    Args:
        name: The argument that the template is, for the error.

        template: The path, such as ``consents/{consent_id}/refresh``.

        values: What stands for each placeholder.

    Raises:
        ConfigurationError: The template has another placeholder, or a brace by itself; or a value
            is empty or cannot be encoded.

    Spec: RFC 3986 §3.3.
    """
    require_instance(name, "a path", template, str)
    for placeholder, value in values.items():
        # A segment of dots would lead to another place, and an empty one to the whole collection.
        if not value.isprintable() or value in {"", ".", ".."}:
            raise ConfigurationError(f"{placeholder} must be an identifier, not {value!r}")
    try:
        return template.format(**{each: quote(value, safe="") for each, value in values.items()})
    except (AttributeError, LookupError, ValueError):
        pass
    known = " and ".join(f"{{{each}}}" for each in values)
    raise ConfigurationError(f"{name} must have no placeholders but {known}, not {template!r}")

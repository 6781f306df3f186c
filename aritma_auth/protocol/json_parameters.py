"""Request parameters that are JSON, and the claims of a signed request."""

import json
from collections.abc import Mapping

from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.protocol.redaction import JsonValue, Members
from aritma_auth.protocol.strict_json import JsonError, parse_json

_JSON = frozenset({"authorization_details", "claims"})


def parse_members(value: Mapping[str, JsonValue] | Members, name: str) -> Members:
    """
    Parse a JSON object that a caller writes as a mapping.

    Args:
        value: Names to JSON values; later changes of it do not count.

        name: The argument, for the error.

    Raises:
        ConfigurationError: It is no mapping, or holds what JSON cannot.
    """
    if not isinstance(value, Mapping | Members):
        problem = wrong_kind(name, "a mapping of names to JSON values", value)
        # A traceback with local variables would show what it holds.
        del value
        raise problem
    members = _copy_json(dict(value.items()))
    if members is None:
        del value
        raise ConfigurationError(
            f"{name} must be JSON: names to texts without lone surrogates, numbers, lists and "
            "mappings"
        )
    return members


def parse_expected_claims(value: Mapping[str, JsonValue] | Members) -> Members:
    """Parse the claims that an ID token must have, by `parse_members`."""
    return parse_members(value, "expected_claims")


def _copy_json(members: dict[str, JsonValue]) -> Members | None:
    if not all(isinstance(key, str) for key in members):
        return None
    try:
        # A lone surrogate has no UTF-8, and what refers to itself has no end.
        text = json.dumps(members, allow_nan=False, ensure_ascii=False).encode()
        return Members(json.loads(text))
    except (TypeError, ValueError, RecursionError):
        return None


def build_claims(parameters: Parameters) -> dict[str, JsonValue]:
    """
    Build the claims of a signed request: JSON is itself, and several resources are a list.

    Args:
        parameters: The request's parameters, as a form would carry them.

    Spec: RFC 9101 §4; RFC 9396 §3; OpenID Connect Core 1.0 §5.5, §6.1.
    """
    claims: dict[str, JsonValue] = {
        name: _parse_json(value) if name in _JSON else str(value) for name, value in parameters
    }
    resources: list[JsonValue] = [str(value) for name, value in parameters if name == "resource"]
    if len(resources) > 1:
        claims["resource"] = resources
    return claims


def _parse_json(text: str) -> JsonValue:
    try:
        return parse_json(text.encode())
    except JsonError:
        # The server says what is wrong with a parameter that only it knows.
        return str(text)

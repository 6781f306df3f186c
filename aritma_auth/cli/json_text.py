"""JSON for people, with each number as it was written: an amount of 1.10 does not become 1.1."""

import json
from collections.abc import Iterable
from typing import NoReturn, Self

from aritma_auth.protocol.redaction import JsonValue

_MAX_DEPTH = 100
"""Levels that are indented; deeper text is shown as it came."""


class _Number(float):
    """A number that remembers how it was written."""

    written: str

    def __new__(cls, written: str) -> Self:
        number = super().__new__(cls, written)
        number.written = written
        return number


def parse_json(body: bytes) -> JsonValue | None:
    """
    Parse a body as JSON.

    Args:
        body: The body.

    Returns:
        The value, or None if it is no JSON that can be written again.
    """
    try:
        value: JsonValue = json.loads(body, parse_float=_Number, parse_constant=_refuse)
        format_json(value)
    except (ValueError, RecursionError):
        return None
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def format_json(value: JsonValue, indent: str = "") -> str:
    """
    Write a value as indented ASCII JSON.

    Args:
        value: What `parse_json` gave, or any other value.

        indent: White space before the inner lines.

    Raises:
        ValueError: It is nested too deeply.
    """
    if len(indent) > 2 * _MAX_DEPTH:
        raise ValueError("the value must not be nested more than a hundred levels deep")
    inner = f"{indent}  "
    if isinstance(value, _Number):
        return value.written
    if isinstance(value, dict) and value:
        members = (f"{json.dumps(name)}: {format_json(v, inner)}" for name, v in value.items())
        return _enclose("{}", members, indent)
    if isinstance(value, list) and value:
        return _enclose("[]", (format_json(each, inner) for each in value), indent)
    return json.dumps(value)


def _enclose(brackets: str, parts: Iterable[str], indent: str) -> str:
    lines = f",\n{indent}  ".join(parts)
    return f"{brackets[0]}\n{indent}  {lines}\n{indent}{brackets[1]}"

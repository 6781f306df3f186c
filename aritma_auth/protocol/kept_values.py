"""Values as the JSON by which another process, or the next start, makes them anew."""

import json
from collections.abc import Callable, Mapping
from typing import TypeVar

from aritma_auth.errors import StateMismatchError
from aritma_auth.protocol.redaction import HiddenStr
from aritma_auth.protocol.strict_json import parse_json_object

T = TypeVar("T")

_FORMAT = 1


def dump_value(members: Mapping[str, object]) -> HiddenStr:
    """
    Write what makes a value anew; it holds secrets.

    Args:
        members: The arguments of its class.
    """
    return HiddenStr(json.dumps({"format": _FORMAT, **members}))


def parse_value(text: HiddenStr, make: Callable[..., T]) -> T | None:
    """
    Parse what `dump_value` wrote; None if it is anything else, of which nothing may be quoted.

    Args:
        text: The JSON text.

        make: The class, which validates its arguments itself.
    """
    try:
        fields = dict(parse_json_object(text.encode()).items())
        if fields.pop("format") == _FORMAT:
            return make(**fields)
    except Exception:  # noqa: BLE001, S110 - a foreign text can break anything
        pass
    return None


def parse_pending(text: HiddenStr, make: Callable[..., T], what: str) -> T:
    """
    Parse a sign-in that waits, as `parse_value` does.

    Args:
        text: The JSON text.

        make: The class, which validates its arguments itself.

        what: Its name in the error.

    Raises:
        StateMismatchError: It is no pending sign-in of this version: begin a new one.
    """
    value = parse_value(text, make)
    if value is None:
        raise StateMismatchError(
            f"the text is no {what} that to_json of this version wrote: begin a new one"
        )
    return value

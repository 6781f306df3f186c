"""A sign-in that waits, as the JSON by which another process completes it."""

import json
from collections.abc import Callable, Mapping
from typing import TypeVar

from aritma_auth.errors import StateMismatchError
from aritma_auth.protocol.redaction import HiddenStr
from aritma_auth.protocol.strict_json import parse_json_object

T = TypeVar("T")

_FORMAT = 1


def dump_pending(members: Mapping[str, object]) -> HiddenStr:
    """
    Write what makes a pending sign-in anew; it holds secrets.

    Args:
        members: The arguments of its class.
    """
    return HiddenStr(json.dumps({"format": _FORMAT, **members}))


def parse_pending(text: HiddenStr, make: Callable[..., T], what: str) -> T:
    """
    Parse what `dump_pending` wrote.

    Args:
        text: The JSON text.

        make: The class, which validates its arguments itself.

        what: Its name in the error.

    Raises:
        StateMismatchError: It is no pending sign-in of this version: begin a new one.
    """
    try:
        fields = dict(parse_json_object(text.encode()).items())
        if fields.pop("format") == _FORMAT:
            return make(**fields)
    except Exception:  # noqa: BLE001 - a foreign text can break anything
        fields = {}
    fields.clear()
    # Outside the except block: what was caught may hold the text.
    raise StateMismatchError(
        f"the text is no {what} that to_json of this version wrote: begin a new one"
    )

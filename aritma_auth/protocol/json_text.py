"""JSON read strictly, as answers from strangers must be."""

import json
import re
from typing import NoReturn

from aritma_auth.protocol.sealed import JsonValue, Members

_HALF = re.compile("[\ud800-\udfff]")
_ESCAPED_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


class JsonError(ValueError):
    """What is wrong with a JSON text, in words that quote nothing of it."""


def parse_json_object(body: bytes) -> Members:
    """
    Read a JSON object strictly.

    Args:
        body: The bytes as received.

    Returns:
        The object's members; their values never show.

    Raises:
        JsonError: Not UTF-8, not JSON, not an object, a member given twice, a number that is
            not finite, half a character, or nesting beyond reason.

    Spec: RFC 8259 §4, §6, §8.1, §8.2.
    """
    problem: JsonError
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique_members,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
        )
        if _ESCAPED_HALF.search(body):
            _refuse_halves(value)
    except JsonError as error:
        problem = error.with_traceback(None)
    except UnicodeDecodeError:
        problem = JsonError("the body is not UTF-8")
    except RecursionError:
        problem = JsonError("the JSON is nested too deeply")
    except ValueError:
        problem = JsonError("the body is not JSON" if body.strip() else "the body is empty")
    else:
        if isinstance(value, dict):
            return Members(value)
        problem = JsonError("the JSON is not an object")
    # Outside the except block: json's own error holds the whole text.
    problem.__context__ = None
    raise problem


def _unique_members(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JsonError("a JSON member appears twice")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise JsonError("a JSON number is not finite")


def is_whole(text: str) -> bool:
    """Tell whether a text holds whole characters alone: another cannot be sent or stored."""
    return _HALF.search(text) is None


def _refuse_halves(value: JsonValue) -> None:
    # Two escapes that belong together have become one character by now.
    if not is_whole(json.dumps(value, ensure_ascii=False)):
        raise JsonError("a JSON text holds half a character")


def _finite_float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise JsonError("a JSON number is not finite")
    return number

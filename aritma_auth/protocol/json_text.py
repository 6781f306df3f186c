"""JSON read strictly, as answers from strangers must be."""

import json
from typing import NoReturn

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]


class JsonProblem(ValueError):
    """What is wrong with a JSON text, in words that quote nothing of it."""


def parse_json_object(body: bytes) -> dict[str, JsonValue]:
    """
    Read a JSON object strictly.

    Args:
        body: The bytes as received.

    Returns:
        The object's members.

    Raises:
        JsonProblem: Not UTF-8, not JSON, not an object, a member given twice, a number that is
            not finite, or nesting beyond reason.

    Spec: RFC 8259 §4, §6, §8.1.
    """
    problem: JsonProblem
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique_members,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
        )
    except JsonProblem as error:
        problem = error.with_traceback(None)
    except UnicodeDecodeError:
        problem = JsonProblem("the body is not UTF-8")
    except RecursionError:
        problem = JsonProblem("the JSON is nested too deeply")
    except ValueError:
        problem = JsonProblem("the body is not JSON" if body.strip() else "the body is empty")
    else:
        if isinstance(value, dict):
            return value
        problem = JsonProblem("the JSON is not an object")
    # Outside the except block: json's own error holds the whole text.
    problem.__context__ = None
    raise problem


def _unique_members(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JsonProblem("a JSON member appears twice")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise JsonProblem("a JSON number is not finite")


def _finite_float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise JsonProblem("a JSON number is not finite")
    return number

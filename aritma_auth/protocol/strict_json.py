"""
JSON as a server may send it: decoded strictly, then structured into an attrs class.

Python's json and cattrs are lenient where security asks otherwise: of a member that appears twice
the last one wins, NaN is a number, ``null`` becomes ``"None"`` and ``true`` becomes 1. Both are
wrapped here, and nothing else of the package calls them on what a server sent. No error quotes a
value, and none is raised inside an ``except`` block, whose error holds the whole text.
"""

import json
import math
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, NoReturn, TypeVar

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.redaction import JsonValue, Members

if TYPE_CHECKING:
    import cattrs

T = TypeVar("T")

_DECIMAL = r"-?[0-9]{1,400}(?:\.[0-9]{1,400})?"
_TYPES: Mapping[type, str] = {
    bool: "a boolean",
    dict: "an object",
    float: "a number",
    int: "a number",
    list: "a list",
    NoneType: "null",
}
"""What JSON calls the types of its values, but for strings."""

# Beyond thirty million years: larger ones, such as INT64_MAX for "never", are cut to it.
_MAX_SECONDS = 1e15


class JsonError(ValueError):
    """What is wrong with a JSON text, in words that quote nothing of it."""


class StructureError(ValueError):
    """
    What is wrong with a JSON object.

    Attributes:
        problems: One sentence a member, never a value.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class WireNumber(float):
    """A number of seconds: JSON number or numeric string, as servers send it."""

    __slots__ = ()


class WireScope(tuple[str, ...]):
    """The scope that was granted: a space-separated string, or a list of strings."""

    __slots__ = ()


def parse_json_object(body: bytes) -> Members:
    """
    Parse a JSON object strictly.

    Args:
        body: The bytes as received.

    Returns:
        The object's members; their values never show.

    Raises:
        JsonError: As of `parse_json`, or the JSON is not an object.

    Spec: RFC 8259 §4, §6, §8.1, §8.2.
    """
    value = parse_json(body)
    if not isinstance(value, dict):
        # A traceback with local variables would show it.
        del value
        raise JsonError("the JSON is not an object")
    return Members(value)


def parse_json(body: bytes) -> JsonValue:
    """
    Parse a JSON text strictly.

    Args:
        body: The bytes as received.

    Returns:
        The value; an object in it is a plain dict, which shows what it holds.

    Raises:
        JsonError: Not UTF-8, not JSON, a member given twice, a number that is not finite, a lone
            surrogate, or too deep a nesting.

    Spec: RFC 8259 §4, §6, §8.1, §8.2.
    """
    problem: JsonError
    try:
        value: JsonValue = json.loads(
            # A parser may ignore a byte order mark (§8.1); servers on Windows write one.
            body.removeprefix(BOM_UTF8).decode(),
            object_pairs_hook=_unique_members,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
        )
        if b"\\ud" in body.lower():
            _refuse_surrogates(value)
    except JsonError as error:
        problem = error.with_traceback(None)
    except UnicodeDecodeError:
        problem = JsonError("the body is not UTF-8")
    except RecursionError:
        problem = JsonError("the JSON is nested too deeply")
    except ValueError:
        problem = JsonError("the body is not JSON" if body.strip() else "the body is empty")
    else:
        return value
    problem.__context__ = None
    raise problem


def is_whole(text: str) -> bool:
    """Tell whether a text has no lone surrogate, so that it can be sent and stored."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unique_members(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JsonError("a JSON member appears twice")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise JsonError("a JSON number is not finite")


def _refuse_surrogates(value: JsonValue) -> None:
    # The decoder has joined each pair into one character: what is left is alone.
    if not is_whole(json.dumps(value, ensure_ascii=False)):
        raise JsonError("a JSON text holds a lone surrogate")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonError("a JSON number is not finite")
    return number


def structure(members: Members, model: type[T]) -> T:
    """
    Make a value of a model from JSON members; null counts as absent, unknown members are ignored.

    Args:
        members: A JSON object.

        model: An attrs class whose fields are the members' names.

    Returns:
        The value.

    Raises:
        StructureError: A member is missing or of the wrong type.
    """
    import cattrs  # only when a response is parsed

    present = {name: value for name, value in members.items() if value is not None}
    # A failure is looked at by the converter that tells what is wrong, and with which member.
    with suppress(Exception):
        return _converter(cattrs.BaseConverter).structure(present, model)
    try:
        return _converter(cattrs.Converter).structure(present, model)
    except cattrs.BaseValidationError as error:
        problems = tuple(
            map(_subject_first, cattrs.transform_error(error, format_exception=_problem))
        )
    raise StructureError(problems)


@cache
def _converter(kind: "type[cattrs.BaseConverter]") -> "cattrs.BaseConverter":
    """
    Return a converter that is as strict as JSON.

    `cattrs.Converter` compiles a function for each class, which finds every problem of an object;
    that costs as much as parsing a hundred responses. `cattrs.BaseConverter` stops at the first.
    """
    converter = kind()
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(bool, _boolean)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(WireNumber, _wire_number)
    converter.register_structure_hook(WireScope, _wire_scope)
    return converter


def _text(value: object, _type: object) -> str:
    # isinstance, not the exact type: a callback's values are HiddenStr.
    if not isinstance(value, str):
        raise _wrong_type("a string", value)
    return value


def _integer(value: object, _type: object) -> int:
    if type(value) is not int:
        raise _wrong_type("an integer", value)
    return value


def _boolean(value: object, _type: object) -> bool:
    if type(value) is not bool:
        raise _wrong_type("true or false", value)
    return value


def _number(value: object, _type: object) -> float:
    if type(value) is int or type(value) is float:
        return float(value)
    raise _wrong_type("a number", value)


def _wire_number(value: object, _type: object) -> WireNumber:
    # Several servers send "3600" in quotes, and always do in a fragment.
    if isinstance(value, str) and re.fullmatch(_DECIMAL, value):
        value = float(value)
    if (type(value) is int or type(value) is float) and not math.isnan(value):
        return WireNumber(max(-_MAX_SECONDS, min(value, _MAX_SECONDS)))
    raise _wrong_type("a number of seconds", value)


def _wire_scope(value: object, _type: object) -> WireScope:
    if isinstance(value, str):
        return WireScope(value.split())
    # Twitch and some other servers send a list.
    if type(value) is list and all(type(token) is str for token in value):
        return WireScope(value)
    raise _wrong_type("a string or a list of strings", value)


def _wrong_type(required: str, value: object) -> TypeError:
    # The value may be a secret: its type says enough, and the length of a text.
    found = _TYPES.get(type(value))
    if isinstance(value, str):
        found = f"a string of length {len(value)}"
    return TypeError(f"must be {required}, not {found}")


def _subject_first(sentence: str) -> str:
    # What the class itself refuses has no path, and its error names the argument.
    what, _, path = sentence.rpartition(" @ $")
    return f"{path.removeprefix('.')} {what}" if path else what


def _problem(error: BaseException, _type: type | None) -> str:
    if isinstance(error, KeyError):
        return "is missing"
    return str(error) if isinstance(error, TypeError | ConfigurationError) else "is invalid"

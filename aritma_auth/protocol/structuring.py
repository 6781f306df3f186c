"""
The one strict converter between JSON and values.

The defaults of cattrs turn null into ``"None"``, a list into its text and true into 1. Here a type
means exactly that type, and a null member counts as absent.
"""

import math
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from aritma_auth.protocol.sealed import Members

if TYPE_CHECKING:
    import cattrs

T = TypeVar("T")

_DIGITS_LIMIT = 18


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


def _text(value: object, _type: object) -> str:
    # A callback's values are texts of a kind that hides itself.
    if not isinstance(value, str):
        raise TypeError("must be a string")
    return value


def _integer(value: object, _type: object) -> int:
    if type(value) is not int:
        raise TypeError("must be an integer")
    return value


def _boolean(value: object, _type: object) -> bool:
    if type(value) is not bool:
        raise TypeError("must be true or false")
    return value


def _number(value: object, _type: object) -> float:
    if type(value) is int or type(value) is float:
        return float(value)
    raise TypeError("must be a number")


def _wire_number(value: object, _type: object) -> WireNumber:
    # Several servers send "3600" in quotes, and always do in a fragment.
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdigit()
        and len(value) <= _DIGITS_LIMIT
    ):
        return WireNumber(value)
    if type(value) is int and abs(value) < 10**_DIGITS_LIMIT:
        return WireNumber(value)
    if type(value) is float and math.isfinite(value):
        return WireNumber(value)
    raise TypeError("must be a number of seconds")


def _wire_scope(value: object, _type: object) -> WireScope:
    if isinstance(value, str):
        return WireScope(value.split())
    # Twitch and some home-made servers send a list.
    if type(value) is list and all(type(token) is str for token in value):
        return WireScope(value)
    raise TypeError("must be a string")


@cache
def _converter() -> "cattrs.Converter":
    import cattrs  # noqa: PLC0415 - a tenth of aiohttp's import: only when an answer is read

    converter = cattrs.Converter(detailed_validation=True)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(bool, _boolean)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(WireNumber, _wire_number)
    converter.register_structure_hook(WireScope, _wire_scope)
    return converter


def structure(members: Members, model: type[T]) -> T:
    """
    Make a value of a model from JSON members; null members count as absent, unknown ones are left.

    Args:
        members: A JSON object.

        model: An attrs class whose fields are the members' names.

    Returns:
        The value.

    Raises:
        StructureError: A member is missing or of the wrong type.
    """
    import cattrs  # noqa: PLC0415 - as above

    present = {name: value for name, value in members.items() if value is not None}
    try:
        return _converter().structure(present, model)
    except cattrs.BaseValidationError as error:
        problems = tuple(
            map(_subject_first, cattrs.transform_error(error, format_exception=_problem))
        )
    # Outside the except block: the caught group's tracebacks hold the values.
    raise StructureError(problems)


def _subject_first(sentence: str) -> str:
    what, _, path = sentence.partition(" @ $.")
    return f"{path} {what}"


def _problem(error: BaseException, _type: type | None) -> str:
    if isinstance(error, KeyError):
        return "is missing"
    return str(error) if isinstance(error, TypeError) else "is invalid"

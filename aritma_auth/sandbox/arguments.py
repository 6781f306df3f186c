"""What the arguments of the sandbox's constructors and levers must be."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from aritma_auth.errors import (
    ConfigurationError,
    require_count,
    require_flag,
    require_instance,
    require_seconds,
    wrong_kind,
)

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Where the sandbox listens, and whom it asks for anything."""

_MOST = 10_000
"""How often a test can want one thing to happen."""


def require_text(name: str, given: object) -> None:
    """
    Require a text.

    Args:
        name: The argument.

        given: What was given.

    Raises:
        ConfigurationError: It is none.
    """
    require_instance(name, "a text", given, str)


def require_optional_text(name: str, given: object) -> None:
    """Require a text or None; see `require_text`."""
    require_instance(name, "a text or None", given, (str, type(None)))


def require_known(name: str, value: str, known: Iterable[str]) -> str:
    """
    Require one of the known words, and return it.

    Args:
        name: The argument.

        value: What was given.

        known: The words.

    Raises:
        ConfigurationError: It is none of them.
    """
    required = f"one of {', '.join(known)}"
    require_instance(name, required, value, str)
    if value not in known:
        raise ConfigurationError(f"{name} must be {required}, not {value!r:.60}")
    return value


def require_times(given: object) -> None:
    """Require how often something is to happen, as the argument ``times``."""
    require_count("times", given, least=1, most=_MOST)


def require_members(name: str, given: object) -> None:
    """
    Require a mapping of names to values.

    Args:
        name: The argument.

        given: What was given.

    Raises:
        ConfigurationError: It is none.
    """
    if not isinstance(given, Mapping) or not all(isinstance(each, str) for each in given):
        raise wrong_kind(name, "a mapping of names to values", given)


def require_headers(given: Mapping[str, str] | None) -> None:
    """
    Require the header fields of a response, or None.

    Args:
        given: What was given.

    Raises:
        ConfigurationError: They are no mapping of texts.
    """
    if given is not None:
        require_members("headers", given)
        for value in given.values():
            require_text("each value of headers", value)


def text(_value: object, field: "attrs.Attribute[str]", given: object) -> None:
    """Require an attribute to be a text; a validator for attrs, as all that follow."""
    require_text(field.name, given)


def optional_text(_value: object, field: "attrs.Attribute[str | None]", given: object) -> None:
    """Require an attribute to be a text or None."""
    require_optional_text(field.name, given)


def texts(_value: object, field: "attrs.Attribute[tuple[str, ...]]", given: object) -> None:
    """Require an attribute to be a tuple of texts."""
    wrong = (
        [each for each in given if not isinstance(each, str)] if isinstance(given, tuple) else []
    )
    if wrong or not isinstance(given, tuple):
        problem = wrong_kind(field.name, "a text, or several", wrong[0] if wrong else given)
        # The traceback's local variables would show a secret.
        del given, wrong, _value
        raise problem


def flag(_value: object, field: "attrs.Attribute[bool]", given: object) -> None:
    """Require an attribute to be True or False."""
    require_flag(field.name, given)


optional_flag = attrs.validators.optional(flag)


def count(_value: object, field: "attrs.Attribute[int]", given: object) -> None:
    """Require an attribute to be a whole number, 1 or more."""
    require_count(field.name, given, least=1, most=_MOST)


def seconds(_value: object, field: "attrs.Attribute[Any]", given: object) -> None:
    """Require an attribute to be a number of seconds, more than 0."""
    require_seconds(field.name, given, above_zero=True)


def members(_value: object, field: "attrs.Attribute[dict[str, object]]", given: object) -> None:
    """Require an attribute to be a dictionary of names and values."""
    require_instance(field.name, "a dictionary of names and values", given, dict)
    require_members(field.name, given)

"""What the package's arguments must be, where several modules ask for the same; pure."""

from collections.abc import Iterable, Mapping

import attrs

from aritma_auth.errors import require_instance, wrong_kind
from aritma_auth.protocol.parameters import parse_words


def text(_value: object, field: "attrs.Attribute[str]", value: object) -> None:
    """Require an attribute to be a text, perhaps an empty one; a validator for attrs."""
    require_instance(field.name, "a text", value, str)


OPTIONAL = attrs.validators.optional(text)


def parse_acr_values(given: str | Iterable[str]) -> tuple[str, ...]:
    """
    Parse authentication context classes; a converter for attrs.

    Args:
        given: Words, in one text or in several.

    Raises:
        ConfigurationError: They are something else.
    """
    return parse_words(given, "acr_values")


def require_headers(given: object) -> None:
    """
    Require the header fields of a response.

    Args:
        given: What was given.

    Raises:
        ConfigurationError: They are no mapping of texts.
    """
    if not isinstance(given, Mapping):
        raise wrong_kind("headers", "a mapping, such as response.headers", given)
    for name, value in given.items():
        require_instance("each name of headers", "a text", name, str)
        require_instance("each value of headers", "a text", value, str)


def parse_fields(given: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """
    Parse the header fields of a request.

    Args:
        given: Pairs of texts.

    Raises:
        ConfigurationError: They are something else, such as a mapping.
    """
    try:
        fields = tuple((name, value) for name, value in given)
        is_usable = all(isinstance(each, str) for field in fields for each in field)
    except (TypeError, ValueError):
        is_usable = False
    if is_usable and not isinstance(given, Mapping):
        return fields
    raise wrong_kind("headers", "pairs of texts, such as request.headers.items()", given)

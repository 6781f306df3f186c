"""
Values that hide what they hold.

A secret reaches a log, an error report or a traceback through ``repr``, ``str``, pickling or a
serialiser that walks every field. Each type here closes those ways and leaves one open: asking for
the value by name. None of them is a mapping, a list or an attrs class by type, so ``attrs.asdict``
and cattrs pass them on unopened.
"""

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, NoReturn, Self, TypeVar, final, overload

from aritma_auth.errors import ConfigurationError, wrong_kind

if TYPE_CHECKING:
    import attrs

__all__ = [
    "HiddenBytes",
    "HiddenStr",
    "JsonValue",
    "Members",
    "SecretParameters",
    "SecretText",
    "as_optional_secret",
    "as_secret",
    "hide",
    "is_same_text",
    "mask_hidden",
    "require_secret",
]

_T = TypeVar("_T")

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]

MASK = "***"
"""Stands for what is hidden."""

_NOT_PICKLED = "a secret is not pickled: keep it in a TokenStore or load it again"


def is_same_text(one: str, other: str) -> bool:
    """Compare a secret with received text in a time that does not depend on their content."""
    import hmac  # where something is received

    return hmac.compare_digest(_to_bytes(one), _to_bytes(other))


def _to_bytes(text: str) -> bytes:
    # JSON can carry a lone surrogate, which strict UTF-8 cannot encode.
    return text.encode(errors="surrogatepass")


@final
class HiddenStr(str):
    """A string whose ``repr`` is hidden: safe in headers, local variables and tracebacks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def mask_hidden(text: str) -> str:
    """Return a text for a ``repr``: the mask if it is hidden."""
    return MASK if isinstance(text, HiddenStr) else text


@final
class HiddenBytes(bytes):
    """Bytes whose ``repr`` is hidden."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'***'"

    __str__ = __repr__


@overload
def hide(given: str) -> HiddenStr: ...
@overload
def hide(given: bytes) -> HiddenBytes: ...
@overload
def hide(given: _T) -> _T: ...
def hide(given: object) -> object:
    """
    Hide an argument that may be a secret, before an error is raised in whose frames it stands.

    Args:
        given: What a caller gave: a text or bytes are hidden, anything else is returned as it is.
    """
    if isinstance(given, str):
        return HiddenStr(given)
    return HiddenBytes(given) if isinstance(given, bytes) else given


@final
class SecretText:
    """
    A secret text that shows only when ``text`` is read.

    Neither ``repr``, ``str`` and ``format`` nor pickling, ``attrs.asdict`` and cattrs reveal it.
    """

    __slots__ = ("text",)
    text: HiddenStr

    def __init__(self, text: str) -> None:
        self.text = HiddenStr(text)

    @property
    def fingerprint(self) -> str:
        """Eight hex digits of its SHA-256, to tell values apart in logs."""
        return sha256(_to_bytes(self.text)).hexdigest()[:8]

    def __repr__(self) -> str:
        return "SecretText(***)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretText):
            return NotImplemented
        return is_same_text(self.text, other.text)

    def __hash__(self) -> int:
        return hash(self.text)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NOT_PICKLED)


def as_secret(text: str | SecretText) -> SecretText:
    """Wrap a text; a `SecretText` stays as it is, and anything else is left to `require_secret`."""
    return SecretText(text) if isinstance(text, str) else text


def as_optional_secret(text: str | SecretText | None) -> SecretText | None:
    """Wrap a text if there is one."""
    return None if text is None else as_secret(text)


def require_secret(_instance: object, field: "attrs.Attribute[SecretText]", value: object) -> None:
    """
    Require an attribute to be a secret that is not empty; a validator for attrs.

    Args:
        field: The attribute.

        value: What `as_secret` made of the argument.

    Raises:
        ConfigurationError: It is of another type, empty, or not to be encoded; the message names
            the argument.
    """
    name = field.name.lstrip("_")
    if not isinstance(value, SecretText):
        problem = wrong_kind(name, "a string or SecretText", value)
        # A traceback with local variables would show the value.
        del value
        raise problem
    if not value.text:
        raise ConfigurationError(f"{name} must not be empty")
    try:
        value.text.encode()
    except UnicodeEncodeError:
        pass
    else:
        return
    # Outside the except block: the caught error holds the text.
    raise ConfigurationError(
        f"{name} must be text that UTF-8 can encode; it holds a lone surrogate"
    )


@final
class SecretParameters:
    """
    Form parameters in their order: read-only pairs, shown by name and never by value.

    Args:
        parameters: Pairs of name and value.
    """

    __slots__ = ("_pairs",)

    def __init__(self, parameters: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = tuple((name, HiddenStr(value)) for name, value in parameters)

    def __iter__(self) -> Iterator[tuple[str, HiddenStr]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SecretParameters):
            return self._pairs == other._pairs
        return self._pairs == other

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __repr__(self) -> str:
        return f"SecretParameters({', '.join(name for name, _ in self._pairs)})"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NOT_PICKLED)


@final
class Members:
    """
    Members of a JSON object: read-only, shown by name and never by value.

    It reads like a mapping.

    Args:
        members: Names and values.
    """

    __slots__ = ("_members",)

    def __init__(self, members: Mapping[str, JsonValue] = {}) -> None:
        self._members = dict(members)

    def __getitem__(self, name: str) -> JsonValue:
        return self._members[name]

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def get(self, name: str, default: JsonValue = None) -> JsonValue:
        """Give a member's value, or a default."""
        return self._members.get(name, default)

    def items(self) -> ItemsView[str, JsonValue]:
        """Give the members' names and values."""
        return self._members.items()

    def keys(self) -> KeysView[str]:
        """Give the members' names."""
        return self._members.keys()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Members):
            return self._members == other._members
        return self._members == other

    def __hash__(self) -> int:
        return hash(frozenset(self._members))

    def __repr__(self) -> str:
        return f"Members({', '.join(self._members)})"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NOT_PICKLED)

"""Wrappers that keep secrets out of sight."""

import hmac
from collections.abc import ItemsView, Iterator, KeysView, Mapping
from hashlib import sha256
from typing import NoReturn, final

__all__ = [
    "HiddenBytes",
    "HiddenStr",
    "JsonValue",
    "Members",
    "SecretText",
    "as_optional_secret",
    "as_secret",
    "is_same_text",
]

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]

_NOT_PICKLED = "a secret is not pickled: keep it in a TokenStore or load it again"


def is_same_text(one: str, other: str) -> bool:
    """Compare a secret with what a stranger sent, in a time that tells nothing about it."""
    return hmac.compare_digest(_to_bytes(one), _to_bytes(other))


def _to_bytes(text: str) -> bytes:
    # JSON can smuggle half a character in, which plain UTF-8 refuses to write.
    return text.encode(errors="surrogatepass")


@final
class HiddenStr(str):
    """A string whose ``repr`` is hidden: it may stand in headers, locals and traces."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@final
class HiddenBytes(bytes):
    """Bytes whose ``repr`` is hidden."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'***'"

    __str__ = __repr__


@final
class SecretText:
    """
    A secret text that shows only when it is asked for by name.

    Neither ``repr``, ``str`` and ``format`` nor pickling, ``attrs.asdict`` and cattrs give it away.
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

    def __copy__(self) -> "SecretText":
        return self

    def __deepcopy__(self, memo: object) -> "SecretText":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NOT_PICKLED)


def as_secret(text: str | SecretText) -> SecretText:
    """Seal a text; a sealed one stays as it is."""
    return text if isinstance(text, SecretText) else SecretText(text)


def as_optional_secret(text: str | SecretText | None) -> SecretText | None:
    """Seal a text if there is one."""
    return None if text is None else as_secret(text)


@final
class Members:
    """
    JSON members that no specification names: read-only, shown by name and never by value.

    It reads like a mapping but is none by type, so that no serialiser opens it unasked.
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

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NOT_PICKLED)

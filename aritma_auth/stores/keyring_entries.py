"""
Entries in the operating system's keyring.

Windows keeps 2,560 bytes, which is 1,280 characters, under a name, and tokens are longer. There an
entry is cut into parts, written beside the old entry's, and then the one text that says where the
parts are is replaced: whoever is killed on the way leaves the old entry as it was.
"""

import re
import sys
from collections.abc import Callable
from typing import Protocol, TypeVar

import attrs

from aritma_auth.errors import StoreError
from aritma_auth.protocol.redaction import HiddenBytes, HiddenStr
from aritma_auth.stores.private_files import Found

PART_SIZE = 1200 if sys.platform == "win32" else 1 << 20
"""Characters kept under one name."""

_PARTS = re.compile(r"aritma-auth parts ([ab]) ([1-9][0-9]{0,3})")

T = TypeVar("T")


class Keyring(Protocol):
    """A backend of python-keyring."""

    def get_password(self, service: str, username: str, /) -> str | None:
        """Give a text, or None."""
        ...

    def set_password(self, service: str, username: str, password: str, /) -> None:
        """Keep a text."""
        ...

    def delete_password(self, service: str, username: str, /) -> None:
        """Remove a text."""
        ...


@attrs.frozen
class _Parts:
    side: str
    count: int


@attrs.frozen
class KeyringShelf:
    """
    Keeps ASCII texts in a keyring.

    Attributes:
        keyring: The keyring.

        service: Under which name of a service.

        part_size: Characters that fit under one user name.
    """

    keyring: Keyring
    service: str
    part_size: int

    reads_locked = True

    def read(self, name: str) -> Found | None:
        """
        Give what is kept under a name, or None.

        Args:
            name: The name.

        Raises:
            StoreError: The keyring failed.
        """
        text = self._get(name)
        if text is None:
            return None
        parts = _parts_of(text)
        if parts is not None:
            # A lost part shows in the sum of the whole.
            got = [self._get(_part(name, parts.side, number)) for number in range(parts.count)]
            text = HiddenStr("".join(part or "" for part in got))
        return Found(HiddenBytes(text.encode(errors="replace")))

    def write(self, name: str, body: HiddenBytes) -> None:
        """
        Keep an ASCII text under a name.

        Args:
            name: The name.

            body: The text.

        Raises:
            StoreError: The keyring failed.
        """
        text, old = HiddenStr(body.decode("ascii")), self._parts(name)
        if len(text) <= self.part_size:
            self._set(name, text)
        else:
            side = "b" if old is not None and old.side == "a" else "a"
            cuts = range(0, len(text), self.part_size)
            for number, cut in enumerate(cuts):
                part = HiddenStr(text[cut : cut + self.part_size])
                self._set(_part(name, side, number), part)
            self._set(name, HiddenStr(f"aritma-auth parts {side} {len(cuts)}"))
        self._remove_parts(name, old)

    def erase(self, name: str) -> None:
        """
        Keep nothing under a name.

        Args:
            name: The name.

        Raises:
            StoreError: The keyring failed.
        """
        old = self._parts(name)
        self._remove(name)
        self._remove_parts(name, old)

    def _parts(self, name: str) -> _Parts | None:
        text = self._get(name)
        return None if text is None else _parts_of(text)

    def _remove_parts(self, name: str, parts: _Parts | None) -> None:
        if parts is not None:
            for number in range(parts.count):
                self._remove(_part(name, parts.side, number))

    def _get(self, name: str) -> HiddenStr | None:
        text = _ask(lambda: self.keyring.get_password(self.service, name))
        return None if text is None else HiddenStr(text)

    def _set(self, name: str, text: HiddenStr) -> None:
        _ask(lambda: self.keyring.set_password(self.service, name, text))

    def _remove(self, name: str) -> None:
        # Keyrings raise if there is nothing to remove, each its own error.
        if self._get(name) is not None:
            _ask(lambda: self.keyring.delete_password(self.service, name))


def _ask(work: Callable[[], T]) -> T:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - backends raise whatever their system does
        problem = type(error).__name__
    raise StoreError(f"the keyring failed ({problem})")


def _parts_of(text: str) -> _Parts | None:
    match = _PARTS.fullmatch(text)
    return None if match is None else _Parts(match[1], int(match[2]))


def _part(name: str, side: str, number: int) -> str:
    return f"{name}.{side}{number}"

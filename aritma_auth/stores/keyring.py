"""
A store in the operating system's keyring: for the machines of end-users.

Windows keeps 2,560 bytes, which are 1,280 characters, under a name, and tokens are longer. There an
entry is cut into parts, which are written beside those of the old entry; then the one text that
says where the parts are is replaced. A process that is killed meanwhile leaves the old entry as it
was.
"""

import os
import re
import sys
from collections.abc import Callable
from typing import Protocol, TypeVar, final

import attrs

from aritma_auth.errors import ConfigurationError, StoreError, wrong_kind
from aritma_auth.optional import require
from aritma_auth.protocol.redaction import HiddenBytes, HiddenStr
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.raised import describe_raised
from aritma_auth.stores.local import LocalTokenStore, local_folder
from aritma_auth.stores.private_files import Found

PART_SIZE = 1200 if sys.platform == "win32" else 1 << 20
"""Characters that are kept under one name."""

_PARTS = re.compile(r"aritma-auth parts ([ab]) ([1-9][0-9]{0,3})")

T = TypeVar("T")


class Keyring(Protocol):
    """A backend of python-keyring."""

    def get_password(self, service: str, username: str, /) -> str | None:
        """Return a text, or None."""
        ...

    def set_password(self, service: str, username: str, password: str, /) -> None:
        """Keep a text."""
        ...

    def delete_password(self, service: str, username: str, /) -> None:
        """Remove a text."""
        ...


@final
class KeyringTokenStore(LocalTokenStore):
    """
    Keeps tokens in the keyring of the end-user who is logged in to the machine.

    That is macOS Keychain, Windows Credential Locker, Secret Service or KWallet, through
    python-keyring. Processes take turns by lock files, which hold no secrets. A locked keyring may
    ask the end-user to unlock it; until then the store is away.

    Finding the keyring blocks for a moment: make the store before the event loop runs, or in a
    thread.

    Args:
        service: The name under which the keyring shows the entries.

        keyring: A backend of python-keyring; by default the one that python-keyring finds or that
            its configuration names.

        lock_folder: Where the lock files are, by default ``aritma-auth`` in the user's state
            folder.

        clock: The clocks of the process.

    Raises:
        ConfigurationError: An argument is wrong, the extra ``keyring`` is not installed, or the
            machine has no keyring.
    """

    @hides_arguments
    def __init__(
        self,
        service: str = "aritma-auth",
        *,
        keyring: Keyring | None = None,
        lock_folder: str | os.PathLike[str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._service = service
        if not isinstance(service, str):
            raise wrong_kind("service", "a name, such as 'my-program'", service)
        if not service:
            raise ConfigurationError("service must be a name, such as 'my-program', not ''")
        require("keyring", "keyring")
        shelf = KeyringShelf(_require_keyring(keyring), service, PART_SIZE)
        folder = local_folder("lock_folder", lock_folder, extra="keyring")
        super().__init__(shelf, folder, realm=f"keyring {service}", keys=None, clock=clock)

    def __repr__(self) -> str:
        return f"<KeyringTokenStore {self._service!r}>"


def _require_keyring(given: Keyring | None) -> Keyring:
    if given is None:
        return _find_keyring()
    methods = ("get_password", "set_password", "delete_password")
    if isinstance(given, type) or not all(hasattr(given, method) for method in methods):
        raise wrong_kind("keyring", "a backend of python-keyring", given)
    return given


def _find_keyring() -> Keyring:
    import keyring  # extra "keyring"
    from keyring.backends import fail, null  # extra "keyring"

    found = keyring.get_keyring()
    if isinstance(found, fail.Keyring | null.Keyring):
        raise ConfigurationError(
            "KeyringTokenStore needs a keyring, and this machine has none: use a FileTokenStore"
        )
    return found


@attrs.frozen
class _Parts:
    side: str
    count: int


@attrs.frozen
class KeyringShelf:
    """
    Keeps ASCII texts in a keyring; raises StoreError if the keyring fails.

    Attributes:
        keyring: The keyring.

        service: The service that the texts belong to.

        part_size: Characters that fit under one user name.
    """

    keyring: Keyring
    service: str
    part_size: int

    reads_locked = True

    def read(self, name: str) -> Found | None:
        """Return what is kept under a name, or None."""
        text = self._get(name)
        if text is None:
            return None
        parts = _parts_of(text)
        if parts is not None:
            # A lost part shows in the checksum of the whole.
            got = [self._get(_part(name, parts.side, number)) for number in range(parts.count)]
            text = HiddenStr("".join(part or "" for part in got))
        return Found(HiddenBytes(text.encode(errors="replace")))

    def write(self, name: str, body: HiddenBytes) -> None:
        """Keep an ASCII text under a name."""
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
        if old is not None:
            for number in range(old.count):
                self._remove(_part(name, old.side, number))

    def _parts(self, name: str) -> _Parts | None:
        text = self._get(name)
        return None if text is None else _parts_of(text)

    def _get(self, name: str) -> HiddenStr | None:
        text = _call(lambda: self.keyring.get_password(self.service, name))
        return None if text is None else HiddenStr(text)

    def _set(self, name: str, text: HiddenStr) -> None:
        _call(lambda: self.keyring.set_password(self.service, name, text))

    def _remove(self, name: str) -> None:
        # Each keyring has an error of its own for removing what is not there.
        if self._get(name) is not None:
            _call(lambda: self.keyring.delete_password(self.service, name))


def _call(work: Callable[[], T]) -> T:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - backends raise whatever their system raises
        problem = describe_raised(error)
    # Outside the except block: the keyring's own error may show the text.
    raise StoreError(f"the keyring failed with {problem}")


def _parts_of(text: str) -> _Parts | None:
    match = _PARTS.fullmatch(text)
    return None if match is None else _Parts(match[1], int(match[2]))


def _part(name: str, side: str, number: int) -> str:
    return f"{name}.{side}{number}"

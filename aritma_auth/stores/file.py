"""A store in files: for the processes of one machine, and for the next start."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import final

import attrs

from aritma_auth.protocol.redaction import HiddenBytes
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.stores import private_files
from aritma_auth.stores.encryption import EncryptionKeys, encryption_keys_problem
from aritma_auth.stores.local import LocalTokenStore, local_folder
from aritma_auth.stores.private_files import (
    Found,
    has_folder,
    read_private,
    require_place,
    write_private,
)

_WITNESSES = 8
"""Names by which a folder is known again: a few are enough, and memory has a bound."""

_LOST = Found(
    HiddenBytes(b"lost"),
    "its folder was emptied, removed or replaced while this process ran: mount it again, or "
    "restart the process to begin anew",
    is_lost=True,
)


@final
class FileTokenStore(LocalTokenStore):
    """
    Keeps each key's tokens in a file of its own, mode 0600, in a folder of mode 0700.

    A file is replaced atomically. A lock of the operating system lets one process at a time refresh
    a token, and ends with that process, even if it is killed. A symbolic link, a file that other
    users may use, and whatever else the store did not write is not read.

    For a local disk: locks on network file systems are only as good as those make them.

    A folder that vanishes while the process runs, as when its volume is unmounted, is an outage
    for the end-users whose tokens are not in memory. It ends when the folder is back, when they
    sign in, or with the process: a new one cannot tell a lost folder from a first start.

    Args:
        path: The folder, created when it is first needed; by default ``aritma-auth`` in the user's
            state folder, such as ``~/.local/state``. Keep nothing else in it.

        keys: Encrypt the entries, so that a copy of the files alone is worthless.

        clock: The clocks of the process.

    Raises:
        ConfigurationError: An argument is wrong, this user has no home directory, or the extra
            ``file`` is not installed.
    """

    @hides_arguments
    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        keys: EncryptionKeys | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._shown = ""
        problem = None if keys is None else encryption_keys_problem(keys)
        if problem is not None:
            # A traceback with locals would show the key.
            del keys
            raise problem
        folder = local_folder("path", path, extra="file")
        super().__init__(_Files(folder), folder, realm="file", keys=keys, clock=clock)
        self._shown = f" {'plain' if keys is None else 'encrypted'} in {folder}"

    def __repr__(self) -> str:
        return f"<FileTokenStore{self._shown}>"


class _Witnesses:
    """
    Some of the names of which a process has found or written files; a lost folder has none left.

    Args:
        is_there: Tells whether there is a file of a name.
    """

    __slots__ = ("_is_lost", "_is_there", "_names")

    def __init__(self, is_there: Callable[[str], bool]) -> None:
        self._is_there = is_there
        self._names: set[str] = set()
        self._is_lost = False

    def knows(self, name: str) -> bool:
        """Tell whether a name is one of them."""
        return name in self._names

    def miss_all(self) -> bool:
        """Tell whether the folder is gone, or another one is in its place."""
        names = tuple(self._names)
        if names:
            self._is_lost = not any(map(self._is_there, names))
        return self._is_lost

    def add(self, name: str, *, is_lost: bool) -> None:
        """Learn of a file; in the place of a lost folder it does not say that that is back."""
        if is_lost:
            self._names.discard(name)
        elif len(self._names) < _WITNESSES:
            self._names.add(name)


@attrs.frozen
class _Files:
    folder: Path
    _witnesses: _Witnesses = attrs.field(
        default=attrs.Factory(lambda self: _Witnesses(self._is_there), takes_self=True),
        init=False,
    )

    @property
    def reads_locked(self) -> bool:
        # Windows cannot replace a file while another process reads it.
        return private_files.IS_WINDOWS

    def read(self, name: str) -> Found | None:
        found = self._find(name)
        if found is not None and self._witnesses.knows(name):
            return found
        is_lost = self._witnesses.miss_all()
        if found is not None:
            self._witnesses.add(name, is_lost=is_lost)
        return _LOST if found is None and is_lost else found

    def _find(self, name: str) -> Found | None:
        if has_folder(self.folder):
            return read_private(self._path(name))
        require_place(self.folder)
        return None

    def write(self, name: str, body: HiddenBytes) -> None:
        is_lost = self._witnesses.miss_all()
        write_private(self._path(name), body)
        self._witnesses.add(name, is_lost=is_lost)

    def _is_there(self, name: str) -> bool:
        return self._path(name).exists()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.token"

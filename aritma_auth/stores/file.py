"""A store in files: for the processes of one machine, and for the next start."""

import os
from pathlib import Path
from typing import final

import attrs

from aritma_auth.protocol.redaction import HiddenBytes
from aritma_auth.stores import private_files
from aritma_auth.stores.encryption import EncryptionKeys
from aritma_auth.stores.local import LocalTokenStore, local_folder
from aritma_auth.stores.private_files import (
    Found,
    erase_private,
    has_folder,
    read_private,
    write_private,
)


@final
class FileTokenStore(LocalTokenStore):
    """
    Keeps each key's tokens in a file of its own, mode 0600, in a folder of mode 0700.

    An entry is replaced whole or not at all. A lock of the operating system lets one process
    refresh a token at a time, and ends with the process that holds it, even if that is killed. A
    file that others may read, a link, and whatever else does not belong there is not read, but
    replaced.

    For a local disk: locks on network file systems are as good as these make them.

    Args:
        path: The folder, made when it is first needed; by default ``aritma-auth`` in the user's
            state folder, such as ``~/.local/state``. Give it to tokens alone.

        keys: Seal the entries with these, so that a copy of the files alone is worth nothing.

    Raises:
        ConfigurationError: The extra ``file`` is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        keys: EncryptionKeys | None = None,
    ) -> None:
        folder = local_folder(path, "file")
        super().__init__(_Files(folder), folder, realm="file", keys=keys)

    def __repr__(self) -> str:
        return f"<FileTokenStore {'plain' if self._keys is None else 'sealed'} in {self._folder}>"


@attrs.frozen
class _Files:
    folder: Path

    @property
    def reads_locked(self) -> bool:
        # Windows does not replace a file that somebody reads.
        return private_files.IS_WINDOWS

    def read(self, name: str) -> Found | None:
        return read_private(self._path(name)) if has_folder(self.folder) else None

    def write(self, name: str, body: HiddenBytes) -> None:
        write_private(self._path(name), body)

    def erase(self, name: str) -> None:
        erase_private(self._path(name))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.token"

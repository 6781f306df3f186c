"""A store in files: for the processes of one machine, and for the next start."""

import os
from pathlib import Path
from typing import final

import attrs

from aritma_auth.protocol.redaction import HiddenBytes
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.stores import private_files
from aritma_auth.stores.encryption import EncryptionKeys, encryption_keys_problem
from aritma_auth.stores.local import LocalTokenStore, local_folder
from aritma_auth.stores.private_files import Found, has_folder, read_private, write_private


@final
class FileTokenStore(LocalTokenStore):
    """
    Keeps each key's tokens in a file of its own, mode 0600, in a folder of mode 0700.

    A file is replaced atomically. A lock of the operating system lets one process at a time refresh
    a token, and ends with that process, even if it is killed. A symbolic link, a file that other
    users may use, and whatever else the store did not write is not read.

    For a local disk: locks on network file systems are only as good as those make them.

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


@attrs.frozen
class _Files:
    folder: Path

    @property
    def reads_locked(self) -> bool:
        # Windows cannot replace a file while another process reads it.
        return private_files.IS_WINDOWS

    def read(self, name: str) -> Found | None:
        return read_private(self._path(name)) if has_folder(self.folder) else None

    def write(self, name: str, body: HiddenBytes) -> None:
        write_private(self._path(name), body)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.token"

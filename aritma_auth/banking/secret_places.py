"""Where a service reads its client secret, for the rotation that replaces it there."""

import asyncio
import contextlib
import functools
import os
import secrets
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from aritma_auth.errors import (
    ConfigurationError,
    StoreError,
    require_instance,
    require_seconds,
    wrong_kind,
)
from aritma_auth.files import require_path
from aritma_auth.optional import require
from aritma_auth.protocol.redaction import HiddenBytes, SecretText
from aritma_auth.runtime.commands import CommandError, run_command
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.threads import WorkerThreads

if TYPE_CHECKING:
    from aritma_auth.stores.keyring import Keyring

T = TypeVar("T")

_LIMIT = 1 << 16
_PATIENCE = 60.0
"""Seconds for a file or a keyring, which may ask its user to unlock it."""

_THREADS = WorkerThreads("aritma-auth secret places")


@runtime_checkable
class SecretPlace(Protocol):
    """A place that keeps one text; `FileSecretPlace` is one."""

    async def read(self) -> SecretText | None:
        """
        Read the text.

        Returns:
            The text, or None if there is none.

        Raises:
            StoreError: It cannot be read now.
        """
        ...

    async def write(self, text: SecretText) -> None:
        """
        Replace the text, whole or not at all.

        Args:
            text: The new one.

        Raises:
            StoreError: It cannot be written now.
        """
        ...


class FileSecretPlace:
    """
    A file, as `Secret.from_file` reads it.

    It is replaced atomically and keeps its mode, its owner and its group; a symbolic link to it
    stays. If this process may not give it to them and one could no longer read it, nothing is
    written, and neither over a device or a pipe. A new file is for its owner alone.

    Args:
        path: The file; its folder must exist.

    Raises:
        ConfigurationError: The path is not a path.
    """

    @hides_arguments
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = require_path("path", "the path of a file", path)
        if not self.path.name:
            raise ConfigurationError(f"path must be the path of a file, not {str(path)!r}")

    async def read(self) -> SecretText | None:
        """Read the file; newlines at its end are left out."""
        return await _in_thread(self._read, f"{self.path} cannot be read")

    def _read(self) -> SecretText | None:
        try:
            with self.path.open("rb") as file:
                content = HiddenBytes(file.read(_LIMIT + 1))
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = type(error).__name__
        else:
            if len(content) <= _LIMIT:
                return _decoded(content, str(self.path))
            problem = f"it is longer than {_LIMIT} bytes"
        raise StoreError(f"{self.path} cannot be read ({problem})")

    async def write(self, text: SecretText) -> None:
        """Replace the file."""
        content = _encoded(text)
        await _in_thread(lambda: self._write(content), f"{self.path} cannot be written")

    def _write(self, content: HiddenBytes) -> None:
        # A link stays: the service may read the file by way of another.
        path = Path(os.path.realpath(self.path))
        # A name of its own: another writer at the same time would move this draft half written.
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
        problem: str | None
        try:
            problem = _replace(path, draft, content)
        except OSError as error:
            problem = type(error).__name__
        if problem is None:
            return
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StoreError(f"{self.path} cannot be written ({problem})")

    def __repr__(self) -> str:
        return f"<FileSecretPlace {self.path}>"


class KeyringSecretPlace:
    """
    An entry in the operating system's keyring.

    The service reads it with ``Secret.from_callable(lambda: keyring.get_password(service, name))``.

    Args:
        service: The entry's service.

        username: The entry's user name.

        keyring: A backend of python-keyring, or None for the machine's.

    Raises:
        ConfigurationError: An argument is of the wrong kind, or the extra ``keyring`` is not
            installed.
    """

    @hides_arguments
    def __init__(self, service: str, username: str, *, keyring: "Keyring | None" = None) -> None:
        require_instance("service", "a name", service, str)
        require_instance("username", "a name", username, str)
        if keyring is None:
            require("keyring", "keyring")
            import keyring as machine  # extra "keyring"

            keyring = machine.get_keyring()
        if not (hasattr(keyring, "get_password") and hasattr(keyring, "set_password")):
            raise wrong_kind("keyring", "a backend of python-keyring or None", keyring)
        self._names = (service, username)
        self._keyring = keyring

    async def read(self) -> SecretText | None:
        """Read the entry."""
        text = await self._do("read", lambda: self._keyring.get_password(*self._names))
        return None if text is None else SecretText(text)

    async def write(self, text: SecretText) -> None:
        """Replace the entry."""
        require_instance("text", "a SecretText", text, SecretText)

        def write() -> None:
            self._keyring.set_password(*self._names, text.text)

        await self._do("written", write)

    async def _do(self, done: str, work: Callable[[], T]) -> T:
        try:
            return await _in_thread(work, f"the keyring cannot be {done}")
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            problem = type(error).__name__
        raise StoreError(f"the keyring cannot be {done} ({problem})")

    def __repr__(self) -> str:
        return f"<KeyringSecretPlace {self._names[0]}>"


class CommandSecretPlace:
    """
    Two commands of your own, for a vault or an orchestrator: one reads, one writes.

    The secret goes through standard input and output, never through arguments, which other
    processes of the machine can see. A caller that is cancelled leaves the command to its end, or
    to its time-out: a writer is not cut in two.

    Args:
        read: The command that writes the secret to its standard output, and nothing if there is
            none.

        write: The command that takes the secret from its standard input.

        timeout: Seconds for one command.

    Raises:
        ConfigurationError: A command is not a list of words.
    """

    @hides_arguments
    def __init__(self, read: Sequence[str], write: Sequence[str], *, timeout: float = 30.0) -> None:
        commands: tuple[tuple[str, object], ...] = (("read", read), ("write", write))
        for name, command in commands:
            words = [*command] if isinstance(command, list | tuple) else []
            if not words or not all(isinstance(word, str) for word in words):
                raise ConfigurationError(
                    f"{name} must be a command as a list of words, such as ['vault', 'read']"
                )
            if any("\0" in word for word in words):
                raise ConfigurationError(f"{name} must have no NUL character in its words")
        require_seconds("timeout", timeout, above_zero=True)
        self._read, self._write = tuple(read), tuple(write)
        self._timeout = timeout

    async def read(self) -> SecretText | None:
        """Run the command that reads."""
        return _decoded(await self._run(self._read, None), "the output of the command that reads")

    async def write(self, text: SecretText) -> None:
        """Run the command that writes."""
        await self._run(self._write, _encoded(text))

    async def _run(self, command: tuple[str, ...], given: HiddenBytes | None) -> HiddenBytes:
        # What a command complains of may repeat the secret: its standard error goes nowhere.
        work = functools.partial(
            run_command,
            command,
            timeout=self._timeout,
            limit=_LIMIT,
            hide=HiddenBytes,
            given=given,
            shows_errors=False,
        )
        try:
            return await _THREADS.run(work)
        except CommandError as error:
            problem = str(error)
        raise StoreError(f"the command {command[0]} failed: {problem}")

    def __repr__(self) -> str:
        return f"<CommandSecretPlace {self._write[0]}>"


def _replace(path: Path, draft: Path, content: HiddenBytes) -> str | None:
    """Replace a file, or tell why that would take it away from the service."""
    before = path.stat() if path.exists() else None
    if before is not None and not stat.S_ISREG(before.st_mode):
        return "it is no file, but a folder, a pipe or a device"
    _remove_old_drafts(path)
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "wb") as opened:
        if before is not None and not _give_to_readers(file, before):
            return "its owner or group could no longer read it: run this as its owner"
        opened.write(content)
        opened.flush()
        os.fsync(file)
    draft.replace(path)
    return None


def _remove_old_drafts(path: Path) -> None:
    """Remove what killed writers have left, and nothing that a writer is still at."""
    start, end = f".{path.name}.", ".new"
    # Another writer may remove one first, and not every folder can be listed.
    with contextlib.suppress(OSError):
        for each in path.parent.iterdir():
            is_draft = each.name.startswith(start) and each.name.endswith(end)
            if is_draft and time.time() - each.stat().st_mtime > 2 * _PATIENCE:
                each.unlink()


def _give_to_readers(file: int, before: os.stat_result) -> bool:
    """Give a draft the owner, group and mode of the file before, if those who read it still can."""
    # Windows has none of them.
    if not hasattr(os, "fchown"):
        return True
    try:
        os.fchown(file, before.st_uid, before.st_gid)
    except PermissionError:
        # The group may still be one of this process's own.
        with contextlib.suppress(PermissionError):
            os.fchown(file, -1, before.st_gid)
    after, mode = os.fstat(file), before.st_mode & 0o777
    # Root reads whatever it likes.
    is_owner_out = mode & 0o400 and before.st_uid not in {0, after.st_uid}
    is_group_out = mode & 0o060 and before.st_gid != after.st_gid
    if (is_owner_out or is_group_out) and not mode & 0o004:
        return False
    os.fchmod(file, mode)
    return True


async def _in_thread(work: Callable[[], T], problem: str) -> T:
    """Do what may block for ever, such as a file on a dead disk, or a keyring that is locked."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return await _THREADS.run(work)
    except TimeoutError:
        pass
    raise StoreError(f"{problem} (it took longer than {_PATIENCE:g} s)")


def _encoded(text: SecretText) -> HiddenBytes:
    require_instance("text", "a SecretText", text, SecretText)
    # A lone surrogate cannot be encoded.
    if not text.text.isascii() and text.text.encode(errors="replace").decode() != text.text:
        raise ConfigurationError("text must be what UTF-8 can hold")
    return HiddenBytes(text.text.encode())


def _decoded(content: HiddenBytes, what: str) -> SecretText | None:
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        text = None
    # Outside the except block: the error holds the content.
    if text is None:
        raise StoreError(f"{what} must be UTF-8")
    return SecretText(text) if text else None

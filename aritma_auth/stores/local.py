"""
Stores of one machine: its processes take turns by lock files, whatever keeps the entries.

    <name>.lock     held for milliseconds by whoever reads, compares and writes
    <name>.lease    held by whoever refreshes the token, and counts the leases
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from aritma_auth.errors import StoreError
from aritma_auth.optional import require
from aritma_auth.protocol.redaction import HiddenBytes
from aritma_auth.stores import Entry, Lease, Record
from aritma_auth.stores.encryption import EncryptionKeys
from aritma_auth.stores.envelope import Kept, pack, unpack, unreadable
from aritma_auth.stores.file_lock import FileLease, exclusive
from aritma_auth.stores.private_files import Found

P = ParamSpec("P")
T = TypeVar("T")


class Shelf(Protocol):
    """
    Where entries are kept by name; used in worker threads, and written under a lock.

    Attributes:
        reads_locked: An entry must not be read while it is being written.
    """

    @property
    def reads_locked(self) -> bool:
        """Reading takes the lock too."""
        ...

    def read(self, name: str) -> Found | None:
        """Give what is kept under a name, or None."""
        ...

    def write(self, name: str, body: HiddenBytes) -> None:
        """Keep bytes under a name, all of them or none."""
        ...

    def erase(self, name: str) -> None:
        """Keep nothing under a name."""
        ...


class LocalTokenStore:
    """
    Compares, swaps, seals and leases; a shelf keeps the entries.

    Args:
        shelf: Keeps them.

        folder: Where the lock files are.

        realm: Tells the names of stores apart that share a folder.

        keys: Seal the entries, or None.
    """

    can_watch = False

    def __init__(
        self, shelf: Shelf, folder: Path, *, realm: str, keys: EncryptionKeys | None = None
    ) -> None:
        self._shelf = shelf
        self._folder = folder
        self._realm = realm
        self._keys = keys

    async def load(self, key: str) -> Entry | None:
        """
        Give the entry of a key, or None.

        Args:
            key: The key.

        Raises:
            StoreError: It cannot be had.
        """
        return await self._in_thread(self._load, key)

    async def save(self, key: str, record: Record, *, replaces: int, fence: int = 0) -> bool:
        """
        Write a record if nobody else has meanwhile.

        Args:
            key: The key.

            record: What to keep.

            replaces: Generation of the entry that was loaded, or 0 for none.

            fence: Number of the lease under which it is written, or 0 without one.

        Raises:
            StoreError: The disk is full, or the place cannot be written.
        """
        return await self._in_thread(self._save, key, record, replaces, fence)

    async def delete(self, key: str) -> None:
        """
        Forget a key.

        Args:
            key: The key.

        Raises:
            StoreError: It cannot be removed.
        """
        await self._in_thread(self._delete, key)

    async def acquire(self, key: str, *, seconds: float) -> Lease | None:  # noqa: ARG002
        """
        Ask for the right to refresh a key's token.

        Args:
            key: The key.

            seconds: Not needed: the lease ends with its holder's process.

        Raises:
            StoreError: The lock file cannot be had.
        """
        name = self._name(key)
        lease = FileLease(
            self._folder / f"{name}.lease", lambda: self._written(self._look_alone(key, name))
        )
        try:
            is_granted = await self._in_thread(lease.take)
        except BaseException:
            # Nobody waits for the thread any more, which may yet succeed.
            lease.give_back()
            raise
        return lease if is_granted else None

    async def watch(self, key: str, *, generation: int) -> None:
        """
        Not possible: look again after a while.

        Args:
            key: The key.

            generation: Of the entry as it was loaded.
        """
        raise NotImplementedError

    async def _in_thread(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await asyncio.to_thread(work, *args, **kwargs)
        except OSError as error:
            problem = error.strerror or str(error)
            raise StoreError(f"{self!r} cannot be used: {problem}") from error

    def _load(self, key: str) -> Entry | None:
        kept = self._look_alone(key, self._name(key))
        return None if kept is None else kept.entry

    def _save(self, key: str, record: Record, replaces: int, fence: int) -> bool:
        name = self._name(key)
        with self._locked(name):
            kept = self._look(key, name)
            generation, written = 0 if kept is None else kept.entry.generation, self._written(kept)
            if generation != replaces or 0 < fence < written:
                return False
            new = Kept(Entry(record, replaces + 1), max(fence, written))
            self._shelf.write(name, pack(new, key=key, keys=self._keys, now=time.time()))
        return True

    def _delete(self, key: str) -> None:
        name = self._name(key)
        with self._locked(name):
            self._shelf.erase(name)

    def _look_alone(self, key: str, name: str) -> Kept | None:
        with self._locked(name) if self._shelf.reads_locked else contextlib.nullcontext():
            return self._look(key, name)

    def _look(self, key: str, name: str) -> Kept | None:
        found = self._shelf.read(name)
        if found is None:
            return None
        if found.problem is not None:
            return unreadable(found.content, found.problem)
        return unpack(found.content, key=key, keys=self._keys, now=time.time())

    @staticmethod
    def _written(kept: Kept | None) -> int:
        return 0 if kept is None else kept.fence

    def _locked(self, name: str) -> contextlib.AbstractContextManager[None]:
        return exclusive(self._folder / f"{name}.lock")

    def _name(self, key: str) -> str:
        # Whatever the key, every file system takes these.
        return sha256(f"{self._realm}\n{key}".encode()).hexdigest()[:32]


def local_folder(given: str | os.PathLike[str] | None, extra: str) -> Path:
    """
    Give the folder of a store, by default in the user's state folder.

    Args:
        given: The caller's choice, or None.

        extra: The extra that installs what local stores need.

    Raises:
        ConfigurationError: The extra is not installed.
    """
    require(extra, "filelock", "platformdirs")
    if given is not None:
        return Path(given).absolute()
    from platformdirs import user_state_path  # noqa: PLC0415 - an extra

    return user_state_path("aritma-auth", appauthor=False)

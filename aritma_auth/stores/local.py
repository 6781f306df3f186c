"""
Stores of one machine: its processes take turns by lock files, wherever the entries are kept.

    <name>.lock     held for milliseconds by a process that reads, compares and writes
    <name>.lease    held by the process that refreshes the token; counts the leases

A disk may hang for one process alone. Before it takes a lock a process reads the entry once in
vain: then it hangs there, and the others go on.
"""

import contextlib
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar
from zlib import crc32

from aritma_auth.caller_code import require_clock
from aritma_auth.errors import ConfigurationError, StoreError
from aritma_auth.files import require_path
from aritma_auth.optional import require
from aritma_auth.protocol.redaction import HiddenBytes
from aritma_auth.runtime.clock import Clock
from aritma_auth.runtime.threads import WorkerThreads
from aritma_auth.stores.contract import (
    Entry,
    Lease,
    Record,
    require_key,
    require_lease,
    require_watch,
    require_write,
)
from aritma_auth.stores.encryption import EncryptionKeys
from aritma_auth.stores.envelope import Kept, pack, unpack, unreadable
from aritma_auth.stores.file_lease import FileLease
from aritma_auth.stores.file_lock import exclusive
from aritma_auth.stores.private_files import Found

P = ParamSpec("P")
T = TypeVar("T")


_POOLS = tuple(WorkerThreads(f"aritma-auth store {number}") for number in range(8))
"""
All the threads of local stores, however many stores there are and however many disks hang.

A folder always has the same pool, so that a dead disk takes the threads of few other stores.
"""


class Shelf(Protocol):
    """Where entries are kept by name; used in worker threads, and written under a lock."""

    @property
    def reads_locked(self) -> bool:
        """Whether reading takes the lock too, since a write is not atomic."""
        ...

    def read(self, name: str) -> Found | None:
        """Return what is kept under a name, or None."""
        ...

    def write(self, name: str, body: HiddenBytes) -> None:
        """Keep bytes under a name, all of them or none."""
        ...


class LocalTokenStore:
    """
    Compares and swaps, encrypts, and grants leases; a shelf keeps the entries.

    Args:
        shelf: Keeps the entries.

        folder: Where the lock files are.

        realm: Distinguishes the stores that share a folder.

        keys: Encrypt the entries, or None.

        clock: The clocks of the process.
    """

    can_watch = False

    def __init__(
        self, shelf: Shelf, folder: Path, *, realm: str, keys: EncryptionKeys | None, clock: Clock
    ) -> None:
        clock = require_clock(clock)
        self._shelf = shelf
        self._folder = folder
        self._realm = realm
        self._keys = keys
        self._clock = clock
        self._threads = _POOLS[crc32(f"{realm}\n{folder}".encode()) % len(_POOLS)]

    async def load(self, key: str) -> Entry | None:
        """
        Return the entry of a key, or None.

        Raises:
            StoreError: It cannot be read now.
        """
        require_key(key)
        return await self._in_thread(self._load, key)

    async def save(self, key: str, record: Record, *, replaces: int, fence: int = 0) -> bool:
        """
        Write a record unless another process has written one meanwhile.

        Raises:
            StoreError: It cannot be written now, as when the disk is full.
        """
        require_write(key, record, replaces, fence)
        return await self._in_thread(self._save, key, record, replaces, fence)

    async def acquire(self, key: str, *, seconds: float) -> Lease | None:
        """
        Request the right to refresh a key's token.

        Raises:
            StoreError: The lock file cannot be used.
        """
        require_lease(key, seconds)
        name = self._name(key)
        lease = FileLease(
            self._folder / f"{name}.lease",
            lambda: self._fence_of(self._read(key, name)),
            seconds,
        )
        try:
            is_granted = await self._in_thread(self._acquire, lease, name)
        except BaseException:
            # The thread goes on without us, and may yet be granted the lease.
            lease.end()
            raise
        return lease if is_granted else None

    async def watch(self, key: str, *, generation: int) -> None:
        """
        Raise, since `can_watch` is False: the provider polls.

        Raises:
            StoreError: Always.
        """
        require_watch(key, generation)
        raise StoreError(f"{self!r} must be polled with load(): its can_watch is False")

    async def _in_thread(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._threads.run(partial(work, *args, **kwargs))
        except OSError as error:
            problem = error.strerror or str(error)
            raise StoreError(f"{self!r} cannot be used: {problem}") from error

    def _load(self, key: str) -> Entry | None:
        kept = self._read(key, self._name(key))
        return None if kept is None else kept.entry

    def _acquire(self, lease: FileLease, name: str) -> bool:
        self._meet_hang(name)
        return lease.acquire()

    def _meet_hang(self, name: str) -> None:
        if not self._shelf.reads_locked:
            self._shelf.read(name)

    def _save(self, key: str, record: Record, replaces: int, fence: int) -> bool:
        name = self._name(key)
        self._meet_hang(name)
        with self._locked(name):
            kept = self._read_locked(key, name)
            generation = 0 if kept is None else kept.entry.generation
            latest = self._fence_of(kept)
            if generation != replaces or 0 < fence < latest:
                return False
            new = Kept(Entry(record, replaces + 1), max(fence, latest))
            self._shelf.write(name, pack(new, key=key, keys=self._keys, now=self._clock.time()))
        return True

    def _read(self, key: str, name: str) -> Kept | None:
        with self._locked(name) if self._shelf.reads_locked else contextlib.nullcontext():
            return self._read_locked(key, name)

    def _read_locked(self, key: str, name: str) -> Kept | None:
        found = self._shelf.read(name)
        if found is None:
            return None
        if found.problem is not None:
            return unreadable(found.content, found.problem, is_lost=found.is_lost)
        return unpack(found.content, key=key, keys=self._keys, now=self._clock.time())

    @staticmethod
    def _fence_of(kept: Kept | None) -> int:
        return 0 if kept is None else kept.fence

    def _locked(self, name: str) -> contextlib.AbstractContextManager[None]:
        return exclusive(self._folder / f"{name}.lock")

    def _name(self, key: str) -> str:
        # A digest is a valid file name everywhere, whatever the key is.
        return sha256(f"{self._realm}\n{key}".encode()).hexdigest()[:32]


def local_folder(name: str, given: object, *, extra: str) -> Path:
    """
    Return the folder of a store, by default in the user's state folder.

    Args:
        name: The caller's argument, for the error.

        given: Its value, or None.

        extra: The extra that installs what local stores need.

    Raises:
        ConfigurationError: The argument is no path, this user has no state folder, or the extra is
            not installed.
    """
    require(extra, "filelock", "platformdirs")
    if given is None:
        return _state_folder(name)
    return require_path(name, "the path of a folder", given).absolute()


def _state_folder(name: str) -> Path:
    from platformdirs import user_state_path  # an extra

    with contextlib.suppress(RuntimeError):
        folder = user_state_path("aritma-auth", appauthor=False)
        # Without a home directory "~" remains as it is.
        if folder.is_absolute():
            return folder
    raise ConfigurationError(
        f"{name} must be given, since this user has no home directory: name a folder for tokens"
    )

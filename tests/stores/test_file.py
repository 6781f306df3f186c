"""Tokens in files: what is on the disk, with which rights, and where."""

import errno
import importlib.util
import os
import stat
import sys
import threading
from hashlib import sha256
from pathlib import Path

import platformdirs
import pytest

import aritma_auth as aa
from aritma_auth.stores import file_lock, private_files
from aritma_auth.stores.records import dump_record
from support.disk import FailingCall, entry_file, suffixes
from support.rig import Rig
from support.stores import KEY, KEYS, OLD


@pytest.fixture
def store(folder):
    return aa.FileTokenStore(folder)


async def test_an_entry_is_a_file_of_its_own(store, folder):
    """The file has mode 0600 in a folder of mode 0700, whatever the umask, with its lock file beside it."""
    umask = os.umask(0)
    try:
        await store.save(KEY, OLD, replaces=0)
    finally:
        os.umask(umask)

    assert suffixes(folder) == [".lock", ".token"]
    assert entry_file(folder).exists()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())] == [
        0o700,
        0o600,
        0o600,
    ]


async def test_a_plain_entry_is_these_bytes(store, folder):
    """A file holds version, generation, fence, a sum over all of them and the key, and the record."""
    await store.save(KEY, OLD, replaces=0, fence=7)
    record = bytes(dump_record(OLD, now=0))
    total = sha256(f"{KEY}\naritma-auth 1 plain 1 7 ".encode() + record).hexdigest()

    assert entry_file(folder).read_bytes() == f"aritma-auth 1 plain 1 7 {total} ".encode() + record


async def test_an_encrypted_entry_shows_nothing(folder):
    """Only the generation and the fence are readable, and they cannot be changed."""
    store = aa.FileTokenStore(folder, keys=KEYS)
    await store.save(KEY, OLD, replaces=0, fence=7)
    body = entry_file(folder).read_bytes()

    assert body.startswith(b"aritma-auth 1 encrypted 1 7 \x01\x011")
    assert b"old" not in body
    entry_file(folder).write_bytes(body.replace(b" 1 7 ", b" 1 8 "))
    assert "authentication tag" in (await store.load(KEY)).problem


async def test_not_even_the_first_byte_is_for_others(store, folder, monkeypatch):
    """The new file is closed to other users before anything is written to it."""
    modes, write = [], os.write

    def watching_write(file, body):
        modes.append(stat.S_IMODE(os.fstat(file).st_mode))
        return write(file, body)

    monkeypatch.setattr(os, "write", watching_write)
    umask = os.umask(0)
    try:
        await store.save(KEY, OLD, replaces=0)
    finally:
        os.umask(umask)

    assert modes == [0o600]


async def test_a_disk_may_take_a_few_bytes_at_a_time(store, monkeypatch):
    """A short write is followed by a write of the rest."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, body: write(file, body[:7]))
    await store.save(KEY, OLD, replaces=0)

    assert (await store.load(KEY)).record == OLD


async def test_whatever_blocks_runs_in_a_thread(store, monkeypatch):
    """Disk operations never run on the event loop's thread, and releasing a lease needs no thread."""
    threads = []
    for name in ("open", "fsync"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os,
            name,
            lambda *arguments, real=real: (
                threads.append(threading.current_thread()),
                real(*arguments),
            )[1],
        )
    lease = await store.acquire(KEY, seconds=30)
    await store.save(KEY, OLD, replaces=0, fence=lease.fence)
    await store.load(KEY)
    await lease.release()

    assert len(threads) > 4
    assert threading.main_thread() not in threads


def test_by_default_it_is_in_the_state_folder(monkeypatch, tmp_path):
    """The default folder is in the platform's state folder."""
    monkeypatch.setattr(platformdirs, "user_state_path", lambda name, **settings: tmp_path / name)

    assert str(tmp_path / "aritma-auth") in repr(aa.FileTokenStore())


def test_a_path_is_taken_where_the_store_is_made(monkeypatch, tmp_path):
    """A program that changes its working directory later still finds its tokens."""
    monkeypatch.chdir(tmp_path)
    text = repr(aa.FileTokenStore("tokens"))

    assert text == f"<FileTokenStore plain in {tmp_path / 'tokens'}>"
    assert "encrypted" in repr(aa.FileTokenStore("tokens", keys=KEYS))


@pytest.mark.parametrize("module", ["filelock", "platformdirs"])
def test_without_the_extra_it_is_named(monkeypatch, tmp_path, module):
    """The constructor names the extra that is not installed."""
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(aa.ConfigurationError, match=rf"{module} .*aritma-auth\[file\]"):
        aa.FileTokenStore(tmp_path)


async def test_the_next_start_finds_the_token(clock, folder):
    """Of two processes one requests a token, and the other finds it."""
    first = Rig(clock, store=aa.FileTokenStore(folder))
    second = Rig(clock, store=aa.FileTokenStore(folder))

    assert await first.get() == await second.get()
    assert len(first.client.grants) == 1
    assert second.client.grants == []


async def test_it_cannot_watch(store):
    """The store cannot watch, so the provider polls."""
    assert not store.can_watch
    with pytest.raises(aa.StoreError, match=r"must be polled with load\(\)"):
        await store.watch(KEY, generation=0)


async def test_on_windows_the_profile_guards_the_files(store, folder, monkeypatch):
    """Modes and owners mean nothing there, folders cannot be opened, and readers take turns."""
    monkeypatch.setattr(private_files, "IS_WINDOWS", True)
    monkeypatch.delattr(os, "geteuid")
    FailingCall(monkeypatch, "open", errno.EACCES, lambda path, *_: Path(path).is_dir())
    folder.mkdir()
    folder.chmod(0o777)
    await store.save(KEY, OLD, replaces=0)
    entry_file(folder).chmod(0o666)

    assert (await store.load(KEY)).record == OLD
    monkeypatch.setattr(file_lock, "PATIENCE", 0.01)
    with file_lock.exclusive(entry_file(folder).with_suffix(".lock")):
        with pytest.raises(aa.StoreError, match="another process holds"):
            await store.load(KEY)


def test_it_can_be_imported_where_posix_calls_are_missing(monkeypatch, tmp_path):
    """The module is importable without POSIX calls, and writes and reads there."""
    for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "geteuid"):
        monkeypatch.delattr(os, name)
    monkeypatch.setattr(os, "O_BINARY", 0, raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    spec = importlib.util.spec_from_file_location("elsewhere", private_files.__file__)
    elsewhere = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(elsewhere)
    elsewhere.make_folder(tmp_path / "tokens")
    elsewhere.write_private(tmp_path / "tokens" / "a.token", b"body")

    assert elsewhere.IS_WINDOWS
    assert elsewhere.read_private(tmp_path / "tokens" / "a.token").content == b"body"

"""Tokens in files: what is on the disk, what does not belong there, and a disk that fails."""

import errno
import importlib.util
import os
import shutil
import socket
import stat
import sys
import threading
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import platformdirs
import pytest

import aritma_auth as aa
from aritma_auth.stores import Record, file_lock, private_files
from aritma_auth.stores.records import dump_record
from support.disk import FailingCall, open_files
from support.rig import Rig

KEY, OTHER_KEY = "0" * 32, "1" * 32
OLD = Record(aa.Token("old", refresh_token="old-refresh"), 1)
NEW = Record(aa.Token("new", refresh_token="new-refresh"), 2)
KEYS = aa.EncryptionKeys.generate()
BROKEN = "its authentication tag is wrong: another key, another place, or damage"
UNKNOWN = "it is encrypted with a key that is not known here"


@pytest.fixture
def folder(tmp_path):
    """Give a place for a folder; whatever a test opens there, it closes."""
    yield tmp_path / "tokens"
    assert open_files(tmp_path) == []


@pytest.fixture
def store(folder):
    return aa.FileTokenStore(folder)


def entry_file(folder, key=KEY):
    """Give the file of a key."""
    name = sha256(f"file\n{key}".encode()).hexdigest()[:32]
    return folder / f"{name}.token"


def names(folder):
    return sorted(path.suffix for path in folder.iterdir())


# What is on the disk


async def test_an_entry_is_a_file_of_its_own(store, folder):
    """Mode 0600 in a folder of mode 0700, whatever the umask; its lock file is beside it."""
    umask = os.umask(0)
    try:
        await store.save(KEY, OLD, replaces=0)
    finally:
        os.umask(umask)

    assert names(folder) == [".lock", ".token"]
    assert entry_file(folder).exists()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())] == [
        0o700,
        0o600,
        0o600,
    ]


async def test_a_plain_entry_is_these_bytes(store, folder):
    """Version, generation, fence, a sum over it all with the key, and the record."""
    await store.save(KEY, OLD, replaces=0, fence=7)
    record = bytes(dump_record(OLD, now=0))
    total = sha256(f"{KEY}\naritma-auth 1 plain 1 7 ".encode() + record).hexdigest()

    assert entry_file(folder).read_bytes() == f"aritma-auth 1 plain 1 7 {total} ".encode() + record


async def test_a_sealed_entry_shows_nothing(folder):
    """Only its generation and its fence, and these cannot be changed."""
    store = aa.FileTokenStore(folder, keys=KEYS)
    await store.save(KEY, OLD, replaces=0, fence=7)
    body = entry_file(folder).read_bytes()

    assert body.startswith(b"aritma-auth 1 encrypted 1 7 \x01\x011")
    assert b"old" not in body
    entry_file(folder).write_bytes(body.replace(b" 1 7 ", b" 1 8 "))
    assert "authentication tag" in (await store.load(KEY)).problem


async def test_not_even_the_first_byte_is_for_others(store, folder, monkeypatch):
    """The new file is closed to them before anything is in it."""
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
    """The rest is written after them."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, body: write(file, body[:7]))
    await store.save(KEY, OLD, replaces=0)

    assert (await store.load(KEY)).record == OLD


async def test_whatever_blocks_runs_in_a_thread(store, monkeypatch):
    """One for each operation; giving a lease back needs none."""
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
    lease = await store.acquire(KEY, seconds=1)
    await store.save(KEY, OLD, replaces=0, fence=lease.fence)
    await store.load(KEY)
    await lease.release()

    assert len(threads) > 4
    assert threading.main_thread() not in threads


def test_by_default_it_is_in_the_state_folder(monkeypatch, tmp_path):
    """As the platform has it."""
    monkeypatch.setattr(platformdirs, "user_state_path", lambda name, **settings: tmp_path / name)

    assert str(tmp_path / "aritma-auth") in repr(aa.FileTokenStore())


def test_a_path_is_taken_where_the_store_is_made(monkeypatch, tmp_path):
    """A program that changes its folder later still finds its tokens."""
    monkeypatch.chdir(tmp_path)
    text = repr(aa.FileTokenStore("tokens"))

    assert text == f"<FileTokenStore plain in {tmp_path / 'tokens'}>"
    assert "encrypted" in repr(aa.FileTokenStore("tokens", keys=KEYS))


@pytest.mark.parametrize("module", ["filelock", "platformdirs"])
def test_without_the_extra_it_is_named(monkeypatch, tmp_path, module):
    """When the store is made."""
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(aa.ConfigurationError, match=rf"{module} .*aritma-auth\[file\]"):
        aa.FileTokenStore(tmp_path)


async def test_the_next_start_finds_the_token(clock, folder):
    """Of two processes one asks."""
    first = Rig(clock, store=aa.FileTokenStore(folder))
    second = Rig(clock, store=aa.FileTokenStore(folder))

    assert await first.get() == await second.get()
    assert len(first.client.grants) == 1
    assert second.client.grants == []


async def test_it_cannot_watch(store):
    """Whoever waits looks again."""
    assert not store.can_watch
    with pytest.raises(NotImplementedError):
        await store.watch(KEY, generation=0)


# What does not belong there


def rewritten(change):
    return lambda path: path.write_bytes(change(path.read_bytes()))


def replaced(make):
    def plant(path):
        path.unlink()
        make(path)

    return plant


def make_link(path):
    target = path.with_suffix(".elsewhere")
    target.write_bytes(b"mine")
    target.chmod(0o600)
    path.symlink_to(target)


def make_socket(path):
    # Its path may be longer than a socket's may be.
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(path.parent)
        try:
            listener.bind(path.name)
        finally:
            os.chdir(here)


def copy_from_other_key(path):
    path.write_bytes(entry_file(path.parent, OTHER_KEY).read_bytes())


STRANGE = {
    "empty": (rewritten(lambda body: b""), "another version"),
    "cut in the head": (rewritten(lambda body: body[:20]), "another version"),
    "cut in the sum": (rewritten(lambda body: body[:40]), "checksum is wrong"),
    "cut in the record": (rewritten(lambda body: body[:-1]), "checksum is wrong"),
    "longer": (rewritten(lambda body: body + b" "), "checksum is wrong"),
    "of another program": (rewritten(lambda body: b'{"access_token": "a"}'), "another program"),
    "of the next version": (
        rewritten(lambda body: body.replace(b"auth 1", b"auth 2")),
        "another version",
    ),
    "of another generation": (
        rewritten(lambda body: body.replace(b"plain 1", b"plain 9")),
        "checksum is wrong",
    ),
    "a changed token": (rewritten(lambda body: body.replace(b"old", b"odd")), "checksum is wrong"),
    "another key's": (copy_from_other_key, "another place"),
    "open to the group": (lambda path: path.chmod(0o640), "other users may use it"),
    "open to all": (lambda path: path.chmod(0o604), "other users may use it"),
    "written by all": (lambda path: path.chmod(0o602), "other users may use it"),
    "too large": (rewritten(lambda body: body.ljust(private_files.SIZE_LIMIT + 1)), "too large"),
    "a link": (replaced(make_link), "a symbolic link"),
    "a link to nothing": (replaced(lambda path: path.symlink_to("nowhere")), "a symbolic link"),
    "a FIFO": (replaced(os.mkfifo), "not a regular file"),
    "a socket": (replaced(make_socket), "not a regular file"),
    "a folder": (replaced(lambda path: path.mkdir(0o700)), "not a regular file"),
}


@pytest.mark.parametrize("name", STRANGE)
async def test_what_is_strange_is_told_and_replaced(store, folder, name):
    """It is an entry without record and with a generation; nothing waits, nothing crashes."""
    plant, words = STRANGE[name]
    await store.save(KEY, OLD, replaces=0)
    await store.save(OTHER_KEY, OLD, replaces=0)
    plant(entry_file(folder))
    entry, again = await store.load(KEY), await aa.FileTokenStore(folder).load(KEY)

    assert words in entry.problem
    assert entry.record == Record()
    assert again == entry
    assert not await store.save(KEY, NEW, replaces=0)
    assert not await store.save(KEY, NEW, replaces=entry.generation + 1)
    if name == "a folder":
        with pytest.raises(aa.StoreError):
            await store.save(KEY, NEW, replaces=entry.generation)
        return
    assert await store.save(KEY, NEW, replaces=entry.generation)
    mended = await store.load(KEY)
    assert (mended.record, mended.problem) == (NEW, None)
    assert mended.generation == entry.generation + 1
    assert [path.read_bytes() for path in folder.glob("*.elsewhere")] in ([], [b"mine"])


async def test_two_strange_entries_are_two(store, folder):
    """Whoever saw the first does not replace the second."""
    await store.save(KEY, OLD, replaces=0)
    generations = set()
    for body in (b"one", b"two"):
        entry_file(folder).write_bytes(body)
        generations.add((await store.load(KEY)).generation)
    for mode in (0o644, 0o640):
        entry_file(folder).chmod(mode)
        generations.add((await store.load(KEY)).generation)

    assert len(generations) == 4


async def test_another_users_file_is_not_read(store, folder, monkeypatch):
    """Whoever can put a file there could hand its own token to this user."""
    await store.save(KEY, OLD, replaces=0)
    fstat, path = os.fstat, entry_file(folder)

    def foreign(file):
        status = fstat(file)
        if not path.exists() or status.st_ino != path.stat().st_ino:
            return status
        return os.stat_result((*status[:4], status.st_uid + 1, *status[5:]))

    monkeypatch.setattr(os, "fstat", foreign)

    assert "another user" in (await store.load(KEY)).problem


@pytest.mark.parametrize("error", [errno.EACCES, errno.ELOOP], ids=["closed", "link"])
async def test_what_may_not_be_opened_may_be_replaced(store, folder, monkeypatch, error):
    """The folder is this user's; a file that goes away meanwhile is none."""
    await store.save(KEY, OLD, replaces=0)
    fault = FailingCall(monkeypatch, "open", error, lambda path, *_: str(path).endswith(".token"))
    entry = await store.load(KEY)
    entry_file(folder).unlink()
    gone = await store.load(KEY)
    fault.is_on = False

    assert entry.problem is not None
    assert gone is None


async def test_a_disk_that_cannot_be_read_is_no_empty_one(store, monkeypatch):
    """Otherwise the tokens there would be overwritten."""
    await store.save(KEY, OLD, replaces=0)
    fault = FailingCall(
        monkeypatch, "open", errno.EIO, lambda path, *_: str(path).endswith("token")
    )

    with pytest.raises(aa.StoreError):
        await store.load(KEY)
    with pytest.raises(aa.StoreError):
        await store.save(KEY, NEW, replaces=1)
    fault.is_on = False
    assert (await store.load(KEY)).record == OLD


@pytest.mark.parametrize(
    ("written", "read", "problem"),
    [
        (KEYS, None, "it is encrypted, and the store has no keys"),
        (None, KEYS, "it is not encrypted, and the store has keys"),
        (KEYS, aa.EncryptionKeys.generate(), BROKEN),
        (KEYS, aa.EncryptionKeys.generate("2"), UNKNOWN),
    ],
    ids=["without keys", "plain", "other key", "other name"],
)
async def test_what_cannot_be_opened_is_told_and_replaced(folder, written, read, problem):
    """A plain entry is not taken by a store that seals: anybody could have written it."""
    await aa.FileTokenStore(folder, keys=written).save(KEY, OLD, replaces=0)
    store = aa.FileTokenStore(folder, keys=read)
    entry = await store.load(KEY)

    assert entry.problem == problem
    assert await store.save(KEY, NEW, replaces=entry.generation)
    assert (await store.load(KEY)).record == NEW


# Folders


async def test_an_empty_place_is_left_empty_by_a_look(store, folder):
    """The folder is made by whoever writes."""
    assert await store.load(KEY) is None
    assert not folder.exists()


async def test_a_folder_may_go_away(store, folder):
    """All is made anew, under a lease too."""
    lease = await store.acquire(KEY, seconds=1)
    await store.save(KEY, OLD, replaces=0)
    shutil.rmtree(folder)

    assert await store.load(KEY) is None
    next_one = await store.acquire(KEY, seconds=1)
    assert await store.save(KEY, NEW, replaces=0, fence=next_one.fence)
    assert (await store.load(KEY)).record == NEW
    await lease.release()
    await next_one.release()


async def test_a_folder_may_be_a_link_to_ones_own(store, folder, tmp_path):
    """State folders often are."""
    (tmp_path / "real").mkdir(0o700)
    folder.symlink_to(tmp_path / "real")
    await store.save(KEY, OLD, replaces=0)

    assert entry_file(tmp_path / "real").exists()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o1777])
async def test_a_folder_that_others_can_write_is_not_used(store, folder, mode):
    """They could put a lock or a link there."""
    folder.mkdir()
    folder.chmod(mode)

    await is_away(store, "this user alone")
    assert names(folder) == []


async def test_another_users_folder_is_not_used(store, folder, monkeypatch):
    """Nor is one's own by another user, such as an administrator."""
    folder.mkdir(0o700)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)

    await is_away(store, "this user alone")
    assert names(folder) == []


async def test_a_file_is_no_folder(store, folder):
    """Nor is a folder below it."""
    folder.write_text("mine")

    await is_away(store, "must lead to a folder")
    await is_away(aa.FileTokenStore(folder / "below"), "cannot be used")
    assert folder.read_text() == "mine"


async def is_away(store, words):
    """Assert that every operation says so."""
    for operation in (
        store.load(KEY),
        store.save(KEY, OLD, replaces=0),
        store.acquire(KEY, seconds=1),
    ):
        with pytest.raises(aa.StoreError, match=words) as caught:
            await operation
        assert isinstance(caught.value.__cause__, OSError)


# A disk that fails


def is_new_file(path, *_):
    return str(path).endswith(".new")


def is_folder(file):
    return stat.S_ISDIR(os.fstat(file).st_mode)


STEPS = {
    "making the file": ("open", is_new_file),
    "writing": ("write", lambda file, body: True),
    "writing the rest": ("write", lambda file, body: len(body) < 300),
    "syncing the file": ("fsync", lambda file: not is_folder(file)),
    "putting it in place": ("replace", is_new_file),
    "opening the folder": ("open", lambda path, *_: Path(path).is_dir()),
    "syncing the folder": ("fsync", is_folder),
}
AFTER_REPLACING = {"opening the folder", "syncing the folder"}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", ["ENOSPC", "EROFS"])
async def test_a_disk_that_fails_at_any_step_loses_nothing(
    store, folder, monkeypatch, step, error, canary
):
    """The old entry stands, or the new one; the caller hears; nothing is left over or locked."""
    name, when = STEPS[step]
    await store.save(KEY, OLD, replaces=0)
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, body: write(file, body[:100]))
    fault = FailingCall(monkeypatch, name, getattr(errno, error), when)
    secret = Record(aa.Token(canary.text, extra={"a": canary.text}), 2)
    with pytest.raises(aa.StoreError, match="cannot be used") as caught:
        await store.save(KEY, secret, replaces=1)
    fault.is_on = False

    assert fault.calls == 1
    assert caught.value.__cause__.errno == getattr(errno, error)
    canary.assert_hidden(caught.value)
    entry = await store.load(KEY)
    assert entry.record == (secret if step in AFTER_REPLACING else OLD)
    assert names(folder) == [".lock", ".token"]
    assert open_files(folder) == []
    assert await store.save(KEY, NEW, replaces=entry.generation)


@pytest.mark.parametrize("error", ["EINVAL", "ENOTSUP"])
async def test_a_file_system_need_not_sync_folders(store, monkeypatch, error):
    """Some on the network cannot."""
    FailingCall(monkeypatch, "fsync", getattr(errno, error), is_folder)

    assert await store.save(KEY, OLD, replaces=0)


async def test_what_is_too_large_is_not_written(store, monkeypatch):
    """It could not be read again."""
    await store.save(KEY, OLD, replaces=0)
    monkeypatch.setattr(private_files, "SIZE_LIMIT", 1000)
    huge = Record(aa.Token("x" * 1000), 2)

    with pytest.raises(aa.StoreError, match="bytes at most"):
        await store.save(KEY, huge, replaces=1)
    assert (await store.load(KEY)).record == OLD


async def test_a_full_disk_grants_no_lease(store, folder, monkeypatch):
    """And holds none back."""
    fault = FailingCall(monkeypatch, "write", errno.ENOSPC)
    with pytest.raises(aa.StoreError):
        await store.acquire(KEY, seconds=1)
    fault.is_on = False
    lease = await store.acquire(KEY, seconds=1)

    assert lease.fence == 1
    await lease.release()


async def test_what_a_killed_writer_left_is_swept_up(store, folder):
    """By the next one, or with the entry; a link in its place is not followed."""
    await store.save(KEY, OLD, replaces=0)
    left, mine = entry_file(folder).with_suffix(".new"), folder / "mine"
    left.write_bytes(b"half a tok")
    await store.save(KEY, NEW, replaces=1)
    mine.write_text("mine")
    left.symlink_to(mine)
    await store.save(KEY, OLD, replaces=2)
    is_kept = mine.read_text()
    mine.unlink()

    assert is_kept == "mine"
    assert names(folder) == [".lock", ".token"]


@pytest.mark.parametrize("make", [lambda path, mine: path.symlink_to(mine), os.link], ids=str)
async def test_a_link_that_appears_while_writing_is_not_followed(
    store, folder, tmp_path, monkeypatch, make
):
    """The new file is made by the writer or not at all."""
    await store.save(KEY, OLD, replaces=0)
    mine, open_file = tmp_path / "mine", os.open
    mine.write_text("mine")

    def open_after_link(path, flags, mode=0o777):
        if is_new_file(path):
            make(mine, path) if make is os.link else make(path, mine)
        return open_file(path, flags, mode)

    monkeypatch.setattr(os, "open", open_after_link)
    with pytest.raises(aa.StoreError):
        await store.save(KEY, NEW, replaces=1)

    assert mine.read_text() == "mine"


# Locks


@pytest.mark.parametrize("suffix", [".lock", ".lease"])
@pytest.mark.parametrize(
    "make", [os.mkfifo, Path.mkdir, make_link, lambda path: path.symlink_to("nowhere")], ids=str
)
async def test_a_lock_file_that_is_none_is_not_used(store, folder, suffix, make):
    """The caller hears of it, at once."""
    await store.save(KEY, OLD, replaces=0)
    path = entry_file(folder).with_suffix(suffix)
    path.unlink(missing_ok=True)
    make(path)

    with pytest.raises(aa.StoreError):
        await (
            store.save(KEY, NEW, replaces=1) if suffix == ".lock" else store.acquire(KEY, seconds=1)
        )
    assert (await store.load(KEY)).record == OLD
    assert not (folder / "nowhere").exists()


async def test_a_writer_that_is_stopped_stops_nobody_for_long(store, folder, monkeypatch):
    """The others hear that the store is away; once it goes on, all is well."""
    monkeypatch.setattr(file_lock, "_PATIENCE", 0.05)
    await store.save(KEY, OLD, replaces=0)
    with file_lock.exclusive(entry_file(folder).with_suffix(".lock")):
        with pytest.raises(aa.StoreError, match="another process holds"):
            await store.save(KEY, NEW, replaces=1)
        assert (await store.load(KEY)).record == OLD

    assert await store.save(KEY, NEW, replaces=1)


async def test_a_writer_waits_for_another(store, folder, monkeypatch):
    """In its thread, looking again after pauses that grow."""
    await store.save(KEY, OLD, replaces=0)
    holder = file_lock.FileLock(entry_file(folder).with_suffix(".lock"))
    holder.acquire()
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 20:
            holder.release()

    monkeypatch.setattr(file_lock, "time", SimpleNamespace(monotonic=lambda: 0, sleep=sleep))

    assert await store.save(KEY, NEW, replaces=1)
    assert len(pauses) == 20
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.001
    assert pauses[-1] == 0.02


async def test_leases_are_counted_in_their_file(store, folder):
    """A number that grows, whoever asks."""
    for number in (1, 2, 3):
        lease = await aa.FileTokenStore(folder).acquire(KEY, seconds=1)
        await lease.release()
        assert lease.fence == number

    assert entry_file(folder).with_suffix(".lease").read_text() == f"{3:020}"
    assert repr(lease) == "<FileLease 3>"


@pytest.mark.parametrize("count", [b"", b"canary", b"\xff" * 30, f"{2:020}".encode()], ids=str)
async def test_a_lost_count_goes_on_from_the_last_write(store, folder, count):
    """A power cut may take it: the next holder must be able to write all the same."""
    lease = await store.acquire(KEY, seconds=1)
    await store.save(KEY, OLD, replaces=0, fence=7)
    await lease.release()
    entry_file(folder).with_suffix(".lease").write_bytes(count)
    lease = await store.acquire(KEY, seconds=1)

    assert lease.fence == 8
    assert await store.save(KEY, NEW, replaces=1, fence=8)
    assert not await store.save(KEY, OLD, replaces=2, fence=7)
    await lease.release()


# Windows, as far as it can be had here


async def test_on_windows_the_profile_guards_the_files(store, folder, monkeypatch):
    """Modes and owners mean nothing there, folders cannot be opened, readers take turns."""
    monkeypatch.setattr(private_files, "IS_WINDOWS", True)
    monkeypatch.delattr(os, "geteuid")
    FailingCall(monkeypatch, "open", errno.EACCES, lambda path, *_: Path(path).is_dir())
    folder.mkdir()
    folder.chmod(0o777)
    await store.save(KEY, OLD, replaces=0)
    entry_file(folder).chmod(0o666)

    assert (await store.load(KEY)).record == OLD
    monkeypatch.setattr(file_lock, "_PATIENCE", 0.01)
    with file_lock.exclusive(entry_file(folder).with_suffix(".lock")):
        with pytest.raises(aa.StoreError, match="another process holds"):
            await store.load(KEY)


def test_it_can_be_imported_where_posix_calls_are_missing(monkeypatch, tmp_path):
    """And writes and reads there."""
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

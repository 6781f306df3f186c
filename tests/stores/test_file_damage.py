"""Files that the store did not write, or cannot read: unreadable entries, not absent ones."""

import errno
import os
import socket
from pathlib import Path

import pytest

import aritma_auth as aa
from aritma_auth.stores import Record, private_files
from support.disk import FailingCall, entry_file, make_link
from support.stores import KEY, KEYS, NEW, OLD, OTHER_KEY


@pytest.fixture
def store(folder):
    return aa.FileTokenStore(folder)


BROKEN = "its authentication tag is wrong: another key, another place, or damage"
UNKNOWN = "it is encrypted with a key that is not known here"


def rewritten(change):
    return lambda path: path.write_bytes(change(path.read_bytes()))


def replaced(make):
    def plant(path):
        path.unlink()
        make(path)

    return plant


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
async def test_what_the_store_did_not_write_is_an_unreadable_entry(store, folder, name):
    """Such a file is an entry with a problem and a generation; nothing blocks, and nothing crashes."""
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


async def test_two_unreadable_entries_are_two(store, folder):
    """A writer that saw the first does not replace the second."""
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
    """A user who can put a file there could otherwise hand over a token of their own."""
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
    """A file that may not be opened is an unreadable entry, and one that vanishes meanwhile is none."""
    await store.save(KEY, OLD, replaces=0)
    # Its last file would be taken for a lost folder.
    await store.save(OTHER_KEY, NEW, replaces=0)
    fault = FailingCall(monkeypatch, "open", error, lambda path, *_: str(path).endswith(".token"))
    entry = await store.load(KEY)
    entry_file(folder).unlink()
    gone = await store.load(KEY)
    fault.is_on = False

    assert entry.problem is not None
    assert gone is None


async def test_a_disk_that_cannot_be_read_is_no_empty_one(store, monkeypatch):
    """A read error is a StoreError; otherwise the tokens would be overwritten."""
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
async def test_what_cannot_be_decrypted_is_an_unreadable_entry(folder, written, read, problem):
    """A store with keys does not read a plain entry: any process could have written it."""
    await aa.FileTokenStore(folder, keys=written).save(KEY, OLD, replaces=0)
    store = aa.FileTokenStore(folder, keys=read)
    entry = await store.load(KEY)

    assert entry.problem == problem
    assert await store.save(KEY, NEW, replaces=entry.generation)
    assert (await store.load(KEY)).record == NEW

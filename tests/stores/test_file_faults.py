"""A disk that fails at any step, and writers that were killed."""

import errno
import os
import stat
from pathlib import Path

import pytest

import aritma_auth as aa
from aritma_auth.stores import Record, private_files
from support.disk import FailingCall, entry_file, open_files, suffixes
from support.stores import KEY, NEW, OLD


@pytest.fixture
def store(folder):
    return aa.FileTokenStore(folder)


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
    """The old entry or the new one stands, the caller gets an error, and nothing stays locked."""
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
    assert suffixes(folder) == [".lock", ".token"]
    assert open_files(folder) == []
    assert await store.save(KEY, NEW, replaces=entry.generation)


@pytest.mark.parametrize("error", ["EINVAL", "ENOTSUP"])
async def test_a_file_system_need_not_sync_folders(store, monkeypatch, error):
    """Some network file systems cannot sync folders."""
    FailingCall(monkeypatch, "fsync", getattr(errno, error), is_folder)

    assert await store.save(KEY, OLD, replaces=0)


async def test_what_is_too_large_is_not_written(store, monkeypatch):
    """An entry that could not be read again is not written."""
    await store.save(KEY, OLD, replaces=0)
    monkeypatch.setattr(private_files, "SIZE_LIMIT", 1000)
    huge = Record(aa.Token("x" * 1000), 2)

    with pytest.raises(aa.StoreError, match="bytes at most"):
        await store.save(KEY, huge, replaces=1)
    assert (await store.load(KEY)).record == OLD


async def test_a_full_disk_grants_no_lease(store, folder, monkeypatch):
    """A full disk grants no lease, and keeps none locked."""
    fault = FailingCall(monkeypatch, "write", errno.ENOSPC)
    with pytest.raises(aa.StoreError):
        await store.acquire(KEY, seconds=30)
    fault.is_on = False
    lease = await store.acquire(KEY, seconds=30)

    assert lease.fence == 1
    await lease.release()


async def test_what_a_killed_writer_left_is_swept_up(store, folder):
    """The next writer removes the file of a killed one, and follows no link in its place."""
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
    assert suffixes(folder) == [".lock", ".token"]


@pytest.mark.parametrize(
    "make", [lambda path, mine: path.symlink_to(mine), os.link], ids=["symbolic", "hard"]
)
async def test_a_link_that_appears_while_writing_is_not_followed(
    store, folder, tmp_path, monkeypatch, make
):
    """The writer creates the new file itself or fails."""
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

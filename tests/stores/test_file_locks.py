"""Lock files of the store: what may stand in their place, and how long a writer waits."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

import aritma_auth as aa
from aritma_auth.stores import file_lock
from support.disk import entry_file, make_link
from support.stores import KEY, NEW, OLD


@pytest.fixture
def store(folder):
    return aa.FileTokenStore(folder)


@pytest.mark.parametrize("suffix", [".lock", ".lease"])
@pytest.mark.parametrize(
    "make",
    [os.mkfifo, Path.mkdir, make_link, lambda path: path.symlink_to("nowhere")],
    ids=["fifo", "folder", "link", "dangling link"],
)
async def test_a_lock_file_that_is_none_is_not_used(store, folder, suffix, make):
    """The caller gets a StoreError at once."""
    await store.save(KEY, OLD, replaces=0)
    path = entry_file(folder).with_suffix(suffix)
    path.unlink(missing_ok=True)
    make(path)

    with pytest.raises(aa.StoreError):
        await (
            store.save(KEY, NEW, replaces=1)
            if suffix == ".lock"
            else store.acquire(KEY, seconds=30)
        )
    assert (await store.load(KEY)).record == OLD
    assert not (folder / "nowhere").exists()


async def test_a_writer_that_is_stopped_stops_nobody_for_long(store, folder, monkeypatch):
    """The others get a StoreError after a while, and go on once the writer does."""
    monkeypatch.setattr(file_lock, "PATIENCE", 0.05)
    await store.save(KEY, OLD, replaces=0)
    with file_lock.exclusive(entry_file(folder).with_suffix(".lock")):
        with pytest.raises(aa.StoreError, match="another process holds"):
            await store.save(KEY, NEW, replaces=1)
        assert (await store.load(KEY)).record == OLD

    assert await store.save(KEY, NEW, replaces=1)


async def test_a_writer_waits_for_another(store, folder, monkeypatch):
    """A writer polls the lock in its thread, with growing pauses."""
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
    """The fence grows with each lease, whichever store grants it."""
    for number in (1, 2, 3):
        lease = await aa.FileTokenStore(folder).acquire(KEY, seconds=30)
        await lease.release()
        assert lease.fence == number

    assert entry_file(folder).with_suffix(".lease").read_text() == f"{3:020}"
    assert repr(lease) == "<FileLease 3>"


@pytest.mark.parametrize("count", [b"", b"canary", b"\xff" * 30, f"{2:020}".encode()], ids=str)
async def test_a_lost_count_goes_on_from_the_last_write(store, folder, count):
    """The holder after a power cut that lost the count can write all the same."""
    lease = await store.acquire(KEY, seconds=30)
    await store.save(KEY, OLD, replaces=0, fence=7)
    await lease.release()
    entry_file(folder).with_suffix(".lease").write_bytes(count)
    lease = await store.acquire(KEY, seconds=30)

    assert lease.fence == 8
    assert await store.save(KEY, NEW, replaces=1, fence=8)
    assert not await store.save(KEY, OLD, replaces=2, fence=7)
    await lease.release()

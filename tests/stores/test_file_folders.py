"""The folder of the tokens: who may write there, and what happens when it is none."""

import os
import shutil

import pytest

import aritma_auth as aa
from aritma_auth.stores import Record
from support.disk import entry_file, suffixes
from support.stores import KEY, NEW, OLD, OTHER_KEY

THIRD_KEY = "2" * 32


@pytest.fixture
def store(folder):
    return aa.FileTokenStore(folder)


async def test_a_load_creates_no_folder(store, folder):
    """The folder is created by the first write, not by a load."""
    assert await store.load(KEY) is None
    assert not folder.exists()


async def test_a_folder_may_go_away(store, folder):
    """A removed folder is created again, under a lease too."""
    lease = await store.acquire(KEY, seconds=30)
    await store.save(KEY, OLD, replaces=0)
    shutil.rmtree(folder)

    lost = await store.load(KEY)
    assert lost.is_lost
    next_one = await store.acquire(KEY, seconds=30)
    assert await store.save(KEY, NEW, replaces=lost.generation, fence=next_one.fence)
    assert (await store.load(KEY)).record == NEW
    await lease.release()
    await next_one.release()


def unmount(folder):
    folder.rename(folder.with_name("away"))


def mount_another(folder):
    unmount(folder)
    folder.mkdir(0o700)


def mount_one_in_use(folder):
    mount_another(folder)
    (folder / entry_file(folder, OTHER_KEY).name).write_text("of another program")


GONE = [unmount, mount_another, mount_one_in_use]


def mount_again(folder):
    if folder.exists():
        shutil.rmtree(folder)
    folder.with_name("away").rename(folder)


@pytest.mark.parametrize("go", GONE)
@pytest.mark.parametrize("how", ["load", "save"])
async def test_an_entry_of_a_lost_folder_is_not_absent(store, folder, how, go):
    """Whatever is in its place, nothing says that there was no entry; back again, all is as before."""
    other = aa.FileTokenStore(folder) if how == "load" else store
    await store.save(KEY, OLD, replaces=0)
    await other.load(KEY)
    go(folder)
    lost = await other.load(THIRD_KEY)

    assert lost.is_lost
    assert "was emptied, removed or replaced" in lost.problem
    assert lost.record == Record()
    mount_again(folder)
    assert await other.load(THIRD_KEY) is None
    assert (await other.load(KEY)).record == OLD


async def test_what_is_written_in_the_place_of_a_lost_folder_does_not_stand_for_it(store, folder):
    """Those who knew their tokens have written them again; of the others nothing is known."""
    for number in range(20):
        await store.save(f"{number:032}", OLD, replaces=0)
    mount_another(folder)
    for number in range(20):
        lost = await store.load(f"{number:032}")
        assert await store.save(f"{number:032}", NEW, replaces=lost.generation)

    assert (await store.load(f"{19:032}")).record == NEW
    assert (await store.load(f"{20:032}")).is_lost
    assert await aa.FileTokenStore(folder).load(f"{20:032}") is None


async def test_one_entry_that_somebody_removed_is_absent(store, folder):
    """The others show that the folder is the same."""
    await store.save(KEY, OLD, replaces=0)
    await store.save(OTHER_KEY, OLD, replaces=0)
    entry_file(folder).unlink()

    assert await store.load(KEY) is None


@pytest.mark.parametrize("depth", ["tokens", "a/b/tokens"])
async def test_a_folder_that_could_not_be_made_is_no_empty_one(tmp_path, monkeypatch, depth):
    """A process that starts where its volume is not mounted may find a folder it cannot write to."""
    store, access = aa.FileTokenStore(tmp_path / depth), os.access
    assert await store.load(KEY) is None

    def refuse(path, mode):
        return path != tmp_path and access(path, mode)

    monkeypatch.setattr(os, "access", refuse)
    with pytest.raises(aa.StoreError, match="this user cannot create it"):
        await store.load(KEY)


async def test_a_folder_may_be_a_link_to_ones_own(store, folder, tmp_path):
    """The folder may be a symbolic link to another folder of the same user."""
    (tmp_path / "real").mkdir(0o700)
    folder.symlink_to(tmp_path / "real")
    await store.save(KEY, OLD, replaces=0)

    assert entry_file(tmp_path / "real").exists()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o1777])
async def test_a_folder_that_others_can_write_is_not_used(store, folder, mode):
    """Other users could put a lock or a link into such a folder."""
    folder.mkdir()
    folder.chmod(mode)

    await is_away(store, "this user alone")
    assert suffixes(folder) == []


async def test_another_users_folder_is_not_used(store, folder, monkeypatch):
    """No user uses a folder of another, not even an administrator."""
    folder.mkdir(0o700)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)

    await is_away(store, "this user alone")
    assert suffixes(folder) == []


async def test_a_file_is_no_folder(store, folder):
    """A file in place of the folder makes the store unavailable, and stays as it is."""
    folder.write_text("mine")

    await is_away(store, "must lead to a folder")
    await is_away(aa.FileTokenStore(folder / "below"), "cannot be used")
    assert folder.read_text() == "mine"


async def is_away(store, words):
    """Assert that every operation raises a StoreError with these words."""
    for operation in (
        store.load(KEY),
        store.save(KEY, OLD, replaces=0),
        store.acquire(KEY, seconds=30),
    ):
        with pytest.raises(aa.StoreError, match=words) as caught:
            await operation
        assert isinstance(caught.value.__cause__, OSError)

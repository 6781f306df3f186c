"""The folder of the tokens: who may write there, and what happens when it is none."""

import os
import shutil

import pytest

import aritma_auth as aa
from support.disk import entry_file, suffixes
from support.stores import KEY, NEW, OLD


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

    assert await store.load(KEY) is None
    next_one = await store.acquire(KEY, seconds=30)
    assert await store.save(KEY, NEW, replaces=0, fence=next_one.fence)
    assert (await store.load(KEY)).record == NEW
    await lease.release()
    await next_one.release()


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

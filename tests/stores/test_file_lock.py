"""Locks on files: one holder at a time, released however the holder ends."""

import gc
import os

import pytest

from aritma_auth.stores import file_lock
from aritma_auth.stores.file_lock import FileLock
from support.disk import descriptor_of, open_files

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.lock"


def test_a_lock_is_for_one(path):
    """Only one lock of a path is held at a time, in the threads of one process too."""
    one, other = FileLock(path), FileLock(path)

    assert one.acquire()
    assert one.is_held
    assert not other.acquire()
    one.release()
    assert not one.is_held
    assert other.acquire()
    other.release()


def test_a_lock_released_while_it_was_acquired_is_not_held(path):
    """A cancelled caller releases the lock while its thread still acquires it."""
    lock = FileLock(path, lambda file: lock.release())

    assert not lock.acquire()
    assert not lock.is_held
    assert not lock.acquire()
    after = FileLock(path)
    assert after.acquire()
    after.release()


def test_a_lock_whose_preparation_fails_is_free(path):
    """A failed preparation closes the file."""

    def fail(file):
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        FileLock(path, fail).acquire()
    lock = FileLock(path)
    assert lock.acquire()
    lock.release()


def test_a_lock_file_that_is_removed_meanwhile_guards_nothing(path, monkeypatch):
    """A lock file that was removed is created and locked again."""
    samestat, seen = os.path.samestat, []

    def removed_first(one, other):
        seen.append(path.stat().st_ino)
        return samestat(one, other) and len(seen) > 1

    monkeypatch.setattr(os.path, "samestat", removed_first)
    lock = FileLock(path)

    assert lock.acquire()
    assert len(seen) == 2
    assert len(open_files(path)) <= 1
    lock.release()


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_lock_file_that_is_always_removed_is_an_error(path, monkeypatch, is_gone):
    """The attempts end, and nothing remains open."""
    if is_gone:
        # The folder goes away before each opening.
        monkeypatch.setattr(file_lock, "open_lock_file", lambda path: path.rmdir())
    else:
        monkeypatch.setattr(os.path, "samestat", lambda one, other: False)

    with pytest.raises(FileNotFoundError, match="must not be removed"):
        FileLock(path).acquire()
    assert open_files(path) == []


def test_a_lock_that_nobody_holds_any_more_is_free(path):
    """A lock whose owner dropped it is free."""
    lock = FileLock(path)
    lock.acquire()
    del lock
    gc.collect()
    after = FileLock(path)

    assert after.acquire()
    after.release()


def test_a_release_unlocks_what_a_child_still_has_open(path):
    """A child process that inherited the file does not keep the lock."""
    lock = FileLock(path)
    lock.acquire()
    inherited = os.dup(descriptor_of(path))
    lock.release()
    after = FileLock(path)

    assert after.acquire()
    after.release()
    os.close(inherited)


def test_a_writer_that_fails_releases_the_lock(path, monkeypatch):
    """An exception in the guarded block releases the lock."""
    made, make = [], FileLock
    monkeypatch.setattr(file_lock, "FileLock", lambda path: made.append(make(path)) or made[-1])
    with pytest.raises(KeyError), file_lock.exclusive(path):
        was_held = made[0].is_held
        raise KeyError

    assert was_held
    assert not made[0].is_held


def test_a_forked_child_leaves_the_lock_to_its_parent(path):
    """A forked child neither holds nor unlocks its parent's lock."""
    lock = FileLock(path)
    lock.acquire()
    parents = os.dup(descriptor_of(path))
    file_lock.abandon_all_locks()

    assert not lock.is_held
    assert not FileLock(path).acquire()
    lock.release()
    assert not FileLock(path).acquire()
    os.close(parents)

"""Tokens in the operating system's keyring."""

import asyncio
import importlib.util
import re
import sys
import threading

import keyring
import keyring.errors
import platformdirs
import pytest
from keyring.backends import fail, null

import aritma_auth as aa
from aritma_auth.stores import Record
from aritma_auth.stores import keyring as keyring_store
from support.keyrings import DictKeyring

KEY, OTHER_KEY = "0" * 32, "1" * 32
OLD = Record(aa.Token("old", refresh_token="old-refresh"), 1)
NEW = Record(aa.Token("new", refresh_token="new-refresh"), 2)
SHORT = Record(serial=3)
LONG = Record(aa.Token("x" * 6000, id_token="y" * 3000), 4)
WINDOWS = 1280
"""Characters that Windows keeps under one name."""


@pytest.fixture
def backend():
    return DictKeyring()


@pytest.fixture
def store(backend, tmp_path):
    return aa.KeyringTokenStore(keyring=backend, lock_folder=tmp_path)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Give a store over a keyring that keeps as little as the one of Windows."""
    monkeypatch.setattr(keyring_store, "PART_SIZE", 1200)
    backend = DictKeyring(WINDOWS)
    return aa.KeyringTokenStore(keyring=backend, lock_folder=tmp_path), backend


async def test_an_entry_is_one_text(store, backend):
    """An entry is one text of the service, with generation, fence and a sum over all of it."""
    await store.save(KEY, OLD, replaces=0, fence=7)
    ((service, name), text) = next(iter(backend.texts.items()))

    assert service == "aritma-auth"
    assert re.fullmatch("[0-9a-f]{32}", name)
    assert re.match(r"aritma-auth 1 plain 1 7 [0-9a-f]{64} \{", text)
    assert text.isascii()
    assert text.isprintable()


async def test_two_services_share_nothing(backend, tmp_path):
    """Two services in one folder share neither entries nor leases."""
    one, other = (
        aa.KeyringTokenStore(name, keyring=backend, lock_folder=tmp_path) for name in ("a", "b")
    )
    await one.save(KEY, OLD, replaces=0)
    leases = [await store.acquire(KEY, seconds=30) for store in (one, other)]

    assert await other.load(KEY) is None
    assert None not in leases
    assert repr(other) == "<KeyringTokenStore 'b'>"
    for lease in leases:
        await lease.release()


async def test_a_file_store_may_share_the_folder(store, tmp_path):
    """A FileTokenStore may share the folder, as both do by default."""
    files = aa.FileTokenStore(tmp_path)
    leases = [await each.acquire(KEY, seconds=30) for each in (store, files)]

    assert None not in leases
    for lease in leases:
        await lease.release()


async def test_the_keyring_is_called_in_a_thread(store, backend, monkeypatch):
    """The keyring may block while the end-user unlocks it."""
    threads = []
    get = backend.get_password
    monkeypatch.setattr(
        backend,
        "get_password",
        lambda *names: (threads.append(threading.current_thread()), get(*names))[1],
    )
    await store.save(KEY, OLD, replaces=0)
    await store.load(KEY)

    assert threads
    assert threading.main_thread() not in threads


@pytest.mark.parametrize("text", ["", "hunter2", "ä\ud800", "aritma-auth 2 plain 1 0 ", "{}"])
async def test_what_the_store_did_not_write_is_an_unreadable_entry(store, backend, text):
    """A text of another program or version is an unreadable entry."""
    await store.save(KEY, OLD, replaces=0)
    (place,) = backend.texts
    backend.texts[place] = text
    entry = await store.load(KEY)

    assert "another version" in entry.problem
    assert entry.record == Record()
    assert not await store.save(KEY, NEW, replaces=1)
    assert await store.save(KEY, NEW, replaces=entry.generation)
    assert (await store.load(KEY)).record == NEW


async def test_long_entries_are_cut_where_only_short_ones_fit(small):
    """A long entry is written in parts beside the old ones, which are then removed."""
    store, backend = small
    for generation, record in enumerate([LONG, OLD, LONG, LONG, SHORT, LONG]):
        assert await store.save(KEY, record, replaces=generation)
        assert (await store.load(KEY)).record == record
        assert max(map(len, backend.texts.values())) <= 1200
        is_cut = record is LONG
        assert len(backend.texts) == (1 + 8 if is_cut else 1)


class Killed(BaseException):
    """Ends a writer in the middle."""


@pytest.mark.parametrize("after", range(9))
async def test_a_writer_killed_between_parts_leaves_the_old_entry(small, monkeypatch, after):
    """The old entry stands until the text that names its parts is replaced."""
    store, backend = small
    changed = Record(aa.Token("z" * 6000, id_token="y" * 3000), 5)
    await store.save(KEY, LONG, replaces=0)
    set_password, left = backend.set_password, [after]

    def dying(*texts):
        if not left[0]:
            raise Killed
        left[0] -= 1
        set_password(*texts)

    backend.set_password = dying
    with pytest.raises(Killed):
        await store.save(KEY, changed, replaces=1)
    backend.set_password = set_password

    assert (await store.load(KEY)).record == LONG
    assert await store.save(KEY, changed, replaces=1)
    assert (await store.load(KEY)).record == changed
    assert len(backend.texts) == 9


@pytest.mark.parametrize("part", [0, 7])
@pytest.mark.parametrize("damage", ["lost", "changed", "swapped"])
async def test_a_damaged_part_shows(small, part, damage):
    """A lost, changed or swapped part is detected by the checksum of the whole."""
    store, backend = small
    await store.save(KEY, LONG, replaces=0)
    places = [place for place in backend.texts if ".a" in place[1]]
    if damage == "lost":
        del backend.texts[places[part]]
    elif damage == "changed":
        backend.texts[places[part]] = "?" + backend.texts[places[part]][1:]
    else:
        one, other = places[part], places[part - 1]
        backend.texts[one], backend.texts[other] = backend.texts[other], backend.texts[one]
    entry = await store.load(KEY)

    assert entry.problem is not None
    assert await store.save(KEY, NEW, replaces=entry.generation)
    assert (await store.load(KEY)).record == NEW
    assert len(backend.texts) == 1


def test_a_part_fits_where_windows_keeps_it(monkeypatch):
    """A part has fewer characters than the 1,280 that Windows keeps."""
    monkeypatch.setattr(sys, "platform", "win32")
    spec = importlib.util.spec_from_file_location("elsewhere", keyring_store.__file__)
    elsewhere = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(elsewhere)

    assert 1000 < elsewhere.PART_SIZE <= WINDOWS


FAILURES = [
    keyring.errors.KeyringLocked("canary"),
    keyring.errors.PasswordSetError("canary"),
    RuntimeError("canary"),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("call", ["get_password", "set_password"])
async def test_a_keyring_that_fails_is_away(store, backend, monkeypatch, call, error, canary):
    """The keyring's own error does not leave the store, the entry stands, and nothing stays locked."""
    await store.save(KEY, OLD, replaces=0)

    def failing(*texts):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(backend, call, failing)
        with pytest.raises(aa.StoreError, match=type(error).__name__) as caught:
            await store.save(KEY, Record(aa.Token(canary.text), 2), replaces=1)

    canary.assert_hidden(caught.value)
    assert caught.value.__cause__ is None
    assert "canary" not in str(caught.value)
    assert (await store.load(KEY)).record == OLD
    assert await store.save(KEY, NEW, replaces=1)


async def test_a_keyring_that_keeps_old_parts_says_so(small, monkeypatch):
    """The new entry is in place, and the StoreError says that the old token may remain."""
    store, backend = small
    await store.save(KEY, LONG, replaces=0)

    def failing(*texts):
        raise FAILURES[0]

    with monkeypatch.context() as patch:
        patch.setattr(backend, "delete_password", failing)
        with pytest.raises(aa.StoreError, match="KeyringLocked"):
            await store.save(KEY, OLD, replaces=1)

    assert (await store.load(KEY)).record == OLD


async def test_a_lock_folder_that_cannot_be_used_makes_it_away(backend, tmp_path):
    """A lock folder that cannot be used is a StoreError, as with files."""
    (tmp_path / "file").write_text("mine")
    store = aa.KeyringTokenStore(keyring=backend, lock_folder=tmp_path / "file")

    with pytest.raises(aa.StoreError):
        await store.load(KEY)
    assert backend.texts == {}


@pytest.mark.parametrize("kind", [fail.Keyring, null.Keyring])
def test_a_machine_without_keyring_is_refused(monkeypatch, kind):
    """The constructor refuses a machine without a keyring, or with one that keeps nothing."""
    monkeypatch.setattr(keyring, "get_keyring", kind)

    with pytest.raises(aa.ConfigurationError, match="this machine has none"):
        aa.KeyringTokenStore()


async def test_by_default_it_is_the_machines_keyring(monkeypatch, backend, tmp_path):
    """By default python-keyring chooses the keyring, and the locks are in the state folder."""
    monkeypatch.setattr(keyring, "get_keyring", lambda: backend)
    monkeypatch.setattr(platformdirs, "user_state_path", lambda name, **settings: tmp_path / name)
    await aa.KeyringTokenStore().save(KEY, OLD, replaces=0)

    assert len(backend.texts) == 1
    assert [path.suffix for path in (tmp_path / "aritma-auth").iterdir()] == [".lock"]


@pytest.mark.parametrize("module", ["keyring", "filelock", "platformdirs"])
def test_without_the_extra_it_is_named(monkeypatch, backend, module):
    """The constructor names the extra that is not installed."""
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(aa.ConfigurationError, match=rf"{module} .*aritma-auth\[keyring\]"):
        aa.KeyringTokenStore(keyring=backend)


async def test_many_writers_of_long_entries_lose_nothing(small):
    """A reader never combines the parts of two writes."""
    store, _ = small

    async def add_one():
        while True:
            entry = await store.load(KEY)
            assert entry is None or entry.problem is None
            serial = 1 if entry is None else entry.record.serial + 1
            record = Record(aa.Token(str(serial % 10) * 3000), serial)
            replaces = 0 if entry is None else entry.generation
            if await store.save(KEY, record, replaces=replaces):
                return

    await asyncio.gather(*(add_one() for _ in range(8)))

    assert (await store.load(KEY)).record.serial == 8

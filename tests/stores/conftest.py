"""Every kind of store, opened twice over the same data, and what the tests of one kind share."""

import contextlib
import gc
import shutil
from secrets import token_hex

import pytest

import aritma_auth as aa
from aritma_auth.stores import keyring as keyring_store
from support.disk import open_files
from support.keyrings import DictKeyring
from support.stores import KEY, KEYS
from support.valkey import Server, shared_server


@contextlib.asynccontextmanager
async def memory(_tmp_path):
    """Open one store: there is one process."""
    store = aa.MemoryTokenStore()
    yield store, store


@contextlib.asynccontextmanager
async def file(tmp_path):
    """Open two stores over one folder that they have to create."""
    yield aa.FileTokenStore(tmp_path / "tokens"), aa.FileTokenStore(tmp_path / "tokens")


@contextlib.asynccontextmanager
async def encrypted_file(tmp_path):
    """Open two stores over one folder, with encryption keys."""
    one, two = (aa.FileTokenStore(tmp_path / "tokens", keys=KEYS) for _ in range(2))
    yield one, two


@contextlib.asynccontextmanager
async def keyring(tmp_path):
    """Open two stores over one keyring."""
    backend, settings = DictKeyring(), {"lock_folder": tmp_path / "locks"}
    yield (
        aa.KeyringTokenStore(keyring=backend, **settings),
        aa.KeyringTokenStore(keyring=backend, **settings),
    )


@contextlib.asynccontextmanager
async def keyring_in_parts(tmp_path):
    """Open two stores over one keyring that keeps short texts only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyring_store, "PART_SIZE", 100)
        async with keyring(tmp_path) as stores:
            yield stores


@contextlib.asynccontextmanager
async def valkey(_tmp_path, *, binary=None):
    """Open two stores with connections of their own."""
    url = shared_server(binary).url
    # A busy machine is no defect.
    settings = {"keys": KEYS, "prefix": token_hex(4), "timeout": 30}
    async with (
        aa.RedisTokenStore(url, **settings) as one,
        aa.RedisTokenStore(url, **settings) as two,
    ):
        yield one, two


def redis(tmp_path):
    """Open two stores over Redis, where it is installed."""
    return valkey(tmp_path, binary=shutil.which("redis-server"))


STORES = [memory, file, encrypted_file, keyring, keyring_in_parts, valkey] + [redis] * (
    shutil.which("redis-server") is not None
)
"""A new store adds one function above and its name here."""


@pytest.fixture(params=STORES, ids=lambda opened: opened.__name__)
async def both_stores(request, tmp_path):
    """Give two stores over the same data."""
    async with request.param(tmp_path) as stores:
        yield stores


@pytest.fixture
def store(both_stores):
    return both_stores[0]


@pytest.fixture
def other(both_stores):
    return both_stores[1]


@pytest.fixture
def folder(tmp_path):
    """Give the path of a folder; the test must close whatever it opens there."""
    yield tmp_path / "tokens"
    gc.collect()
    assert open_files(tmp_path) == []


@pytest.fixture
def server():
    """Give a server that many tests share."""
    return shared_server()


@pytest.fixture(scope="module")
def own_server():
    """Give a server that tests break and repair."""
    with Server() as server:
        yield server


@pytest.fixture
def prefix():
    return token_hex(4)


@pytest.fixture
def open_store(prefix):
    """Return a function that opens a store with this test's prefix."""

    def open_store(server, **settings):
        url = getattr(server, "url", server)
        # A busy machine is no defect.
        return aa.RedisTokenStore(
            url, **{"keys": KEYS, "prefix": prefix, "timeout": 30, **settings}
        )

    return open_store


@pytest.fixture
def names(prefix):
    """Return the names of the key's value, lease and fences."""
    return [f"{prefix}:{{{KEY}}}:{kind}" for kind in "vlf"]

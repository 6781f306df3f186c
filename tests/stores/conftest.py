"""Every kind of store, opened twice over the same data, as two processes would."""

import contextlib
import shutil
from secrets import token_hex

import pytest

import aritma_auth as aa
from aritma_auth.stores import keyring as keyring_store
from aritma_auth.stores.encryption import EncryptionKeys
from support.keyrings import DictKeyring
from support.valkey import shared_server

SEALING_KEYS = EncryptionKeys.generate()


@contextlib.asynccontextmanager
async def memory(_tmp_path):
    """Both are the same object: there is one process."""
    store = aa.MemoryTokenStore()
    yield store, store


@contextlib.asynccontextmanager
async def file(tmp_path):
    """Two stores over one folder that they have to make."""
    yield aa.FileTokenStore(tmp_path / "tokens"), aa.FileTokenStore(tmp_path / "tokens")


@contextlib.asynccontextmanager
async def sealed_file(tmp_path):
    """The same, sealed."""
    one, two = (aa.FileTokenStore(tmp_path / "tokens", keys=SEALING_KEYS) for _ in range(2))
    yield one, two


@contextlib.asynccontextmanager
async def keyring(tmp_path):
    """Two stores over one keyring."""
    backend, settings = DictKeyring(), {"lock_folder": tmp_path / "locks"}
    yield (
        aa.KeyringTokenStore(keyring=backend, **settings),
        aa.KeyringTokenStore(keyring=backend, **settings),
    )


@contextlib.asynccontextmanager
async def keyring_in_parts(tmp_path):
    """The same over a keyring that keeps short texts only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyring_store, "PART_SIZE", 100)
        async with keyring(tmp_path) as stores:
            yield stores


@contextlib.asynccontextmanager
async def valkey(_tmp_path, *, binary=None):
    """Two stores with connections of their own."""
    url = shared_server(binary).url
    # A busy machine is no defect.
    settings = {"keys": SEALING_KEYS, "prefix": token_hex(4), "timeout": 30}
    async with (
        aa.RedisTokenStore(url, **settings) as one,
        aa.RedisTokenStore(url, **settings) as two,
    ):
        yield one, two


def redis(tmp_path):
    """The same with Redis where one is installed."""
    return valkey(tmp_path, binary=shutil.which("redis-server"))


STORES = [memory, file, sealed_file, keyring, keyring_in_parts, valkey] + [redis] * (
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

"""Every kind of store, opened twice over the same data, as two processes would."""

import contextlib

import pytest

import aritma_auth as aa


@contextlib.asynccontextmanager
async def memory(_tmp_path):
    """Both are the same object: there is one process."""
    store = aa.MemoryTokenStore()
    yield store, store


STORES = [memory]
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

"""Stores of both kinds: those that tell of changes, and those that are looked at again."""

import pytest

from support.sharing import PollingStore
from support.stores import FailingStore


@pytest.fixture(params=[FailingStore, PollingStore], ids=["watched", "polled"])
def store(request):
    """Give a store that a test lets fail."""
    return request.param()

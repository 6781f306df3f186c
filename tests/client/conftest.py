"""The server at which the tests' end-user is signed in, and a client of it."""

import pytest

from support.journeys import client_of, signed_in_sandbox


@pytest.fixture
async def sandbox():
    """Start a server at which Alice is signed in."""
    async with signed_in_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox):
    """Make the client of its web application."""
    return client_of(sandbox)

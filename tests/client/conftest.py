"""The server at which the tests' end-user is signed in, and a client of it."""

import pytest

from aritma_auth.sandbox import Sandbox
from support.journeys import client_of


@pytest.fixture
async def sandbox():
    """Start a server at which Alice is signed in."""
    async with Sandbox(server_version="duende-7.4") as sandbox:
        sandbox.sign_in_automatically("alice")
        yield sandbox


@pytest.fixture
def client(sandbox):
    """Make the client of its web application."""
    return client_of(sandbox)

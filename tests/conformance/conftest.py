"""The server that the conformance tests sign in at."""

import pytest

from aritma_auth.sandbox import Sandbox


@pytest.fixture
async def sandbox():
    """Give a server at which Alice is signed in, and which can be told to lie."""
    async with Sandbox(server_version="duende-7.4") as sandbox:
        sandbox.sign_in_automatically("alice")
        yield sandbox


@pytest.fixture
def overrides(sandbox):
    return sandbox.overrides

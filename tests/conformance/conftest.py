"""The server that the conformance tests sign in at."""

import pytest

from support.journeys import signed_in_sandbox


@pytest.fixture
async def sandbox():
    """Give a server at which Alice is signed in, and which can be told to lie."""
    async with signed_in_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def overrides(sandbox):
    return sandbox.overrides

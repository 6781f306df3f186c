"""What the tests of native apps share: a public client at a sandbox in which alice signs in."""

import pytest

from support.journeys import client_of


@pytest.fixture
def client(aritma_sandbox):
    aritma_sandbox.sign_in_automatically("alice")
    return client_of(aritma_sandbox, "sandbox-cli")

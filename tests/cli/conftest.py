"""What the tests of the commands share: no settings of the machine's, and a sandbox beside them."""

import os

import pytest

from support.apart import sandbox_apart


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in list(os.environ):
        if name.startswith("ARITMA_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def running():
    """Run a sandbox on a loop of its own: the commands run a loop themselves."""
    with sandbox_apart() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running, monkeypatch):
    """Give the sandbox, in which alice signs in, and the settings of its native client."""
    running.sign_in_automatically("alice")
    running.token_requests.clear()
    monkeypatch.setenv("ARITMA_CLIENT_ID", "sandbox-cli")
    monkeypatch.setenv("ARITMA_ENVIRONMENT", running.identity_url)
    return running


@pytest.fixture
def service(monkeypatch):
    """Give the settings of a service at Aritma's development environment; yield its endpoint."""
    monkeypatch.setenv("ARITMA_CLIENT_ID", "id")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "secret")
    monkeypatch.setenv("ARITMA_ENVIRONMENT", "development")
    return "https://id.dev.aritma.io/connect/token"

"""
Fixtures for the tests of services that use this package.

====================== =============================================================
``aritma_sandbox``     a running `aritma_auth.sandbox.Sandbox`
``aritma_environment`` its environment, for an OAuthClient
``aritma_clock``       its clock, which ``advance`` moves
``aritma_faults``      what goes wrong there: ``fail_next``, ``revoke_all``, ...
``aritma_client``      an OAuthClient of its service, with its clock
``aritma_tokens``      a TokenProvider of that client, with its clock
====================== =============================================================

They need pytest-asyncio, in strict or auto mode. Without a server: `aritma_auth.testing`.

pytest loads this module in every run of everyone who has the package installed. It imports nothing
of ours before a fixture is used.
"""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aritma_auth.client.client import OAuthClient
    from aritma_auth.environment import Environment
    from aritma_auth.provider.provider import TokenProvider
    from aritma_auth.sandbox import Faults, Sandbox, SandboxClock

__all__ = [
    "aritma_client",
    "aritma_clock",
    "aritma_environment",
    "aritma_faults",
    "aritma_sandbox",
    "aritma_tokens",
]


async def _run_sandbox() -> "AsyncIterator[Sandbox]":
    from aritma_auth.sandbox import Sandbox  # only when the fixture is used

    async with Sandbox() as sandbox:
        yield sandbox


async def _open_client(aritma_sandbox: "Sandbox") -> "AsyncIterator[OAuthClient]":
    from aritma_auth.client.client import OAuthClient  # only when it is used

    registered = aritma_sandbox.client
    async with OAuthClient(
        registered.client_id,
        registered.client_secret,
        environment=aritma_sandbox.environment,
        clock=aritma_sandbox.clock,
    ) as client:
        yield client


async def _open_provider(
    aritma_sandbox: "Sandbox", aritma_client: "OAuthClient"
) -> "AsyncIterator[TokenProvider]":
    from aritma_auth.protocol.grants import ClientCredentialsGrant
    from aritma_auth.provider.provider import TokenProvider

    grant = ClientCredentialsGrant("bankservice")
    async with TokenProvider(aritma_client, grant, clock=aritma_sandbox.clock) as tokens:
        yield tokens


def _fail_without_pytest_asyncio() -> None:
    # Fail rather than skip: nobody notices a skipped test.
    pytest.fail("aritma_sandbox needs pytest-asyncio: pip install pytest-asyncio")


def _make_fixture(name: str, function: Callable[..., AsyncIterator[object]]) -> object:
    try:
        import pytest_asyncio  # optional
    except ImportError:
        return pytest.fixture(name=name)(_fail_without_pytest_asyncio)
    return pytest_asyncio.fixture(name=name)(function)


aritma_sandbox = _make_fixture("aritma_sandbox", _run_sandbox)
aritma_client = _make_fixture("aritma_client", _open_client)
aritma_tokens = _make_fixture("aritma_tokens", _open_provider)


@pytest.fixture
def aritma_environment(aritma_sandbox: "Sandbox") -> "Environment":
    """Give the sandbox as an environment for an OAuthClient."""
    return aritma_sandbox.environment


@pytest.fixture
def aritma_clock(aritma_sandbox: "Sandbox") -> "SandboxClock":
    """Give the sandbox's clock: `advance` ages tokens on both sides."""
    return aritma_sandbox.clock


@pytest.fixture
def aritma_faults(aritma_sandbox: "Sandbox") -> "Faults":
    """Give what can be made to fail in the sandbox."""
    return aritma_sandbox.faults

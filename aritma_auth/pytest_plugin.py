"""
Fixtures for the tests of those who use this package.

``aritma_sandbox`` is a running `aritma_auth.sandbox.Sandbox`, ``aritma_environment`` its
environment. Both need pytest-asyncio, in strict or auto mode.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aritma_auth.environment import Environment
    from aritma_auth.sandbox import Sandbox


async def _run_sandbox() -> "AsyncIterator[Sandbox]":
    from aritma_auth.sandbox import Sandbox  # noqa: PLC0415 - only where it is asked for

    async with Sandbox() as sandbox:
        yield sandbox


def _cannot_run() -> None:
    # A test that is skipped for want of a plugin is a test that nobody misses.
    pytest.fail("aritma_sandbox needs pytest-asyncio: pip install pytest-asyncio")


def _sandbox_fixture() -> object:
    """Make the fixture with whatever can run it."""
    try:
        import pytest_asyncio  # noqa: PLC0415 - optional
    except ImportError:
        return pytest.fixture(name="aritma_sandbox")(_cannot_run)
    return pytest_asyncio.fixture(name="aritma_sandbox")(_run_sandbox)


aritma_sandbox = _sandbox_fixture()


@pytest.fixture
def aritma_environment(aritma_sandbox: "Sandbox") -> "Environment":
    """Give the sandbox as an environment for an OAuthClient."""
    return aritma_sandbox.environment

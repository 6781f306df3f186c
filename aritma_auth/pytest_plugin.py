"""
Fixtures for the tests of services that use this package.

``aritma_sandbox`` is a running `aritma_auth.sandbox.Sandbox`, ``aritma_environment`` its
environment. Both need pytest-asyncio, in strict or auto mode.

pytest loads this module in every run of everyone who has the package installed. It imports nothing
of ours before a fixture is used.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aritma_auth.environment import Environment
    from aritma_auth.sandbox import Sandbox


async def _run_sandbox() -> "AsyncIterator[Sandbox]":
    from aritma_auth.sandbox import Sandbox  # noqa: PLC0415 - only when the fixture is used

    async with Sandbox() as sandbox:
        yield sandbox


def _fail_without_pytest_asyncio() -> None:
    # Fail rather than skip: nobody notices a skipped test.
    pytest.fail("aritma_sandbox needs pytest-asyncio: pip install pytest-asyncio")


def _make_sandbox_fixture() -> object:
    try:
        import pytest_asyncio  # noqa: PLC0415 - optional
    except ImportError:
        return pytest.fixture(name="aritma_sandbox")(_fail_without_pytest_asyncio)
    return pytest_asyncio.fixture(name="aritma_sandbox")(_run_sandbox)


aritma_sandbox = _make_sandbox_fixture()


@pytest.fixture
def aritma_environment(aritma_sandbox: "Sandbox") -> "Environment":
    """Give the sandbox as an environment for an OAuthClient."""
    return aritma_sandbox.environment

"""What the sandbox's own tests share."""

import pytest

from aritma_auth.sandbox import Sandbox
from support.plain_browser import PlainBrowser

SERVER_VERSIONS = ("is4", "duende-6.3", "duende-7.4", "duende-8")


@pytest.fixture
async def sandbox(request):
    """Start a sandbox of the file's SERVER_VERSION; a test may ask for another by ``indirect``."""
    usual = getattr(request.module, "SERVER_VERSION", "is4")
    async with Sandbox(server_version=getattr(request, "param", usual)) as sandbox:
        sandbox.clock.freeze()
        yield sandbox


@pytest.fixture
async def browser(sandbox):
    """Open a browser at the sandbox."""
    async with PlainBrowser(sandbox.identity_url) as browser:
        yield browser


@pytest.fixture(params=SERVER_VERSIONS)
async def every(request):
    """Start a sandbox of each server version."""
    async with Sandbox(server_version=request.param) as sandbox:
        sandbox.clock.freeze()
        yield sandbox

"""The web applications in docs/examples run by themselves; tests/integrations has the rest."""

import asyncio
import re
import sys

import aiohttp
import pytest

from support.applications import EXAMPLES


@pytest.mark.parametrize("name", ["aiohttp_app", "fastapi_app"])
async def test_it_runs_by_itself(name):
    """The example, started as a program, starts its own sandbox and prints its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / f"{name}.py"), stdout=asyncio.subprocess.PIPE
    )
    try:
        line = (await process.stdout.readline()).decode()
        url = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
        async with aiohttp.ClientSession() as browser:
            async with browser.get(f"{url}/accounts") as response:
                assert response.url.path == "/account/login"
                assert response.status == 200
    finally:
        process.terminate()
        await process.communicate()

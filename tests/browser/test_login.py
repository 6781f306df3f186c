"""Tests of signing in from a terminal, in a real browser."""

import asyncio

import pytest

import aritma_auth as aa
from aritma_auth.native_app.login import login_with_browser

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def begin(client):
    """Begin a login, and return its task and the address that it shows."""
    shown = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(login_with_browser(client, open_browser=None, show=shown.set_result))
    return task, await shown


async def test_the_browser_says_that_the_end_user_can_go_back(window, client_of):
    """The result page tells the end-user to return, and the program has its tokens."""
    task, url = await begin(client_of("sandbox-cli"))
    await window.go(url)
    await window.sign_in()
    await window.click("Allow")
    assert await window.heading == "Signed in"
    assert "code=" not in await window.page.content()
    assert (await task).subject == "user-alice"


async def test_the_one_time_address_leads_to_the_sign_in(window, open_window, client_of):
    """The address that a browser is started with works in the browser that opens it first."""
    opened = asyncio.Queue()
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(
        login_with_browser(
            client_of("sandbox-cli"),
            open_browser=lambda url: loop.call_soon_threadsafe(opened.put_nowait, url),
            show=len,
        )
    )
    address = await opened.get()
    await window.go(address)
    assert await window.heading == "Sign in"
    async with open_window() as other:
        await other.go(address)
        assert await other.heading == "Opened before"
    await window.sign_in()
    await window.click("Allow")
    assert await window.heading == "Signed in"
    assert (await task).subject == "user-alice"


async def test_the_browser_says_that_access_was_denied(window, client_of):
    """A denied sign-in shows a page in the browser and raises in the program."""
    task, url = await begin(client_of("sandbox-cli"))
    await window.go(url)
    await window.click("Cancel")
    assert await window.heading != "Signed in"
    with pytest.raises(aa.AccessDeniedError):
        await task

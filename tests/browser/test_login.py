"""The page on which a sign-in from a terminal ends."""

import asyncio

import pytest

import aritma_auth as aa
from aritma_auth.native_app.login import login_with_browser

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def begin(client):
    """Start the program's side; give its task and the address that it shows."""
    shown = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(login_with_browser(client, open_browser=None, show=shown.set_result))
    return task, await shown


async def test_the_browser_says_that_the_person_can_go_back(window, client_of):
    """The result page tells the end-user to return, and the program has its tokens."""
    task, url = await begin(client_of("sandbox-cli"))
    await window.go(url)
    await window.sign_in()
    await window.click("Allow")
    assert await window.heading == "Signed in"
    assert "code=" not in await window.page.content()
    assert (await task).subject == "user-alice"


async def test_the_browser_says_that_nobody_was_signed_in(window, client_of):
    """A denied sign-in shows a page in the browser and raises in the program."""
    task, url = await begin(client_of("sandbox-cli"))
    await window.go(url)
    await window.click("Cancel")
    assert await window.heading != "Signed in"
    with pytest.raises(aa.AccessDeniedError):
        await task

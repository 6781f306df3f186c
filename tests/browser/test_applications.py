"""The web applications in docs/examples, in a real browser."""

import pytest
import pytest_asyncio

from support.applications import CHALLENGE, Application, listen

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(params=["aiohttp", "fastapi"], loop_scope="session")
async def app(request, sandbox):
    listener, url = listen()
    application = Application(request.param, sandbox, url)
    async with application.serving(listener):
        yield application


async def test_an_end_user_signs_in_and_out(app, window):
    """An end-user signs in, sees the accounts, signs out at Aritma ID and returns."""
    await window.go(app.url)
    await window.follow("Sign in")
    await window.sign_in()
    assert await window.heading == "Accounts"
    assert "Alice Almås" in await window.page.get_by_role("main").inner_text()
    await window.go(app.url)
    await window.click("Sign out")
    assert window.page.url.startswith(app.sandbox.identity_url)
    assert await window.heading == "Signed out"
    await window.follow("Back")
    assert window.page.url.startswith(f"{app.url}/signed-out?")
    await window.follow("Home")
    assert await window.page.get_by_role("link", name="Sign in").is_visible()
    # The session at Aritma ID has ended, too.
    await window.go(f"{app.url}/accounts")
    assert await window.heading == "Sign in"


async def test_two_end_users_have_two_browsers(app, window, open_window):
    """Neither end-user sees anything of the other."""
    async with open_window() as other:
        for each, name in ((window, "alice"), (other, "bob")):
            await each.go(f"{app.url}/accounts")
            await each.sign_in(name)
        assert "Alice" in await window.page.get_by_role("main").inner_text()
        assert "Bob" in await other.page.get_by_role("main").inner_text()


async def test_two_tabs_finish_in_reverse_order(app, window):
    """Two tabs begin a sign-in, and the one that began last finishes first."""
    second = await window.open_tab()
    await window.go(f"{app.url}/accounts?tab=1")
    await second.go(f"{app.url}/accounts?tab=2")
    for tab, number in ((second, 2), (window, 1)):
        await tab.sign_in()
        assert tab.page.url == f"{app.url}/accounts?tab={number}"
        assert await tab.heading == "Accounts"
    assert second.complaints == []


async def test_a_cancelled_sign_in_is_reported(app, window):
    """An end-user who cancels is told so and can begin again."""
    await window.go(f"{app.url}/accounts")
    await window.click("Cancel")
    assert await window.heading == "Not signed in"
    await window.follow("Home")
    assert await window.heading == "Welcome"


async def test_the_bank_asks_for_a_second_factor(app, window):
    """The end-user is led to the second factor and back to the page that required it."""
    await window.go(f"{app.url}/accounts")
    await window.sign_in()
    app.sandbox.faults.respond_next(b"", status=401, headers=CHALLENGE, where="api")
    await window.go(f"{app.url}/accounts")
    assert await window.heading == "Sign in"
    await window.page.get_by_label("One-time code").fill("123456")
    await window.sign_in()
    assert await window.heading == "Accounts"


async def test_an_old_callback_is_refused(app, window):
    """The back button does not sign an end-user in a second time."""
    arrived = []
    window.page.on(
        "request",
        lambda request: arrived.append(request.url) if "/callback?" in request.url else None,
    )
    await window.go(f"{app.url}/accounts")
    await window.sign_in()
    response = await window.go(arrived[0])
    assert response.status == 400
    assert await window.heading == "Please start again"
    await window.follow("Home")
    assert "Alice Almås" in await window.page.get_by_role("main").inner_text()


async def test_the_keyboard_is_enough(app, window):
    """Links, fields and buttons are reached and used without a pointer."""
    await window.go(app.url)
    await window.press("Tab", "Enter")
    await window.press("bob", "Tab", "bob-password", "Enter")
    assert await window.heading == "Accounts"
    await window.go(app.url)
    await window.press("Tab", "Tab", "Enter")
    assert await window.heading == "Signed out"
    await window.press("Tab", "Enter")
    assert window.page.url.startswith(app.url)

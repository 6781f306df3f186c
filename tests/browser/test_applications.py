"""The web applications in docs/examples, in a real browser."""

import pytest
import pytest_asyncio

from aritma_auth.integrations.session_store import MemorySessionStore
from support.applications import CHALLENGE, Application
from support.asgi import listen

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


async def sign_in(window, app):
    """Sign in and see the accounts."""
    await window.go(f"{app.url}/accounts")
    await window.sign_in()
    assert await window.heading == "Accounts"


async def test_the_back_button_shows_nothing_after_the_sign_out(app, window):
    """The page about the end-user is loaded anew, and nobody is signed in."""
    await sign_in(window, app)
    await window.go(app.url)
    await window.click("Sign out")
    await window.go(app.url)
    for _ in range(3):
        await window.page.go_back()
    assert "Alice" not in await window.page.get_by_role("main").inner_text()
    assert window.complaints == []


async def test_the_back_button_after_a_sign_in_leaves_it_in_place(app, window):
    """The server's sign-in page is shown once more, and the session stays as it is."""
    await window.go(app.url)
    await window.follow("Sign in")
    await window.sign_in()
    await window.page.go_back()
    await window.page.go_forward()
    assert await window.heading == "Accounts"
    await window.go(app.url)
    assert "Alice" in await window.page.get_by_role("main").inner_text()


async def test_a_sign_in_that_has_expired_begins_again(sandbox, window):
    """An end-user who takes longer than the sign-in lives is told so, and then succeeds."""
    listener, url = listen()
    sessions = ForgetfulStore()
    application = Application("aiohttp", sandbox, url, sessions=sessions)
    async with application.serving(listener):
        await window.go(f"{url}/accounts")
        sessions.forget()
        await window.sign_in()
        assert await window.heading == "Please start again"
        await window.follow("Home")
        await window.follow("Sign in")
        assert await window.heading == "Accounts"


class ForgetfulStore(MemorySessionStore):
    """A session store whose texts can all end at once, as after their time."""

    def forget(self):
        self.__init__()


async def test_a_sign_out_in_one_browser_leaves_the_other_signed_in(app, window, open_window):
    """One end-user with two browsers signs out in one of them."""
    async with open_window() as other:
        for each in (window, other):
            await sign_in(each, app)
        await window.go(app.url)
        await window.click("Sign out")
        await other.go(f"{app.url}/accounts")
        assert await other.heading == "Accounts"
        await window.go(f"{app.url}/accounts")
        assert await window.heading == "Sign in"
        assert other.complaints == []


async def test_a_sign_out_at_the_server_ends_the_session_here(app, window):
    """Aritma ID posts a logout token, and the next page asks the end-user to sign in."""
    await sign_in(window, app)
    tab = await window.open_tab()
    await tab.go(f"{app.sandbox.identity_url}/connect/endsession")
    await tab.click("Sign out")
    assert app.sandbox.logout_responses[-1] == 200
    await window.page.reload()
    assert await window.heading == "Sign in"
    await window.sign_in("bob")
    assert "Bob" in await window.page.get_by_role("main").inner_text()


async def test_a_form_of_another_site_signs_nobody_out(app, window, callback):
    """A page of another origin posts the form, and the end-user stays signed in."""
    await sign_in(window, app)
    tab = await window.open_tab()
    await tab.go(callback.url)
    async with tab.page.expect_event("load"):
        await tab.page.evaluate(
            """(url) => {
                const form = document.createElement("form");
                form.method = "post";
                form.action = url + "/sign-out";
                document.body.append(form);
                form.submit();
            }""",
            app.url,
        )
    assert await tab.heading == "Please start again"
    await window.page.reload()
    assert await window.heading == "Accounts"


async def test_a_script_is_not_redirected(app, chromium):
    """A page's fetch without a session gets 401 with a problem that it can read."""
    # The pages of the examples allow no script; those of other applications do.
    context = await chromium.new_context(bypass_csp=True)
    page = await context.new_page()
    await page.goto(app.url)
    status, title = await page.evaluate(
        """async () => {
            const response = await fetch("/accounts");
            return [response.status, (await response.json()).title];
        }"""
    )
    await context.close()
    assert (status, "sign-in is needed" in title) == (401, True)


async def test_two_tabs_that_sign_out_both_come_back(app, window):
    """The way back of the first sign-out counts although another has begun meanwhile."""
    await sign_in(window, app)
    await window.go(app.url)
    await window.click("Sign out")
    second = await window.open_tab()
    await sign_in(second, app)
    await second.go(app.url)
    await second.click("Sign out")
    for tab in (window, second):
        await tab.follow("Back")
        assert await tab.heading == "Signed out"
        assert tab.page.url.startswith(f"{app.url}/signed-out?")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_no_page_is_wider_than_the_screen(app, window, scheme, width):
    """The pages fit a phone and a desk, in the colours that the end-user prefers."""
    await window.page.emulate_media(color_scheme=scheme)
    await window.page.set_viewport_size({"width": width, "height": 780})
    for url in (
        app.url,
        f"{app.url}/accounts",
        f"{app.url}/callback?state=x",
        f"{app.sandbox.identity_url}/",
        f"{app.sandbox.identity_url}/device",
    ):
        await window.go(url)
        assert await window.page.evaluate("document.documentElement.scrollWidth") <= width
        ground = await window.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) < 200) is (scheme == "dark")


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

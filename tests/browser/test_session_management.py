"""A session that ends in one window is noticed in another (OpenID Connect Session Management 1.0)."""

import pytest
import pytest_asyncio
from aiohttp import web

import aritma_auth as aa
from support.loopback import serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

# In every frame, beside what the frame's own script does.
LISTEN = "globalThis.heard = []; addEventListener('message', (event) => heard.push(event.data));"
PAGE = (
    '<!doctype html><html lang="en"><title>Page</title><main><h1>Page</h1></main>'
    '<iframe hidden title="Session" src="{}"></iframe><iframe title="Other" src="{}"></iframe>'
)
INTERVAL = 0.05
SEVERAL_INTERVALS = "() => new Promise((done) => setTimeout(done, 500))"


class Application:
    """A web application whose page has the session's page in a hidden frame."""

    def __init__(self, window, client):
        self.window = window
        self.client = client
        self.is_guarded = True

    async def __call__(self, request):
        if request.path == "/session":
            headers = dict(self.session_page.headers)
            if not self.is_guarded:
                del headers["Content-Security-Policy"]
            return web.Response(text=self.session_page.html, headers=headers)
        frame = request.query.get("frame", "about:blank")
        other = self.client.environment.endpoint("check_session_iframe")
        return web.Response(text=PAGE.format(frame, other), content_type="text/html")

    async def sign_in(self):
        """Sign alice in, and build the page for her session."""
        request = await self.client.begin_sign_in(f"{self.url}/callback")
        await self.window.go(request.url)
        await self.window.sign_in()
        self.signed_in = await self.client.complete_sign_in(request, self.window.page.url)
        await self.watch(self.signed_in.session_state)

    async def watch(self, session_state):
        """Build the page for a session."""
        self.session_page = aa.build_session_page(
            self.client.environment.endpoint("check_session_iframe"),
            client_id=self.client.client_id,
            session_state=session_state,
            interval=INTERVAL,
        )

    async def sign_out(self):
        """Sign alice out at the server, in another window of the same browser."""
        url = await self.client.end_session_url(id_token_hint=self.signed_in.token.id_token)
        other = await self.window.page.context.new_page()
        await other.goto(url)
        assert await other.get_by_role("heading", level=1).inner_text() == "Signed out"
        await other.close()

    async def open(self, url=""):
        """Open a page with the session's page in it; give both, and the server's two frames."""
        await self.window.page.goto(f"{url or self.url}/page?frame={self.url}/session")
        page = self.window.page.main_frame
        session, other = page.child_frames
        return page, session, other


@pytest_asyncio.fixture(loop_scope="session")
async def app(window, client_of):
    await window.page.context.add_init_script(LISTEN)
    application = Application(window, client_of("sandbox-web"))
    async with serving(application) as url:
        application.url = url
        await application.sign_in()
        yield application


async def receives(frame, text, times=1):
    """Wait until a frame has been told something so many times."""
    found = "([text, times]) => heard.filter((each) => each === text).length >= times"
    await frame.wait_for_function(found, arg=[text, times])


async def told(page, session):
    """Give what the session's page has posted to the page around it so far."""
    await session.evaluate("parent.postMessage('the last', '*')")
    await receives(page, "the last")
    return [text for text in await page.evaluate("heard") if text != "the last"]


async def test_a_sign_out_in_another_window_is_noticed(app):
    """The frame reports ``changed`` once after the sign-out, and not before it."""
    page, session, _ = await app.open()
    await receives(session, "unchanged", times=3)
    assert await told(page, session) == []
    await app.sign_out()
    await receives(page, "session changed")
    await session.evaluate(SEVERAL_INTERVALS)

    assert await told(page, session) == ["session changed"]
    assert (await session.evaluate("heard")).count("changed") == 1


async def test_who_signs_in_again_is_still_there(app):
    """A second sign-in of the same end-user keeps the session and its state."""
    page, session, _ = await app.open()
    request = await app.client.begin_sign_in(f"{app.url}/callback", prompt="login")
    other = await app.window.page.context.new_page()
    await other.goto(request.url)
    await other.get_by_label("Password").fill("alice-password")
    await other.get_by_label("User name").fill("alice")
    await other.get_by_role("button", name="Sign in").click()
    await other.wait_for_url(f"{app.url}/callback?**")
    before = len(await session.evaluate("heard"))
    await receives(session, "unchanged", times=before + 3)

    assert await told(page, session) == []


@pytest.mark.parametrize("who", ["the page around it", "another frame of the server's"])
async def test_what_others_say_does_nothing(app, who):
    """Messages of other origins are ignored, and the polling goes on."""
    page, session, other = await app.open()
    if who == "the page around it":
        await page.evaluate("frames[0].postMessage('changed', '*')")
    else:
        await other.evaluate("parent.frames[0].postMessage('changed', '*')")
    await receives(session, "changed")
    before = len(await session.evaluate("heard"))
    await receives(session, "unchanged", times=before + 3)

    assert await told(page, session) == []


async def test_another_page_in_the_servers_place_does_nothing(app):
    """A frame of another origin is ignored even without the policy that blocks it."""
    app.is_guarded = False
    page, session, _ = await app.open()
    (server,) = session.child_frames
    await receives(session, "unchanged")
    await server.goto(f"{app.url}/elsewhere")
    await server.evaluate("parent.postMessage('changed', '*')")
    await receives(session, "changed")

    assert await told(page, session) == []


async def test_no_other_page_takes_the_servers_place(app):
    """The content security policy keeps the frame to the server's origin."""
    _, session, _ = await app.open()
    (server,) = session.child_frames
    await receives(session, "unchanged")
    async with app.window.page.expect_console_message(lambda said: "frame-src" in said.text):
        await session.evaluate("(url) => { document.querySelector('iframe').src = url; }", app.url)

    assert not server.url.startswith(app.url)
    app.window.complaints.clear()


async def test_an_error_ends_the_questions(app):
    """An ``error`` ends the polling and begins no request."""
    await app.watch("no-salt")
    page, session, _ = await app.open()
    await receives(session, "error")
    await session.evaluate(SEVERAL_INTERVALS)

    assert await session.evaluate("heard") == ["error"]
    assert await told(page, session) == []


async def test_a_foreign_page_receives_nothing(app):
    """The policy keeps other pages from framing it, and without the policy nothing is posted to them."""
    async with serving(app) as foreign:
        _, session, _ = await app.open(foreign)
        assert not session.url.startswith(app.url)
        app.is_guarded = False
        page, session, _ = await app.open(foreign)
        await receives(session, "unchanged")
        await app.sign_out()
        await receives(session, "changed")
        assert await told(page, session) == []
    (complaint,) = app.window.complaints
    assert "frame-ancestors 'self'" in complaint
    app.window.complaints.clear()

"""
A real browser: Debian's Chromium, headless, steered by Playwright.

The headless shell is the same engine without the windows, and opens a page in a third of the time.
"""

import contextlib
import shutil

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import async_playwright

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox
from support.loopback import serving

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BASICS = """() => {
    const fields = [...document.querySelectorAll("input:not([type=hidden]), select, textarea")];
    const problems = {
        "no language": !document.documentElement.lang,
        "no title": !document.title,
        "not one h1": document.querySelectorAll("h1").length !== 1,
        "not one main": document.querySelectorAll("main").length !== 1,
        "a field without label": fields.some((f) => !f.labels.length),
        "a button without text": [...document.querySelectorAll("button")].some((b) => !b.innerText),
        "an id twice": new Set([...document.querySelectorAll("[id]")].map((e) => e.id)).size
            !== document.querySelectorAll("[id]").length,
    };
    return Object.keys(problems).filter((name) => problems[name]);
}"""
FOCUS_SHOWS = """() => {
    const style = getComputedStyle(document.activeElement);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
}"""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=FLAGS
        )
        yield browser
        await browser.close()


class Window:
    """A page of a browser that watches every page it comes by."""

    def __init__(self, page):
        self.page = page
        self.complaints = []
        page.set_default_timeout(45_000)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message):
        # A page with an error status is logged as such; whether it should be, tests say.
        is_status = message.text.startswith("Failed to load resource: the server responded")
        if message.type == "error" and not is_status:
            self.complaints.append(message.text)

    async def open_tab(self):
        """Open another tab of the same browser: it has the same cookies."""
        return Window(await self.page.context.new_page())

    async def go(self, url):
        response = await self.page.goto(url)
        await self.check()
        return response

    async def click(self, name):
        await self._move_on(self.page.get_by_role("button", name=name, exact=True).click())

    async def follow(self, name):
        await self._move_on(self.page.get_by_role("link", name=name, exact=True).click())

    async def press(self, *keys):
        """Type, press Tab, and press Enter at the end; what has the focus then must show it."""
        for key in keys[:-1]:
            if key == "Tab":
                await self.page.keyboard.press(key)
            else:
                await self.page.keyboard.type(key)
        assert await self.page.evaluate(FOCUS_SHOWS)
        await self._move_on(self.page.keyboard.press(keys[-1]))

    async def fill_in(self, name="alice", password=None):
        await self.page.get_by_label("User name").fill(name)
        await self.page.get_by_label("Password").fill(password or f"{name}-password")

    async def sign_in(self, name="alice", password=None):
        await self.fill_in(name, password)
        await self.click("Sign in")

    async def _move_on(self, action):
        """Do what leads to another page, and wait until that is there."""
        async with self.page.expect_event("load"):
            await action
        await self.check()

    async def check(self):
        """Look at the basics that everybody needs who cannot see or point."""
        assert await self.page.evaluate(BASICS) == []
        assert self.complaints == []

    @property
    def heading(self):
        return self.page.get_by_role("heading", level=1).inner_text()

    @property
    def alert(self):
        return self.page.get_by_role("alert").inner_text()

    @property
    def focus(self):
        return self.page.evaluate(
            "() => document.activeElement.innerText || document.activeElement.id"
        )


@contextlib.asynccontextmanager
async def opening(chromium):
    """Open a window with cookies of its own."""
    context = await chromium.new_context()
    try:
        yield Window(await context.new_page())
    finally:
        await context.close()


@pytest.fixture
def open_window(chromium):
    return lambda: opening(chromium)


@pytest_asyncio.fixture(loop_scope="session")
async def window(chromium):
    async with opening(chromium) as window:
        yield window
        assert window.complaints == []


@pytest_asyncio.fixture(loop_scope="session")
async def sandbox():
    async with Sandbox() as sandbox:
        yield sandbox


class Callback:
    """A client's own address, where browsers come back to; it keeps what they bring."""

    def __init__(self):
        self.arrived = []

    async def __call__(self, request):
        if request.path != "/callback":
            return web.Response(status=404)
        self.arrived.append(await request.post() if request.method == "POST" else request.query)
        return web.Response(
            content_type="text/html",
            text='<!doctype html><html lang="en"><title>Back</title><main><h1>Back</h1></main>',
        )


@pytest_asyncio.fixture(loop_scope="session")
async def callback():
    callback = Callback()
    async with serving(callback) as url:
        callback.url = f"{url}/callback"
        yield callback


@pytest.fixture
def client_of(sandbox):
    def client_of(client_id):
        registered = sandbox.clients[client_id]
        return aa.OAuthClient(
            client_id, registered.client_secret or None, environment=sandbox.environment
        )

    return client_of

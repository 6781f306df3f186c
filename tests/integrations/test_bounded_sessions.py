"""A sign-in over a session store of somebody's own, which does what it likes."""

import asyncio
import json

import pytest

import aritma_auth as aa
from aritma_auth.integrations.bounded_sessions import BoundedSessionStore
from aritma_auth.integrations.session_store import MemorySessionStore
from aritma_auth.integrations.web_sign_in import WebSignInFlow
from support.journeys import sandbox_of_an_application
from support.web_browser import WebBrowser

BASE = "https://me.example"
OPERATIONS = ("put", "add", "get", "take")
CALLS = {
    "put": lambda store: store.put("key", "text", seconds=1),
    "add": lambda store: store.add("key", "text", seconds=1),
    "get": lambda store: store.get("key"),
    "take": lambda store: store.take("key"),
}


class OddStore(MemorySessionStore):
    """A session store whose operations can be replaced by what a test does instead."""

    instead = {}
    session = None

    async def put(self, key, text, *, seconds):
        if key.startswith("session-"):
            self.session = key, text
        if "put" in self.instead:
            return await self.instead["put"]()
        return await super().put(key, text, seconds=seconds)

    async def add(self, key, text, *, seconds):
        if "add" in self.instead:
            return await self.instead["add"]()
        return await super().add(key, text, seconds=seconds)

    async def get(self, key):
        return await self.instead["get"]() if "get" in self.instead else await super().get(key)

    async def take(self, key):
        return await self.instead["take"]() if "take" in self.instead else await super().take(key)


def raising(error):
    async def operation():
        raise error

    return operation


def returning(value):
    async def operation():
        return value

    return operation


async def hang():
    await asyncio.Event().wait()


@pytest.fixture
def sessions():
    return OddStore()


@pytest.fixture
async def flow(sessions, no_leftovers):
    async with sandbox_of_an_application(BASE) as sandbox:
        client = aa.OAuthClient("sandbox-web", "web-secret", environment=sandbox.environment)
        flow = WebSignInFlow(client, BASE, sessions=sessions)
        yield flow
        await flow.aclose()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "error",
    [OSError("text"), KeyError("text"), asyncio.CancelledError(), GeneratorExit()],
    ids=repr,
)
async def test_whatever_a_store_raises_is_an_outage(sessions, operation, error):
    """The error names the store and what it raised; its text, which may be a secret, it does not."""
    sessions.instead = {operation: raising(error)}
    with pytest.raises(aa.StoreError, match=f"OddStore.{operation} must .*failed: ") as caught:
        await CALLS[operation](BoundedSessionStore(sessions))

    assert type(error).__name__ in str(caught.value)
    assert "text" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_store_that_hangs_is_an_outage(sessions, operation):
    """Each operation ends in time."""
    sessions.instead = {operation: hang}
    with pytest.raises(aa.StoreError, match="failed: TimeoutError"):
        await CALLS[operation](BoundedSessionStore(sessions, timeout=0.01))


@pytest.mark.parametrize(
    ("operation", "value"), [("get", b"text"), ("take", 5), ("add", None), ("add", "yes")]
)
async def test_a_store_that_returns_another_kind_is_an_outage(sessions, operation, value):
    """What the contract does not have decides nothing; the error names the kind."""
    sessions.instead = {operation: returning(value)}
    with pytest.raises(aa.StoreError, match=f"OddStore.{operation} must return "):
        await CALLS[operation](BoundedSessionStore(sessions))


async def test_an_error_of_ours_passes_as_it_is(sessions):
    """A store that raises StoreError has said what is wrong, and when to try again."""
    error = aa.StoreError("the database is away")
    sessions.instead = {"get": raising(error)}
    with pytest.raises(aa.StoreError) as caught:
        await BoundedSessionStore(sessions).get("key")

    assert caught.value is error


async def test_an_outage_of_the_store_signs_nobody_out(flow, sessions):
    """The end-user is asked to try later, and the session is there afterwards."""
    browser = WebBrowser(flow)
    await browser.sign_in()
    sessions.instead = dict.fromkeys(OPERATIONS, raising(OSError("disk")))
    with pytest.raises(aa.StoreError):
        await browser.user()
    assert (await browser.visit("sign_in", "/sign-in")).status == 503
    sessions.instead = {}

    assert (await browser.user()).name == "Alice Almås"


CUT_OFF = ["", "text", "[" * 100_000, '{"format": 1', '["a", "b"']


@pytest.mark.parametrize("text", CUT_OFF, ids=lambda text: text[:15])
async def test_a_text_that_is_not_whole_is_an_outage(flow, sessions, text, caplog):
    """A database that cuts texts off is named, and no browser goes from sign-in to sign-in."""
    browser = WebBrowser(flow)
    await browser.sign_in()
    sessions.instead = {"get": returning(text)}
    with pytest.raises(aa.StoreError, match="must return what was put there"):
        await browser.user()
    sessions.instead = {}
    callback = await browser.begin()
    sessions.instead = {"take": returning(text)}

    assert (await browser.visit("callback", callback)).status == 503
    assert f"it returned {len(text)} characters that are no JSON" in caplog.text


FOREIGN = ["5", "[1, 2]", "{}", '{"format": 1}', '{"format": 99}', "[[1, 2, 3]]", "null"]


@pytest.mark.parametrize("text", FOREIGN)
async def test_a_text_that_is_no_session_is_none(flow, sessions, text):
    """The browser goes to the sign-in, which heals it."""
    browser = WebBrowser(flow)
    await browser.sign_in()
    sessions.instead = {"get": returning(text)}

    assert await browser.user() is None


@pytest.mark.parametrize(
    "change",
    [
        {"subject": None},
        {"sid": 5},
        {"marks": []},
        {"marks": "ab"},
        {"claims": None},
        {"ends_at": "never"},
        {"started_at": None},
        {"cause": 1},
        {"more": 1},
    ],
    ids=repr,
)
async def test_a_session_of_another_shape_is_none(flow, sessions, change):
    """No member of another kind is taken for what it should be, and no mark is left out."""
    browser = WebBrowser(flow)
    await browser.sign_in()
    key, text = sessions.session
    await sessions.put(key, json.dumps(json.loads(text) | change), seconds=60)

    assert await browser.user() is None


@pytest.mark.parametrize("text", [*FOREIGN, '["a", "b"]', "[1, 2, 3]"])
async def test_a_text_that_is_no_pending_sign_in_begins_again(flow, sessions, text):
    """The end-user is asked to start again, as after the sign-in's time."""
    browser = WebBrowser(flow)
    callback = await browser.begin()
    sessions.instead = {"take": returning(text)}
    response = await browser.visit("callback", callback)

    assert response.status == 400
    assert "Please start again" in response.body

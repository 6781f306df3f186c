"""Sign-in of both frameworks over a real wire: one suite, over both applications of docs/examples."""

import asyncio
import contextlib
import html
import re
import secrets

import aiohttp
import fastapi
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from yarl import URL

import aritma_auth as aa
from aritma_auth.integrations import aiohttp_web
from aritma_auth.integrations.fastapi import WebSignIn
from aritma_auth.integrations.session_store import MemorySessionStore, RedisSessionStore
from aritma_auth.sandbox import Sandbox
from support.applications import CHALLENGE, Application
from support.asgi import listen
from support.valkey import shared_server


@pytest.fixture(params=["aiohttp", "fastapi"])
async def app(request, no_leftovers):
    listener, url = listen()
    async with Sandbox() as sandbox:
        sandbox.sign_in_automatically("alice")
        application = Application(request.param, sandbox, url)
        async with application.serving(listener):
            yield application


@contextlib.asynccontextmanager
async def a_browser(app):
    """A browser, as far as cookies and redirects go; like browsers it ignores ports."""
    async with aiohttp.ClientSession(app.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


@pytest.fixture
async def browser(app):
    async with a_browser(app) as session:
        yield session


def own(app):
    """Give the header that a browser adds to the form of a page of the application."""
    return {"Origin": app.url}


def cookies_of(browser):
    return {cookie.key: cookie for cookie in browser.cookie_jar}


async def see(browser, path):
    """Go to a page and through every redirect; give the last path, the status and the text."""
    async with browser.get(path) as response:
        return response.url.path, response.status, await response.text()


async def begin(browser, path="/sign-in"):
    """Begin a sign-in and go to Aritma ID; give the callback's address, not yet followed."""
    async with browser.get(path, allow_redirects=False) as response:
        authorize = response.headers["Location"]
    async with browser.get(authorize, allow_redirects=False) as response:
        return URL(response.headers["Location"], encoded=True)


async def sign_in_by_hand(browser, name):
    """Sign in on the sandbox's own pages."""
    async with browser.get("/sign-in?next=/accounts") as response:
        page, text = response.url, await response.text()
    answers = {**hidden_fields(text), "username": name, "password": f"{name}-password"}
    async with browser.post(page.with_query(None), data=answers) as response:
        return response.url.path, await response.text()


def hidden_fields(page):
    """Read what a form carries along."""
    fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in fields}


async def test_an_end_user_signs_in_and_sees_the_accounts(app, browser):
    """The page calls the API with the end-user's own token."""
    path, status, text = await see(browser, "/sign-in?next=/accounts")
    assert (path, status) == ("/accounts", 200)
    assert "Alice Almås" in text
    assert "15030000001" in text
    assert "You are Alice" in (await see(browser, "/"))[2]


async def test_who_is_not_signed_in_is_led_there_and_back(app, browser):
    """A page that needs a sign-in redirects the browser there and back, query included."""
    path, status, _ = await see(browser, "/accounts?from=bookmark")
    assert (path, status) == ("/accounts", 200)
    assert app.sandbox.requests_at("authorize") == 1


@pytest.mark.parametrize(
    "query", ["q=a%2Fb%25c", "name=s%C3%B8k", "next=%2F%2Fevil.example", "a=1&a=2"]
)
async def test_the_way_back_is_the_address_as_it_was_sent(app, browser, query):
    """Encoded characters and repeated names of the page's own query survive the sign-in."""
    async with browser.get(URL(f"{app.url}/accounts?{query}", encoded=True)) as response:
        assert response.history[-1].headers["Location"] == f"/accounts?{query}"
        assert response.status == 200


async def test_a_fastapi_application_keeps_its_own_lifespan(app):
    """What the application opens itself is opened and closed beside the sign-in's connections."""
    order = []

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        order.append("open")
        yield
        order.append("close")

    own = fastapi.FastAPI(lifespan=lifespan)
    WebSignIn(app.make_client(), app.url).install(own)
    async with own.router.lifespan_context(own):
        assert order == ["open"]
    assert order == ["open", "close"]


@pytest.mark.parametrize("framework", ["aiohttp", "fastapi"])
async def test_an_application_without_its_sign_in_is_told(framework):
    """The call that was forgotten is named, instead of an end-user who is never signed in."""
    client = aa.OAuthClient("web", "secret")
    if framework == "fastapi":
        sign_in = WebSignIn(client, "https://app.example")
        request = fastapi.Request({"type": "http", "method": "GET", "headers": []})
        call, install = r"sign_in\.install\(app\)", sign_in.install
    else:
        sign_in = aiohttp_web.WebSignIn(client, "https://app.example")
        request = make_mocked_request("GET", "/", app=web.Application())
        call, install = r"sign_in\.setup\(app\)", sign_in.setup
    for find in (sign_in.find_user, sign_in.require_user):
        with pytest.raises(aa.ConfigurationError, match=call):
            await find(request)
    for wrong in (None, web.Application, fastapi.FastAPI):
        with pytest.raises(aa.ConfigurationError, match=r"^app must be an? "):
            install(wrong)


async def test_cookies_and_pages_keep_their_secrets(app, browser):
    """Scripts and other sites cannot use the cookies; nothing is cached or framed."""
    async with browser.get("/sign-in", allow_redirects=False) as response:
        (morsel,) = response.cookies.values()
        assert (morsel["httponly"], morsel["samesite"].lower()) == (True, "lax")
        assert (morsel["path"], morsel["max-age"]) == ("/", "600")
        assert response.headers["Cache-Control"] == "no-store"
    async with browser.get("/sign-in") as response:
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "no-store"
    async with browser.get(await begin(browser), allow_redirects=False) as response:
        assert response.cookies["session"]["httponly"]
        assert response.cookies["session"]["samesite"].lower() == "lax"
        assert response.headers["Cache-Control"] == "no-store"


async def test_a_page_about_an_end_user_is_kept_by_no_cache(app, browser):
    """The back button after the sign-out shows nothing of the end-user."""
    for path in ("/", "/accounts"):
        async with browser.get(path) as response:
            assert response.headers["Cache-Control"] == "no-store"


async def test_another_state_is_refused(app, browser):
    """A callback with a forged state signs no end-user in."""
    callback = await begin(browser)
    _, status, text = await see(browser, callback.update_query(state="made-up"))
    assert (status, "Please start again" in text) == (400, True)
    assert "session" not in cookies_of(browser)
    assert app.sandbox.token_requests == []


@pytest.mark.parametrize("order", [[0, 1], [1, 0], [2, 0, 1]], ids=str)
@pytest.mark.parametrize("at_once", [False, True], ids=["in turn", "at once"])
async def test_each_tab_of_a_browser_finishes_its_own_sign_in(app, browser, order, at_once):
    """Tabs that begin in turn or at once finish in any order, each at the page that it wanted."""
    paths = [f"/accounts?tab={number}" for number in range(len(order))]
    if at_once:
        callbacks = await asyncio.gather(*(begin(browser, path) for path in paths))
    else:
        callbacks = [await begin(browser, path) for path in paths]
    for number in order:
        async with browser.get(callbacks[number]) as response:
            assert (response.status, response.url.path_qs) == (200, paths[number])
    assert not [name for name in cookies_of(browser) if name.startswith("sign-in")]


@pytest.mark.parametrize("state", ["made-up", "", None])
async def test_a_wrong_state_takes_no_sign_in_away(app, browser, state):
    """After callbacks with a wrong state, or none, the right ones of both tabs still count."""
    callbacks = [await begin(browser) for _ in range(2)]
    for callback in callbacks:
        forged = callback.without_query_params("state")
        forged = forged if state is None else forged.update_query(state=state)
        assert (await see(browser, forged))[1] == 400
    for callback in callbacks:
        assert (await see(browser, callback))[1] == 200


async def test_a_tab_of_another_browser_takes_no_sign_in_away(app, browser):
    """A callback in a browser with a pending sign-in of its own signs neither end-user in."""
    async with a_browser(app) as other:
        mine, theirs = await begin(browser), await begin(other)
        assert (await see(browser, theirs))[1] == 400
        assert (await see(other, mine))[1] == 400
        assert (await see(browser, mine))[1] == 200
        assert (await see(other, theirs))[1] == 200


async def test_a_callback_counts_once(app, browser):
    """The same callback is refused a second time, and the session stays as it was."""
    callback = await begin(browser)
    assert (await see(browser, callback))[1] == 200
    session = cookies_of(browser)["session"].value
    assert (await see(browser, callback))[1] == 400
    assert cookies_of(browser)["session"].value == session
    assert len(app.sandbox.token_requests) == 1


async def test_a_callback_counts_in_the_browser_that_began(app, browser):
    """A link cannot sign an end-user in as another one (login CSRF)."""
    callback = await begin(browser)
    async with a_browser(app) as victim:
        assert (await see(victim, callback))[1] == 400
        assert "session" not in cookies_of(victim)
    assert (await see(browser, callback))[1] == 200


async def test_a_parameter_given_twice_is_refused(app, browser):
    """The framework does not hide a repeated parameter from the client."""
    callback = await begin(browser)
    doubled = URL(f"{callback}&code=another", encoded=True)
    assert (await see(browser, doubled))[1] == 400
    assert app.sandbox.token_requests == []


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\/evil.example/",
        "/\t/evil.example/",
        "javascript:alert(1)",
        "evil.example",
        "",
    ],
)
async def test_a_link_redirects_to_no_other_host(app, browser, elsewhere):
    """A link to the sign-in leads back into the application only."""
    url = URL("/sign-in").with_query(next=elsewhere)
    async with browser.get(url) as response:
        assert str(response.url) == f"{app.url}/"


async def test_a_planted_session_is_worth_nothing(app, browser):
    """Each sign-in gets a new session id and ends the session before it (fixation)."""
    browser.cookie_jar.update_cookies({"session": "planted"}, URL(app.url))
    await see(browser, "/sign-in")
    first = cookies_of(browser)["session"].value
    assert first != "planted"
    await see(browser, "/sign-in")
    async with a_browser(app) as thief:
        for session in ("planted", first):
            thief.cookie_jar.update_cookies({"session": session}, URL(app.url))
            assert "Sign in" in (await see(thief, "/"))[2]


async def test_who_says_no_is_not_signed_in(app, browser):
    """A denied sign-in is no error of the application."""
    app.sandbox.faults.deny_next()
    _, status, text = await see(browser, "/sign-in")
    assert (status, "Not signed in" in text) == (403, True)


async def test_two_end_users_have_two_tokens(app):
    """Each end-user sees their own name, and the sign-out of one leaves the other signed in."""
    app.sandbox.sign_in_automatically(None)
    async with a_browser(app) as hers, a_browser(app) as his:
        assert "Alice Almås" in (await sign_in_by_hand(hers, "alice"))[1]
        assert "Bob Berg" in (await sign_in_by_hand(his, "bob"))[1]
        async with hers.post("/sign-out", headers=own(app), allow_redirects=False):
            pass
        assert "Sign in" in (await see(hers, "/"))[2]
        assert "Bob Berg" in (await see(his, "/accounts"))[2]


async def test_a_dead_token_leads_to_a_new_sign_in(app, browser):
    """An end-user whose token and refresh token are both refused signs in again."""
    await see(browser, "/sign-in")
    app.sandbox.faults.revoke_all()
    app.sandbox.faults.respond_next(b'{"error":"invalid_grant"}', status=400)
    path, status, _ = await see(browser, "/accounts")
    assert (path, status) == ("/accounts", 200)
    assert app.sandbox.requests_at("authorize") == 2


async def test_the_api_asks_for_more_and_gets_it(app, browser):
    """A step-up challenge of the API begins a new sign-in with what it asks for."""
    await see(browser, "/sign-in")
    app.sandbox.faults.respond_next(b"", status=401, headers=CHALLENGE, where="api")
    async with browser.get("/accounts") as response:
        asked = [step.url.query.get("acr_values") for step in response.history]
        assert "mfa" in asked
        assert (response.url.path, response.status) == ("/accounts", 200)


async def test_an_api_that_is_never_content_makes_no_circle(app, browser):
    """A step-up challenge that comes again right after its sign-in ends on an error page."""
    await see(browser, "/sign-in")
    app.sandbox.faults.respond_next(b"", status=401, headers=CHALLENGE, times=2, where="api")
    _, status, text = await see(browser, "/accounts")
    assert (status, "Not allowed" in text) == (403, True)
    # Later the same may be wanted again: a fresh second factor for another payment.
    assert (await see(browser, "/accounts"))[1] == 200
    app.sandbox.faults.respond_next(b"", status=401, headers=CHALLENGE, where="api")
    assert (await see(browser, "/accounts"))[:2] == ("/accounts", 200)


async def test_an_outage_is_shown_as_an_outage(app, browser):
    """A failure of Aritma ID or of the bank is shown on a page without secrets."""
    app.sandbox.faults.fail_next(503)
    _, status, text = await see(browser, "/sign-in")
    assert (status, "Please try later" in text) == (503, True)
    await see(browser, "/sign-in")
    app.sandbox.faults.fail_next(502, where="api")
    assert (await see(browser, "/accounts"))[1] == 503


async def test_signing_out_ends_everything(app, browser):
    """Sign-out ends the session, the refresh token and the session at Aritma ID, and validates the state."""
    await see(browser, "/sign-in")
    session = cookies_of(browser)["session"].value
    async with browser.post("/sign-out", headers=own(app)) as response:
        end_session, back = (step.url for step in (response.history[1], response))
        assert (back.path, response.status) == ("/signed-out", 200)
        assert end_session.path == "/connect/endsession"
        assert end_session.query["id_token_hint"].count(".") == 2
        assert end_session.query["post_logout_redirect_uri"] == f"{app.url}/signed-out"
        assert back.query["state"] == end_session.query["state"]
    assert cookies_of(browser) == {}
    assert app.sandbox.requests_at("revocation") == 1
    browser.cookie_jar.update_cookies({"session": session}, URL(app.url))
    assert "Sign in" in (await see(browser, "/"))[2]
    # The way back counts once.
    assert (await see(browser, back))[1] == 400


async def test_signing_out_needs_a_session_and_a_post(app, browser):
    """Sign-out without a session leads home, and a link cannot sign an end-user out."""
    async with browser.post("/sign-out", headers=own(app)) as response:
        assert (response.url.path, response.status) == ("/", 200)
    assert (await see(browser, "/sign-out"))[1] == 405


@pytest.mark.parametrize("query", ["", "?state=", "?state=made-up"])
async def test_the_way_back_from_signing_out_is_checked(app, browser, query):
    """A link cannot make the page say that the end-user is signed out."""
    assert (await see(browser, f"/signed-out{query}"))[1] == 400


async def announce(app, token, url=None):
    async with (
        aiohttp.ClientSession(url or app.url) as server,
        server.post("/back-channel-logout", data={"logout_token": token}) as response,
    ):
        return response.status, response.headers["Cache-Control"]


@pytest.mark.parametrize("which", ["one session", "all sessions"])
async def test_a_back_channel_logout_ends_the_session(app, browser, which):
    """A logout token ends the session at once, and is refused a second time."""
    await see(browser, "/sign-in")
    token = app.logout_token(app.session_id if which == "one session" else None)
    assert await announce(app, token) == (200, "no-store")
    assert "Sign in" in (await see(browser, "/"))[2]
    assert await announce(app, token) == (400, "no-store")
    # Who signs in after that is signed in.
    assert "You are Alice" in (await see(browser, "/sign-in"))[2]


async def test_announcements_about_others_and_forged_ones_end_nothing(app, browser):
    """A logout token for another session, end-user or client, and a forged one, end no session."""
    await see(browser, "/sign-in")
    assert (await announce(app, app.logout_token("ANOTHER")))[0] == 200
    bobs = app.logout_token(None, subject="user-bob")
    assert (await announce(app, bobs))[0] == 200
    for forged in (
        app.sandbox.issuer.issue_logout_token(
            app.sandbox.identity_url, "sandbox-app", "user-alice", None
        ),
        "forged",
        "",
    ):
        assert await announce(app, forged) == (400, "no-store")
    assert "You are Alice" in (await see(browser, "/"))[2]


async def test_signing_out_elsewhere_reaches_the_application(app, browser):
    """The sandbox posts a logout token when an end-user signs out on its own page."""
    app.sandbox.sign_in_automatically(None)
    assert (await sign_in_by_hand(browser, "alice"))[0] == "/accounts"
    _, _, page = await see(browser, f"{app.sandbox.identity_url}/connect/endsession")
    confirmed = f"{app.sandbox.identity_url}/account/logout"
    async with browser.post(confirmed, data=hidden_fields(page)) as response:
        assert response.status == 200
    assert app.sandbox.logout_responses == [200]
    assert "Sign in" in (await see(browser, "/"))[2]


@contextlib.asynccontextmanager
async def shared_places(kind):
    """Give what several processes share: the sessions and the tokens."""
    if kind == "memory":
        yield {"sessions": MemorySessionStore(), "store": aa.MemoryTokenStore()}
        return
    server, keys = shared_server().url, aa.EncryptionKeys.generate()
    name = f"aa-{secrets.token_hex(4)}"
    async with (
        RedisSessionStore(server, keys=keys, prefix=f"{name}-web") as sessions,
        aa.RedisTokenStore(server, keys=keys, prefix=name, timeout=30) as store,
    ):
        yield {"sessions": sessions, "store": store}


@pytest.mark.parametrize("places", ["memory", "redis"])
@pytest.mark.parametrize("kind", ["aiohttp", "fastapi"])
async def test_each_step_may_happen_in_another_process(kind, places):
    """One process begins a sign-in, another completes it, and a third serves it and ends it."""
    listeners = [listen() for _ in range(3)]
    (_, first), (_, second), (_, third) = listeners
    async with Sandbox() as sandbox, contextlib.AsyncExitStack() as stack:
        sandbox.sign_in_automatically("alice")
        shared = await stack.enter_async_context(shared_places(places))
        app = Application(kind, sandbox, first, **shared)
        for listener, _ in listeners:
            await stack.enter_async_context(app.serving(listener))
        browser = await stack.enter_async_context(a_browser(app))
        callback = await begin(browser)
        arrived = f"{second}{callback.raw_path_qs}"
        async with browser.get(arrived, allow_redirects=False) as response:
            assert response.status == 303
        assert "Alice Almås" in (await see(browser, f"{third}/accounts"))[2]
        token = app.logout_token(app.session_id)
        assert (await announce(app, token, first))[0] == 200
        assert (await announce(app, token, second))[0] == 400
        assert "Sign in" in (await see(browser, f"{third}/"))[2]
        if places == "memory":
            # The tokens left the store with the session.
            assert repr(app.settings["store"]) == "<MemoryTokenStore of 0 tokens>"

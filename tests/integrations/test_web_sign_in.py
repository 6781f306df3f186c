"""The sign-in of a web application, with a browser that sends whatever it likes."""

import asyncio
import importlib
import json
import sys

import pytest
from yarl import URL

import aritma_auth as aa
from aritma_auth.integrations.session_store import MemorySessionStore
from aritma_auth.integrations.web_addresses import WebPaths
from aritma_auth.integrations.web_sign_in import WebSignInFlow
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.sandbox import Sandbox
from support.applications import CHALLENGE
from support.clock import ShiftedClock
from support.fapi import fapi_client, register
from support.journeys import sandbox_of_an_application
from support.web_browser import WebBrowser, go_to_the_server, location_of

BASE = "https://me.example"
ACCOUNTS = "api/v3/accounts/42"


class MovableClock(ShiftedClock):
    """The machine's clocks, moved together."""

    def monotonic(self):
        return super().monotonic() + self.seconds


@pytest.fixture
async def sandbox(no_leftovers):
    async with sandbox_of_an_application(BASE) as sandbox:
        yield sandbox


@pytest.fixture
async def open_flow(sandbox):
    flows = []

    def open_flow(secret="web-secret", **settings):
        client = aa.OAuthClient("sandbox-web", secret, environment=sandbox.environment)
        flow = WebSignInFlow(client, BASE, api_url=sandbox.banking_url, **settings)
        flows.append(flow)
        return flow

    yield open_flow
    for flow in flows:
        await flow.aclose()


@pytest.fixture
def clock():
    return MovableClock(SYSTEM_CLOCK, 0.0)


@pytest.fixture
def flow(open_flow):
    return open_flow()


@pytest.fixture
def browser(flow):
    return WebBrowser(flow)


class BrokenStore(MemorySessionStore):
    """A session store that can go away."""

    broken = ()

    async def get(self, key):
        return await super().get(self.check("get", key))

    async def put(self, key, text, *, seconds):
        await super().put(self.check("put", key), text, seconds=seconds)

    def check(self, operation, key):
        if operation in self.broken:
            raise aa.StoreError("the store is away")
        return key


async def post_logout(flow, *pieces):
    async def body():
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    return await flow.end_sessions(body())


def logout_form(sandbox, session_id=None, subject="user-alice"):
    token = sandbox.issuer.issue_logout_token(
        sandbox.identity_url, "sandbox-web", subject, session_id
    )
    return f"logout_token={token}".encode()


async def test_an_extra_that_is_missing_is_named_when_the_application_starts(
    open_flow, monkeypatch
):
    """Without `oidc` no ID token could be verified: no end-user is sent to the server for it."""
    monkeypatch.setitem(sys.modules, "joserfc", None)

    with pytest.raises(aa.ConfigurationError, match=r'"aritma-auth\[oidc\]"'):
        open_flow()


async def test_an_end_user_signs_in_and_calls_an_api(flow, browser):
    """The browser gets one cookie, bound to the host, and its session calls with the user's token."""
    response = await browser.sign_in()
    assert (response.status, location_of(response)) == (303, "/accounts")
    assert [*browser.cookies] == ["__Host-session"]
    assert all("; Secure" in value for name, value in response.headers if name == "Set-Cookie")
    user = await browser.user()
    assert (user.subject, user.name) == ("user-alice", "Alice Almås")
    assert user.claims["preferred_username"] == "alice"
    async with flow.session(user) as bank, bank.get(ACCOUNTS) as answer:
        assert answer.status == 200
    async with flow.session(user) as bank, bank.get(ACCOUNTS) as answer:
        assert answer.status == 200
    assert browser.cookies["__Host-session"] not in repr(user)


async def test_a_user_without_a_profile_is_named_by_the_subject(open_flow, sandbox):
    """UserInfo is asked only where the scope asks for a profile."""
    flow = open_flow()
    flow = WebSignInFlow(
        aa.OAuthClient("sandbox-web", "web-secret", environment=sandbox.environment),
        BASE,
        "openid bankservice",
    )
    browser = WebBrowser(flow)
    await browser.sign_in()
    assert (await browser.user()).name == "user-alice"
    assert sandbox.requests_at("userinfo") == 0
    await flow.aclose()


async def test_a_sign_in_that_took_too_long_begins_again(open_flow, clock):
    """A response that comes after the sign-in's lifetime is refused, and nothing is exchanged."""
    browser = WebBrowser(open_flow(clock=clock))
    callback = await browser.begin()
    clock.seconds += 601
    response = await browser.visit("callback", callback)
    assert (response.status, "Please start again" in response.body) == (400, True)


async def test_a_session_ends_by_its_time(open_flow, clock):
    """The end-user is not found any more, and the next sign-in forgets the token of the first."""
    store = aa.MemoryTokenStore()
    browser = WebBrowser(open_flow(clock=clock, store=store, session_lifetime=60))
    await browser.sign_in()
    assert await browser.user() is not None
    clock.seconds += 60
    assert await browser.user() is None
    browser.cookies.clear()
    await browser.sign_in()
    assert repr(store) == "<MemoryTokenStore of 1 tokens>"


async def test_a_session_of_another_clock_ends_with_its_record(open_flow, clock):
    """A store that keeps a session for too long does not prolong it."""
    browser = WebBrowser(open_flow(clock=clock, sessions=MemorySessionStore(), session_lifetime=60))
    await browser.sign_in()
    clock.seconds += 60
    assert await browser.user() is None


@pytest.mark.parametrize("cookie", ["", "forged", "a" * 10_000, "\udc80", "../../session", "é"])
async def test_a_forged_cookie_finds_nothing(flow, browser, cookie):
    """Whatever a cookie says, it is looked up as a hash and finds no session."""
    await browser.sign_in()
    browser.cookies["__Host-session"] = cookie
    assert await browser.user() is None
    assert (await browser.visit("sign_out", "/sign-out", "POST")).status == 303


async def test_a_cookie_without_the_prefix_counts_for_nothing(browser):
    """A neighbouring host could have planted it."""
    await browser.sign_in()
    browser.cookies = {"session": browser.cookies["__Host-session"]}
    assert await browser.user() is None


async def test_a_session_of_another_version_has_ended(open_flow):
    """A record that this version cannot read is no session."""
    sessions = MemorySessionStore()
    browser = WebBrowser(open_flow(sessions=sessions))
    await browser.sign_in()
    key = (await browser.user()).key
    await sessions.put(key, json.dumps({"format": 2}), seconds=60)
    assert await browser.user() is None


async def test_two_applications_share_a_store_and_no_session(open_flow, sandbox):
    """A handle of one application finds nothing in another's."""
    sessions = MemorySessionStore()
    browser = WebBrowser(open_flow(sessions=sessions))
    other = aa.OAuthClient("sandbox-hybrid", "hybrid-secret", environment=sandbox.environment)
    stranger = WebSignInFlow(other, BASE, sessions=sessions)
    await browser.sign_in()
    assert await stranger.find_user(browser.request()) is None
    assert await browser.user() is not None
    await stranger.aclose()


async def test_a_callback_counts_once_even_at_once(browser, sandbox):
    """Of the same response sent many times at once, one is accepted."""
    callback = await browser.begin()
    responses = await asyncio.gather(*(browser.visit("callback", callback) for _ in range(8)))
    assert sorted(response.status for response in responses) == [303] + [400] * 7
    assert len(sandbox.token_requests) == 1


@pytest.mark.parametrize(
    "path",
    ["/callback", "/callback?state=", "/callback?code=x&state=made-up", "/callback?state=%ED"],
)
async def test_a_callback_from_nowhere_is_refused(browser, path):
    """A response that no sign-in of this browser waits for is refused and takes nothing away."""
    callback = await browser.begin()
    assert (await browser.visit("callback", path)).status == 400
    assert (await browser.visit("callback", callback)).status == 303


@pytest.fixture
async def signing(no_leftovers):
    async with Sandbox(server_version="fapi") as sandbox:
        sandbox.sign_in_automatically("alice")
        register(sandbox, redirect_uris=f"{BASE}/callback")
        yield sandbox


@pytest.mark.parametrize(
    ("profile", "parameters"),
    [
        (aa.FAPI2, {}),
        (aa.FAPI2, {"response_mode": "query.jwt"}),
        (aa.FAPI2_MESSAGE_SIGNING, {}),
    ],
    ids=["not signed", "by a parameter", "by a profile"],
)
async def test_a_signed_response_completes_a_sign_in(signing, profile, parameters):
    """Its state is inside the JWT, finds the sign-in, and counts once and in this browser alone."""
    client = fapi_client(signing, profile=profile)
    scope = "openid offline_access bankservice"
    flow = WebSignInFlow(client, BASE, scope, clock=signing.clock, parameters=parameters)
    browser, other = WebBrowser(flow), WebBrowser(flow)
    callback = await browser.begin()

    assert ("response=" in callback) is (parameters != {} or profile is aa.FAPI2_MESSAGE_SIGNING)
    assert (await other.visit("callback", callback)).status == 400
    assert (await browser.visit("callback", callback)).status == 303
    assert (await browser.user()).subject == "user-alice"
    assert (await browser.visit("callback", callback)).status == 400
    await flow.aclose()


async def test_a_forged_state_finds_a_sign_in_and_completes_none(signing):
    """The look-up trusts an unverified claim; what completes the sign-in verifies it all."""
    client = fapi_client(signing, profile=aa.FAPI2_MESSAGE_SIGNING)
    flow = WebSignInFlow(client, BASE, "openid", clock=signing.clock)
    browser = WebBrowser(flow)
    jwt = URL(await browser.begin()).query["response"]
    head, body, signature = jwt.split(".")
    forged = f"{head}.{body}.{signature[::-1]}"

    for response in ("x", "e30.e30.e30", "e30.eyJzdGF0ZSI6MX0.e30"):
        assert (await browser.visit("callback", f"/callback?response={response}")).status == 400
    assert (await browser.visit("callback", f"/callback?response={forged}")).status == 400
    assert await browser.user() is None
    await flow.aclose()


@pytest.mark.parametrize("response", ["x", "e30.e30.e30", "e30.eyJzdGF0ZSI6MX0.e30"])
async def test_a_plain_response_is_found_by_its_own_state(browser, response):
    """A parameter that looks like a signed response, and names no state, does not hide it."""
    callback = f"{await browser.begin()}&response={response}"
    assert (await browser.visit("callback", callback)).status == 303


async def test_a_sign_in_of_another_version_begins_again(open_flow):
    """A pending sign-in that this version cannot read is refused as one that has expired."""

    class Foreign(MemorySessionStore):
        async def take(self, key):
            await super().take(key)
            return json.dumps(["{}", "/", ""])

    browser = WebBrowser(open_flow(sessions=Foreign()))
    assert (await browser.visit("callback", await browser.begin())).status == 400


async def test_a_browser_keeps_few_pending_sign_ins(browser):
    """Sign-ins that were begun and left lose their cookies, the oldest first."""
    for _ in range(40):
        await browser.visit("sign_in", "/sign-in")
    assert len(browser.cookies) == 12
    assert (await browser.sign_in()).status == 303


async def test_a_browser_that_has_gone_cancels_no_exchange(flow, browser, sandbox):
    """The code's exchange runs to its end, and the session it opens is one that can be found."""
    callback = await browser.begin()
    hold = sandbox.faults.hold()
    visit = asyncio.create_task(browser.visit("callback", callback))
    await hold.until()
    visit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await visit
    after = sandbox.faults.hold("userinfo")
    hold.release()
    await after.until()
    after.release()
    assert len(sandbox.token_requests) == 1


async def test_a_form_of_another_site_changes_nothing(flow, browser):
    """Neither the sign-out nor a POST of the application counts from another site."""
    await browser.sign_in()
    for site in ("cross-site", "same-site", None):
        response = await browser.visit("sign_out", "/sign-out", "POST", Sec_Fetch_Site=site)
        assert response.status == 400
        with pytest.raises(aa.VerificationError, match="a page of https://me"):
            await flow.find_user(browser.request("/pay", "POST", Sec_Fetch_Site=site))
    assert (await flow.find_user(browser.request("/pay", "POST"))).subject == "user-alice"


async def test_a_websocket_of_another_site_finds_no_user(flow, browser):
    """A browser lets any page open one and sends the cookies along."""
    await browser.sign_in()
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_Fetch_Mode": "websocket"}
    for site, origin in (
        ("cross-site", "https://evil.example"),
        ("same-site", "https://evil.me.example"),
        (None, "https://evil.me.example"),
        (None, None),
    ):
        request = browser.request("/ws", Sec_Fetch_Site=site, Origin=origin, **upgrade)
        with pytest.raises(aa.VerificationError, match="a page of https://me"):
            await flow.find_user(request)
    for site in ("same-origin", None):
        request = browser.request("/ws", Sec_Fetch_Site=site, Origin=BASE, **upgrade)
        assert (await flow.find_user(request)).subject == "user-alice"


async def test_each_tab_signs_out_with_a_state_of_its_own(flow, browser):
    """Two tabs whose sign-outs overlap both come back, in any order, each once."""
    await browser.sign_in()
    first = await browser.visit("sign_out", "/sign-out", "POST")
    await browser.sign_in()
    second = await browser.visit("sign_out", "/sign-out", "POST")
    backs = [await go_to_the_server(location_of(each)) for each in (first, second)]
    for back in reversed(backs):
        assert (await browser.visit("signed_out", back)).status == 200
        assert (await browser.visit("signed_out", back)).status == 400
    assert browser.cookies == {}


async def test_a_sign_out_counts_whatever_the_server_does(open_flow, sandbox, caplog):
    """Session and token have gone although the server revokes nothing and has no sign-out page."""
    store = aa.MemoryTokenStore()
    browser = WebBrowser(open_flow(store=store))
    await browser.sign_in()
    sandbox.faults.fail_next(503, times=9, where="revocation")
    response = await browser.visit("sign_out", "/sign-out", "POST")
    assert response.status == 303
    assert await browser.user() is None
    assert repr(store) == "<MemoryTokenStore of 0 tokens>"
    assert "the token of an end-user who signs out was not revoked: " in caplog.text


async def test_without_a_sign_out_page_the_application_shows_its_own(sandbox, monkeypatch, caplog):
    """A server without end-session endpoint is named in the log."""
    client = aa.OAuthClient("sandbox-web", "web-secret", environment=sandbox.environment)
    flow = WebSignInFlow(client, BASE)
    browser = WebBrowser(flow)
    await browser.sign_in()

    async def end_session_url(**_):
        raise aa.ConfigurationError("no end_session_endpoint")

    monkeypatch.setattr(client, "end_session_url", end_session_url)
    response = await browser.visit("sign_out", "/sign-out", "POST")
    assert (response.status, "You are signed out." in response.body) == (200, True)
    assert browser.cookies == {}
    assert "stays signed in at the server" in caplog.text
    await flow.aclose()


@pytest.mark.parametrize("names_session", [True, False], ids=["sid", "sub"])
async def test_a_logout_token_ends_sessions_of_every_process(open_flow, sandbox, names_session):
    """One process receives it, another finds no session any more, and a third refuses it again."""
    shared = {"sessions": MemorySessionStore(), "store": aa.MemoryTokenStore()}
    first, second, third = (open_flow(**shared) for _ in range(3))
    browser = WebBrowser(first)
    await browser.sign_in()
    form = logout_form(sandbox, sandbox.session_id if names_session else None)
    assert (await post_logout(second, form)).status == 200
    browser.flow = third
    assert await browser.user() is None
    assert (await post_logout(third, form)).status == 400
    # Whoever signs in after it is signed in.
    await browser.sign_in()
    assert await browser.user() is not None


async def test_a_session_without_sid_ends_with_its_end_user(open_flow, sandbox):
    """A server that names no session in its ID tokens still ends them, and nobody else's."""
    sandbox.overrides.id_token = {"sid": None}
    browser = WebBrowser(open_flow())
    await browser.sign_in()
    assert (await post_logout(browser.flow, logout_form(sandbox, "S", "user-bob"))).status == 200
    assert await browser.user() is not None
    assert (await post_logout(browser.flow, logout_form(sandbox, "S"))).status == 200
    assert await browser.user() is None


async def test_a_logout_token_may_name_the_session_alone(open_flow, sandbox):
    """A token without sub ends the session that its sid names."""
    browser = WebBrowser(open_flow())
    await browser.sign_in()
    sandbox.overrides.logout_token = {"sub": None}
    form = logout_form(sandbox, sandbox.session_id)
    assert (await post_logout(browser.flow, form)).status == 200
    assert await browser.user() is None


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"logout_token=forged"],
        [b"logout_token=", b"\xff\xfe"],
        [b"x=1&" * 1000],
        [b"a" * 40_000, b"a" * 40_000],
        [TimeoutError()],
    ],
    ids=["empty", "forged", "no text", "many", "long", "slow"],
)
async def test_a_bad_logout_form_is_refused(flow, browser, pieces):
    """An empty, forged, undecodable, oversized or endless form ends nothing."""
    await browser.sign_in()
    response = await post_logout(flow, *pieces)
    assert (response.status, json.loads(response.body)) == (400, {"error": "invalid_request"})
    assert ("Cache-Control", "no-store") in response.headers
    assert await browser.user() is not None


async def test_no_more_of_a_logout_form_is_read_than_it_may_have(flow):
    """An endless form is left after 64 KiB."""
    taken = 0

    async def endless():
        nonlocal taken
        while taken < 100:
            taken += 1
            yield b"a" * 4096

    assert (await flow.end_sessions(endless())).status == 400
    assert taken == 17


async def test_a_logout_token_that_could_not_be_kept_may_come_again(open_flow, sandbox):
    """The store goes away in the middle: 503, and another process accepts the same token later."""
    sessions = BrokenStore()
    browser = WebBrowser(open_flow(sessions=sessions))
    await browser.sign_in()
    form = logout_form(sandbox)
    sessions.broken = {"put"}
    assert (await post_logout(browser.flow, form)).status == 503
    sessions.broken = ()
    assert (await post_logout(open_flow(sessions=sessions), form)).status == 200
    assert await browser.user() is None


async def test_a_store_that_is_away_signs_nobody_out(open_flow, caplog):
    """The end-user is asked to try later; the session is there when the store is back."""
    sessions = BrokenStore()
    browser = WebBrowser(open_flow(sessions=sessions))
    await browser.sign_in()
    sessions.broken = {"get"}
    with pytest.raises(aa.StoreError) as caught:
        await browser.user()
    caught.value.retry_after = 1.5
    response = await browser.flow.respond_to(browser.request(), caught.value)
    assert (response.status, dict(response.headers)["Retry-After"]) == (503, "2")
    assert "Please try later" in response.body
    # Also where a sign-in would be begun.
    error = aa.ReauthenticationRequiredError("no token")
    assert (await browser.flow.respond_to(browser.request(), error)).status == 503
    sessions.broken = ()
    assert await browser.user() is not None
    assert "sign-in: the store is away" in caplog.text


async def test_no_frame_shows_a_cookie_or_a_token(open_flow):
    """An error reporter that shows local variables shows no handle, and no ID token."""
    sessions = BrokenStore()
    browser = WebBrowser(open_flow(sessions=sessions))
    await browser.sign_in()
    secrets = [browser.cookies["__Host-session"], (await browser.user()).id_token.text]
    sessions.broken = {"get"}
    request = browser.request()
    with pytest.raises(aa.StoreError) as caught:
        await browser.flow.find_user(request)
    frames = [entry.frame for entry in caught.traceback if "/aritma_auth/" in str(entry.path)]
    shown = " ".join(repr(frame.f_locals) for frame in frames)
    assert len(frames) > 1
    assert [secret for secret in secrets if secret in shown] == []


async def demand(browser, error, path="/accounts", method="GET", **headers):
    request = browser.request(path, method, **headers)
    return browser.receive(await browser.flow.respond_to(request, error))


async def test_a_page_leads_to_the_sign_in_and_back(browser):
    """A page is loaded again afterwards; a form leads home, since its fields are lost."""
    error = aa.ReauthenticationRequiredError("no session")
    for method, following in (("GET", "/accounts?x=1"), ("POST", "/")):
        response = await demand(browser, error, "/accounts?x=1", method)
        callback = await go_to_the_server(location_of(response))
        assert location_of(await browser.visit("callback", callback)) == following


async def test_a_script_is_told_to_load_the_page(browser):
    """A fetch gets 401 and no redirect that it could not follow."""
    error = aa.ReauthenticationRequiredError("no session")
    response = await demand(browser, error, Sec_Fetch_Mode="cors")
    assert response.status == 401
    assert json.loads(response.body)["title"].startswith("A sign-in is needed")
    failed = await demand(browser, aa.TransportError("away"), Sec_Fetch_Mode="cors")
    assert ("Content-Type", "application/problem+json; charset=utf-8") in failed.headers


@pytest.mark.parametrize(
    "error",
    [
        aa.ReauthenticationRequiredError("no token"),
        aa.StepUpRequiredError("more", acr_values=("mfa",), scope=("bankservice",)),
    ],
    ids=["reauthentication", "step-up"],
)
async def test_what_a_sign_in_does_not_cure_makes_no_circle(browser, error):
    """The same demand right after its sign-in becomes a page; after a successful call it may come again."""
    await browser.sign_in()
    response = await demand(browser, error)
    assert response.status == 303
    await browser.visit("callback", await go_to_the_server(location_of(response)))
    response = await demand(browser, error)
    assert (response.status, "Not allowed" in response.body) == (403, True)
    async with browser.flow.session(await browser.user()) as bank, bank.get(ACCOUNTS):
        pass
    assert (await demand(browser, error)).status == 303


async def test_a_call_that_fails_notes_no_success(browser):
    """A demand that a handler lets pass leaves the mark of its sign-in in place."""
    await browser.sign_in()
    error = aa.StepUpRequiredError("more", acr_values=("mfa",))
    response = await demand(browser, error)
    await browser.visit("callback", await go_to_the_server(location_of(response)))
    with pytest.raises(aa.StepUpRequiredError):
        async with browser.flow.session(await browser.user()):
            raise error
    assert (await demand(browser, error)).status == 403


async def test_an_api_demands_more_and_the_server_is_asked_for_it(browser, sandbox):
    """The challenge's acr_values are in the authorization request."""
    await browser.sign_in()
    sandbox.faults.respond_next(b"", status=401, headers=CHALLENGE, where="api")
    with pytest.raises(aa.StepUpRequiredError) as caught:
        async with browser.flow.session(await browser.user()) as bank, bank.get(ACCOUNTS):
            pass
    assert "acr_values=mfa" in location_of(await demand(browser, caught.value))


async def test_the_errors_of_a_sign_in_are_explained(open_flow, sandbox, caplog):
    """Each page says what the end-user can do; the log says what the operator can."""
    browser = WebBrowser(open_flow())
    sandbox.faults.deny_next()
    assert (await browser.sign_in()).status == 403
    sandbox.faults.deny_next("login_required")
    assert (await browser.sign_in()).status == 403
    assert caplog.text == ""
    sandbox.faults.fail_next(503)
    assert (await browser.sign_in()).status == 503
    wrong = WebBrowser(open_flow("wrong-secret"))
    response = await wrong.sign_in()
    assert (response.status, "This does not work now" in response.body) == (500, True)
    assert "invalid_client" in caplog.text
    assert "wrong-secret" not in caplog.text


async def test_an_application_writes_its_own_pages(open_flow):
    """A renderer of its own gets the texts, and the policy lets its styles in."""
    flow = open_flow(render_page=lambda page: f"<p>{page.title} {page.link}</p>")
    response = await WebBrowser(flow).visit("callback", "/callback?state=x")
    assert response.body == "<p>Please start again /</p>"
    policy = dict(response.headers)["Content-Security-Policy"]
    assert policy == "base-uri 'none'; frame-ancestors 'none'"


def raise_a_secret(_page):
    raise LookupError("a secret of the template")


@pytest.mark.parametrize(
    ("render_page", "problem"),
    [
        (raise_a_secret, "raised LookupError"),
        (lambda _page: b"<p>", "returned a value of type bytes"),
        (lambda _page: None, "returned a value of type NoneType"),
    ],
    ids=["raises", "bytes", "None"],
)
async def test_a_page_that_cannot_be_written_is_shown_plain(
    open_flow, caplog, render_page, problem
):
    """The end-user sees what happened; the log names what is wrong with the page, not its text."""
    browser = WebBrowser(open_flow(render_page=render_page))
    response = await browser.visit("signed_out", "/signed-out?state=x")
    assert (response.status, "Please start again" in response.body) == (400, True)
    assert "style-src" in dict(response.headers)["Content-Security-Policy"]
    assert f"render_page must return HTML as a text, and {problem}" in caplog.text
    assert "secret of the template" not in caplog.text


async def test_the_sign_in_asks_for_what_the_application_wants(open_flow):
    """Parameters of every authorization request, and paths of the application's own."""
    flow = open_flow(
        parameters={"acr_values": "mfa", "lifetime": 60},
        paths=WebPaths(callback="/auth/callback"),
    )
    response = await WebBrowser(flow).visit("sign_in", "/sign-in")
    assert "acr_values=mfa" in location_of(response)
    assert "%2Fauth%2Fcallback" in location_of(response)
    assert "Max-Age=60" in dict(response.headers)["Set-Cookie"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"client": "client-id"}, "client must be an OAuthClient"),
        ({"base_url": "http://me.example"}, "base_url must use https"),
        ({"scope": "bankservice"}, "scope must contain openid"),
        ({"scope": None}, "scope must contain openid"),
        ({"paths": "/auth"}, "paths must be WebPaths"),
        ({"sessions": {}}, "sessions must be a SessionStore"),
        ({"store": {}}, "store"),
        ({"session_lifetime": 0}, "session_lifetime"),
        ({"api_url": "http://api.example"}, "api_url must use https"),
        ({"render_page": "<p>"}, "render_page must be a function"),
        ({"parameters": {"acr": "mfa"}}, "parameters must be those of AuthorizationParameters"),
        ({"parameters": {"response_mode": "form_post"}}, "response_mode must be query, jwt"),
        ({"parameters": {"response_mode": "form_post.jwt"}}, "not 'form_post.jwt'"),
        ({"parameters": {"response_mode": "fragment"}}, "response_mode must be query, jwt"),
        ({"parameters": {"response_type": "code id_token"}}, "response_type must be code"),
        ({"clock": None}, "clock must be a Clock"),
    ],
)
def test_wrong_settings_are_named(changes, problem):
    """The message names the argument."""
    given = {"client": aa.OAuthClient("me", "x"), "base_url": BASE} | changes
    with pytest.raises(aa.ConfigurationError, match=problem):
        WebSignInFlow(**given)


async def test_a_flow_can_be_opened_again_after_its_end(flow, browser):
    """A process that serves the application twice keeps its sessions."""
    await browser.sign_in()
    user = await browser.user()
    async with flow.session(user) as bank, bank.get(ACCOUNTS):
        pass
    await flow.aclose()
    user = await browser.user()
    async with flow.session(user) as bank, bank.get(ACCOUNTS) as response:
        assert response.status == 200


@pytest.mark.parametrize("module", ["aiohttp_web", "fastapi"])
def test_a_sign_in_shows_whose_it_is(module):
    """The repr names the client and the application, and no secret."""
    kind = importlib.import_module(f"aritma_auth.integrations.{module}").WebSignIn
    sign_in = kind(aa.OAuthClient("me", "the-secret"), f"{BASE}/")

    assert repr(sign_in) == "<WebSignIn of 'me' at https://me.example>"


def test_fastapi_is_asked_for_by_name(monkeypatch):
    """Without FastAPI the module says which extra brings it."""
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.delitem(sys.modules, "aritma_auth.integrations.fastapi", raising=False)
    with pytest.raises(aa.ConfigurationError, match=r"aritma-auth\[fastapi\]"):
        importlib.import_module("aritma_auth.integrations.fastapi")

"""The pages for end-users: which forms are accepted, and who can use them."""

import re
import ssl

import aiohttp
import pytest
import trustme
from yarl import URL

from aritma_auth.sandbox import Sandbox, SandboxClient
from support.plain_browser import PlainBrowser
from support.sandbox_wire import ALICE, DEVICE_CODE, authorize_url, get, post, response_of

pytestmark = pytest.mark.usefixtures("no_leftovers")

CLI = {"client_id": "sandbox-cli"}


async def start_device(sandbox):
    _, started, _ = await post(sandbox, "/connect/deviceauthorization", {**CLI, "scope": "openid"})
    return started


async def pages_of(sandbox, browser):
    """Open every page there is, and give their texts by name."""
    started = await start_device(sandbox)
    login = await browser.open(authorize_url(sandbox, **CLI, acr_values="mfa"))
    wrong = await browser.submit(login, username="alice", password="x")
    consent = await browser.submit(wrong, **ALICE, code="123456")
    met = {
        "login": login,
        "wrong": wrong,
        "consent": consent,
        "home": await browser.open(f"{sandbox.identity_url}/"),
        "error": await browser.open(authorize_url(sandbox, scope="zam")),
        "not found": await browser.open(f"{sandbox.identity_url}/nope"),
        "device": await browser.open(f"{sandbox.identity_url}/device"),
        "no device": await browser.open(f"{sandbox.identity_url}/device?user_code=1"),
        "device consent": await browser.open(started["verification_uri_complete"]),
        "sign out": await browser.open(f"{sandbox.identity_url}/connect/endsession"),
    }
    met["done"] = await browser.submit(met["device consent"], decision="yes")
    met["signed out"] = await browser.submit(met["sign out"])
    return {name: page.text for name, page in met.items()}


async def test_every_page_can_be_used_without_seeing_it(sandbox, browser):
    """
    Each page has a language, a title, one heading, a label for each field, and announced problems.
    """
    for name, text in (await pages_of(sandbox, browser)).items():
        heading = re.findall("<h1>(.*?)</h1>", text)
        title = re.findall("<title>(.*?)</title>", text)
        assert '<html lang="en">' in text
        assert 'name="viewport"' in text
        assert len(heading) == 1
        is_bad = name in {"wrong", "error", "not found", "no device"}
        assert title == ([f"Error: {heading[0]}"] if is_bad else heading)
        assert ('role="alert"' in text) is is_bad
        fields = re.findall('<input id="(.*?)"', text)
        assert fields == re.findall('<label for="(.*?)"', text)
        assert text.count("autofocus") == (
            name in {"login", "wrong", "device", "no device", "sign out"}
        )
        if fields:
            assert ('aria-describedby="problem"' in text) is is_bad


def luminance(colour):
    channels = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_stands_out_from_its_ground(sandbox, browser, scheme):
    """
    The contrast meets WCAG 2.2: 4.5 to 1 for text, 3 to 1 for the focus and the edges of fields.
    """
    style = (await browser.open(authorize_url(sandbox))).text
    light, dark = re.findall(r":root\{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+):(#[0-9a-f]{6})", light if scheme == "light" else dark))
    texts = [
        ("text", "card"),
        ("text", "ground"),
        ("text", "alert"),
        ("text", "code"),
        ("soft", "card"),
        ("accent", "card"),
        ("on-accent", "accent"),
    ]
    edges = [("text", "card"), ("field", "card"), ("danger", "card"), ("accent", "card")]

    def contrasts(pairs):
        return {pair: contrast(*(colours[name] for name in pair)) for pair in pairs}

    assert {pair for pair, ratio in contrasts(texts).items() if ratio < 4.5} == set()
    assert {pair for pair, ratio in contrasts(edges).items() if ratio < 3} == set()


async def test_the_home_page_lists_who_can_sign_in(sandbox, browser):
    """End-users and clients with their public secrets, those that a test has added included."""
    sandbox.add_client(SandboxClient(client_id="<mine>", secrets="my-secret"))
    page = await browser.open(f"{sandbox.identity_url}/")

    for text in ("alice", "bob-password", "123456", "sandbox-web", "web-secret", "&lt;mine&gt;"):
        assert f"<code>{text}</code>" in page.text
    assert f"export ARITMA_ENVIRONMENT={sandbox.identity_url}" in page.text


@pytest.mark.parametrize("server", ["identity_url", "banking_url"])
async def test_a_browser_at_an_unknown_address_is_shown_where_to_go_on(server, sandbox):
    """The page has the status, names the path as text, and links to the home page and others."""
    url = URL(getattr(sandbox, server)).with_path("/<nope>")
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers={"Accept": "text/html,*/*;q=0.8"}) as response,
    ):
        text = await response.text()
        assert (response.status, response.content_type) == (404, "text/html")

    assert "&lt;nope&gt;" in text
    assert "<nope>" not in text
    assert f'href="{sandbox.identity_url}/"' in text
    assert f'href="{sandbox.identity_url}/device"' in text


async def test_a_browser_that_posts_to_the_home_page_is_told_what_is_allowed(sandbox):
    """The page of a 405 keeps the header Allow."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(sandbox.identity_url, headers={"Accept": "text/html"}) as response,
    ):
        assert (response.status, response.content_type) == (405, "text/html")
        assert response.headers["Allow"] == "GET,HEAD"


async def test_a_program_at_an_unknown_address_is_shown_no_page(sandbox):
    """The identity server says the status alone, the Banking APIs give problem details."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{sandbox.identity_url}/nope") as response:
            assert (response.status, response.content_type) == (404, "text/plain")
        async with session.get(f"{sandbox.banking_url}nope") as response:
            problem = await response.json(content_type="application/problem+json")
        async with session.put(f"{sandbox.banking_url}api/accounts") as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET,HEAD")

    assert (problem["status"], problem["detail"]) == (404, "There is no GET /nope.")


async def test_pages_are_neither_cached_nor_framed(sandbox, browser):
    """Pages have no cache, script or referrer; the one that posts runs its one script."""
    async with browser.session.get(authorize_url(sandbox)) as response:
        headers = response.headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "script-src" not in headers["Content-Security-Policy"]

    sandbox.sign_in_automatically("alice")
    async with browser.session.get(authorize_url(sandbox, response_mode="form_post")) as response:
        assert "script-src 'sha256-" in response.headers["Content-Security-Policy"]
        assert "<noscript><button>" in await response.text()


async def test_what_comes_from_outside_is_escaped(sandbox, browser):
    """Hints, codes and states are shown as text, never as markup."""
    nasty = "\"><script>alert('x')</script>"
    sandbox.sign_in_automatically("alice")
    posted = await browser.open(authorize_url(sandbox, state=nasty, response_mode="form_post"))
    sandbox.sign_in_automatically(None)
    hinted = await browser.open(authorize_url(sandbox, login_hint=nasty))

    assert nasty not in posted.text + hinted.text
    assert posted.forms[0].fields["state"] == nasty


async def test_the_session_cookie_is_for_the_server_alone(sandbox, browser):
    """No script reads it, no other site's form carries it, and each sign-in has a new one."""
    page = await browser.open(authorize_url(sandbox))
    await browser.submit(page, **ALICE)
    cookies = {cookie.key: cookie for cookie in browser.session.cookie_jar}
    first = cookies["aritma-sandbox"].value
    # Only what the frame of /connect/checksession reads, which opens nothing.
    assert [name for name, cookie in cookies.items() if not cookie["httponly"]] == [
        "aritma-sandbox-session"
    ]
    for cookie in cookies.values():
        assert cookie["samesite"] == "Lax"
        assert not cookie["secure"]
    await browser.visit(authorize_url(sandbox, prompt="login"), **ALICE)

    assert {c.key: c.value for c in browser.session.cookie_jar}["aritma-sandbox"] != first
    with_the_old_cookie = await get(
        sandbox,
        authorize_url(sandbox, prompt="none").removeprefix(sandbox.identity_url),
        headers={"Cookie": f"aritma-sandbox={first}"},
        allow_redirects=False,
    )
    assert "error=login_required" in with_the_old_cookie[2]["Location"]


async def test_over_https_cookies_stay_there():
    """Over https the cookies are secure."""
    authority = trustme.CA()
    server, client = (ssl.SSLContext(p) for p in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    async with Sandbox(ssl_context=server) as sandbox, aiohttp.ClientSession() as http:
        async with http.get(authorize_url(sandbox), ssl=client) as response:
            assert response.cookies["aritma-sandbox-form"]["secure"]


@pytest.mark.parametrize(
    "path", ["/account/login", "/account/consent", "/account/logout", "/device"]
)
@pytest.mark.parametrize("token", [None, "", "forged", "é"])
async def test_a_form_of_another_site_is_refused(sandbox, browser, path, token):
    """A form without the page's token, or with another, is refused."""
    await browser.visit(authorize_url(sandbox), **ALICE)
    form = {"return_url": "/device", "user_code": "1", **ALICE}
    if token is not None:
        form["form_token"] = token
    async with browser.session.post(f"{sandbox.identity_url}{path}", data=form) as response:
        assert response.status == 400
        assert "not shown to this browser" in await response.text()


async def test_a_file_is_no_text(sandbox, browser):
    """An uploaded file in place of a text counts as absent."""
    page = await browser.open(authorize_url(sandbox))
    form = aiohttp.FormData(page.forms[0].fields | {"username": "alice"})
    form.add_field("password", b"alice-password", filename="password.txt")
    async with browser.session.post(page.forms[0].action, data=form) as response:
        assert "The user name or the password is wrong." in await response.text()


async def test_a_token_without_its_cookie_is_refused(sandbox, browser):
    """A form's token belongs to the browser that it was shown to."""
    page = await browser.open(authorize_url(sandbox))
    async with PlainBrowser(sandbox.identity_url) as other:
        assert (await other.submit(page, **ALICE)).status == 400


@pytest.mark.parametrize(
    "path_of_return_url",
    [
        "https://evil.example/connect/authorize",
        "//evil.example/connect/authorize",
        "/\\evil.example/connect/authorize",
        "evil.example/connect/authorize",
        "/elsewhere",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/account/login", "/account/consent"])
async def test_pages_lead_to_the_server_itself_alone(sandbox, path_of_return_url, path):
    """A return URL that leads elsewhere is refused, however valid the request in it is."""
    query = authorize_url(sandbox).partition("?")[2]
    async with aiohttp.ClientSession(sandbox.identity_url) as http:
        for return_url in (f"{path_of_return_url}?{query}", "/connect/authorize?client_id=x", ""):
            async with http.get(path, params={"return_url": return_url}) as response:
                assert response.status == 400


@pytest.mark.parametrize("mode", ["query", "form_post"])
@pytest.mark.parametrize("tenant", ["", "/acme"])
async def test_cancelling_is_access_denied(every, mode, tenant):
    """Cancelling is access_denied, by the requested response mode."""
    async with PlainBrowser(every.identity_url) as browser:
        url = authorize_url(every, tenant=tenant, response_mode=mode)
        page = await browser.submit(await browser.open(url), cancel="yes")
        if mode == "form_post":
            page = await browser.submit(page)
    answer = response_of(page)

    assert (answer["error"], answer["state"]) == ("access_denied", "the-state")
    if every.server_version != "is4":
        assert answer["iss"] == f"{every.identity_url}{tenant}"


async def test_consent_needs_a_session(sandbox, browser):
    """
    Without a session the consent page leads to the sign-in, whether it is opened or submitted.
    """
    url = authorize_url(sandbox, **CLI)
    page = await browser.submit(await browser.open(url), **ALICE)
    browser.session.cookie_jar.clear(lambda cookie: cookie.key == "aritma-sandbox")

    assert "Password" in (await browser.submit(page, decision="yes")).text
    assert "Password" in (await browser.open(page.url)).text
    assert "Password" in (await browser.open(url)).text
    device = f"{sandbox.identity_url}/account/consent?return_url=/device"
    assert "Password" in (await browser.open(device)).text


async def poll(sandbox, started):
    form = {**CLI, "grant_type": DEVICE_CODE, "device_code": started["device_code"]}
    status, answer, _ = await post(sandbox, "/connect/token", form)
    return answer.get("error", status)


@pytest.mark.parametrize(("decision", "outcome"), [("yes", 200), ("no", "access_denied")])
@pytest.mark.parametrize("address", ["verification_uri", "verification_uri_complete"])
async def test_an_end_user_decides_for_a_device(sandbox, browser, decision, outcome, address):
    """
    The end-user signs in, enters or compares the code, sees client and scope, and allows or denies.
    """
    started = await start_device(sandbox)
    page = await browser.submit(await browser.open(started[address]), **ALICE)
    if address == "verification_uri":
        page = await browser.submit(page, user_code=f" {started['user_code']} ")
    for shown in ("sandbox-cli", "openid", started["user_code"]):
        assert shown in page.text
    done = await browser.submit(page, decision=decision)

    assert ("is signed in" in done.text) is (decision == "yes")
    assert await poll(sandbox, started) == outcome
    again = await browser.submit(page, decision="yes")
    assert "This code is unknown" in again.text


async def test_a_devices_code_grows_old(sandbox, browser):
    """A user code is valid for five minutes."""
    started = await start_device(sandbox)
    await browser.visit(authorize_url(sandbox), **ALICE)
    sandbox.clock.advance(300)
    page = await browser.open(started["verification_uri_complete"])

    assert "has expired" in page.text


async def test_a_device_needs_an_end_user(sandbox, browser):
    """Cancelling the sign-in, or losing the session, approves no device."""
    started = await start_device(sandbox)
    login = await browser.open(started["verification_uri_complete"])
    assert "You are not signed in." in (await browser.submit(login, cancel="yes")).text
    page = await browser.submit(login, **ALICE)
    browser.session.cookie_jar.clear(lambda cookie: cookie.key == "aritma-sandbox")

    assert "Password" in (await browser.submit(page, decision="yes")).text
    assert await poll(sandbox, started) == "authorization_pending"

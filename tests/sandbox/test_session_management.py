"""Session management: session_state, and the frame that computes it again."""

import base64
import hashlib
import re
import ssl

import aiohttp
import pytest
import trustme

from aritma_auth.sandbox import Sandbox
from aritma_auth.sandbox.identity.session_management import build_session_state
from support.sandbox_wire import ALICE, authorize_url, get, read_jwt, redeem, response_of

pytestmark = pytest.mark.usefixtures("no_leftovers")

COOKIE = "aritma-sandbox-session"


def digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def cookies_of(browser):
    return {cookie.key: cookie.value for cookie in browser.session.cookie_jar}


@pytest.mark.parametrize(
    ("redirect_uri", "origin"),
    [
        ("https://App.example/callback", "https://app.example"),
        ("https://app.example:443/callback", "https://app.example"),
        ("https://app.example:80/callback", "https://app.example:80"),
        ("http://127.0.0.1:80/callback", "http://127.0.0.1"),
        ("http://127.0.0.1:8080/callback", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/callback", "http://[::1]:8080"),
        ("com.example.app:/callback", ""),
    ],
)
def test_a_session_state_is_of_one_client_origin_and_session(redirect_uri, origin):
    """session_state hashes client, origin and session; its salt is new each time."""
    state = build_session_state("the-client", redirect_uri, "THE-SESSION")
    said, _, salt = state.partition(".")

    assert said == digest(f"the-client{origin}THE-SESSION{salt}")
    assert len(salt) == 32
    assert build_session_state("the-client", redirect_uri, "THE-SESSION") != state


@pytest.mark.parametrize("is_automatic", [False, True])
async def test_a_response_and_the_browser_have_the_same_session(sandbox, browser, is_automatic):
    """Response, browser and ID token name the same session."""
    sandbox.sign_in_automatically("alice" if is_automatic else None)
    answer = response_of(await browser.visit(authorize_url(sandbox), **ALICE))
    tokens = (await redeem(sandbox, answer["code"]))[1]
    session_id = cookies_of(browser)[COOKIE]
    said, _, salt = answer["session_state"].partition(".")

    assert said == digest(f"sandbox-webhttp://127.0.0.1:5000{session_id}{salt}")
    assert session_id == read_jwt(tokens["id_token"])[1]["sid"]


async def test_another_end_user_changes_the_browsers_session(sandbox, browser):
    """Another end-user's sign-in changes the browser's session, on the way to a device too."""
    await browser.visit(authorize_url(sandbox), **ALICE)
    before = cookies_of(browser)[COOKIE]
    login = await browser.open(f"{sandbox.identity_url}/account/login?return_url=/device")
    await browser.submit(login, username="bob", password="bob-password")

    assert cookies_of(browser)[COOKIE] != before


async def test_signing_out_deletes_both_cookies(sandbox, browser):
    """Signing out deletes the session cookie and the one that scripts see."""
    await browser.visit(authorize_url(sandbox), **ALICE)
    await browser.visit(f"{sandbox.identity_url}/connect/endsession")

    assert cookies_of(browser).keys() == {"aritma-sandbox-form"}


@pytest.mark.parametrize("tenant", ["", "/acme"])
async def test_every_version_says_where_its_frame_is(every, tenant):
    """The metadata names the frame, which any client's page may embed: one script, nothing else."""
    _, metadata, _ = await get(every, f"{tenant}/.well-known/openid-configuration")
    path = f"{tenant}/connect/checksession"
    status, text, headers = await get(every, path)
    (script,) = re.findall("<script [^>]*>(.*?)</script>", text, re.DOTALL)
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    assert metadata["check_session_iframe"] == f"{every.identity_url}{path}"
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert headers["Content-Security-Policy"] == (
        f"default-src 'none'; script-src 'sha256-{hashed}'; base-uri 'none'"
    )
    assert f'data-cookie="{COOKIE}"' in text


async def test_over_https_frames_of_other_sites_have_the_cookie():
    """The cookie is SameSite=None over https, which only a secure one may be, and Lax over http."""
    authority = trustme.CA()
    server, client = (ssl.SSLContext(p) for p in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    seen = {}
    for context, trust in ((server, client), (None, True)):
        async with Sandbox(ssl_context=context) as sandbox, aiohttp.ClientSession() as http:
            sandbox.sign_in_automatically("alice")
            url = authorize_url(sandbox)
            async with http.get(url, ssl=trust, allow_redirects=False) as response:
                cookie = response.cookies[COOKIE]
        seen[context is not None] = (cookie["samesite"], bool(cookie["secure"]), cookie["httponly"])

    assert seen == {True: ("None", True, ""), False: ("Lax", False, "")}

"""Session management: what clients and browsers can compare, and the frame that does it."""

import base64
import hashlib
import re
import ssl

import aiohttp
import pytest
import trustme

from aritma_auth.sandbox import Sandbox
from aritma_auth.sandbox.identity.session_management import build_session_state
from support.sandbox_wire import ALICE, answer_of, authorize_url, get, read_jwt, redeem

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
    """The origin as browsers write it; the salt stands behind and is new each time."""
    state = build_session_state("the-client", redirect_uri, "THE-SESSION")
    said, _, salt = state.partition(".")

    assert said == digest(f"the-client{origin}THE-SESSION{salt}")
    assert len(salt) == 32
    assert build_session_state("the-client", redirect_uri, "THE-SESSION") != state


@pytest.mark.parametrize("is_automatic", [False, True])
async def test_an_answer_and_the_browser_have_the_same_session(sandbox, browser, is_automatic):
    """And the ID token has it, too."""
    sandbox.sign_in_automatically("alice" if is_automatic else None)
    answer = answer_of(await browser.visit(authorize_url(sandbox), **ALICE))
    tokens = (await redeem(sandbox, answer["code"]))[1]
    session_id = cookies_of(browser)[COOKIE]
    said, _, salt = answer["session_state"].partition(".")

    assert said == digest(f"sandbox-webhttp://127.0.0.1:5000{session_id}{salt}")
    assert session_id == read_jwt(tokens["id_token"])[1]["sid"]


async def test_who_takes_the_browser_over_is_seen_at_once(sandbox, browser):
    """Also where no client is told, as on the way to let a device in."""
    await browser.visit(authorize_url(sandbox), **ALICE)
    before = cookies_of(browser)[COOKIE]
    login = await browser.open(f"{sandbox.identity_url}/account/login?return_url=/device")
    await browser.submit(login, username="bob", password="bob-password")

    assert cookies_of(browser)[COOKIE] != before


async def test_who_signs_out_leaves_no_session_behind(sandbox, browser):
    """Neither the one that opens something nor the one that scripts see."""
    await browser.visit(authorize_url(sandbox), **ALICE)
    await browser.visit(f"{sandbox.identity_url}/connect/endsession")

    assert cookies_of(browser).keys() == {"aritma-sandbox-form"}


@pytest.mark.parametrize("tenant", ["", "/acme"])
async def test_every_generation_says_where_its_frame_is(every, tenant):
    """And any client's page may show it: one script, and nothing else."""
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
    """Which only a secure one may say; over http it is for the same site."""
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

"""Sign-out: confirmation, notification of clients, and the redirect back."""

import re
from urllib.parse import parse_qs, urlencode, urlsplit

import attrs
import pytest
from aiohttp import web

from aritma_auth.sandbox import Sandbox
from support.loopback import serving
from support.plain_browser import PlainBrowser
from support.sandbox_wire import ALICE, authorize_url, read_jwt, redeem, response_of

pytestmark = pytest.mark.usefixtures("no_leftovers")

BACK = "http://127.0.0.1:5000/signed-out"


async def signed_in(sandbox, browser, **parameters):
    """Sign alice in and give the ID token."""
    answer = response_of(await browser.visit(authorize_url(sandbox, **parameters), **ALICE))
    return (await redeem(sandbox, answer["code"]))[1]["id_token"]


def end(sandbox, **parameters):
    return f"{sandbox.identity_url}/connect/endsession?{urlencode(parameters, doseq=True)}"


def link_of(page):
    return [link.replace("&amp;", "&") for link in re.findall('<a href="(.*?)"', page.text)]


async def test_an_id_token_hint_needs_no_confirmation(sandbox, browser):
    """With the session's ID token the session ends at once, and the link back carries the state."""
    hint = await signed_in(sandbox, browser)
    sandbox.clock.advance(3600)
    page = await browser.open(
        end(sandbox, id_token_hint=hint, post_logout_redirect_uri=BACK, state="s&t")
    )

    assert link_of(page) == [f"{BACK}?state=s%26t"]
    assert "Password" in (await browser.open(authorize_url(sandbox))).text


@pytest.mark.parametrize("hint", [None, "forged", "bob"])
async def test_without_a_hint_the_end_user_confirms(sandbox, browser, hint):
    """
    Without an ID token of the session the end-user must confirm, and nothing has ended before.
    """
    if hint == "bob":
        async with PlainBrowser(sandbox.identity_url) as other:
            bob = {"username": "bob", "password": "bob-password"}
            answer = response_of(await other.visit(authorize_url(sandbox), **bob))
        hint = (await redeem(sandbox, answer["code"]))[1]["id_token"]
    await signed_in(sandbox, browser)
    given = {} if hint is None else {"id_token_hint": hint}
    page = await browser.open(
        end(sandbox, client_id="sandbox-web", post_logout_redirect_uri=BACK, **given)
    )
    assert "Do you want to sign out?" in page.text
    assert "code" in response_of(await browser.open(authorize_url(sandbox)))

    assert link_of(await browser.submit(page)) == [BACK]
    assert "Password" in (await browser.open(authorize_url(sandbox))).text


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"post_logout_redirect_uri": BACK},
        {"post_logout_redirect_uri": "https://evil.example", "client_id": "sandbox-web"},
        {"post_logout_redirect_uri": BACK, "client_id": "sandbox-cli"},
        {"post_logout_redirect_uri": [BACK, BACK], "client_id": "sandbox-web"},
    ],
    ids=str,
)
async def test_an_invalid_request_costs_only_the_redirect(sandbox, browser, parameters):
    """An invalid request still signs the end-user out, without a redirect."""
    page = await browser.open(end(sandbox, **parameters))

    assert "You are signed out." in page.text
    assert link_of(page) == []


async def test_a_request_may_be_posted(sandbox, browser):
    """The client's page may post the request."""
    hint = await signed_in(sandbox, browser)
    url, _, query = end(sandbox, id_token_hint=hint).partition("?")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with browser.session.post(url, data=query, headers=headers) as response:
        assert "You are signed out." in await response.text()


class Client:
    """A client that receives logout notifications."""

    def __init__(self):
        self.tokens = []
        self.status = 200

    async def told(self, request):
        self.tokens.append((await request.post())["logout_token"])
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})


@pytest.mark.parametrize(
    ("version", "typ"),
    [
        ("is4", "JWT"),
        ("duende-6.3", "logout+jwt"),
        ("duende-7.4", "logout+jwt"),
        ("duende-8", "logout+jwt"),
    ],
)
@pytest.mark.parametrize("tenant", ["", "/acme"])
async def test_clients_are_told_by_post(version, typ, tenant):
    """The logout token has the session's id, the version's type and the tenant's issuer."""
    client = Client()
    async with serving(client.told) as url, Sandbox(server_version=version) as sandbox:
        told = f"{url}/told"
        sandbox.add_client(
            attrs.evolve(sandbox.clients["sandbox-web"], back_channel_logout_uri=told)
        )
        async with PlainBrowser(sandbox.identity_url) as browser:
            hint = await signed_in(sandbox, browser, tenant=tenant)
            client.status = 302
            await browser.open(end(sandbox, id_token_hint=hint))
    header, claims = read_jwt(client.tokens[0])

    assert header["typ"] == typ
    assert claims.pop("jti")
    assert claims.pop("exp") - claims.pop("iat") == 300
    assert claims == {
        "iss": f"{sandbox.identity_url}{tenant}",
        "aud": "sandbox-web",
        "sub": "user-alice",
        "sid": read_jwt(hint)[1]["sid"],
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }
    assert sandbox.logout_responses == [302]


async def test_a_client_that_is_away_stops_nobody(sandbox, browser):
    """A client that is down is notified once, and the sign-out goes on."""
    away = attrs.evolve(
        sandbox.clients["sandbox-web"], back_channel_logout_uri="http://127.0.0.1:1/told"
    )
    sandbox.add_client(away)
    hint = await signed_in(sandbox, browser)
    page = await browser.open(end(sandbox, id_token_hint=hint))

    assert "You are signed out." in page.text
    assert sandbox.logout_responses == [None]


@pytest.mark.parametrize("is_automatic", [False, True])
async def test_clients_are_told_in_frames(sandbox, browser, is_automatic):
    """Frames carry iss and sid, and the page may load their origins and no others."""
    uri = "http://127.0.0.1:5000/front?x=y"
    sandbox.add_client(attrs.evolve(sandbox.clients["sandbox-web"], front_channel_logout_uri=uri))
    if is_automatic:
        sandbox.sign_in_automatically("alice")
    hint = await signed_in(sandbox, browser)
    async with browser.session.get(end(sandbox, id_token_hint=hint)) as response:
        policy, text = response.headers["Content-Security-Policy"], await response.text()
    (frame,) = re.findall('<iframe hidden title="Signing out" src="(.*?)"', text)

    assert policy.endswith("; frame-src http://127.0.0.1:5000")
    assert parse_qs(urlsplit(frame.replace("&amp;", "&")).query) == {
        "x": ["y"],
        "iss": [sandbox.identity_url],
        "sid": [read_jwt(hint)[1]["sid"]],
    }


@pytest.mark.parametrize("has_way_back", [True, False])
async def test_the_automatic_mode_goes_back_by_itself(sandbox, browser, has_way_back):
    """
    The automatic mode redirects if there is an address, and the next sign-in is another session.
    """
    sandbox.sign_in_automatically("alice")
    hint = await signed_in(sandbox, browser)
    given = {"post_logout_redirect_uri": BACK, "state": "s"} if has_way_back else {}
    page = await browser.open(end(sandbox, id_token_hint=hint, **given))
    if has_way_back:
        assert page.callback == f"{BACK}?state=s"
    else:
        assert "You are signed out." in page.text

    assert read_jwt(await signed_in(sandbox, browser))[1]["sid"] != read_jwt(hint)[1]["sid"]

"""Signing in on another device, and signing out, at oidc-provider."""

import asyncio

import pytest
from aiohttp import web

import aritma_auth as aa
from support.clock import PollingClock
from support.loopback import serving
from support.plain_browser import answers_of

pytestmark = [pytest.mark.timeout(360), pytest.mark.usefixtures("no_leftovers")]

ALICE = answers_of("alice")
BACK = "http://127.0.0.1/signed-out"


@pytest.fixture
def server(oidc_provider):
    return oidc_provider


class Pauses:
    """Pauses between two polls, without time passing; the end-user acts in one of them."""

    def __init__(self):
        self.taken = []
        self.act = None
        self.act_in = None

    async def __call__(self, seconds):
        self.taken.append(seconds)
        if len(self.taken) == self.act_in:
            await self.act()


@pytest.fixture
def pauses():
    return Pauses()


@pytest.fixture
def device(server, pauses):
    """Give a device without a secret."""
    return server.client("device", clock=PollingClock(pauses))


@pytest.mark.parametrize("complete", [True, False], ids=["code-in-the-address", "code-typed"])
async def test_an_end_user_signs_in_on_another_device(browser, device, pauses, complete):
    """The device polls at its interval, and gets what a sign-in by browser gets."""
    authorization = await device.begin_device_sign_in("openid offline_access")
    url, typed = authorization.verification_uri, {"user_code": authorization.user_code}
    if complete:
        url, typed = authorization.verification_uri_complete, {}
    pauses.act, pauses.act_in = lambda: browser.visit(url, **ALICE, **typed), 3
    signed_in = await device.complete_device_sign_in(authorization)

    assert pauses.taken == [5.0] * 3
    assert signed_in.subject == "alice"
    assert signed_in.token.refresh_token is not None
    refreshed = await device.fetch_token(aa.RefreshTokenGrant(signed_in.token.refresh_token))
    assert refreshed.refresh_token != signed_in.token.refresh_token


async def test_an_end_user_who_denies_access_ends_the_device_sign_in(browser, device, pauses):
    """The device polls no more after access was denied."""
    authorization = await device.begin_device_sign_in()

    async def deny():
        page = await browser.open(authorization.verification_uri_complete)
        await browser.submit(await browser.submit(page), abort="yes")

    pauses.act, pauses.act_in = deny, 2
    with pytest.raises(aa.AccessDeniedError):
        await device.complete_device_sign_in(authorization)
    assert len(pauses.taken) == 2


async def test_a_device_code_is_good_once(browser, device):
    """The server refuses the second exchange."""
    authorization = await device.begin_device_sign_in()
    await browser.visit(authorization.verification_uri_complete, **ALICE)
    await device.fetch_token(authorization.grant)

    with pytest.raises(aa.InvalidGrantError):
        await device.fetch_token(authorization.grant)


async def test_an_end_user_signs_out(server, browser):
    """The state comes back, and the session and its tokens have ended."""
    client = server.client("web", server.secret)
    request = await client.begin_sign_in(server.redirect_uri)
    page = await browser.visit(request.url, **ALICE)
    signed_in = await client.complete_sign_in(request, page.callback)
    url = await client.end_session_url(
        id_token_hint=signed_in.token.id_token, post_logout_redirect_uri=BACK, state="st&te"
    )
    page = await browser.visit(url, **ALICE)

    assert page.callback.startswith(BACK)
    aa.validate_logout_callback(page.callback, state="st&te")
    with pytest.raises(aa.StateMismatchError):
        aa.validate_logout_callback(page.callback, state="another")
    assert not (await client.introspect(signed_in.token.access_token)).active
    silent = await client.begin_sign_in(server.redirect_uri, prompt="none")
    page = await browser.visit(silent.url)
    with pytest.raises(aa.OAuthError, match="login_required"):
        await client.complete_sign_in(silent, page.callback)


async def test_signing_out_to_an_unknown_address_stays_on_the_servers_page(server, browser):
    """A client that names itself without an ID token still needs a registered address."""
    client = server.client("web", server.secret)
    url = await client.end_session_url(post_logout_redirect_uri="http://127.0.0.1/elsewhere")
    page = await browser.open(url)

    assert (page.is_elsewhere, page.status) == (False, 400)


async def test_the_server_posts_a_back_channel_logout(server, browser):
    """A back-channel logout token is verified, and names the session of the sign-in."""
    posted = asyncio.get_running_loop().create_future()

    async def hear(request):
        posted.set_result((await request.post())["logout_token"])
        return web.Response()

    async with serving(hear) as address:
        client = await register(server, browser, backchannel_logout_uri=f"{address}/left")
        request = await client.begin_sign_in(server.redirect_uri)
        page = await browser.visit(request.url, **ALICE)
        signed_in = await client.complete_sign_in(request, page.callback)
        url = await client.end_session_url(id_token_hint=signed_in.token.id_token)
        await browser.visit(url, **ALICE)
        logout = await client.verify_logout_token(await asyncio.wait_for(posted, 10))

    assert logout.subject == signed_in.subject
    with pytest.raises(aa.VerificationError):
        await client.verify_logout_token(signed_in.token.id_token)


async def register(server, browser, **metadata):
    """Register a client of its own at the server (RFC 7591)."""
    wanted = {"application_type": "native", "redirect_uris": [server.redirect_uri], **metadata}
    async with browser.session.post(f"{server.issuer}/reg", json=wanted) as response:
        made = await response.json()
        assert response.status == 201, made
    secret = aa.ClientSecretBasic(aa.Secret(made["client_secret"]))
    return server.client(made["client_id"], secret)

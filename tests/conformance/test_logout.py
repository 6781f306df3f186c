"""The OpenID Foundation's client modules about signing out."""

import attrs
import pytest
from aiohttp import web

import aritma_auth as aa
from aritma_auth.protocol.logout import validate_front_channel_logout
from support.journeys import client_of, sign_in
from support.loopback import serving
from support.plain_browser import PlainBrowser

pytestmark = pytest.mark.usefixtures("no_leftovers")

BACK = "http://127.0.0.1/signed-out"


async def leave(sandbox, client, done, state="the-state"):
    """Sign out at the server; give what the browser brings back."""
    url = await client.end_session_url(
        id_token_hint=done.token.id_token, post_logout_redirect_uri=BACK, state=state
    )
    async with PlainBrowser(sandbox.identity_url) as browser:
        return await browser.open(url)


@pytest.mark.parametrize("module", ["oidcc-client-test-rp-init-logout"])
async def test_an_end_user_signs_out_and_comes_back(sandbox, module):
    """The sign-out sends hint, address and state, and the state comes back."""
    client = client_of(sandbox)
    page = await leave(sandbox, client, await sign_in(client))

    aa.validate_logout_callback(page.callback, state="the-state")


WAYS_BACK = {
    "oidcc-client-test-rp-init-logout-no-state": BACK,
    "oidcc-client-test-rp-init-logout-other-state": f"{BACK}?state=another",
}


@pytest.mark.parametrize("module", WAYS_BACK)
def test_a_wrong_way_back_is_noticed(module):
    """A callback whose state is missing or another is refused."""
    with pytest.raises(aa.StateMismatchError):
        aa.validate_logout_callback(WAYS_BACK[module], state="the-state")


EVENT = "http://schemas.openid.net/event/backchannel-logout"
REFUSED = {
    "oidcc-client-test-rp-backchannel-rpinitlogout-alg-none": {"signature": "none"},
    "oidcc-client-test-rp-backchannel-rpinitlogout-no-event": {"logout_token": {"events": None}},
    "oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce": {"logout_token": {"nonce": "n"}},
    "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg": {"signature": "HS256"},
    "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud": {"logout_token": {"aud": "x"}},
    "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event": {
        "logout_token": {"events": {f"{EVENT}-not": {}}}
    },
    "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss": {
        "logout_token": {"iss": "https://x.example"}
    },
}


async def announce(sandbox, module):
    """Let the server announce a logout over the wire; give its answer and the ended sessions."""
    client, ended = client_of(sandbox), []

    async def back_channel(request):
        try:
            logout = await client.verify_logout_token((await request.post())["logout_token"])
        except aa.VerificationError:
            return web.Response(status=400)
        ended.append(logout.session_id)
        return web.Response()

    async with serving(back_channel) as url:
        registered = sandbox.clients["sandbox-web"]
        sandbox.add_client(attrs.evolve(registered, back_channel_logout_uri=url))
        done = await sign_in(client)
        for name, value in REFUSED.get(module, {}).items():
            setattr(sandbox.overrides, name, value)
        await leave(sandbox, client, done)
    return sandbox.logout_responses, ended, done.claims["sid"]


@pytest.mark.parametrize("module", ["oidcc-client-test-rp-backchannel-rpinitlogout"])
async def test_a_good_announcement_ends_the_session(sandbox, module):
    """A valid logout token ends the session and gets status 200."""
    answers, ended, session_id = await announce(sandbox, module)

    assert (answers, ended) == ([200], [session_id])


@pytest.mark.parametrize("module", REFUSED)
async def test_a_bad_announcement_ends_nothing(sandbox, module):
    """An invalid logout token ends no session and gets status 400."""
    answers, ended, _ = await announce(sandbox, module)

    assert (answers, ended) == ([400], [])


@pytest.mark.parametrize(
    "module",
    [
        "oidcc-client-test-rp-frontchannel-rpinitlogout",
        "oidcc-client-test-rp-frontchannel-opinitlogout",
    ],
)
async def test_a_frame_of_the_servers_page_ends_the_session(sandbox, module):
    """A front-channel logout request names the issuer and the session, whatever began it."""
    client = client_of(sandbox)
    registered = attrs.evolve(
        sandbox.clients["sandbox-web"], front_channel_logout_uri="http://127.0.0.1/front"
    )
    sandbox.add_client(registered)
    done = await sign_in(client)
    page = await leave(sandbox, client, done)
    frame = next(part for part in page.text.split('"') if part.startswith(f"{BACK[:-11]}/front"))
    frame = frame.replace("&amp;", "&")
    known = {"issuers": sandbox.environment.issuers, "session_id": done.claims["sid"]}
    validate_front_channel_logout(frame, **known)

    with pytest.raises(aa.IssuerMismatchError):
        validate_front_channel_logout(frame, **known | {"issuers": ["https://x.example"]})
    for wrong in ({"session_id": "another"}, {"session_id": ""}):
        with pytest.raises(aa.VerificationError, match="another session"):
            validate_front_channel_logout(frame, **known | wrong)
    with pytest.raises(aa.IssuerMismatchError):
        validate_front_channel_logout("http://127.0.0.1/front", **known)
    with pytest.raises(aa.VerificationError, match="another session"):
        validate_front_channel_logout({"iss": sandbox.identity_url}, **known)

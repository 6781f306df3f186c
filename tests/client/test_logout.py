"""Tests of logout: to the server's page and back, and by the server's back channel."""

from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from aiohttp import web

import aritma_auth as aa
from aritma_auth.client import token_verifier
from aritma_auth.protocol.logout import validate_logout_callback
from support.clock import ShiftedClock
from support.journeys import client_of, sign_in
from support.loopback import serving
from support.plain_browser import PlainBrowser

pytestmark = pytest.mark.usefixtures("no_leftovers")

BACK = "http://127.0.0.1/signed-out"


def logout_token(sandbox, session_id="s1"):
    return sandbox.issuer.issue_logout_token(
        sandbox.identity_url, "sandbox-web", "user-alice", session_id
    )


async def test_the_way_out_and_back(sandbox, client):
    """The hint and the client_id are both sent, since some servers need both, and state returns."""
    done = await sign_in(client)
    url = await client.end_session_url(
        id_token_hint=done.token.id_token,
        post_logout_redirect_uri=BACK,
        state="s t",
        ui_locales="nb",
    )
    async with PlainBrowser(sandbox.identity_url) as browser:
        page = await browser.open(url)

    assert parse_qs(urlsplit(url).query)["client_id"] == ["sandbox-web"]
    assert page.callback.startswith(BACK)
    validate_logout_callback(page.callback, state="s t")


@pytest.mark.parametrize("hint", [None, "e30.e30.e30", "an expired one"])
async def test_every_sign_out_names_the_client(client, hint):
    """The client_id is sent with and without a hint (RP-Initiated Logout 1.0 §2)."""
    for further in ({}, {"state": "s"}, {"post_logout_redirect_uri": BACK, "ui_locales": "nb"}):
        url = await client.end_session_url(id_token_hint=hint, **further)
        query = parse_qs(urlsplit(url).query)

        assert query["client_id"] == ["sandbox-web"]
        assert query.get("id_token_hint") == (None if hint is None else [hint])


@pytest.mark.parametrize("client_id", ["a b/&ü", "https://app.example/client.json"])
async def test_any_client_id_is_named_beside_a_hint(client_id):
    """A client_id that is a URL, or has reserved characters, is form-encoded."""
    client = aa.OAuthClient(client_id, environment=aa.Environment.at("https://idp.example"))
    url = await client.end_session_url(id_token_hint="e.y.J")

    assert parse_qs(urlsplit(url).query)["client_id"] == [client_id]


@pytest.mark.parametrize("named", ["sandbox-web", "another"])
async def test_the_client_is_named_once(client, named):
    """extra cannot name a second one, nor the same one again."""
    with pytest.raises(aa.ConfigurationError, match="extra must not replace client_id"):
        await client.end_session_url(id_token_hint="e.y.J", extra={"client_id": named})


async def test_without_an_id_token_the_client_is_named(client, sandbox):
    """The client_id tells the server whose post_logout_redirect_uri it is."""
    url = await client.end_session_url(post_logout_redirect_uri=BACK, extra={"x": "1"})

    assert url.startswith(f"{sandbox.identity_url}/connect/endsession?")
    assert parse_qs(urlsplit(url).query) == {
        "client_id": ["sandbox-web"],
        "post_logout_redirect_uri": [BACK],
        "x": ["1"],
    }


async def test_a_logout_token_is_verified(sandbox, client):
    """A verified logout token gives the subject, the session and its own ID."""
    logout = await client.verify_logout_token(logout_token(sandbox))

    assert (logout.subject, logout.session_id) == ("user-alice", "s1")
    assert logout.token_id


async def test_a_logout_token_counts_once(sandbox, client):
    """A replayed logout token is refused, and another one is accepted."""
    token = logout_token(sandbox)
    await client.verify_logout_token(token)
    with pytest.raises(aa.VerificationError, match="accepted before"):
        await client.verify_logout_token(token)

    assert (await client.verify_logout_token(logout_token(sandbox, "s2"))).session_id == "s2"


async def test_accepted_logout_tokens_fill_no_memory(sandbox, client, monkeypatch):
    """Beyond the limit the client forgets the oldest logout token, which has long expired."""
    monkeypatch.setattr(token_verifier, "MAX_LOGOUTS", 2)
    first, second, third = (logout_token(sandbox, f"s{number}") for number in range(3))
    for token in (first, second, third):
        await client.verify_logout_token(token)

    assert await client.verify_logout_token(first)
    with pytest.raises(aa.VerificationError, match="accepted before"):
        await client.verify_logout_token(third)


async def test_a_logout_token_is_verified_by_the_servers_clock(sandbox):
    """Our clock is a day behind, as the Date of the keys' response shows."""
    client = client_of(sandbox, clock=ShiftedClock(sandbox.clock, -86_400))

    assert await client.verify_logout_token(logout_token(sandbox))


async def test_a_new_key_signs_logout_tokens(sandbox, client):
    """An unknown key is fetched when a logout token names it."""
    await client.fetch_keys()
    sandbox.issuer.roll_keys()

    assert await client.verify_logout_token(logout_token(sandbox))


async def test_a_refused_logout_token_shows_nothing(sandbox, client, canary):
    """The error shows neither the logout token nor its claims."""
    sandbox.overrides.logout_token = {"aud": canary.text}
    with pytest.raises(aa.VerificationError) as caught:
        await client.verify_logout_token(logout_token(sandbox))

    canary.assert_hidden(caught.value)


async def test_the_server_posts_its_logout_token(sandbox, client):
    """When the end-user signs out at the server, the application receives the session's ID."""
    ended = []

    async def back_channel(request):
        form = await request.post()
        try:
            logout = await client.verify_logout_token(form["logout_token"])
        except aa.VerificationError:
            return web.Response(status=400)
        ended.append(logout.session_id)
        return web.Response(headers={"Cache-Control": "no-store"})

    async with serving(back_channel) as url:
        sandbox.add_client(
            attrs.evolve(sandbox.clients["sandbox-web"], back_channel_logout_uri=url)
        )
        done = await sign_in(client)
        async with PlainBrowser(sandbox.identity_url) as browser:
            await browser.open(await client.end_session_url(id_token_hint=done.token.id_token))

    assert ended == [done.claims["sid"]]
    assert sandbox.logout_responses == [200]

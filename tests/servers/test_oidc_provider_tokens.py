"""Tokens of an end-user at oidc-provider: refresh, rotation, introspection, revocation."""

import asyncio

import aiohttp
import pytest

import aritma_auth as aa
from support.plain_browser import answers_of

pytestmark = [pytest.mark.timeout(360), pytest.mark.usefixtures("no_leftovers")]

ALICE = answers_of("alice")
SCOPE = "openid offline_access bankservice email"
BANK = "https://bank.example/"


@pytest.fixture
def server(oidc_provider):
    return oidc_provider


@pytest.fixture
def web(server):
    """Give a web application's client."""
    return server.client("web", server.secret)


async def sign_in(client, server, browser, **settings):
    # This server gives a refresh token only to those who were asked for consent.
    request = await client.begin_sign_in(server.redirect_uri, SCOPE, prompt="consent", **settings)
    page = await browser.visit(request.url, **ALICE)
    return await client.complete_sign_in(request, page.callback)


@pytest.fixture
async def signed_in(server, browser, web):
    """Give the sign-in of an end-user with offline access."""
    return await sign_in(web, server, browser)


@pytest.fixture
async def tokens(web, signed_in, clock):
    """Give a provider that lives on the sign-in, and on a clock that the test moves."""
    clock.wall = signed_in.token.issued_at
    async with aa.TokenProvider(web, aa.SignedInGrant("alice"), clock=clock) as tokens:
        await tokens.set_token(signed_in.token)
        yield tokens


async def test_a_refresh_rotates_the_refresh_token(tokens, signed_in, clock):
    """The rotated refresh token is kept, and the ID token belongs to the same sign-in."""
    clock.advance(3600)
    refreshed = await tokens.get_token()

    assert refreshed.refresh_token != signed_in.token.refresh_token
    assert refreshed.access_token != signed_in.token.access_token
    assert refreshed.id_token not in {None, signed_in.token.id_token}
    assert refreshed.scope == signed_in.token.scope


async def test_a_spent_refresh_token_kills_the_family(web, signed_in):
    """Reuse of a spent refresh token, which a provider must never cause, revokes the newest one too."""
    spent = aa.RefreshTokenGrant(signed_in.token.refresh_token)
    newest = await web.fetch_token(spent)

    with pytest.raises(aa.InvalidGrantError):
        await web.fetch_token(spent)
    with pytest.raises(aa.InvalidGrantError):
        await web.fetch_token(aa.RefreshTokenGrant(newest.refresh_token))
    assert not (await web.introspect(newest.access_token)).active


async def test_no_crowd_makes_a_provider_spend_a_refresh_token_twice(tokens, web, clock):
    """The family survives fifty callers a round, half of them cancelled at any moment."""
    seen = set()
    for step in range(8):
        clock.advance(3600)
        callers = [asyncio.create_task(tokens.get_token()) for _ in range(50)]
        for _ in range(step):
            await asyncio.sleep(0)
        for caller in callers[::2]:
            caller.cancel()
        given = [
            token
            for token in await asyncio.gather(*callers, return_exceptions=True)
            if isinstance(token, aa.Token)
        ]
        assert len(given) >= 25
        seen |= {token.refresh_token for token in given}

    assert len(seen) == 8
    assert (await web.introspect((await tokens.get_token()).access_token)).active


async def test_all_callers_cancelled_and_the_refresh_token_is_not_lost(tokens, web, clock):
    """The exchange goes on after its callers were cancelled, and its response is kept."""
    clock.advance(3600)
    caller = asyncio.create_task(tokens.get_token())
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller

    first = await tokens.get_token()
    clock.advance(3600)
    second = await tokens.get_token()
    assert first.refresh_token != second.refresh_token
    assert (await web.introspect(second.access_token)).active


async def test_closing_in_the_middle_of_a_refresh_loses_nothing(web, signed_in, clock):
    """The next provider finds the newest refresh token in the store."""
    clock.wall = signed_in.token.issued_at
    store = aa.MemoryTokenStore()
    grant = aa.SignedInGrant("alice")
    async with aa.TokenProvider(web, grant, store=store, clock=clock) as tokens:
        await tokens.set_token(signed_in.token)
        clock.advance(3600)
        caller = asyncio.create_task(tokens.get_token())
        await asyncio.sleep(0.001)
    await asyncio.gather(caller, return_exceptions=True)

    async with aa.TokenProvider(web, grant, store=store, clock=clock) as tokens:
        clock.advance(3600)
        token = await tokens.get_token()
    assert (await web.introspect(token.access_token)).active


async def test_the_server_tells_what_a_token_is(web, signed_in):
    """Access token and refresh token can both be introspected."""
    token = signed_in.token
    access = await web.introspect(token.access_token)
    refresh = await web.introspect(token.refresh_token, token_type_hint="refresh_token")

    for told in (access, refresh):
        assert (told.active, told.subject, told.client_id) == (True, "alice", "web")
    assert abs(access.expires_at - token.expires_at) <= 2
    assert access.scope == token.scope
    assert await web.introspect("nonsense") == aa.Introspection(active=False)


async def test_a_revoked_sign_in_is_over(tokens, web, signed_in, clock):
    """Revoking the refresh token revokes its access tokens, and the end-user must sign in again."""
    await web.revoke(signed_in.token)

    assert not (await web.introspect(signed_in.token.access_token)).active
    with pytest.raises(aa.OAuthError) as caught:
        await web.fetch_userinfo(signed_in.token)
    assert caught.value.error == "invalid_token"
    clock.advance(3600)
    with pytest.raises(aa.ReauthenticationRequiredError):
        await tokens.get_token()


async def test_revoking_an_unknown_token_is_no_error(web):
    """Revoking an unknown token succeeds, since it is invalid already (RFC 7009 §2.2)."""
    await web.revoke("nonsense")


async def test_an_access_token_is_revoked_alone(web, signed_in):
    """Revoking the access token leaves the refresh token valid."""
    await web.revoke(signed_in.token.access_token, token_type_hint="access_token")

    assert not (await web.introspect(signed_in.token.access_token)).active
    await web.fetch_token(aa.RefreshTokenGrant(signed_in.token.refresh_token))


async def test_the_claims_of_an_end_user(web, signed_in):
    """A UserInfo response is accepted for the subject of the ID token alone."""
    claims = await web.fetch_userinfo(signed_in.token)

    assert (claims["sub"], claims["email"]) == ("alice", "alice@example.com")
    with pytest.raises(aa.VerificationError):
        await web.fetch_userinfo(signed_in.token, subject="bob")


async def test_a_sign_in_for_one_api(server, browser, web):
    """The code brings a JWT for the API, since the exchange names its ``resource`` again (RFC 8707)."""
    signed_in = await sign_in(web, server, browser, resource=[BANK])
    claims = aa.parse_unverified_claims(signed_in.token.access_token)

    assert (claims["aud"], claims["sub"], claims["scope"]) == (BANK, "alice", "bankservice")


async def test_refreshes_stay_at_one_api(server, browser, web, clock):
    """Each refresh names the ``resource`` again, since this server would return another kind of token."""
    signed_in = await sign_in(web, server, browser, resource=[BANK])
    clock.wall = signed_in.token.issued_at
    async with aa.TokenProvider(
        web, aa.SignedInGrant("alice", resource=BANK), clock=clock
    ) as tokens:
        await tokens.set_token(signed_in.token)
        clock.advance(3600)
        claims = aa.parse_unverified_claims((await tokens.get_token()).access_token)

    assert claims["aud"] == BANK


async def test_an_api_that_refuses_a_revoked_token_gets_another(server, web, signed_in, tokens):
    """The middleware refreshes once and replays the request; UserInfo is the API here."""
    api = [tokens.middleware([server.issuer])]
    async with aiohttp.ClientSession(server.issuer, middlewares=api) as session:
        for spent in (None, signed_in.token.access_token):
            if spent is not None:
                await web.revoke(spent, token_type_hint="access_token")
            async with session.get("/me") as response:
                assert (await response.json())["sub"] == "alice"

    assert (await tokens.get_token()).refresh_token != signed_in.token.refresh_token

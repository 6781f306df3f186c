"""A server that others could have written: nonces of each endpoint, a rolled key, one-time tokens."""

import asyncio

import pytest

import aritma_auth as aa
from support.fapi import DPOP_KEY, KEY
from support.fapi_look_alike import CALLBACK, FapiLookAlike
from support.loopback import serving

pytestmark = pytest.mark.usefixtures("no_leftovers")

BOTH = [aa.FAPI2, aa.FAPI2_MESSAGE_SIGNING]


def client_at(url, profile):
    environment = aa.Environment.at(url, api_origins=[url], discover=True)
    auth = aa.PrivateKeyJwt(KEY)
    return aa.OAuthClient(
        "fapi-app", auth, environment=environment, dpop=aa.DPoP(DPOP_KEY), profile=profile
    )


async def status_of(session, path="/api/1"):
    async with session.get(path) as response:
        return response.status


@pytest.mark.parametrize("profile", BOTH, ids=["security", "signing"])
async def test_a_sign_in_lives_with_nonces_of_each_endpoint(profile):
    """No endpoint takes another's nonce; no proof, assertion or refresh token is sent twice."""
    server = FapiLookAlike()
    async with serving(server) as url:
        client = client_at(url, profile)
        request = await client.begin_sign_in(CALLBACK, "openid offline_access accounts")
        server.shows_new_key = True
        done = await client.complete_sign_in(request, server.visit(request))
        claims = await client.fetch_userinfo(done.token, subject=done.subject)
        async with aa.TokenProvider(client, aa.SignedInGrant("u"), on_event=None) as tokens:
            await tokens.set_token(done.token)
            async with tokens.session(url) as api:
                first = [await status_of(api) for _ in range(3)]
                parallel = await asyncio.gather(*(status_of(api) for _ in range(20)))
                for _ in range(3):
                    tokens.report_rejected(await tokens.get_token())
                    assert await status_of(api) == 200

    assert claims["sub"] == done.subject == "user-1"
    assert first == [200] * 3
    assert parallel == [200] * 20
    assert server.spent == []
    # The code and three refreshes, each refused once for the nonce that another endpoint has given.
    assert server.count["/token"] <= 2 * 4
    assert server.count["/jwks"] <= 2


async def test_requests_to_two_endpoints_share_no_turn_for_good():
    """A refresh in the middle of parallel calls finds its way, and so do the calls."""
    server = FapiLookAlike()
    async with serving(server) as url:
        client = client_at(url, aa.FAPI2)
        request = await client.begin_sign_in(CALLBACK, "openid offline_access accounts")
        server.shows_new_key = True
        done = await client.complete_sign_in(request, server.visit(request))
        async with aa.TokenProvider(client, aa.SignedInGrant("u"), on_event=None) as tokens:
            await tokens.set_token(done.token)
            async with tokens.session(url) as api:
                calls = [asyncio.create_task(status_of(api)) for _ in range(15)]
                await asyncio.sleep(0)
                tokens.report_rejected(done.token)
                token = await tokens.get_token()
                found = await asyncio.gather(*calls)

    assert token.access_token != done.token.access_token
    assert found == [200] * 15
    assert server.spent == []

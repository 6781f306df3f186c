"""
What real servers do, over real sockets: the harmless is accepted, the harmful is named.

Each row was seen on a running server of another project.
"""

import asyncio
import json

import aiohttp
import attrs
import pytest

import aritma_auth as aa
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.sandbox import Sandbox
from support.journeys import client_of, sign_in

pytestmark = pytest.mark.usefixtures("no_leftovers")

GRANT = aa.ClientCredentialsGrant("bankservice")
OFFLINE = "openid offline_access bankservice"
GOOD = {"access_token": "a", "token_type": "Bearer", "expires_in": 60}


@pytest.fixture
async def sandbox():
    async with Sandbox() as sandbox:
        sandbox.clock.freeze()
        sandbox.sign_in_automatically("alice")
        yield sandbox


async def fetch(sandbox, **settings):
    """Fetch one token with the sandbox's default client."""
    return await client_of(sandbox, "sandbox-service", **settings).fetch_token(GRANT)


def provider_of(sandbox, client=None, grant=GRANT, **settings):
    client = client or client_of(sandbox, "sandbox-service")
    settings = {"on_event": None, "policy": aa.RefreshPolicy(max_attempts=1)} | settings
    return aa.TokenProvider(client, grant, clock=sandbox.clock, **settings)


async def signed_in_provider(sandbox, **settings):
    """Give a provider that holds alice's sign-in."""
    client = client_of(sandbox)
    done = await sign_in(client, OFFLINE)
    tokens = provider_of(sandbox, client, aa.SignedInGrant("user-alice"), **settings)
    await tokens.set_token(done.token)
    return tokens


HARMLESS_MEMBERS = {
    "a lower-case type": {"token_type": "bearer"},
    "an upper-case type": {"token_type": "BEARER"},
    "no scope": {"scope": None},
    "an empty scope": {"scope": ""},
    "a wider scope": {"scope": "bankservice api zam"},
    "another scope": {"scope": "api"},
    "a list as scope": {"scope": ["bankservice", "api"]},
    "no lifetime": {"expires_in": None},
    "a lifetime as text": {"expires_in": "3600"},
    "a lifetime as float": {"expires_in": 3599.5},
    "a lifetime of ten days": {"expires_in": 864000},
    "members of its own": {"created_at": 1, "session_state": "x", "account": {"id": [1]}},
    "an empty refresh token": {"refresh_token": ""},
    "a null ID token": {"id_token": None},
}


@pytest.mark.parametrize("quirk", HARMLESS_MEMBERS)
async def test_a_harmless_response_is_used(sandbox, quirk):
    """A token response with odd members brings a token that works at the API."""
    sandbox.overrides.token_response.update(HARMLESS_MEMBERS[quirk])
    async with (
        provider_of(sandbox) as tokens,
        aiohttp.ClientSession(sandbox.banking_url, middlewares=[tokens.middleware()]) as bank,
        bank.get("api/v3/accounts/42") as response,
    ):
        assert response.status == 200
        assert (await tokens.get_token()).token_type == "Bearer"


@pytest.mark.parametrize(
    ("scope", "granted"),
    [(None, None), ("api", ("api",)), ("bankservice api zam", ("bankservice", "api", "zam"))],
)
async def test_the_granted_scope_is_shown(sandbox, scope, granted):
    """An absent scope means as requested; any other is what the token shows."""
    sandbox.overrides.token_response["scope"] = scope

    assert (await fetch(sandbox)).scope == granted


@pytest.mark.parametrize("expires_in", [10**18, 9223372036854775807, "9223372036854775807"])
async def test_never_is_a_long_time(sandbox, expires_in):
    """A lifetime of for ever is capped, and the token is used again after a day."""
    sandbox.overrides.token_response["expires_in"] = expires_in
    async with provider_of(sandbox) as tokens:
        first = await tokens.get_token()
        sandbox.clock.advance(86_400)

        assert await tokens.get_token() is first
    assert len(sandbox.token_requests) == 1


@pytest.mark.parametrize("expires_in", [0, "0", -1, 0.0])
async def test_a_token_that_has_ended_is_never_sent(sandbox, expires_in):
    """A lifetime of nothing means that the token has ended."""
    sandbox.overrides.token_response["expires_in"] = expires_in
    async with provider_of(sandbox) as tokens:
        with pytest.raises(aa.AritmaAuthError):
            await tokens.get_token()
        assert tokens.peek() is None


@pytest.mark.parametrize("token_type", ["mac", "DPoP", "", "N_A", "Bearer token"])
async def test_an_unusable_type_is_told_after_one_request(sandbox, token_type):
    """A token of an unknown type must not be used, and asking again brings no other."""
    sandbox.overrides.token_response["token_type"] = token_type
    async with provider_of(sandbox, policy=aa.RefreshPolicy()) as tokens:
        with pytest.raises(aa.InvalidResponseError, match="token_type"):
            await tokens.get_token()

    assert len(sandbox.token_requests) == 1


async def test_one_token_until_it_ends(sandbox):
    """A server that repeats its token until the end gets one request per lifetime, and few near it."""
    sandbox.issuer.repeats_access_tokens = True
    async with provider_of(sandbox) as tokens:
        for _ in range(3600):
            token = await tokens.get_token()
            assert token.expires_at > sandbox.clock.time()
            sandbox.clock.advance(1)
        await tokens.get_token()

    assert sandbox.requests_at("token") < 30


async def test_a_refused_token_that_comes_again_is_not_replayed(sandbox):
    """After a 401 the server returns the same token: the API is not called with it a second time."""
    sandbox.issuer.repeats_access_tokens = True
    async with (
        provider_of(sandbox) as tokens,
        aiohttp.ClientSession(sandbox.banking_url, middlewares=[tokens.middleware()]) as bank,
    ):
        async with bank.get("api/v3/accounts/42") as first:
            assert first.status == 200
        sandbox.faults.revoke_all()
        for _ in range(20):
            async with bank.get("api/v3/accounts/42") as response:
                assert response.status == 401

    assert sandbox.requests_at("api") == 21
    assert sandbox.requests_at("token") <= 3


ROTATIONS = ("revoke_family", "refuse", "accept_until_used", "accept", None)


@pytest.mark.parametrize("on_reuse", ROTATIONS)
async def test_every_shape_of_rotation(sandbox, on_reuse):
    """Ten refreshes bring ten tokens, and no refresh token is presented twice."""
    rotates = on_reuse is not None
    web = attrs.evolve(sandbox.clients["sandbox-web"], refresh_tokens_rotate=rotates)
    sandbox.add_client(web)
    sandbox.refresh_tokens.on_reuse = on_reuse or "revoke_family"
    async with await signed_in_provider(sandbox) as tokens:
        texts = set()
        for _ in range(10):
            sandbox.clock.advance(3601)
            texts.add((await tokens.get_token()).access_token)

    assert len(texts) == 10
    assert sandbox.refresh_tokens.reuse_events == 0


@pytest.mark.parametrize("missing", ["refresh_token", "scope", "id_token"])
async def test_a_refresh_without_a_member_keeps_it(sandbox, missing):
    """What a refresh response leaves out stays as it was."""
    web = attrs.evolve(sandbox.clients["sandbox-web"], refresh_tokens_rotate=False)
    sandbox.add_client(web)
    async with await signed_in_provider(sandbox) as tokens:
        before = await tokens.get_token()
        sandbox.overrides.token_response[missing] = None
        sandbox.clock.advance(3601)
        after = await tokens.get_token()

    assert after.access_token != before.access_token
    assert getattr(after, missing) == getattr(before, missing)


DEAD = {
    "invalid_grant": ("invalid_grant", 400, "invalid_grant"),
    "an empty 400": (None, 400, "responded 400 with .*empty"),
    "invalid_request": ("invalid_request", 400, "invalid_request"),
    "a 403": ("unauthorized_client", 403, "unauthorized_client"),
}


@pytest.mark.parametrize("name", DEAD)
async def test_a_dead_refresh_token_by_any_name(sandbox, name):
    """Only the end-user can begin anew, by whatever name the server refuses; it is told each time."""
    sandbox.refresh_tokens.error, sandbox.refresh_tokens.error_status, said = DEAD[name]
    async with await signed_in_provider(sandbox) as tokens:
        sandbox.faults.revoke_all(refresh_tokens=True)
        sandbox.clock.advance(3601)
        for _ in range(20):
            with pytest.raises(aa.ReauthenticationRequiredError, match=said):
                await tokens.get_token()
        await tokens.forget()
        with pytest.raises(aa.ReauthenticationRequiredError, match=r"sign in again$"):
            await tokens.get_token()

    assert len(sandbox.token_requests) == 2


REFUSED_CLIENTS = {
    "a challenge alone": {"status": 401, "headers": {"WWW-Authenticate": 'Basic realm="id"'}},
    "an empty 401": {"status": 401, "headers": {}},
    "a 403 without media type": {"status": 403, "headers": {}},
    "a page": {"status": 401, "headers": {"Content-Type": "text/html"}},
}


@pytest.mark.parametrize("name", REFUSED_CLIENTS)
async def test_a_refused_client_is_told_by_its_method(sandbox, name):
    """The error names status and authentication method, so that the reader knows what to check."""
    sandbox.faults.respond_next(b"", **REFUSED_CLIENTS[name], times=2)
    with pytest.raises(aa.AritmaAuthError, match="client_secret_post") as caught:
        await fetch(sandbox)

    assert caught.value.status == REFUSED_CLIENTS[name]["status"]


BODY = json.dumps(GOOD).encode()


def raw(body=BODY, version=b"1.0", headers=b""):
    return b"HTTP/%b 200 OK\r\n%b\r\n%b" % (version, headers, body)


CHUNKED = b"Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
CHUNKS = b"".join(b"1\r\n%c\r\n" % octet for octet in BODY) + b"0\r\n\r\n"
TRANSPORTS = {
    "HTTP/1.0": raw(headers=b"Content-Type: application/json\r\n"),
    "no media type": raw(),
    "a charset": raw(headers=b'content-type: Application/JSON; charset="UTF-8"\r\n'),
    "chunks of one byte": raw(CHUNKS, b"1.1", CHUNKED),
    "cookies": raw(headers=b"Set-Cookie: session=1\r\nSet-Cookie: other=2\r\n"),
    "white space around": raw(b"\r\n  " + json.dumps(GOOD, indent=4).encode() + b"\n\n"),
}


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_a_transport_quirk_is_harmless(sandbox, name):
    """HTTP may be old, chunked, badly labelled or chatty: the JSON counts."""
    sandbox.faults.send_raw_next(TRANSPORTS[name])

    assert (await fetch(sandbox)).access_token == "a"


@pytest.mark.parametrize("body", [b"", b"{}", b"OK", b"<p>done</p>"])
async def test_a_revocation_response_may_say_anything(sandbox, body):
    """A 200 means revoked, whatever its body (RFC 7009 §2.2)."""
    sandbox.faults.respond_next(body, headers={}, where="revocation")
    await client_of(sandbox).revoke("a-refresh-token")

    assert sandbox.requests_at("revocation") == 1


PASSING = {
    "an ingress": (404, "ingress"),
    "a firewall": (403, "firewall"),
    "a gateway": (502, "gateway"),
    "an empty 503": (503, "empty"),
}


@pytest.mark.parametrize("name", PASSING)
async def test_a_page_of_what_stands_in_front_passes(sandbox, name):
    """The live token serves meanwhile, and soon after the page is gone a new one is there."""
    status, page = PASSING[name]
    async with provider_of(sandbox) as tokens:
        first = await tokens.get_token()
        sandbox.faults.fail_next(status, page=page, times=10_000)
        sandbox.clock.advance(3540)
        for _ in range(55):
            assert await tokens.get_token() is first
            sandbox.clock.advance(1)
        sandbox.faults.at("token").clear()
        sandbox.clock.advance(5)
        waited = 0
        while waited < 30:
            try:
                second = await tokens.get_token()
            except aa.AritmaAuthError:
                sandbox.clock.advance(1)
                waited += 1
            else:
                break

    assert second is not first
    assert waited <= 10


async def test_a_one_time_request_avoids_a_kept_connection(sandbox):
    """A lent session keeps connections alive; a server that closes them costs no sign-in."""
    sandbox.add_client(attrs.evolve(sandbox.clients["sandbox-web"], refresh_tokens_rotate=True))
    sandbox.faults.drop_kept_alive()
    async with aiohttp.ClientSession() as session:
        client = client_of(sandbox, session=session)
        first = await sign_in(client, OFFLINE)
        second = await sign_in(client, OFFLINE)
        async with provider_of(sandbox, client, aa.SignedInGrant("user-alice")) as tokens:
            await tokens.set_token(first.token)
            for _ in range(3):
                sandbox.clock.advance(3601)
                await tokens.get_token()

    assert second.subject == "user-alice"
    assert sandbox.refresh_tokens.reuse_events == 0


async def test_a_500_with_json_is_cured_by_one_retry(sandbox):
    """One failure of the server is retried within the same call."""
    sandbox.faults.respond_next(b'{"error":"server_error"}', status=500)
    client = client_of(sandbox, "sandbox-service", clock=SYSTEM_CLOCK)
    policy = aa.RefreshPolicy(backoff_base=0.01)
    async with aa.TokenProvider(client, GRANT, policy=policy, on_event=None) as tokens:
        await tokens.get_token()

    assert sandbox.requests_at("token") == 2


async def test_a_connection_closed_for_a_wrong_password(sandbox):
    """A server that closes the connection instead of a response is asked a few times, not for ever."""
    sandbox.faults.drop_next(times=100)
    client = client_of(sandbox, "sandbox-app")
    with pytest.warns(DeprecationWarning):
        grant = aa.PasswordGrant("alice", "wrong-password")
    async with provider_of(sandbox, client, grant) as tokens:
        for _ in range(50):
            with pytest.raises(aa.TransportError) as caught:
                await tokens.get_token()
            assert "wrong-password" not in repr(caught.value)

    assert sandbox.requests_at("token") == 1


async def test_the_apis_stalled_refusal_is_let_go(sandbox):
    """A 401 whose body never ends costs a second at most, and the request is repeated."""
    loop = asyncio.get_running_loop()
    async with (
        provider_of(sandbox) as tokens,
        aiohttp.ClientSession(sandbox.banking_url, middlewares=[tokens.middleware()]) as bank,
    ):
        await tokens.get_token()
        sandbox.faults.stall_next(401, headers={"WWW-Authenticate": "Bearer"}, where="api")
        started = loop.time()
        async with bank.get("api/v3/accounts/42") as response:
            assert response.status == 200

    assert loop.time() - started < 3

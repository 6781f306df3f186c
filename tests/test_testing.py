"""What services use in their own tests: a token without a server, a clock, and assertions."""

import subprocess
import sys
from types import SimpleNamespace

import aiohttp
import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import aritma_auth as aa
from aritma_auth.testing import FakeClient, ManualClock, assert_signed, assert_unsigned

pytestmark = pytest.mark.usefixtures("no_leftovers")

GRANT = aa.ClientCredentialsGrant("bankservice")


def request_with(**headers):
    return SimpleNamespace(headers=headers)


async def test_a_token_needs_no_server():
    """The provider is the real one: it caches, refreshes before the end, and tells its status."""
    clock = ManualClock()
    client = FakeClient(clock=clock, lifetime=600)
    provider = aa.TokenProvider(client, GRANT, clock=clock)
    first = await provider.get_token()
    again = await provider.get_token()
    clock.advance(599)
    second = await provider.get_token()

    assert first is again
    assert (first.access_token, second.access_token) == ("test-token-1", "test-token-2")
    assert first.scope == ("bankservice",)
    assert client.requests == [GRANT, GRANT]
    assert provider.status().freshness == "fresh"


async def test_failures_are_ordered():
    """A failure meets as many requests as it says, and each caller gets an error of its own."""
    clock = ManualClock()
    client = FakeClient(clock=clock)
    down = aa.TransportError("down")
    client.fail_next(down, times=4)
    with pytest.raises(aa.TransportError) as raised:
        await client.fetch_token(GRANT)
    provider = aa.TokenProvider(client, GRANT, clock=clock)
    with pytest.raises(aa.TransportError, match="down") as caught:
        await provider.get_token()
    clock.advance(600)

    assert down not in {raised.value, caught.value}
    assert (await provider.get_token()).access_token == "test-token-1"
    assert len(client.requests) == 5


async def test_a_token_of_ones_own_is_issued():
    """A test decides what the next response brings, and sees what is revoked."""
    client = FakeClient()
    mine = aa.Token("mine", refresh_token="r", expires_at=4_000_000_000.0)
    client.issue_next(mine)
    provider = aa.TokenProvider(client, GRANT)
    token = await provider.get_token()
    await provider.sign_out()

    assert attrs.evolve(token, issued_at=mine.issued_at) == mine
    assert client.revoked == [token]


async def test_a_clocks_sleep_moves_it():
    """A backoff passes without waiting for it."""
    clock = ManualClock(100.0)
    await clock.sleep(5)
    clock.advance(0)

    assert clock.time() == clock.monotonic() == 105.0


async def test_the_tokens_may_seem_to_come_from_any_server():
    """An environment of the service decides the issuer and where its tokens may go."""
    client = FakeClient(environment=aa.DEVELOPMENT.for_tenant("acme"))
    provider = aa.TokenProvider(client, GRANT)

    assert provider.status().tenant == "acme"
    assert provider.middleware().allows(aa.DEVELOPMENT.base_url("bankservice"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ManualClock("now"), "now must be"),
        (lambda: ManualClock().advance(-1), "seconds must be"),
        (lambda: FakeClient(lifetime=0), "lifetime must be"),
        (lambda: FakeClient(clock=ManualClock), "clock must be"),
        (lambda: FakeClient().issue_next("a token"), "token must be"),
        (lambda: FakeClient().fail_next(ValueError("x")), "error must be"),
        (lambda: FakeClient(["http://api.example"]), "https"),
        (lambda: assert_signed("Bearer x"), "request must have headers"),
    ],
)
def test_what_is_of_the_wrong_kind_is_named(make, message):
    """A mistake in a test is found where it is made."""
    with pytest.raises(aa.ConfigurationError, match=message):
        make()


async def test_what_an_api_gets_is_signed_or_not():
    """The requests that a test server got show what the middleware did."""
    seen = []

    async def handle(request):
        seen.append(request)
        return web.Response()

    app = web.Application()
    app.router.add_get("/{tail:.*}", handle)
    async with TestServer(app) as server, TestServer(app) as other:
        client = FakeClient([str(server.make_url("/"))])
        async with aa.TokenProvider(client, GRANT) as tokens:
            async with aiohttp.ClientSession(middlewares=[tokens.middleware()]) as session:
                for url in (server.make_url("/accounts"), other.make_url("/accounts")):
                    async with session.get(url):
                        pass
            assert_signed(seen[0], await tokens.get_token())
            assert_signed(seen[0])
            assert_unsigned(seen[1])


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "no Authorization header"),
        ({"Authorization": "Basic c2VjcmV0"}, "scheme 'Basic' and 8 characters"),
        ({"Authorization": "Bearer"}, "must carry an access token"),
        ({"Authorization": "Bearer another"}, "must carry the token"),
    ],
)
def test_what_a_request_lacks_is_said(headers, message):
    """A test's failure says what to do, and shows no token."""
    with pytest.raises(AssertionError, match=message) as failed:
        assert_signed(request_with(**headers), aa.Token("mine"))

    assert not {"c2VjcmV0", "another", "mine"} & set(str(failed.value).split())


def test_a_request_that_must_not_be_signed_is_told():
    """The message names the scheme alone."""
    with pytest.raises(AssertionError, match="scheme 'Bearer'") as failed:
        assert_unsigned(request_with(authorization="Bearer canary"))

    assert "canary" not in str(failed.value)


def test_a_proved_token_is_a_signature_too():
    """A DPoP token is told by its own scheme."""
    assert_signed(request_with(Authorization="DPoP x"), aa.Token("x", "DPoP"))
    assert_signed(request_with(authorization="dpop x"))


def test_it_needs_no_extra():
    """Neither the sandbox nor a JOSE library is loaded."""
    code = "import sys, aritma_auth.testing as t; t.FakeClient(); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"joserfc", "aritma_auth.sandbox", "pytest"} & set(ran.stdout.split())


async def test_what_is_no_grant_is_refused_as_by_a_client():
    """A test meets the same error as the program would."""
    with pytest.raises(aa.ConfigurationError, match=r"grant must be a grant.* it is of type str"):
        await FakeClient().fetch_token("bankservice")

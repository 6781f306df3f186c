"""httpx with tokens that are bound to a key, over a real wire: async and sync."""

import asyncio
import base64
import contextlib
import hashlib
import json
import ssl

import httpx
import pytest
from aiohttp import web
from yarl import URL

import aritma_auth as aa
from aritma_auth.events import NonceRequired, RequestReplayed
from aritma_auth.integrations.httpx import BearerAuth
from aritma_auth.protocol.tokens import Token
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.sandbox import Sandbox
from support.clock import ShiftedClock
from support.journeys import client_of
from support.loopback import serving
from support.nonces import NewestNonceOnce

pytestmark = pytest.mark.usefixtures("no_leftovers")

GRANT = aa.ClientCredentialsGrant(scope="bankservice")
KEY = aa.SigningKey.generate("ES256")
ACCOUNTS = "api/v3/accounts/42"

both = pytest.mark.parametrize("is_sync", [False, True], ids=["async", "sync"])


@pytest.fixture
async def sandbox():
    async with Sandbox(server_version="duende-8") as sandbox:
        yield sandbox


class Bank:
    """Sends requests by a client of either kind."""

    def __init__(self, auth, base_url, *, is_sync):
        self.auth, self.base_url, self.is_sync = auth, base_url, is_sync

    async def request(self, method, path, **arguments):
        settings = {"auth": self.auth, "base_url": self.base_url, "follow_redirects": True}

        def run():
            with httpx.Client(**settings) as client:
                return client.request(method, path, **arguments)

        if self.is_sync:
            return await asyncio.to_thread(run)
        async with httpx.AsyncClient(**settings) as client:
            return await client.request(method, path, **arguments)

    async def get(self, path=ACCOUNTS, **arguments):
        return await self.request("GET", path, **arguments)

    async def statuses(self, count=1):
        return [(await self.get()).status_code for _ in range(count)]


@contextlib.asynccontextmanager
async def bank_of(sandbox, *, is_sync=False, by=SYSTEM_CLOCK, origins=None, url=None, **settings):
    """Give a bank whose requests are signed and proved, and the provider."""
    client = client_of(sandbox, "sandbox-service", dpop=aa.DPoP(KEY), clock=by)
    settings = {"on_event": None} | settings
    async with aa.TokenProvider(client, GRANT, **settings) as tokens:
        url = url or sandbox.banking_url
        yield Bank(BearerAuth(tokens, origins), url, is_sync=is_sync), tokens


def token_requests(sandbox):
    return len(sandbox.token_requests)


@both
async def test_each_request_carries_a_proof_of_its_own(sandbox, is_sync):
    """The sandbox validates every claim and accepts each proof once."""
    async with bank_of(sandbox, is_sync=is_sync) as (bank, _):
        assert await bank.statuses(5) == [200] * 5
        assert (await bank.get(f"{ACCOUNTS}?page=1#x")).status_code == 200

    assert token_requests(sandbox) == 1
    assert sandbox.faults.at("api").count == 6


@both
async def test_parallel_calls_survive_a_server_that_takes_its_newest_nonce_alone(sandbox, is_sync):
    """Tasks of one loop take turns, and so do threads."""
    server = NewestNonceOnce()
    async with (
        serving(server) as url,
        bank_of(sandbox, is_sync=is_sync, origins=[url], url=url) as (bank, tokens),
    ):
        await tokens.get_token()
        found = await asyncio.gather(*(bank.get(f"/{number}") for number in range(12)))

    assert [response.status_code for response in found] == [200] * 12
    assert max(server.count.values()) <= 6


def claims_of(proof):
    payload = proof.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


@both
@pytest.mark.parametrize("path", ["/a%2Fb/~x/%7E", "/b%C3%BCcher/", "/a b/", ""])
async def test_the_proof_names_the_request_as_it_is_sent(sandbox, is_sync, path):
    """One proof and one token are on the wire; the target is the request's own, to the letter."""
    seen = []

    async def handler(request):
        seen.append((request.raw_path, dict(request.headers), request.headers.getall("DPoP")))
        return web.Response()

    async with (
        serving(handler) as url,
        bank_of(sandbox, is_sync=is_sync, origins=[url], url=url) as (bank, tokens),
    ):
        response = await bank.request("PUT", f"{path}?q=1", headers={"DPoP": "own"}, content=b"x")
        token = await tokens.get_token()
    ((sent, headers, (proof,)),) = seen
    claims = claims_of(proof)

    assert headers["Authorization"] == f"DPoP {token.access_token}"
    assert claims.keys() == {"jti", "htm", "htu", "iat", "ath"}
    assert (claims["htm"], claims["htu"]) == ("PUT", f"{url}{sent.partition('?')[0]}")
    digest = hashlib.sha256(token.access_token.encode()).digest()
    assert claims["ath"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    left = {name.lower() for name, _ in response.request.headers.raw}
    assert not {b"authorization", b"dpop"} & left


@both
async def test_the_apis_nonce_costs_one_request(sandbox, is_sync):
    """It is learned from the refusal, and an event tells; the token stays."""
    sandbox.faults.require_dpop_nonces(where="api", uses=1)
    events = []
    async with bank_of(sandbox, is_sync=is_sync, on_event=events.append) as (bank, tokens):
        assert await bank.statuses(5) == [200] * 5
        token = await tokens.get_token()
    (required,) = [event for event in events if isinstance(event, NonceRequired)]

    assert sandbox.faults.at("api").count == 6
    assert token_requests(sandbox) == 1
    assert required.fingerprint == token.fingerprint
    assert not [event for event in events if isinstance(event, RequestReplayed)]


async def test_an_api_that_wants_its_nonce_by_a_400_gets_it(sandbox):
    """As a token endpoint asks for it."""
    seen = []

    async def handler(request):
        seen.append(claims_of(request.headers["DPoP"]).get("nonce"))
        challenge = {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP-Nonce": "n1"}
        return web.Response(status=200 if seen[-1] else 400, headers=challenge)

    async with (
        serving(handler) as url,
        bank_of(sandbox, origins=[url], url=url) as (bank, _),
    ):
        assert (await bank.get("/")).status_code == 200

    assert seen == [None, "n1"]


async def test_a_rejected_token_is_replayed_beside_the_nonce(sandbox):
    """One request may need both repetitions: for the nonce, then for the token."""
    async with bank_of(sandbox) as (bank, _):
        await bank.statuses()
        sandbox.faults.revoke_all()
        sandbox.faults.require_dpop_nonces(where="api", uses=1)
        assert await bank.statuses() == [200]

    # The nonce, the rejected token, and the token that was refreshed.
    assert sandbox.faults.at("api").count == 1 + 3
    assert token_requests(sandbox) == 2


@both
async def test_an_api_that_always_wants_another_nonce_is_asked_twice(sandbox, is_sync):
    """The repetition is bounded; the 401 is the caller's, and the token is not to blame."""
    sandbox.faults.refuse_proof_next(times=10, where="api")
    async with bank_of(sandbox, is_sync=is_sync) as (bank, tokens):
        before = await tokens.get_token()
        assert await bank.statuses() == [401]
        assert await tokens.get_token() is before

    assert sandbox.faults.at("api").count == 2
    assert token_requests(sandbox) == 1


@pytest.mark.parametrize("error", ["use_dpop_nonce", "invalid_dpop_proof"])
async def test_a_refusal_that_no_nonce_explains_is_the_callers(sandbox, error):
    """Neither another proof nor another token would help."""
    sandbox.faults.refuse_proof_next(error, offers_nonce=False, where="api")
    async with bank_of(sandbox) as (bank, _):
        assert await bank.statuses() == [401]

    assert sandbox.faults.at("api").count == 1
    assert token_requests(sandbox) == 1


async def test_an_apis_clock_is_seen_although_the_token_came_from_a_store(sandbox):
    """A process that never asked the authorization server dates its proofs by the API's clock."""
    store = aa.MemoryTokenStore()
    async with bank_of(sandbox, store=store) as (_, tokens):
        await tokens.get_token()
    wrong = ShiftedClock(SYSTEM_CLOCK, -86400)
    events = []
    async with bank_of(sandbox, by=wrong, store=store, on_event=events.append) as (bank, _):
        assert await bank.statuses(3) == [200] * 3

    assert sandbox.faults.at("api").count == 3 + 1
    assert token_requests(sandbox) == 1
    assert not [event for event in events if isinstance(event, NonceRequired)]


async def streamed(data):
    yield data


async def test_a_stream_is_never_sent_again_and_a_small_body_is(sandbox):
    """A stream that is spent gets the 401; the nonce is learned all the same."""
    sandbox.faults.require_dpop_nonces(where="api")
    async with bank_of(sandbox) as (bank, _):
        refused = await bank.request("POST", "api/v3/uploads", content=streamed(b"first"))
        taken = await bank.request("POST", "api/v3/uploads", content=streamed(b"again"))
        sandbox.faults.expire_dpop_nonce("api")
        repeated = await bank.request("PUT", "api/v3/uploads", content=b"small")

    assert refused.status_code == 401
    assert taken.json() == {"received": 5}
    assert repeated.json() == {"received": 5}


@both
async def test_every_hop_of_a_redirect_has_its_own_proof(sandbox, is_sync):
    """httpx follows without one; the refused hop is signed, with its own method and target."""
    sandbox.faults.require_dpop_nonces(where="api", uses=1)
    async with bank_of(sandbox, is_sync=is_sync) as (bank, _):
        for method in ("GET", "POST"):
            params = {"to": f"{sandbox.banking_url}{ACCOUNTS}"}
            response = await bank.request(method, "redirect", params=params)
            assert (response.status_code, len(response.json())) == (200, 2)

    assert token_requests(sandbox) == 1


@both
async def test_an_elsewhere_never_sees_token_or_proof(sandbox, is_sync):
    """A redirect to another origin goes on without either; its refusal and its nonce count not."""
    seen = []

    async def handler(request):
        seen.append({"Authorization", "DPoP"} & request.headers.keys())
        return web.Response(status=401, headers={"DPoP-Nonce": "foreign"})

    async with serving(handler) as elsewhere, bank_of(sandbox, is_sync=is_sync) as (bank, tokens):
        response = await bank.get("redirect", params={"to": elsewhere})
        shown = [response.request, *(hop.request for hop in response.history)]
        known = tokens.proofs.view(URL(elsewhere))

    assert response.status_code == 401
    assert seen == [set()]
    assert known.nonce == ""
    assert not [request for request in shown if {"authorization", "dpop"} & request.headers.keys()]
    assert token_requests(sandbox) == 1


async def test_a_stream_that_was_led_on_is_the_callers(sandbox):
    """A hop whose body may be spent is not sent again."""

    class Body(httpx.AsyncByteStream):
        async def __aiter__(self):
            yield b"x"

    hops = []

    async def handler(request):
        hops.append(request.path)
        if request.path == "/":
            raise web.HTTPTemporaryRedirect("/there")
        return web.Response(status=401)

    async with (
        serving(handler) as url,
        bank_of(sandbox, origins=[url], url=url) as (bank, _),
    ):
        response = await bank.request("PUT", "/", content=Body())

    assert response.status_code == 401
    assert hops == ["/", "/there"]


async def test_a_redirect_without_an_end_is_httpxs_error(sandbox):
    """Each signed hop counts as a redirect of httpx."""
    hops = []

    async def handler(request):
        hops.append("DPoP" in request.headers)
        if hops[-1]:
            raise web.HTTPFound(f"/{len(hops)}")
        return web.Response(status=401)

    async with (
        serving(handler) as url,
        bank_of(sandbox, origins=[url], url=url) as (bank, _),
    ):
        with pytest.raises(httpx.TooManyRedirects) as failed:
            await bank.get("/")

    assert len(hops) <= 2 * 21
    assert not {"authorization", "dpop"} & failed.value.request.headers.keys()


async def test_a_bearer_token_is_never_sent_by_a_client_with_a_key(sandbox):
    """A token that an application has put in place is refused before anything is sent."""
    async with bank_of(sandbox) as (bank, tokens):
        await tokens.set_token(Token("stolen", expires_at=2**40))
        with pytest.raises(aa.ConfigurationError, match="must be of type DPoP"):
            await bank.statuses()

    assert sandbox.faults.at("api").count == 0


async def test_a_synchronous_client_with_a_key_blocks_no_event_loop(sandbox):
    """A signer may be far away: each proof may take time."""
    async with bank_of(sandbox) as (bank, tokens):
        await tokens.get_token()
        with httpx.Client(auth=bank.auth, base_url=bank.base_url) as client:
            with pytest.raises(aa.ConfigurationError, match=r"use httpx\.AsyncClient"):
                client.get(ACCOUNTS)  # noqa: ASYNC212 - what it is about


@both
async def test_a_remote_signer_signs_and_fails_in_time(sandbox, is_sync):
    """A key that is kept elsewhere works, and its failure sends nothing."""
    fails = False

    async def sign(data):
        if fails:
            raise OSError("away")
        return KEY.sign(data)

    signer = aa.RemoteSigner("ES256", sign, public_jwk=KEY.public_jwk)
    registered = sandbox.client
    client = aa.OAuthClient(
        registered.client_id,
        registered.client_secret,
        environment=sandbox.environment,
        dpop=aa.DPoP(signer),
    )
    async with aa.TokenProvider(client, GRANT, on_event=None) as tokens:
        bank = Bank(BearerAuth(tokens), sandbox.banking_url, is_sync=is_sync)
        assert await bank.statuses() == [200]
        fails = True
        with pytest.raises(aa.TransportError, match="gave no signature"):
            await bank.statuses()

    assert sandbox.faults.at("api").count == 1


async def test_a_certificate_is_httpxs_to_show():
    """The client's context is what an httpx client verifies with."""
    client = aa.OAuthClient("id", "secret", certificate=ssl.create_default_context())
    async with httpx.AsyncClient(verify=client.ssl_context) as session:
        assert not session.is_closed

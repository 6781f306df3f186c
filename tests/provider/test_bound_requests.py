"""Requests whose token is bound to a key, always over a real wire."""

import asyncio
import base64
import hashlib
import json
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

import aritma_auth as aa
from aritma_auth.events import AuthorizationReplaced, NonceRequired
from aritma_auth.protocol.tokens import Token
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.sandbox import Sandbox
from support.clock import ShiftedClock
from support.fakes import FakeClient
from support.journeys import client_of
from support.loopback import serving
from support.nonces import NewestNonceOnce

pytestmark = pytest.mark.usefixtures("no_leftovers")

GRANT = aa.ClientCredentialsGrant(scope="bankservice")
KEY = aa.SigningKey.generate("ES256")


@pytest.fixture
async def sandbox():
    async with Sandbox(server_version="duende-8") as sandbox:
        yield sandbox


@asynccontextmanager
async def bank_of(sandbox, key=KEY, by=SYSTEM_CLOCK, **settings):
    """Give a session whose requests are signed and proved by a clock, and its provider."""
    client = client_of(sandbox, "sandbox-service", dpop=aa.DPoP(key), clock=by)
    settings = {"on_event": None} | settings
    async with aa.TokenProvider(client, GRANT, **settings) as tokens:
        middlewares = [tokens.middleware()]
        async with aiohttp.ClientSession(sandbox.banking_url, middlewares=middlewares) as bank:
            yield bank, tokens


async def statuses(bank, count=1, path="api/v3/accounts/42"):
    found = []
    for _ in range(count):
        async with bank.get(path) as response:
            await response.read()
            found.append(response.status)
    return found


def token_requests(sandbox):
    return len(sandbox.token_requests)


async def test_each_request_carries_a_proof_of_its_own(sandbox):
    """The sandbox validates every claim and accepts each proof once."""
    async with bank_of(sandbox) as (bank, _):
        assert await statuses(bank, 20, "api/v3/accounts/42?page=1#x") == [200] * 20

    assert token_requests(sandbox) == 1
    assert sandbox.faults.at("api").count == 20


@pytest.mark.parametrize("algorithm", ["EdDSA", "PS256"])
async def test_other_keys_prove_too(sandbox, algorithm):
    """Ed25519 and RSA keys work as elliptic ones do."""
    async with bank_of(sandbox, aa.SigningKey.generate(algorithm)) as (bank, _):
        assert await statuses(bank) == [200]


async def test_a_header_set_by_hand_is_replaced_and_reported(sandbox):
    """The API sees the bound token alone, and whoever set the header learns of it."""
    seen = []
    async with bank_of(sandbox, on_event=seen.append) as (bank, _):
        by_hand = {"Authorization": "Basic c2VjcmV0"}
        async with bank.get("api/v3/accounts/42", headers=by_hand) as response:
            assert response.status == 200

    assert len([event for event in seen if isinstance(event, AuthorizationReplaced)]) == 1


@pytest.mark.parametrize("uses", [None, 1])
async def test_the_apis_nonce_costs_one_request(sandbox, uses):
    """The first request learns it, each response brings the next one, and no token is refreshed."""
    sandbox.faults.require_dpop_nonces(where="api", uses=uses)
    async with bank_of(sandbox) as (bank, _):
        assert await statuses(bank, 5) == [200] * 5

    assert sandbox.faults.at("api").count == 6
    assert token_requests(sandbox) == 1


async def test_parallel_calls_survive_nonces_that_are_good_once(sandbox):
    """Each refusal brings a nonce, and its own request is repeated with that one."""
    given, count = set(), 0

    async def answer(request):
        nonlocal count
        count += 1
        nonce = _claims(request.headers["DPoP"]).get("nonce")
        is_good = nonce in given
        given.discard(nonce)
        given.add(f"nonce-{count}")
        response = web.StreamResponse(
            status=200 if is_good else 401,
            headers={
                "DPoP-Nonce": f"nonce-{count}",
                "WWW-Authenticate": 'DPoP error="use_dpop_nonce"',
            },
        )
        await response.prepare(request)
        # The other refusals arrive before this one is read to its end.
        await asyncio.sleep(0.02)
        await response.write_eof()
        return response

    async with serving(answer) as url, bank_of(sandbox) as (_, tokens):
        async with tokens.session(url, origins=[url]) as bank:
            found = await asyncio.gather(*(statuses(bank) for _ in range(20)))

    assert found == [[200]] * 20
    assert count == 40
    assert token_requests(sandbox) == 1


@pytest.mark.parametrize("limit", [100, 5, 2, 1])
async def test_parallel_calls_survive_a_server_that_takes_its_newest_nonce_alone(sandbox, limit):
    """They take turns once they have refused one another, whatever the connections are."""
    server = NewestNonceOnce()
    async with serving(server) as url, bank_of(sandbox) as (_, tokens):
        async with aiohttp.ClientSession(
            url,
            middlewares=[tokens.middleware([url])],
            connector=aiohttp.TCPConnector(limit=limit),
        ) as bank:
            paths = [f"/{number}" for number in range(20)]
            found = await asyncio.gather(*(statuses(bank, path=path) for path in paths))

    assert found == [[200]] * 20
    assert max(server.count.values()) <= 3
    assert token_requests(sandbox) == 1


async def test_processes_with_one_key_get_through_such_a_server(sandbox):
    """They take no turns with one another: each starts over after a random pause."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(NewestNonceOnce()))
        banks = []
        for _ in range(4):
            # A client of its own knows nothing of the others' nonces, as another process does.
            _, tokens = await stack.enter_async_context(bank_of(sandbox))
            session = aiohttp.ClientSession(url, middlewares=[tokens.middleware([url])])
            banks.append(await stack.enter_async_context(session))
        first = [await statuses(bank, path="/") for bank in banks]
        found = await asyncio.gather(*(statuses(bank, 10, "/") for bank in banks))

    assert first == [[200]] * 4
    assert found == [[200] * 10] * 4


@pytest.mark.parametrize("status", [400, 401])
async def test_a_nonce_may_be_demanded_with_either_status(sandbox, status):
    """Among several challenges the one for the proof counts, and another 400 is the caller's."""
    headers = {
        "WWW-Authenticate": 'Bearer realm="a", DPoP algs="ES256", error="use_dpop_nonce", Basic',
        "DPoP-Nonce": "a-nonce",
    }
    sandbox.faults.respond_next(b"", status=status, headers=headers, where="api")
    async with bank_of(sandbox) as (bank, _):
        assert await statuses(bank) == [200]
        sandbox.faults.respond_next(b"", status=400, where="api")
        assert await statuses(bank) == [400]

    assert sandbox.faults.at("api").count == 3


async def test_a_stale_nonce_is_replaced_in_the_middle(sandbox):
    """The API has voided its nonces: one repetition, and the token stays."""
    sandbox.faults.require_dpop_nonces(where="api")
    async with bank_of(sandbox) as (bank, _):
        await statuses(bank)
        sandbox.faults.expire_dpop_nonce("api")
        assert await statuses(bank) == [200]

    assert token_requests(sandbox) == 1


async def test_a_demanded_nonce_is_an_event(sandbox):
    """It names the API and the token that stayed."""
    sandbox.faults.require_dpop_nonces(where="api")
    events = []
    async with bank_of(sandbox, on_event=events.append) as (bank, tokens):
        await statuses(bank, 3)
        token = await tokens.get_token()
    (required,) = [event for event in events if isinstance(event, NonceRequired)]

    assert required.origin == str(URL(sandbox.banking_url).origin())
    assert required.fingerprint == token.fingerprint
    assert required.client_id == sandbox.client.client_id


async def test_a_nonce_demanded_by_the_token_endpoint_is_an_event(sandbox):
    """It names the server and whose token it is about; a remembered nonce is none."""
    sandbox.faults.require_dpop_nonces(where="token")
    events = []
    async with bank_of(sandbox, on_event=events.append) as (_, tokens):
        await tokens.get_token()
        await tokens.forget()
        await tokens.get_token()
    (required,) = [event for event in events if isinstance(event, NonceRequired)]

    assert required.origin == str(URL(sandbox.environment.issuer).origin())
    assert required.fingerprint == ""
    assert required.grant == "client_credentials"
    assert required.client_id == sandbox.client.client_id


async def test_a_proof_that_is_repeated_by_the_servers_clock_is_no_demanded_nonce(sandbox):
    """The token endpoint refuses the first proof's time, and no event speaks of a nonce."""
    events = []
    async with bank_of(sandbox, by=ShiftedClock(SYSTEM_CLOCK, -3600), on_event=events.append) as (
        _,
        tokens,
    ):
        await tokens.get_token()

    assert [request.error for request in sandbox.token_requests] == ["invalid_dpop_proof", None]
    assert not [event for event in events if isinstance(event, NonceRequired)]


async def test_nonces_of_two_servers_are_kept_apart(sandbox):
    """The identity server's nonce is none of the API's, and both are remembered."""
    sandbox.faults.require_dpop_nonces(where="api")
    sandbox.faults.require_dpop_nonces(where="token")
    async with bank_of(sandbox) as (bank, tokens):
        await statuses(bank)
        sandbox.faults.revoke_all()
        assert await statuses(bank, 2) == [200] * 2
        await tokens.get_token()

    assert [request.error for request in sandbox.token_requests] == ["use_dpop_nonce", None, None]


async def test_a_rejected_token_is_replayed_beside_the_nonce(sandbox):
    """One request may need both repetitions: for the nonce, then for the token."""
    async with bank_of(sandbox) as (bank, _):
        await statuses(bank)
        sandbox.faults.revoke_all()
        sandbox.faults.require_dpop_nonces(where="api", uses=1)
        assert await statuses(bank) == [200]

    # The nonce, the rejected token, and the token that was refreshed.
    assert sandbox.faults.at("api").count == 1 + 3
    assert token_requests(sandbox) == 2


async def test_an_api_that_always_wants_another_nonce_is_asked_twice(sandbox):
    """The repetition is bounded; the 401 is the caller's, and the token is not to blame."""
    sandbox.faults.refuse_proof_next(times=10, where="api")
    async with bank_of(sandbox) as (bank, tokens):
        before = await tokens.get_token()
        assert await statuses(bank) == [401]
        assert await tokens.get_token() is before

    assert sandbox.faults.at("api").count == 2
    assert token_requests(sandbox) == 1


@pytest.mark.parametrize("error", ["use_dpop_nonce", "invalid_dpop_proof"])
async def test_a_refusal_that_no_nonce_explains_is_the_callers(sandbox, error):
    """Neither another proof nor another token would help."""
    sandbox.faults.refuse_proof_next(error, offers_nonce=False, where="api")
    async with bank_of(sandbox) as (bank, _):
        assert await statuses(bank) == [401]

    assert sandbox.faults.at("api").count == 1
    assert token_requests(sandbox) == 1


async def test_an_apis_clock_is_seen_although_the_token_came_from_a_store(sandbox):
    """A process that has never asked the authorization server dates its proofs by the API's clock."""
    store = aa.MemoryTokenStore()
    async with bank_of(sandbox, store=store) as (_, tokens):
        await tokens.get_token()
    wrong = ShiftedClock(SYSTEM_CLOCK, -86400)
    async with bank_of(sandbox, by=wrong, store=store) as (bank, _):
        assert await statuses(bank, 3) == [200] * 3
        wrong.seconds = 0
        assert await statuses(bank, 3) == [200] * 3

    # Each step of the clock costs one refusal; nobody asked for another token.
    assert sandbox.faults.at("api").count == 6 + 2
    assert token_requests(sandbox) == 1


async def test_a_token_that_is_bound_to_another_key_is_refreshed(sandbox):
    """The API refuses the token (``invalid_token``), so another one may help."""
    sandbox.faults.bind_next_to_another_key()
    async with bank_of(sandbox) as (bank, _):
        assert await statuses(bank) == [200]

    assert token_requests(sandbox) == 2


@pytest.mark.parametrize("name", ["Authorization", "DPoP"])
@pytest.mark.parametrize("refuse", ["rejected", "nonce", "nothing"])
async def test_a_second_value_of_an_inner_middleware_is_not_shown(sandbox, canary, name, refuse):
    """A middleware below adds another token or proof once the request has been sent."""

    async def add(request, handler):
        response = await handler(request)
        request.headers.add(name, canary.text)
        return response

    async with bank_of(sandbox) as (bank, tokens):
        await statuses(bank)
        if refuse == "rejected":
            sandbox.faults.revoke_all()
        elif refuse == "nonce":
            sandbox.faults.require_dpop_nonces(where="api", uses=1)
        path, signer = "api/v3/accounts/42", tokens.middleware()
        async with bank.get(path, middlewares=(signer, add)) as response:
            assert response.status == 200
            info = response.request_info

    assert sandbox.faults.at("api").count == 2 + (refuse != "nothing")
    assert {"Authorization", "DPoP"}.isdisjoint(info.headers)
    canary.assert_hidden(info, info.headers)


async def streamed(data):
    yield data


async def test_a_small_body_is_sent_again_and_a_stream_is_not(sandbox):
    """A stream that is spent gets the 401; the nonce is learned all the same."""
    sandbox.faults.require_dpop_nonces(where="api")
    async with bank_of(sandbox) as (bank, _):
        async with bank.post("api/v3/uploads", data=streamed(b"first")) as response:
            refused = response.status
        async with bank.post("api/v3/uploads", data=streamed(b"again")) as response:
            taken = await response.json()
        sandbox.faults.expire_dpop_nonce("api")
        async with bank.put("api/v3/uploads", data=b"small") as response:
            repeated = await response.json()

    assert refused == 401
    assert taken == {"received": 5}
    assert repeated == {"received": 5}


async def test_a_websocket_is_opened_with_a_proof(sandbox):
    """Its target is that of the HTTP request which opens it, and the nonce is repeated too."""
    sandbox.faults.require_dpop_nonces(where="api")
    async with bank_of(sandbox) as (bank, _):
        async with bank.ws_connect("api/v3/stream") as socket:
            await socket.send_str("ping")

            assert await socket.receive_str() == "ping"


async def test_every_hop_of_a_redirect_has_its_own_proof(sandbox):
    """The proof names the hop's own method and target."""
    async with bank_of(sandbox) as (bank, _):
        to = f"{sandbox.banking_url}api/accounts"
        async with bank.get("redirect", params={"to": to}) as response:
            assert response.status == 200
        async with bank.post("redirect", params={"to": to}, data=b"x") as response:
            assert response.status == 200


async def test_an_elsewhere_never_sees_token_or_proof(sandbox):
    """A redirect to another origin goes on without either; neither is left in what aiohttp shows."""
    seen = []

    async def handler(request):
        seen.append({"Authorization", "DPoP"} & request.headers.keys())
        return web.Response(text="ok")

    async with serving(handler) as elsewhere, bank_of(sandbox) as (bank, _):
        async with bank.get("redirect", params={"to": elsewhere}) as response:
            shown = [response.request_info, *(hop.request_info for hop in response.history)]
            assert response.status == 200

    assert seen == [set()]
    assert not [info for info in shown if {"Authorization", "DPoP"} & info.headers.keys()]


async def test_step_up_is_asked_for_by_a_dpop_challenge_too(sandbox):
    """A challenge for a wider scope becomes the same error as for bearer tokens."""
    async with bank_of(sandbox) as (bank, _):
        with pytest.raises(aa.StepUpRequiredError) as caught:
            await statuses(bank, path="api/step-up?scope=zam")

    assert caught.value.scope == ("zam",)


async def test_a_pool_proves_with_the_key_of_each_request(sandbox):
    """Two tenants with keys of their own share one session."""
    keys = {name: aa.SigningKey.generate() for name in ("one", "two")}

    def make(name):
        registered = sandbox.client
        client = aa.OAuthClient(
            registered.client_id,
            registered.client_secret,
            environment=sandbox.environment,
            dpop=aa.DPoP(keys[name]),
        )
        return aa.TokenProvider(client, GRANT, on_event=None)

    async with aa.TokenProviderPool(make) as pool:
        signer = aa.KeyedBearerMiddleware(
            pool, lambda request: request.headers["X-Tenant"], [sandbox.banking_url]
        )
        async with aiohttp.ClientSession(sandbox.banking_url, middlewares=[signer]) as bank:
            for name in ("one", "two", "one"):
                headers = {"X-Tenant": name}
                async with bank.get("api/v3/accounts/42", headers=headers) as response:
                    assert response.status == 200

    assert token_requests(sandbox) == 2


async def test_a_bearer_token_is_never_sent_by_a_client_with_a_key(sandbox):
    """A token that an application has put in place is refused before anything is sent."""
    async with bank_of(sandbox) as (bank, tokens):
        await tokens.set_token(Token("stolen", expires_at=2**40))
        with pytest.raises(aa.ConfigurationError, match="must be of type DPoP"):
            await statuses(bank)

    assert sandbox.faults.at("api").count == 0


async def test_a_source_without_a_key_sends_no_proof(clock):
    """With a bearer token nothing of a request changes."""
    seen = []

    async def handler(request):
        seen.append((request.headers["Authorization"], "DPoP" in request.headers))
        return web.Response()

    async with aa.TokenProvider(FakeClient(clock), GRANT, on_event=None) as tokens:
        async with serving(handler) as url:
            async with aiohttp.ClientSession(url, middlewares=[tokens.middleware([url])]) as api:
                await statuses(api, path="/")

        assert tokens.proofs is None
    assert seen == [("Bearer token-1", False)]


async def test_a_stolen_token_without_the_key_is_refused_each_time(sandbox):
    """A hundred tries of a thief who has the token, another key and a seen proof: none succeeds."""
    stolen = []
    async with bank_of(sandbox) as (bank, tokens):
        token = await tokens.get_token()
        await statuses(bank, 3)
        proofs = tokens.proofs
        url = URL(f"{sandbox.banking_url}api/v3/accounts/42")
        seen = await proofs.prove("GET", url, token.access_token)
        async with aiohttp.ClientSession() as victim:
            headers = {"Authorization": token.authorization, "DPoP": seen}
            async with victim.get(url, headers=headers) as response:
                assert response.status == 200
    thief = aa.SigningKey.generate()
    async with aiohttp.ClientSession() as session:
        for number in range(100):
            headers = {"Authorization": _by_thief(number, token)}
            proof = _forged(number, thief, token, url, seen)
            headers |= {} if proof is None else {"DPoP": proof}
            async with session.get(url, headers=headers) as response:
                stolen.append(response.status)

    assert stolen == [401] * 100


def _by_thief(number, token):
    return f"{('DPoP', 'Bearer', 'dpop', 'Bearer')[number % 4]} {token.access_token}"


def _forged(number, thief, token, url, seen):
    """Make what a thief may try: nothing, an old proof, a proof of another key, the victim's jwk."""
    from aritma_auth.protocol.dpop import build_proof

    kind = number % 5
    if kind == 0:
        return None
    if kind == 1:
        return seen
    settings = {"now": 2**31 if kind == 4 else _iat(seen), "jti": f"forged-{number}"}
    if kind != 2:
        settings["access_token"] = token.access_token
    return build_proof(thief, "GET", url, **settings).sign()


def _claims(proof):
    payload = proof.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))


def _iat(proof):
    return _claims(proof)["iat"]


async def test_a_proof_names_the_tokens_hash(sandbox):
    """``ath`` at the API is the hash of the very token in the header (RFC 9449 §4.2)."""
    seen = []

    async def handler(request):
        payload = request.headers["DPoP"].split(".")[1]
        seen.append(
            (json.loads(base64.urlsafe_b64decode(payload + "==")), request.headers["Authorization"])
        )
        return web.Response()

    async with serving(handler) as url, bank_of(sandbox) as (_, tokens):
        async with aiohttp.ClientSession(url, middlewares=[tokens.middleware([url])]) as api:
            await statuses(api, path="/a?b")
            async with api.delete("/a"):
                pass
    claims, authorization = seen[0]
    digest = hashlib.sha256(authorization.removeprefix("DPoP ").encode()).digest()

    assert claims["ath"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert claims["htu"] == f"{url}/a"
    assert [said["htm"] for said, _ in seen] == ["GET", "DELETE"]
    assert seen[0][0]["jti"] != seen[1][0]["jti"]

"""DPoP at the authorization server: proofs, nonces, and what is never downgraded."""

import asyncio
import base64
import json
from urllib.parse import parse_qs, urlsplit

import aiohttp
import attrs
import pytest
from aiohttp import web
from yarl import URL

import aritma_auth as aa
from aritma_auth.client.dpop_proofs import ProofMaker
from aritma_auth.sandbox import Sandbox, SandboxClient
from support.clock import FakeClock
from support.journeys import sign_in
from support.loopback import serving
from support.nonces import NewestNonceOnce

pytestmark = pytest.mark.usefixtures("no_leftovers")

GRANT = aa.ClientCredentialsGrant(scope="bankservice")
KEY = aa.SigningKey.generate("ES256")


@pytest.fixture
async def sandbox():
    async with Sandbox(server_version="duende-7.4") as sandbox:
        yield sandbox


def client_of(sandbox, client_id="sandbox-service", key=KEY, **settings):
    registered = sandbox.clients[client_id]
    return aa.OAuthClient(
        client_id,
        settings.pop("auth", registered.client_secret or None),
        environment=sandbox.environment,
        dpop=None if key is None else aa.DPoP(key),
        **settings,
    )


def confirmed(token):
    return aa.parse_unverified_claims(token.access_token)["cnf"]


def errors_of(sandbox):
    return [request.error for request in sandbox.token_requests]


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256"])
async def test_tokens_are_bound_to_the_key(sandbox, algorithm):
    """The token names the key's thumbprint, and its type in the standard's spelling."""
    key = aa.SigningKey.generate(algorithm)
    token = await client_of(sandbox, key=key).fetch_token(GRANT)

    assert token.token_type == "DPoP"
    assert token.authorization == f"DPoP {token.access_token}"
    assert confirmed(token) == {"jkt": key.thumbprint}


async def test_a_key_that_is_kept_elsewhere_proves_each_request(sandbox):
    """A RemoteSigner signs the proofs; each is a new one."""
    signed = []

    async def sign(data):
        await asyncio.sleep(0)
        signed.append(data)
        return KEY.sign(data)

    remote = aa.RemoteSigner("ES256", sign, key_id="kms/1", public_jwk=KEY.public_jwk)
    client = client_of(sandbox, key=remote)
    tokens = [await client.fetch_token(GRANT) for _ in range(2)]

    assert [confirmed(token) for token in tokens] == [{"jkt": KEY.thumbprint}] * 2
    assert len(set(signed)) == 2


async def test_a_signer_that_is_away_sends_nothing(sandbox):
    """The failure is an outage, and the server has seen no request."""

    async def sign(_data):
        raise OSError

    remote = aa.RemoteSigner("ES256", sign, public_jwk=KEY.public_jwk)
    with pytest.raises(aa.TransportError, match="RemoteSigner gave no signature"):
        await client_of(sandbox, key=remote).fetch_token(GRANT)

    assert errors_of(sandbox) == []


async def test_the_type_is_compared_without_case(sandbox):
    """A server may write ``dPOp`` (RFC 6749 §7.1)."""
    sandbox.overrides.token_response["token_type"] = "dPOp"

    assert (await client_of(sandbox).fetch_token(GRANT)).token_type == "DPoP"


async def test_a_server_that_ignores_the_proof_is_an_error():
    """A bearer token in response to a proof is never used: IdentityServer 4 knows no DPoP."""
    async with Sandbox(server_version="is4") as sandbox:
        with pytest.raises(aa.InvalidResponseError, match=r"must be DPoP, .* it is Bearer"):
            await client_of(sandbox).fetch_token(GRANT)


async def test_a_bound_token_without_a_key_is_an_error(sandbox):
    """A client without a key cannot use a token of type DPoP."""
    sandbox.overrides.token_response["token_type"] = "DPoP"
    with pytest.raises(aa.InvalidResponseError, match=r"give the client dpop=DPoP\(key\)"):
        await client_of(sandbox, key=None).fetch_token(GRANT)


async def test_a_client_that_must_prove_a_key_is_refused_without(sandbox):
    """The server says what it wants."""
    sandbox.add_client(attrs.evolve(sandbox.client, requires_dpop=True))
    with pytest.raises(aa.OAuthError, match="Client requires DPoP"):
        await client_of(sandbox, key=None).fetch_token(GRANT)

    assert (await client_of(sandbox).fetch_token(GRANT)).token_type == "DPoP"


async def test_the_servers_nonce_costs_one_request_and_is_remembered(sandbox):
    """The first request learns the nonce; the next ones carry it at once."""
    sandbox.faults.require_dpop_nonces()
    client = client_of(sandbox)
    for _ in range(3):
        await client.fetch_token(GRANT)

    assert errors_of(sandbox) == ["use_dpop_nonce", None, None, None]


async def test_a_nonce_is_learned_from_a_success_too(sandbox):
    """Each response brings the next nonce, so rotating ones cost nothing more."""
    sandbox.faults.require_dpop_nonces(uses=1)
    client = client_of(sandbox)
    for _ in range(5):
        await client.fetch_token(GRANT)

    assert errors_of(sandbox) == ["use_dpop_nonce", None, None, None, None, None]


async def test_parallel_requests_survive_nonces_that_are_good_once(sandbox):
    """
    Each refusal brings a nonce, and its own request is repeated with that one.

    It is kept while a signer elsewhere makes a new assertion, and other responses come.
    """
    sandbox.faults.require_dpop_nonces(are_single=True)
    own = aa.SigningKey.generate("ES256")
    sandbox.add_client(attrs.evolve(sandbox.client, public_key=own.public_jwk))

    async def sign(signing_input):
        await asyncio.sleep(0.02)
        return own.sign(signing_input)

    client = aa.OAuthClient(
        "sandbox-service",
        aa.PrivateKeyJwt(aa.RemoteSigner("ES256", sign)),
        environment=sandbox.environment,
        dpop=aa.DPoP(KEY),
    )
    tokens = await asyncio.gather(*(client.fetch_token(GRANT) for _ in range(20)))

    assert [token.token_type for token in tokens] == ["DPoP"] * 20
    assert sorted(map(str, errors_of(sandbox))) == ["None"] * 20 + ["use_dpop_nonce"] * 20


@pytest.mark.parametrize("kind", ["are_single", "only_newest"])
async def test_parallel_userinfo_requests_survive_nonces_that_are_good_once(sandbox, kind):
    """UserInfo is asked as an API is."""
    client, done = await sign_in_alice(sandbox)
    sandbox.faults.require_dpop_nonces(**{kind: True})
    found = await asyncio.gather(*(client.fetch_userinfo(done.token) for _ in range(10)))

    assert [claims["sub"] for claims in found] == ["user-alice"] * 10


async def test_a_stale_nonce_is_replaced_once(sandbox):
    """All nonces of the past are void, and the next request gets through all the same."""
    sandbox.faults.require_dpop_nonces()
    client = client_of(sandbox)
    await client.fetch_token(GRANT)
    sandbox.faults.expire_dpop_nonce()
    await client.fetch_token(GRANT)

    assert errors_of(sandbox) == ["use_dpop_nonce", None, "use_dpop_nonce", None]


async def test_a_server_that_always_wants_another_nonce_is_asked_twice(sandbox):
    """The repetition is bounded; the failure is not permanent, since the next nonce may do."""
    sandbox.faults.refuse_proof_next(times=10)
    with pytest.raises(aa.OAuthError, match="use_dpop_nonce") as caught:
        await client_of(sandbox).fetch_token(GRANT)

    assert errors_of(sandbox) == ["use_dpop_nonce"] * 2
    assert not caught.value.is_permanent


async def test_a_refusal_without_a_nonce_is_not_repeated(sandbox):
    """Neither without a nonce nor with the one that was sent would another request help."""
    client = client_of(sandbox)
    sandbox.faults.refuse_proof_next(offers_nonce=False)
    with pytest.raises(aa.OAuthError, match="use_dpop_nonce"):
        await client.fetch_token(GRANT)
    sandbox.faults.require_dpop_nonces()
    await client.fetch_token(GRANT)
    sandbox.faults.refuse_proof_next(offers_nonce=False)
    with pytest.raises(aa.OAuthError, match="use_dpop_nonce"):
        await client.fetch_token(GRANT)

    assert errors_of(sandbox) == ["use_dpop_nonce", "use_dpop_nonce", None, "use_dpop_nonce"]


async def test_a_repetition_has_an_assertion_of_its_own(sandbox):
    """The sandbox accepts each assertion and each proof once, as IdentityServer does."""
    public = aa.SigningKey.generate("ES256")
    pem = _public_pem(public)
    sandbox.add_client(SandboxClient(client_id="sandbox-service", public_key=pem))
    sandbox.faults.require_dpop_nonces()
    client = client_of(sandbox, auth=aa.PrivateKeyJwt(public))

    assert (await client.fetch_token(GRANT)).token_type == "DPoP"
    assert errors_of(sandbox) == ["use_dpop_nonce", None]


def _public_pem(key):
    from joserfc.jwk import ECKey

    return ECKey.import_key(dict(key.public_jwk)).as_pem(private=False).decode()


async def test_a_clock_that_is_wrong_is_corrected_by_the_first_response(sandbox):
    """The refusal shows the server's time, so that one more proof, with its ``iat``, is enough."""
    sandbox.clock.advance(86400)
    client = client_of(sandbox)
    await client.fetch_token(GRANT)

    assert errors_of(sandbox) == ["invalid_dpop_proof", None]


async def test_a_proof_that_is_wrong_is_refused_once(sandbox):
    """Without a reason to expect another response the refusal is the caller's."""
    sandbox.faults.refuse_proof_next("invalid_dpop_proof", times=2)
    with pytest.raises(aa.OAuthError, match="invalid_dpop_proof"):
        await client_of(sandbox).fetch_token(GRANT)

    assert errors_of(sandbox) == ["invalid_dpop_proof"]


async def test_only_the_token_endpoint_gets_a_proof(sandbox):
    """Revocation and introspection bind nothing (RFC 9449 §5)."""
    seen = []

    async def handler(request):
        seen.append("DPoP" in request.headers)
        return aiohttp.web.json_response({"active": False})

    async with serving(handler) as url:
        environment = aa.Environment.at(url)
        client = aa.OAuthClient("id", "secret", environment=environment, dpop=aa.DPoP(KEY))
        await client.introspect("token")
        await client.revoke("token")

    assert seen == [False, False]


async def sign_in_alice(sandbox, client_id="sandbox-web", key=KEY, **parameters):
    client = client_of(sandbox, client_id, key)
    sandbox.sign_in_automatically("alice")
    return client, await sign_in(client, "openid profile bankservice offline_access", **parameters)


@pytest.mark.parametrize(
    ("push", "errors"), [(False, ["use_dpop_nonce", None]), (True, [None])], ids=["sent", "pushed"]
)
async def test_a_code_is_bound_to_the_key_before_it_is_exchanged(sandbox, push, errors):
    """
    ``dpop_jkt`` is in the request, pushed or not; the nonce's repetition spends the code once.

    A pushed request has learned the nonce before.
    """
    sandbox.faults.require_dpop_nonces(uses=1)
    _, signed_in = await sign_in_alice(sandbox, push=push)

    assert confirmed(signed_in.token) == {"jkt": KEY.thumbprint}
    assert errors_of(sandbox) == errors
    assert sandbox.requests_at("par") == (2 if push else 0)


async def test_a_pushed_request_proves_the_key():
    """
    The proof goes to the pushed authorization request endpoint, too (RFC 9449 §10.1).

    Some servers demand one there. The refusal is repeated once, with the server's nonce.
    """
    seen = []

    async def push(request):
        header, claims = (
            json.loads(base64.urlsafe_b64decode(part + "=="))
            for part in request.headers["DPoP"].split(".")[:2]
        )
        seen.append((claims["htm"], claims["htu"], claims.get("nonce"), header["jwk"]))
        if "nonce" not in claims:
            refusal = {"error": "use_dpop_nonce"}
            return web.json_response(refusal, status=400, headers={"DPoP-Nonce": "n1"})
        return web.json_response({"request_uri": "urn:x:1", "expires_in": 60}, status=201)

    async with serving(push) as origin:
        server = aa.Environment.at(
            origin, endpoints={"pushed_authorization_request_endpoint": f"{origin}/par"}
        )
        client = aa.OAuthClient("app", environment=server, dpop=aa.DPoP(KEY))
        request = await client.begin_sign_in("http://127.0.0.1/callback", push=True)

    assert "request_uri=urn%3Ax%3A1" in request.url
    assert seen == [("POST", f"{origin}/par", nonce, KEY.public_jwk) for nonce in (None, "n1")]


async def test_the_authorization_request_names_the_key_beside_the_callers_own_parameters(sandbox):
    """The caller's further parameters stay; a wrong kind of them is refused by name."""
    client = client_of(sandbox, "sandbox-web")
    request = await client.begin_sign_in("http://127.0.0.1/callback", extra={"a": "b"})
    query = parse_qs(urlsplit(request.url).query)

    assert query["dpop_jkt"] == [KEY.thumbprint]
    assert query["a"] == ["b"]
    with pytest.raises(aa.ConfigurationError, match="extra"):
        await client.begin_sign_in("http://127.0.0.1/callback", extra=5)


async def test_a_token_through_the_browser_is_not_asked_for(sandbox):
    """It would be a bearer token."""
    client = client_of(sandbox, "sandbox-hybrid")
    with pytest.raises(aa.ConfigurationError, match="response_type must be without 'token'"):
        await client.begin_sign_in("http://127.0.0.1/callback", response_type="code token")


async def test_a_stolen_code_is_worth_nothing_to_another_key(sandbox):
    """The server refuses the proof of another key, even with the code verifier and the secret."""
    client = client_of(sandbox, "sandbox-web")
    thief = client_of(sandbox, "sandbox-web", aa.SigningKey.generate())
    sandbox.sign_in_automatically("alice")
    request = await client.begin_sign_in("http://127.0.0.1/callback", "openid bankservice")
    async with aiohttp.ClientSession() as browser:
        async with browser.get(request.url, allow_redirects=False) as response:
            callback = response.headers["Location"]
    with pytest.raises(aa.OAuthError, match="bound to another key"):
        await thief.complete_sign_in(request, callback)


@pytest.mark.parametrize("client_id", ["sandbox-web", "sandbox-cli"])
async def test_a_refresh_token_survives_rotating_nonces(sandbox, client_id):
    """No refresh token is presented twice, and a public client's is bound to the key."""
    sandbox.add_client(
        attrs.evolve(sandbox.clients[client_id], refresh_tokens_rotate=True, requires_consent=False)
    )
    sandbox.faults.require_dpop_nonces(uses=1)
    client, signed_in = await sign_in_alice(sandbox, client_id)
    token = signed_in.token
    for _ in range(3):
        sandbox.faults.expire_dpop_nonce()
        token = await client.fetch_token(aa.RefreshTokenGrant(token.refresh_token))
    thief = client_of(sandbox, client_id, aa.SigningKey.generate())
    stolen = aa.RefreshTokenGrant(token.refresh_token)

    assert sandbox.refresh_tokens.reuse_events == 0
    if client_id == "sandbox-cli":
        with pytest.raises(aa.OAuthError, match="bound to another key"):
            await thief.fetch_token(stolen)
        assert (await client.fetch_token(stolen)).token_type == "DPoP"
    else:
        # A confidential client may change its key (RFC 9449 §5).
        assert confirmed(await thief.fetch_token(stolen)) != confirmed(token)


async def test_a_refused_proof_says_nothing_of_the_refresh_token(sandbox, clock):
    """A provider keeps the sign-in when the server refuses its proofs, and recovers."""
    client, signed_in = await sign_in_alice(sandbox)
    grant = aa.SignedInGrant("alice", scope="openid profile bankservice offline_access")
    async with aa.TokenProvider(client, grant, clock=clock, on_event=None) as tokens:
        await tokens.set_token(signed_in.token)
        clock.advance(3600)
        sandbox.faults.refuse_proof_next("invalid_dpop_proof")
        with pytest.raises(aa.OAuthError, match="invalid_dpop_proof"):
            await tokens.get_token()
        clock.advance(3600)

        assert (await tokens.get_token()).token_type == "DPoP"


async def test_a_device_proves_the_key_with_each_poll(sandbox):
    """Each poll carries a proof too, and the nonce changes with each of them."""
    sandbox.faults.require_dpop_nonces(uses=1)
    client = client_of(sandbox, "sandbox-cli", clock=sandbox.clock)
    device = await client.begin_device_sign_in("openid bankservice")
    sandbox.approve_device(device.user_code, "alice")
    sandbox.clock.advance(5)
    signing_in = asyncio.create_task(client.complete_device_sign_in(device))
    while not signing_in.done():
        await asyncio.sleep(0.01)
        sandbox.clock.advance(5)

    assert confirmed((await signing_in).token) == {"jkt": KEY.thumbprint}


async def test_parallel_token_requests_survive_a_server_that_takes_its_newest_nonce_alone():
    """A pool's tenants are served one after the other, each with one grant presented once."""
    server = NewestNonceOnce()
    async with serving(server) as url:
        environment = aa.Environment.at(url)
        client = aa.OAuthClient("id", "secret", environment=environment, dpop=aa.DPoP(KEY))
        tokens = await asyncio.gather(*(client.fetch_token(GRANT) for _ in range(20)))

    assert [token.token_type for token in tokens] == ["DPoP"] * 20
    assert server.count.total() <= 60


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("media_type", ["text/html", "text/plain"])
async def test_a_nonce_that_is_demanded_in_a_header_alone_is_used(sandbox, status, media_type):
    """Some servers refuse at the token endpoint as an API does (RFC 9449 §9)."""
    headers = {
        "WWW-Authenticate": 'DPoP error="use_dpop_nonce"',
        "DPoP-Nonce": "a-nonce",
        "Content-Type": media_type,
    }
    sandbox.faults.respond_next(b"no", status=status, headers=headers)
    token = await client_of(sandbox).fetch_token(GRANT)

    assert token.token_type == "DPoP"
    assert sandbox.requests_at("token") == 2


@pytest.mark.parametrize("challenge", ["Bearer", 'DPoP algs="ES256"', 'DPoP error="other"'])
async def test_a_challenge_that_refuses_no_proof_is_not_about_the_key(sandbox, challenge):
    """A bare 401 refuses the client (RFC 6749 §5.2), and nothing is repeated."""
    headers = {"WWW-Authenticate": challenge, "DPoP-Nonce": "a-nonce", "Content-Type": "text/html"}
    sandbox.faults.respond_next(b"no", status=401, headers=headers)
    with pytest.raises(aa.InvalidClientError):
        await client_of(sandbox).fetch_token(GRANT)

    assert sandbox.requests_at("token") == 1


async def test_an_error_of_the_token_endpoint_outranks_its_challenge(sandbox):
    """The body says what is wrong (RFC 6749 §5.2), and nothing is repeated."""
    headers = {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP-Nonce": "a-nonce"}
    body = b'{"error": "invalid_scope"}'
    headers["Content-Type"] = "application/json"
    sandbox.faults.respond_next(body, status=400, headers=headers)
    with pytest.raises(aa.OAuthError, match="invalid_scope"):
        await client_of(sandbox).fetch_token(GRANT)

    assert sandbox.requests_at("token") == 1


async def test_a_refused_proof_says_what_to_look_at(sandbox):
    """The key's algorithm and the clocks are all that a proof can be refused for."""
    sandbox.faults.refuse_proof_next("invalid_dpop_proof")
    with pytest.raises(aa.OAuthError, match="dpop_signing_alg_values_supported"):
        await client_of(sandbox).fetch_token(GRANT)


@pytest.mark.parametrize("is_first", [True, False])
async def test_the_challenge_for_the_proof_is_found_among_several_fields(sandbox, is_first):
    """A server may send each challenge in a field of its own (RFC 9110 §11.6.1)."""
    client, signed_in = await sign_in_alice(sandbox)
    challenges = ['DPoP error="use_dpop_nonce", algs="ES256"', 'Bearer realm="a"']

    async def handler(request):
        response = aiohttp.web.json_response({"sub": "user-alice"})
        if not seen:
            response = aiohttp.web.Response(status=401, headers={"DPoP-Nonce": "a-nonce"})
            for challenge in challenges if is_first else challenges[::-1]:
                response.headers.add("WWW-Authenticate", challenge)
        seen.append(request.headers["DPoP"])
        return response

    seen = []
    async with serving(handler) as url:
        endpoints = {"userinfo_endpoint": f"{url}/userinfo"}
        environment = aa.Environment.at(sandbox.identity_url, endpoints=endpoints)
        client = aa.OAuthClient(
            "sandbox-web", "web-secret", environment=environment, dpop=client.dpop
        )
        claims = await client.fetch_userinfo(signed_in.token, subject="user-alice")

    assert claims["sub"] == "user-alice"
    assert len(seen) == 2


async def test_userinfo_gets_a_proof_and_its_nonce(sandbox):
    """The claims come although the server wants a nonce; the proof names the token."""
    client, signed_in = await sign_in_alice(sandbox)
    sandbox.faults.require_dpop_nonces(uses=1)
    claims = await client.fetch_userinfo(signed_in.token)

    assert claims["sub"] == "user-alice"
    assert sandbox.faults.at("userinfo").count == 2


async def test_userinfo_takes_a_first_nonce_without_a_challenge(sandbox):
    """A 401 with a nonce, and no word of why, is repeated with it once (RFC 9449 §9, §8.2)."""
    client, signed_in = await sign_in_alice(sandbox)
    offered = {"DPoP-Nonce": "first"}
    sandbox.faults.respond_next(b"", status=401, headers=offered, where="userinfo")
    claims = await client.fetch_userinfo(signed_in.token)
    sandbox.faults.respond_next(b"", status=401, headers=offered, where="userinfo")
    with pytest.raises(aa.InvalidResponseError):
        await client.fetch_userinfo(signed_in.token)

    assert claims["sub"] == "user-alice"
    assert sandbox.faults.at("userinfo").count == 3


async def test_userinfo_with_a_wrong_proof_is_refused_once(sandbox):
    """A refusal that no nonce explains is the caller's."""
    client, signed_in = await sign_in_alice(sandbox)
    sandbox.faults.refuse_proof_next("invalid_dpop_proof")
    with pytest.raises(aa.OAuthError, match="invalid_dpop_proof"):
        await client.fetch_userinfo(signed_in.token)

    assert sandbox.faults.at("userinfo").count == 1


async def test_a_bound_token_goes_in_the_header_alone(sandbox):
    """The form has no place for it (RFC 9449 §7.1)."""
    client, signed_in = await sign_in_alice(sandbox)
    with pytest.raises(aa.ConfigurationError, match="in_body must be False"):
        await client.fetch_userinfo(signed_in.token, in_body=True)


async def test_a_bearer_token_is_not_sent_by_a_client_with_a_key(sandbox):
    """It would be a silent downgrade."""
    _, signed_in = await sign_in_alice(sandbox, key=None)
    with pytest.raises(aa.ConfigurationError, match=r"must be of type DPoP, .*, not Bearer"):
        await client_of(sandbox, "sandbox-web").fetch_userinfo(signed_in.token)


def test_the_nonces_of_any_number_of_servers_fill_no_memory():
    """Those learned longest ago make room; the newest of a server is the one that counts."""
    proofs = ProofMaker(aa.DPoP(KEY), FakeClock(), lambda: 0.0, 1.0)
    urls = [URL(f"https://host{number}.example/a") for number in range(300)]
    for url in urls:
        proofs.learn(url, "one")
    proofs.learn(urls[-1], "two")
    proofs.learn(urls[-1], "two")
    proofs.learn(urls[-1], None)

    assert [proofs.view(url).nonce for url in urls].count("") == 300 - 256
    assert proofs.view(urls[-1] / "b").nonce == "two"
    assert KEY.thumbprint in repr(proofs)


async def test_a_proof_is_dated_by_the_servers_clock_as_later_responses_show_it(sandbox):
    """``iat`` follows the server's clock, not ours."""
    seen = []

    async def handler(request):
        payload = request.headers["DPoP"].split(".")[1]
        seen.append(json.loads(base64.urlsafe_b64decode(payload + "=="))["iat"])
        body = {"access_token": "a", "token_type": "DPoP"}
        date = "Thu, 01 Jan 2032 00:00:00 GMT"
        return aiohttp.web.json_response(body, headers={"Date": date})

    async with serving(handler) as url:
        environment = aa.Environment.at(url)
        client = aa.OAuthClient("id", "secret", environment=environment, dpop=aa.DPoP(KEY))
        for _ in range(2):
            await client.fetch_token(GRANT)

    assert seen[1] == pytest.approx(1956528000, abs=3)
    assert seen[0] != pytest.approx(1956528000, abs=3600)

"""The sandbox's DPoP, without a client of ours."""

import base64
import hashlib
import json
import time
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import attrs
import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox import Sandbox
from aritma_auth.sandbox.identity.keys import signing_key
from support.sandbox_wire import CALLBACK, CHALLENGE, WEB, redeem
from support.sandbox_wire import get as get_page
from support.sandbox_wire import post as post_form

pytestmark = pytest.mark.usefixtures("no_leftovers")

KEY = ECKey.generate_key("P-256", auto_kid=False)
OTHER = ECKey.generate_key("P-256", auto_kid=False)
RSA = RSAKey.import_key(signing_key(0).private)
FORM = {
    "grant_type": "client_credentials",
    "client_id": "sandbox-service",
    "client_secret": "sandbox-secret",
}


SERVER_VERSION = "duende-8"


def encode(members):
    data = members if isinstance(members, bytes) else json.dumps(members).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def prove(url, method="POST", *, key=KEY, header=None, signer=None, **claims):
    """Write a proof by hand; a member that is None is left out."""
    head = {"alg": "ES256", "typ": "dpop+jwt", "jwk": key.as_dict(private=False)} | (header or {})
    said = {"jti": encode(hashlib.sha256(str(time.perf_counter_ns()).encode()).digest())}
    said |= {"htm": method, "htu": url, "iat": int(time.time())} | claims
    said = {name: value for name, value in said.items() if value is not None}
    text = f"{encode(head)}.{encode(said)}"
    algorithm = jws.JWSRegistry.algorithms[signer or "ES256"]
    return f"{text}.{encode(algorithm.sign(text.encode(), key))}"


async def post(sandbox, *proofs):
    """Ask for a token with these proofs; give the JSON and the nonce."""
    headers = [("DPoP", proof) for proof in proofs]
    async with aiohttp.ClientSession() as session:
        async with session.post(url_of(sandbox), data=FORM, headers=headers) as response:
            return await response.json(), response.headers.get("DPoP-Nonce")


def url_of(sandbox):
    return f"{sandbox.identity_url}/connect/token"


async def get(sandbox, authorization, *proofs):
    headers = [("Authorization", authorization), *(("DPoP", proof) for proof in proofs)]
    async with aiohttp.ClientSession() as session:
        url = f"{sandbox.banking_url}api/v3/accounts/42"
        async with session.get(url, headers=headers) as response:
            return response.status, response.headers.get("WWW-Authenticate")


async def test_a_good_proof_binds_the_token(sandbox):
    """The response says DPoP, and the token has the key's thumbprint in ``cnf``."""
    members, _ = await post(sandbox, prove(url_of(sandbox)))
    payload = members["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))

    assert members["token_type"] == "DPoP"
    assert claims["cnf"] == {"jkt": KEY.thumbprint()}


BAD_PROOFS = {
    "another method": {"htm": "GET"},
    "another target": {"htu": "https://elsewhere.example/"},
    "no target": {"htu": None},
    "too old": {"iat": int(time.time()) - 1000},
    "from the future": {"iat": int(time.time()) + 1_000_000},
    "no time": {"iat": None},
    "a time in words": {"iat": "now"},
    "no identifier": {"jti": None},
    "another type": {"header": {"typ": "JWT"}},
    "without a key": {"header": {"jwk": None}},
    "with a private key": {"header": {"jwk": KEY.as_dict(private=True)}},
    "with another key": {"header": {"jwk": OTHER.as_dict(private=False)}},
    "a symmetric algorithm": {"header": {"alg": "HS256"}},
    "no algorithm": {"header": {"alg": "none"}},
    "the wrong algorithm": {"header": {"alg": "ES384"}},
}


@pytest.mark.parametrize("changes", BAD_PROOFS.values(), ids=BAD_PROOFS)
async def test_a_bad_proof_is_refused(sandbox, changes):
    """The error is invalid_dpop_proof, whatever is wrong."""
    members, nonce = await post(sandbox, prove(url_of(sandbox), **changes))

    assert members["error"] == "invalid_dpop_proof"
    assert nonce is None


@pytest.mark.parametrize("proof", ["", "x", "a.b.c", "x" * 5000, "e30.e30.e30"])
async def test_what_is_no_proof_is_refused(sandbox, proof):
    """Anything that is no JWT is refused like a bad one."""
    assert (await post(sandbox, proof))[0]["error"] == "invalid_dpop_proof"


async def test_two_proofs_are_refused(sandbox):
    """There must be one header (RFC 9449 §4.3)."""
    proofs = [prove(url_of(sandbox)) for _ in range(2)]

    assert (await post(sandbox, *proofs))[0]["error"] == "invalid_dpop_proof"


async def test_a_proof_counts_once(sandbox):
    """A replayed ``jti`` is refused."""
    proof = prove(url_of(sandbox))
    first, second = [(await post(sandbox, proof))[0] for _ in range(2)]

    assert "access_token" in first
    assert "replay" in second["error_description"]


async def test_an_rsa_key_proves_too(sandbox):
    """PS256 is among the algorithms that the metadata names."""
    proof = prove(url_of(sandbox), key=RSA, header={"alg": "PS256"}, signer="PS256")
    async with aiohttp.ClientSession() as session:
        metadata = f"{sandbox.identity_url}/.well-known/openid-configuration"
        async with session.get(metadata) as response:
            supported = (await response.json())["dpop_signing_alg_values_supported"]

    assert (await post(sandbox, proof))[0]["token_type"] == "DPoP"
    assert {"ES256", "PS256", "EdDSA"} <= set(supported)


async def test_an_api_accepts_a_bound_token_with_its_proof_alone(sandbox):
    """As a bearer token, without a proof, with a wrong hash or another key it is refused."""
    members, _ = await post(sandbox, prove(url_of(sandbox)))
    token = members["access_token"]
    url = f"{sandbox.banking_url}api/v3/accounts/42"
    ath = encode(hashlib.sha256(token.encode()).digest())

    assert await get(sandbox, f"dpop {token}", prove(url, "GET", ath=ath)) == (200, None)
    for authorization, proofs, says in (
        (f"Bearer {token}", [], "bound to a key"),
        (f"Bearer {token}", [prove(url, "GET", ath=ath)], "bound to a key"),
        (f"DPoP {token}", [], "invalid_dpop_proof"),
        (f"DPoP {token}", [prove(url, "GET", ath="x")], "'ath'"),
        (f"DPoP {token}", [prove(url, "GET")], "'ath'"),
        (f"DPoP {token}", [prove(url, "GET", key=OTHER, ath=ath)], "bound to another key"),
        ("DPoP x", [prove(url, "GET", ath=encode(hashlib.sha256(b"x").digest()))], "invalid_token"),
    ):
        status, challenge = await get(sandbox, authorization, *proofs)
        assert status == 401
        assert says in challenge


async def test_a_bearer_token_is_no_bound_one(sandbox):
    """A proof does not make it one."""
    token = (await post(sandbox))[0]["access_token"]
    url = f"{sandbox.banking_url}api/v3/accounts/42"
    proof = prove(url, "GET", ath=encode(hashlib.sha256(token.encode()).digest()))
    status, challenge = await get(sandbox, f"DPoP {token}", proof)

    assert status == 401
    assert "invalid_token" in challenge


async def test_only_the_newest_nonce_may_count_and_once(sandbox):
    """Each response voids what was given before it."""
    sandbox.faults.require_dpop_nonces(only_newest=True)
    _, first = await post(sandbox, prove(url_of(sandbox)))
    _, second = await post(sandbox, prove(url_of(sandbox)))
    stale, third = await post(sandbox, prove(url_of(sandbox), nonce=first))
    good, _ = await post(sandbox, prove(url_of(sandbox), nonce=third))
    again, _ = await post(sandbox, prove(url_of(sandbox), nonce=third))

    assert len({first, second, third}) == 3
    assert stale["error"] == again["error"] == "use_dpop_nonce"
    assert good["token_type"] == "DPoP"


async def test_nonces_are_demanded_and_replaced(sandbox):
    """A nonce counts until its successor is replaced, and every response carries the newest."""
    sandbox.faults.require_dpop_nonces(uses=1)
    refused, first = await post(sandbox, prove(url_of(sandbox)))
    members, second = await post(sandbox, prove(url_of(sandbox), nonce=first))
    older, third = await post(sandbox, prove(url_of(sandbox), nonce=first))
    stale, _ = await post(sandbox, prove(url_of(sandbox), nonce=first))
    sandbox.faults.require_dpop_nonces(is_on=False)
    without, nonce = await post(sandbox, prove(url_of(sandbox)))

    assert refused["error"] == stale["error"] == "use_dpop_nonce"
    assert {members["token_type"], older["token_type"], without["token_type"]} == {"DPoP"}
    assert len({first, second, third}) == 3
    assert nonce is None


async def test_an_old_server_ignores_a_proof():
    """IdentityServer 4 knows no DPoP, and neither does its metadata."""
    async with Sandbox() as sandbox:
        members, _ = await post(sandbox, "anything")

    assert members["token_type"] == "Bearer"


async def test_a_client_may_have_to_prove_a_key(sandbox):
    """Its token requests without a proof are refused."""
    sandbox.add_client(attrs.evolve(sandbox.client, requires_dpop=True))

    assert (await post(sandbox))[0]["error"] == "invalid_request"
    assert "access_token" in (await post(sandbox, prove(url_of(sandbox))))[0]


def test_faults_of_proofs_name_their_place():
    """Only the token endpoint and the APIs have nonces, and two errors refuse a proof."""
    faults = Sandbox().faults
    with pytest.raises(ConfigurationError, match="where must be one of token, api"):
        faults.require_dpop_nonces(where="jwks")
    with pytest.raises(ConfigurationError, match="error must be one of use_dpop_nonce"):
        faults.refuse_proof_next("invalid_token")


async def test_a_repeated_token_is_that_of_its_key(sandbox):
    """A server that repeats access tokens repeats none to another key."""
    sandbox.issuer.repeats_access_tokens = True
    found = [
        (await post(sandbox, prove(url_of(sandbox), key=key)))[0]["access_token"]
        for key in (KEY, OTHER, KEY)
    ]

    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize(
    ("key", "dpop_jkt", "error"),
    [
        (KEY, None, None),
        (KEY, KEY.thumbprint(), None),
        (OTHER, KEY.thumbprint(), "invalid_dpop_proof"),
        (None, KEY.thumbprint(), None),
    ],
    ids=["proof", "both", "contradiction", "thumbprint"],
)
async def test_a_pushed_request_names_one_key(sandbox, key, dpop_jkt, error):
    """The key of a proof is the one that the code is bound to (RFC 9449 §10.1)."""
    form = {**WEB, "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid"}
    form |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    form |= {} if dpop_jkt is None else {"dpop_jkt": dpop_jkt}
    headers = {} if key is None else {"DPoP": prove(f"{sandbox.identity_url}/connect/par", key=key)}
    _, pushed, _ = await post_form(sandbox, "/connect/par", form, headers=headers)

    assert pushed.get("error") == error
    if error is not None:
        return
    sandbox.sign_in_automatically("alice")
    query = {"client_id": "sandbox-web", "request_uri": pushed["request_uri"]}
    path = f"/connect/authorize?{urlencode(query)}"
    _, _, found = await get_page(sandbox, path, allow_redirects=False)
    code = dict(parse_qsl(urlsplit(found["Location"]).query))["code"]

    assert (await redeem(sandbox, code))[1]["error"] == "invalid_dpop_proof"

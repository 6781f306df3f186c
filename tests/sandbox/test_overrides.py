"""ResponseOverrides: what the sandbox says instead of the truth."""

import hmac
import json
from base64 import urlsafe_b64decode

import pytest
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox.identity.keys import DECOY, signing_key
from support.sandbox_wire import get, read_jwt, sign_in, tokens_of

pytestmark = pytest.mark.usefixtures("no_leftovers")

DISCOVERY = "/.well-known/openid-configuration"


async def test_without_overrides_the_truth_is_told(sandbox):
    """A sandbox tells the truth before an override and after its removal."""
    sandbox.overrides.id_token["iss"] = "https://evil.example"
    sandbox.overrides.id_token.clear()

    assert read_jwt((await tokens_of(sandbox))["id_token"])[1]["iss"] == sandbox.identity_url


async def test_metadata_can_be_overridden(sandbox):
    """The metadata can name another issuer and lack an endpoint."""
    sandbox.overrides.metadata |= {"issuer": "https://evil.example", "token_endpoint": None}
    _, metadata, _ = await get(sandbox, DISCOVERY)

    assert metadata["issuer"] == "https://evil.example"
    assert "token_endpoint" not in metadata


@pytest.mark.parametrize("sandbox", ["is4", "duende-8"], indirect=True)
async def test_authorization_responses_can_be_overridden(sandbox):
    """An authorization response can have another state, another or a new iss, and no code."""
    sandbox.overrides.authorization_response |= {
        "state": "other",
        "iss": "https://evil.example",
        "code": None,
    }
    answer = await sign_in(sandbox)

    assert (answer["state"], answer["iss"]) == ("other", "https://evil.example")
    assert "code" not in answer


async def test_token_responses_can_be_overridden(sandbox):
    """A token response can have another type, other lifetimes and no scope."""
    sandbox.overrides.token_response |= {"token_type": "mac", "expires_in": "86400", "scope": None}
    answer = await tokens_of(sandbox)

    assert (answer["token_type"], answer["expires_in"]) == ("mac", "86400")
    assert "scope" not in answer


async def test_claims_and_headers_can_be_overridden(sandbox):
    """Claims of each kind of token, and header members, can be replaced."""
    sandbox.overrides.id_token |= {"aud": ["other"], "nonce": None}
    sandbox.overrides.access_token |= {"scope": "api"}
    sandbox.overrides.header |= {"kid": None, "typ": "at+jwt"}
    answer = await tokens_of(sandbox)
    header, claims = read_jwt(answer["id_token"])
    told = read_jwt(answer["access_token"])[1]

    assert (header.get("kid"), header["typ"]) == (None, "at+jwt")
    assert (claims["aud"], "nonce" in claims) == (["other"], False)
    assert told["scope"] == "api"
    assert sandbox.issuer.validate(answer["access_token"]).scope == ("openid", "api")


async def test_logout_tokens_can_be_overridden(sandbox):
    """Claims of logout tokens can be replaced."""
    sandbox.overrides.logout_token |= {"events": None, "nonce": "n"}
    text = sandbox.issuer.issue_logout_token(sandbox.identity_url, "c", "s", None)
    claims = read_jwt(text)[1]

    assert "events" not in claims
    assert "sid" not in claims
    assert claims["nonce"] == "n"


async def test_userinfo_can_be_overridden(sandbox):
    """UserInfo can be about another end-user, and lack a claim."""
    token = (await tokens_of(sandbox, scope="openid profile"))["access_token"]
    sandbox.overrides.userinfo |= {"sub": "user-bob", "name": None}
    headers = {"Authorization": f"Bearer {token}"}
    _, told, _ = await get(sandbox, "/connect/userinfo", headers=headers)

    assert told == {"sub": "user-bob", "preferred_username": "alice"}


@pytest.mark.parametrize("signature", ["none", "foreign", "HS256", "alternate"])
async def test_signatures_can_be_bad(sandbox, signature):
    """ID tokens can have a wrong signature under a valid header; access tokens keep theirs."""
    sandbox.overrides.signature = signature
    answer = await tokens_of(sandbox)
    keys = KeySet.import_key_set((await get(sandbox, f"{DISCOVERY}/jwks"))[1])
    header = read_jwt(answer["id_token"])[0]
    text = answer["id_token"]

    jwt.decode(answer["access_token"], keys, algorithms=["RS256"])
    with pytest.raises(JoseError):
        jwt.decode(text, keys, algorithms=["RS256"])
    assert header["kid"] == sandbox.issuer.keys[0].kid
    if signature == "none":
        assert header["alg"] == "none"
        assert text.endswith(".")
    elif signature == "alternate":
        assert header["alg"] == "PS256"
        jws.deserialize_compact(text, RSAKey.import_key(signing_key(0).private), ["PS256"])
    elif signature == "foreign":
        assert header["alg"] == "RS256"
        jws.deserialize_compact(text, RSAKey.import_key(signing_key(DECOY).private), ["RS256"])
    else:
        signed, _, proof = text.rpartition(".")
        secret = json.dumps(sandbox.issuer.keys[0].public).encode()
        assert header["alg"] == "HS256"
        assert urlsafe_b64decode(proof + "=") == hmac.digest(secret, signed.encode(), "sha256")


def test_signatures_have_names(sandbox):
    """An unknown signature is an error and not a silent no-op."""
    with pytest.raises(ConfigurationError, match="good, none, foreign, alternate, HS256"):
        sandbox.overrides.signature = "bad"


async def test_decoys_come_first_and_the_good_key_is_there(sandbox):
    """Five decoys share the valid key's id, and none its type, algorithm and use together."""
    sandbox.faults.publish_decoys()
    *decoys, good = (await get(sandbox, f"{DISCOVERY}/jwks"))[1]["keys"]
    whole = [key for key in decoys if {"n", "e"} <= key.keys()]

    assert good == sandbox.issuer.keys[0].public
    assert len(decoys) == 5
    assert {key["kid"] for key in decoys} == {good["kid"]}
    assert all(key["n"] != good["n"] for key in whole)
    assert ("RSA", "sig", "RS256") not in {(k["kty"], k["use"], k["alg"]) for k in whole}

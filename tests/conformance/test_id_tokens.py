"""
The OpenID Foundation's client modules about ID tokens, by their names.

Each runs in every flow of its plans; one flow of each plan responds by form_post.
"""

import pytest
from joserfc.jwk import ECKey

import aritma_auth as aa
from support.clock import FakeClock
from support.flows import CODE, EVERY, HYBRID, IMPLICIT, failures
from support.journeys import client_of
from support.signing import sign

pytestmark = pytest.mark.usefixtures("no_leftovers")

WITH_C_HASH = [flow for flow in HYBRID if "id_token" in flow.response_type]
WITH_AT_HASH = [flow for flow in IMPLICIT + HYBRID if "id_token token" in flow.response_type]

REFUSED = {
    "oidcc-client-test-invalid-aud": (EVERY, {"id_token": {"aud": "another"}}, "aud"),
    "oidcc-client-test-invalid-iss": (EVERY, {"id_token": {"iss": "https://x.example"}}, "iss"),
    "oidcc-client-test-missing-aud": (EVERY, {"id_token": {"aud": None}}, "aud"),
    "oidcc-client-test-missing-iat": (EVERY, {"id_token": {"iat": None}}, "iat"),
    "oidcc-client-test-missing-sub": (EVERY, {"id_token": {"sub": None}}, "sub"),
    "oidcc-client-test-nonce-invalid": (EVERY, {"id_token": {"nonce": "another"}}, "nonce"),
    "oidcc-client-test-invalid-athash": (WITH_AT_HASH, {"id_token": {"at_hash": "x"}}, "at_hash"),
    "oidcc-client-test-missing-athash": (WITH_AT_HASH, {"id_token": {"at_hash": None}}, "at_hash"),
    "oidcc-client-test-invalid-chash": (WITH_C_HASH, {"id_token": {"c_hash": "x"}}, "c_hash"),
    "oidcc-client-test-missing-chash": (WITH_C_HASH, {"id_token": {"c_hash": None}}, "c_hash"),
    # The suite passes clients that take "none" from the token endpoint, too. This one does not.
    "oidcc-client-test-idtoken-sig-none": (EVERY, {"signature": "none"}, None),
    "oidcc-client-test-invalid-sig-rs256": (EVERY, {"signature": "foreign"}, None),
    "oidcc-client-test-invalid-sig-hs256": (EVERY, {"signature": "HS256"}, None),
    "fapi1-advanced-final-client-test-iat-is-week-in-past": (
        EVERY,
        {"id_token": {"iat": 1_000_000_000}},
        "iat",
    ),
    "fapi1-advanced-final-client-test-invalid-shash": (
        WITH_C_HASH,
        {"id_token": {"s_hash": "x"}},
        "s_hash",
    ),
    "fapi1-advanced-final-client-test-invalid-expired-exp": (
        CODE,
        {"id_token": {"exp": 1_000_000_000}},
        "exp",
    ),
    "fapi1-advanced-final-client-test-invalid-aud": (
        CODE,
        {"id_token": {"aud": ["another"]}},
        "aud",
    ),
    "fapi1-advanced-final-client-test-invalid-iss": (
        CODE,
        {"id_token": {"iss": "https://x.example"}},
        "iss",
    ),
    "fapi1-advanced-final-client-test-invalid-nonce": (
        CODE,
        {"id_token": {"nonce": "another"}},
        "nonce",
    ),
    "fapi1-advanced-final-client-test-invalid-null-alg": (
        CODE,
        {"signature": "none"},
        None,
    ),
    "fapi1-advanced-final-client-test-invalid-secondary-aud": (
        CODE,
        {"id_token": {"aud": ["sandbox-web", "another"]}},
        "aud",
    ),
    "fapi1-advanced-final-client-test-invalid-missing-aud": (
        CODE,
        {"id_token": {"aud": None}},
        "aud",
    ),
    "fapi1-advanced-final-client-test-invalid-missing-exp": (
        CODE,
        {"id_token": {"exp": None}},
        "exp",
    ),
    "fapi1-advanced-final-client-test-invalid-missing-iss": (
        CODE,
        {"id_token": {"iss": None}},
        "iss",
    ),
    "fapi1-advanced-final-client-test-invalid-missing-nonce": (
        CODE,
        {"id_token": {"nonce": None}},
        "nonce",
    ),
}


@pytest.mark.parametrize("module", REFUSED)
async def test_a_fault_ends_the_sign_in(sandbox, overrides, module):
    """The error names the claim at fault and never shows the token, in every flow."""
    flows, said, claim = REFUSED[module]
    for name, value in said.items():
        setattr(overrides, name, value)
    heard = await failures(sandbox, flows)

    refusals = set(map(type, heard.values()))
    # An iss in the authorization response is compared as the response's own (RFC 9207 §2.4).
    assert refusals <= {aa.IdTokenError} | ({aa.IssuerMismatchError} if claim == "iss" else set())
    assert {getattr(error, "claim", "iss") for error in heard.values()} == {claim}
    assert "eyJ" not in "".join(map(str, heard.values()))


ACCEPTED = {
    "oidcc-client-test": (EVERY, {}),
    "oidcc-client-test-idtoken-sig-rs256": (EVERY, {}),
    "oidcc-client-test-kid-absent-single-jwks": (EVERY, {"header": {"kid": None}}),
    "fapi1-advanced-final-client-test-missing-athash": (CODE, {"id_token": {"at_hash": None}}),
    "fapi1-advanced-final-client-test-valid-aud-as-array": (
        CODE,
        {"id_token": {"aud": ["sandbox-web"]}},
    ),
}


@pytest.mark.parametrize("module", ACCEPTED)
async def test_what_is_allowed_is_accepted(sandbox, overrides, module):
    """What the specification allows is accepted in every flow."""
    flows, said = ACCEPTED[module]
    for name, value in said.items():
        setattr(overrides, name, value)

    assert await failures(sandbox, flows) == dict.fromkeys(flows)


@pytest.mark.parametrize("module", ["oidcc-client-test-kid-absent-multiple-jwks"])
async def test_without_kid_every_key_that_fits_is_tried(sandbox, overrides, module):
    """The good key is found behind keys with its id, of another kind, or malformed."""
    sandbox.issuer.roll_keys()
    sandbox.faults.publish_decoys()
    overrides.header = {"kid": None}

    assert await failures(sandbox, EVERY) == dict.fromkeys(EVERY)


@pytest.mark.parametrize("module", ["oidcc-client-test-nonce-unless-code-flow"])
async def test_a_nonce_goes_along_with_openid(sandbox, module):
    """Every flow sends a nonce of 256 random bits, a new one each time."""
    nonces = set()
    for flow in EVERY:
        request = await client_of(sandbox, flow.client_id).begin_sign_in(
            "http://127.0.0.1/callback", response_type=flow.response_type
        )
        nonces.add(request.nonce.text)

    assert len(nonces) == len(EVERY)
    assert min(map(len, nonces)) >= 43


@pytest.mark.parametrize("module", ["fapi1-advanced-final-client-test-invalid-alternate-alg"])
async def test_an_algorithm_that_was_not_agreed_on_is_refused(sandbox, module):
    """A client that expects PS256 refuses an ID token signed with RS256."""
    heard = await failures(sandbox, EVERY, id_token_algorithms=["PS256"])

    assert {type(error) for error in heard.values()} == {aa.IdTokenError}


@pytest.mark.parametrize("module", ["oidcc-client-test-invalid-sig-es256"])
async def test_a_signature_on_a_curve_is_checked_too(sandbox, module):
    """An elliptic-curve signature by another key under the same id is refused."""
    signer, other = (ECKey.generate_key("P-256", auto_kid=False) for _ in range(2))
    client = client_of(sandbox, clock=FakeClock())
    claims = {
        "iss": sandbox.identity_url,
        "sub": "alice",
        "aud": "sandbox-web",
        "iat": 1_700_000_000,
        "exp": 1_700_000_300,
    }
    token = sign(claims, signer, alg="ES256")
    public = {"kid": "k1", "use": "sig", "alg": "ES256"}
    good = [signer.as_dict(private=False) | public]

    assert await client.verify_id_token(token, nonce=None, keys=good)
    with pytest.raises(aa.IdTokenError):
        await client.verify_id_token(
            token, nonce=None, keys=[other.as_dict(private=False) | public]
        )


async def test_the_leeway_is_the_clients(sandbox, overrides):
    """An ID token that is a minute too old is accepted or refused by the client's own leeway."""
    overrides.id_token = {"exp": int(sandbox.clock.time()) - 60}

    assert set(map(type, (await failures(sandbox, EVERY)).values())) == {aa.IdTokenError}
    assert await failures(sandbox, EVERY, leeway=120) == dict.fromkeys(EVERY)

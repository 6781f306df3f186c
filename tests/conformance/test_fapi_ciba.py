"""The OpenID Foundation's client modules of FAPI-CIBA, by their names, with the FAPI 2.0 profile."""

import json

import attrs
import pytest
from aiohttp import web

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox
from support.deciding import Deciding
from support.fapi import fapi_client, register
from support.loopback import serving

pytestmark = pytest.mark.usefixtures("no_leftovers")

CIBA = "urn:openid:params:grant-type:ciba"
SCOPE = "openid offline_access bankservice"


@pytest.fixture
async def sandbox():
    async with Sandbox(server_version="fapi") as sandbox:
        sandbox.clock.freeze()
        register(sandbox, grant_types=(CIBA, "refresh_token"))
        yield sandbox


async def sign_in(sandbox, clock=None, expected_claims=(), **settings):
    """Sign alice in; give the client and the sign-in."""
    client = fapi_client(sandbox, clock=clock or Deciding(sandbox), **settings)
    asked = await client.begin_backchannel_sign_in(
        SCOPE, login_hint="alice", expected_claims=dict(expected_claims)
    )
    return client, await client.complete_backchannel_sign_in(asked)


@pytest.mark.parametrize(
    "module",
    [
        "fapi-ciba-id1-client-test",
        # No aliases are published here (RFC 8705 §5).
        "fapi-ciba-id1-client-test-happy-path-no-mtls-endpoint-aliases",
    ],
)
@pytest.mark.parametrize("profile", [aa.FAPI2, aa.FAPI2_MESSAGE_SIGNING], ids=["plain", "signed"])
async def test_the_whole_way(sandbox, module, profile):
    """The end-user agrees while the client polls, and the tokens are bound."""
    client, done = await sign_in(sandbox, profile=profile)

    assert done.subject == "user-alice"
    assert (await client.fetch_userinfo(done.token))["sub"] == "user-alice"


ID_TOKENS = {
    "fapi-ciba-id1-client-invalid-alternate-alg-test": {"signature": "alternate"},
    "fapi-ciba-id1-client-invalid-aud-test": {"id_token": {"aud": "another"}},
    "fapi-ciba-id1-client-invalid-expired-exp-test": {"id_token": {"exp": 10**9}},
    "fapi-ciba-id1-client-invalid-iat-is-week-in-past-test": {"id_token": {"iat": 10**9}},
    "fapi-ciba-id1-client-invalid-iss-test": {"id_token": {"iss": "https://another.example"}},
    "fapi-ciba-id1-client-invalid-missing-aud-test": {"id_token": {"aud": None}},
    "fapi-ciba-id1-client-invalid-missing-exp-test": {"id_token": {"exp": None}},
    "fapi-ciba-id1-client-invalid-missing-iss-test": {"id_token": {"iss": None}},
    "fapi-ciba-id1-client-invalid-null-alg-test": {"signature": "none"},
    "fapi-ciba-id1-client-invalid-secondary-aud-test": {
        "id_token": {"aud": ["fapi-app", "another"]}
    },
    "fapi-ciba-id1-client-invalid-signature-test": {"signature": "foreign"},
}


@pytest.mark.parametrize("module", ID_TOKENS)
async def test_a_fault_of_the_id_token_ends_the_sign_in(sandbox, module):
    """The ID token is refused, and nothing more is called."""
    for name, value in ID_TOKENS[module].items():
        setattr(sandbox.overrides, name, value)
    with pytest.raises(aa.IdTokenError):
        await sign_in(sandbox)

    assert sandbox.requests_at("userinfo") == 0


VERIFIED = {"verified_claims": {"verification": {"trust_framework": "au_connectid"}, "claims": {}}}
CONNECT_ID = {
    "fapi-ciba-id1-client-connectid-invalid-missing-trust-framework-test": {
        "txn": "a-transaction",
        "verified_claims": {"verification": {}, "claims": {}},
    },
    "fapi-ciba-id1-client-connectid-invalid-missing-txn-test": VERIFIED,
    "fapi-ciba-id1-client-connectid-invalid-wrong-trust-framework-test": {
        "txn": "a-transaction",
        "verified_claims": {"verification": {"trust_framework": "another"}, "claims": {}},
    },
}


@pytest.mark.parametrize("module", CONNECT_ID)
async def test_a_claim_that_connect_id_demands_must_be_there(sandbox, module):
    """Each is refused where it is missing or another, and with all of them the sign-in ends well."""
    expected = {
        "txn": None,
        "verified_claims": {"verification": {"trust_framework": "au_connectid"}},
    }
    sandbox.overrides.id_token = CONNECT_ID[module]
    with pytest.raises(aa.IdTokenError) as told:
        await sign_in(sandbox, expected_claims=expected)
    assert told.value.claim == ("txn" if "txn" in module else "verified_claims")
    assert sandbox.requests_at("userinfo") == 0
    sandbox.overrides.id_token = {"txn": "a-transaction", **VERIFIED}

    assert (await sign_in(sandbox, expected_claims=expected))[1].subject == "user-alice"


ACCEPTED = {
    "fapi-ciba-id1-client-valid-aud-as-array-test": {"id_token": {"aud": ["fapi-app"]}},
    "fapi-ciba-id1-client-no-scope-in-token-endpoint-response-test": {
        "token_response": {"scope": None}
    },
}


@pytest.mark.parametrize("module", ACCEPTED)
async def test_what_is_allowed_is_accepted(sandbox, module):
    """A list of one audience, and a response without scope."""
    for name, value in ACCEPTED[module].items():
        setattr(sandbox.overrides, name, value)

    assert (await sign_in(sandbox))[1].subject == "user-alice"


RESPONSES = {
    "fapi-ciba-id1-client-invalid-missing-authreqid-test": {"expires_in": 60},
    "fapi-ciba-id1-client-invalid-missing-expiresin-test": {"auth_req_id": "an-identifier"},
}


@pytest.mark.parametrize("module", RESPONSES)
async def test_a_response_without_what_is_needed_is_unusable(sandbox, module):
    """The response is refused at once, and no token is asked for."""
    sandbox.faults.respond_next(json.dumps(RESPONSES[module]).encode(), where="ciba")
    with pytest.raises(aa.InvalidResponseError):
        await sign_in(sandbox)

    assert sandbox.token_requests == []


REFUSALS = {
    "fapi-ciba-id1-client-invalid-expired-id-token-hint-test": "invalid_request",
    "fapi-ciba-id1-client-invalid-id-token-hint-test": "invalid_request",
    "fapi-ciba-id1-client-invalid-unknown-user-id-test": "unknown_user_id",
}


@pytest.mark.parametrize("module", REFUSALS)
async def test_a_refused_request_is_not_polled(sandbox, module):
    """The server's error is raised at once."""
    body = json.dumps({"error": REFUSALS[module]}).encode()
    sandbox.faults.respond_next(body, status=400, where="ciba")
    with pytest.raises(aa.OAuthError) as told:
        await sign_in(sandbox)

    assert told.value.error == REFUSALS[module]
    assert sandbox.token_requests == []


ENDINGS = {
    "fapi-ciba-id1-client-invalid-access-denied-test": ("access_denied", aa.AccessDeniedError),
    "fapi-ciba-id1-client-invalid-expired-token-test": ("expired_token", aa.ExpiredTokenError),
    "fapi-ciba-id1-client-invalid-request-test": ("invalid_request", aa.OAuthError),
}


@pytest.mark.parametrize("module", ENDINGS)
async def test_a_final_error_ends_the_polling(sandbox, module):
    """One token request, and no other after it."""
    error, kind = ENDINGS[module]
    body = json.dumps({"error": error}).encode()
    sandbox.faults.respond_next(body, status=400, where="token")
    with pytest.raises(kind):
        await sign_in(sandbox, Deciding(sandbox, after=0))

    assert sandbox.requests_at("token") == 1


@pytest.mark.parametrize("module", ["fapi-ciba-id1-client-respects-interval-test"])
async def test_the_interval_is_the_servers(sandbox, module):
    """31 seconds are kept, although an interval is usually shorter."""
    sandbox.backchannel_requests.interval = 31
    clock = Deciding(sandbox)
    await sign_in(sandbox, clock)

    assert clock.slept == [31.0, 31.0]


@pytest.mark.parametrize("module", ["fapi-ciba-id1-client-slow-down-test"])
async def test_slow_down_is_obeyed_for_good(sandbox, module):
    """Five seconds more for each further poll (CIBA Core 1.0 §11)."""
    clock = Deciding(sandbox, after=3)
    body = json.dumps({"error": "slow_down"}).encode()
    sandbox.faults.respond_next(body, status=400, where="token")
    await sign_in(sandbox, clock)

    assert clock.slept == [5.0, 10.0, 10.0]


@pytest.mark.parametrize("module", ["fapi-ciba-id1-client-refresh-token-test"])
async def test_a_refreshed_token_is_used(sandbox, module):
    """The sign-in goes on as one by browser does."""
    client, done = await sign_in(sandbox)
    async with aa.TokenProvider(
        client, aa.SignedInGrant("alice"), clock=sandbox.clock, on_event=None
    ) as tokens:
        await tokens.set_token(done.token)
        sandbox.clock.advance(3601)
        refreshed = await tokens.get_token()

    assert refreshed.access_token != done.token.access_token
    assert (await client.fetch_userinfo(refreshed))["sub"] == "user-alice"


@pytest.mark.parametrize("module", ["fapi-ciba-id1-client-ping-with-invalid-bearer-token-test"])
async def test_a_notification_with_another_secret_is_ignored(sandbox, module):
    """Another secret gets a 401 and starts nothing; the true notification still counts."""
    pending, heard = [], []

    async def receive(request):
        try:
            heard.append(
                aa.validate_backchannel_notification(
                    pending,
                    authorization=request.headers.get("Authorization"),
                    body=await request.read(),
                )
            )
        except aa.VerificationError:
            return web.Response(status=401)
        return web.Response(status=204)

    async with serving(receive) as url:
        known = sandbox.clients["fapi-app"]
        sandbox.add_client(attrs.evolve(known, backchannel_notification_uri=url))
        client = fapi_client(sandbox)
        for expected in (401, 204):
            asked = await client.begin_backchannel_sign_in(SCOPE, login_hint="alice", notify=True)
            other = aa.BackchannelAuthentication.from_json(
                asked.to_json().replace('"notification_token": "', '"notification_token": "x')
            )
            pending[:] = [other if expected == 401 else asked]
            assert await sandbox.decide_backchannel("alice") == expected

    assert heard == [asked]
    done = await client.complete_backchannel_sign_in(heard[0], is_notified=True)
    assert done.subject == "user-alice"

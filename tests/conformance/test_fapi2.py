"""
The OpenID Foundation's client modules of FAPI 2.0, Final, by their names.

Each runs in the Security Profile and in Message Signing, with every combination of client
authentication and sender constraint. After a fault the client calls nothing more.
"""

import json
import uuid
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import web

import aritma_auth as aa
from support.fapi import COMBINATIONS, fapi_server
from support.loopback import serving
from support.sandbox_wire import read_jwt

pytestmark = pytest.mark.usefixtures("no_leftovers")

PROFILES = {"plain_response": aa.FAPI2, "jarm": aa.FAPI2_MESSAGE_SIGNING}
SCOPE = "openid offline_access bankservice"


@pytest.fixture(params=COMBINATIONS)
async def server(request, tmp_path):
    """Start a server for one combination of client authentication and sender constraint."""
    async with fapi_server(request.param, tmp_path) as server:
        yield server


@pytest.fixture(params=PROFILES)
def profile(request):
    return PROFILES[request.param]


async def call_the_api(server, client, token):
    """Call a Banking API as a provider's middleware does; give the status."""
    async with aa.TokenProvider(
        client, aa.SignedInGrant("alice"), clock=server.sandbox.clock, on_event=None
    ) as tokens:
        await tokens.set_token(token)
        async with server.api_session(tokens) as bank:
            headers = {"x-fapi-interaction-id": str(uuid.uuid4())}
            async with bank.get("api/v3/accounts/42", headers=headers) as response:
                return response.status


async def refusal_of(server, client, **parameters):
    """Sign in; give the error, after which nothing else may have been called."""
    with pytest.raises(aa.AritmaAuthError) as told:
        await client.complete_sign_in(*await begin_at(server, client, **parameters))
    assert server.sandbox.requests_at("userinfo") == server.sandbox.requests_at("api") == 0
    return told.value


async def begin_at(server, client, scope=SCOPE, **parameters):
    request = await client.begin_sign_in("http://127.0.0.1/callback", scope, **parameters)
    return request, await server.visit(request)


@pytest.mark.parametrize(
    ("module", "requires_nonces"),
    [
        ("fapi2-security-profile-final-client-test-happy-path", True),
        ("fapi2-security-profile-final-client-test-happy-path-no-dpop-nonce", False),
    ],
)
async def test_the_whole_way_to_an_api(server, profile, module, requires_nonces):
    """Discovery, pushed request, code, token and API call succeed, with a new nonce each time or none."""
    if requires_nonces:
        for where in ("token", "api"):
            server.sandbox.faults.require_dpop_nonces(uses=1, where=where)
    client = server.client(profile)
    request, callback = await begin_at(server, client)
    done = await client.complete_sign_in(request, callback)
    query = dict(parse_qsl(urlsplit(request.url).query))

    assert query.keys() == {"client_id", "request_uri"}
    assert request.code_verifier is not None
    assert done.subject == "user-alice"
    assert server.is_bound(read_jwt(done.token.access_token)[1]["cnf"])
    assert await call_the_api(server, client, done.token) == 200


@pytest.mark.parametrize(
    "module", ["fapi2-security-profile-final-client-test-discovery-issuer-mismatch"]
)
async def test_another_issuers_metadata_ends_it(server, profile, module):
    """Metadata of another issuer stop the sign-in before a request is pushed."""
    server.sandbox.overrides.metadata = {"issuer": "https://another.example"}
    with pytest.raises(aa.IssuerMismatchError):
        await begin_at(server, server.client(profile))

    assert server.sandbox.requests_at("par") == server.sandbox.requests_at("authorize") == 0


@pytest.mark.parametrize(
    ("module", "aliases"),
    [
        ("fapi2-security-profile-final-client-test-happy-path", True),
        ("fapi2-security-profile-final-client-test-happy-path-no-mtls-endpoint-aliases", False),
    ],
)
async def test_the_endpoints_for_certificates_are_on_another_host(server, profile, module, aliases):
    """A client with a certificate uses the aliases, and without them the usual endpoints."""
    another = server.sandbox.identity_url.replace("127.0.0.1", "localhost")
    names = {"token_endpoint": "token", "pushed_authorization_request_endpoint": "par"}
    published = {name: f"{another}/connect/{path}" for name, path in names.items()}
    server.sandbox.overrides.metadata = {"mtls_endpoint_aliases": published if aliases else None}
    client = server.client(profile, endpoint_origins=[another])
    hosts = server.record_hosts(client)
    done = await client.complete_sign_in(*await begin_at(server, client))
    is_aliased = aliases and server.certificate is not None

    assert hosts == ["localhost" if is_aliased else "127.0.0.1"] * 2
    assert await call_the_api(server, client, done.token) == 200


ID_TOKENS = {
    "fapi2-security-profile-final-client-test-invalid-alternate-alg": {"signature": "alternate"},
    "fapi2-security-profile-final-client-test-invalid-aud": {"id_token": {"aud": "another"}},
    "fapi2-security-profile-final-client-test-invalid-expired-exp": {"id_token": {"exp": 10**9}},
    "fapi2-security-profile-final-client-test-invalid-iss": {
        "id_token": {"iss": "https://another.example"}
    },
    "fapi2-security-profile-final-client-test-invalid-missing-aud": {"id_token": {"aud": None}},
    "fapi2-security-profile-final-client-test-invalid-missing-exp": {"id_token": {"exp": None}},
    "fapi2-security-profile-final-client-test-invalid-missing-iss": {"id_token": {"iss": None}},
    "fapi2-security-profile-final-client-test-invalid-missing-nonce": {"id_token": {"nonce": None}},
    "fapi2-security-profile-final-client-test-invalid-nonce": {"id_token": {"nonce": "another"}},
    "fapi2-security-profile-final-client-test-invalid-null-alg": {"signature": "none"},
    "fapi2-security-profile-final-client-test-invalid-secondary-aud": {
        "id_token": {"aud": ["fapi-app", "another"]}
    },
}


@pytest.mark.parametrize("module", ID_TOKENS)
async def test_a_fault_of_the_id_token_ends_the_sign_in(server, profile, module):
    """The ID token is refused, and neither UserInfo nor an API is called."""
    for name, value in ID_TOKENS[module].items():
        setattr(server.sandbox.overrides, name, value)

    assert type(await refusal_of(server, server.client(profile))) is aa.IdTokenError


@pytest.mark.parametrize(
    "module", ["fapi2-security-profile-final-client-test-invalid-openbanking-intent-id"]
)
async def test_an_id_token_of_another_intent_ends_the_sign_in(server, profile, module):
    """The UK's profile asks for the intent as a claim; the ID token must bring the same one."""
    wanted = {"openbanking_intent_id": {"value": "intent-1", "essential": True}}
    parameters = {
        "extra": {"claims": json.dumps({"id_token": wanted})},
        "expected_claims": {"openbanking_intent_id": "intent-1"},
    }
    client = server.client(profile)
    # As the suite does: one character more.
    server.sandbox.overrides.id_token = {"openbanking_intent_id": "intent-11"}
    error = await refusal_of(server, client, **parameters)
    server.sandbox.overrides.id_token = {"openbanking_intent_id": "intent-1"}
    done = await client.complete_sign_in(*await begin_at(server, client, **parameters))

    assert error.claim == "openbanking_intent_id"
    assert done.subject == "user-alice"


@pytest.mark.parametrize("module", ["fapi2-security-profile-final-client-test-valid-aud-as-array"])
async def test_an_audience_may_be_an_array(server, profile, module):
    """A list with this client alone is this client."""
    server.sandbox.overrides.id_token = {"aud": ["fapi-app"]}
    client = server.client(profile)
    done = await client.complete_sign_in(*await begin_at(server, client))

    assert await call_the_api(server, client, done.token) == 200


@pytest.mark.parametrize(
    ("module", "issuer"),
    [
        (
            "fapi2-security-profile-final-client-test-invalid-authorization-response-iss",
            "https://another.example",
        ),
        ("fapi2-security-profile-final-client-test-remove-authorization-response-iss", None),
    ],
)
async def test_a_response_of_another_server_ends_the_sign_in(server, module, issuer):
    """The code is not exchanged (RFC 9207 §2.4); a signed response has modules of its own."""
    server.sandbox.overrides.authorization_response = {"iss": issuer}
    error = await refusal_of(server, server.client(aa.FAPI2))

    assert type(error) is aa.IssuerMismatchError
    assert server.sandbox.token_requests == []


@pytest.mark.parametrize(
    ("module", "state"),
    [
        (
            "fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-state-fails",
            "another",
        ),
        (
            "fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-missing-state-fails",
            None,
        ),
    ],
    ids=["invalid-state", "invalid-missing-state"],
)
async def test_a_response_to_another_sign_in_does_not_count(server, profile, module, state):
    """The state that was sent must come back."""
    server.sandbox.overrides.authorization_response = {"state": state}
    error = await refusal_of(server, server.client(profile))

    assert type(error) is aa.StateMismatchError
    assert server.sandbox.token_requests == []


@pytest.mark.parametrize(
    "module",
    [
        "fapi2-security-profile-final-client-test-token-endpoint-response-without-expires_in",
        "fapi2-security-profile-final-client-test-token-type-case-insensitivity",
    ],
)
async def test_a_bare_token_response_will_do(server, profile, module):
    """The lifetime may be absent, and the type is compared without case."""
    kind = server.token_type
    server.sandbox.overrides.token_response = (
        {"expires_in": None} if module.endswith("expires_in") else {"token_type": kind.swapcase()}
    )
    client = server.client(profile)
    done = await client.complete_sign_in(*await begin_at(server, client))

    assert done.token.token_type == kind
    assert await call_the_api(server, client, done.token) == 200


@pytest.mark.parametrize(
    "module", ["fapi2-security-profile-final-client-test-rs-dpop-auth-scheme-case-insensitivity"]
)
@pytest.mark.parametrize("scheme", ["dPoP", "DPOP", "dpop"])
async def test_an_apis_challenge_is_read_whatever_its_case(profile, tmp_path, module, scheme):
    """A nonce that an API demands is used at once (RFC 9449 §9)."""
    async with fapi_server("private_key_jwt + dpop", tmp_path) as server:
        client = server.client(profile)
        done = await client.complete_sign_in(*await begin_at(server, client))
        server.sandbox.faults.respond_next(
            b"",
            status=401,
            headers={
                "WWW-Authenticate": f'{scheme} error="use_dpop_nonce"',
                "DPoP-Nonce": "a-nonce-of-the-api",
            },
            where="api",
        )

        assert await call_the_api(server, client, done.token) == 200
        assert server.sandbox.requests_at("api") == 2


@pytest.mark.parametrize("module", ["fapi2-security-profile-final-client-refresh-token-test"])
async def test_a_refreshed_token_is_used(server, profile, module):
    """The refreshed token is bound as the first was, and the API takes it."""
    client = server.client(profile)
    done = await client.complete_sign_in(*await begin_at(server, client))
    async with aa.TokenProvider(
        client, aa.SignedInGrant("alice"), clock=server.sandbox.clock, on_event=None
    ) as tokens:
        await tokens.set_token(done.token)
        server.sandbox.clock.advance(3601)
        refreshed = await tokens.get_token()

    assert refreshed.access_token != done.token.access_token
    assert refreshed.token_type == server.token_type
    assert await call_the_api(server, client, refreshed) == 200


SIGNED_RESPONSES = {
    "fapi2-security-profile-final-client-test-ensure-jarm-signature-is-not-none": {
        "response_signature": "none"
    },
    "fapi2-security-profile-final-client-test-ensure-jarm-with-expired-exp-fails": {"exp": 10**9},
    "fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-aud-fails": {
        "aud": "another"
    },
    "fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-iss-fails": {
        "iss": "https://another.example"
    },
    "fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-sig-fails": {
        "response_signature": "foreign"
    },
    "fapi2-security-profile-final-client-test-ensure-jarm-without-aud-fails": {"aud": None},
    "fapi2-security-profile-final-client-test-ensure-jarm-without-exp-fails": {"exp": None},
    "fapi2-security-profile-final-client-test-ensure-jarm-without-iss-fails": {"iss": None},
}


@pytest.mark.parametrize("module", SIGNED_RESPONSES)
async def test_a_fault_of_the_signed_response_ends_the_sign_in(server, module):
    """The code in it is never exchanged."""
    fault = SIGNED_RESPONSES[module]
    if "response_signature" in fault:
        server.sandbox.overrides.response_signature = fault["response_signature"]
    else:
        server.sandbox.overrides.authorization_response = fault
    error = await refusal_of(server, server.client(aa.FAPI2_MESSAGE_SIGNING))

    assert isinstance(error, aa.VerificationError)
    assert server.sandbox.token_requests == []


@pytest.mark.parametrize(
    "module",
    [
        "fapi2-security-profile-final-client-test-grant-management-happy-path",
        "fapi2-security-profile-final-client-test-grant-management-query-and-revoke",
    ],
)
async def test_a_grant_is_created_queried_and_revoked(server, profile, module):
    """Its identifier comes with the token, and the bound token opens the grant's own endpoint."""
    server.sandbox.overrides.token_response = {"grant_id": "a-grant"}
    client, calls = server.client(profile), []
    seen = server.record_requests(client)
    parameters = {"extra": {"grant_management_action": "create"}}
    done = await client.complete_sign_in(*await begin_at(server, client, **parameters))

    async def manage(request):
        scheme = request.headers["Authorization"].partition(" ")[0]
        proof = request.headers.get("DPoP")
        target = read_jwt(proof)[1]["htu"] if proof else str(request.url)
        calls.append((request.method, scheme, target, await request.read()))
        return web.json_response({"scopes": []}) if request.method == "GET" else web.Response()

    async with serving(manage) as endpoint:
        async with aa.TokenProvider(
            client, aa.SignedInGrant("alice"), clock=server.sandbox.clock, on_event=None
        ) as tokens:
            await tokens.set_token(done.token)
            async with tokens.session(endpoint, origins=[endpoint]) as grants:
                identifier = done.token.extra["grant_id"]
                async with grants.get(f"grants/{identifier}"):
                    pass
                async with grants.delete(f"grants/{identifier}"):
                    pass
    pushed = seen[0][0]
    asked = read_jwt(pushed["request"])[1] if "request" in pushed else pushed

    assert asked["grant_management_action"] == "create"
    assert calls == [
        (method, server.token_type, f"{endpoint}/grants/a-grant", b"")
        for method in ("GET", "DELETE")
    ]


@pytest.mark.parametrize(
    "module", ["fapi2-security-profile-final-client-test-grant-management-invalid-grant-id-fails"]
)
async def test_a_grant_that_is_not_known_ends_the_sign_in(server, profile, module):
    """The refusal of the pushed request is raised, and no browser is sent anywhere."""
    body = json.dumps({"error": "invalid_grant_id"}).encode()
    server.sandbox.faults.respond_next(body, status=400, where="par")
    parameters = {"grant_management_action": "update", "grant_id": "another"}
    with pytest.raises(aa.OAuthError) as told:
        await begin_at(server, server.client(profile), extra=parameters)

    assert told.value.error == "invalid_grant_id"
    assert server.sandbox.requests_at("authorize") == server.sandbox.requests_at("token") == 0


async def test_decoys_in_the_key_set_are_passed_over(server, profile):
    """The suite publishes keys with the id of the valid one; FAPI 2.0 §5.4.3 tells them apart."""
    server.sandbox.faults.publish_decoys()
    client = server.client(profile)

    assert (await client.complete_sign_in(*await begin_at(server, client))).subject == "user-alice"


async def test_the_suites_checks_of_each_request_hold(server, profile):
    """Assertions and proofs name what they must, and no identifier comes twice."""
    client = server.client(profile)
    seen = server.record_requests(client)
    for _ in range(2):
        done = await client.complete_sign_in(*await begin_at(server, client))
        assert await call_the_api(server, client, done.token) == 200
    identifiers = []
    for form, headers in seen:
        if "client_assertion" in form:
            header, claims = read_jwt(form["client_assertion"])
            assert header["alg"] in {"PS256", "ES256", "EdDSA"}
            assert claims["iss"] == claims["sub"] == "fapi-app"
            assert claims["aud"] == server.sandbox.identity_url
            assert claims["exp"] - claims["iat"] <= 60
            identifiers.append(claims["jti"])
        if "DPoP" in headers:
            header, claims = read_jwt(headers["DPoP"])
            assert header["typ"] == "dpop+jwt"
            assert not {"d", "p", "q"} & header["jwk"].keys()
            assert "ath" not in claims
            identifiers.append(claims["jti"])
        if "request" in form:
            header, claims = read_jwt(form["request"])
            assert header["typ"] == "oauth-authz-req+jwt"
            assert claims["exp"] - claims["nbf"] <= 3600
            assert "request_uri" not in claims
            identifiers.append(claims["jti"])
        assert "request_uri" not in form

    assert len(identifiers) == len(set(identifiers))
    assert len(seen) == 4

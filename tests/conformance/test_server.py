"""The OpenID Foundation's client modules about the server: metadata, keys, tokens, UserInfo."""

import ssl
from urllib.parse import urlencode

import aiohttp
import attrs
import pytest

import aritma_auth as aa
from aritma_auth.network.transport import Transport
from support.flows import CODE, EVERY, HYBRID, IMPLICIT, ONE_OF_EACH, failures
from support.journeys import begin, client_of, sign_in

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
def discovered(sandbox):
    return aa.Environment.at(sandbox.identity_url, discover=True)


@pytest.mark.parametrize(
    "module",
    ["oidcc-client-test-discovery-openid-config", "oidcc-client-test-discovery-jwks-uri-keys"],
)
async def test_metadata_and_keys_are_read(sandbox, discovered, module):
    """A sign-in works with what the metadata and the keys say, and nothing else."""
    client = client_of(sandbox, environment=discovered)
    metadata, keys = await client.fetch_metadata(), await client.fetch_keys()

    assert metadata.issuer == sandbox.identity_url
    assert metadata.endpoints["jwks_uri"].startswith(sandbox.identity_url)
    assert [key["kid"] for key in keys] == [key.kid for key in sandbox.issuer.keys]
    assert await failures(sandbox, EVERY, environment=discovered) == dict.fromkeys(EVERY)


@pytest.mark.parametrize(
    "module",
    [
        "oidcc-client-test-discovery-issuer-mismatch",
        "fapi1-advanced-final-client-test-discovery-issuer-mismatch",
    ],
)
async def test_another_issuers_metadata_ends_it(sandbox, overrides, discovered, module):
    """Metadata of another issuer stops the sign-in before any redirect or token request."""
    overrides.metadata = {"issuer": f"{sandbox.identity_url}/"}
    heard = await failures(sandbox, EVERY, environment=discovered)

    assert {type(error) for error in heard.values()} == {aa.IssuerMismatchError}
    assert (sandbox.requests_at("authorize"), sandbox.token_requests) == (0, [])


@pytest.mark.parametrize("module", ["oidcc-client-test-signing-key-rotation"])
async def test_the_second_sign_ins_key_is_new(sandbox, module):
    """The client fetches the keys again when the server has replaced them."""
    for flow in ONE_OF_EACH:
        client = client_of(sandbox, flow.client_id)
        asked = {"response_type": flow.response_type, "response_mode": flow.response_mode}
        first = await sign_in(client, **asked)
        sandbox.issuer.roll_keys(keep_old=False)
        second = await sign_in(client, **asked)

        assert first.subject == second.subject == "user-alice"


@pytest.mark.parametrize("module", ["oidcc-client-test-signing-key-rotation-just-before-signing"])
async def test_the_key_changes_in_the_middle_of_a_sign_in(sandbox, module):
    """The client fetches the keys again when the server changes them during a sign-in."""
    for flow in ONE_OF_EACH:
        client = client_of(sandbox, flow.client_id)
        await client.fetch_keys()
        sandbox.issuer.roll_keys(at_next_id_token=True, keep_old=False)
        done = await sign_in(
            client, response_type=flow.response_type, response_mode=flow.response_mode
        )

        assert done.subject == "user-alice"


@pytest.mark.parametrize("module", ["oidcc-client-test-client-secret-basic"])
async def test_the_secret_goes_into_the_header(sandbox, module):
    """The flows with a code authenticate with client_secret_basic."""
    for flow in CODE + HYBRID:
        secret = aa.Secret(sandbox.clients[flow.client_id].client_secret)
        client = aa.OAuthClient(
            flow.client_id, aa.ClientSecretBasic(secret), environment=sandbox.environment
        )

        assert (await sign_in(client, response_type=flow.response_type)).subject == "user-alice"


@pytest.mark.parametrize("module", ["oidcc-client-test-mtls-endpoint-aliases"])
async def test_a_certificate_goes_to_the_alias(sandbox, overrides, discovered, monkeypatch, module):
    """A client certificate is sent to the mTLS alias, a secret to the usual endpoint."""
    alias = f"{sandbox.identity_url}/mtls/token"
    overrides.metadata = {"mtls_endpoint_aliases": {"token_endpoint": alias}}
    certified = aa.OAuthClient(
        "id", aa.TlsClientAuth(ssl.create_default_context()), environment=discovered
    )
    plain = aa.OAuthClient("id", "secret", environment=discovered)

    posted = []
    send = Transport.send

    async def send_gets(transport, request, **settings):
        if request.method == "GET":
            return await send(transport, request, **settings)
        posted.append(request.url)
        raise aa.TransportError("not sent")

    monkeypatch.setattr(Transport, "send", send_gets)
    for client in (certified, plain):
        with pytest.raises(aa.TransportError, match="not sent"):
            await client.fetch_token(aa.ClientCredentialsGrant())

    assert posted == [alias, f"{sandbox.identity_url}/connect/token"]


@pytest.mark.parametrize(
    "module",
    ["oidcc-client-test-scope-userinfo-claims", "oidcc-client-test-userinfo-bearer-header"],
)
async def test_claims_are_asked_for_by_scope(sandbox, module):
    """The UserInfo request carries the token in the header in every flow."""
    for flow in (
        CODE + HYBRID + [flow for flow in IMPLICIT if "token" in flow.response_type.split()]
    ):
        done = await flow.sign_in(sandbox, "openid profile")
        claims = await client_of(sandbox).fetch_userinfo(done.token, subject=done.subject)

        assert (claims["sub"], claims["name"]) == ("user-alice", "Alice Almås")
        assert "email" not in claims


@pytest.mark.parametrize("module", ["oidcc-client-test-userinfo-bearer-body"])
async def test_a_token_may_be_posted_to_userinfo(sandbox, module):
    """The token is sent as a form parameter and in no header, since the server refuses both at once."""
    for flow in ONE_OF_EACH:
        done = await flow.sign_in(sandbox, "openid profile")
        client = client_of(sandbox)
        claims = await client.fetch_userinfo(done.token, subject=done.subject, in_body=True)

        assert (claims["sub"], claims["name"]) == ("user-alice", "Alice Almås")


@pytest.mark.parametrize("module", ["oidcc-client-test-userinfo-invalid-sub"])
async def test_userinfo_about_another_end_user_is_refused(sandbox, overrides, module):
    """A UserInfo response about another subject is refused (token substitution)."""
    client = client_of(sandbox)
    done = await sign_in(client)
    for changed in ("user-mallory", None):
        overrides.userinfo = {"sub": changed}
        with pytest.raises(aa.VerificationError, match="another end-user"):
            await client.fetch_userinfo(done.token)


@pytest.mark.parametrize("module", ["oidcc-client-test-userinfo-signed"])
async def test_signed_claims_of_userinfo_are_verified(sandbox, overrides, module):
    """A signed UserInfo response is believed by the server's signature alone, and about the same subject."""
    for flow in ONE_OF_EACH:
        registered = sandbox.clients[flow.client_id]
        sandbox.add_client(attrs.evolve(registered, userinfo_is_signed=True))
        client = client_of(sandbox, flow.client_id)
        done = await sign_in(
            client, response_type=flow.response_type, response_mode=flow.response_mode
        )
        claims = await client.fetch_userinfo(done.token, subject=done.subject)
        assert (claims["sub"], claims["iss"]) == ("user-alice", sandbox.identity_url)

    overrides.signature = "foreign"
    with pytest.raises(aa.VerificationError, match="no key of the issuer"):
        await client.fetch_userinfo(done.token, subject=done.subject)
    overrides.signature = "good"
    overrides.userinfo = {"sub": "user-mallory"}
    with pytest.raises(aa.VerificationError, match="another end-user"):
        await client.fetch_userinfo(done.token, subject=done.subject)


@pytest.mark.parametrize("module", ["oidcc-client-test-form-post-error"])
async def test_an_error_comes_as_a_form_too(sandbox, module):
    """An error by form_post has the same type as one by redirect."""
    for flow in EVERY:
        sandbox.faults.deny_next("access_denied", "not today")
        with pytest.raises(aa.AccessDeniedError, match="not today"):
            await flow.sign_in(sandbox)


@pytest.mark.parametrize(
    "module",
    [
        "oidcc-client-test-refresh-token",
        "fapi1-advanced-final-client-refresh-token-test",
    ],
)
async def test_a_refreshed_token_is_used(sandbox, module):
    """The refreshed ID token is validated against the first one."""
    client = client_of(sandbox)
    done = await sign_in(client, "openid offline_access bankservice")
    clock = sandbox.clock
    async with aa.TokenProvider(
        client, aa.SignedInGrant("alice"), clock=clock, on_event=None
    ) as tokens:
        await tokens.set_token(done.token)
        sandbox.clock.advance(3601)
        refreshed = await tokens.get_token()

    assert refreshed.access_token != done.token.access_token
    assert refreshed.id_token != done.token.id_token
    assert (await client.fetch_userinfo(refreshed))["sub"] == "user-alice"


RENEWED_CLAIMS = {
    "oidcc-client-test-refresh-token-invalid-issuer": "iss",
    "oidcc-client-test-refresh-token-invalid-sub": "sub",
}


@pytest.mark.parametrize("module", RENEWED_CLAIMS)
async def test_a_refresh_about_another_end_user_is_refused(sandbox, overrides, module):
    """A refresh response about another subject is refused, and its tokens are not used."""
    client = client_of(sandbox)
    done = await sign_in(client, "openid offline_access bankservice")
    async with aa.TokenProvider(
        client, aa.SignedInGrant("alice"), clock=sandbox.clock, on_event=None
    ) as tokens:
        await tokens.set_token(done.token)
        overrides.id_token = {RENEWED_CLAIMS[module]: "https://another.example"}
        sandbox.clock.advance(3601)
        with pytest.raises(aa.IdTokenError) as caught:
            await tokens.get_token()

    assert caught.value.claim == RENEWED_CLAIMS[module]


WRONG_ANSWERS = {
    "another issuer": ({"iss": "https://another.example"}, aa.IssuerMismatchError),
    "no issuer": ({"iss": None}, aa.IssuerMismatchError),
    "another state": ({"state": "another"}, aa.StateMismatchError),
    "no state": ({"state": None}, aa.StateMismatchError),
}


@pytest.mark.parametrize("fault", WRONG_ANSWERS)
async def test_a_wrong_response_ends_the_sign_in(sandbox, overrides, discovered, fault):
    """A wrong authorization response is refused before the code is exchanged."""
    overrides.authorization_response, error = WRONG_ANSWERS[fault]
    heard = await failures(sandbox, CODE, environment=discovered)

    assert {type(each) for each in heard.values()} == {error}
    assert sandbox.token_requests == []


BARE_ANSWERS = {
    "fapi1-advanced-final-client-test-no-scope-in-token-endpoint-response": {"scope": None},
    "no expires_in": {"expires_in": None},
    "another case": {"token_type": "bEARER"},
}


@pytest.mark.parametrize("module", BARE_ANSWERS)
async def test_a_bare_token_response_will_do(sandbox, overrides, module):
    """A token response with the required members alone is accepted, and the token works at the API."""
    overrides.token_response = BARE_ANSWERS[module]
    client = client_of(sandbox)
    done = await sign_in(client)

    assert (await client.fetch_userinfo(done.token))["sub"] == "user-alice"
    assert done.token.token_type == "Bearer"


@pytest.mark.parametrize("module", ["oidcc-client-test-3rd-party-init-login"])
async def test_a_third_party_initiates_a_sign_in(sandbox, module):
    """Issuer and target of a third-party initiated login are validated before a sign-in begins."""
    client = client_of(sandbox)
    target = "https://app.example/orders"
    proposed = {"iss": sandbox.identity_url, "login_hint": "alice", "target_link_uri": target}
    initiation = aa.parse_login_initiation(
        f"https://app.example/start?{urlencode(proposed)}",
        issuers=sandbox.environment.issuers,
        target_origins=["https://app.example"],
    )
    request, callback = await begin(client, login_hint=initiation.login_hint)

    assert initiation.target_link_uri == target
    assert "login_hint=alice" in request.url
    assert (await client.complete_sign_in(request, callback)).subject == "user-alice"


@pytest.mark.parametrize("module", ["fapi1-advanced-final-client-test"])
async def test_the_whole_way_to_an_api(sandbox, discovered, module):
    """Discovery, sign-in, token and API call succeed without PAR and DPoP, which Aritma does not require."""
    environment = attrs.evolve(discovered, api_origins=[sandbox.banking_url], endpoint_origins=[])
    client = client_of(sandbox, environment=environment)
    done = await sign_in(client, "openid bankservice")
    async with aa.TokenProvider(client, aa.SignedInGrant("alice"), on_event=None) as tokens:
        await tokens.set_token(done.token)
        async with aiohttp.ClientSession(
            sandbox.banking_url, middlewares=[tokens.middleware()]
        ) as bank:
            async with bank.get("api/v3/accounts/42") as response:
                assert response.status == 200

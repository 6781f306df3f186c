"""Tests of introspection, revocation, delegation and token exchange."""

import attrs
import pytest
from joserfc.jwk import RSAKey

import aritma_auth as aa
from aritma_auth.sandbox import SandboxClient
from aritma_auth.sandbox.identity.keys import signing_key
from support.journeys import client_of, sign_in

pytestmark = pytest.mark.usefixtures("no_leftovers")

GRANT = aa.ClientCredentialsGrant(scope="bankservice")


async def test_a_server_says_what_a_token_is(sandbox):
    """The server describes a token to its client until the token expires."""
    client = client_of(sandbox, "sandbox-service")
    token = await client.fetch_token(GRANT)
    known = await client.introspect(token.access_token)
    sandbox.clock.advance(3600)
    late = await client.introspect(token.access_token)

    assert (known.active, known.scope, known.client_id) == (
        True,
        ("bankservice",),
        "sandbox-service",
    )
    assert known.expires_at == pytest.approx(token.expires_at, abs=2)
    assert (late.active, late.scope, late.expires_at) == (False, None, None)


async def test_an_api_may_ask_too(sandbox):
    """An API introspects with its own secret and sees its own scope; a wrong secret is refused."""
    token = await client_of(sandbox, "sandbox-service").fetch_token(
        aa.ClientCredentialsGrant(scope="bankservice api")
    )
    api = aa.OAuthClient("bankservice", "api-secret", environment=sandbox.environment)
    impostor = aa.OAuthClient("bankservice", "wrong", environment=sandbox.environment)

    assert (await api.introspect(token.access_token)).scope == ("bankservice",)
    with pytest.raises(aa.InvalidClientError):
        await impostor.introspect(token.access_token)


async def test_a_revoked_refresh_token_refreshes_nothing(sandbox):
    """The revocation of a whole token revokes its refresh token."""
    client = client_of(sandbox)
    token = (await sign_in(client, "openid offline_access bankservice")).token
    hinted = await client.introspect(token.refresh_token, token_type_hint="refresh_token")
    await client.revoke(token)

    assert (hinted.active, hinted.subject) == (True, "user-alice")
    assert not (await client.introspect(token.refresh_token)).active
    with pytest.raises(aa.InvalidGrantError):
        await client.fetch_token(aa.RefreshTokenGrant(token.refresh_token))


@pytest.mark.parametrize("token", ["unknown", aa.Token("unknown")])
async def test_revoking_an_unknown_token_succeeds(sandbox, token):
    """The server accepts the revocation of an unknown token (RFC 7009 §2.2)."""
    await client_of(sandbox).revoke(token)


async def test_a_revocation_that_was_not_processed_may_be_repeated(sandbox):
    """After a 503 the token still exists, and the client may try again (RFC 7009 §2.2.1)."""
    client = client_of(sandbox)
    sandbox.faults.fail_next(503, retry_after=5, where="revocation")
    with pytest.raises(aa.InvalidResponseError) as caught:
        await client.revoke("x")

    assert (caught.value.is_permanent, caught.value.retry_after) == (False, 5)


async def test_a_hint_that_a_server_does_not_know_is_refused_by_name(sandbox):
    """IdentityServer refuses an unknown hint with unsupported_token_type."""
    with pytest.raises(aa.OAuthError) as caught:
        await client_of(sandbox).revoke("x", token_type_hint="pat")

    assert caught.value.error == "unsupported_token_type"


async def test_what_is_sent_names_the_kind_of_token(http_mock):
    """The hint is access_token without a refresh token, and is left out for plain text."""
    http_mock.post("https://id.aritma.io/connect/revocation", repeat=True)
    client = aa.OAuthClient("id", "secret")
    for token in (aa.Token("a"), aa.Token("a", refresh_token="r"), "text"):
        await client.revoke(token)
    bodies = [
        call.kwargs["data"].decode() for calls in http_mock.requests.values() for call in calls
    ]

    assert bodies == [
        "token=a&token_type_hint=access_token&client_id=id&client_secret=secret",
        "token=r&token_type_hint=refresh_token&client_id=id&client_secret=secret",
        "token=text&client_id=id&client_secret=secret",
    ]


async def test_an_assertion_is_for_the_token_endpoint_wherever_it_goes(sandbox):
    """IdentityServer requires the token endpoint as the audience at all its endpoints."""
    key = RSAKey.import_key(signing_key(0).private)
    sandbox.add_client(
        SandboxClient(client_id="keyed", public_key=key.as_pem(private=False).decode())
    )
    client = aa.OAuthClient(
        "keyed",
        aa.PrivateKeyJwt(aa.Secret(key.as_pem(private=True).decode())),
        environment=sandbox.environment,
    )
    token = await client.fetch_token(GRANT)

    assert (await client.introspect(token.access_token)).active
    await client.revoke("x", token_type_hint="refresh_token")


async def test_a_token_is_delegated(sandbox):
    """Aritma's own grant takes an end-user's token, or one of a trusted provider."""
    done = await sign_in(client_of(sandbox))
    sandbox.trust_external_token("vipps", "foreign-token", "user-bob")
    client = client_of(sandbox, "sandbox-delegate")
    own = await client.fetch_token(aa.DelegationGrant(done.token.access_token, scope="api"))
    foreign = await client.fetch_token(
        aa.DelegationGrant("foreign-token", provider="vipps", scope="api")
    )
    with pytest.raises(aa.InvalidGrantError):
        await client.fetch_token(aa.DelegationGrant("unknown", scope="api"))

    assert (await client.introspect(own.access_token)).subject == "user-alice"
    assert (await client.introspect(foreign.access_token)).subject == "user-bob"


async def test_a_token_is_exchanged(sandbox):
    """The new token is the end-user's, and issued_token_type is kept (RFC 8693)."""
    done = await sign_in(client_of(sandbox))
    service = await client_of(sandbox, "sandbox-service").fetch_token(GRANT)
    client = client_of(sandbox, "sandbox-exchange")
    token = await client.fetch_token(
        aa.TokenExchangeGrant(
            done.token.access_token, actor_token=service.access_token, scope="bankservice"
        )
    )

    assert (await client.introspect(token.access_token)).subject == "user-alice"
    assert token.extra["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"


async def test_a_grant_of_a_servers_own_is_sent_as_it_is(http_mock):
    """The grant's name, its fields, the scope and the credential are sent unchanged."""
    http_mock.post(
        "https://id.aritma.io/connect/token",
        payload={"access_token": "abc", "token_type": "Bearer"},
    )
    grant = aa.CustomGrant("urn:example:otp", {"otp": "12 34"}, scope="api")
    token = await aa.OAuthClient("id", "secret").fetch_token(grant)
    (call,) = next(iter(http_mock.requests.values()))

    assert token.access_token == "abc"
    assert call.kwargs["data"].decode() == (
        "grant_type=urn%3Aexample%3Aotp&otp=12+34&scope=api&client_id=id&client_secret=secret"
    )


async def test_a_grant_that_is_no_request_is_not_sent(sandbox):
    """A SignedInGrant needs a TokenProvider and sends no request."""
    with pytest.raises(aa.ConfigurationError, match="TokenProvider"):
        await client_of(sandbox).fetch_token(aa.SignedInGrant("alice"))

    assert sandbox.token_requests == []


async def test_endpoints_are_discovered_where_that_is_asked_for(sandbox):
    """The published endpoints give the same responses as the fixed ones."""
    environment = attrs.evolve(aa.Environment.at(sandbox.identity_url, discover=True))
    client = client_of(sandbox, "sandbox-service", environment=environment)
    token = await client.fetch_token(GRANT)

    assert (await client.introspect(token.access_token)).active
    assert (await client.fetch_metadata()).issuer == sandbox.identity_url
    assert [key["kid"] for key in await client.fetch_keys()] == [signing_key(0).kid]

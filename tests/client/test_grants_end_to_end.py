"""End-to-end tests of the grants against the sandbox."""

import pytest

import aritma_auth as aa

pytestmark = pytest.mark.usefixtures("no_leftovers")


def client_of(sandbox, client_id):
    registered = sandbox.clients[client_id]
    return aa.OAuthClient(
        registered.client_id, registered.client_secret, environment=sandbox.environment
    )


async def test_a_password_brings_a_token_that_refreshes_itself(aritma_sandbox, clock):
    """With offline_access the refresh token does the refreshes, not the password."""
    with pytest.warns(DeprecationWarning, match="discouraged"):
        grant = aa.PasswordGrant("alice", "alice-password", scope="api offline_access")
    client = client_of(aritma_sandbox, "sandbox-app")
    async with aa.TokenProvider(client, grant, clock=clock) as tokens:
        for _ in range(3):
            await tokens.get_token()
            clock.advance(3600)

    assert [request.grant_type for request in aritma_sandbox.token_requests] == [
        "password",
        "refresh_token",
        "refresh_token",
    ]


async def test_a_wrong_password_is_an_invalid_grant(aritma_sandbox):
    """The error carries the server's explanation."""
    with pytest.warns(DeprecationWarning, match="discouraged"):
        grant = aa.PasswordGrant("alice", "wrong", scope="api")

    with pytest.raises(aa.InvalidGrantError, match="invalid_username_or_password"):
        await client_of(aritma_sandbox, "sandbox-app").fetch_token(grant)


@pytest.mark.parametrize(
    ("grant", "error"),
    [
        (aa.DelegationGrant("token"), "unsupported_grant_type"),
        (aa.CustomGrant("urn:mine"), "unsupported_grant_type"),
        (aa.RefreshTokenGrant("x"), "unauthorized_client"),
        (aa.ClientCredentialsGrant(scope="zam"), "invalid_scope"),
    ],
)
async def test_what_a_client_may_not_do_is_refused_by_name(aritma_sandbox, grant, error):
    """The error has IdentityServer's code, and advice."""
    with pytest.raises(aa.OAuthError) as caught:
        await client_of(aritma_sandbox, "sandbox-service").fetch_token(grant)

    assert caught.value.error == error
    assert "the server" in str(caught.value)

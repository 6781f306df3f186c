"""client_credentials against oidc-provider, which insists on form-encoded Basic."""

import base64

import aiohttp
import pytest

import aritma_auth as aa

pytestmark = [pytest.mark.timeout(360), pytest.mark.usefixtures("no_leftovers")]

GRANT = aa.ClientCredentialsGrant(scope="bankservice")


def environment_of(server):
    return aa.Environment.at(server.issuer, endpoints={"token_endpoint": f"{server.issuer}/token"})


@pytest.mark.parametrize(
    ("client_id", "method"), [("basic", aa.ClientSecretBasic), ("post", aa.ClientSecretPost)]
)
async def test_a_token_is_given(oidc_provider, client_id, method):
    """With a secret of reserved characters, by Basic and by the form."""
    client = aa.OAuthClient(
        client_id,
        method(aa.Secret(oidc_provider.secret)),
        environment=environment_of(oidc_provider),
    )
    async with aa.TokenProvider(client, GRANT) as tokens:
        token = await tokens.get_token()

    assert token.scope == ("bankservice",)
    assert token.token_type == "Bearer"
    assert token.expires_at - token.issued_at == 600


async def test_basic_without_form_encoding_would_be_refused(oidc_provider):
    """The guard is needed: this server decodes what comes out of base64."""
    raw = base64.b64encode(f"basic:{oidc_provider.secret}".encode()).decode()
    async with aiohttp.ClientSession() as session:
        async with session.post(
            f"{oidc_provider.issuer}/token",
            data={"grant_type": "client_credentials"},
            headers={"Authorization": f"Basic {raw}"},
        ) as response:
            refused = response.status

    assert refused in {400, 401}


@pytest.mark.parametrize("client_id", ["basic", "nobody"])
async def test_refusals_are_typed(oidc_provider, client_id):
    """This server says 401 where IdentityServer says 400."""
    client = aa.OAuthClient(
        client_id,
        aa.ClientSecretBasic(aa.Secret("wrong")),
        environment=environment_of(oidc_provider),
    )

    with pytest.raises(aa.OAuthError) as caught:
        await client.fetch_token(GRANT)
    assert caught.value.error == "invalid_client"
    assert caught.value.is_permanent


async def test_a_narrower_scope_is_shown_as_granted(oidc_provider):
    """This server leaves out what it does not know, without a word."""
    client = aa.OAuthClient(
        "basic",
        aa.ClientSecretBasic(aa.Secret(oidc_provider.secret)),
        environment=environment_of(oidc_provider),
    )
    token = await client.fetch_token(aa.ClientCredentialsGrant(scope="bankservice unknown"))

    assert token.scope == ("bankservice",)

"""Client authentication at oidc-provider, and the grants that need no browser."""

import base64
import json

import aiohttp
import pytest

import aritma_auth as aa

pytestmark = [pytest.mark.timeout(360), pytest.mark.usefixtures("no_leftovers")]

MACHINE = aa.ClientCredentialsGrant(scope="bankservice")


@pytest.fixture
def server(oidc_provider):
    return oidc_provider


@pytest.fixture
def post(server):
    """Give a client of all grants that need no browser."""
    return server.client("post", server.secret)


def password_grant(password="ecila", **settings):
    with pytest.warns(DeprecationWarning, match="discouraged"):
        return aa.PasswordGrant("alice", password, **settings)


def assertion_auth(server, **settings):
    key = aa.Secret(json.dumps(server.facts["assertion_key"]))
    return aa.PrivateKeyJwt(key, algorithm="ES256", **settings)


@pytest.mark.parametrize(
    ("client_id", "make_auth"),
    [
        ("basic", lambda server: aa.ClientSecretBasic(aa.Secret(server.secret))),
        ("post", lambda server: aa.ClientSecretPost(aa.Secret(server.secret))),
        ("assertion", assertion_auth),
        ("assertion", lambda server: assertion_auth(server, audience=server.issuer)),
    ],
    ids=["basic", "post", "assertion", "assertion-for-the-issuer"],
)
async def test_a_client_has_a_token_on_its_own_behalf(server, client_id, make_auth):
    """A secret of reserved characters works by Basic and in the form, and a signed assertion works too."""
    client = server.client(client_id, make_auth(server))
    async with aa.TokenProvider(client, MACHINE) as tokens:
        token = await tokens.get_token()

    assert token.scope == ("bankservice",)
    assert token.token_type == "Bearer"
    assert token.expires_at - token.issued_at == 600
    assert token.refresh_token is None


async def test_basic_without_form_encoding_would_be_refused(server):
    """This server form-decodes the Basic credentials, so form encoding is needed."""
    raw = base64.b64encode(f"basic:{server.secret}".encode()).decode()
    async with aiohttp.ClientSession() as session:
        async with session.post(
            f"{server.issuer}/token",
            data={"grant_type": "client_credentials"},
            headers={"Authorization": f"Basic {raw}"},
        ) as response:
            refused = response.status

    assert refused in {400, 401}


@pytest.mark.parametrize("client_id", ["basic", "post", "nobody"])
async def test_a_client_that_shows_the_wrong_thing_is_refused(server, client_id):
    """A wrong secret, an unregistered method and an unknown client raise InvalidClientError."""
    client = server.client(client_id, aa.ClientSecretBasic(aa.Secret("wrong")))

    with pytest.raises(aa.InvalidClientError) as caught:
        await client.fetch_token(MACHINE)
    assert caught.value.is_permanent


async def test_a_narrower_scope_is_shown_as_granted(post):
    """This server leaves an unknown scope out silently, and the token has the granted one."""
    token = await post.fetch_token(aa.ClientCredentialsGrant(scope="bankservice unknown"))

    assert token.scope == ("bankservice",)


async def test_a_token_for_one_api_is_a_jwt(post):
    """A resource indicator brings an access token with that audience, which is no ID token."""
    grant = aa.ClientCredentialsGrant(scope="bankservice", resource="https://bank.example/")
    token = await post.fetch_token(grant)
    claims = aa.parse_unverified_claims(token.access_token)

    assert (claims["aud"], claims["scope"]) == ("https://bank.example/", "bankservice")
    with pytest.raises(aa.IdTokenError) as caught:
        await post.verify_id_token(token.access_token, nonce=None)
    assert caught.value.claim == "typ"


async def test_an_end_user_signs_in_by_password(post):
    """The response has all three tokens; the ID token has no nonce, since there was no authorization request."""
    token = await post.fetch_token(password_grant(scope="openid offline_access bankservice"))
    claims = await post.verify_id_token(token.id_token, nonce=None, access_token=token.access_token)

    assert claims["sub"] == "alice"
    assert token.scope == ("openid", "offline_access", "bankservice")
    assert (await post.fetch_userinfo(token))["sub"] == "alice"


async def test_a_wrong_password_is_asked_once(post):
    """A wrong password is a permanent error, and no attempt is repeated."""
    async with aa.TokenProvider(post, password_grant("wrong", scope="openid")) as tokens:
        with pytest.raises(aa.InvalidGrantError):
            await tokens.get_token()
        assert tokens.status().failures == 1


async def test_a_token_is_exchanged_for_another(post):
    """The token of an RFC 8693 exchange has the same subject, and its type is stated."""
    known = await post.fetch_token(password_grant(scope="openid bankservice"))
    token = await post.fetch_token(aa.TokenExchangeGrant(known.access_token, scope="bankservice"))

    assert token.access_token != known.access_token
    assert token.extra["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert (await post.introspect(token.access_token)).subject == "alice"


async def test_a_grant_that_the_server_does_not_know(post):
    """The error keeps the server's own code."""
    with pytest.raises(aa.OAuthError) as caught:
        await post.fetch_token(aa.CustomGrant("urn:example:unknown"))

    assert caught.value.error == "unsupported_grant_type"
    assert caught.value.is_permanent

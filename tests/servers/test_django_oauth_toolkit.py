"""The main journeys at django-oauth-toolkit: an issuer with a path, over HTTP/1.0, and terse."""

import pytest

import aritma_auth as aa
from support.plain_browser import answers_of

pytestmark = [pytest.mark.timeout(360), pytest.mark.usefixtures("no_leftovers")]

ALICE = answers_of("alice")
SCOPE = "openid bankservice"


@pytest.fixture
def server(django_oauth_toolkit):
    return django_oauth_toolkit


@pytest.fixture
def web(server):
    """Give a web application's client."""
    return server.client("web", server.secret)


async def sign_in(client, server, browser, scope=SCOPE, **settings):
    request = await client.begin_sign_in(server.redirect_uri, scope, **settings)
    page = await browser.visit(request.url, **ALICE)
    return await client.complete_sign_in(request, page.callback)


@pytest.mark.parametrize("method", [aa.ClientSecretBasic, aa.ClientSecretPost])
async def test_a_client_has_a_token_on_its_own_behalf(server, method):
    """The server accepts the same client's secret in the form and in the header."""
    client = server.client("machine", method(aa.Secret(server.secret)))
    async with aa.TokenProvider(client, aa.ClientCredentialsGrant(scope="bankservice")) as tokens:
        token = await tokens.get_token()

    assert token.scope == ("bankservice",)
    assert token.expires_at - token.issued_at == 600


@pytest.mark.parametrize(
    ("secret", "scope", "error"),
    [("wrong", "bankservice", "invalid_client"), (None, "unknown", "invalid_scope")],
)
async def test_refusals_are_typed(server, secret, scope, error):
    """This server's error responses have a code and no description."""
    client = server.client("machine", secret or server.secret)

    with pytest.raises(aa.OAuthError) as caught:
        await client.fetch_token(aa.ClientCredentialsGrant(scope=scope))
    assert (caught.value.error, caught.value.description) == (error, None)
    assert caught.value.is_permanent


@pytest.mark.parametrize(
    ("client_id", "response_type"),
    [
        ("web", "code"),
        ("public", "code"),
        ("implicit", "id_token"),
        ("implicit", "id_token token"),
        ("hybrid", "code id_token"),
        ("hybrid", "code token"),
        ("hybrid", "code id_token token"),
    ],
)
async def test_an_end_user_signs_in(server, browser, client_id, response_type):
    """The metadata is found under the issuer's path, and every check passes."""
    has_secret = client_id in {"web", "hybrid"}
    client = server.client(client_id, server.secret if has_secret else None)
    signed_in = await sign_in(client, server, browser, response_type=response_type)

    assert signed_in.subject == "1"
    if signed_in.has_token:
        userinfo = await client.fetch_userinfo(signed_in.token, subject="1")
        assert userinfo["sub"] == "1"


async def test_an_access_token_alone_comes_in_the_fragment(server, browser):
    """A plain OAuth implicit response has no ID token, and its lifetime is a string."""
    client = server.client("implicit")
    signed_in = await sign_in(client, server, browser, "bankservice", response_type="token")

    assert not signed_in.has_subject
    assert signed_in.token.refresh_token is None
    assert signed_in.token.scope == ("bankservice",)
    assert signed_in.token.expires_at - signed_in.token.issued_at == 600


async def test_an_end_user_denies_access(server, browser, web):
    """A denied consent raises AccessDeniedError."""
    request = await web.begin_sign_in(server.redirect_uri, SCOPE)
    page = await browser.visit(request.url, **{**ALICE, "allow": ""})

    with pytest.raises(aa.AccessDeniedError):
        await web.complete_sign_in(request, page.callback)


async def test_an_end_user_signs_in_by_password(server):
    """This server returns no ID token here, even for ``openid``, and the token is refreshed all the same."""
    client = server.client("password", server.secret)
    with pytest.warns(DeprecationWarning, match="discouraged"):
        grant = aa.PasswordGrant("alice", "ecila", scope=SCOPE)
    token = await client.fetch_token(grant)
    refreshed = await client.fetch_token(aa.RefreshTokenGrant(token.refresh_token))

    assert token.id_token is None
    assert refreshed.refresh_token != token.refresh_token


async def test_a_spent_refresh_token_kills_the_family(server, browser, web):
    """Reuse revokes the family; the provider's own refreshes never cause it."""
    token = (await sign_in(web, server, browser)).token
    spent = aa.RefreshTokenGrant(token.refresh_token)
    newest = await web.fetch_token(spent)

    for grant in (spent, aa.RefreshTokenGrant(newest.refresh_token)):
        with pytest.raises(aa.InvalidGrantError):
            await web.fetch_token(grant)


async def test_a_token_is_introspected_and_revoked(server, browser, web):
    """Endpoints that the metadata does not name are given to the environment."""
    token = (await sign_in(web, server, browser)).token
    told = await web.introspect(token.access_token)
    assert (told.active, told.claims["username"]) == (True, "alice")

    await web.revoke(token)
    assert not (await web.introspect(token.access_token)).active


async def test_an_end_user_signs_out(server, browser, web):
    """The server asks the end-user to confirm the sign-out."""
    signed_in = await sign_in(web, server, browser)
    url = await web.end_session_url(
        id_token_hint=signed_in.token.id_token,
        post_logout_redirect_uri="http://127.0.0.1/signed-out",
        state="a-state",
    )
    page = await browser.visit(url, **ALICE)

    aa.validate_logout_callback(page.callback, state="a-state")

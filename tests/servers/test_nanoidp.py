"""The same journeys at nanoidp, which does much of it in another way."""

import asyncio

import pytest

import aritma_auth as aa
from support.clock import PollingClock
from support.plain_browser import answers_of

pytestmark = [pytest.mark.timeout(360), pytest.mark.usefixtures("no_leftovers")]

ALICE = answers_of("alice")
SCOPE = "openid profile email offline_access bankservice"


@pytest.fixture
def server(nanoidp):
    return nanoidp


@pytest.fixture
def client(server):
    """Give a client of all grants that this server has."""
    return server.client("post", server.secret)


async def sign_in(client, server, browser, **settings):
    request = await client.begin_sign_in(server.redirect_uri, SCOPE, **settings)
    page = await browser.visit(request.url, **ALICE)
    return await client.complete_sign_in(request, page.callback)


@pytest.mark.parametrize("client_id", ["basic", "post"])
async def test_a_client_has_a_token_on_its_own_behalf(server, client_id):
    """The server accepts the secret in the form and in the header."""
    basic = aa.ClientSecretBasic(aa.Secret("plain-secret"))
    client = server.client(client_id, basic if client_id == "basic" else server.secret)
    async with aa.TokenProvider(client, aa.ClientCredentialsGrant(scope="bankservice")) as tokens:
        token = await tokens.get_token()

    assert token.expires_at - token.issued_at == 600
    assert token.refresh_token is None
    assert aa.parse_unverified_claims(token.access_token)["aud"] == "bank"


async def test_a_secret_of_reserved_characters_goes_by_the_form(server):
    """This server does not form-decode the Basic credentials, against RFC 6749 §2.3.1."""
    client = server.client("reserved", aa.ClientSecretBasic(aa.Secret(server.secret)))

    with pytest.raises(aa.InvalidClientError):
        await client.fetch_token(aa.ClientCredentialsGrant(scope="bankservice"))


async def test_a_secret_of_reserved_characters_goes_into_the_header_as_it_is(server):
    """``is_form_encoded=False`` sends the Basic credentials as this server reads them."""
    raw = aa.ClientSecretBasic(aa.Secret(server.secret), is_form_encoded=False)
    client = server.client("reserved", raw)

    assert await client.fetch_token(aa.ClientCredentialsGrant(scope="bankservice"))


@pytest.mark.parametrize(
    ("client_id", "secret"), [("post", "wrong"), ("basic", "plain-secret"), ("nobody", "any")]
)
async def test_a_client_that_shows_the_wrong_thing_is_refused(server, client_id, secret):
    """A wrong secret, an unregistered method and an unknown client raise InvalidClientError."""
    client = server.client(client_id, secret)

    with pytest.raises(aa.InvalidClientError):
        await client.fetch_token(aa.ClientCredentialsGrant(scope="bankservice"))


async def test_an_unknown_scope_is_refused(client):
    """This server responds with ``invalid_scope``, where others leave the scope out."""
    with pytest.raises(aa.OAuthError) as caught:
        await client.fetch_token(aa.ClientCredentialsGrant(scope="unknown"))

    assert (caught.value.error, caught.value.is_permanent) == ("invalid_scope", True)


@pytest.mark.parametrize("client_id", ["post", "public"])
async def test_an_end_user_signs_in(server, browser, client_id):
    """The sign-in uses PKCE; this server names itself in the ID token alone."""
    client = server.client(client_id, server.secret if client_id == "post" else None)
    signed_in = await sign_in(client, server, browser)

    assert signed_in.subject == "alice"
    assert signed_in.claims["iss"] == server.issuer
    assert (await client.fetch_userinfo(signed_in.token))["email"] == "alice@example.com"


async def test_an_end_user_signs_in_by_password(client):
    """The ID token has no nonce, since there was no authorization request."""
    with pytest.warns(DeprecationWarning, match="discouraged"):
        grant = aa.PasswordGrant("alice", "ecila", scope=SCOPE)
    token = await client.fetch_token(grant)
    claims = await client.verify_id_token(
        token.id_token, nonce=None, access_token=token.access_token
    )

    assert claims["sub"] == "alice"


async def test_a_wrong_password_is_a_permanent_no(client):
    """A wrong password raises a permanent error."""
    with pytest.warns(DeprecationWarning, match="discouraged"):
        grant = aa.PasswordGrant("alice", "wrong", scope="openid")

    with pytest.raises(aa.OAuthError) as caught:
        await client.fetch_token(grant)
    assert caught.value.is_permanent


async def test_an_id_token_with_a_foreign_audience_is_refused(server):
    """An ID token with an additional audience that the client does not trust is refused."""
    client = server.client("shared", server.secret)
    with pytest.warns(DeprecationWarning, match="discouraged"):
        grant = aa.PasswordGrant("alice", "ecila", scope="openid")
    token = await client.fetch_token(grant)

    with pytest.raises(aa.IdTokenError) as caught:
        await client.verify_id_token(token.id_token, nonce=None)
    assert caught.value.claim == "aud"


async def test_refreshes_rotate_with_many_callers(server, browser, client, clock):
    """Concurrent callers cause one rotation, and a spent refresh token is never sent."""
    signed_in = await sign_in(client, server, browser)
    clock.wall = signed_in.token.issued_at
    seen = {signed_in.token.refresh_token}
    async with aa.TokenProvider(client, aa.SignedInGrant("alice"), clock=clock) as tokens:
        await tokens.set_token(signed_in.token)
        for step in range(4):
            clock.advance(600)
            callers = [asyncio.create_task(tokens.get_token()) for _ in range(20)]
            for _ in range(step):
                await asyncio.sleep(0)
            for caller in callers[::2]:
                caller.cancel()
            given = await asyncio.gather(*callers, return_exceptions=True)
            seen |= {token.refresh_token for token in given if isinstance(token, aa.Token)}

    assert len(seen) == 5


async def test_a_spent_refresh_token_kills_the_family(server, browser, client):
    """Reuse of a refresh token revokes the family, as RFC 9700 §4.14 recommends."""
    token = (await sign_in(client, server, browser)).token
    spent = aa.RefreshTokenGrant(token.refresh_token)
    newest = await client.fetch_token(spent)

    for grant in (spent, aa.RefreshTokenGrant(newest.refresh_token)):
        with pytest.raises(aa.InvalidGrantError):
            await client.fetch_token(grant)


async def test_a_token_is_introspected_and_revoked(server, browser, client):
    """This server revokes even a JWT, since it looks the token up."""
    token = (await sign_in(client, server, browser)).token
    told = await client.introspect(token.access_token)
    assert (told.active, told.subject, told.client_id) == (True, "alice", "post")

    await client.revoke(token.access_token, token_type_hint="access_token")
    assert await client.introspect(token.access_token) == aa.Introspection(active=False)
    with pytest.raises(aa.OAuthError):
        await client.fetch_userinfo(token)


@pytest.mark.parametrize("action", ["authorize", "deny"])
async def test_an_end_user_decides_on_another_device(server, browser, action):
    """The device polls at the interval that this server states."""
    taken = []

    async def pause(seconds):
        taken.append(seconds)
        if len(taken) == 3:
            answers = ALICE | {"action": action}
            await browser.visit(authorization.verification_uri_complete, **answers)

    client = server.client("public", clock=PollingClock(pause))
    authorization = await client.begin_device_sign_in(SCOPE)
    signing_in = client.complete_device_sign_in(authorization)
    if action == "deny":
        with pytest.raises(aa.AccessDeniedError):
            await signing_in
    else:
        assert (await signing_in).subject == "alice"
    assert taken == [3.0] * 3


async def test_keys_that_change_in_the_middle_of_a_sign_in(server, browser, client):
    """An unknown key makes the client fetch the keys again."""
    await client.fetch_keys()
    request = await client.begin_sign_in(server.redirect_uri, SCOPE)
    page = await browser.visit(request.url, **ALICE)
    async with browser.session.post(f"{server.issuer}/api/keys/rotate") as response:
        assert response.status == 200

    assert (await client.complete_sign_in(request, page.callback)).subject == "alice"


async def test_an_end_user_signs_out(server, browser, client):
    """The server returns the end-user with the state of the request."""
    signed_in = await sign_in(client, server, browser)
    url = await client.end_session_url(
        id_token_hint=signed_in.token.id_token,
        post_logout_redirect_uri="http://127.0.0.1/signed-out",
        state="a-state",
    )
    page = await browser.visit(url)

    aa.validate_logout_callback(page.callback, state="a-state")


async def test_a_wrong_redirect_uri_stays_on_the_servers_page(browser, client):
    """The server does not redirect to an unregistered redirect URI."""
    request = await client.begin_sign_in("http://127.0.0.1/elsewhere")
    page = await browser.open(request.url)

    assert (page.is_elsewhere, page.status) == (False, 400)

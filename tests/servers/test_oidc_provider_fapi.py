"""FAPI 2.0 at oidc-provider: pushed and signed requests, signed responses, bound tokens, CIBA."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

import aritma_auth as aa
from support.plain_browser import answers_of
from support.sandbox_wire import read_jwt

pytestmark = [pytest.mark.timeout(360), pytest.mark.usefixtures("no_leftovers")]

DPOP_KEY = aa.SigningKey.generate("ES256")
MACHINE = aa.ClientCredentialsGrant(scope="bankservice")


@pytest.fixture
def server(oidc_provider):
    return oidc_provider


@pytest.fixture
def key(server):
    """Give the clients' key, which the server has registered."""
    return aa.SigningKey(json.dumps(server.facts["assertion_key"]))


def fapi_client(server, key, profile=aa.FAPI2, client_id="fapi"):
    """Make a client with a profile; unlisted endpoints would be refused by it."""
    return aa.OAuthClient(
        client_id,
        aa.PrivateKeyJwt(key),
        environment=aa.Environment.at(server.issuer, endpoint_origins=[server.facts["secure_url"]]),
        dpop=aa.DPoP(DPOP_KEY),
        profile=profile,
    )


async def arrive(browser, request):
    return (await browser.visit(request.url, **answers_of("alice"))).callback


@pytest.mark.parametrize(
    ("client_id", "profile"),
    [("fapi", aa.FAPI2), ("fapi-signing", aa.FAPI2_MESSAGE_SIGNING)],
    ids=["security", "signing"],
)
async def test_an_end_user_signs_in_by_the_profile(server, browser, key, client_id, profile):
    """Pushed, signed and bound, with nonces; UserInfo takes the bound token."""
    client = fapi_client(server, key, profile, client_id)
    assert (await client.assess_profile(profile)).client_problems == ()
    request = await client.begin_sign_in(
        server.redirect_uri, "openid offline_access", prompt="consent"
    )
    callback = await arrive(browser, request)
    done = await client.complete_sign_in(request, callback)

    assert parse_qs(urlsplit(request.url).query).keys() == {"client_id", "request_uri"}
    assert ("response=" in str(callback)) is profile.expects_signed_responses
    assert done.subject == "alice"
    assert done.token.token_type == "DPoP"
    assert (await client.fetch_userinfo(done.token))["sub"] == "alice"
    async with aa.TokenProvider(client, aa.SignedInGrant("alice"), on_event=None) as tokens:
        await tokens.set_token(done.token)
        assert tokens.report_rejected(done.token)
        assert (await tokens.get_token()).access_token != done.token.access_token


async def test_a_reference_is_good_once(server, browser, key):
    """A second visit with a spent reference brings an error back."""
    client = fapi_client(server, key)
    request = await client.begin_sign_in(server.redirect_uri, "openid")
    await client.complete_sign_in(request, await arrive(browser, request))
    page = await browser.open(request.url)

    assert "error=invalid_request_uri" in page.callback


async def test_a_request_that_was_not_pushed_is_refused(server, browser, key):
    """The registration demands pushed requests, which the metadata do not say for all clients."""
    client = server.client("fapi", aa.PrivateKeyJwt(key, names_issuer=True))
    request = await client.begin_sign_in(server.redirect_uri, "openid")
    with pytest.raises(aa.OAuthError, match="ushed"):
        await client.complete_sign_in(request, await arrive(browser, request))


@pytest.mark.parametrize("mode", ["jwt", "query.jwt", "form_post.jwt"])
async def test_a_usual_client_may_ask_for_signed_responses(server, browser, mode):
    """JARM needs no profile; this server signs with what is registered, RS256 by default."""
    client = server.client("web", server.secret)
    request = await client.begin_sign_in(
        server.redirect_uri, "openid", response_mode=mode, push=True
    )
    callback = await arrive(browser, request)

    assert (await client.complete_sign_in(request, callback)).subject == "alice"


async def test_an_end_user_is_asked_on_another_device(server, key):
    """CIBA in poll mode, with a signed request, private_key_jwt and bound tokens."""
    client = fapi_client(server, key, client_id="fapi-ciba")
    asked = await client.begin_backchannel_sign_in(
        "openid", login_hint="alice", binding_message="W4SCT", sign=True
    )
    done = await client.complete_backchannel_sign_in(asked, is_notified=True)

    assert done.subject == "alice"
    assert done.token.token_type == "DPoP"
    assert read_jwt(done.id_token)[0]["alg"] == "PS256"


async def test_an_end_user_refuses_on_another_device(server, key):
    """The refusal ends the polling."""
    client = fapi_client(server, key, client_id="fapi-ciba")
    asked = await client.begin_backchannel_sign_in("openid", login_hint="bob", sign=True)
    with pytest.raises(aa.AccessDeniedError):
        await client.complete_backchannel_sign_in(asked, is_notified=True)


async def test_a_secret_signs_an_assertion(server):
    """client_secret_jwt: the secret itself does not travel."""
    secret = "a secret of the thirty-two bytes that RFC 7518 wants"
    client = server.client("secret-assertion", aa.ClientSecretJwt(secret))

    assert (await client.fetch_token(MACHINE)).scope == ("bankservice",)
    with pytest.raises(aa.InvalidClientError):
        await server.client(
            "secret-assertion", aa.ClientSecretJwt("another secret of thirty-two bytes")
        ).fetch_token(MACHINE)


async def test_userinfo_comes_signed(server, browser):
    """A client that is registered for it gets a JWT, and its claims are verified."""
    client = server.client("signed-userinfo", server.secret)
    request = await client.begin_sign_in(server.redirect_uri, "openid email")
    done = await client.complete_sign_in(request, await arrive(browser, request))
    claims = await client.fetch_userinfo(done.token)

    assert claims["sub"] == "alice"
    assert claims["aud"] == "signed-userinfo"


async def test_tokens_and_claims_come_encrypted(server, browser):
    """ID tokens, refreshed ones too, and UserInfo are opened by the key, and verified as ever."""
    key = aa.DecryptionKey(server.facts["assertion_key"])
    client = server.client("encrypted", server.secret, decryption_key=key)
    request = await client.begin_sign_in(
        server.redirect_uri, "openid email offline_access", prompt="consent"
    )
    done = await client.complete_sign_in(request, await arrive(browser, request))

    assert done.subject == "alice"
    assert done.id_token.count(".") == 2
    assert (await client.fetch_userinfo(done.token))["sub"] == "alice"
    async with aa.TokenProvider(client, aa.SignedInGrant("alice"), on_event=None) as tokens:
        await tokens.set_token(done.token)
        assert tokens.report_rejected(done.token)
        refreshed = await tokens.get_token()
    assert (await client.fetch_userinfo(refreshed))["sub"] == "alice"


@pytest.mark.parametrize(
    "key", [None, aa.DecryptionKey(aa.SigningKey.generate().to_jwk())], ids=["none", "another"]
)
async def test_without_the_key_nothing_is_believed(server, browser, key):
    """An ID token that cannot be opened ends the sign-in."""
    client = server.client("encrypted", server.secret, decryption_key=key)
    request = await client.begin_sign_in(server.redirect_uri, "openid")
    with pytest.raises(aa.IdTokenError):
        await client.complete_sign_in(request, await arrive(browser, request))

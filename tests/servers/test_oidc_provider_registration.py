"""Clients that register themselves at oidc-provider, and requests that are encrypted to it."""

import pytest

import aritma_auth as aa
from support.plain_browser import answers_of

pytestmark = [pytest.mark.timeout(360), pytest.mark.usefixtures("no_leftovers")]

KEY = aa.SigningKey.generate("ES256", key_id="client-key")
DPOP_KEY = aa.SigningKey.generate("ES256")


@pytest.fixture
def server(oidc_provider):
    return oidc_provider


@pytest.fixture
def registrar(server):
    return aa.ClientRegistrar(server.issuer)


def metadata_for(server, **changes):
    """Say what a client with a key wants to be registered as."""
    usual = {
        # Only native clients may come back to loopback without TLS.
        "application_type": "native",
        "redirect_uris": [server.redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "id_token_signed_response_alg": "PS256",
        "jwks": {"keys": [{**KEY.public_jwk, "kid": KEY.key_id, "use": "sig"}]},
    }
    return usual | changes


def client_of(server, registered, **settings):
    return aa.OAuthClient(
        registered.client_id,
        aa.PrivateKeyJwt(KEY),
        environment=aa.Environment.at(
            server.issuer, discover=True, endpoint_origins=[server.facts["secure_url"]]
        ),
        id_token_algorithms="PS256",
        **settings,
    )


async def sign_in(server, browser, client, **parameters):
    request = await client.begin_sign_in(server.redirect_uri, "openid", **parameters)
    callback = (await browser.visit(request.url, **answers_of("alice"))).callback
    return request, await client.complete_sign_in(request, callback)


async def test_a_registered_client_signs_end_users_in(server, browser, registrar):
    """Under the profile, with what registration has given and nothing else."""
    wanted = {"dpop_bound_access_tokens": True, "require_pushed_authorization_requests": True}
    registered = await registrar.register(metadata_for(server, **wanted))
    client = client_of(server, registered, dpop=aa.DPoP(DPOP_KEY), profile=aa.FAPI2)
    _, done = await sign_in(server, browser, client)

    assert done.subject == "alice"
    assert done.token.token_type == "DPoP"


async def test_the_managing_token_is_replaced_and_the_client_deleted(server, registrar):
    """An update replaces the token; what comes last is what counts (RFC 7592)."""
    registered = await registrar.register(metadata_for(server))
    kept = aa.RegisteredClient.from_json((await registrar.fetch(registered)).to_json())
    updated = await registrar.update(kept, {"client_name": "Payments"})
    with pytest.raises(aa.OAuthError) as told:
        await registrar.fetch(kept)

    assert told.value.error == "invalid_token"
    assert updated.metadata["client_name"] == "Payments"
    assert updated.registration_access_token != kept.registration_access_token
    await registrar.delete(updated)
    with pytest.raises(aa.OAuthError):
        await registrar.fetch(updated)


async def test_a_secret_that_was_registered_stays_through_an_update(server, registrar):
    """The server gives it, and takes it back as it was."""
    wanted = {"token_endpoint_auth_method": "client_secret_basic", "jwks": None}
    sent = {n: v for n, v in metadata_for(server, **wanted).items() if v is not None}
    del sent["token_endpoint_auth_signing_alg"]
    registered = await registrar.register(sent)
    updated = await registrar.update(registered, {"client_name": "Payments"})

    assert registered.client_secret
    assert updated.client_secret == registered.client_secret


async def test_unusable_metadata_are_refused(server, registrar):
    """The error is the server's."""
    with pytest.raises(aa.OAuthError) as told:
        await registrar.register(metadata_for(server, redirect_uris=["not a URL"]))

    assert told.value.error == "invalid_redirect_uri"


@pytest.mark.parametrize("algorithm", ["RSA-OAEP", "RSA-OAEP-256"])
@pytest.mark.parametrize("push", [True, False])
async def test_an_encrypted_request_is_opened(server, browser, registrar, algorithm, push):
    """The server decrypts it with its own key and verifies what is inside."""
    registered = await registrar.register(
        metadata_for(
            server,
            request_object_signing_alg="ES256",
            request_object_encryption_alg=algorithm,
            request_object_encryption_enc="A256GCM",
        )
    )
    encryption = aa.RequestEncryption(algorithm, "A256GCM")
    client = client_of(server, registered, request_encryption=encryption)
    request, done = await sign_in(server, browser, client, push=push)

    assert request.request_object.text.count(".") == 4
    assert done.subject == "alice"

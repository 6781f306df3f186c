"""Every way to authenticate with every way to bind tokens, in both profiles, at oidc-provider."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

import aritma_auth as aa
from support.loopback import serving
from support.plain_browser import answers_of

pytestmark = [pytest.mark.timeout(360), pytest.mark.usefixtures("no_leftovers")]

CIBA = "urn:openid:params:grant-type:ciba"
DPOP_KEY = aa.SigningKey.generate("ES256")
PROFILES = {"security": aa.FAPI2, "signing": aa.FAPI2_MESSAGE_SIGNING}
METHODS = ["private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"]


@pytest.fixture
def server(oidc_provider):
    return oidc_provider


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


@pytest.fixture(params=["dpop", "mtls"])
def binding(request):
    return request.param


@pytest.fixture(params=PROFILES)
def profile(request):
    return PROFILES[request.param]


async def register(server, method, binding, profile=aa.FAPI2, **members):
    """Register a client as the profile wants it (RFC 7591); give its identifier."""
    public = {k: v for k, v in server.facts["assertion_key"].items() if k != "d"}
    keys = [public, server.facts["certificate"]]
    metadata = {
        "application_type": "native",
        "authorization_signed_response_alg": "PS256",
        "backchannel_authentication_request_signing_alg": "ES256",
        "dpop_bound_access_tokens": binding == "dpop",
        "grant_types": ["authorization_code", "refresh_token"],
        "id_token_signed_response_alg": "PS256",
        "jwks": {"keys": keys},
        "redirect_uris": [server.redirect_uri],
        "request_object_signing_alg": "ES256",
        "require_pushed_authorization_requests": CIBA not in members.get("grant_types", ()),
        "require_signed_request_object": profile.signs_requests,
        "response_types": ["code"],
        "tls_client_certificate_bound_access_tokens": binding == "mtls",
        "token_endpoint_auth_method": method,
    }
    if method == "private_key_jwt":
        metadata["token_endpoint_auth_signing_alg"] = "ES256"
    if method == "tls_client_auth":
        metadata["tls_client_auth_san_dns"] = "payments.example"
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{server.issuer}/reg", json=metadata | members) as response:
            assert response.status == 201, await response.text()
            return (await response.json())["client_id"]


def make_client(server, client_id, method, binding, profile=aa.FAPI2, dpop_key=DPOP_KEY):
    """Make the client of a registration: one value turns the profile on."""
    key, authority = (
        aa.SigningKey(json.dumps(server.facts["assertion_key"])),
        server.facts["authority"],
    )
    own = (authority.folder / f"own.example.{part}" for part in ("crt", "key"))
    certificate = (
        aa.ClientCertificate(*own, ca_file=authority.ca_file)
        if method.startswith("self")
        else authority.certificate()
    )
    auth = {
        "private_key_jwt": aa.PrivateKeyJwt(key),
        "tls_client_auth": aa.TlsClientAuth(certificate),
        "self_signed_tls_client_auth": aa.SelfSignedTlsClientAuth(certificate),
    }[method]
    needs_certificate = method == "private_key_jwt" and binding == "mtls"
    return aa.OAuthClient(
        client_id,
        auth,
        environment=aa.Environment.at(server.issuer, endpoint_origins=[server.facts["secure_url"]]),
        certificate=certificate if needs_certificate else None,
        dpop=aa.DPoP(dpop_key) if binding == "dpop" else None,
        profile=profile,
        request_signer=key,
    )


async def test_a_sign_in_and_its_refreshes_are_bound(server, browser, method, binding, profile):
    """
    Pushed, signed where the profile says so, bound, and refreshed by one-time refresh tokens.

    The server demands a nonce in each proof, and accepts a token from its own key alone.
    """
    client_id = await register(server, method, binding, profile)
    client = make_client(server, client_id, method, binding, profile)
    report = await client.assess_profile(profile)
    request = await client.begin_sign_in(
        server.redirect_uri, "openid offline_access", prompt="consent"
    )
    callback = (await browser.visit(request.url, **answers_of("alice"))).callback
    done = await client.complete_sign_in(request, callback)
    tokens = [done.token]
    async with aa.TokenProvider(client, aa.SignedInGrant("alice"), on_event=None) as provider:
        await provider.set_token(done.token)
        assert provider.report_rejected(done.token)
        tokens.append(await provider.get_token())
    tokens.append(await client.fetch_token(aa.RefreshTokenGrant(tokens[-1].refresh_token)))

    assert report.client_problems == ()
    assert ("response=" in str(callback)) is profile.expects_signed_responses
    assert {token.token_type for token in tokens} == {"DPoP" if binding == "dpop" else "Bearer"}
    assert len({token.refresh_token for token in tokens}) == 3
    assert (await client.fetch_userinfo(tokens[-1]))["sub"] == "alice"
    if binding == "dpop":
        thief = make_client(
            server, client_id, method, binding, profile, dpop_key=aa.SigningKey.generate()
        )
    else:
        thief = server.client(client_id)
    with pytest.raises(aa.AritmaAuthError):
        await thief.fetch_userinfo(tokens[-1])


@pytest.mark.parametrize(
    ("method", "binding"), [("private_key_jwt", "dpop"), ("tls_client_auth", "mtls")], indirect=True
)
async def test_the_server_tells_when_the_end_user_has_decided(server, method, binding):
    """CIBA in ping mode: the notification is the server's own, and another's is refused."""
    pending, told = [], []

    async def receive(request):
        headers, body = request.headers, await request.read()
        with pytest.raises(aa.VerificationError):
            aa.validate_backchannel_notification(pending, authorization="Bearer another", body=body)
        told.append(
            aa.validate_backchannel_notification(
                pending, authorization=headers["Authorization"], body=body
            )
        )
        heard.set()
        return web.Response(status=204)

    heard = asyncio.Event()
    async with serving(receive, ssl_context=server.facts["authority"].server()) as url:
        client_id = await register(
            server,
            method,
            binding,
            grant_types=[CIBA],
            redirect_uris=[],
            response_types=[],
            backchannel_token_delivery_mode="ping",
            backchannel_client_notification_endpoint=f"{url}/ciba",
        )
        client = make_client(server, client_id, method, binding)
        asked = await client.begin_backchannel_sign_in(
            "openid", login_hint="alice", notify=True, sign=True
        )
        pending.append(asked)
        await asyncio.wait_for(heard.wait(), 10)
        done = await client.complete_backchannel_sign_in(told[0], is_notified=True)

    assert told == [asked]
    assert done.subject == "alice"
    assert done.token.token_type == ("DPoP" if binding == "dpop" else "Bearer")


async def test_an_authorization_response_comes_encrypted(server, browser):
    """Signed, then encrypted to the client's key, which opens it; another key does not (JARM §2.2)."""
    key = server.facts["assertion_key"]
    public = {name: value for name, value in key.items() if name != "d"} | {"use": "enc"}
    client_id = await register(
        server,
        "none",
        "",
        jwks={"keys": [public]},
        authorization_encrypted_response_alg="ECDH-ES",
        authorization_encrypted_response_enc="A256GCM",
        request_object_signing_alg="ES256",
        require_pushed_authorization_requests=False,
    )
    keys = aa.DecryptionKey(key), aa.DecryptionKey(aa.SigningKey.generate().to_jwk())
    clients = [server.client(client_id, decryption_key=each) for each in keys]
    for client in clients:
        request = await client.begin_sign_in(server.redirect_uri, "openid", response_mode="jwt")
        callback = (await browser.visit(request.url, **answers_of("alice"))).callback
        assert callback.count(".") >= 4
        if client is clients[0]:
            assert (await client.complete_sign_in(request, callback)).subject == "alice"
        else:
            with pytest.raises(aa.VerificationError, match="for this client's key"):
                await client.complete_sign_in(request, callback)

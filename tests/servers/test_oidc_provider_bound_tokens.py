"""Tokens that are bound to a key or a certificate, at oidc-provider."""

import aiohttp
import pytest
from yarl import URL

import aritma_auth as aa
from support.plain_browser import answers_of

pytestmark = [pytest.mark.timeout(360), pytest.mark.usefixtures("no_leftovers")]

MACHINE = aa.ClientCredentialsGrant(scope="bankservice", resource="https://bank.example/")
ALICE = answers_of("alice")


@pytest.fixture
def server(oidc_provider):
    return oidc_provider


def confirmed(token):
    return aa.parse_unverified_claims(token.access_token)["cnf"]


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256"])
async def test_a_token_is_bound_to_the_key_although_each_proof_needs_a_nonce(server, algorithm):
    """The first refusal brings the nonce, and the second request the token."""
    key = aa.SigningKey.generate(algorithm)
    client = server.client("post", server.secret, dpop=aa.DPoP(key))
    tokens = [await client.fetch_token(MACHINE) for _ in range(2)]

    assert [token.token_type for token in tokens] == ["DPoP", "DPoP"]
    assert [confirmed(token) for token in tokens] == [{"jkt": key.thumbprint}] * 2


async def test_each_repetition_has_an_assertion_of_its_own(server):
    """This server accepts each assertion once, and each proof."""
    key = aa.SigningKey(server.facts["assertion_key"])
    client = server.client(
        "assertion", aa.PrivateKeyJwt(key), dpop=aa.DPoP(aa.SigningKey.generate())
    )

    assert (await client.fetch_token(MACHINE)).token_type == "DPoP"


@pytest.mark.parametrize("client_id", ["web", "public"])
async def test_a_sign_in_is_bound_to_the_key_from_its_request_on(server, browser, client_id):
    """Code, refresh and UserInfo are proved; a code and a public client's refresh token know no other key."""
    secret = None if client_id == "public" else server.secret
    client = server.client(client_id, secret, dpop=aa.DPoP(aa.SigningKey.generate()))
    thief = server.client(client_id, secret, dpop=aa.DPoP(aa.SigningKey.generate()))
    scope = "openid offline_access"
    request = await client.begin_sign_in(server.redirect_uri, scope, prompt="consent")
    callback = (await browser.visit(request.url, **ALICE)).callback
    signed_in = await client.complete_sign_in(request, callback)
    token = signed_in.token
    claims = await client.fetch_userinfo(token, subject="alice")
    for _ in range(2):
        token = await client.fetch_token(aa.RefreshTokenGrant(token.refresh_token))

    assert token.token_type == "DPoP"
    assert claims["sub"] == "alice"
    with pytest.raises(aa.OAuthError):
        await thief.fetch_userinfo(token, subject="alice")
    if client_id == "public":
        with pytest.raises(aa.InvalidGrantError):
            await thief.fetch_token(aa.RefreshTokenGrant(token.refresh_token))


async def test_a_stolen_bound_token_is_refused(server, browser):
    """At UserInfo it is refused as a bearer token, and without a proof, each time."""
    client = server.client("web", server.secret, dpop=aa.DPoP(aa.SigningKey.generate()))
    request = await client.begin_sign_in(server.redirect_uri, "openid")
    callback = (await browser.visit(request.url, **ALICE)).callback
    token = (await client.complete_sign_in(request, callback)).token
    url = URL((await client.fetch_metadata()).endpoint("userinfo_endpoint"))
    statuses = []
    async with aiohttp.ClientSession() as session:
        for number in range(100):
            scheme = ("Bearer", "DPoP")[number % 2]
            headers = {"Authorization": f"{scheme} {token.access_token}"}
            async with session.get(url, headers=headers) as response:
                statuses.append(response.status)

    assert not [status for status in statuses if status not in {400, 401}]


async def test_a_certificate_authenticates_and_binds(server):
    """The endpoint for certificates is found in the metadata, and the token names the certificate."""
    certificate = server.facts["authority"].certificate()
    client = server.client("certified", aa.TlsClientAuth(certificate), requires_bound_tokens=True)
    other = server.facts["authority"].certificate("other.example")

    token = await client.fetch_token(MACHINE)
    assert confirmed(token) == {"x5t#S256": certificate.thumbprint}
    with pytest.raises(aa.InvalidClientError, match="tls_client_auth"):
        await server.client("certified", aa.TlsClientAuth(other)).fetch_token(MACHINE)


async def test_a_registered_certificate_authenticates_too(server):
    """The server compares it with the client's key set; another one is refused."""
    authority = server.facts["authority"]
    files = (authority.folder / f"own.example.{part}" for part in ("crt", "key"))
    certificate = aa.ClientCertificate(*files, ca_file=authority.ca_file)
    client = server.client("self-certified", aa.SelfSignedTlsClientAuth(certificate))
    other = aa.SelfSignedTlsClientAuth(authority.certificate("other.example"))

    assert confirmed(await client.fetch_token(MACHINE))["x5t#S256"] == certificate.thumbprint
    with pytest.raises(aa.InvalidClientError):
        await server.client("self-certified", other).fetch_token(MACHINE)


async def test_a_client_without_its_certificate_is_refused(server):
    """Another way to authenticate does not do."""
    with pytest.raises(aa.AritmaAuthError):
        await server.client("certified", server.secret).fetch_token(MACHINE)

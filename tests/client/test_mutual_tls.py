"""Mutual TLS with a real handshake: the same certificate at the token endpoint and at the API."""

import ssl

import aiohttp
import attrs
import pytest

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox, SandboxClient
from support.connect_proxy import connect_proxy
from support.tls import Authority

pytestmark = pytest.mark.usefixtures("no_leftovers")

GRANT = aa.ClientCredentialsGrant(scope="bankservice")


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
async def sandbox(authority):
    """Give a sandbox that asks for certificates, and a client registered by the name in one."""
    async with Sandbox(server_version="duende-8", ssl_context=authority.server()) as sandbox:
        sandbox.add_client(SandboxClient(client_id="payments", certificate_name="payments.example"))
        yield sandbox


def client_of(sandbox, own=None, *, auth=None, **settings):
    """Make the client, which authenticates by its own certificate or otherwise."""
    auth = auth or aa.TlsClientAuth(own)
    return aa.OAuthClient("payments", auth, environment=sandbox.environment, **settings)


def confirmed(token):
    return aa.parse_unverified_claims(token.access_token)["cnf"]


async def status_of(bank, path="api/v3/accounts/42"):
    async with bank.get(path) as response:
        return response.status


async def test_a_certificate_authenticates_and_binds(sandbox, authority):
    """The token names the certificate, and the API accepts it with the same one."""
    certificate = authority.certificate()
    async with aa.TokenProvider(client_of(sandbox, certificate), GRANT) as tokens:
        async with tokens.session(sandbox.banking_url) as bank:
            assert await status_of(bank) == 200
        token = await tokens.get_token()

    assert token.token_type == "Bearer"
    assert confirmed(token) == {"x5t#S256": certificate.thumbprint}


async def test_a_certificate_goes_through_a_proxy(sandbox, authority):
    """A tunnel carries the handshake of the token request, and that of the API."""
    certificate = authority.certificate()
    async with connect_proxy() as proxy:
        client = client_of(sandbox, certificate, proxy=proxy.url)
        async with aa.TokenProvider(client, GRANT) as tokens:
            async with tokens.session(sandbox.banking_url, proxy=proxy.url) as bank:
                assert await status_of(bank) == 200

    assert [head.split()[0] for head in proxy.heads] == ["CONNECT", "CONNECT"]


async def test_a_certificate_that_signs_itself_is_known_by_its_thumbprint(sandbox, authority):
    """The method has a name of its own, which the metadata lists."""
    certificate = authority.certificate("own.example")
    sandbox.add_client(
        SandboxClient(client_id="payments", certificate_thumbprint=certificate.thumbprint)
    )
    client = client_of(sandbox, certificate, auth=aa.SelfSignedTlsClientAuth(certificate))
    other = authority.certificate("payments.example")

    assert (await client.fetch_token(GRANT)).token_type == "Bearer"
    assert client.client_auth.method == "self_signed_tls_client_auth"
    with pytest.raises(aa.InvalidClientError):
        await client_of(sandbox, other).fetch_token(GRANT)


async def test_another_clients_certificate_is_refused(sandbox, authority):
    """The handshake succeeds, and the name is another one's."""
    with pytest.raises(aa.InvalidClientError, match="tls_client_auth"):
        await client_of(sandbox, authority.certificate("other.example")).fetch_token(GRANT)


async def test_a_certificate_of_an_unknown_authority_ends_the_handshake(sandbox, tmp_path):
    """The server trusts one authority alone."""
    folder = tmp_path / "stranger"
    folder.mkdir()
    stranger = Authority(folder)
    cert_file, key_file = stranger.issue()
    certificate = aa.ClientCertificate(cert_file, key_file, ca_file=tmp_path / "ca.pem")
    with pytest.raises(aa.TransportError):
        await client_of(sandbox, certificate).fetch_token(GRANT)


async def test_without_a_certificate_the_token_is_worth_nothing(sandbox, authority):
    """A stolen token over a connection without the certificate, or with another one, gets a 401."""
    token = await client_of(sandbox, authority.certificate()).fetch_token(GRANT)
    headers = {"Authorization": token.authorization}
    thief = authority.certificate("other.example").ssl_context
    plain = aiohttp.TCPConnector(ssl=_trusting(authority))
    for connector in (plain, aiohttp.TCPConnector(ssl=thief)):
        async with aiohttp.ClientSession(
            sandbox.banking_url, connector=connector, headers=headers
        ) as session:
            assert [await status_of(session) for _ in range(50)] == [401] * 50


def _trusting(authority):
    return ssl.create_default_context(cafile=authority.ca_file)


async def test_a_certificate_binds_beside_another_authentication(sandbox, authority):
    """A client with a secret binds its tokens to a certificate; the endpoint sees both."""
    certificate = authority.certificate()
    client = aa.OAuthClient(
        "sandbox-service",
        "sandbox-secret",
        environment=sandbox.environment,
        certificate=certificate,
        requires_bound_tokens=True,
    )
    async with aa.TokenProvider(client, GRANT) as tokens:
        async with tokens.session(sandbox.banking_url) as bank:
            assert await status_of(bank) == 200

    assert client.certificate is certificate
    assert client.ssl_context is certificate.ssl_context
    with pytest.raises(aa.ConfigurationError, match="certificate must be left out"):
        client_of(sandbox, certificate, certificate=authority.certificate("x.example"))


async def test_a_certificate_as_an_ssl_context_works_too(sandbox, authority):
    """The context is the caller's to renew."""
    context = authority.certificate().ssl_context
    client = client_of(sandbox, context)
    async with aa.TokenProvider(client, GRANT) as tokens:
        async with tokens.session(sandbox.banking_url, timeout=aiohttp.ClientTimeout(30)) as bank:
            assert await status_of(bank) == 200

    assert client.ssl_context is context
    assert client.certificate is None


async def test_a_session_without_a_certificate_is_signed_all_the_same(aritma_sandbox):
    """The helper works for every client; further middlewares see the request unsigned."""
    seen = []

    async def listen(request, handler):
        seen.append(request.headers.get("Authorization"))
        return await handler(request)

    me = aritma_sandbox.client
    client = aa.OAuthClient(me.client_id, me.client_secret, environment=aritma_sandbox.environment)
    async with aa.TokenProvider(client, GRANT) as tokens:
        async with tokens.session(aritma_sandbox.banking_url, middlewares=[listen]) as bank:
            assert await status_of(bank) == 200

    assert seen == [None]


async def test_a_renewed_certificate_is_used_without_a_restart(sandbox, authority):
    """The API refuses the old token over a new connection; it is refreshed, and the call succeeds."""
    certificate = authority.certificate(check_interval=0)
    async with aa.TokenProvider(client_of(sandbox, certificate), GRANT) as tokens:
        async with tokens.session(sandbox.banking_url) as bank:
            first = await tokens.get_token()
            assert await status_of(bank) == 200
        authority.issue()
        async with tokens.session(sandbox.banking_url) as bank:
            assert await status_of(bank) == 200
        second = await tokens.get_token()

    assert confirmed(first) != confirmed(second)
    assert confirmed(second) == {"x5t#S256": certificate.thumbprint}


async def test_a_busy_connection_does_not_outlive_its_certificate(sandbox, authority):
    """Neither at the API nor at the token endpoint: else each new token would be refused."""
    certificate = authority.certificate(check_interval=0)
    async with aiohttp.ClientSession() as shared:
        client = client_of(sandbox, certificate, session=shared)
        async with aa.TokenProvider(client, GRANT, on_event=None) as tokens:
            async with tokens.session(sandbox.banking_url) as bank:
                assert [await status_of(bank) for _ in range(3)] == [200] * 3
                authority.issue()
                await certificate.reload()
                for _ in range(2):
                    await tokens.forget()
                    assert [await status_of(bank) for _ in range(3)] == [200] * 3
                    token = await tokens.get_token()
                    assert confirmed(token) == {"x5t#S256": certificate.thumbprint}

    assert sandbox.requests_at("token") == 3


async def test_a_replacement_that_does_not_fit_ends_no_connection(sandbox, authority):
    """The certificate in memory still works although the key beside it in the files is another's."""
    certificate = authority.certificate(check_interval=0)
    before = certificate.thumbprint
    _, key_file = authority.issue("other.example")
    key_file.replace(authority.folder / "payments.example.key")
    client = client_of(sandbox, certificate)

    assert confirmed(await client.fetch_token(GRANT)) == {"x5t#S256": before}
    assert certificate.problem is not None


async def test_a_profile_is_kept_with_a_certificate_that_binds(sandbox, authority):
    """The session to the API has the profile's TLS settings, and the certificate."""
    key = aa.SigningKey.generate("ES256")
    sandbox.add_client(SandboxClient(client_id="payments", public_key=dict(key.public_jwk)))
    certificate = authority.certificate()
    client = client_of(
        sandbox, auth=aa.PrivateKeyJwt(key), certificate=certificate, profile=aa.FAPI2
    )
    async with aa.TokenProvider(client, GRANT) as tokens:
        async with tokens.session(sandbox.banking_url) as bank:
            assert await status_of(bank) == 200
        token = await tokens.get_token()

    assert confirmed(token) == {"x5t#S256": certificate.thumbprint}
    assert client.ssl_context is certificate.ssl_context


async def test_a_certificate_swapped_on_the_way_is_a_refusal(sandbox, authority):
    """A proxy that presents another client's certificate is told from a wrong token."""
    client = client_of(sandbox, authority.certificate(), requires_bound_tokens=True)
    sandbox.faults.swap_certificate_next()
    with pytest.raises(aa.InvalidClientError):
        await client.fetch_token(GRANT)
    async with aa.TokenProvider(client, GRANT) as tokens:
        async with tokens.session(sandbox.banking_url) as bank:
            sandbox.faults.swap_certificate_next(where="api")
            assert await status_of(bank) == 200
            sandbox.faults.swap_certificate_next(where="api", times=2)
            assert await status_of(bank) == 401


async def test_a_token_that_is_bound_to_another_certificate_is_an_error(sandbox, authority):
    """With requires_bound_tokens the claim is looked at; an opaque token is taken as it is."""
    secret = {"auth": aa.ClientSecretPost("sandbox-secret")}
    sandbox.add_client(attrs.evolve(sandbox.client, client_id="payments"))
    certificate = authority.certificate()
    strict = client_of(sandbox, certificate=certificate, requires_bound_tokens=True, **secret)
    loose = client_of(sandbox, certificate=certificate, **secret)
    sandbox.faults.swap_certificate_next(times=2)
    with pytest.raises(aa.InvalidResponseError, match=r"names another one .cnf x5t#S256"):
        await strict.fetch_token(GRANT)
    assert confirmed(await loose.fetch_token(GRANT)) != {"x5t#S256": certificate.thumbprint}
    sandbox.overrides.access_token["cnf"] = None
    with pytest.raises(aa.InvalidResponseError, match="names none"):
        await strict.fetch_token(GRANT)
    sandbox.overrides.token_response["access_token"] = "opaque"
    assert (await strict.fetch_token(GRANT)).access_token == "opaque"


async def test_a_key_may_be_required_of_tokens_too(sandbox, authority):
    """With DPoP the claim is ``jkt``."""
    me = sandbox.client
    client = aa.OAuthClient(
        me.client_id,
        me.client_secret,
        environment=sandbox.environment,
        certificate=_trusting(authority),
        dpop=aa.DPoP(aa.SigningKey.generate()),
        requires_bound_tokens=True,
    )
    assert (await client.fetch_token(GRANT)).token_type == "DPoP"
    sandbox.faults.bind_next_to_another_key()
    with pytest.raises(aa.InvalidResponseError, match=r"names another one .cnf jkt"):
        await client.fetch_token(GRANT)
    with pytest.raises(aa.ConfigurationError, match="requires_bound_tokens must be False, or"):
        aa.OAuthClient("id", "secret", requires_bound_tokens=True)


async def test_userinfo_wants_the_certificate_too(sandbox, authority):
    """The claims come over the same certificate, and to no other one."""
    sandbox.add_client(
        attrs.evolve(
            sandbox.clients["sandbox-web"],
            client_id="payments",
            secrets=(),
            certificate_name="payments.example",
        )
    )
    sandbox.sign_in_automatically("alice")
    client = client_of(sandbox, authority.certificate())
    signed_in = await _sign_in(client, authority)
    claims = await client.fetch_userinfo(signed_in.token)
    sandbox.faults.swap_certificate_next(where="userinfo")
    with pytest.raises(aa.OAuthError, match="invalid_token"):
        await client.fetch_userinfo(signed_in.token)

    assert claims["sub"] == "user-alice"


async def _sign_in(client, authority):
    request = await client.begin_sign_in("http://127.0.0.1/callback", "openid profile bankservice")
    connector = aiohttp.TCPConnector(ssl=_trusting(authority))
    async with aiohttp.ClientSession(connector=connector) as browser:
        async with browser.get(request.url, allow_redirects=False) as response:
            callback = response.headers["Location"]
    return await client.complete_sign_in(request, callback)


async def test_the_endpoints_for_certificates_are_preferred(sandbox, authority):
    """A client with a certificate of either use goes to the aliases of the metadata (RFC 8705 §5)."""
    elsewhere = sandbox.identity_url.replace("127.0.0.1", "localhost")
    sandbox.overrides.metadata["mtls_endpoint_aliases"] = {
        "token_endpoint": f"{elsewhere}/by-certificate/connect/token"
    }
    environment = aa.Environment.at(
        sandbox.identity_url, discover=True, endpoint_origins=[elsewhere]
    )
    certificate = authority.certificate()
    client = aa.OAuthClient("payments", aa.TlsClientAuth(certificate), environment=environment)
    other = aa.OAuthClient(
        "sandbox-service", "sandbox-secret", environment=environment, certificate=certificate
    )
    metadata = await client.fetch_metadata()
    for each in (client, other):
        assert (await each.fetch_token(GRANT)).token_type == "Bearer"

    assert [request.tenant for request in sandbox.token_requests] == ["by-certificate"] * 2
    assert {"tls_client_auth", "self_signed_tls_client_auth"} <= set(metadata.client_auth_methods)

"""
The OpenID Foundation's client modules in which a client registers itself, by their names.

Open Finance Brazil's directory issues a software statement, with which the client registers over
mutual TLS; at the end it reads its registration twice, and each response replaces the token.
"""

import asyncio
import contextlib
import ssl

import aiohttp
import attrs
import pytest
from aiohttp import web
from joserfc.jwk import RSAKey

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox
from support.fapi import COMBINATIONS, DPOP_KEY, KEY, FapiServer
from support.loopback import serving
from support.sandbox_wire import read_jwt
from support.signing import OTHER_RSA, jwk, sign
from support.tls import Authority

pytestmark = pytest.mark.usefixtures("no_leftovers")

PROFILES = {"plain_response": aa.FAPI2, "jarm": aa.FAPI2_MESSAGE_SIGNING}
CALLBACK = "http://127.0.0.1/callback"
ENCRYPTION = RSAKey.generate_key(2048, auto_kid=False)
DECRYPTION = aa.DecryptionKey(ENCRYPTION.as_dict(private=True))
SCOPE = "openid offline_access bankservice"


@attrs.frozen
class Participant:
    """What a participant of the directory has: a certificate, keys at an address, a statement."""

    server: FapiServer
    jwks_uri: str

    def statement(self):
        """Give the directory's statement of this minute."""
        claims = {
            "iss": "Open Banking Open Banking Brasil sandbox SSA issuer",
            "iat": int(self.server.sandbox.clock.time()),
            "software_id": "the-software",
            "software_jwks_uri": self.jwks_uri,
            "software_redirect_uris": [CALLBACK],
        }
        return sign(claims)

    def metadata(self):
        """Give what Open Finance Brazil's dynamic client registration wants (§7.1)."""
        authenticates = (
            {
                "token_endpoint_auth_method": "tls_client_auth",
                "tls_client_auth_subject_dn": "CN=payments.example",
            }
            if self.server.combination.startswith("mtls")
            else {"token_endpoint_auth_method": "private_key_jwt"}
        )
        return authenticates | {
            "software_statement": self.statement(),
            "jwks_uri": self.jwks_uri,
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "require_pushed_authorization_requests": True,
        }

    def client(self, registered, profile, **settings):
        """Make the client that was registered."""
        server = self.server
        is_mtls = server.combination.startswith("mtls")
        return aa.OAuthClient(
            registered.client_id,
            aa.TlsClientAuth(server.certificate) if is_mtls else aa.PrivateKeyJwt(KEY),
            environment=environment_of(server),
            certificate=None if is_mtls else server.certificate,
            request_signer=KEY,
            dpop=aa.DPoP(DPOP_KEY) if server.has_dpop else None,
            profile=profile,
            clock=server.sandbox.clock,
            **settings,
        )


def environment_of(server):
    another = server.sandbox.identity_url.replace("127.0.0.1", "localhost")
    return aa.Environment.at(
        server.sandbox.identity_url,
        api_origins=[server.sandbox.banking_url],
        endpoint_origins=[another],
    )


@pytest.fixture(params=COMBINATIONS)
async def participant(request, tmp_path):
    """Start a server that registers participants, and serve one participant's keys."""
    authority = Authority(tmp_path)

    async def keys(_request):
        encryption = {**ENCRYPTION.as_dict(private=False), "use": "enc"}
        signing = {**KEY.public_jwk, "kid": KEY.key_id, "use": "sig"}
        return web.json_response({"keys": [signing, encryption]})

    async with contextlib.AsyncExitStack() as stack:
        sandbox = Sandbox(server_version="fapi", ssl_context=authority.server())
        await stack.enter_async_context(sandbox)
        url = await stack.enter_async_context(serving(keys))
        sandbox.client_registrations.software_key = jwk()
        sandbox.client_registrations.requires_certificate = True
        another = sandbox.identity_url.replace("127.0.0.1", "localhost")
        aliases = {"registration_endpoint": f"{another}/connect/dcr"}
        sandbox.overrides.metadata = {"mtls_endpoint_aliases": aliases}
        sandbox.sign_in_automatically("alice")
        server = FapiServer(sandbox, request.param, authority.certificate())
        yield Participant(server, f"{url}/jwks")


async def call_the_api(server, client, token):
    """Call a Banking API as a provider's middleware does."""
    async with aa.TokenProvider(
        client, aa.SignedInGrant("alice"), clock=server.sandbox.clock, on_event=None
    ) as tokens:
        await tokens.set_token(token)
        async with server.api_session(tokens) as bank, bank.get("api/v3/accounts/42") as response:
            assert response.status == 200


@pytest.mark.parametrize("module", ["fapi2-security-profile-final-client-brazildcr-happypath-test"])
@pytest.mark.parametrize("profile", PROFILES)
async def test_a_client_registers_itself(participant, profile, module):
    """Registration, sign-in, API call and two readings succeed with what the client has kept."""
    server, sandbox = participant.server, participant.server.sandbox
    registrar = aa.ClientRegistrar(environment_of(server), certificate=server.certificate)
    registered = await registrar.register(participant.metadata())
    client = participant.client(registered, PROFILES[profile])
    request = await client.begin_sign_in(CALLBACK, SCOPE)
    done = await client.complete_sign_in(request, await server.visit(request))
    await call_the_api(server, client, done.token)
    kept = registered.to_json()
    for _ in range(2):
        read = await registrar.fetch(aa.RegisteredClient.from_json(kept))
        assert read.registration_access_token not in kept
        kept = read.to_json()
    sent = sandbox.client_registrations.requests[0]

    assert server.is_bound(read_jwt(done.token.access_token)[1]["cnf"])
    assert registered.registration_client_uri.startswith("https://localhost:")
    # Open Finance Brazil's own rules (§7.1-3 to 7.1-12), as the suite checks them.
    assert "jwks" not in sent
    assert sent["jwks_uri"] == read_jwt(sent["software_statement"])[1]["software_jwks_uri"]
    assert not {"tls_client_auth_san_dns", "tls_client_auth_san_uri"} & sent.keys()


@pytest.mark.parametrize("module", ["fapi1-advanced-final-client-brazildcr-happypath-test"])
@pytest.mark.parametrize("participant", ["private_key_jwt + mtls", "mtls + mtls"], indirect=True)
async def test_a_client_of_fapi_1_registers_itself(participant, module):
    """The browser carries the request, signed and encrypted, and a signed response."""
    server, sandbox = participant.server, participant.server.sandbox
    registrar = aa.ClientRegistrar(environment_of(server), certificate=server.certificate)
    wanted = {
        "require_pushed_authorization_requests": False,
        "request_object_encryption_alg": "RSA-OAEP",
        "request_object_encryption_enc": "A256GCM",
    }
    registered = await registrar.register(participant.metadata() | wanted)
    is_mtls = server.combination.startswith("mtls")
    auth = aa.PrivateKeyJwt(KEY, names_issuer=True)
    client = aa.OAuthClient(
        registered.client_id,
        aa.TlsClientAuth(server.certificate) if is_mtls else auth,
        environment=environment_of(server),
        certificate=None if is_mtls else server.certificate,
        request_signer=KEY,
        request_encryption=aa.RequestEncryption("RSA-OAEP", "A256GCM"),
        requires_bound_tokens=True,
        clock=sandbox.clock,
    )
    request = await client.begin_sign_in(CALLBACK, SCOPE, response_mode="jwt")
    callback = await server.visit(request)
    done = await client.complete_sign_in(request, callback)
    await call_the_api(server, client, done.token)
    for _ in range(2):
        registered = await registrar.fetch(registered)

    assert request.url.partition("request=")[2].partition("&")[0].count(".") == 4
    assert "response=" in callback
    assert server.is_bound(read_jwt(done.token.access_token)[1]["cnf"])


@pytest.mark.parametrize("module", ["fapi-ciba-id1-client-brazildcr-happypath-test"])
@pytest.mark.parametrize("participant", ["private_key_jwt + mtls", "mtls + mtls"], indirect=True)
async def test_a_client_of_ciba_registers_itself(participant, module):
    """It is notified of the end-user's decision, and its ID token is encrypted to its own key."""
    server, sandbox = participant.server, participant.server.sandbox
    notified, waiting = asyncio.get_running_loop().create_future(), []

    async def notify(request):
        authorization = request.headers["Authorization"]
        found = aa.validate_backchannel_notification(
            waiting, authorization=authorization, body=await request.read()
        )
        notified.set_result(found)
        return web.Response(status=204)

    async with serving(notify) as endpoint:
        registrar = aa.ClientRegistrar(environment_of(server), certificate=server.certificate)
        wanted = {
            "grant_types": ["urn:openid:params:grant-type:ciba", "refresh_token"],
            "backchannel_token_delivery_mode": "ping",
            "backchannel_client_notification_endpoint": f"{endpoint}/notified",
            "backchannel_authentication_request_signing_alg": "PS256",
            "id_token_encrypted_response_alg": "RSA-OAEP",
        }
        registered = await registrar.register(participant.metadata() | wanted)
        client = participant.client(registered, aa.FAPI2, decryption_key=DECRYPTION)
        waiting.append(
            await client.begin_backchannel_sign_in(
                SCOPE, login_hint="alice", notify=True, sign=True
            )
        )
        assert await sandbox.decide_backchannel("alice") == 204
        done = await client.complete_backchannel_sign_in(await notified, is_notified=True)
    await call_the_api(server, client, done.token)

    assert done.subject == "user-alice"
    assert sandbox.clients[registered.client_id].encryption_key is not None
    assert (await registrar.fetch(registered)).client_id == registered.client_id


async def test_a_statement_that_is_not_the_directorys_registers_nobody(participant):
    """The sandbox verifies the statement: signed by another party, or old, it is refused."""
    server = participant.server
    registrar = aa.ClientRegistrar(environment_of(server), certificate=server.certificate)
    metadata = participant.metadata()
    now = int(server.sandbox.clock.time())
    fresh, old = {"iat": now}, {"iat": now - 301}
    for statement in (None, "text", sign(fresh, OTHER_RSA), sign(old)):
        with pytest.raises(aa.OAuthError) as told:
            await registrar.register(metadata | {"software_statement": statement})
        assert told.value.error == "invalid_software_statement"


async def test_without_a_certificate_nobody_registers(participant, tmp_path):
    """Registration is for participants, whom the handshake has shown."""
    server = participant.server
    trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    connector = aiohttp.TCPConnector(ssl=trusting)
    async with aiohttp.ClientSession(connector=connector) as session:
        stranger = aa.ClientRegistrar(environment_of(server), session=session)
        with pytest.raises(aa.OAuthError) as told:
            await stranger.register(participant.metadata())

    assert told.value.error == "invalid_token"


@pytest.mark.parametrize("module", ["oidcc-client-test-dynamic-registration"])
async def test_a_registered_client_signs_end_users_in(module):
    """What registration has given is enough for a code flow with a secret."""
    async with Sandbox(server_version="fapi") as sandbox:
        sandbox.sign_in_automatically("alice")
        registered = await aa.ClientRegistrar(sandbox.identity_url).register(
            {"redirect_uris": [CALLBACK], "grant_types": ["authorization_code"]}
        )
        client = aa.OAuthClient(
            registered.client_id,
            aa.ClientSecretBasic(registered.client_secret),
            environment=sandbox.identity_url,
            clock=sandbox.clock,
        )
        request = await client.begin_sign_in(CALLBACK, "openid profile")
        server = FapiServer(sandbox, "client_secret_basic")
        done = await client.complete_sign_in(request, await server.visit(request))

        assert done.subject == "user-alice"
        assert (await client.fetch_userinfo(done.token, subject=done.subject))["name"]

"""Sign-ins whose authorization request is signed (RFC 9101), and with details (RFC 9396)."""

import json
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import attrs
import pytest

import aritma_auth as aa
from aritma_auth.protocol.signing import RemoteSigner, SigningKey
from aritma_auth.sandbox import Sandbox
from support.journeys import REDIRECT_URI, begin, client_of, sign_in
from support.sandbox_wire import post, read_jwt

pytestmark = pytest.mark.usefixtures("no_leftovers")

KEYS = {
    "ES256": SigningKey.generate("ES256", key_id="k1"),
    "EdDSA": SigningKey.generate("EdDSA"),
    "PS256": SigningKey.generate("PS256"),
}
KEY = KEYS["ES256"]


@pytest.fixture
async def sandbox():
    async with Sandbox(server_version="fapi") as sandbox:
        register(sandbox)
        sandbox.sign_in_automatically("alice")
        yield sandbox


def register(sandbox, key=KEY):
    known = sandbox.clients["sandbox-web"]
    sandbox.add_client(attrs.evolve(known, public_key=key.public_jwk))


def query_of(request):
    return dict(parse_qsl(urlsplit(request.url).query))


@pytest.mark.parametrize("push", [True, False])
@pytest.mark.parametrize("algorithm", KEYS)
async def test_an_end_user_signs_in_with_a_signed_request(sandbox, algorithm, push):
    """The server verifies the request, pushed or brought by the browser."""
    register(sandbox, KEYS[algorithm])
    client = client_of(sandbox, request_signer=KEYS[algorithm])
    request, callback = await begin(client, sign=True, push=push)
    done = await client.complete_sign_in(request, callback)

    assert query_of(request).keys() == {"client_id", "request_uri" if push else "request"}
    assert done.subject == "user-alice"


async def test_a_key_kept_elsewhere_signs_too(sandbox):
    """A remote signer is awaited."""
    signed = []

    async def sign(data):
        signed.append(data)
        return KEY.sign(data)

    signer = RemoteSigner("ES256", sign, key_id="k1")
    done = await sign_in(client_of(sandbox, request_signer=signer), sign=True)

    assert done.subject == "user-alice"
    assert len(signed) == 1


async def test_a_server_that_demands_it_gets_a_signed_request(sandbox):
    """Metadata that demand signed requests are obeyed with the key of the assertions."""
    sandbox.faults.require_signed_requests()
    environment = aa.Environment.at(sandbox.identity_url, discover=True)
    client = aa.OAuthClient(
        "sandbox-web",
        aa.PrivateKeyJwt(KEY, names_issuer=True),
        environment=environment,
        clock=sandbox.clock,
    )
    request, callback = await begin(client)
    header, claims = read_jwt(query_of(request)["request"])

    assert header["typ"] == "oauth-authz-req+jwt"
    assert claims["aud"] == sandbox.identity_url
    assert (await client.complete_sign_in(request, callback)).subject == "user-alice"
    with pytest.raises(aa.ConfigurationError, match="sign must not be False: the server requires"):
        await client.begin_sign_in(REDIRECT_URI, sign=False)


@pytest.mark.parametrize("push", [True, False])
@pytest.mark.parametrize("encryption", ["A128CBC-HS256", "A256GCM"])
async def test_an_encrypted_request_is_opened_by_the_server_alone(sandbox, push, encryption):
    """What is asked for stands in no URL, and the sign-in is as ever."""
    wanted = aa.RequestEncryption("RSA-OAEP-256", encryption)
    client = client_of(sandbox, request_signer=KEY, request_encryption=wanted)
    request, callback = await begin(client, push=push)
    again = type(request).from_json(request.to_json())
    done = await client.complete_sign_in(again, callback)

    assert request.request_object.text.count(".") == 4
    assert done.subject == "user-alice"
    with pytest.raises(aa.ConfigurationError, match="False: request_encryption requires signed"):
        await client.begin_sign_in(REDIRECT_URI, sign=False)


async def test_a_server_without_a_key_for_encryption_is_told_apart():
    """Its keys are fetched once more, and nothing is sent in clear text."""
    async with Sandbox(server_version="duende-8") as sandbox:
        register(sandbox)
        encryption = aa.RequestEncryption("RSA-OAEP-256")
        client = client_of(sandbox, request_signer=KEY, request_encryption=encryption)
        with pytest.raises(aa.ConfigurationError, match="must publish a key for RSA-OAEP-256"):
            await client.begin_sign_in(REDIRECT_URI, push=True)

        assert sandbox.requests_at("par") == 0


async def test_what_is_encrypted_to_another_key_is_no_request(sandbox):
    """The sandbox opens what is for its own key."""
    stranger = {"keys": [{**SigningKey.generate("PS256").public_jwk, "use": "enc"}]}
    sandbox.faults.respond_next(json.dumps(stranger).encode(), where="jwks")
    encryption = aa.RequestEncryption("RSA-OAEP-256")
    client = client_of(sandbox, request_signer=KEY, request_encryption=encryption)
    with pytest.raises(aa.OAuthError, match="invalid_request_object"):
        await client.begin_sign_in(REDIRECT_URI, push=True)


@pytest.mark.parametrize("auth", ["secret", aa.PrivateKeyJwt("a key's text", algorithm="PS256")])
async def test_a_client_without_a_key_is_told(sandbox, auth):
    """Nothing is sent if there is nothing to sign with."""
    client = aa.OAuthClient("sandbox-web", auth, environment=sandbox.environment)
    with pytest.raises(aa.ConfigurationError, match="request_signer must be given"):
        await client.begin_sign_in(REDIRECT_URI, sign=True)


@pytest.mark.parametrize("given", ["a key's text", 5])
def test_a_signer_of_another_kind_is_refused(given):
    """The argument is named at construction."""
    with pytest.raises(aa.ConfigurationError, match="request_signer must be a SigningKey"):
        aa.OAuthClient("me", request_signer=given)


async def test_an_argument_of_the_wrong_kind_is_named(sandbox):
    """Only a truth value says whether to sign."""
    with pytest.raises(aa.ConfigurationError, match="sign must be True, False or None"):
        await client_of(sandbox).begin_sign_in(REDIRECT_URI, sign="yes")


async def test_a_request_with_another_key_is_refused(sandbox):
    """A key that is not registered signs nothing that the server believes."""
    client = client_of(sandbox, request_signer=SigningKey.generate())
    with pytest.raises(aa.OAuthError, match="invalid_request_object"):
        await client.begin_sign_in(REDIRECT_URI, sign=True, push=True)


async def test_an_unsigned_request_stays_on_the_servers_page(sandbox):
    """A server that demands a signature shows an error, and the metadata say so."""
    request = await client_of(sandbox).begin_sign_in(REDIRECT_URI)
    sandbox.faults.require_signed_requests()
    async with aiohttp.ClientSession() as http, http.get(request.url) as response:
        assert "Request object is required" in await response.text()
    sandbox.faults.require_signed_requests(is_on=False)
    async with aiohttp.ClientSession() as http:
        async with http.get(request.url, allow_redirects=False) as response:
            assert response.status == 303


PAYMENT = aa.AuthorizationDetail("payment_initiation", actions="initiate", extra={"amount": "5"})


@pytest.mark.parametrize("delivery", [{}, {"push": True}, {"sign": True}])
async def test_details_are_granted_with_the_tokens(sandbox, delivery):
    """The token response says what was granted of what was asked."""
    client = client_of(sandbox, request_signer=KEY)
    done = await sign_in(client, authorization_details=[PAYMENT], **delivery)

    assert aa.parse_granted_details(done.token) == (PAYMENT,)
    assert aa.find_ungranted_details([PAYMENT], done.token) == ()


async def test_a_service_asks_for_details_of_its_own(sandbox):
    """Client credentials carry details too, and a server that grants less is noticed."""
    client = client_of(sandbox, "sandbox-service")
    grant = aa.ClientCredentialsGrant("bankservice", authorization_details=[PAYMENT])
    assert aa.find_ungranted_details([PAYMENT], await client.fetch_token(grant)) == ()

    sandbox.overrides.token_response = {"authorization_details": []}
    assert aa.find_ungranted_details([PAYMENT], await client.fetch_token(grant)) == (PAYMENT,)


@pytest.mark.parametrize("text", ["{", "{}", '["x"]', "[{}]"])
async def test_malformed_details_are_refused(sandbox, text):
    """The sandbox refuses what is no list of typed objects (RFC 9396 §5)."""
    form = {
        "client_id": "sandbox-service",
        "client_secret": "sandbox-secret",
        "grant_type": "client_credentials",
        "authorization_details": text,
    }
    status, said, _ = await post(sandbox, "/connect/token", form)

    assert (status, said["error"]) == (400, "invalid_authorization_details")

"""ID tokens and UserInfo that a server has encrypted to the client."""

import json

import attrs
import pytest
from joserfc import jwe

import aritma_auth as aa
from aritma_auth.client.connection import ServerConnection
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.sandbox import Sandbox
from support.journeys import begin, client_of, sign_in
from support.signing import RSA, ec_key, okp_key

pytestmark = pytest.mark.usefixtures("no_leftovers")

KEY = ec_key("P-384")
DECRYPTION = aa.DecryptionKey(KEY.as_dict(private=True))


@pytest.fixture
async def sandbox(monkeypatch):
    """Start a server whose ID tokens and UserInfo are encrypted on their way."""
    send = ServerConnection.send

    async def encrypting(connection, request, **settings):
        response = await send(connection, request, **settings)
        if request.url.endswith("/connect/token") and response.status == 200:
            members = json.loads(response.body)
            members["id_token"] = encrypt(members["id_token"])
            return attrs.evolve(response, body=json.dumps(members).encode())
        if response.media_type == "application/jwt":
            return HttpResponse(200, response.headers, encrypt(response.body.decode()).encode())
        return response

    async with Sandbox(server_version="duende-8") as sandbox:
        known = sandbox.clients["sandbox-web"]
        sandbox.add_client(attrs.evolve(known, userinfo_is_signed=True))
        sandbox.sign_in_automatically("alice")
        monkeypatch.setattr(ServerConnection, "send", encrypting)
        yield sandbox


def encrypt(text):
    return jwe.encrypt_compact(
        {"alg": "ECDH-ES", "enc": "A256GCM"}, text, KEY, algorithms=["ECDH-ES", "A256GCM"]
    )


@pytest.mark.parametrize("kind", ["EC", "RSA", "OKP"])
async def test_what_the_sandbox_encrypts_is_opened(kind):
    """A client that is registered with a key gets each signed token encrypted to it."""
    key = {"EC": ec_key(), "RSA": RSA, "OKP": okp_key("X25519")}[kind]
    async with Sandbox(server_version="fapi") as sandbox:
        known = sandbox.clients["sandbox-web"]
        public = key.as_dict(private=False)
        sandbox.add_client(attrs.evolve(known, encryption_key=public, userinfo_is_signed=True))
        sandbox.sign_in_automatically("alice")
        decryption = aa.DecryptionKey(key.as_dict(private=True))
        client = client_of(sandbox, decryption_key=decryption)
        request, callback = await begin(client, response_mode="jwt")
        done = await client.complete_sign_in(request, callback)

        assert callback.partition("response=")[2].partition("&")[0].count(".") == 4
        assert done.subject == "user-alice"
        assert (await client.fetch_userinfo(done.token))["sub"] == "user-alice"
        stranger = client_of(sandbox)
        request, callback = await begin(stranger)
        with pytest.raises(aa.IdTokenError):
            await stranger.complete_sign_in(request, callback)


async def test_what_is_encrypted_is_opened_and_verified(sandbox):
    """The sign-in keeps the signed token, and UserInfo is verified by the server's key."""
    client = client_of(sandbox, decryption_key=DECRYPTION)
    done = await sign_in(client)

    assert done.subject == "user-alice"
    assert done.id_token.count(".") == 2
    assert (await client.fetch_userinfo(done.token))["sub"] == "user-alice"


async def test_what_is_inside_is_not_believed_unverified(sandbox):
    """Encryption proves nothing: a foreign signature inside is refused."""
    sandbox.overrides.signature = "foreign"
    with pytest.raises(aa.IdTokenError):
        await sign_in(client_of(sandbox, decryption_key=DECRYPTION))


@pytest.mark.parametrize(
    ("inside", "is_good"),
    [
        ('{"sub": "user-alice", "name": "Alicé"}', True),
        ('{"sub": "user-bob"}', False),
        ('{"sub": "user-alice", "sub": "user-alice"}', False),
        ("{", False),
        ("text", False),
    ],
)
async def test_claims_may_come_encrypted_and_not_signed(sandbox, monkeypatch, inside, is_good):
    """They are as good as plain ones, and about the end-user who signed in (Core 1.0 §5.3.2)."""
    client = client_of(sandbox, decryption_key=DECRYPTION)
    done = await sign_in(client)
    send = ServerConnection.send

    async def answer(connection, request, **settings):
        if request.url.endswith("/userinfo"):
            headers = {"Content-Type": "application/jwt"}
            return HttpResponse(200, headers, encrypt(inside.encode()).encode())
        return await send(connection, request, **settings)

    monkeypatch.setattr(ServerConnection, "send", answer)
    if is_good:
        assert (await client.fetch_userinfo(done.token))["name"] == "Alicé"
    else:
        with pytest.raises(aa.VerificationError):
            await client.fetch_userinfo(done.token)


@pytest.mark.parametrize(
    "key", [None, aa.DecryptionKey(ec_key().as_dict(private=True))], ids=["none", "another"]
)
async def test_without_the_key_the_sign_in_ends(sandbox, key):
    """The ID token cannot be opened, which is an error of the ID token."""
    with pytest.raises(aa.IdTokenError):
        await sign_in(client_of(sandbox, decryption_key=key))


async def test_a_key_does_not_demand_encryption(sandbox, monkeypatch):
    """A server that signs only is believed by its signature, and a grant without ID token works."""
    monkeypatch.undo()
    client = client_of(sandbox, decryption_key=DECRYPTION)
    request, callback = await begin(client)
    done = await client.complete_sign_in(request, callback)
    plain = await sign_in(client, "bankservice")

    assert done.subject == "user-alice"
    assert plain.id_token is None


@pytest.mark.parametrize("given", ["a key's text", 5], ids=["text", "number"])
def test_a_key_of_another_kind_is_refused(given):
    """The argument is named at construction."""
    with pytest.raises(aa.ConfigurationError, match="decryption_key must be a DecryptionKey"):
        aa.OAuthClient("me", decryption_key=given)

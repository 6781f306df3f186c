"""Tests of what a client's arguments must be, and of what is said when they are not."""

import json

import pytest

import aritma_auth as aa
from aritma_auth.protocol.client_auth import ClientCredential
from aritma_auth.protocol.redaction import SecretText
from support.signing import RSA

URL = "https://id.dev.aritma.io/connect/token"
PEM = RSA.as_pem(private=True).decode()
JWK = json.dumps(RSA.as_dict(private=True))


@pytest.mark.parametrize("key", [PEM, JWK], ids=["PEM", "JWK"])
async def test_a_private_key_is_never_sent_as_a_secret(http_mock, tmp_path, key):
    """A key in the place of a secret would leave the machine for good: nothing is sent."""
    file = tmp_path / "key"
    file.write_text(key)
    for auth in (aa.Secret.from_file(file), aa.ClientSecretBasic(key)):
        client = aa.OAuthClient("id", auth, environment=aa.DEVELOPMENT)
        with pytest.raises(aa.ConfigurationError, match=r"private key: give PrivateKeyJwt\(key\)"):
            await client.fetch_token(aa.ClientCredentialsGrant())

    assert not http_mock.requests


@pytest.mark.parametrize("key", [PEM, JWK], ids=["PEM", "JWK"])
def test_a_private_key_as_text_is_refused_at_construction(key):
    """The error comes where the mistake is."""
    with pytest.raises(aa.ConfigurationError, match="PrivateKeyJwt"):
        aa.OAuthClient("id", key)


@pytest.mark.parametrize("secret", ['{"a":1}', "kty", '"kty"', "PRIVATE KEY"])
def test_a_secret_that_only_resembles_a_key_is_sent(secret):
    """A secret is whatever the server made it."""
    credential = ClientCredential("id", SecretText(secret))
    proof = aa.ClientSecretPost(secret).prove(credential)

    assert dict(proof.parameters)["client_secret"] == secret


@pytest.mark.parametrize(
    ("client_id", "found"),
    [("", "it is empty"), ("a\nb", "it holds characters that are not"), (5, "it is of type int")],
)
def test_a_client_id_is_told_what_it_is(client_id, found):
    """The message says what was found, and names no server that may not be the caller's."""
    with pytest.raises(aa.ConfigurationError, match=f"as the server gave it; {found}"):
        aa.OAuthClient(client_id, "secret")

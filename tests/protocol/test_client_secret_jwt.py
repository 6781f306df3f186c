"""Client authentication by an assertion that the secret signs."""

import base64
import hashlib
import hmac
import json

import pytest

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.client_auth import ClientCredential, ClientSecretJwt
from aritma_auth.protocol.redaction import SecretText

SECRET = "s" * 64


def prove(auth, secret=SECRET):
    credential = ClientCredential(
        "me",
        None if secret is None else SecretText(secret),
        token_endpoint="https://id.example/token",
        issuer="https://id.example",
        now=1_700_000_000.9,
        jti="the-jti",
    )
    return dict(auth.prove(credential).parameters)


def decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [("HS256", hashlib.sha256), ("HS384", hashlib.sha384), ("HS512", hashlib.sha512)],
)
def test_the_secret_signs_and_does_not_travel(algorithm, digest):
    """Claims and signature are those of the specification (OpenID Connect Core 1.0 §9)."""
    sent = prove(ClientSecretJwt("unused", algorithm=algorithm))
    header, claims, signature = sent["client_assertion"].split(".")
    expected = hmac.new(SECRET.encode(), f"{header}.{claims}".encode(), digest).digest()

    assert sent.keys() == {"client_assertion_type", "client_assertion"}
    assert json.loads(decode(header)) == {"alg": algorithm, "typ": "JWT"}
    assert json.loads(decode(claims)) == {
        "iss": "me",
        "sub": "me",
        "aud": "https://id.example/token",
        "jti": "the-jti",
        "iat": 1_700_000_000,
        "exp": 1_700_000_060,
    }
    assert decode(signature) == expected
    assert "eyJ" not in repr(sent)


def test_the_audience_is_the_callers():
    """A server that wants its issuer is named so."""
    sent = prove(ClientSecretJwt("unused", audience="https://id.example", lifetime=5))
    claims = json.loads(decode(sent["client_assertion"].split(".")[1]))

    assert (claims["aud"], claims["exp"] - claims["iat"]) == ("https://id.example", 5)


@pytest.mark.parametrize(("algorithm", "least"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_short_secret_signs_nothing(algorithm, least, canary):
    """A secret shorter than the hash could be guessed from an assertion (RFC 7518 §3.2)."""
    auth = ClientSecretJwt("unused", algorithm=algorithm)
    assert prove(auth, "s" * least)
    with pytest.raises(ConfigurationError, match=f"at least {least} bytes") as told:
        prove(auth, canary.text[: least - 1])

    canary.assert_hidden(told.value)


def test_without_a_secret_nothing_is_signed():
    """A source that gives nothing is named."""
    with pytest.raises(ConfigurationError, match="needs a secret"):
        prove(ClientSecretJwt("unused"), None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"secret": None}, "secret must be"),
        ({"secret": ""}, "secret must not be empty"),
        ({"algorithm": "RS256"}, "algorithm must be one of HS256, HS384, HS512"),
        ({"algorithm": None}, "algorithm must be one of"),
        ({"audience": 5}, "audience must be a string"),
        ({"lifetime": 0}, "lifetime must be"),
    ],
)
def test_a_mistake_is_named(settings, said):
    """At construction, with the argument's name."""
    with pytest.raises(ConfigurationError, match=said):
        ClientSecretJwt(**({"secret": "unused"} | settings))

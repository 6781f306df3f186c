"""What an access token says, for developers; never a validation."""

import pytest

from aritma_auth.protocol.jwt import parse_unverified_claims
from support.signing import OTHER_RSA, encode, sign

CLAIMS = {"iss": "https://id.aritma.io", "client_id": "me", "exp": 1}


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "JWT", None])
@pytest.mark.parametrize("scope", [["a", "b"], "a b", "", []])
def test_claims_are_shown_as_they_are(typ, scope):
    """A scope is a list, as IdentityServer writes it, or a string, as RFC 9068 does."""
    claims = parse_unverified_claims(sign(CLAIMS | {"scope": scope}, typ=typ))

    assert claims == CLAIMS | {"scope": scope}


def test_nothing_is_checked():
    """Neither signature nor time is checked: no decision may depend on the claims."""
    header, payload, _ = sign(CLAIMS, key=OTHER_RSA).split(".")

    assert parse_unverified_claims(f"{header}.{payload}.nothing") == CLAIMS


@pytest.mark.parametrize(
    "token",
    ["", "opaque", "a.b", "a.b.c.d.e", f"a.{encode(b'[]')}.c", f"a.{encode(b'x')}.c", "a.e30=.c"],
)
def test_an_opaque_token_says_nothing(token):
    """An opaque token has no claims."""
    assert parse_unverified_claims(token) is None


def test_claims_are_shown_by_name_alone(canary):
    """The repr shows the claims' names alone, since their values may be personal."""
    canary.assert_hidden(parse_unverified_claims(sign({"sub": canary.text})))

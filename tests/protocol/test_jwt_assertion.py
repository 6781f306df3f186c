"""Assertions that a client signs, claim by claim, and what cannot be one."""

import json

import pytest

import aritma_auth as aa
from aritma_auth.protocol.client_auth import ClientCredential
from aritma_auth.protocol.jwt import parse_unverified_claims
from aritma_auth.protocol.redaction import SecretText
from support.signing import RSA

PEM = RSA.as_pem(private=True).decode()
KEY = aa.SigningKey(PEM, algorithm="RS256", key_id="k1")
NOW = 1_700_000_000.7
CREDENTIAL = ClientCredential(
    "me", issuer="https://idp.example", token_endpoint="https://idp.example/t", now=NOW, jti="once"
)


def claims_of(assertion, credential=CREDENTIAL):
    return parse_unverified_claims(assertion.build(credential).sign())


def header_of(assertion):
    import base64

    head = assertion.build(CREDENTIAL).sign().split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=="))


def test_an_assertion_has_these_claims():
    """By default the client speaks of itself, to the issuer, for a minute."""
    assert claims_of(aa.JwtAssertion(KEY)) == {
        "iss": "me",
        "sub": "me",
        "aud": "https://idp.example",
        "jti": "once",
        "iat": 1_700_000_000,
        "exp": 1_700_000_060,
    }
    assert header_of(aa.JwtAssertion(KEY)) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}


def test_each_claim_can_be_given():
    """Claims and header members of a server's own are added, and None leaves one out."""
    assertion = aa.JwtAssertion(
        KEY,
        "alice",
        issuer="robot@project",
        audience="https://idp.example/t",
        claims={"scope": "a b", "sub": None},
        header={"x5c": ["MII"], "typ": "at+jwt"},
        key_id="k2",
        lifetime=120,
    )

    assert claims_of(assertion) == {
        "iss": "robot@project",
        "aud": "https://idp.example/t",
        "jti": "once",
        "iat": 1_700_000_000,
        "exp": 1_700_000_120,
        "scope": "a b",
    }
    assert header_of(assertion) == {"alg": "RS256", "typ": "at+jwt", "kid": "k2", "x5c": ["MII"]}
    assert claims_of(aa.JwtAssertion(KEY, "alice"))["sub"] == "alice"


def test_a_loaded_key_signs():
    """A key given as text or Secret is loaded for each request."""
    loaded = ClientCredential("me", SecretText(PEM), issuer="https://idp.example", now=NOW)

    assert claims_of(aa.JwtAssertion(aa.Secret(PEM)), loaded)["iss"] == "me"
    with pytest.raises(aa.ConfigurationError, match="none was loaded"):
        aa.JwtAssertion(PEM).build(CREDENTIAL)


def endless():
    """Make a list that holds itself."""
    members = []
    members.append(members)
    return members


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"key": None}, "key must be a private key in PEM, a Secret, a SigningKey"),
        ({"key": ""}, "key must not be empty"),
        ({"subject": 1}, "subject must be a string"),
        ({"subject": ""}, "subject must not be empty"),
        ({"issuer": b"x"}, "issuer must be a string"),
        ({"audience": ["x"]}, "audience must be a string"),
        ({"claims": "x"}, "claims must be a mapping of names to JSON values"),
        *(
            ({name: members}, f"{name} must be JSON: names to texts without lone surrogates")
            for name in ("claims", "header")
            for members in (
                {"x": b"bytes"},
                {"x": float("nan")},
                {"x": "\ud800"},
                {"\ud800": 1},
                {5: "x"},
                {"x": endless()},
            )
        ),
        ({"header": {"alg": "none"}}, "header must not set alg: the key decides it"),
        ({"header": {"b64": False}}, "header must not set b64"),
        ({"header": {"kid": 5}}, "kid in header must be a string; it is of type int"),
        ({"header": {"typ": []}}, "typ in header must be a string"),
        ({"claims": {"exp": 1, "jti": "x"}}, "claims must not set exp, jti"),
        ({"header": []}, "header must be a mapping"),
        ({"algorithm": "HS256"}, "algorithm must be one of"),
        ({"algorithm": "ES256"}, "algorithm must be that of the key, RS256"),
        ({"key_id": 1}, "key_id must be a string"),
        ({"lifetime": 0}, "lifetime must be"),
    ],
)
def test_a_wrong_argument_is_named(arguments, problem):
    """The error says what the argument must be, at construction."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        aa.JwtAssertion(**({"key": KEY} | arguments))


def test_an_assertion_shows_neither_key_nor_claims(canary):
    """A national identity number among the claims is as private as the key."""
    assertion = aa.JwtAssertion(PEM.replace("PRIVATE", "PRIVATE"), claims={"pid": canary.text})
    canary.assert_hidden(assertion, aa.JwtBearerGrant(assertion))

    assert "BEGIN" not in repr(assertion)


def test_whom_it_is_about_is_its_identity():
    """Key, lifetime and header say nothing of whom a token is for."""
    same = [
        aa.JwtAssertion(KEY, "alice", claims={"a": 1, "b": 2}),
        aa.JwtAssertion(PEM, "alice", claims={"b": 2, "a": 1}, lifetime=9, header={"x": "y"}),
    ]
    others = [
        aa.JwtAssertion(KEY),
        aa.JwtAssertion(KEY, "bob"),
        aa.JwtAssertion(KEY, "alice"),
        aa.JwtAssertion(KEY, "alice", issuer="x"),
        aa.JwtAssertion(KEY, "alice", audience="x"),
        aa.JwtAssertion(KEY, "alice", claims={"a": 1, "b": "2"}),
    ]

    assert len({assertion.identity() for assertion in same}) == 1
    assert len({assertion.identity() for assertion in [*same, *others]}) == 1 + len(others)

"""UserInfo: asked for with the token, believed only for the end-user who signed in."""

import json

import pytest

from aritma_auth.errors import AritmaAuthError, InvalidResponseError, OAuthError, VerificationError
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.userinfo import (
    build_userinfo_request,
    is_signed_userinfo,
    parse_userinfo_response,
    signed_userinfo_of,
    verify_userinfo_response,
)
from support.signing import OTHER_RSA, jwk, sign

CHALLENGE = 'Bearer realm="IdentityServer",error="invalid_token",error_description="expired"'


def parse(members, status=200, content_type="application/json", **headers):
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    headers = {"Content-Type": content_type} | headers
    return parse_userinfo_response(HttpResponse(status, headers, body), subject="alice", now=0.0)


def test_the_token_goes_in_the_header():
    """The scheme is written exactly "Bearer", as IdentityServer compares it."""
    request = build_userinfo_request("https://id.aritma.io/connect/userinfo", Token("t"))

    assert (request.method, request.url) == ("GET", "https://id.aritma.io/connect/userinfo")
    assert request.headers == {"Accept": "application/json", "Authorization": "Bearer t"}
    assert bytes(request.body) == b""


def test_the_token_goes_in_the_form_where_that_is_asked_for():
    """In the form the token is nowhere else (RFC 6750 §2: one way at a time)."""
    url = "https://id.aritma.io/connect/userinfo"
    request = build_userinfo_request(url, Token("a+b/c=="), in_body=True)

    assert (request.method, request.url) == ("POST", url)
    assert request.headers == {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    assert bytes(request.body) == b"access_token=a%2Bb%2Fc%3D%3D"
    assert "a+b" not in repr(request)
    assert "a%2B" not in repr(request)


def test_claims_of_the_end_user_are_returned():
    """All claims of the end-user are returned."""
    assert parse({"sub": "alice", "name": "Å"}) == {"sub": "alice", "name": "Å"}


@pytest.mark.parametrize("sub", ["bob", "Alice", "alice ", None, 5, ["alice"]])
def test_claims_of_another_end_user_are_refused(sub):
    """
    Claims of another end-user are refused: the token was swapped (OpenID Connect Core 1.0
    §5.3.4).
    """
    with pytest.raises(VerificationError, match="another end-user"):
        parse({"sub": sub})
    with pytest.raises(VerificationError, match=r"\(sub is none\)"):
        parse({"name": "Å"})
    with pytest.raises(VerificationError, match=r"\(sub is of type int\)"):
        parse({"sub": 7})


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_in_the_header_is_read(status):
    """A refusal in the header counts, since IdentityServer's body is empty then."""
    with pytest.raises(OAuthError, match="invalid_token: expired") as caught:
        parse(b"", status, **{"WWW-Authenticate": f"Basic, {CHALLENGE}"})

    assert caught.value.status == status


@pytest.mark.parametrize(
    ("status", "field"),
    [(401, ""), (401, "Bearer"), (403, "Bearer realm=x"), (500, CHALLENGE), (200, CHALLENGE)],
)
def test_a_header_that_says_nothing_leaves_it_to_the_body(status, field):
    """Without an error in the header the body counts, and the header of a success is ignored."""
    with pytest.raises(InvalidResponseError):
        parse(b"", status, **{"WWW-Authenticate": field})


def test_a_refusal_in_the_body_is_read():
    """A refusal in the body counts, as other servers send it."""
    with pytest.raises(OAuthError, match="invalid_token"):
        parse({"error": "invalid_token"}, 401, **{"WWW-Authenticate": "Bearer"})


@pytest.mark.parametrize("content_type", ["application/jwt", "Application/JWT; charset=utf-8"])
def test_a_signed_response_is_not_read_unverified(content_type):
    """Code that forgets the verification gets an error."""
    with pytest.raises(InvalidResponseError, match="must be verified first"):
        parse(b"e30.e30.x", content_type=content_type)


CLAIMS = {"iss": "https://id.example", "aud": "me", "sub": "alice", "email": "a@example.org"}


def verify(changes=None, status=200, **header):
    claims = {k: v for k, v in (CLAIMS | (changes or {})).items() if v is not None}
    headers = {"Content-Type": "application/jwt"}
    response = HttpResponse(status, headers, sign(claims, **header).encode())
    assert is_signed_userinfo(response) is (status == 200)
    return verify_userinfo_response(
        signed_userinfo_of(response),
        [jwk()],
        subject="alice",
        issuers=frozenset({"https://id.example"}),
        client_id="me",
        algorithms=frozenset({"RS256"}),
    )


@pytest.mark.parametrize(
    "changes", [{}, {"iss": None, "aud": None}, {"aud": ["me"]}], ids=["full", "bare", "list"]
)
def test_signed_claims_are_verified(changes):
    """The server's signature, and iss and aud where they are (OpenID Connect Core 1.0 §5.3.2)."""
    assert verify(changes)["email"] == "a@example.org"
    assert verify(changes, typ=None)["sub"] == "alice"


@pytest.mark.parametrize(
    ("changes", "header", "said"),
    [
        ({"sub": "mallory"}, {}, "another end-user"),
        ({"sub": None}, {}, "another end-user"),
        ({"iss": "https://evil.example"}, {}, "iss of the signed UserInfo"),
        ({"aud": "another"}, {}, "aud of the signed UserInfo"),
        ({"aud": ["me", "another"]}, {}, "aud of the signed UserInfo"),
        ({}, {"typ": "at+jwt"}, "typ of the signed UserInfo"),
        ({}, {"typ": 5}, "typ of the signed UserInfo"),
        ({}, {"key": OTHER_RSA}, "no key of the issuer"),
        ({}, {"alg": "PS256"}, "algorithm that is not accepted"),
    ],
    ids=range(9),
)
def test_each_check_of_signed_claims_refuses(changes, header, said):
    """A failed check discards the claims."""
    with pytest.raises(VerificationError, match=said):
        verify(changes, **header)


def test_a_refusal_is_no_signed_response():
    """Only a success carries claims."""
    assert not is_signed_userinfo(HttpResponse(401, {"Content-Type": "application/jwt"}))
    assert not is_signed_userinfo(HttpResponse(200, {"Content-Type": "application/json"}))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"alice"', b'{"sub": "alice"'])
def test_what_is_no_object_is_an_error(body):
    """A response that is no JSON object is a typed error."""
    with pytest.raises(AritmaAuthError):
        parse(body)

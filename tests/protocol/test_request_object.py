"""Signed authorization requests: the claims, and how the request travels."""

import json
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.jwt import verify_signature
from aritma_auth.protocol.par import build_pushed_authorization_request
from aritma_auth.protocol.request_object import build_request_object
from aritma_auth.protocol.signing import SigningKey
from support.sign_ins import ISSUER, NOW, make_request

KEY = SigningKey.generate("ES256", key_id="k1")


def signed(request):
    """Sign a request; give header and claims, verified."""
    unsigned = build_request_object(request, KEY, issuer=ISSUER, now=NOW, jti="the-jti")
    text = unsigned.sign()
    known = {**KEY.public_jwk, "kid": "k1"}
    verified = verify_signature(text, [known], algorithms=frozenset({"ES256"}))
    return text, dict(verified.header.items()), dict(verified.claims.items())


def test_the_parameters_are_the_claims():
    """Each parameter is a claim, beside those of the JWT (RFC 9101 §4)."""
    _, header, claims = signed(make_request())

    assert header == {"alg": "ES256", "typ": "oauth-authz-req+jwt", "kid": "k1"}
    assert claims == {
        "response_type": "code",
        "client_id": "me",
        "redirect_uri": "https://me.example/cb",
        "scope": "openid api",
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": "7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM",
        "code_challenge_method": "S256",
        "iss": "me",
        "aud": ISSUER,
        "jti": "the-jti",
        "iat": int(NOW),
        "nbf": int(NOW),
        "exp": int(NOW) + 600,
    }


@pytest.mark.parametrize(("lifetime", "seconds"), [(60.5, 60), (3600, 3600), (86_400, 3600)])
def test_a_signed_request_is_valid_for_an_hour_at_most(lifetime, seconds):
    """FAPI 2.0 Message Signing §5.3.1 allows sixty minutes."""
    assert signed(make_request(lifetime=lifetime))[2]["exp"] == int(NOW) + seconds


def test_numbers_and_json_are_themselves():
    """What is text in a query alone is a JSON value in a JWT."""
    wanted = {"id_token": {"acr": None}}
    _, _, claims = signed(
        make_request(
            max_age=60,
            resource=["urn:one", "urn:two"],
            authorization_details=[{"type": "payment"}],
            extra={"claims": json.dumps(wanted), "display": "page"},
        )
    )

    assert claims["max_age"] == 60
    assert claims["resource"] == ["urn:one", "urn:two"]
    assert claims["authorization_details"] == [{"type": "payment"}]
    assert claims["claims"] == wanted
    assert claims["display"] == "page"


def test_a_single_resource_is_a_text_and_odd_claims_stay():
    """One resource is no list, and what is no JSON stays as it is."""
    _, _, claims = signed(make_request(resource="urn:one", extra={"claims": "{"}))

    assert (claims["resource"], claims["claims"]) == ("urn:one", "{")


def test_the_browser_or_the_form_carries_the_jwt_alone():
    """Only ``client_id`` stands beside the JWT, and the reference replaces both."""
    text, _, _ = signed(make_request())
    request = attrs.evolve(make_request(), request_object=text)

    assert parse_qs(urlsplit(request.url).query) == {"client_id": ["me"], "request": [text]}
    assert build_pushed_authorization_request(request) == (("client_id", "me"), ("request", text))
    assert "request=" not in attrs.evolve(request, request_uri="urn:x").url
    assert text not in repr(request)
    assert AuthorizationRequest.from_json(request.to_json()).url == request.url

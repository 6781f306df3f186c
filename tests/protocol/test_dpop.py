"""Tests of DPoP proofs as values, and of what servers say about them."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

import aritma_auth as aa
from aritma_auth.protocol.dpop import build_proof, normalize_target, parse_nonce, refuses_proof
from aritma_auth.protocol.jws import is_signed_by

KEY = aa.SigningKey.generate("ES256", key_id="2026")
URL_OF_API = URL("https://api.example/accounts?page=2#top")


def parts_of(proof):
    """Return a proof's header and claims."""
    texts = proof.split(".")[:2]
    return [json.loads(base64.urlsafe_b64decode(text + "==")) for text in texts]


def build(**changes):
    settings = {"now": 1000.9, "jti": "fresh"} | changes
    return build_proof(KEY, "GET", URL_OF_API, **settings).sign()


def test_a_proof_at_the_token_endpoint_has_these_members_and_no_other():
    """The header has type and public key alone; the claims name the request (RFC 9449 §4.2)."""
    proof = build()
    header, claims = parts_of(proof)

    assert header == {"alg": "ES256", "typ": "dpop+jwt", "jwk": dict(KEY.public_jwk)}
    assert claims == {
        "jti": "fresh",
        "htm": "GET",
        "htu": "https://api.example/accounts",
        "iat": 1000,
    }
    assert is_signed_by(proof, KEY.public_jwk, "ES256")


def test_a_proof_at_an_api_is_bound_to_the_token_and_the_servers_nonce():
    """``ath`` is the token's hash; the value is that of RFC 9449 §7.1."""
    token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    _, claims = parts_of(build(access_token=token, nonce="eyJ7S_zG.eyJH0-Z.HX4w-7v"))

    assert claims["ath"] == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
    assert claims["nonce"] == "eyJ7S_zG.eyJH0-Z.HX4w-7v"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://API.example/a/b?c=d#e", "https://api.example/a/b"),
        ("https://api.example", "https://api.example/"),
        ("https://api.example:443/a", "https://api.example/a"),
        ("https://api.example:8443/a", "https://api.example:8443/a"),
        ("http://127.0.0.1:80/", "http://127.0.0.1/"),
        ("http://[::1]:8080/a", "http://[::1]:8080/a"),
        ("wss://api.example/stream?x", "https://api.example/stream"),
        ("ws://127.0.0.1:81/stream", "http://127.0.0.1:81/stream"),
        ("https://api.example/a%20b/%C3%A6", "https://api.example/a%20b/%C3%A6"),
        ("https://user:password@api.example/a", "https://api.example/a"),
    ],
)
def test_the_target_is_the_request_without_query_and_fragment(url, target):
    """A default port, a user name and the scheme of a WebSocket are left out too (RFC 9449 §4.3)."""
    assert normalize_target(URL(url)) == target


@pytest.mark.parametrize("nonce", ["a", "eyJ7S_zG.eyJH0-Z.HX4w-7v", "!#~[]", "x" * 4096])
def test_a_nonce_is_taken_as_it_is(nonce):
    """Each character that the grammar allows is kept (RFC 9449 §8.1)."""
    assert parse_nonce(nonce) == nonce


@pytest.mark.parametrize("field", [None, "", "a b", 'a"b', "a\\b", "æ", "a\n", "\x00", "x" * 4097])
def test_what_is_no_nonce_counts_as_none(field):
    """A malformed nonce is never sent back, and neither is one of any length."""
    assert parse_nonce(field) == ""


@given(st.text())
def test_any_field_is_a_nonce_or_none(field):
    """Whatever a server sends, what is kept fits into a proof and is what it sent."""
    nonce = parse_nonce(field)

    assert nonce in {"", field}
    assert nonce.isascii()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        (['DPoP error="use_dpop_nonce", error_description="x"'], "use_dpop_nonce"),
        (['dpop algs="ES256", error="use_dpop_nonce"'], "use_dpop_nonce"),
        (["Bearer", 'DPOP error="invalid_dpop_proof"'], "invalid_dpop_proof"),
        (['Bearer realm="x", DPoP error=use_dpop_nonce'], "use_dpop_nonce"),
        (['DPoP error="invalid_token"'], ""),
        (['Bearer error="use_dpop_nonce"'], ""),
        (["DPoP"], ""),
        (["=,=,DPoP"], ""),
        ([], ""),
    ],
)
def test_a_refused_proof_is_told_from_a_refused_token(fields, error):
    """The scheme and parameter names count whatever their case; ``invalid_token`` is the token's."""
    assert refuses_proof(fields) == error


async def sign(data):
    raise AssertionError(data)


def test_a_dpop_key_is_one_that_signs_and_is_known():
    """A remote key without its public half, a text and None are refused."""
    remote = aa.RemoteSigner("ES256", sign, public_jwk=KEY.public_jwk)

    assert aa.DPoP(remote).thumbprint == aa.DPoP(KEY).thumbprint == KEY.thumbprint
    with pytest.raises(aa.ConfigurationError, match="key must be a RemoteSigner with its public"):
        aa.DPoP(aa.RemoteSigner("ES256", sign))
    for wrong in ("planted-private-key", None, b"x"):
        with pytest.raises(
            aa.ConfigurationError, match="key must be a SigningKey, such as"
        ) as caught:
            aa.DPoP(wrong)
        assert "planted" not in str(caught.value)


def test_a_dpop_shows_its_thumbprint_and_no_private_number():
    """A log may show which key is used."""
    shown = repr(aa.DPoP(KEY))

    assert KEY.thumbprint in shown
    assert json.loads(KEY.to_jwk())["d"] not in shown


def test_a_client_wants_a_dpop_and_no_key():
    """The argument is named, and what was given does not show."""
    with pytest.raises(aa.ConfigurationError, match="dpop must be a DPoP, such as") as caught:
        aa.OAuthClient("id", dpop="planted-private-key")

    assert "planted" not in str(caught.value)
    assert aa.OAuthClient("id").dpop is None

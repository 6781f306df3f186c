"""Signed authorization responses: every check before what they carry is believed."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe

from aritma_auth.errors import (
    AccessDeniedError,
    AritmaAuthError,
    ConfigurationError,
    IssuerMismatchError,
    StateMismatchError,
    VerificationError,
)
from aritma_auth.protocol.authorization_response import validate_authorization_response
from aritma_auth.protocol.jarm import VerifiedResponse, parse_response_jwt, verify_response_jwt
from aritma_auth.protocol.jwe import DecryptionKey
from support.sign_ins import ISSUER, NOW, make_request
from support.signing import OTHER_RSA, ec_key, jwk, sign

CLAIMS = {
    "iss": ISSUER,
    "aud": "me",
    "exp": NOW + 60,
    "state": "the-state",
    "code": "the-code",
}


def response(*, header=None, key=None, **changes):
    """Sign a good response with changes; None leaves a claim out."""
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return sign(claims, **({} if key is None else {"key": key}), **(header or {}))


def callback(text, **others):
    return {"response": text, **others}


def verify(text, request=None, keys=None, algorithms=("RS256",), now=NOW):
    request = request or make_request(response_mode="jwt")
    return verify_response_jwt(
        parse_response_jwt(callback(text), request),
        [jwk()] if keys is None else keys,
        issuers=request.issuers,
        client_id="me",
        algorithms=frozenset(algorithms),
        now=now,
    )


ENCRYPTION = ec_key()


def encrypt(text, **header):
    header = {"alg": "ECDH-ES", "enc": "A256GCM"} | header
    return jwe.encrypt_compact(header, text, ENCRYPTION, algorithms=[header["alg"], header["enc"]])


def test_an_encrypted_response_is_opened_and_verified_as_ever():
    """What is inside is believed by its signature alone, and its state comes first."""
    request = make_request(response_mode="jwt")
    keys = (ENCRYPTION, ec_key("P-384"))
    key, another = (DecryptionKey(each.as_dict(private=True)) for each in keys)
    opened = parse_response_jwt(callback(encrypt(response())), request, key)

    assert opened == response()
    assert parse_response_jwt(callback(response()), request, key) == response()
    with pytest.raises(StateMismatchError):
        parse_response_jwt(callback(encrypt(response(state="another"))), request, key)
    with pytest.raises(VerificationError, match="brings none"):
        parse_response_jwt(callback(encrypt("{}")), request, key)
    with pytest.raises(VerificationError, match="without decryption_key"):
        parse_response_jwt(callback(encrypt(response())), request)
    with pytest.raises(VerificationError, match="for this client's key"):
        parse_response_jwt(callback(encrypt(response())), request, another)


def test_a_signed_response_gives_the_code():
    """The parameters are the JWT's, and become an authorization response like every other."""
    request = make_request(response_mode="jwt", requires_iss=True)
    verified = verify(response(), request)
    validated = validate_authorization_response(request, verified, now=NOW)

    assert validated.code.text == "the-code"
    assert validated.issuer == ISSUER
    assert repr(verified) == "VerifiedResponse(iss, state, code)"
    with pytest.raises(StateMismatchError, match="accepted already"):
        validate_authorization_response(request, verified, now=NOW)


def test_a_signed_refusal_is_a_refusal():
    """An error is signed too, and raised like every other."""
    request = make_request(response_mode="jwt")
    refused = response(code=None, error="access_denied", error_description="no")
    with pytest.raises(AccessDeniedError, match="no"):
        validate_authorization_response(request, verify(refused, request), now=NOW)


def test_tokens_may_come_signed_in_a_fragment():
    """A number of seconds stays one, and other members of the JWT are left out."""
    request = make_request("code token", response_mode="fragment.jwt", nonce=None)
    signed = response(access_token="a-token", token_type="Bearer", expires_in=60, more=[1])
    validated = validate_authorization_response(request, verify(signed, request), now=NOW)

    assert validated.token.expires_at == NOW + 60


@pytest.mark.parametrize(
    ("mode", "response_type", "place"),
    [
        ("jwt", "code", "query"),
        ("jwt", "code token", "fragment"),
        ("query.jwt", "code", "query"),
        ("fragment.jwt", "code", "fragment"),
        ("form_post.jwt", "code", "form_post"),
        ("query", "code", "query"),
        ("form_post", "code", "form_post"),
    ],
)
def test_each_mode_has_its_place(mode, response_type, place):
    """``jwt`` stands for the usual place of the response type (JARM §2.3)."""
    request = make_request(response_type, response_mode=mode)

    assert request.response_place == place
    assert request.expects_signed_response is mode.endswith("jwt")
    assert ("response_mode", mode) in request.parameters() or mode == "query"


@pytest.mark.parametrize("mode", ["query.jwt", "query"])
def test_tokens_never_travel_in_a_query(mode):
    """A signature does not keep a token out of logs."""
    with pytest.raises(ConfigurationError, match="must not be query"):
        make_request("code token", response_mode=mode)


@pytest.mark.parametrize("mode", ["pigeon.jwt", "JWT", "jwt.jwt", ".jwt"])
def test_other_modes_are_refused(mode):
    """A mistyped mode is an error at once."""
    with pytest.raises(ConfigurationError, match="response_mode must be"):
        make_request(response_mode=mode)


@pytest.mark.parametrize(
    "given",
    [
        "https://me.example/cb?response={}",
        "response={}",
        [("response", "{}")],
        "https://me.example/cb?response={}&code=evil&state=evil&iss=https%3A%2F%2Fevil.example",
    ],
)
def test_what_stands_beside_the_jwt_does_not_count(given):
    """Only the JWT is read, in every form of a callback."""
    text = response()
    filled = given.format(text) if isinstance(given, str) else [("response", text)]

    assert parse_response_jwt(filled, make_request(response_mode="jwt")) == text


@pytest.mark.parametrize(
    "given",
    [
        {"code": "the-code", "state": "the-state", "iss": ISSUER},
        {"error": "access_denied", "state": "the-state"},
        {},
        {"response": ""},
        {"response": "the-code"},
        {"response": "a.b.c"},
    ],
)
def test_a_response_that_is_not_signed_is_none(given):
    """An attacker who replaces the signed response by plain parameters is noticed."""
    with pytest.raises(VerificationError, match="must bring a signed response"):
        parse_response_jwt(given, make_request(response_mode="jwt"))


@pytest.mark.parametrize("state", [None, "another", "", 5, ["the-state"]])
def test_a_response_to_another_sign_in_takes_nothing_away(state):
    """The state is compared before the signature, so that a forgery ends no sign-in."""
    with pytest.raises(StateMismatchError, match="belongs to another sign-in"):
        verify(response(state=state))


def test_a_response_in_the_wrong_place_is_told():
    """A response that came in the fragment was asked for in the query."""
    with pytest.raises(StateMismatchError, match="came in the fragment"):
        parse_response_jwt(
            f"https://me.example/cb#response={response()}", make_request(response_mode="jwt")
        )


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"iss": None}, IssuerMismatchError, "its iss is none"),
        ({"iss": "https://evil.example"}, IssuerMismatchError, "its iss is 'https://evil.example'"),
        ({"iss": f"{ISSUER}/"}, IssuerMismatchError, "signed response must come from"),
        ({"iss": 5}, IssuerMismatchError, "its iss is of type int"),
        ({"aud": None}, VerificationError, "aud of the signed response"),
        ({"aud": "another"}, VerificationError, "aud of the signed response"),
        ({"aud": ["me", "another"]}, VerificationError, "aud of the signed response"),
        ({"aud": []}, VerificationError, "aud of the signed response"),
        ({"exp": None}, VerificationError, "exp of the signed response must be"),
        ({"exp": "soon"}, VerificationError, "exp of the signed response must be"),
        ({"exp": True}, VerificationError, "exp of the signed response must be"),
        ({"exp": 1e300}, VerificationError, "exp of the signed response must be"),
        ({"exp": NOW - 30}, VerificationError, "has expired"),
        ({"iat": NOW + 31}, VerificationError, "iat of the signed response is in the future"),
        ({"nbf": NOW + 31}, VerificationError, "nbf of the signed response is in the future"),
        ({"nbf": "soon"}, VerificationError, "nbf of the signed response must be"),
        ({"error": {"code": "access_denied"}}, VerificationError, "error of the signed response"),
        ({"error": 1}, VerificationError, "error of the signed response"),
        ({"header": {"typ": "at+jwt"}}, VerificationError, "typ of the signed response"),
        ({"header": {"typ": 5}}, VerificationError, "typ of the signed response"),
        pytest.param(
            {"key": OTHER_RSA}, VerificationError, "no key of the issuer has signed", id="key"
        ),
        ({"header": {"alg": "PS256"}}, VerificationError, "algorithm that is not accepted"),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else None,
)
def test_each_check_refuses(changes, error, said):
    """Each claim of the JWT is checked (JARM §2.4)."""
    with pytest.raises(error, match=said) as told:
        verify(response(**changes))

    assert "the-code" not in str(told.value)
    assert "eyJ" not in str(told.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["me"]},
        {"error": None, "error_description": None},
        {"exp": NOW - 29},
        {"iat": NOW + 29, "nbf": NOW + 29},
        {"header": {"typ": None}},
        {"header": {"typ": "application/jwt"}},
        {"header": {"kid": None}},
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else None,
)
def test_these_differences_are_accepted(changes):
    """Clocks may differ by the leeway, and the type may be absent."""
    assert verify(response(**changes))


def test_a_response_without_signature_is_refused():
    """A response whose algorithm is ``none`` proves nothing."""
    header = "eyJhbGciOiJub25lIn0"
    unsigned = f"{header}.{response().split('.')[1]}."
    with pytest.raises(VerificationError, match="algorithm that is not accepted"):
        verify(unsigned)


def test_nobody_else_makes_a_verified_response():
    """The type is the proof, so nothing else may create it."""
    with pytest.raises(ConfigurationError, match="must come from verify_response_jwt"):
        VerifiedResponse(object(), (("code", "evil"),))


@pytest.mark.parametrize(
    "given", [{"code": "the-code", "state": "the-state"}, "code=x&state=the-state", b"response=x"]
)
def test_a_response_that_is_not_verified_is_not_validated(given):
    """A caller who forgets the verification is told, and the request stays unused."""
    request = make_request(response_mode="jwt")
    with pytest.raises(ConfigurationError, match="callback must be verified first"):
        validate_authorization_response(request, given, now=NOW)

    assert request.single_use.is_left


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_breaks_the_parser(first, second):
    """Whatever comes, it is a response or an error of this package."""
    with contextlib.suppress(AritmaAuthError):
        verify(f"{first}.{second}")

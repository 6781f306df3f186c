"""Tests of keys that sign, here and elsewhere, and of JWTs that wait for their signature."""

import copy
import json
import pickle
import re
import sys
import traceback
import warnings
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import utils
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key
from joserfc.jws import JWSRegistry

import aritma_auth as aa
from aritma_auth.protocol.jws import SIGNATURE_ALGORITHMS, decode_base64url, is_signed_by
from aritma_auth.protocol.private_key import PrivateKey, import_private_key
from aritma_auth.protocol.redaction import SecretText
from aritma_auth.protocol.signing import compute_thumbprint
from aritma_auth.protocol.unsigned_jwt import UnsignedJwt
from aritma_auth.sandbox.identity.keys import signing_key
from support.internals import private_key_of
from support.signing import encode, small_rsa

RSA = RSAKey.import_key(signing_key(0).private)
KEYS = {
    "ES256": ECKey.generate_key("P-256", auto_kid=False),
    "ES384": ECKey.generate_key("P-384", auto_kid=False),
    "ES512": ECKey.generate_key("P-521", auto_kid=False),
    "EdDSA": OKPKey.generate_key("Ed25519", auto_kid=False),
    "PS256": RSA,
}


def pem(key, *, private=True):
    """Write a key in PEM."""
    return key.as_pem(private=private).decode()


def decode(token, key, algorithm):
    """Verify a token with joserfc, which knows nothing of ours."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "EdDSA is deprecated")
        return jwt.decode(token, key, algorithms=[algorithm])


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_key_in_pem_signs_with_what_its_kind_is_used_with(algorithm):
    """A key in PEM says its algorithm by its kind and curve, and signs with it."""
    key = aa.SigningKey(pem(KEYS[algorithm]))
    token = decode(UnsignedJwt(key, {"sub": "me"}).sign(), KEYS[algorithm], algorithm)

    assert key.algorithm == algorithm
    assert key.key_id is None
    assert token.header == {"alg": algorithm, "typ": "JWT"}
    assert token.claims == {"sub": "me"}


@pytest.mark.parametrize("write", [json.dumps, dict, lambda jwk: SecretText(json.dumps(jwk))])
def test_a_json_web_key_says_its_algorithm_and_key_id(write):
    """``alg`` and ``kid`` of a JSON Web Key count; an argument may name another key id alone."""
    web_key = RSA.as_dict(private=True) | {"alg": "RS384", "kid": "2026"}
    key = aa.SigningKey(write(web_key))
    other = aa.SigningKey(write(web_key), key_id="mine")

    assert (key.algorithm, key.key_id) == ("RS384", "2026")
    assert other.key_id == "mine"
    with pytest.raises(aa.ConfigurationError, match="must be one that signs with PS512"):
        aa.SigningKey(write(web_key), algorithm="PS512")


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "EdDSA", "Ed25519", "PS256"])
def test_a_generated_key_signs(algorithm):
    """A generated key signs what its public half verifies, and no two are the same."""
    one, other = aa.SigningKey.generate(algorithm, key_id="k"), aa.SigningKey.generate(algorithm)
    token = UnsignedJwt(one, {}).sign()

    assert is_signed_by(token, one.public_jwk, algorithm)
    assert not is_signed_by(token, other.public_jwk, algorithm)
    assert (one.key_id, other.key_id) == ("k", None)
    assert one != other


def test_a_key_that_could_not_be_made_has_a_repr():
    """An error reporter shows the frame of a constructor that has failed, and must not fail too."""
    assert repr(object.__new__(aa.SigningKey)) == "<SigningKey>"


def test_the_thumbprint_is_that_of_the_specification():
    """RFC 7638 §3.1 computes one thumbprint, RFC 8037 appendix A.3 another."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJE"
        "CPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Q"
        "vzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6"
        "WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )

    assert (
        compute_thumbprint({"kty": "RSA", "n": modulus, "e": "AQAB"})
        == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    )
    octets = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert (
        compute_thumbprint({"kty": "OKP", "crv": "Ed25519", "x": octets})
        == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    )


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_key_shows_its_public_half_and_hides_the_other(canary, algorithm):
    """The public half has the members of RFC 7638, read-only; no private number shows."""
    key = aa.SigningKey(pem(KEYS[algorithm]), key_id="k1")
    private = json.loads(key.to_jwk())

    assert set(key.public_jwk) < set(private)
    assert key.public_jwk == KEYS[algorithm].as_dict(private=False)
    assert key.thumbprint == import_key(dict(key.public_jwk)).thumbprint()
    assert private["d"] not in f"{key!r} {key} {private_key_of(key)!r}"
    assert key.thumbprint in repr(key)
    assert "'***'" in repr(key.to_jwk())
    with pytest.raises(TypeError):
        key.public_jwk["kty"] = "oct"
    for dump in (pickle.dumps, lambda key: pickle.dumps(private_key_of(key))):
        with pytest.raises(TypeError, match="not pickled"):
            dump(key)


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_a_key_with_a_password_is_told_to_lose_it(form):
    """Nothing could ask for the password later; the message says what to do, and no more."""
    encrypted = RSA.private_key.private_bytes(
        serialization.Encoding.PEM,
        getattr(serialization.PrivateFormat, form),
        serialization.BestAvailableEncryption(b"planted"),
    )
    with pytest.raises(aa.ConfigurationError, match="must not be encrypted: take the password off"):
        aa.SigningKey(encrypted.decode())


def test_a_key_survives_the_way_out_and_in():
    """What to_jwk writes is the same key again, and equal keys are equal values."""
    key = aa.SigningKey.generate("ES256", key_id="k1")
    again = aa.SigningKey(key.to_jwk(), key_id="k1")

    assert again == key
    assert len({again, key}) == 1
    assert key != "key"
    assert key != aa.SigningKey(key.to_jwk())
    assert copy.copy(key) is key
    assert copy.deepcopy(key) is key


PLANTED = "planted-private-number"
UNUSABLE = {
    "no key": (PLANTED, None),
    "no JSON": ("{oops" + PLANTED, None),
    "bytes": (PLANTED.encode(), None),
    "a mapping of anything": ({"kty": object(), "d": PLANTED}, None),
    "a symmetric key": ({"kty": "oct", "k": PLANTED}, None),
    "without kty": ({"d": PLANTED}, None),
    "a public key in PEM": (pem(RSA, private=False), None),
    "a public web key": (RSA.as_dict(private=False), None),
    "another kind": (pem(KEYS["ES256"]), "RS256"),
    "another curve": (pem(KEYS["ES256"]), "ES384"),
    "a key to agree with": (pem(OKPKey.generate_key("X25519", auto_kid=False)), None),
    "Ed448": (pem(OKPKey.generate_key("Ed448", auto_kid=False)), "EdDSA"),
    "an unknown alg": (RSA.as_dict(private=True) | {"alg": "HS256"}, None),
    "wrong numbers": ({"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ", "d": PLANTED}, None),
    "a small RSA key": ({"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": PLANTED}, None),
}


@pytest.mark.parametrize(("key", "algorithm"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_key_that_cannot_sign_is_refused_without_showing_it(key, algorithm):
    """The error says what to do, and neither it nor a frame of ours shows the key."""
    with pytest.raises(
        aa.ConfigurationError, match=r"check the key|it is of type|give |register it"
    ) as caught:
        aa.SigningKey(key, algorithm=algorithm)

    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown = "".join(line for line in frames.format() if "/tests/" not in line)
    assert PLANTED not in shown
    assert caught.value.__context__ is None


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("key", "algorithm", "found"),
    [
        ("client.pem", None, "a text of 10 characters: give the content of the file, not its path"),
        (Path("client.pem"), None, "it is of type PosixPath"),
        (pem(RSA, private=False), None, "it is a public key: give the private half"),
        (CERTIFICATE, None, "it is a certificate: give the private half"),
        (pem(RSA), "ES256", "signs with ES256, not of RSA: give the key that is registered"),
        (pem(KEYS["ES256"]), "ES384", "signs with ES384, not of EC P-256"),
        (UNUSABLE["a key to agree with"][0], None, "not of OKP X25519: give another key"),
    ],
)
def test_what_was_given_in_a_keys_place_is_named(key, algorithm, found):
    """A wrong key is told by its kind, so that nobody has to guess which file was read."""
    with pytest.raises(aa.ConfigurationError, match=re.escape(found)):
        aa.SigningKey(key, algorithm=algorithm)


def test_wrong_arguments_are_named():
    """The algorithm must be asymmetric and by name, and the key id a string."""
    for algorithm in ("HS256", "none", "es256"):
        with pytest.raises(aa.ConfigurationError, match=r"^algorithm must be one of"):
            aa.SigningKey.generate(algorithm)
    with pytest.raises(aa.ConfigurationError, match=r"^algorithm must be one of .* type int"):
        aa.SigningKey(pem(RSA), algorithm=5)
    with pytest.raises(aa.ConfigurationError, match=r"^key_id must be a string or None"):
        aa.SigningKey(pem(RSA), key_id=5)


def test_without_joserfc_the_extra_is_named(monkeypatch):
    """The error says which extra to install."""
    text = pem(RSA)
    monkeypatch.setitem(sys.modules, "joserfc", None)
    for make in (lambda: aa.SigningKey(text), aa.SigningKey.generate):
        with pytest.raises(aa.ConfigurationError, match=r"aritma-auth\[oidc\]"):
            make()


def test_a_key_whose_numbers_make_no_signature_is_the_callers_error(monkeypatch):
    """A key that fails only when it signs is named, and shown nowhere."""
    key = aa.SigningKey(pem(RSA))
    monkeypatch.setattr(JWSRegistry.algorithms["PS256"], "sign", None)
    with pytest.raises(aa.ConfigurationError, match="check the key") as caught:
        key.sign(b"bytes")

    assert caught.value.__context__ is None


async def unused(data):
    raise AssertionError(data)


def remote(algorithm, key=None):
    """Make a signer of a key, or one whose signature nobody asks for."""
    public = None if key is None else key.as_dict(private=False)
    return aa.RemoteSigner(algorithm, unused, key_id="kms/1", public_jwk=public)


def test_a_remote_signer_names_its_key_in_the_header():
    """The header's ``alg`` and ``kid`` are the signer's; a JWT adds or replaces members."""
    waiting = UnsignedJwt(remote("ES256"), {"a": 1}, {"typ": "dpop+jwt"})
    text = aa.parse_unverified_claims(f".{waiting.signing_input.split('.')[0]}.")

    assert text == {"alg": "ES256", "typ": "dpop+jwt", "kid": "kms/1"}
    assert aa.parse_unverified_claims(f"{waiting.signing_input}.") == {"a": 1}
    with pytest.raises(aa.ConfigurationError, match="must be awaited"):
        waiting.sign()
    assert "eyJ" not in repr(waiting)


def test_a_remote_signers_thumbprint_is_its_keys():
    """The thumbprint is that of the public key, and empty where none was given."""
    key = aa.SigningKey(pem(KEYS["ES256"]))
    full = aa.RemoteSigner("ES256", unused, public_jwk={**key.public_jwk, "use": "sig"})

    assert full.thumbprint == key.thumbprint
    assert full.public_jwk == key.public_jwk
    assert remote("ES256").thumbprint == ""
    assert hash(full) == hash(aa.RemoteSigner("ES256", unused))


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
@pytest.mark.parametrize("is_der", [False, True], ids=["R and S", "DER"])
def test_an_elliptic_signature_may_come_in_der(algorithm, is_der):
    """Key management services return DER; a JWS has R and S of fixed length (RFC 7518 §3.4)."""
    key = aa.SigningKey(pem(KEYS[algorithm]))
    waiting = UnsignedJwt(remote(algorithm), {"a": 1})
    for _ in range(20):
        signature = key.sign(waiting.signing_input.encode())
        half = len(signature) // 2
        if is_der:
            numbers = (int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
            given = utils.encode_dss_signature(*numbers)
        else:
            given = bytearray(signature)

        token = waiting.with_signature(given)
        assert is_signed_by(token, key.public_jwk, algorithm)


@pytest.mark.parametrize("algorithm", ["EdDSA", "PS256"])
def test_other_signatures_are_taken_as_they_come(algorithm):
    """Signatures of RSA and Ed25519 have one form."""
    key = aa.SigningKey(pem(KEYS[algorithm]))
    waiting = UnsignedJwt(remote(algorithm), {"a": 1})
    token = waiting.with_signature(key.sign(waiting.signing_input.encode()))

    assert is_signed_by(token, key.public_jwk, algorithm)


BAD_SIGNATURES = {
    "nothing": ("ES256", b""),
    "one byte": ("ES256", b"\x30"),
    "short": ("ES256", bytes(63)),
    "no sequence": ("ES256", b"\x31\x06\x02\x01\x01\x02\x01\x01"),
    "a wrong length": ("ES256", b"\x30\x07\x02\x01\x01\x02\x01\x01"),
    "a long length cut off": ("ES256", b"\x30\x81"),
    "one number": ("ES256", b"\x30\x03\x02\x01\x01"),
    "a number cut off": ("ES256", b"\x30\x06\x02\x01\x01\x02\x02\x01"),
    "an empty number": ("ES256", b"\x30\x05\x02\x01\x01\x02\x00"),
    "no number": ("ES256", b"\x30\x06\x02\x01\x01\x04\x01\x01"),
    "three numbers": ("ES256", b"\x30\x09\x02\x01\x01\x02\x01\x01\x02\x01\x01"),
    "a number too large": ("ES256", b"\x30\x26\x02\x21" + b"\xff" * 33 + b"\x02\x01\x01"),
    "EdDSA": ("EdDSA", bytes(63)),
    "RSA": ("RS256", bytes(255)),
    "RSA of 1024 bits": ("RS256", bytes(128)),
    "RSA of 1536 bits": ("PS256", bytes(192)),
    "RSA of 2040 bits": ("RS512", bytes(255)),
}


@pytest.mark.parametrize(("algorithm", "signature"), BAD_SIGNATURES.values(), ids=BAD_SIGNATURES)
def test_what_is_no_signature_is_the_signers_fault(algorithm, signature):
    """The error names the algorithm and the length, and no byte."""
    with pytest.raises(
        aa.ConfigurationError,
        match=f"RemoteSigner must return a signature with {algorithm}.* {len(signature)} bytes",
    ):
        UnsignedJwt(remote(algorithm), {}).with_signature(signature)


@given(algorithm=st.sampled_from(sorted(SIGNATURE_ALGORITHMS)), signature=st.binary(max_size=300))
def test_any_bytes_are_a_signature_or_the_signers_fault(algorithm, signature):
    """Whatever a signer returns, the JWT has a signature of the right length, or an error says why."""
    waiting = UnsignedJwt(remote(algorithm), {})
    try:
        token = waiting.with_signature(signature)
    except aa.ConfigurationError as error:
        assert "RemoteSigner must return" in str(error)
    else:
        size = len(decode_base64url(token.rpartition(".")[2]))
        assert size in {64, 96, 132} or size >= 256


def test_a_signature_must_be_bytes():
    """A text, such as base64, is refused by its type."""
    with pytest.raises(aa.ConfigurationError, match="must be bytes; it is of type str"):
        UnsignedJwt(remote("ES256"), {}).with_signature("c2ln")


EC = KEYS["ES256"].as_dict(private=False)
BAD_KEYS = {
    "a text": ("ES256", "key", "a public JSON Web Key"),
    "a private key": ("ES256", KEYS["ES256"].as_dict(private=True), "private members"),
    "a symmetric key": ("ES256", {"kty": "oct", "k": "c2VjcmV0"}, "private members"),
    "another kind": ("ES256", RSA.as_dict(private=False), "kty 'EC' and crv 'P-256'"),
    "another curve": ("ES384", EC, "kty 'EC' and crv 'P-384'"),
    "RSA wanted": ("PS256", EC, "kty 'RSA'"),
    "without y": ("ES256", EC | {"y": None}, "a member 'y' in base64url"),
    "no base64url": ("ES256", EC | {"x": "a+b="}, "a member 'x' in base64url"),
    "empty": ("EdDSA", {"kty": "OKP", "crv": "Ed25519", "x": ""}, "a member 'x'"),
    **{
        f"RSA of {bits} bits": (
            "PS256",
            {"kty": "RSA", "n": encode(bytes(9) + b"\xff" * (bits // 8)), "e": "AQAB"},
            "at least 2048 bits",
        )
        for bits in (1024, 1536, 2040)
    },
    "a small RSA key": ("RS256", {"kty": "RSA", "n": "AQAB", "e": "AQAB"}, "at least 2048 bits"),
}


@pytest.mark.parametrize(("algorithm", "key", "says"), BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_public_key_must_fit_the_algorithm(algorithm, key, says):
    """A key of another kind, an incomplete one, and one with private members are refused."""
    with pytest.raises(
        aa.ConfigurationError, match=f"^public_jwk must be .*{says}|^public_jwk must be {says}"
    ) as caught:
        aa.RemoteSigner(algorithm, unused, public_jwk=key)

    assert KEYS["ES256"].as_dict(private=True)["d"] not in str(caught.value)


def test_a_remote_signer_names_wrong_arguments():
    """The function must be one, the algorithm known, and the key id a string."""
    for make, says in (
        (lambda: aa.RemoteSigner("HS256", unused), "algorithm must be one of"),
        (lambda: aa.RemoteSigner("ES256", b"signature"), "sign must be an async function"),
        (lambda: aa.RemoteSigner("ES256", bytes), "sign must be an async function"),
        (lambda: aa.RemoteSigner("ES256", unused, key_id=5), "key_id must be a string"),
    ):
        with pytest.raises(aa.ConfigurationError, match=f"^{says}"):
            make()


WEAK = pytest.mark.parametrize(
    ("bits", "algorithm"), [(1024, "RS256"), (1536, "PS256"), (2040, "RS512"), (1024, None)]
)
FORMS = pytest.mark.parametrize("form", ["PEM", "JWK"])


@WEAK
@FORMS
def test_a_weak_key_is_not_imported(bits, algorithm, form):
    """An RSA key of fewer than 2048 bits is told with its size (RFC 7518 §3.3)."""
    text = small_rsa(bits)[form == "JWK"]
    says = f"the RSA key must have at least 2048 bits, not {bits}"

    assert str(import_private_key(SecretText(text), algorithm)).startswith(says)
    with pytest.raises(aa.ConfigurationError, match=says):
        aa.SigningKey(text, algorithm=algorithm)
    if form == "JWK":
        with pytest.raises(aa.ConfigurationError, match=says):
            aa.SigningKey(json.loads(text), algorithm=algorithm)


@FORMS
def test_a_key_of_the_least_size_is_imported(form):
    """2048 bits are enough."""
    text = small_rsa(2048)[form == "JWK"]

    assert isinstance(import_private_key(SecretText(text), "RS256"), PrivateKey)

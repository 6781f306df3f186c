"""Encrypted tokens: what is decrypted, and what is refused unopened."""

import base64
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import ECKey, OKPKey, RSAKey

from aritma_auth.errors import ConfigurationError, VerificationError
from aritma_auth.protocol.jwe import DecryptionKey, RequestEncryption, is_encrypted
from aritma_auth.protocol.redaction import SecretText

RSA = RSAKey.generate_key(2048, auto_kid=False)
EC = ECKey.generate_key("P-256", auto_kid=False)
OKP = OKPKey.generate_key("X25519", auto_kid=False)
INSIDE = "e30.e30.signature"


def encrypt(key=RSA, inside=INSIDE, **header):
    header = {"alg": "RSA-OAEP-256", "enc": "A256GCM"} | header
    names = [header["alg"], header["enc"]]
    return jwe.encrypt_compact(header, inside, key, algorithms=names)


each_algorithm = pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSA, "RSA-OAEP"),
        (RSA, "RSA-OAEP-256"),
        (EC, "ECDH-ES"),
        (EC, "ECDH-ES+A128KW"),
        (EC, "ECDH-ES+A192KW"),
        (OKP, "ECDH-ES+A256KW"),
    ],
    ids=range(6),
)
each_encryption = pytest.mark.parametrize(
    "encryption",
    ["A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512", "A128GCM", "A192GCM", "A256GCM"],
)


@each_algorithm
@each_encryption
def test_the_signed_token_is_inside(key, algorithm, encryption):
    """Each algorithm for the key and each for the content is opened (RFC 7518 §4.1, §5.1)."""
    text = encrypt(key, alg=algorithm, enc=encryption)
    opened = DecryptionKey(key.as_dict(private=True)).decrypt(text)

    assert is_encrypted(text)
    assert not is_encrypted(INSIDE)
    assert opened == INSIDE
    assert "signature" not in repr(opened)


def test_the_key_before_it_opens_what_was_encrypted_to_it():
    """A server may use the old key until it has read the new one, whatever its kind."""
    keys = DecryptionKey(*(key.as_dict(private=True) for key in (EC, RSA)))

    assert keys.decrypt(encrypt(RSA)) == keys.decrypt(encrypt(EC, alg="ECDH-ES")) == INSIDE
    with pytest.raises(VerificationError):
        keys.decrypt(encrypt(OKP, alg="ECDH-ES"))
    with pytest.raises(ConfigurationError, match="must be a private"):
        DecryptionKey(EC.as_dict(private=True), "text")


def test_a_key_may_be_given_in_each_form():
    """PEM, JSON, a mapping and a SecretText are the same key, which shows nowhere."""
    members = RSA.as_dict(private=True)
    published = members | {"use": "sig", "key_ops": ["sign"], "kid": "1"}
    forms = [RSA.as_pem(private=True).decode(), json.dumps(members), members, published]
    for form in (*forms, SecretText(json.dumps(members))):
        key = DecryptionKey(form)
        assert key.decrypt(encrypt()) == INSIDE
        assert repr(key) == "<DecryptionKey ***>"
        with pytest.raises(TypeError, match="not pickled"):
            key.__reduce__()


@pytest.mark.parametrize(
    "key", ["", "text", "{", "{}", "[]", 5, None, RSA.as_dict(private=False)], ids=range(8)
)
def test_what_is_no_private_key_is_refused(key):
    """The error says what must hold, and nothing of the key."""
    with pytest.raises(ConfigurationError, match="key must be a private RSA key of 2048 bits"):
        DecryptionKey(key)


@pytest.mark.filterwarnings("ignore:Key size should be")
@pytest.mark.parametrize(
    ("kind", "size"),
    [
        *((RSAKey, 1024), (RSAKey, 1536), (RSAKey, 2040)),
        *((ECKey, "secp256k1"), (OKPKey, "Ed25519"), (OKPKey, "Ed448")),
    ],
    ids=[
        *("RSA of 1024 bits", "RSA of 1536 bits", "RSA of 2040 bits"),
        *("secp256k1", "Ed25519", "Ed448"),
    ],
)
def test_a_key_that_opens_nothing_is_refused(kind, size):
    """A key too weak, of a curve that no server encrypts to, or one that can only sign."""
    key = kind.generate_key(size, auto_kid=False)
    with pytest.raises(ConfigurationError, match="or an X25519 key"):
        DecryptionKey(key.as_dict(private=True))


def write(header):
    """Write a token whose header is read and whose rest is nothing."""
    part = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    return f"{part}.a.a.a.a"


GOOD = {"alg": "RSA-OAEP-256", "enc": "A256GCM"}


@pytest.mark.parametrize(
    "text",
    [
        write(GOOD | {"alg": "RSA1_5"}),
        write(GOOD | {"alg": "dir"}),
        write(GOOD | {"enc": "A256GCMKW"}),
        write(GOOD | {"zip": "DEF"}),
        write(GOOD | {"crit": ["exp"]}),
        write(GOOD | {"alg": ["RSA-OAEP-256"]}),
        write(GOOD | {"enc": 5}),
        write(GOOD),
        "a.b.c",
        "!.a.a.a.a",
        "é.a.a.a.a",
        write(GOOD) + "a" * (1 << 18),
        encrypt(RSAKey.generate_key(2048, auto_kid=False)),
        encrypt(inside=b"\xff"),
    ],
    ids=range(14),
)
def test_everything_else_is_refused(text):
    """Another algorithm, key or form, and compression, are one error that tells nothing."""
    with pytest.raises(VerificationError, match="must be for this client's key"):
        DecryptionKey(RSA.as_dict(private=True)).decrypt(text)


@given(st.text(max_size=80))
def test_no_text_breaks_it(text):
    """Whatever comes is refused by an error of this package."""
    with pytest.raises(VerificationError):
        DecryptionKey(EC.as_dict(private=True)).decrypt(f"{text}....")


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    """A key that cannot be used for want of joserfc names the extra."""
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with pytest.raises(ConfigurationError, match="joserfc must be installed"):
        DecryptionKey("text")
    with pytest.raises(ConfigurationError, match="joserfc must be installed"):
        RequestEncryption("RSA-OAEP").encrypt(INSIDE, [])


def test_servers_may_repeat_claims_in_the_header():
    """``iss`` and ``aud`` beside the algorithms are no reason to refuse (RFC 7519 §5.3)."""
    registry = jwe.JWERegistry(algorithms=["RSA-OAEP-256", "A256GCM"], strict_check_header=False)
    header = GOOD | {"iss": "https://id.example", "aud": "me", "cty": "JWT"}
    text = jwe.encrypt_compact(header, INSIDE, RSA, registry=registry)

    assert DecryptionKey(RSA.as_dict(private=True)).decrypt(text) == INSIDE


def published(key, **members):
    """Give a server's key as it publishes it; None leaves a member out."""
    known = key.as_dict(private=False) | {"use": "enc", "kid": "e1"} | members
    return {name: value for name, value in known.items() if value is not None}


@each_algorithm
@each_encryption
def test_a_request_is_encrypted_to_the_servers_key(key, algorithm, encryption):
    """Only the private half opens it, and the header says what is inside (RFC 9101 §6.1)."""
    text = RequestEncryption(algorithm, encryption).encrypt(INSIDE, [published(key)])
    header = json.loads(base64.urlsafe_b64decode(text.partition(".")[0] + "=="))

    assert DecryptionKey(key.as_dict(private=True)).decrypt(text) == INSIDE
    assert (header["alg"], header["enc"]) == (algorithm, encryption)
    assert (header["cty"], header["kid"]) == ("JWT", "e1")
    assert INSIDE not in repr(text)


@pytest.mark.parametrize(
    "odd",
    [
        published(RSA, use="sig"),
        published(RSA, alg="RSA-OAEP"),
        published(RSA, alg=["RSA-OAEP-256"]),
        published(RSA, use=["enc"]),
        published(RSA, n="AQAB"),
        published(RSA, n=5),
        published(RSA, e="text!"),
        published(RSA, e=None),
        published(EC),
        {"kty": "oct", "k": "AAAA", "use": "enc"},
        {"kty": ["RSA"]},
        {},
    ],
    ids=range(12),
)
def test_a_key_that_is_for_something_else_is_passed_over(odd):
    """The next one that fits is taken; without one nothing is encrypted."""
    encryption = RequestEncryption("RSA-OAEP-256")
    text = encryption.encrypt(INSIDE, [odd, published(RSA, kid=None)])

    assert encryption.encrypt(INSIDE, [odd]) is None
    assert DecryptionKey(RSA.as_dict(private=True)).decrypt(text) == INSIDE


@pytest.mark.parametrize("odd", [published(EC, crv=["P-256"]), published(EC, crv="P-192")])
def test_a_curve_that_is_not_known_is_passed_over(odd):
    """Nothing can be encrypted to it."""
    assert RequestEncryption("ECDH-ES").encrypt(INSIDE, [odd, published(RSA)]) is None


def test_a_key_for_encryption_outranks_one_without_a_use():
    """The latter may be the one that the server signs with."""
    other = RSAKey.generate_key(2048, auto_kid=False)
    keys = [published(other, use=None), published(RSA)]
    text = RequestEncryption("RSA-OAEP-256").encrypt(INSIDE, keys)

    assert DecryptionKey(RSA.as_dict(private=True)).decrypt(text) == INSIDE


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("RSA1_5",), "algorithm must be one of"),
        (("dir",), "algorithm must be one of"),
        ((None,), "algorithm must be a string"),
        (("RSA-OAEP", "none"), "encryption must be one of"),
        (("RSA-OAEP", 5), "encryption must be a string"),
    ],
)
def test_an_algorithm_that_is_not_safe_is_refused(arguments, said):
    """RSA1_5 and what needs a shared secret are not among them (RFC 8725 §3.2)."""
    with pytest.raises(ConfigurationError, match=said):
        RequestEncryption(*arguments)


@pytest.mark.filterwarnings("ignore:.*2048.*")
@pytest.mark.parametrize("bits", [1024, 1536, 2040])
def test_nothing_is_encrypted_to_a_weak_key(bits):
    """A server's RSA key of fewer than 2048 bits is passed over (RFC 7518 §4.3)."""
    weak = published(RSAKey.generate_key(bits, auto_kid=False), kid="weak")
    encryption = RequestEncryption("RSA-OAEP-256")

    assert encryption.encrypt(INSIDE, [weak]) is None
    assert encryption.encrypt(INSIDE, [weak, published(RSA)]) is not None

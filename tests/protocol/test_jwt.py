"""Which key may have signed: decoys, missing names, bad keys, and one canonical encoding."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aritma_auth.errors import ConfigurationError, VerificationError
from aritma_auth.protocol.jws import decode_base64url, encode_base64url
from aritma_auth.protocol.jwt import names_unknown_key, verify_signature
from support.signing import OTHER_RSA, RSA, ec_key, jwk, okp_key, sign

ACCEPTED = frozenset({"RS256", "ES256", "PS256"})
CLAIMS = {"a": 1}


def verify(token, keys, algorithms=ACCEPTED):
    return verify_signature(token, keys, algorithms=algorithms)


def refused(token, keys, algorithms=ACCEPTED):
    with pytest.raises(VerificationError, match="no key of the issuer"):
        verify(token, keys, algorithms)


DECOYS = [
    pytest.param(jwk(OTHER_RSA), id="the same kid"),
    pytest.param(jwk(ec_key(), alg="ES256"), id="the same kid, another kind and algorithm"),
    pytest.param(jwk(ec_key()), id="the same kid and algorithm, another kind"),
    pytest.param(jwk(RSA, alg="PS256"), id="the same key for another algorithm"),
    pytest.param(jwk(RSA, alg=None), id="no algorithm but null"),
    pytest.param(jwk(RSA, use="enc"), id="for encryption"),
    pytest.param(jwk(RSA, key_ops=["sign", "encrypt"]), id="for other operations"),
    pytest.param(jwk(RSA, key_ops="verify"), id="operations that are no list"),
    pytest.param(jwk(RSA, kid="K1"), id="another kid by case"),
    pytest.param(jwk(RSA, kid=["k1"]), id="a list as kid"),
    pytest.param(jwk(RSA, drop=["kid"]), id="no kid"),
    pytest.param(jwk(RSA, drop=["n"]), id="no modulus"),
    pytest.param(jwk(RSA, n=5), id="a number as modulus"),
    pytest.param(jwk(RSA, n="!" * 400), id="no base64"),
    pytest.param(jwk(RSA, n="A" * 342), id="a modulus of zeros"),
    pytest.param(jwk(RSA, e="AA"), id="an exponent of zero"),
    pytest.param(jwk(RSA, kty="rsa"), id="a kind in lower case"),
    pytest.param({"kty": "oct", "kid": "k1", "k": "AAAA"}, id="a shared secret"),
    pytest.param({"kid": "k1", "x5c": ["MII"]}, id="a certificate alone"),
    pytest.param({}, id="nothing"),
]


@pytest.mark.parametrize("decoy", DECOYS)
def test_decoys_neither_verify_nor_prevent(decoy):
    """A key counts by kid, kind, use and algorithm together (FAPI 2.0 §5.4.3)."""
    token = sign(CLAIMS)

    refused(token, [decoy])
    assert verify(token, [decoy, jwk(), decoy]).claims == CLAIMS


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(jwk(drop=["alg", "use"]), id="it says no more than it must"),
        pytest.param(jwk(key_ops=["verify"]), id="it may verify"),
        pytest.param(jwk(key_ops=None), id="null is absent"),
        pytest.param(jwk(x5t="x", x5c=["MII"], unknown=1), id="it says more"),
    ],
)
def test_a_key_that_fits_is_taken(key):
    """A key that fits verifies, whatever other members it has."""
    assert verify(sign(CLAIMS), [key]).claims == CLAIMS


def test_a_token_without_kid_is_tried_with_every_fitting_key():
    """Without a kid each key that fits is tried, and no other."""
    token = sign(CLAIMS, kid=None)
    others = [jwk(OTHER_RSA, kid="a"), jwk(ec_key(), kid="b", alg="ES256"), {}]

    assert verify(token, [jwk()]).claims == CLAIMS
    assert verify(token, [jwk(drop=["kid"])]).claims == CLAIMS
    assert verify(token, [*others, jwk(kid="c")]).claims == CLAIMS
    refused(token, others)
    refused(token, [])


@pytest.mark.parametrize(("alg", "curve"), [("ES256", "P-256"), ("ES384", "P-384")])
def test_a_curve_is_that_of_the_algorithm(alg, curve):
    """ES256 is P-256 and nothing else (RFC 7518 §3.4)."""
    token = sign(CLAIMS, key=ec_key(curve), alg=alg)
    accepted = frozenset({"ES256", "ES384"})
    other = {"P-256": "P-384", "P-384": "P-256"}[curve]

    assert verify(token, [jwk(ec_key(curve), alg=alg)], accepted).claims == CLAIMS
    refused(token, [jwk(ec_key(other), alg=alg)], accepted)


EDWARDS = frozenset({"EdDSA", "Ed25519"})


@pytest.mark.parametrize("alg", sorted(EDWARDS))
def test_an_edwards_key_signs_under_either_name(alg):
    """
    A key for Ed25519 verifies under RFC 8037's and RFC 9864's name, unless it names the other.
    """
    (other,) = EDWARDS - {alg}
    token = sign(CLAIMS, key=okp_key(), alg=alg)

    assert verify(token, [jwk(okp_key(), alg=alg)], EDWARDS).claims == CLAIMS
    assert verify(token, [jwk(okp_key(), drop=["alg"])], EDWARDS).claims == CLAIMS
    refused(token, [jwk(okp_key(), alg=other)], EDWARDS)
    with pytest.raises(VerificationError, match="not accepted"):
        verify(token, [jwk(okp_key(), alg=alg)], EDWARDS - {alg})


@pytest.mark.parametrize("curve", ["Ed448", "X25519"])
def test_no_other_curve_counts_as_ed25519(curve):
    """Neither a key of another Edwards curve nor one for key agreement verifies."""
    key = okp_key(curve)
    signer = okp_key("Ed448") if curve == "Ed448" else okp_key()
    token = sign(CLAIMS, key=signer, alg="EdDSA")

    refused(token, [jwk(key, alg="EdDSA"), jwk(key, alg="EdDSA", crv="Ed25519")], EDWARDS)


@pytest.mark.filterwarnings("ignore:.*2048.*")
def test_a_short_key_is_no_key_however_it_is_written():
    """Leading zeros make a modulus longer and no stronger."""
    from joserfc.jwk import RSAKey

    short = RSAKey.generate_key(1024, auto_kid=False)
    plain = jwk(short)
    modulus = base64.urlsafe_b64decode(plain["n"] + "==")
    padded = plain | {"n": encode_base64url(bytes(256) + modulus)}
    token = sign(CLAIMS, key=short)

    refused(token, [plain])
    refused(token, [padded])


@pytest.mark.parametrize("algorithms", [[], ["none"], ["HS256"], ["RS256", "HS256"], ["rs256"]])
def test_only_asymmetric_algorithms_can_be_accepted(algorithms):
    """A client that accepts another algorithm gets a ConfigurationError."""
    with pytest.raises(ConfigurationError, match="asymmetric"):
        verify(sign(CLAIMS), [jwk()], frozenset(algorithms))


@pytest.mark.parametrize("algorithms", [["ES256"], ["PS256"], ["RS512"]])
def test_an_algorithm_that_is_not_accepted_is_not_tried(algorithms):
    """An algorithm that is not accepted verifies nothing, even if its key is there."""
    with pytest.raises(VerificationError, match="not accepted"):
        verify(sign(CLAIMS), [jwk()], frozenset(algorithms))


@pytest.mark.parametrize("crit", [[], ["b64"], None])
def test_a_critical_extension_is_not_known(crit):
    """A token that demands an extension is refused (RFC 7515 §4.1.11)."""
    token = sign(CLAIMS, crit=crit)
    if crit is None:
        assert verify(token, [jwk()]).claims == CLAIMS
        return
    with pytest.raises(VerificationError, match="extension"):
        verify(token, [jwk()])


def test_one_signature_has_one_spelling():
    """Spare bits, padding and foreign characters are refused, and not skipped."""
    token = sign(CLAIMS)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(token[-1])
    twins = [token[:-1] + alphabet[last ^ bits] for bits in (1, 2, 15)]
    for twin in (*twins, f"{token}==", f"{token}\n", f" {token}", token.replace(".", "!.", 1)):
        with pytest.raises(VerificationError):
            verify(twin, [jwk()])


def test_a_token_beyond_reason_is_refused():
    """A token of more than 128 kB is refused, even with a good signature."""
    assert verify(sign({"a": "x" * 90_000}), [jwk()])
    with pytest.raises(VerificationError, match="no signed JWT"):
        verify(sign({"a": "x" * 100_000}), [jwk()])


def test_a_key_that_nobody_knows_is_noticed():
    """A kid that is unknown is noticed; a text that is no token, or names no key, is not."""
    token = sign(CLAIMS)

    assert names_unknown_key(token, [])
    assert names_unknown_key(token, [jwk(kid="other"), {}])
    assert not names_unknown_key(token, [jwk()])
    assert not names_unknown_key(sign(CLAIMS, kid=None), [])
    assert not names_unknown_key("no token", [])


@given(st.binary())
def test_base64url_goes_there_and_back(data):
    """Any bytes survive encoding and decoding without padding."""
    assert decode_base64url(encode_base64url(data)) == data


@pytest.mark.parametrize("text", ["A", "AB", "AA==", "A A", "AA\n", "A+/A", "é", "AAA=", "AAAAA"])
def test_any_other_spelling_is_refused(text):
    """
    An encoding that is not canonical is refused, though Python's decoder accepts most of them.
    """
    with pytest.raises(ValueError, match="base64url"):
        decode_base64url(text)


def test_a_token_that_is_none_shows_nothing(canary):
    """A text that is no token shows in no frame that looked at it."""
    for token in (canary.text, f"{canary.text}.b.c", f"e30.e30.{canary.text}"):
        from aritma_auth.protocol.redaction import HiddenStr

        with pytest.raises(VerificationError) as caught:
            verify(HiddenStr(token), [jwk()])

        canary.assert_hidden(caught.value)

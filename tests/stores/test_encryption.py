"""Stored bytes under lock and key."""

import base64
import copy
import pickle
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aritma_auth as aa
from aritma_auth.stores.records import RecordError

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
KEYS = aa.EncryptionKeys({"1": OLD})
ENCRYPTED = KEYS.encrypt(b"body", place="here")


def test_what_is_encrypted_is_decrypted():
    """Equal keys elsewhere decrypt the bytes, and the body does not show in what is kept."""
    assert aa.EncryptionKeys({"1": OLD}).decrypt(ENCRYPTED, place="here") == b"body"
    assert b"body" not in ENCRYPTED


def test_the_encrypted_bytes_have_this_layout():
    """They are format, length and name of the key, 12 bytes of nonce, the body, and 16 bytes of tag."""
    assert ENCRYPTED[:3] == b"\x01\x011"
    assert len(ENCRYPTED) == 3 + 12 + len(b"body") + 16


def test_bytes_of_an_earlier_day_are_decrypted():
    """The format is kept: these bytes were encrypted once and for all."""
    encrypted = base64.b64decode("AQExZJwYdQksD4Mn7OfYT319tbhADQPicf9VAb1Ztqa2PAs=")

    assert KEYS.decrypt(encrypted, place="here") == b"body"


def test_no_two_results_are_alike():
    """Each encryption has a nonce of its own."""
    assert len({KEYS.encrypt(b"body", place="here") for _ in range(50)}) == 50


@pytest.mark.parametrize("place", ["", "her", "here ", "Here", "elsewhere"])
def test_it_is_decrypted_in_no_other_place(place):
    """An entry that was copied over another cannot be decrypted."""
    with pytest.raises(RecordError, match="another place"):
        KEYS.decrypt(ENCRYPTED, place=place)


def test_the_name_of_the_key_does_not_run_into_the_place():
    """Key 1 at place 1x is distinct from key 11 at place x."""
    encrypted = aa.EncryptionKeys({"1": OLD}).encrypt(b"body", place="1x")
    keys = aa.EncryptionKeys({"11": OLD})
    forged = b"\x01\x0211" + encrypted[3:]

    with pytest.raises(RecordError):
        keys.decrypt(forged, place="x")


def test_another_key_of_the_same_name_does_not_decrypt():
    """Neither another key of the same name nor an unknown name decrypts the bytes."""
    with pytest.raises(RecordError, match="authentication tag"):
        aa.EncryptionKeys({"1": NEW}).decrypt(ENCRYPTED, place="here")
    with pytest.raises(RecordError, match="known here"):
        aa.EncryptionKeys({"2": OLD}).decrypt(ENCRYPTED, place="here")


def test_another_format_is_distinguished_from_damage():
    """An older version of the package reports an unknown key, not damage."""
    with pytest.raises(RecordError, match="known here"):
        KEYS.decrypt(b"\x02" + ENCRYPTED[1:], place="here")


def test_keys_are_changed_in_three_steps():
    """At each step every process decrypts what any process of this step or the last has encrypted."""
    steps = [{"1": OLD}, {"1": OLD, "2": NEW}, {"2": NEW, "1": OLD}, {"2": NEW}]
    key_rings = [aa.EncryptionKeys(step) for step in steps]
    results = [keys.encrypt(b"body", place="here") for keys in key_rings]

    for before, after in zip(range(3), range(1, 4), strict=True):
        assert key_rings[after].decrypt(results[before], place="here") == b"body"
        assert key_rings[before].decrypt(results[after], place="here") == b"body"
    assert [result[2:3] for result in results] == [b"1", b"1", b"2", b"2"]


@given(st.integers(0, len(ENCRYPTED) * 8 - 1))
def test_no_bit_can_be_flipped(bit):
    """A flipped bit in the format, the name, the nonce, the body or the tag is detected."""
    forged = bytearray(ENCRYPTED)
    forged[bit // 8] ^= 1 << bit % 8

    with pytest.raises(RecordError):
        KEYS.decrypt(bytes(forged), place="here")


@pytest.mark.parametrize("length", range(len(ENCRYPTED)))
def test_nothing_can_be_cut_off(length):
    """Truncated bytes are refused, wherever they end."""
    with pytest.raises(RecordError):
        KEYS.decrypt(ENCRYPTED[:length], place="here")


def test_nothing_can_be_added():
    """Bytes with something appended are refused."""
    with pytest.raises(RecordError):
        KEYS.decrypt(ENCRYPTED + b"\0", place="here")


@given(st.binary())
def test_no_bytes_crash_it(encrypted):
    """Arbitrary bytes raise a RecordError and nothing else."""
    with pytest.raises(RecordError):
        KEYS.decrypt(encrypted, place="here")


@given(st.binary(), st.text(st.characters(codec="utf-8")))
def test_any_bytes_are_encrypted_in_any_place(body, place):
    """Any body comes back from any place, empty ones included."""
    assert KEYS.decrypt(KEYS.encrypt(body, place=place), place=place) == body


RAW = b"\xfb\xff" + bytes(30)


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(RAW).decode(),
        base64.urlsafe_b64encode(RAW).decode(),
        base64.urlsafe_b64encode(RAW).decode().rstrip("="),
        base64.b64encode(RAW).decode() + "\r\n",
    ],
    ids=["base64", "base64url", "unpadded", "with a newline"],
)
def test_a_key_may_be_a_text(text):
    """A key may be base64 or base64url text, as openssl and secret managers write it."""
    encrypted = aa.EncryptionKeys({"1": RAW}).encrypt(b"body", place="here")

    assert aa.EncryptionKeys({"1": text}).decrypt(encrypted, place="here") == b"body"


BAD_KEYS = {
    "none": ({}, "at least one"),
    "short": ({"1": b"canary"}, "32 random bytes"),
    "long": ({"1": bytes(33)}, "32 random bytes"),
    "empty": ({"1": b""}, "32 random bytes"),
    "an empty text": ({"1": ""}, "32 random bytes"),
    "a password": ({"1": "canary"}, "32 random bytes"),
    "no base64": ({"1": "!" * 43}, "32 random bytes"),
    "base64 with something between": ({"1": base64.b64encode(OLD).decode() + "!"}, "32 random"),
    "no ASCII": ({"1": "ä" * 43}, "32 random bytes"),
    "a bad second": ({"1": OLD, "2": b"canary"}, "32 random bytes"),
    "no name": ({"": OLD}, "name"),
    "a long name": ({"n" * 33: OLD}, "name"),
    "a name with an umlaut": ({"ä": OLD}, "name"),
    "a name of two lines": ({"a\nb": OLD}, "name"),
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_what_is_no_key_is_refused(name, canary):
    """A wrong key is refused before anything is encrypted with it, and is not shown."""
    keys, words = BAD_KEYS[name]
    planted = {
        name: canary.text.encode() if key == b"canary" else canary.text if key == "canary" else key
        for name, key in keys.items()
    }
    with pytest.raises(aa.ConfigurationError, match=words) as caught:
        aa.EncryptionKeys(planted)

    canary.assert_hidden(caught.value)


def test_the_longest_name_is_good():
    """A name of 32 characters is accepted."""
    keys = aa.EncryptionKeys({"n" * 32: OLD})

    assert keys.decrypt(keys.encrypt(b"body", place="here"), place="here") == b"body"


def test_without_cryptography_the_extra_is_named(monkeypatch):
    """The error names the extras that install cryptography."""
    monkeypatch.setitem(sys.modules, "cryptography", None)

    with pytest.raises(aa.ConfigurationError, match=r"\[file\]. or .aritma-auth\[redis\]"):
        aa.EncryptionKeys.generate()


def test_keys_do_not_show_and_are_not_pickled():
    """The repr shows the names alone, and keys cannot be pickled or copied."""
    keys = aa.EncryptionKeys({"2026": OLD, "2025": NEW})

    assert repr(keys) == str(keys) == "<EncryptionKeys 2026, 2025>"
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="other process"):
            copying(keys)


def test_a_generated_key_is_a_new_one():
    """Each generated key is new, and has the name that it is given."""
    one, other = (aa.EncryptionKeys.generate("new") for _ in range(2))

    assert repr(one) == "<EncryptionKeys new>"
    with pytest.raises(RecordError):
        other.decrypt(one.encrypt(b"body", place="here"), place="here")


def test_what_is_decrypted_does_not_show(canary):
    """The decrypted bytes show in no repr, and in no error's traceback."""
    encrypted = KEYS.encrypt(canary.text.encode(), place="here")
    canary.assert_hidden(KEYS.decrypt(encrypted, place="here"))
    with pytest.raises(RecordError) as caught:
        KEYS.decrypt(encrypted, place="elsewhere")

    canary.assert_hidden(caught.value)


def test_a_key_without_a_name_is_refused(canary):
    """A key without a name is refused, since it could never be rotated."""
    with pytest.raises(aa.ConfigurationError, match="keys by name") as caught:
        aa.EncryptionKeys(canary.text)

    canary.assert_hidden(caught.value)

"""A token as the text that an application keeps, and texts that hold none."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aritma_auth as aa
from support.stores import full_token

NOW = 1_700_000_000.0
TOKEN = full_token(NOW, extra={"tid": "acme"})
GOLDEN = (
    '{"version":1,"access_token":"access","token_type":"Bearer","issued_at":1700000000.0,'
    '"expires_at":1700003600.0,"refresh_token":"refresh","id_token":"id","scope":["a","b"],'
    '"extra":{"tid":"acme"}}'
)


def changed(**members):
    """Return a good text with changes."""
    return json.dumps(
        {name: value for name, value in (json.loads(GOLDEN) | members).items() if value is not GONE}
    )


GONE = object()
BAD = {
    "nothing at all": ("", "empty"),
    "no JSON": ("canary", "not JSON"),
    "cut short": (GOLDEN[:-1], "not JSON"),
    "another text after it": (GOLDEN + "canary", "not JSON"),
    "a list": ("[]", "not an object"),
    "nested too deeply": ('{"a":' + "[" * 100_000, "nested"),
    "a member twice": ('{"version":1,"version":1}', "twice"),
    "no number": ('{"version":1,"issued_at":NaN}', "not finite"),
    "an infinite number": ('{"version":1,"issued_at":1e999}', "not finite"),
    "half a character": ("\ud800canary", "lone surrogate"),
    "half a character, escaped": (changed(access_token="\ud800canary"), "lone surrogate"),
    "too long": (changed(extra={"x": "canary" * 200_000}), "characters, and may have"),
    "no version": (changed(version=GONE), "version"),
    "the next version": (changed(version=2), "version"),
    "a version in words": (changed(version="1"), "version"),
    "a version that is true": (changed(version=True), "version"),
    "a version with a fraction": (changed(version=1.0), "version"),
    "a member that no token has": (changed(canary="canary"), "a member that a token does not have"),
    "no access token": (changed(access_token=GONE), "access_token is missing"),
    "a null access token": (changed(access_token=None), "access_token is missing"),
    "an access token that is a number": (changed(access_token=1), "access_token must be a string"),
    "an empty access token": (changed(access_token=""), "access_token must not be empty"),
    "an access token with a line break": (
        changed(access_token="canary\r\nX-Evil: 1"),
        "access_token must hold visible ASCII",
    ),
    "a refresh token with a space": (changed(refresh_token="a canary"), "refresh_token must hold"),
    "an empty refresh token": (changed(refresh_token=""), "refresh_token must not be empty"),
    "an ID token beyond ASCII": (changed(id_token="canaryé"), "id_token must hold"),
    "a refresh token that is a list": (changed(refresh_token=["canary"]), "refresh_token must be"),
    "no token type": (changed(token_type=GONE), "token_type is missing"),
    "a token type of a kind that is unknown": (changed(token_type="canary"), "token_type must be"),
    "a token type in lower case": (changed(token_type="bearer"), "token_type must be"),
    "no time": (changed(issued_at=GONE), "issued_at is missing"),
    "a time in words": (changed(issued_at="canary"), "issued_at must be a number"),
    "a time that is true": (changed(issued_at=True), "issued_at must be a number"),
    "a time beyond all numbers": (changed(expires_at=10**400), "expires_at"),
    "a scope that is a text": (changed(scope="canary"), "scope must be a list of strings"),
    "a scope of numbers": (changed(scope=[1]), "scope must be a list of strings"),
    "no extra": (changed(extra=GONE), "extra must be an object"),
    "an extra that is a list": (changed(extra=["canary"]), "extra must be an object"),
}


def test_a_token_is_this_text():
    """Other versions of this package read this text: a change needs a new version number."""
    assert TOKEN.to_json() == GOLDEN


@pytest.mark.parametrize(
    "token",
    [
        TOKEN,
        aa.Token("access"),
        aa.Token("access", "DPoP", expires_at=NOW),
        aa.Token("access", extra={"deep": {"list": [1, "ø", None]}}),
    ],
    ids=["full", "bare", "DPoP", "extra"],
)
def test_a_token_comes_back_as_it_was(token):
    """A kept token equals the one that was kept, header included."""
    back = aa.Token.from_json(token.to_json())

    assert back == token
    assert back.authorization == token.authorization


def test_a_text_with_other_whitespace_is_the_same():
    """A database may reformat JSON."""
    assert aa.Token.from_json(json.dumps(json.loads(GOLDEN), indent=2, sort_keys=True)) == TOKEN


def test_the_text_shows_in_no_traceback(canary):
    """The text is in clear where it is written, and hidden where it is shown by accident."""
    text = aa.Token("access", refresh_token=canary.text).to_json()

    assert canary.text in text
    assert canary.text not in repr([text])


@pytest.mark.parametrize("name", BAD)
def test_a_text_that_holds_no_token_is_refused(name, canary):
    """The error says what is wrong and quotes nothing."""
    text, problem = BAD[name]
    with pytest.raises(aa.StoreError) as refused:
        aa.Token.from_json(text.replace("canary", canary.text))

    assert problem in str(refused.value)
    assert refused.value.__context__ is None
    canary.assert_hidden(refused.value)


@pytest.mark.parametrize("given", [None, b"canary", 1, {"access_token": "canary"}], ids=repr)
def test_anything_but_a_text_is_named(given, canary):
    """The argument is named, and its value is not shown."""
    given = canary.text.encode() if isinstance(given, bytes) else given
    with pytest.raises(aa.ConfigurationError, match="text must be a string") as refused:
        aa.Token.from_json(given)

    canary.assert_hidden(refused.value)


def test_a_subclass_comes_back_as_one():
    """An application's own kind of token is made of the text."""

    class OwnToken(aa.Token):
        """A token of an application."""

    assert type(OwnToken.from_json(GOLDEN)) is OwnToken


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*json.loads(GOLDEN), "x"]), _JSON))
def test_any_member_is_read_or_refused(members):
    """Whatever the members are, there is a token that can be kept again, or a StoreError."""
    try:
        token = aa.Token.from_json(json.dumps(json.loads(GOLDEN) | members))
    except aa.StoreError:
        return
    assert math.isfinite(token.issued_at)
    assert aa.Token.from_json(token.to_json()) == token


@given(st.text())
def test_any_text_is_read_or_refused(text):
    """Whatever the text is, no other error leaves the parser."""
    with pytest.raises(aa.StoreError):
        aa.Token.from_json(text)

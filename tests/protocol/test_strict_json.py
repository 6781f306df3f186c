"""JSON of another party: decoded strictly, or refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aritma_auth.protocol.strict_json import JsonError, parse_json_object

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\U0001f600"), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.dictionaries(st.text("abå\U0001f600"), values, max_size=4), st.booleans())
def test_every_object_is_read(members, ensure_ascii):
    """Every object is decoded, escaped or not."""
    assert parse_json_object(json.dumps(members, ensure_ascii=ensure_ascii).encode()) == members


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"<html>", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1} {}', "not JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
        (b"[]", "not an object"),
        (b"null", "not an object"),
        (b'{"a": 1, "a": 1}', "twice"),
        (b'{"b": {"a": 1, "\\u0061": 2}}', "twice"),
        (b'{"a": NaN}', "finite"),
        (b'{"a": -Infinity}', "finite"),
        (b'{"a": 1e999}', "finite"),
        (b'{"a": "\\ud800"}', "lone surrogate"),
        (b'{"a": ["x", {"b\\uDFFF": 1}]}', "lone surrogate"),
        (b'{"a": "\\ude00\\ud83d"}', "lone surrogate"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "UTF-8"),
        (b'\xef\xbb\xbf\xef\xbb\xbf{"a": 1}', "not JSON"),
        (b'{\xef\xbb\xbf"a": 1}', "not JSON"),
        (b"\xef\xbb\xbf", "not JSON"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_anything_else_is_refused(body, problem):
    """Everything else is refused in words that quote nothing."""
    with pytest.raises(JsonError, match=problem) as caught:
        parse_json_object(body)

    assert caught.value.__context__ is None


@pytest.mark.parametrize("text", ['{"a": 1}', ' {"a": 1}', '\r\n{"a": 1}\r\n', '{"a":1}'])
def test_one_byte_order_mark_is_ignored(text):
    """Servers on Windows write one in front, and a parser may ignore it (RFC 8259 §8.1)."""
    assert parse_json_object(b"\xef\xbb\xbf" + text.encode()) == {"a": 1}


def test_two_halves_are_one_character():
    """An escaped surrogate pair is one character, and an escaped backslash begins none."""
    assert parse_json_object(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}
    assert parse_json_object(b'{"a": "\\\\ud800"}') == {"a": "\\ud800"}


def test_the_error_shows_nothing(canary):
    """The error shows nothing of the text, neither in its message nor in its context."""
    for text in ('{"a": "%s"', '{"a": "%s", "a": 1}', '["%s"]', '{"a": "%s\\ud800"}'):
        with pytest.raises(JsonError) as caught:
            parse_json_object((text % canary.text).encode())

        assert canary.text not in str(caught.value)
        assert caught.value.__context__ is None

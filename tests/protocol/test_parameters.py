"""Scope as callers write it."""

import pytest

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.parameters import parse_scope


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("", ()),
        ("a", ("a",)),
        (" a  b ", ("a", "b")),
        (["b", "a", "b"], ("b", "a")),
        (("services.settlement", "zam"), ("services.settlement", "zam")),
    ],
)
def test_scope_is_text_or_tokens(given, expected):
    """Order is kept, repetitions are not."""
    assert parse_scope(given) == expected


@pytest.mark.parametrize("given", ['a"b', "a\\b", "å", ["a b"], [""], [5]])
def test_wrong_characters_are_refused(given):
    """RFC 6749 §3.3."""
    with pytest.raises(ConfigurationError, match="scope must be"):
        parse_scope(given)


def test_a_scope_longer_than_identityserver_takes_is_refused():
    """IdentityServer's limit is 300 characters in all."""
    assert parse_scope("a" * 300) == ("a" * 300,)
    with pytest.raises(ConfigurationError, match="at most 300 characters"):
        parse_scope("a" * 200 + " " + "b" * 100)

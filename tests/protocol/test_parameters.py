"""Scope, as callers write it."""

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
    """A scope keeps its order, and each token counts once."""
    assert parse_scope(given) == expected


@pytest.mark.parametrize("given", ['a"b', "a\\b", "å", ["a b"], [""], [5]])
def test_wrong_characters_are_refused(given):
    """A token with a character outside RFC 6749 §3.3 is refused."""
    with pytest.raises(ConfigurationError, match="scope must be"):
        parse_scope(given)


def test_a_scope_longer_than_identityserver_takes_is_refused():
    """A scope of more than 300 characters, IdentityServer's limit, is refused."""
    assert parse_scope("a" * 300) == ("a" * 300,)
    with pytest.raises(ConfigurationError, match="at most 300 characters"):
        parse_scope("a" * 200 + " " + "b" * 100)

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


@pytest.mark.parametrize("given", ['a"b', "a\\b", "å", ["a b"], [""], [5], [None], ["a", None]])
def test_wrong_characters_are_refused(given):
    """A token with a character outside RFC 6749 §3.3 is refused."""
    with pytest.raises(ConfigurationError, match="scope must be"):
        parse_scope(given)


def test_a_scope_longer_than_any_server_takes_is_refused():
    """A scope of more than 4096 characters is refused; the scopes of other servers are URLs."""
    urls = [f"https://www.example.com/auth/some.api.{number}" for number in range(20)]
    assert parse_scope(urls) == tuple(urls)
    with pytest.raises(ConfigurationError, match="at most 4096 characters, not 4101"):
        parse_scope("a" * 2000 + " " + "b" * 2100)

"""Which key or certificate an access token says that it is bound to."""

import base64
import json

import pytest

from aritma_auth.protocol.token_binding import find_confirmation, unbound


def token(claims):
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.x"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (token({"cnf": {"jkt": "one"}}), {"jkt": "one"}),
        (token({"cnf": {"x5t#S256": "one"}}), {"x5t#S256": "one"}),
        (token({"cnf": {}}), {}),
        (token({"cnf": "one"}), {}),
        (token({"cnf": None}), {}),
        (token({}), {}),
        ("opaque", None),
        ("a.b.c", None),
    ],
)
def test_a_token_names_its_key_in_one_claim(text, named):
    """A claim of another kind names none, and an opaque token says nothing."""
    assert find_confirmation(text) == named


def test_the_error_says_what_is_missing_and_what_to_do():
    """It says what to do, and shows neither thumbprint."""
    other, none = unbound("jkt", {"jkt": "planted"}), unbound("x5t#S256", {})

    assert "bound to the client's key, and it names another one (cnf jkt)" in str(other)
    assert "bound to the client's certificate, and it names none (cnf x5t#S256)" in str(none)
    assert "planted" not in str(other)
    assert other.status == 200

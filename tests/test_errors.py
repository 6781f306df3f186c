"""Tests of the errors: their tree, their copies and their messages."""

import pickle

import pytest

from aritma_auth import errors
from aritma_auth.errors import (
    AritmaAuthError,
    IdTokenError,
    InvalidResponseError,
    OAuthError,
    StepUpRequiredError,
    TokenTimeoutError,
    TransportError,
    oauth_error,
    printable,
)

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, AritmaAuthError)
]

SAMPLES = [
    TransportError("x", retry_after=3, may_have_arrived=False),
    InvalidResponseError("x", status=502, problems=("y",), retry_after=1),
    oauth_error("invalid_grant", "late", uri="u", status=400, retry_after=2),
    IdTokenError("x", claim="aud"),
    StepUpRequiredError("x", acr_values=("mfa",), max_age=5, scope=("a",)),
    TokenTimeoutError("x"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_documented_and_drawn(kind):
    """Each name ends in Error, has a docstring and stands in the tree at the top of the file."""
    assert kind.__name__.endswith("Error")
    assert kind.__doc__
    assert kind.__name__ in errors.__doc__


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("way", ["copy", "pickle"])
def test_copies_are_equal_and_carry_no_traceback(error, way):
    """Each of many callers raises its own copy, and so may other processes."""
    try:
        raise error
    except AritmaAuthError as caught:
        twin = caught.copy() if way == "copy" else pickle.loads(pickle.dumps(caught))

    assert twin is not error
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert vars(twin) == vars(error)
    assert twin.__traceback__ is None


def test_a_timeout_is_a_timeout_error_too():
    """A caller that catches TimeoutError catches TokenTimeoutError."""
    assert issubclass(TokenTimeoutError, TimeoutError)


def test_the_message_says_what_to_do():
    """A known error code comes with advice, and an unknown one without."""
    assert "check the client id" in str(OAuthError("invalid_client"))
    assert str(OAuthError("custom_code")) == "custom_code"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain å", "plain å"),
        ("line\nbreak\x1b[31m", "line�break�[31m"),
        ("\u202eevil\u2028", "�evil�"),
        ("a" * 201, "a" * 200 + "…"),
        ("a" * 200, "a" * 200),
        ("\ud800", "�"),
    ],
)
def test_a_servers_text_is_made_printable(text, shown):
    """Control and bidi characters are replaced, and the length is limited."""
    assert printable(text) == shown

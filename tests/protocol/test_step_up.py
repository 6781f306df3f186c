"""The challenge by which an API asks for more than the token proves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aritma_auth.protocol.www_authenticate import find_step_up


def test_rfc_9470s_challenge_becomes_an_error():
    """The example of RFC 9470 §3 becomes an error with its classes and its age."""
    error = find_step_up(
        [
            'Bearer error="insufficient_user_authentication", '
            'error_description="A different authentication level is required", '
            'acr_values="myACR other", max_age="5"'
        ]
    )

    assert error.acr_values == ("myACR", "other")
    assert error.max_age == 5
    assert error.scope is None
    assert "A different authentication level is required" in str(error)


def test_insufficient_scope_becomes_an_error():
    """The first challenge that asks for more counts, wherever it stands (RFC 6750 §3.1)."""
    fields = ["Basic realm=x", 'Bearer error="insufficient_scope", scope="payments accounts"']
    error = find_step_up([*fields, "Bearer error=insufficient_user_authentication"])

    assert error.scope == ("payments", "accounts")
    assert error.acr_values == ()
    assert error.max_age is None
    assert str(error) == (
        "the API requires a token of the scope 'payments accounts': ask for it in the grant, or "
        "let the end-user sign in with step_up=error"
    )
    unnamed = find_step_up(["Bearer error=insufficient_scope"])
    assert str(unnamed).startswith("the API requires a token of wider scope: ask for it in the")


def test_dpop_challenges_count_too():
    """A DPoP challenge counts in any case."""
    assert find_step_up(["DPOP error=insufficient_scope"]) is not None


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer error=invalid_token"],
        ["Bearer error=INSUFFICIENT_SCOPE"],
        ["Basic error=insufficient_scope"],
        ["error=insufficient_scope"],
        ["Bearer abc==, error=insufficient_scope"],
    ],
    ids=repr,
)
def test_any_other_challenge_asks_for_nothing_more(fields):
    """An expired token or a foreign scheme asks for no step-up."""
    assert find_step_up(fields) is None


@pytest.mark.parametrize(
    ("max_age", "seconds"),
    [
        ("0", 0),
        ("99999999999", 99_999_999_999),
        ("999999999999", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
    ],
)
def test_an_age_is_a_number_of_seconds(max_age, seconds):
    """An age that is no number of seconds is left out."""
    field = f'Bearer error=insufficient_user_authentication, max_age="{max_age}"'

    assert find_step_up([field]).max_age == seconds


def test_what_no_request_can_carry_is_left_out():
    """
    A value that no request can carry is left out, so that an API cannot make the next sign-in
    fail.
    """
    error = find_step_up(
        [
            'Bearer error=insufficient_scope, scope="a é \\"b c\x1b", acr_values="mfa \u202ex y\x07", '
            'error_description="no\x1b[31m"'
        ]
    )

    assert error.scope == ("a",)
    assert error.acr_values == ("mfa",)
    assert "\x1b" not in str(error)


@given(st.text(), st.text(), st.text())
def test_whatever_an_api_sends_nothing_breaks(scope, acr_values, max_age):
    """Whatever an API sends, the error holds values that a request can carry."""
    field = f'Bearer error=insufficient_scope, scope="{scope}", acr_values="{acr_values}", max_age="{max_age}"'
    error = find_step_up([field])

    assert error is None or all(map(str.isprintable, (*error.acr_values, *(error.scope or ()))))

"""Each grant as a form, byte for byte."""

import pytest

import aritma_auth as aa
from aritma_auth.protocol.wire import encode_form

ACCESS_TOKEN = "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"


def password_grant(*args, **kwargs):
    with pytest.warns(DeprecationWarning, match="discouraged"):
        return aa.PasswordGrant(*args, **kwargs)


GRANTS = [
    (lambda: aa.ClientCredentialsGrant(), "grant_type=client_credentials"),
    (lambda: aa.ClientCredentialsGrant(scope=""), "grant_type=client_credentials&scope="),
    (
        lambda: aa.RefreshTokenGrant("r/t", scope="a"),
        "grant_type=refresh_token&refresh_token=r%2Ft&scope=a",
    ),
    (
        lambda: aa.AuthorizationCodeGrant(
            "the code", redirect_uri="https://me.example/cb?x=1", code_verifier="v" * 43
        ),
        "grant_type=authorization_code&code=the+code&redirect_uri=https%3A%2F%2Fme.example%2Fcb%3Fx%3D1"
        f"&code_verifier={'v' * 43}",
    ),
    (
        lambda: aa.AuthorizationCodeGrant("c", redirect_uri="http://127.0.0.1:5"),
        "grant_type=authorization_code&code=c&redirect_uri=http%3A%2F%2F127.0.0.1%3A5",
    ),
    (
        lambda: password_grant("alice", "p w+%", scope="api offline_access"),
        "grant_type=password&username=alice&password=p+w%2B%25&scope=api+offline_access",
    ),
    (
        lambda: aa.DeviceCodeGrant("d"),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=d",
    ),
    (
        lambda: aa.DelegationGrant("t", scope="bankservice"),
        "grant_type=delegation&token=t&scope=bankservice",
    ),
    (
        lambda: aa.DelegationGrant("t", provider="bank-idp"),
        "grant_type=delegation&token=t&provider=bank-idp",
    ),
    (
        lambda: aa.TokenExchangeGrant("s"),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=s"
        f"&subject_token_type={ACCESS_TOKEN}",
    ),
    (
        lambda: aa.TokenExchangeGrant(
            "s", actor_token="a", requested_token_type="urn:x", audience=("b", "c")
        ),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=s"
        f"&subject_token_type={ACCESS_TOKEN}&actor_token=a&actor_token_type={ACCESS_TOKEN}"
        "&requested_token_type=urn%3Ax&audience=b&audience=c",
    ),
    (
        lambda: aa.CustomGrant("urn:mine", {"a": "b"}, scope="api", extra={"x": "y"}),
        "grant_type=urn%3Amine&a=b&scope=api&x=y",
    ),
]


@pytest.mark.parametrize(("make", "form"), GRANTS)
def test_each_grant_is_a_form(make, form):
    """In the order of its specification."""
    assert encode_form(make().parameters()).decode() == form


@pytest.mark.parametrize(
    ("make", "reusable"),
    [
        (lambda: aa.ClientCredentialsGrant(), True),
        (lambda: password_grant("a", "b"), True),
        (lambda: aa.DelegationGrant("t"), True),
        (lambda: aa.TokenExchangeGrant("t"), True),
        (lambda: aa.RefreshTokenGrant("t"), False),
        (lambda: aa.AuthorizationCodeGrant("c", redirect_uri="https://a.example"), False),
        (lambda: aa.DeviceCodeGrant("d"), False),
        (lambda: aa.CustomGrant("x"), False),
    ],
)
def test_what_can_be_presented_again_is_known(make, reusable):
    """Codes and refresh tokens can be spent only once."""
    assert make().is_reusable is reusable


def test_no_grant_shows_its_secret(canary):
    """Codes, verifiers, passwords and tokens."""
    text = canary.text
    canary.assert_hidden(
        aa.AuthorizationCodeGrant(text, redirect_uri="https://a.example", code_verifier=text),
        password_grant("alice", text),
        aa.DeviceCodeGrant(text),
        aa.DelegationGrant(text),
        aa.TokenExchangeGrant(text, actor_token=text),
        aa.CustomGrant("x", {"secret": text}),
    )


def test_a_custom_grant_cannot_replace_protected_parameters():
    """Its own parameters are its own."""
    with pytest.raises(aa.ConfigurationError, match="client_secret"):
        aa.CustomGrant("x", {"client_secret": "y"})

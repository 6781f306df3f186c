"""Each grant as a form, byte for byte."""

import re
from types import SimpleNamespace

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.protocol import client_auth, grants
from aritma_auth.protocol.http_messages import encode_form
from aritma_auth.protocol.redaction import SecretText
from support.sign_ins import make_response

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
            make_response(redirect_uri="https://me.example/cb?x=1", callback={"code": "the code"})
        ),
        "grant_type=authorization_code&code=the+code&redirect_uri=https%3A%2F%2Fme.example%2Fcb%3Fx%3D1"
        f"&code_verifier={'v' * 43}",
    ),
    (
        lambda: aa.AuthorizationCodeGrant(
            make_response(redirect_uri="http://127.0.0.1:5", code_verifier=None)
        ),
        "grant_type=authorization_code&code=the-code&redirect_uri=http%3A%2F%2F127.0.0.1%3A5",
    ),
    (
        lambda: password_grant("alice", "p w+%", scope="api offline_access"),
        "grant_type=password&username=alice&password=p+w%2B%25&scope=api+offline_access",
    ),
    (
        lambda: aa.BackchannelGrant("a"),
        "grant_type=urn%3Aopenid%3Aparams%3Agrant-type%3Aciba&auth_req_id=a",
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
        lambda: aa.JwtBearerGrant("a.b.c", scope="api"),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b.c&scope=api",
    ),
    (
        lambda: aa.CustomGrant("urn:mine", {"a": "b"}, scope="api", extra={"x": "y"}),
        "grant_type=urn%3Amine&a=b&scope=api&x=y",
    ),
]


@pytest.mark.parametrize(("make", "form"), GRANTS)
def test_each_grant_is_a_form(make, form):
    """The parameters come in the order of the specification."""
    assert encode_form(make().parameters()).decode() == form


@pytest.mark.parametrize(
    ("make", "reusable"),
    [
        (lambda: aa.ClientCredentialsGrant(), True),
        (lambda: password_grant("a", "b"), True),
        (lambda: aa.DelegationGrant("t"), True),
        (lambda: aa.TokenExchangeGrant("t"), True),
        (lambda: aa.RefreshTokenGrant("t"), False),
        (lambda: aa.AuthorizationCodeGrant(make_response()), False),
        (lambda: aa.SignedInGrant("alice"), False),
        (lambda: aa.BackchannelGrant("a"), False),
        (lambda: aa.DeviceCodeGrant("d"), False),
        (lambda: aa.CustomGrant("x"), False),
        (lambda: aa.CustomGrant("x", is_reusable=True), True),
        (lambda: aa.JwtBearerGrant("a.b.c"), False),
        (lambda: aa.JwtBearerGrant(aa.Secret("a.b.c")), True),
    ],
)
def test_what_can_be_presented_again_is_known(make, reusable):
    """A code and a refresh token can be presented once, other grants again."""
    assert make().is_reusable is reusable


def test_no_grant_shows_its_secret(canary):
    """No grant shows its code, verifier, password or token."""
    text = canary.text
    canary.assert_hidden(
        aa.AuthorizationCodeGrant(make_response(code_verifier=text, callback={"code": text})),
        password_grant("alice", text),
        aa.BackchannelGrant(text),
        aa.DeviceCodeGrant(text),
        aa.DelegationGrant(text),
        aa.TokenExchangeGrant(text, actor_token=text),
        aa.CustomGrant("x", {"secret": text}),
        aa.JwtBearerGrant(text),
        aa.JwtBearerGrant(aa.Secret(text)),
    )


def test_a_custom_grant_cannot_replace_protected_parameters():
    """A custom grant cannot set the parameters of the client's authentication."""
    with pytest.raises(aa.ConfigurationError, match="client_secret"):
        aa.CustomGrant("x", {"client_secret": "y"})


class Lookalike(aa.AuthorizationResponse):
    """A class that is derived to get around the check."""


@pytest.mark.parametrize(
    "response",
    [
        pytest.param("the-code", id="a bare code"),
        pytest.param(SimpleNamespace(code=SecretText("c")), id="what has a code"),
        pytest.param(Lookalike.__new__(Lookalike), id="what derives from a response"),
        pytest.param(make_response("id_token"), id="a response without a code"),
    ],
)
def test_a_code_grant_is_made_of_a_validated_response_alone(response):
    """
    A code grant accepts validated responses only, so that no one can forget to check the state.
    """
    with pytest.raises(aa.ConfigurationError, match="validate_authorization_response"):
        aa.AuthorizationCodeGrant(response)


def test_no_one_else_can_create_a_response():
    """A response cannot be created by its class nor by changing another."""
    names = ["request", "issuer", "code", "token", "id_token", "session_state"]
    parts = dict.fromkeys(names)
    with pytest.raises(aa.ConfigurationError, match="validate_authorization_response"):
        aa.AuthorizationResponse(object(), **parts)
    with pytest.raises(TypeError):
        attrs.evolve(make_response(), code=SecretText("another"))


def test_a_code_grant_is_taken_with_its_response():
    """However many grants are made of one response, the code is presented once."""
    response = make_response()
    one, other = aa.AuthorizationCodeGrant(response), aa.AuthorizationCodeGrant(response)

    assert one.single_use.take()
    assert not other.single_use.take()
    assert aa.RefreshTokenGrant("r").single_use is None


def test_state_and_nonce_stay_with_the_client():
    """The token request does not repeat them."""
    names = [name for name, _ in aa.AuthorizationCodeGrant(make_response()).parameters()]

    assert names == ["grant_type", "code", "redirect_uri", "code_verifier"]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda extra: aa.AuthorizationCodeGrant(make_response(), extra=extra), "code"),
        (lambda extra: aa.AuthorizationCodeGrant(make_response(), extra=extra), "code_verifier"),
        (lambda extra: aa.RefreshTokenGrant("r", extra=extra), "refresh_token"),
        (lambda extra: aa.DelegationGrant("t", extra=extra), "token"),
        (lambda extra: aa.DeviceCodeGrant("d", extra=extra), "device_code"),
        (lambda extra: aa.CustomGrant("x", {"mine": "a"}, extra=extra), "mine"),
        (lambda extra: aa.ClientCredentialsGrant(extra=extra), "grant_type"),
        (lambda extra: aa.ClientCredentialsGrant(extra=extra), "client_assertion"),
    ],
)
def test_no_parameter_is_sent_twice(make, name):
    """Further parameters replace nothing that a grant says itself."""
    with pytest.raises(aa.ConfigurationError, match=f"extra must not replace {name}"):
        make({name: "other"})


def test_further_parameters_are_texts():
    """A value that is no string is refused when the grant is made."""
    with pytest.raises(aa.ConfigurationError, match="must be a string"):
        aa.ClientCredentialsGrant(extra={"a": 5})


@pytest.mark.parametrize(
    "resource", ["/relative", "https://api.example/#part", "https://[broken", ["urn:a", "b"]]
)
def test_a_resource_is_an_absolute_uri(resource):
    """A resource that is relative or has a fragment is refused."""
    with pytest.raises(aa.ConfigurationError, match="RFC 8707"):
        aa.ClientCredentialsGrant(resource=resource)


def test_one_resource_or_several():
    """A string is one resource; an iterable may hold several."""
    assert aa.ClientCredentialsGrant(resource="urn:a").resource == ("urn:a",)
    assert aa.ClientCredentialsGrant(resource=["urn:a", "urn:b"]).resource == ("urn:a", "urn:b")


def test_the_scope_of_client_credentials_may_be_given_by_position():
    """``ClientCredentialsGrant("bankservice")`` asks for the scope ``bankservice``."""
    assert aa.ClientCredentialsGrant("bankservice").scope == ("bankservice",)
    assert aa.ClientCredentialsGrant(["a", "b"], resource="urn:x").parameters() == (
        ("grant_type", "client_credentials"),
        ("scope", "a b"),
        ("resource", "urn:x"),
    )


def test_the_warning_of_a_password_grant_names_the_callers_line():
    """A warning that pointed into the package could not be found in a program."""
    with pytest.warns(DeprecationWarning, match="discouraged") as warned:
        aa.PasswordGrant("alice", "p")

    assert [warning.filename for warning in warned] == [__file__]


def test_a_refused_identity_scope_is_explained():
    """IdentityServer refuses it with invalid_scope; other servers give an ID token."""
    grant = aa.ClientCredentialsGrant(scope="api openid profile")

    assert grant.problems() == ()
    assert "openid profile" in grant.explain("invalid_scope")
    assert grant.explain("invalid_client") is None
    assert aa.ClientCredentialsGrant().explain("invalid_scope") is None


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ("bankservice", "the scope asked for is 'bankservice': ask for what the server"),
        ("bankservice,api", "'bankservice,api'.*separated by spaces, not by commas"),
        ("a" * 301, "IdentityServer takes 300 characters at most"),
    ],
)
def test_a_refused_scope_is_named_with_what_is_odd_about_it(scope, said):
    """An error that reaches a log alone says which scope was asked for."""
    assert re.search(said, aa.ClientCredentialsGrant(scope).explain("invalid_scope"))
    assert re.search(said, aa.DelegationGrant("token", scope=scope).explain("invalid_scope"))


def test_whether_a_custom_grant_is_reusable_is_yes_or_no():
    """A text that says no would count as yes."""
    with pytest.raises(aa.ConfigurationError, match="is_reusable must be True or False"):
        aa.CustomGrant("x", is_reusable="no")


def test_a_sign_in_cannot_be_sent():
    """A SignedInGrant only names the end-user whose tokens a store keeps."""
    grant = aa.SignedInGrant("alice")

    assert not grant.is_requestable
    assert grant.own_parameters() == ()
    assert grant.identity() == (("end_user", "alice"), ("grant_type", "signed_in"))
    assert "no request" in grant.problems()[0]


@pytest.mark.parametrize(
    "grant",
    [
        aa.SignedInGrant(),
        aa.SignedInGrant(None),
        aa.SignedInGrant(""),
        aa.SignedInGrant(" \t"),
        aa.SignedInGrant("", scope="bankservice"),
        aa.CustomGrant("password", {"username": "alice", "password": "pw"}),
        aa.JwtBearerGrant(aa.Secret("a.b.c")),
        aa.TokenExchangeGrant(aa.Secret("t")),
        aa.DelegationGrant(aa.Secret("t")),
        aa.TokenExchangeGrant("t", actor_token=aa.Secret("t")),
    ],
    ids=str,
)
def test_a_grant_that_cannot_say_whose_it_is_has_no_identity(grant):
    """Without a named end-user, or with a password only the server can check, it has none."""
    assert grant.identity() is None


def test_a_password_grant_has_no_identity():
    """A digest of the password could be guessed from a store's key."""
    assert password_grant("alice", "pw").identity() is None


def test_a_grants_identity_is_its_request():
    """Two grants are the same if the server cannot distinguish their requests."""
    grant = aa.DelegationGrant("t", scope="b a", extra={"x": "1"})

    assert grant.identity() == grant.parameters()


@pytest.mark.parametrize("module", [grants, client_auth], ids=["grants", "client_auth"])
def test_a_name_that_a_package_does_not_have_is_an_attribute_error(module):
    """A package of families names what it has, and raises what any module raises."""
    assert dir(module) == module.__all__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = module.nonsense

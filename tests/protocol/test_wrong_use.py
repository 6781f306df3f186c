"""
Wrong use of grants and client authentications is refused when they are made, by the argument's
name.
"""

import copy
import io
import pickle
import re
import ssl
import traceback

import attrs
import cattrs
import pytest

import aritma_auth as aa
from aritma_auth.protocol.client_auth import ClientCredential
from aritma_auth.protocol.credentials import PlainSecret
from aritma_auth.protocol.redaction import (
    Members,
    SecretParameters,
    SecretText,
    as_optional_secret,
    as_secret,
)
from aritma_auth.protocol.urls import require_redirect_uri, require_secure_url
from support.sign_ins import NOW, good_callback, make_request, make_response

CONTEXT = ssl.create_default_context()
PLANTED = b"planted-secret"


def password_grant(*args, **kwargs):
    return aa.PasswordGrant(*args, **kwargs)


WRONG = [
    (lambda: aa.ClientCredentialsGrant(42), "scope", "int"),
    (lambda: aa.ClientCredentialsGrant(b"api"), "scope", "bytes"),
    (lambda: aa.ClientCredentialsGrant(object()), "scope", "object"),
    (lambda: aa.ClientCredentialsGrant(resource=42), "resource", "int"),
    (lambda: aa.ClientCredentialsGrant(extra=42), "extra", "int"),
    (lambda: aa.ClientCredentialsGrant(extra=["abc"]), "extra", "list"),
    (lambda: aa.ClientCredentialsGrant(extra={"a": PLANTED}), "extra['a']", "bytes"),
    (lambda: aa.ClientCredentialsGrant(extra={"a": None}), "extra['a']", "None"),
    (lambda: aa.RefreshTokenGrant(None), "refresh_token", "None"),
    (lambda: aa.RefreshTokenGrant(42), "refresh_token", "int"),
    (lambda: aa.RefreshTokenGrant(PLANTED), "refresh_token", "bytes"),
    (lambda: aa.RefreshTokenGrant(aa.Token("t")), "refresh_token", "Token"),
    (lambda: aa.DeviceCodeGrant(None), "device_code", "None"),
    (lambda: aa.DelegationGrant(None), "token", "None"),
    (lambda: aa.DelegationGrant(aa.Token("t")), "token", "Token"),
    (lambda: aa.DelegationGrant("t", provider=5), "provider", "int"),
    (lambda: aa.TokenExchangeGrant(None), "subject_token", "None"),
    (lambda: aa.TokenExchangeGrant("t", None), "subject_token_type", "None"),
    (lambda: aa.TokenExchangeGrant("t", actor_token=5), "actor_token", "int"),
    (lambda: aa.TokenExchangeGrant("t", requested_token_type=5), "requested_token_type", "int"),
    (lambda: aa.TokenExchangeGrant("t", audience=5), "audience", "int"),
    (lambda: aa.CustomGrant(None), "name", "None"),
    (lambda: aa.CustomGrant(5), "name", "int"),
    (lambda: aa.CustomGrant("x", 5), "fields", "int"),
    (lambda: aa.CustomGrant("x", {"assertion": PLANTED}), "fields['assertion']", "bytes"),
    (lambda: aa.SignedInGrant(5), "end_user", "int"),
    (lambda: password_grant(None, "pw"), "username", "None"),
    (lambda: password_grant("alice", None), "password", "None"),
    (lambda: password_grant("alice", PLANTED), "password", "bytes"),
    (lambda: aa.AuthorizationCodeGrant("a-code"), "response", "str"),
    (lambda: aa.AuthorizationCodeGrant(None), "response", "None"),
    (lambda: aa.Token(None), "access_token", "None"),
    (lambda: aa.Token(PLANTED), "access_token", "bytes"),
    (lambda: aa.Token("t", refresh_token=PLANTED), "refresh_token", "bytes"),
    (lambda: aa.Token("t", id_token=5), "id_token", "int"),
    (lambda: aa.Token("t", expires_at="soon"), "expires_at", "str"),
    (lambda: aa.Token("t", expires_at=True), "expires_at", "bool"),
    (lambda: aa.Token("t", issued_at=None), "issued_at", "None"),
    (lambda: aa.parse_unverified_claims(None), "access_token", "None"),
    (lambda: aa.parse_unverified_claims(aa.Token("t")), "access_token", "Token"),
    (lambda: aa.validate_logout_callback({"state": "s"}, state=5), "state", "int"),
    (lambda: aa.validate_logout_callback(5, state="s"), "callback", "int"),
    (
        lambda: aa.validate_front_channel_logout("?sid=s", issuers=5, session_id="s"),
        "issuers",
        "int",
    ),
    (
        lambda: aa.validate_front_channel_logout("?sid=s", issuers="i", session_id=None),
        "session_id",
        "None",
    ),
    (lambda: aa.parse_login_initiation("?iss=i", issuers=5), "issuers", "int"),
    (
        lambda: aa.parse_login_initiation("?iss=i", issuers="i", target_origins=5),
        "target_origins",
        "int",
    ),
    (
        lambda: aa.build_session_page(5, client_id="c", session_state="s"),
        "check_session_iframe",
        "int",
    ),
    (
        lambda: aa.build_session_page(
            "https://id.example/f", client_id="c", session_state="s", interval="5"
        ),
        "interval",
        "str",
    ),
    (lambda: aa.ClientSecretPost(None), "secret", "None"),
    (lambda: aa.ClientSecretPost(42), "secret", "int"),
    (lambda: aa.ClientSecretPost(PLANTED), "secret", "bytes"),
    (lambda: aa.ClientSecretPost(aa.Secret), "secret", "type"),
    (lambda: aa.ClientSecretBasic(None), "secret", "None"),
    (lambda: aa.PrivateKeyJwt(None), "key", "None"),
    (lambda: aa.PrivateKeyJwt(PLANTED), "key", "bytes"),
    (lambda: aa.PrivateKeyJwt("k", algorithm=5), "algorithm", "int"),
    (lambda: aa.PrivateKeyJwt("k", key_id=5), "key_id", "int"),
    (lambda: aa.PrivateKeyJwt("k", audience=5), "audience", "int"),
    (lambda: aa.PrivateKeyJwt("k", lifetime="60"), "lifetime", "str"),
    (lambda: aa.PrivateKeyJwt("k", names_issuer=1), "names_issuer", "int"),
    (lambda: aa.ClientAssertion(None), "secret", "None"),
    (lambda: aa.ClientAssertion(PLANTED), "secret", "bytes"),
    (lambda: aa.ClientAssertion("a", type=5), "type", "int"),
    (lambda: aa.TlsClientAuth(None), "certificate", "None"),
    (lambda: aa.TlsClientAuth("client.pem"), "certificate", "str"),
    (lambda: aa.TlsClientAuth(ssl.SSLContext), "certificate", "type"),
    (lambda: aa.TlsClientAuth(CONTEXT, 5), "thumbprint", "int"),
    (lambda: make_request(redirect_uri=None), "redirect_uri", "None"),
    (lambda: make_request(authorization_endpoint=5), "authorization_endpoint", "int"),
    (lambda: make_request(login_hint=5), "login_hint", "int"),
    (lambda: make_request(max_age="60"), "max_age", "str"),
    (lambda: make_request(max_age=True), "max_age", "bool"),
    (lambda: make_request(prompt=5), "prompt", "int"),
    (lambda: make_request(acr_values=5), "acr_values", "int"),
    (lambda: make_request(ui_locales=5), "ui_locales", "int"),
    (lambda: make_request(resource=5), "resource", "int"),
    (lambda: make_request(extra=5), "extra", "int"),
    (lambda: make_request(5), "response_type", "int"),
    (lambda: make_request(lifetime="600"), "lifetime", "str"),
    (lambda: make_request(state=5), "state", "int"),
    (lambda: aa.validate_authorization_response(None, "code=a", now=NOW), "request", "None"),
    (lambda: aa.validate_authorization_response(make_request(), 5, now=NOW), "callback", "int"),
    (lambda: aa.validate_authorization_response(make_request(), None, now=NOW), "callback", "None"),
]


@pytest.mark.parametrize(("make", "name", "kind"), WRONG)
@pytest.mark.filterwarnings("ignore:the password grant")
def test_a_wrong_kind_is_refused_by_name_when_it_is_given(make, name, kind):
    """The error names the argument, what it must be and the given type, and never a value."""
    with pytest.raises(aa.ConfigurationError) as caught:
        make()

    message = str(caught.value)
    assert message.startswith(f"{name} must be ")
    assert re.search(rf"; it is (of type )?{kind}$", message)
    assert PLANTED.decode() not in message


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: aa.RefreshTokenGrant(""), "refresh_token"),
        (lambda: aa.DelegationGrant(""), "token"),
        (lambda: aa.DelegationGrant("t", provider=""), "provider"),
        (lambda: aa.CustomGrant(""), "name"),
        (lambda: password_grant("", "pw"), "username"),
        (lambda: password_grant("alice", ""), "password"),
        (lambda: aa.ClientSecretPost(""), "secret"),
        (lambda: aa.ClientSecretPost(SecretText("")), "secret"),
        (lambda: make_request(client_id=""), "client_id"),
        (lambda: make_request(state=""), "state"),
    ],
)
@pytest.mark.filterwarnings("ignore:the password grant")
def test_an_empty_text_is_refused_by_name(make, name):
    """An empty secret or name would only be told by the server."""
    with pytest.raises(aa.ConfigurationError, match=f"^{name} must not be empty"):
        make()


def test_one_text_stands_for_a_list_of_one():
    """A string where names, origins, fields or a scope are wanted is one of them, not its letters."""
    issuer = "https://id.example"

    assert aa.Token("t", scope="a b").scope == ("a", "b")
    assert aa.Token("t", scope=["a", "b"]).scope == ("a", "b")
    assert aa.parse_challenges("Bearer error=x")[0].parameters == {"error": "x"}
    aa.validate_front_channel_logout(f"?iss={issuer}&sid=s", issuers=issuer, session_id="s")
    initiation = aa.parse_login_initiation(
        f"?iss={issuer}&target_link_uri=https://me.example/x",
        issuers=issuer,
        target_origins="https://me.example",
    )
    assert initiation.target_link_uri == "https://me.example/x"


@pytest.mark.parametrize("names", [[""], ["a", 5], [None]])
def test_an_audience_is_a_name(names):
    """Each audience is a string that is not empty; one alone need not be in a list."""
    with pytest.raises(aa.ConfigurationError, match=r"^audience must be"):
        aa.TokenExchangeGrant("t", audience=names)

    assert aa.TokenExchangeGrant("t", audience="service").audience == ("service",)


def test_a_wrong_step_up_is_refused_by_name():
    """step_up must be the error that an API's challenge became."""
    from aritma_auth.protocol.authorization_parameters import generate_authorization_request

    with pytest.raises(aa.ConfigurationError, match=r"^step_up must be"):
        generate_authorization_request(
            authorization_endpoint="https://id.example/authorize",
            issuers=["https://id.example"],
            requires_iss=False,
            client_id="me",
            redirect_uri="https://me.example/cb",
            scope="openid",
            now=NOW,
            step_up={"acr_values": "mfa"},
        )


METHODS = [aa.ClientSecretPost, aa.ClientSecretBasic, aa.PrivateKeyJwt]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", [str, SecretText], ids=["text", "SecretText"])
def test_a_plain_text_becomes_a_secret(canary, method, make):
    """Text where a Secret is wanted is hidden at once, and loads like one."""
    auth = method(make(canary.text))

    canary.assert_hidden(auth, auth.secret)
    assert isinstance(auth.secret, PlainSecret)
    with pytest.raises(StopIteration) as loaded:
        next(auth.secret.load().__await__())
    assert loaded.value.value == SecretText(canary.text)
    assert method(make(canary.text)) == auth
    for dump in (lambda: pickle.dumps(auth), lambda: copy.copy(auth) and pickle.dumps(auth.secret)):
        with pytest.raises(TypeError):
            dump()


def test_a_secret_stays_what_it_is():
    """A Secret is kept, so that a rotated one is read anew for each request."""
    secret = aa.Secret("hunter2")

    assert aa.ClientSecretPost(secret).secret is secret


def test_the_plain_text_that_was_found_is_not_shown():
    """``repr(ClientSecretPost("hunter2"))`` no longer prints the secret."""
    assert "hunter2" not in repr(aa.ClientSecretPost("hunter2"))
    assert "hunter2" not in repr(aa.OAuthClient("id", aa.ClientSecretBasic("hunter2")))
    assert "hunter2" not in str(attrs.asdict(aa.ClientSecretPost("hunter2")))


SECRET_VALUES = {
    "a field of a custom grant": lambda text: aa.CustomGrant("urn:x", {"assertion": text}),
    "an extra parameter": lambda text: aa.ClientCredentialsGrant(extra={"voucher": text}),
    "an extra parameter of a sign-in": lambda text: make_request(extra={"ticket": text}),
    "a refresh token": lambda text: aa.RefreshTokenGrant(text),
    "a device code": lambda text: aa.DeviceCodeGrant(text),
    "a delegated token": lambda text: aa.DelegationGrant(text),
    "a subject token": lambda text: aa.TokenExchangeGrant(text),
    "an actor token": lambda text: aa.TokenExchangeGrant("t", actor_token=text),
    "an authorization code": lambda text: aa.AuthorizationCodeGrant(
        make_response(callback={"code": text})
    ),
    "a browser's ID token": lambda text: aa.SignIn(None, Members(), None, text),
    "a token": lambda text: aa.Token(
        text, refresh_token=text, id_token=text, extra=Members({"x": text})
    ),
}


@pytest.mark.parametrize("make", SECRET_VALUES.values(), ids=SECRET_VALUES)
def test_no_serialiser_opens_what_a_user_puts_into_a_grant(canary, make):
    """``attrs.asdict``, ``astuple``, cattrs, ``vars`` and pickle show no value, as ``repr`` does not."""
    value = make(canary.text)
    shown = [
        value,
        attrs.asdict(value),
        attrs.astuple(value),
        cattrs.Converter().unstructure(value),
    ]

    assert canary.text not in "".join(map(repr, shown))
    assert canary.text not in "".join(map(str, shown))
    with pytest.raises(TypeError):
        pickle.dump(value, io.BytesIO())


def test_secret_parameters_read_like_pairs():
    """They keep their order, compare and hash like the pairs, and show their names alone."""
    pairs = (("b", "1"), ("a", "2"))
    one = SecretParameters(pairs)

    assert tuple(one) == pairs
    assert one == pairs
    assert one == SecretParameters(pairs)
    assert one != SecretParameters(pairs[:1])
    assert len({one, SecretParameters(pairs)}) == 1
    assert len(one) == 2
    assert repr(one) == "SecretParameters(b, a)"
    assert copy.copy(one) is one
    assert copy.deepcopy(one) is one


def test_a_text_is_wrapped_once():
    """A SecretText stays as it is, and None stays None."""
    secret = SecretText("s")

    assert as_secret(secret) is secret
    assert as_secret("s") == secret
    assert as_optional_secret(None) is None


def frames_of(error):
    """Write the frames of the package with their local variables."""
    lines = "".join(
        traceback.TracebackException.from_exception(error, capture_locals=True).format()
    )
    return "\n".join(
        frame for frame in lines.split("\n  File ") if "/tests/" not in frame.split(",")[0]
    )


def test_a_refused_secret_stands_in_no_frame_of_the_validators():
    """An error reporter that captures local variables does not get a secret of the wrong type."""
    for make in (lambda: aa.RefreshTokenGrant(PLANTED), lambda: aa.ClientSecretPost(PLANTED)):
        with pytest.raises(aa.ConfigurationError) as caught:
            make()

        last = caught.value.__traceback__
        while last.tb_next is not None:
            last = last.tb_next
        assert PLANTED not in last.tb_frame.f_locals.values()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_key_that_cannot_sign_stands_in_no_frame(algorithm):
    """A private key that is refused shows in no local variable of ours."""
    key = '{"kty": "RSA", "d": "planted-private-exponent", "n": "AQAB", "e": "AQAB"}'
    auth = aa.PrivateKeyJwt(key, algorithm=algorithm)
    with pytest.raises(aa.ConfigurationError) as caught:
        auth.prove(
            ClientCredential("id", SecretText(key), token_endpoint="https://id.example/token")
        )

    assert "planted-private-exponent" not in frames_of(caught.value)


def test_a_callback_that_is_refused_stands_in_no_frame():
    """Codes and tokens of a refused callback show in no local variable of ours."""
    request = make_request("id_token code token")
    callback = good_callback(request, code="planted-code", access_token="planted-token", state="no")
    for form in (callback, list(callback.items()), "code=planted-code&access_token=planted-token"):
        with pytest.raises(aa.VerificationError) as caught:
            aa.validate_authorization_response(request, form, now=NOW)

        assert "planted" not in frames_of(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://u:planted@id.example/",
        "https://id.example/?k=planted#x",
        "http://id.example/?k=planted",
    ],
)
def test_a_refused_url_shows_no_password_and_no_query(url):
    """A user name, a password or a query of a URL may be a secret."""
    for require in (require_redirect_uri, require_secure_url):
        with pytest.raises(aa.ConfigurationError) as caught:
            require(url, "redirect_uri")

        assert "planted" not in str(caught.value)
        assert "planted" not in frames_of(caught.value)


def test_a_value_whose_construction_failed_can_be_shown():
    """An error reporter shows the frame of the constructor, where some fields are not yet set."""
    for make in (lambda: aa.Environment("no"), lambda: aa.RequestEncryption("no")):
        with pytest.raises(aa.ConfigurationError) as caught:
            make()

        assert "self = " in frames_of(caught.value)

"""The authorization request: its URL byte for byte, what it refuses, and how it travels as JSON."""

import copy
import json
import pickle
import subprocess
import sys
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aritma_auth.errors import ConfigurationError, StateMismatchError, StepUpRequiredError
from aritma_auth.protocol.authorization_parameters import generate_authorization_request
from aritma_auth.protocol.authorization_request import (
    RESPONSE_MODES,
    RESPONSE_TYPES,
    AuthorizationRequest,
)
from aritma_auth.protocol.authorization_response import validate_authorization_response
from aritma_auth.protocol.parameters import build_acr_values
from support.sign_ins import NOW, REDIRECT_URI, good_callback, make_request

BASE = "https://id.aritma.io/connect/authorize"
# SHA-256 of forty-three times "v", as openssl computes it.
CHALLENGE = "7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM"


def generate(**changes):
    fields = {
        "authorization_endpoint": BASE,
        "issuers": ["https://id.aritma.io"],
        "requires_iss": False,
        "client_id": "me",
        "redirect_uri": REDIRECT_URI,
        "scope": "openid",
        "now": NOW,
    }
    return generate_authorization_request(**(fields | changes))


def parameters(request):
    return dict(parse_qsl(urlsplit(request.url).query))


@pytest.mark.parametrize("unknown", ["scopes", "State", "nonce", "code_verifier", "created_at"])
def test_an_unknown_parameter_is_refused(unknown):
    """A mistyped key, or one that the request generates itself, is not silently ignored."""
    with pytest.raises(ConfigurationError, match=unknown):
        generate(**{unknown: "x"})


URLS = [
    pytest.param(
        make_request(),
        f"{BASE}?response_type=code&client_id=me&redirect_uri=https%3A%2F%2Fme.example%2Fcb"
        "&scope=openid+api&state=the-state&nonce=the-nonce"
        f"&code_challenge={CHALLENGE}&code_challenge_method=S256",
        id="code",
    ),
    pytest.param(
        make_request(scope=None, nonce=None, code_verifier=None),
        f"{BASE}?response_type=code&client_id=me&redirect_uri=https%3A%2F%2Fme.example%2Fcb&state=the-state",
        id="as little as possible",
    ),
    pytest.param(
        make_request("token", nonce=None, code_verifier=None),
        f"{BASE}?response_type=token&client_id=me&redirect_uri=https%3A%2F%2Fme.example%2Fcb"
        "&scope=api&state=the-state",
        id="implicit, in the fragment as usual",
    ),
    pytest.param(
        make_request("id_token code", code_verifier=None, response_mode="form_post"),
        f"{BASE}?response_type=code+id_token&client_id=me&redirect_uri=https%3A%2F%2Fme.example%2Fcb"
        "&scope=openid+api&state=the-state&response_mode=form_post&nonce=the-nonce",
        id="hybrid, posted",
    ),
    pytest.param(
        make_request(
            code_verifier=None,
            prompt="login consent",
            max_age=0,
            login_hint="ola@example.no",
            acr_values=build_acr_values("x", mfa=True, verify=True, idp="bankid", tenant="acme"),
            ui_locales=["nb", "en"],
            resource=["urn:a", "https://api.example/b c"],
            extra={"display": "page"},
        ),
        f"{BASE}?response_type=code&client_id=me&redirect_uri=https%3A%2F%2Fme.example%2Fcb"
        "&scope=openid+api&state=the-state&nonce=the-nonce&prompt=login+consent&max_age=0"
        "&login_hint=ola%40example.no&acr_values=mfa+verify+idp%3Abankid+tenant%3Aacme+x"
        "&ui_locales=nb+en&resource=urn%3Aa&resource=https%3A%2F%2Fapi.example%2Fb+c&display=page",
        id="all there is",
    ),
]


@pytest.mark.parametrize(("request_", "url"), URLS)
def test_the_browser_is_sent_to_this_url(request_, url):
    """The URL that the browser is redirected to is this one, byte for byte."""
    assert request_.url == url


@pytest.mark.parametrize(
    ("endpoint", "start"),
    [
        (BASE, f"{BASE}?response_type="),
        (f"{BASE}?", f"{BASE}?response_type="),
        (f"{BASE}?p=policy", f"{BASE}?p=policy&response_type="),
        (f"{BASE}?p=policy&", f"{BASE}?p=policy&response_type="),
    ],
)
def test_the_endpoints_own_query_is_kept(endpoint, start):
    """A query of the endpoint's own stays in front of the request (RFC 6749 §3.1)."""
    assert make_request(authorization_endpoint=endpoint).url.startswith(start)


@pytest.mark.parametrize("response_type", sorted(RESPONSE_TYPES))
@pytest.mark.parametrize("response_mode", ["", *sorted(RESPONSE_MODES)])
def test_every_response_type_has_its_response_modes(response_type, response_mode):
    """A code may travel in a query; a token may not."""
    if response_type != "code" and response_mode in {"query", "query.jwt"}:
        with pytest.raises(ConfigurationError, match="never travel in a query"):
            make_request(response_type, response_mode=response_mode)
        return
    request = make_request(response_type, response_mode=response_mode)
    usual = "query" if response_type == "code" else "fragment"

    assert request.response_mode == (response_mode or usual)
    assert parameters(request).get("response_mode", usual) == request.response_mode
    assert request.response_type == response_type


REFUSED = [
    ({"response_type": "code code"}, "response_type"),
    ({"response_type": ""}, "response_type"),
    ({"response_type": "none"}, "response_type"),
    ({"response_mode": "web_message"}, "response_mode"),
    ({"response_type": "id_token", "scope": "api"}, "scope must contain openid"),
    ({"response_type": "id_token", "nonce": None}, "nonce must not be None"),
    (
        {"response_type": "token", "scope": "openid api"},
        "response_type must ask for an ID token or a code",
    ),
    ({"scope": 'a"b'}, "scope"),
    ({"prompt": "none login"}, "prompt must be none alone"),
    ({"prompt": "signup"}, "prompt must be none alone"),
    ({"prompt": ["log in"]}, "single words"),
    ({"max_age": -1}, "max_age"),
    ({"max_age": True}, "max_age"),
    ({"max_age": "60"}, "max_age"),
    ({"acr_values": [""]}, "single words"),
    ({"acr_values": [5]}, "single words"),
    ({"acr_values": [None]}, "single words"),
    ({"resource": [None]}, "absolute URI without a fragment"),
    ({"acr_values": ["mfa\n"]}, "single words"),
    ({"requires_acr": True}, "acr_values must not be empty"),
    ({"requires_acr": True, "acr_values": "mfa", "scope": "api"}, "scope must contain openid"),
    ({"expected_claims": {"intent": "i"}, "scope": "api"}, "scope must contain openid"),
    ({"expected_claims": "intent"}, "expected_claims must be a mapping"),
    ({"expected_claims": {5: "i"}}, "expected_claims must be JSON"),
    ({"expected_claims": {"intent": {"i"}}}, "expected_claims must be JSON"),
    ({"expected_claims": {"intent": "\ud800"}}, "expected_claims must be JSON"),
    ({"ui_locales": ["n b"]}, "single words"),
    ({"resource": "/relative"}, "resource"),
    ({"login_hint": ""}, "login_hint"),
    ({"login_hint": 5}, "login_hint"),
    ({"client_id": ""}, "client_id"),
    ({"client_id": None}, "client_id"),
    ({"state": None}, "state"),
    ({"state": ""}, "state"),
    ({"created_at": "now"}, "created_at"),
    ({"created_at": float("nan")}, "created_at"),
    ({"lifetime": True}, "lifetime"),
    ({"lifetime": float("inf")}, "lifetime"),
    ({"extra": {"state": "mine"}}, "extra must not replace state"),
    ({"extra": {"request_uri": "x", "prompt": "none"}}, "replace prompt, request_uri"),
    ({"extra": {"display": 5}}, "must be a string"),
    ({"authorization_endpoint": "http://id.example/"}, "authorization_endpoint must use https"),
    ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint must be"),
    ({"authorization_endpoint": f"{BASE}#"}, "fragment"),
    ({"redirect_uri": "http://me.example/cb"}, "redirect_uri must use https"),
    ({"redirect_uri": "https://me.example/cb#"}, "fragment"),
    ({"redirect_uri": "https://me.example/cb#x"}, "fragment"),
    ({"redirect_uri": "https://user@me.example/cb"}, "user name"),
    ({"redirect_uri": "https://:pw@me.example/cb"}, "user name"),
    ({"redirect_uri": "/cb"}, "must be an absolute https URL"),
    ({"redirect_uri": "myapp:/cb"}, "must be an absolute https URL"),
    ({"redirect_uri": "urn:ietf:wg:oauth:2.0:oob"}, "must be an absolute https URL"),
    ({"redirect_uri": "https://me.example/c b"}, "must be an absolute https URL"),
    ({"redirect_uri": "https://me.example/\n"}, "must be an absolute https URL"),
    ({"redirect_uri": "https://me.example\\@evil.example/"}, "must be an absolute https URL"),
    ({"redirect_uri": "https://[broken/"}, "must be an absolute https URL"),
    ({"redirect_uri": "no.example.app:/cb#x"}, "absolute https URL"),
    ({"redirect_uri": "no.example.app://user@host/cb"}, "user name|absolute"),
    ({"redirect_uri": "no.example.app:/c b"}, "absolute https URL"),
    ({"code_verifier": "short"}, "43 to 128"),
]


@pytest.mark.parametrize(("changes", "reason"), REFUSED)
def test_an_unusable_argument_is_refused_by_name(changes, reason):
    """An argument that cannot be used is refused by its name, before the browser is redirected."""
    with pytest.raises(ConfigurationError, match=reason):
        _ = make_request(changes.pop("response_type", "code"), **changes).url


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://me.example",
        "https://me.example:8443/cb?tenant=acme",
        "http://127.0.0.1:5004/callback",
        "http://[::1]:5004/callback",
        "http://localhost/callback",
        "no.example.app:/callback",
        "no.example.app://callback/path",
    ],
)
def test_these_ways_back_are_taken_as_they_are(redirect_uri):
    """
    A redirect URI is sent as it was given, since the server compares it character by character.
    """
    assert parameters(make_request(redirect_uri=redirect_uri))["redirect_uri"] == redirect_uri


def test_one_issuer_or_several():
    """A string is one issuer; an iterable may hold its aliases too."""
    assert make_request(issuers="https://a.example").issuers == {"https://a.example"}


@pytest.mark.parametrize("changes", [{"idp": ""}, {"tenant": ""}, {"idp": "a b"}])
def test_acr_values_are_words(changes):
    """A value that is empty or holds a space is refused."""
    with pytest.raises(ConfigurationError):
        build_acr_values(**changes)


def test_acr_values_in_aritmas_words():
    """The values come in a fixed order, each of them once."""
    assert build_acr_values() == ()
    assert build_acr_values("mfa", mfa=True) == ("mfa",)
    assert build_acr_values(idp="softrig", verify=True) == ("verify", "idp:softrig")


def test_each_sign_in_has_secrets_of_its_own():
    """State, nonce and verifier have 256 bits each and never repeat."""
    one, other = generate(), generate()
    secrets_of = [
        text
        for request in (one, other)
        for text in (request.state.text, request.nonce.text, request.code_verifier.text)
    ]

    assert len(set(secrets_of)) == 6
    assert all(len(text) >= 43 for text in secrets_of)


def test_secrets_go_along_where_they_are_needed():
    """A request has a nonce if it expects an ID token, and a verifier if it expects a code."""
    assert generate(scope="api").nonce is None
    assert generate(response_type="id_token").code_verifier is None
    assert generate(response_type="id_token  code").code_verifier is not None


STRONGER = StepUpRequiredError(
    "x", acr_values=("mfa", "verify"), max_age=300, scope=("payments", "openid")
)


@pytest.mark.parametrize(
    ("wanted", "step_up", "scope", "acr_values", "max_age"),
    [
        ({}, None, ("openid",), (), None),
        ({}, STRONGER, ("openid", "payments"), ("mfa", "verify"), 300),
        (
            {"scope": ["openid", "api"], "acr_values": "idp:bankid verify", "max_age": 60},
            STRONGER,
            ("openid", "api", "payments"),
            ("mfa", "verify", "idp:bankid"),
            60,
        ),
        ({"max_age": 900}, STRONGER, ("openid", "payments"), ("mfa", "verify"), 300),
        ({"max_age": 9}, StepUpRequiredError("x"), ("openid",), (), 9),
        ({"scope": None}, StepUpRequiredError("x"), None, (), None),
        ({"scope": ()}, StepUpRequiredError("x"), (), (), None),
        ({"scope": None}, StepUpRequiredError("x", scope=("a",)), ("a",), (), None),
    ],
)
def test_what_an_api_asks_for_is_added(wanted, step_up, scope, acr_values, max_age):
    """
    A step-up joins both scopes, puts the API's classes first and takes the smaller age (RFC 9470
    §4).
    """
    request = generate(**wanted, step_up=step_up)

    assert (request.scope, request.acr_values, request.max_age) == (scope, acr_values, max_age)


FULL = {
    "requires_iss": True,
    "prompt": "login",
    "max_age": 60,
    "login_hint": "ola",
    "acr_values": "mfa verify",
    "requires_acr": True,
    "expected_claims": {"intent": "i", "deep": {"a": [1]}},
    "ui_locales": "nb",
    "resource": ["urn:a", "urn:b"],
    "extra": {"display": "page", "x": "é"},
    "lifetime": 300.5,
}


def test_a_request_survives_another_process():
    """
    The JSON keeps everything that the callback needs, and another process can validate the
    response.
    """
    request = make_request("code id_token token", response_mode="form_post", **FULL)
    code = (
        "import sys; from aritma_auth.protocol.authorization_request import AuthorizationRequest;"
        "r = AuthorizationRequest.from_json(sys.stdin.read()); print(r.to_json()); print(r.url)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        input=request.to_json(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout.splitlines() == [request.to_json(), request.url]


def test_a_request_is_written_down_like_this():
    """The format is a contract with the version that reads it."""
    request = make_request("code", **FULL)

    assert json.loads(request.to_json()) == {
        "format": 1,
        "authorization_endpoint": BASE,
        "issuers": ["https://id.aritma.io"],
        "client_id": "me",
        "redirect_uri": REDIRECT_URI,
        "response_type": "code",
        "response_mode": "query",
        "scope": ["openid", "api"],
        "state": "the-state",
        "nonce": "the-nonce",
        "code_verifier": "v" * 43,
        "created_at": NOW,
        **FULL,
        "prompt": ["login"],
        "acr_values": ["mfa", "verify"],
        "ui_locales": ["nb"],
        "extra": [["display", "page"], ["x", "é"]],
        "authorization_details": [],
        "request_object": None,
        "request_uri": None,
        "request_uri_expires_at": None,
    }


@given(
    response_type=st.sampled_from(sorted(RESPONSE_TYPES - {"token"})),
    scope=st.lists(st.sampled_from("abcdef"), max_size=3),
    state=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    login_hint=st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    max_age=st.none() | st.integers(0, 10**9),
    extra=st.dictionaries(st.sampled_from(["x", "y"]), st.text("ab &=+é")),
    created_at=st.floats(0, 4e9),
)
def test_any_request_survives_its_text(scope, **changes):
    """A request has the same URL and fields after the way through JSON."""
    request = make_request(changes.pop("response_type"), scope=("openid", *scope), **changes)
    twin = AuthorizationRequest.from_json(request.to_json())

    assert twin.to_json() == request.to_json()
    assert twin.url == request.url
    assert twin.state == request.state


def edited(**changes):
    fields = json.loads(make_request(acr_values="mfa").to_json()) | changes
    return json.dumps({name: value for name, value in fields.items() if value is not ...})


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("null", id="null"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="an empty object"),
        pytest.param(edited(format=2), id="a later format"),
        pytest.param(edited(format=0), id="an earlier format"),
        pytest.param(edited(format=...), id="no format"),
        pytest.param(edited(format=[1]), id="an odd format"),
        pytest.param(edited(unknown=1), id="what this version does not know"),
        pytest.param(edited(once=True), id="another mark"),
        pytest.param(edited(state=...), id="no state"),
        pytest.param(edited(state=None), id="a state of null"),
        pytest.param(edited(state=""), id="an empty state"),
        pytest.param(edited(client_id=5), id="a number as client"),
        pytest.param(edited(created_at="1"), id="a text as time"),
        pytest.param(edited(created_at=None), id="no time"),
        pytest.param(edited(lifetime=[]), id="an odd lifetime"),
        pytest.param(edited(authorization_endpoint="http://evil.example/"), id="no https"),
        pytest.param(edited(redirect_uri="javascript:x"), id="an odd way back"),
        pytest.param(edited(issuers=5), id="an odd issuer"),
        pytest.param(edited(scope=[5]), id="an odd scope"),
        pytest.param(edited(extra=[["state", "x"]]), id="a replaced state"),
        pytest.param(edited(response_mode="x"), id="an odd mode"),
        pytest.param(edited()[:-1], id="half of it"),
        pytest.param(edited()[:-1] + ', "state": "x"}', id="a second state"),
    ],
)
def test_any_other_text_is_no_pending_sign_in(text):
    """A text that is no pending sign-in is refused, and nothing of it is guessed."""
    with pytest.raises(StateMismatchError, match="no pending sign-in"):
        AuthorizationRequest.from_json(text)


@given(st.text() | st.binary().map(repr))
def test_any_text_is_refused_with_a_typed_error(text):
    """Whatever a cookie or a database returns, only our error is raised."""
    with pytest.raises(StateMismatchError):
        AuthorizationRequest.from_json(text)


def test_an_older_version_that_knows_less_reads_what_it_knows():
    """A field that is missing from the JSON has its default."""
    request = AuthorizationRequest.from_json(edited(requires_acr=..., lifetime=..., extra=...))

    assert (request.requires_acr, request.lifetime, request.extra) == (False, 600.0, ())


def test_a_request_with_a_response_is_not_serialised():
    """
    A request with an accepted response is not serialised, since it could be used again
    elsewhere.
    """
    request = make_request()
    validate_authorization_response(request, good_callback(request), now=NOW)

    with pytest.raises(StateMismatchError, match="accepted already"):
        request.to_json()


def test_no_copy_is_good_for_a_second_response():
    """A copy is the same sign-in, and pickling is refused."""
    request = make_request()
    twins = [copy.copy(request), copy.deepcopy(request)]
    validate_authorization_response(request, good_callback(request), now=NOW)

    for twin in twins:
        with pytest.raises(StateMismatchError, match="accepted already"):
            validate_authorization_response(twin, good_callback(twin), now=NOW)
    with pytest.raises(TypeError):
        pickle.dumps(make_request())


def test_a_request_shows_none_of_its_secrets(canary):
    """Neither the request nor its JSON shows a secret in a log or a traceback."""
    secret = {"state": canary.text, "nonce": canary.text, "code_verifier": canary.text + "v" * 9}
    request = make_request(**secret, login_hint=canary.text, extra={"id_token_hint": canary.text})
    canary.assert_hidden(request)
    assert canary.text not in repr(request.to_json())
    for text in (request.to_json()[:-1], request.to_json().replace('"format": 1', '"format": 2')):
        with pytest.raises(StateMismatchError) as caught:
            AuthorizationRequest.from_json(text)

        canary.assert_hidden(caught.value)

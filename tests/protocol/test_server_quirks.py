"""What real servers do: the parsers accept the harmless and name the harmful."""

import json
import traceback
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aritma_auth as aa
from aritma_auth.protocol.authorization_response import validate_authorization_response
from aritma_auth.protocol.endpoints import FIXED_PATHS
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.json_response import parse_json_response
from aritma_auth.protocol.jwt import names_unknown_key, parse_key_set, verify_signature
from aritma_auth.protocol.metadata import parse_metadata_response
from aritma_auth.protocol.redaction import HiddenStr, Members
from aritma_auth.protocol.token_endpoint import parse_token_response
from aritma_auth.protocol.token_management import (
    parse_introspection_response,
    parse_revocation_response,
)
from aritma_auth.protocol.userinfo import parse_userinfo_response
from support.sign_ins import ISSUER, NOW, make_request

GOOD = {"access_token": "abc", "token_type": "Bearer", "expires_in": 3600}
HTML = b"<!DOCTYPE html><html><head><title>503 Service Unavailable</title></head>"


def parse(body, status=200, sent=(), **headers):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = HttpResponse(status, headers, body, tuple(map(HiddenStr, sent)))
    return parse_token_response(response, sent_at=NOW)


ACCEPTED = {
    "a token type in lower case": (GOOD | {"token_type": "bearer"}, {}, "token_type", "Bearer"),
    "no scope": (GOOD, {}, "scope", None),
    "an empty scope": (GOOD | {"scope": ""}, {}, "scope", ()),
    "a wider scope": (GOOD | {"scope": "api more"}, {}, "scope", ("api", "more")),
    "a scope as a list": (GOOD | {"scope": ["api"]}, {}, "scope", ("api",)),
    "no lifetime": (GOOD | {"expires_in": None}, {}, "expires_at", None),
    "a lifetime as text": (GOOD | {"expires_in": "3600"}, {}, "expires_at", NOW + 3600),
    "a lifetime as a float": (GOOD | {"expires_in": 3600.5}, {}, "expires_at", NOW + 3600.5),
    "a lifetime of ten days": (GOOD | {"expires_in": 864_000}, {}, "expires_at", NOW + 864_000),
    "a lifetime that counts down to 0": (GOOD | {"expires_in": 0}, {}, "expires_at", NOW),
    "a refresh token of 1,004 characters": (
        GOOD | {"refresh_token": "r" * 1004}, {}, "refresh_token", "r" * 1004,
    ),
    "a refresh token of 32 characters": (
        GOOD | {"refresh_token": "r" * 32}, {}, "refresh_token", "r" * 32,
    ),
    "an empty refresh token": (GOOD | {"refresh_token": ""}, {}, "refresh_token", None),
    "an access token of 16 kB": (GOOD | {"access_token": "t" * 16_384}, {}, "access_token", "t" * 16_384),
    "further members": (GOOD | {"created_at": 1, "iat": 2, "session_state": "x"}, {}, "token_type", "Bearer"),
    "an error beside a token": (GOOD | {"error": ""}, {}, "access_token", "abc"),
    "no media type": (GOOD, {}, "access_token", "abc"),
    "a media type with charset": (
        GOOD, {"Content-Type": "application/json;charset=UTF-8"}, "access_token", "abc",
    ),
    "text as media type": (GOOD, {"Content-Type": "text/html"}, "access_token", "abc"),
    "a byte order mark": (b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), {}, "access_token", "abc"),
    "spaces around the JSON": (b"\n  " + json.dumps(GOOD).encode() + b"\r\n", {}, "access_token", "abc"),
}  # fmt: skip


@pytest.mark.parametrize("status", [200, 201, 203])
def test_a_success_has_one_of_three_statuses(status):
    """Frameworks respond to a POST with 201; a proxy that changes a response makes it 203."""
    assert parse(GOOD, status).access_token == "abc"


@pytest.mark.parametrize(("body", "headers", "name", "value"), ACCEPTED.values(), ids=ACCEPTED)
def test_the_harmless_is_accepted(body, headers, name, value):
    """Each was seen on a running server and breaks nothing that a client needs."""
    token = parse(body, **headers)

    assert getattr(token, name) == value
    assert "abc" in token.authorization or name == "access_token"


NAMED = {
    "a dead refresh token in an empty 400": (400, {}, b"", "responded 400 with no media type: the body is empty"),
    "404 default backend": (
        404, {"Content-Type": "text/plain; charset=utf-8"}, b"default backend - 404",
        "responded 404 with text/plain: the body is not JSON; it begins 'default backend - 404'",
    ),
    "a firewall's page": (
        403, {"Content-Type": "text/html"}, b"<html>\n<body>Access\tdenied by policy 7</body>",
        "responded 403 with text/html: the body is not JSON; it begins '<html> <body>Access denied by policy 7</body>'",
    ),
    "a proxy's page": (
        502, {"Content-Type": "text/html"}, HTML,
        "responded 502 with text/html: the body is not JSON; it begins '<!DOCTYPE html><html><head><title>503 Service Unavailable</t…'",
    ),
    "a wrong secret in a bare 403": (403, {}, b"", "responded 403 with no media type: the body is empty"),
    "a page with status 200": (200, {"Content-Type": "text/html"}, HTML, "responded 200 with text/html: the body is not JSON"),
    "a redirect to a login page": (
        302, {"Content-Type": "text/html"}, HTML,
        "responded 302 with text/html: a redirect is never followed with a credential: configure the final URL",
    ),
    "a redirect to a known place": (
        307, {"Location": "https://id.example/oauth2/token?code=planted#planted"}, b"",
        "responded 307 with no media type: a redirect to 'https://id.example/oauth2/token' is never followed with a credential: configure the final URL",
    ),
    "a redirect with a long segment": (
        302, {"Location": "/login/planted0123456789"}, b"",
        "responded 302 with no media type: a redirect to '/login/***' is never followed with a credential: configure the final URL",
    ),
    "another JSON document": (
        500, {"Content-Type": "application/json"}, b'{"message": "oops"}',
        "responded 500 with application/json: the body is not an OAuth error; message is 'oops'",
    ),
    "an object as the error": (
        403, {}, b'{"error": {"code": 7, "message": "API not enabled"}}',
        "responded 403 with no media type: the body is not an OAuth error; error is 'API not enabled'",
    ),
    "problem details": (
        400, {"Content-Type": "application/problem+json"}, b'{"title": "Bad", "status": 400, "detail": "The client is off"}',
        "responded 400 with application/problem+json: the body is not an OAuth error; detail is 'The client is off'; title is 'Bad'",
    ),
    "a challenge": (
        403, {"WWW-Authenticate": 'Negotiate, Bearer error="x", error_description="log in first"'}, b"",
        "responded 403 with no media type: the body is empty; its challenge is Negotiate; its challenge is Bearer, 'x', 'log in first'",
    ),
    "a success that is none": (206, {}, b'{"message": "x"}', "responded 206 with no media type: the status must be 200"),
    "a cut response": (
        200, {"Content-Type": "application/json"}, b'{"access_token": "abc',
        "responded 200 with application/json: the body is not JSON",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("status", "headers", "body", "said"), NAMED.values(), ids=NAMED)
def test_the_harmful_is_named(status, headers, body, said):
    """The error says the status, the media type, and how the page of a proxy begins."""
    with pytest.raises(aa.InvalidResponseError) as caught:
        parse(body, status, **headers)

    assert str(caught.value) == f"the token endpoint {said}"
    assert caught.value.status == status


@pytest.mark.parametrize(
    "body", [b"", b"Unauthorized", HTML, b'{"message": "Unauthorized"}', b"[]"]
)
@pytest.mark.parametrize(
    "parse_response",
    [
        lambda response: parse_token_response(response, sent_at=NOW),
        lambda response: parse_introspection_response(response, now=NOW),
        lambda response: parse_revocation_response(response, now=NOW),
    ],
    ids=["token", "introspection", "revocation"],
)
def test_a_401_refuses_the_client_with_or_without_words(parse_response, body):
    """Some servers say by the status alone that the client's credential is wrong."""
    response = HttpResponse(401, {"WWW-Authenticate": "Basic", "Retry-After": "7"}, body)
    with pytest.raises(aa.InvalidClientError, match="status 401") as caught:
        parse_response(response)

    assert caught.value.status == 401
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "its challenge is Basic"),
        (b"Client is locked", "it begins 'Client is locked'; its challenge is Basic"),
        (b'{"message": "No consumer"}', "message is 'No consumer'; its challenge is Basic"),
    ],
)
def test_a_401_without_an_oauth_error_says_what_it_brought(body, said):
    """The scheme tells which method the server wants, and its words why it refuses."""
    with pytest.raises(aa.InvalidClientError) as caught:
        parse(body, 401, **{"WWW-Authenticate": 'Basic realm="id"'})

    assert caught.value.description == f"status 401 with no media type and no OAuth error; {said}"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"error": "unauthorized_client"}, "unauthorized_client"),
        (
            {"error": "unauthorized_client", "error_description": "Invalid client credentials"},
            "unauthorized_client: Invalid client credentials",
        ),
        (
            {"error": "access_denied", "error_description": "Unauthorized"},
            "access_denied: Unauthorized",
        ),
    ],
)
def test_a_401_is_about_the_client_by_whatever_code(members, said):
    """Keycloak and Auth0 refuse a wrong secret so; with another status the code is what it says."""
    with pytest.raises(aa.InvalidClientError) as caught:
        parse(members, 401)
    with pytest.raises(aa.OAuthError) as usual:
        parse(members, 403)

    assert (caught.value.error, caught.value.description) == ("invalid_client", said)
    assert usual.value.error == members["error"]


def test_a_401_of_a_published_document_refuses_no_client():
    """A request without client authentication says nothing of the client."""
    with pytest.raises(aa.InvalidResponseError):
        parse_json_response(HttpResponse(401), now=NOW, what="the metadata's address")


SECRETS = [
    (b"access_token=planted-token&token_type=bearer", "a form"),
    (b"<xml><access_token>planted-token</access_token></xml>", "XML"),
    (b'callback({"access_token": "planted-token"})', "a script"),
    (b"Bearer planted-token", "a header"),
    (b"error near eyJhbGciOiJSUzI1NiJ9.planted", "a JWT"),
    (b"<p>client_secret=planted-token</p>", "an echo"),
    (b"the password planted-token is wrong", "a password"),
    (b"{'refresh': 'planted-token'", "a cut object"),
    (b'["planted-token"', "a cut list"),
    (b'"planted-token', "a cut string"),
    (b"<p>planted-token-that-is-long</p>", "a token by its name"),
    (b"<p>planted0123456789abcdef</p>", "a long word"),
    (b"no planted%2B012345+6789/abc=", "a long word with signs"),
]


@pytest.mark.parametrize("body", [body for body, _ in SECRETS], ids=[name for _, name in SECRETS])
@pytest.mark.parametrize("status", [200, 201, 400, 403, 404, 500, 502])
def test_a_body_that_may_hold_a_token_is_never_quoted(body, status):
    """No part of such a body is in the message or in a frame of ours."""
    with pytest.raises(aa.InvalidResponseError) as caught:
        parse(body, status)

    assert "planted" not in str(caught.value)
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    ours = [
        frame
        for frame in "".join(frames).split("\n  File ")
        if "/tests/" not in frame.split(",")[0]
    ]
    assert "planted" not in "".join(ours)


def test_a_redirects_target_hides_what_was_sent():
    """A login page's address may repeat the form in its path."""
    with pytest.raises(aa.InvalidResponseError, match=r"'https://id.example/\*\*\*/x'"):
        parse(b"", 302, sent=["s3cr3t/1"], Location="https://id.example/s3cr3t%2F1/x")


def test_an_excerpt_hides_what_was_sent():
    """The page of a proxy may repeat the request; the excerpt does not."""
    with pytest.raises(
        aa.InvalidResponseError, match=r"it begins '<p>no \*\*\* and \*\*\* here</p>'"
    ):
        parse(b"<p>no s3cr3t%2F1 and s3cr3t/1 here</p>", 403, sent=["s3cr3t/1"])


@pytest.mark.parametrize(
    "body", [b"\x1b[31mred\x07", "\u202eright to left".encode(), b"\xff\xfe\x00"]
)
def test_an_excerpt_can_be_printed(body):
    """A log is a terminal: control and direction characters are replaced."""
    with pytest.raises(aa.InvalidResponseError) as caught:
        parse(body, 500)

    assert str(caught.value).isprintable()


def is_harmless(text):
    """Tell whether a text can be shown in a terminal, on one line."""
    return not {"Cc", "Cf", "Cs", "Zl", "Zp"} & set(map(unicodedata.category, text))


@given(st.binary(max_size=400), st.sampled_from([200, 204, 301, 400, 401, 403, 404, 500, 503]))
def test_any_response_is_a_token_or_an_error_of_ours(body, status):
    """Whatever bytes a server sends, no other exception leaves a parser."""
    response = HttpResponse(status, {}, body)
    for parse_response in (
        lambda: parse_token_response(response, sent_at=NOW),
        lambda: parse_introspection_response(response, now=NOW),
        lambda: parse_userinfo_response(response, subject="alice", now=NOW),
    ):
        with pytest.raises(aa.AritmaAuthError) as caught:
            parse_response()

        assert is_harmless(str(caught.value))


members = st.dictionaries(
    st.sampled_from([*GOOD, "scope", "refresh_token", "id_token", "error", "error_description", "error_uri"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.text(max_size=3), max_size=2)
    | st.sampled_from(["Bearer", "abc", "3600", 10**40]),
)  # fmt: skip


@given(members, st.sampled_from([200, 400, 401, 500]))
def test_any_members_make_a_usable_token_or_an_error(changes, status):
    """A token that is returned can be sent; its times are numbers."""
    try:
        token = parse(GOOD | changes, status)
    except aa.AritmaAuthError as error:
        assert is_harmless(str(error))
        return

    assert token.authorization.isascii()
    assert token.authorization.isprintable()
    assert token.expires_at is None or NOW <= token.expires_at <= NOW + 10 * 365 * 86_400


@pytest.mark.parametrize(
    ("iss", "shown"),
    [
        ("https://evil.example", "'https://evil.example'"),
        (f"{ISSUER}/", f"'{ISSUER}/'"),
        ("https://evil.example/\x1b[31m", "'https://evil.example/\ufffd[31m'"),
        ("x" * 5000, "…"),
    ],
)
def test_the_issuer_received_is_named(iss, shown):
    """The message names the issuer received beside the expected one."""
    callback = {"state": "the-state", "code": "the-code", "iss": iss}
    with pytest.raises(aa.IssuerMismatchError) as caught:
        validate_authorization_response(make_request(), callback, now=NOW)

    assert f"must come from {ISSUER}" in str(caught.value) or ISSUER in str(caught.value)
    assert shown in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("mode", ["fragment", "form_post", "query"])
def test_a_callback_without_a_state_is_told_as_such(mode):
    """The message says that a fragment never reaches a server, where a fragment was asked for."""
    request = make_request(response_mode=mode)
    with pytest.raises(aa.StateMismatchError, match="no state") as caught:
        validate_authorization_response(request, {}, now=NOW)

    assert ("never reaches a server" in str(caught.value)) == (mode == "fragment")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
    | st.sampled_from([ISSUER, f"{ISSUER}/x", "https://evil.example/x", "http://id.aritma.io/x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from([*FIXED_PATHS, "issuer", "mtls_endpoint_aliases"]), values))
def test_any_metadata_is_believed_about_its_own_host_alone(document):
    """Whatever a document says, an endpoint on another origin is never used."""
    members = {"issuer": ISSUER} | document
    try:
        metadata = parse_metadata_response(
            HttpResponse(200, {}, json.dumps(members).encode()), issuers=[ISSUER], now=NOW
        )
    except aa.AritmaAuthError:
        return

    urls = [*metadata.endpoints.values(), *metadata.mtls_endpoints.values()]
    assert all(url.startswith(ISSUER) for url in urls)


@given(
    st.dictionaries(st.sampled_from(["active", "scope", "sub", "exp", "client_id", "aud"]), values)
)
def test_any_introspection_is_usable_or_an_error(members):
    """Only an exact true makes a token active; its members have their types."""
    try:
        said = parse_introspection_response(
            HttpResponse(200, {}, json.dumps(members).encode()), now=NOW
        )
    except aa.AritmaAuthError:
        return

    assert said.active is members["active"]
    assert said.subject is None or isinstance(said.subject, str)
    assert said.expires_at is None or isinstance(said.expires_at, float)


@given(values)
def test_any_key_set_verifies_no_unsigned_token(keys):
    """Whatever stands in a key set, it raises our error or gives keys that verify nothing here."""
    try:
        known = parse_key_set(Members({"keys": keys}))
    except aa.InvalidResponseError:
        return

    assert not names_unknown_key("no token", known)
    with pytest.raises(aa.VerificationError):
        verify_signature("eyJhbGciOiJSUzI1NiJ9.e30.e30", known, algorithms=frozenset({"RS256"}))

"""The token endpoint's responses, usable and not."""

import copy
import json
import pickle
from pathlib import Path

import attrs
import cattrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aritma_auth.errors import (
    AritmaAuthError,
    InvalidClientError,
    InvalidGrantError,
    InvalidResponseError,
    OAuthError,
)
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.jwt import parse_unverified_claims
from aritma_auth.protocol.redaction import SecretText
from aritma_auth.protocol.token_endpoint import parse_token_response
from aritma_auth.protocol.tokens import Token

ARITMA_RESPONSE = (Path(__file__).parent / "vectors" / "aritma-token-response.json").read_bytes()
NOW = 1_700_000_000.0

TEN_YEARS = 10 * 365 * 86_400


def respond(members, status=200, **headers):
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    return HttpResponse(status, {"Content-Type": "application/json", **headers}, body)


def good(**members):
    return {"access_token": "abc", "token_type": "Bearer", "expires_in": 3600} | members


def parse(members, status=200, **headers):
    return parse_token_response(respond(members, status, **headers), sent_at=NOW)


def test_aritmas_sample_response_is_read():
    """The example response of Aritma's page is parsed."""
    token = parse(ARITMA_RESPONSE)

    assert token.access_token == json.loads(ARITMA_RESPONSE)["access_token"]
    assert token.token_type == "Bearer"
    assert token.expires_at == NOW + 3600
    assert token.scope == ("bankservice",)
    assert token.refresh_token is None
    assert token.id_token is None
    assert token.authorization == f"Bearer {token.access_token}"


def test_aritmas_sample_jwt_says_other_scopes_than_its_response():
    """The page's JWT is of another API than its response: a client must not compare them."""
    claims = parse_unverified_claims(parse(ARITMA_RESPONSE).access_token)

    assert claims["iss"] == "https://id-dev.zdata.no"
    assert claims["scope"] == ["services.settlement", "zam"]
    assert "jti" not in claims
    assert "sub" not in claims


@pytest.mark.parametrize("text", ["opaque", "a.b", "a.!.c", "a.bm90IGpzb24.c", "a.WzFd.c", "a.é.c"])
def test_an_opaque_token_has_no_claims(text):
    """A token that is no JWT is opaque, and never an error."""
    assert parse_unverified_claims(text) is None


@pytest.mark.parametrize(
    ("members", "expires_at"),
    [
        pytest.param(good(expires_in=60), NOW + 60, id="integer"),
        pytest.param(good(expires_in="60"), NOW + 60, id="numeric string"),
        pytest.param(good(expires_in=60.5), NOW + 60.5, id="fraction"),
        pytest.param(good(expires_in=None), None, id="null"),
        pytest.param(good(expires_in=0), NOW, id="zero"),
        pytest.param(good(expires_in=-5), NOW, id="negative"),
        pytest.param(good(expires_in="0"), NOW, id="zero as text"),
        pytest.param(good(expires_in=10**18), NOW + TEN_YEARS, id="a billion billion"),
        pytest.param(good(expires_in=2**63 - 1), NOW + TEN_YEARS, id="INT64_MAX, for never"),
        pytest.param(good(expires_in=10**30), NOW + TEN_YEARS, id="beyond any integer type"),
        pytest.param(good(expires_in="9" * 40), NOW + TEN_YEARS, id="the same as text"),
        pytest.param(good(expires_in=1e300), NOW + TEN_YEARS, id="the same as a float"),
        pytest.param({"access_token": "a", "token_type": "bearer"}, None, id="absent"),
    ],
)
def test_expires_in_comes_in_many_shapes(members, expires_at):
    """The lifetime counts from when the request left, 0 says ended, and "never" is ten years."""
    assert parse(members).expires_at == expires_at


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("bankservice api", ("bankservice", "api")),
        ("", ()),
        (["a", "b"], ("a", "b")),
        (None, None),
    ],
)
def test_scope_is_split(scope, expected):
    """Scope is a space-delimited string; absent or null means as requested."""
    assert parse(good(scope=scope)).scope == expected


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER"])
def test_token_type_is_read_in_any_case(token_type):
    """The token type is case-insensitive (RFC 6749 §5.1)."""
    assert parse(good(token_type=token_type)).token_type == "Bearer"


def test_a_known_other_token_type_can_be_allowed():
    """A caller that sent a proof may use DPoP tokens."""
    token = parse_token_response(
        respond(good(token_type="dPOp")), sent_at=NOW, token_types=frozenset({"dpop"})
    )

    assert token.authorization == "DPoP abc"


def test_further_members_are_kept_and_not_shown(canary):
    """Members that no specification defines are in ``extra``, and their values are hidden."""
    token = parse(good(created_at=5, custom={"k": canary.text}))

    assert token.extra["custom"] == {"k": canary.text}
    assert dict(token.extra).keys() == {"created_at", "custom"}
    assert len(token.extra) == 2
    canary.assert_hidden(token, token.extra)


def test_empty_refresh_and_id_tokens_count_as_absent():
    """An empty string counts as absent, since some servers send it for none."""
    token = parse(good(refresh_token="", id_token=""))

    assert token.refresh_token is None
    assert token.id_token is None


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"token_type": "Bearer"}, "access_token is missing"),
        ({"access_token": "a"}, "token_type is missing"),
        (good(access_token=None), "access_token is missing"),
        (good(access_token=""), "access_token is empty"),
        (good(access_token=5), "access_token must be a string"),
        (good(access_token=["a"]), "access_token must be a string"),
        (
            good(token_type="mac"),
            "token_type is of a kind that must not be used: it must be bearer, not 'mac'",
        ),
        (
            good(token_type="Bearer 7"),
            "token_type is of a kind that must not be used: it must be bearer, not a string of length 8",
        ),
        (
            good(token_type="a-token", refresh_token="a-token"),
            "token_type is of a kind that must not be used: it must be bearer, not a string of length 7",
        ),
        (
            good(token_type="n", access_token="n"),
            "token_type is of a kind that must not be used: it must be bearer, not a string of length 1",
        ),
        (good(token_type=True), "token_type must be a string"),
        (
            good(expires_in="soon"),
            "expires_in must be a number of seconds, not a string of length 4",
        ),
        (good(expires_in="1_0"), "expires_in must be a number of seconds"),
        (good(expires_in=" 10"), "expires_in must be a number of seconds"),
        (good(expires_in="٣"), "expires_in must be a number of seconds"),
        (good(expires_in=True), "expires_in must be a number of seconds"),
        (good(expires_in=[1]), "expires_in must be a number of seconds"),
        (good(scope=5), "scope must be a string"),
        (good(scope=["a", 5]), "scope must be a string or a list of strings, not a list"),
        (good(refresh_token=5), "refresh_token must be a string"),
        (good(access_token="a\r\nX: y"), "access_token holds characters"),
        (good(access_token="a b"), "access_token holds characters"),
        (good(access_token="tøken"), "access_token holds characters"),
        (good(access_token="a\x7f"), "access_token holds characters"),
        (good(refresh_token="a\nb"), "refresh_token holds characters"),
        (good(id_token="a\x00b"), "id_token holds characters"),
    ],
)
def test_unusable_responses_name_the_member(members, problem):
    """A response that breaks the specification is refused by the member's name."""
    with pytest.raises(InvalidResponseError, match="the token response is unusable") as caught:
        parse(members)

    assert any(found.startswith(problem) for found in caught.value.problems)
    assert caught.value.status == 200


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "the body is empty"),
        (b"  ", "the body is empty"),
        (b"<html>", "the body is not JSON"),
        (b"[]", "the JSON is not an object"),
        (b"null", "the JSON is not an object"),
        (b'"text"', "the JSON is not an object"),
        (b'{"expires_in": NaN}', "a JSON number is not finite"),
        (b'{"expires_in": -Infinity}', "a JSON number is not finite"),
        (b'{"expires_in": 1e999}', "a JSON number is not finite"),
        (b'{"a": 1, "a": 2}', "a JSON member appears twice"),
        (b'{"x": {"a": 1, "a": 2}}', "a JSON member appears twice"),
        (b'{"a": "\xe5"}', "the body is not UTF-8"),
        (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "the JSON is nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the body is not JSON"),
        (b"{}", "access_token is missing"),
    ],
)
def test_bodies_that_are_no_token_response(body, problem):
    """Whatever a gateway or a broken server sends, the error is typed and says what was wrong."""
    with pytest.raises(InvalidResponseError) as caught:
        parse(body)

    assert problem in caught.value.problems
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("status", "is_permanent"),
    [
        (200, False),
        (302, False),
        (400, False),
        (404, False),
        (429, False),
        (500, False),
        (503, False),
    ],
)
def test_responses_without_oauth_say_whether_they_heal(status, is_permanent):
    """A response without an OAuth body is transient, since a proxy may have sent it."""
    with pytest.raises(InvalidResponseError) as caught:
        parse(b"<html>", status)

    assert caught.value.status == status
    assert caught.value.is_permanent is is_permanent


def test_a_redirect_is_explained():
    """A token endpoint that redirects is a wrong URL, and the error says so."""
    with pytest.raises(InvalidResponseError, match="configure the final URL"):
        parse(b"", 307, Location="https://elsewhere.example")


@pytest.mark.parametrize(
    ("error", "kind", "status", "is_permanent"),
    [
        ("invalid_client", InvalidClientError, 400, True),
        ("invalid_client", InvalidClientError, 401, True),
        ("invalid_grant", InvalidGrantError, 400, True),
        ("invalid_scope", OAuthError, 400, True),
        ("slow_down", OAuthError, 400, False),
        ("temporarily_unavailable", OAuthError, 503, False),
        ("server_error", OAuthError, 500, False),
        ("invalid_request", OAuthError, 429, False),
        ("something_new", OAuthError, 400, True),
        ("invalid_client", InvalidClientError, 200, True),
    ],
)
def test_refusals_are_typed(error, kind, status, is_permanent):
    """The server's refusal becomes the error of its code, whatever the status."""
    with pytest.raises(kind) as caught:
        parse({"error": error}, status)

    assert caught.value.error == error
    assert caught.value.status == status
    assert caught.value.is_permanent is is_permanent


def test_a_refusal_keeps_what_the_server_explains():
    """Description, page and pause are kept in printable form."""
    with pytest.raises(OAuthError, match="invalid_grant: too�late") as caught:
        parse(
            {
                "error": "invalid_grant",
                "error_description": "too\x1blate",
                "error_uri": "https://x.example",
            },
            400,
            **{"Retry-After": "7"},
        )

    assert caught.value.uri == "https://x.example"
    assert caught.value.retry_after == 7


@pytest.mark.parametrize("error", [5, "", ["x"], {"code": 1}])
def test_an_error_member_of_another_kind_is_no_oauth_error(error):
    """The error object of another API is a response that breaks the specification."""
    with pytest.raises(InvalidResponseError):
        parse({"error": error}, 400)


def test_an_error_beside_a_token_is_no_error():
    """A 200 with a token is a token, whatever else it carries."""
    assert parse(good(error="warning")).access_token == "abc"


def test_strange_media_types_are_not_quoted():
    """A media type that is none is not quoted."""
    with pytest.raises(InvalidResponseError, match="an unreadable media type"):
        parse(b"x", 500, **{"Content-Type": "\x1b[31m"})


def test_a_token_gives_nothing_away(canary):
    """No way of printing, copying or dumping a token shows its secrets."""
    token = Token(
        canary.text,
        refresh_token=canary.text,
        id_token=SecretText(canary.text),
        scope=("a", "b"),
        expires_at=5.0,
    )
    dumped = attrs.asdict(token)

    canary.assert_hidden(token, attrs.evolve(token, expires_at=6.0), dumped, [token.authorization])
    assert canary.text not in json.dumps(dumped, default=repr)
    assert canary.text not in json.dumps(cattrs.unstructure(token), default=repr)
    assert "+refresh_token +id_token" in repr(token)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(token)


def test_a_copy_of_a_token_is_the_token():
    """It is immutable, so what holds one can be copied with it."""
    token = Token("a", refresh_token="r")

    assert copy.copy(token) is token
    assert copy.deepcopy([token])[0] is token


def test_a_tokens_repr_tells_tokens_apart():
    """The fingerprint differs between tokens and is the same for one."""
    one, other = Token("one"), Token("other")

    assert one.fingerprint == Token("one").fingerprint
    assert one.fingerprint in repr(one)
    assert one.fingerprint != other.fingerprint
    assert "scope=None" in repr(one)


@given(st.binary(max_size=200), st.integers(100, 599), st.text(max_size=20))
def test_any_response_is_a_token_or_a_typed_error(body, status, media_type):
    """Whatever a server sends, the parser raises its own errors only."""
    try:
        parse_token_response(
            HttpResponse(status, {"Content-Type": media_type, "Retry-After": media_type}, body),
            sent_at=NOW,
        )
    except AritmaAuthError as error:
        assert isinstance(error, OAuthError | InvalidResponseError)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("access_token", "token_type", "expires_in", "scope", "refresh_token", "error"),
            json_values,
        ),
    )
)
def test_any_member_is_read_or_refused(members):
    """Any JSON in any member gives a token, or a typed error that quotes no value."""
    try:
        token = parse(members)
    except AritmaAuthError as error:
        assert isinstance(error, OAuthError | InvalidResponseError)
    else:
        assert token.access_token == members["access_token"]

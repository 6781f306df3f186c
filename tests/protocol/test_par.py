"""Pushed authorization requests: the form, the server's response, and when to push again."""

import contextlib
import json
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aritma_auth.errors import (
    AccessDeniedError,
    ConfigurationError,
    InvalidClientError,
    InvalidResponseError,
    OAuthError,
    TransportError,
    oauth_error,
)
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.client_auth import ClientCredential, ClientSecretPost, NoClientAuth
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.par import (
    MAX_ATTEMPTS,
    build_pushed_authorization_request,
    next_push_delay,
    parse_pushed_authorization_response,
)
from aritma_auth.protocol.redaction import SecretText
from aritma_auth.protocol.token_endpoint import build_authenticated_request
from support.sign_ins import NOW, make_request

URI = "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c"
RESPONSE = {"request_uri": URI, "expires_in": 60}


def parse(members, status=201, **headers):
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    response = HttpResponse(status, {"Content-Type": "application/json", **headers}, body)
    return parse_pushed_authorization_response(response, sent_at=NOW)


def pushed(request, expires_at=NOW + 60):
    return attrs.evolve(request, request_uri=URI, request_uri_expires_at=expires_at)


def test_the_form_holds_what_the_browser_would_have_carried():
    """The form is the query that the browser would carry, to the letter (RFC 9126 §2.1)."""
    request = make_request()
    carried = parse_qsl(urlsplit(request.url).query)

    assert list(build_pushed_authorization_request(request)) == carried
    assert build_pushed_authorization_request(pushed(request)) == request.parameters()


@pytest.mark.parametrize(
    ("auth", "added"),
    [
        (ClientSecretPost("the-secret"), "&client_id=me&client_secret=the-secret"),
        (NoClientAuth(), "&client_id=me"),
    ],
)
def test_the_pushed_form_names_its_client_once(auth, added):
    """The form holds no parameter twice, whichever way the client authenticates (RFC 6749 §3.1)."""
    secret = SecretText("the-secret")
    built = build_authenticated_request(
        "https://id.aritma.io/connect/par",
        build_pushed_authorization_request(make_request()),
        client_auth=auth,
        credential=ClientCredential("me", secret),
    )

    assert bytes(built.body).decode() == (
        "response_type=code&redirect_uri=https%3A%2F%2Fme.example%2Fcb&scope=openid+api"
        "&state=the-state&nonce=the-nonce"
        "&code_challenge=7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM&code_challenge_method=S256"
        + added
    )


def test_the_browser_carries_the_reference_alone():
    """The browser carries ``client_id`` and ``request_uri`` and nothing else (RFC 9126 §4)."""
    request = pushed(make_request())

    assert request.url == (
        "https://id.aritma.io/connect/authorize?client_id=me"
        "&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3A6esc_11ACC5bwc014ltc14eY22c"
    )
    assert URI not in repr(request)


def test_a_pushed_request_outlives_its_process():
    """A pushed request goes through JSON with its reference and its time."""
    request = pushed(make_request())
    again = AuthorizationRequest.from_json(request.to_json())

    assert (again.url, again.request_uri_expires_at) == (request.url, NOW + 60)
    assert again.state == request.state


def test_a_time_of_another_kind_is_refused():
    """The reference's time is a number of seconds."""
    with pytest.raises(ConfigurationError, match="request_uri_expires_at must be a number"):
        pushed(make_request(), expires_at="soon")


@pytest.mark.parametrize("status", [200, 201])
def test_the_reference_is_read_with_its_time(status):
    """The response gives the reference, good from the time that the request left."""
    received = parse(RESPONSE, status)

    assert received.request_uri.text == URI
    assert received.expires_at == NOW + 60
    assert URI not in repr(received)


def test_a_reference_lives_a_day_at_most():
    """An endless lifetime is cut to a day, and text counts as a number as elsewhere."""
    assert parse(RESPONSE | {"expires_in": 1e12}).expires_at == NOW + 86_400
    assert parse(RESPONSE | {"expires_in": "5"}).expires_at == NOW + 5


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"request_uri": None}, "request_uri is missing"),
        ({"request_uri": 5}, "request_uri must be a string"),
        ({"request_uri": ""}, "request_uri must be an absolute URI"),
        ({"request_uri": "reference"}, "request_uri must be an absolute URI"),
        ({"request_uri": "urn:x y"}, "request_uri must be an absolute URI"),
        ({"request_uri": "urn:x\n"}, "request_uri must be an absolute URI"),
        ({"request_uri": "urn:é"}, "request_uri must be an absolute URI"),
        ({"request_uri": "urn:" + "x" * 2048}, "request_uri must be an absolute URI"),
        ({"expires_in": None}, "expires_in is missing"),
        ({"expires_in": "soon"}, "expires_in must be"),
        ({"expires_in": True}, "expires_in must be"),
        ({"expires_in": 0}, "expires_in must be greater than 0"),
        ({"expires_in": -60}, "expires_in must be greater than 0"),
    ],
)
def test_an_unusable_response_names_the_member(changes, problem):
    """A response without a usable reference is the server's mistake, and says which member."""
    with pytest.raises(InvalidResponseError, match=problem) as told:
        parse(RESPONSE | changes)

    assert told.value.status == 201
    assert URI not in str(told.value)


@pytest.mark.parametrize(
    ("members", "status", "error"),
    [
        ({"error": "invalid_client"}, 401, InvalidClientError),
        (b"", 401, InvalidClientError),
        ({"error": "invalid_request", "error_description": "why"}, 400, OAuthError),
        ({"error": "access_denied"}, 403, AccessDeniedError),
        ({"error": "invalid_authorization_details"}, 400, OAuthError),
        (b"<html>", 503, InvalidResponseError),
        (b"", 302, InvalidResponseError),
        (b"[]", 201, InvalidResponseError),
        ({}, 204, InvalidResponseError),
        ({}, 413, InvalidResponseError),
    ],
)
def test_a_refusal_is_typed(members, status, error):
    """What the server says instead of a reference is an error of its own kind (RFC 9126 §2.3)."""
    with pytest.raises(error) as told:
        parse(members, status)

    assert told.value.status == status


@given(st.binary(max_size=200), st.sampled_from([200, 201, 400, 500]))
def test_no_body_breaks_the_parser(body, status):
    """Whatever comes, it is a reference or an error of this package."""
    with contextlib.suppress(InvalidResponseError, OAuthError):
        parse(body, status)


DOWN = InvalidResponseError("down", status=503)


@pytest.mark.parametrize(
    ("error", "attempts", "delay"),
    [
        (DOWN, 1, 0.5),
        (DOWN, 2, 1.0),
        (DOWN, MAX_ATTEMPTS, None),
        (InvalidResponseError("down", status=503, retry_after=3), 1, 3.0),
        (InvalidResponseError("down", status=503, retry_after=6), 1, None),
        (InvalidResponseError("slow", status=429), 1, 0.5),
        (InvalidResponseError("wrong", status=404), 1, None),
        (InvalidResponseError("wrong", status=201), 1, None),
        (TransportError("away"), 1, 0.5),
        (TransportError("away", may_have_arrived=False), 2, 1.0),
        (oauth_error("temporarily_unavailable", status=400), 1, 0.5),
        (oauth_error("server_error", status=500), 1, 0.5),
        (oauth_error("invalid_request", status=400), 1, None),
        (oauth_error("invalid_client", status=401), 1, None),
        (ConfigurationError("yours"), 1, None),
    ],
)
def test_only_what_passes_is_worth_another_attempt(error, attempts, delay):
    """A server that is away for a moment is asked again, thrice at most and within seconds."""
    assert next_push_delay(error, attempts) == delay

"""The JSON response of any endpoint, and whether a failed request may be repeated."""

import json

import pytest

from aritma_auth.errors import (
    ConfigurationError,
    InvalidResponseError,
    OAuthError,
    TransportError,
)
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.json_response import is_ambiguous, parse_json_response


def parse(status, body, **headers):
    return parse_json_response(HttpResponse(status, headers, body), now=0.0, what="the endpoint")


def test_an_object_with_status_200_is_returned():
    """A JSON object with status 200 is returned."""
    assert parse(200, b'{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (202, b'{"a": 1}', "the endpoint responded 202 .*the status must be 200$"),
        (200, b"[]", "not an object"),
        (200, b"", "empty"),
        (200, b'{"a": 1, "a": 2}', "twice"),
        (200, b'{"a": NaN}', "finite"),
        (307, b"", "redirect"),
        (502, b"<html>", "not JSON"),
        (400, b'{"error": 5}', "not an OAuth error"),
        (400, b'{"error": ""}', "not an OAuth error"),
        (403, b'{"status": 403, "error": "Forbidden"}', "not an OAuth error"),
        (400, b'{"statusCode": 400, "error": "Bad Request"}', "not an OAuth error"),
        (
            403,
            b'{"error": "Access to this API has been disallowed"}',
            "this API has been disallowed",
        ),
        (403, b'{"error": "Invalid refresh token"}', "error is 'Invalid refresh token'"),
        (400, b'{"error": "Invalid CSRF token"}', "error is 'Invalid CSRF token'"),
        (400, b'{"error": "API token required"}', "error is 'API token required'"),
        (
            400,
            b'{"error": "Request blocked by policy 7"}',
            "error is 'Request blocked by policy 7'",
        ),
        (
            400,
            b'{"error": "upstream connect error\\u001b[1m"}',
            "error is 'upstream connect error.\\[1m'",
        ),
        (403, b'{"error": "forbidden"}', "error is 'forbidden'"),
        (400, b'{"error": "BAD_REQUEST"}', "error is 'BAD_REQUEST'"),
        (404, b'{"error": "not-found"}', "error is 'not-found'"),
        (502, b'{"error": "no k7Qx2mZr9TbWv4Lc8NdY"}', r"error is 'no \*\*\*'"),
        (204, b'{"error": ""}', "the status must be 200$"),
    ],
)
def test_everything_else_is_an_error(status, body, said):
    """Every other response is an error that names the endpoint and quotes nothing secret."""
    with pytest.raises(InvalidResponseError, match=said) as caught:
        parse(status, body)

    assert caught.value.status == status


@pytest.mark.parametrize(
    "said",
    ["Invalid refresh token", "The token has been revoked", "refused grant", "Token expired."],
)
def test_a_sentence_about_what_was_presented_is_the_servers(said):
    """Authorization servers in the field write a sentence for a code; a gateway knows no token."""
    with pytest.raises(OAuthError) as caught:
        parse(400, json.dumps({"error": said}).encode())

    assert caught.value.error == said


@pytest.mark.parametrize("status", [200, 400, 401, 403, 429, 500])
def test_an_oauth_error_is_one_whatever_its_status(status):
    """An OAuth error counts in any status, and its empty members count as absent."""
    body = b'{"error": "slow_down", "error_description": "", "error_uri": 5}'
    with pytest.raises(OAuthError, match=r"^slow_down") as caught:
        parse(status, body, **{"Retry-After": "7"})

    assert caught.value.retry_after == 7
    assert (caught.value.description, caught.value.uri) == (None, None)


def test_an_error_beside_a_token_is_none():
    """A member called error beside a token is a custom member."""
    assert parse(200, b'{"access_token": "t", "error": "x"}')["access_token"] == "t"


@pytest.mark.parametrize("kind", ["text/html\x1b[31m", "å/b", "<script>"])
def test_an_odd_media_type_is_not_shown(kind):
    """A media type that is none is not shown, since a log is a terminal."""
    with pytest.raises(InvalidResponseError, match="unreadable media type"):
        parse(500, b"", **{"Content-Type": kind})


@pytest.mark.parametrize(
    ("error", "may_have_acted"),
    [
        (TransportError("x"), True),
        (TransportError("x", may_have_arrived=False), False),
        (InvalidResponseError("x", status=200), True),
        (InvalidResponseError("x", status=502), True),
        (InvalidResponseError("x", status=503), False),
        (InvalidResponseError("x", status=429), False),
        (InvalidResponseError("x", status=302), False),
        (OAuthError("server_error", status=500), True),
        (OAuthError("temporarily_unavailable", status=503), False),
        (OAuthError("invalid_grant", status=400), False),
        (OAuthError("access_denied"), False),
        (ConfigurationError("x"), False),
    ],
)
def test_a_server_may_have_acted_without_a_response(error, may_have_acted):
    """
    A request that may have taken effect is told apart, so that a one-time token is not sent
    again.
    """
    assert is_ambiguous(error) is may_have_acted

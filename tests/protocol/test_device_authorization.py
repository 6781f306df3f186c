"""Signing in on another device: the server's response, and the interval between two polls."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aritma_auth.errors import (
    AccessDeniedError,
    AuthorizationPendingError,
    ConfigurationError,
    ExpiredTokenError,
    InvalidGrantError,
    InvalidResponseError,
    OAuthError,
    SlowDownError,
    TransportError,
)
from aritma_auth.protocol.device_authorization import (
    next_interval,
    parse_device_authorization_response,
)
from aritma_auth.protocol.http_messages import HttpResponse

NOW = 1_700_000_000.0
RESPONSE = {
    "device_code": "the-device-code",
    "user_code": "123456789",
    "verification_uri": "https://id.aritma.io/device",
    "verification_uri_complete": "https://id.aritma.io/device?userCode=123456789",
    "expires_in": 300,
    "interval": 7,
}


def parse(members, status=200):
    body = json.dumps(members).encode()
    response = HttpResponse(status, {"Content-Type": "application/json"}, body)
    return parse_device_authorization_response(response, sent_at=NOW)


def test_the_servers_response_is_what_an_end_user_is_shown():
    """The response gives what the end-user is shown, and the grant that polls (RFC 8628 §3.2)."""
    device = parse(RESPONSE)

    assert device.user_code == "123456789"
    assert device.verification_uri == "https://id.aritma.io/device"
    assert device.verification_uri_complete == RESPONSE["verification_uri_complete"]
    assert device.expires_at == NOW + 300
    assert device.interval == 7
    assert device.grant.device_code.text == "the-device-code"


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [(None, 5.0), (0, 5.0), (-3, 5.0), ("8", 8.0), (2.5, 2.5), (1, 1.0)],
)
def test_the_server_says_how_often_to_ask(interval, seconds):
    """The interval is the server's, or five seconds if it names none that can be used."""
    assert parse(RESPONSE | {"interval": interval}).interval == seconds


def test_the_complete_address_may_be_absent():
    """The complete address and the interval are optional."""
    response = {
        k: v for k, v in RESPONSE.items() if k not in {"verification_uri_complete", "interval"}
    }

    assert parse(response).verification_uri_complete is None
    assert parse(response | {"unknown": 1}).interval == 5.0
    assert parse(response | {"verification_uri": "http://127.0.0.1:5001/device"})


def test_the_address_may_have_its_older_name():
    """Google calls it verification_url, as the drafts before RFC 8628 did; the standard's name wins."""
    older = {"verification_url": "https://id.example/older"}
    response = {k: v for k, v in RESPONSE.items() if k != "verification_uri"}

    assert parse(response | older).verification_uri == "https://id.example/older"
    assert parse(RESPONSE | older).verification_uri == RESPONSE["verification_uri"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"device_code": None}, "device_code is missing"),
        ({"device_code": 5}, "device_code must be a string"),
        ({"device_code": ""}, "device_code must not be empty"),
        ({"user_code": ""}, "user_code must be printable"),
        ({"user_code": "12\x1b[31m"}, "user_code must be printable"),
        ({"user_code": "12\u202e34"}, "user_code must be printable"),
        ({"verification_uri": None}, "verification_uri is missing"),
        ({"verification_url": "/device"}, "verification_url must be an absolute https URL"),
        ({"verification_uri": "/device"}, "verification_uri must be an absolute https URL"),
        ({"verification_uri": "http://id.example/"}, "verification_uri must use https"),
        ({"verification_uri": "javascript:alert(1)"}, "verification_uri must"),
        ({"verification_uri": "https://id.example/\x1b[31m"}, "verification_uri must"),
        ({"verification_uri_complete": "http://id.example/"}, "verification_uri_complete must"),
        ({"verification_uri_complete": "https://u:p@id.example/"}, "user name or password"),
        ({"expires_in": None}, "expires_in is missing"),
        ({"expires_in": 0}, "expires_in must be greater than 0"),
        ({"expires_in": "soon"}, "expires_in must be a number"),
        ({"interval": "often"}, "interval must be a number"),
    ],
)
def test_a_response_that_cannot_be_used_names_the_member(changes, problem):
    """A response that cannot be shown to an end-user is refused by the member's name."""
    with pytest.raises(InvalidResponseError, match=problem) as caught:
        parse(RESPONSE | changes)

    assert caught.value.problems
    assert "the-device-code" not in str(caught.value)


def test_all_that_is_wrong_is_named():
    """All problems are named in one message."""
    with pytest.raises(InvalidResponseError) as caught:
        parse(RESPONSE | {"user_code": "", "verification_uri": "x", "expires_in": -1})

    assert len(caught.value.problems) == 3


def test_a_refusal_is_the_servers():
    """The server's refusal is raised as it is."""
    with pytest.raises(OAuthError, match="unauthorized_client"):
        parse({"error": "unauthorized_client"}, status=400)


def test_codes_are_not_for_logs(canary):
    """Neither the device code nor the user code is shown, since each lets another party in."""
    device = parse(
        RESPONSE
        | {
            "device_code": canary.text,
            "user_code": canary.text,
            "verification_uri_complete": f"https://id.example/?c={canary.text}",
        }
    )

    canary.assert_hidden(device, device.grant)


@pytest.mark.parametrize(
    ("interval", "error", "seconds"),
    [
        (5, AuthorizationPendingError("authorization_pending"), 5),
        (5, SlowDownError("slow_down"), 10),
        (10, SlowDownError("slow_down", status=429), 15),
        (5, AuthorizationPendingError("authorization_pending", retry_after=60), 5),
        (5, TransportError("no response"), 10),
        (200, TransportError("no response"), 300),
        (400, TransportError("no response"), 400),
        (5, TransportError("no response", retry_after=60), 60),
        (5, TransportError("no response", retry_after=1), 10),
        (5, InvalidResponseError("x", status=502), 10),
        (5, InvalidResponseError("x", status=429, retry_after=30), 30),
        (5, OAuthError("server_error", status=500), 10),
        (5, OAuthError("temporarily_unavailable"), 10),
        (5, InvalidResponseError("x", status=404), 10),
        (5, AccessDeniedError("access_denied"), None),
        (5, ExpiredTokenError("expired_token"), None),
        (5, InvalidGrantError("invalid_grant"), None),
        (5, ConfigurationError("x"), None),
        (5, ValueError("x"), None),
    ],
)
def test_how_long_to_wait_before_the_next_question(interval, error, seconds):
    """
    The interval never shrinks, grows when told to, and ends with a permanent error (RFC 8628
    §3.5).
    """
    assert next_interval(interval, error) == seconds


@pytest.mark.parametrize(
    ("interval", "expires_in", "seconds"),
    [
        (0.001, 300, 1.0),
        (0.5, 300, 1.0),
        ("0", 300, 5.0),
        (1e-300, 300, 1.0),
        (3600, 300, 60.0),
        (10**30, 300, 60.0),
        (2**63 - 1, 86_400, 60.0),
        (30, 20, 10.0),
        (None, 4, 2.0),
        (5, 1, 1.0),
    ],
)
def test_an_absurd_interval_neither_hammers_nor_waits_for_ever(interval, expires_in, seconds):
    """A poll waits a second at least, a minute at most, and comes before the code has ended."""
    assert parse(RESPONSE | {"interval": interval, "expires_in": expires_in}).interval == seconds


@pytest.mark.parametrize("never", [86_401, 10**12, 2**63 - 1, 1e300])
def test_a_code_that_never_ends_is_polled_for_a_day(never):
    """A server that says "never" keeps no poll going for ever."""
    device = parse(RESPONSE | {"expires_in": never, "interval": never})

    assert device.expires_at == NOW + 86_400
    assert device.interval == 60


@pytest.mark.parametrize("uri", ["", None])
def test_an_empty_complete_address_counts_as_none(uri):
    """Some servers send an empty string for "none"."""
    assert parse(RESPONSE | {"verification_uri_complete": uri}).verification_uri_complete is None
    with pytest.raises(InvalidResponseError, match="verification_uri"):
        parse(RESPONSE | {"verification_uri": uri})


@given(
    st.dictionaries(
        st.sampled_from(sorted(RESPONSE)),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"]))
        | st.lists(st.integers(), max_size=2),
    )
)
def test_whatever_a_server_sends_is_usable_or_an_error(changes):
    """A parsed authorization can be shown and polled for; anything else is an error of ours."""
    try:
        device = parse(RESPONSE | changes)
    except InvalidResponseError:
        return

    assert device.user_code.isprintable()
    assert device.verification_uri.startswith(("https://", "http://"))
    assert 1.0 <= device.interval <= 60.0
    assert device.expires_at >= NOW

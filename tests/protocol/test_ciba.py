"""Backchannel sign-ins: the request, the server's response, and its notification."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aritma_auth.errors import (
    AccessDeniedError,
    ConfigurationError,
    InvalidClientError,
    InvalidResponseError,
    OAuthError,
    StateMismatchError,
    VerificationError,
)
from aritma_auth.protocol.ciba import (
    BackchannelAuthentication,
    parse_backchannel_response,
    validate_backchannel_notification,
)
from aritma_auth.protocol.ciba_request import (
    build_backchannel_request,
    build_backchannel_request_object,
    generate_notification_token,
)
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.jwt import verify_signature
from aritma_auth.protocol.redaction import Members, SecretText
from aritma_auth.protocol.signing import SigningKey

NOW = 1_700_000_000.0
RESPONSE = {"auth_req_id": "1c266114-a1be-4252-8ad1-04986c5b9ac1", "expires_in": 120, "interval": 2}
TOKEN = SecretText("the-notification-token")


def parse(members, status=200, token=None):
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    response = HttpResponse(status, {"Content-Type": "application/json"}, body)
    return parse_backchannel_response(response, sent_at=NOW, notification_token=token)


def test_the_request_names_the_end_user_and_what_is_asked():
    """Each given parameter is sent once (CIBA Core 1.0 §7.1)."""
    form = build_backchannel_request(
        "openid bankservice",
        {
            "login_hint": "alice",
            "binding_message": "W4SCT",
            "user_code": "1234",
            "requested_expiry": 60,
            "acr_values": ["mfa"],
            "resource": ["urn:one", "urn:two"],
            "authorization_details": [{"type": "payment"}],
            "extra": {"tenant": "acme"},
        },
        TOKEN,
    )

    assert form == (
        ("scope", "openid bankservice"),
        ("login_hint", "alice"),
        ("acr_values", "mfa"),
        ("binding_message", "W4SCT"),
        ("user_code", "1234"),
        ("requested_expiry", "60"),
        ("client_notification_token", "the-notification-token"),
        ("authorization_details", '[{"type":"payment"}]'),
        ("resource", "urn:one"),
        ("resource", "urn:two"),
        ("tenant", "acme"),
    )
    assert "1234" not in repr(form)


@pytest.mark.parametrize("hint", ["login_hint", "login_hint_token", "id_token_hint"])
def test_each_hint_will_do(hint):
    """One of three names the end-user."""
    form = build_backchannel_request("openid", {hint: "h"})

    assert form == (("scope", "openid"), (hint, "h"))


@pytest.mark.parametrize(
    ("scope", "parameters", "said"),
    [
        (None, {"login_hint": "a"}, "scope must have openid"),
        ("bankservice", {"login_hint": "a"}, "scope must have openid"),
        ("openid", {}, "must name the end-user, not 0 of them"),
        ("openid", {"login_hint": "a", "id_token_hint": "b"}, "not 2 of them"),
        ("openid", {"login_hint": ""}, "login_hint must not be empty"),
        ("openid", {"id_token_hint": 5}, "id_token_hint must be a string"),
        ("openid", {"login_hint": "a", "binding_message": 5}, "binding_message must be a string"),
        ("openid", {"login_hint": "a", "requested_expiry": 0}, "requested_expiry must be"),
        ("openid", {"login_hint": "a", "requested_expiry": True}, "requested_expiry must be"),
        ("openid", {"login_hint": "a", "requested_expiry": "60"}, "requested_expiry must be"),
        ("openid", {"login_hint": "a", "extra": {"request": "x"}}, "must not replace request"),
        ("openid", {"login_hint": "a", "login_hints": "x"}, "login_hints must be left out"),
    ],
)
def test_a_mistake_is_named(scope, parameters, said):
    """Nothing is sent for a request that the server would refuse."""
    with pytest.raises(ConfigurationError, match=said):
        build_backchannel_request(scope, parameters)


def test_a_signed_request_has_the_claims_of_the_specification():
    """The parameters are claims beside iss, aud, exp, iat, nbf and jti (CIBA Core 1.0 §7.1.1)."""
    key = SigningKey.generate("ES256")
    wanted = {"id_token": {"txn": {"essential": True}}}
    form = build_backchannel_request(
        "openid",
        {
            "login_hint": "a",
            "resource": ["urn:1", "urn:2"],
            "authorization_details": [{"type": "payment"}],
            "extra": {"claims": json.dumps(wanted)},
        },
    )
    unsigned = build_backchannel_request_object(
        "me", form, key, issuer="https://id.example", now=NOW, jti="the-jti"
    )
    verified = verify_signature(unsigned.sign(), [key.public_jwk], algorithms=frozenset({"ES256"}))

    assert dict(verified.claims.items()) == {
        "scope": "openid",
        "login_hint": "a",
        "resource": ["urn:1", "urn:2"],
        "authorization_details": [{"type": "payment"}],
        "claims": wanted,
        "iss": "me",
        "aud": "https://id.example",
        "jti": "the-jti",
        "iat": int(NOW),
        "nbf": int(NOW),
        "exp": int(NOW) + 300,
    }


def test_the_response_gives_what_is_polled_with():
    """The identifier is in the grant, and shows nowhere (CIBA Core 1.0 §7.3)."""
    asked = parse(RESPONSE)

    assert asked.grant.auth_req_id.text == RESPONSE["auth_req_id"]
    assert (asked.expires_at, asked.interval) == (NOW + 120, 2.0)
    assert not asked.is_notified
    assert RESPONSE["auth_req_id"] not in repr(asked)


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [(None, 5.0), (0, 5.0), (-1, 5.0), ("31", 31.0), (0.1, 1.0), (90, 90.0)],
)
def test_the_server_says_how_often_to_ask(interval, seconds):
    """Five seconds are the default, and one the least."""
    assert parse(RESPONSE | {"interval": interval}).interval == seconds


@pytest.mark.parametrize(("interval", "seconds"), [(119, 119.0), (120, 60.0), (10**30, 60.0)])
def test_an_interval_beyond_the_requests_life_still_polls(interval, seconds):
    """Otherwise the sign-in would expire without a single poll."""
    assert parse(RESPONSE | {"interval": interval}).interval == seconds


@pytest.mark.parametrize("never", [86_401, 10**12, 2**63 - 1, 1e300])
def test_a_request_that_never_ends_is_polled_for_a_day(never):
    """A server that says "never" keeps no poll going for ever, and no pause beyond the end."""
    begun = parse(RESPONSE | {"expires_in": never, "interval": never})

    assert begun.expires_at == NOW + 86_400
    assert begun.interval == 43_200


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"auth_req_id": None}, "auth_req_id is missing"),
        ({"auth_req_id": ""}, "auth_req_id must be visible ASCII"),
        ({"auth_req_id": "a b"}, "auth_req_id must be visible ASCII"),
        ({"auth_req_id": 5}, "auth_req_id must be a string"),
        ({"expires_in": None}, "expires_in is missing"),
        ({"expires_in": 0}, "expires_in must be greater than 0"),
        ({"interval": "soon"}, "interval must be"),
    ],
)
def test_an_unusable_response_names_the_member(changes, problem):
    """A response without what is polled with is the server's mistake."""
    with pytest.raises(InvalidResponseError, match=problem):
        parse(RESPONSE | changes)


@pytest.mark.parametrize(
    ("members", "status", "error"),
    [
        ({"error": "unknown_user_id"}, 400, OAuthError),
        ({"error": "invalid_client"}, 401, InvalidClientError),
        ({"error": "access_denied"}, 403, AccessDeniedError),
        (b"", 503, InvalidResponseError),
    ],
)
def test_a_refusal_is_typed(members, status, error):
    """What the server says instead is an error of its own kind (CIBA Core 1.0 §13)."""
    with pytest.raises(error) as told:
        parse(members, status)

    assert told.value.status == status


def test_it_outlives_its_process():
    """The notification may reach another process, which has all it needs."""
    asked = parse(RESPONSE, token=TOKEN)
    again = BackchannelAuthentication.from_json(asked.to_json())

    assert again == asked
    assert again.is_notified
    assert BackchannelAuthentication.from_json(parse(RESPONSE).to_json()) == parse(RESPONSE)
    assert "the-notification-token" not in repr(asked.to_json())


@pytest.mark.parametrize(
    "text", ["", "{}", '{"format":2}', '{"format":1}', "[]", '{"format":1,"x":1}']
)
def test_a_foreign_text_is_refused(text):
    """Only what to_json wrote is read."""
    with pytest.raises(StateMismatchError, match="no backchannel sign-in"):
        BackchannelAuthentication.from_json(text)


def notification(identifier=RESPONSE["auth_req_id"], **changes):
    return json.dumps({"auth_req_id": identifier, **changes}).encode()


def pending(*identifiers):
    """Give sign-ins that wait for a notification."""
    return [
        parse(RESPONSE | {"auth_req_id": each}, token=SecretText(f"token-{each}"))
        for each in identifiers
    ]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_notification_finds_its_sign_in(scheme):
    """The token and the identifier are those of one pending sign-in (CIBA Core 1.0 §10.2)."""
    waiting = pending("one", "two", "three")
    found = validate_backchannel_notification(
        waiting, authorization=f"{scheme} token-two", body=notification("two", more=1)
    )

    assert found is waiting[1]


@pytest.mark.parametrize(
    ("authorization", "body"),
    [
        (None, notification("two")),
        ("", notification("two")),
        ("Bearer", notification("two")),
        ("Basic token-two", notification("two")),
        ("Bearer token-one", notification("two")),
        ("Bearer token-two", notification("one")),
        ("Bearer token-two", notification("four")),
        ("Bearer token-two", notification(None)),
        ("Bearer token-two", b"auth_req_id=two"),
        ("Bearer token-two", b"{}"),
        ("Bearer token-two", b""),
        ("Bearer token-two", notification("two", filling="x" * (1 << 14))),
    ],
)
def test_every_other_notification_is_ignored(authorization, body):
    """A forged, foreign or malformed notification finds nothing, and shows nothing."""
    with pytest.raises(VerificationError, match="ignore it") as told:
        validate_backchannel_notification(
            pending("one", "two"), authorization=authorization, body=body
        )

    assert "token-two" not in str(told.value)


def test_a_sign_in_without_a_token_gets_no_notification():
    """In poll mode there is no secret that a notification could carry."""
    with pytest.raises(VerificationError):
        validate_backchannel_notification(
            [parse(RESPONSE)], authorization="Bearer ", body=notification()
        )


@given(st.text(max_size=40), st.binary(max_size=200))
def test_no_notification_breaks_the_parser(authorization, body):
    """Whatever comes is refused by an error of this package."""
    with contextlib.suppress(VerificationError):
        validate_backchannel_notification(pending("one"), authorization=authorization, body=body)


def test_each_notification_has_a_secret_of_its_own():
    """The secrets are new and long enough (CIBA Core 1.0 §7.1)."""
    tokens = {generate_notification_token().text for _ in range(20)}

    assert len(tokens) == 20
    assert min(map(len, tokens)) >= 43


def test_expected_claims_reach_the_process_that_completes_the_sign_in():
    """They are kept with what is pending, and nothing but JSON is taken for them."""
    body = json.dumps(RESPONSE).encode()
    response = HttpResponse(200, {"Content-Type": "application/json"}, body)
    asked = parse_backchannel_response(
        response, sent_at=NOW, expected_claims=Members({"txn": None, "a": {"b": [1]}})
    )
    twin = BackchannelAuthentication.from_json(asked.to_json())

    assert twin.expected_claims == {"txn": None, "a": {"b": [1]}}
    with pytest.raises(ConfigurationError, match="expected_claims must be a mapping"):
        BackchannelAuthentication(
            auth_req_id="a", expires_at=NOW, interval=5, expected_claims=["txn"]
        )


@pytest.mark.parametrize("expected", [TOKEN, None], ids=["notified", "polled"])
@pytest.mark.parametrize("wrong", [None, b"bytes", 5, ["text"]], ids=repr)
def test_a_notification_consists_of_texts(expected, wrong, canary):
    """Whatever else it is given, it names the argument and shows neither of them."""
    waiting = parse(RESPONSE, token=expected)
    for argument in ("auth_req_id", "token"):
        given = {"auth_req_id": canary.text, "token": canary.text} | {argument: wrong}
        with pytest.raises(ConfigurationError, match=f"^{argument} must be a string") as caught:
            waiting.is_notification(**given)
        del given
        canary.assert_hidden(caught.value)

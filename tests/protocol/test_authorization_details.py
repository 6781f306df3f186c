"""Authorization details: how they are written, and what of them was granted."""

import json

import pytest

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.authorization_details import (
    AuthorizationDetail,
    encode_authorization_details,
    find_ungranted_details,
    parse_authorization_details,
    parse_granted_details,
)
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.grants import ClientCredentialsGrant, RefreshTokenGrant
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.tokens import Token
from support.sign_ins import make_request

PAYMENT = AuthorizationDetail(
    "payment_initiation",
    actions=["initiate", "status"],
    locations="https://api.example/payments",
    extra={"instructedAmount": {"currency": "NOK", "amount": "123.50"}},
)
WRITTEN = {
    "type": "payment_initiation",
    "actions": ["initiate", "status"],
    "locations": ["https://api.example/payments"],
    "instructedAmount": {"currency": "NOK", "amount": "123.50"},
}


def token(details):
    extra = {} if details is None else {"authorization_details": details}
    return Token("a-token", extra=Members(extra))


def test_a_detail_is_the_json_object_of_the_specification():
    """Only what was given is written (RFC 9396 §2)."""
    assert PAYMENT.to_members() == WRITTEN
    assert AuthorizationDetail.from_members(WRITTEN) == PAYMENT
    assert AuthorizationDetail("x", identifier="1", datatypes="a", privileges="b").to_members() == {
        "type": "x",
        "datatypes": ["a"],
        "privileges": ["b"],
        "identifier": "1",
    }


def test_an_amount_does_not_show():
    """What belongs to one payment alone is shown by name."""
    assert "123.50" not in repr(PAYMENT)
    assert "instructedAmount" in repr(PAYMENT)


def test_equal_details_are_equal_texts():
    """Caches and stores compare requests: the order of members must not matter."""
    turned = dict(reversed(WRITTEN.items()))
    details = parse_authorization_details([turned])

    assert encode_authorization_details(details) == encode_authorization_details([PAYMENT])
    assert details == (PAYMENT,)
    assert hash(details[0]) == hash(PAYMENT)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("payment", "authorization_details must be a list"),
        (b"[]", "authorization_details must be a list"),
        (WRITTEN, "authorization_details must be a list"),
        (None, "authorization_details must be a list"),
        (["payment"], "authorization_details must be a list"),
        ([{}], "must have a type"),
        ([{"type": ""}], "type must not be empty"),
        ([{"type": 5}], "type must be a string"),
        ([{"type": "x", "actions": 5}], "actions must be"),
        ([{"type": "x", "datatypes": [""]}], "datatypes must be"),
        ([{"type": "x", "locations": [5]}], "locations must be"),
        ([{"type": "x", "privileges": [None]}], "privileges must be"),
        ([{"type": "x", "identifier": 5}], "identifier must be a string"),
        ([{"type": "x", "amount": float("nan")}], "extra must be JSON"),
        ([{"type": "x", "amount": {1, 2}}], "extra must be JSON"),
        ([{"type": "x", 5: "five"}], "extra must be JSON"),
        ([{"type": "x", "text": "\ud800"}], "extra must be JSON"),
    ],
)
def test_a_mistake_is_named(given, said):
    """A detail of the wrong kind is the caller's error, before anything is sent."""
    with pytest.raises(ConfigurationError, match=said):
        parse_authorization_details(given)


@pytest.mark.parametrize(
    ("extra", "said"),
    [({"type": "y"}, "extra must not replace type"), ("amount", "extra must be a mapping")],
)
def test_extra_is_only_for_what_has_no_name(extra, said):
    """A common member has an argument of its own."""
    with pytest.raises(ConfigurationError, match=said):
        AuthorizationDetail("x", extra=extra)


def test_nested_without_end_is_refused():
    """A structure that holds itself is no JSON."""
    endless = {}
    endless["again"] = endless
    with pytest.raises(ConfigurationError, match="extra must be JSON"):
        AuthorizationDetail("x", extra=endless)


def test_a_grant_sends_its_details_and_is_known_by_them():
    """The form carries them once, and another detail is another cache entry."""
    plain = ClientCredentialsGrant("bankservice")
    payment = ClientCredentialsGrant("bankservice", authorization_details=[PAYMENT])
    sent = dict(payment.parameters())

    assert json.loads(sent["authorization_details"]) == [WRITTEN]
    assert "authorization_details" not in dict(plain.parameters())
    assert payment.identity() != plain.identity()
    assert (
        payment.identity()
        == ClientCredentialsGrant(
            "bankservice", authorization_details=[dict(reversed(WRITTEN.items()))]
        ).identity()
    )
    assert "authorization_details" in dict(
        RefreshTokenGrant("r", authorization_details=[PAYMENT]).parameters()
    )


def test_details_are_no_extra():
    """The argument is the one way to ask for details."""
    with pytest.raises(ConfigurationError, match="must not replace authorization_details"):
        ClientCredentialsGrant("bankservice", extra={"authorization_details": "[]"})
    with pytest.raises(ConfigurationError, match="must not replace authorization_details"):
        make_request(extra={"authorization_details": "[]"})


def test_an_authorization_request_carries_its_details_through_json():
    """The request asks for them, and another process reads them again."""
    request = make_request(authorization_details=[WRITTEN])
    again = AuthorizationRequest.from_json(request.to_json())

    assert json.loads(dict(request.parameters())["authorization_details"]) == [WRITTEN]
    assert again.authorization_details == (PAYMENT,)
    assert again.url == request.url


@pytest.mark.parametrize(
    "granted",
    [
        None,
        "text",
        {},
        ["payment"],
        [None],
        [{}],
        [{"type": 5}],
        [{"type": "x", "actions": 5}],
        [WRITTEN | {"actions": "initiate"}],
        [WRITTEN | {"actions": {"initiate": 1, "status": 2}}],
    ],
)
def test_what_cannot_be_read_is_not_granted(granted):
    """A server that names no details, or odd ones, has granted none of them."""
    assert parse_granted_details(token(granted)) is None
    assert find_ungranted_details([PAYMENT], token(granted)) == (PAYMENT,)


@pytest.mark.parametrize(
    ("changes", "is_granted"),
    [
        ({}, True),
        ({"consentId": "1"}, True),
        ({"actions": ["status", "initiate", "cancel"]}, True),
        ({"instructedAmount": {"currency": "NOK", "amount": "123.50", "vat": "0"}}, True),
        ({"type": "account_information"}, False),
        ({"actions": ["status"]}, False),
        ({"actions": "initiate"}, False),
        ({"locations": None}, False),
        ({"instructedAmount": {"currency": "NOK", "amount": "1.00"}}, False),
        ({"instructedAmount": {"currency": "NOK"}}, False),
        ({"instructedAmount": "123.50"}, False),
    ],
)
def test_what_was_granted_is_compared_with_what_was_asked(changes, is_granted):
    """A server may add to a detail; what it leaves out was not granted (RFC 9396 §7)."""
    changed = {name: value for name, value in (WRITTEN | changes).items() if value is not None}
    ungranted = find_ungranted_details([PAYMENT], token([{"type": "other"}, changed]))

    assert ungranted == (() if is_granted else (PAYMENT,))


def test_true_is_not_one():
    """A granted true does not cover a requested 1, since JSON tells them apart."""
    wanted = AuthorizationDetail("x", extra={"recurring": True})

    assert find_ungranted_details([wanted], token([{"type": "x", "recurring": 1}]))
    assert not find_ungranted_details([wanted], token([{"type": "x", "recurring": True}]))


@pytest.mark.parametrize("name", ["datatypes", "identifier", "privileges"])
def test_what_a_server_writes_as_null_is_absent(name):
    """Some servers write each member of a detail, whether it has one or not."""
    granted = token([WRITTEN | {name: None}])

    assert parse_granted_details(granted) == (PAYMENT,)
    assert not find_ungranted_details([PAYMENT], granted)


def test_what_was_asked_for_as_null_need_not_come_back():
    """A server may leave it out; another value is not what was asked for."""
    wanted = AuthorizationDetail("x", extra={"limit": None, "inner": {"limit": None}})

    assert not find_ungranted_details([wanted], token([{"type": "x", "inner": {}}]))
    assert find_ungranted_details([wanted], token([{"type": "x", "inner": {}, "limit": 5}]))
    assert find_ungranted_details([wanted], token([{"type": "x"}]))


@pytest.mark.parametrize("other", [{"type": 5}, {"type": "x", "locations": [1]}, "text", None])
def test_what_cannot_be_read_hides_nothing_beside_it(other):
    """The detail that was asked for is granted, whatever else the server says."""
    for granted in ([WRITTEN, other], [other, WRITTEN]):
        assert parse_granted_details(token(granted)) is None
        assert not find_ungranted_details([PAYMENT], token(granted))


@pytest.mark.parametrize("given", [None, "token", 5])
def test_only_a_tokens_details_are_compared(given):
    """Anything else is a mistake of the caller."""
    with pytest.raises(ConfigurationError, match="token must be"):
        find_ungranted_details([PAYMENT], given)

"""HTTP messages as values, and the wrappers that hide their secrets."""

import copy
import pickle
import time

import pytest
from multidict import CIMultiDict

from aritma_auth.protocol.http_messages import (
    HttpRequest,
    HttpResponse,
    encode_form,
    parse_http_date,
    parse_retry_after,
)
from aritma_auth.protocol.redaction import (
    HiddenBytes,
    HiddenStr,
    Members,
    SecretText,
    as_optional_secret,
    as_secret,
)

NOW = 1_700_000_000.0


def test_hidden_texts_are_texts_that_do_not_show(canary):
    """They work as str and bytes do, but their repr is hidden."""
    text, data = HiddenStr(canary.text), HiddenBytes(canary.text.encode())

    assert text == canary.text
    assert data == canary.text.encode()
    assert canary.text not in repr([text, data])


def test_secret_texts_compare_and_hash_by_value():
    """Equal secrets are equal, and nothing else is equal to them."""
    assert SecretText("a") == SecretText("a")
    assert SecretText("a") != SecretText("b")
    assert SecretText("a") != "a"
    assert len({SecretText("a"), SecretText("a"), SecretText("b")}) == 2
    assert SecretText("å").fingerprint != SecretText("a").fingerprint


def test_secret_texts_refuse_pickling_and_survive_copies(canary):
    """A copy is the same object, and a pickle is refused."""
    secret = SecretText(canary.text)

    canary.assert_hidden(secret)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


def test_wrapping_twice_changes_nothing():
    """A SecretText stays as it is, and None stays None."""
    secret = as_secret("a")

    assert as_secret(secret) is secret
    assert as_optional_secret(secret) is secret
    assert as_optional_secret(None) is None


def test_members_are_read_only_and_hashable():
    """Extra members behave as a mapping, and refuse pickling."""
    members = Members({"a": 1})

    assert members == {"a": 1} == dict(members)
    assert members == Members({"a": 1}) != Members({"a": 2})
    assert "a" in members
    assert (members.get("a"), members.get("b"), members.get("b", 5)) == (1, None, 5)
    assert [*members] == [*members.keys()] == ["a"]
    assert [*members.items()] == [("a", 1)]
    assert hash(members) == hash(Members({"a": 2}))
    assert repr(members) == "Members(a)"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(members)


def test_requests_and_responses_hide_headers_and_bodies(canary):
    """Neither a request nor a response shows its headers and its body."""
    request = HttpRequest("POST", "https://a.example", {"X": canary.text}, canary.text.encode())
    response = HttpResponse(200, {"X-Y": canary.text}, canary.text.encode())

    canary.assert_hidden(request, response)
    assert response.headers["x-y"] == canary.text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("application/json", "application/json"),
        ("Application/JSON; charset=utf-8", "application/json"),
        ("", ""),
    ],
)
def test_media_type_is_without_parameters(value, expected):
    """Parameters and case do not matter."""
    assert HttpResponse(200, {"Content-Type": value}).media_type == expected


def test_forms_keep_their_order():
    """Parameters are encoded in the order given, repeated names included."""
    assert encode_form([("b", "1"), ("a", "x y"), ("b", "&=")]) == b"b=1&a=x+y&b=%26%3D"


@pytest.mark.parametrize(
    ("retry_after", "date", "expected"),
    [
        ("120", "", 120.0),
        ("0", "", 0.0),
        (" 5 ", "", 5.0),
        ("999999999999999999", "", 999999999999.0),
        ("-5", "", None),
        ("1.5", "", None),
        ("soon", "", None),
        ("", "", None),
        ("Tue, 14 Nov 2023 22:14:20 GMT", "", 60.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", "Tue, 14 Nov 2023 22:14:00 GMT", 20.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", "", 0.0),
        ("Tue, 99 Nov 2023 22:00:00 GMT", "", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(retry_after, date, expected):
    """
    Retry-After is a number of seconds, or a date that counts from the server's own clock (RFC
    9110 §10.2.3).
    """
    response = HttpResponse(503, {"Retry-After": retry_after, "Date": date})

    assert parse_retry_after(response, now=NOW) == expected


@pytest.mark.parametrize("zone", ["GMT", "-0000", "", "UTC"])
def test_a_date_without_a_zone_is_utc(zone, monkeypatch):
    """A date without a zone is UTC, whatever this machine's zone is."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse_http_date(f"Tue, 14 Nov 2023 22:13:20 {zone}") == 1_700_000_000
        assert parse_http_date("Tue, 14 Nov 2023 23:13:20 +0100") == 1_700_000_000
    finally:
        monkeypatch.undo()
        time.tzset()


def test_dates_beyond_the_calendar_are_none():
    """A date that no calendar holds is no date."""
    assert parse_http_date("Tue, 14 Nov 99999999 22:00:00 GMT") is None


def test_challenges_in_several_fields_are_one_list():
    """A list may be spread over fields (RFC 9110 §5.3); of other fields the last one counts."""
    headers = CIMultiDict(
        [("WWW-Authenticate", "DPoP"), ("www-authenticate", "Bearer"), ("X", "a"), ("x", "b")]
    )
    response = HttpResponse(401, headers)

    assert response.headers == {"www-authenticate": "DPoP, Bearer", "x": "b"}

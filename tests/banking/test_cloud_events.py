"""The envelopes of events, in each form, and what is refused of them."""

import json

import hypothesis
import pytest
from hypothesis import strategies as st

import aritma_auth as aa
from aritma_auth import banking
from aritma_auth.protocol.redaction import HiddenBytes, Members

ENVELOPE = {
    "specversion": "1.0",
    "id": "2d59f3a8",
    "source": "kx9mp3rw2jf5nt42",
    "type": "banking.payment.status.updated",
    "time": "2026-03-01T09:13:43.5146800+00:00",
    "subject": "/subscriptions/kx9mp3rw2jf5nt42/accounts/58f6",
    "tid": "00000000-0000-0000-0000-000000000000",
    "data": {"paymentId": "p1", "transactionStatus": "PDNG"},
}
SINGLE = "application/cloudevents+json; charset=utf-8"
BATCH = "application/cloudevents-batch+json"


def binary(**changes):
    """Give the header fields of the binary form."""
    attributes = {name: value for name, value in ENVELOPE.items() if name != "data"} | changes
    fields = [(f"ce-{name}", value) for name, value in attributes.items() if value is not None]
    return [("Content-Type", "application/json"), *fields]


def parse(body, *fields, media_type=SINGLE, **settings):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = [("Content-Type", media_type)] * (media_type is not None)
    return banking.parse_cloud_events([*headers, *fields], content, **settings)


def changed(**changes):
    return {name: value for name, value in (ENVELOPE | changes).items() if value is not None}


def test_a_structured_event_is_parsed():
    """Each attribute of Aritma's own sample has its place, seven digits of a second included."""
    (event,) = parse(ENVELOPE)

    assert event == banking.CloudEvent(
        id="2d59f3a8",
        source="kx9mp3rw2jf5nt42",
        type="banking.payment.status.updated",
        tenant="00000000-0000-0000-0000-000000000000",
        subject="/subscriptions/kx9mp3rw2jf5nt42/accounts/58f6",
        time=1772356423.51468,
        data=Members(ENVELOPE["data"]),
    )
    assert event.members.get("paymentId") == "p1"
    assert "PDNG" not in repr(event)


def test_each_form_says_the_same():
    """Structured, plain JSON, binary, mixed and batched deliveries give the same event."""
    (event,) = parse(ENVELOPE)
    data = json.dumps(ENVELOPE["data"]).encode()

    assert parse(ENVELOPE, media_type="application/json") == (event,)
    assert banking.parse_cloud_events(binary(), data) == (event,)
    assert parse(ENVELOPE, *binary()[1:]) == (event,)
    assert parse([ENVELOPE, ENVELOPE], media_type=BATCH) == (event, event)
    assert parse([ENVELOPE]) == (event,)
    assert parse([], media_type=BATCH) == ()


def test_a_header_field_may_be_encoded():
    """A ce- field encodes what header fields cannot hold, and names ignore case."""
    fields = [
        ("CE-" + name[3:], value) if name == "ce-subject" else (name, value)
        for name, value in binary(subject="/a%20%C3%A5")
    ]

    (event,) = banking.parse_cloud_events(fields, b"")

    assert event.subject == "/a å"
    assert event.data is None
    assert event.members == Members()


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (changed(data=[1, 2]), [1, 2]),
        (changed(data="text"), "text"),
        (changed(data=None), None),
        (changed(data=None, data_base64="AAE="), b"\x00\x01"),
    ],
)
def test_data_is_whatever_it_is(body, data):
    """Data that is no object is kept as it came."""
    (event,) = parse(body)

    assert event.data == data
    assert event.members == Members()


def test_binary_data_of_another_media_type_stays_bytes():
    """What is not JSON is bytes that do not show."""
    fields = [("Content-Type", "text/plain"), *binary()[1:]]

    (event,) = banking.parse_cloud_events(fields, b"hello")

    assert event.data == b"hello"
    assert isinstance(event.data, HiddenBytes)


def test_further_attributes_are_kept():
    """An extension attribute is among the extensions, by name."""
    (event,) = parse(changed(dataschema="urn:x", partitionkey=5))

    assert dict(event.extensions.items()) == {"dataschema": "urn:x", "partitionkey": 5}


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01T00:00:00Z", 5, None])
def test_an_unreadable_time_is_none(time):
    """The time decides nothing, so one that cannot be read refuses nothing."""
    (event,) = parse(changed(time=time))

    assert event.time is None


def test_a_time_without_zone_is_utc():
    """RFC 3339 has no local time."""
    assert parse(changed(time="1970-01-01T00:00:10"))[0].time == 10.0


def nested(depth):
    return b'{"data":' + b"[" * depth + b"]" * depth + b"}"


REFUSED = {
    "no JSON": (b"{", {}),
    "no object": (b"7", {}),
    "an empty body": (b"", {}),
    "another charset": (b"{}", {"media_type": "application/cloudevents+json; charset=latin1"}),
    "no media type": (ENVELOPE, {"media_type": None}),
    "another media type": (ENVELOPE, {"media_type": "text/plain"}),
    "a form": (b"a=b", {"media_type": "application/x-www-form-urlencoded"}),
    "a batch that is none": (ENVELOPE, {"media_type": BATCH}),
    "a batch of plain JSON": ([ENVELOPE], {"media_type": "application/json"}),
    "a batch of texts": (["a"], {"media_type": BATCH}),
    "a huge batch": ([ENVELOPE] * 6, {"media_type": BATCH, "max_events": 5}),
    "a member twice": (b'{"id":"1","id":"2"}', {}),
    "a deep nesting": (nested(100_000), {}),
    "no number": (b'{"data":NaN}', {}),
    "another version": (changed(specversion="0.3"), {}),
    "no version": (changed(specversion=None), {}),
    "no id": (changed(id=None), {}),
    "an empty id": (changed(id=""), {}),
    "an id that is a number": (changed(id=7), {}),
    "a line break in the id": (changed(id="a\nb"), {}),
    "a long id": (changed(id="a" * 1025), {}),
    "no source": (changed(source=None), {}),
    "no type": (changed(type=None), {}),
    "a tenant that is a list": (changed(tid=["a"]), {}),
    "both kinds of data": (changed(data_base64="AAE="), {}),
    "data that is not base64": (changed(data=None, data_base64="***"), {}),
    "base64 that is a number": (changed(data=None, data_base64=5), {}),
    "an attribute's odd name": (changed(**{"Odd-Name": "a"}), {}),
}


@pytest.mark.parametrize(("body", "settings"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_event_is_refused(body, settings):
    """A hostile or broken delivery raises one error that quotes nothing of it."""
    with pytest.raises(aa.VerificationError) as caught:
        parse(body, **settings)

    assert caught.value.__context__ is None
    assert "2d59f3a8" not in str(caught.value)


FIELDS = {
    "a field twice": [*binary(), ("ce-id", "2d59f3a8")],
    "a field twice in other letters": [*binary(), ("CE-ID", "other")],
    "a byte that is no text": binary(id="%ff"),
    "a raw byte, as servers pass it on": binary(id=b"\xff".decode(errors="surrogateescape")),
    "a missing id": binary(id=None),
    "two media types": [*binary(), ("content-type", SINGLE)],
}


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
def test_odd_header_fields_are_refused(fields):
    """A binary delivery says each attribute once, as a text."""
    with pytest.raises(aa.VerificationError):
        banking.parse_cloud_events(fields, b"{}")


@pytest.mark.parametrize(
    "field", [("ce-id", "other"), ("ce-tid", "other"), ("ce-type", "other"), ("ce-extra", "a")]
)
@pytest.mark.parametrize("body", [ENVELOPE, [ENVELOPE]], ids=["single", "batch"])
def test_a_field_must_not_contradict_the_envelope(field, body):
    """Of two identities in one delivery, one check could see the first and another the second."""
    with pytest.raises(aa.VerificationError, match="what the envelope says"):
        parse(body, field)


def test_arguments_are_checked():
    """A body that is a text, or a limit that is none, is refused by name."""
    with pytest.raises(aa.ConfigurationError, match="body must be bytes"):
        banking.parse_cloud_events([], "{}")
    with pytest.raises(aa.ConfigurationError, match="max_events must be a whole number"):
        banking.parse_cloud_events([], b"{}", max_events=None)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@hypothesis.given(
    body=st.binary() | JSON.map(lambda value: json.dumps(value).encode()),
    media_type=st.sampled_from([SINGLE, BATCH, "application/json", "text/plain", None]),
    fields=st.lists(
        st.tuples(st.sampled_from(["ce-id", "ce-type", "CE-tid", "Content-Type"]), st.text())
    ),
)
def test_whatever_comes_is_events_or_refused(body, media_type, fields):
    """No bytes and no header fields raise anything but a VerificationError."""
    try:
        events = parse(body, *fields, media_type=media_type)
    except aa.VerificationError:
        return
    assert all(event.id and event.source and event.type for event in events)


@pytest.mark.parametrize(
    ("written", "event_id"),
    [
        ('"2d"', "2d"),
        ('"2%20d"', "2 d"),
        (r'"2\"d\\"', '2"d\\'),
        ('"', '"'),
        ('"2d', '"2d'),
        ("2d", "2d"),
    ],
)
def test_a_quoted_field_says_what_it_says_without_quotes(written, event_id):
    """Two spellings of one id are one event (CloudEvents HTTP 1.0.2 §3.1.3.2)."""
    (event,) = banking.parse_cloud_events(binary(id=written), b"{}")

    assert event.id == event_id

"""Records as bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aritma_auth as aa
from aritma_auth.stores import Record, SharedBackoff
from aritma_auth.stores.records import RecordError, dump_record, parse_record
from support.stores import full_token

NOW = 1_700_000_000.0
TOKEN = full_token(NOW, extra={"tid": "acme"})
TOKEN_GOLDEN = (
    b'"token":{"access_token":"access","token_type":"Bearer","issued_at":1700000000.0,'
    b'"expires_at":1700003600.0,"refresh_token":"refresh","id_token":"id","scope":["a","b"],'
    b'"extra":{"tid":"acme"}}'
)
GOLDEN = {
    "nothing": (
        Record(),
        b'{"version":1,"serial":0,"redeeming_since":null,"token":null,"backoff":null}',
    ),
    "a token": (
        Record(TOKEN, 3),
        b'{"version":1,"serial":3,"redeeming_since":null,' + TOKEN_GOLDEN + b',"backoff":null}',
    ),
    "a bare token": (
        Record(aa.Token("access"), 1),
        b'{"version":1,"serial":1,"redeeming_since":null,"token":{"access_token":"access",'
        b'"token_type":"Bearer","issued_at":0.0,"expires_at":null,"refresh_token":null,'
        b'"id_token":null,"scope":null,"extra":{}},"backoff":null}',
    ),
    "a mark": (
        Record(redeeming_since=NOW),
        b'{"version":1,"serial":0,"redeeming_since":1700000000.0,"token":null,"backoff":null}',
    ),
    "a refusal": (
        Record(
            backoff=SharedBackoff(
                aa.InvalidClientError(
                    "invalid_client", "who?", uri="https://idp.example/e", status=401
                ),
                2,
                30.0,
                "abcd",
            )
        ),
        b'{"version":1,"serial":0,"redeeming_since":null,"token":null,"backoff":{"kind":"OAuthError",'
        b'"message":"invalid_client","since":1700000000.0,"seconds":30.0,"count":2,"credential":"abcd",'
        b'"status":401,"description":"who?","uri":"https://idp.example/e",'
        b'"may_have_arrived":false,"problems":[]}}',
    ),
    "an outage": (
        Record(backoff=SharedBackoff(aa.TransportError("down"), 1, 5.0)),
        b'{"version":1,"serial":0,"redeeming_since":null,"token":null,"backoff":{'
        b'"kind":"TransportError","message":"down","since":1700000000.0,"seconds":5.0,"count":1,'
        b'"credential":"","status":null,"description":null,"uri":null,"may_have_arrived":true,"problems":[]}}',
    ),
    "a broken response": (
        Record(
            backoff=SharedBackoff(
                aa.InvalidResponseError("broken", status=502, problems=("empty",))
            )
        ),
        b'{"version":1,"serial":0,"redeeming_since":null,"token":null,"backoff":{'
        b'"kind":"InvalidResponseError","message":"broken","since":1700000000.0,"seconds":0.0,"count":1,'
        b'"credential":"","status":502,"description":null,"uri":null,"may_have_arrived":false,'
        b'"problems":["empty"]}}',
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_record_is_these_bytes(name):
    """Other versions of this package read these bytes: a change needs a new version number."""
    record, golden = GOLDEN[name]

    assert bytes(dump_record(record, now=NOW)) == golden


@pytest.mark.parametrize("name", GOLDEN)
def test_what_was_written_is_read(name):
    """A record that was written is read, its error by kind and words."""
    record, golden = GOLDEN[name]
    read = parse_record(golden, now=NOW)

    assert (read.token, read.serial) == (record.token, record.serial)
    assert read.redeeming_since == record.redeeming_since
    assert described(read.backoff) == described(record.backoff)


def described(backoff):
    if backoff is None:
        return None
    error = backoff.error
    return type(error), str(error), vars(error), backoff.count, backoff.seconds, backoff.credential


def test_the_seconds_of_a_backoff_run_while_it_is_kept():
    """The record states when the backoff began and how long it lasts."""
    body = dump_record(Record(backoff=SharedBackoff(aa.TransportError("down"), 1, 30.0)), now=NOW)

    assert parse_record(body, now=NOW + 10).backoff.seconds == 20
    assert parse_record(body, now=NOW + 40).backoff.seconds == -10


def test_a_backoff_of_the_future_has_ended():
    """A clock that was set back must not stop the fleet for the difference."""
    body = dump_record(Record(backoff=SharedBackoff(aa.TransportError("down"), 4, 30.0)), now=NOW)

    assert parse_record(body, now=NOW - 50).backoff.seconds == 80
    assert parse_record(body, now=NOW - 70).backoff.seconds == 0
    assert parse_record(body, now=NOW - 70).backoff.count == 4


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (type("Subclass", (aa.TransportError,), {})("down"), aa.TransportError),
        (aa.OAuthError("odd"), aa.OAuthError),
        (aa.InvalidGrantError("invalid_grant"), aa.InvalidGrantError),
        (aa.ReauthenticationRequiredError("sign in"), aa.ReauthenticationRequiredError),
    ],
    ids=lambda thing: getattr(thing, "__name__", type(thing).__name__),
)
def test_a_failure_of_a_kind_that_is_shared_keeps_its_kind(error, kind):
    """A subclass is read as the class that all versions know."""
    assert (
        type(
            parse_record(
                dump_record(Record(backoff=SharedBackoff(error)), now=0), now=0
            ).backoff.error
        )
        is kind
    )


@pytest.mark.parametrize(
    "error", [aa.ProviderClosedError("closed"), aa.TokenTimeoutError("late")], ids=str
)
def test_a_failure_of_this_process_alone_is_not_shared(error):
    """The token beside a local failure is shared without it."""
    record = parse_record(
        dump_record(Record(TOKEN, 1, backoff=SharedBackoff(error)), now=NOW), now=NOW
    )

    assert (record.token, record.backoff) == (TOKEN, None)


def changed(**members):
    """Return a good record with changes."""
    record = json.loads(GOLDEN["a token"][1]) | {
        "backoff": json.loads(GOLDEN["an outage"][1])["backoff"]
    }
    for path, value in members.items():
        *parents, name = path.split("__")
        target = record
        for parent in parents:
            target = target[parent]
        if value is GONE:
            del target[name]
        else:
            target[name] = value
    return json.dumps(record).encode()


GONE = object()
BAD = {
    "nothing at all": (b"", "empty"),
    "no text": (b"\xff\xfe", "UTF-8"),
    "no JSON": (b"canary", "not JSON"),
    "cut short": (changed()[:-1], "not JSON"),
    "a list": (b"[]", "not an object"),
    "nested too deeply": (b'{"a":' + b"[" * 100_000, "nested"),
    "a member twice": (b'{"version":1,"version":1,"serial":1}', "twice"),
    "no number": (b'{"version":1,"serial":NaN}', "not finite"),
    "no version": (changed(version=GONE), "another version"),
    "the next version": (changed(version=2), "another version"),
    "a version in words": (changed(version="1"), "another version"),
    "a version that is true": (changed(version=True), "version"),
    "no serial": (changed(serial=GONE), "serial"),
    "a serial in words": (changed(serial="3"), "serial"),
    "half a serial": (changed(serial=1.5), "serial"),
    "a mark in words": (changed(redeeming_since="canary"), "redeeming_since"),
    "a mark beyond all numbers": (changed(redeeming_since=10**400), "redeeming_since"),
    "a token that is a text": (changed(token="canary"), "must be an object"),
    "no access token": (changed(token__access_token=GONE), "access_token"),
    "a null access token": (changed(token__access_token=None), "access_token"),
    "an access token that is a number": (changed(token__access_token=1), "access_token"),
    "no issue time": (changed(token__issued_at=GONE), "issued_at"),
    "an end in words": (changed(token__expires_at="canary"), "expires_at"),
    "a refresh token that is a list": (changed(token__refresh_token=["canary"]), "refresh_token"),
    "a scope that is a text": (changed(token__scope="canary"), "must be a list"),
    "a scope of numbers": (changed(token__scope=[1]), "must be a list"),
    "no further members": (changed(token__extra=GONE), "must be an object"),
    "further members in a list": (changed(token__extra=["canary"]), "must be an object"),
    "a backoff that is a text": (changed(backoff="canary"), "must be an object"),
    "a backoff without a beginning": (changed(backoff__since=GONE), "since"),
    "a backoff without an end": (changed(backoff__seconds=GONE), "seconds"),
    "a backoff without a count": (changed(backoff__count=GONE), "count"),
    "a backoff of an unknown kind": (changed(backoff__kind="canary"), "unknown kind"),
    "a backoff without problems": (
        changed(backoff__kind="InvalidResponseError", backoff__problems=GONE),
        "must be a list",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_record_is_refused(name, canary):
    """The error quotes nothing of the bytes, and its traceback shows no secret."""
    body, words = BAD[name]
    with pytest.raises(RecordError, match=words) as caught:
        parse_record(body.replace(b"canary", canary.text.encode()), now=NOW)

    canary.assert_hidden(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_table_of_bad_records_is_about_what_it_says():
    """The record that the table changes is a good one."""
    assert parse_record(changed(), now=NOW).token == TOKEN


@given(st.binary())
def test_no_bytes_crash_the_reader(body):
    """Arbitrary bytes raise a RecordError and nothing else."""
    with pytest.raises(RecordError):
        parse_record(body, now=NOW)


texts = st.text(max_size=20)
seconds = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | seconds | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
tokens = st.builds(
    aa.Token,
    texts,
    texts,
    expires_at=st.none() | seconds,
    scope=st.none() | st.lists(texts, max_size=3).map(tuple),
    refresh_token=st.none() | texts,
    id_token=st.none() | texts,
    issued_at=seconds,
    extra=st.dictionaries(texts, values, max_size=3).map(
        lambda members: aa.Token("", extra=members).extra
    ),
)
records = st.builds(Record, st.none() | tokens, st.integers(0), st.none() | seconds)


@given(records)
def test_whatever_is_written_is_read(record):
    """Every text and every finite number comes back."""
    assert parse_record(dump_record(record, now=NOW), now=NOW) == record


def test_a_record_as_bytes_shows_no_secret(canary):
    """The bytes of a record and the record read from them show no secret."""
    body = dump_record(Record(aa.Token(canary.text, extra={"a": canary.text})), now=NOW)

    canary.assert_hidden(body, parse_record(body, now=NOW))

"""``WWW-Authenticate``: parsed by the full grammar, and nothing beyond it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aritma_auth.protocol.www_authenticate import Challenge, parse_challenges


def one(scheme, token68=None, **parameters):
    return Challenge(scheme, token68, parameters)


BEARER = one("bearer", realm="a")

VECTORS = [
    # One challenge.
    ("", []),
    ("Bearer", [one("bearer")]),
    ("BEARER", [one("bearer")]),
    ("Bearer ", [one("bearer")]),
    (" \tBearer\t ", [one("bearer")]),
    ("Bearer realm=a", [BEARER]),
    ('Bearer realm="a"', [BEARER]),
    ('Bearer realm=""', [one("bearer", realm="")]),
    ('Bearer REALM="a"', [BEARER]),
    ('Bearer    realm="a"', [BEARER]),
    ('Bearer realm = "a"', [BEARER]),
    ('Bearer realm\t=\t"a" ', [BEARER]),
    ('Bearer realm="a",error=b', [one("bearer", realm="a", error="b")]),
    ('Bearer realm="a" , error=b', [one("bearer", realm="a", error="b")]),
    ('Bearer realm="a", realm="b"', [BEARER]),
    ('Bearer realm="a", Realm=b', [BEARER]),
    # Quoted texts.
    (r'Bearer realm="a \"b\" \\c"', [one("bearer", realm='a "b" \\c')]),
    (r'Bearer realm="\a"', [BEARER]),
    ('Bearer realm="a, b=c, Basic"', [one("bearer", realm="a, b=c, Basic")]),
    ('Bearer realm="="', [one("bearer", realm="=")]),
    ('Bearer realm="é\t☃"', [one("bearer", realm="é\t☃")]),
    ("Bearer realm=a!#$%&'*+-.^_`|~9", [one("bearer", realm="a!#$%&'*+-.^_`|~9")]),
    # The bare credential.
    ("Negotiate abc", [one("negotiate", "abc")]),
    ("Negotiate abc==", [one("negotiate", "abc==")]),
    ("Negotiate a-b._~+/c=", [one("negotiate", "a-b._~+/c=")]),
    ("Negotiate abc==, Basic", [one("negotiate", "abc=="), one("basic")]),
    ("Negotiate abc , Basic x=y", [one("negotiate", "abc"), one("basic", x="y")]),
    ("Negotiate realm=", [one("negotiate", "realm=")]),
    # Several challenges.
    ("Basic, Bearer", [one("basic"), one("bearer")]),
    ('Basic realm="x", Bearer realm="a"', [one("basic", realm="x"), BEARER]),
    ('Bearer realm="a", Basic', [BEARER, one("basic")]),
    ("Basic a=b, c=d, Bearer realm=a", [one("basic", a="b", c="d"), BEARER]),
    (
        'Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"',
        [
            one("newauth", realm="apps", type="1", title='Login to "apps"'),
            one("basic", realm="simple"),
        ],
    ),
    ("Bearer realm=a, Bearer realm=b", [BEARER, one("bearer", realm="b")]),
    # Empty elements of the list.
    (",", []),
    (" , ,, ", []),
    (",Bearer", [one("bearer")]),
    (", ,Bearer realm=a,, ,error=b,", [one("bearer", realm="a", error="b")]),
    ("Bearer ,realm=a", [BEARER]),
    ("Bearer , , Basic,", [one("bearer"), one("basic")]),
    # What breaks the grammar ends the field; what came before it counts.
    ("=", []),
    ('"Bearer"', []),
    ("realm=a", []),
    ('realm = "a", Bearer', []),
    ("Bearer\x00realm", []),
    ("Béarer", []),
    ("Bearer/x", []),
    ('Bearer realm="a', [one("bearer")]),
    ('Bearer realm="a\\', [one("bearer")]),
    ('Bearer realm="a"b', [one("bearer")]),
    ('Bearer realm="a" error="b"', [one("bearer")]),
    ("Bearer a b", [one("bearer")]),
    ("Bearer realm==", [one("bearer", "realm==")]),
    ("Bearer =a", []),
    ("Bearer realm=é", [one("bearer")]),
    ("Bearer realm=a, =", [BEARER]),
    ("Bearer realm=a;error=b", [one("bearer")]),
    ("Bearer realm=a, error=b c", [one("bearer", realm="a")]),
    ("Negotiate abc==, error=b", [one("negotiate", "abc==")]),
    ("Bearer realm=a\n", [one("bearer")]),
    ("Basic, Bearer realm=a, \x7f, Digest", [one("basic"), BEARER]),
]


@pytest.mark.parametrize(("field", "challenges"), VECTORS)
def test_a_field_is_read_by_the_grammar(field, challenges):
    """A field gives the challenges of RFC 9110 §11.6.1."""
    assert parse_challenges([field]) == challenges


def test_several_fields_are_read_one_by_one():
    """A break of the grammar in one field does not hide the next field."""
    fields = ['Basic realm="', "Bearer realm=a", "", "Digest"]

    assert parse_challenges(fields) == [one("basic"), BEARER, one("digest")]
    assert parse_challenges([]) == []


def test_identityservers_field_is_read():
    """IdentityServer's field is parsed, which has no space after the comma."""
    field = 'Bearer realm="IdentityServer",error="invalid_token",error_description="The access token expired"'
    (challenge,) = parse_challenges([field])

    assert challenge.parameters["error"] == "invalid_token"
    assert challenge.parameters["error_description"] == "The access token expired"


def test_an_endless_field_is_left_out():
    """A field of more than 16 kB is ignored, and the others count."""
    assert parse_challenges(["Bearer " + "a" * 16_384, "Basic"]) == [one("basic")]
    assert parse_challenges(["Bearer " + "a" * 16_377]) == [one("bearer", "a" * 16_377)]


tokens = st.text("!#$%&'*+-.^_`|~0129abyzABYZ", min_size=1, max_size=8)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def write(scheme, parameters):
    quoted = (
        f'{name}="{value.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"'
        for name, value in parameters.items()
    )
    return f"{scheme} {', '.join(quoted)}"


@given(
    st.lists(
        st.tuples(tokens, st.dictionaries(tokens.map(str.lower), texts, min_size=1)), max_size=4
    )
)
def test_what_is_written_is_read(challenges):
    """Any quoted value comes back as it was written."""
    field = ", ".join(write(scheme, parameters) for scheme, parameters in challenges)

    assert parse_challenges([field]) == [
        Challenge(scheme.lower(), None, parameters) for scheme, parameters in challenges
    ]


@given(st.text(max_size=200) | st.text(' ,="\\abB/~\t', max_size=200))
def test_no_field_raises(field):
    """Whatever is sent, names come out as lower-case tokens."""
    for challenge in parse_challenges([field]):
        assert challenge.scheme == challenge.scheme.lower()
        assert challenge.scheme
        assert challenge.token68 is None or not challenge.parameters


@pytest.mark.parametrize(
    "piece",
    [
        'a="',
        "a=",
        "a ",
        "a b,",
        ",",
        "a=b,",
        "a,",
        '"',
        '\\"',
        "a" * 16,
        " ",
        "= ",
        'a="\\',
        "a=b ",
    ],
)
@pytest.mark.parametrize("start", ["", "Bearer ", 'Bearer a="'])
def test_no_field_takes_long(start, piece):
    """The time grows with the length of a field, and not with its square."""
    field = (start + piece * 16_384)[:16_384]
    before = time.process_time()
    parse_challenges([field])

    # A square would be seconds; this machine needs milliseconds.
    assert time.process_time() - before < 1.0

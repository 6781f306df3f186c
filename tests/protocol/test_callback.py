"""The callback's parameters, in each form that a web framework gives them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict, MultiDictProxy
from starlette.datastructures import FormData, QueryParams, UploadFile
from yarl import URL

from aritma_auth.errors import ConfigurationError, StateMismatchError, VerificationError
from aritma_auth.protocol.callback import hide_callback, parse_callback


class Lists(dict):
    """A mapping as Django and Flask have it: what is named twice shows in ``lists`` alone."""

    def lists(self):
        return dict.items(self)

    def items(self):
        return [(name, values[-1]) for name, values in dict.items(self)]


GOOD = {"code": "a b", "state": "å", "iss": "https://id.example"}
QUERY = "code=a+b&state=%C3%A5&iss=https%3A%2F%2Fid.example"


@pytest.mark.parametrize(
    "callback",
    [
        pytest.param(f"https://me.example/cb?{QUERY}", id="a URL"),
        pytest.param(f"https://me.example/cb?{QUERY}#_=_", id="a URL with a dummy fragment"),
        pytest.param(f"http://[::1]:5004/cb?{QUERY}", id="a loopback URL"),
        pytest.param(f"no.example.app:/cb?{QUERY}", id="an app's own scheme"),
        pytest.param(f"/cb?{QUERY}", id="a path"),
        pytest.param(f"?{QUERY}", id="a query with its mark"),
        pytest.param(QUERY, id="a query"),
        pytest.param("code=a b&state=å&iss=https://id.example", id="a query hardly encoded"),
        pytest.param(QUERY.encode(), id="a body"),
        pytest.param(URL(f"https://me.example/cb?{QUERY}"), id="yarl, as aiohttp gives"),
        pytest.param(MultiDictProxy(MultiDict(GOOD)), id="multidict, as aiohttp gives"),
        pytest.param(QueryParams(QUERY), id="Starlette's query"),
        pytest.param(FormData(GOOD), id="Starlette's form"),
        pytest.param(Lists({k: [v] for k, v in GOOD.items()}), id="Django and Flask"),
        pytest.param(GOOD, id="a dict"),
        pytest.param(GOOD.items(), id="pairs"),
        pytest.param(iter(GOOD.items()), id="pairs that can be read once"),
    ],
)
def test_every_form_of_a_callback_is_read_alike(callback):
    """Each form gives the same parameters by the same names."""
    assert parse_callback(callback, response_mode="query") == GOOD


def test_the_fragment_counts_for_a_fragment():
    """For a fragment the fragment counts, and a query in front of it does not."""
    url = f"https://me.example/cb?code=other#{QUERY}"

    assert parse_callback(url, response_mode="fragment") == GOOD
    assert parse_callback(f"#{QUERY}", response_mode="fragment") == GOOD
    assert parse_callback(QUERY, response_mode="fragment") == GOOD
    assert parse_callback("https://me.example/cb", response_mode="fragment") == {}


@pytest.mark.parametrize(
    "callback",
    [
        "code=a&code=b",
        "code=a&code=a",
        "code=&code=a",
        "c%6Fde=a&code=b",
        b"code=a&code=b",
        URL("https://me.example/cb?code=a&code=b"),
        MultiDict([("code", "a"), ("code", "b")]),
        QueryParams("code=a&code=b"),
        FormData([("code", "a"), ("code", "b")]),
        Lists({"code": ["a", "b"]}),
        [("code", ""), ("code", "b")],
    ],
    ids=repr,
)
def test_what_comes_twice_is_seen_in_every_form(callback):
    """
    A repeated parameter is noticed even where a framework's own mapping shows the last value
    alone.
    """
    with pytest.raises(VerificationError, match="twice"):
        parse_callback(callback, response_mode="query")


def test_an_empty_parameter_is_absent():
    """A parameter without a value counts as absent (RFC 6749 §3.1)."""
    assert parse_callback("code=&state=x&error", response_mode="query") == {"state": "x"}


@pytest.mark.parametrize(
    "callback",
    [
        FormData([("code", UploadFile(None, filename="x"))]),
        {"code": 5},
        {"code": None},
        {"code": ["a"]},
        {"code": b"a"},
        {"code": "a\udcff"},
        [("code", "\ud800")],
    ],
    ids=repr,
)
def test_what_is_no_text_is_hostile(callback):
    """An uploaded file, a list or a lone surrogate is refused."""
    with pytest.raises(VerificationError, match="no text"):
        parse_callback(callback, response_mode="form_post")


@pytest.mark.parametrize(
    "callback",
    [
        "a" * (1 << 17) + "a",
        "&".join(f"a{n}=1" for n in range(101)),
        "https://[broken/?code=1",
        b"x" * 200_000,
    ],
    ids=["too long", "too many", "a broken URL", "a body that is too long"],
)
def test_what_is_beyond_reason_is_hostile(callback):
    """A callback beyond the limits is refused."""
    with pytest.raises(VerificationError, match="no authorization response"):
        parse_callback(callback, response_mode="query")


def test_the_limits_are_far_above_any_response():
    """A hundred parameters and 128 kB are still accepted."""
    pairs = "&".join(f"a{n}=1" for n in range(100))

    assert len(parse_callback(pairs, response_mode="query")) == 100
    assert len(parse_callback("a=" + "x" * ((1 << 17) - 2), response_mode="query")["a"]) == 131_070


@pytest.mark.parametrize("make", [str, str.encode, URL, lambda text: [("code", text)]])
def test_a_hidden_callback_shows_nothing(canary, make):
    """A hidden callback shows no value, in whatever form it came."""
    hidden = hide_callback(make(canary.text))

    assert canary.text not in repr(hidden)
    assert hide_callback(hidden) == hidden


TOKENS_IN_QUERY = [
    ("form_post", "https://me.example/cb?access_token=planted&state=s"),
    ("form_post", "https://me.example/cb?state=s&id_token=planted"),
    ("query", "https://me.example/cb?code=c&state=s&access_token=planted"),
    ("fragment", "https://me.example/cb?access_token=planted#code=c&state=s"),
    ("form_post", "/cb?id_token=planted&access_token=planted&state=s"),
    ("form_post", "?access_token=planted&state=s"),
    ("query", URL("https://me.example/cb?id_token=planted&state=s")),
]


@pytest.mark.parametrize(("response_mode", "callback"), TOKENS_IN_QUERY, ids=repr)
def test_tokens_in_the_query_of_a_url_are_refused(response_mode, callback):
    """A URL is logged and sent on: tokens never travel there, whatever was asked for."""
    with pytest.raises(VerificationError, match="tokens must not come in the query") as caught:
        parse_callback(callback, response_mode=response_mode)

    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("response_mode", "callback", "where"),
    [
        ("fragment", "https://me.example/cb?code=c&id_token=planted&state=s", "query"),
        ("fragment", "/cb?error=access_denied&state=s", "query"),
        ("query", "https://me.example/cb#code=planted&state=s", "fragment"),
        ("form_post", "https://me.example/cb#access_token=planted&state=s", "fragment"),
    ],
)
def test_a_response_in_another_part_of_the_url_is_named(response_mode, callback, where):
    """The message says where the response came and where it was expected, not another sign-in."""
    with pytest.raises(StateMismatchError) as caught:
        parse_callback(callback, response_mode=response_mode)

    assert f"response_mode {response_mode}" in str(caught.value)
    assert f"in the {where}" in str(caught.value)
    assert "another sign-in" not in str(caught.value)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    "callback",
    [5, None, object(), ["code"], [("code",)], [("a", "b", "c")], {"code"}, [5]],
    ids=lambda callback: type(callback).__name__,
)
def test_what_is_no_callback_at_all_is_the_callers_mistake(callback):
    """The message names the argument and its type, and no TypeError leaves the package."""
    with pytest.raises(ConfigurationError, match=r"^callback must be"):
        parse_callback(callback, response_mode="query")


@given(st.text(), st.sampled_from(["query", "fragment", "form_post"]))
def test_any_text_is_parsed_or_refused(text, response_mode):
    """Whatever a browser brings, parameters come out or an error of ours."""
    try:
        members = parse_callback(text, response_mode=response_mode)
    except VerificationError:
        return

    assert all(isinstance(value, str) and value for _, value in members.items())

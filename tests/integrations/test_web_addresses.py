"""Where an application and its pages are, and where a link may lead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

import aritma_auth as aa
from aritma_auth.integrations.web_addresses import WebPaths, parse_base_url, parse_return_path

OWN = {"/sign-in", "/callback"}
HOST = "https://me.example"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/", "/"),
        ("/accounts?from=1&to=2#end", "/accounts?from=1&to=2#end"),
        ("/søk?q=blåbær", "/s%C3%B8k?q=bl%C3%A5b%C3%A6r"),
        ("/a b", "/a%20b"),
        ("/%2Fevil.example", "/%2Fevil.example"),
        ("/%5Cevil.example", "/%5Cevil.example"),
        ("//evil.example", "/home"),
        ("///evil.example", "/home"),
        ("/\\evil.example", "/home"),
        ("\\\\evil.example", "/home"),
        ("/a\\..\\b", "/home"),
        ("/\t/evil.example", "/home"),
        ("/\n/evil.example", "/home"),
        ("/\u202eevil", "/home"),
        ("/\ud800", "/home"),
        ("https://evil.example/", "/home"),
        ("javascript:alert(1)", "/home"),
        ("evil.example", "/home"),
        ("", "/home"),
        (None, "/home"),
        ("/" + "a" * 2048, "/home"),
        ("/sign-in", "/home"),
        ("/sign-in?next=/accounts", "/home"),
        ("/callback#x", "/home"),
    ],
)
def test_a_way_back_is_a_page_of_the_application(text, path):
    """A link may name a page of this application, and neither another host nor the sign-in itself."""
    assert parse_return_path(text, own=OWN, default="/home") == path


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("/\\\t\n@:.?#%"), max_size=40))
def test_no_way_back_leads_to_another_host(text):
    """Whatever a link says, a browser stays at the application's host."""
    path = parse_return_path(f"/{text}", own=OWN, default="/home")
    joined = URL(HOST).join(URL(path, encoded=True))

    assert path.isascii()
    assert path.isprintable()
    assert joined.origin() == URL(HOST)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://me.example", "https://me.example"),
        ("https://me.example/", "https://me.example"),
        ("https://ME.example:443", "https://me.example"),
        ("https://me.example:8443", "https://me.example:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost", "http://localhost"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_a_base_url_is_an_origin_as_browsers_write_it(url, origin):
    """The Origin header of a browser is compared with it."""
    assert parse_base_url(url).origin == origin
    assert parse_base_url(url).url == origin


@pytest.mark.parametrize("url", ["https://me.example/app", "https://ME.example:443/app/"])
def test_a_base_url_may_have_a_path(url):
    """An application may be below a path of its host; no browser has it in an Origin header."""
    address = parse_base_url(url)

    assert (address.origin, address.prefix) == ("https://me.example", "/app")
    assert address.url == "https://me.example/app"


@pytest.mark.parametrize(
    ("path", "outside"),
    [
        ("/accounts", "/app/accounts"),
        ("/accounts?next=/app", "/app/accounts?next=/app"),
        ("/", "/app/"),
        ("/apple", "/app/apple"),
        ("/app", "/app"),
        ("/app?x=1", "/app?x=1"),
        ("/app#x", "/app#x"),
        ("/app/accounts?x=1", "/app/accounts?x=1"),
    ],
)
def test_a_links_path_is_given_the_prefix_that_it_lacks(path, outside):
    """A page may name another with the prefix or without."""
    assert parse_base_url("https://me.example/app").path_of_link(path) == outside
    assert parse_base_url("https://me.example").path_of_link(path) == path


@pytest.mark.parametrize(
    ("base_url", "path", "root", "outside"),
    [
        ("https://me.example", "/app", "", "/app"),
        ("https://me.example/app", "/accounts?x=/app", "", "/app/accounts?x=/app"),
        ("https://me.example/app", "/app/accounts", "", "/app/app/accounts"),
        ("https://me.example/app", "/app/accounts", "/app", "/app/accounts"),
        ("https://me.example/app", "/app/app/accounts", "/app", "/app/app/accounts"),
        ("https://me.example/bank/app", "/app/accounts", "/app", "/bank/app/accounts"),
    ],
)
def test_a_requests_path_is_what_the_browser_sent(base_url, path, root, outside):
    """A proxy may strip the prefix or a part of it, and the framework says where it has mounted."""
    assert parse_base_url(base_url).path_of_request(path, root) == outside


@pytest.mark.parametrize(
    "url",
    [
        "http://me.example",
        "https://me.example/app?x=1",
        "https://me.example/{tenant}",
        "https://me.example//app",
        "https://me.example/a%2Fb",
        "https://me.example?x=1",
        "https://me:secret@me.example",
        "me.example",
        None,
    ],
)
def test_an_unusable_base_url_is_refused(url):
    """Plain http to another machine, a pattern, a query, a password and no URL at all."""
    with pytest.raises(aa.ConfigurationError, match="base_url"):
        parse_base_url(url)


def test_the_paths_of_the_sign_in_can_be_moved():
    """Home is no page of the sign-in."""
    paths = WebPaths(sign_in="/auth/sign-in", home="/start")

    assert "/auth/sign-in" in paths.own
    assert "/start" not in paths.own


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"callback": "callback"}, "callback must be a plain path"),
        ({"callback": "//evil.example"}, "callback must be a plain path"),
        ({"callback": "/callback?x=1"}, "callback must be a plain path"),
        ({"callback": "/{tenant}"}, "callback must be a plain path"),
        ({"home": None}, "home must be a path"),
        ({"home": "/callback"}, "must differ"),
    ],
)
def test_a_path_that_is_none_is_refused(changes, problem):
    """A path that leads elsewhere, has a query or a pattern, or stands for two pages."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        WebPaths(**changes)


def test_paths_as_browsers_see_them():
    """Each path is put below the prefix; the home page is the prefix with its slash."""
    shown = WebPaths().below("/app")

    assert (shown.callback, shown.home) == ("/app/callback", "/app/")
    assert WebPaths().below("").callback == "/callback"

"""What a sign-in reads from requests and writes into responses, whatever a browser sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

import aritma_auth as aa
from aritma_auth.integrations.web_messages import (
    CookieJar,
    WebPaths,
    WebRequest,
    build_redirect,
    parse_base_url,
    parse_return_path,
)

OWN = {"/sign-in", "/callback"}
HOST = "https://me.example"


def make_request(method="GET", path="/", query=(), cookies=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return WebRequest(
        method=method, path=path, query=tuple(query), cookies=cookies or {}, headers=named
    )


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
    assert parse_base_url(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "http://me.example",
        "https://me.example/app",
        "https://me.example?x=1",
        "https://me:secret@me.example",
        "me.example",
        None,
    ],
)
def test_an_unusable_base_url_is_refused(url):
    """Plain http to another machine, a path, a query, a password and no URL at all."""
    with pytest.raises(aa.ConfigurationError, match="base_url"):
        parse_base_url(url)


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({"Sec_Fetch_Site": "same-origin"}, True),
        ({"Sec_Fetch_Site": "same-origin", "Origin": "null"}, True),
        ({"Sec_Fetch_Site": "same-site", "Origin": HOST}, False),
        ({"Sec_Fetch_Site": "cross-site", "Origin": HOST}, False),
        ({"Sec_Fetch_Site": "none"}, False),
        ({"Origin": HOST}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "https://me.example.evil.example"}, False),
        ({"Origin": "null"}, False),
        ({}, False),
    ],
)
def test_a_form_of_another_site_is_told_apart(headers, is_own):
    """Sec-Fetch-Site decides where it is sent, else Origin; a request without both is no form of ours."""
    assert make_request("POST", **headers).is_from(HOST) is is_own


@pytest.mark.parametrize(
    ("headers", "is_page"),
    [
        ({}, True),
        ({"Accept": "*/*"}, True),
        ({"Accept": "text/html,application/xml;q=0.9"}, True),
        ({"Accept": "application/json"}, False),
        ({"Sec_Fetch_Mode": "navigate", "Accept": "application/json"}, True),
        ({"Sec_Fetch_Mode": "cors"}, False),
        ({"Sec_Fetch_Mode": "same-origin"}, False),
    ],
)
def test_only_a_page_is_redirected(headers, is_page):
    """A script could not follow a redirect to the server's pages."""
    assert make_request(**headers).expects_page is is_page


def test_a_parameter_is_read_once():
    """The first value of a repeated name, and an empty text for one that is missing."""
    request = make_request(query=[("state", "one"), ("state", "two")])

    assert (request.parameter("state"), request.parameter("code")) == ("one", "")


def test_cookies_are_bound_to_the_host_over_https():
    """No neighbouring host can set a cookie with the prefix, and no script reads one."""
    jar = CookieJar(is_secure=True)

    assert jar.name("session") == "__Host-session"
    assert jar.set("__Host-session", "id") == (
        "Set-Cookie",
        "__Host-session=id; Path=/; HttpOnly; SameSite=Lax; Secure",
    )
    assert jar.delete("__Host-session")[1].endswith("; Secure; Max-Age=0")


def test_cookies_on_loopback_have_no_prefix():
    """Browsers accept the prefix over https alone."""
    jar = CookieJar(is_secure=False)

    assert jar.set(jar.name("session"), "id", max_age=600.0) == (
        "Set-Cookie",
        "session=id; Path=/; HttpOnly; SameSite=Lax; Max-Age=600",
    )


def test_a_redirect_keeps_nothing():
    """No cache stores it, and its address is sent to no other site."""
    response = build_redirect("/accounts", ("Set-Cookie", "a=b"))

    assert response.status == 303
    assert response.headers == (
        ("Cache-Control", "no-store"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("Location", "/accounts"),
        ("Set-Cookie", "a=b"),
    )


def test_nothing_shows_what_a_browser_sends():
    """The repr of a request has no cookie, path or parameter, and that of a response no header."""
    request = make_request("POST", "/callback?code=x", [("code", "x")], {"session": "secret"})
    response = build_redirect("/accounts", ("Set-Cookie", "session=secret"))

    assert repr(request) == "WebRequest(method='POST')"
    assert repr(response) == "WebResponse(status=303)"


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


@pytest.mark.parametrize(
    ("method", "upgrade", "is_safe"),
    [
        ("GET", None, True),
        ("HEAD", None, True),
        ("OPTIONS", None, True),
        ("GET", "h2c", True),
        ("GET", "websocket", False),
        ("GET", "h2c, WebSocket", False),
        ("POST", None, False),
        ("CONNECT", None, False),
    ],
)
def test_a_request_is_safe_unless_it_may_change_something(method, upgrade, is_safe):
    """A WebSocket begins with a GET, and what is sent through it may change anything."""
    headers = {} if upgrade is None else {"Upgrade": upgrade}
    assert make_request(method, **headers).is_safe is is_safe

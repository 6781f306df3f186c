"""What a sign-in reads from requests and writes into responses, whatever a browser sends."""

import pytest

from aritma_auth.integrations.web_messages import (
    CookieJar,
    WebRequest,
    build_redirect,
)

HOST = "https://me.example"


def make_request(method="GET", path="/", query=(), cookies=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return WebRequest(
        root="", method=method, path=path, query=tuple(query), cookies=cookies or {}, headers=named
    )


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


def test_cookies_are_named_for_the_application():
    """Applications of one host get each other's cookies, and each reads its own."""
    jar = CookieJar(is_secure=True, prefix="/app/v1.2")

    assert jar.session == "__Host-app~v1.2~session"
    assert CookieJar(is_secure=False, prefix="/app").session == "app~session"


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

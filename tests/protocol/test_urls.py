"""URLs: where a credential may be sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.urls import Origin, add_query, is_loopback, origin_of, require_secure_url


@pytest.mark.parametrize(
    "url",
    [
        "https://id.aritma.io/connect/token",
        "https://id.aritma.io:8443/x?query=kept",
        "http://localhost:5000/x",
        "http://127.0.0.1/x",
        "http://127.9.9.9/x",
        "http://[::1]:5000/x",
        "https://xn--bcher-kva.example/x",
        "https://under_score.example",
        "https://[fe80::1]/x",
    ],
)
def test_https_and_loopback_are_secure(url):
    """https may go anywhere, and http to this machine."""
    assert str(require_secure_url(url, "x")) == url


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("/connect/token", "must be an absolute https URL"),
        ("", "must be an absolute https URL"),
        ("https://", "must be an absolute https URL"),
        ("https://host:99999/", "must be an absolute https URL"),
        ("https://[bad/", "must be an absolute https URL"),
        ("https://host:0/", "must be an absolute https URL"),
        ("https://a..example/", "must be an absolute https URL"),
        ("https://.example/", "must be an absolute https URL"),
        ("mailto:x@y.example", "must be an absolute https URL"),
        ("https://a.example;https://b.example", "must be an absolute https URL"),
        ("https://a.example,b.example", "must be an absolute https URL"),
        ('https://"a.example"', "must be an absolute https URL"),
        ("https://{tenant}.a.example/", "must be an absolute https URL"),
        ("http://id.aritma.io/", "must use https"),
        ("http://localhost.evil.example/", "must use https"),
        ("http://127.0.0.1.evil.example/", "must use https"),
        ("http://127.0.0.256/", "must use https"),
        ("http://127.1/", "must use https"),
        ("http://0.0.0.0/", "must use https"),
        ("http://2130706433/", "must use https"),
        ("http://[::2]/", "must use https"),
        ("http://\u00a1\u2024", "must use https"),
        ("ws://id.aritma.io/", "must use https"),
        ("https://user:pw@id.aritma.io/", "user name or password"),
        ("https://id.aritma.io/#x", "fragment"),
    ],
)
def test_everything_else_is_refused(url, problem):
    """An insecure URL is refused by what is wrong with it."""
    with pytest.raises(ConfigurationError, match=problem) as caught:
        require_secure_url(url, "the thing")

    assert str(caught.value).startswith("the thing")
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example/x", Origin("https", "a.example", 443)),
        ("https://A.Example:443/y", Origin("https", "a.example", 443)),
        ("wss://a.example/x", Origin("https", "a.example", 443)),
        ("ws://localhost/x", Origin("http", "localhost", 80)),
        ("http://[::1]:8/x", Origin("http", "::1", 8)),
    ],
)
def test_origins_are_scheme_host_and_port(url, origin):
    """An explicit default port and a WebSocket make no other origin."""
    assert origin_of(URL(url)) == origin
    assert origin_of(URL(origin.url)) == origin


@pytest.mark.parametrize("host", [None, "", "a", "127.0.0.1.1", "127.0.0.x"])
def test_other_hosts_are_not_loopback(host):
    """No host but this machine is loopback."""
    assert not is_loopback(host)


@given(st.from_regex(r"\Ahttps?://[^/]{1,30}(/.*)?\Z"))
def test_http_never_leaves_the_machine(url):
    """An http URL that passes has a loopback host, however it is spelled."""
    try:
        parsed = require_secure_url(url, "x")
    except ConfigurationError:
        return

    assert parsed.scheme == "https" or is_loopback(parsed.raw_host)
    assert parsed.user is None


@pytest.mark.parametrize(
    ("url", "query", "whole"),
    [
        ("https://a.example/x", "a=1", "https://a.example/x?a=1"),
        ("https://a.example/x?", "a=1", "https://a.example/x?a=1"),
        ("https://a.example/x?p=b2c_1&", "a=1&a=2", "https://a.example/x?p=b2c_1&a=1&a=2"),
        ("https://a.example/x?client_id=b", "client_id=a", "https://a.example/x?client_id=a"),
        (
            "https://a.example/x?client%5Fid=b&p=1",
            "client_id=a",
            "https://a.example/x?p=1&client_id=a",
        ),
        (
            "https://a.example/x?client_id&p=1?2",
            "client_id=a",
            "https://a.example/x?p=1?2&client_id=a",
        ),
        ("https://a.example/x?client_id=b", "", "https://a.example/x?client_id=b"),
    ],
)
def test_no_parameter_is_sent_twice(url, query, whole):
    """An endpoint's own query is kept, but for the parameters that we send (RFC 6749 §3.1)."""
    assert add_query(url, query) == whole

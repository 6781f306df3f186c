"""The page that watches a session in a browser: its message, and who may embed and message it."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.session_management import build_session_page

FRAME = "https://id.aritma.io/connect/checksession"


def build(frame=FRAME, client_id="the-client", session_state="x.y", **settings):
    return build_session_page(frame, client_id=client_id, session_state=session_state, **settings)


class Script(HTMLParser):
    """Reads a page's one script."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page.html)
        ((self.attributes, self.text),) = self.found

    def handle_starttag(self, tag, attrs):
        if tag == "script":
            self.pending = dict(attrs)

    def handle_data(self, data):
        if self.lasttag == "script":
            self.found.append((self.pending, data))
            self.lasttag = None


def test_the_script_knows_what_to_ask_whom_and_how_often():
    """
    The message is the client id and session_state with a space between, as the specification has
    it.
    """
    page = build("https://id.aritma.io/t/connect/checksession?a=b&c=d", interval=0.5)

    assert Script(page).attributes == {
        "data-message": "the-client x.y",
        "data-src": "https://id.aritma.io/t/connect/checksession?a=b&c=d",
        "data-seconds": "0.5",
    }


def test_nothing_but_the_page_itself_is_let_in():
    """
    The policy allows one script by its hash, one frame, and pages of the same origin around it.
    """
    page, other = build(), build("http://127.0.0.1:5000/x", "another", "s.t", interval=60)
    digest = hashlib.sha256(Script(page).text.encode()).digest()

    assert Script(other).text == Script(page).text
    assert page.headers == {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": (
            "default-src 'none'; "
            f"script-src 'sha256-{base64.b64encode(digest).decode()}'; "
            "frame-src https://id.aritma.io:443; base-uri 'none'; frame-ancestors 'self'"
        ),
        "Cache-Control": "no-store",
    }
    assert "; frame-src http://127.0.0.1:5000; " in other.headers["Content-Security-Policy"]


def test_what_the_server_sent_stays_text():
    """session_state is escaped, and no repr shows it."""
    nasty = "\"'><script>alert(1)</script>&amp;"
    page = build(client_id=nasty, session_state=nasty)

    assert Script(page).attributes["data-message"] == f"{nasty} {nasty}"
    assert len(re.findall("<script", page.html)) == 1
    assert repr(page) == "SessionPage()"


@pytest.mark.parametrize(
    "frame",
    ["http://id.aritma.io/x", "/connect/checksession", "https://u:p@id.aritma.io/", f"{FRAME}#x"],
)
def test_only_a_secure_frame_is_asked(frame):
    """A frame's address must be secure, as every address of the server."""
    with pytest.raises(ConfigurationError, match="check_session_iframe"):
        build(frame)


@pytest.mark.parametrize("interval", [0, -1, 86_401, float("inf"), float("nan")])
def test_a_browser_is_not_kept_busy(interval):
    """An interval of zero, or beyond what a browser's timer can hold, is refused."""
    with pytest.raises(ConfigurationError, match="interval"):
        build(interval=interval)
    assert "86400" in build(interval=86_400).html

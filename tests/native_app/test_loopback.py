"""The listener that a browser comes back to, and who else may come."""

import asyncio
import contextlib
import socket

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

import aritma_auth as aa
from aritma_auth.native_app import loopback
from aritma_auth.native_app.loopback import LoopbackListener, Page

pytestmark = pytest.mark.usefixtures("no_leftovers")

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def has_ipv6():
    """Tell whether this machine's loopback speaks IPv6; containers often have none."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


@pytest.fixture
async def browser():
    async with aiohttp.ClientSession() as session:
        yield session


@contextlib.asynccontextmanager
async def visiting(listener, browser, method="GET", query="", **request):
    """Send a request to the listener's path and give what it brought, and how it was answered."""
    url = f"{listener.redirect_uri}{query}"
    asked = asyncio.create_task(browser.request(method, url, **request))
    visit = await listener.next_visit()
    yield visit, asked
    async with await asked:
        pass


def test_a_page_takes_nothing_for_markup():
    """Whatever a server says is text."""
    html = Page("<b>&", '"><script>alert(1)</script>').html()

    assert "<b>" not in html
    assert "<script>" not in html
    assert "<title>&lt;b&gt;&amp;</title>" in html
    assert "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in html


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"host": "0.0.0.0"}, "127.0.0.1 or ::1"),
        ({"host": "localhost"}, "127.0.0.1 or ::1"),
        ({"port": -1}, "0 to 65535"),
        ({"port": 65536}, "0 to 65535"),
        ({"path": "callback"}, "path"),
        ({"path": "/call?back"}, "path"),
        ({"path": "/{anything}"}, "path"),
    ],
)
def test_what_cannot_be_listened_on_is_refused(arguments, said):
    """Nothing is opened."""
    with pytest.raises(aa.ConfigurationError, match=said):
        LoopbackListener(**arguments)


async def test_it_listens_on_loopback_alone(browser):
    """On a free port, for the path of its redirect URI."""
    async with LoopbackListener() as listener:
        (address,) = listener._runner.addresses

        assert address[0] == "127.0.0.1"
        assert address[1] > 0
        assert listener.redirect_uri == f"http://127.0.0.1:{address[1]}/callback"


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
async def test_it_can_listen_on_the_other_loopback_address(browser):
    """Bracketed in the redirect URI."""
    async with LoopbackListener("::1", path="/") as listener:
        assert listener.redirect_uri.startswith("http://[::1]:")
        async with visiting(listener, browser, query="?code=1") as (visit, _):
            visit.answer(Page("Title", "Text"))
            assert visit.callback == "?code=1"


async def test_the_path_may_be_empty(browser):
    """Some servers compare redirect URIs with nothing behind the port."""
    async with LoopbackListener(path="") as listener:
        assert listener.redirect_uri.count("/") == 2
        async with visiting(listener, browser, query="?code=1") as (visit, _):
            visit.answer(Page("Title", "Text"))


async def test_a_taken_port_is_named(browser):
    """Its owner must free it, or another must be registered; nothing is left of the attempt."""
    async with LoopbackListener() as first:
        second = LoopbackListener(port=first._port)
        with pytest.raises(aa.ConfigurationError, match=f"127.0.0.1, port {first._port}: "):
            await second.__aenter__()

    assert second._runner.server is None


@pytest.mark.parametrize(
    ("method", "query", "body"),
    [("GET", "?code=c%20c&iss=https://idp", None), ("POST", "", b"code=c%20c&iss=https://idp")],
)
async def test_what_a_browser_brings_is_given_as_it_is(browser, method, query, body):
    """Nothing is decoded here."""
    async with LoopbackListener() as listener:
        headers = FORM if body else {}
        arrival = visiting(listener, browser, method, query, data=body, headers=headers)
        async with arrival as (visit, asked):
            visit.answer(Page("Title", "Text", 201))
            visit.answer(Page("Second", "Nobody sees it"))

            assert visit.callback == "?code=c%20c&iss=https://idp"
            assert "code" not in repr(visit.callback)
            assert (await asked).status == 201
            assert "<h1>Title</h1>" in await (await asked).text()


async def test_answers_are_not_kept_framed_or_passed_on(browser):
    """The headers of every answer, and the connection's end."""
    async with LoopbackListener() as listener:
        async with visiting(listener, browser) as (visit, asked):
            visit.answer(Page("Title", "Text"))
            answers = [await asked]
        answers.append(await browser.get(f"{listener.redirect_uri}/favicon.ico"))
        for answer in answers:
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Connection"] == "close"
            assert "aiohttp" not in answer.headers["Server"]


@pytest.mark.parametrize("path", ["/callback", "/favicon.ico"])
async def test_a_connection_is_good_for_one_request(path):
    """It ends with the answer, whatever that is."""
    async with LoopbackListener() as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener._port)
        request = f"GET {path} HTTP/1.1\r\nHost: {listener._authority}\r\n\r\n"
        writer.write(request.encode())
        if path == "/callback":
            (await listener.next_visit()).answer(Page("Title", "Text"))
        assert (await reader.read()).endswith((b"</html>", b"404: Not Found"))
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/favicon.ico", {}, 404),
        ("GET", "/", {}, 404),
        ("GET", "/callback/", {}, 404),
        ("HEAD", "/callback", {}, 405),
        ("OPTIONS", "/callback", {}, 405),
        ("PUT", "/callback", {}, 405),
        ("GET", "/callback", {"Host": "evil.example"}, 421),
        ("GET", "/callback", {"Host": "127.0.0.1"}, 421),
        ("GET", "/callback", {"Host": "localhost:{port}"}, 421),
        ("GET", "/favicon.ico", {"Host": "evil.example"}, 421),
        ("POST", "/callback", {"Content-Type": "text/plain"}, 415),
        ("POST", "/callback", {"Content-Type": "multipart/form-data; boundary=x"}, 415),
    ],
)
async def test_other_requests_go_no_further(browser, method, path, headers, status):
    """They are no visits."""
    async with LoopbackListener() as listener:
        base = listener.redirect_uri.removesuffix("/callback")
        port = base.rpartition(":")[2]
        sent = {name: value.format(port=port) for name, value in headers.items()}
        async with browser.request(method, f"{base}{path}?code=1", headers=sent) as answer:
            assert answer.status == status
        assert listener._waiting.empty()


async def test_a_body_beyond_reason_is_not_read(browser):
    """128 KiB are enough for any answer."""
    async with LoopbackListener() as listener:
        async with browser.post(
            listener.redirect_uri, data=b"x" * (1 << 17) + b"x", headers=FORM
        ) as answer:
            assert answer.status == 413
        assert listener._waiting.empty()


async def test_a_query_beyond_reason_is_not_read(browser):
    """HTTP's own limit of a line."""
    async with LoopbackListener() as listener:
        async with browser.get(f"{listener.redirect_uri}?x={'x' * 10_000}") as answer:
            assert answer.status == 400
        assert listener._waiting.empty()


async def test_a_given_page_is_delivered_before_it_closes(browser):
    """Although it closes at once."""
    async with LoopbackListener() as listener:
        asked = asyncio.create_task(browser.get(listener.redirect_uri))
        visit = await listener.next_visit()
        visit.answer(Page("Title", "x" * 60_000))
    async with await asked as answer:
        assert (await answer.text()).count("x") > 60_000


async def test_visits_that_nobody_answered_learn_nothing(browser):
    """When it closes."""
    async with LoopbackListener() as listener:
        asked = asyncio.create_task(browser.get(listener.redirect_uri))
        await listener.next_visit()
    async with await asked as answer:
        assert answer.status == 400
        assert "waits for another answer" in await answer.text()


async def test_a_visit_that_is_late_learns_nothing():
    """Its request was under way when the listener closed."""
    async with LoopbackListener() as listener:
        pass
    answer = await listener._receive(make_mocked_request("GET", "/callback?code=1"))

    assert answer.status == 400


async def test_a_form_that_never_ends_does_not_hold_it_up(monkeypatch):
    """Its connection is cut."""
    monkeypatch.setattr(loopback, "_GRACE", 0.02)
    async with LoopbackListener() as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener._port)
        writer.write(
            f"POST /callback HTTP/1.1\r\nHost: {listener._authority}\r\nContent-Length: 6\r\n"
            f"Content-Type: {FORM['Content-Type']}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert b"100" in await reader.readuntil(b"\r\n\r\n")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_nothing_listens_afterwards(browser):
    """The port is free again."""
    async with LoopbackListener() as listener:
        port = listener._port
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0

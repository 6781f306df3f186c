"""Tests of the loopback listener, and of requests that it must refuse."""

import asyncio
import contextlib
import os
import socket
import sys

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

import aritma_auth as aa
from aritma_auth.native_app import loopback
from aritma_auth.native_app.loopback import LoopbackListener, Page
from support.internals import (
    authority_of,
    has_visits,
    port_of,
    receive,
    runner_of,
    start_path_of,
    start_url_of,
)

pytestmark = pytest.mark.usefixtures("no_leftovers")

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def has_ipv6():
    """Tell whether this machine has ::1; containers often have none."""
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
    """Send a request to the listener's path; return the visit, and the task of the request."""
    url = f"{listener.redirect_uri}{query}"
    sent = asyncio.create_task(browser.request(method, url, **request))
    visit = await listener.next_visit()
    yield visit, sent
    async with await sent:
        pass


def test_a_page_takes_nothing_for_markup():
    """Markup in a title or a text is escaped."""
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
        ({"port": "8400"}, "port"),
        ({"port": True}, "port"),
        ({"path": None}, "path"),
    ],
)
def test_an_unusable_argument_is_refused(arguments, said):
    """An argument that is not usable raises, and the message has the value found."""
    with pytest.raises(aa.ConfigurationError, match=said) as caught:
        LoopbackListener(**arguments)
    assert str(caught.value).partition("not ")[2].startswith(repr(next(iter(arguments.values()))))


async def test_it_listens_on_loopback_alone(browser):
    """The listener takes a free port of 127.0.0.1, which its redirect URI names."""
    async with LoopbackListener() as listener:
        (address,) = runner_of(listener).addresses

        assert address[0] == "127.0.0.1"
        assert address[1] > 0
        assert listener.redirect_uri == f"http://127.0.0.1:{address[1]}/callback"


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
async def test_it_can_listen_on_the_other_loopback_address(browser):
    """The redirect URI for ::1 has the address in brackets."""
    async with LoopbackListener("::1", path="/") as listener:
        assert listener.redirect_uri.startswith("http://[::1]:")
        async with visiting(listener, browser, query="?code=1") as (visit, _):
            visit.respond(Page("Title", "Text"))
            assert visit.callback == "?code=1"


async def test_the_path_may_be_empty(browser):
    """The redirect URI of an empty path ends with the port."""
    async with LoopbackListener(path="") as listener:
        assert listener.redirect_uri.count("/") == 2
        async with visiting(listener, browser, query="?code=1") as (visit, _):
            visit.respond(Page("Title", "Text"))


async def test_a_taken_port_is_named(browser):
    """A port in use is named in the error, and nothing is left of the attempt."""
    async with LoopbackListener() as first:
        second = LoopbackListener(port=port_of(first))
        with pytest.raises(aa.ConfigurationError, match=f"127.0.0.1, port {port_of(first)}: "):
            await second.__aenter__()

    assert runner_of(second).server is None


@pytest.mark.parametrize(
    ("method", "query", "body"),
    [("GET", "?code=c%20c&iss=https://idp", None), ("POST", "", b"code=c%20c&iss=https://idp")],
)
async def test_parameters_arrive_as_they_were_sent(browser, method, query, body):
    """The encoded query or form reaches the visit undecoded, and its repr is hidden."""
    async with LoopbackListener() as listener:
        headers = FORM if body else {}
        arrival = visiting(listener, browser, method, query, data=body, headers=headers)
        async with arrival as (visit, sent):
            visit.respond(Page("Title", "Text", 201))
            visit.respond(Page("Second", "This page is not shown"))

            assert visit.callback == "?code=c%20c&iss=https://idp"
            assert "code" not in repr(visit.callback)
            assert (await sent).status == 201
            assert "<h1>Title</h1>" in await (await sent).text()


async def test_responses_are_not_cached_framed_or_referred(browser):
    """Every response has the security headers, and closes its connection."""
    async with LoopbackListener() as listener:
        async with visiting(listener, browser) as (visit, sent):
            visit.respond(Page("Title", "Text"))
            responses = [await sent]
        responses.append(await browser.get(f"{listener.redirect_uri}/favicon.ico"))
        for response in responses:
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
            assert response.headers["Referrer-Policy"] == "no-referrer"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Connection"] == "close"
            assert "aiohttp" not in response.headers["Server"]


@pytest.mark.parametrize("path", ["/callback", "/favicon.ico"])
async def test_a_connection_is_good_for_one_request(path):
    """The connection is closed after the response, also after an error."""
    async with LoopbackListener() as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(listener))
        request = f"GET {path} HTTP/1.1\r\nHost: {authority_of(listener)}\r\n\r\n"
        writer.write(request.encode())
        if path == "/callback":
            (await listener.next_visit()).respond(Page("Title", "Text"))
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
    """A request with another method, path, host or media type is refused and is no visit."""
    async with LoopbackListener() as listener:
        base = listener.redirect_uri.removesuffix("/callback")
        port = base.rpartition(":")[2]
        given = {name: value.format(port=port) for name, value in headers.items()}
        async with browser.request(method, f"{base}{path}?code=1", headers=given) as response:
            assert response.status == status
        assert not has_visits(listener)


async def test_a_body_above_the_limit_is_refused(browser):
    """A body of more than 128 KiB gets status 413."""
    async with LoopbackListener() as listener:
        async with browser.post(
            listener.redirect_uri, data=b"x" * (1 << 17) + b"x", headers=FORM
        ) as response:
            assert response.status == 413
        assert not has_visits(listener)


async def test_a_query_above_the_limit_is_refused(browser):
    """A request line longer than aiohttp reads gets status 400."""
    async with LoopbackListener() as listener:
        async with browser.get(f"{listener.redirect_uri}?x={'x' * 10_000}") as response:
            assert response.status == 400
        assert not has_visits(listener)


async def test_a_given_page_is_delivered_before_it_closes(browser):
    """A page given just before the listener closes reaches the browser."""
    async with LoopbackListener() as listener:
        sent = asyncio.create_task(browser.get(listener.redirect_uri))
        visit = await listener.next_visit()
        visit.respond(Page("Title", "x" * 60_000))
    async with await sent as response:
        assert (await response.text()).count("x") > 60_000


async def test_a_visit_without_a_page_learns_nothing(browser):
    """A request that still waits when the listener closes gets the page that discloses nothing."""
    async with LoopbackListener() as listener:
        sent = asyncio.create_task(browser.get(listener.redirect_uri))
        await listener.next_visit()
    async with await sent as response:
        assert response.status == 400
        assert "expects another request" in await response.text()


async def test_a_visit_that_is_late_learns_nothing():
    """A request that arrives while the listener closes gets status 400."""
    async with LoopbackListener() as listener:
        pass
    response = await receive(listener, make_mocked_request("GET", "/callback?code=1"))

    assert response.status == 400


async def test_a_form_that_never_ends_does_not_delay_closing(monkeypatch):
    """The connection of an unfinished form is cut when the listener closes."""
    monkeypatch.setattr(loopback, "_CLOSING_TIME", 0.02)
    async with LoopbackListener() as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(listener))
        writer.write(
            f"POST /callback HTTP/1.1\r\nHost: {authority_of(listener)}\r\nContent-Length: 6\r\n"
            f"Content-Type: {FORM['Content-Type']}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert b"100" in await reader.readuntil(b"\r\n\r\n")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_a_url_is_handed_over_once(browser):
    """The one-time address redirects the first GET to the URL, and names it to no other request."""
    async with LoopbackListener(path="") as listener:
        address = listener.hand_over("https://idp.example/authorize?state=secret")
        seen = []
        for method in ("HEAD", "POST", "GET", "GET"):
            async with browser.request(method, address, allow_redirects=False) as response:
                seen.append((response.status, response.headers.get("Location")))
                assert "secret" not in await response.text()
                assert response.headers["Cache-Control"] == "no-store"

        assert "secret" not in address
        assert seen == [
            (405, None),
            (405, None),
            (303, "https://idp.example/authorize?state=secret"),
            (410, None),
        ]
        assert not has_visits(listener)


async def test_every_listener_has_an_address_of_its_own(browser):
    """Nobody finds the one-time address by its look, and none works at another listener."""
    async with LoopbackListener() as listener, LoopbackListener() as other:
        addresses = [each.hand_over("https://idp.example/authorize") for each in (listener, other)]
        paths = [address.rpartition("/")[2] for address in addresses]
        swapped = addresses[0].replace(paths[0], paths[1])
        for wrong in (swapped, addresses[0][:-1], addresses[0].lower() + "x"):
            async with browser.get(wrong, allow_redirects=False) as response:
                assert response.status == 404

    assert len({*paths}) == 2
    assert min(len(path) for path in paths) >= 43


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost:{port}", "127.0.0.1", "127.0.0.1:{port}.evil.example"]
)
async def test_a_url_is_handed_over_to_no_other_host(browser, host):
    """A request under another host name does not use the one-time address up."""
    async with LoopbackListener() as listener:
        address = listener.hand_over("https://idp.example/authorize")
        headers = {"Host": host.format(port=port_of(listener))}
        async with browser.get(address, headers=headers, allow_redirects=False) as response:
            assert response.status == 421
        async with browser.get(address, allow_redirects=False) as response:
            assert response.status == 303


async def test_nothing_is_handed_over_unasked(browser):
    """The one-time address of a listener that was given no URL says that it was used up."""
    async with LoopbackListener() as listener:
        async with browser.get(f"{start_url_of(listener)}") as response:
            assert response.status == 410


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can act as another user"
)
async def test_another_user_cannot_follow_the_address(browser):
    """Another user of the machine gets no redirect, and does not use the address up."""
    request = "GET {} HTTP/1.1\r\nHost: {}\r\n\r\n"
    script = 'exec 3<>"/dev/tcp/127.0.0.1/$1"; printf "$2" >&3; cat <&3'
    async with LoopbackListener() as listener:
        address = listener.hand_over("https://idp.example/authorize?state=secret")
        text = request.format(start_path_of(listener), authority_of(listener))
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", script, "bash", str(port_of(listener)), text),
            stdout=asyncio.subprocess.PIPE,
            user=65534,
            cwd="/",
        )
        seen, _ = await process.communicate()
        async with browser.get(address, allow_redirects=False) as response:
            assert response.status == 303

    assert seen.startswith(b"HTTP/1.1 403 ")
    assert b"secret" not in seen


async def test_nothing_listens_afterwards(browser):
    """The port is free once the listener is closed."""
    async with LoopbackListener() as listener:
        port = port_of(listener)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0

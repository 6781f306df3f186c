"""
The loopback listener: it receives the authorization response of a program on this machine.

Every user of the machine can connect to it, and can read the command line of the browser that the
program starts. So the browser is not started with the authorization request but with an address of
the listener, which redirects to it once, and for no other user (`LoopbackListener.hand_over`).
"""

import asyncio
import hashlib
import re
import secrets
from base64 import b64encode
from html import escape
from typing import Self

import attrs
from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

from aritma_auth.errors import ConfigurationError
from aritma_auth.native_app.connection_owner import is_of_another_user
from aritma_auth.protocol.redaction import HiddenStr
from aritma_auth.runtime.closing import AsyncCloseable

_LAST_PORT = 65535
_PATH = re.compile(r"(?:/[\w.~-]*)*", re.ASCII)
_BODY_LIMIT = 1 << 17
_FORM = "application/x-www-form-urlencoded"
_CLOSING_TIME = 1.0
_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;margin:0;background:#f4f6f8;color:#16202a}"
    "main{max-width:30rem;margin:12vh auto;padding:2rem;background:#fff;border-radius:.5rem}"
    "h1{margin-top:0;font-size:1.5rem}p{overflow-wrap:anywhere}"
    "@media(prefers-color-scheme:dark){body{background:#10161c;color:#e8edf2}"
    "main{background:#1c252e}}"
)
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Connection": "close",
    "Referrer-Policy": "no-referrer",
    "Server": "aritma-auth",
    "X-Content-Type-Options": "nosniff",
}


@attrs.frozen
class Page:
    """
    The page that the browser shows.

    Attributes:
        title: The outcome.

        text: What it means and what to do; plain text.

        status: HTTP status.
    """

    title: str
    text: str
    status: int = 200

    def html(self) -> str:
        """Render the page; nothing in its texts is taken for markup."""
        title, text = escape(self.title), escape(self.text)
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{title}</title><style>{_STYLE}</style></head>"
            f'<body><main><h1>{title}</h1><p role="status">{text}</p></main></body></html>'
        )


NOT_EXPECTED = Page("Not expected", "This address expects another request.", 400)
"""For a request that is not the authorization response: it discloses nothing."""

_OPENED_BEFORE = Page(
    "Opened before", "This address works once. Open the one that the program shows.", 410
)
_OTHER_USER = Page(
    "Another user", "This address is for another user. Open the one that the program shows.", 403
)


class Visit:
    """
    A request on the redirect URI's path, which waits for its page.

    Args:
        callback: Its parameters, as an encoded query.
    """

    def __init__(self, callback: str) -> None:
        self.callback = HiddenStr(callback)
        self._page: asyncio.Future[Page] = asyncio.get_running_loop().create_future()

    def respond(self, page: Page) -> None:
        """Respond with a page; the first one counts."""
        if not self._page.done():
            self._page.set_result(page)

    async def page(self) -> Page:
        """Wait for the page."""
        return await self._page


class LoopbackListener(AsyncCloseable):
    """
    Listens on this machine's loopback interface alone, for one path.

    A hostile web page in the same browser can send requests here, too: a request counts only with
    the right ``state``, and one for another host name (DNS rebinding) is refused.

    Args:
        host: ``127.0.0.1`` or ``::1``; ``localhost`` could resolve to another interface.

        port: The port, or 0 for a free one.

        path: The path of the redirect URI; empty for none.

    Raises:
        ConfigurationError: An argument is not usable.

    Spec: RFC 8252 §7.3, §8.3.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, path: str = "/callback") -> None:
        if host not in ("127.0.0.1", "::1"):
            raise ConfigurationError(f"host must be 127.0.0.1 or ::1, not {host!r}")
        if not _is_port(port):
            raise ConfigurationError(f"port must be a number from 0 to {_LAST_PORT}, not {port!r}")
        if not _is_path(path):
            raise ConfigurationError(
                f"path must be empty, or / and segments of letters, digits and -._~, not {path!r}"
            )
        self._host = host
        self._port = port
        self._path = path
        self._authority = ""
        self._start_path = f"/{secrets.token_urlsafe(32)}"
        self._location: HiddenStr | None = None
        self._waiting: asyncio.Queue[Visit] = asyncio.Queue()
        self._visits: set[Visit] = set()
        self._is_closed = False
        app = web.Application(middlewares=[self._guard], client_max_size=_BODY_LIMIT)
        app.router.add_get(path or "/", self._receive, allow_head=False)
        app.router.add_post(path or "/", self._receive)
        app.router.add_get(self._start_path, self._redirect, allow_head=False)
        app.on_response_prepare.append(_protect)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=_CLOSING_TIME, lingering_time=_CLOSING_TIME
        )

    @property
    def redirect_uri(self) -> str:
        """The redirect URI; its port is known once this listens."""
        return f"{self._origin}{self._path}"

    @property
    def _origin(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            problem = error.strerror or type(error).__name__
        else:
            self._port = self._runner.addresses[0][1]
            self._authority = URL(self.redirect_uri).host_port_subcomponent or ""
            return self
        await self.aclose()
        raise ConfigurationError(f"cannot listen on {self._host}, port {self._port}: {problem}")

    def hand_over(self, url: str) -> str:
        """
        Return an address of this listener that redirects to a URL, once.

        It is safe on a command line: it discloses nothing of the URL, it works once, and on Linux
        it does not work for another user.

        Args:
            url: Where to redirect to, such as an authorization request.
        """
        self._location = HiddenStr(url)
        return f"{self._origin}{self._start_path}"

    async def next_visit(self) -> Visit:
        """Wait for the next request on the path."""
        return await self._waiting.get()

    async def aclose(self) -> None:
        """Stop listening: pages already given are delivered, other visits get `NOT_EXPECTED`."""
        self._is_closed = True
        for visit in self._visits:
            visit.respond(NOT_EXPECTED)
        await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("Host") != self._authority:
            return _show(attrs.evolve(NOT_EXPECTED, status=421))
        return await handler(request)

    async def _redirect(self, request: web.Request) -> web.Response:
        client, server = (request.get_extra_info(name) for name in ("peername", "sockname"))
        if is_of_another_user(client[:2], server[:2]):
            return _show(_OTHER_USER)
        location, self._location = self._location, None
        if location is None:
            return _show(_OPENED_BEFORE)
        return web.Response(status=303, headers={"Location": location})

    async def _receive(self, request: web.Request) -> web.Response:
        parameters = HiddenStr(request.rel_url.raw_query_string)
        if request.method == "POST":
            if request.content_type != _FORM:
                return _show(attrs.evolve(NOT_EXPECTED, status=415))
            parameters = HiddenStr((await request.read()).decode(errors="replace"))
        visit = Visit(f"?{parameters}")
        if self._is_closed:
            visit.respond(NOT_EXPECTED)
        self._visits.add(visit)
        self._waiting.put_nowait(visit)
        try:
            return _show(await visit.page())
        finally:
            self._visits.discard(visit)


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LAST_PORT


def _is_path(value: object) -> bool:
    return isinstance(value, str) and _PATH.fullmatch(value) is not None


def _show(page: Page) -> web.Response:
    return web.Response(
        text=page.html(), status=page.status, content_type="text/html", charset="utf-8"
    )


async def _protect(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    response.force_close()

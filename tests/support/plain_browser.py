"""An end-user's browser, as far as signing in needs one: cookies, redirects and forms."""

from html.parser import HTMLParser
from urllib.parse import urljoin

import aiohttp
import attrs
from yarl import URL


@attrs.define
class Form:
    """
    A form of a page.

    Attributes:
        action: Where it goes.

        method: ``get`` or ``post``.

        fields: Its inputs, name to value.

        buttons: Names of its buttons.
    """

    action: str
    method: str
    fields: dict[str, str] = attrs.field(factory=dict)
    buttons: set[str] = attrs.field(factory=set)


@attrs.frozen
class Page:
    """
    Where the browser has arrived: at a page of its server, or at an address elsewhere.

    Attributes:
        url: The address.

        status: HTTP status, or None elsewhere: nothing is fetched there.

        text: What the page says.

        forms: Its forms.

        posted: What was posted to an address elsewhere, or None.
    """

    url: str
    status: int | None = None
    text: str = attrs.field(default="", repr=False)
    forms: list[Form] = attrs.field(factory=list, repr=False)
    posted: list[tuple[str, str]] | None = attrs.field(default=None, repr=False)

    @property
    def is_elsewhere(self):
        """Whether the browser has left its server."""
        return self.status is None

    @property
    def callback(self):
        """What reached the address elsewhere: a URL, or a form's pairs."""
        assert self.is_elsewhere, f"still at {self.url}: {self.status} {self.text}"
        return self.url if self.posted is None else self.posted


def answers_of(name, **others):
    """
    Give what an end-user of the test servers enters into their forms.

    Args:
        name: The user name; reversed it is the password.

        others: Values that differ from those of a consenting end-user.
    """
    willing = {"action": "authorize", "allow": "yes", "decision": "yes", "logout": "yes"}
    return {"login": name, "username": name, "password": name[::-1]} | willing | others


class _FormParser(HTMLParser):
    def __init__(self, url):
        super().__init__()
        self.url = url
        self.forms = {}
        self.current = None

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "form":
            self.current = given.get("id", len(self.forms))
            action = urljoin(self.url, given.get("action") or self.url)
            self.forms[self.current] = Form(action, (given.get("method") or "get").lower())
        form = self.forms.get(given.get("form", self.current))
        if form is None or "name" not in given:
            return
        if tag == "input" and given.get("type") != "submit":
            form.fields[given["name"]] = given.get("value") or ""
        elif tag in {"button", "input"}:
            form.buttons.add(given["name"])

    def handle_endtag(self, tag):
        if tag == "form":
            self.current = None


class PlainBrowser:
    """
    A browser without JavaScript that opens the pages of one server and stops at other addresses.

    Args:
        home: The server's origin.

    Attributes:
        asked: Names of the fields that forms have asked for so far.
    """

    def __init__(self, home):
        self.home = URL(home).origin()
        self.asked = []
        # Addresses in place of names have cookies too.
        self.session = aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"},
        )

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc_info):
        await self.session.close()

    async def open(self, url):
        """Open a URL, and return the page that it leads to."""
        return await self._go("get", url, {})

    async def submit(self, page, **answers):
        """Fill in a page's first form with those of the values that it asks for, and submit it."""
        form = page.forms[0]
        self.asked += form.fields
        pairs = {name: answers.get(name, value) for name, value in form.fields.items()}
        pairs |= {name: answers[name] for name in form.buttons & answers.keys()}
        return await self._go(form.method, form.action, pairs)

    async def visit(self, url, **answers):
        """Open an address and submit each form, until there is none or the server is left."""
        page = await self.open(url)
        for _ in range(8):
            if page.is_elsewhere or not page.forms:
                return page
            page = await self.submit(page, **answers)
        raise AssertionError(f"the server asks again and again at {page.url}")

    async def _go(self, method, url, pairs):
        while self._is_home(url):
            where = URL(url, encoded=True)
            given = {"data": pairs} if method == "post" else {"params": pairs or None}
            async with self.session.request(
                method, where, allow_redirects=False, **given
            ) as response:
                if not 300 <= response.status < 400:
                    return _read(url, response.status, await response.text())
                url = urljoin(url, response.headers["Location"])
            # A browser turns a form's redirect into a plain visit (RFC 9110 §15.4.4).
            method, pairs = "get", {}
        return Page(url, posted=list(pairs.items()) if method == "post" else None)

    def _is_home(self, url):
        return URL(url).origin() == self.home


def _read(url, status, text):
    parser = _FormParser(url)
    parser.feed(text)
    return Page(url, status, text, list(parser.forms.values()))

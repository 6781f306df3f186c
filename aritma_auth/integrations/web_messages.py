"""
What a sign-in reads from a browser's request and writes into the response, for any framework.

Nothing here awaits or knows a framework. A request is hostile until checked: its cookies may be
planted, and another site may have made the browser send it.
"""

from collections.abc import Mapping
from typing import Protocol

import attrs

from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.runtime.values import Value

NO_STORE = ("Cache-Control", "no-store")
_HEADERS = (
    NO_STORE,
    # The address of a callback has the code in it.
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)


class Headers(Protocol):
    """A request's headers: names count in any case."""

    def get(self, name: str, /) -> str | None:
        """Return a header's value, or None."""
        ...


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WebRequest(Value):
    """
    What a sign-in needs to know of a browser's request.

    Attributes:
        method: The method, in capitals.

        path: Path and query, as the application sees them.

        root: What of the path the framework has mounted the application at.

        query: The decoded parameters as pairs, repeated names included.

        cookies: The cookies, by name and in their order.

        headers: The headers.
    """

    method: str
    path: str = attrs.field(repr=False)
    root: str = attrs.field(repr=False)
    query: Parameters = attrs.field(repr=False)
    cookies: Mapping[str, str] = attrs.field(repr=False)
    headers: Headers = attrs.field(repr=False)

    @property
    def is_safe(self) -> bool:
        """
        Whether the request promises to change nothing.

        Spec: RFC 9110 §9.2.1; RFC 6455 §10.2.
        """
        # A WebSocket begins with a GET, which a page of any origin may send, cookies included.
        if "websocket" in (self.headers.get("Upgrade") or "").lower():
            return False
        return self.method in {"GET", "HEAD", "OPTIONS"}

    @property
    def expects_page(self) -> bool:
        """
        Whether the browser shows what comes back, so that it may be redirected to a sign-in.

        A script's ``fetch`` could not follow a redirect to another origin.
        """
        mode = self.headers.get("Sec-Fetch-Mode")
        if mode is not None:
            return mode == "navigate"
        accept = self.headers.get("Accept")
        return accept is None or "text/html" in accept or "*/*" in accept

    def parameter(self, name: str) -> str:
        """Return the first value of a parameter, or an empty text."""
        return next((value for key, value in self.query if key == name), "")

    def is_from(self, origin: str) -> bool:
        """
        Tell whether a page of an origin sent this request, as the browser says.

        A script cannot set either header. One that is missing everywhere is no browser's request.

        Args:
            origin: The application's own origin.

        Spec: Fetch Metadata Request Headers §2.3; Fetch §3.2 (``Origin``).
        """
        site = self.headers.get("Sec-Fetch-Site")
        if site is not None:
            return site == "same-origin"
        return self.headers.get("Origin") == origin


@attrs.frozen(eq=False, repr=False)
class WebResponse(Value):
    """
    What goes back to the browser.

    Attributes:
        status: HTTP status.

        headers: Names and values; ``Set-Cookie`` may occur several times.

        body: The text of a page or a problem.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = attrs.field(repr=False)
    body: str = attrs.field(default="", repr=False)


def build_response(
    status: int, *further: tuple[str, str], body: str = "", media_type: str = ""
) -> WebResponse:
    """
    Build a response that no cache keeps.

    Args:
        status: HTTP status.

        further: Headers beyond those that every response has.

        body: The text.

        media_type: Of the text.
    """
    typed = (("Content-Type", f"{media_type}; charset=utf-8"),) if media_type else ()
    return WebResponse(status, (*_HEADERS, *typed, *further), body)


def build_redirect(location: str, *further: tuple[str, str]) -> WebResponse:
    """
    Build a redirect that a browser follows with GET, whatever the request was.

    Args:
        location: The address.

        further: Headers, such as cookies.

    Spec: RFC 9110 §15.4.4.
    """
    return build_response(303, ("Location", location), *further)


@attrs.frozen(eq=False, repr=False)
class CookieJar(Value):
    """
    Names and writes the cookies of one application.

    Over https the names begin with ``__Host-``: a browser takes such a cookie from this host alone,
    over https alone, and for all of its paths, so that no neighbouring host can plant one.

    Attributes:
        is_secure: The application is reached by https; over http, on loopback, no such cookie
            exists.

        prefix: The path below which the application is, if any. It is in the names, since those
            of the host's other applications are sent as well.

    Spec: RFC 6265bis §4.1.3.2.
    """

    is_secure: bool
    prefix: str = ""

    @property
    def session(self) -> str:
        """Name of the session's cookie."""
        return self.name("session")

    def name(self, text: str) -> str:
        """Return a cookie's name."""
        # A name has no slash (RFC 9110 §5.6.2), and a prefix has no tilde.
        named = f"{self.prefix[1:]}/{text}".lstrip("/").replace("/", "~")
        return f"__Host-{named}" if self.is_secure else named

    def set(self, name: str, value: str, *, max_age: float | None = None) -> tuple[str, str]:
        """
        Build the header that sets a cookie.

        Args:
            name: As `name` returned it.

            value: Letters, digits, ``-`` and ``_``.

            max_age: Seconds that the browser keeps it; None means until the browser is closed.
        """
        age = "" if max_age is None else f"; Max-Age={int(max_age)}"
        secure = "; Secure" if self.is_secure else ""
        return "Set-Cookie", f"{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}"

    def delete(self, name: str) -> tuple[str, str]:
        """Build the header that deletes a cookie."""
        return self.set(name, "", max_age=0)

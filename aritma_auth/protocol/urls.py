"""
URLs: where a request may go, where a browser may be redirected, and which origin a URL has.

Everything is checked on the parsed URL and refused where its text could be understood in two ways:
the browser or the HTTP client that opens it later must not see another address than was checked.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote_plus

from yarl import URL

from aritma_auth.errors import ConfigurationError, printable, type_name, wrong_kind
from aritma_auth.protocol.redaction import HiddenStr

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})

_HTTP_SCHEMES = {"ws": "http", "wss": "https"}


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this machine: ``localhost``, ``::1`` or an address in 127/8."""
    return host in LOOPBACK_HOSTS or (
        host is not None
        and host.startswith("127.")
        and len(parts := host.split(".")) == 4
        and all(part.isascii() and part.isdigit() and int(part) < 256 for part in parts)
    )


# Of a name, an IPv4 address or an IPv6 address: several URLs in one text have none of these.
_HOST = re.compile(r"[\w-]+(\.[\w-]+)*\.?|[0-9A-Fa-f:.]+(%\w+)?", re.ASCII)


def require_secure_url(url: str, what: str) -> URL:
    """
    Require a configured or discovered URL to be one that a secret may be sent to.

    Args:
        url: The URL.

        what: Its name in the error, such as ``token_endpoint``.

    Returns:
        The parsed URL.

    Raises:
        ConfigurationError: Not absolute, not https (http is for loopback only), with a user name
            or password, or with a fragment.

    Spec: RFC 6749 §3.1, §3.2; RFC 9700 §2.6.
    """
    if not isinstance(url, str):
        raise wrong_kind(what, "an absolute URL", url)
    # A traceback with local variables would show its user name and password.
    url = HiddenStr(url)
    parsed = _parse(url)
    # Nothing listens at port 0.
    if parsed is None or not parsed.port or not _HOST.fullmatch(parsed.raw_host or ""):
        raise ConfigurationError(
            f"{what} must be an absolute https URL (http is allowed on loopback), not "
            f"{describe_url(url)}"
        )
    problem = None
    if parsed.raw_user is not None or parsed.raw_password is not None:
        problem = "must not carry a user name or password: remove it"
    elif "#" in url:
        problem = "must not carry a fragment: remove it"
    elif not (
        parsed.scheme == "https" or (parsed.scheme == "http" and is_loopback(parsed.raw_host))
    ):
        problem = f"must use https (http is allowed on loopback only), not {describe_url(url)}"
    if problem is not None:
        del parsed
        raise ConfigurationError(f"{what} {problem}")
    return parsed


def _parse(url: str) -> URL | None:
    # Browsers drop or rewrite white space and backslashes.
    if not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        return URL(url)
    except ValueError:
        return None


def describe_url(url: str) -> str:
    """Show a URL's scheme, host and path alone: a user name or a query may hold a secret."""
    scheme, separator, rest = url.partition("?")[0].partition("#")[0].rpartition("://")
    return repr(printable(f"{scheme}{separator}{rest.rpartition('@')[2]}", 100))


def require_redirect_uri(url: str, what: str) -> str:
    """
    Require an address to be one that the server may redirect a browser to.

    Args:
        url: The address: https, http on loopback, or an app's own scheme in reverse-domain form.

        what: Its name in the error, such as ``redirect_uri``.

    Returns:
        The same text: the server compares it character by character.

    Raises:
        ConfigurationError: It is none of these, or carries a user name, a password or a fragment.

    Spec: RFC 6749 §3.1.2; RFC 8252 §7.1, §7.3.
    """
    if not isinstance(url, str):
        raise wrong_kind(what, "an absolute URL", url)
    url = HiddenStr(url)
    parsed = _parse(url)
    is_own_scheme = parsed is not None and "." in parsed.scheme and parsed.raw_user is None
    del parsed
    if not is_own_scheme or "#" in url:
        require_secure_url(url, what)
    return str(url)


def describe_issuer(issuer: object) -> str:
    """Describe a received issuer for an error: made printable, or its type, or none."""
    if isinstance(issuer, str) and issuer:
        return repr(printable(str(issuer), 100))
    return f"of type {type_name(issuer)}" if issuer else "none"


def add_query(url: str, query: str) -> str:
    """
    Append to a URL's query, keeping what it has, and no parameter twice (RFC 6749 §3.1).

    Args:
        url: A URL without fragment.

        query: The encoded parameters; the URL's own of the same names give way.
    """
    if not query:
        return url
    address, _, own = url.partition("?")
    given = set(map(_name_of, query.split("&")))
    kept = [part for part in own.split("&") if part and _name_of(part) not in given]
    return f"{address}?{'&'.join((*kept, query))}"


def _name_of(parameter: str) -> str:
    return unquote_plus(parameter.partition("=")[0])


class Origin(NamedTuple):
    """
    Scheme, host and port: they decide where a token may go.

    Spec: RFC 6454 §4.
    """

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """The origin as a URL, with its port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def origin_of(url: URL) -> Origin:
    """
    Return a URL's origin; a WebSocket's is that of the HTTP request which opens it.

    Args:
        url: An absolute URL with a host.
    """
    scheme = url.scheme
    # yarl's own origin() keeps an explicit default port: https://a:443 would differ from https://a.
    return Origin(_HTTP_SCHEMES.get(scheme, scheme), url.raw_host or "", url.port or 0)

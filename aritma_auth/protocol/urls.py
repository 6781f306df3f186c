"""Where a request may go: https, loopback, origins."""

from typing import NamedTuple

from yarl import URL

from aritma_auth.errors import ConfigurationError

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this machine: ``localhost``, ``::1`` or an address in 127/8."""
    return host in LOOPBACK_HOSTS or (
        host is not None
        and host.startswith("127.")
        and len(parts := host.split(".")) == 4
        and all(part.isascii() and part.isdigit() and int(part) < 256 for part in parts)
    )


def require_secure_url(url: str, what: str) -> URL:
    """
    Check a configured or discovered URL before anything is sent to it.

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
    try:
        parsed = URL(url)
        usable = parsed.raw_host is not None and parsed.port is not None and _is_plain(url)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(f"{what} is not an absolute URL")
    if parsed.raw_user is not None or parsed.raw_password is not None:
        raise ConfigurationError(f"{what} carries a user name or password: remove it")
    if "#" in url:
        raise ConfigurationError(f"{what} carries a fragment: remove it")
    if parsed.scheme != "https" and not (parsed.scheme == "http" and is_loopback(parsed.raw_host)):
        raise ConfigurationError(f"{what} must use https (http is for loopback only)")
    return parsed


def _is_plain(url: str) -> bool:
    # Browsers drop or bend white space and backslashes: what was checked must be what they open.
    return url.isprintable() and " " not in url and "\\" not in url


def require_redirect_uri(url: str, what: str) -> str:
    """
    Check an address that the server sends a browser back to.

    Args:
        url: The address: https, http on loopback, or an app's own scheme in reverse-domain form.

        what: Its name in the error, such as ``redirect_uri``.

    Returns:
        The same text: the server compares it character by character.

    Raises:
        ConfigurationError: It is none of these, or carries a user name, a password or a fragment.

    Spec: RFC 6749 §3.1.2; RFC 8252 §7.1, §7.3.
    """
    try:
        parsed = URL(url)
        is_private = "." in parsed.scheme and parsed.raw_user is None and _is_plain(url)
    except ValueError:
        is_private = False
    if not is_private or "#" in url:
        require_secure_url(url, what)
    return url


def add_query(url: str, query: str) -> str:
    """
    Add to a URL's query, which is kept (RFC 6749 §3.1).

    Args:
        url: A URL without fragment.

        query: The encoded addition.
    """
    joint = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
    return f"{url}{joint}{query}" if query else url


class Origin(NamedTuple):
    """
    Scheme, host and port: what decides where a token may go.

    Spec: RFC 6454 §4.
    """

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """The origin as a URL, its port always written out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


_SCHEMES = {"ws": "http", "wss": "https"}


def origin_of(url: URL) -> Origin:
    """
    Give a URL's origin; a WebSocket's is that of the HTTP request which opens it.

    Args:
        url: An absolute URL with a host.
    """
    scheme = url.scheme
    # yarl keeps an explicit default port in origin(): compared part by part instead.
    return Origin(_SCHEMES.get(scheme, scheme), url.raw_host or "", url.port or 0)

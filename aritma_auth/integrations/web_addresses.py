"""
Where an application and the pages of its sign-in are, as browsers see them.

A proxy may strip a prefix of the path, and a framework may mount an application below one: what
the application then sees is not what a browser must be sent to. A path that a link names is
hostile until checked: it may lead to another host.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote

import attrs

from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.protocol.urls import origin_of, require_secure_url
from aritma_auth.runtime.values import Value

_MAX_PATH = 2048
_PATH_SAFE = "/?#[]@!$&'()*+,;=:%-._~"
"""Characters of a path that have their meaning in a URL, and percent signs that encode others."""

_PREFIX = re.compile(r"(/[A-Za-z0-9._-]+)*")


@attrs.frozen(eq=False, repr=False)
class WebAddress(Value):
    """
    Where browsers find an application.

    Attributes:
        origin: Scheme, host and port, as a browser's ``Origin`` header has them.

        prefix: The path below which the application is, such as ``/app``; usually empty.
    """

    origin: str
    prefix: str

    @property
    def url(self) -> str:
        """Both, without trailing slash."""
        return f"{self.origin}{self.prefix}"

    def path_of_request(self, path: str, root: str) -> str:
        """
        Return the path of a request as the browser has sent it.

        Args:
            path: Path and query, as the application sees them.

            root: What of the path the framework has mounted the application at: the whole prefix,
                or nothing of it behind a proxy that strips it.
        """
        return f"{self.prefix}{path.removeprefix(root)}"

    def path_of_link(self, path: str) -> str:
        """
        Return a path that a page of the application names, as a browser must be sent to it.

        A path that begins with the prefix has it already, whatever the application sees.

        Args:
            path: Path and query, with the prefix or without.
        """
        has_prefix = f"{re.split('[?#]', path)[0]}/".startswith(f"{self.prefix}/")
        return path if has_prefix else f"{self.prefix}{path}"


def parse_base_url(url: str) -> WebAddress:
    """
    Parse the address that browsers know an application by.

    Raises:
        ConfigurationError: It is no https URL (http is allowed on loopback), or has more behind its
            host than a plain path.
    """
    parsed = require_secure_url(url, "base_url")
    prefix = parsed.raw_path.rstrip("/")
    if not _PREFIX.fullmatch(prefix) or parsed.query_string:
        raise ConfigurationError(
            "base_url must be scheme, host and port, with at most a plain path behind them, such "
            "as https://me.example or https://me.example/app"
        )
    origin = origin_of(parsed).url
    # A browser's Origin header has no port where the scheme implies it.
    return WebAddress(origin.rpartition(":")[0] if parsed.is_default_port() else origin, prefix)


def parse_return_path(text: object, *, own: Iterable[str], default: str) -> str:
    r"""
    Return the page of the application that a sign-in leads to.

    A link may propose it, so that it must not lead to another host: browsers read ``\`` as ``/``,
    drop tabs and line breaks, and read ``//host`` as a host.

    Args:
        text: What the link says.

        own: Paths of the sign-in itself, which would lead in a circle.

        default: The page if the text is none.

    Spec: RFC 9700 §4.11; WHATWG URL §4.4.
    """
    if (
        not isinstance(text, str)
        or not text.startswith("/")
        or text.startswith("//")
        or "\\" in text
        or not text.isprintable()
        or len(text) > _MAX_PATH
        or text.partition("?")[0].partition("#")[0] in own
    ):
        return default
    return quote(text, safe=_PATH_SAFE)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WebPaths(Value):
    """
    Where the pages of the sign-in are in the application; each begins with a slash.

    Register the callback, the page after the sign-out, and the address for logout tokens at the
    server, each behind the application's base URL.

    Attributes:
        sign_in: Begins a sign-in; its parameter ``next`` says which page follows.

        callback: The redirect URI.

        sign_out: Takes the POST that signs the end-user out.

        signed_out: Where the server redirects to after the sign-out.

        back_channel_logout: Where the server posts logout tokens.

        home: The page that follows when none was asked for.
    """

    sign_in: str = "/sign-in"
    callback: str = "/callback"
    sign_out: str = "/sign-out"
    signed_out: str = "/signed-out"
    back_channel_logout: str = "/back-channel-logout"
    home: str = "/"

    def __attrs_post_init__(self) -> None:
        given = attrs.asdict(self)
        for name, path in given.items():
            if not isinstance(path, str):
                raise wrong_kind(name, "a path, such as '/sign-in'", path)
            if parse_return_path(path, own=(), default="") != path or set(path) & set("?#{}"):
                raise ConfigurationError(
                    f"{name} must be a plain path that begins with one slash, not {path!r:.60}"
                )
        if len(set(given.values())) != len(given):
            raise ConfigurationError("the paths of a sign-in must differ from one another")

    @property
    def own(self) -> frozenset[str]:
        """Every path but home."""
        return frozenset(attrs.astuple(self)) - {self.home}

    def below(self, prefix: str) -> "WebPaths":
        """
        Return the paths as browsers see them.

        Args:
            prefix: The path below which the application is, or an empty text.
        """
        return WebPaths(**{name: f"{prefix}{path}" for name, path in attrs.asdict(self).items()})

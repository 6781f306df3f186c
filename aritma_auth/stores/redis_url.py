"""A Redis server's URL."""

import attrs
from yarl import URL

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.redaction import HiddenStr
from aritma_auth.protocol.urls import is_loopback
from aritma_auth.secret import Secret

_PORT = 6379

_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


@attrs.frozen
class Address:
    """
    Where a server is, and as whom to speak to it.

    Attributes:
        host: Its name or IP address.

        port: Its port.

        database: The number of its database.

        is_tls: Speak TLS.

        files: Files for TLS, by redis-py's names of them.

        user: User name, or None for the default one.

        password: Its password, or None.
    """

    host: str
    port: int
    database: int
    is_tls: bool
    files: dict[str, str]
    user: str | None
    password: Secret | None


def read_redis_url(url: HiddenStr, *, password: Secret | None, allow_plaintext: bool) -> Address:
    """
    Read a URL: ``rediss://user:password@host:port/database``.

    Args:
        url: The URL.

        password: The password, in place of the URL's.

        allow_plaintext: Let it name another machine without TLS.

    Raises:
        ConfigurationError: It is none of Redis, or asks for what must not be.
    """
    problem = _problem_of(url, allow_plaintext=allow_plaintext)
    if problem is not None:
        raise ConfigurationError(problem)
    parsed = URL(url)
    if password is None and parsed.password:
        password = Secret(parsed.password)
    return Address(
        parsed.host or "",
        parsed.port or _PORT,
        int(parsed.path.removeprefix("/") or 0),
        parsed.scheme == "rediss",
        dict(parsed.query),
        parsed.user,
        password,
    )


def _problem_of(url: HiddenStr, *, allow_plaintext: bool) -> str | None:
    # Raises nothing: this frame's locals show the password.
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    database = parsed.path.removeprefix("/") or "0"
    is_number = database.isascii() and database.isdigit()
    if parsed.scheme not in {"redis", "rediss"} or not parsed.host or not is_number:
        return "a Redis URL looks like rediss://user:password@host:6379/0"
    if parsed.scheme == "redis" and not allow_plaintext and not is_loopback(parsed.raw_host):
        return "redis:// shows the password to the network: use rediss://, or allow_plaintext=True"
    if not parsed.query.keys() <= set(_TLS_FILES):
        return f"a Redis URL takes {', '.join(_TLS_FILES)}: for more, make a client of your own"
    return None

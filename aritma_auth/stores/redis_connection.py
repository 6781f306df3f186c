"""Ways to a Redis server: a caller's client, or one of our own for each event loop."""

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from aritma_auth.errors import AritmaAuthError, ConfigurationError
from aritma_auth.optional import require
from aritma_auth.protocol.redaction import HiddenStr
from aritma_auth.secret import Secret
from aritma_auth.stores.redis_scripts import RedisClient

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.credentials import CredentialProvider

import attrs
from yarl import URL

from aritma_auth.protocol.urls import is_loopback

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


_CONNECTIONS = 16
"""To one server from one event loop; whoever needs one more waits."""

_ADVICE = {
    "AuthenticationError": "check the user name and the password",
    "NoPermissionError": "allow its user the store's keys and commands",
    "OutOfMemoryError": "it is full",
    "ReadOnlyError": "it is a replica",
}


class RedisClients(Protocol):
    """Where the store gets a client from."""

    def get(self) -> RedisClient:
        """Give the client of the running event loop."""
        ...

    async def aclose(self) -> None:
        """Close what was opened for the running event loop."""
        ...


class GivenClient:
    """
    A caller's client: used as it is, and the caller's to close.

    Args:
        client: The client.
    """

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def get(self) -> RedisClient:
        """Give it."""
        return self._client

    async def aclose(self) -> None:
        """Leave it open."""

    def __repr__(self) -> str:
        return f"a given {type(self._client).__name__}"


class OwnClients:
    """
    Clients of this package's making, since redis-py's belong to one event loop each.

    Args:
        address: Where the server is.

        timeout: Seconds for one operation.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._clients: dict[asyncio.AbstractEventLoop, Redis] = {}

    def get(self) -> RedisClient:
        """Give the running loop's client."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            for other in [*self._clients]:
                if other.is_closed():
                    self._clients.pop(other, None)
            client = self._clients[loop] = self._make()
        return client

    def _make(self) -> "Redis":
        from redis.asyncio import (  # noqa: PLC0415 - extra "redis"
            BlockingConnectionPool,
            Connection,
            Redis,
            SSLConnection,
        )
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415

        address, password = self._address, self._address.password
        settings: dict[str, Any] = {
            **address.files,
            "connection_class": SSLConnection if address.is_tls else Connection,
            "host": address.host,
            "port": address.port,
            "db": address.database,
            "credential_provider": password and _credentials(address.user, password),
            "max_connections": _CONNECTIONS,
            "timeout": self._timeout,
            "socket_timeout": self._timeout,
            "socket_connect_timeout": self._timeout,
            # The scripts may be sent twice: once more, at once, finds a server that came back.
            "retry": Retry(NoBackoff(), 1),
            # No commands at connection that a strict ACL would have to allow.
            "protocol": 2,
            "driver_info": None,
        }
        return Redis.from_pool(BlockingConnectionPool(**settings))

    async def aclose(self) -> None:
        """Close the running loop's connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def __repr__(self) -> str:
        address = self._address
        return f"{address.host}:{address.port}/{address.database}"


def open_clients(
    server: HiddenStr | RedisClient,
    *,
    password: Secret | None,
    allow_plaintext: bool,
    timeout: float,
) -> RedisClients:
    """
    Make ready to speak with a server; nothing is sent yet.

    Args:
        server: Its URL, or a client for it.

        password: Its password, in place of the URL's.

        allow_plaintext: Speak to other machines without TLS.

        timeout: Seconds for one operation.

    Raises:
        ConfigurationError: The URL or the client is none that can be used, or redis-py is missing.
    """
    require("redis", "redis.asyncio")
    if isinstance(server, HiddenStr):
        address = read_redis_url(server, password=password, allow_plaintext=allow_plaintext)
        return OwnClients(address, timeout)
    if password is not None or allow_plaintext:
        raise ConfigurationError("password and allow_plaintext belong to a URL, not to a client")
    if not _is_async(server):
        raise ConfigurationError("the client must be one of redis.asyncio")
    return GivenClient(server)


def _is_async(client: object) -> bool:
    from redis import Redis, RedisCluster  # noqa: PLC0415 - extra "redis"

    return hasattr(client, "execute_command") and not isinstance(client, Redis | RedisCluster)


def _credentials(user: str | None, password: Secret) -> "CredentialProvider":
    from redis.credentials import CredentialProvider  # noqa: PLC0415 - extra "redis"
    from redis.exceptions import AuthenticationError  # noqa: PLC0415

    class Credentials(CredentialProvider):
        """Reads the password anew for each connection, so that a rotated one is found."""

        async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
            try:
                text = (await password.load()).text
            except AritmaAuthError as error:
                # An error that redis-py knows: it closes then what it has opened.
                raise AuthenticationError from error
            return (text,) if user is None else (user, text)

    return Credentials()


def problem_of(error: Exception) -> str:
    """
    Tell what went wrong without quoting it: an answer may repeat what was sent.

    Args:
        error: What redis-py or the way to the server raised.
    """
    kind, cause = type(error).__name__, error.__cause__
    if isinstance(cause, AritmaAuthError):
        return str(cause)
    code = str(error).partition(" ")[0]
    if kind == "ResponseError" and code.isalpha() and code.isupper():
        return f"{kind} {code}"
    return f"{kind} ({_ADVICE[kind]})" if kind in _ADVICE else kind

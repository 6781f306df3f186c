"""Ways to a Redis server: one client for each event loop, made when it is first needed."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from yarl import URL

from aritma_auth.errors import AritmaAuthError, ConfigurationError
from aritma_auth.protocol.urls import is_loopback
from aritma_auth.secret import Secret
from aritma_auth.stores.redis_scripts import RedisClient

if TYPE_CHECKING:
    from redis.asyncio import Redis

_CONNECTIONS = 16
"""To one server from one event loop; whoever needs one more waits."""

_TLS_FILES = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})


class GivenClient:
    """
    A caller's own client: used as it is, and the caller's to close.

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
        return "a given client"


class OwnClients:
    """
    Clients of this package's making, since redis-py's belong to one event loop each.

    Args:
        url: Where the server is.

        password: Its password, in place of the URL's.

        timeout: Seconds for one operation.
    """

    def __init__(self, url: URL, password: Secret | None, timeout: float) -> None:
        if password is None and url.password:
            password = Secret(url.password)
        # Neither user name nor password nor query.
        self._shown = str(url.with_user(None).with_query(None))
        self._make = _factory(url, password, timeout)
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

    async def aclose(self) -> None:
        """Close the running loop's connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def __repr__(self) -> str:
        return self._shown


def open_clients(
    server: str | RedisClient, *, password: Secret | None, allow_plaintext: bool, timeout: float
) -> GivenClient | OwnClients:
    """
    Make ready to speak with a server; nothing is sent yet.

    Args:
        server: Its URL, or a client for it.

        password: Its password, in place of the URL's.

        allow_plaintext: Speak to other machines without TLS.

        timeout: Seconds for one operation.

    Raises:
        ConfigurationError: The URL is none of Redis, or redis-py is missing.
    """
    _require_redis()
    if isinstance(server, str):
        return OwnClients(_parse(server, allow_plaintext=allow_plaintext), password, timeout)
    if password is not None or allow_plaintext:
        raise ConfigurationError("password and allow_plaintext belong to a URL, not to a client")
    return GivenClient(server)


def _require_redis() -> None:
    try:
        import redis.asyncio  # noqa: F401, PLC0415 - extra "redis"
    except ImportError:
        is_missing = True
    else:
        is_missing = False
    if is_missing:
        raise ConfigurationError('this store needs redis-py: pip install "aritma-auth[redis]"')


def _parse(url: str, *, allow_plaintext: bool) -> URL:
    try:
        parsed = URL(url)
        database = parsed.path.removeprefix("/")
        is_usable = (
            parsed.scheme in {"redis", "rediss"}
            and bool(parsed.host)
            and (not database or (database.isascii() and database.isdigit()))
        )
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ConfigurationError("a Redis URL looks like rediss://user:password@host:6379/0")
    if parsed.scheme == "redis" and not allow_plaintext and not is_loopback(parsed.raw_host):
        raise ConfigurationError(
            "redis:// sends the password in the clear: use rediss://, or allow_plaintext=True"
        )
    if unknown := sorted(set(parsed.query) - _TLS_FILES):
        raise ConfigurationError(
            f"a Redis URL takes {', '.join(sorted(_TLS_FILES))} and not {', '.join(unknown)}: "
            "make a client of your own and hand it over"
        )
    return parsed


def _factory(url: URL, password: Secret | None, timeout: float) -> "Callable[[], Redis]":
    from redis.asyncio import (  # noqa: PLC0415 - extra "redis"
        BlockingConnectionPool,
        Connection,
        Redis,
        SSLConnection,
    )
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    settings: dict[str, Any] = {
        "host": url.host,
        "port": url.port or 6379,
        "db": int(url.path.removeprefix("/") or 0),
        "credential_provider": None if password is None else _credentials(url.user, password),
        "connection_class": Connection,
        "max_connections": _CONNECTIONS,
        "timeout": timeout,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # The scripts may be sent twice; once again at once finds the server that came back.
        "retry": Retry(NoBackoff(), 1),
        # No commands at connection that a strict ACL would have to allow.
        "protocol": 2,
        "driver_info": None,
    }
    if url.scheme == "rediss":
        settings |= {"connection_class": SSLConnection, **url.query}

    return lambda: Redis.from_pool(BlockingConnectionPool(**settings))


def _credentials(user: str | None, password: Secret) -> object:
    from redis.credentials import CredentialProvider  # noqa: PLC0415 - extra "redis"
    from redis.exceptions import AuthenticationError  # noqa: PLC0415

    class Credentials(CredentialProvider):
        """Reads the password anew for each connection, so that a rotated one is found."""

        async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
            try:
                text = (await password.load()).text
            except AritmaAuthError as error:
                # Only its own errors make redis-py close what it has opened.
                raise AuthenticationError from error
            return (text,) if user is None else (user, text)

    return Credentials()

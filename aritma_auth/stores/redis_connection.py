"""Connections to a Redis server: a caller's client, or one of our own for each event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeGuard, TypeVar

import attrs
from yarl import URL

from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    StoreError,
    require_flag,
    require_seconds,
    wrong_kind,
)
from aritma_auth.optional import require
from aritma_auth.protocol.redaction import HiddenStr, hide
from aritma_auth.protocol.urls import is_loopback
from aritma_auth.runtime.per_loop import PerLoop
from aritma_auth.secret import Secret
from aritma_auth.stores.redis_scripts import RedisClient

if TYPE_CHECKING:
    from redis.asyncio import Connection, Redis
    from redis.credentials import CredentialProvider

P = ParamSpec("P")
T = TypeVar("T")

_PORT = 6379

_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")

_MAX_CONNECTIONS = 16
"""To one server from one event loop; further operations wait for one."""

_ADVICE = {
    "ConnectionError": "check that the server runs where its URL says",
    "TimeoutError": "it did not respond in time",
    "AuthenticationError": "check the user name and the password",
    "NoPermissionError": "allow its user the store's keys and commands",
    "OutOfMemoryError": "the server is full",
    "ReadOnlyError": "the server is a replica",
}

_CODES = frozenset(
    {
        *("ASK", "BUSY", "BUSYKEY", "CLUSTERDOWN", "CROSSSLOT", "ERR", "EXECABORT", "LOADING"),
        *("MASTERDOWN", "MISCONF", "MOVED", "NOAUTH", "NOPERM", "NOREPLICAS", "NOSCRIPT", "OOM"),
        *("READONLY", "TRYAGAIN", "UNKILLABLE", "WRONGPASS", "WRONGTYPE"),
    }
)
"""Codes of errors that may be shown; any other first word could be a part of what was sent."""


@attrs.frozen
class Address:
    """Where a server is, the files for TLS by redis-py's names, and the user to log in as."""

    host: str
    port: int
    database: int
    is_tls: bool
    files: dict[str, str]
    user: str | None
    password: Secret | None


def parse_redis_url(url: HiddenStr, *, password: Secret | None, allow_plaintext: bool) -> Address:
    """
    Return what a URL such as ``rediss://user:password@host:port/database`` says.

    Raises:
        ConfigurationError: It is no URL of a Redis server, or asks for an unsafe connection.
    """
    problem = _find_url_problem(url, allow_plaintext=allow_plaintext)
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


def _find_url_problem(url: HiddenStr, *, allow_plaintext: bool) -> str | None:
    # Return the problem instead of raising: the traceback would show the password.
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    database = parsed.path.removeprefix("/") or "0"
    is_number = database.isascii() and database.isdigit()
    # Its parts are not shown: what was given may be a password.
    wrong = {
        "it begins with neither rediss:// nor redis://": parsed.scheme not in {"redis", "rediss"},
        "it names no host": not parsed.host,
        "its database is no number": not is_number,
    }
    found = next((what for what, is_so in wrong.items() if is_so), None)
    if found is not None:
        return (
            "server must be a URL such as rediss://user:password@host:6379/0, or a client; "
            f"{found}, or it is no URL at all"
        )
    if parsed.scheme == "redis" and not allow_plaintext and not is_loopback(parsed.raw_host):
        return (
            "server must be a rediss:// URL, since redis:// sends the password in clear to another "
            "machine: use rediss://, or allow_plaintext=True"
        )
    if not (parsed.password or "").isprintable():
        return "the password in a Redis URL must not hold control characters, not even encoded ones"
    if not parsed.query.keys() <= set(_TLS_FILES):
        return (
            f"the query of a Redis URL may hold {', '.join(_TLS_FILES)} only: for other settings "
            "give a client of redis.asyncio"
        )
    return None


class RedisClients(Protocol):
    """Source of clients."""

    @property
    def can_subscribe(self) -> bool:
        """Whether they have ``pubsub()``."""
        ...

    def get(self) -> RedisClient:
        """Return the client of the running event loop."""
        ...

    async def aclose(self) -> None:
        """Close the connections that were opened for the running event loop."""
        ...


class GivenClient:
    """A caller's client: used as it is; the caller closes it."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    @property
    def can_subscribe(self) -> bool:
        """Whether it has ``pubsub()``, as the clients of redis-py have."""
        return callable(getattr(self._client, "pubsub", None))

    def get(self) -> RedisClient:
        """Return it."""
        return self._client

    async def aclose(self) -> None:
        """Leave it open."""

    def __repr__(self) -> str:
        return f"a given {type(self._client).__name__}"


class OwnClients:
    """A client for each event loop, since a client of redis-py belongs to one loop."""

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._clients = PerLoop(self._make, lambda client: client.aclose())

    can_subscribe = True

    def get(self) -> RedisClient:
        """Return the client of the running event loop."""
        return self._clients.get()

    def _make(self) -> "Redis":
        from redis.asyncio import BlockingConnectionPool, Redis  # extra "redis"
        from redis.asyncio.retry import Retry  # with Redis only
        from redis.backoff import NoBackoff

        address, password = self._address, self._address.password
        settings: dict[str, Any] = {
            **address.files,
            "connection_class": _connection_class(is_tls=address.is_tls),
            "host": address.host,
            "port": address.port,
            "db": address.database,
            "credential_provider": password and _credentials(address.user, password),
            "max_connections": _MAX_CONNECTIONS,
            "timeout": self._timeout,
            "socket_timeout": self._timeout,
            "socket_connect_timeout": self._timeout,
            # A script may run twice, and a second attempt reaches a server that has restarted.
            "retry": Retry(NoBackoff(), 1),
            # Otherwise redis-py sends commands first, which a strict ACL would have to allow.
            "protocol": 2,
            "driver_info": None,
        }
        return Redis.from_pool(BlockingConnectionPool(**settings))

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._clients.aclose()

    def __repr__(self) -> str:
        address = self._address
        return f"{address.host}:{address.port}/{address.database}"


def open_clients(
    server: str | RedisClient,
    *,
    password: Secret | str | None,
    allow_plaintext: bool,
    prefix: str,
    timeout: float,
) -> RedisClients:
    """
    Return the source of clients for a server, given by a URL or a client; nothing is sent yet.

    Args:
        server: The URL, or the client; callers hide it in their own frames first.

        password: The server's password, likewise hidden, in place of the URL's.

        allow_plaintext: Permit ``redis://`` to another machine.

        prefix: Start of the keys' names, which is only checked here.

        timeout: Seconds for one operation.

    Raises:
        ConfigurationError: An argument cannot be used, or redis-py is not installed.
    """
    require("redis", "redis.asyncio")
    if isinstance(server, bytes):
        raise wrong_kind("server", "a rediss:// URL as text, or a client of redis.asyncio", server)
    if not isinstance(password, Secret | str | None):
        raise wrong_kind("password", "a Secret, its text or None", password)
    server = hide(server)
    password = Secret(hide(password)) if isinstance(password, str) else password
    require_flag("allow_plaintext", allow_plaintext)
    _require_prefix(prefix)
    require_seconds("timeout", timeout, above_zero=True)
    if isinstance(server, HiddenStr):
        address = parse_redis_url(server, password=password, allow_plaintext=allow_plaintext)
        return OwnClients(address, timeout)
    if not _is_async_client(server):
        raise wrong_kind("server", "a rediss:// URL or a client of redis.asyncio", server)
    if password is not None or allow_plaintext:
        raise ConfigurationError(
            "password and allow_plaintext must go with a URL: a client has settings of its own"
        )
    return GivenClient(server)


def _require_prefix(prefix: object) -> None:
    if not isinstance(prefix, str):
        raise wrong_kind("prefix", "a short word, such as 'aa'", prefix)
    # Braces choose a cluster's slot.
    if not prefix or not prefix.isprintable() or set(prefix) & set("{} "):
        raise ConfigurationError(
            f"prefix must be a short word without spaces and braces, not {prefix!r}"
        )


def _is_async_client(client: object) -> TypeGuard[RedisClient]:
    from redis import Redis, RedisCluster  # extra "redis"

    is_instance = not isinstance(client, type | Redis | RedisCluster)
    return is_instance and callable(getattr(client, "execute_command", None))


def _connection_class(*, is_tls: bool) -> "type[Connection]":
    from redis.asyncio import Connection, SSLConnection  # extra "redis"

    class WholeConnection(Connection):
        """A connection that is logged in to its database, or closed."""

        async def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT002 - redis-py calls it so
            # redis-py would reuse the connection of a cancelled log-in: without the password, and
            # in database 0.
            try:
                await super().on_connect_check_health(check_health)
            except BaseException:
                await self.disconnect(nowait=True)
                raise

    class WholeTlsConnection(WholeConnection, SSLConnection):
        """The same over TLS."""

    return WholeTlsConnection if is_tls else WholeConnection


def _credentials(user: str | None, password: Secret) -> "CredentialProvider":
    from redis.credentials import CredentialProvider  # extra "redis"
    from redis.exceptions import AuthenticationError

    class Credentials(CredentialProvider):
        """Loads the password for each connection, so that a rotated one is used."""

        async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
            try:
                text = (await password.load()).text
            except AritmaAuthError as error:
                # For an error of its own redis-py closes the connection that it has opened.
                raise AuthenticationError from error
            return (text,) if user is None else (user, text)

    return Credentials()


async def run_bounded(
    timeout: float,
    attempt: str,
    operation: Callable[P, Awaitable[T]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """
    Call an operation of a server, and await it.

    Args:
        timeout: Seconds that it may take.

        attempt: What it does, for the error, such as ``to load``.

        operation: The function.

        args: Its arguments.

        kwargs: Further ones, by their names.

    Raises:
        StoreError: It failed or was not done in time; the message quotes nothing of it.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    cancelled_before = task.cancelling()
    try:
        async with asyncio.timeout(timeout):
            result = await operation(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - no exception of redis-py leaves the package
        problem = problem_of(error)
    else:
        if task.cancelling() > cancelled_before:
            # The wait_for of CPython 3.11, which redis-py uses, drops a cancellation that meets its
            # end.
            raise asyncio.CancelledError
        return result
    raise StoreError(f"Redis failed {attempt}: {problem}")


def problem_of(error: Exception) -> str:
    """Return what went wrong by its kind only: a server's message may repeat what was sent."""
    kind, cause = type(error).__name__, error.__cause__
    if isinstance(cause, AritmaAuthError):
        return str(cause)
    code = str(error).partition(" ")[0]
    if kind == "ResponseError" and code in _CODES:
        return f"{kind} {code}"
    return f"{kind} ({_ADVICE[kind]})" if kind in _ADVICE else kind

"""A store in Redis or Valkey: for processes on several machines."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable
from typing import NamedTuple, Protocol, TypeVar, cast

import attrs

from aritma_auth.errors import ConfigurationError, StoreError
from aritma_auth.protocol.redaction import HiddenStr
from aritma_auth.runtime.closing import AsyncCloseable
from aritma_auth.secret import Secret
from aritma_auth.stores import Entry, Lease, Record
from aritma_auth.stores.encryption import EncryptionKeys
from aritma_auth.stores.records import VERSION, RecordError, dump_record, parse_record
from aritma_auth.stores.redis_connection import open_clients, problem_of
from aritma_auth.stores.redis_scripts import (
    ACQUIRE,
    KEEP,
    LOAD,
    RELEASE,
    SAVE,
    RedisClient,
    Script,
)

T = TypeVar("T")

_RETENTION = 30 * 24 * 3600.0

_AFTER_GATE = 60.0
"""Seconds that a backoff's count is kept after the backoff is over."""

_LONGEST = 10 * 365 * 24 * 3600.0
"""Seconds; whatever a server says, a record is kept no longer."""


class RedisTokenStore(AsyncCloseable):
    """
    Keeps tokens in Redis or Valkey, sealed, and no longer than they are good for.

    One server, a replicated one or a cluster will do, without modules. Its user needs the keys that
    begin with the prefix, and EVAL, EVALSHA, TIME, EXISTS, DEL, GET, SET, HGET, HSET, PTTL and
    PEXPIRE. It must not evict them (``maxmemory-policy noeviction``): a lease that is lost is one
    more refresh. Whatever the server refuses or does not do in time raises `StoreError`.

    Args:
        server: A URL such as ``rediss://user:password@host:6379/0``, of which only the host must be
            there, or a ``redis.asyncio`` client. A URL gets a client for each event loop, closed by
            `aclose`; it may name files for TLS in its query (``ssl_ca_certs``, ``ssl_certfile``,
            ``ssl_keyfile``). A client is used as it is and remains the caller's to close.

        keys: What the tokens are sealed with; the same in all processes.

        password: The server's password in place of the URL's, read anew for each connection.

        allow_plaintext: Speak ``redis://`` to other machines than this one.

        prefix: Start of the keys' names.

        timeout: Seconds for one operation; asking in vain for a lease may take twice that.

        retention: Seconds to keep refresh tokens and the numbers of leases after their last change.

        default_lifetime: Seconds to keep a token whose lifetime is not known.

    Raises:
        ConfigurationError: An argument cannot be right, or redis-py is missing.
    """

    can_watch = False

    def __init__(
        self,
        server: str | RedisClient,
        *,
        keys: EncryptionKeys,
        password: Secret | None = None,
        allow_plaintext: bool = False,
        prefix: str = "aa",
        timeout: float = 0.5,
        retention: float = _RETENTION,
        default_lifetime: float = 300.0,
    ) -> None:
        self._shown = repr(prefix)
        # A traceback may show locals, and a URL holds a password.
        server = HiddenStr(server) if isinstance(server, str) else server
        if not isinstance(keys, EncryptionKeys):
            raise ConfigurationError(
                'tokens in Redis are sealed: give keys=EncryptionKeys({"1": key}), with a key from '
                'python -c "import secrets; print(secrets.token_urlsafe(32))"'
            )
        if not prefix or not prefix.isprintable() or set(prefix) & set("{} "):
            raise ConfigurationError("the prefix of Redis keys is a short word without braces")
        self._clients = open_clients(
            server, password=password, allow_plaintext=allow_plaintext, timeout=timeout
        )
        self._shown += f" at {self._clients!r}"
        self._keys = keys
        self._prefix = prefix
        self._timeout = timeout
        self._retention = retention
        self._assumed_lifetime = default_lifetime

    async def load(self, key: str) -> Entry | None:
        """
        Give the entry of a key, or None.

        Args:
            key: The key.

        Raises:
            StoreError: The server cannot be used.
        """
        names = self._names(key)
        found = await self._run("load", LOAD, (names.value,))
        if found is None:
            return None
        generation, sealed, age, gate_left = cast(
            "tuple[int, bytes | None, int | None, int | None]", found
        )
        try:
            body = self._keys.decrypt(sealed or b"", place=names.place)
            record = parse_record(body, now=time.time())
        except RecordError as error:
            return Entry(Record(), generation, problem=str(error))
        if record.backoff is not None:
            backoff = attrs.evolve(record.backoff, seconds=(gate_left or 0) / 1000)
            record = attrs.evolve(record, backoff=backoff)
        token_age = None if age is None or record.token is None else max(0, age) / 1000
        return Entry(record, generation, token_age)

    async def save(self, key: str, record: Record, *, replaces: int, fence: int = 0) -> bool:
        """
        Write a record if nobody else has meanwhile.

        Args:
            key: The key.

            record: What to keep.

            replaces: Generation of the entry that was loaded, or 0 for none.

            fence: Number of the lease under which it is written, or 0 without one.

        Raises:
            StoreError: The server cannot be used; it is not known whether it has written.
        """
        names, now = self._names(key), time.time()
        sealed = self._keys.encrypt(dump_record(record, now=now), place=names.place)
        written = await self._run(
            "save",
            SAVE,
            (names.value, names.fences),
            replaces,
            fence,
            sealed,
            *self._times(record, now),
        )
        return written == 1

    def _times(self, record: Record, now: float) -> tuple[str | int, ...]:
        token, backoff = record.token, record.backoff
        issued, age, life, least = "", 0.0, 0.0, 1.0
        if token is not None:
            issued, age = repr(token.issued_at), now - token.issued_at
            ends_at = token.expires_at
            life = self._assumed_lifetime if ends_at is None else ends_at - token.issued_at
        if backoff is not None:
            least = backoff.seconds + _AFTER_GATE
        if record.redeeming_since is not None or (token and token.refresh_token):
            least = self._retention
        if token is None and record.serial:
            # That a sign-in has ended must be known for as long as others may know its token.
            least = self._retention
        gate_left = 0.0 if backoff is None else backoff.seconds
        return (issued, *map(_milliseconds, (age, life, least, gate_left, self._retention)))

    async def delete(self, key: str) -> None:
        """
        Forget a key.

        Args:
            key: The key.

        Raises:
            StoreError: The server cannot be used.
        """
        deleted = self._clients.get().execute_command("DEL", self._names(key).value)
        await self._bounded("delete", deleted)

    async def acquire(self, key: str, *, seconds: float) -> Lease | None:
        """
        Ask for the right to refresh a key's token.

        Args:
            key: The key.

            seconds: How long it lasts unless it is kept.

        Raises:
            StoreError: The server cannot be used; it is not known whether it has granted it.
        """
        names, owner = self._names(key), secrets.token_hex(16)
        lease = _RedisLease(names.lease, owner, _milliseconds(seconds), self._run)
        try:
            fence = await self._run(
                "lease",
                ACQUIRE,
                (names.lease, names.fences),
                owner,
                lease.milliseconds,
                _milliseconds(self._retention),
            )
        except BaseException:
            # It may have been granted although the answer was lost: others need not wait for it.
            with contextlib.suppress(StoreError):
                await lease.release()
            raise
        lease.fence = cast("int", fence)
        return lease if lease.fence else None

    async def watch(self, key: str, *, generation: int) -> None:
        """Redis is polled: a message on each change would need one more connection a process."""
        raise NotImplementedError("can_watch is False")

    def _names(self, key: str) -> "_Names":
        # The braces keep the names of one key in one slot of a cluster.
        start = f"{self._prefix}:{{{key}}}"
        return _Names(f"{start}:v", f"{start}:l", f"{start}:f")

    async def _run(
        self, operation: str, script: Script, names: tuple[str, ...], *arguments: bytes | int | str
    ) -> object:
        return await self._bounded(operation, script.run(self._clients.get(), names, *arguments))

    async def _bounded(self, operation: str, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await work
        except Exception as error:  # noqa: BLE001 - whatever redis-py raises, it stays here
            problem = problem_of(error)
        raise StoreError(f"Redis failed to {operation}: {problem}")

    async def aclose(self) -> None:
        """Close the connections that the running event loop has opened."""
        await self._clients.aclose()

    def __repr__(self) -> str:
        return f"<RedisTokenStore {self._shown}>"


class _Names(NamedTuple):
    value: str
    lease: str
    fences: str

    @property
    def place(self) -> str:
        """What a sealed record is bound to: it opens under no other name."""
        return f"{self.value} {VERSION}"


class _Run(Protocol):
    def __call__(
        self, operation: str, script: Script, names: tuple[str, ...], *arguments: int | str
    ) -> Awaitable[object]: ...


@attrs.define
class _RedisLease:
    _name: str
    _owner: str = attrs.field(repr=False)
    milliseconds: int
    _run: _Run = attrs.field(repr=False)
    fence: int = 0

    async def keep(self) -> bool:
        kept = await self._run("keep a lease", KEEP, (self._name,), self._owner, self.milliseconds)
        return kept == 1

    async def release(self) -> None:
        await self._run("release a lease", RELEASE, (self._name,), self._owner)


def _milliseconds(seconds: float) -> int:
    return int(max(0.0, min(seconds, _LONGEST)) * 1000)

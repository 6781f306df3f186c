"""A store in Redis or Valkey: for processes on several machines."""

import contextlib
import secrets
from collections.abc import Awaitable
from typing import NamedTuple, Protocol, cast

import attrs

from aritma_auth.caller_code import require_clock
from aritma_auth.errors import StoreError, require_seconds
from aritma_auth.protocol.redaction import hide
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.closing import AsyncCloseable
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.per_loop import PerLoop
from aritma_auth.secret import Secret
from aritma_auth.stores.contract import (
    BACKOFF_MEMORY,
    Entry,
    Lease,
    Record,
    require_key,
    require_lease,
    require_watch,
    require_write,
)
from aritma_auth.stores.encryption import EncryptionKeys, encryption_keys_problem
from aritma_auth.stores.records import VERSION, RecordError, dump_record, parse_record
from aritma_auth.stores.redis_changes import ChangeListener, SubscribingClient
from aritma_auth.stores.redis_connection import open_clients, run_bounded
from aritma_auth.stores.redis_scripts import ACQUIRE, KEEP, LOAD, RELEASE, SAVE, RedisClient, Script

_RETENTION = 30 * 24 * 3600.0

_MAX_SECONDS = 10 * 365 * 24 * 3600.0
"""No record is kept longer, whatever lifetime the server states."""


class RedisTokenStore(AsyncCloseable):
    """
    Keeps tokens in Redis or Valkey, encrypted, and no longer than they can be used.

    One server, a replicated one or a cluster will do, without modules. Its user needs the keys that
    begin with the prefix, and EVAL, EVALSHA, TIME, EXISTS, DEL, GET, SET, HGET, HSET, PTTL and
    PEXPIRE. With PUBLISH, SUBSCRIBE and the channel ``{prefix}:changes`` processes that wait for
    another's refresh are notified of its end; without, they poll. The server must not evict keys
    (``maxmemory-policy noeviction``): a lost lease costs one more refresh. Whatever the server
    refuses or does not do in time raises `StoreError`.

    Args:
        server: A URL such as ``rediss://user:password@host:6379/0``, of which only the host is
            required, or a ``redis.asyncio`` client. For a URL the store opens a client for each
            event loop, which `aclose` closes, or else the loop's end in ``asyncio.run``; its query
            may name files for TLS (``ssl_ca_certs``, ``ssl_certfile``, ``ssl_keyfile``). A client
            is used as it is; the caller closes it.

        keys: Encrypt the tokens; the same in all processes.

        password: The server's password in place of the URL's, loaded anew for each connection.

        allow_plaintext: Permit ``redis://`` to another machine.

        prefix: Start of the keys' names.

        timeout: Seconds for one operation; an `acquire` that fails may take twice that.

        retention: Seconds to keep refresh tokens and fences after their last change.

        default_lifetime: Seconds to keep a token whose lifetime is unknown.

        clock: The clocks of the process.

    Raises:
        ConfigurationError: An argument is wrong, or redis-py is not installed.
    """

    @hides_arguments
    def __init__(
        self,
        server: str | RedisClient,
        *,
        keys: EncryptionKeys,
        password: Secret | str | None = None,
        allow_plaintext: bool = False,
        prefix: str = "aa",
        timeout: float = 0.5,
        retention: float = _RETENTION,
        default_lifetime: float = 300.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        # A traceback with local variables would show the passwords.
        server, password = hide(server), hide(password)
        self._shown = ""
        problem = encryption_keys_problem(keys)
        if problem is not None:
            del keys
            raise problem
        clock = require_clock(clock)
        require_seconds("retention", retention, above_zero=True)
        require_seconds("default_lifetime", default_lifetime, above_zero=True)
        self._clients = open_clients(
            server,
            password=password,
            allow_plaintext=allow_plaintext,
            prefix=prefix,
            timeout=timeout,
        )
        self._shown = f" {prefix!r} at {self._clients!r}"
        self._keys = keys
        self._prefix = prefix
        self._timeout = timeout
        self._retention = retention
        self._default_lifetime = default_lifetime
        self._clock = clock
        self._listeners = PerLoop(self._make_listener, ChangeListener.aclose)

    @property
    def can_watch(self) -> bool:
        """Whether the client can subscribe; those of redis-py can."""
        return self._clients.can_subscribe

    async def load(self, key: str) -> Entry | None:
        """
        Return the entry of a key, or None.

        Raises:
            StoreError: The server cannot be used now.
        """
        require_key(key)
        names = self._names(key)
        return self._entry_of(names, await self._run("load", LOAD, (names.value,)))

    def _entry_of(self, names: "_Names", found: object) -> Entry | None:
        stored = _parse_stored(found)
        if stored is None:
            return None
        generation, encrypted, age, backoff_left = stored
        now = self._clock.time()
        try:
            body = self._keys.decrypt(encrypted or b"", place=names.place)
            record = parse_record(body, now=now)
        except RecordError as error:
            return Entry(Record(), generation, problem=str(error))
        # The stamps are in clear: a writer without the key, or a server whose clock was set back,
        # must neither make a token younger nor a backoff longer than the encrypted record says.
        backoff, token, token_age = record.backoff, record.token, None
        if backoff is not None:
            seconds = min(backoff.seconds, (backoff_left or 0) / 1000)
            record = attrs.evolve(record, backoff=attrs.evolve(backoff, seconds=seconds))
        if token is not None:
            token_age = max(0.0, (age or 0) / 1000, now - token.issued_at)
        return Entry(record, generation, token_age)

    async def save(self, key: str, record: Record, *, replaces: int, fence: int = 0) -> bool:
        """
        Write a record unless another process has written one meanwhile.

        Raises:
            StoreError: The server cannot be used now; it is not known whether it has written.
        """
        return await self._save(key, record, replaces, fence, owner="")

    async def save_and_release(
        self, key: str, record: Record, *, replaces: int, fence: int, lease: Lease
    ) -> bool:
        """
        Write a record as `save` does, and if it is written release the lease.

        Raises:
            StoreError: The server cannot be used now; it is not known whether it has done both.
        """
        owner = lease.owner if isinstance(lease, _RedisLease) else ""
        return await self._save(key, record, replaces, fence, owner=owner)

    async def _save(
        self, key: str, record: Record, replaces: int, fence: int, *, owner: str
    ) -> bool:
        require_write(key, record, replaces, fence)
        names, now = self._names(key), self._clock.time()
        encrypted = self._keys.encrypt(dump_record(record, now=now), place=names.place)
        written = await self._run(
            "save",
            SAVE,
            (names.value, names.fences, names.lease),
            replaces,
            fence,
            encrypted,
            *self._times(record, now),
            self._channel,
            owner,
        )
        return _parse_answer(written)

    def _times(self, record: Record, now: float) -> tuple[str | int, ...]:
        token, backoff = record.token, record.backoff
        issued, age, life, least = "", 0.0, 0.0, 1.0
        if token is not None:
            issued, age = repr(token.issued_at), now - token.issued_at
            ends_at = token.expires_at
            life = self._default_lifetime if ends_at is None else ends_at - token.issued_at
        if backoff is not None:
            least = backoff.seconds + BACKOFF_MEMORY
        if record.redeeming_since is not None or (token and token.refresh_token):
            least = self._retention
        if token is None and record.serial:
            # The end of a sign-in must be known for as long as another process may know its token.
            least = self._retention
        backoff_left = 0.0 if backoff is None else backoff.seconds
        return (issued, *map(_milliseconds, (age, life, least, backoff_left, self._retention)))

    async def acquire(self, key: str, *, seconds: float) -> Lease | None:
        """
        Request the right to refresh a key's token.

        Raises:
            StoreError: The server cannot be used now; a lease that it may have granted is released.
        """
        granted = await self.acquire_and_load(key, seconds=seconds)
        return None if granted is None else granted[0]

    async def acquire_and_load(
        self, key: str, *, seconds: float
    ) -> "tuple[Lease, Entry | None] | None":
        """
        Request the right to refresh a key's token, as `acquire` does, and load the entry with it.

        Raises:
            StoreError: The server cannot be used now; a lease that it may have granted is released.
        """
        require_lease(key, seconds)
        names, owner = self._names(key), secrets.token_hex(16)
        lease = _RedisLease(names.lease, owner, _milliseconds(seconds), self._run)
        try:
            found = await self._run(
                "lease",
                ACQUIRE,
                (names.lease, names.fences, names.value),
                owner,
                lease.milliseconds,
                _milliseconds(self._retention),
            )
            lease.fence, stored = _parse_grant(found)
            entry = self._entry_of(names, stored)
        except BaseException:
            # The lease may have been granted although the response was lost.
            with contextlib.suppress(StoreError):
                await lease.release()
            raise
        return (lease, entry) if lease.fence else None

    async def watch(self, key: str, *, generation: int) -> None:
        """
        Wait until the entry has another generation, by a subscription to the server.

        Raises:
            StoreError: No notification will come, as for a user without the right to subscribe.
        """
        require_watch(key, generation)
        value = self._names(key).value

        async def is_changed() -> bool:
            found = await self._run("load", LOAD, (value,))
            stored = _parse_stored(found)
            return (0 if stored is None else stored.generation) != generation

        await self._listeners.get().wait(value, generation, is_changed)

    def _make_listener(self) -> ChangeListener:
        client = cast("SubscribingClient", self._clients.get())
        return ChangeListener(client.pubsub, self._channel, self._timeout)

    @property
    def _channel(self) -> str:
        return f"{self._prefix}:changes"

    def _names(self, key: str) -> "_Names":
        # A cluster keeps names with the same text in braces in one slot.
        start = f"{self._prefix}:{{{key}}}"
        return _Names(f"{start}:v", f"{start}:l", f"{start}:f")

    async def _run(
        self, operation: str, script: Script, names: tuple[str, ...], *arguments: bytes | int | str
    ) -> object:
        client = self._clients.get()
        return await run_bounded(
            self._timeout, f"to {operation}", script.run, client, names, *arguments
        )

    async def aclose(self) -> None:
        """Close the connections of the running event loop; a client that was given stays open."""
        await self._listeners.aclose()
        await self._clients.aclose()

    def __repr__(self) -> str:
        return f"<RedisTokenStore{self._shown}>"


class _Names(NamedTuple):
    value: str
    lease: str
    fences: str

    @property
    def place(self) -> str:
        """What an encrypted record is bound to: it cannot be decrypted under another name."""
        return f"{self.value} {VERSION}"


class _Stored(NamedTuple):
    generation: int
    encrypted: bytes | None
    age: int | None
    backoff_left: int | None


_FOREIGN = (
    "Redis must respond what the store's scripts return, and responded something else: check that "
    "the address leads to Redis or Valkey itself, and that nobody else writes these keys"
)


def _parse_stored(found: object) -> _Stored | None:
    match found:
        case None:
            return None
        case [
            int(generation),
            bytes() | None as encrypted,
            int() | None as age,
            int() | None as backoff_left,
        ]:
            return _Stored(generation, encrypted, age, backoff_left)
    raise StoreError(_FOREIGN)


def _parse_grant(found: object) -> tuple[int, object]:
    match found:
        case None:
            return 0, None
        case [int() | None as fence, stored]:
            return fence or 0, stored
    raise StoreError(_FOREIGN)


def _parse_answer(found: object) -> bool:
    if found not in (0, 1):
        raise StoreError(_FOREIGN)
    return found == 1


class _Run(Protocol):
    def __call__(
        self, operation: str, script: Script, names: tuple[str, ...], *arguments: int | str
    ) -> Awaitable[object]: ...


@attrs.define
class _RedisLease:
    _name: str
    owner: str = attrs.field(repr=False)
    milliseconds: int
    _run: _Run = attrs.field(repr=False)
    fence: int = 0

    async def keep(self) -> bool:
        kept = await self._run("keep a lease", KEEP, (self._name,), self.owner, self.milliseconds)
        return _parse_answer(kept)

    async def release(self) -> None:
        await self._run("release a lease", RELEASE, (self._name,), self.owner)


def _milliseconds(seconds: float) -> int:
    return int(max(0.0, min(seconds, _MAX_SECONDS)) * 1000)

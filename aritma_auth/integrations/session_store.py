"""
Where a web application keeps its sessions: in one process, or for all of its processes.

A session is kept on the server and a browser has a random handle to it. A session that travels in
a cookie, even encrypted, could not be ended by a sign-out elsewhere, and its ID token alone fills
the four kilobytes that browsers grant.
"""

import heapq
from base64 import b64decode, b64encode
from typing import Protocol, runtime_checkable

from aritma_auth.caller_code import require_clock
from aritma_auth.errors import (
    StoreError,
    require_count,
    require_instance,
    require_seconds,
)
from aritma_auth.protocol.redaction import HiddenStr, hide
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.closing import AsyncCloseable
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.lock import fork_safe_lock
from aritma_auth.secret import Secret
from aritma_auth.stores.encryption import EncryptionKeys, encryption_keys_problem
from aritma_auth.stores.records import RecordError
from aritma_auth.stores.redis_connection import open_clients, run_bounded
from aritma_auth.stores.redis_scripts import RedisClient

__all__ = ["MemorySessionStore", "RedisSessionStore", "SessionStore"]


@runtime_checkable
class SessionStore(Protocol):
    """
    Keeps texts by key, each for some seconds.

    The texts hold code verifiers and ID tokens: only the application may read them. An exception
    from any method means that the store is away: the end-user is asked to try later, and never to
    sign in again.
    """

    async def put(self, key: str, text: str, *, seconds: float) -> None:
        """
        Write a text, in place of another if there is one.

        Args:
            key: The key: letters, digits and ``-``, at most 100.

            text: The text.

            seconds: How long it is kept.
        """
        ...

    async def add(self, key: str, text: str, *, seconds: float) -> bool:
        """
        Write a text unless there is one, in one step; return whether it was written.

        Args:
            key: The key.

            text: The text.

            seconds: How long it is kept.
        """
        ...

    async def get(self, key: str) -> str | None:
        """
        Return a text, or None.

        Args:
            key: The key.
        """
        ...

    async def take(self, key: str) -> str | None:
        """
        Return a text and delete it, in one step: of two callers at most one gets it.

        Args:
            key: The key.
        """
        ...


class MemorySessionStore:
    """
    Keeps the sessions of one process, as long as it lives.

    Args:
        limit: Texts kept at most. Beyond it the one that would end first goes, so that begun
            sign-ins, which any browser can begin, push out no session.

        clock: Tells when a text has ended.

    Raises:
        ConfigurationError: An argument is of the wrong kind.
    """

    @hides_arguments
    def __init__(self, *, limit: int = 100_000, clock: Clock = SYSTEM_CLOCK) -> None:
        require_count("limit", limit, least=1)
        clock = require_clock(clock)
        self._limit = limit
        self._clock = clock
        self._texts: dict[str, tuple[float, HiddenStr]] = {}
        self._ends: list[tuple[float, str]] = []
        self._lock = fork_safe_lock()

    async def put(self, key: str, text: str, *, seconds: float) -> None:
        """Write a text."""
        _require_entry(key, text, seconds)
        with self._lock:
            self._write(key, text, seconds)

    async def add(self, key: str, text: str, *, seconds: float) -> bool:
        """Write a text unless there is one."""
        _require_entry(key, text, seconds)
        with self._lock:
            if self._read(key) is not None:
                return False
            self._write(key, text, seconds)
            return True

    async def get(self, key: str) -> str | None:
        """Return a text, or None."""
        _require_key(key)
        with self._lock:
            return self._read(key)

    async def take(self, key: str) -> str | None:
        """Return a text and delete it."""
        _require_key(key)
        with self._lock:
            text = self._read(key)
            self._texts.pop(key, None)
            return text

    def _read(self, key: str) -> HiddenStr | None:
        ends_at, text = self._texts.get(key, (0.0, None))
        return text if self._clock.monotonic() < ends_at else None

    def _write(self, key: str, text: str, seconds: float) -> None:
        now = self._clock.monotonic()
        ends_at = now + seconds
        self._texts[key] = ends_at, HiddenStr(text)
        heapq.heappush(self._ends, (ends_at, key))
        while self._ends and (self._ends[0][0] <= now or len(self._texts) > self._limit):
            ended_at, ended = heapq.heappop(self._ends)
            # A text that was written again since has a later entry of its own.
            if self._texts.get(ended, (0.0,))[0] == ended_at:
                del self._texts[ended]

    def __repr__(self) -> str:
        return f"<MemorySessionStore of {len(self._texts)} texts>"


class RedisSessionStore(AsyncCloseable):
    """
    Keeps the sessions of several processes in Redis or Valkey, encrypted.

    Its user needs the keys that begin with the prefix, and GET, SET and GETDEL (Redis 6.2).

    Args:
        server: A URL such as ``rediss://user:password@host:6379/0``, or a ``redis.asyncio`` client;
            as `RedisTokenStore` takes it.

        keys: Encrypt the texts; the same in all processes.

        password: The server's password in place of the URL's, loaded for each connection.

        allow_plaintext: Permit ``redis://`` to another machine.

        prefix: Start of the keys' names.

        timeout: Seconds for one operation.

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
        prefix: str = "aa-web",
        timeout: float = 0.5,
    ) -> None:
        # A traceback with local variables would show the passwords.
        server, password = hide(server), hide(password)
        problem = encryption_keys_problem(keys)
        if problem is not None:
            del keys
            raise problem
        self._clients = open_clients(
            server,
            password=password,
            allow_plaintext=allow_plaintext,
            prefix=prefix,
            timeout=timeout,
        )
        self._keys = keys
        self._prefix = prefix
        self._timeout = timeout

    async def put(self, key: str, text: str, *, seconds: float) -> None:
        """
        Write a text.

        Raises:
            StoreError: The server cannot be used now.
        """
        _require_entry(key, text, seconds)
        await self._run("SET", key, self._encrypted(key, text), *_expiry(seconds))

    async def add(self, key: str, text: str, *, seconds: float) -> bool:
        """
        Write a text unless there is one.

        Raises:
            StoreError: The server cannot be used now; it is not known whether it has written.
        """
        _require_entry(key, text, seconds)
        written = await self._run("SET", key, self._encrypted(key, text), *_expiry(seconds), "NX")
        return written is not None

    async def get(self, key: str) -> str | None:
        """
        Return a text, or None.

        Raises:
            StoreError: The server cannot be used now, or the text is encrypted with a key that is
                not known here.
        """
        return self._decrypted(key, await self._run("GET", key))

    async def take(self, key: str) -> str | None:
        """
        Return a text and delete it.

        Raises:
            StoreError: As for `get`.
        """
        return self._decrypted(key, await self._run("GETDEL", key))

    def _encrypted(self, key: str, text: str) -> str:
        # JSON can carry a lone surrogate, which strict UTF-8 cannot encode.
        octets = text.encode(errors="surrogatepass")
        # As text: a client that was given may decode what it receives.
        return b64encode(self._keys.encrypt(octets, place=self._name(key))).decode()

    def _decrypted(self, key: str, kept: object) -> str | None:
        if kept is None:
            return None
        try:
            encrypted = b64decode(kept if isinstance(kept, bytes | str) else b"", validate=True)
            octets = self._keys.decrypt(encrypted, place=self._name(key))
            return HiddenStr(bytes(octets).decode(errors="surrogatepass"))
        except RecordError as error:
            problem = str(error)
        except ValueError:
            problem = "it is no base64"
        raise StoreError(f"what Redis keeps for the session cannot be read: {problem}")

    def _name(self, key: str) -> str:
        return f"{self._prefix}:{key}"

    async def _run(self, command: str, key: str, *arguments: int | str) -> object:
        _require_key(key)
        execute = self._clients.get().execute_command
        return await run_bounded(
            self._timeout, f"at {command}", execute, command, self._name(key), *arguments
        )

    async def aclose(self) -> None:
        """Close the connections of the running event loop; a client that was given stays open."""
        await self._clients.aclose()

    def __repr__(self) -> str:
        return f"<RedisSessionStore {self._prefix!r} at {self._clients!r}>"


def _require_entry(key: object, text: object, seconds: object) -> None:
    _require_key(key)
    require_instance("text", "a text", text, str)
    require_seconds("seconds", seconds)


def _require_key(key: object) -> None:
    require_instance("key", "a text", key, str)


def _expiry(seconds: float) -> tuple[str, int]:
    return "PX", max(1, int(seconds * 1000))

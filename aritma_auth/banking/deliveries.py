"""
Which deliveries were handled: what turns Aritma's "at least once" into once per handler.

::

              claim                    finish
    unknown ---------> claimed by one ---------> handled, kept for the retention
       ^                  |
       +------------------+   release: the handler failed
                              or the claim ran out: the process died

A claim that runs out makes a crash harmless: the next delivery is handled. It also bounds what can
be promised. A process that stops for longer than its claim and then goes on handles the event a
second time, and so does one that dies after its handler and before `finish`: nobody can tell
whether the handler's work was done. A handler that must not repeat writes `CloudEvent.id` in the
same transaction as its work.
"""

import hashlib
import json
import threading
from collections import OrderedDict
from enum import Enum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from aritma_auth.banking.cloud_events import CloudEvent
from aritma_auth.caller_code import require_clock
from aritma_auth.errors import require_count
from aritma_auth.protocol.redaction import hide
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.closing import AsyncCloseable
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.secret import Secret

if TYPE_CHECKING:
    from aritma_auth.stores.redis_scripts import RedisClient


class Claim(Enum):
    """What a log says of a delivery that a request wants to handle."""

    GRANTED = "granted"
    """It is yours until the claim runs out."""

    HANDLED = "handled"
    """It was handled: drop it."""

    BUSY = "busy"
    """Another request handles it now: let the sender come again."""


@runtime_checkable
class DeliveryLog(Protocol):
    """
    Remembers deliveries by keys; `MemoryDeliveryLog` and `RedisDeliveryLog` are two.

    Each method is atomic, also against other processes that share the log. Whatever prevents one
    raises `StoreError`: the delivery is then refused, and comes again.
    """

    async def claim(self, key: str, owner: str, *, seconds: float) -> Claim:
        """
        Claim a delivery for an owner; a claim of the same owner is granted again.

        Args:
            key: The delivery.

            owner: Who wants to handle it.

            seconds: After how long the claim runs out.
        """
        ...

    async def finish(self, key: str, *, seconds: float) -> None:
        """
        Remember that a delivery was handled, even if another request has claimed it meanwhile.

        Args:
            key: The delivery.

            seconds: For how long.
        """
        ...

    async def release(self, key: str, owner: str) -> None:
        """
        Give a claim back, if the owner still holds it.

        Args:
            key: The delivery.

            owner: Who has claimed it.
        """
        ...


def delivery_key(event: CloudEvent, handler: str) -> str:
    """
    Give the key of one handler's delivery of one event.

    Args:
        event: The event; its source and id identify it (CloudEvents 1.0.2 §3.1.1).

        handler: The handler's name.
    """
    # JSON keeps the parts apart; the digest bounds what the sender chose.
    parts = json.dumps([handler, event.source, event.id])
    return hashlib.sha256(parts.encode()).hexdigest()


class MemoryDeliveryLog:
    """
    Remembers deliveries in this process, for one process without restarts, and for tests.

    Args:
        max_size: Handled deliveries to remember; the oldest are forgotten first.

        clock: The clock that ends claims and memories.

    Raises:
        ConfigurationError: An argument is of the wrong kind.
    """

    @hides_arguments
    def __init__(self, max_size: int = 100_000, *, clock: Clock = SYSTEM_CLOCK) -> None:
        require_count("max_size", max_size, least=1)
        clock = require_clock(clock)
        self._max_size = max_size
        self._clock = clock
        # Event loops of several threads may share the log.
        self._lock = threading.Lock()
        # In the order of their times, so that those that have run out are at the front.
        self._claims: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._handled: OrderedDict[str, float] = OrderedDict()

    async def claim(self, key: str, owner: str, *, seconds: float) -> Claim:
        """Claim a delivery for an owner."""
        with self._lock:
            now = self._clock.monotonic()
            self._forget(now)
            if self._handled.get(key, now) > now:
                return Claim.HANDLED
            held_by, until = self._claims.get(key, (owner, now))
            if held_by != owner and now < until:
                return Claim.BUSY
            self._claims[key] = (owner, now + seconds)
            self._claims.move_to_end(key)
            return Claim.GRANTED

    async def finish(self, key: str, *, seconds: float) -> None:
        """Remember that a delivery was handled."""
        with self._lock:
            now = self._clock.monotonic()
            self._claims.pop(key, None)
            self._handled[key] = now + seconds
            self._handled.move_to_end(key)
            self._forget(now)

    def _forget(self, now: float) -> None:
        handled, claims = self._handled, self._claims
        while handled and (len(handled) > self._max_size or next(iter(handled.values())) <= now):
            handled.popitem(last=False)
        while claims and next(iter(claims.values()))[1] <= now:
            claims.popitem(last=False)

    async def release(self, key: str, owner: str) -> None:
        """Give a claim back."""
        with self._lock:
            if self._claims.get(key, ("", 0.0))[0] == owner:
                del self._claims[key]

    def __repr__(self) -> str:
        return f"<MemoryDeliveryLog of {len(self._handled)}>"


_CLAIM = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return held == 'handled' and 1 or 2 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0
"""

_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

_HANDLED = "handled"

_CLAIMS = (Claim.GRANTED, Claim.HANDLED, Claim.BUSY)


class RedisDeliveryLog(AsyncCloseable):
    """
    Remembers deliveries in Redis or Valkey, for all processes that share them.

    It keeps digests of what the deliveries are called, and nothing that they say. The server must
    not evict keys: an event whose key is gone is handled once more when it comes again.

    Args:
        server: A URL such as ``rediss://user:password@host:6379/0``, or a ``redis.asyncio`` client,
            as `RedisTokenStore` takes them.

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
        server: "str | RedisClient",
        *,
        password: Secret | str | None = None,
        allow_plaintext: bool = False,
        prefix: str = "aa-events",
        timeout: float = 0.5,
    ) -> None:
        # Imported here: a receiver without Redis needs none of it.
        from aritma_auth.stores.redis_connection import open_clients

        # A traceback with local variables would show the passwords.
        server, password = hide(server), hide(password)
        self._clients = open_clients(
            server,
            password=password,
            allow_plaintext=allow_plaintext,
            prefix=prefix,
            timeout=timeout,
        )
        self._prefix = prefix
        self._timeout = timeout

    async def claim(self, key: str, owner: str, *, seconds: float) -> Claim:
        """
        Claim a delivery for an owner.

        Raises:
            StoreError: The server cannot be used now; a claim that it may have granted runs out.
        """
        said = await self._run(
            "claim", "EVAL", _CLAIM, 1, self._name(key), owner, _milliseconds(seconds)
        )
        return _CLAIMS[said] if isinstance(said, int) and 0 <= said <= 2 else Claim.BUSY

    async def finish(self, key: str, *, seconds: float) -> None:
        """
        Remember that a delivery was handled.

        Raises:
            StoreError: The server cannot be used now.
        """
        name = self._name(key)
        await self._run("finish", "SET", name, _HANDLED, "PX", _milliseconds(seconds))

    async def release(self, key: str, owner: str) -> None:
        """
        Give a claim back.

        Raises:
            StoreError: The server cannot be used now; the claim runs out by itself.
        """
        await self._run("release", "EVAL", _RELEASE, 1, self._name(key), owner)

    def _name(self, key: str) -> str:
        return f"{self._prefix}:{key}"

    async def _run(self, operation: str, *command: str | int) -> object:
        from aritma_auth.stores.redis_connection import run_bounded

        execute = self._clients.get().execute_command
        return await run_bounded(self._timeout, f"to {operation} a delivery", execute, *command)

    async def aclose(self) -> None:
        """Close the connections of the running event loop; a client that was given stays open."""
        await self._clients.aclose()

    def __repr__(self) -> str:
        return f"<RedisDeliveryLog {self._prefix!r} at {self._clients!r}>"


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))

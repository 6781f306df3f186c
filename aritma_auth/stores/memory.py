"""A store in memory: for several providers of one process, and for tests."""

import asyncio
import contextlib
import math
import os
from collections.abc import Callable
from itertools import count

import attrs

from aritma_auth.caller_code import require_clock
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.lock import fork_safe_lock
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

_MAX_SIGN_OUTS = 1000
"""Sign-outs that are remembered; each keeps other providers from writing the token back."""

_MIN_SWEEP = 1000
"""Entries below which nothing is swept."""

_DEFAULT_LIFETIME = 24 * 3600.0
"""Seconds to keep a token whose lifetime is unknown."""


class MemoryTokenStore:
    """
    Keeps tokens as long as the process lives.

    It lets go of tokens that have ended and cannot be refreshed, and of all but the last 1,000
    sign-outs.

    Args:
        clock: The clocks of the process.

    Raises:
        ConfigurationError: The clock is none.
    """

    can_watch = True

    @hides_arguments
    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._entries: dict[str, Entry] = {}
        self._clock = require_clock(clock)
        self._writes: dict[str, _Write] = {}
        self._leases: dict[str, _MemoryLease] = {}
        # Counts for all keys, so that what is let go of a key never repeats a fence.
        self._fences = count(1)
        self._watching: dict[str, list[asyncio.Future[None]]] = {}
        self._signed_out: dict[str, None] = {}
        self._sweep_at = _MIN_SWEEP
        self._lock = fork_safe_lock()

    async def load(self, key: str) -> Entry | None:
        """Return the entry of a key, or None."""
        require_key(key)
        with self._lock:
            entry, write = self._entries.get(key), self._writes.get(key)
        if entry is None or write is None or entry.record.backoff is None:
            return entry
        backoff = entry.record.backoff
        # Whole milliseconds: a rest that is too small to move a clock would be waited for in vain.
        left = round(backoff.seconds - (self._clock.monotonic() - write.at), 3)
        record = attrs.evolve(entry.record, backoff=attrs.evolve(backoff, seconds=left))
        return attrs.evolve(entry, record=record)

    async def save(self, key: str, record: Record, *, replaces: int, fence: int = 0) -> bool:
        """Write a record unless another has been written meanwhile."""
        require_write(key, record, replaces, fence)
        with self._lock:
            entry, write = self._entries.get(key), self._writes.get(key)
            latest = 0 if write is None else write.fence
            if (0 if entry is None else entry.generation) != replaces or 0 < fence < latest:
                return False
            self._entries[key] = Entry(record, replaces + 1)
            self._writes[key] = _Write(max(fence, latest), self._clock.monotonic())
            self._note_sign_out(key, record)
            self._sweep()
        self._notify(key)
        return True

    async def acquire(self, key: str, *, seconds: float) -> Lease | None:
        """Request the right to refresh a key's token."""
        require_lease(key, seconds)
        with self._lock:
            held = self._leases.get(key)
            if held is not None and held.is_held:
                return None
            lease = _MemoryLease(key, next(self._fences), seconds, self._clock, self._dismiss)
            self._leases[key] = lease
            return lease

    async def watch(self, key: str, *, generation: int) -> None:
        """Wait until the entry has another generation."""
        require_watch(key, generation)
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            entry = self._entries.get(key)
            if (0 if entry is None else entry.generation) != generation:
                return
            self._watching.setdefault(key, []).append(future)
        try:
            await future
        finally:
            with self._lock, contextlib.suppress(KeyError, ValueError):
                self._watching[key].remove(future)
                if not self._watching[key]:
                    del self._watching[key]

    def _dismiss(self, lease: "_MemoryLease") -> None:
        with self._lock:
            if self._leases.get(lease.key) is lease:
                del self._leases[lease.key]

    def _note_sign_out(self, key: str, record: Record) -> None:
        self._signed_out.pop(key, None)
        if record.token is None and record.redeeming_since is None and record.backoff is None:
            self._signed_out[key] = None
        while len(self._signed_out) > _MAX_SIGN_OUTS:
            self._let_go(next(iter(self._signed_out)))

    def _sweep(self) -> None:
        if len(self._entries) < self._sweep_at:
            return
        now = self._clock.monotonic()
        ended = [
            key
            for key, entry in self._entries.items()
            if self._writes[key].at + _seconds_of_use(entry.record) <= now
        ]
        for key in ended:
            self._let_go(key)
        for lease in [lease for lease in self._leases.values() if not lease.is_held]:
            del self._leases[lease.key]
        # The next sweep comes after as many writes as this one has seen entries: O(1) a write.
        self._sweep_at = max(_MIN_SWEEP, 2 * len(self._entries))

    def _let_go(self, key: str) -> None:
        for part in (self._entries, self._writes, self._signed_out):
            part.pop(key, None)

    def _notify(self, key: str) -> None:
        with self._lock:
            watching = self._watching.pop(key, [])
        for future in watching:
            # A closed loop has no waiter left to wake.
            with contextlib.suppress(RuntimeError):
                future.get_loop().call_soon_threadsafe(_wake, future)

    def __repr__(self) -> str:
        tokens = sum(entry.token is not None for entry in list(self._entries.values()))
        return f"<MemoryTokenStore of {tokens} tokens>"


@attrs.frozen
class _Write:
    fence: int
    at: float


@attrs.define(eq=False)
class _MemoryLease:
    key: str
    fence: int
    seconds: float
    clock: Clock = attrs.field(repr=False)
    on_release: "Callable[[_MemoryLease], None]" = attrs.field(repr=False)
    _until: float = attrs.field(init=False)
    # A child of fork has a copy of the lease, and nobody who would release it.
    _pid: int = attrs.field(factory=os.getpid, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._until = self.clock.monotonic() + self.seconds

    @property
    def is_held(self) -> bool:
        return self._pid == os.getpid() and self.clock.monotonic() < self._until

    async def keep(self) -> bool:
        is_held = self.is_held
        if is_held:
            self._until = self.clock.monotonic() + self.seconds
        return is_held

    async def release(self) -> None:
        self._until = -math.inf
        self.on_release(self)


def _seconds_of_use(record: Record) -> float:
    """Return for how long after its write a record can be of use."""
    token, backoff = record.token, record.backoff
    seconds = 0.0 if backoff is None else backoff.seconds + BACKOFF_MEMORY
    if token is None:
        # The end of a sign-in is bounded by number, and an exchange under way by nothing.
        return seconds if record.serial == 0 and record.redeeming_since is None else math.inf
    if token.refresh_token is not None:
        return math.inf
    if token.expires_at is None:
        return max(seconds, _DEFAULT_LIFETIME)
    return max(seconds, token.expires_at - token.issued_at)


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)

"""
The contract between a provider and a store: what is kept, and the five operations on it.

A new store is one file beside this one, and one line in the contract test that every store passes.
"""

from typing import Protocol, runtime_checkable

import attrs

from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    require_count,
    require_instance,
    require_seconds,
)
from aritma_auth.protocol.tokens import Token
from aritma_auth.runtime.values import Value

BACKOFF_MEMORY = 60.0
"""Seconds for which a store keeps the count of a backoff after its end."""


@attrs.frozen(eq=False, repr=False)
class SharedBackoff(Value):
    """
    The latest failed refresh, which every process that shares the store takes into account.

    Attributes:
        error: What the server or the network reported.

        count: Consecutive failures.

        seconds: Seconds until the server may be asked again. Zero or less: the backoff has ended,
            and only `count` still matters.

        credential: Fingerprint of the refused credential; a process with another one may ask. Empty
            if the failure does not concern the credential.
    """

    error: AritmaAuthError
    count: int = 1
    seconds: float = 0.0
    credential: str = ""


@attrs.frozen(eq=False, repr=False)
class Record(Value):
    """
    What a store keeps under one key.

    Attributes:
        token: The token, refresh token included, or None if there is none, or none any more.

        serial: Counts the tokens of this key, and orders them even after the store has lost its
            memory. Above 0 without a token: the end-user has signed out.

        redeeming_since: POSIX seconds since when a process exchanges the refresh token, which may
            be spent if that process has died; None if no exchange is under way.

        backoff: The latest failure, or None after a success.
    """

    token: Token | None = None
    serial: int = 0
    redeeming_since: float | None = None
    backoff: SharedBackoff | None = None


@attrs.frozen(eq=False, repr=False)
class Entry(Value):
    """
    A record as it was loaded.

    Attributes:
        record: What is kept; empty if it cannot be read.

        generation: Counts the writes of this key, from 1.

        token_age: Seconds since the token was issued, by the store's clock and by ours, whichever
            says more; None if the store has no clock of its own.

        problem: Why the record cannot be read here, such as another encryption key or a newer
            version; None if it was read. An unreadable entry is not an absent one: it may be a
            sign-in that other processes use. Replace it only with a newer token.

        is_lost: The problem is that all entries are gone, although this process has seen some, as
            when a disk was unmounted. They may come back; a process that knows a token of this key
            writes it again.
    """

    record: Record
    generation: int = 1
    token_age: float | None = None
    problem: str | None = None
    is_lost: bool = False

    @property
    def token(self) -> Token | None:
        """The record's token."""
        return self.record.token


class Lease(Protocol):
    """The right to refresh one key's token, until it is released or its time has passed."""

    @property
    def fence(self) -> int:
        """Grows with each lease of a key. A write under one ends the writes under earlier ones."""
        ...

    async def keep(self) -> bool:
        """Restart the lease's time, and return whether the lease was still held."""
        ...

    async def release(self) -> None:
        """Release the lease; releasing one that has ended is no error."""
        ...


class TokenStore(Protocol):
    """
    Keeps records by key; may be shared by providers, event loops and processes.

    An exception from any method means that the store is away. The provider reports it as an event
    and requests tokens without the store where that does no harm.
    """

    @property
    def can_watch(self) -> bool:
        """Whether `watch` can be used; if not, the provider polls with `load`."""
        ...

    async def load(self, key: str) -> Entry | None:
        """
        Return the entry of a key, or None if there is none.

        Args:
            key: The key, 32 hex digits.
        """
        ...

    async def save(self, key: str, record: Record, *, replaces: int, fence: int = 0) -> bool:
        """
        Write a record unless another process has written one meanwhile: compare and swap.

        Args:
            key: The key.

            record: What to keep.

            replaces: Generation of the entry that was loaded, or 0 for none.

            fence: Number of the lease under which it is written, or 0 without one.

        Returns:
            Whether it was written. False if the entry has another generation by now, or if a record
            was written under a later lease.
        """
        ...

    async def acquire(self, key: str, *, seconds: float) -> Lease | None:
        """
        Request the right to refresh a key's token, without waiting.

        Args:
            key: The key.

            seconds: How long the lease lasts unless it is kept.

        Returns:
            The lease, or None if another process holds it.
        """
        ...

    async def watch(self, key: str, *, generation: int) -> None:
        """
        Wait until the entry has another generation.

        Args:
            key: The key.

            generation: Of the entry as it was loaded, or 0 for none.
        """
        ...


@runtime_checkable
class PairedOperations(Protocol):
    """
    What a store may offer besides: two operations at once, where each is a round trip.

    The provider uses them if both are there. Each does what its two operations do one after the
    other.
    """

    async def acquire_and_load(
        self, key: str, *, seconds: float
    ) -> tuple[Lease, Entry | None] | None:
        """Do as `TokenStore.acquire`, and load the entry under the lease that was granted."""
        ...

    async def save_and_release(
        self, key: str, record: Record, *, replaces: int, fence: int, lease: Lease
    ) -> bool:
        """Do as `TokenStore.save`, and release the lease if the record was written."""
        ...


def require_key(key: object) -> None:
    """Require the argument of every operation: the name of an entry."""
    require_instance("key", "the name of an entry", key, str)
    if any("\ud800" <= char <= "\udfff" for char in str(key)):
        raise ConfigurationError(
            "key must be text that UTF-8 can encode; it holds a lone surrogate"
        )


def require_write(key: object, record: object, replaces: object, fence: object) -> None:
    """Require the arguments of `TokenStore.save`."""
    require_key(key)
    require_instance("record", "a Record", record, Record)
    require_count("replaces", replaces)
    require_count("fence", fence)


def require_lease(key: object, seconds: object) -> None:
    """Require the arguments of `TokenStore.acquire`."""
    require_key(key)
    require_seconds("seconds", seconds, above_zero=True)


def require_watch(key: object, generation: object) -> None:
    """Require the arguments of `TokenStore.watch`."""
    require_key(key)
    require_count("generation", generation)

"""
Where tokens are kept beyond a provider's own memory, for other processes and the next start.

A store is one file here and one line in the contract test that every store passes.
"""

from typing import Protocol

import attrs

from aritma_auth.errors import AritmaAuthError
from aritma_auth.protocol.tokens import Token


@attrs.frozen
class SharedBackoff:
    """
    A failure that all who share a store know of: nobody asks the server before it is over.

    Attributes:
        error: What the server or the wire said.

        count: Failures in a row.

        seconds: Seconds that are left; zero or less once it is over, when only the count matters.

        credential: Fingerprint of the credential that was refused: whoever has another one may
            ask. Empty if the failure was not about the credential.
    """

    error: AritmaAuthError
    count: int = 1
    seconds: float = 0.0
    credential: str = ""


@attrs.frozen
class Record:
    """
    What is kept under one key.

    Attributes:
        token: The token, refresh token included, or None if there is none yet.

        serial: Counts the tokens of this key, so that a newer one is known as such even after the
            store has lost its memory.

        redeeming_since: POSIX seconds since which the refresh token is being exchanged: it may be
            spent, since whoever exchanges it may have died. None if it is not.

        backoff: The failure that was met last, or None after a success.
    """

    token: Token | None = None
    serial: int = 0
    redeeming_since: float | None = None
    backoff: SharedBackoff | None = None


@attrs.frozen
class Entry:
    """
    A record as it was found.

    Attributes:
        record: What is kept.

        generation: Counts the writes of this key, from 1.

        token_age: Seconds since the token's request left, by the store's own clock, or None if
            the store has none.

        problem: Why what is kept cannot be read, such as another version's format; its record is
            empty then, and may be overwritten. None if all is well.
    """

    record: Record
    generation: int = 1
    token_age: float | None = None
    problem: str | None = None

    @property
    def token(self) -> Token | None:
        """The record's token."""
        return self.record.token


class Lease(Protocol):
    """The right to refresh one key's token, until it is released or its time is over."""

    @property
    def fence(self) -> int:
        """Grows with each lease of a key; after a write under one, earlier ones write no more."""
        ...

    async def keep(self) -> bool:
        """Start its time anew; tell whether it was still held."""
        ...

    async def release(self) -> None:
        """Give it back; one that is over already is no error."""
        ...


class TokenStore(Protocol):
    """
    Keeps records by key; may be shared by providers, event loops and processes.

    Whatever a method raises means that the store is away: it is told as an event, and tokens are
    then asked for without it where that does no harm.
    """

    @property
    def can_watch(self) -> bool:
        """`watch` returns when the entry changes; otherwise it is not called."""
        ...

    async def load(self, key: str) -> Entry | None:
        """Give the entry of a key, or None if there is none."""
        ...

    async def save(self, key: str, record: Record, *, replaces: int, fence: int = 0) -> bool:
        """
        Write a record if nobody else has meanwhile.

        Args:
            key: The key, as `token_key` makes it.

            record: What to keep.

            replaces: Generation of the entry that was loaded, or 0 for none.

            fence: Number of the lease under which it is written, or 0 without one.

        Returns:
            Whether it was written; False if the entry's generation is another by now, or if
            something was written under a later lease.
        """
        ...

    async def delete(self, key: str) -> None:
        """Forget a key."""
        ...

    async def acquire(self, key: str, *, seconds: float) -> Lease | None:
        """
        Ask for the right to refresh a key's token, without waiting.

        Args:
            key: The key.

            seconds: How long it lasts unless it is kept; engines whose locks end with their
                holder's process may let it last until then.

        Returns:
            The lease, or None if somebody else holds it.
        """
        ...

    async def watch(self, key: str, *, generation: int) -> None:
        """
        Wait until the entry's generation is another.

        Args:
            key: The key.

            generation: Of the entry as it was loaded, or 0 for none.
        """
        ...

"""Renewing for all who share a store: claim, ask, keep what came, tell what failed."""

import contextlib
from collections.abc import Callable

import attrs

from aritma_auth.clock import Clock
from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    ReauthenticationRequiredError,
    VerificationError,
)
from aritma_auth.events import Listener, RefreshTokenAtRisk, StoreFailed, notify
from aritma_auth.gates import plan_shared_pause
from aritma_auth.policy import RefreshPolicy, SharingPolicy
from aritma_auth.protocol.answers import is_ambiguous
from aritma_auth.protocol.tokens import Token
from aritma_auth.renewal.cache import Obtained
from aritma_auth.renewal.guarding import GuardedStore, StoreAwayError
from aritma_auth.renewal.requesting import TokenClient, TokenRequester, credential_of
from aritma_auth.stores import Entry, Gate, Record

_WRITES = 3


@attrs.frozen
class Numbered:
    """
    A token and which one it is of its key.

    Attributes:
        token: The token.

        serial: Grows with each new one.
    """

    token: Token
    serial: int


@attrs.frozen
class Led:
    """
    What leading brought.

    Attributes:
        obtained: The token.

        serial: Which one it is of its key.
    """

    obtained: Obtained
    serial: int


class Leader:
    """
    Renews one key's token under a lease.

    Args:
        client: Whose credential a shared failure may be about.

        requester: Asks the server.

        store: Where the tokens are kept.

        policy: The numbers of a token's life.

        sharing: The numbers of sharing it.

        clock: Tells the time.

        draw: Random numbers in [0, 1) for the jitter.

        on_event: Told what went wrong with the store or a refresh token.

    Attributes:
        is_saving: A new token is on its way into the store.
    """

    def __init__(
        self,
        client: TokenClient,
        requester: TokenRequester,
        store: GuardedStore,
        *,
        policy: RefreshPolicy,
        sharing: SharingPolicy,
        clock: Clock,
        draw: Callable[[], float],
        on_event: Listener | None,
    ) -> None:
        self._client = client
        self._requester = requester
        self._store = store
        self._policy = policy
        self._sharing = sharing
        self._clock = clock
        self._draw = draw
        self._on_event = on_event
        self.is_saving = False

    def must_claim(self, entry: Entry | None, known: Numbered | None) -> bool:
        """
        Tell whether what will be presented may be good for one time only.

        Args:
            entry: What is in the store.

            known: What the provider has.
        """
        newest = _newest(entry, known)
        return self._requester.spends_once(None if newest is None else newest.token)

    async def claim(
        self, entry: Entry | None, known: Numbered | None, fence: int
    ) -> tuple[Entry | None, bool]:
        """
        Write down that a refresh token is being exchanged, before it is.

        Args:
            entry: What is in the store.

            known: What the provider has.

            fence: Number of the lease.

        Returns:
            The entry as it is now, and whether it is claimed; otherwise look at it again.

        Raises:
            StoreAwayError: The store cannot be used.
        """
        newest = _newest(entry, known)
        is_stored = entry is not None and (newest is None or newest.token is entry.token)
        since = entry.record.redeeming_since if entry is not None and is_stored else None
        if (left := self._redeeming_left(since)) > 0:
            # Its holder may still get the answer, and write it down.
            pause = min(left, self._sharing.longest_poll)
            return await self._store.changed(entry, pause), False
        has_lost = newest is not None and (entry is None or entry.token is None)
        record = Record(
            None if newest is None else newest.token,
            0 if newest is None else newest.serial,
            None if has_lost else self._clock.time(),
            None if entry is None else entry.record.gate,
        )
        replaces = 0 if entry is None else entry.generation
        if not await self._store.save(record, replaces=replaces, fence=fence):
            return await self._store.load(), False
        written = Entry(record, replaces + 1)
        if has_lost:
            # The store has lost its memory: another process may know a newer token than this one.
            return await self._store.changed(written, self._sharing.settle), False
        if since is not None:
            fingerprint = "" if newest is None else newest.token.fingerprint
            notify(self._on_event, RefreshTokenAtRisk(fingerprint))
        return written, True

    def _redeeming_left(self, since: float | None) -> float:
        if since is None:
            return 0.0
        # Another machine's clock may be ahead.
        age = max(0.0, self._clock.time() - since)
        return self._sharing.redeeming - age

    async def lead(
        self, entry: Entry | None, known: Numbered | None, fence: int, *, is_patient: bool
    ) -> Led:
        """
        Ask the server, and keep what came before it is given.

        Args:
            entry: What is in the store, claimed if need be.

            known: What the provider has.

            fence: Number of the lease.

            is_patient: Callers wait: try more than once.

        Raises:
            AritmaAuthError: The server's failure; the others will know of it.
        """
        newest = _newest(entry, known)
        token = None if newest is None else newest.token
        failure: AritmaAuthError
        try:
            obtained = await self._requester.run(
                token, patient=is_patient, look_again=self._look_again
            )
        except AritmaAuthError as error:
            failure = error
        else:
            serial = 1 + (0 if newest is None else newest.serial)
            return await self._keep(obtained, serial, entry, fence)
        await self._close_gate(failure, entry, fence)
        raise failure

    async def _look_again(self, spent: Token) -> Token | None:
        with contextlib.suppress(StoreAwayError):
            entry = await self._store.load()
            found = None if entry is None else entry.token
            if found is not None and found.refresh_token != spent.refresh_token:
                return found
        return None

    async def _keep(self, obtained: Obtained, serial: int, entry: Entry | None, fence: int) -> Led:
        self.is_saving = True
        record = Record(obtained.token, serial)
        try:
            for _ in range(_WRITES):
                replaces = 0 if entry is None else entry.generation
                if await self._store.save(record, replaces=replaces, fence=fence):
                    return Led(obtained, serial)
                entry = await self._store.load()
                if entry is not None and entry.record.serial >= serial:
                    # Somebody signed in again meanwhile: theirs counts, and is adopted next.
                    return Led(obtained, serial - 1)
            self.tell_lost()
        except StoreAwayError:
            pass
        finally:
            self.is_saving = False
        return Led(obtained, serial)

    def tell_lost(self) -> None:
        """Tell that a token could not be written, because others always were faster."""
        notify(self._on_event, StoreFailed("save", "other writers were faster"))

    async def _close_gate(self, error: AritmaAuthError, entry: Entry | None, fence: int) -> None:
        before = Record() if entry is None else entry.record
        token = before.token
        if token is not None and isinstance(error, ReauthenticationRequiredError):
            # Nobody else needs to learn that it has ended.
            token = attrs.evolve(token, refresh_token=None)
        record = Record(
            token,
            before.serial,
            before.redeeming_since if _may_be_spent(error) else None,
            await self._gate(error, before),
        )
        if record == before:
            return
        replaces = 0 if entry is None else entry.generation
        with contextlib.suppress(StoreAwayError):
            await self._store.save(record, replaces=replaces, fence=fence)

    async def _gate(self, error: AritmaAuthError, before: Record) -> Gate | None:
        if isinstance(error, ConfigurationError | VerificationError):
            # This process's own trouble.
            return before.gate
        count = 1 + (0 if before.gate is None else before.gate.count)
        seconds = plan_shared_pause(
            self._policy, self._sharing, error, count=count, draw=self._draw()
        )
        credential = await credential_of(self._client) if error.is_permanent else ""
        return Gate(error.copy(), count, seconds, credential)


def _newest(entry: Entry | None, known: Numbered | None) -> Numbered | None:
    """Choose between the store's token and the provider's own, which may not have been kept."""
    if entry is None or entry.token is None:
        return known
    stored = Numbered(entry.token, entry.record.serial)
    return known if known is not None and known.serial > stored.serial else stored


def _may_be_spent(error: AritmaAuthError) -> bool:
    return is_ambiguous(error) or isinstance(error, VerificationError)

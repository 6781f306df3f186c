"""Refreshing for all who share a store: claim, ask, keep what came, tell what failed."""

import contextlib

import attrs

from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    ReauthenticationRequiredError,
    VerificationError,
)
from aritma_auth.events import RefreshTokenAtRisk, StoreFailed, notify
from aritma_auth.protocol.json_response import is_ambiguous
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.backoff import plan_shared_pause
from aritma_auth.provider.shared.resilient_store import ResilientStore, StoreUnavailableError
from aritma_auth.provider.shared.stored_token import Found, VersionedToken, newest_of
from aritma_auth.provider.token_request import Settings, TokenRequester, credential_fingerprint
from aritma_auth.runtime.tasks import uninterrupted
from aritma_auth.stores import Entry, Record, SharedBackoff

_WRITES = 3


class Leader:
    """
    Renews one key's token under a lease.

    Args:
        settings: What the provider was made with.

        requester: Asks the server.

        store: Where the tokens are kept.

    Attributes:
        is_stored: The last token of the server is in the store.
    """

    def __init__(
        self, settings: Settings, requester: TokenRequester, store: ResilientStore
    ) -> None:
        self._client = settings.client
        self._requester = requester
        self._store = store
        self._policy = settings.policy
        self._sharing = settings.sharing
        self._clock = settings.clock
        self._draw = settings.draw
        self._on_event = settings.on_event
        self._mark: float | None = None
        self._mark_seen_at = 0.0
        self.is_stored = True

    def must_claim(self, entry: Entry | None, known: VersionedToken) -> bool:
        """
        Tell whether what will be presented may be good for one time only.

        Args:
            entry: What is in the store.

            known: What the provider has.
        """
        return self._requester.spends_once(newest_of(entry, known).token)

    def redeeming_left(self, entry: Entry | None, known: VersionedToken) -> float:
        """
        Give the seconds for which somebody may still be exchanging the same refresh token.

        Args:
            entry: What is in the store.

            known: What the provider has.
        """
        since = _redeeming_since(entry, known)
        if since is None:
            return 0.0
        now = self._clock.monotonic()
        if since != self._mark:
            self._mark, self._mark_seen_at = since, now
        # Another machine's clock may be ahead: nobody is waited for twice as long.
        age = max(now - self._mark_seen_at, self._clock.time() - since)
        return self._sharing.redemption_timeout - age

    async def mark_redemption(
        self, entry: Entry | None, known: VersionedToken, fence: int
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
            StoreUnavailableError: The store cannot be used.
        """
        newest, since = newest_of(entry, known), _redeeming_since(entry, known)
        # What happened to an older sign-in is of no interest any more.
        is_stored = entry is not None and entry.record.serial == newest.serial
        has_lost = newest.token is not None and (entry is None or entry.token is None)
        record = Record(
            newest.token,
            newest.serial,
            None if has_lost else self._clock.time(),
            entry.record.backoff if entry is not None and is_stored else None,
        )
        replaces = 0 if entry is None else entry.generation
        if not await self._store.save(record, replaces=replaces, fence=fence):
            return await self._store.load(), False
        written = Entry(record, replaces + 1)
        if has_lost:
            # The store has lost its memory: another process may know a newer token than this one.
            return await self._store.changed(written, self._sharing.store_loss_grace), False
        if since is not None:
            fingerprint = "" if newest.token is None else newest.token.fingerprint
            notify(self._on_event, RefreshTokenAtRisk(fingerprint))
        return written, True

    async def lead(
        self, entry: Entry | None, known: VersionedToken, fence: int, *, is_patient: bool
    ) -> Found:
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
        newest = newest_of(entry, known)
        failure: AritmaAuthError
        try:
            obtained = await self._requester.run(
                newest.token, patient=is_patient, look_again=self._look_again
            )
        except AritmaAuthError as error:
            failure = error
        else:
            return await self._keep(Found(obtained, newest.serial + 1), entry, fence)
        await self._record_failure(failure, entry, fence)
        raise failure

    async def _look_again(self, spent: Token) -> Token | None:
        with contextlib.suppress(StoreUnavailableError):
            entry = await self._store.load()
            found = None if entry is None else entry.token
            if found is not None and found.refresh_token != spent.refresh_token:
                return found
        return None

    async def _keep(self, new: Found, entry: Entry | None, fence: int) -> Found:
        # The others wait so long for what came of a refresh token, before they present the same.
        deadline = self._clock.monotonic() + self._sharing.redemption_timeout
        is_precious = self._requester.spends_once(new.obtained.token)
        with uninterrupted():
            while True:
                with contextlib.suppress(StoreUnavailableError):
                    return await self._write(new, entry, fence)
                if not is_precious or self._clock.monotonic() >= deadline:
                    return new
                await self._clock.sleep(self._sharing.store_retry_interval)

    async def _write(self, new: Found, entry: Entry | None, fence: int) -> Found:
        record = Record(new.obtained.token, new.serial)
        self.is_stored = False
        for _ in range(_WRITES):
            replaces = 0 if entry is None else entry.generation
            if await self._store.save(record, replaces=replaces, fence=fence):
                self.is_stored = True
                return new
            entry = await self._store.load()
            if entry is not None and entry.record.serial >= new.serial:
                # Somebody signed in again meanwhile: theirs counts, and is adopted next.
                self.is_stored = True
                return Found(new.obtained, new.serial - 1)
        self.tell_lost()
        return new

    def tell_lost(self) -> None:
        """Tell that a token could not be written, because others always were faster."""
        notify(self._on_event, StoreFailed("save", "other writers were faster"))

    async def _record_failure(
        self, error: AritmaAuthError, entry: Entry | None, fence: int
    ) -> None:
        before = Record() if entry is None else entry.record
        token = before.token
        if token is not None and isinstance(error, ReauthenticationRequiredError):
            # Nobody else needs to learn that it has ended.
            token = attrs.evolve(token, refresh_token=None)
        record = Record(
            token,
            before.serial,
            before.redeeming_since if _may_be_spent(error) else None,
            await self._backoff(error, before),
        )
        if record == before:
            return
        replaces = 0 if entry is None else entry.generation
        with contextlib.suppress(StoreUnavailableError):
            await self._store.save(record, replaces=replaces, fence=fence)

    async def _backoff(self, error: AritmaAuthError, before: Record) -> SharedBackoff | None:
        if isinstance(error, ConfigurationError | VerificationError):
            # This process's own trouble.
            return before.backoff
        count = 1 + (0 if before.backoff is None else before.backoff.count)
        seconds = plan_shared_pause(
            self._policy,
            self._sharing,
            error,
            count=count,
            draw=self._draw(),
            alive_for=self._alive_for(before.token),
        )
        credential = await credential_fingerprint(self._client) if error.is_permanent else ""
        return SharedBackoff(error.copy(), count, seconds, credential)

    def _alive_for(self, token: Token | None) -> float | None:
        if token is None or token.expires_at is None:
            return None
        left = token.expires_at - self._clock.time()
        return left if left > 0 else None


def _redeeming_since(entry: Entry | None, known: VersionedToken) -> float | None:
    """Give the mark on the refresh token that would be presented."""
    if entry is None or newest_of(entry, known).token is not entry.token:
        return None
    return entry.record.redeeming_since


def _may_be_spent(error: AritmaAuthError) -> bool:
    return is_ambiguous(error) or isinstance(error, VerificationError)

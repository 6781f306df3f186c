"""
A provider's way to its store: adopt what is there, or lead the refresh for all who share it.

    look      fresh in the store?  adopt it.  A failure that all know of?  hear it.
    lease     granted              look again, lead: ask the server, keep what came, release
              held by another      a token lives: come back later; else wait for what comes
              the store is away    ask alone, unless that could spend a refresh token twice
"""

import contextlib
from collections.abc import Iterator

import attrs

from aritma_auth.errors import AritmaAuthError, StoreError, TransportError
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.cache import IssuedToken
from aritma_auth.provider.shared.leader import Leader
from aritma_auth.provider.shared.resilient_store import ResilientStore, StoreUnavailableError
from aritma_auth.provider.shared.stored_token import (
    Need,
    StoredTokenReader,
    VersionedToken,
    newest_of,
    serial_of_new,
)
from aritma_auth.provider.token_request import Settings, TokenRequester
from aritma_auth.stores import Entry, Record

_GROWTH = 1.6
_WRITES = 3
_CLAIMS = 100
"""Claims of an entry that others are changing before giving up."""


@attrs.frozen
class Postponed:
    """
    Somebody else refreshes the token, and the one in hand still lives.

    Attributes:
        token: What is in hand.

        seconds: When to look again.
    """

    token: Token
    seconds: float


class RefreshCoordinator:
    """
    Gets tokens from a store or from the server, and keeps the server's in the store.

    Args:
        settings: What the provider was made with.

        requester: Asks the server.

        store: Where the tokens are kept.
    """

    def __init__(
        self, settings: Settings, requester: TokenRequester, store: ResilientStore
    ) -> None:
        self._requester = requester
        self._store = store
        self._reader = StoredTokenReader(
            settings.client, requester, settings.policy, settings.clock
        )
        self._leader = Leader(settings, requester, store)
        self._policy = settings.policy
        self._sharing = settings.sharing
        self._clock = settings.clock
        self._draw = settings.draw
        self._serial = 0
        self._last_seen = 0
        self.is_stored = True

    async def run(self, need: Need) -> IssuedToken | Postponed:
        """
        Give the store's token if it is fresh, else one from the server, kept before it is given.

        Args:
            need: What the flight is after.

        Raises:
            AritmaAuthError: The server's failure, met by this process or by another, when the store
                has no token that lives.
        """
        self._reader.start()
        try:
            return await self._share(need)
        except StoreUnavailableError:
            pass
        except AritmaAuthError as error:
            return self._spare_or_raise(need, error)
        try:
            return await self._ask_alone(need)
        except AritmaAuthError as error:
            return self._spare_or_raise(need, error)

    def _spare_or_raise(self, need: Need, error: AritmaAuthError) -> IssuedToken:
        # Static stability across a restart: what lives in the store is better than nothing.
        spare = self._reader.spare
        if spare is None or not need.is_patient:
            raise error
        self._serial = spare.serial
        return spare.obtained

    async def _share(self, need: Need) -> IssuedToken | Postponed:
        entry = await self._store.load()
        deadline = self._clock.monotonic() + self._policy.refresh_timeout
        pauses = self._pauses()
        while True:
            found = await self._find(entry, need)
            if found is not None:
                return found
            async with self._store.lease() as fence:
                if fence is not None:
                    return await self._lead(fence, need)
            await self._remind(entry, need)
            now = self._clock.monotonic()
            if need.spare is not None and now < need.spare_until:
                return Postponed(need.spare, self._sharing.recheck_interval * (0.5 + self._draw()))
            if now >= deadline:
                raise TransportError(
                    "another process is refreshing the token and has not finished: try again later",
                    may_have_arrived=False,
                )
            entry = await self._store.changed(entry, next(pauses))

    def _pauses(self) -> Iterator[float]:
        pause = self._sharing.min_poll
        while True:
            yield pause * (0.5 + self._draw())
            pause = min(pause * _GROWTH, self._sharing.max_poll)

    async def _find(self, entry: Entry | None, need: Need) -> IssuedToken | None:
        found = await self._reader.find(entry, need, self._serial)
        if found is None:
            return None
        self._serial = found.serial
        return found.obtained

    async def _remind(self, entry: Entry | None, need: Need) -> None:
        """Tell whoever leads of a newer sign-in than the store's, which has lost its memory."""
        if need.known is not None and self._reader.is_behind(entry, self._serial):
            replaces = 0 if entry is None else entry.generation
            await self._store.save(Record(need.known, self._serial), replaces=replaces)

    async def _lead(self, fence: int, need: Need) -> IssuedToken:
        known = VersionedToken(need.known, self._serial)
        entry = await self._store.load()
        found = await self._find(entry, need)
        if found is not None:
            return found
        if self._leader.must_claim(entry, known):
            entry, found = await self._claim(entry, known, fence, need)
            if found is not None:
                return found
        led = await self._leader.lead(entry, known, fence, is_patient=need.is_patient)
        self.is_stored = self._leader.is_stored
        if self._serial == known.serial:
            self._serial = led.serial
        else:
            # Somebody signed in here meanwhile: theirs is newer, whether it was kept or not.
            self._serial = max(self._serial, led.serial + 1)
        return led.obtained

    async def _claim(
        self, entry: Entry | None, known: VersionedToken, fence: int, need: Need
    ) -> tuple[Entry | None, IssuedToken | None]:
        """Wait for whoever may be exchanging the same refresh token; if nothing comes, claim it."""
        deadline = (
            self._clock.monotonic()
            + self._sharing.redemption_timeout
            + self._policy.refresh_timeout
        )
        claims = 0
        while claims < _CLAIMS and self._clock.monotonic() < deadline:
            left = self._leader.redeeming_left(entry, known)
            if left > 0:
                entry = await self._store.changed(entry, min(left, self._sharing.max_poll))
            else:
                claims += 1
                entry, is_claimed = await self._leader.mark_redemption(entry, known, fence)
                if is_claimed:
                    return entry, None
            found = await self._find(entry, need)
            if found is not None:
                return entry, found
        raise TransportError(
            "the stored token changes faster than it can be claimed: try again later",
            may_have_arrived=False,
        )

    async def _ask_alone(self, need: Need) -> IssuedToken:
        known = need.known
        if self._requester.spends_once(known) and not self._sharing.refresh_without_store:
            if not self._requester.can_start_over:
                raise TransportError(
                    "the token store is away, and a refresh token is not presented without its "
                    "lock: it may be good for one time only",
                    retry_after=self._sharing.store_retry_interval,
                    may_have_arrived=False,
                )
            known = None
        obtained = await self._requester.run(known, patient=need.is_patient)
        # Newer than what the store has: it is kept at the next chance.
        self._serial += 1
        self.is_stored = False
        return obtained

    async def keep(self, token: Token) -> None:
        """
        Write a token to the store that came by another way, such as a sign-in.

        Args:
            token: The newest token.
        """
        with contextlib.suppress(StoreUnavailableError):
            # Away was told already; the token is used all the same.
            if not await self._put(token):
                self._leader.tell_lost()

    async def forget(self) -> None:
        """
        Write to the store that there is no token any more, so that nobody brings it back.

        Raises:
            StoreError: It could not be written.
        """
        is_written = False
        with contextlib.suppress(StoreUnavailableError):
            is_written = await self._put(None)
        if not is_written:
            raise StoreError("the token store has not forgotten the token: forget it again later")

    async def _put(self, token: Token | None) -> bool:
        self.is_stored = False
        # Newer than whatever was there, also while the store cannot be asked.
        self._serial = serial_of_new(self._serial, now=self._clock.time())
        for _ in range(_WRITES):
            entry = await self._store.load()
            if entry is not None:
                self._serial = max(self._serial, entry.record.serial + 1)
            replaces = 0 if entry is None else entry.generation
            if await self._store.save(Record(token, self._serial), replaces=replaces):
                self.is_stored = True
                return True
        return False

    async def newest(self, known: Token | None) -> Token | None:
        """
        Give the store's token if it is newer than what this process knows.

        Args:
            known: The newest token of this process.
        """
        with contextlib.suppress(StoreUnavailableError):
            entry = await self._store.load()
            return newest_of(entry, VersionedToken(known, self._serial)).token
        return known

    async def serial(self) -> int:
        """Give the number of the stored token; it changes with each new one, and 0 means none."""
        with contextlib.suppress(StoreUnavailableError):
            entry = await self._store.load()
            self._last_seen = 0 if entry is None else entry.record.serial
        return self._last_seen

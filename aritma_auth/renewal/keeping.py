"""
A provider's way to its store: adopt what is there, or lead the renewal for all who share it.

    look      fresh in the store?  adopt it.  A failure that all know of?  hear it.
    lease     granted              look again, lead: ask the server, keep what came, release
              held by another      a token lives: come back later; else wait for what comes
              the store is away    ask alone, unless that could spend a refresh token twice
"""

from collections.abc import Callable, Iterator

import attrs

from aritma_auth.clock import Clock
from aritma_auth.errors import AritmaAuthError, TransportError
from aritma_auth.events import Listener
from aritma_auth.lifecycle import Freshness, Life, plan_life
from aritma_auth.policy import RefreshPolicy, SharingPolicy
from aritma_auth.protocol.tokens import Token
from aritma_auth.renewal.cache import Obtained
from aritma_auth.renewal.guarding import GuardedStore, StoreAwayError
from aritma_auth.renewal.leading import Leader, Numbered
from aritma_auth.renewal.requesting import TokenClient, TokenRequester, credential_of
from aritma_auth.stores import Entry, Record

_GROWTH = 1.6
_WRITES = 3
_CLAIMS = 100
"""Looks at an entry that others are changing, or exchanging, before giving up."""


@attrs.frozen
class Need:
    """
    What a flight is after.

    Attributes:
        known: The token so far.

        rejected: A token that an API refused, or None.

        is_patient: Callers wait and no token lives: try more than once.

        spare: A token that lives long enough to let somebody else renew it, or None.
    """

    known: Token | None
    rejected: Token | None = None
    is_patient: bool = True
    spare: Token | None = None


@attrs.frozen
class Postponed:
    """
    Somebody else renews the token, and the one in hand still lives.

    Attributes:
        token: What is in hand.

        seconds: When to look again.
    """

    token: Token
    seconds: float


class TokenKeeper:
    """
    Gets tokens from a store or from the server, and keeps the server's in the store.

    Args:
        client: Whose credential a shared failure may be about.

        requester: Asks the server.

        store: Where the tokens are kept.

        policy: The numbers of a token's life.

        sharing: The numbers of sharing it.

        clock: Tells the time.

        draw: Random numbers in [0, 1) for the jitter.

        on_event: Told what goes wrong.
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
        self._leader = Leader(
            client,
            requester,
            store,
            policy=policy,
            sharing=sharing,
            clock=clock,
            draw=draw,
            on_event=on_event,
        )
        self._policy = policy
        self._sharing = sharing
        self._clock = clock
        self._draw = draw
        self._serial = 0
        self._spare: Obtained | None = None
        self._is_saving = False

    @property
    def is_critical(self) -> bool:
        """Cutting off what is under way would lose something that can be had only once."""
        return self._is_saving or self._leader.is_saving or self._requester.is_critical

    async def run(self, need: Need) -> Obtained | Postponed:
        """
        Give the store's token if it is fresh, else one from the server, kept before it is given.

        Args:
            need: What the flight is after.

        Raises:
            AritmaAuthError: The server's failure, met by this process or by another, when the store
                has no token that lives.
        """
        self._spare = None
        try:
            return await self._share(need)
        except StoreAwayError:
            pass
        except AritmaAuthError as error:
            return self._spare_or_raise(need, error)
        try:
            return await self._ask_alone(need)
        except AritmaAuthError as error:
            return self._spare_or_raise(need, error)

    def _spare_or_raise(self, need: Need, error: AritmaAuthError) -> Obtained:
        # Static stability across a restart: what lives in the store is better than nothing.
        if self._spare is None or not need.is_patient:
            raise error
        return self._spare

    async def _share(self, need: Need) -> Obtained | Postponed:
        entry = await self._store.load()
        deadline = self._clock.monotonic() + self._policy.renewal_timeout
        pauses = self._pauses()
        while True:
            found = await self._find(entry, need)
            if found is not None:
                return found
            async with self._store.lease() as fence:
                if fence is not None:
                    return await self._lead(fence, need)
            if need.spare is not None:
                return Postponed(need.spare, self._sharing.look_again * (0.5 + self._draw()))
            if self._clock.monotonic() >= deadline:
                raise TransportError(
                    "another process is renewing the token and has not finished: try again later",
                    may_have_arrived=False,
                )
            entry = await self._store.changed(entry, next(pauses))

    def _pauses(self) -> Iterator[float]:
        pause = self._sharing.first_poll
        while True:
            yield pause * (0.5 + self._draw())
            pause = min(pause * _GROWTH, self._sharing.longest_poll)

    async def _find(self, entry: Entry | None, need: Need) -> Obtained | None:
        """Give the stored token if it is fresh; raise the failure that all know of."""
        if entry is None:
            return None
        token = None if self._is_behind(entry, need) else entry.token
        if token is not None and not _same(token, need.rejected):
            life, now = self._life_of(entry, token), self._clock.monotonic()
            found = Obtained(token, life.issued_at, is_adopted=True)
            if life.freshness(now) is Freshness.FRESH and not _same(token, need.known):
                self._serial = entry.record.serial
                return found
            self._spare = found if now < life.expires_at else None
        gate = entry.record.gate
        if gate is None or gate.seconds <= 0:
            return None
        # Whoever has another credential than the refused one may ask.
        if gate.credential and gate.credential != await credential_of(self._client):
            return None
        error = gate.error.copy()
        error.retry_after = gate.seconds
        raise error

    def _is_behind(self, entry: Entry, need: Need) -> bool:
        """Tell whether the provider has a newer sign-in than a store that was away meanwhile."""
        is_older = entry.record.serial < self._serial
        return is_older and self._requester.spends_once(need.known)

    def _life_of(self, entry: Entry, token: Token) -> Life:
        stated = None if token.expires_at is None else token.expires_at - token.issued_at
        wall_age = max(0.0, self._clock.time() - token.issued_at)
        age = wall_age if entry.token_age is None else entry.token_age
        return plan_life(
            self._policy,
            stated,
            issued_at=self._clock.monotonic() - age,
            wall=self._clock.time() - age,
            draw=0.0,
        )

    async def _lead(self, fence: int, need: Need) -> Obtained:
        entry = await self._store.load()
        known = None if need.known is None else Numbered(need.known, self._serial)
        for _ in range(_CLAIMS):
            found = await self._find(entry, need)
            if found is not None:
                return found
            if not self._leader.must_claim(entry, known):
                break
            # Waits for whoever may be exchanging the same refresh token, then claims it.
            entry, is_claimed = await self._leader.claim(entry, known, fence)
            if is_claimed:
                break
        else:
            raise TransportError(
                "the stored token changes faster than it can be claimed: try again later",
                may_have_arrived=False,
            )
        led = await self._leader.lead(entry, known, fence, is_patient=need.is_patient)
        self._serial = led.serial
        return led.obtained

    async def _ask_alone(self, need: Need) -> Obtained:
        known = need.known
        if self._requester.spends_once(known) and not self._sharing.redeems_without_lock:
            if not self._requester.can_start_over:
                raise TransportError(
                    "the token store is away, and a refresh token is not presented without its "
                    "lock: it may be good for one time only",
                    retry_after=self._sharing.store_pause,
                    may_have_arrived=False,
                )
            known = None
        obtained = await self._requester.run(known, patient=need.is_patient)
        # Newer than what the store has: it is kept at the next chance.
        self._serial += 1
        return obtained

    async def keep(self, token: Token) -> None:
        """
        Write a token to the store that came by another way, such as a sign-in.

        Args:
            token: The newest token.
        """
        self._is_saving = True
        # Newer than whatever was there, also while the store cannot be asked.
        self._serial += 1
        try:
            for _ in range(_WRITES):
                entry = await self._store.load()
                if entry is not None:
                    self._serial = max(self._serial, entry.record.serial + 1)
                record, replaces = Record(token, self._serial), entry.generation if entry else 0
                if await self._store.save(record, replaces=replaces):
                    return
            self._leader.tell_lost()
        except StoreAwayError:
            # Told already; the token is used all the same.
            return
        finally:
            self._is_saving = False

    async def serial(self) -> int:
        """Give the number of the stored token; it changes with each new one, and 0 means none."""
        try:
            entry = await self._store.load()
        except StoreAwayError:
            return self._serial
        return 0 if entry is None else entry.record.serial


def _same(one: Token, other: Token | None) -> bool:
    return other is not None and one.access_token == other.access_token

"""What a stored entry is worth: a token to adopt, one to fall back on, or a failure to hear of."""

import attrs

from aritma_auth.errors import AritmaAuthError
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.cache import IssuedToken
from aritma_auth.provider.lifecycle import Freshness, TokenLifetime, plan_lifetime
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.provider.token_request import TokenRequester, TokenSource, credential_fingerprint
from aritma_auth.runtime.clock import Clock
from aritma_auth.stores import Entry, Record, SharedBackoff


@attrs.frozen
class VersionedToken:
    """
    A token and which one it is of its key.

    Attributes:
        token: The token, or None if there is none, or none any more.

        serial: Grows with each new one.
    """

    token: Token | None = None
    serial: int = 0


@attrs.frozen
class Found:
    """
    A token that can be used, and which one it is of its key.

    Attributes:
        obtained: The token.

        serial: Grows with each new one.
    """

    obtained: IssuedToken
    serial: int


def newest_of(entry: Entry | None, known: VersionedToken) -> VersionedToken:
    """
    Choose between the store's token and the provider's own, which may not have been kept.

    Args:
        entry: What is in the store; without a token but with a number it was forgotten.

        known: What the provider has.
    """
    record = Record() if entry is None else entry.record
    return known if known.serial > record.serial else VersionedToken(record.token, record.serial)


def serial_of_new(serial: int, *, now: float) -> int:
    """
    Number a sign-in, or the end of one.

    Args:
        serial: The highest number that is known.

        now: POSIX seconds.
    """
    return max(serial + 1, int(now))


_CLOCKS_DIFFER = 300.0
"""Seconds by which a token may seem to be from the future."""


@attrs.frozen
class Need:
    """
    What a flight is after.

    Attributes:
        known: The token so far.

        rejected: A token that an API refused, or None.

        is_patient: Callers wait and no token lives: try more than once.

        spare: A token that lives long enough to let somebody else refresh it, or None.

        spare_until: Monotonic seconds until which it does.
    """

    known: Token | None
    rejected: Token | None = None
    is_patient: bool = True
    spare: Token | None = None
    spare_until: float = float("-inf")


class StoredTokenReader:
    """
    Looks at what a store has.

    Args:
        client: Whose credential a shared failure may be about.

        requester: Knows what may be presented again.

        policy: The numbers of a token's life.

        clock: Tells the time.
    """

    def __init__(
        self, client: TokenSource, requester: TokenRequester, policy: RefreshPolicy, clock: Clock
    ) -> None:
        self._client = client
        self._requester = requester
        self._policy = policy
        self._clock = clock
        self._spare: Found | None = None
        self._spare_until = 0.0

    @property
    def spare(self) -> Found | None:
        """The stored token that was not fresh, while it lives."""
        return self._spare if self._clock.monotonic() < self._spare_until else None

    def start(self) -> None:
        """Begin a flight: what an earlier one has seen is of no interest."""
        self._spare = None

    async def find(self, entry: Entry | None, need: Need, serial: int) -> Found | None:
        """
        Give the stored token if it is fresh.

        Args:
            entry: What is in the store.

            need: What the flight is after.

            serial: Which one the provider's own token is.

        Raises:
            AritmaAuthError: The failure that all who share the store know of.
        """
        if entry is None:
            return None
        is_behind = self.is_behind(entry, serial)
        token = None if is_behind else entry.token
        # How long the token in hand lives its provider knows best: whichever clock ends it first.
        if token is not None and not _same(token, need.known, need.rejected):
            life, now = self._life_of(entry, token), self._clock.monotonic()
            found = Found(
                IssuedToken(token, life.issued_at, life.wall_issued_at, is_adopted=True),
                entry.record.serial,
            )
            if life.freshness(now) is Freshness.FRESH:
                return found
            self._spare, self._spare_until = found, life.expires_at
        backoff = entry.record.backoff
        if backoff is not None and await self._is_closed(backoff, is_behind=is_behind):
            error: AritmaAuthError = backoff.error.copy()
            error.retry_after = backoff.seconds
            raise error
        return None

    async def _is_closed(self, backoff: SharedBackoff, *, is_behind: bool) -> bool:
        if backoff.seconds <= 0:
            return False
        # What ended an older sign-in says nothing of a newer one.
        if is_behind and backoff.error.is_permanent:
            return False
        # Whoever has another credential than the refused one may ask.
        return not backoff.credential or backoff.credential == await credential_fingerprint(
            self._client
        )

    def is_behind(self, entry: Entry | None, serial: int) -> bool:
        """
        Tell whether the provider knows more than the store: of a newer sign-in, or of its end.

        Args:
            entry: What is in the store.

            serial: Which one the provider's own token is.
        """
        is_older = (0 if entry is None else entry.record.serial) < serial
        return is_older and not self._requester.can_start_over

    def _life_of(self, entry: Entry, token: Token) -> TokenLifetime:
        age = self._clock.time() - token.issued_at if entry.token_age is None else entry.token_age
        if age < -_CLOCKS_DIFFER:
            # The clock was set back since: nobody knows how old it is.
            age = self._policy.max_lifetime
        age = max(0.0, age)
        return plan_lifetime(
            self._policy,
            token,
            issued_at=self._clock.monotonic() - age,
            wall=self._clock.time() - age,
            draw=0.0,
        )


def _same(token: Token, *others: Token | None) -> bool:
    return token.access_token in (other.access_token for other in others if other is not None)

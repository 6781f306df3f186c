"""A provider's way to its store: adopt what is there, keep what came, survive what fails."""

from aritma_auth.cache import Obtained
from aritma_auth.clock import Clock
from aritma_auth.errors import AritmaAuthError
from aritma_auth.events import Listener, StoreFailed, notify
from aritma_auth.lifecycle import Freshness, Life, plan_life
from aritma_auth.policy import RefreshPolicy
from aritma_auth.protocol.tokens import Token
from aritma_auth.requesting import TokenRequester
from aritma_auth.stores import Entry, TokenStore


class TokenKeeper:
    """
    Gets tokens from a store or from the server, and keeps the server's in the store.

    Args:
        requester: Asks the server.

        store: Where tokens are kept.

        key: Their key.

        policy: The numbers of a token's life.

        clock: Tells the time.

        on_event: Told when the store fails.
    """

    def __init__(
        self,
        requester: TokenRequester,
        store: TokenStore,
        key: str,
        policy: RefreshPolicy,
        clock: Clock,
        on_event: Listener | None,
    ) -> None:
        self._requester = requester
        self._store = store
        self._key = key
        self._policy = policy
        self._clock = clock
        self._on_event = on_event
        self._is_saving = False

    @property
    def is_critical(self) -> bool:
        """Cutting off what is under way would lose something that can be had only once."""
        return self._is_saving or self._requester.is_critical

    async def run(self, known: Token | None, *, rejected: Token | None, patient: bool) -> Obtained:
        """
        Give the store's token if it is fresh, else one from the server, kept before it is given.

        Args:
            known: The token so far.

            rejected: A token that an API refused, or None.

            patient: Callers wait.

        Raises:
            AritmaAuthError: The server's failure, when the store has no token that lives.
        """
        entry = await self._load()
        stored = None if entry is None or _same(entry.token, rejected) else entry.token
        life = None if stored is None else self._life_of(stored)
        now = self._clock.monotonic()
        if stored and life and not _same(stored, known) and life.freshness(now) is Freshness.FRESH:
            return Obtained(stored, life.issued_at, is_adopted=True)
        try:
            obtained = await self._ask(entry.token if entry else known, known, patient)
        except AritmaAuthError:
            # Static stability across a restart: what lives in the store is better than nothing.
            if stored and life and patient and life.expires_at > self._clock.monotonic():
                return Obtained(stored, life.issued_at, is_adopted=True)
            raise
        await self.keep(obtained.token)
        return obtained

    async def keep(self, token: Token) -> None:
        """
        Write a token to the store; where that fails an event tells, and the token is used anyway.

        Args:
            token: The newest token.
        """
        self._is_saving = True
        try:
            for _ in range(2):
                entry = await self._store.load(self._key)
                generation = 0 if entry is None else entry.generation
                if await self._store.save(self._key, token, replaces=generation):
                    return
            self._tell("save", "another writer was faster twice")
        except Exception as error:  # noqa: BLE001 - whatever a store raises
            self._tell("save", type(error).__name__)
        finally:
            self._is_saving = False

    async def generation(self) -> int:
        """Give the stored entry's generation, or 0 without one."""
        entry = await self._load()
        return 0 if entry is None else entry.generation

    async def _ask(self, newest: Token | None, known: Token | None, patient: bool) -> Obtained:
        async def look_again(spent: Token) -> Token | None:
            entry = await self._load()
            found = None if entry is None else entry.token
            return None if found is None or found.refresh_token == spent.refresh_token else found

        # A provider's own token is newer than the store's where a write has failed.
        newer = known if known and newest and known.issued_at > newest.issued_at else newest
        return await self._requester.run(newer, patient=patient, look_again=look_again)

    async def _load(self) -> Entry | None:
        try:
            return await self._store.load(self._key)
        except Exception as error:  # noqa: BLE001 - whatever a store raises
            self._tell("load", type(error).__name__)
            return None

    def _life_of(self, token: Token) -> Life:
        age = max(0.0, self._clock.time() - token.issued_at)
        stated = None if token.expires_at is None else token.expires_at - token.issued_at
        issued_at = self._clock.monotonic() - age
        return plan_life(self._policy, stated, issued_at=issued_at, wall=token.issued_at, draw=0.0)

    def _tell(self, operation: str, error: str) -> None:
        notify(self._on_event, StoreFailed(operation, error))


def _same(one: Token, other: Token | None) -> bool:
    return other is not None and one.access_token == other.access_token

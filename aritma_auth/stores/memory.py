"""A store in memory: for several providers of one process, and for tests."""

from aritma_auth.lock import ForkSafeLock
from aritma_auth.protocol.tokens import Token
from aritma_auth.stores import Entry


class MemoryTokenStore:
    """Keeps tokens as long as the process lives."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._lock = ForkSafeLock()

    async def load(self, key: str) -> Entry | None:
        """Give the entry of a key, or None."""
        return self._entries.get(key)

    async def save(self, key: str, token: Token, *, replaces: int) -> bool:
        """
        Write a token if nobody else has meanwhile.

        Args:
            key: The key.

            token: The token.

            replaces: Generation of the entry that was loaded, or 0 for none.
        """
        with self._lock:
            entry = self._entries.get(key)
            if (0 if entry is None else entry.generation) != replaces:
                return False
            self._entries[key] = Entry(token, replaces + 1)
        return True

    async def delete(self, key: str) -> None:
        """Forget a key."""
        with self._lock:
            self._entries.pop(key, None)

    def __repr__(self) -> str:
        return f"<MemoryTokenStore of {len(self._entries)} tokens>"

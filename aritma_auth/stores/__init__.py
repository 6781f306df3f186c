"""
Where tokens are kept beyond a provider's own memory.

A store is one file here and one line in the contract test that every store passes.
"""

from typing import Protocol

import attrs

from aritma_auth.protocol.tokens import Token


@attrs.frozen
class Entry:
    """
    A stored token.

    Attributes:
        token: The token, refresh token included.

        generation: Counts the writes of this entry, from 1.
    """

    token: Token
    generation: int = 1


class TokenStore(Protocol):
    """
    Keeps tokens by key; may be shared by providers, event loops and processes.

    Whatever a method raises is told as an event and costs nobody a token.
    """

    async def load(self, key: str) -> Entry | None:
        """Give the entry of a key, or None if there is none that can be read."""
        ...

    async def save(self, key: str, token: Token, *, replaces: int) -> bool:
        """
        Write a token if nobody else has meanwhile.

        Args:
            key: The key, as `token_key` makes it.

            token: The token.

            replaces: Generation of the entry that was loaded, or 0 for none.

        Returns:
            Whether it was written; False if the entry's generation is another by now.
        """
        ...

    async def delete(self, key: str) -> None:
        """Forget a key."""
        ...

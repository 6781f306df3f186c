"""What the commands about people share: the client, the store, and one person's sign-in in it."""

import contextlib
from collections.abc import AsyncIterator

import attrs

from aritma_auth.client import OAuthClient
from aritma_auth.errors import AritmaAuthError, ConfigurationError
from aritma_auth.events import Event, StoreFailed
from aritma_auth.protocol.grants import SignedInGrant
from aritma_auth.provider import TokenProvider
from aritma_auth.stores import TokenStore
from aritma_auth.stores.key import token_key


def default_store() -> TokenStore:
    """
    Give the store of people's tokens: a file that only its owner can read.

    Raises:
        ConfigurationError: The extra ``file`` is not installed.
    """
    try:
        from aritma_auth.stores.file import FileTokenStore  # noqa: PLC0415 - needs an extra
    except ImportError:
        is_missing = True
    else:
        is_missing = False
    if is_missing:
        raise ConfigurationError('keeping tokens needs a store: pip install "aritma-auth[file]"')
    return FileTokenStore()


@attrs.frozen
class StoredSignIn:
    """
    One person's sign-in.

    Attributes:
        client: The client that the person signed in to; a public one if there is no secret.

        tokens: Gives the person's tokens, and keeps them.
    """

    client: OAuthClient
    tokens: TokenProvider
    _person: str
    _store: TokenStore

    async def forget(self) -> None:
        """Delete it from the store."""
        await self._store.delete(token_key(self.client.identity, SignedInGrant(self._person)))


@contextlib.asynccontextmanager
async def open_sign_in(person: str) -> AsyncIterator[StoredSignIn]:
    """
    Open a person's stored sign-in, or the place for one.

    Args:
        person: The name it is kept under.

    Raises:
        ConfigurationError: A setting is missing, or the store failed.
    """
    failures: list[StoreFailed] = []

    def hear(event: Event) -> None:
        if isinstance(event, StoreFailed):
            failures.append(event)

    client, store = OAuthClient.from_env(requires_secret=False), default_store()
    grant = SignedInGrant(person)
    try:
        async with TokenProvider(client, grant, store=store, on_event=hear) as tokens:
            yield StoredSignIn(client, tokens, person, store)
    except AritmaAuthError:
        _require_none(failures)
        raise
    _require_none(failures)


def _require_none(failures: list[StoreFailed]) -> None:
    """Where the store is to blame, no other error counts."""
    if failures:
        first = failures[0]
        raise ConfigurationError(f"the token store failed to {first.operation} ({first.error})")

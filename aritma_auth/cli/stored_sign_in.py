"""What the commands about end-users share: the client, the store, and a stored sign-in in it."""

import contextlib
from collections.abc import AsyncIterator

import aiohttp
import attrs

from aritma_auth.client.client import OAuthClient
from aritma_auth.errors import StoreError
from aritma_auth.events import Event, Listener, StoreFailed, notify
from aritma_auth.protocol.grants import SignedInGrant
from aritma_auth.provider.provider import TokenProvider
from aritma_auth.stores import TokenStore
from aritma_auth.stores.file import FileTokenStore
from aritma_auth.stores.key import token_key


def default_store() -> TokenStore:
    """
    Create the store of sign-ins: files that only their owner can read.

    Raises:
        ConfigurationError: The extra ``file`` is not installed.
    """
    return FileTokenStore()


def open_session() -> aiohttp.ClientSession:
    """Open a session for the client to use: through the proxy in HTTPS_PROXY, if there is one."""
    return aiohttp.ClientSession(trust_env=True)


@attrs.frozen
class StoredSignIn:
    """
    One end-user's sign-in.

    Attributes:
        client: The client that the end-user signed in to; public if there is no secret.

        tokens: Provides the end-user's tokens, and stores them.
    """

    client: OAuthClient
    tokens: TokenProvider


@contextlib.asynccontextmanager
async def open_sign_in(
    end_user: str, *, on_event: Listener | None = None
) -> AsyncIterator[StoredSignIn]:
    """
    Open an end-user's stored sign-in, or the place for one.

    Args:
        end_user: The name that it is stored under.

        on_event: Receives the events.

    Raises:
        ConfigurationError: A setting or the extra ``file`` is missing.

        StoreError: The store cannot be used, or has not kept what it was given.
    """
    unsaved: list[StoreFailed] = []

    def listen(event: Event) -> None:
        if isinstance(event, StoreFailed) and event.operation == "save":
            unsaved.append(event)
        notify(on_event, event)

    async with open_session() as session:
        client = OAuthClient.from_env(session=session, requires_secret=False)
        store, grant = default_store(), SignedInGrant(end_user)
        # A store that is away must be told before the end-user signs in for nothing.
        await store.load(token_key(client, grant))
        async with TokenProvider(client, grant, store=store, on_event=listen) as tokens:
            yield StoredSignIn(client, tokens)
    if unsaved:
        raise StoreError(f"{store!r} has not kept the tokens: {unsaved[0].error}")

"""What the commands that need a token share: the service's, or a stored sign-in's."""

import contextlib
import os
from collections.abc import AsyncIterator

import aiohttp

from aritma_auth.cli.stored_sign_in import StoredSignIn, open_session, open_sign_in
from aritma_auth.client.client import OAuthClient
from aritma_auth.events import Listener
from aritma_auth.protocol.grants import ClientCredentialsGrant
from aritma_auth.provider.provider import TokenProvider

_DEFAULT_SCOPE = "bankservice"


@contextlib.asynccontextmanager
async def open_tokens(
    end_user: str | None,
    *,
    scope: str | None = None,
    session: aiohttp.ClientSession | None = None,
    on_event: Listener | None = None,
) -> AsyncIterator[StoredSignIn]:
    """
    Open the client of the environment variables and what provides its tokens.

    Args:
        end_user: Use the sign-in that is stored under this name; None for the service's own tokens.

        scope: Scope of the service's tokens; by default that of ARITMA_SCOPE.

        session: The session whose connections are used; by default one of its own.

        on_event: Receives the events.

    Raises:
        ConfigurationError: A setting is missing or unusable.
    """
    if end_user is not None:
        async with open_sign_in(end_user, on_event=on_event) as signed_in:
            yield signed_in
        return
    async with contextlib.AsyncExitStack() as stack:
        if session is None:
            session = await stack.enter_async_context(open_session())
        client = OAuthClient.from_env(session=session)
        chosen = scope or os.environ.get("ARITMA_SCOPE") or _DEFAULT_SCOPE
        tokens = TokenProvider(client, ClientCredentialsGrant(chosen), on_event=on_event)
        yield StoredSignIn(client, await stack.enter_async_context(tokens))

"""What the commands that need a token share: the service's, or a stored sign-in's."""

import contextlib
from collections.abc import AsyncIterator

from aritma_auth.cli.stored_sign_in import (
    Opened,
    make_client,
    make_opened,
    open_session,
    open_sign_in,
    read_registration,
)
from aritma_auth.events.base import Listener
from aritma_auth.protocol.grants import ClientCredentialsGrant
from aritma_auth.provider.provider import TokenProvider


@contextlib.asynccontextmanager
async def open_tokens(
    end_user: str | None,
    *,
    registration: str | None = None,
    scope: str | None = None,
    on_event: Listener | None = None,
) -> AsyncIterator[Opened]:
    """
    Open the client of the settings and what provides its tokens.

    Args:
        end_user: Use the sign-in that is stored under this name; None for the service's own tokens.

        registration: Of a registration in a TOML file; None reads the environment's variables.

        scope: Scope of the service's tokens; by default that of the settings.

        on_event: Receives the events.

    Raises:
        ConfigurationError: A setting is missing or unusable.
    """
    if end_user is not None:
        async with open_sign_in(end_user, registration=registration, on_event=on_event) as opened:
            yield opened
        return
    settings = read_registration(registration, requires_credential=True)
    async with open_session() as session:
        client = make_client(registration, session, requires_credential=True)
        grant = settings.make_grant() if scope is None else ClientCredentialsGrant(scope)
        async with TokenProvider(client, grant, on_event=on_event) as tokens:
            yield make_opened(client, tokens, settings)

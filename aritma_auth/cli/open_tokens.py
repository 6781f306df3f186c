"""What the commands that need a token share: the service's, or a stored sign-in's."""

import contextlib
from collections.abc import AsyncIterator

import attrs

from aritma_auth.cli.settings import make_client, open_session, read_registration
from aritma_auth.client.client import OAuthClient
from aritma_auth.configuration.registration import Registration
from aritma_auth.errors import StoreError
from aritma_auth.events import StoreFailed
from aritma_auth.events.base import Event, Listener
from aritma_auth.events.listeners import notify
from aritma_auth.protocol.grants import ClientCredentialsGrant, SignedInGrant
from aritma_auth.provider.provider import TokenProvider
from aritma_auth.stores import TokenStore
from aritma_auth.stores.file import FileTokenStore
from aritma_auth.stores.key import token_key

_TRIAL = 5.0
"""Seconds after which another process may have the lease of a trial that was killed."""


@attrs.frozen
class Opened:
    """
    A client of the settings, and its tokens.

    Attributes:
        client: The client; public if there is no secret, where end-users sign in.

        tokens: Provides the tokens; those of a sign-in are stored.

        registration: The settings.
    """

    client: OAuthClient
    tokens: TokenProvider
    registration: Registration

    @property
    def base_url(self) -> str | None:
        """The API that the settings name, or None."""
        return self.registration.settings.value("base_url", str)

    @property
    def secret_variables(self) -> frozenset[str]:
        """Environment variables that hold the client's secrets by other names."""
        given = self.registration.settings.given
        named = (each.value for name, each in given.items() if name.endswith("_variable"))
        return frozenset(map(str, named))


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
        client = make_client(settings, session)
        grant = settings.make_grant() if scope is None else ClientCredentialsGrant(scope)
        async with TokenProvider(client, grant, on_event=on_event) as tokens:
            yield Opened(client, tokens, settings)


@contextlib.asynccontextmanager
async def open_sign_in(
    end_user: str, *, registration: str | None = None, on_event: Listener | None = None
) -> AsyncIterator[Opened]:
    """
    Open an end-user's stored sign-in, or the place for one.

    Args:
        end_user: The name that it is stored under.

        registration: Of a registration in a TOML file; None reads the environment's variables.

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

    settings = read_registration(registration, requires_credential=False)
    async with open_session() as session:
        client = make_client(settings, session)
        store, grant = default_store(), SignedInGrant(end_user)
        await _require_usable(store, token_key(client, grant))
        async with TokenProvider(client, grant, store=store, on_event=listen) as tokens:
            yield Opened(client, tokens, settings)
    if unsaved:
        raise StoreError(f"{store!r} has not kept the tokens: {unsaved[0].error}")


def default_store() -> TokenStore:
    """
    Create the store of sign-ins: files that only their owner can read.

    Raises:
        ConfigurationError: The extra ``file`` is not installed.
    """
    return FileTokenStore()


async def _require_usable(store: TokenStore, key: str) -> None:
    """Try to read and to write, before an end-user signs in for nothing."""
    await store.load(key)
    lease = await store.acquire(key, seconds=_TRIAL)
    if lease is not None:
        await lease.release()

"""What the commands about end-users share: the client, the store, and a stored sign-in in it."""

import contextlib
from collections.abc import AsyncIterator

import aiohttp
import attrs

from aritma_auth.client.client import OAuthClient
from aritma_auth.configuration.registration import Registration, from_file, from_variables
from aritma_auth.errors import StoreError
from aritma_auth.events import StoreFailed
from aritma_auth.events.base import Event, Listener, notify
from aritma_auth.protocol.grants import SignedInGrant
from aritma_auth.provider.provider import TokenProvider
from aritma_auth.stores import TokenStore
from aritma_auth.stores.file import FileTokenStore
from aritma_auth.stores.key import token_key

_TRIAL = 5.0
"""Seconds after which another process may have the lease of a trial that was killed."""


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
class Opened:
    """
    A client of the settings, and its tokens.

    Attributes:
        client: The client; public if there is no secret, where end-users sign in.

        tokens: Provides the tokens; those of a sign-in are stored.

        base_url: The API that the settings name, or None.

        secret_variables: Environment variables that hold the client's secrets by other names.
    """

    client: OAuthClient
    tokens: TokenProvider
    base_url: str | None = None
    secret_variables: frozenset[str] = frozenset()


def read_registration(name: str | None, *, requires_credential: bool) -> Registration:
    """
    Read the settings of a client.

    Args:
        name: Of a registration in a TOML file; None reads the environment's variables.

        requires_credential: A client without a secret or another credential is a mistake.

    Raises:
        ConfigurationError: A setting is missing, unknown or contradictory.
    """
    if name is None:
        return from_variables(requires_credential=requires_credential)
    return from_file(name, None, requires_credential=requires_credential)


def make_client(
    name: str | None, session: aiohttp.ClientSession, *, requires_credential: bool
) -> OAuthClient:
    """
    Make the client of the settings.

    Args:
        name: Of a registration in a TOML file; None reads the environment's variables.

        session: The session whose connections are used.

        requires_credential: A client without a secret or another credential is a mistake.

    Raises:
        ConfigurationError: A setting is missing, unknown or contradictory.
    """
    if name is None:
        return OAuthClient.from_env(session=session, requires_secret=requires_credential)
    return OAuthClient.from_config(name, session=session, requires_secret=requires_credential)


def make_opened(client: OAuthClient, tokens: TokenProvider, registration: Registration) -> Opened:
    """
    Put together what the settings have made.

    Args:
        client: The client.

        tokens: Its tokens.

        registration: The settings.
    """
    given = registration.settings.given
    base_url = given.get("base_url")
    secrets = (each for name, each in given.items() if name.endswith("_variable"))
    return Opened(
        client,
        tokens,
        None if base_url is None else str(base_url.value),
        frozenset(str(each.value) for each in secrets),
    )


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

    async with open_session() as session:
        client = make_client(registration, session, requires_credential=False)
        settings = read_registration(registration, requires_credential=False)
        store, grant = default_store(), SignedInGrant(end_user)
        await _require_usable(store, token_key(client, grant))
        async with TokenProvider(client, grant, store=store, on_event=listen) as tokens:
            yield make_opened(client, tokens, settings)
    if unsaved:
        raise StoreError(f"{store!r} has not kept the tokens: {unsaved[0].error}")


async def _require_usable(store: TokenStore, key: str) -> None:
    """Try to read and to write, before an end-user signs in for nothing."""
    await store.load(key)
    lease = await store.acquire(key, seconds=_TRIAL)
    if lease is not None:
        await lease.release()

"""Replaces a client's secret without an outage; `rotation_steps` has the steps."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from aritma_auth.banking.iam import IamApi, IamSecrets
from aritma_auth.banking.rotation_steps import PROOFS, RotatedSecret, Rotation, load_journal
from aritma_auth.banking.secret_places import SecretPlace
from aritma_auth.caller_code import require_clock
from aritma_auth.client.client import OAuthClient
from aritma_auth.environment import PRODUCTION, Environment
from aritma_auth.errors import (
    ConfigurationError,
    InvalidClientError,
    require_function,
    require_instance,
    require_seconds,
    wrong_kind,
)
from aritma_auth.protocol.grants import ClientCredentialsGrant
from aritma_auth.protocol.redaction import SecretText
from aritma_auth.protocol.urls import require_secure_url
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.secret import Secret

if TYPE_CHECKING:
    import aiohttp

_IAM_API = IamApi()

_LATEST = 253_402_300_799.0
"""The last second that RFC 3339 can write."""

_MAKES_CLIENT = "a function that makes an OAuthClient of a Secret, or None"


async def rotate_secret(
    client_id: str,
    place: SecretPlace,
    journal: SecretPlace,
    *,
    iam: "aiohttp.ClientSession",
    iam_url: str,
    environment: Environment = PRODUCTION,
    scope: str | Iterable[str] | None = None,
    make_client: Callable[[Secret], OAuthClient] | None = None,
    lifetime: float | None = None,
    only_within: float | None = None,
    keep_old: bool = False,
    old_secret_id: str | None = None,
    description: str = "aritma-auth",
    iam_api: IamApi = _IAM_API,
    timeout: float = 10.0,
    session: "aiohttp.ClientSession | None" = None,
    clock: Clock = SYSTEM_CLOCK,
) -> RotatedSecret | None:
    """
    Replace a client's secret; call it again after whatever interrupted it.

    Args:
        client_id: The client.

        place: Where the service reads its secret.

        journal: Where the rotation remembers how far it is: as private as ``place``, and another.

        iam: Your session for IAM, with a token for ``services.iam`` and the permission to manage
            clients.

        iam_url: IAM's base URL, such as ``aa.DEVELOPMENT.base_url("iam")``.

        environment: Where the client gets its tokens.

        scope: Scope of the tokens that prove the secret; None for all that the client may have.

        make_client: Makes the client that proves a secret, if it needs more than ``environment``
            and ``session``: another client authentication, a certificate, a DPoP key, a proxy.

        lifetime: Seconds after which the new secret ends, or None for never.

        only_within: Begin only if the secret in use ends within so many seconds, for a job that
            runs every day. One that was never rotated here is replaced, and one that was created
            without an end is not.

        keep_old: Leave the old secret valid; call again without it to delete it.

        old_secret_id: Identifier of the old secret, if neither the journal nor IAM can tell which.

        description: Begins the new secret's description in IAM.

        iam_api: How IAM's operations are called; most of it is a guess.

        timeout: Seconds for one request.

        session: The session whose connections token requests use.

        clock: The time.

    Returns:
        What was done, or None if nothing was due. An old secret that was not deleted is among
        ``left``.

    Raises:
        ConfigurationError: An argument is not usable, or the journal is of something else.

        InvalidClientError: The new secret gets no token: the old one is still in place and valid.

        InvalidResponseError: IAM refused.

        StoreError: The place or the journal cannot be used now.

        TransportError: IAM or the authorization server did not respond.

    Source: Aritma IAM, "service client": add the new secret, switch, verify, delete the old one.
    """
    _require_places(place, journal)
    _require_session(iam, iam_url, timeout)
    require_instance("client_id", "a text", client_id, str)
    require_instance("iam_api", "an IamApi", iam_api, IamApi)
    require_instance("description", "a text", description, str)
    clock = require_clock(clock)
    _require_optional(make_client, old_secret_id)
    now = clock.time()
    end = _end_after(lifetime, now)
    if only_within is not None:
        require_seconds("only_within", only_within, above_zero=True)

    def new_client(secret: Secret) -> OAuthClient:
        if make_client is not None:
            return _require_client(make_client(secret), client_id)
        return OAuthClient(
            client_id, secret, environment=environment, session=session, timeout=timeout
        )

    async def prove(secret: SecretText, attempts: int) -> bool:
        """Tell whether a secret gets a token."""
        for pause in PROOFS[:attempts]:
            if pause:
                await clock.sleep(pause)
            try:
                async with new_client(Secret(secret.text)) as client:
                    await client.fetch_token(ClientCredentialsGrant(scope))
            except InvalidClientError:
                continue
            return True
        return False

    rotation = Rotation(
        place,
        journal,
        IamSecrets(iam, iam_api, iam_url, client_id, timeout=timeout),
        prove,
    )
    if only_within is not None and not await rotation.is_due(now + only_within):
        return None
    return await rotation.run(
        end, description=description, keep_old=keep_old, old_secret_id=old_secret_id
    )


async def read_expiration(journal: SecretPlace) -> float | None:
    """
    Read when the secret in use ends, for `ExpirationWatch`.

    Args:
        journal: The journal of `rotate_secret`.

    Returns:
        POSIX seconds, or None if it never ends or was never rotated here.

    Raises:
        ConfigurationError: The journal is of something else.

        StoreError: The journal cannot be read now.
    """
    require_instance("journal", "a SecretPlace, such as FileSecretPlace", journal, SecretPlace)
    return (await load_journal(journal)).expires_at


def _require_places(*places: object) -> None:
    for name, given in zip(("place", "journal"), places, strict=True):
        require_instance(name, "a SecretPlace, such as FileSecretPlace(path)", given, SecretPlace)


def _require_optional(make_client: object, old_secret_id: object) -> None:
    if make_client is not None:
        require_function("make_client", _MAKES_CLIENT, make_client, 1, is_awaited=False)
    if old_secret_id is not None:
        require_instance("old_secret_id", "an identifier or None", old_secret_id, str)


def _require_client(client: object, client_id: str) -> OAuthClient:
    if not isinstance(client, OAuthClient):
        raise wrong_kind("make_client's result", "an OAuthClient", client)
    if client.client_id != client_id:
        raise ConfigurationError(
            f"make_client must make the client {client_id!r}, not {client.client_id!r}"
        )
    return client


def _require_session(iam: object, iam_url: str, timeout: float) -> None:
    if not hasattr(iam, "request"):
        raise wrong_kind("iam", "your aiohttp.ClientSession for IAM", iam)
    require_secure_url(iam_url, "iam_url")
    require_seconds("timeout", timeout, above_zero=True)


def _end_after(lifetime: float | None, now: float) -> float | None:
    """Tell when a secret ends, before a journal is written that no later run could send."""
    if lifetime is None:
        return None
    require_seconds("lifetime", lifetime, above_zero=True)
    if now + lifetime > _LATEST:
        raise ConfigurationError(f"lifetime must end before the year 10000, not {lifetime:g} s")
    return now + lifetime

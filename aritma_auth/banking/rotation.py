"""
Replaces a client's secret without an outage, and goes on wherever it was interrupted.

::

    1 draw it        -> journal        nothing has happened yet
    2 create it      -> IAM, journal   both are valid
    3 prove it       <- token          the old one still serves
    4 write it       -> place          the service reads the new one from now on
    5 prove it again <- place, token   what the service will read is what works
    6 delete the old -> IAM
    7 forget it      -> journal        its identifier and its end stay for the next rotation

The journal is written before each step that cannot be repeated blindly, so each step may be the
last of a process. The new secret is in it until the place has it. Nothing is deleted before the
secret that the service reads has got a token, and never a secret that could be somebody else's.
"""

import json
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import attrs

from aritma_auth.banking.iam import ClientSecret, IamApi, IamSecrets
from aritma_auth.banking.secret_places import SecretPlace
from aritma_auth.client.client import OAuthClient
from aritma_auth.environment import PRODUCTION, Environment
from aritma_auth.errors import (
    ConfigurationError,
    InvalidClientError,
    require_instance,
    require_seconds,
    wrong_kind,
)
from aritma_auth.protocol.grants import ClientCredentialsGrant
from aritma_auth.protocol.redaction import SecretText, is_same_text
from aritma_auth.protocol.strict_json import (
    JsonError,
    StructureError,
    parse_json_object,
    structure,
)
from aritma_auth.protocol.urls import require_secure_url
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.values import Value
from aritma_auth.secret import Secret

if TYPE_CHECKING:
    import aiohttp

_IAM_API = IamApi()

_LATEST = 253_402_300_799.0
"""The last second that RFC 3339 can write."""

_MAKES_CLIENT = "a function that makes an OAuthClient of a Secret, or None"

_PROOFS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each attempt: a new secret may need a moment to be known everywhere."""


@attrs.frozen(eq=False, repr=False, kw_only=True)
class RotatedSecret(Value):
    """
    What a rotation has done.

    Attributes:
        secret_id: IAM's identifier of the new secret, or None if IAM does not tell.

        expires_at: When the new secret ends, in POSIX seconds, or None for never.

        deleted: The old secret's identifier, or None if it was left.

        left: Identifiers of the other secrets that are still valid, as far as IAM tells.
    """

    secret_id: str | None
    expires_at: float | None
    deleted: str | None = None
    left: tuple[str, ...] = ()


@attrs.frozen(eq=False, repr=False, kw_only=True)
class _Journal(Value):
    """
    What a process that goes on must know.

    ``value`` is empty between rotations; the others are of the secret in use then, and of the new
    one during a rotation, in which ``old_id`` is that of the one in use.
    """

    value: str = attrs.field(default="", repr=False)
    mark: str = ""
    secret_id: str | None = None
    expires_at: float | None = None
    old_id: str | None = None
    before: tuple[str, ...] | None = None
    is_created: bool = False


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
    require_instance("clock", "a Clock, such as SYSTEM_CLOCK", clock, Clock)
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
        for pause in _PROOFS[:attempts]:
            if pause:
                await clock.sleep(pause)
            try:
                async with new_client(Secret(secret.text)) as client:
                    await client.fetch_token(ClientCredentialsGrant(scope))
            except InvalidClientError:
                continue
            return True
        return False

    rotation = _Rotation(
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
    return (await _load(journal)).expires_at


def _require_places(*places: object) -> None:
    for name, given in zip(("place", "journal"), places, strict=True):
        require_instance(name, "a SecretPlace, such as FileSecretPlace(path)", given, SecretPlace)


def _require_optional(make_client: object, old_secret_id: object) -> None:
    if make_client is not None and not callable(make_client):
        raise wrong_kind("make_client", _MAKES_CLIENT, make_client)
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


class _Rotation:
    """The steps of one rotation, each good to be the last of a process."""

    def __init__(
        self,
        place: SecretPlace,
        journal: SecretPlace,
        iam: IamSecrets,
        prove: "Callable[[SecretText, int], Awaitable[bool]]",
    ) -> None:
        self._place = place
        self._journal = journal
        self._iam = iam
        self._prove = prove

    async def is_due(self, by: float) -> bool:
        known = await _load(self._journal)
        if known.value or not known.is_created:
            return True
        return known.expires_at is not None and known.expires_at <= by

    async def run(
        self,
        expires_at: float | None,
        *,
        description: str,
        keep_old: bool,
        old_secret_id: str | None,
    ) -> RotatedSecret:
        known = await _load(self._journal)
        is_resumed = bool(known.value)
        if not is_resumed:
            known = await self._begin(known, expires_at, description)
        if not known.is_created:
            known = await self._create(known, is_resumed=is_resumed)
        value = SecretText(known.value)
        await self._require_proof(value)
        await self._install(value)
        if old_secret_id is not None and old_secret_id == known.secret_id:
            raise ConfigurationError("old_secret_id must not be the new secret's: it is in use")
        old_id = old_secret_id or known.old_id
        left = [each for each in known.before or () if each != known.secret_id]
        deleted = None
        if not keep_old:
            if old_id is not None:
                await self._iam.delete(old_id)
                deleted = old_id
            await self._save(attrs.evolve(known, value="", mark="", old_id=None, before=None))
        return RotatedSecret(
            secret_id=known.secret_id,
            expires_at=known.expires_at,
            deleted=deleted,
            left=tuple(each for each in left if each != deleted),
        )

    async def _begin(self, last: _Journal, expires_at: float | None, description: str) -> _Journal:
        listed = await self._iam.list()
        ids = None if listed is None else [each.secret_id for each in listed if each.secret_id]
        old_id = last.secret_id if ids is None or last.secret_id in ids else None
        if old_id is None and ids is not None and len(ids) == 1:
            in_use = await self._place.read()
            if in_use is not None and await self._prove(in_use, 1):
                # The secret in use is valid and IAM has one alone: it is this one.
                (old_id,) = ids
        begun = _Journal(
            value=secrets.token_urlsafe(24),
            mark=f"{description} {secrets.token_hex(8)}",
            expires_at=expires_at,
            old_id=old_id,
            before=None if ids is None else tuple(ids),
        )
        await self._save(begun)
        return begun

    async def _create(self, known: _Journal, *, is_resumed: bool) -> _Journal:
        """Create the secret, unless a process that died has done so."""
        created = await self._find(known) if is_resumed else None
        if created is None:
            created = await self._iam.create(SecretText(known.value), known.mark, known.expires_at)
        known = attrs.evolve(known, secret_id=created.secret_id, is_created=True)
        await self._save(known)
        return known

    async def _find(self, known: _Journal) -> ClientSecret | None:
        listed = await self._iam.list() or ()
        found = [each for each in listed if each.description == known.mark]
        if found:
            return found[0]
        if not await self._prove(SecretText(known.value), 1):
            return None
        new = [each for each in listed if each.secret_id not in (known.before or ())]
        return new[0] if len(new) == 1 else ClientSecret(secret_id=None)

    async def _require_proof(self, value: SecretText) -> None:
        if not await self._prove(value, len(_PROOFS)):
            raise InvalidClientError(
                "invalid_client",
                advice="the new secret gets no token: the old one is still in use and valid; run "
                "this again, or look at the client in IAM",
            )

    async def _install(self, value: SecretText) -> None:
        installed = await self._place.read()
        if installed is None or not is_same_text(installed.text, value.text):
            await self._place.write(value)
            installed = await self._place.read()
        if installed is None or not is_same_text(installed.text, value.text):
            raise ConfigurationError(
                "the place must return the secret that was written to it: nothing was deleted"
            )
        await self._require_proof(installed)

    async def _save(self, known: _Journal) -> None:
        await self._journal.write(SecretText(json.dumps(attrs.asdict(known))))


async def _load(journal: SecretPlace) -> _Journal:
    kept = await journal.read()
    if kept is None:
        return _Journal()
    try:
        return structure(parse_json_object(kept.text.encode()), _Journal)
    except (JsonError, StructureError):
        pass
    raise ConfigurationError(
        "the journal must hold what a rotation wrote there, or nothing: give it a place of its own"
    )

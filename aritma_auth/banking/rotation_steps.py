"""
The steps of a rotation, each good to be the last of a process.

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
secret that the service reads has got a token, and never a secret that may be another client's.
"""

import json
import secrets
from collections.abc import Awaitable, Callable

import attrs

from aritma_auth.banking.iam import ClientSecret, IamSecrets
from aritma_auth.banking.secret_places import SecretPlace
from aritma_auth.errors import ConfigurationError, InvalidClientError
from aritma_auth.protocol.redaction import SecretText, is_same_text
from aritma_auth.protocol.strict_json import (
    JsonError,
    StructureError,
    parse_json_object,
    structure,
)
from aritma_auth.runtime.values import Value

PROOFS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
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
class Journal(Value):
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


class Rotation:
    """
    One rotation.

    Args:
        place: Where the service reads its secret.

        journal: Remembers how far the rotation is.

        iam: The client's secrets in IAM.

        prove: Tells whether a secret gets a token, in so many attempts.
    """

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
        """Tell whether the secret in use ends by then, or no rotation was ever completed here."""
        known = await load_journal(self._journal)
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
        """
        Take the steps that are left; see `rotate_secret` for what they raise.

        Args:
            expires_at: When the new secret ends, or None for never.

            description: Begins its description in IAM.

            keep_old: Leave the old secret valid.

            old_secret_id: The old secret, if neither the journal nor IAM can tell which.
        """
        known = await load_journal(self._journal)
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

    async def _begin(self, last: Journal, expires_at: float | None, description: str) -> Journal:
        listed = await self._iam.list()
        ids = None if listed is None else [each.secret_id for each in listed if each.secret_id]
        old_id = last.secret_id if ids is None or last.secret_id in ids else None
        if old_id is None and ids is not None and len(ids) == 1:
            in_use = await self._place.read()
            if in_use is not None and await self._prove(in_use, 1):
                # The secret in use is valid and IAM has one alone: it is this one.
                (old_id,) = ids
        begun = Journal(
            value=secrets.token_urlsafe(24),
            mark=f"{description} {secrets.token_hex(8)}",
            expires_at=expires_at,
            old_id=old_id,
            before=None if ids is None else tuple(ids),
        )
        await self._save(begun)
        return begun

    async def _create(self, known: Journal, *, is_resumed: bool) -> Journal:
        """Create the secret, unless a process that died has done so."""
        created = await self._find(known) if is_resumed else None
        if created is None:
            created = await self._iam.create(SecretText(known.value), known.mark, known.expires_at)
        known = attrs.evolve(known, secret_id=created.secret_id, is_created=True)
        await self._save(known)
        return known

    async def _find(self, known: Journal) -> ClientSecret | None:
        listed = await self._iam.list() or ()
        found = [each for each in listed if each.description == known.mark]
        if found:
            return found[0]
        if not await self._prove(SecretText(known.value), 1):
            return None
        new = [each for each in listed if each.secret_id not in (known.before or ())]
        return new[0] if len(new) == 1 else ClientSecret(secret_id=None)

    async def _require_proof(self, value: SecretText) -> None:
        if not await self._prove(value, len(PROOFS)):
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

    async def _save(self, known: Journal) -> None:
        await self._journal.write(SecretText(json.dumps(attrs.asdict(known))))


async def load_journal(journal: SecretPlace) -> Journal:
    """
    Load a journal; an empty place is the journal of a client that was never rotated here.

    Args:
        journal: Where it is.

    Raises:
        ConfigurationError: The place holds something else.

        StoreError: It cannot be read now.
    """
    kept = await journal.read()
    if kept is None:
        return Journal()
    try:
        return structure(parse_json_object(kept.text.encode()), Journal)
    except (JsonError, StructureError):
        pass
    raise ConfigurationError(
        "the journal must hold what a rotation wrote there, or nothing: give it a place of its own"
    )

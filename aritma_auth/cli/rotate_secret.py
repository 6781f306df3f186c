"""``aritma-auth rotate-secret``: a client's secret is replaced without an outage."""

import contextlib
import os
import shlex
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from aritma_auth.apis import APIS
from aritma_auth.banking.iam import IamApi
from aritma_auth.banking.rotation import rotate_secret
from aritma_auth.banking.rotation_steps import RotatedSecret
from aritma_auth.banking.secret_places import (
    CommandSecretPlace,
    FileSecretPlace,
    KeyringSecretPlace,
    SecretPlace,
)
from aritma_auth.cli.exit_codes import ExitCode, UsageError
from aritma_auth.cli.options import Json
from aritma_auth.cli.settings import make_client, open_session, read_registration
from aritma_auth.cli.terminal import show, show_json, waiting
from aritma_auth.client.client import OAuthClient
from aritma_auth.configuration.registration import Registration
from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.client_auth import (
    ClientAuth,
    ClientSecretBasic,
    ClientSecretPost,
    NoClientAuth,
)
from aritma_auth.protocol.grants import ClientCredentialsGrant
from aritma_auth.protocol.redaction import JsonValue
from aritma_auth.provider.provider import TokenProvider
from aritma_auth.secret import Secret

if TYPE_CHECKING:
    from aritma_auth.environment import Environment

_DAY = 24 * 3600.0
_IAM = IamApi()


async def rotate(
    *,
    file: Path | None = None,
    keyring: str | None = None,
    read_command: str | None = None,
    write_command: str | None = None,
    journal: Path | None = None,
    iam_url: str | None = None,
    lifetime_days: float | None = None,
    within_days: float | None = None,
    keep_old: bool = False,
    old_secret_id: str | None = None,
    secrets_path: str = _IAM.secrets_path,
    secret_path: str = _IAM.secret_path,
    list_method: str = _IAM.list_method,
    delete_method: str = _IAM.delete_method,
    json: Json = False,
) -> int:
    """
    Replace the client's secret by way of IAM: create, prove, write, prove again, delete the old.

    The client is that of ARITMA_CLIENT_ID, ARITMA_ENVIRONMENT and ARITMA_TENANT; its new secret is
    proven with a token for ARITMA_SCOPE. IAM_CLIENT_ID and IAM_CLIENT_SECRET (or
    IAM_CLIENT_SECRET_FILE) name the client that may manage clients; by default it is the same. Run
    it again after whatever interrupted it: it goes on where it stopped.

    Parameters
    ----------
    file:
        The file that the service reads; by default that of ARITMA_CLIENT_SECRET_FILE.
    keyring:
        Instead of a file, the entry of the machine's keyring, as SERVICE/USERNAME.
    read_command:
        Instead of a file, a command that prints the secret, or nothing if there is none.
    write_command:
        The command that takes the new secret from its standard input.
    journal:
        Where the rotation remembers how far it is; beside the file by default, and required with
        commands.
    iam_url:
        Base URL of IAM; by default that of the environment.
    lifetime_days:
        Let the new secret end after so many days.
    within_days:
        Do nothing unless the secret in use ends within so many days, for a job that runs every day.
    keep_old:
        Leave the old secret valid; the next run without this option deletes it.
    old_secret_id:
        IAM's identifier of the old secret, if the command cannot tell which one it is.
    secrets_path:
        Where IAM has a client's secrets, below its base URL.
    secret_path:
        Where IAM has one of them; a guess, like the two methods.
    list_method:
        IAM's method that lists the secrets.
    delete_method:
        IAM's method that deletes one.
    json:
        Print what was done as one JSON object.
    """
    iam_api = IamApi(
        secrets_path=secrets_path,
        secret_path=secret_path,
        list_method=list_method,
        delete_method=delete_method,
    )
    place, notes = _places(file, keyring, read_command, write_command, journal)
    async with open_session() as session:
        settings = read_registration(None, requires_credential=False)
        client = make_client(settings, session)
        _require_secret(client)
        with_secret = partial(_with_secret, settings, client.client_auth, session)
        url = iam_url or _iam_url(client.environment)
        with waiting("rotating the secret"):
            async with _open_iam(_admin(client, place, session, with_secret), url) as iam:
                done = await rotate_secret(
                    client.client_id,
                    place,
                    notes,
                    iam=iam,
                    iam_url=url,
                    iam_api=iam_api,
                    environment=client.environment,
                    make_client=with_secret,
                    scope=os.environ.get("ARITMA_SCOPE"),
                    lifetime=None if lifetime_days is None else lifetime_days * _DAY,
                    only_within=None if within_days is None else within_days * _DAY,
                    keep_old=keep_old,
                    old_secret_id=old_secret_id,
                    session=session,
                )
    if json:
        show_json(_as_json(done))
    else:
        _tell(done, keep_old=keep_old)
    return ExitCode.DONE


@contextlib.asynccontextmanager
async def _open_iam(admin: OAuthClient, url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the session that manages clients, with the certificate of its own client."""
    grant = ClientCredentialsGrant("services.iam")
    async with TokenProvider(admin, grant, on_event=None) as tokens:
        # A token that is bound to the client's certificate is refused without it (RFC 8705 §3).
        context = admin.ssl_context
        connector = aiohttp.TCPConnector(ssl=True if context is None else context)
        async with aiohttp.ClientSession(
            connector=connector, trust_env=True, middlewares=[tokens.middleware([url])]
        ) as iam:
            yield iam


def _require_secret(client: OAuthClient) -> None:
    """Refuse a client whose secret, if it has one, is not what it authenticates with."""
    if isinstance(client.client_auth, ClientSecretPost | ClientSecretBasic | NoClientAuth):
        return
    raise UsageError(
        f"this client authenticates with {client.client_auth.method} and has no secret to rotate; "
        "if it has one beside its certificate, ARITMA_CLIENT_SECRET_FILE must name it"
    )


def _with_secret(
    settings: Registration,
    client_auth: ClientAuth,
    session: aiohttp.ClientSession,
    secret: Secret,
) -> OAuthClient:
    """Make the client that presents another secret, with all else that its settings say."""
    presented: ClientAuth = ClientSecretPost(secret)
    if isinstance(client_auth, ClientSecretBasic):
        presented = ClientSecretBasic(secret, is_form_encoded=client_auth.is_form_encoded)
    arguments = settings.client_arguments
    return partial(OAuthClient, **arguments)(client_auth=presented, session=session)


def _admin(
    client: OAuthClient,
    place: SecretPlace,
    session: aiohttp.ClientSession,
    with_secret: Callable[[Secret], OAuthClient],
) -> OAuthClient:
    """Make the client that may manage clients: another one, or this one with the secret in use."""
    client_id = os.environ.get("IAM_CLIENT_ID")
    file = os.environ.get("IAM_CLIENT_SECRET_FILE")
    if client_id:
        secret = Secret.from_file(file) if file else Secret.from_env("IAM_CLIENT_SECRET")
        return OAuthClient(client_id, secret, environment=client.environment, session=session)

    async def in_use() -> str:
        found = await place.read()
        if found is None:
            raise ConfigurationError(
                "the place must hold the secret in use, or IAM_CLIENT_ID must name another client"
            )
        return found.text

    return with_secret(Secret.from_callable(in_use))


def _places(
    file: Path | None,
    keyring: str | None,
    read_command: str | None,
    write_command: str | None,
    journal: Path | None,
) -> tuple[SecretPlace, SecretPlace]:
    notes = None if journal is None else FileSecretPlace(journal)
    if (read_command is None) != (write_command is None):
        raise UsageError("--read-command and --write-command must be given together")
    if [file, keyring, read_command].count(None) < 2:
        raise UsageError("--file, --keyring and --read-command exclude each other")
    if keyring is not None:
        service, _, username = keyring.partition("/")
        if not service or not username:
            raise UsageError("--keyring must be SERVICE/USERNAME")
        entry = KeyringSecretPlace(service, username)
        return entry, notes or KeyringSecretPlace(service, f"{username}.rotation")
    if read_command is not None and write_command is not None:
        if notes is None:
            raise UsageError("--journal must name a file if the secret is kept by commands")
        return CommandSecretPlace(shlex.split(read_command), shlex.split(write_command)), notes
    named = file or os.environ.get("ARITMA_CLIENT_SECRET_FILE")
    if not named:
        raise UsageError("--file, --keyring or --read-command must say where the secret is")
    path = Path(named)
    return FileSecretPlace(path), notes or FileSecretPlace(path.with_name(f"{path.name}.rotation"))


def _iam_url(environment: "Environment") -> str:
    known = {"production": APIS["iam"].production, "development": APIS["iam"].development}
    url = known.get(environment.name)
    if url is None:
        raise UsageError(
            f"--iam-url must be given: Aritma publishes no URL of IAM for {environment.name}"
        )
    return url


def _as_json(done: RotatedSecret | None) -> dict[str, JsonValue]:
    if done is None:
        return {"rotated": False}
    return {
        "rotated": True,
        "secret_id": done.secret_id,
        "expires_at": done.expires_at,
        "deleted": done.deleted,
        "left": list(done.left),
    }


def _tell(done: RotatedSecret | None, *, keep_old: bool) -> None:
    if done is None:
        show("nothing to do: the secret in use does not end soon")
        return
    show(f"the new secret is in use ({done.secret_id or 'IAM did not tell its id'})")
    if done.deleted is not None:
        show(f"the old secret was deleted ({done.deleted})")
    elif keep_old:
        show("the old secret is still valid: run this again without --keep-old to delete it")
    else:
        show("the old secret is still valid: delete it in IAM, or name it with --old-secret-id")
    if done.left:
        show(f"other secrets of this client: {', '.join(done.left)}")

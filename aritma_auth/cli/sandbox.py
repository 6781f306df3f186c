"""``aritma-auth sandbox``: a local stand-in for Aritma."""

import contextlib

from rich.table import Table
from rich.text import Text

from aritma_auth.cli.exit_codes import ExitCode
from aritma_auth.cli.options import Json, Port
from aritma_auth.cli.stopping import stop_on_signals
from aritma_auth.cli.terminal import show, show_json, show_styled
from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.redaction import JsonValue
from aritma_auth.sandbox import Sandbox


async def run_sandbox(
    *,
    identity_port: Port = 5000,
    banking_port: Port = 5001,
    lifetime: int = 3600,
    json: Json = False,
) -> int:
    """
    Run a local stand-in for Aritma until Ctrl-C. It is not Aritma.

    Parameters
    ----------
    identity_port:
        Port of the identity server; 0 takes a free one.
    banking_port:
        Port of the Banking APIs; 0 takes a free one.
    lifetime:
        Lifetime of access tokens in seconds.
    json:
        Print its addresses, clients and users as one JSON object, then run on.
    """
    stop = stop_on_signals()
    sandbox = Sandbox(identity_port=identity_port, banking_port=banking_port, lifetime=lifetime)
    try:
        await sandbox.start()
    except OSError as error:
        raise ConfigurationError(
            f"{error.strerror}: choose ports with --identity-port and --banking-port"
        ) from None
    async with contextlib.aclosing(sandbox):
        if json:
            show_json(_as_json(sandbox))
        else:
            _introduce(sandbox)
        await stop.wait()
    return ExitCode.DONE


def _as_json(sandbox: Sandbox) -> dict[str, JsonValue]:
    return {
        "identity_url": sandbox.identity_url,
        "banking_url": sandbox.banking_url,
        "clients": [
            {
                "client_id": client.client_id,
                "client_secret": client.client_secret or None,
                "scopes": [*client.scopes],
            }
            for client in sandbox.clients.values()
        ],
        "users": [
            {
                "username": user.username,
                "password": user.password,
                "one_time_code": user.one_time_code,
            }
            for user in sandbox.users.values()
        ],
    }


def _introduce(sandbox: Sandbox) -> None:
    clients = Table("client id", "secret", "scope", box=None, pad_edge=False)
    for client in sandbox.clients.values():
        clients.add_row(
            Text(client.client_id), Text(client.client_secret), Text(" ".join(client.scopes))
        )
    service = sandbox.client
    show_styled(Text("A local stand-in for Aritma. It is not Aritma.", style="bold"))
    show(f"identity server  {sandbox.identity_url}")
    show(f"Banking APIs     {sandbox.banking_url}")
    show(f"in a browser     {sandbox.identity_url}/ lists clients, end-users and passwords")
    show("")
    users = Table("end-user", "password", "one-time code", box=None, pad_edge=False)
    for user in sandbox.users.values():
        users.add_row(Text(user.username), Text(user.password), Text(user.one_time_code))
    show_styled(clients)
    show("")
    show_styled(users)
    show("")
    show(
        f"curl -d 'grant_type=client_credentials&client_id={service.client_id}"
        f"&client_secret={service.client_secret}' {sandbox.identity_url}/connect/token"
    )
    show("")
    show("In another terminal:")
    show("")
    show(f"export ARITMA_ENVIRONMENT={sandbox.identity_url}")
    show(f"export ARITMA_CLIENT_ID={service.client_id}")
    show(f"export ARITMA_CLIENT_SECRET={service.client_secret}")
    bank_url = sandbox.banking_url.rstrip("/")
    show(f"export ARITMA_API_ORIGINS={bank_url}")
    show(f"export ARITMA_BASE_URL={bank_url}")
    show("aritma-auth call GET api/v3/accounts/42")
    show("")
    show("Ctrl-C ends it.")

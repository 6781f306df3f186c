"""``aritma-auth sandbox``: a local stand-in for Aritma."""

import asyncio
import contextlib
import signal

from rich.table import Table
from rich.text import Text

from aritma_auth.cli.terminal import show, show_styled
from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox import Sandbox


async def run_sandbox(
    *, identity_port: int = 5000, banking_port: int = 5001, lifetime: int = 3600
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
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows has no such handlers: there Ctrl-C interrupts.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    sandbox = Sandbox(identity_port=identity_port, banking_port=banking_port, lifetime=lifetime)
    try:
        await sandbox.start()
    except OSError as error:
        raise ConfigurationError(
            f"{error.strerror}: choose ports with --identity-port and --banking-port"
        ) from None
    async with contextlib.aclosing(sandbox):
        _introduce(sandbox)
        await stop.wait()
    return 0


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
    show_styled(clients)
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
    show("aritma-auth token")
    show("")
    show("Ctrl-C ends it.")

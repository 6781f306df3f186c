"""The commands around a local stand-in for Aritma: the demonstration, and the stand-in itself."""

import asyncio
import contextlib
import json
import signal
from typing import Annotated

import cyclopts
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aritma_auth.cli.demo import Demonstration, Wave, demonstrate
from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.redaction import Members
from aritma_auth.sandbox import Sandbox


async def demo(
    *, calls: Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=1))] = 1000
) -> int:
    """
    Fire concurrent Banking calls through one provider, against a local stand-in for Aritma.

    Parameters
    ----------
    calls:
        Calls in each of the two waves.
    """
    shown = await demonstrate(calls)
    _show(shown, Console(highlight=False))
    return 0 if shown.is_as_promised else 1


async def sandbox(
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
        Seconds that access tokens live.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows has no such handlers: there Ctrl-C interrupts.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    running = Sandbox(identity_port=identity_port, banking_port=banking_port, lifetime=lifetime)
    try:
        await running.start()
    except OSError as error:
        raise ConfigurationError(
            f"{error.strerror}: choose ports with --identity-port and --banking-port"
        ) from None
    async with contextlib.aclosing(running):
        _introduce(running, Console(highlight=False, soft_wrap=True))
        await stop.wait()
    return 0


def _show(shown: Demonstration, console: Console) -> None:
    console.print(Text("aritma-auth demo", style="bold"), "against a local stand-in, not Aritma")
    console.print()
    console.print(_waves(shown))
    console.print()
    console.print(Text("The token says", style="bold"))
    console.print(_claims(shown.claims))
    console.print()
    verdict = (
        Text("As promised.", style="green")
        if shown.is_as_promised
        else Text("NOT as promised.", style="bold red")
    )
    console.print(verdict)


def _waves(shown: Demonstration) -> Table:
    table = Table("", "calls", "served", "token requests", "seconds", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"

    def add(name: str, wave: Wave, token_requests: int) -> None:
        table.add_row(
            name, str(wave.calls), str(wave.served), str(token_requests), f"{wave.seconds:.2f}"
        )

    add("cold start, all at once", shown.cold, shown.cold.token_requests)
    minutes = shown.jump / 60
    add(f"{minutes:.0f} minutes later, refresh under way", shown.during_renewal, shown.refreshes)
    return table


def _claims(claims: Members) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in claims.items():
        table.add_row(name, Text(value if isinstance(value, str) else json.dumps(value)))
    return table


def _introduce(running: Sandbox, console: Console) -> None:
    console.print(Text("A local stand-in for Aritma. It is not Aritma.", style="bold"))
    console.print(f"identity server  {running.identity_url}")
    console.print(f"Banking APIs     {running.banking_url}")
    table = Table("client id", "secret", "scope", box=None, pad_edge=False)
    for client in running.clients.values():
        table.add_row(client.client_id, Text(client.client_secret), " ".join(client.scopes))
    console.print(table)
    console.print(
        f"\ncurl -d 'grant_type=client_credentials&client_id={running.client.client_id}"
        f"&client_secret={running.client.client_secret}' {running.identity_url}/connect/token"
    )
    console.print("\nIn another terminal:\n")
    console.print(f"export ARITMA_ENVIRONMENT={running.identity_url}")
    console.print(f"export ARITMA_CLIENT_ID={running.client.client_id}")
    console.print(f"export ARITMA_CLIENT_SECRET={running.client.client_secret}")
    console.print("aritma-auth token")
    console.print("\nCtrl-C ends it.")

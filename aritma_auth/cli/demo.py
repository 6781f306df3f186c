"""``aritma-auth demo``: a thousand calls, one token request, a refresh that no call waits for."""

import asyncio
import time
from json import dumps as to_json

import aiohttp
import attrs
from rich.table import Table
from rich.text import Text

from aritma_auth.cli.exit_codes import ExitCode
from aritma_auth.cli.options import Count, Json
from aritma_auth.cli.terminal import as_line, show, show_json, show_styled, waiting
from aritma_auth.client.client import OAuthClient
from aritma_auth.events import FlightEnded
from aritma_auth.events.base import Event
from aritma_auth.protocol.grants import ClientCredentialsGrant
from aritma_auth.protocol.jwt import parse_unverified_claims
from aritma_auth.protocol.redaction import JsonValue, Members
from aritma_auth.provider.provider import TokenProvider
from aritma_auth.sandbox import Sandbox

_CONNECTIONS = 100
_LATENCY = 0.05


async def run_demo(
    *,
    calls: Count = 1000,
    json: Json = False,
) -> int:
    """
    Send concurrent Banking calls through one provider, against a local stand-in for Aritma.

    Parameters
    ----------
    calls:
        Calls in each of the two waves.
    json:
        Print the measurements as one JSON object.
    """
    with waiting("calling"):
        demonstration = await demonstrate(calls)
    if json:
        show_json(_as_json(demonstration))
    else:
        _report(demonstration)
    return ExitCode.DONE if demonstration.is_as_promised else ExitCode.FAILED


@attrs.frozen
class Wave:
    """
    Calls that were made at the same time.

    Attributes:
        calls: Number of calls.

        served: Number of them that the API served with status 200.

        token_requests: Token requests that they caused.

        seconds: Seconds that they took together.
    """

    calls: int
    served: int
    token_requests: int
    seconds: float


@attrs.frozen
class Demonstration:
    """
    The measurements.

    Attributes:
        cold: The first calls, before any token is cached.

        claims: Claims of the token, unverified.

        jump: Seconds by which the clocks were then moved.

        during_refresh: Calls made while the refresh waited for its response.

        refreshes: Refreshes that then ended.
    """

    cold: Wave
    claims: Members
    jump: float
    during_refresh: Wave
    refreshes: int

    @property
    def is_as_promised(self) -> bool:
        """All calls served, with one token request and one refresh that no call waited for."""
        waves = (self.cold, self.during_refresh)
        return (
            all(wave.served == wave.calls for wave in waves)
            and self.cold.token_requests == 1
            and self.refreshes == 1
        )


async def demonstrate(calls: int) -> Demonstration:
    """
    Measure two waves of calls against a sandbox of their own.

    Args:
        calls: Concurrent calls in each wave.

    Raises:
        ConfigurationError: The extra ``sandbox`` is not installed.
    """
    async with Sandbox() as sandbox:
        client = OAuthClient(
            sandbox.client.client_id,
            sandbox.client.client_secret,
            environment=sandbox.environment,
            clock=sandbox.clock,
        )
        grant = ClientCredentialsGrant(scope="bankservice")
        ended = asyncio.Event()

        def on_event(event: Event) -> None:
            if isinstance(event, FlightEnded):
                ended.set()

        async with (
            TokenProvider(client, grant, clock=sandbox.clock, on_event=on_event) as tokens,
            aiohttp.ClientSession(
                sandbox.banking_url,
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
                middlewares=[tokens.middleware()],
            ) as bank,
        ):
            sandbox.faults.set_latency(_LATENCY)
            cold = await _call(sandbox, bank, calls)
            first = await tokens.get_token()
            refresh_in = tokens.status().refresh_in or 0.0
            sandbox.clock.advance(refresh_in + 1)
            ended.clear()
            gate = sandbox.faults.hold()
            during_refresh = await _call(sandbox, bank, calls)
            gate.release()
            await ended.wait()
            return Demonstration(
                cold,
                parse_unverified_claims(first.access_token) or Members(),
                refresh_in + 1,
                during_refresh,
                len(sandbox.token_requests) - 1,
            )


async def _call(sandbox: Sandbox, bank: aiohttp.ClientSession, calls: int) -> Wave:
    async def call(number: int) -> int:
        async with bank.get(f"api/v3/accounts/{number}") as response:
            return response.status

    requests_before, started = len(sandbox.token_requests), time.perf_counter()
    statuses = await asyncio.gather(*(call(number) for number in range(calls)))
    return Wave(
        calls,
        statuses.count(200),
        len(sandbox.token_requests) - requests_before,
        time.perf_counter() - started,
    )


def _as_json(demonstration: Demonstration) -> dict[str, JsonValue]:
    return {
        "is_as_promised": demonstration.is_as_promised,
        "cold": attrs.asdict(demonstration.cold),
        "during_refresh": attrs.asdict(demonstration.during_refresh),
        "refreshes": demonstration.refreshes,
        "claims": dict(demonstration.claims.items()),
    }


def _report(demonstration: Demonstration) -> None:
    show_styled(Text("aritma-auth demo against a local stand-in, not Aritma", style="bold"))
    show("")
    show_styled(_waves(demonstration))
    show("")
    show_styled(Text("The token says", style="bold"), _claims(demonstration.claims))
    show("")
    show_styled(
        Text("As promised.", style="green")
        if demonstration.is_as_promised
        else Text("NOT as promised.", style="bold red")
    )


def _waves(demonstration: Demonstration) -> Table:
    table = Table("", "calls", "served", "token requests", "seconds", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"

    def add(name: str, wave: Wave, token_requests: int) -> None:
        table.add_row(
            name, str(wave.calls), str(wave.served), str(token_requests), f"{wave.seconds:.2f}"
        )

    minutes = demonstration.jump / 60
    add("cold start, all at once", demonstration.cold, demonstration.cold.token_requests)
    add(
        f"{minutes:.0f} minutes later, refresh under way",
        demonstration.during_refresh,
        demonstration.refreshes,
    )
    return table


def _claims(claims: Members) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in claims.items():
        table.add_row(as_line(name), as_line(value if isinstance(value, str) else to_json(value)))
    return table

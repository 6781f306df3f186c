"""The demonstration: a thousand calls, one token request, and a refresh that nobody waits for."""

import asyncio
import time

import aiohttp
import attrs

from aritma_auth.client.client import OAuthClient
from aritma_auth.events import Event
from aritma_auth.protocol.grants import ClientCredentialsGrant
from aritma_auth.protocol.jwt import parse_unverified_claims
from aritma_auth.protocol.redaction import Members
from aritma_auth.provider.provider import TokenProvider
from aritma_auth.sandbox import Sandbox

_CONNECTIONS = 100
_LATENCY = 0.05


@attrs.frozen
class Wave:
    """
    Calls that were made at the same time.

    Attributes:
        calls: How many.

        served: How many of them the API answered with 200.

        token_requests: Token requests that they caused.

        seconds: How long they took together.
    """

    calls: int
    served: int
    token_requests: int
    seconds: float


@attrs.frozen
class Demonstration:
    """
    What happened.

    Attributes:
        cold: The first calls, without a token to begin with.

        claims: What the token says.

        jump: Seconds by which the clocks were then moved.

        during_renewal: Calls made while the identity server had not yet answered the refresh.

        refreshes: Refreshes that then ended.
    """

    cold: Wave
    claims: Members
    jump: float
    during_renewal: Wave
    refreshes: int

    @property
    def is_as_promised(self) -> bool:
        """One token request for the first calls, all served; one refresh, nobody waited for it."""
        waves = (self.cold, self.during_renewal)
        return (
            all(wave.served == wave.calls for wave in waves)
            and self.cold.token_requests == 1
            and self.refreshes == 1
        )


async def demonstrate(calls: int) -> Demonstration:
    """
    Run the demonstration against a sandbox of its own.

    Args:
        calls: Concurrent calls in each of its two waves.

    Raises:
        ConfigurationError: The sandbox's extra is not installed.
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

        def hear(_event: Event) -> None:
            ended.set()

        async with (
            TokenProvider(client, grant, clock=sandbox.clock, on_event=hear) as tokens,
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
            during_renewal = await _call(sandbox, bank, calls)
            gate.release()
            await ended.wait()
            return Demonstration(
                cold,
                parse_unverified_claims(first.access_token) or Members(),
                refresh_in + 1,
                during_renewal,
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

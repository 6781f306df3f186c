"""
Steady calls across rotations, next to a constant header: python tests/benchmarks/rotation.py

Two-second tokens, a token endpoint that takes 200 ms, and the same calls with a fixed header in
turn. What counts is how often a call took much longer than the header's slowest, and the ratio.
"""

import asyncio
import statistics
import time

import aiohttp
import attrs

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox

SECONDS, PAUSE, LATENCY = 20, 0.004, 0.2


async def time_of(session):
    started = time.perf_counter()
    async with session.get("api/accounts") as response:
        await response.read()
        assert response.status == 200
    return time.perf_counter() - started


async def main():
    async with Sandbox(lifetime=2) as sandbox:
        long = sandbox.add_client(attrs.evolve(sandbox.client, client_id="long", lifetime=86400))
        header = await aa.OAuthClient(
            long.client_id, long.client_secret, environment=sandbox.environment
        ).fetch_token(aa.ClientCredentialsGrant())
        sandbox.faults.set_latency(LATENCY)
        me = sandbox.client
        async with (
            aa.TokenProvider.client_credentials(
                me.client_id, me.client_secret, environment=sandbox.environment
            ) as tokens,
            aiohttp.ClientSession(
                sandbox.banking_url, headers={"Authorization": header.authorization}
            ) as constant,
            aiohttp.ClientSession(sandbox.banking_url, middlewares=[tokens.middleware()]) as signed,
        ):
            await tokens.get_token()
            ours, theirs = [], []
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                theirs.append(await time_of(constant))
                ours.append(await time_of(signed))
                await asyncio.sleep(PAUSE)
            print(f"token requests  {len(sandbox.token_requests) - 1}")
            for name, took in (("constant header", theirs), ("provider", ours)):
                took.sort()
                print(
                    f"{name:16}{len(took):6} calls  median {statistics.median(took) * 1e3:.2f} ms  "
                    f"p99.9 {took[int(len(took) * 0.999)] * 1e3:.2f} ms  slowest {took[-1] * 1e3:.1f} ms"
                )
            print(f"stalled for the token endpoint: {sum(t > LATENCY / 2 for t in ours)}")


if __name__ == "__main__":
    asyncio.run(main())

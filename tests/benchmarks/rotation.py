"""
Steady calls across rotations, next to a constant header: python tests/benchmarks/rotation.py

Twenty providers with tokens of 14 seconds, a token endpoint that takes a second, and the same calls
with a fixed header in turn. What counts is how often a call waited for the token endpoint, and the
ratios.
"""

import asyncio
import contextlib
import itertools
import time

import aiohttp
import attrs

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox

SECONDS, PROVIDERS, LIFETIME, PAUSE, LATENCY = 120, 20, 14, 0.004, 1.0
SHOWN = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "slowest": 1.0}


async def time_of(session):
    started = time.perf_counter()
    async with session.get("api/accounts") as response:
        await response.read()
        assert response.status == 200
    return time.perf_counter() - started


async def main():
    async with contextlib.AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(lifetime=LIFETIME))
        long = sandbox.add_client(attrs.evolve(sandbox.client, client_id="long", lifetime=86400))
        header = await aa.OAuthClient(
            long.client_id, long.client_secret, environment=sandbox.environment
        ).fetch_token(aa.ClientCredentialsGrant())
        me = sandbox.client
        constant = await stack.enter_async_context(
            aiohttp.ClientSession(
                sandbox.banking_url, headers={"Authorization": header.authorization}
            )
        )
        signed = []
        for _ in range(PROVIDERS):
            tokens = await stack.enter_async_context(
                aa.TokenProvider.client_credentials(
                    me.client_id, me.client_secret, environment=sandbox.environment
                )
            )
            await tokens.get_token()
            session = aiohttp.ClientSession(sandbox.banking_url, middlewares=[tokens.middleware()])
            signed.append(await stack.enter_async_context(session))
        sandbox.faults.set_latency(LATENCY)
        before, ours, theirs = len(sandbox.token_requests), [], []
        end = time.monotonic() + SECONDS
        for number, session in enumerate(itertools.cycle(signed)):
            # Each comes first every other time: the loop has just slept then.
            pair = [(session, ours), (constant, theirs)]
            for one, took in pair if number % 2 else reversed(pair):
                took.append(await time_of(one))
            await asyncio.sleep(PAUSE)
            if time.monotonic() > end:
                break
        print(f"{len(ours)} calls, {len(sandbox.token_requests) - before} rotations")
        ours.sort()
        theirs.sort()
        for name, part in SHOWN.items():
            own, other = (took[int((len(took) - 1) * part)] * 1e3 for took in (ours, theirs))
            print(
                f"{name:8} {own:6.2f} ms, constant header {other:6.2f} ms, ratio {own / other:.2f}"
            )
        print(f"stalled for the token endpoint: {sum(t > LATENCY / 2 for t in ours)}")


if __name__ == "__main__":
    asyncio.run(main())

"""
Mixed load with faults for ten minutes, then again: python tests/benchmarks/soak.py [SECONDS]

The sandbox runs in a process of its own, with tokens of three seconds, and fails in one way after
another. Here a service's calls, a pool of tenants that is too small for them, a signed-in end-user
in a store, cancelled callers and jobs in event loops of their own go on side by side. What counts is
what is left: after the second half memory and objects are as after the first, and after closing
there is no task, thread or socket.
"""

import asyncio
import contextlib
import gc
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import aiohttp

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox

LIFETIME, TENANTS, KEPT, PAUSE = 3, 40, 25, 0.01
GROWTH = {"RSS, kB": 4096, "objects": 3000, "descriptors": 2, "threads": 1}
"""How much more there may be after the second half than after the first."""


async def serve():
    """Run the sandbox, and let it fail in one way after another."""
    async with Sandbox(lifetime=LIFETIME) as sandbox:
        me = sandbox.client
        print(sandbox.identity_url, sandbox.banking_url, me.client_id, me.client_secret, flush=True)
        faults = sandbox.faults
        ways = (
            lambda: faults.fail_next(503, times=3),
            lambda: faults.fail_next(429),
            faults.drop_next,
            faults.lose_response_next,
            faults.truncate_next,
            faults.flood_next,
            lambda: faults.delay_next(1.0),
            faults.stall_next,
            faults.revoke_all,
        )
        while True:
            await asyncio.sleep(random.uniform(0.5, 3))
            random.choice(ways)()


class Load:
    """The service."""

    def __init__(self, identity_url, banking_url, client_id, client_secret):
        self.banking_url = banking_url
        environment = aa.Environment.at(identity_url, api_origins=[banking_url])
        self.client = aa.OAuthClient(client_id, client_secret, environment=environment)
        self.grant = aa.ClientCredentialsGrant("bankservice")
        self.tokens = aa.TokenProvider(self.client, self.grant, on_event=None)
        self.jobs = aa.TokenProvider(self.client, self.grant, on_event=None)
        self.pool = aa.TokenProviderPool(self.provide, max_size=KEPT)
        self.outcomes = Counter()

    def provide(self, _tenant):
        return aa.TokenProvider(self.client, self.grant, store=aa.MemoryTokenStore(), on_event=None)

    async def attempt(self, kind, awaitable):
        try:
            await awaitable
        except (aa.AritmaAuthError, aiohttp.ClientError) as error:
            self.outcomes[f"{kind}: {type(error).__name__}"] += 1
        else:
            self.outcomes[kind] += 1

    async def call(self, session):
        async with session.get("api/v3/accounts/42") as response:
            await response.read()

    async def calls(self, until):
        middlewares = [self.tokens.middleware()]
        async with aiohttp.ClientSession(self.banking_url, middlewares=middlewares) as session:
            while time.monotonic() < until:
                await self.attempt("call", self.call(session))
                await asyncio.sleep(PAUSE)

    async def tenants(self, until):
        while time.monotonic() < until:
            tenant = f"tenant-{random.randrange(TENANTS)}"
            await self.attempt("tenant", self.pool.get_token(tenant))
            if random.random() < 0.02:
                await self.attempt("forget", self.pool.forget(tenant))
            await asyncio.sleep(PAUSE)

    async def impatient(self, until):
        while time.monotonic() < until:
            caller = asyncio.create_task(self.tokens.get_token(min_ttl=1.0))
            await asyncio.sleep(random.uniform(0, PAUSE))
            caller.cancel()
            with contextlib.suppress(asyncio.CancelledError, aa.AritmaAuthError):
                await caller
            self.outcomes["cancelled"] += 1
            await asyncio.sleep(PAUSE * 5)

    def short_loops(self, until):
        while time.monotonic() < until:
            asyncio.run(self.attempt("job", self.jobs.get_token(timeout=2.0)))
            time.sleep(PAUSE * 10)

    async def run(self, seconds):
        until = time.monotonic() + seconds
        thread = threading.Thread(target=self.short_loops, args=(until,))
        thread.start()
        loads = [self.calls, self.calls, self.tenants, self.tenants, self.impatient]
        await asyncio.gather(*(load(until) for load in loads))
        await asyncio.to_thread(thread.join)

    async def aclose(self):
        await self.pool.aclose()
        await self.tokens.aclose()
        await self.jobs.aclose()
        await self.client.aclose()


def count():
    """Count what may be left behind."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "RSS, kB": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        "objects": len(gc.get_objects()),
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
    }


async def main(seconds, urls):
    await asyncio.to_thread(int)
    started, load, after = count(), Load(*urls), []
    for _ in range(2):
        await load.run(seconds)
        await asyncio.sleep(2)
        after.append(count())
    await load.aclose()
    # A worker thread ends a second after its last work.
    await asyncio.sleep(1.5)
    closed = count()
    for name, before in started.items():
        first, second = (each[name] for each in after)
        print(
            f"{name:12} start {before:8,}  half {first:8,}  end {second:8,}  closed {closed[name]:8,}"
        )
    print(", ".join(f"{number:,} {name}" for name, number in sorted(load.outcomes.items())))
    grown = [name for name, most in GROWTH.items() if after[1][name] - after[0][name] > most]
    left = [name for name in ("threads", "tasks") if closed[name] > started[name]]
    return f"more than before: {', '.join(grown + left)}" if grown or left else None


def run(seconds):
    command = [sys.executable, __file__, "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            return asyncio.run(main(seconds, server.stdout.readline().split()))
        finally:
            server.terminate()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    sys.exit(run(float(sys.argv[1]) if sys.argv[1:] else 600.0))

"""
Mixed load with faults for ten minutes, then again: python tests/benchmarks/soak.py [SECONDS]

The sandbox runs in a process of its own, with tokens of three seconds, and fails in one way after
another; so does a Redis server. Here a service's calls, a pool of tenants that is too small for
them, fleets that share Redis or files, a signed-in end-user among them, providers and stores that
are opened and closed again, cancelled callers and jobs in event loops of their own go on side by
side. What counts is what is left: after the second half there is as much as after the first, and
after closing there is no task, thread, socket, file or connection to Redis.
"""

import asyncio
import contextlib
import gc
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from pathlib import Path

import aiohttp

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.valkey import Server

LIFETIME, TENANTS, KEPT, FLEET, PAUSE = 3, 40, 25, 3, 0.01
KEYS = aa.EncryptionKeys({"1": bytes(32)})
GROWTH = {
    "RSS, kB": 4096,
    "heap blocks": 20_000,
    "objects": 3000,
    "sockets": 4,
    "other files": 2,
    "threads": 1,
    "Redis connections": 4,
    "stored files": 2,
}
"""How much more there may be after the second half than after the first."""
LEFT = ("sockets", "other files", "threads", "tasks", "Redis connections")
"""Of what there must be nothing more after closing than at the start."""


async def serve():
    """Run the sandbox, and let it fail in one way after another."""
    async with Sandbox(lifetime=LIFETIME) as sandbox:
        me, person, user = sandbox.client, sandbox.clients["sandbox-app"], sandbox.users["alice"]
        shown = (sandbox.identity_url, sandbox.banking_url, me.client_id, me.client_secret)
        shown += (person.client_id, person.client_secret, user.username, user.password)
        print(*shown, flush=True)
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

    def __init__(self, urls, service, person, user, redis, folder):
        identity_url, self.banking_url = urls
        self.user, self.redis, self.folder = user, redis, folder
        environment = aa.Environment.at(identity_url, api_origins=[self.banking_url])
        self.client = aa.OAuthClient(*service, environment=environment)
        self.sign_ins = aa.OAuthClient(*person, environment=environment)
        self.grant = aa.ClientCredentialsGrant("bankservice")
        self.tokens, self.alone = self.provide(None), self.provide(None)
        self.pool = aa.TokenProviderPool(
            lambda _tenant: self.provide(aa.MemoryTokenStore()), max_size=KEPT
        )
        self.stores = [self.in_redis() for _ in range(FLEET)]
        files = [self.in_files() for _ in range(FLEET)]
        self.fleet = [self.provide(store) for store in (*self.stores, *files)]
        signed_in = aa.SignedInGrant("alice")
        self.signed_in = [
            aa.TokenProvider(self.sign_ins, signed_in, store=store, on_event=None)
            for store in (*self.stores, *files)
        ]
        # One alone, one with Redis, one with files.
        self.jobs = [self.alone, self.fleet[0], self.fleet[-1]]
        self.outcomes = Counter()

    def provide(self, store):
        return aa.TokenProvider(self.client, self.grant, store=store, on_event=None)

    def in_redis(self):
        return aa.RedisTokenStore(self.redis.url, keys=KEYS)

    def in_files(self):
        return aa.FileTokenStore(self.folder, keys=KEYS)

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

    async def shared(self, until):
        while time.monotonic() < until:
            await self.attempt("shared", random.choice(self.fleet).get_token())
            await asyncio.sleep(PAUSE)

    async def end_user(self, until):
        while time.monotonic() < until:
            await self.attempt("end-user", self.signed_in_token(random.choice(self.signed_in)))
            await asyncio.sleep(PAUSE)

    async def signed_in_token(self, tokens):
        try:
            await tokens.get_token(timeout=2.0)
        except aa.ReauthenticationRequiredError:
            with warnings.catch_warnings(action="ignore"):
                grant = aa.PasswordGrant(*self.user, scope="openid offline_access")
            await tokens.set_token(await self.sign_ins.fetch_token(grant))
            self.outcomes["sign-in"] += 1

    async def short_lived(self, until):
        while time.monotonic() < until:
            await self.attempt("short-lived", self.open_and_close())
            await asyncio.sleep(PAUSE * 10)

    async def open_and_close(self):
        async with contextlib.AsyncExitStack() as stack:
            store = self.in_files()
            if random.random() < 0.5:
                store = await stack.enter_async_context(self.in_redis())
            tokens = await stack.enter_async_context(self.provide(store))
            await tokens.get_token(timeout=2.0)

    async def store_fails(self, until):
        while time.monotonic() < until:
            await asyncio.sleep(random.uniform(2, 10))
            if random.random() < 0.5:
                with self.redis.hung():
                    await asyncio.sleep(random.uniform(0.1, 2))
            else:
                self.redis.kill()
                await asyncio.sleep(random.uniform(0, 2))
                await asyncio.to_thread(self.redis.start)

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
            asyncio.run(self.attempt("job", random.choice(self.jobs).get_token(timeout=2.0)))
            time.sleep(PAUSE * 10)

    async def run(self, seconds):
        until = time.monotonic() + seconds
        thread = threading.Thread(target=self.short_loops, args=(until,))
        thread.start()
        loads = [self.calls, self.calls, self.tenants, self.tenants, self.impatient]
        loads += [self.shared, self.shared, self.end_user, self.short_lived, self.store_fails]
        await asyncio.gather(*(load(until) for load in loads))
        await asyncio.to_thread(thread.join)

    async def aclose(self):
        providers = [self.tokens, self.alone, *self.fleet, *self.signed_in]
        for part in (self.pool, *providers, *self.stores, self.client, self.sign_ins):
            await part.aclose()


def open_files():
    """Return what this process has open."""
    for descriptor in Path("/proc/self/fd").iterdir():
        # The folder's own descriptor is gone by now.
        with contextlib.suppress(FileNotFoundError):
            yield str(descriptor.readlink())


def count(redis, folder):
    """Count what may be left behind."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    kinds = Counter(name.startswith("socket:") for name in open_files())
    return {
        "RSS, kB": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        "heap blocks": sys.getallocatedblocks(),
        "objects": len(gc.get_objects()),
        "sockets": kinds[True],
        "other files": kinds[False],
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
        # But for the one that asks.
        "Redis connections": redis.do("INFO", "clients")["connected_clients"] - 1,
        "stored files": sum(1 for _ in folder.rglob("*")),
    }


async def main(seconds, words, redis, folder):
    # The event loop's own threads, which stay: more than are ever at work at once.
    await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.1) for _ in range(3)))
    urls, service, person, user = (words[at : at + 2] for at in range(0, 8, 2))
    started, after = count(redis, folder), []
    load = Load(urls, service, person, user, redis, folder)
    for _ in range(2):
        await load.run(seconds)
        await asyncio.sleep(2)
        after.append(count(redis, folder))
    await load.aclose()
    # A worker thread ends a second after its last work.
    await asyncio.sleep(1.5)
    closed = count(redis, folder)
    for name, before in started.items():
        first, second = (each[name] for each in after)
        print(
            f"{name:17} start {before:9,}  half {first:9,}  end {second:9,}  "
            f"closed {closed[name]:9,}"
        )
    print(", ".join(f"{number:,} {name}" for name, number in sorted(load.outcomes.items())))
    grown = [name for name, most in GROWTH.items() if after[1][name] - after[0][name] > most]
    left = [name for name in LEFT if closed[name] > started[name]]
    return f"more than before: {', '.join(grown + left)}" if grown or left else None


def run(seconds):
    command = [sys.executable, __file__, "serve"]
    with (
        tempfile.TemporaryDirectory() as folder,
        Server() as redis,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
    ):
        try:
            words = server.stdout.readline().split()
            return asyncio.run(main(seconds, words, redis, Path(folder) / "tokens"))
        finally:
            server.terminate()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    sys.exit(run(float(sys.argv[1]) if sys.argv[1:] else 600.0))

"""
One worker process of a fleet: it calls an API without a pause, and tells what failed.

Each has a role:

- ``plain``: one event loop, one provider, one session.
- ``short loops``: one provider over `asyncio.run` again and again, as in a task queue.
- ``wrong key``: its store cannot decrypt what the others write.
- ``hung store``: its disk, or its way to Redis, hangs for some seconds, again and again.

The last two fail by design; what counts is that nobody else does.
"""

import asyncio
import collections
import contextlib
import json
import os
import random
import sys
import threading
import time

import aiohttp
import attrs

import aritma_auth as aa
from aritma_auth.protocol.tokens import Token
from aritma_auth.stores import FileTokenStore, RedisTokenStore, load_signing_key
from aritma_auth.stores.encryption import EncryptionKeys
from support.proxy import proxied

PLAIN, SHORT_LOOPS, WRONG_KEY, HUNG_STORE = "plain", "short loops", "wrong key", "hung store"

HEALTHY = {PLAIN, SHORT_LOOPS}
"""Roles whose calls must not fail."""

CALLS_A_JOB = 2
STARTS = 20
"""Times that a starting worker tries to load its signing key."""

HANGS_FOR = 6.0
WORKS_FOR = 12.0
"""Seconds, drawn between half and one and a half of that."""


def open_store(spec, url=None, *, is_right=True):
    """Open the store that a worker's specification names, perhaps by another way."""
    digit = "A" if is_right else "B"
    keys = EncryptionKeys({"1": digit * 43})
    store = spec["store"]
    if store["kind"] == "redis":
        return RedisTokenStore(url or store["url"], keys=keys)
    return FileTokenStore(store["path"], keys=keys)


async def close_store(store):
    """Let go of a store's connections, if it has any."""
    if hasattr(store, "aclose"):
        await store.aclose()


async def plant(spec, refresh_token):
    """Put the sign-in into the store that the fleet lives on."""
    ended = Token("ended", refresh_token=refresh_token, issued_at=1, expires_at=2)
    store = open_store(spec)
    if spec.get("dpop"):
        ended = attrs.evolve(ended, token_type="DPoP")
    async with await make_provider(spec, store) as provider:
        await provider.set_token(ended)
    await close_store(store)


async def load_dpop(spec):
    """Load the key that the whole fleet has from the store, if its tokens are bound to one."""
    if not spec.get("dpop"):
        return None
    store = open_store(spec)
    try:
        for _ in range(STARTS):
            # The machine is busy while the whole fleet starts.
            with contextlib.suppress(aa.StoreError):
                return aa.DPoP(await load_signing_key(store, "fleet"))
        return aa.DPoP(await load_signing_key(store, "fleet"))
    finally:
        await close_store(store)


async def make_provider(spec, store):
    """Make a worker's provider, its numbers scaled down with the lifetime."""
    life = spec["lifetime"]
    policy = aa.RefreshPolicy(
        background_window_fraction=0.5,
        backoff_base=life / 100,
        backoff_cap=life / 20,
        refresh_timeout=20.0,
        forced_refresh_interval_base=life / 100,
    )
    sharing = aa.SharingPolicy(
        lease=life / 3.5,
        recheck_interval=life / 100,
        store_timeout=2.0,
        store_retry_interval=life / 50,
        shared_backoff_cap=life / 20,
        # Lease and mark outlast a request on a busy machine, as the defaults do.
        redemption_timeout=life / 2.5,
        store_loss_grace=life / 100,
    )
    environment = aa.Environment.at(spec["server"], api_origins=[spec["server"]])
    client = aa.OAuthClient(
        "worker", environment=environment, timeout=life / 3, dpop=await load_dpop(spec)
    )
    grant = (
        aa.ClientCredentialsGrant()
        if spec["grant"] == "client_credentials"
        else aa.SignedInGrant("fleet")
    )
    return aa.TokenProvider(
        client,
        grant,
        store=store,
        policy=policy,
        sharing=sharing,
        on_event=lambda event: LATEST.append(f"{time.monotonic():.2f} {event}"),
    )


LATEST = collections.deque(maxlen=20)
"""What the provider has reported last: told with a call that failed."""


def say(**what):
    """Tell the parent, at once."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Parent:
    """Whether the parent still holds our standard input."""

    def __init__(self):
        self._thread = threading.Thread(target=sys.stdin.read, daemon=True)
        self._thread.start()

    @property
    def is_there(self):
        return self._thread.is_alive()


async def call(api):
    """Call the API once; tell what failed, and what took long."""
    began = time.monotonic()
    try:
        async with api.get("/api") as response:
            problem = response.status if response.status != 200 else None
    except Exception as error:  # noqa: BLE001 - whatever a call fails with is told
        problem = f"{type(error).__name__}: {error}"
    took = time.monotonic() - began
    if problem is not None or took > 1:
        say(failed=problem, took=round(took, 2), events=[*LATEST] if problem else [])


@contextlib.asynccontextmanager
async def hanging_store(spec):
    """Give a store that hangs now and then: the disk, or all answers of Redis."""
    if spec["store"]["kind"] == "redis":
        port = int(spec["store"]["url"].rpartition(":")[2])
        async with proxied(port) as proxy:
            hang = asyncio.create_task(_hang(lambda is_on: setattr(proxy, "is_mute", is_on)))
            yield open_store(spec, proxy.url)
            hang.cancel()
        return
    works, really = threading.Event(), os.open

    def open_file(path, *arguments, **settings):
        if str(path).endswith(".token"):
            works.wait()
        return really(path, *arguments, **settings)

    os.open = open_file
    works.set()
    hang = asyncio.create_task(_hang(lambda is_on: works.clear() if is_on else works.set()))
    yield open_store(spec)
    hang.cancel()
    works.set()


async def _hang(switch):
    while True:
        await asyncio.sleep(WORKS_FOR * random.uniform(0.5, 1.5))
        switch(True)
        await asyncio.sleep(HANGS_FOR * random.uniform(0.5, 1.5))
        switch(False)


@contextlib.asynccontextmanager
async def working_store(spec):
    """Give a store that works as well as its server does."""
    yield open_store(spec, is_right=spec["role"] != WRONG_KEY)


async def work(spec):
    """Call the API from one loop until the parent lets go of us."""
    parent = Parent()
    opened = hanging_store if spec["role"] == HUNG_STORE else working_store
    async with opened(spec) as store:
        async with (
            await make_provider(spec, store) as provider,
            aiohttp.ClientSession(spec["server"], middlewares=[provider.middleware()]) as api,
        ):
            await call(api)
            say(ready=True)
            while parent.is_there:
                await asyncio.sleep(spec["pause"])
                await call(api)
        await close_store(store)


def work_in_short_loops(spec):
    """Call the API from one short loop after another until the parent lets go of us."""
    parent = Parent()

    async def job():
        async with aiohttp.ClientSession(
            spec["server"], middlewares=[provider.middleware()]
        ) as api:
            for _ in range(CALLS_A_JOB):
                await call(api)
                await asyncio.sleep(spec["pause"])

    async def close():
        await provider.aclose()
        await close_store(store)

    store = open_store(spec)
    provider = asyncio.run(make_provider(spec, store))
    asyncio.run(job())
    say(ready=True)
    while parent.is_there:
        asyncio.run(job())
    asyncio.run(close())


def main():
    """Work as the specification on the command line says."""
    spec = json.loads(sys.argv[1])
    if spec["role"] == SHORT_LOOPS:
        work_in_short_loops(spec)
    else:
        asyncio.run(work(spec))


if __name__ == "__main__":
    main()

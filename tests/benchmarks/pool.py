"""
A pool of providers next to its limits: python tests/benchmarks/pool.py

Heap bytes of an idle provider with its token; and a look-up by key next to one in a dictionary, for
pools of 1 to 100,000. What counts are the ratios.
"""

import asyncio
import gc
import statistics
import time
import tracemalloc
from functools import partial

from stand_ins import Client

import aritma_auth as aa

SIZES = [1, 100, 10_000, 100_000]
ROUNDS, CALLS = 31, 20_000


def make(client, grant, _key):
    return aa.TokenProvider(client, grant, on_event=None)


async def get(_client, provider):
    await provider.get_token()


async def put(client, provider):
    await provider.set_token(await client.fetch_token(None))


async def measure_memory(fill, size=2_000):
    """Give the heap bytes of an idle provider, token included, that was filled in this way."""
    client = Client()
    pool = aa.TokenProviderPool(partial(make, client, aa.ClientCredentialsGrant()))
    await fill(client, pool.provider("warm"))
    keys = [f"tenant-{number}" for number in range(size)]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for key in keys:
        await fill(client, pool.provider(key))
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return used / size


def round_of(look_up, keys):
    started = time.perf_counter()
    for _ in range(CALLS // len(keys) or 1):
        for key in keys:
            look_up(key)
    return (time.perf_counter() - started) / (max(1, CALLS // len(keys)) * len(keys))


def measure_look_up(size):
    """Give nanoseconds of the pool's look-up and of a function around a dictionary's."""
    pool = aa.TokenProviderPool(partial(make, Client(), aa.ClientCredentialsGrant()))
    keys = [f"tenant-{number}" for number in range(size)]
    plain = {key: pool.provider(key) for key in keys}

    def look_up(key):
        return plain[key]

    keys = keys[:: max(1, size // 200)]
    ours, limit = [], []
    for _ in range(ROUNDS):
        ours.append(round_of(pool.provider, keys))
        limit.append(round_of(look_up, keys))
    return statistics.median(ours) * 1e9, statistics.median(limit) * 1e9


def main():
    for name, fill in (("get_token", get), ("set_token", put)):
        print(f"idle provider after {name}  {asyncio.run(measure_memory(fill)):6.0f} bytes")
    for size in SIZES:
        ours, limit = measure_look_up(size)
        print(
            f"look-up among {size:7,}  {ours:6.0f} ns   limit {limit:6.0f} ns   "
            f"ratio {ours / limit:.2f}"
        )


if __name__ == "__main__":
    main()

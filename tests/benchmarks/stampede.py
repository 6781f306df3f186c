"""
Ten thousand callers and no token: python tests/benchmarks/stampede.py

The limit is one shared future that all callers await. Both run in turn; what counts are the token
requests, and CPU time and memory per waiter next to the limit's. Then half of the callers are
cancelled at random, and fifty callers lose the one that came first, one of them, or all.
"""

import asyncio
import random
import statistics
import sys
import time
import tracemalloc

from stand_ins import Client, ratio_of

import aritma_auth as aa

CALLERS, LATENCY, ROUNDS, FEW = 10_000, 0.5, 7, 50


def make_provider():
    client = Client(LATENCY)
    return client, aa.TokenProvider(client, aa.ClientCredentialsGrant(), on_event=None)


async def await_future(shared):
    return await shared


async def run_limit(callers=CALLERS):
    shared = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(LATENCY, shared.set_result, None)
    await asyncio.gather(*(await_future(shared) for _ in range(callers)))
    return 1


async def run_provider(callers=CALLERS):
    client, provider = make_provider()
    await asyncio.gather(*(provider.get_token() for _ in range(callers)))
    return client.requests


RUNS = {"stampede": run_provider, "stampede-limit": run_limit}


async def measure(run, read):
    before = read()
    requests = await run()
    return requests, (read() - before) / CALLERS


async def measure_peak(run):
    tracemalloc.start()
    await run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / CALLERS


async def stampede():
    ours, theirs, requests = [], [], set()
    for _ in range(ROUNDS):
        theirs.append((await measure(run_limit, time.process_time))[1])
        asked, took = await measure(run_provider, time.process_time)
        ours.append(took)
        requests.add(asked)
    memory = await measure_peak(run_provider), await measure_peak(run_limit)
    print(f"{CALLERS:,} callers: token requests {sorted(requests)}")
    print(f"  CPU a waiter     {statistics.median(ours) * 1e6:6.1f} us  ", end="")
    print(f"limit {statistics.median(theirs) * 1e6:6.1f} us  ratio {ratio_of(ours, theirs):.2f}")
    print(f"  memory a waiter  {memory[0]:6.0f} B   limit {memory[1]:6.0f} B   ", end="")
    print(f"ratio {memory[0] / memory[1]:.2f}")


async def cancel(callers, victims):
    """Cancel some of the callers, or all, while they wait; a last one comes after them."""
    client, provider = make_provider()
    tasks = [asyncio.create_task(provider.get_token()) for _ in range(callers)]
    await asyncio.sleep(LATENCY / 10)
    for victim in victims:
        tasks[victim].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    await provider.get_token()
    served = sum(isinstance(outcome, aa.Token) for outcome in outcomes)
    return served, client.requests


async def main(only=None, callers=0):
    """Compare all; or run one stampede, for those who count instructions."""
    if only is not None:
        await RUNS[only](callers)
        return
    await stampede()
    half = random.Random(1).sample(range(CALLERS), CALLERS // 2)
    cases = [
        (f"{CALLERS // 2:,} of {CALLERS:,} cancelled at random", CALLERS, half),
        (f"the first of {FEW} cancelled", FEW, [0]),
        (f"a later one of {FEW} cancelled", FEW, [FEW // 2]),
        (f"all {FEW} cancelled, then one more", FEW, range(FEW)),
    ]
    for name, callers, victims in cases:
        served, requests = await cancel(callers, victims)
        print(f"{name}: served {served:,} of {callers - len(victims):,}, token requests {requests}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2], *map(int, sys.argv[2:])))

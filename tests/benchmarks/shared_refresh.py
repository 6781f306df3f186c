"""
A refresh that processes share through Redis: python tests/benchmarks/shared_refresh.py

First the round trips of one refresh, counted by the server, and its time next to as many bare ones.
Then how long after the write a token reaches the processes that wait for it, with notifications and
by polling alone, next to a bare message from one connection to another.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from pathlib import Path

import redis.asyncio
from stand_ins import Client

import aritma_auth as aa

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.valkey import Server

KEYS = aa.EncryptionKeys({"1": bytes(32)})
REFRESHES, ROUNDS, WAITERS, LATENCY, START = 200, 8, 4, 0.3, 3.0
GRANTS = {
    "client_credentials": aa.ClientCredentialsGrant,
    "a one-time refresh token": aa.RefreshTokenGrant,
}


class PolledStore(aa.RedisTokenStore):
    """The same store without notifications."""

    can_watch = False


class Worker(Client):
    """A client that says when its response came."""

    responded_at = None

    async def fetch_token(self, grant, *, timeout=None):
        token = await super().fetch_token(grant, timeout=timeout)
        self.responded_at = time.monotonic()
        return token


def trips_of(server):
    """Return how many scripts the server has run."""
    ran = server.do("INFO", "commandstats")
    return sum(ran.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))


async def measure_refresh(server, grant):
    """Return the round trips of a refresh, and its time next to as many bare ones, in turn."""
    ours, theirs, trips = [], [], []
    bare = redis.asyncio.Redis.from_url(server.url)
    async with aa.RedisTokenStore(server.url, keys=KEYS) as store, bare:
        for number in range(REFRESHES):
            own = grant(f"word-{number}")
            async with aa.TokenProvider(Client(), own, store=store, on_event=None) as tokens:
                before, started = trips_of(server), time.perf_counter()
                await tokens.get_token()
                ours.append(time.perf_counter() - started)
                trips.append(trips_of(server) - before)
            started = time.perf_counter()
            for _ in range(trips[-1]):
                await bare.execute_command("EVAL", "return 1", 0)
            theirs.append(time.perf_counter() - started)
    return statistics.median(trips), statistics.median(ours), statistics.median(theirs)


async def wait_for_token(url, kind, scope, begin):
    """Be one of the processes: get a token, and say when it came and when our response did."""
    store = {"notified": aa.RedisTokenStore, "polled": PolledStore}[kind](url, keys=KEYS)
    client = Worker(LATENCY)
    grant = aa.ClientCredentialsGrant(scope)
    async with store, aa.TokenProvider(client, grant, store=store, on_event=None) as tokens:
        # A token of its own first: connected, and everything imported, encryption included.
        warm_up = aa.ClientCredentialsGrant(f"{scope}-{os.getpid()}")
        async with aa.TokenProvider(Worker(), warm_up, store=store, on_event=None) as own:
            await own.get_token()
        await asyncio.sleep(float(begin) - time.monotonic())
        await tokens.get_token()
        came = time.monotonic()
    print(json.dumps([came, client.responded_at]))


async def measure_wake_up(server, kind):
    """Return the seconds from the response to the token in the other processes, sorted."""
    took = []
    for number in range(ROUNDS):
        # All have started by then, so that they wait for one response.
        begin = str(time.monotonic() + START)
        command = [sys.executable, __file__, server.url, kind, f"{kind}-{number}", begin]
        started = [
            await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            for _ in range(WAITERS + 1)
        ]
        outputs = await asyncio.gather(*(process.communicate() for process in started))
        came = [json.loads(output) for output, _ in outputs]
        responded = next(at for _, at in came if at is not None)
        took += [at - responded for at, own in came if own is None]
    return sorted(took)


async def measure_message(server):
    """Return the median of a bare message's seconds from one connection to another."""
    took = []
    one, other = (redis.asyncio.Redis.from_url(server.url) for _ in range(2))
    async with one, other, other.pubsub(ignore_subscribe_messages=True) as listening:
        await listening.subscribe("bare")
        for _ in range(REFRESHES):
            started = time.perf_counter()
            await one.publish("bare", "x")
            while await listening.get_message(timeout=1) is None:
                pass
            took.append(time.perf_counter() - started)
    return statistics.median(took)


async def main():
    with Server() as server:
        for name, grant in GRANTS.items():
            trips, ours, theirs = await measure_refresh(server, grant)
            print(
                f"{name}: {trips:.0f} round trips, {ours * 1e3:.2f} ms; as many bare ones "
                f"{theirs * 1e3:.2f} ms, ratio {ours / theirs:.2f}"
            )
        print(f"a bare message: {await measure_message(server) * 1e3:.2f} ms")
        for kind in ("polled", "notified"):
            took = await measure_wake_up(server, kind)
            print(
                f"{kind}: {len(took)} waits, from the response to the token elsewhere: median "
                f"{statistics.median(took) * 1e3:.1f} ms, slowest {took[-1] * 1e3:.1f} ms"
            )


if __name__ == "__main__":
    asyncio.run(wait_for_token(*sys.argv[1:]) if len(sys.argv) > 1 else main())

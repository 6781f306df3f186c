"""
Ten thousand processes with one token: python tests/benchmarks/fleet_of_providers.py

Each process is a real provider with a client of its own. All share one store in memory whose
operations take a millisecond, on an event loop whose waits take no time, so the seconds are
imagined and repeat. First all processes start within a second; then the token is refreshed while
each asks for it every ten seconds. What counts are the token requests, the store's operations for
each process, how long the processes that wait do so after the response, and calls that wait.
"""

import asyncio
import statistics
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from stand_ins import Client

import aritma_auth as aa

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.clock import LoopClock
from support.loops import run_leaping

PROCESSES = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
RESPONSE, OPERATION, LIFETIME, PAUSE = 0.3, 0.001, 3600.0, 10.0
CLOCK = LoopClock()


class CountedStore(aa.MemoryTokenStore):
    """A store that takes its time and counts what it does."""

    def __init__(self, *, can_watch):
        super().__init__(clock=CLOCK)
        self.can_watch = can_watch
        self.operations = Counter()

    async def _pass(self, operation):
        self.operations[operation] += 1
        await asyncio.sleep(OPERATION)

    async def load(self, key):
        await self._pass("load")
        return await super().load(key)

    async def save(self, key, record, *, replaces, fence=0):
        await self._pass("save")
        return await super().save(key, record, replaces=replaces, fence=fence)

    async def acquire(self, key, *, seconds):
        await self._pass("acquire")
        return await super().acquire(key, seconds=seconds)


class Endpoint(Client):
    """The token endpoint of all processes; its latest response came at `responded_at`."""

    responded_at = 0.0

    async def fetch_token(self, grant, *, timeout=None):
        await asyncio.sleep(RESPONSE)
        now = CLOCK.time()
        self.requests += 1
        self.responded_at = now
        return aa.Token(f"token-{self.requests}", issued_at=now, expires_at=now + LIFETIME)


class Arrival(NamedTuple):
    """When a process asked for a new token and had it, and how long a call has waited until then."""

    asked_at: float
    at: float
    waited: float


async def serve(tokens, came, first_at):
    """Be a process: ask until a token other than the first was given."""
    await asyncio.sleep(first_at)
    known, waited = None, 0.0
    while len(came) < 2:
        asked_at = CLOCK.time()
        token = await tokens.get_token()
        now = CLOCK.time()
        waited = max(waited, now - asked_at)
        if token.access_token != known:
            known = token.access_token
            came.append(Arrival(asked_at, now, waited))
            waited = 0.0
            if len(came) == 1:
                # Until its refresh may begin there is nothing to see.
                await asyncio.sleep(LIFETIME * 0.7)
        await asyncio.sleep(PAUSE)


async def run(*, can_watch):
    """Return the token requests, what the store has done, and when the tokens came."""
    endpoint, store = Endpoint(), CountedStore(can_watch=can_watch)
    grant = aa.ClientCredentialsGrant("api")
    fleet = [
        aa.TokenProvider(endpoint, grant, store=store, clock=CLOCK, on_event=None)
        for _ in range(PROCESSES)
    ]
    came = [[] for _ in fleet]
    asking = [
        asyncio.create_task(serve(tokens, times, number / PROCESSES))
        for number, (tokens, times) in enumerate(zip(fleet, came, strict=True))
    ]
    await asyncio.sleep(60)
    started = endpoint.requests, Counter(store.operations), endpoint.responded_at
    await asyncio.gather(*asking)
    refreshed = endpoint.requests - started[0], store.operations - started[1], endpoint.responded_at
    first, second = zip(*came, strict=True)
    for tokens in fleet:
        await tokens.aclose()
    return (*started, first), (*refreshed, second)


def show(name, requests, operations, responded_at, came):
    """Print what a start or a refresh has cost."""
    late = sorted(one.at - max(responded_at, one.asked_at) for one in came)
    done = ", ".join(f"{operation} {number:,}" for operation, number in sorted(operations.items()))
    print(
        f"{name}: token requests {requests}; store operations a process "
        f"{operations.total() / PROCESSES:.2f} ({done}); after response and call the token came "
        f"within {statistics.median(late):.3f} s (median), {late[len(late) * 99 // 100]:.3f} s (99 %)"
        f", {late[-1]:.3f} s (all); longest call {max(one.waited for one in came):.3f} s; all have it "
        f"{max(one.at for one in came) - responded_at:.0f} s after the response"
    )


def main():
    for kind, can_watch in (("notified", True), ("polled", False)):
        start, refresh = run_leaping(run(can_watch=can_watch))
        show(f"{PROCESSES:,} processes start, {kind}", *start)
        show(f"{PROCESSES:,} processes refresh, {kind}", *refresh)


if __name__ == "__main__":
    main()

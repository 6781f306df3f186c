"""
Real processes on one token, killed and restarted while they call an API.

A short form of ``tests/benchmarks/fleet.py``, which runs a thousand expiries.
"""

import asyncio
import time

import pytest

from support.fleet import Fleet, RotatingServer, plant
from support.valkey import Server

pytestmark = [pytest.mark.timeout(400)]

LIFETIME = 3.0
WORKERS = 3
ROTATIONS = 3


@pytest.fixture(params=["file", "redis"])
def shared(request, tmp_path):
    """Give a store's description, and what restarts its server."""
    if request.param == "file":
        yield {"kind": "file", "path": str(tmp_path)}, lambda: None
        return
    with Server("appendonly yes", "appendfsync always") as server:

        def restart():
            server.kill()
            server.start()

        yield {"kind": "redis", "url": server.url}, restart


async def until(condition):
    """Wait for something that other processes do."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_a_rotating_refresh_token_survives_kills_and_restarts(shared):
    """No spent refresh token is presented, each rotation and each kill costs one request, and no call fails."""
    store, restart = shared
    async with RotatingServer(LIFETIME, latency=0.01) as server:
        spec = {
            "server": server.url,
            "lifetime": LIFETIME,
            "store": store,
            "grant": "refresh_token",
        }
        await plant(spec, server.first)
        async with Fleet(spec, WORKERS) as fleet:
            await until(lambda: server.rotations >= 1)
            await fleet.kill_one()
            await until(lambda: server.rotations >= 2)
            await asyncio.to_thread(restart)
            await until(lambda: server.rotations >= ROTATIONS)

    assert fleet.failures == []
    assert server.reuse_events == 0
    assert server.requests <= server.rotations + 1


async def test_a_fleet_with_one_key_survives_kills_restarts_and_rotating_nonces(shared):
    """Bound tokens, their key in the store, and nonces that change cost no call and no refresh token."""
    store, restart = shared
    async with RotatingServer(2 * LIFETIME, latency=0.01, nonce_uses=50) as server:
        spec = {
            "server": server.url,
            "lifetime": 2 * LIFETIME,
            "store": store,
            "grant": "refresh_token",
            "dpop": True,
        }
        await plant(spec, server.first)
        async with Fleet(spec, WORKERS) as fleet:
            await until(lambda: server.rotations >= 1)
            await fleet.kill_one()
            await until(lambda: server.rotations >= 2)
            await asyncio.to_thread(restart)
            await until(lambda: server.rotations >= ROTATIONS)

    assert fleet.failures == []
    assert server.reuse_events == 0
    assert server.unproved == 0
    assert server.stale > 0
    assert server.requests <= server.rotations + 1


async def test_a_cold_fleet_asks_once(shared):
    """A cold fleet with client credentials makes one token request, whatever its size."""
    store, _restart = shared
    async with RotatingServer(60.0, latency=0.05) as server:
        spec = {
            "server": server.url,
            "lifetime": 60.0,
            "store": store,
            "grant": "client_credentials",
        }
        async with Fleet(spec, WORKERS) as fleet:
            await until(lambda: server.served >= 10 * WORKERS)

    assert fleet.failures == []
    assert server.requests == 1

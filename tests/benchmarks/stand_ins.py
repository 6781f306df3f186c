"""What the benchmarks have instead of a server, and how they compare."""

import asyncio
import statistics
import time

import aritma_auth as aa
from aritma_auth.environment import Environment
from aritma_auth.protocol.client_auth import NoClientAuth

ENVIRONMENT = Environment.at("https://idp.example", api_origins=["https://api.example"])


class Client:
    """Makes tokens after a while, and counts them."""

    client_id = "bench"
    environment = ENVIRONMENT
    client_auth = NoClientAuth()
    clock_skew = 0.0
    proofs = None

    def __init__(self, latency=0.0, lifetime=3600.0, token_type="Bearer"):
        self.latency = latency
        self.token_type = token_type
        self.lifetime = lifetime
        self.requests = 0

    async def fetch_token(self, _grant, *, timeout=None):
        self.requests += 1
        now = time.time()
        if self.latency:
            await asyncio.sleep(self.latency)
        return aa.Token("x" * 40, self.token_type, issued_at=now, expires_at=now + self.lifetime)


def ratio_of(ours, theirs):
    """Give the median of the ratios of measurements that were made in turn."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))

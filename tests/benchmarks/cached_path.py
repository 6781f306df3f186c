"""
The cached path next to its limit: python tests/benchmarks/cached_path.py

The limit is a coroutine that compares a clock and returns an attribute. Both run in turn, many
rounds; what counts is the ratio of the medians, not the nanoseconds.
"""

import asyncio
import statistics
import time
from functools import partial

import aritma_auth as aa
from aritma_auth.environment import Environment
from aritma_auth.middleware import BearerMiddleware
from aritma_auth.protocol.tokens import Token

ROUNDS, CALLS = 41, 20_000
ENVIRONMENT = Environment.at("https://idp.example", api_origins=["https://api.example"])


class Limit:
    """A hand-written minimum of the same job."""

    __slots__ = ("expires_at", "now", "token")

    def __init__(self):
        self.token = Token("x" * 900)
        clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self.now = partial(time.clock_gettime, clock)
        self.expires_at = self.now() + 3600

    async def get_token(self):
        if self.now() < self.expires_at:
            return self.token
        raise RuntimeError


class Request:
    """As much of a request as a middleware touches."""

    def __init__(self):
        from multidict import CIMultiDict
        from yarl import URL

        self.url = URL("https://api.example/api/v3/accounts/42")
        self.headers = CIMultiDict({"Host": "api.example", "Accept": "*/*"})
        self.body = b""


class Response:
    status = 200


async def handler(_request):
    return Response


async def constant_header(request, handler):
    request.headers["Authorization"] = "Bearer x"
    return await handler(request)


async def time_of(call):
    started = time.perf_counter_ns()
    for _ in range(CALLS):
        await call()
    return (time.perf_counter_ns() - started) / CALLS


async def compare(name, ours, limit):
    pairs = [(await time_of(ours), await time_of(limit)) for _ in range(ROUNDS)]
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{name:28} {mine:7.0f} ns   limit {theirs:7.0f} ns   ratio {ratio:.2f}")


async def main():
    client = aa.OAuthClient("id", "secret", environment=ENVIRONMENT)
    tokens = aa.TokenProvider(client, aa.ClientCredentialsGrant())
    await tokens.set_token(Token("x" * 900))
    limit = Limit()
    await compare("cached get_token()", tokens.get_token, limit.get_token)
    middleware = BearerMiddleware(tokens, ENVIRONMENT.api_urls)
    request = Request()
    await compare(
        "middleware without network",
        lambda: middleware(request, handler),
        lambda: constant_header(request, handler),
    )


if __name__ == "__main__":
    asyncio.run(main())

"""
The cached path next to its limit: python tests/benchmarks/cached_path.py

The limit is a coroutine that compares a clock and returns an attribute, a function that does the
same, and a middleware that sets a constant header. Both run in turn, many rounds; what counts is
the median of the ratios, not the nanoseconds.
"""

import asyncio
import statistics
import sys
import time
from contextlib import suppress
from functools import partial

import aiohttp
from stand_ins import ENVIRONMENT, ratio_of

import aritma_auth as aa
from aritma_auth.protocol.tokens import Token

ROUNDS, CALLS = 41, 20_000


class Limit:
    """A hand-written minimum of the same job."""

    __slots__ = ("expires_at", "now", "token")

    def __init__(self):
        self.token = Token("x" * 900)
        # A clock that stands still while the machine sleeps: half as dear, and not good enough.
        self.now = time.monotonic
        self.expires_at = self.now() + 3600

    async def get_token(self):
        if self.now() < self.expires_at:
            return self.token
        raise RuntimeError

    def peek(self):
        return self.token if self.now() < self.expires_at else None


class Response:
    def __init__(self):
        self.status = 200


RESPONSE = Response()


async def handler(_request):
    return RESPONSE


async def make_request(session):
    """Give a request as a middleware gets it from aiohttp; it is not sent."""
    made = []

    async def keep(request, _handler):
        made.append(request)
        raise aiohttp.ClientError

    with suppress(aiohttp.ClientError):
        await session.get("https://api.example/api/v3/accounts/42", middlewares=[keep])
    return made[0]


async def constant_header(request, handler):
    request.headers["Authorization"] = "Bearer x"
    return await handler(request)


async def call_each(call, times):
    for _ in range(times):
        await call()


async def get_token_of(tokens, times):
    # As it is written: some interpreters call a bound method that was kept at another price.
    for _ in range(times):
        await tokens.get_token()


async def peek_of(tokens, times):
    for _ in range(times):
        tokens.peek()


async def time_of(run):
    started = time.perf_counter_ns()
    await run(CALLS)
    return (time.perf_counter_ns() - started) / CALLS


async def compare(name, runs):
    ours, limit = runs[name], runs[f"{name}-limit"]
    pairs = [(await time_of(ours), await time_of(limit)) for _ in range(ROUNDS)]
    mine, theirs = zip(*pairs, strict=True)
    print(
        f"{name:12} {statistics.median(mine):7.0f} ns   limit {statistics.median(theirs):7.0f} ns"
        f"   ratio {ratio_of(mine, theirs):.2f}"
    )


def make_telemetry():
    """Give what observes a provider, where OpenTelemetry is installed."""
    try:
        from aritma_auth.integrations.opentelemetry import Telemetry
    except aa.ConfigurationError:
        return None
    return Telemetry()


async def make_runs(session):
    """Give what makes so many calls, by the name of the call."""
    client = aa.OAuthClient("id", "secret", environment=ENVIRONMENT)
    tokens = aa.TokenProvider(client, aa.ClientCredentialsGrant())
    await tokens.set_token(Token("x" * 900))
    observed = aa.TokenProvider(client, aa.ClientCredentialsGrant(), on_event=make_telemetry())
    await observed.set_token(Token("x" * 900))
    limit, request = Limit(), await make_request(session)
    return {
        "get_token": partial(get_token_of, tokens),
        "get_token-limit": partial(get_token_of, limit),
        "observed": partial(get_token_of, observed),
        "peek": partial(peek_of, tokens),
        "peek-limit": partial(peek_of, limit),
        "middleware": partial(call_each, partial(tokens.middleware(), request, handler)),
        "middleware-limit": partial(call_each, partial(constant_header, request, handler)),
    }


async def main(only=None, times=0):
    """Compare all; or make some calls of one of them, for those who count instructions."""
    async with aiohttp.ClientSession() as session:
        runs = await make_runs(session)
        if only is not None:
            await runs[only](times)
            return
        for name in ("get_token", "peek", "middleware"):
            await compare(name, runs)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2], *map(int, sys.argv[2:])))

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
from functools import partial
from types import SimpleNamespace

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


class Request:
    """As much of a request as a middleware touches."""

    def __init__(self):
        from multidict import CIMultiDict
        from yarl import URL

        self.url = URL("https://api.example/api/v3/accounts/42")
        self.headers = CIMultiDict({"Host": "api.example", "Accept": "*/*"})
        self.body = b""
        self._ssl = True
        self._session = Session()

    @property
    def ssl(self):
        return self._ssl

    @property
    def session(self):
        return self._session


class Session:
    """As much of a session as a middleware touches."""

    connector = _connector = SimpleNamespace(_ssl=True)


class Response:
    def __init__(self):
        self.status = 200


RESPONSE = Response()


async def handler(_request):
    return RESPONSE


async def constant_header(request, handler):
    request.headers["Authorization"] = "Bearer x"
    return await handler(request)


async def time_of(call):
    started = time.perf_counter_ns()
    for _ in range(CALLS):
        await call()
    return (time.perf_counter_ns() - started) / CALLS


async def time_of_look(look):
    started = time.perf_counter_ns()
    for _ in range(CALLS):
        look()
    return (time.perf_counter_ns() - started) / CALLS


async def compare(name, calls, time_of):
    ours, limit = calls[name], calls[f"{name}-limit"]
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


async def make_calls():
    client = aa.OAuthClient("id", "secret", environment=ENVIRONMENT)
    tokens = aa.TokenProvider(client, aa.ClientCredentialsGrant())
    await tokens.set_token(Token("x" * 900))
    observed = aa.TokenProvider(client, aa.ClientCredentialsGrant(), on_event=make_telemetry())
    await observed.set_token(Token("x" * 900))
    limit, request = Limit(), Request()
    middleware = tokens.middleware()
    return {
        "get_token": tokens.get_token,
        "get_token-limit": limit.get_token,
        "observed": observed.get_token,
        "peek": tokens.peek,
        "peek-limit": limit.peek,
        "middleware": partial(middleware, request, handler),
        "middleware-limit": partial(constant_header, request, handler),
    }


async def main(only=None, times=0):
    """Compare all; or make some calls of one of them, for those who count instructions."""
    calls = await make_calls()
    if only is None:
        await compare("get_token", calls, time_of)
        await compare("peek", calls, time_of_look)
        await compare("middleware", calls, time_of)
    call = calls.get(only)
    if only in {"peek", "peek-limit"}:
        for _ in range(times):
            call()
    else:
        for _ in range(times):
            await call()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2], *map(int, sys.argv[2:])))

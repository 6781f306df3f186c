"""
How much code one refresh passes through: python tests/benchmarks/path_length.py

Counts the package's files and functions that run between the call of get_token() and its token: once
with nothing cached, and once where the cached token has expired and its refresh goes through Redis.
Library frames are left out, and everything is imported and connected before.
"""

import asyncio
import sys
from pathlib import Path

from aiohttp import web

import aritma_auth as aa

sys.path.insert(0, str(Path(__file__).parents[1]))

PACKAGE = str(Path(aa.__file__).parent)


async def issue(_request):
    """Respond as a token endpoint does."""
    token = {"access_token": "x" * 40, "token_type": "Bearer", "expires_in": 3600}
    return web.json_response(token)


async def start_server():
    application = web.Application()
    application.router.add_post("/connect/token", issue)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


class Trace:
    """The package's functions that were entered."""

    def __init__(self):
        self.functions = set()

    def __call__(self, frame, event, _argument):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            self.functions.add((code.co_filename, code.co_firstlineno, code.co_name))

    @property
    def files(self):
        return {filename for filename, _, _ in self.functions}

    def __enter__(self):
        sys.setprofile(self)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)


def make_provider(url, **settings):
    client = aa.OAuthClient("id", "secret", environment=aa.Environment.at(url))
    return aa.TokenProvider(client, aa.ClientCredentialsGrant(scope="bankservice"), **settings)


async def trace_cold(url):
    """Trace the first get_token() of a provider."""
    provider = make_provider(url)
    with Trace() as trace:
        await provider.get_token()
    return trace


async def trace_refresh(url, store):
    """Trace a refresh that has the store's lease, after an API refused the token."""
    provider = make_provider(url, store=store)
    await provider.set_token(aa.Token("y", expires_at=1.0, issued_at=0.5, refresh_token="r"))
    with Trace() as trace:
        await provider.get_token()
    return trace


def show(name, trace, *, in_detail):
    print(f"{name:34} {len(trace.files):3} files {len(trace.functions):4} functions")
    if in_detail:
        for filename, line, function in sorted(trace.functions):
            print(f"    {Path(filename).relative_to(PACKAGE)}:{line} {function}")


async def main():
    from support.valkey import Server

    in_detail = "--detail" in sys.argv
    runner, url = await start_server()
    await trace_cold(url)
    show("get_token() with nothing cached", await trace_cold(url), in_detail=in_detail)
    with Server() as server:
        keys = aa.EncryptionKeys.generate()
        async with aa.RedisTokenStore(server.url, keys=keys) as store:
            await trace_refresh(url, store)
            show("a refresh through Redis", await trace_refresh(url, store), in_detail=in_detail)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())

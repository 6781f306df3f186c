"""
Signed requests next to those of a session with a constant header:
python tests/benchmarks/signed_request.py

Both call the same server on loopback in turn, at concurrency 1 and 64. The server is a few lines on
a plain protocol, so that little of what is measured is its own. What counts are the ratios.

A third session proves a key with each request (RFC 9449): what an ES256, an EdDSA and a PS256 proof
add is shown in microseconds.
"""

import asyncio
import statistics
import sys
import time

import aiohttp
from stand_ins import Client, ratio_of

import aritma_auth as aa
from aritma_auth.client.dpop_proofs import ProofMaker
from aritma_auth.runtime.clock import SYSTEM_CLOCK

CONCURRENCIES, ROUNDS, REQUESTS = (1, 64), 41, 512
PROVED = ("ES256", "EdDSA", "PS256")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"


class Server(asyncio.Protocol):
    """Responds to whatever ends with an empty line, if it is signed."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        assert b"\r\nAuthorization: " in data
        self.transport.write(ANSWER)


async def ask(session, url, times):
    for _ in range(times):
        async with session.get(url) as response:
            await response.read()


async def round_of(session, url, concurrency, requests=REQUESTS):
    started = time.perf_counter()
    await asyncio.gather(*(ask(session, url, requests // concurrency) for _ in range(concurrency)))
    return (time.perf_counter() - started) / requests


async def main(only=None, requests=0):
    """Compare both; or make some requests of one of them, for those who count instructions."""
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v3/accounts/42"
    tokens = aa.TokenProvider(Client(), aa.ClientCredentialsGrant(), on_event=None)
    header = {"Authorization": (await tokens.get_token()).authorization}
    async with (
        aiohttp.ClientSession(headers=header) as constant,
        aiohttp.ClientSession(middlewares=[tokens.middleware([url])]) as signed,
    ):
        if only is not None:
            await round_of({"constant": constant, "signed": signed}[only], url, 1, requests)
        for concurrency in CONCURRENCIES if only is None else ():
            ours, theirs = [], []
            for _ in range(ROUNDS):
                theirs.append(await round_of(constant, url, concurrency))
                ours.append(await round_of(signed, url, concurrency))
            print(
                f"concurrency {concurrency:2}  signed {statistics.median(ours) * 1e6:5.0f} us  "
                f"constant header {statistics.median(theirs) * 1e6:5.0f} us  "
                f"ratio {ratio_of(ours, theirs):.3f}"
            )
    for algorithm in PROVED if only is None else ():
        await compare_proved(url, header, algorithm)
    server.close()
    await tokens.aclose()


async def compare_proved(url, header, algorithm):
    """Show what the proof of a key adds to a request."""
    client = Client(token_type="DPoP")
    dpop = aa.DPoP(aa.SigningKey.generate(algorithm))
    client.proofs = ProofMaker(dpop, SYSTEM_CLOCK, time.time, 1.0)
    async with (
        aa.TokenProvider(client, aa.ClientCredentialsGrant(), on_event=None) as tokens,
        aiohttp.ClientSession(headers=header) as constant,
        aiohttp.ClientSession(middlewares=[tokens.middleware([url])]) as proved,
    ):
        ours, theirs = [], []
        for _ in range(ROUNDS):
            theirs.append(await round_of(constant, url, 1))
            ours.append(await round_of(proved, url, 1))
    added = statistics.median(a - b for a, b in zip(ours, theirs, strict=True))
    print(f"proof by {algorithm:5}  adds {added * 1e6:5.0f} us  ratio {ratio_of(ours, theirs):.3f}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2], *map(int, sys.argv[2:])))

"""
The provider and other libraries, next to a hand-written limit: nox -s peers

It prints a table in Markdown and draws docs/explanation/figures/peers.svg. The limit of a cached
token is a clock compared and an attribute; of callers without a token, one future that all await.
Limit and library run in turn; what counts is the median of the ratios. A library that cannot be
opened is left out, with a line that says why.
"""

import asyncio
import functools
import json
import logging
import statistics
import threading
import time
import warnings
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

from cached_path import Limit
from peer_clients import OURS, PEERS
from peers_plot import draw
from stampede import await_future
from stand_ins import ratio_of

HEADER = """\
| library | cached | stampede: requests; CPU | first cancelled: served; requests | outage: failed; requests |
|---|---|---|---|---|"""
ROUNDS, CALLS, LIMIT_CALLS = 21, 200, 2_000
STAMPEDES, CALLERS, LATENCY = 5, 1_000, 0.05
FEW, FEW_LATENCY = 50, 0.3
DOWN_FROM, DOWN_UNTIL, PAUSE = 1.0, 4.5, 0.02


class TokenEndpoint(ThreadingHTTPServer):
    """Issues tokens after a while and counts the requests; it may be down."""

    daemon_threads = True
    request_queue_size = 128
    latency, lifetime, is_down, requests = 0.0, 3600, False, 0

    def handle_error(self, *_arguments):
        """Say nothing: a cancelled caller closes its connection."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/token"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def respond(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        """Respond with the metadata that msal asks for when it is made."""
        issuer = "https://idp.example/bench"
        endpoints = ("authorization_endpoint", "token_endpoint")
        self.respond(200, {"issuer": issuer} | dict.fromkeys(endpoints, f"{issuer}/token"))

    def do_POST(self):
        endpoint = self.server
        self.rfile.read(int(self.headers["Content-Length"]))
        endpoint.requests += 1
        if endpoint.is_down:
            self.respond(503, {"error": "temporarily_unavailable"})
            return
        time.sleep(endpoint.latency)
        token = {"access_token": f"token-{endpoint.requests}", "token_type": "Bearer"}
        self.respond(200, token | {"expires_in": endpoint.lifetime})

    def log_message(self, *_arguments):
        """Say nothing."""


@contextmanager
def serve(**settings):
    with TokenEndpoint(("127.0.0.1", 0), Handler) as endpoint:
        vars(endpoint).update(settings)
        threading.Thread(target=endpoint.serve_forever, args=[0.05], daemon=True).start()
        try:
            yield endpoint
        finally:
            endpoint.shutdown()


def awaitable(peer, sign):
    """Give a call that can be awaited: a synchronous library runs in threads."""
    return functools.partial(asyncio.to_thread, sign) if peer.is_sync else sign


async def time_of(call, times):
    started = time.perf_counter_ns()
    for _ in range(times):
        await call()
    return (time.perf_counter_ns() - started) / times


def time_of_look(look, times):
    started = time.perf_counter_ns()
    for _ in range(times):
        look()
    return (time.perf_counter_ns() - started) / times


async def measure_cached(peer):
    """Compare a call that needs no token request with a clock reading and an attribute."""
    limit, pairs = Limit(), []
    with serve() as endpoint:
        async with peer.open(endpoint.url) as sign:
            await awaitable(peer, sign)()
            for _ in range(ROUNDS):
                if peer.is_sync:
                    pair = time_of_look(sign, CALLS), time_of_look(limit.peek, LIMIT_CALLS)
                else:
                    pair = await time_of(sign, CALLS), await time_of(limit.get_token, LIMIT_CALLS)
                pairs.append(pair)
    return ratio_of(*zip(*pairs, strict=True))


async def cpu_of(calls):
    before = time.process_time()
    await asyncio.gather(*calls)
    return (time.process_time() - before) / CALLERS


async def measure_stampede(peer):
    """Let all callers come at once, without a token."""
    ours, theirs, requests = [], [], []
    for _ in range(STAMPEDES):
        with serve(latency=LATENCY) as endpoint:
            async with peer.open(endpoint.url) as sign:
                call = awaitable(peer, sign)
                ours.append(await cpu_of(call() for _ in range(CALLERS)))
            requests.append(endpoint.requests)
        shared = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(LATENCY, shared.set_result, None)
        theirs.append(await cpu_of(await_future(shared) for _ in range(CALLERS)))
    return statistics.median(requests), ratio_of(ours, theirs)


async def measure_cancelled(peer):
    """Cancel the caller that came first, while its token request is on its way."""
    with serve(latency=FEW_LATENCY) as endpoint:
        async with peer.open(endpoint.url) as sign:
            callers = [asyncio.create_task(sign()) for _ in range(FEW)]
            await asyncio.sleep(FEW_LATENCY / 2)
            callers[0].cancel()
            outcomes = await asyncio.gather(*callers, return_exceptions=True)
    return sum(not isinstance(outcome, BaseException) for outcome in outcomes), endpoint.requests


async def measure_outage(peer):
    """Count the calls that fail while the endpoint is down and the token still lives."""
    callers = []
    with serve(lifetime=peer.due_lifetime) as endpoint:
        async with peer.open(endpoint.url) as sign:
            call = awaitable(peer, sign)
            await call()
            started = time.monotonic()
            await asyncio.sleep(DOWN_FROM)
            endpoint.is_down, before = True, endpoint.requests
            while time.monotonic() < started + DOWN_UNTIL:
                callers.append(asyncio.create_task(call()))
                await asyncio.sleep(PAUSE)
            requests = endpoint.requests - before
            outcomes = await asyncio.gather(*callers, return_exceptions=True)
    failed = sum(isinstance(outcome, BaseException) for outcome in outcomes)
    return failed, len(callers), requests


async def measure(peer):
    """Return a row of the table, and the figures to draw."""
    cached = await measure_cached(peer)
    requests, cpu = await measure_stampede(peer)
    served, again = (None, None) if peer.is_sync else await measure_cancelled(peer)
    failed, calls, tries = await measure_outage(peer)
    kind = " (sync)" if peer.is_sync else ""
    name = f"{peer.distribution}{kind}"
    cells = [
        f"{peer.distribution} {version(peer.distribution)}{peer.described}{kind}",
        f"{cached:.{1 if cached < 10 else 0}f}",
        f"{requests:.0f}; {cpu:.{1 if cpu < 10 else 0}f}",
        "not measured" if peer.is_sync else f"{served} of {FEW - 1}; {again}",
        f"{failed} of {calls}; {tries}",
    ]
    figures = {"name": name, "cached": cached, "cpu": cpu, "failed": failed, "calls": calls}
    return f"| {' | '.join(cells)} |", figures


async def main():
    warnings.simplefilter("ignore")
    logging.disable()
    print(HEADER)
    left_out, rows = [], []
    for peer in [OURS, *PEERS]:
        try:
            line, figures = await measure(peer)
        except Exception as error:  # noqa: BLE001 - the other rows are still of use
            left_out.append(f"Left out: {peer.distribution}: {type(error).__name__}: {error}")
        else:
            rows.append(figures)
            print(line, flush=True)
    draw(rows)
    print("", *left_out, sep="\n")


if __name__ == "__main__":
    asyncio.run(main())

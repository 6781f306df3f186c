"""
A fleet on one refresh token: python tests/benchmarks/fleet.py --store redis --expiries 1000

Beside the plain workers there are odd ones: two run one short event loop after another, one has a
wrong encryption key, and one's store hangs now and then. Workers are killed and the store is
restarted while they call the API. What counts: spent refresh tokens presented (must be 0), sign-ins
lost (must be 0), and calls of healthy workers that failed (must be 0).
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.fleet import Fleet, RotatingServer, plant
from support.fleet_worker import HUNG_STORE, SHORT_LOOPS, WRONG_KEY

ODD = [SHORT_LOOPS, SHORT_LOOPS, WRONG_KEY, HUNG_STORE]


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=["redis", "file"], default="redis")
    parser.add_argument(
        "--grant", choices=["refresh_token", "client_credentials"], default="refresh_token"
    )
    parser.add_argument("--expiries", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--no-odd", action="store_true", help="plain workers alone")
    parser.add_argument("--lifetime", type=float, default=3.5, help="seconds")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two calls")
    parser.add_argument("--kill-every", type=int, default=4, help="rotations")
    parser.add_argument("--restart-every", type=int, default=50, help="rotations")
    parser.add_argument("--dpop", action="store_true", help="bind tokens to one key of the fleet")
    parser.add_argument("--nonce-uses", type=int, default=100, help="proofs a nonce is good for")
    parser.add_argument("--report-every", type=int, default=50, help="rotations")
    return parser.parse_args()


async def measure(options, store, restart):
    """Run until the token has expired often enough; say what happened."""
    kills = restarts = reports = 0
    nonce_uses = options.nonce_uses if options.dpop else None
    async with RotatingServer(options.lifetime, latency=0.01, nonce_uses=nonce_uses) as server:
        spec = {
            "server": server.url,
            "lifetime": options.lifetime,
            "store": store,
            "grant": options.grant,
            "dpop": options.dpop,
            "pause": options.pause,
        }
        if options.grant == "refresh_token":
            await plant(spec, server.first)
        counted = "rotations" if options.grant == "refresh_token" else "requests"
        started = time.monotonic()
        async with Fleet(spec, options.workers, [] if options.no_odd else ODD) as fleet:
            while (done := getattr(server, counted)) < options.expiries:
                await asyncio.sleep(0.05)
                if done >= (kills + 1) * options.kill_every:
                    kills += 1
                    replacement = await fleet.kill_one()
                    # A process without a token needs its store: it has had one then.
                    await replacement.is_ready.wait()
                if done >= (restarts + 1) * options.restart_every:
                    restarts += 1
                    await asyncio.to_thread(restart)
                if done >= (reports + 1) * options.report_every:
                    reports += 1
                    tell(options, server, fleet, started, kills, restarts)
                if server.reuse_events:
                    break
        tell(options, server, fleet, started, kills, restarts)
        return bool(server.reuse_events or fleet.failures)


def tell(options, server, fleet, started, kills, restarts):
    """Print what has happened so far."""
    lost = sum("Reauthentication" in failure for failure in fleet.failures)
    longest = ", ".join(f"{role} {took:.1f} s" for role, took in sorted(fleet.longest.items()))
    odd = ", ".join(f"{role} {count}" for role, count in sorted(fleet.odd_failures.items()))
    print(
        f"store {options.store}, {options.workers} plain workers, {'no' if options.no_odd else len(ODD)} "
        f"odd ones, lifetime {options.lifetime} s, {time.monotonic() - started:.0f} s\n"
        f"rotations {server.rotations}  token requests {server.requests}  repeats {server.repeats}\n"
        f"kills {kills}  store restarts {restarts}\n"
        f"reuse events {server.reuse_events}  lost sign-ins {lost}\n"
        f"API calls {server.served}  answered 401 and repeated {server.refused}  "
        f"failed {len(fleet.failures)}; of the odd: {odd or 0}\n"
        f"longest calls: {longest or 'under 1 s'}\n"
        f"proofs refused for their nonce {server.stale}  other proofs refused {server.unproved}",
        flush=True,
    )


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        if options.store == "file":
            store = {"kind": "file", "path": folder}
            return asyncio.run(measure(options, store, lambda: None))
        from support.valkey import Server

        with Server("appendonly yes", "appendfsync always") as server:

            def restart():
                server.kill()
                server.start()

            store = {"kind": "redis", "url": server.url}
            return asyncio.run(measure(options, store, restart))


if __name__ == "__main__":
    sys.exit(main())

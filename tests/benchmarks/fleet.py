"""
A fleet on one refresh token: python tests/benchmarks/fleet.py --store redis --expiries 1000

Workers are killed and the store is restarted while they call the API. What counts: spent refresh
tokens presented (must be 0), token requests a rotation (1, and one more for each kill at most),
and API calls that failed (must be 0).
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.fleet import Fleet, RotatingServer, plant


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=["redis", "file"], default="redis")
    parser.add_argument(
        "--grant", choices=["refresh_token", "client_credentials"], default="refresh_token"
    )
    parser.add_argument("--expiries", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--lifetime", type=float, default=3.0, help="seconds")
    parser.add_argument("--kill-every", type=int, default=4, help="rotations")
    parser.add_argument("--restart-every", type=int, default=50, help="rotations")
    parser.add_argument("--dpop", action="store_true", help="bind tokens to one key of the fleet")
    parser.add_argument("--nonce-uses", type=int, default=100, help="proofs a nonce is good for")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


async def measure(options, store, restart):
    """Run until the token has expired often enough; say what happened."""
    kills = restarts = 0
    nonce_uses = options.nonce_uses if options.dpop else None
    async with RotatingServer(options.lifetime, latency=0.01, nonce_uses=nonce_uses) as server:
        spec = {
            "path": [str(Path(__file__).parents[1])],
            "server": server.url,
            "lifetime": options.lifetime,
            "store": store,
            "grant": options.grant,
            "dpop": options.dpop,
            "verbose": options.verbose,
        }
        if options.grant == "refresh_token":
            await plant(spec, server.first)
        started = time.monotonic()
        async with Fleet(spec, options.workers) as fleet:
            while (
                server.rotations + (options.grant != "refresh_token") * server.requests
                < options.expiries
            ):
                done = max(server.rotations, server.requests * (options.grant != "refresh_token"))
                await asyncio.sleep(0.05)
                if done >= (kills + 1) * options.kill_every:
                    kills += 1
                    await fleet.kill_one()
                if done >= (restarts + 1) * options.restart_every:
                    restarts += 1
                    await asyncio.to_thread(restart)
                if server.reuse_events:
                    break
            failures = fleet.failures
        print(
            f"store {options.store}, {options.workers} workers, lifetime {options.lifetime} s, "
            f"{time.monotonic() - started:.0f} s\n"
            f"rotations {server.rotations}  token requests {server.requests}  repeats {server.repeats}\n"
            f"kills {kills}  store restarts {restarts}\n"
            f"reuse events {server.reuse_events}\n"
            f"API calls {server.served}  answered 401 and repeated {server.refused}  "
            f"failed {len(failures)}\n"
            f"proofs refused for their nonce {server.stale}  other proofs refused {server.unproved}"
        )
        for failure in failures[:20]:
            print("  ", failure)


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        if options.store == "file":
            asyncio.run(measure(options, {"kind": "file", "path": folder}, lambda: None))
            return
        from support.valkey import Server

        with Server("appendonly yes", "appendfsync always") as server:

            def restart():
                server.kill()
                server.start()

            asyncio.run(measure(options, {"kind": "redis", "url": server.url}, restart))


if __name__ == "__main__":
    main()

"""
The token endpoint is down for 5 and for 60 seconds: python tests/benchmarks/outage.py

It responds with 503, or hangs until it breaks its connections at the end, or never responds to what
came meanwhile, so that the client's time-out ends it. Calls go on. The old token is due for a refresh
when the outage begins, and outlives it. What counts: calls that failed, calls that waited, token
requests in all and at once, and how soon after the outage there is a new token.
"""

import asyncio
import time

from stand_ins import Client

import aritma_auth as aa

OUTAGES, AFTER, PAUSE, STALL = (5.0, 60.0), 14.0, 0.01, 0.05
WAYS, TIMEOUT = ("503", "hanging", "silent"), 10.0
DUE = 8
"""An eighth of its lifetime before its end a token is due, whatever moment was drawn."""


class FailingClient(Client):
    """A client whose server is down for a while."""

    way = "503"
    down_until = 0.0
    in_flight = most_in_flight = 0
    asked_while_down = 0

    async def fetch_token(self, grant, *, timeout=None):
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if (left := self.down_until - time.monotonic()) > 0:
                self.asked_while_down += 1
                await self.fail(left)
            return await super().fetch_token(grant, timeout=timeout)
        finally:
            self.in_flight -= 1

    async def fail(self, left):
        if self.way == "503":
            raise aa.InvalidResponseError("it is down", status=503)
        await asyncio.sleep(TIMEOUT if self.way == "silent" else min(left, TIMEOUT))
        raise aa.TransportError("no response came in time")


async def measure(outage, way):
    client = FailingClient()
    client.way = way
    failed, stalled, calls, recovered = 0, 0, 0, None
    now, left = time.time(), outage + AFTER
    old = aa.Token("old", issued_at=now - (DUE - 1) * left, expires_at=now + left)
    async with aa.TokenProvider(client, aa.ClientCredentialsGrant(), on_event=None) as tokens:
        up = client.down_until = time.monotonic() + outage
        await tokens.set_token(old)
        while recovered is None and time.monotonic() < up + AFTER - 1:
            started, calls = time.monotonic(), calls + 1
            try:
                token = await tokens.get_token()
            except aa.AritmaAuthError:
                failed += 1
            else:
                if token.access_token != "old":
                    recovered = time.monotonic() - up
            stalled += time.monotonic() - started > STALL
            await asyncio.sleep(PAUSE)
    soon = f"more than {AFTER - 1:.0f}" if recovered is None else f"{recovered:.1f}"
    return (
        f"{outage:2.0f} s, {way:8} {calls} calls, failed {failed}, stalled {stalled}; token requests "
        f"while down {client.asked_while_down}, at once {client.most_in_flight}; a new token {soon} s "
        "after"
    )


async def main():
    runs = [measure(outage, way) for outage in OUTAGES for way in WAYS]
    print(*await asyncio.gather(*runs), sep="\n")


if __name__ == "__main__":
    asyncio.run(main())

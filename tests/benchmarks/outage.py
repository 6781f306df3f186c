"""
The token endpoint is down for five seconds: python tests/benchmarks/outage.py

Once it responds with 503, once it hangs, while calls go on. What counts: calls that failed while the old
token lived and after its end, calls that waited, token requests in all and at once, and how soon
after the outage there is a new token.
"""

import asyncio
import time

from stand_ins import Client

import aritma_auth as aa

LIFETIME, OUTAGE, PAUSE, STALL = 24.0, 5.0, 0.01, 0.05


class FailingClient(Client):
    """A client whose server is down for a while."""

    hangs = False
    down_until = 0.0
    in_flight = most_in_flight = 0
    asked_while_down = 0

    async def fetch_token(self, grant, *, timeout=None):
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if (left := self.down_until - time.monotonic()) > 0:
                self.asked_while_down += 1
                await self.fail(left, timeout)
            return await super().fetch_token(grant, timeout=timeout)
        finally:
            self.in_flight -= 1

    async def fail(self, left, timeout):
        if not self.hangs:
            raise aa.InvalidResponseError("it is down", status=503)
        await asyncio.sleep(min(left, timeout or left))
        raise aa.TransportError("no answer came in time")


async def measure(*, hangs):
    client = FailingClient(lifetime=LIFETIME)
    client.hangs = hangs
    failed, failed_later, stalled, calls, recovered = 0, 0, 0, 0, None
    async with aa.TokenProvider(client, aa.ClientCredentialsGrant(), on_event=None) as tokens:
        old = await tokens.get_token()
        # Down when the refresh in the background is due, and up two seconds before the token ends.
        await asyncio.sleep(LIFETIME * 0.7)
        up = client.down_until = time.monotonic() + OUTAGE
        while time.monotonic() < up + 4:
            started, calls = time.monotonic(), calls + 1
            try:
                token = await tokens.get_token()
            except aa.AritmaAuthError:
                is_old_alive = time.time() < old.expires_at
                failed, failed_later = failed + is_old_alive, failed_later + (not is_old_alive)
            else:
                if recovered is None and token != old:
                    recovered = time.monotonic() - up
            stalled += time.monotonic() - started > STALL
            await asyncio.sleep(PAUSE)
    print(
        f"{'hanging' if hangs else '503':8} {calls} calls, failed {failed} (after the old "
        f"token's end {failed_later}), stalled {stalled}; "
        f"token requests while down {client.asked_while_down}, "
        f"at once {client.most_in_flight}; a new token {recovered or -1:.1f} s after the outage"
    )


async def main():
    await asyncio.gather(measure(hangs=False), measure(hangs=True))


if __name__ == "__main__":
    asyncio.run(main())

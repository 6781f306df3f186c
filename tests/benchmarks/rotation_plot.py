"""
Draws calls across two rotations, next to a client that refreshes when its token has expired.

``python tests/benchmarks/rotation_plot.py`` runs both for nine seconds and writes
docs/explanation/figures/rotation.svg: the slowest call of each moment, and the token requests.
"""

import asyncio
import runpy
import time
from pathlib import Path

import aiohttp

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox

FIGURES = Path(__file__).parents[2] / "docs" / "explanation" / "figures"
SECONDS, TASKS, PAUSE, LIFETIME, LATENCY = 9.0, 20, 0.08, 4, 0.3
BIN = 0.05


class NaiveClient:
    """One token for all tasks, fetched anew by each task that finds it expired."""

    def __init__(self, client):
        self.client = client
        self.token = None

    async def get_token(self):
        if self.token is None or time.time() >= self.token.expires_at:
            self.token = await self.client.fetch_token(aa.ClientCredentialsGrant())
        return self.token


async def measure(make_source):
    """Return (moment, seconds) of each call, and the moments of the token requests."""
    async with Sandbox(lifetime=LIFETIME) as sandbox:
        me = sandbox.client
        client = aa.OAuthClient(me.client_id, me.client_secret, environment=sandbox.environment)
        source = make_source(client)
        await source.get_token()
        sandbox.faults.set_latency(LATENCY)
        started, calls, requests = time.monotonic(), [], []

        async def call(session, number):
            await asyncio.sleep(PAUSE * number / TASKS)
            while time.monotonic() < started + SECONDS:
                begun = time.monotonic()
                token = await source.get_token()
                headers = {"Authorization": token.authorization}
                async with session.get("api/v3/accounts/42", headers=headers) as response:
                    await response.read()
                calls.append((begun - started, time.monotonic() - begun))
                await asyncio.sleep(PAUSE)

        async def watch():
            known = len(sandbox.token_requests)
            while time.monotonic() < started + SECONDS:
                found = len(sandbox.token_requests)
                requests.extend([time.monotonic() - started] * (found - known))
                known = found
                await asyncio.sleep(0.01)

        async with aiohttp.ClientSession(sandbox.banking_url) as session:
            await asyncio.gather(watch(), *(call(session, number) for number in range(TASKS)))
        return calls, requests


def panel(figure, top, name, calls, requests):
    """Draw one client: a bar for the slowest call of each moment, a mark for each request."""
    left, width, height = 58, 328, 96
    slowest = {}
    for moment, seconds in calls:
        place = int(moment / BIN)
        slowest[place] = max(slowest.get(place, 0.0), seconds)
    stalled = sum(seconds > LATENCY / 2 for _, seconds in calls)
    figure.text(14, top, name, "b")
    figure.text(
        14,
        top + 17,
        f"{len(requests)} token requests, {stalled} of {len(calls):,} calls took over 150 ms",
        "s",
    )
    base = top + 34 + height
    for share, label in ((0, "0 ms"), (1, "600 ms")):
        y = base - height * share
        figure.line(f"M{left} {y}h{width}", "back")
        figure.text(left - 4, y + 4, label, "s", "end")
    path = "".join(
        f"M{left + place * BIN / SECONDS * width:.1f} {base}v{-min(seconds / 0.6, 1.1) * height:.1f}"
        for place, seconds in sorted(slowest.items())
    )
    figure.line(path)
    marks = "".join(f"M{left + moment / SECONDS * width:.1f} {base + 3}v9" for moment in requests)
    if marks:
        figure.line(marks, "cross")
    figure.height = base + 20
    return base + 20


async def main():
    naive = await measure(NaiveClient)
    ours = await measure(lambda client: aa.TokenProvider(client, aa.ClientCredentialsGrant()))
    draw = runpy.run_path(str(FIGURES / "draw.py"))
    figure = draw["Figure"](
        "rotation",
        "Calls across two rotations of the token",
        "Above, a client that refreshes when its token has expired: at each rotation many token "
        "requests, and calls that wait 300 ms. Below, the provider: one request a rotation, and no "
        "call that waits.",
    )
    bottom = panel(figure, 26, "Refreshes when the token has expired", *naive)
    bottom = panel(figure, bottom + 26, "TokenProvider", *ours)
    figure.text(14, bottom + 18, "Bars: the slowest call of each 50 ms. Red: token requests.", "s")
    figure.text(
        14,
        bottom + 35,
        f"{TASKS} tasks, {LIFETIME}-second tokens, a token endpoint of 300 ms.",
        "s",
    )
    figure.height = bottom + 48
    (FIGURES / "rotation.svg").write_text(figure.svg(), encoding="utf-8")


asyncio.run(main())

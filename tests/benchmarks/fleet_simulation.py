"""
The load that a fleet puts on the identity server: python tests/benchmarks/fleet_simulation.py

Simulates 1 to 10,000 processes with the package's own arithmetic (`plan_lifetime`, `plan_retry`,
`plan_shared_pause`) on an imagined clock: each on its own without jitter, each on its own with it,
and all of them with one shared token. Prints a table, and what pauses with full jitter would lead to;
``--figure FILE`` draws the table as SVG.
"""

import argparse
import heapq
import random
from collections import Counter
from pathlib import Path

import attrs

from aritma_auth.errors import TransportError
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.backoff import RetryState, plan_retry, plan_shared_pause
from aritma_auth.provider.lifecycle import plan_lifetime
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.provider.sharing_policy import SharingPolicy

LIFETIME = 3600.0
SIZES = [1, 10, 100, 1_000, 10_000]
WAYS = ["alone, no jitter", "alone, jitter", "shared"]
FULL_JITTER = "alone, full jitter"
"""A random part of 1, 2, 4 … 300 s, and never less than a sixteenth of the time left."""
DOWN = TransportError("down")
TOKEN = Token("x", issued_at=1.0, expires_at=1.0 + LIFETIME)


@attrs.define
class Process:
    """One process: when it looks next, and what it knows."""

    policy: RefreshPolicy
    refresh_at: float = 0.0
    must_refresh_at: float = 0.0
    expires_at: float = 0.0
    failure: RetryState | None = None

    def plan(self, issued_at, draw):
        life = plan_lifetime(self.policy, TOKEN, issued_at=issued_at, wall=issued_at, draw=draw)
        self.refresh_at, self.must_refresh_at = life.refresh_at, life.must_refresh_at
        self.expires_at = life.expires_at
        self.failure = None


@attrs.define
class Load:
    """The requests that the identity server received."""

    seconds: Counter = attrs.field(factory=Counter)

    def ask(self, at):
        self.seconds[int(at)] += 1

    @property
    def total(self):
        return sum(self.seconds.values())

    @property
    def peak(self):
        return max(self.seconds.values(), default=0)

    def worst_after(self, start):
        return max(count for second, count in self.seconds.items() if second >= start)

    def between(self, start, end):
        return sum(count for second, count in self.seconds.items() if start <= second < end)


def simulate(size, way, *, start, until, outage=None, seed=1):
    """
    Run a fleet whose processes start with tokens of age ``start(draw)``.

    Args:
        size: Processes.

        way: One of `WAYS`, or `FULL_JITTER`.

        start: Gives the second at which a process's first token was issued.

        until: Seconds simulated.

        outage: Start and end of the time in which the server fails, or None.

        seed: Of the random numbers.
    """
    draws = random.Random(seed)
    policy = (
        RefreshPolicy(background_window_jitter=0.0)
        if way == "alone, no jitter"
        else RefreshPolicy()
    )
    sharing = SharingPolicy()
    is_shared = way == "shared"
    load = Load()
    stored_at, gate, count = float("-inf"), float("-inf"), 0
    queue = []
    processes = []
    for number in range(size):
        process = Process(policy)
        process.plan(start(draws.random()), draws.random())
        processes.append(process)
        heapq.heappush(queue, (max(0.0, process.refresh_at), number))
    while queue:
        now, number = heapq.heappop(queue)
        if now >= until:
            break
        process = processes[number]
        if is_shared:
            soft_start = stored_at + LIFETIME - policy.background_window_cap
            if now < soft_start:
                process.plan(stored_at, draws.random())
                heapq.heappush(queue, (process.refresh_at, number))
                continue
            if now < gate:
                heapq.heappush(queue, (gate + draws.random(), number))
                continue
        load.ask(now)
        if outage is not None and outage[0] <= now < outage[1]:
            if is_shared:
                count += 1
                ends_at = stored_at + LIFETIME if stored_at > 0 else process.expires_at
                gate = now + plan_shared_pause(
                    policy,
                    sharing,
                    DOWN,
                    count=count,
                    draw=draws.random(),
                    alive_for=ends_at - now if ends_at > now else None,
                )
                again = gate
            else:
                is_calm = now < process.expires_at
                process.failure = plan_retry(
                    policy,
                    DOWN,
                    process.failure,
                    now=now,
                    draw=draws.random() if way != "alone, no jitter" else 1.0,
                    calm_until=process.must_refresh_at if is_calm else None,
                    alive_until=process.expires_at if is_calm else None,
                )
                again = process.failure.not_before
                if way == FULL_JITTER:
                    again = now + full_jitter(process, now, draws.random())
            heapq.heappush(queue, (again + draws.random() * 0.01, number))
            continue
        count = 0
        stored_at = now
        process.plan(now, draws.random())
        heapq.heappush(queue, (process.refresh_at, number))
    return load


def full_jitter(process, now, draw):
    """Give the pause that `FULL_JITTER` means."""
    pause = draw * min(300.0, 2.0 ** (process.failure.count - 1))
    if now >= process.expires_at:
        return pause
    return min(max(pause, (process.must_refresh_at - now) / 16), process.expires_at - now)


SCENES = {
    "steady, one hour": {
        "start": lambda draw: -2650.0 - 50 * draw,
        "until": 3600.0,
    },
    "all start at once": {"start": lambda draw: -10_000.0 + draw, "until": 600.0},
    "20 minutes down": {
        "start": lambda draw: -2650.0 - 50 * draw,
        "until": 3000.0,
        "outage": (0.0, 1200.0),
    },
}


def measure():
    """Run every scene for every size and way."""
    return {
        (scene, size, way): simulate(size, way, **settings)
        for scene, settings in SCENES.items()
        for size in SIZES
        for way in WAYS
    }


def table(loads):
    """Give the table as lines of Markdown."""
    yield "| situation | processes | " + " | ".join(WAYS) + " |"
    yield "|---|---|" + "---|" * len(WAYS)
    for scene in SCENES:
        for size in SIZES:
            cells = [
                f"{load.total:,}; {load.peak:,}/s"
                for load in (loads[scene, size, way] for way in WAYS)
            ]
            yield f"| {scene} | {size:,} | " + " | ".join(cells) + " |"


FIGURE_STYLE = """<style>
text { fill: #1c2733 }
.paper { fill: #fff }
.grid { stroke: #ddd; fill: none }
.alone { stroke: #b3261e }
.jitter { stroke: #d98300; stroke-dasharray: 6 3 }
.shared { stroke: #0b5cad; stroke-dasharray: 2 3 }
.alone, .jitter, .shared { fill: none; stroke-width: 2.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6ebf0 }
.paper { fill: #14191f }
.grid { stroke: #39434d }
.alone { stroke: #ff8a80 }
.jitter { stroke: #ffb74d }
.shared { stroke: #8fbcff }
}
</style>"""


def draw_figure(loads):
    """Draw requests in the worst second against the fleet's size, one panel a scene."""
    from math import log10

    width, height, left, top = 240, 180, 52, 46
    kinds = ["alone", "jitter", "shared"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {len(SCENES) * (width + 70) + 20} '
        f'{height + 120}" role="img" aria-labelledby="t d" font-family="sans-serif" font-size="11">',
        '<title id="t">Token requests in the worst second, by size of the fleet</title>',
        '<desc id="d">Without sharing they grow with the fleet; with one shared token they stay '
        "at one.</desc>",
        FIGURE_STYLE,
        '<rect class="paper" width="100%" height="100%" rx="8"/>',
    ]
    for column, scene in enumerate(SCENES):
        x0 = left + column * (width + 70)

        def place(size, peak, x0=x0):
            return (
                x0 + width * log10(size) / 4,
                top + height - height * log10(max(peak, 1)) / 4,
            )

        parts.append(f'<text x="{x0}" y="{top - 14}" font-weight="bold">{scene}</text>')
        for exponent in range(5):
            x, y = place(10**exponent, 10**exponent)
            parts.append(
                f'<path d="M{x0} {y:.0f}h{width}M{x:.0f} {top}v{height}" class="grid"/>'
                f'<text x="{x0 - 6}" y="{y + 4:.0f}" text-anchor="end">{10**exponent:,}</text>'
                f'<text x="{x:.0f}" y="{top + height + 16}" text-anchor="middle">'
                f"{10**exponent:,}</text>"
            )
        parts.append(
            f'<text x="{x0 + width / 2}" y="{top + height + 34}" text-anchor="middle">'
            "processes</text>"
        )
        for way, kind in zip(WAYS, kinds, strict=True):
            points = " ".join(
                "{:.1f},{:.1f}".format(*place(size, loads[scene, size, way].peak)) for size in SIZES
            )
            parts.append(f'<polyline points="{points}" class="{kind}"/>')
    for number, (way, kind) in enumerate(zip(WAYS, kinds, strict=True)):
        x, y = left + number * 200, top + height + 56
        parts.append(
            f'<path d="M{x} {y}h30" class="{kind}"/><text x="{x + 38}" y="{y + 4}">{way}</text>'
        )
    parts.append(f'<text x="10" y="{top - 30}">token requests in the worst second</text></svg>')
    return "\n".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", help="where to draw the figure, as SVG")
    options = parser.parse_args()
    loads = measure()
    print("\n".join(table(loads)))
    scene = SCENES["20 minutes down"]
    loads["20 minutes down", 10_000, FULL_JITTER] = simulate(10_000, FULL_JITTER, **scene)
    for way in (*WAYS, FULL_JITTER):
        load = loads["20 minutes down", 10_000, way]
        print(
            f"20 minutes down, 10,000 processes, {way}: {load.between(0, 1200):,} requests into "
            f"the outage, {load.between(1200, 1500):,} in the 5 minutes after it, "
            f"{load.worst_after(1200)} in the worst second of these"
        )
    if options.figure:
        Path(options.figure).write_text(draw_figure(loads) + "\n", "utf-8")


if __name__ == "__main__":
    main()

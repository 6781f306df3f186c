"""Draws the figures of `peers.py` as bars: docs/explanation/figures/peers.svg."""

import math
import runpy
from pathlib import Path

FIGURES = Path(__file__).parents[2] / "docs" / "explanation" / "figures"
LEFT, WIDTH, ROW = 190, 160, 17


def panel(figure, top, title, unit, bars):
    """Draw a bar for each library, the shortest first; a share of zero has none."""
    figure.text(14, top, title, "b")
    figure.text(14, top + 16, unit, "s")
    y = top + 24
    for name, _value, share, shown in sorted(bars, key=lambda bar: (bar[1], bar[0])):
        is_ours = name.startswith("aritma-auth")
        figure.text(LEFT - 8, y + 13, name, "b" if is_ours else "s", "end")
        length = max(1.0, WIDTH * share)
        kind = "good" if is_ours else "plain"
        figure.parts.append(
            f'<rect class="{kind}" x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="{ROW - 4}"/>'
        )
        figure.text(LEFT + length + 5, y + 13, shown, "s")
        y += ROW
    return y


def on_log_scale(rows, name):
    """Return bars whose length is the logarithm of a ratio: 1 is the limit."""
    values = {row["name"]: max(row[name], 1.0) for row in rows}
    longest = math.log(max(*values.values(), 1.01))
    return [
        (row["name"], row[name], math.log(values[row["name"]]) / longest, f"{row[name]:.3g}")
        for row in rows
    ]


def draw(rows):
    """Write the figure of the rows that `peers.py` has measured."""
    figure = runpy.run_path(str(FIGURES / "draw.py"))["Figure"](
        "peers",
        "The provider beside other libraries",
        "Three groups of bars, a bar for each library: a cached call and the CPU of a caller in a "
        "stampede, as ratios to a hand-written limit, and the share of calls that fail in an outage.",
    )
    bottom = panel(
        figure,
        24,
        "A call with a cached token",
        "ratio to a clock reading and an attribute, logarithmic",
        on_log_scale(rows, "cached"),
    )
    bottom = panel(
        figure,
        bottom + 28,
        "CPU of a caller, 1,000 at once without a token",
        "ratio to one future that all await, logarithmic",
        on_log_scale(rows, "cpu"),
    )
    shares = [(row["name"], row["failed"] / row["calls"]) for row in rows]
    bottom = panel(
        figure,
        bottom + 28,
        "Calls that fail while the token endpoint is down",
        "the token lives longer than the outage",
        [(name, share, share, f"{share:.0%}") for name, share in shares],
    )
    figure.height = bottom + 12
    (FIGURES / "peers.svg").write_text(figure.svg(), encoding="utf-8")

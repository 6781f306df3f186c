"""What ``watch`` remembers of a provider's life, and how it is drawn; nothing here waits."""

import math
from collections import deque
from datetime import datetime
from itertools import pairwise

import attrs
from rich.console import Console, ConsoleOptions, OverflowMethod, RenderResult
from rich.table import Table
from rich.text import Text

from aritma_auth.cli.times import format_duration
from aritma_auth.errors import AritmaAuthError
from aritma_auth.events import FlightEnded, RefreshFailed, TokenRejected
from aritma_auth.events.base import Event
from aritma_auth.protocol.redaction import JsonValue
from aritma_auth.provider.status import ProviderStatus

_STATES = ("fresh", "stale", "expiring", "expired", "none")
"""From the best to the worst: a cell of the time line shows the worst state in it."""

_BLOCKS = dict(zip(_STATES, "█▓▒░·", strict=True))
_LETTERS = dict(zip(_STATES, "#=-.o", strict=True))
_COLOURS = dict(zip(_STATES, ("green", "yellow", "dark_orange", "red", "red"), strict=True))
_SCALES = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_REMEMBERED = 10_000
_LINES = 8


@attrs.define
class Timeline:
    """
    A provider's life, as far as it is remembered.

    Attributes:
        started: Monotonic seconds of the beginning.

        title: Whose token it is.
    """

    started: float
    title: str
    status: ProviderStatus | None = None
    states: deque[tuple[float, str]] = attrs.field(factory=lambda: deque(maxlen=_REMEMBERED))
    marks: deque[tuple[float, str]] = attrs.field(factory=lambda: deque(maxlen=_REMEMBERED))
    lines: deque[tuple[datetime, int, str]] = attrs.field(factory=lambda: deque(maxlen=100))
    refreshes: deque[float] = attrs.field(factory=lambda: deque(maxlen=_REMEMBERED))
    latencies: deque[float] = attrs.field(factory=lambda: deque(maxlen=_REMEMBERED))
    calls: int = 0
    refused_calls: int = 0
    most_waiters: int = 0
    failures: int = 0

    def note_status(self, status: ProviderStatus, now: float) -> None:
        """Remember what the provider says of itself."""
        self.status = status
        if not self.states or self.states[-1][1] != status.freshness:
            self.states.append((now, status.freshness))

    def note_event(self, event: Event, now: float, local: datetime) -> None:
        """Remember what happened."""
        match event:
            case FlightEnded(outcome="issued" | "adopted"):
                self.refreshes.append(event.took)
                self.marks.append((now, "^"))
            case RefreshFailed():
                self.failures += 1
                self.marks.append((now, "!"))
            case TokenRejected():
                self.marks.append((now, "x"))
            case _:
                pass
        if isinstance(event, FlightEnded):
            self.most_waiters = max(self.most_waiters, event.waiters)
        self.lines.append((local, event.level, str(event).partition(" [")[0]))

    def note_call(self, seconds: float, error: AritmaAuthError | None = None) -> None:
        """Remember how long a caller waited for its token."""
        self.calls += 1
        self.latencies.append(seconds)
        if error is not None:
            self.refused_calls += 1

    def cells(self, now: float, number: int) -> tuple[float, list[str], str]:
        """
        Divide the time so far into cells.

        Args:
            now: Monotonic seconds.

            number: Cells that fit.

        Returns:
            The seconds of a cell, the worst state in each, and a mark under each.
        """
        elapsed = max(now - self.started, 0.0)
        scale = next((s for s in _SCALES if elapsed <= s * number), _SCALES[-1])
        first = max(self.started, now - scale * number)
        spans = [*self.states, (now, "")]
        worst: list[int] = [-1] * number
        marks = [" "] * number
        for (begin, state), (end, _) in pairwise(spans):
            if end < first:
                continue
            low = int((max(begin, first) - first) / scale)
            high = max(low, math.ceil((end - first) / scale) - 1)
            for cell in range(low, min(high, number - 1) + 1):
                worst[cell] = max(worst[cell], _STATES.index(state))
        for moment, mark in self.marks:
            if moment >= first:
                marks[min(int((moment - first) / scale), number - 1)] = mark
        return scale, [_STATES[cell] for cell in worst if cell >= 0], "".join(marks).rstrip()

    def as_json(self, now: float) -> dict[str, JsonValue]:
        """Give a summary for a program."""
        status = self.status
        return {
            "event": "Summary",
            "seconds": round(now - self.started, 3),
            "state": None if status is None else status.freshness,
            "expires_in": None if status is None else status.expires_in,
            "retry_in": None if status is None else status.retry_in,
            "refreshes": len(self.refreshes),
            "refresh_seconds_median": _quantile(self.refreshes, 0.5),
            "failures": self.failures,
            "most_waiters": self.most_waiters,
            "calls": self.calls,
            "refused_calls": self.refused_calls,
            "call_seconds_median": _quantile(self.latencies, 0.5),
            "call_seconds_max": _quantile(self.latencies, 1.0),
        }


def _quantile(seconds: deque[float], part: float) -> float | None:
    if not seconds:
        return None
    ordered = sorted(seconds)
    return round(ordered[int(part * (len(ordered) - 1))], 6)


@attrs.define
class View:
    """
    The picture of a time line at a moment, as wide as the terminal.

    Attributes:
        timeline: The time line.

        now: Monotonic seconds.

        shows_events: Show the latest events, too.
    """

    timeline: Timeline
    now: float
    shows_events: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw title, time line, numbers and the latest events."""
        blocks = _LETTERS if options.ascii_only else _BLOCKS
        overflow: OverflowMethod = "crop" if options.ascii_only else "ellipsis"
        timeline, width = self.timeline, options.max_width
        scale, states, marks = timeline.cells(self.now, width)
        yield Text(timeline.title, style="bold", no_wrap=True, overflow=overflow)
        line = Text()
        for state in states:
            line.append(blocks[state], style=_COLOURS[state])
        yield line
        yield Text(marks)
        named = [f"{blocks[name]} {name}" for name in _STATES]
        named += ["^ refresh", "! failure", "x rejected", f"{scale:g} s each"]
        yield Text(_lay_out(named, width), style="dim", overflow="fold")
        yield Text()
        yield self._numbers()
        if not self.shows_events:
            return
        yield Text()
        for local, level, text in [*timeline.lines][-_LINES:]:
            style = "red" if level >= 30 else ""
            yield Text(f"{local:%H:%M:%S} {text}", style=style, no_wrap=True, overflow=overflow)

    def _numbers(self) -> Table:
        timeline, status = self.timeline, self.timeline.status
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(no_wrap=True, style="dim")
        table.add_column(overflow="fold")
        if status is not None:
            colour = _COLOURS[status.freshness]
            table.add_row("token", Text(_describe_token(status), style=colour))
            if status.retry_in is not None:
                table.add_row("backoff", Text(_describe_backoff(status), style="red"))
        refreshes = f"{len(timeline.refreshes)}, {timeline.failures} failed"
        table.add_row("refreshes", refreshes + _describe_durations(timeline.refreshes))
        calls = f"{timeline.calls}, {timeline.refused_calls} without a token"
        table.add_row("calls", calls + _describe_durations(timeline.latencies))
        table.add_row("waiters", f"{timeline.most_waiters} at most for one refresh")
        return table


def _lay_out(items: list[str], width: int) -> str:
    """Put items beside one another, and break lines between them alone."""
    lines = items[:1]
    for item in items[1:]:
        longer = f"{lines[-1]}  {item}"
        if len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(item)
    return "\n".join(lines)


def _describe_token(status: ProviderStatus) -> str:
    parts = [status.freshness]
    if status.fingerprint is not None:
        parts.append(status.fingerprint)
    if status.expires_in is not None:
        parts.append(f"expires in {format_duration(status.expires_in)}")
    if status.refresh_in:
        parts.append(f"refresh in {format_duration(status.refresh_in)}")
    if status.is_refreshing:
        parts.append("refreshing now")
    return ", ".join(parts)


def _describe_backoff(status: ProviderStatus) -> str:
    wait = format_duration(status.retry_in or 0.0)
    return f"{status.failures} failures, next attempt in {wait}: {status.last_error}"


def _describe_durations(seconds: deque[float]) -> str:
    if not seconds:
        return ""
    median, longest = (1000 * (_quantile(seconds, part) or 0.0) for part in (0.5, 1.0))
    return f", median {median:.3g} ms, longest {longest:.3g} ms"

"""Tests of `aritma-auth watch`, and of the time line that it draws."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import attrs
import pytest
from rich.console import Console

import aritma_auth as aa
from aritma_auth import cli
from aritma_auth.cli import open_tokens, terminal, watch
from aritma_auth.cli.exit_codes import ExitCode
from aritma_auth.cli.timeline import Timeline, View
from aritma_auth.events import (
    FlightEnded,
    RefreshFailed,
    TokenAcquired,
    TokenRejected,
)
from aritma_auth.provider.status import ProviderStatus

LOCAL = datetime(2026, 11, 28, 23, 41, 40, tzinfo=UTC)
GOLDEN_WIDE = """\
sandbox-service at a local stand-in, not Aritma
··████████████████████████████████████████▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▒▒▒▒▒▒▒▒░░░░░░░░░░░░██████████░
  ^                                       !           x                         ^
█ fresh  ▓ stale  ▒ expiring  ░ expired  · none  ^ refresh  ! failure  x rejected  0.5 s each

token      expired, 1f2a3b4c, expires in 10 s, refresh in 7 s, refreshing now
backoff    2 failures, next attempt in 4 s: the token endpoint is away
refreshes  2, 1 failed, median 50 ms, longest 250 ms
calls      4, 1 without a token, median 1 ms, longest 250 ms
waiters    12 at most for one refresh

23:41:40 first token, of 30 s, after 0.050 s
23:41:40 flight 1 issued after 0.050 s, 3 waited
23:41:40 refresh failed (2 in a row, next attempt in 4.0 s, the cached token is still served): Transpor…
23:41:40 an API rejected the token: a refresh follows
23:41:40 flight 2 issued after 0.250 s, 12 waited
"""
GOLDEN_NARROW = """\
sandbox-service at a local s
o#########=====--...##.
^         !  x      ^
# fresh  = stale  - expiring
. expired  o none  ^ refresh
! failure  x rejected
2 s each

token      expired,
           1f2a3b4c, expires
           in 10 s, refresh
           in 7 s,
           refreshing now
backoff    2 failures, next
           attempt in 4 s:
           the token
           endpoint is away
refreshes  2, 1 failed,
           median 50 ms,
           longest 250 ms
calls      4, 1 without a
           token, median 1
           ms, longest 250
           ms
waiters    12 at most for
           one refresh

23:41:40 first token, of 30
23:41:40 flight 1 issued aft
23:41:40 refresh failed (2 i
23:41:40 an API rejected the
23:41:40 flight 2 issued aft
"""


def status(freshness, **changed):
    values = {
        "freshness": freshness,
        "expires_in": 10.0,
        "refresh_in": 7.0,
        "is_refreshing": False,
        "failures": 0,
        "fingerprint": "1f2a3b4c",
        **changed,
    }
    return ProviderStatus(
        **{field.name: values.get(field.name) for field in attrs.fields(ProviderStatus)}
    )


@pytest.fixture
def timeline():
    """Give a time line with a life behind it: an outage, a rejection, and two refreshes."""
    timeline = Timeline(0.0, "sandbox-service at a local stand-in, not Aritma")
    away = aa.TransportError("the token endpoint is away")
    for moment, state in ((0.0, "none"), (1.0, "fresh"), (21.0, "stale"), (30.0, "expiring")):
        timeline.note_status(status(state), moment)
        timeline.note_status(status(state), moment + 0.5)
    for event, moment in (
        (TokenAcquired("1f2a3b4c", 30.0, 0.05), 1.0),
        (FlightEnded(1, "issued", 0.05, 3), 1.0),
        (RefreshFailed(away, 2, 4.0, True), 21.0),
        (TokenRejected("1f2a3b4c", True), 27.0),
        (FlightEnded(2, "issued", 0.25, 12), 40.0),
    ):
        timeline.note_event(event, moment, LOCAL)
    timeline.note_status(status("expired"), 34.0)
    timeline.note_status(status("fresh"), 40.0)
    timeline.note_status(
        status("expired", failures=2, retry_in=4.0, last_error=str(away), is_refreshing=True), 45.0
    )
    for seconds, error in ((0.25, None), (0.001, None), (0.0001, None), (0.01, away)):
        timeline.note_call(seconds, error)
    return timeline


def draw(timeline, width, now=45.0, encoding="utf-8"):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, width=width, color_system=None, highlight=False)
    console.print(View(timeline, now))
    stream.flush()
    text = stream.buffer.getvalue().decode()
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def test_a_life_is_drawn_wide(timeline):
    """States, marks, numbers and the latest events fill a wide terminal."""
    assert draw(timeline, 104) == GOLDEN_WIDE


def test_a_life_is_drawn_narrow_and_in_plain_letters(timeline):
    """A narrow terminal without block characters gets letters; no line is too long for it."""
    assert draw(timeline, 28, encoding="ascii") == GOLDEN_NARROW
    assert all(len(line) <= 28 for line in GOLDEN_NARROW.splitlines())


def test_an_empty_life_can_be_drawn():
    """Before anything has happened there is a picture, too."""
    assert "calls      0, 0 without a token\n" in draw(Timeline(0.0, "title"), 60, now=0.0)


def test_a_state_that_cannot_be_seen_is_kept_in_its_cell():
    """A cell shows the worst state in it, however short it was."""
    timeline = Timeline(0.0, "title")
    for moment, state in ((0.0, "fresh"), (50.0, "expired"), (50.1, "fresh")):
        timeline.note_status(status(state), moment)

    _, states, _ = timeline.cells(100.0, 20)
    assert states.count("expired") == 1
    assert states.count("fresh") == 20 - 1


def test_the_beginning_of_a_very_long_life_scrolls_away():
    """A life longer than the widest scale is drawn from its end."""
    timeline = Timeline(0.0, "title")
    timeline.note_status(status("none"), 0.0)
    timeline.note_event(FlightEnded(1, "adopted", 0.1, 0), 1.0, LOCAL)
    timeline.note_status(status("fresh"), 10.0)
    scale, states, marks = timeline.cells(1e6, 10)

    assert (scale, set(states), marks) == (3600.0, {"fresh"}, "")


def test_a_summary_is_for_programs(timeline):
    """The numbers of the picture are an object, too."""
    assert timeline.as_json(45.0) == {
        "event": "Summary",
        "seconds": 45.0,
        "state": "expired",
        "expires_in": 10.0,
        "retry_in": 4.0,
        "refreshes": 2,
        "refresh_seconds_median": 0.05,
        "failures": 1,
        "most_waiters": 12,
        "calls": 4,
        "refused_calls": 1,
        "call_seconds_median": 0.001,
        "call_seconds_max": 0.25,
    }
    assert Timeline(0.0, "title").as_json(0.0)["state"] is None


@pytest.fixture
def real_settings(running, monkeypatch):
    """Give the settings of the sandbox's service, as those of a real issuer."""
    monkeypatch.setenv("ARITMA_CLIENT_ID", "sandbox-service")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "sandbox-secret")
    monkeypatch.setenv("ARITMA_ENVIRONMENT", running.identity_url)
    running.token_requests.clear()
    return running


def test_a_real_issuer_is_watched_once(real_settings, monkeypatch, capsys):
    """--once shows the provider with its first token, and all callers waited for one request."""
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.run(["watch", "--once", "--callers", "5"]) == ExitCode.DONE
    shown = capsys.readouterr().out

    assert f"\nsandbox-service at {real_settings.identity_url}\n" in shown
    assert "token      fresh, " in shown
    assert "first token, of 3600 s" in shown
    assert len(real_settings.token_requests) == 1
    assert "eyJ" not in shown


def test_events_are_lines_for_programs(real_settings, capsys):
    """--json prints each event as an object on a line of its own, and a summary at the end."""
    assert cli.run(["watch", "--once", "--json"]) == ExitCode.DONE
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert [each["event"] for each in told[:2]] == ["FlightStarted", "TokenAcquired"]
    assert told[0]["time"].startswith("20")
    assert told[0]["client_id"] == "sandbox-service"
    assert (told[-1]["event"], told[-1]["state"]) == ("Summary", "fresh")


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [
        ("ARITMA_CLIENT_SECRET", "wrong", ExitCode.REFUSED),
        ("ARITMA_ENVIRONMENT", "https://id.invalid", ExitCode.TRY_LATER),
    ],
)
def test_without_a_token_the_last_error_ends_the_command(
    real_settings, monkeypatch, capsys, setting, value, code
):
    """The exit code is that of the reason why there is no token, and the picture shows it."""
    monkeypatch.setenv(setting, value)

    assert cli.run(["watch", "--once"]) == code
    shown = capsys.readouterr().out
    assert "backoff    1 failures, next attempt in " in shown
    assert "3 without a token" in shown or "1 without a token" in shown


@pytest.fixture
def end_when(monkeypatch):
    """End the view as Ctrl-C does, as soon as something holds."""

    def end(holds):
        async def wait():
            await asyncio.sleep(0.01)

        stop = SimpleNamespace(is_set=holds, wait=wait)
        monkeypatch.setattr(watch, "stop_on_signals", lambda: stop)

    return end


def test_the_sandbox_is_watched_for_a_while(monkeypatch, capsys, end_when):
    """--sandbox needs no settings, and its failures show as such."""
    shown = []

    def show(text):
        shown.append(text)
        terminal.show(text)

    monkeypatch.setattr(watch, "show", show)
    end_when(lambda: any("refresh failed" in line for line in shown))
    options = ["--seconds", "30", "--lifetime", "1", "--failures", "1", "--every", "0.02"]
    code = cli.run(["watch", "--sandbox", *options])
    shown = capsys.readouterr().out

    assert "a local stand-in, not Aritma" in shown
    assert "refresh failed (1 in a row" in shown
    # The token may just have ended when the second does.
    assert code in {ExitCode.DONE, ExitCode.TRY_LATER}
    assert "! " in shown
    assert shown.count("refresh failed (1 in a row") == 1, "without a terminal each event is a line"


def test_without_any_response_the_view_ends_when_it_is_told(server, capsys):
    """A server that does not respond leaves no token and no error: worth another try."""
    server.hangs = True

    assert cli.run(["watch", "--seconds", "0.1"]) == ExitCode.TRY_LATER
    assert "token      none, refreshing now" in capsys.readouterr().out


class Terminal(io.StringIO):
    """A standard output that is a terminal."""

    def isatty(self):
        return True


def test_a_terminal_is_drawn_anew(monkeypatch, end_when):
    """On a terminal the picture replaces itself, and no line is left of the events."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "40")
    end_when(lambda: "\x1b[1A\x1b[2K" in stream.getvalue() and "fresh, " in stream.getvalue())
    assert cli.run(["watch", "--sandbox", "--seconds", "30"]) == ExitCode.DONE

    assert "\x1b[1A\x1b[2K" in stream.getvalue()
    assert "at most for one refresh" in stream.getvalue()


def test_a_sign_in_is_watched(sandbox, monkeypatch, capsys):
    """--end-user watches a stored sign-in; without one the command asks for it."""
    monkeypatch.setattr(open_tokens, "default_store", aa.MemoryTokenStore)

    assert cli.run(["watch", "--end-user", "me", "--once"]) == ExitCode.SIGN_IN
    assert "the end-user must sign in again" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--sandbox", "--end-user", "me"], "--sandbox and --end-user exclude each other"),
        (["--failures", "2"], "--failures needs --sandbox"),
        (["--callers", "0"], "Invalid value"),
        (["--failures", "-1"], "Invalid value"),
        (["--every", "0"], "Invalid value"),
        (["--seconds", "nan"], "Invalid value"),
    ],
)
def test_options_are_checked_first(capsys, arguments, problem):
    """A command line that is not usable is refused before anything is opened."""
    assert cli.run(["watch", *arguments]) == ExitCode.USAGE
    assert problem in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_an_interrupt_ends_the_view():
    """Ctrl-C ends the view with the picture of the end, and no error."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aritma_auth", "watch", "--sandbox"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONDEVMODE": ""},
    )
    while "flight 1 issued" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=50)

    assert (process.returncode, err) == (0, "")
    assert "waiters " in out

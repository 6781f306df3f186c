"""Tests of the way to the terminal: what a server sends cannot steer it."""

import io
import json
import sys

import pytest
from rich.table import Table
from rich.text import Text

from aritma_auth.cli import terminal
from aritma_auth.protocol.redaction import Members

HOSTILE = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\u202e",
    "\u2066",
    "\u2028",
    "\r",
    "\b",
    "\x7f",
]
"""Sequences that clear the screen, set the title, colour, reorder, break lines or overwrite."""


@pytest.mark.parametrize("hostile", [*HOSTILE, "\n"], ids=ascii)
def test_a_line_cannot_steer_the_terminal(capsys, hostile):
    """A line on standard output stays one line without control characters."""
    terminal.show(f"ok{hostile}NO")

    shown = capsys.readouterr().out
    assert shown.endswith("NO\n")
    assert shown[:-1].isprintable()
    assert hostile[0] not in shown[:-1]


@pytest.mark.parametrize("hostile", [*HOSTILE, "\n"], ids=ascii)
def test_an_error_cannot_steer_the_terminal(capsys, hostile):
    """A line on standard error stays one line without control characters."""
    terminal.show_error(f"error: {hostile}ok")

    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert shown[:-1].isprintable()


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_styled_text_cannot_steer_the_terminal(capsys, hostile):
    """Text inside rich's tables is replaced like every other text."""
    table = Table("name", box=None)
    table.add_row(Text(f"a{hostile}b"))
    terminal.show_styled(table, Text(f"[bold]{hostile}", style="bold"))

    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.split("\n"))
    assert "[bold]" in shown


@pytest.mark.parametrize("hostile", [*HOSTILE, "\n"], ids=ascii)
def test_json_is_exact_and_cannot_steer_the_terminal(capsys, hostile):
    """JSON escapes what is not ASCII, so the values are those that the server sent."""
    terminal.show_json(Members({"name": f"Almås{hostile}"}))

    shown = capsys.readouterr().out
    assert all(line.isprintable() and line.isascii() for line in shown.split("\n"))
    if hostile != "\x7f":
        assert json.loads(shown) == {"name": f"Almås{hostile}"}


def test_rich_keeps_its_own_styles(monkeypatch):
    """Control sequences that rich writes itself pass on a terminal."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    terminal.show_styled(Text("a\x1b[2Jb", style="bold"))

    assert stream.getvalue() == "\x1b[1ma\ufffd[2Jb\x1b[0m\n"


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", b"Alm\\xe5s\n"), ("latin-1", b"Alm\xe5s\n")]
)
def test_a_character_that_cannot_be_encoded_is_no_error(monkeypatch, encoding, shown):
    """A terminal whose encoding lacks a character shows the character's number."""
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding=encoding))
    terminal.show("Almås")

    assert buffer.getvalue() == shown


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


def test_a_wait_is_shown_on_a_terminal(monkeypatch):
    """While a command waits a terminal shows for what, and afterwards nothing of it."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with terminal.waiting("waiting\x1b[2J for a token"):
        pass

    assert "waiting\ufffd[2J for a token" in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[2K")


def test_a_view_cannot_steer_the_terminal(monkeypatch):
    """Texts of a view that is drawn anew are replaced like every other text."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    with terminal.open_live(is_on=True) as draw:
        draw(Text("a\x1b[2Jb\x9b31m"))

    assert "a\ufffd[2Jb\ufffd31m" in stream.getvalue()


def test_a_wait_is_not_shown_elsewhere(capsys):
    """A pipe or a file gets no line about waiting."""
    with terminal.waiting("waiting for a token"):
        pass

    assert capsys.readouterr() == ("", "")

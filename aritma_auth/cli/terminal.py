"""
The one way from a command to the terminal.

A server chooses much of what the commands show: metadata, claims, error descriptions. Control and
bidirectional characters in them could move the cursor, hide text or change a window's title, so
every line passes here, and nothing else in this folder prints.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TextIO

from aritma_auth.errors import printable
from aritma_auth.protocol.redaction import JsonValue, Members

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.text import Text


def show(text: str) -> None:
    """
    Write one line to standard output.

    Args:
        text: The line; line breaks in it are replaced, too.
    """
    _write(sys.stdout, text)


def show_error(text: str) -> None:
    """
    Write one line to standard error.

    Args:
        text: The line; white space in it is collapsed.
    """
    _write(sys.stderr, " ".join(text.split()))


def show_json(members: Members | Mapping[str, JsonValue], *, is_error: bool = False) -> None:
    """
    Write an object as JSON: its values are exact, and all of it is ASCII.

    Args:
        members: The object.

        is_error: Write to standard error.
    """
    for line in json.dumps(dict(members.items()), indent=2).splitlines():
        _write(sys.stderr if is_error else sys.stdout, line)


def show_styled(*renderables: "RenderableType") -> None:
    """
    Write styled text and tables to standard output.

    Args:
        renderables: What to write; control characters in their texts are replaced.
    """
    console = open_console()
    for renderable in renderables:
        console.print(_Printable(renderable))


def as_line(text: str, style: str = "") -> "Text":
    """
    Make styled text of one line: a line break in it would begin a line that nobody wrote.

    Args:
        text: What a server or a token says.

        style: How rich shows it.
    """
    from rich.text import Text  # rich is here by now

    return Text(_printable(text), style)


def open_console(*, is_error: bool = False) -> "Console":
    """
    Open rich's way to the terminal: as wide as it is, without colour where ``NO_COLOR`` is set.

    Args:
        is_error: Write to standard error.
    """
    from rich.console import Console  # `token` in a script needs none of it

    return Console(highlight=False, markup=False, soft_wrap=True, stderr=is_error)


@contextlib.contextmanager
def waiting(text: str) -> Iterator[None]:
    """
    Show on a terminal's standard error that something is waited for; elsewhere show nothing.

    Args:
        text: What is waited for.
    """
    if not sys.stderr.isatty():
        yield
        return
    with open_console(is_error=True).status(_printable(text)):
        yield


@contextlib.contextmanager
def open_live(*, is_on: bool) -> Iterator[Callable[["RenderableType"], None]]:
    """
    Open a part of the terminal that is drawn anew.

    Args:
        is_on: Standard output is a terminal, and shall be drawn on; otherwise nothing is drawn.

    Returns:
        A function that draws; control characters in the texts are replaced.
    """
    if not is_on:
        yield lambda _renderable: None
        return
    from rich.live import Live  # most commands draw nothing anew

    with Live(console=open_console(), auto_refresh=False) as live:
        yield lambda renderable: live.update(_Printable(renderable), refresh=True)


def _write(stream: TextIO, text: str) -> None:
    line, encoding = _printable(text), stream.encoding or "utf-8"
    # A terminal whose encoding lacks a character (LANG=C) is shown the character's number.
    encodable = line.encode(encoding, "backslashreplace").decode(encoding)
    print(encodable, file=stream, flush=True)


def _printable(text: str) -> str:
    return printable(text, limit=len(text))


class _Printable:
    """Styled text, a table or another renderable: only rich's own control sequences get through."""

    def __init__(self, renderable: "RenderableType") -> None:
        self._renderable = renderable

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.segment import Segment  # rich is here by now

        for segment in console.render(self._renderable, options):
            lines = map(_printable, segment.text.split("\n"))
            yield segment if segment.control else Segment("\n".join(lines), segment.style)

"""
The one way from a command to the terminal.

A server chooses much of what the commands show: metadata, claims, error descriptions. Control and
bidirectional characters in them could move the cursor, hide text or change a window's title, so
every line passes here, and nothing else in this folder prints.
"""

import json
import sys
from collections.abc import Mapping
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

from aritma_auth.errors import printable
from aritma_auth.protocol.redaction import JsonValue, Members


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


def show_json(members: Members | Mapping[str, JsonValue]) -> None:
    """
    Write an object as JSON to standard output: its values are exact, and all of it is ASCII.

    Args:
        members: The object.
    """
    for line in json.dumps(dict(members.items()), indent=2).splitlines():
        show(line)


def show_styled(*renderables: RenderableType) -> None:
    """
    Write styled text and tables to standard output.

    Args:
        renderables: What to write; control characters in their texts are replaced.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for renderable in renderables:
        console.print(_Printable(renderable))


def _write(stream: TextIO, text: str) -> None:
    line, encoding = _printable(text), stream.encoding or "utf-8"
    # A terminal whose encoding lacks a character (LANG=C) is shown the character's number.
    encodable = line.encode(encoding, "backslashreplace").decode(encoding)
    print(encodable, file=stream, flush=True)


def _printable(text: str) -> str:
    return printable(text, limit=len(text))


class _Printable:
    """Lets rich's own control sequences through, and those in the texts not."""

    def __init__(self, renderable: RenderableType) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._renderable, options):
            lines = map(_printable, segment.text.split("\n"))
            yield segment if segment.control else Segment("\n".join(lines), segment.style)

"""
Runs a command of the operating system in the thread that calls, which waits no longer than it may.

::

    the caller's thread    start - join, for the time-out at most - kill the group - join again
    the command's thread     write its input - read its output up to the limit - wait for its end

The command has a thread of its own for its pipes, which alone may block for ever: what a command
leaves behind can hold its output open, and a program of another user cannot be killed. That thread
also waits for the command, so that none is left as a zombie.
"""

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import IO, TypeVar, cast

B = TypeVar("B", bound=bytes)

_GRACE = 0.5
"""Seconds for a killed command to end, and for its output."""


class CommandError(Exception):
    """
    A command has failed; it never leaves the package.

    Its text says how and quotes nothing of the command, its input or its output.
    """


def run_command(
    command: Sequence[str],
    *,
    timeout: float,
    limit: int,
    hide: Callable[[bytes], B],
    given: bytes | None = None,
    shows_errors: bool = True,
) -> B:
    """
    Run a command and return what it prints.

    Args:
        command: Its words; no shell reads them.

        timeout: Seconds that it may take.

        limit: Bytes that it may print.

        hide: Wraps what it prints, before a traceback could show it.

        given: Its standard input, or None for none.

        shows_errors: What it writes to its standard error is this process's too.

    Raises:
        CommandError: It could not be started, took too long, printed too much, or has failed.
    """
    try:
        # A session of its own: what the command starts is killed with it.
        process = subprocess.Popen(  # noqa: S603 - the caller's own words, without a shell
            command,
            stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if shows_errors else subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        problem: str | None = type(error).__name__
    else:
        printed = _talk(process, given, timeout, limit, hide)
        problem = _problem_of(process.poll(), printed, timeout, limit)
        if printed is not None and problem is None:
            return printed
    # Outside the except block: an error of subprocess holds the whole command.
    raise CommandError(problem)


def _talk(
    process: "subprocess.Popen[bytes]",
    given: bytes | None,
    timeout: float,
    limit: int,
    hide: Callable[[bytes], B],
) -> B | None:
    """Give a command its input and read what it prints; None if its output stays open."""
    pieces: list[B] = []

    def talk() -> None:
        output = cast("IO[bytes]", process.stdout)
        # A command that does not read its input, or has ended, is judged by its exit status.
        with contextlib.suppress(OSError), process.stdin or contextlib.nullcontext():
            if process.stdin is not None and given is not None:
                process.stdin.write(given)
        with output:
            pieces.append(hide(output.read(limit + 1)))
        if len(pieces[0]) > limit:
            _kill(process)
        process.wait()

    thread = threading.Thread(target=talk, name="aritma-auth command", daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        _kill(process)
        thread.join(_GRACE)
    return pieces[0] if pieces else None


def _problem_of(code: int | None, printed: bytes | None, timeout: float, limit: int) -> str | None:
    if printed is not None and len(printed) > limit:
        return f"it printed more than {limit} bytes"
    if code is None:
        return f"it could not be killed after {timeout:g} seconds"
    if code > 0:
        return f"it ended with status {code}"
    if code < 0:
        return f"it was killed, after {timeout:g} seconds or by a signal"
    if printed is None:
        return f"what it started kept its output open for {timeout:g} seconds"
    return None


def _kill(process: "subprocess.Popen[bytes]") -> None:
    # Windows has no process groups of this kind.
    kill_group = getattr(os, "killpg", None)
    # It may just have ended, or be a program of another user, such as sudo.
    with contextlib.suppress(OSError):
        if kill_group is None:
            process.kill()
        else:
            kill_group(process.pid, 9)

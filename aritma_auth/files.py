"""Files that a caller names: their paths, and their content up to a limit."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from aritma_auth.errors import ConfigurationError, printable, wrong_kind

B = TypeVar("B", bound=bytes)

# Without O_NONBLOCK, opening a named pipe waits until another process writes to it.
_FLAGS: int = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NONBLOCK")
)

_SHOWN = 500
"""Characters of a path in an error."""


class FileProblemError(Exception):
    """
    A file cannot be read; it never leaves the package.

    Its text says why and quotes nothing of the content.
    """


def require_path(name: str, required: str, given: object) -> Path:
    """
    Require an argument to be a path that a file can have.

    Args:
        name: The argument.

        required: What it must be, in words.

        given: What was given.

    Raises:
        ConfigurationError: It is neither a text nor a path, is empty, or no file can be named so.
    """
    try:
        path = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    except Exception:  # noqa: BLE001 - a caller's own path may raise anything
        path = None
    if not isinstance(path, str):
        raise wrong_kind(name, required, given)
    problem = _find_path_problem(path)
    if problem is not None:
        # Not quoted: the content of the file, given in the place of its path, is often a key.
        del given, path
        raise ConfigurationError(f"{name} must be {required}: {problem}")
    return Path(path)


def _find_path_problem(path: str) -> str | None:
    if not path:
        return "it is empty"
    if "\0" in path or not _is_encodable(path):
        return "no file can be named so"
    if "\n" in path or path.lstrip().startswith('{"'):
        return "this is the content of a file"
    return None


def _is_encodable(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def show_path(path: Path) -> str:
    """Show a path in an error: on one line, cut short if it is very long."""
    return printable(str(path), _SHOWN)


def read_content(path: Path, limit: int, hide: Callable[[bytes], B]) -> B:
    """
    Read a regular file, whole; never wait for a pipe or a device.

    Args:
        path: The file.

        limit: Bytes that it may have.

        hide: Wraps the content, before a traceback could show it.

    Raises:
        FileProblemError: It cannot be read.
    """
    problem: str | None
    try:
        file = os.open(path, _FLAGS)
        try:
            problem = _find_problem(os.fstat(file), 0)
            if problem is None:
                with os.fdopen(file, "rb", closefd=False) as reader:
                    content = hide(reader.read(limit + 1))
                if len(content) <= limit:
                    return content
                problem = _too_long(limit)
        finally:
            os.close(file)
    except (OSError, ValueError) as error:
        problem = _describe(error)
    raise FileProblemError(problem)


def require_readable(path: Path, limit: int) -> None:
    """
    Require a file to be one that other code may read whole, such as OpenSSL.

    Args:
        path: The file.

        limit: Bytes that it may have.

    Raises:
        FileProblemError: It is none.
    """
    try:
        problem = _find_problem(path.stat(), limit)
    except (OSError, ValueError) as error:
        problem = _describe(error)
    if problem is not None:
        raise FileProblemError(problem)


def _find_problem(status: os.stat_result, limit: int) -> str | None:
    if stat.S_ISDIR(status.st_mode):
        return "it is a folder"
    if not stat.S_ISREG(status.st_mode):
        return "it is a pipe or a device, not a regular file"
    return _too_long(limit) if limit and status.st_size > limit else None


def _too_long(limit: int) -> str:
    return f"it is longer than {limit} bytes"


def _describe(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__

"""Secrets and where they come from: a value, a variable, a file, a command, or a callable."""

import inspect
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NoReturn, final

from aritma_auth.errors import (
    ConfigurationError,
    require_function,
    require_seconds,
    type_name,
    wrong_kind,
)
from aritma_auth.protocol.credentials import holds_controls
from aritma_auth.protocol.redaction import HiddenBytes, HiddenStr, SecretText, hide
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.threads import WorkerThreads

_LIMIT = 1 << 16
"""Bytes of a secret at most: a private key in PEM has a few thousand."""

_STANDARD_ERROR = 2

_THREADS = WorkerThreads("aritma-auth secrets")


@final
class Secret:
    """
    A client secret or a private key, never shown.

    It is read anew for each token request, so that a rotated secret is found without a restart.

    Args:
        value: The secret itself.

    Raises:
        ConfigurationError: The value is not a text, is empty, or holds control characters.
    """

    __slots__ = ("_origin", "_read")

    @hides_arguments
    def __init__(self, value: str) -> None:
        hidden = hide(value)
        del value
        self._origin = "a value"
        secret = _checked(hidden, "the secret")

        async def read() -> SecretText:
            return secret

        self._read: Callable[[], Awaitable[SecretText]] = read

    @classmethod
    @hides_arguments
    def from_env(cls, name: str) -> "Secret":
        """
        Read the secret from an environment variable each time it is needed.

        Args:
            name: The variable's name.

        Raises:
            ConfigurationError: The name is not a text.
        """
        if not isinstance(name, str):
            raise wrong_kind("name", "the name of an environment variable", name)
        if not name.isprintable() or not name or "=" in name:
            # Not quoted: it may be the secret, given by mistake.
            raise ConfigurationError(
                "name must be the name of an environment variable, which is printable, not empty, "
                "and has no '='"
            )
        origin = f"the environment variable {name}"

        async def read() -> SecretText:
            return _checked(hide(os.environ.get(name)), origin)

        return cls._from(origin, read)

    @classmethod
    @hides_arguments
    def from_file(cls, path: str | os.PathLike[str]) -> "Secret":
        """
        Read the secret from a file each time it is needed; newlines at its end are left out.

        Args:
            path: The file, such as a mounted Kubernetes or Docker secret.

        Raises:
            ConfigurationError: The path is not a path. A pipe or a device is refused when it is
                read: what was read of it once is gone.
        """
        from aritma_auth.files import require_path, show_path  # with a file only

        file = require_path("path", "the path of a file", path)
        origin = f"the file {show_path(file)}"

        async def read() -> SecretText:
            return _checked(await _THREADS.run(lambda: _read(file, origin)), origin)

        return cls._from(origin, read)

    @classmethod
    @hides_arguments
    def from_callable(cls, source: Callable[[], str | Awaitable[str]]) -> "Secret":
        """
        Call a function each time the secret is needed.

        Args:
            source: A function, plain or async, without arguments. A plain one runs on the event
                loop: it must be quick.

        Raises:
            ConfigurationError: The source is not callable.
        """
        require_function("source", "a function without arguments", source, 0)
        origin = "the secret's callable"

        async def read() -> SecretText:
            return _checked(await _call(source, origin), origin)

        return cls._from(origin, read)

    @classmethod
    @hides_arguments
    def from_command(cls, command: Sequence[str], *, timeout: float = 10.0) -> "Secret":
        """
        Run a command each time the secret is needed, such as a password manager's.

        It is run without a shell and without input; newlines at the end of its output are left out.
        What it writes to standard error is shown on a terminal, where a human may have to touch a
        key, and nowhere else: a log is no place for what it may say of the secret.

        Args:
            command: The program and its arguments.

            timeout: Seconds after which it is killed.

        Raises:
            ConfigurationError: The command is no list of texts, or the time is no number.
        """
        words = _as_words(command)
        if words is None:
            wanted = 'a list of texts, such as ["pass", "show", "bank"]'
            raise wrong_kind("command", wanted, command)
        if any("\0" in word for word in words):
            raise ConfigurationError("command must have no NUL character in its words")
        require_seconds("timeout", timeout, above_zero=True)
        # Its arguments may name what they like.
        origin = f"the command {words[0]}"

        async def read() -> SecretText:
            return _checked(await _THREADS.run(lambda: _run(words, timeout, origin)), origin)

        return cls._from(origin, read)

    @classmethod
    def _from(cls, origin: str, read: Callable[[], Awaitable[SecretText]]) -> "Secret":
        secret = cls.__new__(cls)
        secret._origin = origin  # noqa: SLF001 - our own
        secret._read = read  # noqa: SLF001 - our own
        return secret

    async def load(self) -> SecretText:
        """
        Give the secret as it is now.

        Raises:
            ConfigurationError: It is missing, empty, unreadable or holds control characters.
        """
        return await self._read()

    @property
    def origin(self) -> str:
        """Where it comes from, for errors: a value, a file, a variable, a command, a callable."""
        return self._origin

    def __repr__(self) -> str:
        return f"<Secret from {self._origin}>"

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: make it anew in the other process")


def _checked(given: object, origin: str) -> SecretText:
    if not isinstance(given, HiddenStr):
        found = "nothing" if given is None else f"a value of type {type_name(given)}"
        raise ConfigurationError(f"{origin} must hold a secret's text; it holds {found}")
    if not given.strip():
        raise ConfigurationError(f"{origin} must hold a secret: it is empty")
    if len(given) > _LIMIT:
        raise ConfigurationError(
            f"{origin} must hold a secret of at most {_LIMIT} characters; it has {len(given)}"
        )
    if holds_controls(given):
        raise ConfigurationError(
            f"{origin} must hold no control characters, and it does: check how it was stored"
        )
    return SecretText(given)


def _read(file: Path, origin: str) -> HiddenStr:
    from aritma_auth.files import FileProblemError, read_content  # with a file only

    try:
        return _decode(read_content(file, _LIMIT, HiddenBytes))
    except FileProblemError as error:
        problem = str(error)
    except UnicodeDecodeError:
        problem = "it is no UTF-8"
    raise ConfigurationError(f"{origin} cannot be read: {problem}")


def _as_words(command: object) -> tuple[str, ...] | None:
    if not isinstance(command, list | tuple):
        return None
    words = tuple(word for word in command if isinstance(word, str))
    return words if words and len(words) == len(command) else None


def _run(command: tuple[str, ...], timeout: float, origin: str) -> HiddenStr:
    from aritma_auth.runtime.commands import (  # few secrets come from a command
        CommandError,
        run_command,
    )

    try:
        content = run_command(
            command,
            timeout=timeout,
            limit=_LIMIT,
            hide=HiddenBytes,
            shows_errors=os.isatty(_STANDARD_ERROR),
        )
        return _decode(content)
    except CommandError as error:
        problem = f"{error}: run it by hand to see why"
    except UnicodeDecodeError:
        problem = "it printed no UTF-8"
    raise ConfigurationError(f"{origin} gave no secret ({problem})")


def _decode(content: HiddenBytes) -> HiddenStr:
    return HiddenStr(content.decode().rstrip("\r\n"))


async def _call(source: Callable[[], str | Awaitable[str]], origin: str) -> object:
    try:
        given = hide(source())
        return hide(await given) if inspect.isawaitable(given) else given
    except (ConfigurationError, KeyboardInterrupt, SystemExit, GeneratorExit):
        # A GeneratorExit may be that of this coroutine, thrown away with its loop.
        raise
    except BaseException as error:
        from aritma_auth.runtime.raised import (  # of wrong callables only
            describe_raised,
            is_own_cancellation,
        )

        if is_own_cancellation(error):
            raise
        problem = describe_raised(error)
    # Its own error may hold the secret: its class and its place are named.
    raise ConfigurationError(f"{origin} failed ({problem})")

"""Secrets and where they come from: a value, an environment variable, a file, or a callable."""

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn, final

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.redaction import SecretText


@final
class Secret:
    """
    A client secret, never shown.

    It is read anew for each token request, so that a rotated secret is found without a restart.

    Args:
        value: The secret itself.
    """

    __slots__ = ("_origin", "_read")

    def __init__(self, value: str) -> None:
        sealed = _checked(value, "the secret")

        async def read() -> SecretText:
            return sealed

        self._origin = "a value"
        self._read: Callable[[], Awaitable[SecretText]] = read

    @classmethod
    def from_env(cls, name: str) -> "Secret":
        """
        Read the secret from an environment variable each time it is needed.

        Args:
            name: The variable's name.
        """

        async def read() -> SecretText:
            return _checked(os.environ.get(name), f"the environment variable {name}")

        return cls._from(f"the environment variable {name}", read)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "Secret":
        """
        Read the secret from a file each time it is needed; one newline at its end is left out.

        Args:
            path: The file, such as a mounted Kubernetes or Docker secret.
        """
        file = Path(path)
        origin = f"the file {file}"

        async def read() -> SecretText:
            try:
                text = await asyncio.to_thread(file.read_text, "utf-8")
            except (OSError, UnicodeDecodeError) as error:
                problem = type(error).__name__
            else:
                return _checked(text.removesuffix("\n").removesuffix("\r"), origin)
            raise ConfigurationError(f"{origin} cannot be read ({problem})")

        return cls._from(origin, read)

    @classmethod
    def from_callable(cls, source: Callable[[], str | Awaitable[str]]) -> "Secret":
        """
        Ask a function each time the secret is needed.

        Args:
            source: A function, plain or async, without arguments. A plain one runs on the event
                loop: let it be quick.
        """
        origin = "the secret's callable"

        async def read() -> SecretText:
            try:
                given = source()
                text = await given if inspect.isawaitable(given) else given
            except ConfigurationError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a caller's function raises
                problem = type(error).__name__
            else:
                return _checked(text, origin)
            # Its own error may hold the secret: only its name is told.
            raise ConfigurationError(f"{origin} failed ({problem})")

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

    def __repr__(self) -> str:
        return f"<Secret from {self._origin}>"

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: make it anew in the other process")


def _checked(text: object, origin: str) -> SecretText:
    if not isinstance(text, str) or not text:
        raise ConfigurationError(f"{origin} holds no secret")
    # A key in PEM has lines; a secret has none.
    if not text.isprintable() and not text.startswith("-----BEGIN "):
        raise ConfigurationError(f"{origin} holds control characters: check how it was stored")
    return SecretText(text)

"""The exit codes of the command, by who must act; docs/reference/cli.md has the table."""

import enum

from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    InvalidResponseError,
    ReauthenticationRequiredError,
    StepUpRequiredError,
    TransportError,
)


class ExitCode(enum.IntEnum):
    """
    What the exit code says to a script.

    Attributes:
        DONE: The command did what it was asked.

        FAILED: A check found a problem, or the operating system an error.

        USAGE: The command line must be changed.

        CONFIGURATION: A setting or an extra must be changed; nothing was sent.

        REFUSED: The server or an API refused, or its response failed a check.

        SIGN_IN: An end-user must sign in.

        TRY_LATER: No response came, or the server asked to wait: the same command may succeed.

        INTERRUPTED: Ctrl-C, or the end of the terminal.
    """

    DONE = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 3
    REFUSED = 4
    SIGN_IN = 5
    TRY_LATER = 6
    INTERRUPTED = 130


class UsageError(ConfigurationError):
    """Options of a command line exclude each other, or one of them needs another."""


class ApiUnreachableError(TransportError):
    """The API of a call gave no response: its URL may be wrong, and not the environment."""


def exit_code_of(error: Exception) -> ExitCode:
    """
    Choose the exit code of an error.

    Args:
        error: What ended the command: an error of this package, or of the operating system.
    """
    if isinstance(error, UsageError):
        return ExitCode.USAGE
    if isinstance(error, ConfigurationError):
        return ExitCode.CONFIGURATION
    if isinstance(error, ReauthenticationRequiredError | StepUpRequiredError):
        return ExitCode.SIGN_IN
    if isinstance(error, InvalidResponseError):
        return exit_code_of_status(error.status)
    if isinstance(error, AritmaAuthError):
        return ExitCode.REFUSED if error.is_permanent else ExitCode.TRY_LATER
    return ExitCode.FAILED


def exit_code_of_status(status: int) -> ExitCode:
    """
    Choose the exit code of a response that is no success.

    Args:
        status: Its HTTP status.
    """
    return ExitCode.TRY_LATER if status >= 500 or status in {408, 429} else ExitCode.REFUSED

"""How a command says that it failed: one line for people, one object for programs."""

import os

from aritma_auth.cli.exit_codes import ApiUnreachableError, ExitCode
from aritma_auth.cli.terminal import show_error, show_json
from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    InvalidResponseError,
    ReauthenticationRequiredError,
    StepUpRequiredError,
    TransportError,
)
from aritma_auth.protocol.redaction import JsonValue


def show_failure(
    error: Exception, code: ExitCode, *, as_json: bool, exit_code: int | None = None
) -> None:
    """
    Write an error to standard error.

    Args:
        error: What ended the command.

        code: The exit code that follows, by who must act.

        as_json: Write an object, for a command line with ``--json``.

        exit_code: The exit code that follows instead, where a shell's own convention is kept.
    """
    message = _message(error)
    if not as_json:
        show_error(f"error: {message}")
        return
    members: dict[str, JsonValue] = {
        "error": type(error).__name__,
        "message": " ".join(message.split()),
        "outcome": code.name.lower(),
        "exit_code": int(code) if exit_code is None else exit_code,
        "retry_after": error.retry_after if isinstance(error, AritmaAuthError) else None,
    }
    show_json(members, is_error=True)


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, AritmaAuthError):
        reason = error.strerror or type(error).__name__
        return reason if error.filename is None else f"{reason}: {error.filename}"
    return f"{error}{_advice(error)}"


def _advice(error: Exception) -> str:
    if isinstance(error, ConfigurationError):
        # What a newcomer sees first.
        is_unset = str(error).startswith("set ARITMA_CLIENT_ID ")
        return " (to try it without: aritma-auth sandbox prints settings)" if is_unset else ""
    if isinstance(error, ReauthenticationRequiredError):
        return " (aritma-auth login)"
    if isinstance(error, StepUpRequiredError):
        options = [f" --acr {value}" for value in error.acr_values]
        return f" (aritma-auth login{''.join(options)})"
    if isinstance(error, ApiUnreachableError):
        return " (is the URL right?)"
    if isinstance(error, InvalidResponseError | TransportError):
        issuer = os.environ.get("ARITMA_ISSUER")
        name = "ARITMA_ENVIRONMENT" if issuer is None else "ARITMA_ISSUER"
        server = issuer or os.environ.get("ARITMA_ENVIRONMENT") or "production"
        return f" (is the environment right? {name} means {server})"
    return ""

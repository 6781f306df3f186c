"""The ``aritma-auth`` command: tokens, sign-ins, a look at the server, and a local stand-in."""

import os
import sys
from collections.abc import Sequence

import cyclopts

from aritma_auth.cli.doctor import doctor
from aritma_auth.cli.sandbox import demo, sandbox
from aritma_auth.cli.sign_in import login, logout, whoami
from aritma_auth.cli.token import token
from aritma_auth.errors import (
    AritmaAuthError,
    InvalidResponseError,
    ReauthenticationRequiredError,
    TransportError,
    printable,
)
from aritma_auth.version import __version__

app = cyclopts.App(
    name="aritma-auth",
    version=__version__,
    help="Tokens for Aritma's Open Banking APIs. Settings come from ARITMA_... variables.",
)
for command in (demo, doctor, login, logout, sandbox, token, whoami):
    app.command(command)


def run(arguments: Sequence[str]) -> int:
    """
    Run a command line.

    Args:
        arguments: Its words, without the program's name.

    Returns:
        The exit code: 0 for success, 1 for an error, 2 for a call that makes no sense.
    """
    try:
        code = app(
            list(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except cyclopts.CycloptsError as error:
        return _complain(str(error), 2)
    except AritmaAuthError as error:
        return _complain(f"{error}{_hint(error)}", 1)
    except OSError as error:
        return _complain(error.strerror or type(error).__name__, 1)
    return code or 0


def _hint(error: AritmaAuthError) -> str:
    if isinstance(error, ReauthenticationRequiredError):
        return " (aritma-auth login)"
    if isinstance(error, InvalidResponseError | TransportError):
        where = os.environ.get("ARITMA_ENVIRONMENT") or "production"
        return f" (is the environment right? ARITMA_ENVIRONMENT means {printable(where)})"
    return ""


def _complain(what: str, code: int) -> int:
    print(f"error: {' '.join(what.split())}", file=sys.stderr)  # noqa: T201 - the command's voice
    return code

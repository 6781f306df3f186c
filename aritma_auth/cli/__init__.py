"""The ``aritma-auth`` command: tokens, sign-ins, a check of the server, and a local stand-in."""

import os
from collections.abc import Sequence

import cyclopts

from aritma_auth.cli import demo, doctor, sandbox, sign_in, token
from aritma_auth.cli.terminal import show_error
from aritma_auth.errors import (
    AritmaAuthError,
    InvalidResponseError,
    ReauthenticationRequiredError,
    TransportError,
)
from aritma_auth.version import __version__

app = cyclopts.App(
    name="aritma-auth",
    version=__version__,
    help="Tokens for Aritma's Open Banking APIs. Settings come from ARITMA_... variables.",
)
app.command(demo.run_demo, name="demo")
app.command(doctor.examine_server, name="doctor")
app.command(sandbox.run_sandbox, name="sandbox")
app.command(sign_in.log_in, name="login")
app.command(sign_in.log_out, name="logout")
app.command(sign_in.show_userinfo, name="whoami")
app.command(token.show_token, name="token")


def run(arguments: Sequence[str]) -> int:
    """
    Run a command line.

    Args:
        arguments: Its words, without the program's name.

    Returns:
        The exit code: 0 for success, 1 for an error, 2 for a command line that is not usable.
    """
    try:
        code = app(
            list(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except cyclopts.CycloptsError as error:
        return _fail(str(error), 2)
    except AritmaAuthError as error:
        return _fail(f"{error}{_advice(error)}", 1)
    except OSError as error:
        return _fail(error.strerror or type(error).__name__, 1)
    return code or 0


def _advice(error: AritmaAuthError) -> str:
    if isinstance(error, ReauthenticationRequiredError):
        return " (aritma-auth login)"
    if isinstance(error, InvalidResponseError | TransportError):
        environment = os.environ.get("ARITMA_ENVIRONMENT") or "production"
        return f" (is the environment right? ARITMA_ENVIRONMENT means {environment})"
    return ""


def _fail(problem: str, code: int) -> int:
    show_error(f"error: {problem}")
    return code

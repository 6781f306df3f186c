"""
The ``aritma-auth`` command: tokens, signed calls, sign-ins, checks, and a local stand-in.

To add a subcommand:

1. A file in this folder with one function, plain or ``async``, whose keyword-only parameters are
   its options and whose docstring is its help. It gives an `ExitCode`, or raises an error of
   `aritma_auth.errors`, or a `UsageError`: `run` turns errors into one line and an exit code.
2. It writes by `aritma_auth.cli.terminal` alone, which keeps control characters of servers from
   the terminal. With the option ``json: Json = False`` it gives `show_json` one object instead;
   `aritma_auth.cli.options` has more options that are shared.
3. A line in `COMMANDS`: name, module and function, the first line of the docstring, and the extras
   that it cannot do without. The module is imported when the subcommand runs, not before.
   Subcommands of its own: name a `cyclopts.App` instead of the function.
4. The schema of its JSON in `aritma_auth.cli.schemas`: the tests hold its output against it.
5. ``python tests/cli/test_reference.py`` writes its help into docs/reference/cli.md, and
   ``python tests/cli/test_schemas.py`` its JSON into docs/reference/cli-json.md.
"""

import os
import sys
from collections.abc import Sequence
from itertools import takewhile

import attrs
import cyclopts

from aritma_auth.cli.exit_codes import ExitCode, UsageError, exit_code_of
from aritma_auth.errors import AritmaAuthError
from aritma_auth.version import __version__

_LONGEST_SHOWN = 24
"""Characters of a word of the command line that an error repeats: a secret has more."""

_MODULES = {
    "file": ("cryptography", "filelock", "platformdirs"),
    "oidc": ("joserfc",),
    "sandbox": ("joserfc",),
}
"""What the extras install that a subcommand may require."""


@attrs.frozen
class Command:
    """
    A subcommand, before it is imported.

    Attributes:
        name: Its name on the command line.

        target: Module in this folder, and in it the function or the `cyclopts.App`.

        summary: First line of its docstring, for the list of all.

        extras: Extras without which it cannot begin.
    """

    name: str
    target: str
    summary: str
    extras: tuple[str, ...] = ()


COMMANDS = (
    Command(
        "call",
        "call:call_api",
        "Send one signed request to an API, and print its response: JSON is indented.",
    ),
    Command(
        "completion",
        "completion:show_completion",
        "Print a script with which a shell completes subcommands and options.",
    ),
    Command("config", "config:app", "Explain the settings of a client."),
    Command(
        "demo",
        "demo:run_demo",
        "Send concurrent Banking calls through one provider, against a local stand-in for Aritma.",
        ("sandbox",),
    ),
    Command(
        "doctor",
        "doctor:examine_server",
        "Check a server, the way to it and this client's settings; each finding says what to do.",
    ),
    Command(
        "exec",
        "exec_command:run_command",
        "Run a program with an access token in its environment, and without the client's secret.",
    ),
    Command(
        "inspect",
        "inspect:inspect_token",
        "Show what the token on standard input says of itself; nothing is verified and nothing is "
        "sent.",
    ),
    Command(
        "login",
        "sign_in:log_in",
        "Sign in with the browser, and keep the tokens for the other commands.",
        ("file", "oidc"),
    ),
    Command(
        "logout",
        "sign_in:log_out",
        "End a sign-in: its tokens are revoked at the server, and deleted here in any case.",
        ("file",),
    ),
    Command(
        "rotate-secret",
        "rotate_secret:rotate",
        "Replace the client's secret by way of IAM: create, prove, write, prove again, delete the "
        "old.",
    ),
    Command(
        "sandbox",
        "sandbox:run_sandbox",
        "Run a local stand-in for Aritma until Ctrl-C. It is not Aritma.",
        ("sandbox",),
    ),
    Command(
        "schema",
        "schema:show_schema",
        "Print the JSON Schema of what a command writes with --json.",
    ),
    Command(
        "token",
        "token:show_token",
        "Print an access token for the client in ARITMA_CLIENT_ID and ARITMA_CLIENT_SECRET.",
    ),
    Command(
        "watch",
        "watch:watch_provider",
        "Show a provider's life: states on a time line, refreshes, waiters, latencies and backoff.",
    ),
    Command(
        "whoami",
        "sign_in:show_userinfo",
        "Print the claims that the server's UserInfo endpoint has of the end-user who signed in.",
        ("file",),
    ),
)


def build_app(chosen: str | None = None) -> cyclopts.App:
    """
    Build the command.

    Args:
        chosen: Name of the subcommand that will run or show its help, or None.
    """
    app = cyclopts.App(
        name="aritma-auth",
        version=__version__,
        help="Tokens for Aritma's Open Banking APIs. Settings come from ARITMA_... variables.",
        default_parameter=cyclopts.Parameter(negative="", show_default=_show_default),
    )
    for command in COMMANDS:
        # The summary spares the import, but would replace the docstring in the command's own help.
        summary = None if command.name == chosen else command.summary
        app.command(f"aritma_auth.cli.{command.target}", name=command.name, help=summary)
    return app


def _show_default(value: object) -> str | None:
    return None if value is None or value is False else str(value)


def run(arguments: Sequence[str]) -> int:
    """
    Run a command line.

    Args:
        arguments: Its words, without the program's name.

    Returns:
        The exit code, as `ExitCode` lists them.
    """
    ours = [*takewhile("--".__ne__, arguments)]
    chosen = next((word for word in ours if not word.startswith("-")), None)
    as_json = "--json" in ours
    try:
        _require_extras(chosen)
        code = build_app(chosen)(
            list(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except cyclopts.UnusedCliTokensError as error:
        # Not shown: a token is what is most often given here by mistake.
        count = len(error.unused_tokens or ())
        problem = UsageError(
            f"{chosen} must have no further argument, and has {count} more: --help lists what it "
            "takes; a token or a secret goes to standard input, a file or a variable"
        )
        return _fail(problem, ExitCode.USAGE, as_json=as_json)
    except (cyclopts.CycloptsError, UsageError) as error:
        problem = UsageError(_hide_pasted(str(error), ours))
        return _fail(problem, ExitCode.USAGE, as_json=as_json)
    except BrokenPipeError:
        # The reader, such as head, has what it wants. At its exit Python would flush once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except (AritmaAuthError, OSError) as error:
        return _fail(error, exit_code_of(error), as_json=as_json)
    return int(code or ExitCode.DONE)


def _require_extras(name: str | None) -> None:
    """Say which extra is missing before anything is imported, asked or opened."""
    command = next((command for command in COMMANDS if command.name == name), None)
    if command is not None and command.extras:
        from aritma_auth.optional import require  # keeps the list of all fast

        for extra in command.extras:
            require(extra, *_MODULES[extra])


def _hide_pasted(text: str, words: Sequence[str]) -> str:
    """Replace what is long enough for a secret, pasted in a wrong place, by its length."""
    values = {word.lstrip("-").partition("=")[2] or word.lstrip("-") for word in words}
    for value in sorted(values, key=len, reverse=True):
        if len(value) > _LONGEST_SHOWN:
            for quoted in (repr(value), f'"{value}"', f"--{value}"):
                text = text.replace(quoted, f"one of {len(value)} characters")
    return text


def _fail(error: Exception, code: ExitCode, *, as_json: bool) -> int:
    from aritma_auth.cli.failure import show_failure  # keeps the list of all fast

    show_failure(error, code, as_json=as_json)
    return int(code)

"""``aritma-auth exec``: a program that has a token, and no secret."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from aritma_auth.cli.exit_codes import ExitCode, UsageError
from aritma_auth.cli.failure import show_failure
from aritma_auth.cli.open_tokens import open_tokens
from aritma_auth.cli.options import EndUser, Json, RegistrationName
from aritma_auth.cli.terminal import show_error, waiting
from aritma_auth.errors import AritmaAuthError
from aritma_auth.provider.provider import TokenProvider
from aritma_auth.runtime.clock import SYSTEM_CLOCK

_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
_SIGNALLED = 128
_SOON = 0.25
"""Seconds to look again while a refresh is under way."""

_FORWARDED = ("SIGTERM", "SIGINT", "SIGHUP")
_SECRETS = ("ASSERTION", "KEY", "PASSWORD", "SECRET")


async def run_command(
    *command: Annotated[str, Parameter("COMMAND", allow_leading_hyphen=True)],
    variable: str = "ARITMA_ACCESS_TOKEN",
    notify: str | None = None,
    scope: str | None = None,
    registration: RegistrationName | None = None,
    end_user: EndUser | None = None,
    json: Json = False,
) -> int:
    """
    Run a program with an access token in its environment, and without the client's secret.

    The token is in ARITMA_ACCESS_TOKEN, as it was at the start, and in the file that
    ARITMA_TOKEN_FILE names, which only this user can read and which is replaced at each refresh.
    ARITMA_... variables with a secret or a key are taken away. The exit code is the program's.

    Parameters
    ----------
    command:
        The program and its arguments, after --.
    variable:
        Name of the variable with the token.
    notify:
        Signal to send to the program when the file has a new token, such as HUP.
    scope:
        Scope of the token; by default that of the settings.
    registration:
        Read the settings from this registration of a TOML file.
    end_user:
        Give the token of this sign-in of aritma-auth login.
    json:
        Print an error of aritma-auth itself as one JSON object.
    """
    if not command:
        raise UsageError("exec needs a program: aritma-auth exec -- COMMAND")
    number = None if notify is None else _signal_named(notify)
    program = shutil.which(command[0])
    if program is None:
        return _report_missing(command[0], as_json=json)
    with _open_folder() as folder:
        async with open_tokens(end_user, registration=registration, scope=scope) as opened:
            keeper = _TokenFile(opened.tokens, folder / "token")
            environment = _without_secrets(os.environ, opened.secret_variables)
            return await _run([program, *command[1:]], keeper, environment, variable, number)


async def _run(
    command: list[str],
    keeper: "_TokenFile",
    environment: dict[str, str],
    variable: str,
    number: signal.Signals | None,
) -> int:
    with waiting("waiting for a token"):
        text = await keeper.write()
    environment = {
        **environment,
        variable: text,
        "ARITMA_TOKEN_FILE": str(keeper.path),
    }
    child = await asyncio.create_subprocess_exec(*command, env=environment)
    refreshes = asyncio.create_task(keeper.keep(child, number))
    try:
        with _forwarding(child):
            code = await child.wait()
    finally:
        refreshes.cancel()
        await asyncio.gather(refreshes, return_exceptions=True)
    return code if code >= 0 else _SIGNALLED - code


def _report_missing(program: str, *, as_json: bool) -> int:
    problem = UsageError(f"{program!r} must be a program that can be found and executed")
    # As a shell does: the codes of the program and those of its absence are one range.
    code = _NOT_EXECUTABLE if Path(program).exists() else _NOT_FOUND
    show_failure(problem, ExitCode.USAGE, as_json=as_json, exit_code=code)
    return code


def _signal_named(name: str) -> signal.Signals:
    wanted = name.upper().removeprefix("SIG")
    known = {each.name.removeprefix("SIG"): each for each in signal.Signals}
    if wanted not in known:
        raise UsageError(f"--notify must be a signal, such as HUP or USR1, not {name!r}")
    return known[wanted]


def _without_secrets(environment: Mapping[str, str], named: frozenset[str]) -> dict[str, str]:
    """The program gets a token that ends soon, and not what obtains another."""
    return {
        name: value
        for name, value in environment.items()
        if name not in named
        and not (name.startswith("ARITMA_") and any(word in name for word in _SECRETS))
    }


@contextlib.contextmanager
def _open_folder() -> Iterator[Path]:
    # XDG_RUNTIME_DIR is in memory and the user's own, where there is one.
    place = os.environ.get("XDG_RUNTIME_DIR")
    parent = place if place and Path(place).is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="aritma-auth-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _forwarding(child: asyncio.subprocess.Process) -> Iterator[None]:
    """Leave it to the program what a signal means: it may go on, as an interpreter does."""
    loop = asyncio.get_running_loop()
    forwarded = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]

    def forward(number: signal.Signals) -> None:
        # A terminal sends Ctrl-C and its own end to the program itself.
        if number == signal.SIGTERM or not sys.stdin.isatty():
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)

    for number in forwarded:
        # Windows has no such handlers.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, forward, number)
    try:
        yield
    finally:
        for number in forwarded:
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)


@attrs.define
class _TokenFile:
    """A file that has the provider's token."""

    tokens: TokenProvider
    path: Path
    fingerprint: str = ""

    async def write(self) -> str:
        """Get the token, and replace the file if it is another one."""
        token = await self.tokens.get_token()
        if token.fingerprint != self.fingerprint:
            draft = self.path.with_suffix(".new")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(token.access_token)
            draft.replace(self.path)
            self.fingerprint = token.fingerprint
        return token.access_token

    async def keep(self, child: asyncio.subprocess.Process, number: signal.Signals | None) -> None:
        """Replace the file at each refresh, and tell the program."""
        while True:
            status = self.tokens.status()
            await SYSTEM_CLOCK.sleep(max(status.refresh_in or 0.0, status.retry_in or 0.0, _SOON))
            before = self.fingerprint
            try:
                await self.write()
            except (AritmaAuthError, OSError) as error:
                show_error(f"aritma-auth: the token was not refreshed: {error}")
                continue
            if number is not None and self.fingerprint != before:
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(number)

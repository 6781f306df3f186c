"""Tests of what every subcommand shares: exit codes, errors for programs, lazy imports, extras."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cyclopts import CycloptsError

import aritma_auth as aa
from aritma_auth import cli
from aritma_auth.cli import demo
from aritma_auth.cli.exit_codes import ExitCode, UsageError, exit_code_of
from aritma_auth.errors import oauth_error

NAMES = [command.name for command in cli.COMMANDS]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), ExitCode.USAGE),
        (aa.ConfigurationError("x"), ExitCode.CONFIGURATION),
        (oauth_error("invalid_client", status=400), ExitCode.REFUSED),
        (oauth_error("access_denied"), ExitCode.REFUSED),
        (oauth_error("temporarily_unavailable", status=400), ExitCode.TRY_LATER),
        (oauth_error("invalid_request", status=503), ExitCode.TRY_LATER),
        (aa.InvalidResponseError("x", status=200), ExitCode.REFUSED),
        (aa.InvalidResponseError("x", status=404), ExitCode.REFUSED),
        (aa.InvalidResponseError("x", status=429), ExitCode.TRY_LATER),
        (aa.InvalidResponseError("x", status=500), ExitCode.TRY_LATER),
        (aa.IssuerMismatchError("x"), ExitCode.REFUSED),
        (aa.ReauthenticationRequiredError("x"), ExitCode.SIGN_IN),
        (aa.StepUpRequiredError("x"), ExitCode.SIGN_IN),
        (aa.TransportError("x"), ExitCode.TRY_LATER),
        (aa.StoreError("x"), ExitCode.TRY_LATER),
        (aa.TokenTimeoutError("x"), ExitCode.TRY_LATER),
        (OSError(98, "Address already in use"), ExitCode.FAILED),
    ],
    ids=lambda value: getattr(value, "name", None) or repr(value),
)
def test_the_exit_code_tells_who_must_act(monkeypatch, capsys, error, code):
    """Each class of errors has an exit code, and --json repeats it in the error's object."""

    async def fail(calls):
        raise error

    monkeypatch.setattr(demo, "demonstrate", fail)

    assert cli.run(["demo"]) == exit_code_of(error) == code
    assert capsys.readouterr().err.startswith("error: ")
    assert cli.run(["demo", "--json"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    said = json.loads(shown.err)
    assert [*said] == ["error", "message", "outcome", "exit_code", "retry_after"]
    assert (said["error"], said["outcome"]) == (type(error).__name__, code.name.lower())
    assert (said["exit_code"], said["retry_after"]) == (code, None)


def test_the_pause_that_a_server_asks_for_is_in_the_object(monkeypatch, capsys):
    """A script may sleep for retry_after seconds before it tries again."""

    async def fail(calls):
        raise aa.TransportError("busy", retry_after=7.0)

    monkeypatch.setattr(demo, "demonstrate", fail)

    assert cli.run(["demo", "--json"]) == ExitCode.TRY_LATER
    assert json.loads(capsys.readouterr().err)["retry_after"] == 7.0


@pytest.mark.parametrize(
    "arguments",
    [["token", "--nonsense", "--json"], ["demo", "--json", "--calls", "x"]],
    ids=" ".join,
)
def test_a_wrong_command_line_is_an_object_too(capsys, arguments):
    """--json holds for an error of the command line itself, wherever it stands."""
    assert cli.run(arguments) == ExitCode.USAGE
    said = json.loads(capsys.readouterr().err)
    assert (said["outcome"], said["exit_code"]) == ("usage", 2)


def test_what_follows_the_dashes_is_not_ours(capsys):
    """A --json after -- belongs to another program and does not change our error."""
    assert cli.run(["token", "--nonsense", "--", "--json"]) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("error: ")


def test_the_list_of_all_imports_none():
    """--help loads no subcommand: neither aiohttp nor the client is imported."""
    code = (
        "import sys; from aritma_auth import cli; cli.run(['--help']);"
        "print(sorted(m for m in sys.modules if m.startswith(('aiohttp', 'aritma_auth'))))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = eval(shown.stdout.splitlines()[-1])

    assert ours == [
        "aritma_auth",
        "aritma_auth.cli",
        "aritma_auth.cli.exit_codes",
        "aritma_auth.errors",
        "aritma_auth.runtime",
        "aritma_auth.runtime.lazy_names",
        "aritma_auth.version",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_each_help_begins_with_the_summary_in_the_list(monkeypatch, capsys, name):
    """The summaries, which spare the imports, are those of the docstrings."""
    monkeypatch.setenv("COLUMNS", "200")
    (command,) = [command for command in cli.COMMANDS if command.name == name]

    assert cli.run([name, "--help"]) == ExitCode.DONE
    own = capsys.readouterr().out
    assert command.summary in " ".join(own.split())
    assert cli.run(["--help"]) == ExitCode.DONE
    assert command.summary in " ".join(capsys.readouterr().out.split())


def test_a_reader_that_has_enough_ends_the_command_silently():
    """A pipe that its reader has closed ends the command with code 1 and without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "aritma_auth", "completion", "bash"]
    ran = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)

    assert (ran.returncode, ran.stderr) == (ExitCode.FAILED, "")


def test_the_extra_brings_all_that_the_subcommands_need():
    """`pip install aritma-auth[cli]` installs every extra that a subcommand requires."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    (named,) = [each for each in project["optional-dependencies"]["cli"] if "aritma-auth" in each]
    brought = set(named.partition("[")[2].rstrip("]").split(","))

    assert {extra for command in cli.COMMANDS for extra in command.extras} <= brought


def test_the_commands_are_sorted():
    """The list is in the order in which the help shows it."""
    assert sorted(NAMES) == NAMES


@pytest.mark.parametrize("name", [c.name for c in cli.COMMANDS if c.extras])
def test_a_missing_extra_is_reported_before_anything_else(monkeypatch, capsys, name):
    """A subcommand whose extra is missing says what to install, and is not even parsed."""
    for module in ("cryptography", "filelock", "platformdirs", "joserfc"):
        monkeypatch.setitem(sys.modules, module, None)

    assert cli.run([name, "--nonsense"]) == ExitCode.CONFIGURATION
    assert 'must be installed: pip install "aritma-auth[' in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_no_option_takes_a_secret(name):
    """A command line is seen by every user of the machine: no option takes a secret or a token."""
    app = cli.build_app(name)[name]
    subcommands = [app[n] for n in app if not n.startswith("-")] or [app]
    for each in subcommands:
        for argument in each.assemble_argument_collection():
            takes_value = argument.hint is not bool
            words = set(argument.name.strip("-").split("-"))
            is_secret = words & {"secret", "password", "token", "key", "assertion"}
            assert not (takes_value and is_secret and not words & {"file", "id", "path"})


def test_no_colour_is_shown_where_no_color_is_set(monkeypatch, capsys):
    """NO_COLOR is obeyed in the help, too."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    cli.run(["--help"])

    assert "\x1b[3" not in capsys.readouterr().out


@pytest.mark.parametrize("columns", [40, 60, 120])
@pytest.mark.parametrize("name", [None, *NAMES])
def test_the_help_fits_the_terminal(monkeypatch, capsys, columns, name):
    """No line of the help is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", str(columns))
    # An app of a module's own remembers the width of the terminal that it was first shown on.
    monkeypatch.delitem(sys.modules, "aritma_auth.cli.config", raising=False)
    cli.run([*([] if name is None else [name]), "--help"])

    assert all(len(line) <= columns for line in capsys.readouterr().out.splitlines())


def test_the_parser_raises_nothing_else():
    """Errors of the parser are caught by their common parent."""
    with pytest.raises(CycloptsError):
        cli.build_app()(["nonsense"], exit_on_error=False, print_error=False)

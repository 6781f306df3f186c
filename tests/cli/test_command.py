"""Tests of the command line: its exit codes, its one line of error, its advice."""

import os
import socket
import sys
from types import SimpleNamespace

import aiohttp
import pytest

from aritma_auth import __main__, cli
from aritma_auth.cli import demo
from aritma_auth.cli.exit_codes import ExitCode
from aritma_auth.version import __version__


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["nonsense"], 2, "error: Unknown command"),
        (["demo", "--calls", "x"], 2, "error: Invalid value"),
        (["demo", "--calls", "0"], 2, "error: Invalid value"),
        (["token"], 3, "error: set ARITMA_CLIENT_ID"),
        (["token", "--header", "--inspect"], 2, "error: --header and --inspect exclude"),
        (["sandbox", "--banking-port", "99999"], 2, "error: Invalid value"),
    ],
)
def test_an_error_is_one_clear_line(arguments, code, line, capsys):
    """Every error is one line on standard error and an exit code, never a traceback."""
    assert cli.run(arguments) == code
    shown = capsys.readouterr().err
    assert shown.startswith(line)
    assert shown.count("\n") == 1


def test_whoever_has_no_settings_yet_is_told_of_the_sandbox(capsys):
    """It is what a newcomer sees first."""
    assert cli.run(["watch"]) == ExitCode.CONFIGURATION
    assert capsys.readouterr().err.endswith(
        "(to try it without: aritma-auth sandbox prints settings)\n"
    )


def test_a_token_on_the_command_line_is_not_repeated(capsys):
    """What was pasted in the wrong place does not reach a log; the right place is told."""
    assert cli.run(["inspect", "eyJhbGciOiJub25lIn0"]) == ExitCode.USAGE
    shown = capsys.readouterr().err
    assert shown.startswith("error: inspect must have no further argument, and has 1 more")
    assert "standard input" in shown
    assert "eyJ" not in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["{0}"],
        ["--{0}"],
        ["token", "--{0}"],
        ["token", "--header={0}"],
        ["schema", "{0}"],
        ["config", "check", "--json={0}"],
        ["call", "GET", "/x", "--timeout", "{0}"],
        ["call", "GET", "/x", "--header", "{0}"],
        ["call", "GET", "/x", "--api={0}"],
        ["exec", "--notify", "{0}", "--", "true"],
        ["rotate-secret", "--lifetime-days", "{0}"],
        ["sandbox", "--identity-port", "{0}"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_secret_in_the_place_of_another_word_is_not_repeated(
    service, canary, capsys, arguments, options
):
    """Whatever option or command it is taken for, the error has its length alone."""
    words = [word.format(canary.text) for word in arguments]
    end = words.index("--") if "--" in words else len(words)
    code = cli.run([*words[:end], *options, *words[end:]])
    shown = "".join(capsys.readouterr())

    assert code == ExitCode.USAGE
    assert canary.text not in shown
    assert f"one of {len(canary.text)} characters" in shown


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(98, "Address already in use"), "error: Address already in use\n"),
        (OSError(), "error: OSError\n"),
    ],
)
def test_an_error_of_the_operating_system_is_one_line(monkeypatch, capsys, error, line):
    """An OSError is reported like every other error."""

    async def fail(calls):
        raise error

    monkeypatch.setattr(demo, "demonstrate", fail)

    assert cli.run(["demo"]) == 1
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("status", [404, None], ids=["not there", "no server"])
def test_a_wrong_environment_is_suspected(service, capsys, http_mock, status):
    """A response that is not usable, or none, leads to advice about ARITMA_ENVIRONMENT."""
    response = {"exception": aiohttp.ClientError()} if status is None else {"status": status}
    http_mock.post(service, **response, repeat=True)

    assert cli.run(["token"]) == (6 if status is None else 4)
    assert capsys.readouterr().err.endswith(
        " (is the environment right? ARITMA_ENVIRONMENT means development)\n"
    )


@pytest.mark.parametrize(("command", "code"), [("token", 6), ("doctor", 1)])
def test_the_proxy_of_the_machine_is_used(service, monkeypatch, capsys, command, code):
    """The commands send their requests through the proxy in HTTPS_PROXY."""
    monkeypatch.setenv("COLUMNS", "300")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")

    assert cli.run([command]) == code
    assert "the proxy on the way to" in "".join(capsys.readouterr())


def test_an_interrupt_ends_silently(monkeypatch, capsys):
    """Ctrl-C ends the command with code 130 and no output, even while it is being loaded."""

    def interrupt(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run", interrupt)

    assert __main__.main() == 130
    assert capsys.readouterr() == ("", "")


def test_the_version_is_printed(capsys):
    """--version prints the version and succeeds."""
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_the_help_has_every_command(capsys):
    """--help lists each command with a summary."""
    assert cli.run(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in ("demo", "doctor", "login", "logout", "sandbox", "token", "whoami"):
        assert f"│ {command} " in shown


def test_without_the_extra_the_command_says_what_to_install(monkeypatch, capsys):
    """A missing extra is one line that says what to install."""
    monkeypatch.setattr(__main__, "find_spec", lambda name: None)

    assert __main__.main() == 3
    assert 'pip install "aritma-auth[cli]"' in capsys.readouterr().err


def test_the_module_is_the_command(monkeypatch, capsys):
    """`python -m aritma_auth` runs the same command."""
    monkeypatch.setattr(sys, "argv", ["aritma-auth", "--version"])

    assert __main__.main() == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("columns", ["0", "1", "2", "-5", "many", "", "20"])
@pytest.mark.parametrize("arguments", [["--help"], ["call", "--help"]], ids=" ".join)
def test_a_terminal_may_have_hardly_any_columns(monkeypatch, capsys, columns, arguments):
    """The help is wrapped at 20 columns or more, whatever is said of the terminal's width."""
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "argv", ["aritma-auth", *arguments])

    assert __main__.main() == 0
    assert "Usage: aritma-auth" in capsys.readouterr().out


def test_a_terminal_may_be_narrow_itself(monkeypatch, capsys):
    """Without the variable the terminal is asked, and one with two columns gets more."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("COLUMNS")  # and restored at the end, since it was set
    monkeypatch.setattr(os, "get_terminal_size", lambda _fd: os.terminal_size((2, 24)))
    monkeypatch.setattr(sys, "__stdout__", SimpleNamespace(fileno=lambda: 1))
    monkeypatch.setattr(sys, "argv", ["aritma-auth", "call", "--help"])

    assert __main__.main() == 0
    assert "Usage: aritma-auth" in capsys.readouterr().out


@pytest.mark.parametrize(
    "closed", [["stdin"], ["stdout"], ["stderr"], ["stdin", "stdout", "stderr"]], ids=" ".join
)
def test_a_stream_may_be_closed(monkeypatch, closed):
    """A shell closes what nobody reads or writes (``>&-``): the command works all the same."""
    for name in closed:
        monkeypatch.setattr(sys, name, None)
    monkeypatch.setattr(sys, "argv", ["aritma-auth", "config", "list"])
    code = __main__.main()
    for name in closed:
        getattr(sys, name).close()

    assert code == 0


def test_a_terminal_that_is_wide_enough_is_asked_again_and_again(monkeypatch, capsys):
    """No variable is set where none is needed: the terminal may be made wider while a view runs."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("COLUMNS")  # and restored at the end, since it was set
    monkeypatch.setattr(os, "get_terminal_size", lambda _fd: os.terminal_size((120, 24)))
    monkeypatch.setattr(sys, "__stdout__", SimpleNamespace(fileno=lambda: 1))
    monkeypatch.setattr(sys, "argv", ["aritma-auth", "--version"])

    assert __main__.main() == 0
    assert "COLUMNS" not in os.environ
    assert capsys.readouterr().out.strip() == __version__

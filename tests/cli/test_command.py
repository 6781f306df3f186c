"""The command."""

import json
import os
import signal
import socket
import subprocess
import sys
from importlib import import_module

import aiohttp
import pytest

from aritma_auth import __main__, cli
from aritma_auth.cli.demo import Demonstration, Wave
from aritma_auth.protocol.redaction import Members
from aritma_auth.version import __version__

sandbox_command = import_module("aritma_auth.cli.sandbox")
"""The module: the package has a function of its name."""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in list(os.environ):
        if name.startswith("ARITMA_"):
            monkeypatch.delenv(name)


def test_the_demo_keeps_its_promise(capsys):
    """One token request for all calls, one refresh that nobody waits for."""
    code = cli.run(["demo", "--calls", "50"])
    shown = capsys.readouterr().out

    assert code == 0
    assert "stand-in, not Aritma" in shown
    assert "As promised." in shown
    assert "client_id  sandbox-service" in shown
    assert "eyJ" not in shown
    assert "\x1b" not in shown


def test_a_broken_promise_is_an_error(monkeypatch, capsys):
    """The exit code says so."""

    async def fail(calls):
        wave = Wave(calls, calls - 1, 1, 0.1)
        return Demonstration(wave, Members(), 60.0, wave, 1)

    monkeypatch.setattr(sandbox_command, "demonstrate", fail)

    assert cli.run(["demo"]) == 1
    assert "NOT as promised." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["nonsense"], 2, "error: Unknown command"),
        (["demo", "--calls", "x"], 2, "error: Invalid value"),
        (["demo", "--calls", "0"], 2, "error: Invalid value"),
        (["token"], 1, "error: set ARITMA_CLIENT_ID"),
        (["token", "--header", "--inspect"], 1, "error: --header and --inspect cannot"),
        (["sandbox", "--banking-port", "99999"], 1, "error: banking_port must be from 0"),
    ],
)
def test_errors_are_one_clear_line(arguments, code, line, capsys):
    """Never a traceback."""
    assert cli.run(arguments) == code
    shown = capsys.readouterr().err
    assert shown.startswith(line)
    assert shown.count("\n") == 1


def test_an_error_of_the_machine_is_one_line_too(monkeypatch, capsys):
    """A port that is taken, for example."""

    async def fail(calls):
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(sandbox_command, "demonstrate", fail)

    assert cli.run(["demo"]) == 1
    assert capsys.readouterr().err == "error: Address already in use\n"


def test_a_port_that_is_taken_is_told_with_what_to_do(capsys):
    """Somebody's sandbox runs already, or another server is where it would be."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert cli.run(["sandbox", "--identity-port", str(taken.getsockname()[1])]) == 1
    said = capsys.readouterr().err
    assert "already in use: choose ports with --identity-port and --banking-port" in said


@pytest.mark.parametrize("status", [404, None], ids=["not there", "no server"])
def test_a_wrong_environment_is_suspected(monkeypatch, capsys, http_mock, status):
    """Who gets no answer that makes sense may have asked the wrong server."""
    monkeypatch.setenv("ARITMA_CLIENT_ID", "id")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "secret")
    monkeypatch.setenv("ARITMA_ENVIRONMENT", "https://idp.example")
    answer = {"exception": aiohttp.ClientError()} if status is None else {"status": status}
    http_mock.post("https://idp.example/connect/token", **answer, repeat=True)

    assert cli.run(["token"]) == 1
    said = capsys.readouterr().err
    assert said.endswith(
        " (is the environment right? ARITMA_ENVIRONMENT means https://idp.example)\n"
    )


@pytest.mark.parametrize("arguments", [["token"], ["doctor"]], ids=" ".join)
def test_the_proxy_of_the_machine_is_used(monkeypatch, capsys, arguments):
    """Where one is in the way, there is no other."""
    monkeypatch.setenv("ARITMA_CLIENT_ID", "id")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "secret")
    monkeypatch.setenv("ARITMA_ENVIRONMENT", "https://idp.example")
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")

    assert cli.run(arguments) == 1
    assert "failed (ClientProxyConnectionError)" in capsys.readouterr().err


def test_an_interrupt_ends_without_a_word(monkeypatch, capsys):
    """Even while the command is still being loaded."""

    def interrupt(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run", interrupt)

    assert __main__.main() == 130
    assert capsys.readouterr() == ("", "")


def test_the_version_is_told(capsys):
    """And it is a success."""
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.fixture
def running_sandbox():
    """Run ``aritma-auth sandbox`` as its users do; end it as they do."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aritma_auth", "sandbox", "--identity-port=0", "--banking-port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # asyncio's debug mode speaks of slow steps on a busy machine.
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONDEVMODE": ""},
    )
    lines = []
    while not lines or "Ctrl-C" not in lines[-1]:
        lines.append(process.stdout.readline())
    yield lines
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_the_sandbox_introduces_itself_and_gives_tokens(running_sandbox, monkeypatch, capsys):
    """What it prints is enough to get a token; Ctrl-C ends it without a word."""
    (address,) = [line.split()[-1] for line in running_sandbox if "identity server" in line]
    monkeypatch.setenv("ARITMA_CLIENT_ID", "sandbox-special")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "s3cr3tV@lue!+%")
    monkeypatch.setenv("ARITMA_ENVIRONMENT", address)
    plain, header, inspected = (
        (cli.run(["token", *options]), capsys.readouterr().out)
        for options in ([], ["--header"], ["--inspect"])
    )

    assert "It is not Aritma." in running_sandbox[0]
    assert any("curl -d 'grant_type=client_credentials" in line for line in running_sandbox)
    assert f"export ARITMA_ENVIRONMENT={address}\n" in running_sandbox
    assert plain[0] == header[0] == inspected[0] == 0
    assert plain[1].startswith("eyJ")
    assert header[1].startswith("Authorization: Bearer eyJ")
    assert json.loads(inspected[1])["client_id"] == "sandbox-special"


def test_an_opaque_token_cannot_be_inspected(monkeypatch, capsys, http_mock):
    """It is said so."""
    monkeypatch.setenv("ARITMA_CLIENT_ID", "id")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "secret")
    http_mock.post(
        "https://id.aritma.io/connect/token",
        payload={"access_token": "opaque", "token_type": "Bearer"},
    )

    assert cli.run(["token", "--inspect"]) == 0
    assert capsys.readouterr().out == "the token is opaque\n"


def test_a_refusal_shows_no_secret(monkeypatch, capsys, http_mock, canary):
    """One line that says what to check."""
    monkeypatch.setenv("ARITMA_CLIENT_ID", "id")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", canary.text)
    http_mock.post(
        "https://id.aritma.io/connect/token", payload={"error": "invalid_client"}, status=400
    )

    assert cli.run(["token"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: invalid_client (check the client id")
    assert canary.text not in shown


def test_without_the_extra_the_command_says_what_to_install(monkeypatch, capsys):
    """One line, no traceback."""
    monkeypatch.setattr(__main__, "find_spec", lambda name: None)

    assert __main__.main() == 1
    assert 'pip install "aritma-auth[cli,sandbox]"' in capsys.readouterr().err


def test_the_module_is_the_command(monkeypatch, capsys):
    """python -m aritma_auth."""
    monkeypatch.setattr(sys, "argv", ["aritma-auth", "--version"])

    assert __main__.main() == 0
    assert capsys.readouterr().out.strip() == __version__

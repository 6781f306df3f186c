"""Each command with each failure of a server: its exit code, one line or one object, no secret."""

import asyncio
import json
import socket
import sys

import pytest

from aritma_auth import cli
from aritma_auth.cli.exit_codes import ExitCode
from aritma_auth.runtime.clock import SystemClock

COMMANDS = {
    "token": ["token"],
    "inspect": ["token", "--inspect"],
    "call": ["call", "GET", "https://api.example/accounts", "--trust-origin"],
    "exec": ["exec", "--", sys.executable, "-c", "print('it ran')"],
    "watch": ["watch", "--once", "--callers", "1"],
}


def refuse(error, status=400):
    def change(server, monkeypatch):
        server.token, server.status = {"error": error, "error_description": "\x1b[2Jno"}, status

    return change


def respond(page, status):
    def change(server, monkeypatch):
        server.page, server.status = page, status

    return change


def hang(server, monkeypatch):
    monkeypatch.setenv("ARITMA_TIMEOUT", "0.1")
    server.hangs = True


def drop(server, monkeypatch):
    server.drops = True


def leave_no_server(server, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("ARITMA_ENVIRONMENT", f"http://127.0.0.1:{port}")


def set_variable(name, value):
    return lambda server, monkeypatch: monkeypatch.setenv(name, value)


def forget_client(server, monkeypatch):
    monkeypatch.delenv("ARITMA_CLIENT_ID")


def name_another_issuer(server, monkeypatch):
    server.members = {"issuer": "https://elsewhere.example"}


FAILURES = {
    "invalid_client": (refuse("invalid_client", 401), ExitCode.REFUSED),
    "invalid_scope": (refuse("invalid_scope"), ExitCode.REFUSED),
    "unauthorized_client": (refuse("unauthorized_client"), ExitCode.REFUSED),
    "temporarily_unavailable": (refuse("temporarily_unavailable"), ExitCode.TRY_LATER),
    "slow": (refuse("slow_down", 429), ExitCode.TRY_LATER),
    "gateway": (respond("<html>Bad Gateway</html>", 502), ExitCode.TRY_LATER),
    "firewall": (respond("<html>Forbidden</html>", 403), ExitCode.REFUSED),
    "page": (respond("<html>Welcome</html>", 200), ExitCode.REFUSED),
    "hang": (hang, ExitCode.TRY_LATER),
    "drop": (drop, ExitCode.TRY_LATER),
    "no server": (leave_no_server, ExitCode.TRY_LATER),
    "another issuer": (name_another_issuer, ExitCode.REFUSED),
    "no client": (forget_client, ExitCode.CONFIGURATION),
    "bad issuer": (set_variable("ARITMA_ENVIRONMENT", "nonsense"), ExitCode.CONFIGURATION),
    "bad seconds": (set_variable("ARITMA_TIMEOUT", "soon"), ExitCode.CONFIGURATION),
}


@pytest.fixture
def no_waiting(monkeypatch):
    """Let the pauses between attempts be over at once."""

    async def sleep(seconds):
        await asyncio.sleep(0)

    monkeypatch.setattr(SystemClock, "sleep", staticmethod(sleep))


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_failure_has_its_code_and_no_secret(
    server, no_waiting, monkeypatch, capfd, canary, command, failure, as_json
):
    """The code says who must act, the error is one line or object, and no secret is in it."""
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", canary.text)
    change, code = FAILURES[failure]
    change(server, monkeypatch)
    first, *rest = COMMANDS[command]

    assert cli.run([first, *(["--json"] if as_json else []), *rest]) == code
    out, err = capfd.readouterr()
    assert canary.text not in out + err
    assert all(line.isprintable() for line in (out + err).split("\n"))
    assert "it ran" not in out
    if command == "watch" and code is not ExitCode.CONFIGURATION:
        assert "RefreshFailed" in out if as_json else "refresh failed" in out
    elif as_json:
        told = json.loads(err)
        assert (told["exit_code"], told["outcome"]) == (code, code.name.lower())
    else:
        assert err.startswith("error: ")
        assert err.count("\n") == 1


@pytest.mark.parametrize("failure", FAILURES)
def test_the_doctor_finds_each_failure(server, monkeypatch, capsys, canary, failure):
    """The doctor goes on after each failure, and names at least one problem."""
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", canary.text)
    change, _ = FAILURES[failure]
    change(server, monkeypatch)
    found = cli.run(["doctor", "--request-token", "--json"])
    shown = "".join(capsys.readouterr())

    assert canary.text not in shown
    if failure == "bad issuer":
        assert found == ExitCode.CONFIGURATION
        return
    told = json.loads(shown)
    assert "clock" in [finding["what"] for finding in told["findings"]]
    assert found == (ExitCode.DONE if failure == "no client" else ExitCode.FAILED)

"""Tests of `aritma-auth sandbox`."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

import aritma_auth as aa
from aritma_auth import cli


@contextlib.contextmanager
def introducing(last, *options):
    """Run the command as its users do, give the lines that it prints, and end it with Ctrl-C."""
    ports = ("--identity-port=0", "--banking-port=0")
    process = subprocess.Popen(
        [sys.executable, "-m", "aritma_auth", "sandbox", *ports, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # asyncio's debug mode reports slow steps on a busy machine.
        env={**os.environ, "PYTHONDEVMODE": ""},
    )
    lines = []
    while not lines or not lines[-1].startswith(last):
        lines.append(process.stdout.readline())
    yield lines
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=50)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.fixture
def introduction():
    """Give the lines that the sandbox prints for people."""
    with introducing("Ctrl-C") as lines:
        yield lines


def test_programs_get_an_object():
    """--json prints addresses, clients and users as one object, and runs on."""
    with introducing("}", "--json") as lines:
        told = json.loads("".join(lines))

    assert [*told] == ["identity_url", "banking_url", "clients", "users"]
    assert told["clients"][0]["client_secret"] == "sandbox-secret"
    assert told["users"][0] == {
        "username": "alice",
        "password": "alice-password",
        "one_time_code": "123456",
    }


def test_the_sandbox_introduces_itself_and_issues_tokens(introduction, monkeypatch, capsys):
    """The lines that the sandbox prints are enough to get a token, and to call an API."""
    (address,) = [line.split()[-1] for line in introduction if "identity server" in line]
    monkeypatch.setenv("ARITMA_CLIENT_ID", "sandbox-special")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "s3cr3tV@lue!+%")
    monkeypatch.setenv("ARITMA_ENVIRONMENT", address)
    plain, header, inspected = (
        (cli.run(["token", *options]), capsys.readouterr().out)
        for options in ([], ["--header"], ["--inspect"])
    )

    assert "It is not Aritma." in introduction[0]
    assert any("s3cr3tV@lue!+%" in line for line in introduction)
    assert any("alice-password" in line for line in introduction)
    assert any("curl -d 'grant_type=client_credentials" in line for line in introduction)
    assert f"export ARITMA_ENVIRONMENT={address}\n" in introduction
    assert plain[0] == header[0] == inspected[0] == 0
    assert plain[1].startswith("eyJ")
    assert header[1].startswith("Authorization: Bearer eyJ")
    assert json.loads(inspected[1])["client_id"] == "sandbox-special"
    (command,) = [line for line in introduction if line.startswith("aritma-auth call")]
    (base_url,) = [line for line in introduction if line.startswith("export ARITMA_BASE_URL=")]
    monkeypatch.setenv("ARITMA_BASE_URL", base_url.partition("=")[2].strip())
    assert cli.run(command.split()[1:]) == 0
    assert json.loads(capsys.readouterr().out)[0]["CompanyId"] == "42"


async def test_the_printed_settings_are_enough_for_a_program(introduction, monkeypatch):
    """A program that sets the printed variables gets a token and calls the API with it."""
    for line in introduction:
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            monkeypatch.setenv(name, value)

    async with aa.TokenProvider.from_env() as tokens:
        async with tokens.session(f"{os.environ['ARITMA_BASE_URL']}/") as bank:
            async with bank.get("api/v3/accounts/42") as response:
                assert response.status == 200


def test_a_taken_port_is_reported_with_what_to_do(capsys):
    """A port in use leads to advice about the options that choose another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert cli.run(["sandbox", "--identity-port", str(taken.getsockname()[1])]) == 3
    said = capsys.readouterr().err
    assert "already in use: choose ports with --identity-port and --banking-port" in said

"""Tests of `aritma-auth token`."""

import json

import pytest

from aritma_auth import cli


def test_an_opaque_token_cannot_be_inspected(service, capsys, http_mock):
    """--inspect says that a token is opaque if it is no JWT."""
    http_mock.post(
        service,
        payload={"access_token": "opaque", "token_type": "Bearer"},
    )

    assert cli.run(["token", "--inspect"]) == 0
    assert capsys.readouterr().out == "the token is opaque\n"


def test_a_program_gets_the_token_as_an_object(service, capsys, http_mock):
    """--json prints the token with its type, scope and end; an opaque one has no claims."""
    response = {"access_token": "opaque", "token_type": "bearer", "scope": "a b"}
    http_mock.post(service, payload=response, repeat=True)

    assert cli.run(["token", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "access_token": "opaque",
        "token_type": "Bearer",
        "scope": "a b",
        "expires_at": None,
    }
    assert cli.run(["token", "--json", "--inspect"]) == 0
    assert json.loads(capsys.readouterr().out) == {}


@pytest.mark.parametrize("arguments", [["token"], ["token", "--inspect"]], ids=" ".join)
def test_a_refusal_shows_no_secret(service, monkeypatch, capsys, http_mock, canary, arguments):
    """A refused client credential is one line that says what to check, without the secret."""
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", canary.text)
    http_mock.post(service, payload={"error": "invalid_client"}, status=400)

    assert cli.run(arguments) == 4
    shown = capsys.readouterr().err
    assert shown.startswith("error: invalid_client (the client authenticated by")
    assert canary.text not in shown

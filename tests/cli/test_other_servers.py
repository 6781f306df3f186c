"""Tests of the commands at a server with other paths than IdentityServer's, and a hostile one."""

import re

import pytest

from aritma_auth import cli

HOSTILE = "\x1b[2J\x9b31m\u202eevil\nok  issuer https://good.example"


def test_the_endpoints_of_another_server_are_discovered(server, capsys):
    """ARITMA_ENVIRONMENT with an issuer's URL is enough for a server with paths of its own."""
    assert cli.run(["token"]) == 0
    assert capsys.readouterr().out == "the-token\n"
    assert cli.run(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"^ok  token endpoint +{server.url}/oauth/token *$", shown, re.MULTILINE)


def test_a_server_without_metadata_is_named(server, capsys):
    """Without metadata the error says so, with the status, and asks for the environment."""
    server.has_metadata = False

    assert cli.run(["token"]) == 4
    said = capsys.readouterr().err
    assert "metadata" in said
    assert "404" in said
    assert f"ARITMA_ENVIRONMENT means {server.url}" in said


@pytest.mark.parametrize(
    "members",
    [
        {"grant_types_supported": [HOSTILE]},
        {"token_endpoint_auth_methods_supported": ["client_secret_post", HOSTILE]},
        {"code_challenge_methods_supported": ["S256", HOSTILE]},
        {"grant_types_supported": [{HOSTILE: HOSTILE}]},
    ],
    ids=lambda members: next(iter(members)),
)
def test_hostile_metadata_cannot_steer_the_terminal(server, capsys, members):
    """Each finding stays one line of printable text, whatever the server publishes."""
    server.members = members

    assert cli.run(["doctor"]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert all(line.isprintable() for line in lines)
    assert sum(line.startswith("ok  issuer ") for line in lines) == 1


@pytest.mark.parametrize("member", ["alg", "kty"])
def test_hostile_keys_cannot_steer_the_terminal(server, capsys, member):
    """The kinds of the keys are shown without control characters."""
    server.keys = [*server.keys, {"kty": "RSA", "n": "AQAB", "e": "AQAB", member: HOSTILE}]

    cli.run(["doctor"])
    shown = capsys.readouterr()
    assert all(line.isprintable() for line in (shown.out + shown.err).split("\n"))
    assert shown.out.count("ok  issuer") <= 2


@pytest.mark.parametrize(
    ("response", "status"),
    [
        ({"error": HOSTILE, "error_description": HOSTILE}, 400),
        ({"error": "invalid_scope", "error_description": HOSTILE, "error_uri": HOSTILE}, 400),
        ({"access_token": HOSTILE, "token_type": "Bearer"}, 200),
        ({"access_token": "a", "token_type": HOSTILE}, 200),
        ({HOSTILE: HOSTILE}, 200),
    ],
    ids=str,
)
def test_a_hostile_token_response_cannot_steer_the_terminal(server, capsys, response, status):
    """The error is one line of printable text, and no token with control characters is printed."""
    server.token, server.status = response, status

    assert cli.run(["token"]) == 4
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err[:-1].isprintable()

"""The command that looks at the server."""

import os

import pytest

import aritma_auth as aa
from aritma_auth import cli
from aritma_auth.cli.doctor import examine
from aritma_auth.protocol.redaction import Members
from support.apart import sandbox_apart

CLIENT = aa.OAuthClient("id", "secret", environment=aa.Environment.at("https://idp.example"))
GOOD = {
    "grant_types_supported": ["authorization_code", "client_credentials"],
    "token_endpoint_auth_methods_supported": ["client_secret_post"],
    "code_challenge_methods_supported": ["plain", "S256"],
}


def findings_of(members, client=CLIENT, endpoint="https://idp.example/connect/token", foreign=()):
    metadata = aa.ServerMetadata(
        "https://idp.example",
        {"token_endpoint": endpoint},
        frozenset(foreign),
        members=Members(members),
    )
    return {finding.what: finding for finding in examine(client, metadata)}


def test_a_server_that_fits_has_no_problem():
    """And what it offers is told."""
    findings = findings_of(GOOD)

    assert all(finding.problem is None for finding in findings.values())
    assert findings["grants"].said == "authorization_code client_credentials"


@pytest.mark.parametrize(
    ("changed", "arguments", "what", "problem"),
    [
        (
            {},
            {"endpoint": "https://idp.example/token"},
            "token endpoint",
            "requests go to https://idp.example/connect/token: describe the endpoints",
        ),
        ({}, {"foreign": ["jwks_uri"]}, "on other hosts", "list their origins in endpoint_origins"),
        (
            {"token_endpoint_auth_methods_supported": None},
            {},
            "client authentication",
            "not by client_secret_post",
        ),
        (
            {"code_challenge_methods_supported": ["plain"]},
            {},
            "PKCE",
            "S256 is not offered, and is always sent",
        ),
        (
            {"code_challenge_methods_supported": None},
            {},
            "PKCE",
            "S256 is not offered, and is always sent",
        ),
    ],
)
def test_what_would_not_work_is_named(changed, arguments, what, problem):
    """With what to do about it."""
    findings = findings_of({**GOOD, **changed}, **arguments)

    assert [finding.what for finding in findings.values() if finding.problem] == [what]
    assert findings[what].problem == problem


def test_a_public_client_needs_no_method():
    """Servers seldom list that they take one."""
    client = aa.OAuthClient("id", environment=CLIENT.environment)

    assert findings_of(GOOD, client)["client authentication"].problem is None


@pytest.fixture(scope="module")
def running():
    with sandbox_apart() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running, monkeypatch):
    for name in list(os.environ):
        if name.startswith("ARITMA_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ARITMA_CLIENT_ID", "sandbox-cli")
    monkeypatch.setenv("ARITMA_ENVIRONMENT", running.identity_url)
    return running


def test_the_sandbox_is_well(sandbox, capsys):
    """Each line is a finding."""
    assert cli.run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].split() == ["ok", "issuer", sandbox.identity_url]
    assert all(line.startswith("ok  ") for line in lines)
    assert lines[-1].split()[:2] == ["ok", "clock"]


def test_a_wrong_clock_is_a_problem(sandbox, monkeypatch, capsys):
    """Tokens would be judged by it."""
    monkeypatch.setattr(sandbox.clock, "offset", 3600.0)

    assert cli.run(["doctor"]) == 1
    assert "NO  clock" in capsys.readouterr().out


def test_a_server_without_keys_is_a_problem(sandbox, monkeypatch, capsys):
    """No ID token could be checked."""

    async def none(self):
        return []

    monkeypatch.setattr(aa.OAuthClient, "fetch_keys", none)

    assert cli.run(["doctor"]) == 1
    assert "NO  keys                   none: no ID token can be checked" in capsys.readouterr().out

"""Tests of `aritma-auth doctor`."""

import re

import pytest

import aritma_auth as aa
from aritma_auth import cli
from aritma_auth.cli.doctor import examine
from aritma_auth.protocol.redaction import Members

CLIENT = aa.OAuthClient("id", "secret", environment=aa.Environment.at("https://idp.example"))
GOOD = {
    "grant_types_supported": ["authorization_code", "client_credentials"],
    "token_endpoint_auth_methods_supported": ["client_secret_post"],
    "code_challenge_methods_supported": ["plain", "S256"],
}


def findings_of(members, client=CLIENT, endpoint="https://idp.example/connect/token", foreign=()):
    metadata = aa.ServerMetadata(
        "https://idp.example",
        {} if endpoint is None else {"token_endpoint": endpoint},
        {name: f"https://elsewhere.example/{name}" for name in foreign},
        members=Members(members),
    )
    return {finding.what: finding for finding in examine(client, metadata)}


def test_a_server_that_fits_has_no_problem():
    """A server that offers all that the client needs gives findings without a problem."""
    findings = findings_of(GOOD)

    assert all(finding.problem is None for finding in findings.values())
    assert findings["grants"].found == "authorization_code client_credentials"


@pytest.mark.parametrize(
    ("changed", "arguments", "what", "problem"),
    [
        ({}, {"foreign": ["jwks_uri"]}, "on other hosts", "list their origins in endpoint_origins"),
        (
            {"token_endpoint_auth_methods_supported": None},
            {},
            "client authentication",
            "this client uses client_secret_post",
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
def test_what_cannot_work_is_named(changed, arguments, what, problem):
    """Each problem is a finding of its own that says what to do."""
    findings = findings_of({**GOOD, **changed}, **arguments)

    assert [finding.what for finding in findings.values() if finding.problem] == [what]
    assert findings[what].problem == problem


@pytest.mark.parametrize(
    "endpoint", ["https://idp.example/token", "https://idp.example/oauth2/v1/token"]
)
def test_another_token_endpoint_is_named_with_what_to_do(endpoint):
    """A published token endpoint that this client does not use is a problem with a remedy."""
    finding = findings_of(GOOD, endpoint=endpoint)["token endpoint"]

    assert finding.found == endpoint
    assert "sends token requests to https://idp.example/connect/token" in finding.problem
    assert "Environment.discover('https://idp.example')" in finding.problem
    assert "set ARITMA_ENVIRONMENT to https://idp.example" in finding.problem


@pytest.mark.parametrize(
    ("settings", "endpoint", "has_problem"),
    [
        ({}, "https://idp.example/token", False),
        ({}, None, True),
        (
            {"endpoints": {"token_endpoint": "https://idp.example/a"}},
            "https://idp.example/a",
            False,
        ),
        ({"endpoints": {"token_endpoint": "https://idp.example/a"}}, "https://idp.example/b", True),
    ],
)
def test_a_discovered_token_endpoint_is_no_problem(settings, endpoint, has_problem):
    """With discovery the published endpoint is the one in use, unless another is configured."""
    environment = aa.Environment.at("https://idp.example", discover=True, **settings)
    client = aa.OAuthClient("id", "secret", environment=environment)
    finding = findings_of(GOOD, client, endpoint=endpoint)["token endpoint"]

    assert (finding.problem is not None) is has_problem


def test_a_token_endpoint_that_is_not_published_is_no_problem():
    """A server that publishes no token endpoint says nothing against the one in use."""
    finding = findings_of(GOOD, endpoint=None)["token endpoint"]

    assert (finding.found, finding.problem) == ("not published", None)


def test_a_public_client_needs_no_method():
    """A public client is accepted though the server does not list the method `none`."""
    client = aa.OAuthClient("id", environment=CLIENT.environment)

    assert findings_of(GOOD, client)["client authentication"].problem is None


def test_the_sandbox_has_no_problem(sandbox, capsys):
    """Each finding is a line, and no line has a problem."""
    assert cli.run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].split() == ["ok", "issuer", sandbox.identity_url]
    assert all(line.startswith("ok  ") for line in lines)
    assert lines[-1].split()[:2] == ["ok", "clock"]


def test_a_wrong_clock_is_a_problem(sandbox, monkeypatch, capsys):
    """A clock that is an hour from the server's makes the command fail."""
    monkeypatch.setattr(sandbox.clock, "offset", 3600.0)

    assert cli.run(["doctor"]) == 1
    assert "NO  clock" in capsys.readouterr().out


def test_a_server_without_keys_is_a_problem(sandbox, monkeypatch, capsys):
    """An empty key set makes the command fail: no ID token could be verified."""

    async def none(self):
        return []

    monkeypatch.setattr(aa.OAuthClient, "fetch_keys", none)

    assert cli.run(["doctor"]) == 1
    assert re.search(r"^NO  keys +none: no ID token", capsys.readouterr().out, re.MULTILINE)


def test_keys_that_cannot_be_fetched_are_one_finding(sandbox, monkeypatch, capsys):
    """A key set that is away is reported beside the findings about the metadata."""

    async def fail(self):
        raise aa.TransportError("the key set is away")

    monkeypatch.setattr(aa.OAuthClient, "fetch_keys", fail)

    assert cli.run(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok  issuer")
    (line,) = [line for line in lines if line.startswith("NO")]
    assert line.endswith("none: the key set is away; no ID token can be verified")

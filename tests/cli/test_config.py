"""Tests of `aritma-auth config`."""

import json

import pytest

from aritma_auth import cli
from aritma_auth.configuration.settings import SETTINGS


def set_all(monkeypatch, **settings):
    for name, value in settings.items():
        monkeypatch.setenv(f"ARITMA_{name}", value)


def lines_of(capsys):
    return capsys.readouterr().out.splitlines()


def test_each_effective_setting_names_its_source(monkeypatch, capsys, canary):
    """A secret is hidden, and what the settings mean together is there too."""
    set_all(
        monkeypatch,
        CLIENT_ID="id",
        CLIENT_SECRET=canary.text,
        TENANT="acme",
        PROXY=f"http://user:{canary.text}@proxy.example:3128",
    )

    assert cli.run(["config", "check"]) == 0
    assert lines_of(capsys) == [
        "from the environment",
        "client_id                id  (ARITMA_CLIENT_ID)",
        "client_secret            ***  (ARITMA_CLIENT_SECRET)",
        "tenant                   acme  (ARITMA_TENANT)",
        "proxy                    ***  (ARITMA_PROXY)",
        "issuer                   https://id.aritma.io/acme  (follows from these)",
        "endpoints                https://id.aritma.io/acme/connect/token  (follows from these)",
        "client authentication    client_secret_post  (follows from these)",
        "scope                    bankservice  (follows from these)",
        "tokens may go to         https://banking.aritma.io:443 https://bankservice.zdata.no:443 "
        "https://erphub-api.aritma.io:443 https://events.aritma.io:443  (follows from these)",
    ]


@pytest.mark.parametrize(
    ("credential", "method"),
    [
        ({"CLIENT_SECRET": "s"}, "as the server's metadata says"),
        ({"CLIENT_SECRET": "s", "CLIENT_AUTH": "client_secret_basic"}, "client_secret_basic"),
        ({"PRIVATE_KEY_FILE": "/k"}, "private_key_jwt"),
        ({"CLIENT_AUTH": "none"}, "none"),
    ],
)
def test_a_program_reads_it_as_json(monkeypatch, capsys, credential, method):
    """Given settings, what follows from them, and problems have a place each."""
    set_all(monkeypatch, CLIENT_ID="id", ISSUER="https://idp.example", **credential)

    assert cli.run(["config", "check", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["from"] == "the environment"
    assert told["given"][0] == {"name": "client_id", "value": "id", "source": "ARITMA_CLIENT_ID"}
    assert told["problems"] == []
    assert told["effective"] == {
        "issuer": "https://idp.example",
        "endpoints": "the server's metadata",
        "client authentication": method,
        "scope": "none",
        "tokens may go to": "no API",
    }


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"CLIENT_SECRET": "s", "SCOPES": "a"}, "ARITMA_SCOPES is no setting: write ARITMA_SCOPE"),
        ({}, "set ARITMA_CLIENT_SECRET_FILE or ARITMA_CLIENT_SECRET, or another credential"),
        ({"CLIENT_SECRET": "s", "ENVIRONMENT": "prod"}, "the environment must be production,"),
        ({"CLIENT_SECRET": "s", "TIMEOUT": "nan"}, "timeout must be a number of seconds"),
        ({"CLIENT_SECRET": "s", "LEEWAY": "-1"}, "leeway must be a number of seconds"),
        ({"CLIENT_SECRET": "s", "ID_TOKEN_ALGORITHMS": "none"}, "id_token_algorithms must"),
        ({"CLIENT_SECRET": "s", "PROXY": "proxy.example"}, "the proxy must"),
        ({"CLIENT_SECRET": "s", "CLIENT_ID": "a\tb"}, "client_id must be a printable text"),
        ({"CERTIFICATE_FILE": "/none.pem"}, "the certificate in /none.pem must be in PEM"),
    ],
)
def test_what_is_wrong_ends_it_with_a_code(monkeypatch, capsys, settings, problem):
    """The code is that of a setting to change, and every problem has its line."""
    set_all(monkeypatch, **({"CLIENT_ID": "id"} | settings))

    assert cli.run(["config", "check"]) == 3
    assert [line for line in lines_of(capsys) if line.startswith(f"NO  {problem}")]


def test_a_registration_of_a_file_is_explained(tmp_path, capsys, canary):
    """Every kind of value is shown; a command's arguments and a password in a URL are hidden."""
    file = tmp_path / "aritma.toml"
    file.write_text(
        '[registrations.payments]\nclient_id = "id"\ntimeout = 2.5\nshares_issuer = true\n'
        'issuer = "https://idp.example"\n'
        f'tenant = "acme"\nclient_secret_command = ["vault", "{canary.text}"]\n'
        'resource = ["https://a.example", "https://b.example"]\n'
        f'api_origins = ["https://me:{canary.text}@api.example"]\n'
        'endpoints = {token_endpoint = "https://idp.example/t"}\n'
    )

    assert cli.run(["config", "check", "--registration", "payments", "--file", str(file)]) == 3
    shown = lines_of(capsys)
    assert shown[0] == f"from {file} [registrations.payments]"
    assert [line.partition("  (")[0].split(maxsplit=1) for line in shown[1:-1]] == [
        ["client_id", "id"],
        ["client_secret_command", "vault ..."],
        ["issuer", "https://idp.example"],
        ["tenant", "acme"],
        ["shares_issuer", "true"],
        ["api_origins", "***"],
        ["endpoints", "token_endpoint=https://idp.example/t"],
        ["resource", "https://a.example https://b.example"],
        ["timeout", "2.5"],
    ]
    assert shown[-1] == "NO  each of api_origins must not carry a user name or password: remove it"
    assert all(line.endswith("  (the file)") for line in shown[1:-1])


def test_a_variable_over_the_file_is_named_as_the_source(tmp_path, monkeypatch, capsys, canary):
    """A reader sees which settings the file has and which a variable has replaced."""
    file = tmp_path / "aritma.toml"
    file.write_text(
        '[registrations.payments]\nclient_id = "id"\nscope = "old"\n'
        'client_secret_file = "/run/secrets/payments"\n'
    )
    monkeypatch.setenv("ARITMA_REGISTRATIONS_PAYMENTS_SCOPE", "bankservice")
    monkeypatch.setenv("ARITMA_REGISTRATIONS_PAYMENTS_CLIENT_SECRET", canary.text)
    monkeypatch.setenv("ARITMA_SCOPE", "of from_env")

    assert cli.run(["config", "check", "payments", "--file", str(file)]) == 0
    assert [line.split() for line in lines_of(capsys)[1:4]] == [
        ["client_id", "id", "(the", "file)"],
        ["client_secret", "***", "(ARITMA_REGISTRATIONS_PAYMENTS_CLIENT_SECRET)"],
        ["scope", "bankservice", "(ARITMA_REGISTRATIONS_PAYMENTS_SCOPE)"],
    ]


def test_a_file_alone_names_no_registration(capsys):
    """The command line is what must change."""
    assert cli.run(["config", "check", "--file", "aritma.toml"]) == 2
    assert "--file needs --registration" in capsys.readouterr().err


def test_every_setting_is_listed(capsys):
    """Each line has the variable, the key, the meaning and the default."""
    assert cli.run(["config", "list"]) == 0
    shown = lines_of(capsys)

    assert len(shown) == len(SETTINGS)
    assert shown[0] == "ARITMA_CLIENT_ID, client_id: the client id (default: required)"
    assert "ARITMA_CLIENT_SECRET: the client secret" in shown
    assert any(line.startswith("client_secret_variable: ") for line in shown)


def test_every_setting_is_listed_for_programs(capsys):
    """A template of settings can be made of it."""
    assert cli.run(["config", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)

    assert [*listed] == [*SETTINGS]
    assert listed["client_secret"] == {
        "variable": "ARITMA_CLIENT_SECRET",
        "in_file": False,
        "kind": "text",
        "meaning": "the client secret",
        "default": None,
    }

"""Tests of `aritma-auth rotate-secret`."""

import json
import sys

import pytest

from aritma_auth import cli
from aritma_auth.cli.exit_codes import ExitCode
from aritma_auth.sandbox import SandboxClient
from support.apart import sandbox_apart
from support.tls import Authority

CLIENT = "rotated"


@pytest.fixture
def sandbox(running, monkeypatch, tmp_path):
    """Give the sandbox with a client of its own, and the settings of whoever may manage it."""
    running.add_client(
        SandboxClient(
            client_id=CLIENT, secrets="first-secret", scopes=("bankservice", "services.iam")
        )
    )
    monkeypatch.setenv("ARITMA_CLIENT_ID", CLIENT)
    monkeypatch.setenv("ARITMA_ENVIRONMENT", running.identity_url)
    monkeypatch.setenv("IAM_CLIENT_ID", "sandbox-admin")
    monkeypatch.setenv("IAM_CLIENT_SECRET", "admin-secret")
    return running


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "secret"
    file.write_text("first-secret")
    return file


def rotate(sandbox, *arguments):
    return cli.run(
        ["rotate-secret", "--iam-url", f"{sandbox.banking_url}core/iam/", *map(str, arguments)]
    )


def valid(sandbox):
    return list(sandbox.clients[CLIENT].secrets)


def test_a_secret_in_a_file_is_rotated(sandbox, file, capsys):
    """The service's file has the one valid secret, and no output has it."""
    assert rotate(sandbox, "--file", file) == 0

    out = capsys.readouterr().out
    assert valid(sandbox) == [file.read_text()]
    assert "the new secret is in use" in out
    assert "the old secret was deleted" in out
    assert file.read_text() not in out
    assert file.with_name("secret.rotation").exists()


def test_a_client_may_rotate_its_own_secret(sandbox, file, monkeypatch, capsys):
    """Without another client the secret in use gets the token for IAM, from the service's file."""
    monkeypatch.delenv("IAM_CLIENT_ID")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET_FILE", str(file))

    assert rotate(sandbox, "--json", "--lifetime-days", 90) == 0
    assert valid(sandbox) == [file.read_text()]
    done = json.loads(capsys.readouterr().out)
    assert done["rotated"]
    assert done["deleted"]
    assert done["left"] == []

    assert rotate(sandbox, "--within-days", 14) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert rotate(sandbox, "--within-days", 14, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"rotated": False}


def test_the_new_secret_is_proven_as_the_client_presents_it(sandbox, file, monkeypatch):
    """A client that authenticates by Basic proves its new secret by Basic."""
    monkeypatch.setenv("ARITMA_CLIENT_AUTH", "client_secret_basic")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET_FILE", str(file))
    sandbox.token_requests.clear()

    assert rotate(sandbox) == 0
    assert valid(sandbox) == [file.read_text()]


def test_the_new_secret_is_proven_with_the_clients_key(file, monkeypatch, tmp_path):
    """A client that may not ask without a DPoP proof shows one with its new secret."""
    _, key = Authority(tmp_path).issue()
    with sandbox_apart(server_version="fapi") as sandbox:
        sandbox.add_client(
            SandboxClient(
                client_id=CLIENT,
                secrets="first-secret",
                scopes=("bankservice", "services.iam"),
                requires_dpop=True,
            )
        )
        for name, value in (
            ("CLIENT_ID", CLIENT),
            ("CLIENT_SECRET_FILE", file),
            ("DPOP_KEY_FILE", key),
            ("ISSUER", sandbox.identity_url),
        ):
            monkeypatch.setenv(f"ARITMA_{name}", str(value))
        assert rotate(sandbox) == 0
        assert valid(sandbox) == [file.read_text()]


def test_the_new_secret_is_proven_with_the_clients_certificate(monkeypatch, tmp_path):
    """The settings' certificate goes with each token request, as it does with the service's own."""
    authority = Authority(tmp_path)
    cert_file, key_file = authority.issue()
    file = tmp_path / "secret"
    file.write_text("first-secret")
    with sandbox_apart(server_version="fapi", ssl_context=authority.server()) as sandbox:
        sandbox.add_client(
            SandboxClient(
                client_id=CLIENT, secrets="first-secret", scopes=("bankservice", "services.iam")
            )
        )
        for name, value in (
            ("SSL_CERT_FILE", authority.ca_file),
            ("ARITMA_CLIENT_ID", CLIENT),
            ("ARITMA_CLIENT_SECRET_FILE", file),
            ("ARITMA_CERTIFICATE_FILE", cert_file),
            ("ARITMA_CERTIFICATE_KEY_FILE", key_file),
            ("ARITMA_ISSUER", sandbox.identity_url),
        ):
            monkeypatch.setenv(name, str(value))
        assert rotate(sandbox) == 0
        assert valid(sandbox) == [file.read_text()]


@pytest.mark.parametrize("setting", ["PRIVATE_KEY_FILE", "CERTIFICATE_FILE"])
def test_a_client_without_a_secret_has_nothing_to_rotate(
    sandbox, file, monkeypatch, tmp_path, capsys, setting
):
    """A key or a certificate that authenticates is told apart from a secret, before a request."""
    authority = Authority(tmp_path)
    for name, path in zip(("CERTIFICATE_FILE", "PRIVATE_KEY_FILE"), authority.issue(), strict=True):
        if name == setting:
            monkeypatch.setenv(f"ARITMA_{name}", str(path))
    if setting == "CERTIFICATE_FILE":
        monkeypatch.setenv("ARITMA_CERTIFICATE_KEY_FILE", str(path))
    sandbox.token_requests.clear()

    assert rotate(sandbox, "--file", file) == ExitCode.USAGE
    assert "has no secret to rotate" in capsys.readouterr().err
    assert sandbox.token_requests == []


def test_an_admins_secret_may_be_in_a_file(sandbox, file, tmp_path, monkeypatch):
    """The secret of the client that manages clients may be mounted, too."""
    monkeypatch.delenv("IAM_CLIENT_SECRET")
    (tmp_path / "admin").write_text("admin-secret")
    monkeypatch.setenv("IAM_CLIENT_SECRET_FILE", str(tmp_path / "admin"))

    assert rotate(sandbox, "--file", file) == 0


def test_the_old_secret_may_be_kept(sandbox, file, capsys):
    """The first run leaves it, the second deletes it."""
    assert rotate(sandbox, "--file", file, "--keep-old") == 0
    assert "without --keep-old" in capsys.readouterr().out
    assert len(valid(sandbox)) == 2
    assert rotate(sandbox, "--file", file) == 0
    assert valid(sandbox) == [file.read_text()]


def test_a_secret_that_cannot_be_told_is_left(sandbox, file, capsys):
    """Nothing is deleted by guess; the command says what is left."""
    sandbox.add_client(
        SandboxClient(client_id=CLIENT, secrets=("first-secret", "other"), scopes="bankservice")
    )

    assert rotate(sandbox, "--file", file) == 0
    out = capsys.readouterr().out
    assert "--old-secret-id" in out
    assert "other secrets of this client: " in out
    assert len(valid(sandbox)) == 3


WRITE = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
READ = "import sys; print(open(sys.argv[1]).read())"


def test_commands_keep_a_secret(sandbox, file, tmp_path):
    """A vault's own commands read and write it."""
    commands = [
        ("--read-command", f'{sys.executable} -c "{READ}" {file}'),
        ("--write-command", f'{sys.executable} -c "{WRITE}" {file}'),
    ]
    options = [word for pair in commands for word in pair]

    assert rotate(sandbox, *options, "--journal", tmp_path / "journal") == 0
    assert valid(sandbox) == [file.read_text()]
    assert rotate(sandbox, *options) == 2


def test_a_keyring_keeps_a_secret(sandbox, monkeypatch):
    """The entry is rotated in the machine's keyring, its journal beside it."""
    import keyring

    from support.keyrings import DictKeyring

    backend = DictKeyring()
    backend.set_password("erp", "aritma", "first-secret")
    monkeypatch.setattr(keyring, "get_keyring", lambda: backend)

    assert rotate(sandbox, "--keyring", "erp/aritma") == 0
    assert valid(sandbox) == [backend.get_password("erp", "aritma")]
    assert backend.get_password("erp", "aritma.rotation") is not None


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "must say where the secret is"),
        (["--keyring", "erp"], "SERVICE/USERNAME"),
        (["--file", "a", "--keyring", "b/c"], "exclude each other"),
        (["--read-command", "a"], "must be given together"),
    ],
)
def test_the_place_must_be_clear(sandbox, capsys, arguments, problem):
    """An option that is missing or too many is an error of the usage."""
    assert rotate(sandbox, *arguments) == 2
    assert problem in capsys.readouterr().err


def test_an_empty_place_needs_an_admin(sandbox, tmp_path, monkeypatch, capsys):
    """Without a secret in use there must be another client."""
    monkeypatch.delenv("IAM_CLIENT_ID")

    assert rotate(sandbox, "--file", tmp_path / "nothing") == 3
    assert "IAM_CLIENT_ID" in capsys.readouterr().err


def test_iams_address_must_be_known(sandbox, file, capsys):
    """Aritma publishes IAM's address for development alone."""
    assert cli.run(["rotate-secret", "--file", str(file)]) == 2
    assert "--iam-url must be given" in capsys.readouterr().err


def test_iams_address_of_development_is_known(sandbox, file, monkeypatch, http_mock, capsys):
    """The environment has the address; nothing else need be said."""
    monkeypatch.setenv("ARITMA_ENVIRONMENT", "development")
    http_mock.post(
        "https://id.dev.aritma.io/connect/token",
        payload={"access_token": "t", "token_type": "Bearer"},
    )
    http_mock.get(f"https://api.dev.aritma.io/core/iam/v1/clients/{CLIENT}/secrets", status=403)

    assert cli.run(["rotate-secret", "--file", str(file)]) == 4
    assert "IAM responded 403" in capsys.readouterr().err


def test_what_is_a_guess_about_iam_is_an_option(sandbox, file, capsys):
    """The methods and places of the options are called, and a misspelled one is named at once."""
    assert rotate(sandbox, "--file", file, "--secret-path", "v1/{id}") == 3
    assert "secret_path must have no placeholders but" in capsys.readouterr().err
    assert not file.with_name("secret.rotation").exists()

    assert rotate(sandbox, "--file", file, "--delete-method", "PATCH") != 0
    assert "IAM responded 405" in capsys.readouterr().err
    assert rotate(sandbox, "--file", file, "--list-method", "GET") == 0
    assert valid(sandbox) == [file.read_text()]

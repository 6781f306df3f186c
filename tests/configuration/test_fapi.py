"""From a client secret to FAPI 2.0 by settings alone, one step after the other."""

from pathlib import Path

import aiohttp
import pytest

import aritma_auth as aa
from aritma_auth import cli
from aritma_auth.sandbox import Sandbox, SandboxClient

pytestmark = pytest.mark.usefixtures("no_leftovers")

SECRET = {"client_id": "sandbox-service", "client_secret_variable": "BANK_SECRET"}
KEY = {"client_id": "mine", "private_key_file": "key.pem", "signing_algorithm": "ES256"}
BOUND = KEY | {"dpop_key_file": "dpop.json"}
SIGNED = BOUND | {"profile": "fapi2-message-signing", "request_key_file": "key.pem"}
STEPS = {
    "a secret": SECRET,
    "a key": KEY | {"assertion_names_issuer": True},
    "bound tokens": BOUND | {"assertion_names_issuer": True},
    "the profile": BOUND | {"profile": "fapi2"},
    "signed messages": SIGNED,
    "encrypted requests": SIGNED | {"request_encryption": ["RSA-OAEP-256", "A256GCM"]},
}


@pytest.fixture
async def sandbox(tmp_path, monkeypatch):
    """Start a server, and write the keys of a client that it knows."""
    key, dpop = aa.SigningKey.generate(), aa.SigningKey.generate()
    (tmp_path / "key.pem").write_text(key.to_jwk())
    (tmp_path / "dpop.json").write_text(dpop.to_jwk())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BANK_SECRET", "sandbox-secret")
    async with Sandbox(server_version="fapi") as sandbox:
        sandbox.add_client(
            SandboxClient(
                client_id="mine",
                public_key=key.public_jwk,
                grant_types=("authorization_code", "client_credentials"),
                scopes=("openid", "bankservice"),
                redirect_uris="http://127.0.0.1/callback",
            )
        )
        sandbox.sign_in_automatically("alice")
        yield sandbox


def write(sandbox, settings):
    """Write the file of one registration."""
    written = settings | {
        "issuer": sandbox.identity_url,
        "api_origins": [sandbox.banking_url],
        "scope": "bankservice",
    }
    lines = [f"{name} = {_toml(value)}" for name, value in written.items()]
    Path("aritma.toml").write_text("\n".join(["[registrations.bank]", *lines]))


def _toml(value):
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


@pytest.mark.parametrize("step", STEPS)
async def test_each_step_is_a_line_or_two(sandbox, capsys, step):
    """The check finds nothing wrong, and the API takes the token that the settings bring."""
    write(sandbox, STEPS[step])
    code = cli.run(["config", "check", "--registration", "bank"])
    async with aa.TokenProvider.from_config("bank") as tokens:
        async with aiohttp.ClientSession(
            sandbox.banking_url, middlewares=[tokens.middleware()]
        ) as bank:
            async with bank.get("api/v3/accounts/42") as response:
                status = response.status
        token = await tokens.get_token()

    assert code == 0, capsys.readouterr().out
    assert status == 200
    assert token.token_type == ("DPoP" if "dpop_key_file" in STEPS[step] else "Bearer")


@pytest.mark.parametrize("step", ["the profile", "signed messages", "encrypted requests"])
async def test_an_end_user_signs_in_by_settings(sandbox, step):
    """Pushed, signed where the profile says so, and bound."""
    write(sandbox, STEPS[step])
    client = aa.OAuthClient.from_config("bank")
    request = await client.begin_sign_in("http://127.0.0.1/callback", "openid bankservice")
    async with aiohttp.ClientSession() as browser:
        async with browser.get(request.url, allow_redirects=False) as response:
            callback = response.headers["Location"]
    done = await client.complete_sign_in(request, callback)

    assert done.subject == "user-alice"
    assert done.token.token_type == "DPoP"
    assert ("response=" in callback) is (step != "the profile")
    if step == "encrypted requests":
        assert request.request_object.text.count(".") == 4


@pytest.mark.parametrize("lack", ["request_key_file", "signing_algorithm"])
async def test_what_a_profile_lacks_is_found_before_the_first_request(sandbox, capsys, lack):
    """The check names the line that is missing, without opening a key."""
    write(sandbox, {name: value for name, value in SIGNED.items() if name != lack})

    assert cli.run(["config", "check", "--registration", "bank"]) == 3
    assert f"profile fapi2-message-signing needs {lack}" in capsys.readouterr().out

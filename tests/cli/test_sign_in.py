"""Tests of `aritma-auth login`, `whoami` and `logout`, and of the token of a sign-in."""

import json
import os
import re
import socket
import subprocess
import sys
import webbrowser
from urllib.parse import parse_qs, urlsplit

import pytest

import aritma_auth as aa
from aritma_auth import cli
from aritma_auth.cli import open_tokens, sign_in
from aritma_auth.protocol.redaction import Members
from aritma_auth.runtime.clock import SystemClock
from support.apart import browse


@pytest.fixture
def store(monkeypatch):
    """Keep the tokens in memory from one command to the next."""
    store = aa.MemoryTokenStore()
    monkeypatch.setattr(open_tokens, "default_store", lambda: store)
    return store


@pytest.fixture
def opened(monkeypatch):
    """Let a browser open at once; give the addresses that it was opened with."""
    addresses = []

    def open_browser(url):
        addresses.append(url)
        browse(url)

    monkeypatch.setattr(webbrowser, "open", open_browser)
    return addresses


def query_of(url):
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@pytest.fixture
def signed_in(sandbox, store, opened, capsys):
    """Sign alice in, and give what the command printed."""
    assert cli.run(["login", "--scope", "openid profile offline_access api"]) == 0
    return capsys.readouterr()


def test_an_end_user_signs_in_and_is_known(signed_in, opened, capsys):
    """login opens the browser and shows the address, and whoami prints the claims."""
    assert signed_in.out == "Signed in: user-alice\n"
    assert "/connect/authorize?" in signed_in.err
    assert "eyJ" not in signed_in.out + signed_in.err

    assert cli.run(["whoami"]) == 0
    claims = json.loads(capsys.readouterr().out)
    assert (claims["sub"], claims["name"]) == ("user-alice", "Alice Almås")


BROWSER = """#!{python}
import sys, urllib.request
with open({log!r}, "w") as log:
    print(*sys.argv[1:], file=log)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
opener.open(sys.argv[1]).read()
"""
"""A command in the place of a browser: it writes its arguments down and follows the redirects."""


@pytest.mark.skipif(os.name != "posix", reason="the command is a script with a shebang")
@pytest.mark.parametrize("arguments", [[], ["--acr", "mfa"]], ids=str)
def test_no_command_line_holds_the_authorization_request(sandbox, monkeypatch, tmp_path, arguments):
    """The browser's command line, which other users can read, has neither state nor challenge."""
    browser, log = tmp_path / "browser", tmp_path / "log"
    browser.write_text(BROWSER.format(python=sys.executable, log=str(log)))
    browser.chmod(0o700)
    settings = {"BROWSER": str(browser), "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "aritma_auth", "login", *arguments]
    done = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=50
    )
    (argument,) = log.read_text().split()

    assert (done.returncode, done.stdout) == (0, "Signed in: user-alice\n")
    assert argument.startswith("http://127.0.0.1:")
    for secret in ("state", "code_challenge", "connect/authorize", "?"):
        assert secret not in argument
    assert query_of(done.stderr.split()[-1])["state"] not in argument


def test_the_token_of_a_sign_in_is_printed_and_refreshed(signed_in, sandbox, capsys):
    """token --end-user prints the stored token and asks for no sign-in."""
    tokens = []
    for _ in range(2):
        assert cli.run(["token", "--end-user", "me"]) == 0
        tokens.append(capsys.readouterr().out)
    assert tokens[0] == tokens[1]
    assert tokens[0].startswith("eyJ")

    assert cli.run(["token", "--end-user", "me", "--inspect"]) == 0
    assert json.loads(capsys.readouterr().out)["sub"] == "user-alice"
    assert len(sandbox.token_requests) == 1


def test_signing_out_revokes_and_forgets(signed_in, sandbox, opened, capsys):
    """logout leaves no token here, and names the end-session address without a secret."""
    assert cli.run(["logout"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Signed out.\nThe browser's own session ends at http")
    assert said.endswith("/connect/endsession?client_id=sandbox-cli\n")
    assert len(opened) == 1

    assert cli.run(["whoami"]) == 5
    assert "(aritma-auth login)" in capsys.readouterr().err
    assert cli.run(["logout", "--browser"]) == 0
    assert capsys.readouterr().out == "There is no sign-in here.\n"
    assert opened[1].endswith("/connect/endsession?client_id=sandbox-cli")


def test_signing_out_forgets_even_if_the_server_is_away(signed_in, monkeypatch, capsys):
    """logout deletes the tokens here even if they cannot be revoked, and reports the error."""

    async def fail(self, token):
        raise aa.TransportError("the server is away")

    monkeypatch.setattr(aa.OAuthClient, "revoke", fail)

    assert cli.run(["logout"]) == 6
    assert capsys.readouterr().err.startswith(
        "error: the server is away (is the environment right?"
    )
    assert cli.run(["token", "--end-user", "me"]) == 5


@pytest.fixture
def unrevocable(sandbox, monkeypatch):
    """Let the server's metadata name neither revocation nor a page for the sign-out."""
    missing = {"revocation_endpoint": None, "end_session_endpoint": None}
    monkeypatch.setattr(sandbox.overrides, "metadata", missing)
    monkeypatch.setenv("ARITMA_ISSUER", sandbox.environment.issuer)
    monkeypatch.delenv("ARITMA_ENVIRONMENT", raising=False)


def test_signing_out_at_a_server_without_revocation_ends_well(unrevocable, signed_in, capsys):
    """logout deletes the tokens, says in one line that the server keeps them, and exits with 0."""
    assert cli.run(["logout"]) == 0
    assert capsys.readouterr() == (
        "Signed out. The server offers no revocation: the tokens are deleted here alone.\n",
        "",
    )
    assert cli.run(["token", "--end-user", "me"]) == 5


def test_programs_learn_that_nothing_was_revoked(unrevocable, signed_in, capsys):
    """logout --json has a member for it."""
    assert cli.run(["logout", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "was_signed_in": True,
        "was_revoked": False,
        "end_session_url": None,
    }


def test_without_a_sign_in_the_server_is_not_needed(sandbox, store, monkeypatch, capsys):
    """logout says that there is none, although the issuer does not respond."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("ARITMA_ISSUER", f"http://127.0.0.1:{port}")
    monkeypatch.delenv("ARITMA_ENVIRONMENT", raising=False)

    assert cli.run(["logout"]) == 0
    assert capsys.readouterr() == ("There is no sign-in here.\n", "")
    assert cli.run(["logout", "--browser"]) == 6


def test_a_server_need_not_end_the_browsers_session(signed_in, opened, monkeypatch, capsys):
    """logout ends the sign-in at a server without such a page, and an error is for who wants it."""

    async def fail(self, **parameters):
        raise aa.ConfigurationError("the server has no end_session_endpoint")

    monkeypatch.setattr(aa.OAuthClient, "end_session_url", fail)

    assert cli.run(["logout", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"was_signed_in": True, "was_revoked": True, "end_session_url": None}
    assert cli.run(["logout", "--browser"]) == 3
    assert len(opened) == 1


def test_programs_get_objects(sandbox, store, opened, capsys):
    """login, whoami and logout print one object each with --json."""

    def told(*arguments):
        assert cli.run([*arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    signed_in = told("login")
    assert (signed_in["end_user"], signed_in["claims"]["sub"]) == ("me", "user-alice")
    assert told("whoami")["sub"] == "user-alice"
    assert told("logout") == {
        "was_signed_in": True,
        "was_revoked": True,
        "end_session_url": f"{sandbox.identity_url}/connect/endsession?client_id=sandbox-cli",
    }
    assert told("logout", "--browser")["was_signed_in"] is False
    assert len(opened) == 2


def test_end_users_are_kept_apart(sandbox, store, opened, capsys):
    """Sign-ins under two names are two sign-ins."""
    for name in ("alice", "bob"):
        sandbox.sign_in_automatically(name)
        assert cli.run(["login", "--end-user", name]) == 0
    capsys.readouterr()
    for name in ("alice", "bob"):
        assert cli.run(["whoami", "--end-user", name]) == 0
        assert json.loads(capsys.readouterr().out)["sub"] == f"user-{name}"
    assert cli.run(["whoami"]) == 5


def test_the_options_of_a_sign_in_reach_the_server(
    sandbox, store, opened, monkeypatch, capsys, unused_tcp_port
):
    """The scope of ARITMA_SCOPE is added, and the options become parameters."""
    monkeypatch.setenv("ARITMA_SCOPE", "api")
    port = str(unused_tcp_port)
    assert (
        cli.run(["login", "--acr", "mfa", "--acr", "idp:bank", "--port", port, "--path", "/"]) == 0
    )
    query = query_of(capsys.readouterr().err.split()[-1])

    assert query["scope"] == "openid profile offline_access api"
    assert query["acr_values"] == "mfa idp:bank"
    assert query["redirect_uri"] == f"http://127.0.0.1:{port}/"


def test_without_a_browser_the_address_is_shown(sandbox, store, monkeypatch, capsys):
    """--no-browser shows the address alone, and the time-out's error says where to look."""
    monkeypatch.setattr(webbrowser, "open", pytest.fail)

    assert cli.run(["login", "--no-browser", "--timeout", "0.001"]) == 6
    said = capsys.readouterr().err
    assert f"\n  {sandbox.identity_url}/connect/authorize?" in said
    assert "error: no authorization response arrived at http://127.0.0.1:" in said


def test_an_end_user_signs_in_on_another_device(sandbox, store, monkeypatch, capsys):
    """--device shows a code, and waits until it has been entered elsewhere."""

    async def sleep(seconds):
        sandbox.clock.advance(seconds)
        shown = re.search(r"on any device and enter the code (\d+)", capsys.readouterr().err)
        sandbox.approve_device(shown[1], "bob")

    monkeypatch.setattr(SystemClock, "sleep", staticmethod(sleep))

    assert cli.run(["login", "--device"]) == 0
    assert capsys.readouterr().out == "Signed in: user-bob\n"


def test_a_device_is_waited_for_until_the_time_out(sandbox, store, capsys):
    """--timeout bounds the wait for the device, and its error says what to do."""
    assert cli.run(["login", "--device", "--timeout", "0.2"]) == 6
    assert "the code was not entered within 0.2 seconds: begin again" in capsys.readouterr().err


def test_a_device_cannot_be_told_how_to_sign_in(sandbox, store, capsys):
    """--acr is refused for --device, since the request would not carry it."""
    assert cli.run(["login", "--device", "--acr", "mfa"]) == 2
    assert (
        capsys.readouterr().err
        == "error: --acr has no meaning for --device: leave one of them out\n"
    )


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf"])
@pytest.mark.parametrize("way", ["--no-browser", "--device"])
def test_a_time_out_is_a_number_of_seconds(sandbox, store, capsys, way, timeout):
    """A time-out that ends at once or never is refused before the sign-in."""
    assert cli.run(["login", way, f"--timeout={timeout}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith('error: Invalid value "')
    assert "must be a number of seconds, more than 0" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", ["login", "whoami", "logout", "token"])
def test_a_sign_in_has_a_name(sandbox, store, opened, capsys, command):
    """An empty name is refused, since no store would keep the tokens."""
    assert cli.run([command, "--end-user", ""]) == 2
    assert capsys.readouterr().err.endswith("must be a name, not an empty text.\n")
    assert opened == []


def test_a_sign_in_without_openid_has_no_name(sandbox, store, opened, capsys):
    """A sign-in without openid has tokens and no name, and whoami refuses to guess."""
    assert cli.run(["login", "--scope", "api"]) == 0
    assert capsys.readouterr().out == "Signed in: no ID token names the end-user\n"
    assert cli.run(["token", "--end-user", "me"]) == 0
    assert cli.run(["whoami"]) == 5
    assert "sign in with the scope openid" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["\x1b[2J\u202eMallory", "Mal\x9blory", "Mal\nlory"], ids=ascii)
def test_a_name_cannot_steer_the_terminal(sandbox, store, monkeypatch, capsys, name):
    """A name that an end-user has chosen is printed without its control characters."""

    async def sign_in_as(client, scope, **parameters):
        return aa.SignIn(aa.Token("t"), Members({"name": name}))

    monkeypatch.setattr(sign_in, "login_with_browser", sign_in_as)

    assert cli.run(["login"]) == 0
    shown = capsys.readouterr().out
    assert shown.removesuffix("\n").isprintable()
    assert shown.startswith("Signed in: ")


def test_a_denial_is_one_line(sandbox, store, opened, capsys):
    """A denied sign-in is one line on standard error."""
    sandbox.faults.deny_next("access_denied")

    assert cli.run(["login"]) == 4
    assert "error: access_denied\n" in capsys.readouterr().err


@pytest.mark.parametrize("operation", ["load", "acquire"])
def test_a_store_that_is_away_is_reported_before_the_sign_in(
    sandbox, store, opened, monkeypatch, capsys, operation
):
    """A store that cannot be read, or not written, is an error of its own; no browser opens."""

    async def fail(key, **options):
        raise aa.StoreError("no permission")

    monkeypatch.setattr(store, operation, fail)

    assert cli.run(["login"]) == cli.run(["whoami"]) == 6
    assert capsys.readouterr().err == "error: no permission\n" * 2
    assert opened == []


def test_another_process_may_hold_the_lease_meanwhile(sandbox, store, opened, monkeypatch):
    """A lease that is taken shows that the store can be used, and the sign-in goes on."""
    trials = []

    async def refuse(key, **options):
        trials.append(key)

    acquire = store.acquire
    monkeypatch.setattr(
        store, "acquire", lambda *a, **k: (refuse if not trials else acquire)(*a, **k)
    )

    assert cli.run(["login"]) == 0
    assert trials


def test_a_store_that_keeps_nothing_is_an_error(sandbox, store, opened, monkeypatch, capsys):
    """A sign-in whose tokens were not stored is no success."""

    async def fail(*arguments, **keywords):
        raise PermissionError("secret path")

    monkeypatch.setattr(store, "save", fail)

    assert cli.run(["login"]) == 6
    said = capsys.readouterr()
    assert "has not kept the tokens: PermissionError" in said.err
    assert "Signed in" not in said.out


def test_what_cannot_be_read_in_the_store_is_replaced(sandbox, opened, monkeypatch, tmp_path):
    """An entry that cannot be read is replaced by a new sign-in."""
    monkeypatch.setattr(open_tokens, "default_store", lambda: aa.FileTokenStore(tmp_path))
    assert cli.run(["login"]) == 0
    (file,) = tmp_path.glob("*.token")
    file.write_text("nonsense")

    assert cli.run(["login"]) == 0
    assert cli.run(["whoami"]) == 0


def test_without_the_extra_there_is_no_store(sandbox, monkeypatch, capsys):
    """A missing extra is reported before the sign-in, with what to install."""
    monkeypatch.setitem(sys.modules, "filelock", None)

    assert cli.run(["login"]) == 3
    assert 'pip install "aritma-auth[file]"' in capsys.readouterr().err


@pytest.mark.parametrize("way", ["--no-browser", "--device"])
def test_a_sign_in_that_could_not_be_verified_is_not_begun(
    sandbox, store, monkeypatch, capsys, way
):
    """Without the extra `oidc` no sign-in begins, since its ID token could not be verified."""
    monkeypatch.setitem(sys.modules, "joserfc", None)

    assert cli.run(["login", way]) == 3
    said = capsys.readouterr().err
    assert said.startswith("error: joserfc must be installed: pip install")
    assert "connect/authorize" not in said


def test_the_tokens_are_kept_in_private_files(sandbox, opened, monkeypatch, tmp_path, capsys):
    """The tokens are in a file of the state folder that only its owner can read."""
    monkeypatch.setattr("platformdirs.user_state_path", lambda *_, **__: tmp_path / "state")

    assert cli.run(["login"]) == 0
    (file,) = (tmp_path / "state").glob("*.token")
    if os.name == "posix":
        assert file.stat().st_mode & 0o777 == 0o600
    assert cli.run(["whoami"]) == 0
    assert '"sub": "user-alice"' in capsys.readouterr().out
    assert cli.run(["logout"]) == 0
    assert b'"token":null' in file.read_bytes()

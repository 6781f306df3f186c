"""Tests of `aritma-auth call`."""

import asyncio
import io
import json
import os
import sys
from types import SimpleNamespace

import attrs
import pytest

import aritma_auth as aa
from aritma_auth import cli, environment
from aritma_auth.cli import open_tokens
from aritma_auth.cli.exit_codes import ExitCode
from aritma_auth.cli.json_text import format_json, parse_json
from aritma_auth.configuration import registration
from aritma_auth.sandbox import SandboxClient
from support.apart import sandbox_apart
from support.tls import Authority


@pytest.fixture
def settings(running, monkeypatch):
    """Give the settings of the sandbox's service."""
    monkeypatch.setenv("ARITMA_CLIENT_ID", "sandbox-service")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "sandbox-secret")
    monkeypatch.setenv("ARITMA_ENVIRONMENT", running.identity_url)
    running.token_requests.clear()
    return running


@pytest.fixture
def call(settings, capsys):
    """Run the command against the sandbox's Banking APIs."""

    def run(*arguments):
        code = cli.run(["call", *arguments, "--base-url", settings.banking_url])
        return code, *capsys.readouterr()

    return run


def test_a_path_is_called_with_a_token(call, settings):
    """A path below the base URL is enough, and the response is indented JSON."""
    code, out, err = call("get", "api/accounts")

    assert (code, err) == (ExitCode.DONE, "")
    assert out.startswith('{\n  "accounts": [\n    {\n      "id": "account-1",\n')
    assert len(settings.token_requests) == 1


def test_a_url_is_called_with_a_token(settings, capsys):
    """A whole URL is called too, if it is named as one that may have the token."""
    url = f"{settings.banking_url}api/v3/accounts/42"
    assert cli.run(["call", "GET", url, "--trust-origin"]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)[0]["CompanyId"] == "42"


@pytest.mark.parametrize("with_base_url", [False, True])
def test_where_no_api_is_listed_only_the_base_url_has_the_token(
    settings, server, monkeypatch, capsys, with_base_url
):
    """A mistyped address gets no token, also at an issuer of one's own."""
    if with_base_url:
        monkeypatch.setenv("ARITMA_BASE_URL", settings.banking_url)

    assert cli.run(["call", "GET", f"{server.url}/x"]) == ExitCode.USAGE
    assert server.headers is None
    assert "--trust-origin" in capsys.readouterr().err


def test_the_base_url_may_be_a_setting(settings, monkeypatch, capsys):
    """The variable ARITMA_BASE_URL takes the place of the option."""
    monkeypatch.setenv("ARITMA_BASE_URL", settings.banking_url)

    assert cli.run(["call", "GET", "/api/accounts"]) == ExitCode.DONE


@pytest.mark.parametrize("way", ["text", "file", "-", "@-"])
def test_a_body_comes_from_the_line_a_file_or_standard_input(call, monkeypatch, tmp_path, way):
    """A body is sent as it is, wherever it comes from."""
    body = b'{"amount": 1.10}'
    (tmp_path / "body.json").write_bytes(body)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(body)))
    data = {"text": body.decode(), "file": f"@{tmp_path / 'body.json'}"}.get(way, way)

    code, out, _ = call("POST", "api/v3/uploads", "--data", data)
    assert code == ExitCode.DONE
    assert json.loads(out) == {"received": len(body)}


def test_the_object_has_status_headers_and_body(call):
    """--json prints the whole response as one object."""
    code, out, _ = call("GET", "api/accounts", "--json")
    told = json.loads(out)

    assert code == ExitCode.DONE
    assert [*told] == ["status", "headers", "body", "body_base64"]
    assert told["status"] == 200
    assert told["headers"]["x-aritma-sandbox"] == ["stand-in"]
    assert told["body"]["accounts"][0]["id"] == "account-1"


def test_the_object_keeps_every_value_of_a_repeated_header(server, capsys):
    """Two cookies are two values, whatever the spelling of the header's name."""
    server.response_headers = [("Set-Cookie", "a=1"), ("set-cookie", "b=2")]

    assert cli.run(["call", "get", f"{server.url}/x", "--trust-origin", "--json"])
    assert json.loads(capsys.readouterr().out)["headers"]["set-cookie"] == ["a=1", "b=2"]


def test_status_and_headers_are_shown_beside_the_body(call):
    """--include writes them to standard error, so that the body stays JSON."""
    code, out, err = call("GET", "api/accounts", "--include")

    assert code == ExitCode.DONE
    assert err.startswith("200 OK\n")
    assert "X-Aritma-Sandbox: stand-in\n" in err
    assert json.loads(out)


def test_a_body_is_written_to_a_file(call, tmp_path):
    """--output writes the bytes as they came and shows nothing."""
    code, out, _ = call("GET", "api/accounts", "--output", str(tmp_path / "accounts.json"))

    assert (code, out) == (ExitCode.DONE, "")
    assert json.loads((tmp_path / "accounts.json").read_bytes())["accounts"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, ExitCode.REFUSED),
        (404, ExitCode.REFUSED),
        (408, ExitCode.TRY_LATER),
        (429, ExitCode.TRY_LATER),
        (500, ExitCode.TRY_LATER),
        (503, ExitCode.TRY_LATER),
        (302, ExitCode.FAILED),
    ],
)
def test_the_exit_code_is_that_of_the_status(call, settings, status, code):
    """Each class of statuses has its exit code, one line on standard error, and the body."""
    problem = json.dumps({"title": "No luck", "detail": "try \x1b[2J else"}).encode()
    headers = {"Content-Type": "application/problem+json"}
    settings.faults.respond_next(problem, status=status, headers=headers, where="api")
    found, out, err = call("GET", "api/accounts")

    assert found == code
    assert json.loads(out)["title"] == "No luck"
    assert err.startswith("error: ")
    assert str(status) in err
    assert err.count("\n") == 1
    settings.faults.respond_next(problem, status=status, headers=headers, where="api")
    found, out, err = call("GET", "api/accounts", "--json")
    assert (found, err, json.loads(out)["status"]) == (code, "", status)


def test_further_headers_are_sent(server, capsys):
    """Each --header is sent, beside the token and the types of the bodies."""
    options = ["--trust-origin", "--header", "Idempotency-Key: 42", "--header", "accept: text/csv"]
    body = ["--data", "a;b", "--content-type", "text/csv"]

    assert cli.run(["call", "put", f"{server.url}/x", *options, *body]) == ExitCode.REFUSED
    assert server.headers["Idempotency-Key"] == "42"
    assert server.headers.getall("Accept") == ["text/csv"]
    assert server.headers["Content-Type"] == "text/csv"
    assert server.headers["Authorization"] == "Bearer the-token"


def test_a_redirect_is_shown_and_not_followed(call, settings):
    """A redirect ends the command with code 1: its address is another request to decide about."""
    code, _, err = call("GET", f"redirect?to={settings.banking_url}api/accounts")

    assert code == ExitCode.FAILED
    assert (
        err == f"error: 302 redirects to {settings.banking_url}api/accounts; it was not followed\n"
    )


def test_where_a_redirect_leads_is_said_whatever_the_spelling(server, capsys):
    """Names of headers have no case (RFC 9110 §5.1)."""
    server.response_status, server.response_headers = 303, [("location", "/elsewhere")]

    assert cli.run(["call", "get", f"{server.url}/x", "--trust-origin"]) == ExitCode.FAILED
    assert "error: 303 redirects to /elsewhere; it was not followed\n" in capsys.readouterr().err


def test_a_problem_without_title_has_the_reason(call, settings):
    """An error page of a gateway is shown as text, with the status in words."""
    settings.faults.fail_next(503, where="api")
    code, out, err = call("GET", "api/accounts")

    assert code == ExitCode.TRY_LATER
    assert err == "error: 503 Service Unavailable\n"
    assert out


@pytest.mark.parametrize("host", ["http://127.0.0.1:1", "https://bank.invalid"])
def test_an_api_that_is_not_there_is_about_its_url(call, host):
    """The token came, so the environment is right, and the hint is about the address."""
    code, _, err = call("GET", f"{host}/api/accounts", "--trust-origin")

    assert code == ExitCode.TRY_LATER
    assert "(is the URL right?)" in err
    assert "environment" not in err


@pytest.mark.parametrize("body", [b"\xff\x00", b""], ids=["binary", "empty"])
def test_a_body_that_is_no_text(call, settings, body):
    """Binary is not written to the terminal; --json has it in base64."""
    for options in ([], ["--json"]):
        settings.faults.respond_next(body, status=200, where="api")
        code, out, err = call("GET", "api/accounts", *options)
        assert code == ExitCode.DONE
        if options:
            told = json.loads(out)
            assert (told["body"], told["body_base64"]) == (
                ("", None) if not body else (None, "/wA=")
            )
        else:
            assert out == ""
            assert ("--output FILE" in err) is bool(body)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--api", "nonsense"], "--api must be one of bankservice, "),
        (["--api", "banking"], "--api and --base-url exclude each other"),
        (["--header", "Authorization: Bearer x"], "--header must not be Authorization"),
        (["--header", "cookie: x"], "--header must not be cookie"),
        (["--header", "nonsense"], "--header must be a name, a colon and a value"),
        (["--header", "X: a\nb"], "--header X must have a printable value"),
        (["--timeout", "0"], "must be a number of seconds"),
    ],
)
def test_a_command_line_that_is_not_usable_sends_nothing(call, settings, arguments, problem):
    """Options are checked before a token is requested."""
    code, _, err = call("GET", "api/accounts", *arguments)

    assert code == ExitCode.USAGE
    assert problem in err
    assert settings.token_requests == []


def test_a_path_does_not_leave_the_api(call, settings):
    """Dot segments that would leave the base URL's path are refused."""
    code = cli.run(["call", "GET", "../../secret", "--base-url", f"{settings.banking_url}api/v3/"])
    assert code == ExitCode.USAGE


@pytest.fixture
def development(settings, monkeypatch):
    """Let the sandbox stand in for Aritma's development environment, APIs included."""
    listed = aa.Environment.at(
        settings.identity_url, api_origins=[settings.banking_url], name="development"
    )
    apis = {
        n: attrs.evolve(a, development=f"{settings.banking_url}api") for n, a in aa.APIS.items()
    }
    apis["commerce"] = aa.APIS["commerce"]
    monkeypatch.setattr(environment, "DEVELOPMENT", listed)
    monkeypatch.setattr(environment, "APIS", apis)
    monkeypatch.setenv("ARITMA_ENVIRONMENT", "development")
    return settings


@pytest.fixture
def scopes(monkeypatch):
    """Give the scopes that the command asks for."""
    asked = []

    def note(scope):
        asked.append(scope)
        return aa.ClientCredentialsGrant(scope)

    monkeypatch.setattr(open_tokens, "ClientCredentialsGrant", note)
    monkeypatch.setattr(registration, "ClientCredentialsGrant", lambda scope, **_: note(scope))
    return asked


@pytest.mark.parametrize(
    ("options", "scope"),
    [
        ([], "bankservice"),
        (["--api", "banking"], "api"),
        (["--api", "banking", "--scope", "bankservice api"], "bankservice api"),
    ],
    ids=str,
)
def test_an_api_is_found_by_name(development, scopes, capsys, options, scope):
    """--api sets the base URL of the environment and the scope; bankservice is the default."""
    assert cli.run(["call", "GET", "accounts", *options]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["accounts"]
    assert scopes == [scope]


def test_the_scope_may_be_a_setting(development, scopes, monkeypatch, capsys):
    """Without --api the scope is that of ARITMA_SCOPE."""
    monkeypatch.setenv("ARITMA_SCOPE", "api")

    assert cli.run(["call", "GET", "accounts"]) == ExitCode.DONE
    assert scopes == ["api"]


def test_a_registration_of_a_file_has_the_settings(settings, monkeypatch, tmp_path, capsys):
    """--registration reads a TOML file instead of variables; the secret stays in a variable."""
    for name in ("ARITMA_CLIENT_ID", "ARITMA_CLIENT_SECRET", "ARITMA_ENVIRONMENT"):
        monkeypatch.delenv(name)
    (tmp_path / "aritma.toml").write_text(
        '[registrations.bank]\nclient_id = "sandbox-service"\n'
        f'client_secret_variable = "BANK_SECRET"\nissuer = "{settings.identity_url}"\n'
        f'base_url = "{settings.banking_url}"\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BANK_SECRET", "sandbox-secret")

    assert cli.run(["call", "GET", "api/accounts", "--registration", "bank"]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["accounts"]
    assert cli.run(["doctor", "--registration", "bank", "--request-token"]) == ExitCode.DONE
    program = "import os; assert 'BANK_SECRET' not in os.environ"
    command = ["exec", "--registration", "bank", "--", sys.executable, "-c", program]
    assert cli.run(command) == ExitCode.DONE
    assert cli.run(["doctor", settings.identity_url, "--registration", "x"]) == ExitCode.FAILED
    assert cli.run(["token", "--registration", ""]) == ExitCode.USAGE
    assert cli.run(["token", "--registration", "x"]) == ExitCode.CONFIGURATION


def test_a_token_that_is_bound_to_the_certificate_goes_with_it(monkeypatch, tmp_path, capsys):
    """Settings alone are enough: the API is shown the certificate of the token request."""
    authority = Authority(tmp_path)
    cert_file, key_file = authority.issue()
    tls = authority.server()
    with sandbox_apart(server_version="fapi", ssl_context=tls) as sandbox:
        sandbox.add_client(SandboxClient(client_id="payments", certificate_name="payments.example"))
        for name, value in (
            ("SSL_CERT_FILE", authority.ca_file),
            ("ARITMA_CLIENT_ID", "payments"),
            ("ARITMA_CERTIFICATE_FILE", cert_file),
            ("ARITMA_CERTIFICATE_KEY_FILE", key_file),
            ("ARITMA_ISSUER", sandbox.identity_url),
            ("ARITMA_BASE_URL", sandbox.banking_url),
            ("ARITMA_SCOPE", "bankservice"),
        ):
            monkeypatch.setenv(name, str(value))
        assert cli.run(["call", "GET", "api/v3/accounts/42"]) == ExitCode.DONE
        token = sandbox.token_requests[-1]

    assert json.loads(capsys.readouterr().out)[0]["CompanyId"] == "42"
    assert token.error is None


def test_a_path_at_another_issuer_wants_a_base_url(sandbox, monkeypatch, capsys):
    """Only Aritma's own environments know where its APIs are."""
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "s")
    assert cli.run(["call", "GET", "api/v3/accounts/42"]) == ExitCode.USAGE
    assert "give the whole URL, --base-url or ARITMA_BASE_URL" in capsys.readouterr().err
    assert sandbox.token_requests == []


def test_an_api_without_an_address_is_named(development, capsys):
    """An API whose address is not published is named before anything is sent."""
    assert cli.run(["call", "GET", "x", "--api", "commerce"]) == ExitCode.CONFIGURATION
    assert "and commerce is not: give its URL" in capsys.readouterr().err
    assert development.token_requests == []


def test_a_token_goes_to_listed_origins_only(development, capsys):
    """A URL that the environment does not list gets no token, unless the user says so."""
    url = f"{development.banking_url}api/accounts".replace("127.0.0.1", "localhost")
    assert cli.run(["call", "GET", url]) == ExitCode.USAGE
    assert "--trust-origin" in capsys.readouterr().err
    assert development.token_requests == []

    assert cli.run(["call", "GET", url, "--trust-origin"]) == ExitCode.DONE


@pytest.mark.parametrize("url", ["http://elsewhere.example/", "ftp://x.example/", "https://a:b@c/"])
def test_an_address_is_secure(settings, capsys, url):
    """A token goes over https, or to loopback."""
    assert cli.run(["call", "GET", url]) == ExitCode.CONFIGURATION


@pytest.mark.parametrize(("fault", "timeout"), [("hang_next", "1"), ("truncate_next", "30")])
def test_a_lost_response_is_one_line(call, settings, fault, timeout):
    """No response is one line without a token in it, and worth another try."""
    getattr(settings.faults, fault)(where="api")
    code, out, err = call("GET", "api/accounts", "--timeout", timeout)

    assert (code, out) == (ExitCode.TRY_LATER, "")
    assert err.count("\n") == 1
    assert "eyJ" not in err


def test_a_response_has_a_limit(call, settings):
    """An endless response ends the command."""
    settings.faults.flood_next(where="api")
    code, _, err = call("GET", "api/accounts")

    assert code == ExitCode.TRY_LATER
    assert "longer than" in err


def test_a_stronger_sign_in_is_asked_for(call):
    """A step-up challenge ends the command with code 5, and says how to sign in."""
    code, _, err = call("GET", "api/step-up?acr_values=mfa")

    assert code == ExitCode.SIGN_IN
    assert "(aritma-auth login --acr mfa)" in err


def test_a_missing_file_is_an_error(call):
    """A body that cannot be read is one line."""
    code, _, err = call("POST", "api/v3/uploads", "--data", f"@{os.sep}nowhere")

    assert code == ExitCode.FAILED
    assert err == f"error: No such file or directory: {os.sep}nowhere\n"


def test_standard_input_is_read_while_no_loop_runs(call, monkeypatch):
    """Ctrl-C ends the command while the body is typed: a loop would catch it, and wait."""

    class Typed:
        def read(self):
            with pytest.raises(RuntimeError, match="no running event loop"):
                asyncio.get_running_loop()
            return b"{}"

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Typed(), isatty=lambda: True))
    code, _, _ = call("POST", "api/v3/uploads", "--data", "-")

    assert code in {ExitCode.DONE, ExitCode.REFUSED}


@pytest.mark.parametrize("method", ["GET X", "", "G\u00c9T", "GET\r\nX: 1"])
def test_a_method_must_be_one(call, settings, method):
    """Nothing is requested: neither a token nor the resource."""
    code, _, err = call(method, "api/accounts")

    assert code == ExitCode.USAGE
    assert "METHOD must be an HTTP method, such as GET" in err
    assert settings.token_requests == []


@pytest.mark.parametrize(
    "text",
    [
        '{\n  "amount": 1.10,\n  "big": 12345678901234567890.5,\n  "e": 1E400\n}',
        '[\n  {},\n  [],\n  null,\n  "\\u00e5"\n]',
    ],
)
def test_numbers_stay_as_they_were_written(text):
    """An amount is not rounded by being shown."""
    assert format_json(parse_json(text.encode())) == text


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"\xff", b"[" * 5000 + b"]" * 5000, b"[" * 150 + b"]" * 150, b"NaN"]
)
def test_what_is_no_json_is_shown_as_it_came(body):
    """Text that is no JSON, or is nested too deeply, is not parsed."""
    assert parse_json(body) is None

"""Tests of `aritma-auth inspect`."""

import base64
import getpass
import io
import json
import subprocess
import sys
import time

import pytest

from aritma_auth import cli
from aritma_auth.cli.exit_codes import ExitCode
from aritma_auth.cli.times import format_duration, format_moment
from aritma_auth.runtime.clock import SYSTEM_CLOCK

NOW = 1_764_370_000.0
CLAIMS = {
    "jti": "1F2A",
    "iss": "https://id.aritma.io",
    "client_id": "my-service",
    "scope": ["bankservice", "api"],
    "iat": NOW - 300,
    "exp": NOW + 3300,
    "cnf": {"jkt": "0ZcO"},
}
GOLDEN_WIDE = """\
JWT (RS256 at+jwt), not verified
issuer          https://id.aritma.io
client          my-service
scope           bankservice api
bound to a key  {"jkt": "0ZcO"}
issued          2025-11-28 23:41:40+01:00 (5 min ago)
expires         2025-11-29 00:41:40+01:00 (in 55 min)
jti             1F2A
"""
GOLDEN_NARROW = """\
JWT (RS256 at+jwt), not verified
issuer          https://id.aritm
                a.io
client          my-service
scope           bankservice api
bound to a key  {"jkt": "0ZcO"}
issued          2025-11-28
                23:41:40+01:00
                (5 min ago)
expires         2025-11-29
                00:41:40+01:00
                (in 55 min)
jti             1F2A
"""


class Terminal(io.StringIO):
    """A standard input at which a person sits."""

    def isatty(self):
        return True


def encode(members):
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()


def jwt(claims=CLAIMS, header=None):
    header = {"alg": "RS256", "typ": "at+jwt", "kid": "1"} if header is None else header
    return f"{encode(header)}.{encode(claims)}.c2lnbmF0dXJl"


@pytest.fixture
def inspect(monkeypatch, capsys):
    """Run the command with a text on standard input, in Oslo's zone, at a known moment."""
    monkeypatch.setenv("TZ", "Europe/Oslo")
    time.tzset()
    monkeypatch.setattr(SYSTEM_CLOCK, "time", lambda: NOW)

    def run(text, *options):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        code = cli.run(["inspect", *options])
        return code, *capsys.readouterr()

    yield run
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("columns", "golden"), [("100", GOLDEN_WIDE), ("32", GOLDEN_NARROW)], ids=["wide", "narrow"]
)
def test_claims_and_times_are_shown(inspect, monkeypatch, columns, golden):
    """Claims have plain names, times are local ones; the lines fit the terminal."""
    monkeypatch.setenv("COLUMNS", columns)

    code, out, err = inspect(jwt())
    assert (code, err) == (ExitCode.DONE, "")
    assert "".join(f"{line.rstrip()}\n" for line in out.splitlines()) == golden


@pytest.mark.parametrize(
    "text",
    [
        "{}\n",
        "Bearer {}",
        "authorization:  DPoP {}\r\n",
        '{{"access_token": "{}", "token_type": "Bearer"}}',
    ],
)
def test_a_token_is_found_where_it_is_usually_kept(inspect, text):
    """A token is found alone, in a header, and in a token response."""
    code, out, _ = inspect(text.format(jwt()), "--json")

    assert code == ExitCode.DONE
    assert json.loads(out)["claims"]["jti"] == "1F2A"


def test_the_object_has_header_claims_and_times(inspect):
    """--json prints what a program needs, the times in the local zone."""
    assert json.loads(inspect(jwt(), "--json")[1]) == {
        "is_jwt": True,
        "is_expired": False,
        "expires_in": 3300.0,
        "times": {"iat": "2025-11-28T23:41:40+01:00", "exp": "2025-11-29T00:41:40+01:00"},
        "header": {"alg": "RS256", "typ": "at+jwt", "kid": "1"},
        "claims": CLAIMS,
    }


def test_an_expired_token_is_a_problem(inspect):
    """An expired token ends the command with code 1, so that a script sees it."""
    code, out, _ = inspect(jwt({**CLAIMS, "exp": NOW}))

    assert code == ExitCode.FAILED
    assert out.endswith("\nThe token has expired.\n")
    assert inspect(jwt({**CLAIMS, "exp": NOW}), "--json")[0] == ExitCode.FAILED


@pytest.mark.parametrize(
    "token", ["opaque-token", "a.b.c", f"{encode({})}.!.c", f"{encode([])}.{encode({})}.c"]
)
def test_an_opaque_token_is_no_error(inspect, token):
    """A token that is no JWT is opaque: its length is all that is shown."""
    code, out, _ = inspect(token)
    assert code == ExitCode.DONE
    assert out == f"The token is opaque: {len(token)} characters that only its issuer can read.\n"
    told = json.loads(inspect(token, "--json")[1])
    assert (told["is_jwt"], told["claims"], told["expires_in"]) == (False, None, None)


@pytest.mark.parametrize(
    "text",
    ["", "\n", "two tokens", "{}", "{nonsense", '{"access_token": 1}', "a\x00b", "x" * 2**21],
)
def test_anything_else_is_an_error_of_the_usage(inspect, text):
    """Without a token the error says how to give one, and repeats nothing of the text."""
    code, out, err = inspect(text)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err.startswith("error: standard input must hold one token")


def test_the_token_itself_is_never_shown(inspect):
    """Neither the signature nor the encoded claims are in the output."""
    token = jwt({**CLAIMS, "exp": True})
    for options in ([], ["--json"]):
        shown = "".join(map(str, inspect(token, *options)))
        assert not any(part in shown for part in token.split("."))


@pytest.mark.parametrize("moment", [1e300, -1e300, 1e15])
def test_a_moment_beyond_the_calendar_is_no_error(inspect, moment):
    """A time that no calendar has is said to be one, and is left out of the object."""
    assert "no date that this machine can show" in inspect(jwt({"nbf": moment}))[1]
    assert json.loads(inspect(jwt({"nbf": moment}), "--json")[1])["times"] == {}


def test_hostile_claims_cannot_steer_the_terminal(inspect):
    """Names and values of claims are shown without control characters."""
    hostile = "\x1b[2J\u202eevil"
    _, out, _ = inspect(jwt({hostile: hostile, "iss": hostile, "aud": [hostile]}))

    assert all(line.isprintable() for line in out.split("\n"))


@pytest.mark.parametrize("ending", ["\n", "\r", "\r\n", "\x0b", "\x85", "\u2028", "\t"])
def test_no_text_of_a_token_begins_a_line(inspect, ending):
    """A claim could say in a line of its own that the token was verified."""
    hostile = f"x{ending}Verified."
    token = jwt(
        {hostile: hostile, "iss": hostile, "scope": [hostile]}, {"alg": "RS256", "typ": hostile}
    )
    _, out, _ = inspect(token)

    assert out.count("Verified.") == 5
    assert out.count("\n") == 4
    assert not [line for line in out.splitlines() if line.lstrip().startswith("Verified.")]


def test_a_token_is_typed_unseen(inspect, monkeypatch):
    """On a terminal the token is read without echo."""
    monkeypatch.setattr(getpass, "getpass", lambda prompt: jwt())
    monkeypatch.setattr(io, "StringIO", Terminal)

    assert inspect("")[0] == ExitCode.DONE


def test_nothing_is_sent():
    """The command does not even import what could send a request."""
    code = (
        "import sys; from aritma_auth import cli; cli.run(['inspect']);"
        "sys.exit('aiohttp' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], input=jwt(), text=True, check=True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (-61, "1 min 1 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (90_000, "1 d 1 h"),
        (86_401, "1 d"),
    ],
)
def test_durations_are_short(seconds, text):
    """A duration has its two largest units."""
    assert format_duration(seconds) == text


def test_a_moment_has_its_distance():
    """A moment is shown with its distance from now, before and after it."""
    assert format_moment(NOW, now=NOW + 60).endswith(" (1 min ago)")
    assert format_moment(NOW, now=NOW - 60).endswith(" (in 1 min)")

"""Tests of `aritma-auth exec`."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from aritma_auth import cli
from aritma_auth.cli import exec_command, terminal
from aritma_auth.cli.exit_codes import ExitCode
from support.apart import sandbox_apart

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and modes are those of POSIX")


@pytest.fixture
def settings(running, monkeypatch, tmp_path):
    """Give the settings of the sandbox's service, and a place for private files."""
    monkeypatch.setenv("ARITMA_CLIENT_ID", "sandbox-service")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "sandbox-secret")
    monkeypatch.setenv("ARITMA_ENVIRONMENT", running.identity_url)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(exec_command, "_SOON", 0.05)
    running.token_requests.clear()
    return running


@pytest.fixture
def run(settings, capfd):
    """Run a Python program by the command; give the exit code and what both wrote."""

    def run(program, *options):
        code = cli.run(["exec", *options, "--", sys.executable, "-c", textwrap.dedent(program)])
        return code, *capfd.readouterr()

    return run


LOOK = """
import json, os, sys
path = os.environ["ARITMA_TOKEN_FILE"]
print(json.dumps({
    "names": sorted(name for name in os.environ if name.startswith("ARITMA_")),
    "is_same": open(path).read() == os.environ["ARITMA_ACCESS_TOKEN"],
    "is_jwt": os.environ["ARITMA_ACCESS_TOKEN"].startswith("eyJ"),
    "mode": oct(os.stat(path).st_mode & 0o777),
    "folder_mode": oct(os.stat(os.path.dirname(path)).st_mode & 0o777),
    "path": path,
}))
sys.exit(7)
"""


def test_a_program_has_a_token_and_no_secret(run, settings, tmp_path):
    """The token is in the environment and in a private file; the secret is gone."""
    code, out, err = run(LOOK)
    told = json.loads(out)

    assert (code, err) == (7, "")
    assert told["names"] == [
        "ARITMA_ACCESS_TOKEN",
        "ARITMA_CLIENT_ID",
        "ARITMA_ENVIRONMENT",
        "ARITMA_TOKEN_FILE",
    ]
    assert told["is_same"]
    assert told["is_jwt"]
    assert (told["mode"], told["folder_mode"]) == ("0o600", "0o700")
    assert told["path"].startswith(str(tmp_path))
    assert not Path(told["path"]).exists()
    assert len(settings.token_requests) == 1


def test_the_variable_may_have_another_name(run):
    """--variable names the variable that the program reads."""
    code, out, _ = run("import os; print(os.environ['BANK_TOKEN'][:3])", "--variable", "BANK_TOKEN")

    assert (code, out) == (0, "eyJ\n")


def test_without_a_runtime_folder_the_file_is_in_the_temporary_one(run, monkeypatch):
    """A machine without XDG_RUNTIME_DIR has a private folder all the same."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
    code, out, _ = run(LOOK)

    assert code == 7
    assert json.loads(out)["folder_mode"] == "0o700"


REFRESHED = """
import os, signal, sys
path = os.environ["ARITMA_TOKEN_FILE"]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
first = open(path).read()
signal.sigtimedwait([signal.SIGUSR1], 20)
print(open(path).read() != first)
"""


@pytest.fixture
def short_lived(settings, monkeypatch):
    """Give a sandbox whose tokens live for a second."""
    with sandbox_apart(lifetime=1) as sandbox:
        monkeypatch.setenv("ARITMA_ENVIRONMENT", sandbox.identity_url)
        yield sandbox


def test_a_refresh_reaches_the_program(short_lived, run):
    """The file has the new token when the signal arrives."""
    # The signal must be blocked before it can arrive.
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        code, out, err = run(REFRESHED, "--notify", "usr1")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)

    assert (code, out, err) == (0, "True\n", "")


def test_a_refresh_that_fails_is_told(short_lived, run, monkeypatch, tmp_path):
    """The program goes on, and a line says that there is no newer token."""
    short_lived.faults.delay_next(0.0)
    short_lived.faults.fail_next(503, times=50)
    told = tmp_path / "told"

    def show_error(text):
        terminal.show_error(text)
        told.touch()

    monkeypatch.setattr(exec_command, "show_error", show_error)
    code, _, err = run(
        f"""
        import os, time
        deadline = time.monotonic() + 30
        while not os.path.exists({str(told)!r}) and time.monotonic() < deadline:
            time.sleep(0.02)
        """
    )

    assert code == 0
    assert "aritma-auth: the token was not refreshed: the token endpoint responded 503" in err


@pytest.mark.parametrize(
    ("program", "code"),
    [("/nowhere/program", 127), ("nonsense-program", 127), ("/etc/passwd", 126)],
)
def test_a_program_that_cannot_run_is_named(settings, capsys, program, code):
    """As a shell does: 127 if there is none, 126 if it cannot be executed; no token is requested."""
    assert cli.run(["exec", "--", program]) == code
    assert capsys.readouterr().err.startswith(f"error: {program!r} must be a program")
    assert settings.token_requests == []


def test_a_program_that_cannot_run_is_named_to_programs(capsys):
    """With --json the error is an object, as all others are."""
    assert cli.run(["exec", "--json", "--", "/nowhere/program"]) == 127
    told = json.loads(capsys.readouterr().err)
    assert (told["outcome"], told["exit_code"]) == ("usage", 127)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "exec needs a program"),
        (["--notify", "nonsense", "--", "true"], "--notify must be a signal"),
    ],
)
def test_a_command_line_that_is_not_usable(settings, capsys, arguments, problem):
    """Without a program, or with an unknown signal, nothing is requested."""
    assert cli.run(["exec", *arguments]) == ExitCode.USAGE
    assert problem in capsys.readouterr().err
    assert settings.token_requests == []


def test_without_a_token_the_program_does_not_run(settings, monkeypatch, capfd):
    """A refusal ends the command before the program is started."""
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "wrong")

    assert cli.run(["exec", "--json", "--", "echo", "--json"]) == ExitCode.REFUSED
    out, err = capfd.readouterr()
    assert out == ""
    assert json.loads(err)["error"] == "InvalidClientError"


def test_a_program_that_is_killed_has_its_signal_in_the_exit_code(run):
    """As in a shell: 128 and the signal's number."""
    code, _, _ = run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")

    assert code == 128 + signal.SIGKILL


STOPPED = """
import os, signal, sys
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda *_: sys.exit(9))
print("ready", flush=True)
signal.pause()
"""


def start(program, stdin=subprocess.DEVNULL, **options):
    """Start a Python program by the command, in a session of its own; wait until it is ready."""
    process = subprocess.Popen(
        [*(sys.executable, "-m", "aritma_auth", "exec", "--"), *(sys.executable, "-c", program)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONDEVMODE": ""},
        **options,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_the_program(settings, tmp_path, number):
    """A request to end is the program's to follow; its file is deleted all the same."""
    process = start(STOPPED)
    process.send_signal(number)
    process.communicate(timeout=50)

    assert process.returncode == 9
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_terminals_signals_are_the_programs_own(settings, tmp_path, number):
    """A terminal sends them to both: the command waits for what the program makes of it."""
    ours, theirs = os.openpty()
    try:
        process = start(STOPPED, theirs)
        os.killpg(process.pid, number)
        process.communicate(timeout=50)
    finally:
        os.close(ours)
        os.close(theirs)

    assert process.returncode == 9
    assert [*tmp_path.iterdir()] == []


def test_nohup_is_obeyed(settings, monkeypatch):
    """A command that ignores the end of its terminal still does, and so does its program."""
    program = """
import os, signal, sys
print("ready", flush=True)
signal.sigwait([signal.SIGTERM])
"""
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start(f"import signal; signal.pthread_sigmask(0, [15])\n{program}")
    finally:
        signal.signal(signal.SIGHUP, previous)
    os.killpg(process.pid, signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=50)

    assert process.returncode == 0

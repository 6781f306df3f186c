"""Tests of Secret and of the sources that it loads from."""

import asyncio
import copy
import os
import pickle
import re
import subprocess
import sys

import pytest

from aritma_auth.errors import ConfigurationError
from aritma_auth.secret import Secret


async def test_a_value_is_given_back():
    """A secret that was given as text loads as that text."""
    assert (await Secret("s3cr3t").load()).text == "s3cr3t"


async def test_an_environment_variable_is_read_each_time(monkeypatch):
    """A changed variable counts at the next load."""
    secret = Secret.from_env("MY_SECRET")
    monkeypatch.setenv("MY_SECRET", "one")
    first = await secret.load()
    monkeypatch.setenv("MY_SECRET", "two")

    assert first.text == "one"
    assert (await secret.load()).text == "two"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
async def test_a_file_is_read_without_the_newlines_at_its_end(tmp_path, ending):
    """Mounted secrets often end in one or two newlines."""
    file = tmp_path / "secret"
    file.write_bytes(f" s3cr3t{ending}".encode())

    assert (await Secret.from_file(file).load()).text == " s3cr3t"


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"", b"\n", b"a\nb", b"x" * 70_000])
async def test_a_bad_file_is_named(tmp_path, content):
    """A file that is missing, unreadable, empty or has control characters is refused."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigurationError, match="secret"):
        await Secret.from_file(file).load()


async def test_callables_may_be_plain_or_async():
    """Both kinds of callable are called at each load."""
    given = iter(["one", "two"])

    async def source():
        return next(given)

    plain, asynchronous = Secret.from_callable(lambda: "plain"), Secret.from_callable(source)

    assert (await plain.load()).text == "plain"
    assert (await asynchronous.load()).text == "one"
    assert (await asynchronous.load()).text == "two"


async def test_a_failing_callable_is_told_by_its_errors_name(canary):
    """The callable's exception may hold the secret, so the error names only its class."""

    def source():
        raise RuntimeError(canary.text)

    with pytest.raises(ConfigurationError, match="RuntimeError") as caught:
        await Secret.from_callable(source).load()

    canary.assert_hidden(caught.value)
    assert caught.value.__context__ is None


async def test_a_callables_own_configuration_error_passes():
    """A ConfigurationError of the callable has better advice than ours."""

    def source():
        raise ConfigurationError("log in to the vault first")

    with pytest.raises(ConfigurationError, match="log in to the vault"):
        await Secret.from_callable(source).load()


@pytest.mark.parametrize("value", [None, "", 5])
async def test_a_callable_that_gives_no_text_is_refused(value):
    """A callable must return a text that is not empty."""
    with pytest.raises(ConfigurationError, match=r"hold.* secret"):
        await Secret.from_callable(lambda: value).load()


async def test_an_unset_variable_is_named():
    """The error names the variable to set."""
    with pytest.raises(ConfigurationError, match="ARITMA_UNSET"):
        await Secret.from_env("ARITMA_UNSET").load()


@pytest.mark.parametrize("value", ["", "a\nb", "a\x00"])
def test_a_bad_value_is_refused_at_once(value):
    """A malformed value is refused at construction, before the first request."""
    with pytest.raises(ConfigurationError):
        Secret(value)


def test_a_secret_never_shows(canary):
    """Neither the repr nor a copy shows a secret, and it cannot be pickled."""
    secret = Secret(canary.text)

    canary.assert_hidden(secret)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


@pytest.mark.parametrize("content", ["CANARY\nCANARY\n", "CANARY\x00", "CANARY\r\n\t\r\n"])
@pytest.mark.parametrize("way", ["file", "variable", "plain", "async", "value"])
async def test_a_secret_that_is_refused_shows_in_no_frame(
    tmp_path, monkeypatch, canary, content, way
):
    """An error reporter shows the locals of every frame between the caller and the refusal."""
    text = content.replace("CANARY", canary.text)

    async def give():
        return text

    def make():
        if way == "file":
            (tmp_path / "secret").write_bytes(text.encode())
            return Secret.from_file(tmp_path / "secret")
        if way == "value":
            return Secret(text)
        return Secret.from_callable(give if way == "async" else lambda: text)

    if way == "variable":
        if "\0" in text:
            return
        monkeypatch.setenv("MY_SECRET", text)
        make = lambda: Secret.from_env("MY_SECRET")  # noqa: E731 - one of the ways
    with pytest.raises(ConfigurationError, match="control characters") as caught:
        await make().load()

    canary.assert_hidden(caught.value)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_failing_callable_is_told_by_its_place(is_async):
    """The error names module, line and function of the callable and of what raised below it."""

    def look_up(name):
        return {}[name]

    async def load():
        return look_up("client")

    source = load if is_async else lambda: look_up("client")
    with pytest.raises(ConfigurationError) as caught:
        await Secret.from_callable(source).load()

    outer = "load" if is_async else "<lambda>"
    assert re.fullmatch(
        r"the secret's callable failed \(KeyError, test_secret\.py:\d+ in "
        rf"{outer}, test_secret\.py:\d+ in look_up\)",
        str(caught.value),
    )


async def test_a_callable_that_cannot_be_called_so_is_told_too():
    """A callable that raises before its own code has no frame that the error could name."""
    with pytest.raises(ConfigurationError, match=r"without arguments: it must take 0 arguments$"):
        Secret.from_callable(lambda name: name)
    with pytest.raises(ConfigurationError, match=r"failed \(TypeError\)"):
        await Secret.from_callable(iter).load()


async def test_a_callable_that_awaits_a_cancelled_task_has_failed():
    """The callable's CancelledError is a failure, since its caller was not cancelled."""

    async def source():
        task = asyncio.ensure_future(asyncio.sleep(10))
        task.cancel()
        await task

    with pytest.raises(ConfigurationError, match="CancelledError"):
        await Secret.from_callable(source).load()


async def test_a_cancelled_load_is_cancelled():
    """The caller's own cancellation passes through the callable."""
    begun = asyncio.Event()

    async def source():
        begun.set()
        await asyncio.sleep(10)

    loading = asyncio.ensure_future(Secret.from_callable(source).load())
    await begun.wait()
    loading.cancel()
    await asyncio.wait([loading])

    assert loading.cancelled()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Secret(None), "hold a secret's text; it holds nothing"),
        (lambda: Secret(b"hunter2"), "hold a secret's text; it holds a value of type bytes"),
        (lambda: Secret.from_env(None), "name must be the name of an environment variable"),
        (lambda: Secret.from_env(""), "name must be the name of an environment variable"),
        (lambda: Secret.from_file(5), "path must be the path of a file; it is of type int"),
        (lambda: Secret.from_callable("x"), "source must be a function .* of type str"),
    ],
)
def test_what_no_secret_can_come_from_is_refused_at_once(make, message):
    """The error says what must be given, and never shows a value."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        make()

    assert "hunter2" not in str(caught.value)


def command(code):
    return [sys.executable, "-S", "-c", code]


async def test_a_command_prints_the_secret():
    """Newlines at its end are left out, and no shell reads its words."""
    secret = Secret.from_command(command("print('s3 $HOME\\r')"))

    assert (await secret.load()).text == "s3 $HOME"
    assert repr(secret) == f"<Secret from the command {sys.executable}>"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("raise SystemExit(3)", "ended with status 3"),
        ("import os; os.kill(os.getpid(), 9)", "killed, after 10 seconds or by a signal"),
        ("print('x' * (1 << 17))", "printed more than 65536 bytes"),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", "printed no UTF-8"),
        ("pass", "must hold a secret: it is empty"),
        ("print('CANARY\\0')", "control characters"),
    ],
)
async def test_a_command_that_gives_no_secret_is_told(code, problem, canary):
    """The error names the program, and neither its arguments nor what it printed."""
    words = command(code.replace("CANARY", canary.text))
    with pytest.raises(ConfigurationError, match=problem) as caught:
        await Secret.from_command(words).load()

    assert f"the command {sys.executable}" in str(caught.value)
    assert code not in str(caught.value)
    assert canary.text not in repr(caught.value)


@pytest.mark.parametrize("is_terminal", [True, False])
async def test_what_a_command_complains_of_is_for_a_terminal_alone(monkeypatch, capfd, is_terminal):
    """A human may have to touch a key; a log is no place for what may hold the secret."""
    monkeypatch.setattr(os, "isatty", lambda _file: is_terminal)
    code = "import sys; print('touch your key', file=sys.stderr); raise SystemExit(1)"
    with pytest.raises(ConfigurationError, match="status 1: run it by hand to see why"):
        await Secret.from_command(command(code)).load()

    assert ("touch your key" in capfd.readouterr().err) is is_terminal


@pytest.mark.parametrize(
    ("text", "is_key"),
    [
        ('\n{\r\n\t"kty": "EC"\n}', True),
        ("Bag Attributes\n  friendlyName: x\n-----BEGIN PRIVATE KEY-----\nAAAA\n", True),
        ("-----BEGIN PRIVATE KEY-----\0", False),
        ('{"kty": "\x1b[2J"}', False),
        ("two\nlines", False),
    ],
)
async def test_a_key_has_lines_and_a_secret_has_none(text, is_key):
    """No other control character is part of either."""
    load = Secret.from_callable(lambda: text).load
    if is_key:
        assert (await load()).text == text
    else:
        with pytest.raises(ConfigurationError, match="control characters"):
            await load()


async def test_a_secret_has_a_length():
    """What a callable gives is no longer than what a file may hold."""
    with pytest.raises(ConfigurationError, match=r"at most 65536 characters; it has 65537"):
        await Secret.from_callable(lambda: "x" * 65_537).load()


@pytest.mark.parametrize("name", ["", "A=B", "A\0B", "\ud800"])
def test_a_name_that_no_variable_has_is_refused(name):
    """The operating system would refuse it only when the secret is needed."""
    with pytest.raises(ConfigurationError, match="name must be the name of an environment"):
        Secret.from_env(name)


async def test_a_command_that_is_not_there_is_told():
    """The class of the operating system's error is enough."""
    with pytest.raises(ConfigurationError, match=r"/none gave no secret \(FileNotFoundError"):
        await Secret.from_command(["/none"]).load()


@pytest.mark.parametrize("has_groups", [True, False])
async def test_a_command_that_hangs_is_killed(monkeypatch, has_groups):
    """What it has started is killed with it, where the system has process groups."""
    if not has_groups:
        monkeypatch.delattr(os, "killpg")
    with pytest.raises(ConfigurationError, match=r"killed, after 0\.2 seconds"):
        await Secret.from_command(command("import time; time.sleep(60)"), timeout=0.2).load()


async def test_a_daemon_that_holds_the_output_keeps_nobody_waiting(tmp_path):
    """What left the command's group is not killed, and not waited for."""
    # Quick, since the command must end before its time-out, however busy the machine is.
    code = (
        "import os, sys; "
        "daemon = os.fork() or (os.setsid(), os.execvp('sleep', ['sleep', '60'])); "
        "print(daemon, file=open(sys.argv[1], 'w'), flush=True)"
    )
    pid = tmp_path / "pid"
    async with asyncio.timeout(20):
        with pytest.raises(ConfigurationError, match=r"kept its output open for 1 seconds"):
            await Secret.from_command([*command(code), str(pid)], timeout=1).load()
    os.kill(int(pid.read_text()), 9)


async def test_a_command_that_closes_its_output_is_killed_too():
    """The end of its output is not the end of the command."""
    code = "import os, time; os.close(1); time.sleep(60)"
    with pytest.raises(ConfigurationError, match=r"killed, after 0\.5 seconds"):
        await Secret.from_command(command(code), timeout=0.5).load()


async def test_a_command_that_cannot_be_killed_is_left(monkeypatch):
    """A program of another user, such as sudo, keeps no worker waiting."""
    started, start, kill = [], subprocess.Popen, os.killpg

    def remember(*words, **settings):
        started.append(start(*words, **settings))
        return started[-1]

    def refuse(_group, _signal):
        raise PermissionError

    monkeypatch.setattr(os, "killpg", refuse)
    monkeypatch.setattr(subprocess, "Popen", remember)
    with pytest.raises(ConfigurationError, match=r"could not be killed after 0\.1 seconds"):
        await Secret.from_command(["sleep", "60"], timeout=0.1).load()
    kill(started[0].pid, 9)
    await asyncio.to_thread(started[0].wait)


def test_a_command_has_no_nul():
    """The operating system takes no such word."""
    with pytest.raises(ConfigurationError, match="command must have no NUL"):
        Secret.from_command(["a\0b"])


async def test_a_command_that_has_just_ended_is_not_killed(monkeypatch):
    """A process that is gone in the moment of the kill is no error."""

    def gone(_group, _signal):
        raise ProcessLookupError

    monkeypatch.setattr(os, "killpg", gone)
    with pytest.raises(ConfigurationError, match="printed more than"):
        await Secret.from_command(command("print('x' * (1 << 17))")).load()


@pytest.mark.parametrize("words", ["pass show", b"pass", [], None, 5, ["pass", 5]])
def test_a_command_is_a_list_of_words(words):
    """A line for a shell is refused: a shell would read more into it than was meant."""
    with pytest.raises(ConfigurationError, match="command must be a list of texts"):
        Secret.from_command(words)


def test_a_commands_time_is_a_number():
    """A command without a bound could keep every token request waiting."""
    with pytest.raises(ConfigurationError, match="timeout"):
        Secret.from_command(["pass"], timeout=0)

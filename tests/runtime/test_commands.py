"""Commands of the operating system: in time, and without a trace, whatever they leave behind."""

import os
import subprocess
import sys
import threading
import time

import pytest

from aritma_auth.runtime.commands import CommandError, run_command


@pytest.fixture
def started(monkeypatch):
    """Give the processes that were started."""
    started, start = [], subprocess.Popen

    def remember(*words, **settings):
        started.append(start(*words, **settings))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", remember)
    yield started
    for process in started:
        process.wait(30)


def run(command, timeout=30.0, **settings):
    return run_command(command, timeout=timeout, limit=100, hide=bytes, **settings)


def wait_for_threads():
    for thread in threading.enumerate():
        if thread.name == "aritma-auth command":
            thread.join(30)


def test_a_command_gets_its_input_and_gives_its_output(started):
    """Both go through pipes, and the command has been waited for."""
    assert run(["cat"], given=b"one") == b"one"
    assert run(["cat"]) == b""
    assert [process.returncode for process in started] == [0, 0]


@pytest.mark.parametrize("has_groups", [True, False])
def test_a_daemon_that_holds_the_pipe_keeps_nobody_waiting(
    started, has_groups, monkeypatch, tmp_path
):
    """Neither what left the command's group nor a system without groups exceeds the time-out."""
    if not has_groups:
        monkeypatch.delattr(os, "killpg")
    # The daemon would outlive its command by far longer than the test waits.
    code = (
        "import subprocess, sys, time; "
        "daemon = subprocess.Popen(['sleep', '60'], start_new_session=True); "
        "print(daemon.pid, file=open(sys.argv[1], 'w'), flush=True); time.sleep(60)"
    )
    pid = tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(CommandError, match=r"killed, after 0\.5 seconds"):
        run([sys.executable, "-S", "-c", code, pid], timeout=0.5)
    took = time.monotonic() - began
    # A busy machine may have killed the command before it had begun.
    if pid.exists() and (daemon := pid.read_text()):
        os.kill(int(daemon), 9)
    assert took < 20
    assert started[0].returncode == -9


def test_what_a_command_left_in_its_group_is_killed(started, tmp_path):
    """A child that holds the pipe ends with the time-out, though its parent ended long before."""
    pid = tmp_path / "pid"
    assert run(["sh", "-c", f"sleep 60 & echo $! > {pid}"], timeout=1) == b""
    wait_for_threads()
    # A child of init, which reaps it some time: it is gone, or a zombie.
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", pid.read_text()], capture_output=True, text=True, check=False
    ).stdout
    assert state.strip()[:1] in {"", "Z"}


def test_a_command_that_cannot_be_killed_is_waited_for_in_the_background(started, monkeypatch):
    """It keeps nobody waiting, and is no zombie once it ends."""
    kill = os.killpg

    def refuse(_group, _signal):
        raise PermissionError

    monkeypatch.setattr(os, "killpg", refuse)
    with pytest.raises(CommandError, match=r"could not be killed after 0\.1 seconds"):
        run(["sleep", "60"], timeout=0.1)
    kill(started[0].pid, 9)
    wait_for_threads()
    # Nobody has asked for it: the thread has waited.
    assert started[0].returncode == -9

"""Tests of `aritma-auth completion`."""

import json
import shutil
import subprocess

import pytest

from aritma_auth import cli
from aritma_auth.cli.exit_codes import ExitCode

COMPLETE = """
COMP_WORDS=(aritma-auth {words})
COMP_CWORD={last}
_aritma_auth
echo "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_each_shell_has_a_script(capsys, shell):
    """Every subcommand is in the script of every shell, and the script as an object is the same."""
    assert cli.run(["completion", shell]) == ExitCode.DONE
    script = capsys.readouterr().out
    assert all(command.name in script for command in cli.COMMANDS)

    assert cli.run(["completion", shell, "--json"]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["script"].strip() == script.strip()


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("words", "found"),
    [("do", "doctor"), ("call --base", "--base-url"), ("config c", "check")],
)
def test_bash_completes(capsys, words, found):
    """The script completes subcommands and options in a real shell."""
    assert cli.run(["completion", "bash"]) == ExitCode.DONE
    script = capsys.readouterr().out + COMPLETE.format(words=words, last=len(words.split()))
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)

    assert found in ran.stdout.split()


def test_an_unknown_shell_is_an_error_of_the_usage(capsys):
    """The error names the shells that there are."""
    assert cli.run(["completion", "csh"]) == ExitCode.USAGE
    assert "bash" in capsys.readouterr().err

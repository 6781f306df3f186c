"""The scripts of docs/how-to/use-it-from-the-shell.md run as they stand, against the sandbox."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/how-to/use-it-from-the-shell.md"
SCRIPTS = re.findall(r"(?<!no-test -->\n)```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
SETTINGS = "export ARITMA_CLIENT_ID=my-client"


@pytest.fixture
def environment(running, tmp_path):
    """Give the environment of a shell in which the command is installed, with the service's settings."""
    command = tmp_path / "aritma-auth"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m aritma_auth "$@"\n')
    command.chmod(0o700)
    return {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONDEVMODE": "",
        "ARITMA_CLIENT_ID": "sandbox-service",
        "ARITMA_CLIENT_SECRET": "sandbox-secret",
        "ARITMA_ENVIRONMENT": running.identity_url,
        "ARITMA_BASE_URL": running.banking_url.rstrip("/"),
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [("demo", ["token", "requests", "As", "promised."]), ("watch", ["flight", "waiters", "fresh"])],
)
def test_the_pictures_are_recorded(name, words):
    """Each picture shows what its command writes, and loads nothing from elsewhere."""
    picture = (PAGE.parents[1] / f"reference/figures/{name}.svg").read_text()
    shown = re.sub(r"<[^>]+>", " ", picture).replace("&#160;", " ")

    assert f"$ aritma-auth {name}" in " ".join(shown.split())
    assert all(word in shown for word in words)
    assert not re.search(r"url\((?!['\"]?#)|@import|<image|href", picture)


@pytest.mark.skipif(os.name != "posix" or not shutil.which("curl"), reason="needs a shell and curl")
@pytest.mark.parametrize("script", [script for script in SCRIPTS if SETTINGS not in script])
def test_each_script_on_the_page_runs(environment, tmp_path, script):
    """No script fails or prints an error, and none prints a whole token."""
    ran = subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "eyJ" not in ran.stdout

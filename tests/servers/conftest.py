"""Real authorization servers that others wrote, started on loopback."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

import aritma_auth as aa
from support.plain_browser import PlainBrowser
from support.tls import Authority

FOLDER = Path(__file__).parent


@attrs.frozen
class RealServer:
    """
    A server that runs.

    Attributes:
        issuer: Its issuer.

        facts: What else it said of itself when it started.

        secret: The secret of its clients that have one.

        redirect_uri: The redirect URI of its clients.
    """

    issuer: str
    facts: dict = attrs.field(repr=False)
    secret: str = attrs.field(default="s3cr3tV@lue!+%", repr=False)
    redirect_uri: str = "http://127.0.0.1/callback"

    def client(self, client_id, client_auth=None, **settings):
        """Make one of its registered clients."""
        unlisted, secure = self.facts.get("unlisted"), self.facts.get("secure_url")
        environment = aa.Environment.at(
            self.issuer,
            discover=True,
            endpoints=unlisted,
            endpoint_origins=() if secure is None else (secure,),
        )
        return aa.OAuthClient(client_id, client_auth, environment=environment, **settings)


@contextlib.contextmanager
def running(*command, cwd, log):
    """Run a server that announces itself on standard output and ends with its standard input."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            announcement = process.stdout.readline()
            assert announcement, f"{command[0]} did not start:\n{log.read_text()}"
            facts = json.loads(announcement)
            yield RealServer(facts.pop("issuer"), facts)
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def install_once(lock, done, *commands, cwd):
    """Run the commands that install what a lock file says, unless it is there already."""
    if not done.exists() or done.read_bytes() != lock.read_bytes():
        for command in commands:
            subprocess.run(command, cwd=cwd, check=True, timeout=300)
        done.write_bytes(lock.read_bytes())


@pytest.fixture(scope="session")
def oidc_provider(tmp_path_factory):
    """Run oidc-provider; only a machine without Node.js skips."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("this machine has no Node.js: oidc-provider cannot run")
    folder = FOLDER / "oidc_provider"
    install_once(
        folder / "package-lock.json",
        folder / "node_modules" / ".installed-from",
        ["npm", "ci", "--no-audit", "--no-fund", "--silent"],
        cwd=folder,
    )
    place = tmp_path_factory.mktemp("oidc_provider")
    authority = Authority(place)
    authority.issue("127.0.0.1", into="server")
    authority.issue("own.example")
    with running("node", "server.js", str(place), cwd=folder, log=place / "log") as server:
        server.facts["authority"] = authority
        yield server


@contextlib.contextmanager
def running_python(folder, place):
    """Run a Python server in an environment of its own, whose dependencies are not ours."""
    python = folder / ".venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    make = [sys.executable, "-m", "venv", "--clear", ".venv"]
    install = [python, "-m", "pip", "install"]
    if uv := shutil.which("uv"):
        # In a tenth of pip's time.
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, ".venv"]
        install = [uv, "pip", "install", "--python", python]
    install_once(
        folder / "requirements.txt",
        folder / ".venv" / "installed-from",
        make,
        [*install, "--quiet", "--only-binary=:all:", "-r", "requirements.txt"],
        cwd=folder,
    )
    with running(python, folder / "serve.py", cwd=place, log=place / "log") as server:
        yield server


@pytest.fixture(scope="session")
def nanoidp(tmp_path_factory):
    """Run a nanoidp server for all the tests."""
    folder, place = FOLDER / "nanoidp", tmp_path_factory.mktemp("nanoidp")
    # It writes beside its settings.
    for settings in folder.glob("*.yaml"):
        shutil.copy(settings, place)
    with running_python(folder, place) as server:
        yield server


@pytest.fixture(scope="session")
def django_oauth_toolkit(tmp_path_factory):
    """Run a django-oauth-toolkit server for all the tests."""
    place = tmp_path_factory.mktemp("django_oauth_toolkit")
    with running_python(FOLDER / "django_oauth_toolkit", place) as server:
        yield server


@pytest.fixture
async def browser(server):
    """Give a new browser; the test module says which ``server`` it is for."""
    async with PlainBrowser(server.issuer) as browser:
        yield browser

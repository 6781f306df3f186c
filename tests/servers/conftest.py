"""Real authorization servers that others wrote, started on loopback."""

import json
import shutil
import subprocess
from pathlib import Path

import attrs
import pytest

OIDC_PROVIDER = Path(__file__).parent / "oidc_provider"


@attrs.frozen
class RealServer:
    """
    A server that runs.

    Attributes:
        issuer: Its issuer.

        secret: The secret of its clients.
    """

    issuer: str
    secret: str


def install_node_modules(folder):
    """Install what the lock file says, unless it is there already."""
    lock, done = folder / "package-lock.json", folder / "node_modules" / ".installed-from"
    if not done.exists() or done.read_bytes() != lock.read_bytes():
        subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--silent"],
            cwd=folder,
            check=True,
            timeout=300,
        )
        done.write_bytes(lock.read_bytes())


@pytest.fixture(scope="session")
def oidc_provider():
    """Run oidc-provider; only a machine without Node skips."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("this machine has no Node.js: oidc-provider cannot run")
    install_node_modules(OIDC_PROVIDER)
    with subprocess.Popen(
        ["node", "server.js"],
        cwd=OIDC_PROVIDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        for line in process.stdout:
            if line.startswith("{"):
                break
        yield RealServer(json.loads(line)["issuer"], "s3cr3tV@lue!+%")
        process.stdin.close()
        process.wait(10)

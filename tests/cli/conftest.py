"""What the tests of the commands share: no settings of the machine's, and a sandbox beside them."""

import asyncio
import json
import os
from itertools import takewhile

import jsonschema
import pytest
from aiohttp import web
from multidict import CIMultiDict

from aritma_auth import cli
from aritma_auth.cli import terminal
from aritma_auth.cli.schemas import SCHEMAS
from aritma_auth.sandbox.faults.wire import PLACES
from support.apart import running_apart, sandbox_apart
from support.internals import record_lines

PARTS = {word for name in SCHEMAS for word in name.split() if word != "--inspect"}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in list(os.environ):
        if name.startswith("ARITMA_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def published_schemas(monkeypatch):
    """Validate what every command with ``--json`` writes in these tests against its schema."""
    lines = []
    run = cli.run

    def checked(arguments):
        begin = len(lines)
        code = run(arguments)
        require_published(arguments, lines[begin:])
        return code

    record_lines(monkeypatch, terminal, lines)
    monkeypatch.setattr(cli, "run", checked)


def require_published(arguments, lines):
    """Require the JSON of a command to follow the schema that is published for it."""
    ours = [*takewhile("--".__ne__, arguments)]
    if "--json" not in ours:
        return
    out, err = ([text for name, text in lines if name == stream] for stream in ("stdout", "stderr"))
    if err and err[0] == "{":
        jsonschema.validate(json.loads("\n".join(err)), SCHEMAS["error"])
    inspects = ["--inspect"] * ("--inspect" in ours)
    words = [word for word in ours if word in PARTS] + inspects
    for text in out if "watch" in words else ["\n".join(out)] * bool(out):
        jsonschema.validate(json.loads(text), SCHEMAS[" ".join(words)])


@pytest.fixture(scope="module")
def shared_sandbox():
    """Run a sandbox on a loop of its own: the commands run a loop themselves."""
    with sandbox_apart() as sandbox:
        yield sandbox


@pytest.fixture
def running(shared_sandbox):
    """Give the sandbox, and leave no fault for the next test that this one did not meet."""
    yield shared_sandbox
    for place in PLACES:
        shared_sandbox.faults.at(place).clear()


@pytest.fixture
def sandbox(running, monkeypatch):
    """Give the sandbox, in which alice signs in, and the settings of its native client."""
    running.sign_in_automatically("alice")
    running.token_requests.clear()
    monkeypatch.setenv("ARITMA_CLIENT_ID", "sandbox-cli")
    monkeypatch.setenv("ARITMA_ENVIRONMENT", running.identity_url)
    return running


@pytest.fixture
def service(monkeypatch):
    """Give the settings of a service at Aritma's development environment; yield its endpoint."""
    monkeypatch.setenv("ARITMA_CLIENT_ID", "id")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "secret")
    monkeypatch.setenv("ARITMA_ENVIRONMENT", "development")
    return "https://id.dev.aritma.io/connect/token"


class Server:
    """An authorization server that publishes what a test says, on a loop of its own."""

    def __init__(self):
        self.keys = [{"kty": "RSA", "n": "_" * 341 + "w", "e": "AQAB", "kid": "1"}]
        self.members = {}
        self.has_metadata = True
        self.token = {"access_token": "the-token", "token_type": "Bearer", "expires_in": 60}
        self.status = 200
        self.page = None
        self.hangs = self.drops = False
        self.headers = None
        self.response_status, self.response_headers = 404, []
        self.is_over = asyncio.Event()

    async def respond(self, request):
        self.headers = request.headers
        if request.path == "/.well-known/openid-configuration" and self.has_metadata:
            return web.json_response(
                {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/auth",
                    "token_endpoint": f"{self.url}/oauth/token",
                    "jwks_uri": f"{self.url}/keys",
                    "code_challenge_methods_supported": ["S256"],
                    "token_endpoint_auth_methods_supported": ["client_secret_post"],
                    **self.members,
                }
            )
        if request.path == "/keys":
            return web.json_response({"keys": self.keys})
        if request.path == "/oauth/token" and self.hangs:
            await self.is_over.wait()
        if request.path == "/oauth/token" and self.drops:
            request.transport.abort()
        if request.path == "/oauth/token" and self.page is not None:
            return web.Response(status=self.status, text=self.page, content_type="text/html")
        if request.path == "/oauth/token":
            return web.json_response(self.token, status=self.status)
        fields = CIMultiDict([("Content-Type", "text/html"), *self.response_headers])
        return web.Response(status=self.response_status, text="<html>here</html>", headers=fields)

    async def start(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.respond)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def aclose(self):
        self.is_over.set()
        await self.runner.cleanup()


@pytest.fixture
def server(monkeypatch):
    """Run another server, and give the settings of a service at it."""
    with running_apart(Server()) as server:
        monkeypatch.setenv("ARITMA_CLIENT_ID", "id")
        monkeypatch.setenv("ARITMA_CLIENT_SECRET", "secret")
        monkeypatch.setenv("ARITMA_ENVIRONMENT", server.url)
        yield server

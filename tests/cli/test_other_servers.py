"""Tests of the commands at a server with other paths than IdentityServer's, and a hostile one."""

import asyncio
import contextlib
import re
import threading

import pytest
from aiohttp import web

from aritma_auth import cli

HOSTILE = "\x1b[2J\x9b31m\u202eevil\nok  issuer https://good.example"


class Server:
    """An authorization server that publishes what a test says, on a loop of its own."""

    def __init__(self):
        self.keys = [{"kty": "RSA", "n": "_" * 341 + "w", "e": "AQAB", "kid": "1"}]
        self.members = {}
        self.has_metadata = True
        self.token = {"access_token": "the-token", "token_type": "Bearer", "expires_in": 60}
        self.status = 200

    async def respond(self, request):
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
        if request.path == "/oauth/token":
            return web.json_response(self.token, status=self.status)
        return web.Response(status=404, text="<html>not here</html>", content_type="text/html")

    async def start(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.respond)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"


@contextlib.contextmanager
def serving(server):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(20)
        yield server
        asyncio.run_coroutine_threadsafe(server.runner.cleanup(), loop).result(20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


@pytest.fixture
def server(monkeypatch):
    with serving(Server()) as server:
        monkeypatch.setenv("ARITMA_CLIENT_ID", "id")
        monkeypatch.setenv("ARITMA_CLIENT_SECRET", "secret")
        monkeypatch.setenv("ARITMA_ENVIRONMENT", server.url)
        yield server


def test_the_endpoints_of_another_server_are_discovered(server, capsys):
    """ARITMA_ENVIRONMENT with an issuer's URL is enough for a server with paths of its own."""
    assert cli.run(["token"]) == 0
    assert capsys.readouterr().out == "the-token\n"
    assert cli.run(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"^ok  token endpoint +{server.url}/oauth/token *$", shown, re.MULTILINE)


def test_a_server_without_metadata_is_named(server, capsys):
    """Without metadata the error says so, with the status, and asks for the environment."""
    server.has_metadata = False

    assert cli.run(["token"]) == 4
    said = capsys.readouterr().err
    assert "metadata" in said
    assert "404" in said
    assert f"ARITMA_ENVIRONMENT means {server.url}" in said


@pytest.mark.parametrize(
    "members",
    [
        {"grant_types_supported": [HOSTILE]},
        {"token_endpoint_auth_methods_supported": ["client_secret_post", HOSTILE]},
        {"code_challenge_methods_supported": ["S256", HOSTILE]},
        {"grant_types_supported": [{HOSTILE: HOSTILE}]},
    ],
    ids=lambda members: next(iter(members)),
)
def test_hostile_metadata_cannot_steer_the_terminal(server, capsys, members):
    """Each finding stays one line of printable text, whatever the server publishes."""
    server.members = members

    assert cli.run(["doctor"]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert all(line.isprintable() for line in lines)
    assert sum(line.startswith("ok  issuer ") for line in lines) == 1


@pytest.mark.parametrize("member", ["alg", "kty"])
def test_hostile_keys_cannot_steer_the_terminal(server, capsys, member):
    """The kinds of the keys are shown without control characters."""
    server.keys = [*server.keys, {"kty": "RSA", "n": "AQAB", "e": "AQAB", member: HOSTILE}]

    cli.run(["doctor"])
    shown = capsys.readouterr()
    assert all(line.isprintable() for line in (shown.out + shown.err).split("\n"))
    assert shown.out.count("ok  issuer") <= 2


@pytest.mark.parametrize(
    ("response", "status"),
    [
        ({"error": HOSTILE, "error_description": HOSTILE}, 400),
        ({"error": "invalid_scope", "error_description": HOSTILE, "error_uri": HOSTILE}, 400),
        ({"access_token": HOSTILE, "token_type": "Bearer"}, 200),
        ({"access_token": "a", "token_type": HOSTILE}, 200),
        ({HOSTILE: HOSTILE}, 200),
    ],
    ids=str,
)
def test_a_hostile_token_response_cannot_steer_the_terminal(server, capsys, response, status):
    """The error is one line of printable text, and no token with control characters is printed."""
    server.token, server.status = response, status

    assert cli.run(["token"]) == 4
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err[:-1].isprintable()

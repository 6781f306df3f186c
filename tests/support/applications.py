"""The web applications in docs/examples, each running beside a sandbox."""

import contextlib
import importlib.util
import sys
from pathlib import Path

import attrs
from aiohttp import web

import aritma_auth as aa
from aritma_auth.integrations.session_store import MemorySessionStore
from support.asgi import serving_asgi

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
CHALLENGE = {
    "WWW-Authenticate": 'Bearer error="insufficient_user_authentication", acr_values="mfa"'
}


def load(name):
    """Import an example from the documentation."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


AIOHTTP, FASTAPI = load("aiohttp_app"), load("fastapi_app")


@contextlib.asynccontextmanager
async def serving_aiohttp(app, listener):
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()


class Application:
    """One of the examples, running beside a sandbox."""

    def __init__(self, kind, sandbox, url, **settings):
        self.kind = kind
        self.sandbox = sandbox
        self.url = url
        registered = attrs.evolve(
            sandbox.clients["sandbox-web"], back_channel_logout_uri=f"{url}/back-channel-logout"
        )
        self.registered = sandbox.add_client(registered)
        self.settings = {"sessions": MemorySessionStore(), "store": aa.MemoryTokenStore()}
        self.settings |= settings

    def make_client(self):
        """Make a client, as each process has one."""
        return aa.OAuthClient(
            self.registered.client_id,
            self.registered.client_secret,
            environment=self.sandbox.environment,
        )

    def serving(self, listener):
        module = AIOHTTP if self.kind == "aiohttp" else FASTAPI
        serve = serving_aiohttp if self.kind == "aiohttp" else serving_asgi
        app = module.make_app(
            self.make_client(),
            base_url=self.url,
            bank_url=self.sandbox.banking_url,
            **self.settings,
        )
        return serve(app, listener)

    @property
    def session_id(self):
        """The sandbox's id of the session of the user who signs in automatically."""
        return self.sandbox.session_id

    def logout_token(self, session_id, subject="user-alice"):
        return self.sandbox.issuer.issue_logout_token(
            self.sandbox.identity_url, "sandbox-web", subject, session_id
        )

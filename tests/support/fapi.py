"""Clients that keep to the FAPI 2.0 profiles, at the sandbox's server for them."""

import contextlib
from urllib.parse import parse_qsl

import aiohttp
import attrs

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox, SandboxClient
from support.internals import transport_of
from support.journeys import visit

KEY = aa.SigningKey.generate("ES256", key_id="client-key")
DPOP_KEY = aa.SigningKey.generate("ES256")

COMBINATIONS = ["private_key_jwt + dpop"]
"""Client authentication and sender constraint."""


def register(sandbox, key=KEY, client_id="fapi-app", **changes):
    """Register a client whose requests must be pushed, authenticated by a key."""
    fields = {
        "client_id": client_id,
        "public_key": key.public_jwk,
        "grant_types": ("authorization_code", "refresh_token", "client_credentials"),
        "scopes": ("openid", "profile", "offline_access", "bankservice", "api"),
        "redirect_uris": "http://127.0.0.1/callback",
        "requires_par": True,
    }
    return sandbox.add_client(SandboxClient(**(fields | changes)))


def fapi_client(sandbox, profile=aa.FAPI2, auth=None, **settings):
    """Make the client of that registration: the profile is one value."""
    usual = {"dpop": aa.DPoP(DPOP_KEY), "clock": sandbox.clock, "environment": sandbox.environment}
    return aa.OAuthClient(
        "fapi-app", auth or aa.PrivateKeyJwt(KEY), profile=profile, **(usual | settings)
    )


@attrs.frozen
class FapiServer:
    """
    A server for one combination of client authentication and sender constraint.

    Attributes:
        sandbox: The server; Alice is signed in.

        token_type: The type of its tokens.
    """

    sandbox: Sandbox
    token_type: str = "DPoP"

    def client(self, profile):
        """Make a client of the combination."""
        return fapi_client(self.sandbox, profile)

    def is_bound(self, confirmation):
        """Tell whether a token's ``cnf`` is the client's."""
        return confirmation == {"jkt": DPOP_KEY.thumbprint}

    async def visit(self, request):
        """Send the browser away with a request; give what it brings back."""
        return await visit(request)

    @contextlib.asynccontextmanager
    async def api_session(self, tokens):
        """Open a session that calls the APIs."""
        middlewares = [tokens.middleware(origins=[self.sandbox.banking_url])]
        async with aiohttp.ClientSession(
            self.sandbox.banking_url, middlewares=middlewares
        ) as session:
            yield session

    def record_requests(self, client):
        """Give the form and the header fields of each posted request from now on."""
        seen, transport = [], transport_of(client)
        send = transport.send

        async def listen(request, **settings):
            if request.method == "POST":
                form = dict(parse_qsl(bytes(request.body).decode()))
                seen.append((form, dict(request.headers)))
            return await send(request, **settings)

        transport.send = listen
        return seen


@contextlib.asynccontextmanager
async def fapi_server(combination):
    """Start the server of a combination."""
    assert combination in COMBINATIONS
    async with Sandbox(server_version="fapi") as sandbox:
        register(sandbox)
        sandbox.sign_in_automatically("alice")
        yield FapiServer(sandbox)

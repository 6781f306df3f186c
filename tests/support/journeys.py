"""Whole sign-ins against the sandbox, with a browser that does what it is told."""

import contextlib

import attrs

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox
from support.plain_browser import PlainBrowser

REDIRECT_URI = "http://127.0.0.1/callback"


@contextlib.asynccontextmanager
async def signed_in_sandbox():
    """Start a server at which Alice is signed in."""
    async with Sandbox(server_version="duende-7.4") as sandbox:
        sandbox.sign_in_automatically("alice")
        yield sandbox


@contextlib.asynccontextmanager
async def sandbox_of_an_application(base_url):
    """Start a server at which Alice is signed in, and a web application is registered."""
    async with Sandbox() as sandbox:
        sandbox.sign_in_automatically("alice")
        sandbox.add_client(
            attrs.evolve(
                sandbox.clients["sandbox-web"],
                redirect_uris=f"{base_url}/callback",
                post_logout_redirect_uris=f"{base_url}/signed-out",
            )
        )
        yield sandbox


def client_of(sandbox, client_id="sandbox-web", **settings):
    """Make the client of one of the sandbox's registrations; it lives by the sandbox's clock."""
    registered = sandbox.clients[client_id]
    settings = {"environment": sandbox.environment, "clock": sandbox.clock} | settings
    return aa.OAuthClient(client_id, registered.client_secret or None, **settings)


async def visit(request):
    """Send the browser away with a request; give what it brings back."""
    async with PlainBrowser(request.url) as browser:
        return (await browser.visit(request.url)).callback


async def begin(client, scope="openid profile bankservice", **settings):
    """Begin a sign-in and send the browser on its way; give both ends."""
    request = await client.begin_sign_in(REDIRECT_URI, scope, **settings)
    return request, await visit(request)


async def sign_in(client, scope="openid profile bankservice", **settings):
    """Sign an end-user in, and return the completed sign-in."""
    return await client.complete_sign_in(*await begin(client, scope, **settings))

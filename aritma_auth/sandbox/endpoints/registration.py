"""The client registration and client configuration endpoints (RFC 7591, RFC 7592)."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from aritma_auth.sandbox.arguments import LOOPBACK
from aritma_auth.sandbox.identity.client_registrations import Metadata
from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.state import SandboxState

_PATH = "/connect/dcr"
_TIMEOUT = aiohttp.ClientTimeout(total=10)
_NEVER_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class RegistrationEndpoints:
    """The routes of registration."""

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox
        self._registrations = sandbox.client_registrations

    def add_routes(self, app: web.Application) -> None:
        """Add the routes, where the server version has them."""
        if self._sandbox.server_version.supports_registration:
            app.router.add_post(_PATH, self.register)
            client = f"{_PATH}/{{client_id}}"
            app.router.add_get(client, self.read, allow_head=False)
            app.router.add_put(client, self.update)
            app.router.add_delete(client, self.delete)

    async def register(self, request: web.Request) -> web.Response:
        """Register a client (RFC 7591 §3)."""
        return await self._respond(request, self._register, status=201)

    async def read(self, request: web.Request) -> web.Response:
        """Describe a client to itself (RFC 7592 §2.1)."""
        return await self._respond(request, self._read)

    async def update(self, request: web.Request) -> web.Response:
        """Replace a client's metadata (RFC 7592 §2.2)."""
        return await self._respond(request, self._update)

    async def delete(self, request: web.Request) -> web.Response:
        """Forget a client (RFC 7592 §2.3)."""
        return await self._respond(request, self._delete, status=204)

    async def _register(self, request: web.Request) -> dict[str, object]:
        metadata = await _read_metadata(request)
        keys = await _find_keys(metadata)
        return self._registrations.register(metadata, _bearer(request), keys)

    async def _read(self, request: web.Request) -> dict[str, object]:
        return self._registrations.read(request.match_info["client_id"], _bearer(request))

    async def _update(self, request: web.Request) -> dict[str, object]:
        metadata = await _read_metadata(request)
        keys = await _find_keys(metadata)
        client_id = request.match_info["client_id"]
        return self._registrations.update(client_id, _bearer(request), metadata, keys)

    async def _delete(self, request: web.Request) -> None:
        self._registrations.delete(request.match_info["client_id"], _bearer(request))

    async def _respond(
        self,
        request: web.Request,
        work: Callable[[web.Request], Awaitable[dict[str, object] | None]],
        *,
        status: int = 200,
    ) -> web.Response:
        try:
            self._require_certificate(request)
            members = await work(request)
        except ErrorResponse as refused:
            challenge = {"WWW-Authenticate": f'Bearer error="{refused.error}"'}
            if refused.status == 401:
                return web.Response(status=401, headers=_NEVER_STORED | challenge)
            refusal = {"error": refused.error, "error_description": refused.description or ""}
            return web.json_response(refusal, status=refused.status, headers=_NEVER_STORED)
        if members is None:
            return web.Response(status=status, headers=_NEVER_STORED)
        # The address that was reached: behind an alias for certificates it is the alias.
        path = f"{request.scheme}://{request.host}{_PATH}/{members['client_id']}"
        described = {**members, "registration_client_uri": path}
        return web.json_response(described, status=status, headers=_NEVER_STORED)

    def _require_certificate(self, request: web.Request) -> None:
        is_needed = self._registrations.requires_certificate
        if is_needed and self._sandbox.certificates.presented(request, "dcr") is None:
            raise ErrorResponse("invalid_token", status=401)


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


async def _read_metadata(request: web.Request) -> Metadata:
    try:
        metadata = await request.json()
    except ValueError:
        metadata = None
    if request.content_type != "application/json" or not isinstance(metadata, dict):
        raise ErrorResponse("invalid_client_metadata", "The body must be a JSON object.")
    return metadata


async def _find_keys(metadata: Metadata) -> Metadata | None:
    """Give the client's keys, by value or from its own address, which must be on loopback."""
    keys, uri = metadata.get("jwks"), metadata.get("jwks_uri")
    if isinstance(keys, dict) or not isinstance(uri, str):
        return keys if isinstance(keys, dict) else None
    try:
        if urlsplit(uri).hostname in LOOPBACK:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.get(uri, allow_redirects=False) as response,
            ):
                fetched = await response.json(content_type=None)
                return fetched if isinstance(fetched, dict) else None
    except (aiohttp.ClientError, TimeoutError, ValueError):
        pass
    raise ErrorResponse("invalid_client_metadata", "jwks_uri must be on loopback, and respond.")

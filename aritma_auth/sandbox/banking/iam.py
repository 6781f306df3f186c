"""
IAM, as far as it concerns the secrets of clients.

Source: Aritma's pages on IAM show how a secret is created; that it is listed by GET and deleted by
DELETE is made up.
"""

import math
import uuid
from collections.abc import Mapping
from datetime import datetime

import attrs
from aiohttp import web

from aritma_auth.sandbox.banking.problems import BearerCheck, Problem, read_object
from aritma_auth.sandbox.state import SandboxState

_PLACE = "/core/iam/v1/clients/{client_id}/secrets"


class IamApi:
    """The routes of IAM."""

    def __init__(self, sandbox: SandboxState, bearer: BearerCheck) -> None:
        self._sandbox = sandbox
        self._bearer = bearer
        self._described: dict[tuple[str, str], dict[str, object]] = {}

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get(_PLACE, self.list)
        app.router.add_post(_PLACE, self.create)
        app.router.add_delete(f"{_PLACE}/{{secret_id}}", self.delete)

    async def list(self, request: web.Request) -> web.Response:
        """List a client's secrets, without the secrets."""
        client_id = self._client_of(request)
        return web.json_response({"items": [*self._secrets(client_id).values()]})

    async def create(self, request: web.Request) -> web.Response:
        """Add a secret to a client."""
        client_id = self._client_of(request)
        body = read_object(await request.read())
        value = body.get("value")
        if not isinstance(value, str) or not 8 <= len(value) <= 32:
            raise Problem(400, "value must have 8 to 32 characters.")
        end = body.get("expiration")
        try:
            ends_at = math.inf if end is None else datetime.fromisoformat(str(end)).timestamp()
        except ValueError:
            raise Problem(400, "expiration must be a time.") from None
        self._sandbox.authenticator.secret_ends[client_id, value] = ends_at
        shown = {
            "id": str(uuid.uuid4()),
            "description": body.get("description"),
            "expiration": end,
        }
        self._described[client_id, value] = shown
        self._change(client_id, {*self._sandbox.clients[client_id].secrets, value})
        return web.json_response({**shown, "value": value}, status=201)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a secret of a client."""
        client_id = self._client_of(request)
        kept = self._secrets(client_id)
        for value, shown in kept.items():
            if shown["id"] == request.match_info["secret_id"]:
                self._change(client_id, kept.keys() - {value})
                return web.Response(status=204)
        raise Problem(404, "There is no such secret.")

    def _client_of(self, request: web.Request) -> str:
        self._bearer.token(request, ("services.iam",))
        client_id = request.match_info["client_id"]
        if client_id not in self._sandbox.clients:
            raise Problem(404, "There is no such client.")
        return client_id

    def _secrets(self, client_id: str) -> Mapping[str, dict[str, object]]:
        return {
            value: self._described.setdefault(
                (client_id, value), {"id": str(uuid.uuid4()), "description": None}
            )
            for value in self._sandbox.clients[client_id].secrets
        }

    def _change(self, client_id: str, secrets: set[str]) -> None:
        clients = self._sandbox.clients
        clients[client_id] = attrs.evolve(clients[client_id], secrets=tuple(sorted(secrets)))

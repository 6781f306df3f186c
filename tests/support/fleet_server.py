"""An authorization server that rotates refresh tokens and ends a family on reuse, and its API."""

import asyncio
import secrets
import time

import attrs
from aiohttp import web

from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.proofs import ProofValidator


@attrs.define
class Handle:
    """
    A refresh token at the server.

    Attributes:
        successors: What it was exchanged for.

        is_used: It or its access token was used, so that its predecessor is spent for good.

        key: Thumbprint of the key that it and its access token are bound to, or None.
    """

    successors: list["Handle"] = attrs.field(factory=list)
    is_used: bool = False
    key: str | None = None


class RotatingServer:
    """
    An authorization server and an API that trusts it.

    Attributes:
        rotations: Refresh tokens exchanged for the first time.

        repeats: Exchanges asked for again, before the successor was used.

        reuse_events: Spent refresh tokens presented: the end of a family.

        requests: Token requests.

        refused: API calls answered with 401.

        served: API calls answered with 200.

        stale: Proofs refused for their nonce.

        unproved: Requests without a proof where one is demanded, or with a wrong one.

    With `nonce_uses` tokens are bound to the key of a DPoP proof, and a nonce is replaced after so
    many proofs; the one before it counts until then.
    """

    def __init__(self, lifetime, latency=0.0, nonce_uses=None):
        self.lifetime = lifetime
        self.proofs = None if nonce_uses is None else ProofValidator(SYSTEM_CLOCK)
        if self.proofs is not None:
            self.proofs.api.is_required, self.proofs.api.uses = True, nonce_uses
        self.stale = self.unproved = 0
        self.latency = latency
        self.first = secrets.token_hex(16)
        self._refresh = {self.first: Handle()}
        self._access = {}
        self.rotations = self.repeats = self.reuse_events = 0
        self.requests = self.refused = self.served = 0
        self.url = None
        self._runner = None

    async def __aenter__(self):
        app = web.Application()
        app.router.add_post("/connect/token", self.token)
        app.router.add_get("/api", self.api)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    def prove(self, request, access_token=None):
        """Validate a request's proof; return the thumbprint of its key, and the refusal."""
        if self.proofs is None:
            return None, None
        try:
            thumbprint = self.proofs.validate(request, self.proofs.api, access_token)
        except ErrorResponse as refused:
            self.stale += refused.error == "use_dpop_nonce"
            self.unproved += refused.error != "use_dpop_nonce"
            return None, refused.error
        self.unproved += thumbprint is None
        return thumbprint, None if thumbprint else "invalid_dpop_proof"

    def nonce(self):
        """Return the header that every response carries."""
        return {} if self.proofs is None else {"DPoP-Nonce": self.proofs.api.current}

    async def token(self, request):
        form = await request.post()
        thumbprint, refusal = self.prove(request)
        if refusal is not None:
            return web.json_response({"error": refusal}, status=400, headers=self.nonce())
        self.requests += 1
        if form["grant_type"] == "client_credentials":
            await asyncio.sleep(self.latency)
            return self._answer(Handle(key=thumbprint), None)
        handle = self._refresh.get(form["refresh_token"])
        if handle is None or any(successor.is_used for successor in handle.successors):
            self.reuse_events += 1
            self._refresh.clear()
            return web.json_response({"error": "invalid_grant"}, status=400, headers=self.nonce())
        if handle.key not in {None, thumbprint}:
            self.unproved += 1
            return web.json_response({"error": "invalid_dpop_proof"}, status=400)
        if handle.successors:
            self.repeats += 1
        else:
            self.rotations += 1
        handle.is_used = True
        successor = Handle(key=thumbprint)
        handle.successors.append(successor)
        text = secrets.token_hex(16)
        self._refresh[text] = successor
        await asyncio.sleep(self.latency)
        return self._answer(successor, text)

    def _answer(self, handle, refresh_token):
        access_token = secrets.token_hex(16)
        self._access[access_token] = (time.monotonic() + self.lifetime, handle)
        return web.json_response(
            {
                "access_token": access_token,
                "token_type": "Bearer" if self.proofs is None else "DPoP",
                "expires_in": self.lifetime,
                **({} if refresh_token is None else {"refresh_token": refresh_token}),
            },
            headers=self.nonce(),
        )

    async def api(self, request):
        access_token = request.headers["Authorization"].partition(" ")[2]
        thumbprint, refusal = self.prove(request, access_token)
        if refusal is not None:
            challenge = {"WWW-Authenticate": f'DPoP error="{refusal}"', **self.nonce()}
            return web.Response(status=401, headers=challenge)
        expires_at, handle = self._access.get(access_token, (0, Handle()))
        if time.monotonic() >= expires_at or handle.key != thumbprint:
            self.refused += 1
            return web.Response(status=401, headers=self.nonce())
        handle.is_used = True
        self.served += 1
        return web.Response(headers=self.nonce())

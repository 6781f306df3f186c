"""The identity server's routes, with and without a tenant in the path."""

from aiohttp import web

from aritma_auth.sandbox.state import SandboxState
from aritma_auth.sandbox.token_endpoint import Refusal, TokenRequest

_FORM = "application/x-www-form-urlencoded"

_NEVER_STORED = {
    "Cache-Control": "no-store, no-cache, max-age=0",
    "Pragma": "no-cache",
}


class IdentityServer:
    """
    The routes of one sandbox's identity server.

    Args:
        sandbox: Who owns the clients, the clock and the log.
    """

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox

    def add_routes(self, app: web.Application) -> None:
        """
        Add the routes, each with and without a tenant.

        Args:
            app: The identity server's application.
        """
        for prefix in ("", "/{tenant}"):
            discovery = f"{prefix}/.well-known/openid-configuration"
            app.router.add_get(discovery, self.discovery)
            app.router.add_get(f"{discovery}/jwks", self.jwks)
            app.router.add_route("*", f"{prefix}/connect/token", self.token)

    async def discovery(self, request: web.Request) -> web.Response:
        """Give the server's metadata (OpenID Connect Discovery 1.0 §4.2)."""
        issuer = self._issuer(request)
        return web.json_response(
            {
                "issuer": issuer,
                "jwks_uri": f"{issuer}/.well-known/openid-configuration/jwks",
                "token_endpoint": f"{issuer}/connect/token",
                "scopes_supported": sorted(
                    {name for client in self._sandbox.clients.values() for name in client.scopes}
                ),
                "grant_types_supported": self._sandbox.token_endpoint.grant_types,
                "token_endpoint_auth_methods_supported": [
                    "client_secret_basic",
                    "client_secret_post",
                    "private_key_jwt",
                ],
            }
        )

    async def jwks(self, _request: web.Request) -> web.Response:
        """Give the public keys (RFC 7517 §5)."""
        return web.json_response({"keys": [key.public for key in self._sandbox.issuer.keys]})

    async def token(self, request: web.Request) -> web.Response:
        """Answer a token request."""
        form: dict[str, str] = {}
        client_id = None
        try:
            if request.method != "POST" or request.content_type != _FORM:
                raise Refusal("invalid_request")  # noqa: TRY301 - one place answers refusals
            posted = await request.post()
            form = {name: value for name, value in posted.items() if isinstance(value, str)}
            client = self._sandbox.token_endpoint.find_client(
                form, request.headers.get("Authorization", ""), self._issuer(request)
            )
            client_id = client.client_id
            answer = self._sandbox.token_endpoint.answer(self._issuer(request), client, form)
        except Refusal as refusal:
            self._note(request, form, client_id, refusal.error)
            body = {"error": refusal.error}
            if refusal.description is not None:
                body["error_description"] = refusal.description
            return _json(body, status=400)
        self._note(request, form, client_id, None)
        return _json(answer, status=200)

    def _issuer(self, request: web.Request) -> str:
        tenant = request.match_info.get("tenant")
        return (
            self._sandbox.identity_url
            if tenant is None
            else (f"{self._sandbox.identity_url}/{tenant}")
        )

    def _note(
        self, request: web.Request, form: dict[str, str], client_id: str | None, error: str | None
    ) -> None:
        self._sandbox.token_requests.append(
            TokenRequest(form.get("grant_type"), client_id, request.match_info.get("tenant"), error)
        )


def _json(body: object, *, status: int) -> web.Response:
    response = web.json_response(body, status=status, headers=_NEVER_STORED)
    # As ASP.NET writes it.
    response.headers["Content-Type"] = "application/json; charset=UTF-8"
    return response

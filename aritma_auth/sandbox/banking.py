"""Banking v3 and v4, as far as a client of tokens must know them."""

from aiohttp import WSMsgType, web

from aritma_auth.sandbox.issuing import IssuedToken
from aritma_auth.sandbox.state import SandboxState

_SCOPES = frozenset({"api", "bankservice"})


class BankingApi:
    """
    The routes of one sandbox's Banking APIs.

    Args:
        sandbox: Who owns the tokens and the log.
    """

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox

    def add_routes(self, app: web.Application) -> None:
        """
        Add the routes.

        Args:
            app: The API's application.
        """
        app.router.add_get("/api/v3/accounts/{company_id}", self.accounts_v3)
        app.router.add_get("/api/accounts", self.accounts_v4)
        app.router.add_route("*", "/api/v3/uploads", self.upload)
        app.router.add_get("/api/v3/stream", self.stream)
        app.router.add_route("*", "/redirect", self.redirect)

    async def accounts_v3(self, request: web.Request) -> web.Response:
        """List a company's accounts, in PascalCase as v3 does."""
        self._authorize(request)
        company_id = request.match_info["company_id"]
        return web.json_response(
            [
                {
                    "Id": f"{company_id}-{number}",
                    "CompanyId": company_id,
                    "Bban": f"1503{number:07d}",
                    "Currency": "NOK",
                    "Links": [{"Rel": "self", "Href": f"/api/v3/accounts/{company_id}"}],
                }
                for number in (1, 2)
            ]
        )

    async def accounts_v4(self, request: web.Request) -> web.Response:
        """List the accounts, as v4 does, with its version headers."""
        self._authorize(request)
        accounts = [
            {"id": f"account-{number}", "bban": f"1503{number:07d}", "currency": "NOK"}
            for number in (1, 2)
        ]
        return web.json_response(
            {"accounts": accounts, "_links": {}}, headers={"api-supported-versions": "1.0"}
        )

    async def upload(self, request: web.Request) -> web.Response:
        """Count the bytes of a body, for tests of what is sent twice."""
        received = len(await request.read())
        self._sandbox.uploads.append(received)
        self._authorize(request)
        return web.json_response({"received": received})

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        """Echo text over a WebSocket."""
        self._authorize(request)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
        return socket

    async def redirect(self, request: web.Request) -> web.Response:
        """Send the caller elsewhere, for tests of what is sent there."""
        self._authorize(request)
        status = int(request.query.get("status", "302"))
        return web.Response(status=status, headers={"Location": request.query["to"]})

    def _authorize(self, request: web.Request) -> IssuedToken:
        authorization = request.headers.get("Authorization", "")
        scheme, _, text = authorization.partition(" ")
        if scheme != "Bearer":
            raise _unauthorized("Bearer")
        token = self._sandbox.issuer.judge(text)
        if isinstance(token, str):
            raise _unauthorized(f'Bearer error="invalid_token", error_description="{token}"')
        if not _SCOPES.intersection(token.scope):
            raise _forbidden()
        return token


def _unauthorized(challenge: str) -> web.HTTPException:
    return web.HTTPUnauthorized(
        text='{"type":"about:blank","title":"Unauthorized","status":401}',
        content_type="application/problem+json",
        headers={"WWW-Authenticate": challenge},
    )


def _forbidden() -> web.HTTPException:
    return web.HTTPForbidden(
        text='{"type":"about:blank","title":"Forbidden","status":403}',
        content_type="application/problem+json",
        headers={"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="bankservice"'},
    )

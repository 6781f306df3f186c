"""Banking v3 and v4, as far as the tests of a token client need them."""

from aiohttp import WSMsgType, web

from aritma_auth.sandbox.banking.consents import ConsentsApi
from aritma_auth.sandbox.banking.events import EventsApi
from aritma_auth.sandbox.banking.iam import IamApi
from aritma_auth.sandbox.banking.payments import PaymentsApi
from aritma_auth.sandbox.banking.problems import BearerCheck, show_problems, show_versions
from aritma_auth.sandbox.state import SandboxState


class BankingApi:
    """The routes of one sandbox's Banking APIs."""

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox
        self._bearer = BearerCheck(sandbox)
        self._payments = PaymentsApi(sandbox, self._bearer)
        self._consents = ConsentsApi(sandbox.consents, self._bearer)
        self._iam = IamApi(sandbox, self._bearer)
        self._events = EventsApi(sandbox.events, self._bearer)

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.middlewares.extend([show_versions, show_problems])
        app.router.add_get("/api/v3/accounts/{company_id}", self.accounts_v3)
        app.router.add_get("/api/accounts", self.accounts_v4)
        app.router.add_get("/api/step-up", self.step_up)
        app.router.add_route("*", "/api/v3/uploads", self.upload)
        app.router.add_get("/api/v3/stream", self.stream)
        app.router.add_route("*", "/redirect", self.redirect)
        self._payments.add_routes(app)
        self._events.add_routes(app)
        self._iam.add_routes(app)
        self._consents.add_routes(app)

    async def accounts_v3(self, request: web.Request) -> web.Response:
        """List a company's accounts, in PascalCase as v3 does."""
        self._bearer.token(request)
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
        """List the accounts, as v4 does; a consent that is named must be usable."""
        self._bearer.token(request)
        refused = self._consents.refuse_ended(request)
        if refused is not None:
            return refused
        accounts = [
            {"id": f"account-{number}", "bban": f"1503{number:07d}", "currency": "NOK"}
            for number in (1, 2)
        ]
        return web.json_response({"accounts": accounts, "_links": {}})

    async def step_up(self, request: web.Request) -> web.Response:
        """
        Require of the sign-in what the query names: ``acr_values``, ``max_age``, ``scope``.

        Without a query the endpoint requires a second factor.

        Spec: RFC 9470 §3, RFC 6750 §3.1.
        """
        query = request.query or {"acr_values": "mfa"}
        scope = query.get("scope", "").split()
        token = self._bearer.token(request, scope) if scope else self._bearer.token(request)
        acr_values, max_age = query.get("acr_values", "").split(), query.get("max_age")
        if acr_values or max_age is not None:
            fresh = None if max_age is None else int(max_age)
            self._bearer.require_sign_in(token, acr_values, fresh)
        return web.json_response({"sub": token.subject})

    async def upload(self, request: web.Request) -> web.Response:
        """Count the bytes of a body, for tests of requests that are replayed."""
        received = len(await request.read())
        self._sandbox.uploads.append(received)
        self._bearer.token(request)
        return web.json_response({"received": received})

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        """Echo text over a WebSocket."""
        self._bearer.token(request)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
        return socket

    async def redirect(self, request: web.Request) -> web.Response:
        """Redirect to the address that the query names, for tests of what follows there."""
        self._bearer.token(request)
        status = int(request.query.get("status", "302"))
        return web.Response(status=status, headers={"Location": request.query["to"]})

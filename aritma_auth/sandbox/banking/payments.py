"""
Payments of Banking v4 and baskets of them, and how end-users confirm one at the identity server.

Source: Banking v4's OpenAPI; what its public pages leave open is made up here.
"""

import uuid

from aiohttp import web

from aritma_auth.sandbox.banking.idempotency import IdempotencyKeys
from aritma_auth.sandbox.banking.problems import BearerCheck, Problem, read_object
from aritma_auth.sandbox.records.payments import Authorization, Payment
from aritma_auth.sandbox.state import SandboxState

_PRODUCTS = frozenset({"credit-transfer", "creditTransfer", "direct-debit", "directDebit"})
_SCOPE = ("api",)


class PaymentsApi:
    """The routes of payments."""

    def __init__(self, sandbox: SandboxState, bearer: BearerCheck) -> None:
        self._sandbox = sandbox
        self._bearer = bearer
        self._idempotency_keys = IdempotencyKeys(sandbox.clock)
        self._payments: dict[str, Payment] = {}
        self._authorizations: dict[str, Authorization] = {}

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_post("/api/{service:bulk-payments}/{product}", self.initiate)
        app.router.add_post("/api/signing-baskets", self.bundle)
        for payment in (
            "/api/{service:bulk-payments}/{product}/{payment_id}",
            "/api/signing-baskets/{payment_id}",
        ):
            app.router.add_get(payment, self.payment)
            app.router.add_post(f"{payment}/authorizations", self.start)
            authorization = f"{payment}/authorizations/{{authorization_id}}"
            app.router.add_get(authorization, self.authorization)
            app.router.add_put(f"{authorization}/confirmation", self.confirm)

    async def initiate(self, request: web.Request) -> web.Response:
        """Initiate a payment."""
        client_id = self._bearer.token(request, _SCOPE).client_id
        body = await request.read()

        def work() -> web.Response:
            if request.match_info["product"] not in _PRODUCTS:
                raise Problem(404, "There is no such payment product.")
            wanted = read_object(body).get("requiredAuthorizations")
            payment = self._add(request, client_id)
            if type(wanted) is int and wanted > 0:
                # Made up: at Aritma the account says how many must confirm.
                payment.required = wanted
            self._sandbox.payments.initiated.append(payment.payment_id)
            return self._created(payment)

        return self._idempotency_keys.respond(request, client_id, work)

    async def bundle(self, request: web.Request) -> web.Response:
        """Create a basket of payments, which end-users confirm together."""
        client_id = self._bearer.token(request, _SCOPE).client_id
        body = await request.read()

        def work() -> web.Response:
            wanted = read_object(body).get("paymentIds")
            known = {
                payment.payment_id: payment
                for payment in self._payments.values()
                if payment.client_id == client_id and not payment.members
            }
            ids = wanted if isinstance(wanted, list) else []
            if not ids or not all(isinstance(each, str) and each in known for each in ids):
                raise Problem(400, "paymentIds must be a list of this client's payments.")
            members = tuple(known[payment_id] for payment_id in dict.fromkeys(ids))
            return self._created(self._add(request, client_id, members))

        return self._idempotency_keys.respond(request, client_id, work)

    def _add(
        self, request: web.Request, client_id: str, members: tuple[Payment, ...] = ()
    ) -> Payment:
        payment = Payment(
            path=f"{request.path}/{uuid.uuid4()}",
            client_id=client_id,
            required=self._sandbox.payments.required_authorizations,
            members=members,
        )
        self._payments[payment.path] = payment
        return payment

    def _created(self, payment: Payment) -> web.Response:
        start = {"href": f"{self._url(payment.path)}/authorizations", "verb": "POST"}
        links = {"self": self._link(payment.path), "startAuthorization": start}
        return web.json_response({**payment.shown(), "_links": links}, status=201)

    async def payment(self, request: web.Request) -> web.Response:
        """Show a payment."""
        return web.json_response(self._find_payment(request, request.path).shown())

    async def start(self, request: web.Request) -> web.Response:
        """Start a payment's authorization: the response links to the identity server."""
        payment = self._find_payment(request, request.path.removesuffix("/authorizations"))
        body = await request.read()

        def work() -> web.Response:
            wanted = read_object(body).get("authenticationMethodAcrValues", [])
            words = wanted.split() if isinstance(wanted, str) else wanted
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                raise Problem(400, "authenticationMethodAcrValues must be a list of strings.")
            authorization = Authorization(
                authorization_id=str(uuid.uuid4()), payment=payment, acr_values=tuple(words)
            )
            self._authorizations[authorization.path] = authorization
            return web.json_response(self._shown(authorization), status=201)

        return self._idempotency_keys.respond(request, payment.client_id, work)

    async def authorization(self, request: web.Request) -> web.Response:
        """Show an authorization."""
        return web.json_response(self._shown(self._find_authorization(request, request.path)))

    async def confirm(self, request: web.Request) -> web.Response:
        """Finalise the authorization with the access token of the end-user's sign-in."""
        path = request.path.removesuffix("/confirmation")
        authorization = self._find_authorization(request, path)
        given = read_object(await request.read()).get("accessToken")
        token = (
            self._sandbox.issuer.validate(given)
            if isinstance(given, str)
            else "It must be a string"
        )
        if isinstance(token, str):
            raise Problem(400, f"accessToken: {token}.")
        if token.sign_in is None:
            raise Problem(400, "accessToken: No end-user has signed in.")
        if not set(authorization.acr_values).issubset(token.sign_in.acr):
            raise Problem(
                400, "accessToken: The sign-in must have reached authenticationMethodAcrValues."
            )
        if authorization.status == "finalised":
            raise Problem(409, "The authorization is finalised.")
        payment = authorization.payment
        if not payment.remaining or token.subject in payment.signed_by:
            raise Problem(409, "This end-user has confirmed, or nobody is left who must.")
        authorization.status = "finalised"
        payment.signed_by.append(str(token.subject))
        if not payment.remaining:
            self._execute(payment)
        await self._publish(authorization, str(token.subject))
        return web.json_response(self._shown(authorization))

    def _execute(self, payment: Payment) -> None:
        payment.status = "accepted"
        for member in payment.members or (payment,):
            member.status = "accepted"
            self._sandbox.payments.executed.append(member.payment_id)

    async def _publish(self, authorization: Authorization, subject: str) -> None:
        payment, publish = authorization.payment, self._sandbox.events.publish
        counts = {
            "requiredAuthorizations": payment.required,
            "remainingAuthorizations": payment.remaining,
        }
        who = {"authorizationId": authorization.authorization_id, "userId": subject}
        for member in payment.members or (payment,):
            about: dict[str, object] = {"paymentId": member.payment_id}
            await publish("banking.payment.authorized", about | who | counts)
            if not payment.remaining:
                # Aritma's sample has capitals, its schema has not.
                status = {"transactionStatus": "ACSC"}
                await publish("banking.payment.status.updated", about | status)

    def _find_payment(self, request: web.Request, path: str) -> Payment:
        client_id = self._bearer.token(request, _SCOPE).client_id
        payment = self._payments.get(path)
        if payment is None or payment.client_id != client_id:
            raise Problem(404, "There is no such payment.")
        return payment

    def _find_authorization(self, request: web.Request, path: str) -> Authorization:
        self._find_payment(request, path.rpartition("/authorizations/")[0])
        authorization = self._authorizations.get(path)
        if authorization is None:
            raise Problem(404, "There is no such authorization.")
        return authorization

    def _shown(self, authorization: Authorization) -> dict[str, object]:
        confirmation = f"{self._url(authorization.path)}/confirmation"
        return {
            "scaStatus": authorization.status,
            "authorizationId": authorization.authorization_id,
            "authenticationMethodAcrValues": list(authorization.acr_values),
            "_links": {
                "scaOauth": {"href": self._sandbox.identity_url, "verb": "GET"},
                "confirmation": {"href": confirmation, "verb": "PUT"},
                "self": self._link(authorization.path),
            },
        }

    def _link(self, path: str) -> dict[str, str]:
        return {"href": self._url(path), "verb": "GET"}

    def _url(self, path: str) -> str:
        return self._sandbox.banking_url.rstrip("/") + path

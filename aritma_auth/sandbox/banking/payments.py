"""
Payments of Banking v4, and how an end-user confirms one at the identity server.

Source: Banking v4's OpenAPI; what its public pages leave open is made up here.
"""

import json
import uuid

import attrs
from aiohttp import web

from aritma_auth.sandbox.banking.idempotency import IdempotencyKeys
from aritma_auth.sandbox.banking.problems import BearerCheck, Problem
from aritma_auth.sandbox.state import SandboxState

_PRODUCTS = frozenset({"credit-transfer", "creditTransfer", "direct-debit", "directDebit"})
_SCOPE = ("api",)


@attrs.define(kw_only=True)
class Payment:
    """
    A payment.

    Attributes:
        path: Its address.

        client_id: The client that initiated it.

        status: ``received``, or ``accepted`` once an end-user has confirmed it.
    """

    path: str
    client_id: str
    status: str = "received"


@attrs.define(kw_only=True)
class Authorization:
    """
    A payment's authorization.

    Attributes:
        authorization_id: Its identifier.

        payment: The payment to confirm.

        acr_values: Authentication contexts that the end-user's sign-in must have reached.

        status: ``started`` or ``finalised``.
    """

    authorization_id: str
    payment: Payment
    acr_values: tuple[str, ...]
    status: str = "started"

    @property
    def path(self) -> str:
        """Its address."""
        return f"{self.payment.path}/authorizations/{self.authorization_id}"


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
        payment = "/api/{service:bulk-payments}/{product}/{payment_id}"
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
            _read_object(body)
            payment_id = str(uuid.uuid4())
            payment = Payment(path=f"{request.path}/{payment_id}", client_id=client_id)
            self._payments[payment.path] = payment
            start = {"href": f"{self._url(payment.path)}/authorizations", "verb": "POST"}
            links = {"self": self._link(payment.path), "startAuthorization": start}
            shown = {"paymentId": payment_id, "status": payment.status, "_links": links}
            return web.json_response(shown, status=201)

        return self._idempotency_keys.respond(request, client_id, work)

    async def payment(self, request: web.Request) -> web.Response:
        """Show a payment."""
        payment = self._find_payment(request, request.path)
        return web.json_response(
            {"paymentId": request.match_info["payment_id"], "status": payment.status}
        )

    async def start(self, request: web.Request) -> web.Response:
        """Start a payment's authorization: the response links to the identity server."""
        payment = self._find_payment(request, request.path.removesuffix("/authorizations"))
        body = await request.read()

        def work() -> web.Response:
            wanted = _read_object(body).get("authenticationMethodAcrValues", [])
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
        given = _read_object(await request.read()).get("accessToken")
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
        authorization.status = "finalised"
        authorization.payment.status = "accepted"
        return web.json_response(self._shown(authorization))

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


def _read_object(body: bytes) -> dict[str, object]:
    try:
        given = json.loads(body or b"{}")
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise Problem(400, "The body must be a JSON object.")
    return given

"""An identity server and a Banking API over raw HTTP/1.1: payments, their signers, and events."""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import attrs

from support.signing import jwk, sign
from support.simulation.peer import Peer
from support.simulation.process import WALL

SERVER = "http://127.0.0.1:8080"
PRODUCT = "/api/bulk-payments/credit-transfer"
AUTHORIZATION = "Bearer what-the-subscription-named"
TENANT = "tenant-1"

_PROBLEM = '{"title": "It failed", "status": 500}'
_RETRIES = (1.0, 5.0, 20.0, 60.0, 120.0)
"""Seconds between deliveries of one event; the last one is repeated until it is accepted."""

_DELIVERY_TIMEOUT = 30.0


@attrs.define(eq=False)
class Payment:
    """A payment as the bank knows it."""

    payment_id: str
    required: int
    signed_by: list = attrs.field(factory=list)
    status: str = "PDNG"
    authorizations: dict = attrs.field(factory=dict)

    @property
    def path(self):
        return f"{PRODUCT}/{self.payment_id}"

    @property
    def remaining(self):
        return self.required - len(self.signed_by)

    def shown(self):
        return {
            "paymentId": self.payment_id,
            "transactionStatus": self.status,
            "requiredAuthorizations": self.required,
            "remainingAuthorizations": self.remaining,
            "_links": {"self": {"href": SERVER + self.path}},
        }


@attrs.define(eq=False)
class Authorization:
    """A signer's authorization as the bank knows it."""

    authorization_id: str
    payment: Payment
    status: str = "started"

    def shown(self):
        url = f"{SERVER}{self.payment.path}/authorizations/{self.authorization_id}"
        return {
            "scaStatus": self.status,
            "authorizationId": self.authorization_id,
            "_links": {
                "scaOauth": SERVER,
                "confirmation": f"{url}/confirmation",
                "self": url,
            },
        }


class Bank:
    """
    Acts on requests at the moment of their arrival; what becomes of the response is the network's.

    Args:
        universe: Its time and chance.

        world: How this bank behaves.

        watch: Told of what must not happen twice.

    Attributes:
        outages: By ``identity`` and ``api``: kind of outage in force, and until when. ``500`` fails
            in the API itself, which keeps that response under the request's Idempotency-Key.

        deliver: Takes an event to one of the application's processes.
    """

    def __init__(self, universe, world, watch):
        self.universe = universe
        self.world = world
        self.watch = watch
        self.outages = {}
        self.payments = []
        self.kept = {}
        self.tokens = {}
        self.codes = {}
        self.deliver = None
        self._random = universe.stream("bank")
        self._events = self._codes = 0

    def accept(self, connection):
        """Give the server's end of a connection."""
        return Peer(self, connection)

    def think(self):
        """Give the seconds before a response leaves."""
        return self._random.uniform(0.001, 0.08)

    def wall(self):
        """Give the true time, in POSIX seconds."""
        return WALL + self.universe.now

    # -- requests -----------------------------------------------------------------------------

    def handle(self, peer, request):
        """Act on a request and send the response after a while."""
        name = peer.connection.process.name
        where = "api" if request.path.startswith("/api/") else "identity"
        kind, until = self.outages.get(where, (None, 0.0))
        if self.universe.now >= until:
            kind = None
        if kind == "hang":
            status, body = None, ""
        elif kind == "503" or (kind == "500" and (where == "identity" or request.method != "POST")):
            status, body = 503, "<html>"
        elif where == "api":
            status, body = self._api(request, is_failing=kind == "500")
        else:
            status, body = self._identity(request)
        self.universe.note(name, "->", request.method, request.path, status or "no response")
        if status is not None:
            text = body if isinstance(body, str) else json.dumps(body)
            peer.send(status, text, "application/json" if text[:1] == "{" else "text/html")
        self.universe.signal("arrived", peer.connection.process)

    def _identity(self, request):
        if request.path.endswith("/jwks"):
            return 200, {"keys": [jwk()]}
        form = request.form()
        if form["grant_type"] == "client_credentials":
            return 200, self._issue(None, self.world.lifetime)
        begun = self.codes.pop(form["code"], None)
        if begun is None:
            return 400, {"error": "invalid_grant"}
        user, nonce = begun
        claims = {
            "iss": SERVER,
            "aud": "sandbox-web",
            "sub": user,
            "nonce": nonce,
            "iat": int(self.wall()),
            "exp": int(self.wall()) + 300,
        }
        return 200, {**self._issue(user, 300), "id_token": sign(claims)}

    def _issue(self, user, lifetime):
        token = f"at-{len(self.tokens) + 1}"
        self.tokens[token] = user, self.universe.now + lifetime
        return {"access_token": token, "token_type": "Bearer", "expires_in": lifetime}

    def authorize(self, url, user):
        """Let an end-user sign in with a browser; give the query of the redirect back."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        self._codes += 1
        code = f"code-{self._codes}"
        self.codes[code] = user, query["nonce"]
        return f"code={code}&state={query['state']}"

    def _api(self, request, *, is_failing):
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        _, ends_at = self.tokens.get(token, (None, 0.0))
        if scheme != "Bearer" or self.universe.now >= ends_at:
            return 401, {"title": "The token has ended."}
        if request.method != "POST":
            return self._act(request)
        place = (request.path, request.headers["idempotency-key"])
        status, body, until = self.kept.get(place, (0, None, 0.0))
        if self.universe.now < until:
            # The repetition creates nothing.
            return (200 if status == 201 else status), body
        status, body = (500, _PROBLEM) if is_failing else self._act(request)
        self.kept[place] = status, body, self.universe.now + self.world.key_lifetime
        return status, body

    def _act(self, request):
        path = request.path.removeprefix(PRODUCT).strip("/").split("/")
        if path == [""]:
            payment = Payment(f"p{len(self.payments) + 1}", len(self.world.signers))
            self.payments.append(payment)
            self.watch.initiated(payment)
            return 201, payment.shown()
        payment = next(each for each in self.payments if each.payment_id == path[0])
        if len(path) == 1:
            return 200, payment.shown()
        if len(path) == 2:
            number = f"{payment.payment_id}-a{len(payment.authorizations) + 1}"
            payment.authorizations[number] = Authorization(number, payment)
            return 201, payment.authorizations[number].shown()
        authorization = payment.authorizations[path[2]]
        if len(path) == 4:
            return self._confirm(authorization, request.json()["accessToken"])
        return 200, authorization.shown()

    # -- signatures ---------------------------------------------------------------------------

    def _confirm(self, authorization, token):
        payment = authorization.payment
        user, ends_at = self.tokens.get(token, (None, 0.0))
        if user is None or self.universe.now >= ends_at or authorization.status == "failed":
            return 400, {"title": "It cannot be confirmed."}
        if authorization.status == "finalised" or user in payment.signed_by:
            return 409, {"title": "It was confirmed."}
        authorization.status = "finalised"
        payment.signed_by.append(user)
        self.universe.note("bank: signed by", user)
        who = {"authorizationId": authorization.authorization_id, "userId": user}
        self._publish(payment, "banking.payment.authorized", who)
        if payment.remaining == 0:
            self.universe.after(self.world.settles_after, lambda: self._settle(payment))
        return 200, authorization.shown()

    def _settle(self, payment):
        payment.status = "ACSC"
        self.universe.note("bank: executed", payment.payment_id)
        self.watch.executed(payment)
        # Aritma's schema has small letters.
        self._publish(payment, "banking.payment.status.updated", {"transactionStatus": "acsc"})

    def fail_authorizations(self):
        """Let what is under way end without a confirmation, as after a time-out at the bank."""
        for payment in self.payments:
            for authorization in payment.authorizations.values():
                if authorization.status == "started":
                    authorization.status = "failed"

    # -- events -------------------------------------------------------------------------------

    def _publish(self, payment, kind, data):
        self._events += 1
        counts = {
            "requiredAuthorizations": payment.required,
            "remainingAuthorizations": payment.remaining,
        }
        event = {
            "specversion": "1.0",
            "id": f"event-{self._events}",
            "source": "subscription-1",
            "type": kind,
            "time": datetime.fromtimestamp(self.wall(), UTC).isoformat(),
            "tid": TENANT,
            "data": {"paymentId": payment.payment_id, **counts, **data},
        }
        for _ in range(1 + (self._random.random() < self.world.duplicates)):
            delay = self._random.expovariate(1 / self.world.event_delay)
            self.universe.after(delay, _Delivery(self, event))


class _Delivery:
    """One event under way to the application, as often as it takes."""

    def __init__(self, bank, event):
        self.bank = bank
        self.event = event
        self.attempts = 0
        self.is_over = False

    def __call__(self):
        if self.is_over:
            return
        attempt = self.attempts
        self.bank.deliver(self.event, lambda status: self.responded(attempt, status))
        self.bank.universe.after(_DELIVERY_TIMEOUT, lambda: self.responded(attempt, None))

    def responded(self, attempt, status):
        """Take the response to an attempt, or its time-out, whichever is first."""
        if self.is_over or attempt != self.attempts:
            return
        self.is_over = status == 200
        self.bank.universe.note("bank: event", self.event["id"], status)
        if not self.is_over:
            self.attempts += 1
            pause = _RETRIES[min(attempt, len(_RETRIES) - 1)]
            self.bank.universe.after(pause, self)

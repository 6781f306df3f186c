"""The routes of the Events API."""

import itertools

from aiohttp import web

from aritma_auth.sandbox.banking.problems import BearerCheck, Problem
from aritma_auth.sandbox.records.deliveries import TENANT, SandboxEvents, Subscription

_PAGE = (("cursor", "0"), ("pageSize", "100"))


class EventsApi:
    """The routes of the Events API."""

    def __init__(self, events: SandboxEvents, bearer: BearerCheck) -> None:
        self._events = events
        self._bearer = bearer

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_post("/api/subscriptions", self.create)
        app.router.add_get("/api/subscriptions/validations/{code}", self.validate)
        app.router.add_get("/api/failed-events", self.failed)
        app.router.add_get("/api/failed-events/{event_id}", self.failed_event)

    async def create(self, request: web.Request) -> web.Response:
        """Create a subscription, and ask its receiver for a handshake."""
        self._bearer.token(request, ("api",))
        try:
            body = await request.json()
            delivery, retry = body["delivery"], body.get("retryPolicy") or {}
            subscription = Subscription(
                url=str(delivery["url"]),
                authorization=str(delivery["authorizationHeader"]),
                types=tuple(map(str, body["events"])),
                tenant=request.headers.get("TenantId", TENANT),
                max_attempts=int(retry.get("maxEventDeliveryAttempts", 3)),
                dead_letters=bool(body.get("deadletterEnabled", False)),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Problem(400, "The body must describe a subscription.") from None
        await self._events.subscribe(subscription)
        return web.json_response(
            {
                "id": subscription.subscription_id,
                "name": body.get("name"),
                "status": "active" if subscription.is_active else "awaitingValidation",
            },
            status=201,
        )

    async def validate(self, request: web.Request) -> web.Response:
        """Take the receiver's side of the handshake."""
        if not self._events.validate(request.match_info["code"]):
            raise Problem(404, "No subscription waits for this validation.")
        return web.Response(text="validated")

    async def failed(self, request: web.Request) -> web.Response:
        """List what could not be delivered."""
        self._bearer.token(request, ("api",))
        start, size = (int(request.query.get(name, usual)) for name, usual in _PAGE)
        letters = self._events.dead_letters
        shown = [*itertools.islice(letters, start, start + size)]
        cursor = start + size
        links = {"next": {"href": f"/api/failed-events?cursor={cursor}"}}
        return web.json_response(
            {"failedEvents": shown, "_links": links if cursor < len(letters) else {}}
        )

    async def failed_event(self, request: web.Request) -> web.Response:
        """Show one event that could not be delivered."""
        self._bearer.token(request, ("api",))
        for letter in self._events.dead_letters:
            if letter["eventId"] == request.match_info["event_id"]:
                return web.json_response(letter)
        raise Problem(404, "There is no such event.")

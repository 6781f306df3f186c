"""
Subscriptions of the Events API: deliveries with retries, and dead letters.

Source: Aritma's pages on events. What they leave open is made up: a failed delivery is repeated at
once, and the handshake's field is CloudEvents' own.
"""

import json
import secrets
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import attrs

from aritma_auth.errors import require_instance, wrong_kind
from aritma_auth.sandbox.arguments import (
    count,
    flag,
    require_known,
    require_members,
    require_optional_text,
    require_text,
    require_times,
    text,
    texts,
)
from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.outgoing import send
from aritma_auth.secret import Secret

MODES = ("structured", "binary", "batch", "mixed")
"""Forms of a delivery; ``mixed`` has ``ce-`` fields beside a structured envelope."""

METHODS = ("POST", "PUT")

TENANT = "00000000-0000-0000-0000-000000000000"
"""The tenant of a subscription that names none."""

_NOTHING: Mapping[str, object] = {}


@attrs.define(kw_only=True)
class Subscription:
    """
    A subscription.

    Attributes:
        subscription_id: Its identifier, and the source of its events.

        url: Where its events go.

        authorization: What is sent as ``Authorization``: a text or a Secret.

        types: The types of events that it wants.

        tenant: Its tenant.

        max_attempts: Deliveries of one event at most.

        dead_letters: What cannot be delivered is kept.

        is_active: Its receiver has opened the validation URL.
    """

    subscription_id: str = attrs.field(factory=lambda: secrets.token_hex(8), validator=text)
    url: str = attrs.field(validator=text)
    authorization: str | Secret = attrs.field(repr=False)
    types: tuple[str, ...] = attrs.field(default=(), validator=texts)
    tenant: str = attrs.field(default=TENANT, validator=text)
    max_attempts: int = attrs.field(default=3, validator=count)
    dead_letters: bool = attrs.field(default=True, validator=flag)
    is_active: bool = attrs.field(default=False, validator=flag)
    validation_code: str = attrs.field(factory=lambda: secrets.token_urlsafe(16), repr=False)

    def __attrs_post_init__(self) -> None:
        _require_authorization(self.authorization)


@attrs.frozen(kw_only=True)
class Delivery:
    """
    What became of a delivery.

    Attributes:
        events: The envelopes.

        statuses: The receiver's status for each attempt; None for no response.
    """

    events: tuple[Mapping[str, object], ...]
    statuses: tuple[int | None, ...]

    @property
    def is_delivered(self) -> bool:
        """The receiver has accepted it."""
        return self.statuses[-1:] == (200,)


class SandboxEvents:
    """
    The events of one sandbox; ``sandbox.events`` is one.

    Attributes:
        subscriptions: The subscriptions by id.

        dead_letters: What could not be delivered, oldest first.

        handshake_header: Field with the validation URL.

        handshake_method: ``OPTIONS`` or ``POST``.
    """

    def __init__(self, clock: SandboxClock, base_url: Callable[[], str]) -> None:
        self._clock = clock
        self._base_url = base_url
        self.subscriptions: dict[str, Subscription] = {}
        self.dead_letters: list[dict[str, object]] = []
        self.handshake_header = "WebHook-Request-Callback"
        self.handshake_method = "OPTIONS"

    async def subscribe(self, subscription: Subscription) -> bool:
        """
        Add a subscription and ask its receiver for a handshake.

        Args:
            subscription: The subscription; its URL must be on loopback.

        Returns:
            The receiver has opened the validation URL.

        Raises:
            ConfigurationError: It is no subscription, or its Secret cannot be loaded.
        """
        _require_subscription(subscription)
        self.subscriptions[subscription.subscription_id] = subscription
        await self.shake_hands(subscription)
        return subscription.is_active

    async def shake_hands(
        self, subscription: Subscription, *, validation_url: str | None = None
    ) -> int | None:
        """
        Ask a receiver for a handshake.

        Args:
            subscription: The subscription.

            validation_url: Another URL than the sandbox's own, for tests of what a receiver opens.

        Returns:
            The receiver's status, or None for no response.
        """
        _require_subscription(subscription)
        require_optional_text("validation_url", validation_url)
        code = subscription.validation_code
        url = f"{self._base_url()}api/subscriptions/validations/{code}"
        headers = {
            self.handshake_header: validation_url or url,
            "WebHook-Request-Origin": "events.sandbox.example",
            "Authorization": await _load(subscription.authorization),
        }
        return await send(self.handshake_method, subscription.url, headers=headers)

    def validate(self, code: str) -> bool:
        """Activate the subscription whose receiver has opened its validation URL."""
        waiting = [each for each in self.subscriptions.values() if each.validation_code == code]
        for subscription in waiting:
            subscription.is_active = True
        return bool(waiting)

    async def publish(self, kind: str, data: Mapping[str, object]) -> list[Delivery]:
        """
        Deliver an event to each active subscription that wants its type.

        Args:
            kind: The event's type.

            data: Its data.
        """
        require_text("kind", kind)
        require_members("data", data)
        wanted = [each for each in self.subscriptions.values() if each.is_active]
        return [
            await self.deliver(each, [self.envelope(each, kind, data)])
            for each in wanted
            if kind in each.types
        ]

    def envelope(
        self,
        subscription: Subscription,
        kind: str = "banking.payment.status.updated",
        data: Mapping[str, object] = _NOTHING,
        **attributes: object,
    ) -> dict[str, object]:
        """
        Make an event's envelope.

        Args:
            subscription: Its source.

            kind: Its type.

            data: Its data.

            attributes: Attributes that replace the usual ones, such as ``tid`` or ``id``.
        """
        _require_subscription(subscription)
        require_text("kind", kind)
        require_members("data", data)
        time = datetime.fromtimestamp(self._clock.time(), UTC)
        return {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": subscription.subscription_id,
            "type": kind,
            "time": time.isoformat(),
            "subject": f"/subscriptions/{subscription.subscription_id}",
            "tid": subscription.tenant,
            "data": dict(data),
            **attributes,
        }

    async def deliver(
        self,
        subscription: Subscription,
        events: list[dict[str, object]],
        *,
        mode: str = "structured",
        method: str = "POST",
        authorization: str | Secret | None = None,
        times: int = 1,
    ) -> Delivery:
        """
        Deliver events as often as the receiver needs, then once more for each duplicate.

        Args:
            subscription: Where they go.

            events: What `envelope` made; more than one need ``batch``.

            mode: ``structured``, ``binary``, ``batch`` or ``mixed``.

            method: ``POST`` or ``PUT``.

            authorization: Another value than the subscription's, or None.

            times: How often the events are delivered although the receiver has accepted them.

        Raises:
            ConfigurationError: There is no such mode.
        """
        _require_subscription(subscription)
        _require_events(events)
        require_known("mode", mode, MODES)
        require_known("method", method, METHODS)
        require_times(times)
        headers, body = _encoded(events, mode)
        headers["Authorization"] = await _load(
            subscription.authorization if authorization is None else authorization
        )
        statuses: list[int | None] = []
        for _ in range(subscription.max_attempts + times - 1):
            statuses.append(await send(method, subscription.url, headers=headers, data=body))
            if statuses.count(200) >= times:
                break
        delivery = Delivery(events=tuple(events), statuses=tuple(statuses))
        if not delivery.is_delivered and subscription.dead_letters:
            self._bury(delivery)
        return delivery

    def _bury(self, delivery: Delivery) -> None:
        self.dead_letters += [
            {
                "eventId": event.get("id"),
                "deliveryAttempts": len(delivery.statuses),
                "lastHttpStatusCode": delivery.statuses[-1],
                "lastDeliveryOutcome": "Aborted",
                "event": event,
            }
            for event in delivery.events
        ]


def _require_subscription(given: object) -> None:
    require_instance("subscription", "a Subscription, with url=", given, Subscription)


def _require_events(given: object) -> None:
    if not isinstance(given, list) or not given:
        raise wrong_kind("events", "a list of what envelope() made", given)
    for event in given:
        require_members("each of events", event)


def _require_authorization(given: object) -> None:
    require_instance("authorization", "a text or a Secret", given, (str, Secret))


async def _load(authorization: str | Secret) -> str:
    """Give what is sent as ``Authorization``; a Secret is loaded for each request."""
    _require_authorization(authorization)
    return authorization if isinstance(authorization, str) else (await authorization.load()).text


def _encoded(events: list[dict[str, object]], mode: str) -> tuple[dict[str, str], bytes]:
    if mode == "batch":
        media_type = "application/cloudevents-batch+json; charset=utf-8"
        return {"Content-Type": media_type}, json.dumps(events).encode()
    attributes = {
        f"ce-{name}": quote(str(value), safe=" -._~:/+@")
        for name, value in events[0].items()
        if name != "data"
    }
    if mode == "binary":
        fields = {"Content-Type": "application/json", **attributes}
        return fields, json.dumps(events[0]["data"]).encode()
    fields = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    return fields | (attributes if mode == "mixed" else {}), json.dumps(events[0]).encode()

"""Deliveries of Aritma's events, and what ends soon: a secret, a consent."""

import logging
from typing import ClassVar

import attrs

from aritma_auth.events.base import Event


@attrs.frozen(eq=False, repr=False)
class DeliveryRefused(Event):
    """
    A receiver of events refused a request.

    Attributes:
        reason: Why, in words that quote nothing of the request.

        status: The HTTP status of the response; 503 makes the sender deliver again.
    """

    reason: str
    status: int

    _LEVEL: ClassVar[int] = logging.WARNING

    def _text(self) -> str:
        return f"a delivery of events was refused with {self.status}: {self.reason}"


@attrs.frozen(eq=False, repr=False)
class DeliveryFailed(Event):
    """
    A handler of events failed; the event is delivered again.

    Attributes:
        handler: The handler's name.

        event_type: The event's type.

        error: The error's class and its place in your own code, or what went wrong.
    """

    handler: str
    event_type: str
    error: str

    _LEVEL: ClassVar[int] = logging.WARNING

    def _text(self) -> str:
        return (
            f"the handler {self.handler} failed with {self.event_type} ({self.error}): the event "
            "comes again"
        )


@attrs.frozen(eq=False, repr=False)
class DeliveryRepeated(Event):
    """
    An event came again that its handler has handled; it was dropped.

    Attributes:
        handler: The handler's name.

        event_type: The event's type.
    """

    handler: str
    event_type: str

    def _text(self) -> str:
        return f"{self.event_type} came again; the handler {self.handler} has handled it"


@attrs.frozen(eq=False, repr=False)
class SecretExpiring(Event):
    """
    A client's secret ends soon, or has ended; ``client_id`` names the client.

    Attributes:
        days: Whole days that are left; 0 on its last day, negative once it has ended.

        expires_at: Its end in POSIX seconds.
    """

    days: int
    expires_at: float

    _LEVEL: ClassVar[int] = logging.WARNING

    def _text(self) -> str:
        if self.days < 0:
            return "the client secret has ended: rotate it"
        return f"the client secret ends in {self.days} days: rotate it"


@attrs.frozen(eq=False, repr=False)
class ConsentExpiring(Event):
    """
    An end-user's consent ends soon, or has ended.

    Attributes:
        consent_id: The consent.

        status: Its status, in the letters of the API.

        days: Whole days that are left; 0 on its last day, negative once it has ended.
    """

    consent_id: str
    status: str
    days: int

    _LEVEL: ClassVar[int] = logging.WARNING

    def _text(self) -> str:
        if self.days < 0:
            return f"the consent {self.consent_id} has ended ({self.status}): ask the end-user"
        return f"the consent {self.consent_id} ends in {self.days} days: refresh it"

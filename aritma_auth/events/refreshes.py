"""A refresh, and the token that it brings: the events of every healthy service."""

import logging
from typing import ClassVar

import attrs

from aritma_auth.events.base import Event


@attrs.frozen(eq=False, repr=False)
class FlightStarted(Event):
    """
    A refresh begins: the one flight that every caller waits for.

    Attributes:
        flight: Number of the flight in this process.

        has_live_token: The cached token has not expired: no caller need wait.
    """

    flight: int
    has_live_token: bool

    def _text(self) -> str:
        why = "in the background" if self.has_live_token else "while callers wait"
        return f"flight {self.flight} starts {why}"


@attrs.frozen(eq=False, repr=False)
class FlightEnded(Event):
    """
    A refresh has ended.

    Attributes:
        flight: Number of the flight in this process.

        outcome: ``issued`` (the server issued a token), ``adopted`` (another process had stored
            one), ``failed``, ``postponed`` (another process is refreshing) or ``cancelled``.

        took: Seconds from start to end.

        waiters: Callers that waited for it.
    """

    flight: int
    outcome: str
    took: float
    waiters: int

    def _text(self) -> str:
        return f"flight {self.flight} {self.outcome} after {self.took:.3f} s, {self.waiters} waited"


@attrs.frozen(eq=False, repr=False)
class TokenAcquired(Event):
    """
    A provider's first token is in use: it had none before.

    Attributes:
        fingerprint: Eight hex digits that tell tokens apart.

        lifetime: Seconds from request to end.

        took: Seconds that the refresh took.
    """

    fingerprint: str
    lifetime: float
    took: float

    _LEVEL: ClassVar[int] = logging.INFO

    def _text(self) -> str:
        return f"first token, of {self.lifetime:.0f} s, after {self.took:.3f} s"


@attrs.frozen(eq=False, repr=False)
class TokenRefreshed(Event):
    """
    A new token is in use, in place of an older one.

    Attributes:
        fingerprint: Eight hex digits that tell tokens apart.

        lifetime: Seconds from request to end.

        took: Seconds that the refresh took.
    """

    fingerprint: str
    lifetime: float
    took: float

    def _text(self) -> str:
        return f"token refreshed, for {self.lifetime:.0f} s, after {self.took:.3f} s"

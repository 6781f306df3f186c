"""What an end-user decides on another device, while the client polls for it."""

import secrets

import attrs

from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.sessions import AuthenticationEvent

LIFETIME = 300
INTERVAL = 5


@attrs.define(kw_only=True)
class PolledRequest:
    """
    A request that a client polls for.

    Attributes:
        client_id: The client that sent it.

        scope: The requested scope.

        expires_at: POSIX seconds.

        next_poll_at: POSIX seconds; an earlier poll gets ``slow_down``.

        sign_in: The authentication event, or None before the end-user's decision.

        is_denied: The end-user has denied it.
    """

    client_id: str
    scope: tuple[str, ...]
    expires_at: float
    next_poll_at: float
    sign_in: AuthenticationEvent | None = None
    is_denied: bool = False

    def is_pending(self, now: float) -> bool:
        """Tell whether the end-user may still decide."""
        return now < self.expires_at and self.sign_in is None and not self.is_denied

    def decide(self, subject: str | None, now: float) -> None:
        """Record the end-user's decision; a subject of None denies."""
        if subject is None:
            self.is_denied = True
        else:
            self.sign_in = AuthenticationEvent(
                subject=subject, auth_time=now, session_id=secrets.token_hex(16).upper()
            )

    def poll(self, now: float, interval: float) -> AuthenticationEvent:
        """
        Return the authentication event, once there is one.

        Raises:
            ErrorResponse: ``authorization_pending``, ``slow_down``, or a final error.

        Source: IdentityServer's DeviceCodeValidator: an early poll restarts the interval.
        """
        is_too_early, self.next_poll_at = now < self.next_poll_at, now + interval
        if is_too_early:
            raise ErrorResponse("slow_down")
        if now >= self.expires_at:
            raise ErrorResponse("expired_token")
        if self.is_denied:
            raise ErrorResponse("access_denied")
        if self.sign_in is None:
            raise ErrorResponse("authorization_pending")
        return self.sign_in

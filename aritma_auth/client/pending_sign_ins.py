"""Sign-ins between the way out and the way back."""

import secrets

from aritma_auth.errors import ConfigurationError, StateMismatchError
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.lock import ForkSafeLock


class PendingSignIns:
    """
    Keeps authorization requests in one process's memory, each for one answer.

    The handle goes into a cookie of the browser that starts the sign-in: so the answer counts only
    in the same browser, once, and in time. Services of several processes keep
    `AuthorizationRequest.to_json` in their session store instead, and delete it when it is taken.

    Args:
        limit: Sign-ins kept at most; beyond that the oldest is forgotten.

        clock: Tells the time.

    Raises:
        ConfigurationError: ``limit`` is less than one.

    Spec: RFC 6749 §10.12; RFC 9700 §4.7.
    """

    def __init__(self, *, limit: int = 10_000, clock: Clock = SYSTEM_CLOCK) -> None:
        if limit < 1:
            raise ConfigurationError("limit is the number of sign-ins that are kept: 1 or more")
        self._limit = limit
        self._clock = clock
        self._lock = ForkSafeLock()
        self._requests: dict[str, AuthorizationRequest] = {}

    def add(self, request: AuthorizationRequest) -> str:
        """
        Keep a request.

        Args:
            request: The sign-in that begins.

        Returns:
            A handle for the browser's cookie: 256 random bits.
        """
        handle = secrets.token_urlsafe(32)
        with self._lock:
            self._requests[handle] = request
            if len(self._requests) > self._limit:
                del self._requests[next(iter(self._requests))]
        return handle

    def take(self, handle: str | None) -> AuthorizationRequest:
        """
        Give a request back and forget it.

        Args:
            handle: What the browser's cookie says.

        Raises:
            StateMismatchError: This browser has no sign-in under way: start a new one.
        """
        with self._lock:
            request = self._requests.pop(handle or "", None)
        if request is None or self._clock.time() > request.created_at + request.lifetime:
            raise StateMismatchError("this browser has no sign-in under way: start a new one")
        return request

    def __repr__(self) -> str:
        return f"<PendingSignIns: {len(self._requests)} under way>"

"""Sign-ins that have begun and wait for their authorization response."""

import secrets
from collections.abc import Mapping

import attrs

from aritma_auth.caller_code import require_clock
from aritma_auth.errors import StateMismatchError, require_count, require_instance
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.redaction import SecretText, is_same_text
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.lock import fork_safe_lock

# Browsers keep up to 180 cookies of a host: all of them must fit into the 8 KiB of a header field.
_HANDLE_BYTES = 16


@attrs.frozen
class PendingSignIn:
    """
    A sign-in that a browser has begun.

    Attributes:
        request: The authorization request.

        return_to: The page of the application that the end-user goes to after the sign-in.

        cookie: Name of the cookie that binds the sign-in to its browser; another for each sign-in.

        handle: That cookie's value: 128 random bits.
    """

    request: AuthorizationRequest
    return_to: str
    cookie: str
    handle: str = attrs.field(repr=False)


class PendingSignIns:
    """
    Keeps the pending sign-ins of one process in memory, each for one authorization response.

    Each sign-in has a cookie of its own, whose name is derived from ``state``: several tabs of a
    browser can sign in at the same time, and a response with another ``state`` takes nothing away.
    A response counts only in the browser that has the cookie, once, and in time.

    Services of several processes keep `AuthorizationRequest.to_json` in their session store
    instead, and delete it when it is taken.

    Args:
        limit: Number of sign-ins kept at most; beyond it the oldest is dropped.

        clock: Tells when a sign-in has expired.

    Raises:
        ConfigurationError: ``limit`` is less than one, or an argument is of the wrong kind.

    Spec: RFC 6749 §10.12; RFC 9700 §4.7.
    """

    @hides_arguments
    def __init__(self, *, limit: int = 10_000, clock: Clock = SYSTEM_CLOCK) -> None:
        clock = require_clock(clock)
        require_count("limit", limit, least=1)
        self._limit = limit
        self._clock = clock
        self._lock = fork_safe_lock()
        self._pending: dict[str, PendingSignIn] = {}

    @hides_arguments
    def add(self, request: AuthorizationRequest, return_to: str = "/") -> PendingSignIn:
        """
        Keep a sign-in that begins.

        Args:
            request: The authorization request.

            return_to: The page that the end-user goes to after the sign-in: of your own application
                only, since links to your sign-in page may propose it.

        Returns:
            The pending sign-in: set its ``cookie`` to its ``handle`` in the browser.
        """
        require_instance("request", "an AuthorizationRequest", request, AuthorizationRequest)
        require_instance("return_to", "the path of a page", return_to, str)
        name = _cookie_name(request.state)
        pending = PendingSignIn(request, return_to, name, secrets.token_urlsafe(_HANDLE_BYTES))
        with self._lock:
            self._pending[pending.handle] = pending
            if len(self._pending) > self._limit:
                del self._pending[next(iter(self._pending))]
        return pending

    @hides_arguments
    def take(self, cookies: Mapping[str, str], state: str | None) -> PendingSignIn:
        """
        Return the pending sign-in that an authorization response belongs to, and forget it.

        Args:
            cookies: The cookies of the request that brought the response.

            state: The response's ``state``, or None if it has none.

        Raises:
            StateMismatchError: This browser has no such sign-in pending: start a new one. Nothing
                else that is pending is forgotten.
        """
        require_instance("cookies", "a mapping, such as request.cookies", cookies, Mapping)
        given = SecretText(state if isinstance(state, str) else "")
        handle = cookies.get(_cookie_name(given), "")
        with self._lock:
            pending = self._pending.get(handle)
            if pending is not None and is_same_text(pending.request.state.text, given.text):
                del self._pending[handle]
                ends_at = pending.request.created_at + pending.request.lifetime
                if self._clock.time() <= ends_at:
                    return pending
        raise StateMismatchError("this browser has no such sign-in pending: start a new one")

    def __repr__(self) -> str:
        return f"<PendingSignIns: {len(self._pending)} pending>"


def _cookie_name(state: SecretText) -> str:
    return f"sign-in-{state.fingerprint}"

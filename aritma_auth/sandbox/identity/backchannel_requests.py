"""
Backchannel authentication requests: issued, decided by an end-user, redeemed, notified.

Source: IdentityServer's BackchannelAuthenticationRequestValidator, which knows poll mode alone.
Spec: CIBA Core 1.0.
"""

import secrets
from collections.abc import Mapping

import attrs

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.parameters import ErrorResponse, parse_scope
from aritma_auth.sandbox.identity.registrations import SandboxClient, User
from aritma_auth.sandbox.identity.request_objects import RequestObjects
from aritma_auth.sandbox.identity.sessions import AuthenticationEvent
from aritma_auth.sandbox.identity.token_issuer import TokenIssuer

_LIFETIME = 300
_INTERVAL = 5
_HINTS = frozenset({"id_token_hint", "login_hint", "login_hint_token"})


@attrs.define(kw_only=True)
class BackchannelRequest:
    """
    A request's record.

    Attributes:
        auth_req_id: Its identifier.

        client: The client that sent it.

        user: The end-user who is asked.

        scope: The requested scope.

        binding_message: What both devices show, or None.

        notification_token: The secret of the notification, or None in poll mode.

        expires_at: POSIX seconds.

        next_poll_at: POSIX seconds; an earlier poll gets ``slow_down``.

        sign_in: The authentication event, or None before the end-user's decision.

        is_denied: The end-user has denied it.
    """

    auth_req_id: str
    client: SandboxClient
    user: User
    scope: tuple[str, ...]
    binding_message: str | None
    notification_token: str | None
    expires_at: float
    next_poll_at: float
    sign_in: AuthenticationEvent | None = None
    is_denied: bool = False


class BackchannelRequests:
    """
    Keeps backchannel authentication requests.

    Attributes:
        interval: Seconds between two polls, as the responses say.
    """

    def __init__(
        self,
        users: Mapping[str, User],
        issuer: TokenIssuer,
        request_objects: RequestObjects,
        clock: SandboxClock,
    ) -> None:
        self._users = users
        self._issuer = issuer
        self._request_objects = request_objects
        self._clock = clock
        self._requests: dict[str, BackchannelRequest] = {}
        self.interval = _INTERVAL

    def issue(self, client: SandboxClient, form: Mapping[str, str]) -> dict[str, object]:
        """
        Keep a request, if it is valid.

        Returns:
            The response's members.

        Raises:
            ErrorResponse: The request is invalid, or its hint names no end-user.
        """
        if "request" in form:
            signed = self._request_objects.verify(form["request"], client.client_id)
            form = {name: values[0] for name, values in signed.items()}
        if not form.get("scope"):
            raise ErrorResponse("invalid_request", "Missing scope")
        scope = parse_scope(form, client)
        if "openid" not in scope:
            raise ErrorResponse("invalid_scope")
        if len(_HINTS & form.keys()) != 1:
            raise ErrorResponse("invalid_request", "Invalid hint")
        user = self._find_user(form)
        if user is None:
            raise ErrorResponse("unknown_user_id")
        token = form.get("client_notification_token")
        if client.backchannel_notification_uri is not None and not token:
            raise ErrorResponse("invalid_request", "Missing client_notification_token")
        auth_req_id, now = secrets.token_hex(32).upper(), self._clock.time()
        requested = form.get("requested_expiry", str(_LIFETIME))
        if not (requested.isascii() and requested.isdigit()):
            raise ErrorResponse("invalid_request", "Invalid requested_expiry")
        expires_in = min(int(requested), _LIFETIME)
        self._requests[auth_req_id] = BackchannelRequest(
            auth_req_id=auth_req_id,
            client=client,
            user=user,
            scope=scope,
            binding_message=form.get("binding_message"),
            notification_token=token,
            expires_at=now + expires_in,
            next_poll_at=now,
        )
        return {"auth_req_id": auth_req_id, "expires_in": expires_in, "interval": self.interval}

    def _find_user(self, form: Mapping[str, str]) -> User | None:
        known = self._issuer.find_id_token(form.get("id_token_hint", ""))
        subject = None if known is None else known[1]
        hint = form.get("login_hint")
        return next(
            (
                user
                for user in self._users.values()
                if subject == user.subject or hint == user.username
            ),
            None,
        )

    def decide(self, username: str, *, agrees: bool) -> BackchannelRequest | None:
        """
        Record an end-user's decision about the oldest pending request.

        Returns:
            The request, or None if nothing was pending.
        """
        now = self._clock.time()
        for request in self._requests.values():
            is_pending = request.sign_in is None and not request.is_denied
            if request.user.username == username and is_pending and now < request.expires_at:
                request.is_denied = not agrees
                if agrees:
                    request.sign_in = AuthenticationEvent(
                        subject=request.user.subject,
                        auth_time=now,
                        session_id=secrets.token_hex(16).upper(),
                    )
                return request
        return None

    def redeem(
        self, auth_req_id: str, client: SandboxClient
    ) -> tuple[tuple[str, ...], AuthenticationEvent]:
        """
        Redeem a request.

        Returns:
            The scope, and the authentication event.

        Raises:
            ErrorResponse: ``authorization_pending``, ``slow_down``, or a final error.
        """
        request = self._requests.get(auth_req_id)
        if request is None or request.client.client_id != client.client_id:
            raise ErrorResponse("invalid_grant")
        now = self._clock.time()
        is_too_early, request.next_poll_at = now < request.next_poll_at, now + self.interval
        if is_too_early:
            raise ErrorResponse("slow_down")
        if now >= request.expires_at:
            raise ErrorResponse("expired_token")
        if request.is_denied:
            raise ErrorResponse("access_denied")
        if request.sign_in is None:
            raise ErrorResponse("authorization_pending")
        del self._requests[auth_req_id]
        return request.scope, request.sign_in

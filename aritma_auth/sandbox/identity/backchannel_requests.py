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
from aritma_auth.sandbox.identity.polling import INTERVAL, LIFETIME, PolledRequest
from aritma_auth.sandbox.identity.registrations import SandboxClient, User
from aritma_auth.sandbox.identity.request_objects import RequestObjects
from aritma_auth.sandbox.identity.sessions import AuthenticationEvent
from aritma_auth.sandbox.identity.token_issuer import TokenIssuer

_HINTS = frozenset({"id_token_hint", "login_hint", "login_hint_token"})


@attrs.define(kw_only=True)
class BackchannelRequest(PolledRequest):
    """
    A request's record.

    Attributes:
        auth_req_id: Its identifier.

        user: The end-user who is asked.

        notification_uri: The address that is told of the decision, or None in poll mode.

        notification_token: The secret of the notification, or None in poll mode.
    """

    auth_req_id: str
    user: User
    notification_uri: str | None
    notification_token: str | None


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
        self.interval = INTERVAL

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
        requested = form.get("requested_expiry", str(LIFETIME))
        if not (requested.isascii() and requested.isdigit()):
            raise ErrorResponse("invalid_request", "Invalid requested_expiry")
        expires_in = min(int(requested), LIFETIME)
        self._requests[auth_req_id] = BackchannelRequest(
            auth_req_id=auth_req_id,
            client_id=client.client_id,
            user=user,
            scope=scope,
            notification_uri=client.backchannel_notification_uri,
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
            if request.user.username == username and request.is_pending(now):
                request.decide(request.user.subject if agrees else None, now)
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
            ErrorResponse: ``invalid_grant``, or as for `PolledRequest.poll`.
        """
        request = self._requests.get(auth_req_id)
        if request is None or request.client_id != client.client_id:
            raise ErrorResponse("invalid_grant")
        sign_in = request.poll(self._clock.time(), self.interval)
        del self._requests[auth_req_id]
        return request.scope, sign_in

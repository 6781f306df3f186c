"""
Sign-ins without a browser (CIBA): the server asks the end-user on a device that it knows.

The client polls as for a device code, or is told by a notification when it may ask (ping mode). A
notification carries no token: a forged one gains a token request, and even that only with the
secret that the client has given to the server.

Spec: OpenID Connect Client-Initiated Backchannel Authentication Flow - Core 1.0.
"""

from collections.abc import Iterable
from typing import Self

import attrs

from aritma_auth.errors import VerificationError, require_instance
from aritma_auth.protocol.grants import BackchannelGrant
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.json_parameters import parse_expected_claims
from aritma_auth.protocol.json_response import parse_json_response, structure_response
from aritma_auth.protocol.kept_values import dump_value, parse_pending
from aritma_auth.protocol.parameters import require_duration
from aritma_auth.protocol.redaction import (
    HiddenBytes,
    HiddenStr,
    Members,
    SecretText,
    as_optional_secret,
    as_secret,
    hide,
    is_same_text,
    require_secret,
)
from aritma_auth.protocol.strict_json import JsonError, WireNumber, parse_json_object
from aritma_auth.runtime.hidden_arguments import hides_arguments, with_hidden_arguments
from aritma_auth.runtime.values import Value

_DEFAULT_INTERVAL = 5.0
_MIN_INTERVAL = 1.0
_MAX_NOTIFICATION = 1 << 14
# A server that says "never" is not polled for ever.
_MAX_LIFETIME = 86_400.0
_NO_CLAIMS = Members()


@with_hidden_arguments
@attrs.frozen(kw_only=True, eq=False, repr=False)
class BackchannelAuthentication(Value):
    """
    A sign-in that the server asks the end-user for.

    Attributes:
        expires_at: POSIX seconds at which it ends without the end-user's decision.

        interval: Seconds between two polls at least.

        expected_claims: Claims that the ID token must have.

        is_notified: The server tells the client when it may ask for the tokens (ping mode).

    Spec: CIBA Core 1.0 §7.3.
    """

    _auth_req_id: SecretText = attrs.field(converter=as_secret, validator=require_secret)
    expires_at: float = attrs.field(validator=require_duration)
    interval: float = attrs.field(validator=require_duration)
    _notification_token: SecretText | None = attrs.field(
        default=None,
        converter=as_optional_secret,
        validator=attrs.validators.optional(require_secret),
    )
    expected_claims: Members = attrs.field(factory=Members, converter=parse_expected_claims)

    @property
    def is_notified(self) -> bool:
        """The server tells the client when it may ask for the tokens (ping mode)."""
        return self._notification_token is not None

    @property
    def grant(self) -> BackchannelGrant:
        """The grant that asks for the tokens."""
        return BackchannelGrant(self._auth_req_id)

    def is_notification(self, auth_req_id: str, token: str) -> bool:
        """
        Tell in constant time whether a notification is of this sign-in.

        Args:
            auth_req_id: The identifier that it names.

            token: The bearer token of its ``Authorization`` header.

        Raises:
            ConfigurationError: An argument is no string.
        """
        # The frames of a refusal hold the arguments.
        auth_req_id, token = hide(auth_req_id), hide(token)
        require_instance("auth_req_id", "a string", auth_req_id, str)
        require_instance("token", "a string", token, str)
        expected = self._notification_token
        is_ours = is_same_text(auth_req_id, self._auth_req_id.text)
        return expected is not None and is_same_text(token, expected.text) and is_ours

    def to_json(self) -> str:
        """Serialise it for the process that the notification reaches; it holds secrets."""
        token = self._notification_token
        return dump_value(
            {
                "auth_req_id": self._auth_req_id.text,
                "expires_at": self.expires_at,
                "interval": self.interval,
                "notification_token": None if token is None else token.text,
                "expected_claims": dict(self.expected_claims.items()),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """
        Deserialise what `to_json` wrote.

        Args:
            text: The JSON text.

        Raises:
            StateMismatchError: It is no pending sign-in of this version: begin a new one.
        """
        # An error reporter may show this frame's locals.
        text = HiddenStr(text)
        return parse_pending(text, cls, "backchannel sign-in")


@attrs.frozen(repr=False)
class _BackchannelResponse:
    auth_req_id: str
    expires_in: WireNumber
    interval: WireNumber | None = None


def parse_backchannel_response(
    response: HttpResponse,
    *,
    sent_at: float,
    notification_token: SecretText | None = None,
    expected_claims: Members = _NO_CLAIMS,
) -> BackchannelAuthentication:
    """
    Parse the backchannel authentication endpoint's response.

    Args:
        response: The response.

        sent_at: POSIX seconds when the request left.

        notification_token: The secret of the notification that was asked for, or None.

        expected_claims: Claims that the ID token must have.

    Raises:
        OAuthError: The server refused: the end-user is not known, or the client is not allowed.

        InvalidResponseError: A member is missing or not usable.

    Spec: CIBA Core 1.0 §7.3, §13.
    """
    received = structure_response(
        parse_json_response(
            response,
            now=sent_at,
            what="the backchannel authentication endpoint",
            is_authenticated=True,
        ),
        _BackchannelResponse,
        _find_problems,
        what="the backchannel authentication response",
        status=response.status,
    )
    lifetime = min(received.expires_in, _MAX_LIFETIME)
    return BackchannelAuthentication(
        auth_req_id=received.auth_req_id,
        expires_at=sent_at + lifetime,
        interval=_limit_interval(received.interval, lifetime),
        notification_token=notification_token,
        expected_claims=expected_claims,
    )


def _limit_interval(interval: float | None, expires_in: float) -> float:
    if interval is None or interval <= 0:
        interval = _DEFAULT_INTERVAL
    if interval >= expires_in:
        # No poll would come in time.
        interval = expires_in / 2
    return max(_MIN_INTERVAL, interval)


def _find_problems(received: _BackchannelResponse) -> tuple[str, ...]:
    problems = []
    identifier = received.auth_req_id
    if not identifier or not all("!" <= char <= "~" for char in identifier):
        problems.append("auth_req_id must be visible ASCII and not empty")
    if not received.expires_in > 0:
        problems.append("expires_in must be greater than 0")
    return tuple(problems)


@hides_arguments
def validate_backchannel_notification(
    pending: Iterable[BackchannelAuthentication], *, authorization: str | None, body: bytes
) -> BackchannelAuthentication:
    """
    Validate a notification that the server has posted, and find the sign-in that it is about.

    Respond 204 to a valid one and 401 to every other, and read no more than 16 KiB of it.

    Args:
        pending: The sign-ins that wait for one.

        authorization: The ``Authorization`` header, or None.

        body: The body as received.

    Returns:
        The sign-in, for `OAuthClient.complete_backchannel_sign_in`.

    Raises:
        VerificationError: It is malformed, or of no pending sign-in: ignore it.

    Spec: CIBA Core 1.0 §10.2.
    """
    waiting = _require_notification(pending, authorization, body)
    scheme, _, token = (authorization or "").partition(" ")
    token, hidden = HiddenStr(token.strip()), HiddenBytes(body[: _MAX_NOTIFICATION + 1])
    del authorization, body
    identifier = _read_identifier(hidden)
    if scheme.lower() == "bearer" and identifier is not None:
        # Each is compared, so that the time tells nothing of which was close.
        found = [known for known in waiting if known.is_notification(identifier, token)]
        if found:
            return found[0]
    raise VerificationError(
        "the notification must carry the token and the auth_req_id of a pending sign-in: ignore it"
    )


def _require_notification(
    pending: Iterable[BackchannelAuthentication], authorization: object, body: object
) -> tuple[BackchannelAuthentication, ...]:
    if authorization is not None:
        require_instance("authorization", "the header's text or None", authorization, str)
    require_instance("body", "the body's bytes", body, (bytes, bytearray, memoryview))
    require_instance("pending", "a collection of BackchannelAuthentication", pending, Iterable)
    waiting = tuple(pending)
    for known in waiting:
        required = "what begin_backchannel_sign_in gave"
        require_instance("each of pending", required, known, BackchannelAuthentication)
    return waiting


def _read_identifier(body: bytes) -> HiddenStr | None:
    if len(body) > _MAX_NOTIFICATION:
        return None
    try:
        identifier = parse_json_object(body).get("auth_req_id")
    except JsonError:
        return None
    return HiddenStr(identifier) if isinstance(identifier, str) else None

"""Signing in on another device (RFC 8628): the codes, and the interval between two polls."""

import attrs

from aritma_auth.errors import (
    AritmaAuthError,
    AuthorizationPendingError,
    ConfigurationError,
    SlowDownError,
)
from aritma_auth.protocol.grants import DeviceCodeGrant
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.json_response import parse_json_response, structure_response
from aritma_auth.protocol.redaction import SecretText, as_secret, require_secret
from aritma_auth.protocol.strict_json import WireNumber
from aritma_auth.protocol.urls import require_secure_url
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments
from aritma_auth.runtime.values import Value

_DEFAULT_INTERVAL = 5.0
_MIN_INTERVAL = 1.0
_MAX_INTERVAL = 60.0
_SLOW_DOWN = 5.0
_MAX_BACKOFF = 300.0
# A server that says "never" is not polled for ever.
_MAX_LIFETIME = 86_400.0


@attrs.frozen(repr=False)
class _DeviceResponse:
    device_code: str
    user_code: str
    expires_in: WireNumber
    verification_uri: str = ""
    # Google's name for it, of the drafts before RFC 8628.
    verification_url: str = ""
    verification_uri_complete: str | None = None
    interval: WireNumber | None = None


@with_hidden_arguments
@attrs.frozen(kw_only=True, eq=False, repr=False)
class DeviceAuthorization(Value):
    """
    What to show an end-user who signs in on another device.

    Attributes:
        user_code: What the end-user types there; show it beside the complete address too.

        verification_uri: The address to open there.

        verification_uri_complete: The same with the code in it, for a QR code, or None.

        expires_at: POSIX seconds at which the codes expire.

        interval: Seconds between two polls at least.

        expects_id_token: ``openid`` was asked for, so an ID token must prove who signed in.

    Spec: RFC 8628 §3.2, §3.3.
    """

    _device_code: SecretText = attrs.field(converter=as_secret, validator=require_secret)
    user_code: str = attrs.field(repr=False)
    verification_uri: str
    verification_uri_complete: str | None = attrs.field(repr=False)
    expires_at: float
    interval: float
    expects_id_token: bool = False

    @property
    def grant(self) -> DeviceCodeGrant:
        """The grant that polls for the token."""
        return DeviceCodeGrant(self._device_code)


def parse_device_authorization_response(
    response: HttpResponse, *, sent_at: float, expects_id_token: bool = False
) -> DeviceAuthorization:
    """
    Parse the device authorization endpoint's response.

    Args:
        response: The response.

        sent_at: POSIX seconds when the request left.

        expects_id_token: The scope ``openid`` was asked for.

    Raises:
        OAuthError: The server refused.

        InvalidResponseError: A member is missing, or an address is not fit to be shown.

    Spec: RFC 8628 §3.2.
    """
    received = structure_response(
        parse_json_response(
            response, now=sent_at, what="the device authorization endpoint", is_authenticated=True
        ),
        _DeviceResponse,
        _find_problems,
        what="the device authorization response",
        status=response.status,
    )
    lifetime = min(received.expires_in, _MAX_LIFETIME)
    return DeviceAuthorization(
        device_code=received.device_code,
        user_code=received.user_code,
        verification_uri=received.verification_uri or received.verification_url,
        # Some servers send an empty string for "none".
        verification_uri_complete=received.verification_uri_complete or None,
        expires_at=sent_at + lifetime,
        interval=_limit_interval(received.interval, lifetime),
        expects_id_token=expects_id_token,
    )


def _limit_interval(interval: float | None, expires_in: float) -> float:
    if interval is None or interval <= 0:
        interval = _DEFAULT_INTERVAL
    # An interval beyond the code's life would never poll; one near zero would hammer the server.
    return max(_MIN_INTERVAL, min(interval, _MAX_INTERVAL, expires_in / 2))


def _find_problems(received: _DeviceResponse) -> tuple[str, ...]:
    problems = []
    if not received.device_code:
        problems.append("device_code must not be empty")
    if not received.user_code or not received.user_code.isprintable():
        problems.append("user_code must be printable and not empty")
    if not received.verification_uri and not received.verification_url:
        problems.append("verification_uri is missing, or empty")
    for name in ("verification_uri", "verification_url", "verification_uri_complete"):
        url = getattr(received, name)
        try:
            _ = require_secure_url(url, name) if url else None
        except ConfigurationError as error:
            problems.append(str(error))
    if not received.expires_in > 0:
        problems.append("expires_in must be greater than 0")
    return tuple(problems)


def next_interval(interval: float, error: Exception) -> float | None:
    """
    Compute how long to wait before the next poll.

    Args:
        interval: Seconds waited before the last one.

        error: What the last one raised.

    Returns:
        Seconds, or None if no further poll can succeed.

    Spec: RFC 8628 §3.5.
    """
    if isinstance(error, SlowDownError):
        return interval + _SLOW_DOWN
    if isinstance(error, AuthorizationPendingError):
        return interval
    if isinstance(error, AritmaAuthError) and not error.is_permanent:
        # RFC 8628 §3.5 demands exponential backoff after a lost connection.
        longer = min(interval * 2, max(_MAX_BACKOFF, interval))
        return max(longer, error.retry_after or 0.0)
    return None

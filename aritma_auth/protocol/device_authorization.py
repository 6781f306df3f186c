"""Signing in on another device: the codes, and the rhythm of the questions."""

import attrs

from aritma_auth.errors import (
    AritmaAuthError,
    AuthorizationPendingError,
    ConfigurationError,
    InvalidResponseError,
    SlowDownError,
)
from aritma_auth.protocol.grants import DeviceCodeGrant
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.json_response import parse_json_response
from aritma_auth.protocol.redaction import SecretText, as_secret
from aritma_auth.protocol.strict_json import StructureError, WireNumber, structure
from aritma_auth.protocol.urls import require_secure_url

_DEFAULT_INTERVAL = 5.0
_SLOWER = 5.0
_LONGEST_PAUSE = 300.0


@attrs.frozen(repr=False)
class _Answer:
    device_code: str
    user_code: str
    verification_uri: str
    expires_in: WireNumber
    verification_uri_complete: str | None = None
    interval: WireNumber | None = None


@attrs.frozen(kw_only=True)
class DeviceAuthorization:
    """
    What to show a person who signs in on another device.

    Attributes:
        user_code: What the person types there; show it beside the complete address too.

        verification_uri: Where the person goes.

        verification_uri_complete: The same with the code in it, for a QR code, or None.

        expires_at: POSIX seconds until which it can be done.

        interval: Seconds between two questions at least.

        expects_id_token: The sign-in must prove who it was: ``openid`` was asked for.

    Spec: RFC 8628 §3.2, §3.3.
    """

    _device_code: SecretText = attrs.field(converter=as_secret)
    user_code: str = attrs.field(repr=False)
    verification_uri: str
    verification_uri_complete: str | None = attrs.field(repr=False)
    expires_at: float
    interval: float
    expects_id_token: bool = False

    @property
    def grant(self) -> DeviceCodeGrant:
        """What the token is asked for with."""
        return DeviceCodeGrant(self._device_code)


def parse_device_authorization_response(
    response: HttpResponse, *, sent_at: float, expects_id_token: bool = False
) -> DeviceAuthorization:
    """
    Read the device authorization endpoint's answer.

    Args:
        response: The answer.

        sent_at: POSIX seconds when the request left.

        expects_id_token: The scope ``openid`` was asked for.

    Raises:
        OAuthError: The server refused.

        InvalidResponseError: A member is missing, or an address is not fit to be shown.

    Spec: RFC 8628 §3.2.
    """
    members = parse_json_response(response, now=sent_at, what="the device authorization endpoint")
    problems: tuple[str, ...]
    try:
        answer = structure(members, _Answer)
    except StructureError as error:
        problems = error.problems
    else:
        problems = _problems(answer)
        if not problems:
            return DeviceAuthorization(
                device_code=answer.device_code,
                user_code=answer.user_code,
                verification_uri=answer.verification_uri,
                verification_uri_complete=answer.verification_uri_complete,
                expires_at=sent_at + answer.expires_in,
                interval=max(answer.interval or 0.0, 0.0) or _DEFAULT_INTERVAL,
                expects_id_token=expects_id_token,
            )
    raise InvalidResponseError(
        f"the device answer is unusable: {'; '.join(problems)}",
        status=response.status,
        problems=problems,
    )


def _problems(answer: _Answer) -> tuple[str, ...]:
    problems = []
    if not answer.device_code or not answer.user_code.isprintable() or not answer.user_code:
        problems.append("device_code or user_code is not usable")
    for name in ("verification_uri", "verification_uri_complete"):
        url = getattr(answer, name)
        try:
            _ = None if url is None else require_secure_url(url, name)
        except ConfigurationError as error:
            problems.append(str(error))
    if not answer.expires_in > 0:
        problems.append("expires_in is not usable")
    return tuple(problems)


def next_interval(interval: float, error: Exception) -> float | None:
    """
    Say how long to wait before the next question.

    Args:
        interval: Seconds waited before the last one.

        error: What the last one brought.

    Returns:
        Seconds, or None if asking again makes no sense.

    Spec: RFC 8628 §3.5.
    """
    if isinstance(error, SlowDownError):
        return interval + _SLOWER
    if isinstance(error, AuthorizationPendingError):
        return interval
    if isinstance(error, AritmaAuthError) and not error.is_permanent:
        # As after a lost connection, for which RFC 8628 demands exponential back-off.
        longer = min(interval * 2, max(_LONGEST_PAUSE, interval))
        return max(longer, error.retry_after or 0.0)
    return None

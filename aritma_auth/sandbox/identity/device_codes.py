"""Device codes: issued, approved by an end-user, redeemed."""

import secrets

import attrs

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.registrations import SandboxClient
from aritma_auth.sandbox.identity.sessions import AuthenticationEvent

_LIFETIME = 300
_INTERVAL = 5


@attrs.define(kw_only=True)
class DeviceAuthorization:
    """
    A device code's record.

    Attributes:
        client_id: The client that it was issued to.

        scope: The requested scope.

        user_code: The code that the end-user enters.

        expires_at: POSIX seconds.

        next_poll_at: POSIX seconds; an earlier poll gets ``slow_down``.

        sign_in: The authentication event, or None before the end-user's decision.

        is_denied: The end-user has denied it.
    """

    client_id: str
    scope: tuple[str, ...]
    user_code: str
    expires_at: float
    next_poll_at: float
    sign_in: AuthenticationEvent | None = None
    is_denied: bool = False


class DeviceCodes:
    """Issues device codes and redeems those that an end-user has approved."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._devices: dict[str, DeviceAuthorization] = {}

    def issue(self, client: SandboxClient, scope: tuple[str, ...]) -> dict[str, object]:
        """
        Issue a device code.

        Returns:
            The response's members, without the verification addresses.
        """
        device_code = secrets.token_hex(32).upper()
        user_code = str(secrets.randbelow(900_000_000) + 100_000_000)
        now = self._clock.time()
        self._devices[device_code] = DeviceAuthorization(
            client_id=client.client_id,
            scope=scope,
            user_code=user_code,
            expires_at=now + _LIFETIME,
            next_poll_at=now,
        )
        return {
            "device_code": device_code,
            "user_code": user_code,
            "expires_in": _LIFETIME,
            "interval": _INTERVAL,
        }

    def find(self, user_code: str) -> DeviceAuthorization | None:
        """Find the pending record of a user code."""
        now = self._clock.time()
        return next(
            (
                device
                for device in self._devices.values()
                if device.user_code == user_code
                and now < device.expires_at
                and device.sign_in is None
                and not device.is_denied
            ),
            None,
        )

    def decide(self, user_code: str, subject: str | None) -> bool:
        """
        Record the end-user's decision; a subject of None denies.

        Returns:
            Whether a record with that user code was pending.
        """
        device = self.find(user_code)
        if device is None:
            return False
        if subject is None:
            device.is_denied = True
        else:
            device.sign_in = AuthenticationEvent(
                subject=subject,
                auth_time=self._clock.time(),
                session_id=secrets.token_hex(16).upper(),
            )
        return True

    def redeem(
        self, device_code: str, client: SandboxClient
    ) -> tuple[tuple[str, ...], AuthenticationEvent]:
        """
        Redeem a device code.

        Returns:
            The scope, and the authentication event.

        Raises:
            ErrorResponse: ``authorization_pending``, ``slow_down``, or a final error.

        Source: IdentityServer's DeviceCodeValidator: an early poll restarts the interval.
        """
        device = self._devices.get(device_code)
        if device is None or device.client_id != client.client_id:
            raise ErrorResponse("invalid_grant")
        now = self._clock.time()
        is_too_early, device.next_poll_at = now < device.next_poll_at, now + _INTERVAL
        if is_too_early:
            raise ErrorResponse("slow_down")
        if now >= device.expires_at:
            raise ErrorResponse("expired_token")
        if device.is_denied:
            raise ErrorResponse("access_denied")
        if device.sign_in is None:
            raise ErrorResponse("authorization_pending")
        del self._devices[device_code]
        return device.scope, device.sign_in

"""Device codes: issued, approved by an end-user, redeemed."""

import secrets

import attrs

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.polling import INTERVAL, LIFETIME, PolledRequest
from aritma_auth.sandbox.identity.registrations import SandboxClient
from aritma_auth.sandbox.identity.sessions import AuthenticationEvent


@attrs.define(kw_only=True)
class DeviceAuthorization(PolledRequest):
    """
    A device code's record.

    Attributes:
        user_code: The code that the end-user enters.
    """

    user_code: str


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
            expires_at=now + LIFETIME,
            next_poll_at=now,
        )
        return {
            "device_code": device_code,
            "user_code": user_code,
            "expires_in": LIFETIME,
            "interval": INTERVAL,
        }

    def find(self, user_code: str) -> DeviceAuthorization | None:
        """Find the pending record of a user code."""
        now = self._clock.time()
        found = (each for each in self._devices.values() if each.user_code == user_code)
        return next((device for device in found if device.is_pending(now)), None)

    def decide(self, user_code: str, subject: str | None) -> bool:
        """
        Record the end-user's decision; a subject of None denies.

        Returns:
            Whether a record with that user code was pending.
        """
        device = self.find(user_code)
        if device is not None:
            device.decide(subject, self._clock.time())
        return device is not None

    def redeem(
        self, device_code: str, client: SandboxClient
    ) -> tuple[tuple[str, ...], AuthenticationEvent]:
        """
        Redeem a device code.

        Returns:
            The scope, and the authentication event.

        Raises:
            ErrorResponse: ``invalid_grant``, or as for `PolledRequest.poll`.
        """
        device = self._devices.get(device_code)
        if device is None or device.client_id != client.client_id:
            raise ErrorResponse("invalid_grant")
        sign_in = device.poll(self._clock.time(), INTERVAL)
        del self._devices[device_code]
        return device.scope, sign_in

"""Sign-ins on another device, under way."""

import secrets

import attrs

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.authentication_event import SignInFacts
from aritma_auth.sandbox.identity.registrations import SandboxClient
from aritma_auth.sandbox.refusals import Refusal

_LIFETIME = 300
_INTERVAL = 5


@attrs.define(kw_only=True)
class DeviceSignIn:
    """
    What a device code stands for.

    Attributes:
        client_id: For whom.

        scope: For what.

        user_code: What the person types.

        expires_at: POSIX seconds.

        may_ask_at: POSIX seconds; who asks before must wait anew.

        sign_in: Who signed in, or None so far.

        is_denied: The person said no.
    """

    client_id: str
    scope: tuple[str, ...]
    user_code: str
    expires_at: float
    may_ask_at: float
    sign_in: SignInFacts | None = None
    is_denied: bool = False


class Devices:
    """
    Keeps the devices that wait for a person.

    Args:
        clock: The sandbox's time.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._devices: dict[str, DeviceSignIn] = {}

    def start(self, client: SandboxClient, scope: tuple[str, ...]) -> dict[str, object]:
        """
        Begin a sign-in.

        Args:
            client: For whom.

            scope: For what.

        Returns:
            The answer's members, without the addresses.
        """
        device_code = secrets.token_hex(32).upper()
        user_code = str(secrets.randbelow(900_000_000) + 100_000_000)
        now = self._clock.time()
        self._devices[device_code] = DeviceSignIn(
            client_id=client.client_id,
            scope=scope,
            user_code=user_code,
            expires_at=now + _LIFETIME,
            may_ask_at=now,
        )
        return {
            "device_code": device_code,
            "user_code": user_code,
            "expires_in": _LIFETIME,
            "interval": _INTERVAL,
        }

    def find(self, user_code: str) -> DeviceSignIn | None:
        """
        Find a device that still waits.

        Args:
            user_code: What the person typed.
        """
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
        Let a person answer.

        Args:
            user_code: What was typed.

            subject: Who agrees, or None for no.

        Returns:
            Whether a device waits for that code.
        """
        device = self.find(user_code)
        if device is None:
            return False
        if subject is None:
            device.is_denied = True
        else:
            device.sign_in = SignInFacts(
                subject=subject,
                auth_time=self._clock.time(),
                session_id=secrets.token_hex(16).upper(),
            )
        return True

    def redeem(
        self, device_code: str, client: SandboxClient
    ) -> tuple[tuple[str, ...], SignInFacts]:
        """
        Ask for a device's sign-in.

        Args:
            device_code: The device's code.

            client: Who asks.

        Returns:
            For what, and who signed in.

        Raises:
            Refusal: Not yet, not so fast, too late, or never.

        Source: IdentityServer's DeviceCodeValidator: asking too early starts the wait anew.
        """
        device = self._devices.get(device_code)
        if device is None or device.client_id != client.client_id:
            raise Refusal("invalid_grant")
        now = self._clock.time()
        is_too_early, device.may_ask_at = now < device.may_ask_at, now + _INTERVAL
        if is_too_early:
            raise Refusal("slow_down")
        if now >= device.expires_at:
            raise Refusal("expired_token")
        if device.is_denied:
            raise Refusal("access_denied")
        if device.sign_in is None:
            raise Refusal("authorization_pending")
        del self._devices[device_code]
        return device.scope, device.sign_in

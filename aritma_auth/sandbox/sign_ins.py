"""Sign-ins under way: browsers' sessions, codes and device codes."""

import hashlib
import secrets
from base64 import urlsafe_b64encode

import attrs

from aritma_auth.sandbox.clients import SandboxClient
from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.issuing import SignInFacts
from aritma_auth.sandbox.refusals import Refusal

_CODE_LIFETIME = 300
_DEVICE_LIFETIME = 300
_INTERVAL = 5


@attrs.define
class BrowserSession:
    """
    A browser in which somebody has signed in.

    Attributes:
        subject: Who.

        auth_time: POSIX seconds.

        session_id: What ID tokens call the session.

        consents: What the person has said, by client and scope.

        client_ids: The clients that know of the session.
    """

    subject: str
    auth_time: float
    session_id: str
    consents: dict[tuple[str, tuple[str, ...]], bool] = attrs.field(factory=dict)
    client_ids: set[str] = attrs.field(factory=set)


@attrs.define(kw_only=True)
class Code:
    """
    What a code stands for.

    Attributes:
        client_id: For whom.

        redirect_uri: Where it was sent to.

        scope: For what.

        sign_in: Who signed in.

        code_challenge: S256 of the verifier, or None.

        expires_at: POSIX seconds.
    """

    client_id: str
    redirect_uri: str
    scope: tuple[str, ...]
    sign_in: SignInFacts
    code_challenge: str | None
    expires_at: float


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


class SignIns:
    """
    Keeps what is under way.

    Args:
        clock: The sandbox's time.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._codes: dict[str, Code] = {}
        self._devices: dict[str, DeviceSignIn] = {}
        self._sessions: dict[str, BrowserSession] = {}

    def open_session(self, subject: str) -> str:
        """
        Remember that somebody signed in with a browser.

        Args:
            subject: Who.

        Returns:
            The cookie.
        """
        cookie = secrets.token_urlsafe(24)
        self._sessions[cookie] = BrowserSession(
            subject, self._clock.now(), secrets.token_hex(16).upper()
        )
        return cookie

    def session(self, cookie: str | None) -> BrowserSession | None:
        """Find a browser's session by its cookie."""
        return self._sessions.get(cookie or "")

    def close_session(self, cookie: str | None) -> None:
        """Forget a browser's session."""
        self._sessions.pop(cookie or "", None)

    def make_code(
        self,
        client: SandboxClient,
        redirect_uri: str,
        scope: tuple[str, ...],
        sign_in: SignInFacts,
        code_challenge: str | None,
    ) -> str:
        """
        Make a code, good for five minutes and one exchange.

        Args:
            client: For whom.

            redirect_uri: Where it is sent to.

            scope: For what.

            sign_in: Who signed in.

            code_challenge: S256 of the verifier, or None.
        """
        text = secrets.token_hex(32).upper()
        self._codes[text] = Code(
            client_id=client.client_id,
            redirect_uri=redirect_uri,
            scope=scope,
            sign_in=sign_in,
            code_challenge=code_challenge,
            expires_at=self._clock.now() + _CODE_LIFETIME,
        )
        return text

    def redeem_code(
        self, text: str, client: SandboxClient, redirect_uri: str, code_verifier: str | None
    ) -> Code:
        """
        Use a code: it is gone, whatever else is wrong.

        Args:
            text: The code.

            client: Who presents it.

            redirect_uri: Must be the one it was sent to.

            code_verifier: Must fit the challenge.

        Raises:
            Refusal: ``invalid_grant``.
        """
        code = self._codes.pop(text, None)
        challenge = None if code_verifier is None else _challenge(code_verifier)
        if (
            code is None
            or code.client_id != client.client_id
            or code.redirect_uri != redirect_uri
            or code.code_challenge != challenge
            or self._clock.now() >= code.expires_at
        ):
            raise Refusal("invalid_grant")
        return code

    def start_device(self, client: SandboxClient, scope: tuple[str, ...]) -> dict[str, object]:
        """
        Begin a sign-in on another device.

        Args:
            client: For whom.

            scope: For what.

        Returns:
            The answer's members, without the addresses.
        """
        device_code = secrets.token_hex(32).upper()
        user_code = "".join(secrets.choice("123456789") for _ in range(9))
        now = self._clock.now()
        self._devices[device_code] = DeviceSignIn(
            client_id=client.client_id,
            scope=scope,
            user_code=user_code,
            expires_at=now + _DEVICE_LIFETIME,
            may_ask_at=now,
        )
        return {
            "device_code": device_code,
            "user_code": user_code,
            "expires_in": _DEVICE_LIFETIME,
            "interval": _INTERVAL,
        }

    def device(self, user_code: str) -> DeviceSignIn | None:
        """Find a device's sign-in by what the person typed."""
        return next((d for d in self._devices.values() if d.user_code == user_code), None)

    def answer_device(self, user_code: str, subject: str | None) -> bool:
        """
        Let a person answer.

        Args:
            user_code: What was typed.

            subject: Who agrees, or None for no.

        Returns:
            Whether there is such a code.
        """
        device = self.device(user_code)
        if device is None:
            return False
        if subject is None:
            device.is_denied = True
        else:
            device.sign_in = SignInFacts(
                subject=subject,
                auth_time=self._clock.now(),
                session_id=secrets.token_hex(16).upper(),
            )
        return True

    def redeem_device(self, device_code: str, client: SandboxClient) -> DeviceSignIn:
        """
        Ask for a device's sign-in.

        Args:
            device_code: The device's code.

            client: Who asks.

        Raises:
            Refusal: Not yet, not so fast, too late, or never.

        Source: IdentityServer's DeviceCodeValidator: asking too early starts the wait anew.
        """
        device = self._devices.get(device_code)
        if device is None or device.client_id != client.client_id:
            raise Refusal("invalid_grant")
        now = self._clock.now()
        too_early, device.may_ask_at = now < device.may_ask_at, now + _INTERVAL
        if too_early:
            raise Refusal("slow_down")
        if now >= device.expires_at:
            raise Refusal("expired_token")
        if device.is_denied:
            raise Refusal("access_denied")
        if device.sign_in is None:
            raise Refusal("authorization_pending")
        del self._devices[device_code]
        return device


def _challenge(code_verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).decode().rstrip("=")

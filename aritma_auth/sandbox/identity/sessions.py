"""Sign-ins under way: browsers' sessions, and codes."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable

import attrs

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.authentication_event import SignInFacts
from aritma_auth.sandbox.identity.registrations import SandboxClient
from aritma_auth.sandbox.refusals import Refusal

_LIFETIME = 300


@attrs.define(kw_only=True)
class BrowserSession:
    """
    A browser in which somebody has signed in.

    Attributes:
        subject: Who.

        auth_time: POSIX seconds.

        session_id: What ID tokens call the session.

        acr: What the sign-in reached, such as ``mfa``.

        idp: The identity provider that the person came by.

        consents: What the person has said, by client and scope.

        client_ids: The clients that know of the session, by tenant's issuer.
    """

    subject: str
    auth_time: float
    session_id: str = attrs.field(factory=lambda: secrets.token_hex(16).upper())
    acr: frozenset[str] = frozenset()
    idp: str = "local"
    consents: dict[tuple[str, tuple[str, ...]], bool] = attrs.field(factory=dict)
    client_ids: set[tuple[str, str]] = attrs.field(factory=set)


@attrs.frozen(kw_only=True)
class Code:
    """
    What a code stands for.

    Attributes:
        client_id: For whom.

        redirect_uri: Where it was sent to.

        scope: For what.

        sign_in: Who signed in.

        code_challenge: S256 of the verifier, or None.

        resources: APIs that were named, of which one may be asked for.

        expires_at: POSIX seconds; set when the code is made.
    """

    client_id: str
    redirect_uri: str
    scope: tuple[str, ...]
    sign_in: SignInFacts
    code_challenge: str | None
    resources: tuple[str, ...] = ()
    expires_at: float = 0.0


class SignIns:
    """
    Keeps what is under way.

    Args:
        clock: The sandbox's time.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._codes: dict[str, Code] = {}
        self._sessions: dict[str, BrowserSession] = {}

    def open_session(
        self,
        subject: str,
        acr: Iterable[str] = (),
        idp: str = "local",
        before: BrowserSession | None = None,
    ) -> tuple[str, BrowserSession]:
        """
        Remember that somebody signed in with a browser.

        Args:
            subject: Who.

            acr: What the sign-in reached.

            idp: The identity provider that the person came by.

            before: The browser's last session; the same person's goes on under its old id.

        Returns:
            The cookie, and the session.
        """
        cookie, now = secrets.token_urlsafe(24), self._clock.time()
        if before is not None and before.subject == subject:
            reached = before.acr.union(acr)
            session = attrs.evolve(before, auth_time=now, acr=reached, idp=idp)
        else:
            session = BrowserSession(subject=subject, auth_time=now, acr=frozenset(acr), idp=idp)
        self._sessions[cookie] = session
        return cookie, session

    def session(self, cookie: str | None) -> BrowserSession | None:
        """Find a browser's session by its cookie."""
        return self._sessions.get(cookie or "")

    def close_session(self, cookie: str | None) -> BrowserSession | None:
        """Forget a browser's session, and give it a last time."""
        return self._sessions.pop(cookie or "", None)

    def make_code(self, code: Code) -> str:
        """
        Make a code, good for five minutes and one exchange.

        Args:
            code: What it stands for.
        """
        text = secrets.token_hex(32).upper()
        self._codes[text] = attrs.evolve(code, expires_at=self._clock.time() + _LIFETIME)
        return text

    def redeem_code(
        self, text: str, client: SandboxClient, redirect_uri: str, code_verifier: str | None
    ) -> Code:
        """
        Use a code: in its client's hands it is gone, whatever else is wrong.

        Args:
            text: The code.

            client: Who presents it.

            redirect_uri: Must be the one it was sent to.

            code_verifier: Must fit the challenge.

        Raises:
            Refusal: ``invalid_grant``.
        """
        code = self._codes.get(text)
        if code is None or code.client_id != client.client_id:
            raise Refusal("invalid_grant")
        del self._codes[text]
        challenge = None if code_verifier is None else _challenge(code_verifier)
        if (
            code.redirect_uri != redirect_uri
            or code.code_challenge != challenge
            or self._clock.time() >= code.expires_at
        ):
            raise Refusal("invalid_grant")
        return code


def _challenge(code_verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).decode().rstrip("=")

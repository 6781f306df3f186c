"""What the server remembers of end-users: authentication events, browser sessions, codes."""

import secrets
from collections.abc import Iterable, Mapping

import attrs

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.base64url import hash_base64url
from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.registrations import SandboxClient


@attrs.frozen(kw_only=True)
class AuthenticationEvent:
    """
    An end-user's authentication, as tokens describe it.

    Attributes:
        subject: The end-user's ``sub``.

        auth_time: POSIX seconds.

        session_id: The ``sid`` of the browser's session.

        nonce: The authorization request's nonce, or None.

        acr: The authentication contexts reached, such as ``mfa``.

        idp: The identity provider that authenticated the end-user.

        tenant: The requested tenant, or None.
    """

    subject: str
    auth_time: float
    session_id: str
    nonce: str | None = None
    acr: tuple[str, ...] = ()
    idp: str = "local"
    tenant: str | None = None

    @property
    def claims(self) -> dict[str, object]:
        """The claims that access tokens and ID tokens share."""
        return {
            "sub": self.subject,
            "auth_time": int(self.auth_time),
            "idp": self.idp,
            "amr": ["pwd", *self.acr],
            **({"acr": self.acr[0]} if self.acr else {}),
            **({} if self.tenant is None else {"tid": self.tenant}),
        }


_LIFETIME = 300


@attrs.define(kw_only=True)
class BrowserSession:
    """
    The session of a browser in which an end-user has signed in.

    Attributes:
        subject: The end-user's ``sub``.

        auth_time: POSIX seconds.

        session_id: The ``sid`` of ID tokens.

        acr: The authentication contexts reached, such as ``mfa``.

        idp: The identity provider that authenticated the end-user.

        consents: The end-user's decisions, by client and scope.

        client_ids: The clients that signed in with the session, each with its tenant's issuer.
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
    An authorization code's record.

    Attributes:
        client_id: The client that it was issued to.

        redirect_uri: The redirect URI of the authorization request.

        scope: The granted scope.

        sign_in: The authentication event.

        code_challenge: S256 of the code verifier, or None.

        resources: The resources of the authorization request; a token request may name one.

        details: The granted authorization details.

        dpop_jkt: Thumbprint of the key that the token request must prove, or None.

        expires_at: POSIX seconds; set when the code is issued.
    """

    client_id: str
    redirect_uri: str
    scope: tuple[str, ...]
    sign_in: AuthenticationEvent
    code_challenge: str | None
    resources: tuple[str, ...] = ()
    details: tuple[Mapping[str, object], ...] = ()
    dpop_jkt: str | None = None
    expires_at: float = 0.0


class Sessions:
    """Keeps browser sessions and authorization codes."""

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
        Open the session of a browser, or go on with that of the same end-user.

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
        """Remove a browser's session and give it back."""
        return self._sessions.pop(cookie or "", None)

    def issue_code(self, code: Code) -> str:
        """Issue a code, valid for five minutes and one exchange."""
        text = secrets.token_hex(32).upper()
        self._codes[text] = attrs.evolve(code, expires_at=self._clock.time() + _LIFETIME)
        return text

    def is_bound_elsewhere(self, text: str, thumbprint: object) -> bool:
        """Tell whether a code is bound to another key than a request has proved (RFC 9449 §10)."""
        code = self._codes.get(text)
        return code is not None and code.dpop_jkt not in {None, thumbprint}

    def redeem_code(
        self, text: str, client: SandboxClient, redirect_uri: str, code_verifier: str | None
    ) -> Code:
        """
        Redeem a code: its own client spends it, even with an invalid request.

        Raises:
            ErrorResponse: ``invalid_grant``.
        """
        code = self._codes.get(text)
        if code is None or code.client_id != client.client_id:
            raise ErrorResponse("invalid_grant")
        del self._codes[text]
        challenge = None if code_verifier is None else hash_base64url(code_verifier)
        if (
            code.redirect_uri != redirect_uri
            or code.code_challenge != challenge
            or self._clock.time() >= code.expires_at
        ):
            raise ErrorResponse("invalid_grant")
        return code

"""Tokens: made, remembered and judged."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence

import attrs

from aritma_auth.sandbox.clients import IDENTITY_SCOPES, SandboxClient
from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.keys import SigningKey, signing_key


@attrs.define
class IssuedToken:
    """
    An access token as the sandbox remembers it.

    Attributes:
        client_id: For whom.

        subject: The person, or None for a machine.

        scope: For what.

        expires_at: POSIX seconds by the sandbox's clock.

        is_revoked: It was revoked before its end.
    """

    client_id: str
    subject: str | None
    scope: tuple[str, ...]
    expires_at: float
    is_revoked: bool = False


@attrs.frozen(kw_only=True)
class SignInFacts:
    """
    A person's sign-in, as ID tokens tell it.

    Attributes:
        subject: Who.

        auth_time: POSIX seconds.

        session_id: The browser's session.

        nonce: What the client sent along, or None.
    """

    subject: str
    auth_time: float
    session_id: str
    nonce: str | None = None


@attrs.define
class RefreshToken:
    """
    A refresh token as the sandbox remembers it.

    Attributes:
        client_id: For whom.

        subject: The person.

        scope: For what.

        family: Which sign-in it comes from.

        sign_in: What the renewals' ID tokens say of it.

        is_spent: It was used and cannot be used again.
    """

    client_id: str
    subject: str
    scope: tuple[str, ...]
    family: str
    sign_in: SignInFacts | None = None
    is_spent: bool = False


class TokenIssuer:
    """
    Makes tokens and knows which of them are good.

    Args:
        clock: The sandbox's time.

    Attributes:
        reuse_events: Times that a spent refresh token was presented.

        families_die: A spent refresh token presented again ends its whole family.

        id_token_changes: Claims that every ID token gets instead; None takes one out.

        logout_token_changes: The same for logout tokens.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._access: dict[str, IssuedToken] = {}
        self._id_tokens: dict[str, str] = {}
        self._refresh: dict[str, RefreshToken] = {}
        self._key_number = 0
        self.reuse_events = 0
        self.families_die = True
        self.id_token_changes: dict[str, object] = {}
        self.logout_token_changes: dict[str, object] = {}

    @property
    def keys(self) -> Sequence[SigningKey]:
        """The published keys: the one in use first, then those it replaced."""
        return [signing_key(number) for number in range(self._key_number, -1, -1)]

    def roll_keys(self) -> None:
        """Sign with a new key from now on; the old ones stay published."""
        self._key_number += 1

    def issue_access_token(
        self, issuer: str, client: SandboxClient, scope: Sequence[str], subject: str | None
    ) -> str:
        """
        Make a signed access token, its claims in the order of Aritma's sample.

        Args:
            issuer: The tenant's issuer.

            client: For whom.

            scope: For what.

            subject: The person, or None for a machine.

        Source: Aritma's authentication page (Example Response).
        """
        exactly = self._clock.now()
        now = int(exactly)
        apis = [name for name in scope if name not in IDENTITY_SCOPES]
        claims: dict[str, object] = {
            "nbf": now,
            "exp": now + client.lifetime,
            "iss": issuer,
            "aud": [*apis, f"{issuer}/resources"],
            "client_id": client.client_id,
            **({} if subject is None else {"sub": subject, "auth_time": now, "idp": "local"}),
            "iat": now,
            "scope": list(scope),
            # Aritma's sample has no jti; two tokens of one second must differ all the same.
            "sid": secrets.token_hex(8),
        }
        text = self.keys[0].sign(claims)
        self._access[text] = IssuedToken(
            client.client_id, subject, tuple(scope), exactly + client.lifetime
        )
        return text

    def issue_id_token(
        self,
        issuer: str,
        client_id: str,
        sign_in: SignInFacts,
        *,
        access_token: str | None = None,
        code: str | None = None,
    ) -> str:
        """
        Make an ID token, as IdentityServer does: good for five minutes.

        Args:
            issuer: The tenant's issuer.

            client_id: For whom.

            sign_in: Who signed in, when and how.

            access_token: What ``at_hash`` is of.

            code: What ``c_hash`` is of.

        Spec: OpenID Connect Core 1.0 §2, §3.3.2.11.
        """
        now = int(self._clock.now())
        optional = {
            "nonce": sign_in.nonce,
            "at_hash": _half_hash(access_token),
            "c_hash": _half_hash(code),
        }
        claims: dict[str, object] = {
            "iss": issuer,
            "nbf": now,
            "iat": now,
            "exp": now + 300,
            "aud": client_id,
            **{name: value for name, value in optional.items() if value is not None},
            "sid": sign_in.session_id,
            "sub": sign_in.subject,
            "auth_time": int(sign_in.auth_time),
            "idp": "local",
            "amr": ["pwd"],
        }
        text = self._sign_identity(claims | self.id_token_changes, "JWT")
        self._id_tokens[text] = client_id
        return text

    def issue_logout_token(
        self, issuer: str, client_id: str, subject: str, session_id: str | None
    ) -> str:
        """
        Make a logout token.

        Args:
            issuer: The tenant's issuer.

            client_id: For whom.

            subject: Whose session ends.

            session_id: Which session ends, or None for all.

        Spec: OpenID Connect Back-Channel Logout 1.0 §2.4.
        """
        now = int(self._clock.now())
        claims: dict[str, object] = {
            "iss": issuer,
            "aud": client_id,
            "iat": now,
            "exp": now + 300,
            "jti": secrets.token_hex(16),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            "sub": subject,
            **({} if session_id is None else {"sid": session_id}),
        }
        return self._sign_identity(claims | self.logout_token_changes, "logout+jwt")

    def _sign_identity(self, claims: dict[str, object], typ: str) -> str:
        return self.keys[0].sign({k: v for k, v in claims.items() if v is not None}, typ)

    def judge(self, text: str) -> IssuedToken | str:
        """
        Judge an access token as an API does.

        Args:
            text: What came after ``Bearer``.

        Returns:
            The token if it is good, else what to say in ``error_description``.
        """
        token = self._access.get(text)
        if token is None:
            return "The signature is invalid"
        if token.is_revoked:
            return "The token was revoked"
        if self._clock.now() >= token.expires_at:
            return "The access token expired"
        return token

    def audience_of(self, id_token: str) -> str | None:
        """
        Tell whom an ID token of ours is for; an expired one will do.

        Args:
            id_token: The compact serialisation.
        """
        return self._id_tokens.get(id_token)

    def revoke_all(self) -> None:
        """Make every access token issued so far worthless."""
        for token in self._access.values():
            token.is_revoked = True

    def issue_refresh_token(
        self,
        client: SandboxClient,
        subject: str,
        scope: Sequence[str],
        family: str | None = None,
        sign_in: SignInFacts | None = None,
    ) -> str:
        """
        Make a refresh token.

        Args:
            client: For whom.

            subject: The person.

            scope: For what.

            family: The sign-in it comes from; None starts one.

            sign_in: What the renewals' ID tokens say of it.
        """
        text = secrets.token_hex(32).upper()
        self._refresh[text] = RefreshToken(
            client.client_id, subject, tuple(scope), family or secrets.token_hex(8), sign_in
        )
        return text

    def revoke_refresh_token(self, text: str, client: SandboxClient) -> None:
        """
        Forget a refresh token.

        Args:
            text: The refresh token.

            client: Who asks; another's token stays as it is.
        """
        token = self._refresh.get(text)
        if token is not None and token.client_id == client.client_id:
            del self._refresh[text]

    def refresh_token(self, text: str, client: SandboxClient) -> RefreshToken | None:
        """
        Look at a client's refresh token.

        Args:
            text: The refresh token.

            client: Whose it must be.

        Returns:
            What it stands for, or None if it is not good any more.
        """
        token = self._refresh.get(text)
        is_good = token is not None and token.client_id == client.client_id and not token.is_spent
        return token if is_good else None

    def redeem_refresh_token(
        self, text: str, client: SandboxClient, *, rotates: bool
    ) -> RefreshToken | None:
        """
        Use a refresh token.

        Args:
            text: The refresh token.

            client: Who presents it.

            rotates: It can be used once.

        Returns:
            What it stands for, or None if it is not good any more.
        """
        token = self._refresh.get(text)
        if token is None or token.client_id != client.client_id:
            return None
        if token.is_spent:
            self.reuse_events += 1
            if self.families_die:
                self._end_family(token.family)
            return None
        token.is_spent = rotates
        return token

    def _end_family(self, family: str) -> None:
        for token in self._refresh.values():
            if token.family == family:
                token.is_spent = True


def _half_hash(text: str | None) -> str | None:
    if text is None:
        return None
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:16]).decode().rstrip("=")

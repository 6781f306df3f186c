"""Refresh tokens: issued, redeemed once or many times, revoked."""

import secrets

import attrs

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.registrations import SandboxClient
from aritma_auth.sandbox.identity.sessions import AuthenticationEvent

_LIFETIME = 30 * 24 * 3600


@attrs.define(kw_only=True)
class RefreshToken:
    """
    A refresh token as the sandbox remembers it.

    Attributes:
        client_id: The client that it was issued to.

        scope: The granted scope.

        sign_in: The authentication event that it comes from.

        family: The same for every refresh token of one authentication event.

        expires_at: POSIX seconds; its successors keep it.

        is_spent: It was redeemed, or its family was revoked.
    """

    client_id: str
    scope: tuple[str, ...]
    sign_in: AuthenticationEvent
    family: str = attrs.field(factory=lambda: secrets.token_hex(8))
    expires_at: float
    is_spent: bool = False


class RefreshTokens:
    """
    Issues and redeems refresh tokens.

    Attributes:
        reuse_events: How often a spent refresh token was presented.

        revokes_family_on_reuse: A spent refresh token presented again revokes its whole family;
            IdentityServer does that only where its operator has added it.
    """

    def __init__(self, clock: SandboxClock, *, rotate: bool) -> None:
        self._clock = clock
        self._rotate = rotate
        self._tokens: dict[str, RefreshToken] = {}
        self.reuse_events = 0
        self.revokes_family_on_reuse = True

    def issue(
        self, client: SandboxClient, scope: tuple[str, ...], sign_in: AuthenticationEvent
    ) -> str:
        """Issue the first one of a family, valid for thirty days."""
        return self._keep(
            RefreshToken(
                client_id=client.client_id,
                scope=scope,
                sign_in=sign_in,
                expires_at=self._clock.time() + _LIFETIME,
            )
        )

    def _keep(self, token: RefreshToken) -> str:
        text = secrets.token_hex(32).upper()
        self._tokens[text] = token
        return text

    def find(self, text: str, client: SandboxClient) -> RefreshToken | None:
        """
        Find a client's refresh token.

        Returns:
            The record, or None if the token is unknown, spent or expired.
        """
        token = self._tokens.get(text)
        if token is None or token.client_id != client.client_id or token.is_spent:
            return None
        return token if self._clock.time() < token.expires_at else None

    def redeem(self, text: str, client: SandboxClient) -> tuple[str, RefreshToken] | None:
        """
        Redeem a refresh token.

        Returns:
            The refresh token to return, which may be the same, and its record; or None.

        Source: IdentityServer's DefaultRefreshTokenService: the successor keeps the expiry.
        """
        token = self.find(text, client)
        if token is None:
            self._count_reuse(text, client)
            return None
        rotates = client.refresh_tokens_rotate
        if not (self._rotate if rotates is None else rotates):
            return text, token
        successor = self._keep(attrs.evolve(token))
        token.is_spent = True
        return successor, token

    def _count_reuse(self, text: str, client: SandboxClient) -> None:
        token = self._tokens.get(text)
        if token is None or token.client_id != client.client_id or not token.is_spent:
            return
        self.reuse_events += 1
        if self.revokes_family_on_reuse:
            for relative in self._tokens.values():
                relative.is_spent |= relative.family == token.family

    def revoke(self, text: str, client: SandboxClient) -> None:
        """Revoke a refresh token of this client."""
        token = self._tokens.get(text)
        if token is not None and token.client_id == client.client_id:
            del self._tokens[text]

    def revoke_all(self) -> None:
        """Revoke every refresh token."""
        self._tokens.clear()

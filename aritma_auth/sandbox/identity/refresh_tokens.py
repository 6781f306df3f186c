"""Refresh tokens: made, used once or often, ended."""

import secrets

import attrs

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.authentication_event import SignInFacts
from aritma_auth.sandbox.identity.registrations import SandboxClient

_LIFETIME = 30 * 24 * 3600


@attrs.define(kw_only=True)
class RefreshToken:
    """
    A refresh token as the sandbox remembers it.

    Attributes:
        client_id: For whom.

        scope: For what.

        sign_in: The sign-in that it comes from.

        family: The same for all that come from one sign-in.

        expires_at: POSIX seconds; its successors keep it.

        is_spent: It was used and cannot be used again.
    """

    client_id: str
    scope: tuple[str, ...]
    sign_in: SignInFacts
    family: str = attrs.field(factory=lambda: secrets.token_hex(8))
    expires_at: float
    is_spent: bool = False


class RefreshTokens:
    """
    Keeps refresh tokens.

    Args:
        clock: The sandbox's time.

        rotate: They can be used once, unless the client's registration says otherwise.

    Attributes:
        reuse_events: Times that a spent one was presented.

        revokes_family_on_reuse: A spent one presented again ends its whole family; IdentityServer
            does that where its operator has added it.
    """

    def __init__(self, clock: SandboxClock, *, rotate: bool) -> None:
        self._clock = clock
        self._rotate = rotate
        self._tokens: dict[str, RefreshToken] = {}
        self.reuse_events = 0
        self.revokes_family_on_reuse = True

    def issue(self, client: SandboxClient, scope: tuple[str, ...], sign_in: SignInFacts) -> str:
        """
        Make the first one of a sign-in, good for thirty days.

        Args:
            client: For whom.

            scope: For what.

            sign_in: The sign-in that it comes from.
        """
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
        Look at a client's refresh token.

        Args:
            text: The refresh token.

            client: Whose it must be.

        Returns:
            What it stands for, or None if it is not good any more.
        """
        token = self._tokens.get(text)
        if token is None or token.client_id != client.client_id or token.is_spent:
            return None
        return token if self._clock.time() < token.expires_at else None

    def redeem(self, text: str, client: SandboxClient) -> tuple[str, RefreshToken] | None:
        """
        Use a refresh token.

        Args:
            text: The refresh token.

            client: Who presents it.

        Returns:
            The one to use the next time, which may be the same, and what both stand for; or None.

        Source: IdentityServer's DefaultRefreshTokenService: the successor keeps the expiry.
        """
        token = self.find(text, client)
        if token is None:
            self._notice_reuse(text, client)
            return None
        rotates = client.refresh_tokens_rotate
        if not (self._rotate if rotates is None else rotates):
            return text, token
        successor = self._keep(attrs.evolve(token))
        token.is_spent = True
        return successor, token

    def _notice_reuse(self, text: str, client: SandboxClient) -> None:
        token = self._tokens.get(text)
        if token is None or token.client_id != client.client_id or not token.is_spent:
            return
        self.reuse_events += 1
        if self.revokes_family_on_reuse:
            for relative in self._tokens.values():
                relative.is_spent |= relative.family == token.family

    def revoke(self, text: str, client: SandboxClient) -> None:
        """
        Forget a refresh token.

        Args:
            text: The refresh token.

            client: Who asks; another's token stays as it is.
        """
        token = self._tokens.get(text)
        if token is not None and token.client_id == client.client_id:
            del self._tokens[text]

    def revoke_all(self) -> None:
        """Forget them all."""
        self._tokens.clear()

"""Refresh tokens: issued, redeemed once or many times, revoked."""

import secrets
from typing import Literal, get_args

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.registrations import SandboxClient
from aritma_auth.sandbox.identity.sessions import AuthenticationEvent
from aritma_auth.sandbox.identity.token_issuer import IssuedToken

_LIFETIME = 30 * 24 * 3600

OnReuse = Literal["revoke_family", "refuse", "accept_until_used", "accept"]


def _validate_on_reuse(_instance: object, _attribute: object, value: str) -> None:
    if value not in get_args(OnReuse):
        raise ConfigurationError(
            f"on_reuse must be one of {', '.join(get_args(OnReuse))}, not {value!r}"
        )


@attrs.define(kw_only=True)
class RefreshToken:
    """
    A refresh token's record.

    Attributes:
        client_id: The client that it was issued to.

        scope: The granted scope.

        sign_in: The authentication event that it comes from.

        family: The same for every refresh token of one authentication event.

        expires_at: POSIX seconds; its successors keep it.

        is_revoked: Its family was revoked.

        redeemed_at: POSIX seconds of its first use, or None.

        successor: The refresh token that replaced it, or None.

        access_token: The access token that came with its successor, or None.

        confirmation: The key that a public client's refresh token is bound to, or empty.
    """

    client_id: str
    scope: tuple[str, ...]
    sign_in: AuthenticationEvent
    family: str = attrs.field(factory=lambda: secrets.token_hex(8))
    expires_at: float
    is_revoked: bool = False
    redeemed_at: float | None = None
    successor: str | None = None
    access_token: IssuedToken | None = None
    confirmation: dict[str, object] = attrs.field(factory=dict)


@attrs.define
class RefreshTokens:
    """
    Issues and redeems refresh tokens.

    Attributes:
        on_reuse: What happens to a spent refresh token that is presented again. Servers differ:
            ``revoke_family`` (RFC 9700 §4.14.2), ``refuse`` as IdentityServer without an operator's
            addition, ``accept_until_used`` until the new access token is first used, or ``accept``.

        grace: Seconds in which a spent refresh token gets its successor once more.

        error: Error code of the response to an invalid refresh token; None for an empty body.

        error_status: HTTP status of that response.

        reuse_events: How often a spent refresh token was presented and refused.
    """

    _clock: SandboxClock
    _rotate: bool
    on_reuse: OnReuse = attrs.field(default="revoke_family", validator=_validate_on_reuse)
    grace: float = 0.0
    error: str | None = "invalid_grant"
    error_status: int = 400
    reuse_events: int = 0
    _tokens: dict[str, RefreshToken] = attrs.field(factory=dict, init=False, repr=False)

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
            The record, or None if the token is unknown, spent, revoked or expired.
        """
        token = self._known(text, client)
        return None if token is None or self._is_spent(token) else token

    def _known(self, text: str, client: SandboxClient) -> RefreshToken | None:
        token = self._tokens.get(text)
        if token is None or token.client_id != client.client_id or token.is_revoked:
            return None
        return token if self._clock.time() < token.expires_at else None

    def _is_spent(self, token: RefreshToken) -> bool:
        if token.redeemed_at is None or self.on_reuse == "accept":
            return False
        if self.on_reuse == "accept_until_used":
            return token.access_token is not None and token.access_token.is_used
        return True

    def bind(self, text: str, confirmation: dict[str, object]) -> None:
        """Bind a refresh token to a key (RFC 9449 §5)."""
        self._tokens[text].confirmation = confirmation

    def is_bound_elsewhere(self, text: str, confirmation: dict[str, object]) -> bool:
        """Tell whether a refresh token is bound to another key."""
        token = self._tokens.get(text)
        return token is not None and token.confirmation not in ({}, confirmation)

    def redeem(self, text: str, client: SandboxClient) -> tuple[str, RefreshToken]:
        """
        Redeem a refresh token.

        Returns:
            The refresh token to return, which may be the same, and the record of the presented one.

        Raises:
            ErrorResponse: The refresh token is invalid.

        Source: IdentityServer's DefaultRefreshTokenService: the successor keeps the expiry.
        """
        token = self._known(text, client)
        if token is None:
            raise ErrorResponse(self.error, status=self.error_status)
        if self._is_spent(token):
            return self._repeat(token), token
        rotates = client.refresh_tokens_rotate
        if not (self._rotate if rotates is None else rotates):
            return text, token
        return self._replace(token), token

    def _replace(self, token: RefreshToken) -> str:
        token.successor = self._keep(attrs.evolve(token, redeemed_at=None, access_token=None))
        token.redeemed_at = self._clock.time()
        return token.successor

    def _repeat(self, token: RefreshToken) -> str:
        is_in_grace = self._clock.time() < (token.redeemed_at or 0.0) + self.grace
        successor = self._tokens.get(token.successor or "")
        if is_in_grace and successor is not None and not self._is_spent(successor):
            return token.successor or ""
        self.reuse_events += 1
        if self.on_reuse == "revoke_family":
            for relative in self._tokens.values():
                relative.is_revoked |= relative.family == token.family
        raise ErrorResponse(self.error, status=self.error_status)

    def revoke(self, text: str, client: SandboxClient) -> None:
        """Revoke a refresh token of this client."""
        token = self._tokens.get(text)
        if token is not None and token.client_id == client.client_id:
            del self._tokens[text]

    def revoke_all(self) -> None:
        """Revoke every refresh token."""
        self._tokens.clear()

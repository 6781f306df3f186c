"""Asking for a token: which grant, how often, and when asking again would do harm."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import attrs

from aritma_auth.environment import Environment
from aritma_auth.errors import (
    AritmaAuthError,
    InvalidGrantError,
    ReauthenticationRequiredError,
)
from aritma_auth.events import Listener
from aritma_auth.protocol.client_auth import ClientAuth
from aritma_auth.protocol.grants import Grant, RefreshTokenGrant
from aritma_auth.protocol.json_response import is_ambiguous
from aritma_auth.protocol.parameters import narrow_resources
from aritma_auth.protocol.sign_in import validate_refreshed_id_token
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.backoff import backoff
from aritma_auth.provider.cache import Obtained
from aritma_auth.provider.policy import RefreshPolicy, SharingPolicy
from aritma_auth.runtime.clock import Clock
from aritma_auth.stores import TokenStore

LookAgain = Callable[[Token], Awaitable[Token | None]]


class TokenSource(Protocol):
    """What a provider needs of a client; `aritma_auth.OAuthClient` is one."""

    @property
    def client_id(self) -> str:
        """The client's identifier."""
        ...

    @property
    def client_auth(self) -> ClientAuth:
        """How the client authenticates; a refused token request is repeated once it changes."""
        ...

    @property
    def environment(self) -> Environment:
        """The authorization server and its APIs."""
        ...

    @property
    def clock_skew(self) -> float:
        """Seconds that the server's clock is ahead of ours."""
        ...

    async def fetch_token(self, grant: Grant, *, timeout: float | None = None) -> Token:
        """
        Ask the token endpoint for a token, now.

        Args:
            grant: What entitles the client to the token.

            timeout: Seconds for the request, or None for the client's own.

        Raises:
            AritmaAuthError: No token came.
        """
        ...


async def credential_fingerprint(client: TokenSource) -> str:
    """Return a text that changes with the client's secret, or why the secret cannot be loaded."""
    secret = client.client_auth.secret
    if secret is None:
        return ""
    try:
        return (await secret.load()).fingerprint
    except AritmaAuthError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a secret's own callable or class may raise anything
        return type(error).__name__


class TokenRequester:
    """
    Gets a working token from the server, whichever way the grant allows.

    Args:
        client: Sends the requests.

        grant: What entitles the client to its first token.

        policy: Attempts, pauses and the time for it all.

        clock: Tells the time.

        draw: Random numbers in [0, 1) for the jitter.
    """

    def __init__(
        self,
        client: TokenSource,
        grant: Grant,
        policy: RefreshPolicy,
        clock: Clock,
        draw: Callable[[], float],
    ) -> None:
        self._client = client
        self._grant = grant
        self._policy = policy
        self._clock = clock
        self._draw = draw
        self._is_spent = not grant.is_requestable
        self.is_critical = False

    @property
    def can_start_over(self) -> bool:
        """The grant itself may be presented as often as one likes."""
        return self._grant.is_reusable

    def forget(self) -> None:
        """Count a grant that is good for one time only as spent: whoever it was for has left."""
        self._is_spent = not self._grant.is_reusable

    def spends_once(self, known: Token | None) -> bool:
        """
        Tell whether asking presents something that may be good for one time only.

        Args:
            known: The token so far.
        """
        if known is not None and known.refresh_token is not None:
            return True
        return not (self._grant.is_reusable or self._is_spent)

    async def run(
        self, known: Token | None, *, patient: bool, look_again: LookAgain | None = None
    ) -> Obtained:
        """
        Ask until there is a token or asking makes no sense.

        Args:
            known: The token so far, whose refresh token is used if it has one.

            patient: Callers wait, so try more than once; otherwise the caller's gate sets the pace.

            look_again: Asked for a newer token when the refresh token turns out to be spent:
                another process may have rotated it.

        Raises:
            AritmaAuthError: The last failure.

            ReauthenticationRequiredError: Only the person can get another token.
        """
        while known is not None and known.refresh_token is not None:
            resource = narrow_resources(self._grant.resource)
            grant = RefreshTokenGrant(known.refresh_token, resource=resource)
            try:
                return await self._insist(grant, known, patient)
            except InvalidGrantError:
                # The refresh token has ended; what is left is the grant it came from.
                self._is_spent = not self._grant.is_reusable
            known, look_again = await look_again(known) if look_again else None, None
        if self._is_spent:
            raise ReauthenticationRequiredError(
                "the sign-in has ended, or there was none, and it cannot be refreshed: "
                "let the person sign in again"
            )
        return await self._insist(self._grant, known, patient)

    async def _insist(self, grant: Grant, known: Token | None, patient: bool) -> Obtained:
        deadline = self._clock.monotonic() + self._policy.refresh_timeout
        attempts = self._policy.max_attempts if patient else 1
        for attempt in range(1, attempts):
            try:
                return await self._ask(grant, known)
            except AritmaAuthError as error:
                pause = self._pause(error, attempt)
                in_time = self._clock.monotonic() + pause < deadline
                if error.is_permanent or not in_time or not _may_repeat(grant, error):
                    raise
            await self._clock.sleep(pause)
        return await self._ask(grant, known)

    async def _ask(self, grant: Grant, known: Token | None) -> Obtained:
        # What can be spent only once must not be cut off between question and answer.
        self.is_critical = not grant.is_reusable
        issued_at = self._clock.monotonic()
        is_first = grant is self._grant and not grant.is_reusable
        try:
            token = await self._client.fetch_token(grant)
        except AritmaAuthError as error:
            # A code whose answer was lost is never sent again (RFC 6749 §4.1.2); a refresh token
            # whose answer was lost is all we have.
            lost = is_ambiguous(error) and not isinstance(grant, RefreshTokenGrant)
            if is_first and (lost or isinstance(error, InvalidGrantError)):
                self._is_spent = True
            raise
        finally:
            self.is_critical = False
        self._is_spent |= is_first
        if known is not None and isinstance(grant, RefreshTokenGrant):
            validate_refreshed_id_token(known, token)
        return Obtained(_inherit(token, grant, known), issued_at)

    def _pause(self, error: AritmaAuthError, attempt: int) -> float:
        if error.retry_after is not None:
            return error.retry_after
        return backoff(self._policy, attempt, self._draw())


def _may_repeat(grant: Grant, error: AritmaAuthError) -> bool:
    return grant.is_reusable or not is_ambiguous(error)


def _inherit(token: Token, grant: Grant, known: Token | None) -> Token:
    """Keep what a refresh answer leaves out (RFC 6749 §5.1, §6)."""
    if not isinstance(grant, RefreshTokenGrant):
        return token
    kept = attrs.evolve(token, refresh_token=token.refresh_token or grant.refresh_token)
    if known is None:
        return kept
    return attrs.evolve(
        kept,
        id_token=token.id_token or known.id_token,
        scope=known.scope if token.scope is None else token.scope,
    )


@attrs.frozen(weakref_slot=False)
class Settings:
    """
    What a provider was made with; the names are those of its arguments.

    Attributes:
        client: Asks the server.

        grant: What entitles it to its first token.

        store: Keeps tokens, or None.

        policy: The numbers of a token's life.

        sharing: The numbers of sharing its refresh.

        clock: Tells the time.

        draw: Random numbers in [0, 1).

        on_event: Told what happens.
    """

    client: TokenSource
    grant: Grant
    store: TokenStore | None
    policy: RefreshPolicy
    sharing: SharingPolicy
    clock: Clock
    draw: Callable[[], float]
    on_event: Listener | None

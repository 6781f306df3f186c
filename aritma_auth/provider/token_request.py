"""Token requests: which grant is presented, how often, and when repeating one would do harm."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeGuard

import attrs

from aritma_auth import events
from aritma_auth.errors import (
    AritmaAuthError,
    InvalidGrantError,
    InvalidResponseError,
    OAuthError,
    ReauthenticationRequiredError,
    TransportError,
    VerificationError,
    wrong_kind,
)
from aritma_auth.protocol.grants import Grant
from aritma_auth.protocol.json_response import is_ambiguous, is_unusable
from aritma_auth.protocol.parameters import narrow_resources
from aritma_auth.protocol.successors import listening_context
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.backoff import pause_between_attempts
from aritma_auth.provider.cache import IssuedToken
from aritma_auth.provider.settings import Settings
from aritma_auth.runtime.tasks import WorkBrokenOffError, run_within, stop_if_lost, uninterrupted

if TYPE_CHECKING:
    from aritma_auth.protocol.grants import RefreshTokenGrant

_CLIENT_FAULTS = frozenset(
    {
        "invalid_client",
        "invalid_dpop_proof",
        "invalid_scope",
        "invalid_target",
        "unsupported_grant_type",
    }
)
"""Error codes that say nothing of the refresh token."""

_REFUSALS = frozenset(
    {
        "access_denied",
        "consent_required",
        "expired_token",
        "interaction_required",
        "invalid_request",
        "invalid_token",
        "login_required",
        "unauthorized_client",
    }
)
"""Codes of OAuth 2.0 and OpenID Connect by which a server may refuse a refresh token."""


SIGN_IN_AGAIN = (
    "the token cannot be refreshed: the sign-in has ended, or there was none. Let the end-user "
    "sign in again"
)

_NO_TIME = (
    "too little of refresh_timeout is left for a request that cannot be repeated, or an earlier "
    "one may still be under way: try again later"
)


class _Presented:
    """A one-time refresh token that the server has been asked to exchange, since when."""

    __slots__ = ("refresh_token", "since")

    def __init__(self, refresh_token: str, since: float) -> None:
        self.refresh_token = refresh_token
        self.since = since


class TokenRequester:
    """Gets a working token from the server, whichever way the provider's grant allows."""

    __slots__ = (
        "_clock",
        "_dead",
        "_grant",
        "_is_spent",
        "_refusal",
        "_settings",
        "_unanswered",
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._grant = settings.grant
        self._clock = settings.clock
        self._is_spent = not settings.grant.is_requestable
        self._dead: str | None = None
        self._refusal = ""
        self._unanswered: _Presented | None = None

    def forget(self) -> None:
        """Count a grant that can be presented once as spent: its end-user has signed out."""
        self._is_spent = not self._grant.is_reusable

    def _refresh_token_of(self, known: Token | None) -> str | None:
        refresh_token = None if known is None else known.refresh_token
        return None if refresh_token == self._dead else refresh_token

    async def run(self, newest: Callable[[], Token | None], *, patient: bool) -> IssuedToken | None:
        """
        Send token requests until there is a token or another request makes no sense.

        Args:
            newest: Gives the newest token; its refresh token is used if it has one.

            patient: Callers wait, so try more than once; otherwise the backoff sets the pace.

        Returns:
            The token, or None if another has come before anything was sent.

        Raises:
            AritmaAuthError: The last failure.

            ReauthenticationRequiredError: Only the end-user can bring another token.
        """
        deadline = self._clock.monotonic() + self._settings.policy.refresh_timeout
        known = newest()
        if known is not None and (presented := self._refresh_token_of(known)) is not None:
            grant = self._refresh_grant(presented)
            if await self._await_unanswered(grant, deadline) and newest() is not known:
                # The response has come after all, or a sign-in: what is known here is spent.
                return None
            try:
                return await self._insist(grant, known, patient, deadline)
            except AritmaAuthError as error:
                if not _refuses_refresh_token(error):
                    raise
                # What is left is the grant that the sign-in began with.
                self._dead, self._refusal = presented, str(error)
                self._is_spent = not self._grant.is_reusable
        if not self._is_spent:
            return await self._begin(deadline, patient=patient)
        # A token that is left has a refresh token that the server has refused, or none.
        is_dead = known is not None and known.refresh_token is not None
        said = f"{SIGN_IN_AGAIN} ({self._refusal})" if is_dead else SIGN_IN_AGAIN
        raise ReauthenticationRequiredError(said)

    async def send(self, known: Token | None, *, timeout: float) -> IssuedToken:
        """
        Send one token request: with a token's refresh token, or without one for the grant itself.

        Raises:
            ReauthenticationRequiredError: The server refuses it for good.

            AritmaAuthError: The failure.
        """
        deadline = self._clock.monotonic() + timeout
        if known is None or known.refresh_token is None:
            return await self._begin(deadline, patient=False)
        refusal = ""
        try:
            return await self._send(self._refresh_grant(known.refresh_token), known, deadline)
        except AritmaAuthError as error:
            if not _refuses_refresh_token(error):
                raise
            refusal = str(error)
        # Outside the except block: a cause would keep every frame of the request alive.
        raise ReauthenticationRequiredError(f"{SIGN_IN_AGAIN} ({refusal})")

    def _refresh_grant(self, refresh_token: str) -> "RefreshTokenGrant":
        from aritma_auth.protocol.grants import RefreshTokenGrant, SignedInGrant  # few have one

        grant = self._grant
        # Elsewhere scope and details are left out: "as granted" (RFC 6749 §6, RFC 9396 §6), since a
        # server may have granted less than the grant asked for.
        narrows = isinstance(grant, RefreshTokenGrant | SignedInGrant)
        return RefreshTokenGrant(
            refresh_token,
            scope=grant.scope if narrows else None,
            resource=narrow_resources(grant.resource),
            authorization_details=grant.authorization_details if narrows else (),
            extra=dict(grant.extra),
        )

    async def _begin(self, deadline: float, *, patient: bool) -> IssuedToken:
        """Present the provider's own grant."""
        grant, refusal = self._grant, ""
        try:
            issued = await self._insist(grant, None, patient, deadline)
        except AritmaAuthError as error:
            is_refused = not grant.is_reusable and _refuses_grant(grant, error)
            self._is_spent = is_refused or _loses_code(grant, error)
            if not is_refused:
                raise
            refusal = str(error)
        else:
            self._is_spent = not grant.is_reusable
            return issued
        # Outside the except block: a cause would keep every frame of the request alive.
        raise ReauthenticationRequiredError(
            f"the server refused the {type(grant).__name__} for good ({refusal}). "
            "Let the end-user sign in again"
        )

    async def _insist(
        self, grant: Grant, known: Token | None, patient: bool, deadline: float
    ) -> IssuedToken:
        attempts = self._settings.policy.max_attempts if patient else 1
        first_sent_at, attempt = self._clock.monotonic(), 1
        while True:
            sent_at = self._clock.monotonic()
            try:
                return await self._send(grant, known, deadline)
            except AritmaAuthError as error:
                may_be_spent = self._is_once(grant) and is_ambiguous(error)
                if may_be_spent:
                    grace_ends_at = first_sent_at + self._settings.refresh_tokens.grace
                    pause = self._pause_within_grace(grant, sent_at, min(grace_ends_at, deadline))
                else:
                    pause = self._pause(error, attempt) if attempt < attempts else None
                if pause is None or not _may_repeat(grant, error):
                    raise
                if self._clock.monotonic() + pause >= deadline - self._least(grant):
                    raise
            await self._clock.sleep(pause)
            attempt += 1
            if may_be_spent:
                fingerprint = "" if known is None else known.fingerprint
                self._settings.report(events.RefreshTokenAtRisk(fingerprint))

    def _is_once(self, grant: Grant) -> bool:
        if _is_refresh(grant):
            return not self._settings.refresh_tokens.reusable
        return not grant.is_reusable

    def _least(self, grant: Grant) -> float:
        if not self._is_once(grant):
            return 0.0
        from aritma_auth.provider.sharing_policy import enough_to_redeem

        return enough_to_redeem(self._settings.sharing)

    def _pause(self, error: AritmaAuthError, attempt: int) -> float:
        settings = self._settings
        return pause_between_attempts(settings.policy, error, attempt, settings.draw())

    def _pause_within_grace(self, grant: Grant, sent_at: float, ends_at: float) -> float | None:
        """Return the seconds until a lost request must be over, unless the grace ends before."""
        over_at = sent_at + self._settings.sharing.redemption_timeout
        if not _is_refresh(grant) or over_at >= ends_at:
            return None
        return max(0.0, over_at - self._clock.monotonic())

    async def _send(self, grant: Grant, known: Token | None, deadline: float) -> IssuedToken:
        if not grant.is_reusable:
            await self._await_unanswered(grant, deadline)
        stop_if_lost()
        if grant.is_reusable:
            return await self._exchange(grant, deadline)
        # What can be presented once must not be interrupted between request and response.
        with uninterrupted():
            issued = await self._exchange_once(grant, deadline)
        return _inherit(issued, grant, known) if _is_refresh(grant) else issued

    async def _await_unanswered(self, grant: Grant, deadline: float) -> bool:
        """
        Wait until the server has surely forgotten or finished an earlier, unanswered request.

        Returns whether that took time.

        A flight whose loop was closed has left one behind: a refresh token that is presented again
        meanwhile looks stolen to a server that detects reuse (RFC 9700 §4.14.2).

        Raises:
            TransportError: This refresh would be over before, or too soon afterwards.
        """
        now, over_at = self._clock.monotonic(), float("-inf")
        before = self._unanswered
        is_same = (
            before is not None
            and _is_refresh(grant)
            and before.refresh_token == grant.refresh_token.text
        )
        if before is not None and is_same:
            over_at = before.since + self._settings.sharing.redemption_timeout
        if max(now, over_at) >= deadline - self._least(grant):
            pause = max(0.0, over_at - now)
            raise TransportError(_NO_TIME, retry_after=pause, may_have_arrived=False)
        if over_at <= now:
            return False
        await self._clock.sleep(over_at - now)
        return True

    async def _exchange_once(self, grant: Grant, deadline: float) -> IssuedToken:
        sent = None
        if _is_refresh(grant) and self._is_once(grant):
            sent = self._unanswered = _Presented(grant.refresh_token.text, self._clock.monotonic())
        try:
            issued = await self._exchange(grant, deadline, sent)
        except AritmaAuthError as error:
            if not is_ambiguous(error):
                self._answered(sent)
            raise
        self._answered(sent)
        return issued

    def _answered(self, sent: "_Presented | None") -> None:
        # Not a later request's: a loop that stood still may go on long after its flight was lost.
        if self._unanswered is sent:
            self._unanswered = None

    async def _exchange(
        self, grant: Grant, deadline: float, sent: "_Presented | None" = None
    ) -> IssuedToken:
        settings, issued_at, wall = self._settings, self._clock.monotonic(), self._clock.time()
        left = max(0.0, deadline - issued_at)
        if settings.proofs is not None:
            settings.proofs.report_to(settings.report)
        successors: list[Token] = []

        def depart() -> None:
            if sent is not None:
                sent.since = self._clock.monotonic()

        problem: AritmaAuthError
        try:
            token: object = await run_within(
                left,
                self._fetch(grant, deadline),
                context=listening_context(successors.append, depart),
            )
        except AritmaAuthError as error:
            problem = error.copy()
        except WorkBrokenOffError as broken:
            from aritma_auth.caller_code import broken_off  # of wrong callables only

            problem = broken_off("the client's fetch_token", broken, may_have_arrived=True)
        except TimeoutError:
            problem = self._out_of_time(left)
        else:
            if isinstance(token, Token):
                return IssuedToken(_stamped(token, wall), issued_at, wall)
            problem = wrong_kind("what the client's fetch_token returns", "a Token", token)
        took = self._clock.monotonic() - issued_at
        settings.report(events.TokenRequestFailed(problem.copy(), took))
        if successors and not grant.is_reusable:
            # What was presented is spent: its successor is kept before the failure is raised.
            return IssuedToken(successors[-1], issued_at, wall, problem=problem)
        raise problem

    async def _fetch(self, grant: Grant, deadline: float) -> object:
        # The process may have stood still since this task was made.
        if self._clock.monotonic() > deadline - self._least(grant):
            raise TransportError(_NO_TIME, may_have_arrived=False)
        return await self._settings.client.fetch_token(grant)

    def _out_of_time(self, left: float) -> TransportError:
        limit = self._settings.policy.refresh_timeout
        within = f"refresh_timeout ({limit:g} s)"
        if left < limit * 0.99:
            within = f"the {left:.3g} s that were left of {within}, or of redemption_timeout"
        return TransportError(
            f"no token within {within}: check the secret's callable and the network, or raise the "
            "number"
        )


def _stamped(token: Token, wall: float) -> Token:
    """Say when a token was requested where a client of a caller's own does not, for its age."""
    return token if token.issued_at else attrs.evolve(token, issued_at=wall)


def _may_repeat(grant: Grant, error: AritmaAuthError) -> bool:
    """Tell whether the same request may help, and does no harm, within the same refresh."""
    return not (error.is_permanent or _refuses_grant(grant, error) or is_unusable(error))


def _refuses_refresh_token(error: AritmaAuthError) -> bool:
    """
    Tell whether the server refuses a refresh token for good, under whatever name.

    RFC 6749 §5.2 names invalid_grant. Servers in the field send a 400 with an empty body or another
    code, or a 403. A firewall's 403 may have a code of its own, so that only a standard's counts.
    """
    if isinstance(error, InvalidGrantError):
        return True
    if isinstance(error, InvalidResponseError):
        # A body is a page of something in between, which knows nothing of the refresh token.
        return error.status == 400 and "the body is empty" in error.problems
    return (
        isinstance(error, OAuthError)
        and error.is_permanent
        and (error.status == 400 or (error.status == 403 and error.error in _REFUSALS))
        and error.error not in _CLIENT_FAULTS
    )


def _is_refresh(grant: Grant) -> "TypeGuard[RefreshTokenGrant]":
    if grant.grant_type != "refresh_token":
        return False
    # Imported here: a grant of another type does not load it.
    from aritma_auth.protocol.grants import RefreshTokenGrant

    return isinstance(grant, RefreshTokenGrant)


def _refuses_grant(grant: Grant, error: AritmaAuthError) -> bool:
    if _is_refresh(grant):
        return _refuses_refresh_token(error)
    return isinstance(error, InvalidGrantError)


def _loses_code(grant: Grant, error: AritmaAuthError) -> bool:
    # A code whose response was lost is never presented again (RFC 6749 §4.1.2); a refresh token
    # whose response was lost is all that is left.
    is_once = not grant.is_reusable and not _is_refresh(grant)
    return is_once and is_ambiguous(error)


def _inherit(issued: IssuedToken, grant: "RefreshTokenGrant", known: Token | None) -> IssuedToken:
    """Keep what a refresh response leaves out (RFC 6749 §5.1, §6), and validate its ID token."""
    token = issued.token
    kept = attrs.evolve(token, refresh_token=token.refresh_token or grant.refresh_token)
    if known is None:
        return attrs.evolve(issued, token=kept)
    kept = attrs.evolve(kept, scope=known.scope if token.scope is None else token.scope)
    problem = issued.problem or _id_token_problem(known, token)
    if problem is None:
        kept = attrs.evolve(kept, id_token=token.id_token or known.id_token)
        return attrs.evolve(issued, token=kept)
    # The refresh token that was presented is spent: its successor is kept before the failure is
    # raised. The access token is not served, and later ID tokens are compared with the old one.
    kept = attrs.evolve(_unserved(kept), id_token=known.id_token)
    return attrs.evolve(issued, token=kept, problem=problem)


def _unserved(token: Token) -> Token:
    """Let a token that must not be used have expired: its refresh token is used, and it is not."""
    return attrs.evolve(token, expires_at=token.issued_at or 0.0)


def _id_token_problem(known: Token, refreshed: Token) -> VerificationError | None:
    if known.id_token is None or refreshed.id_token is None:
        return None
    from aritma_auth.protocol.sign_in import validate_refreshed_id_token  # of sign-ins only

    try:
        validate_refreshed_id_token(known, refreshed)
    except VerificationError as error:
        return error.copy()
    return None

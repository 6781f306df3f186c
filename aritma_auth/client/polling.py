"""Polling the token endpoint until an end-user has decided on another device."""

from aritma_auth.client.connection import ServerConnection
from aritma_auth.client.token_verifier import TokenVerifier
from aritma_auth.errors import (
    AritmaAuthError,
    AuthorizationPendingError,
    ExpiredTokenError,
    IdTokenError,
    SlowDownError,
)
from aritma_auth.protocol.device_authorization import next_interval
from aritma_auth.protocol.grants import Grant
from aritma_auth.protocol.id_token import IdTokenExpectation
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.sign_in import SignIn
from aritma_auth.protocol.tokens import Token

_DAY = 86_400.0
_NO_CLAIMS = Members()
_UNREACHED = "the server could not be asked before the time ran out: begin again"


async def poll_for_token(
    connection: ServerConnection,
    grant: Grant,
    *,
    interval: float,
    expires_at: float,
    asks_at_once: bool = False,
) -> Token:
    """
    Poll until the end-user has decided or the time has run out.

    Args:
        connection: The way to the server.

        grant: What is presented with each poll.

        interval: Seconds between two polls at least.

        expires_at: POSIX seconds.

        asks_at_once: The server has said that the end-user has decided.

    Spec: RFC 8628 §3.5; CIBA Core 1.0 §10.1, §11.
    """
    clock = connection.clock
    pause, is_reached = 0.0 if asks_at_once else interval, True
    while clock.time() + pause <= expires_at:
        await clock.sleep(pause)
        try:
            return await connection.fetch_token(grant)
        except AritmaAuthError as error:
            is_polling = isinstance(error, AuthorizationPendingError | SlowDownError)
            longer = next_interval(interval if is_polling else max(pause, interval), error)
            if longer is None:
                raise
            # slow_down raises the interval for good (RFC 8628 §3.5); backoff after a network
            # error does not.
            pause, interval = longer, longer if is_polling else interval
            is_reached = is_polling
            if not is_polling and not error.retry_after:
                # The server may be back before the end, and the end-user may have decided.
                pause = min(pause, max(interval, (expires_at - clock.time()) / 2))
    raise ExpiredTokenError("expired_token", advice=None if is_reached else _UNREACHED)


async def verify_polled_sign_in(
    connection: ServerConnection,
    verifier: TokenVerifier,
    token: Token,
    *,
    expects_id_token: bool,
    expected_claims: Members = _NO_CLAIMS,
) -> SignIn:
    """
    Verify the ID token that came without an authorization request of the client's own.

    Args:
        connection: Knows the client and the server.

        verifier: Verifies the ID token.

        token: What the polling has brought.

        expects_id_token: ``openid`` was asked for.

        expected_claims: Claims that it must have.

    Raises:
        IdTokenError: The ID token is missing or failed a check.
    """
    if token.id_token is None:
        if expects_id_token:
            raise IdTokenError("no ID token came although openid was asked for")
        return SignIn(token)
    expected = IdTokenExpectation(
        issuers=await connection.discovery.issuers(),
        client_id=connection.client_id,
        nonce=None,
        access_token=token.access_token,
        expected_claims=expected_claims,
        # It was issued for this response; a day is for clocks in the wrong zone.
        issued_within=_DAY,
    )
    return SignIn(token, await verifier.verify_id_token(token.id_token, expected))

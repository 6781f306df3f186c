"""A sign-in on another device: the codes, and the polling."""

from collections.abc import Iterable

from aritma_auth.client.connection import ServerConnection
from aritma_auth.client.token_verifier import TokenVerifier
from aritma_auth.errors import (
    AritmaAuthError,
    AuthorizationPendingError,
    ExpiredTokenError,
    IdTokenError,
    SlowDownError,
)
from aritma_auth.protocol.device_authorization import (
    DeviceAuthorization,
    next_interval,
    parse_device_authorization_response,
)
from aritma_auth.protocol.id_token import IdTokenExpectation
from aritma_auth.protocol.jws import require_joserfc
from aritma_auth.protocol.parameters import parse_scope
from aritma_auth.protocol.sign_in import SignIn
from aritma_auth.protocol.tokens import Token


class DeviceFlow:
    """
    The device authorization grant of one client.

    `OAuthClient` documents each method.

    Spec: RFC 8628.
    """

    def __init__(self, connection: ServerConnection, verifier: TokenVerifier) -> None:
        self._connection = connection
        self._verifier = verifier

    async def begin(self, scope: str | Iterable[str] | None) -> DeviceAuthorization:
        """Ask for a device code and a user code."""
        wanted = parse_scope(scope)
        expects_id_token = "openid" in (wanted or ())
        if expects_id_token:
            # Before the end-user acts: without these nothing could be verified.
            require_joserfc()
            await self._connection.discovery.fetch_keys()
        return await self._connection.post_authenticated(
            "device_authorization_endpoint",
            () if wanted is None else (("scope", " ".join(wanted)),),
            lambda response, sent_at: parse_device_authorization_response(
                response, sent_at=sent_at, expects_id_token=expects_id_token
            ),
        )

    async def complete(self, authorization: DeviceAuthorization) -> SignIn:
        """Poll the token endpoint until the end-user has decided or the code has run out."""
        clock = self._connection.clock
        interval = pause = authorization.interval
        while clock.time() + pause <= authorization.expires_at:
            await clock.sleep(pause)
            try:
                token = await self._connection.fetch_token(authorization.grant)
            except AritmaAuthError as error:
                is_polling = isinstance(error, AuthorizationPendingError | SlowDownError)
                longer = next_interval(interval if is_polling else pause, error)
                if longer is None:
                    raise
                # slow_down raises the interval for good (RFC 8628 §3.5); backoff after a network
                # error does not.
                pause, interval = longer, longer if is_polling else interval
            else:
                return await self._verified(token, authorization)
        raise ExpiredTokenError("expired_token", "nobody signed in with the code in time")

    async def _verified(self, token: Token, authorization: DeviceAuthorization) -> SignIn:
        if token.id_token is None:
            if authorization.expects_id_token:
                raise IdTokenError("no ID token came although openid was asked for")
            return SignIn(token)
        expected = IdTokenExpectation(
            issuers=await self._connection.discovery.issuers(),
            client_id=self._connection.client_id,
            nonce=None,
            access_token=token.access_token,
        )
        return SignIn(token, await self._verifier.verify_id_token(token.id_token, expected))

"""A sign-in on another device: the codes, and the polling."""

from collections.abc import Iterable

from aritma_auth.client.connection import ServerConnection
from aritma_auth.client.polling import poll_for_token, verify_polled_sign_in
from aritma_auth.client.token_verifier import TokenVerifier
from aritma_auth.errors import require_instance
from aritma_auth.optional import require
from aritma_auth.protocol.device_authorization import (
    DeviceAuthorization,
    parse_device_authorization_response,
)
from aritma_auth.protocol.parameters import parse_scope
from aritma_auth.protocol.sign_in import SignIn


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
            require("oidc", "joserfc")
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
        required = "what begin_device_sign_in gave"
        require_instance("authorization", required, authorization, DeviceAuthorization)
        token = await poll_for_token(
            self._connection,
            authorization.grant,
            interval=authorization.interval,
            expires_at=authorization.expires_at,
        )
        return await verify_polled_sign_in(
            self._connection,
            self._verifier,
            token,
            expects_id_token=authorization.expects_id_token,
        )

"""A sign-in that the server asks the end-user for, on a device that it knows (CIBA)."""

from collections.abc import Iterable
from typing import Unpack

from aritma_auth.client.connection import ServerConnection
from aritma_auth.client.polling import poll_for_token, verify_polled_sign_in
from aritma_auth.client.request_delivery import RequestDelivery
from aritma_auth.client.token_verifier import TokenVerifier
from aritma_auth.errors import require_flag, require_instance
from aritma_auth.optional import require
from aritma_auth.protocol.ciba import BackchannelAuthentication, parse_backchannel_response
from aritma_auth.protocol.ciba_request import (
    BackchannelParameters,
    build_backchannel_request,
    build_backchannel_request_object,
    generate_notification_token,
)
from aritma_auth.protocol.client_auth import generate_jti
from aritma_auth.protocol.json_parameters import parse_expected_claims
from aritma_auth.protocol.sign_in import SignIn


class BackchannelFlow:
    """
    The backchannel authentication of one client, in poll and ping mode.

    `OAuthClient` documents each method.

    Spec: CIBA Core 1.0.
    """

    def __init__(
        self, connection: ServerConnection, verifier: TokenVerifier, delivery: RequestDelivery
    ) -> None:
        self._connection = connection
        self._verifier = verifier
        self._delivery = delivery

    async def begin(
        self, scope: str | Iterable[str] | None, **parameters: Unpack[BackchannelParameters]
    ) -> BackchannelAuthentication:
        """Ask the server to ask the end-user."""
        connection = self._connection
        notifies = parameters.pop("notify", False)
        require_flag("notify", notifies)
        is_signed = self._delivery.must_sign_backchannel(parameters.pop("sign", None))
        expected = parse_expected_claims(parameters.pop("expected_claims", {}))
        token = generate_notification_token() if notifies else None
        form = build_backchannel_request(scope, parameters, token)
        # Before the end-user acts: without these nothing could be verified.
        require("oidc", "joserfc")
        await connection.discovery.fetch_keys()
        if is_signed:
            unsigned = build_backchannel_request_object(
                connection.client_id,
                form,
                self._delivery.require_signer(),
                issuer=await connection.discovery.issuer(),
                now=connection.server_time,
                jti=generate_jti(),
            )
            form = (("request", await connection.sign(unsigned)),)
        return await connection.post_authenticated(
            "backchannel_authentication_endpoint",
            form,
            lambda response, sent_at: parse_backchannel_response(
                response,
                sent_at=sent_at,
                notification_token=token,
                expected_claims=expected,
            ),
        )

    async def complete(
        self, authentication: BackchannelAuthentication, *, is_notified: bool
    ) -> SignIn:
        """Poll until the end-user has decided; ask at once after a notification."""
        required = "what begin_backchannel_sign_in gave"
        require_instance("authentication", required, authentication, BackchannelAuthentication)
        require_flag("is_notified", is_notified)
        token = await poll_for_token(
            self._connection,
            authentication.grant,
            interval=authentication.interval,
            expires_at=authentication.expires_at,
            asks_at_once=is_notified,
        )
        return await verify_polled_sign_in(
            self._connection,
            self._verifier,
            token,
            expects_id_token=True,
            expected_claims=authentication.expected_claims,
        )

"""One registration at one authorization server."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Self

import aiohttp

from aritma_auth.client.sign_in import RelyingParty
from aritma_auth.environment import Environment
from aritma_auth.errors import (
    AritmaAuthError,
    AuthorizationPendingError,
    ConfigurationError,
    ExpiredTokenError,
    IdTokenError,
    SlowDownError,
)
from aritma_auth.protocol.device_authorization import (
    DeviceAuthorization,
    next_interval,
    parse_device_authorization_response,
)
from aritma_auth.protocol.jws import require_joserfc
from aritma_auth.protocol.logout import LogoutToken, build_end_session_url
from aritma_auth.protocol.parameters import parse_scope
from aritma_auth.protocol.sign_in import SignIn
from aritma_auth.protocol.token_management import (
    Introspection,
    build_token_parameters,
    parse_introspection_response,
    parse_revocation_response,
)
from aritma_auth.protocol.tokens import Token
from aritma_auth.secret import Secret


class OAuthClient(RelyingParty):
    """
    One client registration at one authorization server, and all that can be asked of it.

    Spec: RFC 6749 §2; OpenID Connect Core 1.0.
    """

    @classmethod
    def from_env(
        cls, *, session: aiohttp.ClientSession | None = None, requires_secret: bool = True
    ) -> Self:
        """
        Make a client of what the environment variables say.

        ``ARITMA_CLIENT_ID``; ``ARITMA_CLIENT_SECRET``, or ``ARITMA_CLIENT_SECRET_FILE`` for a
        mounted secret; ``ARITMA_ENVIRONMENT`` (``production``, ``development`` or an issuer's URL;
        default ``production``); ``ARITMA_TENANT``, if there is one.

        Args:
            session: An ``aiohttp.ClientSession`` whose connections are used.

            requires_secret: A missing secret is an error; otherwise it makes a public client.

        Raises:
            ConfigurationError: A variable is missing or makes no sense; it is named.
        """
        client_id = os.environ.get("ARITMA_CLIENT_ID", "")
        if not client_id:
            raise ConfigurationError("set ARITMA_CLIENT_ID to the client id that Aritma gave")
        file = os.environ.get("ARITMA_CLIENT_SECRET_FILE")
        secret: Secret | None = None
        if file:
            secret = Secret.from_file(file)
        elif os.environ.get("ARITMA_CLIENT_SECRET"):
            secret = Secret.from_env("ARITMA_CLIENT_SECRET")
        elif requires_secret:
            raise ConfigurationError("set ARITMA_CLIENT_SECRET or ARITMA_CLIENT_SECRET_FILE")
        environment = Environment.named(os.environ.get("ARITMA_ENVIRONMENT", "production"))
        tenant = os.environ.get("ARITMA_TENANT")
        return cls(
            client_id,
            secret,
            environment=environment.for_tenant(tenant) if tenant else environment,
            session=session,
        )

    async def end_session_url(
        self,
        *,
        id_token_hint: str | None = None,
        post_logout_redirect_uri: str | None = None,
        state: str | None = None,
        ui_locales: str | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> str:
        """
        Give the URL that signs a person out at the server.

        Args:
            id_token_hint: The session's ID token; an expired one will do.

            post_logout_redirect_uri: Where the person comes back to; registered at the server.

            state: Comes back unchanged, for `validate_logout_callback`.

            ui_locales: Languages of the server's page, separated by spaces.

            extra: Further parameters.

        Raises:
            ConfigurationError: The server has no such endpoint, or an address is not secure.

        Spec: OpenID Connect RP-Initiated Logout 1.0 §2.
        """
        return build_end_session_url(
            await self.endpoint("end_session_endpoint"),
            id_token_hint=id_token_hint,
            client_id=None if id_token_hint else self.client_id,
            post_logout_redirect_uri=post_logout_redirect_uri,
            state=state,
            ui_locales=ui_locales,
            extra=extra,
        )

    async def verify_logout_token(self, logout_token: str) -> LogoutToken:
        """
        Check the logout token that the server has posted to your back-channel address.

        It counts once for this client. Several processes remember ``token_id`` where all see it.

        Args:
            logout_token: The form's ``logout_token``.

        Raises:
            VerificationError: A check failed, or it came before: answer 400 and end no session.

        Spec: OpenID Connect Back-Channel Logout 1.0 §2.6.
        """
        return await self._verifier.verify_logout_token(logout_token)

    async def introspect(self, token: str, *, token_type_hint: str | None = None) -> Introspection:
        """
        Ask the server whether a token is good, and what it says.

        Args:
            token: An access token or a refresh token.

            token_type_hint: ``access_token`` or ``refresh_token``, or None.

        Raises:
            OAuthError: The server refused this client.

        Spec: RFC 7662 §2.
        """
        return await self.post_authenticated(
            "introspection_endpoint",
            build_token_parameters(token, token_type_hint),
            lambda response, sent_at: parse_introspection_response(response, now=sent_at),
        )

    async def revoke(self, token: Token | str, *, token_type_hint: str | None = None) -> None:
        """
        End a token before its time. IdentityServer cannot end access tokens that are JWTs.

        Args:
            token: A token's text, or a `Token`: then its refresh token if it has one.

            token_type_hint: ``access_token`` or ``refresh_token``, or None.

        Raises:
            OAuthError: The server refused.

            InvalidResponseError: After a 503 the token still lives: try again.

        Spec: RFC 7009 §2.
        """
        if isinstance(token, Token):
            refresh = token.refresh_token
            token_type_hint = "access_token" if refresh is None else "refresh_token"
            token = token.access_token if refresh is None else refresh
        await self.post_authenticated(
            "revocation_endpoint",
            build_token_parameters(token, token_type_hint),
            lambda response, sent_at: parse_revocation_response(response, now=sent_at),
        )

    async def begin_device_sign_in(
        self, scope: str | Iterable[str] | None = "openid"
    ) -> DeviceAuthorization:
        """
        Begin a sign-in on another device: show the person its code and address.

        Args:
            scope: Scope to ask for.

        Raises:
            OAuthError: The server refused.

        Spec: RFC 8628 §3.1.
        """
        wanted = parse_scope(scope)
        expects_id_token = "openid" in (wanted or ())
        if expects_id_token:
            # Before the person is troubled: without these nothing could be checked.
            require_joserfc()
            await self.fetch_keys()
        return await self.post_authenticated(
            "device_authorization_endpoint",
            () if wanted is None else (("scope", " ".join(wanted)),),
            lambda response, sent_at: parse_device_authorization_response(
                response, sent_at=sent_at, expects_id_token=expects_id_token
            ),
        )

    async def complete_device_sign_in(
        self,
        authorization: DeviceAuthorization,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> SignIn:
        """
        Wait until the person has signed in on the other device, asking as slowly as told.

        Args:
            authorization: What `begin_device_sign_in` gave.

            sleep: Waits for some seconds.

        Raises:
            ExpiredTokenError: The code ran out: begin again.

            AccessDeniedError: The person said no.

            IdTokenError: The ID token is missing or failed a check.

        Spec: RFC 8628 §3.4, §3.5.
        """
        interval = pause = authorization.interval
        while self._clock() < authorization.expires_at:
            await sleep(pause)
            try:
                token = await self.fetch_token(authorization.grant)
            except AritmaAuthError as error:
                is_rhythm = isinstance(error, AuthorizationPendingError | SlowDownError)
                longer = next_interval(interval if is_rhythm else pause, error)
                if longer is None:
                    raise
                # What the server says of the rhythm holds; trouble on the way ends with itself.
                pause, interval = longer, longer if is_rhythm else interval
            else:
                return await self._judge_device_token(token, authorization)
        raise ExpiredTokenError("expired_token", "nobody signed in with the code in time")

    async def _judge_device_token(self, token: Token, authorization: DeviceAuthorization) -> SignIn:
        if token.id_token is None:
            if authorization.expects_id_token:
                raise IdTokenError("no ID token came although openid was asked for")
            return SignIn(token)
        claims = await self.verify_id_token(
            token.id_token, nonce=None, access_token=token.access_token
        )
        return SignIn(token, claims)

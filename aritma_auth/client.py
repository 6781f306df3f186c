"""One registration at one authorization server."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    ExpiredTokenError,
)
from aritma_auth.protocol.answers import is_ambiguous
from aritma_auth.protocol.device import (
    DeviceAuthorization,
    next_interval,
    parse_device_authorization,
)
from aritma_auth.protocol.grants import Grant
from aritma_auth.protocol.scopes import make_scope
from aritma_auth.protocol.sign_in import SignIn
from aritma_auth.protocol.token_management import (
    Introspection,
    check_revocation,
    parse_introspection,
    token_parameters,
)
from aritma_auth.protocol.token_response import parse_token_response
from aritma_auth.protocol.tokens import Token
from aritma_auth.relying_party import RelyingParty


class OAuthClient(RelyingParty):
    """
    One client registration at one authorization server, and all that can be asked of it.

    Spec: RFC 6749 §2; OpenID Connect Core 1.0.
    """

    async def fetch_token(self, grant: Grant, *, timeout: float | None = None) -> Token:
        """
        Ask the token endpoint for a token, now; for a cached one use a `TokenProvider`.

        A refused secret is loaded once more, and the request repeated if it has changed.

        Args:
            grant: What entitles the client to a token.

            timeout: Seconds for one request, or None for the client's own.

        Raises:
            ConfigurationError: The server is known to refuse this grant, the secret is missing, or
                a code is presented a second time.

            TransportError: No answer came.

            InvalidResponseError: The answer breaks the specification.

            OAuthError: The server refused.

        Spec: RFC 6749 §4, §5; Aritma's authentication page.
        """
        problems = grant.problems()
        if problems:
            raise ConfigurationError("; ".join(problems))
        once = grant.once
        if once is not None and not once.take():
            raise ConfigurationError("a code is exchanged once: let the person sign in again")
        try:
            return await self.ask(
                "token_endpoint",
                grant.parameters(),
                lambda response, sent_at: parse_token_response(response, sent_at=sent_at),
                timeout=timeout,
            )
        except AritmaAuthError as error:
            # The server did not look at it: it may be presented again.
            if once is not None and not error.is_permanent and not is_ambiguous(error):
                once.give_back()
            raise

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
        return await self.ask(
            "introspection_endpoint",
            token_parameters(token, token_type_hint),
            lambda response, sent_at: parse_introspection(response, now=sent_at),
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
        await self.ask(
            "revocation_endpoint",
            token_parameters(token, token_type_hint),
            lambda response, sent_at: check_revocation(response, now=sent_at),
        )

    async def start_device_sign_in(
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
        wanted = make_scope(scope)
        return await self.ask(
            "device_authorization_endpoint",
            () if wanted is None else (("scope", " ".join(wanted)),),
            lambda response, sent_at: parse_device_authorization(response, sent_at=sent_at),
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
            authorization: What `start_device_sign_in` gave.

            sleep: Waits for some seconds.

        Raises:
            ExpiredTokenError: The code ran out: begin again.

            AccessDeniedError: The person said no.

        Spec: RFC 8628 §3.4, §3.5.
        """
        interval = authorization.interval
        while self._clock() + interval < authorization.expires_at:
            await sleep(interval)
            try:
                token = await self.fetch_token(authorization.grant)
            except AritmaAuthError as error:
                pause = next_interval(interval, error)
                if pause is None:
                    raise
                interval = pause
            else:
                if token.id_token is None:
                    return SignIn(token)
                claims = await self.verify_id_token(
                    token.id_token, nonce=None, access_token=token.access_token
                )
                return SignIn(token, claims)
        raise ExpiredTokenError("expired_token", "nobody signed in with the code in time")

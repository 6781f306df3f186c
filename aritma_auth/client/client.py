"""One registration at one authorization server, and everything that can be asked of it."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Self, Unpack

from aritma_auth.client.arguments import (
    as_client_auth,
    choose_certificate,
    hide_parameters,
    hide_token,
    parse_id_token_algorithms,
    require_keys,
    require_settings,
)
from aritma_auth.client.connection import ServerConnection
from aritma_auth.environment import PRODUCTION, Environment
from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.network.transport import Transport, require_context
from aritma_auth.protocol.client_auth import ClientAuth
from aritma_auth.protocol.grants import Grant
from aritma_auth.protocol.parameters import parse_names
from aritma_auth.protocol.redaction import hide
from aritma_auth.protocol.tokens import Token
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.closing import AsyncCloseable
from aritma_auth.runtime.hidden_arguments import hides_arguments, hides_awaited_arguments
from aritma_auth.runtime.lock import fork_safe_lock
from aritma_auth.secret import Secret

if TYPE_CHECKING:
    import os
    import ssl

    import aiohttp

    from aritma_auth.certificate import ClientCertificate
    from aritma_auth.client.backchannel_sign_in import BackchannelFlow
    from aritma_auth.client.device_sign_in import DeviceFlow
    from aritma_auth.client.dpop_proofs import ProofMaker
    from aritma_auth.client.options import ClientOptions
    from aritma_auth.client.sign_in import SignInFlow
    from aritma_auth.client.token_verifier import TokenVerifier
    from aritma_auth.protocol.authorization_parameters import AuthorizationParameters
    from aritma_auth.protocol.authorization_request import AuthorizationRequest
    from aritma_auth.protocol.authorization_response import AuthorizationResponse
    from aritma_auth.protocol.callback import Callback
    from aritma_auth.protocol.ciba import BackchannelAuthentication
    from aritma_auth.protocol.ciba_request import BackchannelParameters
    from aritma_auth.protocol.device_authorization import DeviceAuthorization
    from aritma_auth.protocol.dpop import DPoP
    from aritma_auth.protocol.jwe import DecryptionKey, RequestEncryption
    from aritma_auth.protocol.jwt import JsonWebKey
    from aritma_auth.protocol.logout import LogoutToken
    from aritma_auth.protocol.metadata import ServerMetadata
    from aritma_auth.protocol.profiles import ClientSettings, Profile, ProfileReport
    from aritma_auth.protocol.redaction import Members
    from aritma_auth.protocol.sign_in import SignIn
    from aritma_auth.protocol.signing import Signer
    from aritma_auth.protocol.token_management import Introspection


class OAuthClient(AsyncCloseable):
    """
    One client registration at one authorization server.

    It caches no token: `TokenProvider` does. Any number of coroutines, event loops and threads may
    share one client.

    Args:
        client_id: The client's identifier, as Aritma gave it.

        client_auth: How the client authenticates. A string or `Secret` is sent in the form
            (client_secret_post), as every sample of Aritma does; None makes a public client.

        environment: The authorization server and the APIs that trust it: an `Environment`,
            ``"development"``, or the issuer's URL, whose metadata then decides the rest.

        session: An ``aiohttp.ClientSession`` whose connections, TLS, proxy and limits are used, and
            nothing else of it; it stays the caller's to close. Without one, each request opens and
            closes its own connection.

        proxy: URL of the proxy for this client's own requests, in the place of the session's.

        timeout: Seconds for one request, from start to last byte.

        clock: Tells the time.

        id_token_algorithms: Signature algorithms of ID tokens that this client accepts: RSA
            (``RS256`` …, ``PS256`` …), elliptic curves (``ES256`` …), ``Ed25519`` or ``EdDSA``.
            None stands for ``ES256``, ``PS256`` and ``RS256``.

        leeway: Seconds that the server's clock and ours may differ when a signed token's times are
            validated.

        trusted_audiences: Further audiences that this client trusts with its ID tokens and logout
            tokens. A token that names any other is refused.

        request_signer: The key that signs authorization requests; None takes that of
            `PrivateKeyJwt`.

        request_encryption: How signed authorization requests are encrypted to the server, if the
            client is registered for it; they are then always signed.

        dpop: Binds the tokens to a key, so that a thief who has only the token cannot use it. A
            server that returns a bearer token all the same is an error.

        profile: The security profile to keep to, such as ``FAPI2``: what it asks is turned on, and
            a setting that breaks it is an error. None keeps to what Aritma's documents describe.

        certificate: Binds the tokens to a certificate and authenticates otherwise: a
            `ClientCertificate`, or an ``ssl.SSLContext`` with one. `TlsClientAuth` has its own.

        requires_bound_tokens: An access token that names another key or certificate than this
            client's, or none, is an error. An opaque token names nothing and is taken as it is. A
            profile turns it on for a client without ``dpop``; if the certificate is in an
            ``ssl.SSLContext``, a token must name one, and which one is not compared.

        decryption_key: The key to which the server encrypts ID tokens, UserInfo and authorization
            responses; what is inside is verified as ever.

    Raises:
        ConfigurationError: An argument is of the wrong kind or out of range; the message names it.

    Spec: RFC 6749 §2; OpenID Connect Core 1.0.
    """

    @hides_arguments
    def __init__(
        self,
        client_id: str,
        client_auth: str | Secret | ClientAuth | None = None,
        *,
        environment: Environment | str = PRODUCTION,
        session: "aiohttp.ClientSession | None" = None,
        proxy: str | None = None,
        timeout: float = 10.0,
        clock: Clock = SYSTEM_CLOCK,
        id_token_algorithms: str | Iterable[str] | None = None,
        leeway: float = 30.0,
        trusted_audiences: str | Iterable[str] = (),
        request_signer: "Signer | None" = None,
        request_encryption: "RequestEncryption | None" = None,
        dpop: "DPoP | None" = None,
        profile: "Profile | None" = None,
        certificate: "ClientCertificate | ssl.SSLContext | None" = None,
        requires_bound_tokens: bool = False,
        decryption_key: "DecryptionKey | None" = None,
    ) -> None:
        clock = require_settings(client_id, clock, leeway, requires_bound_tokens)
        require_keys(dpop, request_signer, request_encryption, decryption_key)
        self._request_signer = request_signer
        self._request_encryption = request_encryption
        auth, server = as_client_auth(client_auth), Environment.of(environment)
        own_certificate = choose_certificate(auth, certificate)
        ssl_context = own_certificate and require_context(own_certificate)
        self._id_token_algorithms = parse_id_token_algorithms(id_token_algorithms)
        if profile is not None:
            from aritma_auth.client.profile_rules import apply_profile  # few have one

            settings = self._describe(auth, server, dpop, own_certificate)
            applied = apply_profile(profile, settings, server, session, own_certificate)
            auth, server, self._id_token_algorithms, ssl_context = applied
        self._connection = ServerConnection(
            Transport(session, timeout=timeout, ssl_context=ssl_context, proxy=proxy),
            server,
            client_id,
            auth,
            clock,
            is_auth_chosen=isinstance(client_auth, ClientAuth),
            dpop=dpop,
            profile=profile,
            decryption_key=decryption_key,
            certificate=own_certificate,
            # A certificate leaves no trace in the token type, as DPoP does (FAPI 2.0 §5.3.3.1).
            requires_bound_tokens=requires_bound_tokens or (profile is not None and dpop is None),
        )
        self._leeway = leeway
        self._trusted_audiences = frozenset(parse_names(trusted_audiences, "trusted_audiences"))
        self._made_verifier: TokenVerifier | None = None
        self._lock = fork_safe_lock()

    @classmethod
    def from_env(cls, *, requires_secret: bool = True, **options: "Unpack[ClientOptions]") -> Self:
        """
        Make a client from the environment's ``ARITMA_`` variables.

        ``ARITMA_CLIENT_ID`` with ``ARITMA_CLIENT_SECRET_FILE`` or ``ARITMA_CLIENT_SECRET`` is
        enough at Aritma; ``ARITMA_ISSUER`` names another server. The guide "Configure a service"
        lists them all.

        Args:
            requires_secret: A missing secret, key, assertion or certificate is an error; otherwise
                it makes a public client.

            options: As for `OAuthClient` itself, such as ``session``; one replaces the variable of
                the same.

        Raises:
            ConfigurationError: Variables are missing, unusable or contradictory; all are named.
        """
        from aritma_auth.configuration import registration  # without code only

        known = registration.from_variables(requires_credential=requires_secret)
        return partial(cls, **known.client_arguments)(**options)

    @classmethod
    def from_config(
        cls,
        name: str,
        *,
        path: "str | os.PathLike[str] | None" = None,
        requires_secret: bool = True,
        **options: "Unpack[ClientOptions]",
    ) -> Self:
        """
        Make a client from a registration in a TOML file.

        Args:
            name: The registration's name, as in ``[registrations.payments]``.

            path: The file; None takes ``ARITMA_CONFIG``, else ``aritma.toml`` in the current
                folder.

            requires_secret: As `from_env` says.

            options: As for `OAuthClient` itself, such as ``session``; one replaces what the file
                says of the same.

        Raises:
            ConfigurationError: The file has no such registration, or something in it is unknown,
                unusable or contradictory.
        """
        from aritma_auth.configuration import registration  # without code only

        known = registration.from_file(name, path, requires_credential=requires_secret)
        return partial(cls, **known.client_arguments)(**options)

    @property
    def client_id(self) -> str:
        """The client's identifier."""
        return self._connection.client_id

    @property
    def client_auth(self) -> ClientAuth:
        """How the client authenticates."""
        return self._connection.client_auth

    @property
    def environment(self) -> Environment:
        """The authorization server and the APIs that trust it."""
        return self._connection.environment

    @property
    def profile(self) -> "Profile | None":
        """The security profile that the client keeps to, or None."""
        return self._connection.profile

    @property
    def clock_skew(self) -> float:
        """Seconds that the server's clock is ahead of ours, by its latest ``Date``."""
        return self._connection.clock_skew

    @property
    def dpop(self) -> "DPoP | None":
        """The key that the tokens are bound to, or None for bearer tokens."""
        proofs = self._connection.proofs
        return None if proofs is None else proofs.dpop

    @property
    def ssl_context(self) -> "ssl.SSLContext | None":
        """What presents the client's certificate, to the server and to APIs; None without one."""
        return self._connection.transport.ssl_context

    @property
    def certificate(self) -> "ClientCertificate | None":
        """The client's certificate, if it was given as a `ClientCertificate`."""
        return self._connection.certificate_files

    @property
    def proofs(self) -> "ProofMaker | None":
        """What proves the key with each request, for those who send requests; or None."""
        return self._connection.proofs

    async def fetch_token(self, grant: Grant, *, timeout: float | None = None) -> Token:
        """
        Ask the token endpoint for a token, now; `TokenProvider` caches one.

        A caller that is cancelled in the middle loses the response, and with it a refresh token
        that the server has just rotated. `TokenProvider` shields its requests.

        Args:
            grant: What entitles the client to a token.

            timeout: Seconds for one request, or None for the client's own.

        Raises:
            ConfigurationError: The server is known to refuse this grant, the secret is missing, or
                a code belongs to another client or is presented a second time.

            TransportError: No response came.

            InvalidResponseError: The response breaks the specification.

            OAuthError: The server refused.

        Spec: RFC 6749 §4, §5; Aritma's authentication page.
        """
        if not isinstance(grant, Grant):
            problem = wrong_kind("grant", "a grant, such as ClientCredentialsGrant(scope)", grant)
            # An error reporter may show this frame's locals.
            del grant
            raise problem
        return await self._connection.fetch_token(grant, timeout=timeout)

    @hides_awaited_arguments(ConfigurationError)
    async def begin_sign_in(
        self,
        redirect_uri: str,
        scope: str | Iterable[str] | None = "openid",
        **parameters: "Unpack[AuthorizationParameters]",
    ) -> "AuthorizationRequest":
        """
        Begin a sign-in: send the end-user's browser to the request's ``url``.

        Args:
            redirect_uri: Where the browser comes back to; registered at the server.

            scope: Scope to ask for; ``openid`` proves who signs in, ``offline_access`` asks for a
                refresh token.

            parameters: What else the request says; `AuthorizationParameters` lists it.

        Raises:
            ConfigurationError: An argument is unusable, or the extra ``oidc`` is not installed and
                an ID token could not be verified.

            AritmaAuthError: The request had to be pushed to the server first, and the server
                refused it or could not be reached, as `fetch_token` says.

        Spec: RFC 6749 §4.1.1, §4.2.1; RFC 7636; OpenID Connect Core 1.0 §3.1.2.1; RFC 9470 §4;
        RFC 9126.
        """
        hide_parameters(parameters)
        return await self._sign_in.begin(redirect_uri, scope, **parameters)

    @hides_awaited_arguments(ConfigurationError)
    async def complete_sign_in(
        self, request: "AuthorizationRequest", callback: "Callback"
    ) -> "SignIn":
        """
        Complete a sign-in with what the browser brought back: every check, and the exchange.

        A caller that is cancelled in the middle has spent the code: the end-user signs in again.
        Nothing goes on in the background, so no token is left over unknown to the caller.

        Args:
            request: What `begin_sign_in` gave.

            callback: The callback's URL, a form_post's body, or the decoded pairs of either.

        Raises:
            ConfigurationError: Another client has begun this sign-in.

            StateMismatchError: The callback belongs to another sign-in, or comes a second time.

            IssuerMismatchError: It comes from another server.

            IdTokenError: An ID token is missing or failed a check: treat the sign-in as hostile.

            OAuthError: The end-user or the server refused.

            AritmaAuthError: The exchange failed, as `fetch_token` says.

        Spec: RFC 6749 §4.1.2, §4.1.3; OpenID Connect Core 1.0 §3.1.2.7, §3.1.3.
        """
        from aritma_auth.protocol.callback import hide_callback  # a sign-in's

        # An error reporter may show this frame's locals: hide the callback from here on.
        callback = hide_callback(callback)
        return await self._sign_in.complete(request, callback)

    @hides_awaited_arguments(ConfigurationError)
    async def exchange_code(self, response: "AuthorizationResponse") -> "SignIn":
        """
        Complete a sign-in whose authorization response is already validated.

        If the keys or the token endpoint could not be reached, the same response may be used again;
        a code that may have arrived is spent.

        Args:
            response: What `validate_authorization_response` gave; good for one exchange.

        Raises:
            IdTokenError: An ID token is missing or failed a check: treat the sign-in as hostile.

            AritmaAuthError: The exchange failed, as `fetch_token` says.

        Spec: OpenID Connect Core 1.0 §3.1.3, §3.2.2.11, §3.3.2.12, §3.3.3.
        """
        return await self._sign_in.exchange_code(response)

    async def begin_device_sign_in(
        self, scope: str | Iterable[str] | None = "openid"
    ) -> "DeviceAuthorization":
        """
        Begin a sign-in on another device: show the end-user its code and address.

        Args:
            scope: Scope to ask for.

        Raises:
            OAuthError: The server refused.

        Spec: RFC 8628 §3.1.
        """
        return await self._device_sign_in.begin(scope)

    @hides_awaited_arguments(ConfigurationError)
    async def complete_device_sign_in(self, authorization: "DeviceAuthorization") -> "SignIn":
        """
        Wait until the end-user has signed in on the other device, polling as slowly as told.

        Args:
            authorization: What `begin_device_sign_in` gave.

        Raises:
            ExpiredTokenError: The code ran out, or would before the next poll is allowed: begin
                again.

            AccessDeniedError: The end-user refused.

            IdTokenError: The ID token is missing or failed a check.

        Spec: RFC 8628 §3.4, §3.5.
        """
        return await self._device_sign_in.complete(authorization)

    @hides_awaited_arguments(ConfigurationError)
    async def begin_backchannel_sign_in(
        self,
        scope: str | Iterable[str] | None = "openid",
        **parameters: "Unpack[BackchannelParameters]",
    ) -> "BackchannelAuthentication":
        """
        Begin a sign-in without a browser: the server asks the end-user on a device that it knows.

        Args:
            scope: Scope to ask for, with ``openid``.

            parameters: Who the end-user is, and what else the request says:
                `BackchannelParameters`. One of ``login_hint``, ``login_hint_token`` and
                ``id_token_hint`` is needed.

        Raises:
            ConfigurationError: An argument is unusable, or the extra ``oidc`` is not installed.

            OAuthError: The server refused: the end-user is not known, or the client not allowed.

        Spec: CIBA Core 1.0 §7.
        """
        hide_parameters(parameters)
        return await self._backchannel_sign_in.begin(scope, **parameters)

    @hides_awaited_arguments(ConfigurationError)
    async def complete_backchannel_sign_in(
        self, authentication: "BackchannelAuthentication", *, is_notified: bool = False
    ) -> "SignIn":
        """
        Wait until the end-user has decided, polling as slowly as told.

        Args:
            authentication: What `begin_backchannel_sign_in` gave.

            is_notified: `validate_backchannel_notification` has found its notification: ask at
                once.

        Raises:
            ExpiredTokenError: The end-user did not decide in time: begin again.

            AccessDeniedError: The end-user refused.

            IdTokenError: The ID token is missing or failed a check.

        Spec: CIBA Core 1.0 §10, §11.
        """
        return await self._backchannel_sign_in.complete(authentication, is_notified=is_notified)

    async def fetch_metadata(self) -> "ServerMetadata":
        """
        Give the server's metadata, fetched at most once a day.

        Raises:
            TransportError: No response came.

            InvalidResponseError: There is no metadata, or it is unusable.

            IssuerMismatchError: The document is another server's.

        Spec: RFC 8414 §3; OpenID Connect Discovery 1.0 §4.
        """
        return await self._connection.discovery.fetch_metadata()

    async def assess_profile(self, profile: "Profile") -> "ProfileReport":
        """
        Tell whether the server and this client's settings are ready for a security profile.

        Args:
            profile: The profile, such as ``FAPI2``; the client need not keep to it yet.

        Returns:
            What is missing on either side.

        Raises:
            AritmaAuthError: The server's metadata could not be fetched, as `fetch_metadata` says.
        """
        from aritma_auth.client.profile_rules import assess_profile  # few need it

        settings = self._describe(
            self.client_auth, self.environment, self.dpop, self._connection.certificate
        )
        return await assess_profile(profile, settings, self._connection.discovery)

    def _describe(
        self,
        client_auth: ClientAuth,
        environment: Environment,
        dpop: "DPoP | None",
        certificate: object,
    ) -> "ClientSettings":
        from aritma_auth.protocol.profiles import ClientSettings  # few need it

        return ClientSettings(
            client_auth=client_auth,
            dpop_key=None if dpop is None else dpop.key,
            has_certificate=certificate is not None,
            request_signer=self._request_signer,
            id_token_algorithms=self._id_token_algorithms,
            fixed_endpoints=tuple(environment.endpoints),
        )

    async def fetch_keys(self) -> "list[JsonWebKey]":
        """
        Give the server's public keys, fetched at most once a day.

        Raises:
            TransportError: No response came.

            InvalidResponseError: The response is no key set.

        Spec: RFC 7517 §5.
        """
        return list(await self._connection.discovery.fetch_keys())

    @hides_awaited_arguments(ConfigurationError)
    async def fetch_userinfo(
        self, token: Token, *, subject: str | None = None, in_body: bool = False
    ) -> "Members":
        """
        Fetch the claims of the end-user whom a token is for.

        Args:
            token: An access token with the scope ``openid``.

            subject: ``sub`` of the verified ID token; by default that of ``token.id_token``.

            in_body: Post the token as a form, for a proxy that lets no ``Authorization`` header
                through. The header is better: every server reads it, and logs know to hide it.

        Raises:
            VerificationError: The response is about another end-user.

            OAuthError: The token was refused.

        Spec: OpenID Connect Core 1.0 §5.3; RFC 6750 §2.1, §2.2.
        """
        return await self._sign_in.fetch_userinfo(token, subject=subject, in_body=in_body)

    @hides_awaited_arguments(ConfigurationError)
    async def verify_id_token(
        self,
        id_token: str,
        *,
        nonce: str | None,
        max_age: int | None = None,
        access_token: str | None = None,
        keys: "Iterable[JsonWebKey] | None" = None,
    ) -> "Members":
        """
        Verify an ID token that came from the token endpoint, and give its claims.

        Times are validated by the server's clock, as its responses have shown it.

        Args:
            id_token: The ID token.

            nonce: What the authorization request carried; None if it carried none.

            max_age: Seconds since the sign-in that the request tolerated, if it said.

            access_token: The access token that came with it, to validate ``at_hash``.

            keys: The server's JSON Web Keys; by default they are fetched and kept.

        Raises:
            IdTokenError: A check failed: treat the sign-in as hostile.

        Spec: OpenID Connect Core 1.0 §3.1.3.7.
        """
        # An error reporter may show this frame's locals.
        id_token, nonce = hide_token("id_token", id_token), hide(nonce)
        if access_token is not None:
            access_token = hide_token("access_token", access_token)
        return await self._verifier.verify_received_id_token(
            id_token, nonce=nonce, max_age=max_age, access_token=access_token, keys=keys
        )

    @hides_awaited_arguments(ConfigurationError)
    async def verify_logout_token(self, logout_token: str) -> "LogoutToken":
        """
        Verify the logout token that the server has posted to your back-channel address.

        This client accepts it once. Several processes remember ``token_id`` where all see it.

        Args:
            logout_token: The form's ``logout_token``.

        Raises:
            VerificationError: A check failed, or it came before: respond 400 and end no session.

        Spec: OpenID Connect Back-Channel Logout 1.0 §2.6.
        """
        # An error reporter may show this frame's locals.
        logout_token = hide_token("logout_token", logout_token)
        return await self._verifier.verify_logout_token(logout_token)

    @hides_awaited_arguments(ConfigurationError)
    async def revoke(self, token: Token | str, *, token_type_hint: str | None = None) -> None:
        """
        Revoke a token. IdentityServer cannot revoke access tokens that are JWTs.

        Args:
            token: A token's text, or a `Token`: then its refresh token if it has one.

            token_type_hint: ``access_token`` or ``refresh_token``, or None.

        Raises:
            OAuthError: The server refused.

            InvalidResponseError: After a 503 the token still lives: try again.

            EndpointMissingError: The server offers no revocation; nothing was sent.

        Spec: RFC 7009 §2.
        """
        from aritma_auth.client.token_management import revoke  # few services use it

        # An error reporter may show this frame's locals.
        token = token if isinstance(token, Token) else hide_token("token", token)
        await revoke(self._connection, token, token_type_hint)

    @hides_awaited_arguments(ConfigurationError)
    async def introspect(
        self, token: str, *, token_type_hint: str | None = None
    ) -> "Introspection":
        """
        Ask the server whether a token is active, and what it says.

        Args:
            token: An access token or a refresh token.

            token_type_hint: ``access_token`` or ``refresh_token``, or None.

        Raises:
            OAuthError: The server refused this client.

            VerificationError: The token is active, and is another tenant's.

        Spec: RFC 7662 §2.
        """
        from aritma_auth.client.token_management import introspect

        token = hide_token("token", token)
        return await introspect(self._connection, token, token_type_hint)

    @hides_awaited_arguments(ConfigurationError)
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
        Give the URL at which the server signs the end-user out.

        Args:
            id_token_hint: The session's ID token; an expired one will do.

            post_logout_redirect_uri: Where the browser comes back to; registered at the server.

            state: Comes back unchanged, for `validate_logout_callback`.

            ui_locales: Languages of the server's page, separated by spaces.

            extra: Further parameters.

        Raises:
            EndpointMissingError: The server has no such page.

            ConfigurationError: An address is not secure.

        Spec: OpenID Connect RP-Initiated Logout 1.0 §2.
        """
        from aritma_auth.protocol.logout import build_end_session_url

        id_token_hint = (
            None if id_token_hint is None else hide_token("id_token_hint", id_token_hint)
        )
        return build_end_session_url(
            await self._connection.discovery.endpoint("end_session_endpoint"),
            id_token_hint=id_token_hint,
            # Beside the hint too: some servers redirect back only with both (§2 allows it).
            client_id=self.client_id,
            post_logout_redirect_uri=post_logout_redirect_uri,
            state=state,
            ui_locales=ui_locales,
            extra=extra,
        )

    async def aclose(self) -> None:
        """Release the caller's session; requests under way end by themselves."""

    @property
    def _sign_in(self) -> "SignInFlow":
        from aritma_auth.client.sign_in import SignInFlow  # at its first use

        return SignInFlow(
            self._connection, self._verifier, self._request_signer, self._request_encryption
        )

    @property
    def _device_sign_in(self) -> "DeviceFlow":
        from aritma_auth.client.device_sign_in import DeviceFlow

        return DeviceFlow(self._connection, self._verifier)

    @property
    def _backchannel_sign_in(self) -> "BackchannelFlow":
        from aritma_auth.client.backchannel_sign_in import BackchannelFlow
        from aritma_auth.client.request_delivery import RequestDelivery

        delivery = RequestDelivery(self._connection, self._request_signer)
        return BackchannelFlow(self._connection, self._verifier, delivery)

    @property
    def _verifier(self) -> "TokenVerifier":
        from aritma_auth.client.token_verifier import TokenVerifier

        # One for all threads: it remembers the logout tokens that were accepted.
        with self._lock:
            if self._made_verifier is None:
                self._made_verifier = TokenVerifier(
                    self._connection,
                    self._id_token_algorithms,
                    self._leeway,
                    self._trusted_audiences,
                )
            return self._made_verifier

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.client_id!r} by {self.client_auth.method} "
            f"at {self.environment.issuer}>"
        )

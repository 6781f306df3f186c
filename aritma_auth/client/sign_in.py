"""A sign-in by browser: the authorization request, its response, the code's exchange, UserInfo."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Unpack

from aritma_auth.client.connection import BEGUN_ELSEWHERE, ServerConnection
from aritma_auth.client.request_delivery import RequestDelivery
from aritma_auth.client.token_verifier import TokenVerifier
from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    IdTokenError,
    InvalidResponseError,
    OAuthError,
    require_flag,
    require_instance,
)
from aritma_auth.optional import require
from aritma_auth.protocol.authorization_parameters import (
    AuthorizationParameters,
    generate_authorization_request,
)
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.authorization_response import (
    AuthorizationResponse,
    validate_authorization_response,
)
from aritma_auth.protocol.callback import Callback
from aritma_auth.protocol.grants import AuthorizationCodeGrant
from aritma_auth.protocol.parameters import narrow_resources, parse_scope
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.sign_in import (
    SignIn,
    build_front_channel_sign_in,
    expect_id_token,
    require_same_sign_in,
    require_subject,
)
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.userinfo import (
    build_userinfo_request,
    is_signed_userinfo,
    parse_userinfo_response,
)

if TYPE_CHECKING:
    from aritma_auth.protocol.jarm import VerifiedResponse
    from aritma_auth.protocol.jwe import RequestEncryption
    from aritma_auth.protocol.signing import Signer


class SignInFlow:
    """
    The authorization code, implicit and hybrid flows of one client.

    `OAuthClient` documents each method.

    Spec: RFC 6749 §4.1, §4.2; OpenID Connect Core 1.0 §3, §5.3.
    """

    def __init__(
        self,
        connection: ServerConnection,
        verifier: TokenVerifier,
        request_signer: "Signer | None" = None,
        request_encryption: "RequestEncryption | None" = None,
    ) -> None:
        self._connection = connection
        self._verifier = verifier
        self._request_signer = request_signer
        self._request_encryption = request_encryption

    async def begin(
        self,
        redirect_uri: str,
        scope: str | Iterable[str] | None,
        **parameters: Unpack[AuthorizationParameters],
    ) -> AuthorizationRequest:
        """Make the authorization request; sign it and push it where that is demanded."""
        # A mistake of the caller's is told before the server is looked up.
        scope = parse_scope(scope)
        connection = self._connection
        profile = connection.profile
        if profile is not None:
            profile.prepare_sign_in(parameters)
        delivery = RequestDelivery(connection, self._request_signer, self._request_encryption)
        is_signed = await delivery.must_sign(parameters.pop("sign", None))
        is_pushed = await delivery.must_push(parameters.pop("push", None))
        await connection.discovery.require_pkce()
        if connection.proofs is not None:
            _bind_code(parameters, connection.proofs.dpop.thumbprint)
        request = generate_authorization_request(
            authorization_endpoint=await connection.discovery.endpoint("authorization_endpoint"),
            issuers=await connection.discovery.issuers(),
            requires_iss=profile is not None or await connection.discovery.requires_iss(),
            client_id=connection.client_id,
            redirect_uri=redirect_uri,
            scope=scope,
            now=connection.clock.time(),
            **parameters,
        )
        if connection.proofs is not None and "token" in request.response_type.split():
            raise ConfigurationError(
                "response_type must be without 'token' for a client with a DPoP key: a token that "
                "comes through the browser is bound to no key"
            )
        if profile is not None:
            profile.require_request(request)
        if request.expects_id_token or request.expects_signed_response:
            require("oidc", "joserfc")
        if is_signed:
            request = await delivery.sign(request)
        return await delivery.push(request) if is_pushed else request

    async def complete(self, request: AuthorizationRequest, callback: Callback) -> SignIn:
        """Validate the authorization response and exchange its code."""
        self._require_own(request)
        response = await self._verified(request, callback)
        now = self._connection.clock.time()
        return await self.exchange_code(validate_authorization_response(request, response, now=now))

    async def _verified(
        self, request: AuthorizationRequest, callback: Callback
    ) -> "Callback | VerifiedResponse":
        if not request.expects_signed_response:
            return callback
        from aritma_auth.protocol.jarm import parse_response_jwt  # few servers sign

        jwt = parse_response_jwt(callback, request, self._connection.decryption_key)
        return await self._verifier.verify_response(jwt, request.issuers)

    async def exchange_code(self, response: AuthorizationResponse) -> SignIn:
        """Exchange the code and verify the ID tokens of both channels."""
        required = "what validate_authorization_response gave"
        require_instance("response", required, response, AuthorizationResponse)
        request, clock = response.request, self._connection.clock
        self._require_own(request)
        if request.expects_id_token:
            # Before the code is spent: without the keys nothing could be verified.
            await self._connection.discovery.fetch_keys()
        front = None
        if response.id_token is not None:
            expected = expect_id_token(response, now=clock.time())
            front = await self._verifier.verify_id_token(response.id_token.text, expected)
        if response.code is None:
            if not response.single_use.take():
                raise ConfigurationError(
                    "an authorization response must be used once, and this one was: begin a new "
                    "sign-in"
                )
            return build_front_channel_sign_in(response, front)
        grant = AuthorizationCodeGrant(response, resource=narrow_resources(request.resource))
        token = await self._connection.fetch_token(grant)
        if not request.expects_id_token:
            return SignIn(token, session_state=response.session_state)
        if token.id_token is None:
            raise IdTokenError("no ID token came although openid was asked for")
        expected = expect_id_token(response, now=clock.time(), token=token)
        back = await self._verifier.verify_id_token(token.id_token, expected)
        require_same_sign_in(front, back)
        return SignIn(token, back, response.session_state)

    async def fetch_userinfo(self, token: Token, *, subject: str | None, in_body: bool) -> Members:
        """Fetch the claims of the end-user whom a token is for."""
        require_instance("token", "a Token", token, Token)
        if subject is not None:
            require_instance("subject", "the verified sub, or None", subject, str)
        require_flag("in_body", in_body)
        if in_body and self._connection.profile is not None:
            raise ConfigurationError(
                "in_body must be False with a security profile: the token goes in the header"
            )
        subject = require_subject(token, subject)
        endpoint = await self._connection.discovery.endpoint("userinfo_endpoint")
        request = build_userinfo_request(endpoint, token, in_body=in_body)
        response = await self._connection.send_with_token(request, token)
        if is_signed_userinfo(response):
            return await self._verifier.verify_userinfo(response, subject)
        refusal: AritmaAuthError
        try:
            return parse_userinfo_response(
                response, subject=subject, now=self._connection.clock.time()
            )
        except (InvalidResponseError, OAuthError) as error:
            if not self._connection.discovery.is_fixed_path("userinfo_endpoint"):
                raise
            from aritma_auth.client.refusals import explain_fixed_path  # at the first failure

            refusal = explain_fixed_path(error, endpoint)
        raise refusal

    def _require_own(self, request: AuthorizationRequest) -> None:
        require_instance("request", "what begin_sign_in gave", request, AuthorizationRequest)
        # Before anything is used up, and before a code goes to a server that did not give it.
        if not request.is_by(self._connection.client_id, self._connection.environment.issuer):
            raise ConfigurationError(BEGUN_ELSEWHERE)
        if self._connection.profile is not None:
            # It may have been begun before the client got its profile.
            self._connection.profile.require_request(request)


def _bind_code(parameters: AuthorizationParameters, thumbprint: str) -> None:
    """Let the server bind the code to the key that the token request will prove (RFC 9449 §10)."""
    extra: object = parameters.get("extra")
    if extra is None or isinstance(extra, Mapping):
        parameters["extra"] = {**(extra or {}), "dpop_jkt": thumbprint}

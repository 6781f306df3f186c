"""A client as OpenID Connect's relying party: it learns who a person is."""

from collections.abc import Iterable, Mapping

from aritma_auth.client.registration import BEGUN_ELSEWHERE, RegisteredClient
from aritma_auth.errors import ConfigurationError, IdTokenError, StepUpRequiredError
from aritma_auth.protocol.authorization_request import (
    AuthorizationRequest,
    generate_authorization_request,
)
from aritma_auth.protocol.authorization_response import (
    AuthorizationResponse,
    validate_authorization_response,
)
from aritma_auth.protocol.callback import Callback, hide_callback
from aritma_auth.protocol.grants import AuthorizationCodeGrant
from aritma_auth.protocol.id_token import IdTokenExpectation
from aritma_auth.protocol.jws import require_joserfc
from aritma_auth.protocol.jwt import JsonWebKey
from aritma_auth.protocol.parameters import narrow_resources
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.sign_in import (
    SignIn,
    expect_id_token,
    require_same_sign_in,
    require_subject,
)
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.userinfo import build_userinfo_request, parse_userinfo_response


class RelyingParty(RegisteredClient):
    """
    What a client can do about people: let them sign in, and ask who they are.

    Spec: OpenID Connect Core 1.0.
    """

    async def begin_sign_in(
        self,
        redirect_uri: str,
        scope: str | Iterable[str] | None = "openid",
        *,
        response_type: str = "code",
        response_mode: str = "",
        prompt: str | Iterable[str] = (),
        max_age: int | None = None,
        login_hint: str | None = None,
        acr_values: str | Iterable[str] = (),
        requires_acr: bool = False,
        ui_locales: str | Iterable[str] = (),
        resource: str | Iterable[str] = (),
        extra: Mapping[str, str] | None = None,
        step_up: StepUpRequiredError | None = None,
        lifetime: float = 600.0,
    ) -> AuthorizationRequest:
        """
        Begin a sign-in: send the person to the request's ``url``.

        Args:
            redirect_uri: Where the person comes back to; registered at the server.

            scope: Scope to ask for; ``openid`` proves who signs in, ``offline_access`` refreshes.

            response_type: ``code``, or for old servers what comes through the browser instead.

            response_mode: ``query``, ``fragment`` or ``form_post``; the usual one by default.

            prompt: ``none`` alone, or some of ``login``, ``consent``, ``select_account``.

            max_age: Seconds since the last sign-in that will do.

            login_hint: Who is likely to sign in.

            acr_values: How to sign in; `build_acr_values` knows Aritma's words.

            requires_acr: The ID token's ``acr`` must be one of these, else the sign-in fails.

            ui_locales: Languages of the server's pages.

            resource: Absolute URIs of the APIs that the tokens are for.

            extra: Further parameters of this server.

            step_up: What an API asked for; it is added to scope, acr_values and max_age.

            lifetime: Seconds within which the person must be back.

        Raises:
            ConfigurationError: An argument makes no sense, or the extra ``oidc`` is not installed
                and an ID token could not be checked.

        Spec: RFC 6749 §4.1.1, §4.2.1; RFC 7636; OpenID Connect Core 1.0 §3.1.2.1; RFC 9470 §4.
        """
        request = generate_authorization_request(
            authorization_endpoint=await self.endpoint("authorization_endpoint"),
            issuers=self.environment.issuers,
            requires_iss=await self._discovery.names_issuer_in_responses(),
            client_id=self.client_id,
            redirect_uri=redirect_uri,
            response_type=response_type,
            response_mode=response_mode,
            scope=scope,
            prompt=prompt,
            max_age=max_age,
            login_hint=login_hint,
            acr_values=acr_values,
            requires_acr=requires_acr,
            ui_locales=ui_locales,
            resource=resource,
            extra=extra,
            step_up=step_up,
            now=self._clock(),
            lifetime=lifetime,
        )
        if "openid" in (request.scope or ()):
            require_joserfc()
        return request

    async def complete_sign_in(self, request: AuthorizationRequest, callback: Callback) -> SignIn:
        """
        Finish a sign-in with what the browser brought back: every check, and the exchange.

        Whoever is cancelled meanwhile has spent the code: the person signs in again. Nothing goes
        on behind your back, so that no tokens are left over that nobody knows of.

        Args:
            request: What `begin_sign_in` gave when the sign-in began.

            callback: The callback's URL, a form_post's body, or the decoded pairs of either.

        Raises:
            ConfigurationError: Another client has begun this sign-in.

            StateMismatchError: The callback belongs to another sign-in, or comes a second time.

            IssuerMismatchError: It comes from another server.

            IdTokenError: An ID token is missing or failed a check: treat the sign-in as hostile.

            OAuthError: The person or the server said no.

            AritmaAuthError: The exchange failed, as `fetch_token` says.

        Spec: RFC 6749 §4.1.2, §4.1.3; OpenID Connect Core 1.0 §3.1.2.7, §3.1.3.
        """
        callback = hide_callback(callback)
        self._require_own(request)
        return await self.exchange_code(
            validate_authorization_response(request, callback, now=self._clock())
        )

    async def exchange_code(self, answer: AuthorizationResponse) -> SignIn:
        """
        Finish a sign-in whose callback was validated: exchange the code and check the rest.

        If the keys or the token endpoint could not be reached, the same answer may be redeemed
        again; a code that may have arrived is spent.

        Args:
            answer: What `validate_authorization_response` gave; good for one exchange.

        Raises:
            IdTokenError: An ID token is missing or failed a check: treat the sign-in as hostile.

            AritmaAuthError: The exchange failed, as `fetch_token` says.

        Spec: OpenID Connect Core 1.0 §3.1.3, §3.2.2.11, §3.3.2.12, §3.3.3.
        """
        self._require_own(answer.request)
        if answer.request.expects_id_token:
            # Before the code is spent: without the keys nothing could be checked.
            await self.fetch_keys()
        front = None
        if answer.id_token is not None:
            expected = expect_id_token(answer, now=self._clock())
            front = await self._verifier.verify_id_token(answer.id_token.text, expected)
        if answer.code is None:
            if not answer.single_use.take():
                raise ConfigurationError("an answer counts once: let the person sign in again")
            return SignIn(answer.token, front or Members(), answer.session_state)
        named = narrow_resources(answer.request.resource)
        token = await self.fetch_token(AuthorizationCodeGrant(answer, resource=named))
        if not answer.request.expects_id_token:
            return SignIn(token, session_state=answer.session_state)
        if token.id_token is None:
            raise IdTokenError("no ID token came although openid was asked for")
        expected = expect_id_token(answer, now=self._clock(), token=token)
        back = await self._verifier.verify_id_token(token.id_token, expected)
        require_same_sign_in(front, back)
        return SignIn(token, back, answer.session_state)

    def _require_own(self, request: AuthorizationRequest) -> None:
        # Before anything is used up, and before a code goes to a server that did not give it.
        if not request.is_by(self.client_id, self.environment.issuer):
            raise ConfigurationError(BEGUN_ELSEWHERE)

    async def verify_id_token(
        self,
        id_token: str,
        *,
        nonce: str | None,
        max_age: int | None = None,
        access_token: str | None = None,
        keys: Iterable[JsonWebKey] | None = None,
    ) -> Members:
        """
        Check an ID token that came from the token endpoint, and give its claims.

        Times are judged by the server's clock, as its answers have shown it.

        Args:
            id_token: The ID token.

            nonce: What the authorization request carried; None if it carried none.

            max_age: Seconds since the sign-in that the request tolerated, if it said.

            access_token: The access token that came with it, to check ``at_hash``.

            keys: The server's JSON Web Keys; by default they are fetched and kept.

        Raises:
            IdTokenError: A check failed: treat the sign-in as hostile.

        Spec: OpenID Connect Core 1.0 §3.1.3.7.
        """
        expected = IdTokenExpectation(
            issuers=self.environment.issuers,
            client_id=self.client_id,
            nonce=nonce,
            max_age=max_age,
            access_token=access_token,
        )
        return await self._verifier.verify_id_token(id_token, expected, keys)

    async def fetch_userinfo(
        self, token: Token, *, subject: str | None = None, in_body: bool = False
    ) -> Members:
        """
        Ask for the claims of the person whom a token is for.

        Args:
            token: An access token with the scope ``openid``.

            subject: ``sub`` of the verified ID token; by default that of ``token.id_token``.

            in_body: Post the token as a form, for what lets no ``Authorization`` header through.
                The header is better: every server reads it, and logs and proxies know to hide it.

        Raises:
            VerificationError: The answer is about another person.

            OAuthError: The token was refused.

        Spec: OpenID Connect Core 1.0 §5.3; RFC 6750 §2.1, §2.2.
        """
        subject = require_subject(token, subject)
        endpoint = await self.endpoint("userinfo_endpoint")
        response = await self.send(build_userinfo_request(endpoint, token, in_body=in_body))
        return parse_userinfo_response(response, subject=subject, now=self._clock())

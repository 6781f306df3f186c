"""
The rules of the token endpoint.

Every error is a 400 with IdentityServer's error code, mostly without a description.

Source: IdentityServer's TokenRequestValidator and TokenErrorResult.
"""

from collections.abc import Callable, Container, Mapping, Sequence

import attrs

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.assertions import ID_JAG, JWT_BEARER, Assertions
from aritma_auth.sandbox.identity.backchannel_requests import BackchannelRequests
from aritma_auth.sandbox.identity.client_authentication import secrets_match
from aritma_auth.sandbox.identity.device_codes import DeviceCodes
from aritma_auth.sandbox.identity.extension_grants import (
    ACCESS_TOKEN,
    TOKEN_EXCHANGE,
    SubjectTokens,
)
from aritma_auth.sandbox.identity.parameters import ErrorResponse, parse_details, parse_scope
from aritma_auth.sandbox.identity.refresh_tokens import RefreshTokens
from aritma_auth.sandbox.identity.registrations import (
    CIBA,
    DEVICE_CODE,
    IDENTITY_SCOPES,
    RESOURCES,
    SandboxClient,
    User,
)
from aritma_auth.sandbox.identity.server_versions import ServerVersion
from aritma_auth.sandbox.identity.sessions import AuthenticationEvent, Sessions
from aritma_auth.sandbox.identity.token_issuer import TokenIssuer

_EXTENSIONS = frozenset({"delegation", JWT_BEARER, TOKEN_EXCHANGE})

Form = Mapping[str, str]
Response = dict[str, object]


@attrs.frozen
class TokenRequest:
    """
    A token request in the sandbox's log, without secrets.

    Attributes:
        grant_type: Its grant type, or None.

        client_id: The authenticated client, or None.

        tenant: The tenant in the path, or None.

        error: The error code of the response, or None.
    """

    grant_type: str | None
    client_id: str | None
    tenant: str | None
    error: str | None


class TokenEndpoint:
    """
    Issues tokens by grant.

    Attributes:
        subject_tokens: Validates the tokens that clients present to exchange them.

        assertions: Issues and redeems assertions.
    """

    def __init__(
        self,
        users: Mapping[str, User],
        issuer: TokenIssuer,
        refresh_tokens: RefreshTokens,
        sessions: Sessions,
        device_codes: DeviceCodes,
        backchannel_requests: BackchannelRequests,
        server_version: ServerVersion,
        clock: SandboxClock,
    ) -> None:
        self._users = users
        self._issuer = issuer
        self._refresh_tokens = refresh_tokens
        self._sessions = sessions
        self._device_codes = device_codes
        self._backchannel_requests = backchannel_requests
        self._server_version = server_version
        self._clock = clock
        self.subject_tokens = SubjectTokens(issuer, clock)
        self.assertions = Assertions(issuer, clock)
        self._grants: Mapping[str, Callable[[str, SandboxClient, Form], Response]] = {
            "authorization_code": self._authorization_code,
            "client_credentials": self._client_credentials,
            "delegation": self._delegation,
            "password": self._password,
            "refresh_token": self._refresh_token,
            CIBA: self._backchannel_request,
            DEVICE_CODE: self._device_code,
            JWT_BEARER: self._jwt_bearer,
            TOKEN_EXCHANGE: self._token_exchange,
        }

    @property
    def grant_types(self) -> list[str]:
        """The supported grant types."""
        return list(self._grants)

    def respond(
        self, issuer: str, client: SandboxClient, form: Form, confirmation: Response | None = None
    ) -> Response:
        """
        Process the request of an authenticated client.

        Args:
            issuer: The tenant's issuer.

            client: The client.

            form: The request's parameters.

            confirmation: The key that the request has proved (``cnf``), or None.

        Returns:
            The response's members, in IdentityServer's order.

        Raises:
            ErrorResponse: The request is refused.
        """
        grant_type = form.get("grant_type", "")
        grant = self._grants.get(grant_type)
        is_allowed = grant_type in client.grant_types or (
            # Clients of the hybrid flow redeem codes too.
            grant_type == "authorization_code" and "hybrid" in client.grant_types
        )
        if grant is None or (grant_type in _EXTENSIONS and not is_allowed):
            raise ErrorResponse("unsupported_grant_type")
        if not is_allowed:
            raise ErrorResponse("unauthorized_client")
        confirmation = confirmation or {}
        self._require_key(form, confirmation)
        with self._issuer.binding(confirmation):
            members = grant(issuer, client, form)
        if "jkt" in confirmation:
            members["token_type"] = "DPoP"
        if confirmation and "refresh_token" in members and client.is_public:
            self._refresh_tokens.bind(str(members["refresh_token"]), confirmation)
        return members

    def _require_key(self, form: Form, confirmation: Response) -> None:
        """Require the key that a code or a public client's refresh token is bound to."""
        if self._sessions.is_bound_elsewhere(
            form.get("code", ""), confirmation.get("jkt")
        ) or self._refresh_tokens.is_bound_elsewhere(form.get("refresh_token", ""), confirmation):
            raise ErrorResponse("invalid_dpop_proof", "The token is bound to another key.")

    def _client_credentials(self, issuer: str, client: SandboxClient, form: Form) -> Response:
        scope = parse_scope(form, client)
        if IDENTITY_SCOPES.intersection(scope):
            raise ErrorResponse("invalid_scope")
        resource = self._resource(form, RESOURCES, scope)
        text = self._issuer.issue_access_token(issuer, client, scope, resource=resource)
        details = parse_details(form) if self._server_version.grants_details else ()
        return self._response(scope, text) | _granted(details)

    def _authorization_code(self, issuer: str, client: SandboxClient, form: Form) -> Response:
        if not form.get("redirect_uri"):
            raise ErrorResponse("unauthorized_client")
        code = self._sessions.redeem_code(
            form.get("code", ""), client, form["redirect_uri"], form.get("code_verifier")
        )
        resource = self._resource(form, code.resources, code.scope)
        tokens = self._sign_in_tokens(issuer, client, code.scope, code.sign_in, resource)
        return tokens | _granted(code.details)

    def _backchannel_request(self, issuer: str, client: SandboxClient, form: Form) -> Response:
        auth_req_id = form.get("auth_req_id", "")
        scope, sign_in = self._backchannel_requests.redeem(auth_req_id, client)
        return self._sign_in_tokens(issuer, client, scope, sign_in)

    def _device_code(self, issuer: str, client: SandboxClient, form: Form) -> Response:
        scope, sign_in = self._device_codes.redeem(form.get("device_code", ""), client)
        return self._sign_in_tokens(issuer, client, scope, sign_in)

    def _sign_in_tokens(
        self,
        issuer: str,
        client: SandboxClient,
        scope: tuple[str, ...],
        sign_in: AuthenticationEvent,
        resource: str | None = None,
    ) -> Response:
        text = self._issuer.issue_access_token(issuer, client, scope, sign_in, resource=resource)
        id_token = refresh_token = None
        if "openid" in scope:
            id_token = self._issuer.issue_id_token(
                issuer, client.client_id, sign_in, access_token=text
            )
        if "offline_access" in scope:
            refresh_token = self._refresh_tokens.issue(client, scope, sign_in)
        return self._response(scope, text, id_token, refresh_token)

    def _delegation(self, issuer: str, client: SandboxClient, form: Form) -> Response:
        scope = parse_scope(form, client)
        exchange = self.subject_tokens.delegation(form)
        text = self._issuer.issue_access_token(issuer, client, scope, exchange.sign_in)
        response = self._response(scope, text)
        # Aritma's sample response has no scope.
        del response["scope"]
        return response

    def _jwt_bearer(self, issuer: str, client: SandboxClient, form: Form) -> Response:
        asserted = self.assertions.redeem(form.get("assertion", ""), issuer, client)
        # Maskinporten's clients ask for a scope in the assertion.
        asked = form if "scope" in form or not asserted.scope else {"scope": asserted.scope}
        scope = parse_scope(asked, client)
        sign_in = None
        if asserted.subject is not None:
            sign_in = self.subject_tokens.authentication_event(asserted.subject, "assertion")
        resource = self._resource(form, RESOURCES, scope)
        text = self._issuer.issue_access_token(issuer, client, scope, sign_in, resource=resource)
        return self._response(scope, text)

    def _token_exchange(self, issuer: str, client: SandboxClient, form: Form) -> Response:
        exchange = self.subject_tokens.exchange(form)
        if form.get("requested_token_type") == ID_JAG:
            return self._id_jag(issuer, client, form, exchange.sign_in.subject)
        scope = parse_scope(form, client)
        resource = self._resource(form, RESOURCES, scope)
        text = self._issuer.issue_access_token(
            issuer, client, scope, exchange.sign_in, resource=resource, actor=exchange.actor
        )
        return self._response(scope, text) | {"issued_token_type": ACCESS_TOKEN}

    def _id_jag(self, issuer: str, client: SandboxClient, form: Form, subject: str) -> Response:
        audience = form.get("audience")
        if not audience:
            raise ErrorResponse("invalid_request", "audience must name the other server")
        text, lifetime = self.assertions.issue_id_jag(
            issuer, subject, audience, client.client_id, form.get("scope")
        )
        return {
            "issued_token_type": ID_JAG,
            "access_token": text,
            "token_type": "N_A",
            "expires_in": lifetime,
        }

    def _password(self, issuer: str, client: SandboxClient, form: Form) -> Response:
        scope = parse_scope(form, client)
        user = self._users.get(form.get("username", ""))
        if user is None or not secrets_match(form.get("password", ""), user.password):
            raise ErrorResponse("invalid_grant", "invalid_username_or_password")
        sign_in = AuthenticationEvent(
            subject=user.subject, auth_time=self._clock.time(), session_id="PASSWORD"
        )
        refresh_token = None
        if "offline_access" in scope:
            refresh_token = self._refresh_tokens.issue(client, scope, sign_in)
        text = self._issuer.issue_access_token(issuer, client, scope, sign_in)
        return self._response(scope, text, None, refresh_token)

    def _refresh_token(self, issuer: str, client: SandboxClient, form: Form) -> Response:
        refresh_token = form.get("refresh_token")
        if not refresh_token:
            raise ErrorResponse("invalid_request")
        refresh_token, token = self._refresh_tokens.redeem(refresh_token, client)
        resource = self._resource(form, RESOURCES, token.scope)
        text = self._issuer.issue_access_token(
            issuer, client, token.scope, token.sign_in, resource=resource
        )
        token.access_token = self._issuer.find(text)
        id_token = None
        if "openid" in token.scope:
            # The nonce belongs to the first ID token alone (OpenID Connect Core 1.0 §12.2).
            sign_in = attrs.evolve(token.sign_in, nonce=None)
            id_token = self._issuer.issue_id_token(
                issuer, client.client_id, sign_in, access_token=text
            )
        # The response always carries a refresh token: the same one where it is for many uses.
        return self._response(token.scope, text, id_token, refresh_token)

    def _resource(self, form: Form, known: Container[str], scope: tuple[str, ...]) -> str | None:
        resource = form.get("resource")
        if resource is None or not self._server_version.supports_resource:
            return None
        if resource not in known or not RESOURCES[resource].intersection(scope):
            raise ErrorResponse("invalid_target", "Invalid resource indicator")
        return resource

    def _response(
        self,
        scope: tuple[str, ...],
        access_token: str,
        id_token: str | None = None,
        refresh_token: str | None = None,
    ) -> Response:
        seconds_left = self._issuer.find(access_token).expires_at - self._clock.time()
        return {
            **({} if id_token is None else {"id_token": id_token}),
            "access_token": access_token,
            "expires_in": round(seconds_left),
            "token_type": "Bearer",
            **({} if refresh_token is None else {"refresh_token": refresh_token}),
            "scope": " ".join(scope),
        }


def _granted(details: Sequence[Mapping[str, object]]) -> Response:
    return {"authorization_details": list(details)} if details else {}

"""
Authorization responses, which go back to the client through the browser.

Source: IdentityServer's AuthorizeResult.
"""

from collections.abc import Mapping
from urllib.parse import urlencode

from aritma_auth.sandbox.identity.authorization_request import AuthorizationRequest
from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.server_versions import ServerVersion
from aritma_auth.sandbox.identity.session_management import build_session_state
from aritma_auth.sandbox.identity.sessions import AuthenticationEvent, Code, Sessions
from aritma_auth.sandbox.identity.token_issuer import TokenIssuer
from aritma_auth.sandbox.overrides import Changes, ResponseOverrides, apply_overrides


class AuthorizationResponses:
    """Builds authorization responses."""

    def __init__(
        self,
        issuer: TokenIssuer,
        sessions: Sessions,
        server_version: ServerVersion,
        overrides: ResponseOverrides,
    ) -> None:
        self._issuer = issuer
        self._sessions = sessions
        self._server_version = server_version
        self._overrides = overrides

    def success(
        self, issuer: str, request: AuthorizationRequest, sign_in: AuthenticationEvent
    ) -> dict[str, str]:
        """Build the parameters of a success response."""
        response_type, client = request.response_type, request.client
        code = access_token = None
        members: Changes = {}
        if "code" in response_type:
            code = members["code"] = self._issue_code(request, sign_in)
        if "token" in response_type:
            access_token = self._issuer.issue_access_token(issuer, client, request.scope, sign_in)
        if "id_token" in response_type:
            members["id_token"] = self._issuer.issue_id_token(
                issuer, client.client_id, sign_in, access_token=access_token, code=code
            )
        if access_token is not None:
            members |= {
                "access_token": access_token,
                "token_type": "Bearer",
                "expires_in": client.lifetime,
            }
        members["scope"] = " ".join(request.scope)
        if "openid" in request.scope:
            members["session_state"] = build_session_state(
                client.client_id, request.redirect_uri, sign_in.session_id
            )
        return self._finish(issuer, request, members)

    def _issue_code(self, request: AuthorizationRequest, sign_in: AuthenticationEvent) -> str:
        return self._sessions.issue_code(
            Code(
                client_id=request.client.client_id,
                redirect_uri=request.redirect_uri,
                scope=request.scope,
                sign_in=sign_in,
                code_challenge=request.code_challenge,
                resources=request.resources,
                details=request.details,
                dpop_jkt=request.dpop_jkt,
            )
        )

    def failure(
        self, issuer: str, request: AuthorizationRequest, error: str, description: str | None = None
    ) -> dict[str, str]:
        """
        Build the parameters of an error response, or raise it for the server's own page.

        Raises:
            ErrorResponse: This server version never sends that error to the client.
        """
        if error not in self._server_version.callback_errors:
            raise ErrorResponse(error, description)
        return self._finish(issuer, request, {"error": error, "error_description": description})

    def _finish(
        self, issuer: str, request: AuthorizationRequest, members: Changes
    ) -> dict[str, str]:
        members = members | {"state": request.state}
        if request.is_signed:
            client_id = request.client.client_id
            return {
                "response": self._issuer.sign_authorization_response(issuer, client_id, members)
            }
        members["iss"] = issuer if self._server_version.returns_iss else None
        return {
            name: str(value)
            for name, value in apply_overrides(
                members, self._overrides.authorization_response
            ).items()
        }

    def location(self, request: AuthorizationRequest, members: Mapping[str, str]) -> str:
        """Build the address of a redirect with a response."""
        encoded = urlencode(members)
        if request.response_mode == "fragment":
            return f"{request.redirect_uri}#{encoded}"
        separator = "&" if "?" in request.redirect_uri else "?"
        tail = f"#{self._server_version.error_fragment}" if "error" in members else ""
        return f"{request.redirect_uri}{separator}{encoded}{tail}"

"""
What goes back to the client through the browser, without HTTP.

Source: IdentityServer's AuthorizeResult.
"""

from collections.abc import Mapping
from urllib.parse import urlencode

from aritma_auth.sandbox.identity.authentication_event import SignInFacts
from aritma_auth.sandbox.identity.authorization_request import AuthorizeCall
from aritma_auth.sandbox.identity.server_versions import ServerVersion
from aritma_auth.sandbox.identity.session_management import make_session_state
from aritma_auth.sandbox.identity.sessions import Code, SignIns
from aritma_auth.sandbox.identity.token_issuer import TokenIssuer
from aritma_auth.sandbox.overrides import Changes, ResponseOverrides, told
from aritma_auth.sandbox.refusals import Refusal


class Callbacks:
    """
    Makes authorization answers.

    Args:
        issuer: Makes tokens.

        sign_ins: Makes codes.

        server_version: How the server behaves.

        overrides: What it says wrongly.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        sign_ins: SignIns,
        server_version: ServerVersion,
        overrides: ResponseOverrides,
    ) -> None:
        self._issuer = issuer
        self._sign_ins = sign_ins
        self._server_version = server_version
        self._overrides = overrides

    def success(self, issuer: str, call: AuthorizeCall, sign_in: SignInFacts) -> dict[str, str]:
        """
        Give the parameters of a good answer.

        Args:
            issuer: The tenant's issuer.

            call: The request.

            sign_in: Who signed in.
        """
        wanted, client = call.response_type, call.client
        code = access_token = None
        answer: Changes = {}
        if "code" in wanted:
            code = answer["code"] = self._make_code(call, sign_in)
        if "token" in wanted:
            access_token = self._issuer.issue_access_token(issuer, client, call.scope, sign_in)
        if "id_token" in wanted:
            answer["id_token"] = self._issuer.issue_id_token(
                issuer, client.client_id, sign_in, access_token=access_token, code=code
            )
        if access_token is not None:
            answer |= {
                "access_token": access_token,
                "token_type": "Bearer",
                "expires_in": client.lifetime,
            }
        answer["scope"] = " ".join(call.scope)
        if "openid" in call.scope:
            answer["session_state"] = make_session_state(
                client.client_id, call.redirect_uri, sign_in.session_id
            )
        return self._finish(issuer, call, answer)

    def _make_code(self, call: AuthorizeCall, sign_in: SignInFacts) -> str:
        return self._sign_ins.make_code(
            Code(
                client_id=call.client.client_id,
                redirect_uri=call.redirect_uri,
                scope=call.scope,
                sign_in=sign_in,
                code_challenge=call.code_challenge,
                resources=call.resources,
            )
        )

    def failure(
        self, issuer: str, call: AuthorizeCall, error: str, description: str | None = None
    ) -> dict[str, str]:
        """
        Give the parameters of a refusal, or raise it for the server's own page.

        Args:
            issuer: The tenant's issuer.

            call: The request.

            error: Its code.

            description: Its text, or None.

        Raises:
            Refusal: This server version never sends that error back.
        """
        if error not in self._server_version.callback_errors:
            raise Refusal(error, description)
        return self._finish(issuer, call, {"error": error, "error_description": description})

    def _finish(self, issuer: str, call: AuthorizeCall, answer: Changes) -> dict[str, str]:
        iss = issuer if self._server_version.names_issuer else None
        answer = answer | {"state": call.state, "iss": iss}
        return {
            name: str(value)
            for name, value in told(answer, self._overrides.authorization_response).items()
        }

    def location(self, call: AuthorizeCall, answer: Mapping[str, str]) -> str:
        """
        Give the address of a redirect.

        Args:
            call: The request.

            answer: Its parameters.
        """
        encoded = urlencode(answer)
        if call.response_mode == "fragment":
            return f"{call.redirect_uri}#{encoded}"
        joint = "&" if "?" in call.redirect_uri else "?"
        tail = f"#{self._server_version.error_fragment}" if "error" in answer else ""
        return f"{call.redirect_uri}{joint}{encoded}{tail}"

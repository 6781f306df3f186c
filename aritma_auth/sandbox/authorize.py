"""
The rules of ``/connect/authorize``, without HTTP.

Source: IdentityServer's AuthorizeRequestValidator and AuthorizeResult.
"""

from collections.abc import Mapping
from urllib.parse import urlencode

import attrs

from aritma_auth.sandbox.clients import SandboxClient
from aritma_auth.sandbox.generations import Generation
from aritma_auth.sandbox.issuing import SignInFacts, TokenIssuer
from aritma_auth.sandbox.refusals import Refusal
from aritma_auth.sandbox.sign_ins import SignIns
from aritma_auth.sandbox.token_endpoint import read_scope

_GRANTS = {
    ("code",): "authorization_code",
    ("token",): "implicit",
    ("id_token",): "implicit",
    ("id_token", "token"): "implicit",
    ("code", "id_token"): "hybrid",
    ("code", "token"): "hybrid",
    ("code", "id_token", "token"): "hybrid",
}
_PROMPTS = frozenset({"consent", "login", "none", "select_account"})


@attrs.frozen(kw_only=True)
class AuthorizeCall:
    """
    An authorization request that is in order.

    Attributes:
        client: Who asks.

        redirect_uri: Where the person goes back to.

        response_type: What is asked for.

        response_mode: How it is to travel.

        scope: For what.

        state: Comes back unchanged, or None.

        nonce: Goes into the ID token, or None.

        code_challenge: S256 of the verifier, or None.

        prompt: What the person must be shown.

        max_age: Seconds since the sign-in that will do, or None.

        login_hint: Who is likely to sign in.
    """

    client: SandboxClient
    redirect_uri: str
    response_type: tuple[str, ...]
    response_mode: str
    scope: tuple[str, ...]
    state: str | None
    nonce: str | None
    code_challenge: str | None
    prompt: frozenset[str]
    max_age: int | None
    login_hint: str


def read_authorize_call(
    parameters: Mapping[str, str], clients: Mapping[str, SandboxClient]
) -> AuthorizeCall:
    """
    Read an authorization request.

    Args:
        parameters: Its parameters.

        clients: The registered clients by id.

    Raises:
        Refusal: It is not in order; IdentityServer shows that on a page of its own.
    """
    client = clients.get(parameters.get("client_id", ""))
    if client is None:
        raise Refusal("unauthorized_client", "Unknown client or client not enabled")
    redirect_uri = parameters.get("redirect_uri", "")
    if not client.may_return_to(redirect_uri):
        raise Refusal("invalid_request", "Invalid redirect_uri")
    response_type = tuple(sorted(parameters.get("response_type", "").split()))
    grant = _GRANTS.get(response_type)
    if grant is None:
        raise Refusal("unsupported_response_type", "Response type not supported")
    if grant not in client.grant_types:
        raise Refusal("unauthorized_client", "Invalid grant type for client")
    usual = "query" if response_type == ("code",) else "fragment"
    mode = parameters.get("response_mode", usual)
    if mode not in {"form_post", "fragment", "query"} or (usual, mode) == ("fragment", "query"):
        raise Refusal("unsupported_response_type", "Invalid response_mode for response_type")
    scope = read_scope(parameters, client)
    nonce = parameters.get("nonce")
    if "id_token" in response_type and (nonce is None or "openid" not in scope):
        raise Refusal("invalid_request", "Invalid nonce")
    prompt = frozenset(parameters.get("prompt", "").split())
    if not prompt <= _PROMPTS or ("none" in prompt and len(prompt) > 1):
        raise Refusal("invalid_request", "Unsupported prompt mode")
    max_age = parameters.get("max_age")
    if max_age is not None and not max_age.isdigit():
        raise Refusal("invalid_request", "Invalid max_age")
    return AuthorizeCall(
        client=client,
        redirect_uri=redirect_uri,
        response_type=response_type,
        response_mode=mode,
        scope=scope,
        state=parameters.get("state"),
        nonce=nonce,
        code_challenge=_code_challenge(parameters, client, response_type),
        prompt=prompt,
        max_age=None if max_age is None else int(max_age),
        login_hint=parameters.get("login_hint", ""),
    )


def _code_challenge(
    parameters: Mapping[str, str], client: SandboxClient, response_type: tuple[str, ...]
) -> str | None:
    challenge = parameters.get("code_challenge")
    if "code" not in response_type:
        return None
    if challenge is None and client.requires_pkce:
        raise Refusal("invalid_request", "code challenge required")
    if challenge is not None and parameters.get("code_challenge_method") != "S256":
        raise Refusal("invalid_request", "Transform algorithm not supported")
    return challenge


class AuthorizeAnswers:
    """
    Makes what goes back through the browser.

    Args:
        issuer: Makes tokens.

        sign_ins: Makes codes.

        generation: How the server behaves.
    """

    def __init__(self, issuer: TokenIssuer, sign_ins: SignIns, generation: Generation) -> None:
        self._issuer = issuer
        self._sign_ins = sign_ins
        self._generation = generation

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
        answer: dict[str, str] = {}
        if "code" in wanted:
            code = self._sign_ins.make_code(
                client, call.redirect_uri, call.scope, sign_in, call.code_challenge
            )
            answer["code"] = code
        if "token" in wanted:
            access_token = self._issuer.issue_access_token(
                issuer, client, call.scope, sign_in.subject
            )
        if "id_token" in wanted:
            answer["id_token"] = self._issuer.issue_id_token(
                issuer, client.client_id, sign_in, access_token=access_token, code=code
            )
        if access_token is not None:
            answer |= {
                "access_token": access_token,
                "token_type": "Bearer",
                "expires_in": str(client.lifetime),
            }
        answer["scope"] = " ".join(call.scope)
        if "openid" in call.scope:
            answer["session_state"] = f"{sign_in.session_id}.sandbox"
        return self._finish(issuer, call, answer)

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
            Refusal: This generation never sends that error back.
        """
        if error not in self._generation.callback_errors:
            raise Refusal(error, description)
        answer = {"error": error}
        if description is not None:
            answer["error_description"] = description
        return self._finish(issuer, call, answer)

    def _finish(self, issuer: str, call: AuthorizeCall, answer: dict[str, str]) -> dict[str, str]:
        if call.state is not None:
            answer["state"] = call.state
        if self._generation.names_issuer:
            answer["iss"] = issuer
        return answer

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
        tail = f"#{self._generation.error_fragment}" if "error" in answer else ""
        return f"{call.redirect_uri}{joint}{encoded}{tail}"

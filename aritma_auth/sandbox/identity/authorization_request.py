"""
Authorization requests, parsed by the rules of ``/connect/authorize``.

Source: IdentityServer's AuthorizeRequestValidator.
"""

from collections.abc import Mapping, Sequence

import attrs

from aritma_auth.sandbox.identity.parameters import ErrorResponse, parse_details, parse_scope
from aritma_auth.sandbox.identity.registrations import RESOURCES, SandboxClient
from aritma_auth.sandbox.identity.server_versions import ServerVersion

Parameters = Mapping[str, Sequence[str]]
"""Each parameter's values; only ``resource`` may have several."""

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
_FACTORS = frozenset({"mfa", "verify"})
_MAX_LENGTHS = {
    "client_id": 100,
    "redirect_uri": 400,
    "nonce": 300,
    "acr_values": 300,
    "login_hint": 100,
    "code_challenge": 128,
}


@attrs.frozen(kw_only=True)
class AuthorizationRequest:
    """
    A valid authorization request.

    Attributes:
        client: The client that sent it.

        redirect_uri: The address of the authorization response.

        response_type: The words of ``response_type``, sorted.

        response_mode: ``query``, ``fragment`` or ``form_post``.

        is_signed: The response is one signed JWT (JARM).

        scope: The requested scope.

        state: The value to return unchanged, or None.

        nonce: The value for the ID token, or None.

        code_challenge: S256 of the code verifier, or None.

        prompt: The pages that the end-user must see.

        max_age: Allowed age of the authentication in seconds, or None.

        login_hint: The username to fill in.

        acr: Requested authentication contexts, the preferred one first.

        idp: The requested identity provider, or None.

        tenant: The requested tenant, or None.

        resources: The APIs named by ``resource``.

        details: The requested authorization details.

        dpop_jkt: Thumbprint of the key that the code is bound to, or None.
    """

    client: SandboxClient
    redirect_uri: str
    response_type: tuple[str, ...]
    response_mode: str
    is_signed: bool
    scope: tuple[str, ...]
    state: str | None
    nonce: str | None
    code_challenge: str | None
    prompt: frozenset[str]
    max_age: int | None
    login_hint: str
    acr: tuple[str, ...]
    idp: str | None
    tenant: str | None
    resources: tuple[str, ...]
    details: tuple[Mapping[str, object], ...] = ()
    dpop_jkt: str | None = None

    @property
    def is_satisfiable(self) -> bool:
        """Whether the sandbox's users can reach every requested authentication context."""
        return _FACTORS.issuperset(self.acr)


def parse_authorization_request(
    parameters: Parameters, clients: Mapping[str, SandboxClient], server_version: ServerVersion
) -> AuthorizationRequest:
    """
    Parse an authorization request.

    Raises:
        ErrorResponse: The request is invalid; IdentityServer shows that on a page of its own.
    """
    given = _single(parameters)
    client = clients.get(given.get("client_id", ""))
    if client is None:
        raise ErrorResponse(
            "unauthorized_client",
            "Unknown client or client not enabled",
            hint="The sandbox's home page lists its clients; sandbox.add_client registers another.",
        )
    redirect_uri = given.get("redirect_uri", "")
    if not client.may_redirect_to(redirect_uri):
        registered = ", ".join(client.redirect_uris) or "none"
        raise ErrorResponse(
            "invalid_request",
            "Invalid redirect_uri",
            hint=f"{client.client_id} has registered: {registered}. Loopback may have any port.",
        )
    response_type = _response_type(given, client)
    response_mode, is_signed = _response_mode(given, response_type, server_version)
    scope = _scope(given, client, response_type)
    nonce = given.get("nonce")
    if response_type != ("code",) and "openid" in scope and not nonce:
        raise ErrorResponse("invalid_request", "Invalid nonce")
    words = given.get("acr_values", "").split()
    return AuthorizationRequest(
        client=client,
        redirect_uri=redirect_uri,
        response_type=response_type,
        response_mode=response_mode,
        is_signed=is_signed,
        scope=scope,
        state=given.get("state"),
        nonce=nonce,
        code_challenge=_code_challenge(given, client, response_type),
        prompt=_prompt(given, server_version),
        max_age=_max_age(given),
        login_hint=given.get("login_hint", ""),
        acr=tuple(word for word in words if not word.startswith(("idp:", "tenant:"))),
        idp=_special(words, "idp:"),
        tenant=_special(words, "tenant:"),
        resources=_resources(parameters, server_version),
        details=parse_details(given) if server_version.grants_details else (),
        dpop_jkt=given.get("dpop_jkt") if server_version.supports_dpop else None,
    )


def _single(parameters: Parameters) -> dict[str, str]:
    given = {name: values[0] for name, values in parameters.items()}
    if any(len(values) > 1 for name, values in parameters.items() if name != "resource"):
        raise ErrorResponse("invalid_request", "duplicate parameter")
    for name, longest in _MAX_LENGTHS.items():
        if len(given.get(name, "")) > longest:
            raise ErrorResponse("invalid_request", f"Invalid {name}")
    return given


def _response_type(given: Mapping[str, str], client: SandboxClient) -> tuple[str, ...]:
    response_type = tuple(sorted(given.get("response_type", "").split()))
    grant = _GRANTS.get(response_type)
    if grant is None:
        raise ErrorResponse("unsupported_response_type", "Response type not supported")
    if grant not in client.grant_types:
        raise ErrorResponse("unauthorized_client", "Invalid grant type for client")
    return response_type


def _response_mode(
    given: Mapping[str, str], response_type: tuple[str, ...], server_version: ServerVersion
) -> tuple[str, bool]:
    usual = "query" if response_type == ("code",) else "fragment"
    mode = given.get("response_mode", usual)
    is_signed = server_version.signs_responses and mode.endswith("jwt")
    if is_signed:
        mode = mode.removesuffix("jwt").removesuffix(".") or usual
    if mode not in {"form_post", "fragment", "query"} or (usual, mode) == ("fragment", "query"):
        raise ErrorResponse("unsupported_response_type", "Invalid response_mode for response_type")
    return mode, is_signed


def _scope(
    given: Mapping[str, str], client: SandboxClient, response_type: tuple[str, ...]
) -> tuple[str, ...]:
    if not given.get("scope"):
        raise ErrorResponse("invalid_request", "Invalid scope")
    scope = parse_scope(given, client)
    if "id_token" in response_type and "openid" not in scope:
        raise ErrorResponse("invalid_request", "Missing openid scope")
    if response_type == ("token",) and "openid" in scope:
        raise ErrorResponse("invalid_scope", "Invalid scope for response type")
    return scope


def _code_challenge(
    given: Mapping[str, str], client: SandboxClient, response_type: tuple[str, ...]
) -> str | None:
    challenge = given.get("code_challenge")
    if "code" not in response_type:
        return None
    if challenge is None and client.requires_pkce:
        raise ErrorResponse("invalid_request", "code challenge required")
    if challenge is not None and given.get("code_challenge_method") != "S256":
        raise ErrorResponse("invalid_request", "Transform algorithm not supported")
    return challenge


def _prompt(given: Mapping[str, str], server_version: ServerVersion) -> frozenset[str]:
    prompt = frozenset(given.get("prompt", "").split())
    if not prompt <= _PROMPTS and server_version.refuses_unknown_prompts:
        raise ErrorResponse("invalid_request", "Unsupported prompt mode")
    if "none" in prompt and len(prompt) > 1:
        raise ErrorResponse("invalid_request", "Invalid prompt")
    return prompt & _PROMPTS


def _max_age(given: Mapping[str, str]) -> int | None:
    text = given.get("max_age")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise ErrorResponse("invalid_request", "Invalid max_age")
    return int(text)


def _special(words: Sequence[str], prefix: str) -> str | None:
    return next((word.removeprefix(prefix) for word in words if word.startswith(prefix)), None)


def _resources(parameters: Parameters, server_version: ServerVersion) -> tuple[str, ...]:
    if not server_version.supports_resource:
        return ()
    resources = tuple(parameters.get("resource", ()))
    if not RESOURCES.keys() >= set(resources):
        raise ErrorResponse("invalid_target", "Invalid resource indicator")
    return resources

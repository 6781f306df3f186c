"""
The differences between the IdentityServer versions that Aritma ID may run.

``fapi`` is no version of it: it adds what the FAPI 2.0 profiles want and IdentityServer lacks.

Source: IdentityServer4 4.x and Duende IdentityServer at their release tags.
"""

import attrs

from aritma_auth.sandbox.arguments import require_known


@attrs.frozen(kw_only=True)
class ServerVersion:
    """
    The behaviour of one version.

    Attributes:
        name: ``is4``, ``duende-6.3``, ``duende-7.4``, ``duende-8`` or ``fapi``.

        missing_client_error: The error of a token request without client id.

        returns_iss: Authorization responses carry ``iss`` (RFC 9207).

        refresh_tokens_rotate: By default each refresh token is for one use.

        assertion_for_issuer: An assertion may name the issuer as its audience.

        assertion_for_issuer_alone: It must, and no endpoint will do.

        introspects_for_clients: Clients, not only APIs, may introspect.

        introspects_in_jwts: The introspection response is signed on request (RFC 9701).

        has_oauth_metadata: RFC 8414's metadata address is served too.

        redirect_status: Status of redirects to the client.

        error_fragment: The fragment of redirects with an error.

        callback_errors: Errors that reach the client; every other stays on the server's page.

        leading_claims: The first claims of access tokens, in order.

        logout_token_type: The ``typ`` of logout tokens.

        grants_details: ``authorization_details`` are granted as asked (RFC 9396).

        decrypts_requests: Signed requests may be encrypted to the server.

        supports_par: Authorization requests may be pushed (RFC 9126).

        signing_algorithm: Of every token: ``RS256`` or ``PS256``.

        signs_responses: Authorization responses are signed on request (JARM).

        supports_ciba: End-users can be asked on their own device (CIBA).

        supports_dpop: DPoP proofs are validated, and bind tokens (RFC 9449); else they are ignored.

        supports_registration: Clients can register themselves (RFC 7591).

        supports_resource: ``resource`` is processed (RFC 8707).

        refuses_unknown_prompts: An unknown ``prompt`` is an error; otherwise it is ignored.

        has_extended_metadata: The metadata names prompts, and the authentication methods of
            revocation and introspection.
    """

    name: str
    missing_client_error: str = "invalid_request"
    returns_iss: bool = True
    refresh_tokens_rotate: bool = True
    assertion_for_issuer: bool = True
    assertion_for_issuer_alone: bool = False
    introspects_for_clients: bool = False
    introspects_in_jwts: bool = False
    has_oauth_metadata: bool = False
    redirect_status: int = 302
    error_fragment: str = "_=_"
    callback_errors: frozenset[str] = frozenset(
        {
            "access_denied",
            "account_selection_required",
            "consent_required",
            "interaction_required",
            "login_required",
            "temporarily_unavailable",
            "unmet_authentication_requirements",
        }
    )
    leading_claims: tuple[str, ...] = ("iss", "nbf", "iat", "exp", "aud")
    logout_token_type: str = "logout+jwt"
    grants_details: bool = False
    decrypts_requests: bool = False
    supports_par: bool = False
    signing_algorithm: str = "RS256"
    signs_responses: bool = False
    supports_ciba: bool = True
    supports_dpop: bool = True
    supports_registration: bool = False
    supports_resource: bool = True
    refuses_unknown_prompts: bool = False
    has_extended_metadata: bool = True


_IS4 = ServerVersion(
    name="is4",
    missing_client_error="invalid_client",
    returns_iss=False,
    assertion_for_issuer=False,
    callback_errors=frozenset(
        {
            "access_denied",
            "account_selection_required",
            "consent_required",
            "interaction_required",
            "login_required",
        }
    ),
    leading_claims=("nbf", "exp", "iss", "aud", "client_id", "iat"),
    logout_token_type="JWT",
    supports_ciba=False,
    supports_dpop=False,
    supports_resource=False,
    has_extended_metadata=False,
)
_DUENDE_7_4 = ServerVersion(
    name="duende-7.4",
    refresh_tokens_rotate=False,
    introspects_for_clients=True,
    introspects_in_jwts=True,
    supports_par=True,
    refuses_unknown_prompts=True,
    has_oauth_metadata=True,
    error_fragment="_",
)
_DUENDE_8 = attrs.evolve(_DUENDE_7_4, name="duende-8", redirect_status=303)
SERVER_VERSIONS = {
    version.name: version
    for version in (
        _IS4,
        ServerVersion(name="duende-6.3"),
        _DUENDE_7_4,
        _DUENDE_8,
        attrs.evolve(
            _DUENDE_8,
            name="fapi",
            assertion_for_issuer_alone=True,
            grants_details=True,
            decrypts_requests=True,
            signing_algorithm="PS256",
            signs_responses=True,
            supports_registration=True,
        ),
    )
}


def server_version_named(name: str) -> ServerVersion:
    """
    Find a version.

    Raises:
        ConfigurationError: No version has that name.
    """
    return SERVER_VERSIONS[require_known("server_version", name, SERVER_VERSIONS)]

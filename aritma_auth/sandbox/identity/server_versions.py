"""
What differs between the IdentityServers that Aritma ID may be.

Source: IdentityServer4 4.x and Duende IdentityServer at their release tags.
"""

import attrs

from aritma_auth.errors import ConfigurationError


@attrs.frozen(kw_only=True)
class ServerVersion:
    """
    One version's behaviour.

    Attributes:
        name: ``is4``, ``duende-6.3``, ``duende-7.4`` or ``duende-8``.

        missing_client_error: What a token request without client id is answered with.

        names_issuer: Authorization answers carry ``iss`` (RFC 9207).

        refresh_tokens_rotate: By default a refresh token can be used once.

        assertion_for_issuer: An assertion may name the issuer as its audience.

        introspects_for_clients: Clients, not only APIs, may introspect.

        introspects_in_jwts: The answer is signed if that is asked for (RFC 9701).

        has_oauth_metadata: The address of RFC 8414 is served too.

        redirect_status: Of redirects with an answer.

        error_fragment: What is appended to redirects with an error.

        callback_errors: Errors that reach the callback; all others stay on the server's page.

        first_claims: How access tokens begin.

        logout_token_type: The ``typ`` of logout tokens.

        knows_resources: ``resource`` is heeded (RFC 8707).

        refuses_unknown_prompts: An unknown ``prompt`` is an error; it is overlooked otherwise.

        says_more: Discovery names prompts, and how to authenticate for revocation and
            introspection.
    """

    name: str
    missing_client_error: str = "invalid_request"
    names_issuer: bool = True
    refresh_tokens_rotate: bool = True
    assertion_for_issuer: bool = True
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
    first_claims: tuple[str, ...] = ("iss", "nbf", "iat", "exp", "aud")
    logout_token_type: str = "logout+jwt"
    knows_resources: bool = True
    refuses_unknown_prompts: bool = False
    says_more: bool = True


_IS4 = ServerVersion(
    name="is4",
    missing_client_error="invalid_client",
    names_issuer=False,
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
    first_claims=("nbf", "exp", "iss", "aud", "client_id", "iat"),
    logout_token_type="JWT",
    knows_resources=False,
    says_more=False,
)
_DUENDE_7_4 = ServerVersion(
    name="duende-7.4",
    refresh_tokens_rotate=False,
    introspects_for_clients=True,
    introspects_in_jwts=True,
    refuses_unknown_prompts=True,
    has_oauth_metadata=True,
    error_fragment="_",
)
SERVER_VERSIONS = {
    version.name: version
    for version in (
        _IS4,
        ServerVersion(name="duende-6.3"),
        _DUENDE_7_4,
        attrs.evolve(_DUENDE_7_4, name="duende-8", redirect_status=303),
    )
}


def server_version_named(name: str) -> ServerVersion:
    """
    Find a version.

    Args:
        name: Its name.

    Raises:
        ConfigurationError: There is none of that name.
    """
    version = SERVER_VERSIONS.get(name)
    if version is None:
        raise ConfigurationError(
            f"server_version must be one of {', '.join(SERVER_VERSIONS)}, not {name!r}"
        )
    return version

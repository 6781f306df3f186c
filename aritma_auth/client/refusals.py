"""What a failed request to the server means for its client; loaded with the first failure."""

from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    InvalidClientError,
    InvalidResponseError,
    OAuthError,
    oauth_error,
)
from aritma_auth.protocol.json_response import is_ambiguous

_INVALID_PROOF = "invalid_dpop_proof"
_PROOF_ADVICE = (
    "the server must know the algorithm of the client's DPoP key, see "
    "dpop_signing_alg_values_supported in its metadata, and both clocks must agree"
)
_NOT_THERE = frozenset({404, 405})
_NOT_PROCESSED = frozenset({408, 425, 429, 503})
"""Statuses that a server gives before it looks at a form."""


def explain(
    error: AritmaAuthError, *, method: str, url: str, is_fixed_path: bool
) -> AritmaAuthError:
    """
    Add to a refusal what only the client knows; each caller raises its own copy.

    Args:
        error: The refusal.

        method: How the client authenticated.

        url: Where the request went.

        is_fixed_path: The URL is IdentityServer's path, and neither configured nor discovered.
    """
    if isinstance(error, InvalidClientError) or _has_status(error, 401):
        # Some servers respond to a wrong secret with a 401 alone (RFC 6749 §5.2).
        known = error if isinstance(error, OAuthError) else None
        advice = (
            "the client sent neither secret nor key: give OAuthClient one, unless the server has "
            "it as a public client"
            if method == "none"
            else f"the client authenticated by {method}: check the client id, its secret or key, "
            "and which method the server expects; all belong to one environment"
        )
        return InvalidClientError(
            "invalid_client",
            None if known is None else known.description,
            uri=None if known is None else known.uri,
            status=401 if known is None else known.status,
            retry_after=error.retry_after,
            advice=advice,
        )
    if isinstance(error, OAuthError) and error.error == "invalid_request":
        # So some servers refuse a method that the client is not registered for.
        return advise(error, f"a parameter is wrong, or the client's method, which was {method}")
    if isinstance(error, OAuthError) and error.error == _INVALID_PROOF:
        return advise(error, _PROOF_ADVICE)
    if isinstance(error, InvalidResponseError) and error.status == 403:
        return _add(
            error,
            f"the server, or a firewall before it, may refuse the client's credential ({method})",
        )
    return explain_fixed_path(error, url) if is_fixed_path else error.copy()


def explain_fixed_path(error: AritmaAuthError, url: str) -> AritmaAuthError:
    """Add to a 404 of one of IdentityServer's paths what another server needs."""
    advice = (
        f"{url} is IdentityServer's path; for another server use Environment.discover(issuer) or "
        "give its endpoints"
    )
    if isinstance(error, InvalidResponseError) and error.status in _NOT_THERE:
        return _add(error, advice)
    if isinstance(error, OAuthError) and error.status in _NOT_THERE:
        # A framework's own code, such as method_not_allowed, looks like an OAuth error.
        return advise(error, advice)
    return error.copy()


def _add(error: InvalidResponseError, hint: str) -> InvalidResponseError:
    return InvalidResponseError(
        f"{error}: {hint}",
        status=error.status,
        problems=error.problems,
        retry_after=error.retry_after,
    )


def advise(error: OAuthError, advice: str | None) -> OAuthError:
    """Add to a refusal what the grant knows of it."""
    if advice is None:
        return error.copy()
    return oauth_error(
        error.error,
        error.description,
        uri=error.uri,
        status=error.status,
        retry_after=error.retry_after,
        advice=advice,
    )


def may_be_about_the_secret(error: AritmaAuthError) -> bool:
    """Tell whether a newer secret may be accepted where this one was refused."""
    return isinstance(error, InvalidClientError) or _has_status(error, 403)


def is_unused(error: AritmaAuthError) -> bool:
    """Tell whether the server has surely not looked at what can be presented only once."""
    if isinstance(error, ConfigurationError):
        return True
    if isinstance(error, InvalidResponseError):
        return error.status in _NOT_PROCESSED
    return not (error.is_permanent or is_ambiguous(error))


def _has_status(error: AritmaAuthError, status: int) -> bool:
    return isinstance(error, InvalidResponseError) and error.status == status

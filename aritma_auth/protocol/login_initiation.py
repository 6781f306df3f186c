"""A sign-in that a third party initiates (OpenID Connect Core 1.0 §4): validated, never trusted."""

from collections.abc import Iterable

import attrs

from aritma_auth.errors import ConfigurationError, IssuerMismatchError, VerificationError
from aritma_auth.protocol.callback import Callback, parse_callback
from aritma_auth.protocol.parameters import parse_names
from aritma_auth.protocol.urls import Origin, describe_issuer, origin_of, require_secure_url


@attrs.frozen(kw_only=True)
class LoginInitiation:
    """
    What a third party asks for; nothing of it is proven, so it only begins a usual sign-in.

    Attributes:
        issuer: The server to sign in at; it is this client's.

        login_hint: The identifier that the end-user is likely to sign in with, or None.

        target_link_uri: Where to redirect the end-user afterwards, at a listed origin, or None.

    Spec: OpenID Connect Core 1.0 §4.
    """

    issuer: str
    login_hint: str | None = attrs.field(default=None, repr=False)
    target_link_uri: str | None = None


def parse_login_initiation(
    callback: Callback, *, issuers: Iterable[str], target_origins: Iterable[str] = ()
) -> LoginInitiation:
    """
    Parse a request to your ``initiate_login_uri``; then begin a sign-in of your own.

    Args:
        callback: The URL, a posted form, or the decoded pairs of either.

        issuers: The client's issuer and its aliases (`Environment.issuers`).

        target_origins: URLs of your application; the end-user is redirected nowhere else.

    Raises:
        ConfigurationError: One of ``target_origins`` is not secure.

        IssuerMismatchError: It names another server, or none.

        VerificationError: It would redirect the end-user elsewhere, or names a parameter twice.

    Spec: OpenID Connect Core 1.0 §4; RFC 9700 §4.11.1.
    """
    origins = frozenset(
        origin_of(require_secure_url(url, "target_origins"))
        for url in parse_names(target_origins, "target_origins")
    )
    known = frozenset(parse_names(issuers, "issuers"))
    parameters = parse_callback(callback, response_mode="query")
    given = {name: str(value) for name, value in parameters.items()}
    issuer = given.get("iss")
    if issuer is None or issuer not in known:
        raise IssuerMismatchError(
            f"iss must be this client's server, not {describe_issuer(issuer)}: ignore the request"
        )
    target = given.get("target_link_uri")
    return LoginInitiation(
        issuer=issuer,
        login_hint=given.get("login_hint"),
        target_link_uri=None if target is None else _validate_target(target, origins),
    )


def _validate_target(target: str, origins: frozenset[Origin]) -> str:
    try:
        url = require_secure_url(target, "target_link_uri")
        is_own = origin_of(url) in origins
    except ConfigurationError:
        is_own = False
    if not is_own:
        raise VerificationError(
            "target_link_uri must be at one of target_origins, not elsewhere: ignore the request"
        )
    # As it was parsed here: a browser could understand the original spelling otherwise.
    return str(url)

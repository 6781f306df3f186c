"""A sign-in that somebody else proposes: a link at the server, or at a stranger's."""

from collections.abc import Iterable

import attrs

from aritma_auth.errors import ConfigurationError, IssuerMismatchError, VerificationError
from aritma_auth.protocol.callback import Callback, parse_callback
from aritma_auth.protocol.urls import Origin, origin_of, require_secure_url


@attrs.frozen(kw_only=True)
class LoginInitiation:
    """
    What somebody proposes; nothing of it is proven, so it only begins a usual sign-in.

    Attributes:
        issuer: At which server; it is this client's.

        login_hint: Who is likely to sign in, or None.

        target_link_uri: Where the person should be in the end, at a listed origin, or None.

    Spec: OpenID Connect Core 1.0 §4.
    """

    issuer: str
    login_hint: str | None = attrs.field(default=None, repr=False)
    target_link_uri: str | None = None


def parse_login_initiation(
    callback: Callback, *, issuers: Iterable[str], target_origins: Iterable[str] = ()
) -> LoginInitiation:
    """
    Read what came to your ``initiate_login_uri``; go on with an authorization request of your own.

    Args:
        callback: The URL, a posted form, or the decoded pairs of either.

        issuers: The client's issuer and its aliases (`Environment.issuers`).

        target_origins: URLs of your application: a person is led nowhere else.

    Raises:
        ConfigurationError: One of ``target_origins`` is not secure.

        IssuerMismatchError: It names another server, or none.

        VerificationError: It would lead the person elsewhere, or names a parameter twice.

    Spec: OpenID Connect Core 1.0 §4; RFC 9700 §4.11.1.
    """
    origins = frozenset(
        origin_of(require_secure_url(url, "a target's origin")) for url in target_origins
    )
    parameters = parse_callback(callback, response_mode="query")
    given = {name: str(value) for name, value in parameters.items()}
    issuer = given.get("iss")
    if issuer is None or issuer not in frozenset(issuers):
        raise IssuerMismatchError("the proposed sign-in is at another server")
    target = given.get("target_link_uri")
    return LoginInitiation(
        issuer=issuer,
        login_hint=given.get("login_hint"),
        target_link_uri=None if target is None else _own(target, origins),
    )


def _own(target: str, origins: frozenset[Origin]) -> str:
    try:
        url = require_secure_url(target, "target_link_uri")
        is_own = origin_of(url) in origins
    except ConfigurationError:
        is_own = False
    if not is_own:
        raise VerificationError("the proposed sign-in would lead elsewhere: do not follow it")
    # As it was understood here, whatever a browser would have made of its spelling.
    return str(url)

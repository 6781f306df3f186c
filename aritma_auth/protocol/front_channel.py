"""Signing out in a hidden frame: what the server's page asks an application for."""

from collections.abc import Iterable

from aritma_auth.errors import IssuerMismatchError, VerificationError
from aritma_auth.protocol.callback import Callback, read_callback
from aritma_auth.protocol.sealed import is_same_text


def check_logout_frame(callback: Callback, *, issuers: Iterable[str], session_id: str) -> None:
    """
    Check that a call of your ``frontchannel_logout_uri`` means this browser's session.

    The server must be registered to send both parameters, as IdentityServer does; without them
    any page could sign people out.

    Args:
        callback: The URL or the decoded parameters.

        issuers: The client's issuer and its aliases (`Environment.issuers`).

        session_id: ``sid`` of the ID token that this browser signed in with.

    Raises:
        IssuerMismatchError: It is another server's, or names none.

        VerificationError: It means another session, or none: keep this one.

    Spec: OpenID Connect Front-Channel Logout 1.0 §2.
    """
    given = read_callback(callback, response_mode="query")
    if given.get("iss") not in frozenset(issuers):
        raise IssuerMismatchError("the call to sign out is another server's")
    named = given.get("sid")
    if not isinstance(named, str) or not is_same_text(named, session_id):
        raise VerificationError("the call to sign out means another session")

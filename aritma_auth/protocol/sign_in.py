"""A sign-in that has passed every check."""

import attrs

from aritma_auth.errors import ConfigurationError, IdTokenError
from aritma_auth.protocol.inspection import read_unverified_claims
from aritma_auth.protocol.sealed import Members
from aritma_auth.protocol.tokens import Token


@attrs.frozen
class SignIn:
    """
    What a person's sign-in has brought.

    Attributes:
        token: The tokens, or None if only an ID token was asked for.

        claims: The claims of the verified ID token; empty if the scope had no ``openid``.

    Spec: OpenID Connect Core 1.0 §3.1.3.7.
    """

    token: Token | None
    claims: Members = attrs.field(factory=Members)

    @property
    def subject(self) -> str | None:
        """The person's identifier at this server (``sub``), or None without an ID token."""
        subject = self.claims.get("sub")
        return subject if isinstance(subject, str) else None


def check_same_sign_in(front: Members | None, back: Members) -> None:
    """
    Check that the ID tokens of both channels speak of the same sign-in.

    Args:
        front: Claims of the one that came through the browser, or None.

        back: Claims of the one that the token endpoint gave.

    Raises:
        IdTokenError: Issuer or subject differ.

    Spec: OpenID Connect Core 1.0 §3.3.3.6.
    """
    for claim in ("iss", "sub"):
        if front is not None and front.get(claim) != back.get(claim):
            raise IdTokenError(f"{claim} differs between the two ID tokens", claim=claim)


def check_refreshed_id_token(known: Token, renewed: Token) -> None:
    """
    Check that a renewal's ID token speaks of the same sign-in as the one before.

    The answer came from the token endpoint over TLS, which stands for the signature here.

    Args:
        known: The token that was renewed.

        renewed: What came.

    Raises:
        IdTokenError: Another issuer, person, client or moment of sign-in: do not use the tokens.

    Spec: OpenID Connect Core 1.0 §12.2.
    """
    if known.id_token is None or renewed.id_token is None:
        return
    before, after = read_unverified_claims(known.id_token), read_unverified_claims(renewed.id_token)
    if before is None or after is None:
        raise IdTokenError("the renewal's ID token is no JWT")
    for claim in ("iss", "sub", "aud"):
        if _as_set(before, claim) != _as_set(after, claim):
            raise IdTokenError(f"{claim} changed with the renewal: sign in again", claim=claim)
    for claim in ("azp", "auth_time", "nonce"):
        if after.get(claim) is not None and after.get(claim) != before.get(claim):
            raise IdTokenError(f"{claim} changed with the renewal: sign in again", claim=claim)


def _as_set(claims: Members, name: str) -> set[object]:
    value = claims.get(name)
    return (
        set(map(str, value))
        if isinstance(value, list)
        else {value if value is None else str(value)}
    )


def require_subject(token: Token, subject: str | None) -> str:
    """
    Give the person that UserInfo must be about.

    Args:
        token: Whose ID token says it, if ``subject`` does not.

        subject: ``sub`` of a verified ID token, or None.

    Raises:
        ConfigurationError: Nothing says who it must be.
    """
    if subject is None and token.id_token is not None:
        said = (read_unverified_claims(token.id_token) or Members()).get("sub")
        subject = said if isinstance(said, str) else None
    if not subject:
        raise ConfigurationError("say whose claims they must be: userinfo(token, subject=...)")
    return subject

"""A sign-in that has passed every check."""

import attrs

from aritma_auth.errors import ConfigurationError, IdTokenError
from aritma_auth.protocol.authorization_response import AuthorizationResponse
from aritma_auth.protocol.id_token import IdTokenExpectation
from aritma_auth.protocol.jwt import parse_unverified_claims
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.tokens import Token

_DAY = 86_400.0


@attrs.frozen
class SignIn:
    """
    What a person's sign-in has brought.

    Attributes:
        token: The tokens, or None if only an ID token was asked for.

        claims: The claims of the verified ID token; empty if the scope had no ``openid``.

        session_state: What `build_session_page` needs, or None if the server did not send it.

    Spec: OpenID Connect Core 1.0 §3.1.3.7; OpenID Connect Session Management 1.0 §2.
    """

    token: Token | None
    claims: Members = attrs.field(factory=Members)
    session_state: str | None = None

    @property
    def subject(self) -> str | None:
        """The person's identifier at this server (``sub``), or None without an ID token."""
        subject = self.claims.get("sub")
        return subject if isinstance(subject, str) else None

    def require_token(self) -> Token:
        """
        Give the tokens, which are there whenever a code was asked for.

        Raises:
            ConfigurationError: An ID token alone was asked for.
        """
        if self.token is None:
            raise ConfigurationError("the sign-in brought no token: ask for a code")
        return self.token

    def require_subject(self) -> str:
        """
        Give the person's identifier, which is there whenever ``openid`` was asked for.

        Raises:
            ConfigurationError: It was not.
        """
        if self.subject is None:
            raise ConfigurationError("the sign-in does not say whose it is: ask for openid")
        return self.subject


def expect_id_token(
    answer: AuthorizationResponse, *, now: float, token: Token | None = None
) -> IdTokenExpectation:
    """
    Say what the ID token of a sign-in must prove.

    Args:
        answer: What the browser brought back.

        now: POSIX seconds, by the clock that the request was made with.

        token: What the token endpoint gave; None means the ID token that came with the answer.

    Spec: OpenID Connect Core 1.0 §3.1.3.7, §3.2.2.11, §3.3.2.12; RFC 9207 §2.4.
    """
    request, code = answer.request, answer.code
    elapsed = now - request.created_at
    expected = IdTokenExpectation(
        issuers=request.issuers,
        client_id=request.client_id,
        nonce=None if request.nonce is None else request.nonce.text,
        # The server judges it when the person arrives; reading and consenting takes time too.
        max_age=None if request.max_age is None else request.max_age + elapsed,
        acr_values=request.acr_values if request.requires_acr else (),
        # A day more than the sign-in took, for clocks in the wrong zone.
        issued_within=elapsed + _DAY,
    )
    if token is not None:
        return attrs.evolve(expected, access_token=token.access_token)
    return attrs.evolve(
        expected,
        issuers=request.issuers if answer.issuer is None else frozenset({answer.issuer}),
        access_token=None if answer.token is None else answer.token.access_token,
        code=None if code is None else code.text,
        state=request.state.text,
        is_front_channel=True,
    )


def require_same_sign_in(front: Members | None, back: Members) -> None:
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


def validate_refreshed_id_token(known: Token, refreshed: Token) -> None:
    """
    Check that a refresh's ID token speaks of the same sign-in as the one before.

    The answer came from the token endpoint over TLS, which stands for the signature here.

    Args:
        known: The token that was refreshed.

        refreshed: What came.

    Raises:
        IdTokenError: Another issuer, person, client or moment of sign-in: do not use the tokens.

    Spec: OpenID Connect Core 1.0 §12.2.
    """
    if known.id_token is None or refreshed.id_token is None:
        return
    before, after = (
        parse_unverified_claims(known.id_token),
        parse_unverified_claims(refreshed.id_token),
    )
    if before is None or after is None:
        raise IdTokenError("the refresh's ID token is no JWT")
    for claim in ("iss", "sub", "aud"):
        if _as_set(before, claim) != _as_set(after, claim):
            raise IdTokenError(f"{claim} changed with the refresh: sign in again", claim=claim)
    for claim in ("azp", "auth_time", "nonce"):
        if after.get(claim) is not None and after.get(claim) != before.get(claim):
            raise IdTokenError(f"{claim} changed with the refresh: sign in again", claim=claim)


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
        said = (parse_unverified_claims(token.id_token) or Members()).get("sub")
        subject = said if isinstance(said, str) else None
    if not subject:
        raise ConfigurationError("say whose claims they must be: userinfo(token, subject=...)")
    return subject

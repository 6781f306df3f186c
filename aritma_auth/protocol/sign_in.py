"""A completed sign-in, and what its ID tokens must prove together."""

import attrs

from aritma_auth.errors import ConfigurationError, IdTokenError
from aritma_auth.protocol.authorization_response import AuthorizationResponse
from aritma_auth.protocol.id_token import IdTokenExpectation
from aritma_auth.protocol.jwt import parse_unverified_claims
from aritma_auth.protocol.redaction import Members, SecretText, as_optional_secret
from aritma_auth.protocol.tokens import Token
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments
from aritma_auth.runtime.values import Value

_DAY = 86_400.0


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class SignIn(Value):
    """
    What an end-user's sign-in has brought.

    Args:
        token: The tokens, or None if only an ID token was asked for.

        claims: The claims of the verified ID token; empty if the scope had no ``openid``.

        session_state: What `build_session_page` needs, or None if the server did not send it.

        id_token: The raw ID token, for `OAuthClient.end_session_url`, or None; never shown.

    Spec: OpenID Connect Core 1.0 §3.1.3.7; OpenID Connect Session Management 1.0 §2.
    """

    _token: Token | None = attrs.field(alias="token")
    claims: Members = attrs.field(factory=Members)
    session_state: str | None = None
    _id_token: SecretText | None = attrs.field(
        default=None, converter=as_optional_secret, alias="id_token"
    )

    @property
    def token(self) -> Token:
        """
        The tokens, which are there unless an ID token alone was asked for.

        Raises:
            ConfigurationError: It was: ``has_token`` tells.
        """
        if self._token is None:
            raise ConfigurationError("the sign-in must have a token, and has none: ask for a code")
        return self._token

    @property
    def has_token(self) -> bool:
        """Tokens came, as with every response type but ``id_token``."""
        return self._token is not None

    @property
    def subject(self) -> str:
        """
        The end-user's identifier at this server (``sub``), which is there if ``openid`` was asked.

        Raises:
            ConfigurationError: It was not: ``has_subject`` tells.
        """
        subject = self.claims.get("sub")
        if not isinstance(subject, str):
            raise ConfigurationError(
                "the sign-in must say whose it is, and does not: ask for openid"
            )
        return subject

    @property
    def has_subject(self) -> bool:
        """A verified ID token says whose sign-in it is."""
        return isinstance(self.claims.get("sub"), str)

    @property
    def id_token(self) -> str | None:
        """The raw ID token's text: the token's own, or the one that came through the browser."""
        if self._token is not None and self._token.id_token is not None:
            return self._token.id_token
        return None if self._id_token is None else self._id_token.text


def build_front_channel_sign_in(response: AuthorizationResponse, claims: Members | None) -> SignIn:
    """
    Build the sign-in of a response that needs no exchange, once its ID token is verified.

    Args:
        response: What the browser brought back.

        claims: Claims of its verified ID token, or None if it has none.

    Spec: OpenID Connect Core 1.0 §3.2.2.5.
    """
    token = response.token
    if token is not None and claims is not None:
        # Only now, so that an unverified ID token never stands beside an access token.
        token = attrs.evolve(token, id_token=response.id_token)
    return SignIn(token, claims or Members(), response.session_state, response.id_token)


def expect_id_token(
    response: AuthorizationResponse, *, now: float, token: Token | None = None
) -> IdTokenExpectation:
    """
    Compute what the ID token of a sign-in must prove.

    Args:
        response: What the browser brought back.

        now: POSIX seconds, by the clock that the request was made with.

        token: What the token endpoint gave; None means the ID token that the browser brought.

    Spec: OpenID Connect Core 1.0 §3.1.3.7, §3.2.2.11, §3.3.2.12; RFC 9207 §2.4.
    """
    request, code = response.request, response.code
    elapsed = now - request.created_at
    expected = IdTokenExpectation(
        issuers=request.issuers,
        client_id=request.client_id,
        nonce=None if request.nonce is None else request.nonce.text,
        # The server applies max_age when the end-user arrives; reading and consenting takes time.
        max_age=None if request.max_age is None else request.max_age + elapsed,
        acr_values=request.acr_values if request.requires_acr else (),
        expected_claims=request.expected_claims,
        # A day more than the sign-in took, for clocks in the wrong zone.
        issued_within=elapsed + _DAY,
    )
    if token is not None:
        return attrs.evolve(expected, access_token=token.access_token)
    return attrs.evolve(
        expected,
        issuer=response.issuer,
        # Beside a code a server may leave claims to the second ID token (Core 1.0 §3.3.3.6).
        expected_claims=request.expected_claims if code is None else Members(),
        access_token=None if response.token is None else response.token.access_token,
        code=None if code is None else code.text,
        state=request.state.text,
        is_front_channel=True,
    )


def require_same_sign_in(front: Members | None, back: Members) -> None:
    """
    Require the ID tokens of both channels to be about the same sign-in.

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
    Validate that a refresh's ID token is about the same sign-in as the one before.

    The response came from the token endpoint over TLS, which stands in for the signature here.

    Args:
        known: The token that was refreshed.

        refreshed: The new token.

    Raises:
        IdTokenError: Another issuer, end-user, client or time of sign-in: do not use the tokens.

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
            raise IdTokenError(f"{claim} must not change: sign in again", claim=claim)
    for claim in ("azp", "auth_time", "nonce"):
        if after.get(claim) is not None and after.get(claim) != before.get(claim):
            raise IdTokenError(f"{claim} must not change: sign in again", claim=claim)


def _as_set(claims: Members, name: str) -> set[object]:
    value = claims.get(name)
    return (
        set(map(str, value))
        if isinstance(value, list)
        else {value if value is None else str(value)}
    )


def require_subject(token: Token, subject: str | None) -> str:
    """
    Return the end-user that UserInfo must be about.

    Args:
        token: Its ID token names the end-user, if ``subject`` does not.

        subject: ``sub`` of a verified ID token, or None.

    Raises:
        ConfigurationError: Neither names one.
    """
    if subject is None and token.id_token is not None:
        claimed = (parse_unverified_claims(token.id_token) or Members()).get("sub")
        subject = claimed if isinstance(claimed, str) else None
    if not subject:
        raise ConfigurationError(
            "subject must be given, since the token has no ID token that names its end-user"
        )
    return subject

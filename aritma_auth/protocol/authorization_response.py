"""The answer that a browser brings back, and every check before it counts."""

import attrs

from aritma_auth.errors import (
    ConfigurationError,
    InvalidResponseError,
    IssuerMismatchError,
    StateMismatchError,
    VerificationError,
    oauth_error,
)
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.callback import Callback, hide_callback, parse_callback
from aritma_auth.protocol.jwt import parse_unverified_claims
from aritma_auth.protocol.redaction import Members, SecretText, as_optional_secret, is_same_text
from aritma_auth.protocol.single_use import SingleUse
from aritma_auth.protocol.token_endpoint import parse_token
from aritma_auth.protocol.tokens import Token

_CLOCK_STEP = 60
_MEMBERS = {"code": "code", "token": "access_token", "id_token": "id_token"}
_VALIDATED = object()


@attrs.frozen(init=False, eq=False)
class AuthorizationResponse:
    """
    A callback that has passed every check; only `validate_authorization_response` makes one.

    Attributes:
        request: The request that it answers.

        issuer: The server that it names itself to be from, or None if it does not.

        code: The code, for one exchange, or None.

        token: An access token that came through the browser: usable until it expires, and it
            cannot be refreshed. None in the code flow.

        id_token: An ID token that came through the browser, not yet checked, or None.

        session_state: What `build_session_page` needs, unread, or None.
    """

    request: AuthorizationRequest
    issuer: str | None
    code: SecretText | None
    token: Token | None
    id_token: SecretText | None
    session_state: str | None
    single_use: SingleUse = attrs.field(repr=False)

    def __init__(
        self,
        proof: object,
        *,
        request: AuthorizationRequest,
        issuer: str | None,
        code: str | None,
        token: Token | None,
        id_token: str | None,
        session_state: str | None,
    ) -> None:
        if proof is not _VALIDATED:
            raise ConfigurationError("an answer comes from validate_authorization_response")
        sealed_code, sealed_id_token = as_optional_secret(code), as_optional_secret(id_token)
        self.__attrs_init__(
            request, issuer, sealed_code, token, sealed_id_token, session_state, SingleUse()
        )


def validate_authorization_response(
    request: AuthorizationRequest, callback: Callback, *, now: float
) -> AuthorizationResponse:
    """
    Validate what the browser brought back.

    Args:
        request: What the person was sent away with; this call uses it up.

        callback: The callback's URL; for form_post its body; or the decoded pairs of either,
            such as ``request.query`` or the result of ``request.post()`` in aiohttp.

        now: POSIX seconds.

    Returns:
        The answer, good for one exchange.

    Raises:
        StateMismatchError: It belongs to another sign-in, comes too late or a second time.

        IssuerMismatchError: It comes from another server (mix-up).

        VerificationError: A parameter is missing, not usable or given twice.

        OAuthError: The server or the person said no.

    Spec: RFC 6749 §4.1.2, §4.2.2, §10.12; RFC 9207 §2.4; RFC 9700 §4.4, §4.7.
    """
    callback = hide_callback(callback)
    answer = parse_callback(callback, response_mode=request.response_mode)
    state = answer.get("state")
    if not isinstance(state, str) or not is_same_text(state, request.state.text):
        raise StateMismatchError("the callback belongs to another sign-in: start a new one")
    if not request.single_use.take():
        raise StateMismatchError("this sign-in was answered already: start a new one")
    if not request.created_at - _CLOCK_STEP <= now <= request.created_at + request.lifetime:
        raise StateMismatchError("the sign-in took too long: start a new one")
    wanted = request.response_type.split()
    issuer = _check_issuer(answer, request, has_id_token="id_token" in wanted)
    _raise_refusal(answer)
    missing = [_MEMBERS[name] for name in wanted if _MEMBERS[name] not in answer]
    if missing:
        raise VerificationError(f"the callback brought no {' and no '.join(missing)}")
    return AuthorizationResponse(
        _VALIDATED,
        request=request,
        issuer=issuer,
        code=_text(answer, "code") if "code" in wanted else None,
        token=_read_token(answer, now) if "token" in wanted else None,
        id_token=_text(answer, "id_token") if "id_token" in wanted else None,
        session_state=_text(answer, "session_state"),
    )


def _text(answer: Members, name: str) -> str | None:
    value = answer.get(name)
    return value if isinstance(value, str) else None


def _check_issuer(
    answer: Members, request: AuthorizationRequest, *, has_id_token: bool
) -> str | None:
    issuer = _text(answer, "iss")
    said = _issuer_of(_text(answer, "id_token")) if has_id_token else None
    if issuer is not None and said is not None and issuer != said:
        raise IssuerMismatchError("the callback and its ID token name different servers")
    # Servers such as oidc-provider leave it to an ID token beside it to name them.
    issuer = issuer or said
    if issuer is None and request.requires_iss:
        raise IssuerMismatchError("the callback does not say which server it is from")
    if issuer is not None and issuer not in request.issuers:
        raise IssuerMismatchError("the callback is from another authorization server")
    return issuer


def _issuer_of(id_token: str | None) -> str | None:
    # Not verified yet: a false one fails here or, later, its signature.
    claims = None if id_token is None else parse_unverified_claims(id_token)
    return None if claims is None else _text(claims, "iss")


def _raise_refusal(answer: Members) -> None:
    error = _text(answer, "error")
    if error is not None:
        description, uri = _text(answer, "error_description"), _text(answer, "error_uri")
        raise oauth_error(error, description, uri=uri)


def _read_token(answer: Members, now: float) -> Token:
    try:
        token = parse_token(answer, status=200, sent_at=now)
    except InvalidResponseError as error:
        problems = error.problems
    else:
        # A browser brings no refresh token, and the rest belongs to the answer (RFC 6749 §4.2.2).
        return attrs.evolve(token, refresh_token=None, id_token=None, extra=Members())
    raise VerificationError(f"the callback's token is unusable: {'; '.join(problems)}")

"""
The authorization response, and every check before it is believed.

The checks run in an order that tells nothing to a forger and takes nothing from the end-user: the
state first, since without it anyone could have sent the callback; then the single use and the time;
then the issuer, before the code or an error is believed of it; the code last.
"""

from typing import TYPE_CHECKING

import attrs

from aritma_auth.errors import (
    ConfigurationError,
    InvalidResponseError,
    IssuerMismatchError,
    StateMismatchError,
    VerificationError,
    oauth_error,
    wrong_kind,
)
from aritma_auth.protocol.authorization_request import ALREADY_USED, AuthorizationRequest
from aritma_auth.protocol.callback import Callback, hide_callback, parse_callback
from aritma_auth.protocol.echoes import hide_echoes
from aritma_auth.protocol.jwt import parse_unverified_claims
from aritma_auth.protocol.redaction import (
    HiddenStr,
    Members,
    SecretText,
    as_optional_secret,
    is_same_text,
)
from aritma_auth.protocol.single_use import SingleUse
from aritma_auth.protocol.tenants import is_possible_issuer
from aritma_auth.protocol.token_endpoint import parse_token
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.urls import describe_issuer
from aritma_auth.runtime.hidden_arguments import hides_arguments

if TYPE_CHECKING:
    from aritma_auth.protocol.jarm import VerifiedResponse

_CLOCK_STEP = 60
_MEMBERS = {"code": "code", "token": "access_token", "id_token": "id_token"}
_VALIDATED = object()


@attrs.frozen(init=False, eq=False)
class AuthorizationResponse:
    """
    A callback that has passed every check; only `validate_authorization_response` creates one.

    Attributes:
        request: The request that it responds to.

        issuer: The server that it names as its sender, or None if it names none.

        code: The code, for one exchange, or None.

        token: An access token that came through the browser: usable until it expires, and it
            cannot be refreshed. None in the code flow.

        id_token: An ID token that came through the browser, not yet verified, or None.

        session_state: What `build_session_page` needs, unread, or None.
    """

    request: AuthorizationRequest
    issuer: str | None
    code: SecretText | None
    token: Token | None
    id_token: SecretText | None
    session_state: str | None
    single_use: SingleUse = attrs.field(repr=False)

    @hides_arguments
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
            raise ConfigurationError(
                "an AuthorizationResponse must come from validate_authorization_response"
            )
        self.__attrs_init__(
            request,
            issuer,
            as_optional_secret(code),
            token,
            as_optional_secret(id_token),
            session_state,
            SingleUse(),
        )


def validate_authorization_response(
    request: AuthorizationRequest, callback: "Callback | VerifiedResponse", *, now: float
) -> AuthorizationResponse:
    """
    Validate what the browser brought back.

    Args:
        request: The request that the browser was redirected with; a response with its state uses
            it up.

        callback: The callback's URL; for form_post its body; or the decoded pairs of either,
            such as ``request.query`` or the result of ``request.post()`` in aiohttp. Where the
            request demands a signed response: what `verify_response_jwt` gave.

        now: POSIX seconds.

    Returns:
        The response, good for one exchange.

    Raises:
        ConfigurationError: ``request`` or ``callback`` is of the wrong kind, or a signed response
            is not verified.

        StateMismatchError: It belongs to another sign-in, comes too late or a second time.

        IssuerMismatchError: It comes from another server (mix-up).

        VerificationError: A parameter is missing, not usable or given twice.

        OAuthError: The server or the end-user refused.

    Spec: RFC 6749 §4.1.2, §4.2.2, §10.12; RFC 9207 §2.4; RFC 9700 §4.4, §4.7.
    """
    is_verified = not isinstance(callback, str | bytes) and _is_verified(callback)
    callback = hide_callback(callback)
    if not isinstance(request, AuthorizationRequest):
        raise wrong_kind("request", "the AuthorizationRequest of this sign-in", request)
    if request.expects_signed_response and not is_verified:
        raise ConfigurationError(
            f"callback must be verified first, since response_mode {request.response_mode} demands "
            "a signed response: give it to OAuthClient.complete_sign_in"
        )
    members = parse_callback(callback, response_mode=request.response_place)
    _require_state(members, request)
    if not request.single_use.take():
        raise StateMismatchError(ALREADY_USED)
    if not request.created_at - _CLOCK_STEP <= now <= request.created_at + request.lifetime:
        raise StateMismatchError(
            f"the sign-in took too long: the response must arrive within {request.lifetime:g} s; "
            "begin a new sign-in"
        )
    wanted = request.response_type.split()
    issuer = _validate_issuer(members, request, has_id_token="id_token" in wanted)
    _raise_refusal(members, request)
    missing = [_MEMBERS[name] for name in wanted if _MEMBERS[name] not in members]
    if missing:
        raise VerificationError(
            f"the callback brought no {' and no '.join(missing)}, which response_type asked for: "
            "begin a new sign-in"
        )
    return AuthorizationResponse(
        _VALIDATED,
        request=request,
        issuer=issuer,
        code=_text(members, "code") if "code" in wanted else None,
        token=_parse_token(members, now) if "token" in wanted else None,
        id_token=_text(members, "id_token") if "id_token" in wanted else None,
        session_state=_text(members, "session_state"),
    )


def _is_verified(callback: object) -> bool:
    # Imported here: few servers sign their responses.
    from aritma_auth.protocol.jarm import VerifiedResponse

    return isinstance(callback, VerifiedResponse)


def _text(members: Members, name: str) -> HiddenStr | None:
    value = members.get(name)
    return HiddenStr(value) if isinstance(value, str) else None


def _require_state(members: Members, request: AuthorizationRequest) -> None:
    state = _text(members, "state")
    if state is None:
        advice = (
            "; a fragment never reaches a server: ask for response_mode form_post"
            if request.response_place == "fragment"
            else ""
        )
        raise StateMismatchError(
            f"the callback has no state, so it belongs to another sign-in or to none{advice}"
        )
    if not is_same_text(state, request.state.text):
        raise StateMismatchError(
            "the callback's state is not that of this sign-in: it belongs to another sign-in"
        )


def _validate_issuer(
    members: Members, request: AuthorizationRequest, *, has_id_token: bool
) -> str | None:
    named = _text(members, "iss")
    claimed = _issuer_of(_text(members, "id_token")) if has_id_token else None
    if named is not None and claimed is not None and named != claimed:
        raise IssuerMismatchError(
            "the callback and its ID token name different servers: "
            f"{_describe(named, request)} and {_describe(claimed, request)}"
        )
    # Servers such as oidc-provider send no iss beside an ID token, which names them.
    issuer = named or claimed
    expected = ", ".join(sorted(request.issuers))
    if issuer is None:
        if request.requires_iss:
            # Some servers announce iss and leave it out of errors.
            what = "error" if "error" in members else "callback"
            raise IssuerMismatchError(
                f"the {what} must name its issuer (iss), as {expected} announces, but names none: "
                "begin a new sign-in"
            )
        return None
    if not is_possible_issuer(issuer, request.issuers):
        raise IssuerMismatchError(
            f"the callback must come from {expected}, but its iss is {_describe(issuer, request)}"
        )
    return str(issuer)


def _describe(issuer: str, request: AuthorizationRequest) -> str:
    return describe_issuer(hide_echoes(issuer, _secrets_of(request)))


def _issuer_of(id_token: str | None) -> str | None:
    # Not verified yet: a forged one fails here or, later, at its signature.
    claims = None if id_token is None else parse_unverified_claims(id_token)
    return None if claims is None else _text(claims, "iss")


def _secrets_of(request: AuthorizationRequest) -> list[str]:
    return [
        request.state.text,
        *(secret.text for secret in (request.nonce, request.code_verifier) if secret),
        *(value for _, value in request.extra),
    ]


def _raise_refusal(members: Members, request: AuthorizationRequest) -> None:
    error = _text(members, "error")
    if error is None:
        return
    sent = _secrets_of(request)
    description, uri = _text(members, "error_description"), _text(members, "error_uri")
    raise oauth_error(
        hide_echoes(error, sent),
        hide_echoes(description, sent) if description else None,
        uri=hide_echoes(uri, sent) if uri else None,
    )


def _parse_token(members: Members, now: float) -> Token:
    try:
        token = parse_token(members, status=200, sent_at=now)
    except InvalidResponseError as error:
        problems = error.problems
    else:
        # A browser brings no refresh token, and the rest belongs to the response (RFC 6749 §4.2.2).
        return attrs.evolve(token, refresh_token=None, id_token=None, extra=Members())
    raise VerificationError(f"the callback's token is unusable: {'; '.join(problems)}")

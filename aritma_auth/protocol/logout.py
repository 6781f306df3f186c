"""
Signing out: the redirect to the server and back, and the logouts that the server announces.

Three specifications meet here. RP-Initiated Logout redirects the browser to the server's page;
Front-Channel Logout comes through the browser, as a frame that the server's page loads;
Back-Channel Logout comes from the server itself, as a signed token.
"""

from collections.abc import Iterable, Mapping

import attrs

from aritma_auth.errors import (
    IssuerMismatchError,
    StateMismatchError,
    VerificationError,
    wrong_kind,
)
from aritma_auth.protocol.callback import Callback, hide_callback, parse_callback
from aritma_auth.protocol.http_messages import encode_form
from aritma_auth.protocol.jwt import JsonWebKey, find_seconds, is_audience, verify_signature
from aritma_auth.protocol.parameters import parse_extra, parse_names
from aritma_auth.protocol.redaction import HiddenStr, Members, is_same_text
from aritma_auth.protocol.tenants import TENANT_CLAIM, find_tenant_problem, is_issuer_of
from aritma_auth.protocol.urls import add_query, describe_issuer, require_redirect_uri
from aritma_auth.runtime.hidden_arguments import hides_arguments

_EVENT = "http://schemas.openid.net/event/backchannel-logout"
# "JWT" is what IdentityServer wrote before 6.3.
_TYPES = frozenset({"logout+jwt", "application/logout+jwt", "jwt"})


def build_end_session_url(
    endpoint: str,
    *,
    id_token_hint: str | None = None,
    client_id: str | None = None,
    post_logout_redirect_uri: str | None = None,
    state: str | None = None,
    ui_locales: str | None = None,
    extra: Mapping[str, str] | None = None,
) -> str:
    """
    Build the URL that signs the end-user out at the server.

    Args:
        endpoint: The end-session endpoint.

        id_token_hint: The ID token of the session that ends; an expired one will do.

        client_id: The client; some servers redirect back only with it beside the hint.

        post_logout_redirect_uri: Where the browser comes back to; registered at the server.

        state: Comes back unchanged; compare it with `validate_logout_callback`.

        ui_locales: Languages of the server's page, separated by spaces.

        extra: Further parameters.

    Raises:
        ConfigurationError: ``post_logout_redirect_uri`` is not secure, or ``extra`` replaces a
            parameter that has an argument of its own.

    Spec: OpenID Connect RP-Initiated Logout 1.0 §2.
    """
    id_token_hint = None if id_token_hint is None else HiddenStr(id_token_hint)
    if post_logout_redirect_uri is not None:
        require_redirect_uri(post_logout_redirect_uri, "post_logout_redirect_uri")
    named = (
        ("id_token_hint", id_token_hint),
        ("client_id", client_id),
        ("post_logout_redirect_uri", post_logout_redirect_uri),
        ("state", state),
        ("ui_locales", ui_locales),
    )
    further = parse_extra({} if extra is None else extra, reserved=(name for name, _ in named))
    given = ((name, value) for name, value in named if value is not None)
    # The hint is an ID token, which no log should hold.
    return HiddenStr(add_query(endpoint, encode_form((*given, *further)).decode()))


@hides_arguments
def validate_logout_callback(callback: Callback, *, state: str | None) -> None:
    """
    Validate the redirect back from the server's sign-out page.

    Args:
        callback: The URL or the decoded parameters.

        state: What `OAuthClient.end_session_url` was given, as this browser's cookie keeps it. A
            browser without it has begun no sign-out: nothing passes.

    Raises:
        ConfigurationError: ``state`` or ``callback`` is of the wrong kind.

        StateMismatchError: The state is missing or differs, here or there.

        VerificationError: A parameter appears twice.

    Spec: OpenID Connect RP-Initiated Logout 1.0 §3.
    """
    callback = hide_callback(callback)
    if state is not None and not isinstance(state, str):
        raise wrong_kind("state", "the state that was sent, or None", state)
    given = parse_callback(callback, response_mode="query").get("state")
    if not state or not isinstance(given, str) or not is_same_text(given, state):
        raise StateMismatchError(
            "state must be that of the sign-out which this browser began: ignore this callback"
        )


@attrs.frozen(kw_only=True)
class LogoutToken:
    """
    The server's announcement that a session has ended.

    Attributes:
        subject: The end-user whose sessions end, or None.

        session_id: The session that ends (``sid``), or None for all of the end-user's.

        token_id: ``jti``: remember it until ``expires_at`` and refuse it a second time.

        expires_at: POSIX seconds.

    Spec: OpenID Connect Back-Channel Logout 1.0 §2.4.
    """

    subject: str | None
    session_id: str | None
    token_id: str
    expires_at: float


@attrs.frozen(kw_only=True)
class LogoutExpectation:
    """
    What a logout token must prove.

    Attributes:
        issuers: The issuer and its aliases.

        client_id: The client that it must be for.

        algorithms: Signature algorithms accepted.

        trusted_audiences: Further audiences that the token may name.

        tenants: One of them must be the ``tid``; none means any.

        leeway: Seconds that the clocks may differ.
    """

    issuers: frozenset[str]
    client_id: str
    algorithms: frozenset[str]
    trusted_audiences: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    leeway: float = 30.0


def verify_logout_token(
    logout_token: str, keys: Iterable[JsonWebKey], expected: LogoutExpectation, *, now: float
) -> LogoutToken:
    """
    Verify a logout token; respond 200 to the server if this returns and 400 if it raises.

    Args:
        logout_token: The form's ``logout_token``.

        keys: The issuer's JSON Web Keys.

        expected: What it must prove.

        now: POSIX seconds.

    Raises:
        VerificationError: A check failed: no session may end by it.

    Spec: OpenID Connect Back-Channel Logout 1.0 §2.4, §2.6.
    """
    signed = verify_signature(HiddenStr(logout_token), keys, algorithms=expected.algorithms)
    claims = signed.claims
    problem = (
        _find_problem(claims, expected, now)
        if signed.has_type(_TYPES)
        else "typ must be logout+jwt"
    )
    if problem is not None:
        raise VerificationError(f"the logout token is refused: {problem}")
    return LogoutToken(
        subject=_text(claims, "sub"),
        session_id=_text(claims, "sid"),
        token_id=str(claims["jti"]),
        expires_at=find_seconds(claims, "exp") or 0.0,
    )


def _find_problem(claims: Members, expected: LogoutExpectation, now: float) -> str | None:
    issuer, events, tenant = claims.get("iss"), claims.get("events"), claims.get(TENANT_CLAIM)
    expires_at, issued_at = find_seconds(claims, "exp"), find_seconds(claims, "iat")
    checks = (
        (is_issuer_of(issuer, expected.issuers, tenant), "iss is another server"),
        (_is_of_tenant(claims, expected.tenants), "tid is another tenant's"),
        (
            is_audience(claims.get("aud"), expected.client_id, expected.trusted_audiences),
            f"aud must be {expected.client_id!r}, beside none that it does not trust",
        ),
        (issued_at is not None, "iat is missing"),
        (expires_at is not None, "exp is missing"),
        (expires_at is None or expires_at + expected.leeway > now, "it has expired"),
        (issued_at is None or issued_at - expected.leeway <= now, "iat is in the future"),
        (
            isinstance(events, dict) and isinstance(events.get(_EVENT), dict),
            "events lacks the logout",
        ),
        ("nonce" not in claims, "it has a nonce, as only ID tokens do"),
        (_text(claims, "jti") is not None, "jti is missing"),
        (
            _text(claims, "sub") is not None or _text(claims, "sid") is not None,
            "neither sub nor sid says whose session ends",
        ),
    )
    return next((text for holds, text in checks if not holds), None)


def _is_of_tenant(claims: Members, tenants: frozenset[str]) -> bool:
    # Many servers leave tid out of logout tokens. A subject is unique in its tenant only; a
    # session's identifier is unique at the server.
    if TENANT_CLAIM not in claims and _text(claims, "sid") is not None:
        return True
    return find_tenant_problem(claims, tenants) is None


def _text(claims: Members, name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) and value else None


@hides_arguments
def validate_front_channel_logout(
    callback: Callback, *, issuers: Iterable[str], session_id: str
) -> None:
    """
    Validate a request to your ``frontchannel_logout_uri``: it must mean this browser's session.

    The server must be registered to send both parameters, as IdentityServer does; without them
    any page could sign end-users out.

    Args:
        callback: The URL or the decoded parameters.

        issuers: The client's issuer and its aliases (`Environment.issuers`).

        session_id: ``sid`` of the ID token that this browser signed in with.

    Raises:
        ConfigurationError: An argument is of the wrong kind.

        IssuerMismatchError: It is another server's, or names none.

        VerificationError: It means another session, or none: keep this one.

    Spec: OpenID Connect Front-Channel Logout 1.0 §2.
    """
    known = frozenset(parse_names(issuers, "issuers"))
    if not isinstance(session_id, str):
        raise wrong_kind("session_id", "the session's sid", session_id)
    given = parse_callback(callback, response_mode="query")
    issuer = given.get("iss")
    if issuer not in known:
        raise IssuerMismatchError(
            f"iss must be this client's server, not {describe_issuer(issuer)}: sign nobody out"
        )
    named = given.get("sid")
    if not isinstance(named, str) or not is_same_text(named, session_id):
        raise VerificationError("sid names another session than this browser's: keep the session")

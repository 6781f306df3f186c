"""Signing out: to the server's page and back, and the logouts that the server announces."""

from collections.abc import Iterable, Mapping

import attrs

from aritma_auth.errors import IssuerMismatchError, StateMismatchError, VerificationError
from aritma_auth.protocol.callback import Callback, hide_callback, parse_callback
from aritma_auth.protocol.http_messages import encode_form, parse_extra
from aritma_auth.protocol.jwt import JsonWebKey, verify_signature
from aritma_auth.protocol.redaction import HiddenStr, Members, is_same_text
from aritma_auth.protocol.urls import add_query, require_redirect_uri

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
    Build the URL that signs a person out at the server.

    Args:
        endpoint: The end-session endpoint.

        id_token_hint: The ID token of the session that ends; an expired one will do.

        client_id: The client, where no ID token is at hand.

        post_logout_redirect_uri: Where the person comes back to; registered at the server.

        state: Comes back unchanged; compare it with `validate_logout_callback`.

        ui_locales: Languages of the server's page, separated by spaces.

        extra: Further parameters.

    Raises:
        ConfigurationError: ``post_logout_redirect_uri`` is not secure, or ``extra`` replaces what
            has an argument of its own.

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
    others = parse_extra(extra or {}, taken=(name for name, _ in named))
    given = ((name, value) for name, value in named if value is not None)
    # The hint is an ID token, which no log should hold.
    return HiddenStr(add_query(endpoint, encode_form((*given, *others)).decode()))


def validate_logout_callback(callback: Callback, *, state: str | None) -> None:
    """
    Check the way back from the server's sign-out page.

    Args:
        callback: The URL or the decoded parameters.

        state: What `OAuthClient.end_session_url` was given, as this browser's cookie keeps it. Of
            a browser that has none, nobody is on the way back: nothing passes.

    Raises:
        StateMismatchError: The state is missing or another, here or there.

        VerificationError: A parameter appears twice.

    Spec: OpenID Connect RP-Initiated Logout 1.0 §3.
    """
    callback = hide_callback(callback)
    given = parse_callback(callback, response_mode="query").get("state")
    if not state or not isinstance(given, str) or not is_same_text(given, state):
        raise StateMismatchError("the way back from signing out belongs to something else")


@attrs.frozen(kw_only=True)
class LogoutToken:
    """
    The server's announcement that a session has ended.

    Attributes:
        subject: Whose sessions end, or None.

        session_id: Which session ends (``sid``), or None for all of the person's.

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

        client_id: Whom it must be for.

        algorithms: Signature algorithms accepted.

        leeway: Seconds that the clocks may differ.
    """

    issuers: frozenset[str]
    client_id: str
    algorithms: frozenset[str]
    leeway: float = 30.0


def verify_logout_token(
    logout_token: str, keys: Iterable[JsonWebKey], expected: LogoutExpectation, *, now: float
) -> LogoutToken:
    """
    Check a logout token; answer the server 200 if this returns and 400 if it raises.

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
    typ = signed.header.get("typ", "JWT")
    problem = (
        "typ is no logout token's"
        if not isinstance(typ, str) or typ.lower() not in _TYPES
        else _problem(claims, expected, now)
    )
    if problem is not None:
        raise VerificationError(f"the logout token is refused: {problem}")
    return LogoutToken(
        subject=_text(claims, "sub"),
        session_id=_text(claims, "sid"),
        token_id=str(claims["jti"]),
        expires_at=_seconds(claims, "exp") or 0.0,
    )


def _problem(claims: Members, expected: LogoutExpectation, now: float) -> str | None:
    issuer, audience, events = claims.get("iss"), claims.get("aud"), claims.get("events")
    audiences = audience if isinstance(audience, list) else [audience]
    expires_at, issued_at = _seconds(claims, "exp"), _seconds(claims, "iat")
    checks = (
        (isinstance(issuer, str) and issuer in expected.issuers, "iss is another server"),
        # As in an ID token: a further audience would be a stranger.
        (audiences == [expected.client_id], "aud is not this client, and this client alone"),
        (issued_at is not None, "iat is missing"),
        (expires_at is not None, "exp is missing"),
        (expires_at is None or expires_at + expected.leeway > now, "it has expired"),
        (issued_at is None or issued_at - expected.leeway <= now, "iat lies in the future"),
        (isinstance(events, dict) and isinstance(events.get(_EVENT), dict), "events lacks logout"),
        ("nonce" not in claims, "it has a nonce, as only ID tokens do"),
        (_text(claims, "jti") is not None, "jti is missing"),
        (
            _text(claims, "sub") is not None or _text(claims, "sid") is not None,
            "neither sub nor sid says whose session ends",
        ),
    )
    return next((text for holds, text in checks if not holds), None)


def _text(claims: Members, name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) and value else None


def _seconds(claims: Members, name: str) -> float | None:
    value = claims.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e15 else None  # type: ignore[arg-type]


def validate_front_channel_logout(
    callback: Callback, *, issuers: Iterable[str], session_id: str
) -> None:
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
    given = parse_callback(callback, response_mode="query")
    if given.get("iss") not in frozenset(issuers):
        raise IssuerMismatchError("the call to sign out is another server's")
    named = given.get("sid")
    if not isinstance(named, str) or not is_same_text(named, session_id):
        raise VerificationError("the call to sign out means another session")

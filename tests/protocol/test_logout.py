"""Signing out: the URL, the redirect back, and the logouts that the server announces."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aritma_auth.errors import (
    ConfigurationError,
    IssuerMismatchError,
    StateMismatchError,
    VerificationError,
)
from aritma_auth.protocol.logout import (
    LogoutExpectation,
    LogoutToken,
    build_end_session_url,
    validate_front_channel_logout,
    validate_logout_callback,
    verify_logout_token,
)
from support.signing import OTHER_RSA, jwk, sign

NOW = 1_700_000_000.0
ISSUER, ALIAS = "https://id.aritma.io", "https://id.zdata.no"
END = f"{ISSUER}/connect/endsession"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
CLAIMS = {
    "iss": ISSUER,
    "aud": "me",
    "iat": NOW,
    "exp": NOW + 300,
    "jti": "j1",
    "events": {EVENT: {}},
    "sub": "user-alice",
    "sid": "s1",
}
EXPECTED = LogoutExpectation(
    issuers=frozenset({ISSUER, ALIAS}), client_id="me", algorithms=frozenset({"RS256"})
)


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        ({}, END),
        ({"client_id": "me"}, f"{END}?client_id=me"),
        (
            {
                "id_token_hint": "e.y.J",
                "post_logout_redirect_uri": "https://me.example/bye?x=1",
                "state": "s t",
                "ui_locales": "nb en",
                "extra": {"logout_hint": "ola"},
            },
            f"{END}?id_token_hint=e.y.J&post_logout_redirect_uri=https%3A%2F%2Fme.example%2Fbye%3Fx%3D1"
            "&state=s+t&ui_locales=nb+en&logout_hint=ola",
        ),
        (
            {"post_logout_redirect_uri": "no.example.app:/bye"},
            f"{END}?post_logout_redirect_uri=no.example.app%3A%2Fbye",
        ),
    ],
)
def test_the_browser_is_sent_to_this_url(arguments, url):
    """The URL is this one, byte for byte, and what is not given is not sent."""
    assert build_end_session_url(END, **arguments) == url


def test_the_endpoints_own_query_is_kept():
    """A query of the endpoint's own stays in front."""
    assert build_end_session_url(f"{END}?p=x", state="s") == f"{END}?p=x&state=s"
    assert build_end_session_url(f"{END}?p=x") == f"{END}?p=x"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"post_logout_redirect_uri": "http://me.example/bye"}, "post_logout_redirect_uri"),
        ({"post_logout_redirect_uri": "https://me.example/bye#x"}, "fragment"),
        ({"post_logout_redirect_uri": ""}, "absolute"),
        ({"extra": {"state": "mine"}}, "extra must not replace state"),
        ({"extra": {"id_token_hint": "x"}}, "id_token_hint"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, reason):
    """An argument that cannot be used is refused by its name."""
    with pytest.raises(ConfigurationError, match=reason):
        build_end_session_url(END, **arguments)


def test_the_hint_shows_nowhere(canary):
    """The hint shows neither in the URL's repr nor in an error's traceback."""
    url = build_end_session_url(END, id_token_hint=canary.text)
    assert canary.text in url
    assert canary.text not in repr(url)
    with pytest.raises(ConfigurationError) as caught:
        build_end_session_url(END, id_token_hint=canary.text, post_logout_redirect_uri="x")

    canary.assert_hidden(caught.value)


@pytest.mark.parametrize(
    ("callback", "state"),
    [
        ("https://me.example/bye?state=s1", "s1"),
        ({"state": "s1", "other": "x"}, "s1"),
    ],
)
def test_the_way_back_from_signing_out_is_known(callback, state):
    """A callback with the state that was sent is accepted."""
    validate_logout_callback(callback, state=state)


@pytest.mark.parametrize(
    ("callback", "state"),
    [
        ("https://me.example/bye", "s1"),
        ("state=", "s1"),
        ("state=s2", "s1"),
        ("state=s1x", "s1"),
        ("state=å", "s1"),
        ("state=s1", None),
        ("state=s1", ""),
        ("https://me.example/bye", None),
        ("https://me.example/bye", ""),
        ("", None),
        ("state=", None),
        ("state=", ""),
    ],
)
def test_another_way_back_is_noticed(callback, state):
    """
    A state that is missing, differs or was never sent is refused, and so is a browser without a
    cookie.
    """
    with pytest.raises(StateMismatchError):
        validate_logout_callback(callback, state=state)


def test_a_repeated_state_is_hostile():
    """A repeated state is refused, as in every callback."""
    with pytest.raises(VerificationError, match="twice"):
        validate_logout_callback("state=a&state=a", state="a")


def check(claims=None, drop=(), keys=None, now=NOW, tenants=frozenset(), **header):
    payload = {k: v for k, v in (CLAIMS | (claims or {})).items() if k not in drop}
    token = sign(payload, **({"typ": "logout+jwt"} | header))
    expected = attrs.evolve(EXPECTED, tenants=tenants)
    return verify_logout_token(token, keys or [jwk()], expected, now=now)


@pytest.mark.parametrize("typ", ["logout+jwt", "Logout+JWT", "application/logout+jwt", "JWT", None])
def test_a_logout_token_ends_a_session(typ):
    """A logout token is accepted, also with the type that IdentityServer wrote before 6.3."""
    assert check(typ=typ) == LogoutToken(
        subject="user-alice", session_id="s1", token_id="j1", expires_at=NOW + 300
    )


@pytest.mark.parametrize(
    ("claims", "drop"),
    [
        ({"aud": ["me"]}, []),
        ({"iss": ALIAS}, []),
        ({}, ["sid"]),
        ({}, ["sub"]),
        ({"events": {EVENT: {"reason": "x"}, "other": {}}}, []),
        ({"exp": NOW - 29}, []),
        ({"iat": NOW + 29.5}, []),
        ({"reason": "x", "unknown": [1]}, []),
    ],
)
def test_these_are_good_too(claims, drop):
    """What the specification leaves open is accepted."""
    assert check(claims, drop).token_id == "j1"


@pytest.mark.parametrize(
    ("claims", "drop", "reason"),
    [
        ({"iss": "https://evil.example"}, [], "iss"),
        ({"iss": [ISSUER]}, [], "iss"),
        ({"iss": {}}, [], "iss"),
        ({}, ["iss"], "iss"),
        ({"aud": "you"}, [], "aud"),
        ({"aud": ["me", "you"]}, [], "aud"),
        ({"aud": []}, [], "aud"),
        ({}, ["aud"], "aud"),
        ({}, ["iat"], "iat is missing"),
        ({"iat": "now"}, [], "iat is missing"),
        ({"iat": NOW + 31}, [], "future"),
        ({}, ["exp"], "exp is missing"),
        ({"exp": True}, [], "exp is missing"),
        ({"exp": 1e300}, [], "exp is missing"),
        ({"exp": NOW - 30}, [], "expired"),
        ({}, ["events"], "events"),
        ({"events": {}}, [], "events"),
        ({"events": [EVENT]}, [], "events"),
        ({"events": {EVENT: True}}, [], "events"),
        ({"events": {"http://schemas.openid.net/event/other": {}}}, [], "events"),
        ({"nonce": "n"}, [], "nonce"),
        ({"nonce": None}, [], "nonce"),
        ({}, ["jti"], "jti"),
        ({"jti": ""}, [], "jti"),
        ({"jti": 5}, [], "jti"),
        ({}, ["sub", "sid"], "neither"),
        ({"sub": "", "sid": 5}, [], "neither"),
    ],
)
def test_each_check_refuses(claims, drop, reason):
    """A token that fails a check ends no session: the application responds 400."""
    with pytest.raises(VerificationError, match=reason):
        check(claims, drop)


@pytest.mark.parametrize("typ", ["at+jwt", "id_token", 5, ["logout+jwt"], "secevent+jwt"])
def test_another_kind_of_token_ends_nothing(typ):
    """A token of another type is refused (RFC 8725 §3.11)."""
    with pytest.raises(VerificationError, match=r"typ|no key"):
        check(typ=typ)


def test_a_logout_token_is_signed_by_the_issuer():
    """A logout token must be signed by the issuer with an accepted algorithm."""
    with pytest.raises(VerificationError, match="no key"):
        check(keys=[jwk(OTHER_RSA)])
    with pytest.raises(VerificationError, match="not accepted"):
        verify_logout_token(sign(CLAIMS, alg="PS256"), [jwk(drop=["alg"])], EXPECTED, now=NOW)


@given(st.text())
def test_any_text_is_refused_with_a_typed_error(text):
    """Whatever is posted to the public address, only our error is raised."""
    with pytest.raises(VerificationError):
        verify_logout_token(text, [jwk()], EXPECTED, now=NOW)


@pytest.mark.parametrize(
    ("audience", "is_good"),
    [
        (["me", "ledger"], True),
        ("me", True),
        (["ledger"], False),
        (["me", "another"], False),
        (["me", 5], False),
    ],
)
def test_a_further_audience_of_a_logout_token_must_be_trusted(audience, is_good):
    """A logout token may name the audiences that an ID token may name, and no other."""
    expected = attrs.evolve(EXPECTED, trusted_audiences=frozenset({"ledger"}))
    token = sign(CLAIMS | {"aud": audience}, typ="logout+jwt")
    if is_good:
        assert verify_logout_token(token, [jwk()], expected, now=NOW).token_id == "j1"
    else:
        with pytest.raises(VerificationError, match="aud"):
            verify_logout_token(token, [jwk()], expected, now=NOW)
    if isinstance(audience, list):
        with pytest.raises(VerificationError, match="aud"):
            verify_logout_token(token, [jwk()], EXPECTED, now=NOW)


@pytest.mark.parametrize(
    "callback",
    [
        f"https://me.example/out?iss={ISSUER}&sid=s1",
        f"?iss={ALIAS}&sid=s1&further=1",
        {"iss": ISSUER, "sid": "s1"},
    ],
)
def test_a_front_channel_logout_means_this_session(callback):
    """A request with the issuer or its alias and this browser's session is accepted."""
    validate_front_channel_logout(callback, issuers=[ISSUER, ALIAS], session_id="s1")


@pytest.mark.parametrize(
    ("callback", "error", "said"),
    [
        ("?iss=https://evil.example&sid=s1", IssuerMismatchError, "not 'https://evil.example'"),
        ("?sid=s1", IssuerMismatchError, "not none"),
        ("", IssuerMismatchError, "not none"),
        (f"?iss={ISSUER}&sid=s2", VerificationError, "another session"),
        (f"?iss={ISSUER}", VerificationError, "another session"),
        (f"?iss={ISSUER}&sid=s1&sid=s1", VerificationError, "twice"),
    ],
)
def test_another_front_channel_logout_ends_nothing(callback, error, said):
    """A request of another server, or for another session, signs nobody out."""
    with pytest.raises(error, match=said):
        validate_front_channel_logout(callback, issuers=[ISSUER, ALIAS], session_id="s1")


def test_a_logout_of_another_tenant_ends_nothing():
    """Where tenants share an issuer, tid tells, and in its absence the session, but no subject."""
    acme = frozenset({"acme"})

    assert check({"tid": "acme"}, tenants=acme).subject == "user-alice"
    assert check(tenants=acme).session_id == "s1"
    for claims, drop in (({"tid": "other"}, []), ({}, ["sid"]), ({"tid": None}, [])):
        with pytest.raises(VerificationError, match="tid is another tenant's"):
            check(claims, drop, tenants=acme)

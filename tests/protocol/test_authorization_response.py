"""The authorization response: each one that is accepted, and each one that must not be."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aritma_auth.errors import (
    AccessDeniedError,
    AritmaAuthError,
    IssuerMismatchError,
    OAuthError,
    StateMismatchError,
    VerificationError,
)
from aritma_auth.protocol.authorization_request import RESPONSE_TYPES, AuthorizationRequest
from aritma_auth.protocol.authorization_response import validate_authorization_response
from support.sign_ins import ISSUER, NOW, callback_url, good_callback, make_request, make_response


def validate(request, now=NOW, **changes):
    return validate_authorization_response(request, good_callback(request, **changes), now=now)


@pytest.mark.parametrize("response_type", sorted(RESPONSE_TYPES))
def test_a_good_response_brings_what_was_asked_for_and_nothing_else(response_type):
    """A response has what response_type asked for, whatever else a browser brings."""
    wanted = response_type.split()
    surplus = {
        "code": "the-code",
        "access_token": "the-token",
        "token_type": "bearer",
        "expires_in": "60",
        "id_token": "e30.e30.e30",
        "refresh_token": "a-refresh-token",
        "custom": "1",
    }
    response = validate(make_request(response_type), **surplus)

    assert (response.code is not None and response.code.text == "the-code") == ("code" in wanted)
    assert (response.id_token is not None) == ("id_token" in wanted)
    assert (response.token is not None) == ("token" in wanted)
    assert response.issuer == ISSUER
    if response.token is not None:
        assert response.token.access_token == "the-token"
        assert response.token.expires_at == NOW + 60
        assert response.token.refresh_token is None
        assert response.token.id_token is None
        assert len(response.token.extra) == 0


def test_what_the_servers_frame_wants_is_kept_as_it_is():
    """session_state is kept unread, and is None where the server has no session frame."""
    given = validate(make_request(), code="the-code", session_state="x y.z")

    assert given.session_state == "x y.z"
    assert validate(make_request(), code="the-code").session_state is None


@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
def test_a_response_is_read_where_it_was_asked_for(mode):
    """A code in a fragment does not count for a query, nor one in a query for a fragment."""
    request = make_request(response_mode=mode)
    assert (
        validate_authorization_response(request, callback_url(request), now=NOW).code.text
        == "the-code"
    )

    other = make_request(response_mode="query" if mode == "fragment" else "fragment")
    with pytest.raises(StateMismatchError):
        validate_authorization_response(
            make_request(response_mode=mode), callback_url(other), now=NOW
        )


@pytest.mark.parametrize(
    ("state", "callback"),
    [
        ("missing", "code=c"),
        ("empty", "code=c&state="),
        ("another", "code=c&state=the-stat"),
        ("longer", "code=c&state=the-statee"),
        ("in other case", "code=c&state=The-State"),
        ("of another script", "code=c&state=thé-state"),
        ("with an error", "error=access_denied&state=other"),
        ("without, and an error", "error=access_denied"),
        ("nothing at all", ""),
    ],
)
def test_a_response_to_another_sign_in_does_not_count(state, callback):
    """A response with another state is refused, and the sign-in stays open for its own."""
    request = make_request()
    with pytest.raises(StateMismatchError, match="another sign-in"):
        validate_authorization_response(request, callback, now=NOW)

    assert validate(request).code.text == "the-code"


@pytest.mark.parametrize(
    "name", ["state", "code", "iss", "error", "access_token", "id_token", "custom"]
)
def test_a_parameter_that_comes_twice_is_hostile(name):
    """A repeated parameter is refused even if both values are the same, or one is empty."""
    request = make_request()
    pairs = [*good_callback(request, **{name: "x"}).items()]
    for value in ("x", ""):
        with pytest.raises(VerificationError, match="twice"):
            validate_authorization_response(request, [*pairs, (name, value)], now=NOW)


@pytest.mark.parametrize(
    ("response_type", "drop", "said"),
    [
        ("code", ["code"], "no code, which"),
        ("token", ["access_token"], "no access_token"),
        ("id_token", ["id_token"], "no id_token"),
        ("code id_token token", ["id_token", "code"], "no code and no id_token"),
        ("code id_token", ["id_token"], "no id_token"),
        ("token", ["token_type"], "token_type is missing"),
    ],
)
def test_what_was_asked_for_must_come(response_type, drop, said):
    """The message names each parameter that is missing."""
    with pytest.raises(VerificationError, match=said):
        validate(make_request(response_type), **dict.fromkeys(drop))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"token_type": "mac"}, "must not be used"),
        ({"token_type": "DPoP"}, "must not be used"),
        ({"access_token": "a b"}, "characters"),
        ({"access_token": "å"}, "characters"),
        ({"expires_in": "soon"}, "expires_in"),
    ],
)
def test_a_token_that_cannot_be_used_is_refused(changes, said):
    """A browser's token is checked like the token endpoint's, and its error is permanent."""
    with pytest.raises(VerificationError, match=said) as caught:
        validate(make_request("token"), **changes)

    assert caught.value.is_permanent


@pytest.mark.parametrize(
    ("iss", "requires_iss", "is_good"),
    [
        (ISSUER, True, True),
        (ISSUER, False, True),
        ("https://id.zdata.no", True, True),
        (None, False, True),
        ("", False, True),
        (None, True, False),
        ("", True, False),
        ("https://evil.example", True, False),
        ("https://evil.example", False, False),
        (f"{ISSUER}/", True, False),
        ("HTTPS://ID.ARITMA.IO", True, False),
        ("null", False, False),
    ],
)
def test_the_response_names_its_server(iss, requires_iss, is_good):
    """
    iss is compared exactly, must be there if it was announced, and is a mix-up if it differs
    (RFC 9207).
    """
    request = make_request(issuers=[ISSUER, "https://id.zdata.no"], requires_iss=requires_iss)
    if is_good:
        assert validate(request, iss=iss).issuer == (iss or None)
        return
    with pytest.raises(IssuerMismatchError):
        validate(request, iss=iss)


def test_an_error_from_another_server_is_a_mix_up_too():
    """An error of another server is a mix-up, and so is one without the iss that was announced."""
    with pytest.raises(IssuerMismatchError):
        validate(make_request(), iss="https://evil.example", error="access_denied")
    with pytest.raises(IssuerMismatchError):
        validate(make_request(requires_iss=True), iss=None, error="access_denied")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("access_denied", AccessDeniedError),
        ("login_required", OAuthError),
        ("unmet_authentication_requirements", OAuthError),
        ("temporarily_unavailable", OAuthError),
    ],
)
def test_a_refusal_is_raised_with_what_the_server_said(error, kind):
    """The server's error is raised in printable form, and a code beside it does not count."""
    changes = {
        "error": error,
        "error_description": "no\x1bway",
        "error_uri": "https://id.example/e",
        "code": "the-code",
    }
    request = make_request()
    with pytest.raises(kind) as caught:
        validate(request, **changes)

    assert caught.value.error == error
    assert "\x1b" not in caught.value.description
    assert caught.value.uri == "https://id.example/e"
    assert caught.value.status is None
    assert not request.single_use.is_left


def test_a_refusal_needs_no_words():
    """An error code alone is enough, since IdentityServer seldom says more."""
    with pytest.raises(AccessDeniedError) as caught:
        validate(make_request(), error="access_denied", code=None)

    assert (caught.value.description, caught.value.uri) == (None, None)


@pytest.mark.parametrize(
    ("seconds", "is_good"),
    [(-61, False), (-60, True), (0, True), (600, True), (600.5, False), (1e9, False)],
)
def test_a_response_comes_in_time(seconds, is_good):
    """
    A response may not arrive too late, nor before the browser left; a clock may step back a
    little.
    """
    request = make_request()
    if is_good:
        assert validate(request, now=NOW + seconds).code is not None
        return
    with pytest.raises(StateMismatchError, match="too long"):
        validate(request, now=NOW + seconds)


@pytest.mark.parametrize(
    "changes",
    [{}, {"error": "access_denied"}, {"iss": "https://evil.example"}, {"code": None}],
    ids=["good", "refused", "mix-up", "no code"],
)
def test_a_sign_in_accepts_one_response(changes):
    """Whatever became of the first response, a second one is refused."""
    request = make_request()
    with contextlib.suppress(AritmaAuthError):
        validate(request, **changes)

    with pytest.raises(StateMismatchError, match="accepted already"):
        validate(request)


def test_a_late_response_uses_the_sign_in_up():
    """A late response uses the sign-in up, even if the clock is set back afterwards."""
    request = make_request()
    with pytest.raises(StateMismatchError, match="too long"):
        validate(request, now=NOW + 601)
    with pytest.raises(StateMismatchError, match="accepted already"):
        validate(request)


def test_a_response_shows_none_of_its_secrets(canary):
    """Neither an accepted nor a refused response shows a secret."""
    secrets = {"code": canary.text, "access_token": canary.text, "id_token": f"{canary.text}.e30.x"}
    response = validate(make_request("code id_token token"), **secrets)
    canary.assert_hidden(response, response.request)

    bad = [{"iss": "https://evil.example"}, {"state": canary.text}, {"token_type": "mac"}]
    for changes in bad:
        request = make_request("code id_token token")
        for callback in (
            good_callback(request, **(secrets | changes)),
            callback_url(request, **(secrets | changes)),
        ):
            with pytest.raises(VerificationError) as caught:
                validate_authorization_response(
                    AuthorizationRequest.from_json(request.to_json()), callback, now=NOW
                )

            canary.assert_hidden(caught.value)


@given(st.text() | st.binary() | st.lists(st.tuples(st.text(), st.text() | st.integers())))
def test_whatever_comes_back_only_our_errors_come(callback):
    """Whatever a callback holds, only our errors are raised."""
    with pytest.raises(VerificationError):
        validate_authorization_response(make_request(), callback, now=NOW)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12))
def test_only_the_very_state_counts(state):
    """No prefix, other case or other text of the state is accepted."""
    if state == "the-state":
        return
    with pytest.raises(StateMismatchError):
        validate(make_request(), state=state)


def test_a_response_is_of_its_request():
    """Code, verifier and redirect URI of several sign-ins cannot be mixed."""
    response = make_response(state="mine")

    assert response.request.state.text == "mine"
    assert response.single_use.is_left

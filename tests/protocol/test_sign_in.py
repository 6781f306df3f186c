"""A completed sign-in: what its ID tokens must prove alone, together, and at a refresh."""

import pytest

from aritma_auth.errors import ConfigurationError, IdTokenError
from aritma_auth.protocol.id_token import verify_id_token
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.sign_in import (
    SignIn,
    build_front_channel_sign_in,
    expect_id_token,
    require_same_sign_in,
    require_subject,
    validate_refreshed_id_token,
)
from aritma_auth.protocol.tokens import Token
from support.sign_ins import ISSUER, NOW, make_response
from support.signing import encode, jwk, sign

CLAIMS = {"iss": ISSUER, "sub": "alice", "aud": "me", "exp": NOW + 900, "iat": NOW + 20}
CLAIMS |= {"nonce": "the-nonce", "auth_time": NOW + 10}


def half_hash(text):
    from hashlib import sha256

    return encode(sha256(text.encode()).digest()[:16])


HASHES = {"at_hash": half_hash("the-token"), "c_hash": half_hash("the-code")}


def prove(claims, response, token=None, now=NOW + 30):
    expected = expect_id_token(response, now=now, token=token)
    return verify_id_token(sign(CLAIMS | claims), [jwk()], expected, now=now)


@pytest.mark.parametrize(
    ("response_type", "claims"),
    [
        ("id_token", {}),
        ("id_token token", {"at_hash": HASHES["at_hash"]}),
        ("code id_token", {"c_hash": HASHES["c_hash"]}),
        ("code id_token token", HASHES),
        ("code id_token token", HASHES | {"s_hash": half_hash("the-state")}),
    ],
)
def test_the_browsers_id_token_is_bound_to_what_came_with_it(response_type, claims):
    """Each hash that is there must fit, and those that must be there are (§3.2.2.11, §3.3.2.12)."""
    response = make_response(response_type)

    assert prove(claims, response)["sub"] == "alice"
    for claim in claims:
        with pytest.raises(IdTokenError) as caught:
            prove(claims | {claim: half_hash("another")}, response)

        assert caught.value.claim == claim
    for claim in claims.keys() - {"s_hash"}:
        with pytest.raises(IdTokenError) as caught:
            prove(claims | {claim: None}, response)

        assert caught.value.claim == claim


def test_the_token_endpoints_id_token_needs_no_hash():
    """at_hash may be missing there, but one that is there must fit the access token (§3.1.3.8)."""
    response, token = make_response(), Token("new")

    assert prove({}, response, token)["sub"] == "alice"
    assert prove({"at_hash": half_hash("new"), "c_hash": "x"}, response, token)["sub"] == "alice"
    with pytest.raises(IdTokenError, match="at_hash"):
        prove({"at_hash": HASHES["at_hash"]}, make_response("code token", scope="openid"), token)


def test_the_nonce_is_that_of_the_request():
    """The nonce must be the request's, and must be missing if the request had none."""
    with pytest.raises(IdTokenError, match="nonce"):
        prove({"nonce": "other"}, make_response(), Token("t"))
    with pytest.raises(IdTokenError, match="nonce is there"):
        prove({}, make_response(nonce=None), Token("t"))


def test_what_must_be_there_can_be_had_without_asking_twice():
    """require_token and require_subject return what is there, or say what to ask for."""
    token = Token("t")
    full = SignIn(token, Members({"sub": "alice"}))

    assert full.token is token
    assert full.subject == "alice"
    assert full.has_token
    assert full.has_subject
    assert not SignIn(None).has_token
    assert not SignIn(token, Members({"sub": 5})).has_subject
    with pytest.raises(ConfigurationError, match="ask for a code"):
        _ = SignIn(None).token
    with pytest.raises(ConfigurationError, match="ask for openid"):
        _ = SignIn(token).subject


def test_the_browsers_id_token_is_of_the_server_that_the_callback_named():
    """
    Of two names for the server, the callback's and the ID token's must be the same (RFC 9207
    §2.4).
    """
    known = {"issuers": [ISSUER, "https://id.zdata.no"]}
    named = make_response("id_token", **known)
    unnamed = make_response("id_token", callback={"iss": None}, **known)
    with pytest.raises(IdTokenError, match="iss"):
        prove({"iss": "https://id.zdata.no"}, named)

    assert prove({"iss": "https://id.zdata.no"}, unnamed)["sub"] == "alice"
    assert prove({"iss": "https://id.zdata.no"}, make_response(**known), Token("t"))


@pytest.mark.parametrize(
    ("auth_time", "is_good"),
    [(NOW + 10, True), (NOW, True), (NOW - 60, True), (NOW - 90, True), (NOW - 91, False)],
)
def test_max_age_counts_from_when_the_browser_left(auth_time, is_good):
    """The time that the end-user spends at the server does not count against max_age."""
    response, claims = make_response(max_age=60), {"auth_time": auth_time}
    for now in (NOW, NOW + 30, NOW + 300):
        if is_good:
            assert prove(claims, response, Token("t"), now=now)
        else:
            with pytest.raises(IdTokenError, match="max_age"):
                prove(claims, response, Token("t"), now=now)


def test_an_id_token_is_made_for_this_sign_in():
    """
    An ID token that was issued long before the sign-in is refused, even if it has not expired.
    """
    with pytest.raises(IdTokenError, match="older than the sign-in"):
        prove({"iat": NOW - 7 * 86_400}, make_response(), Token("t"))

    assert prove({"iat": NOW - 3600}, make_response(), Token("t"), now=NOW)
    assert prove({}, make_response(), Token("t"), now=NOW - 5)


@pytest.mark.parametrize(
    ("requires_acr", "acr", "is_good"),
    [
        (False, None, True),
        (False, "pwd", True),
        (True, "mfa", True),
        (True, "verify", True),
        (True, "pwd", False),
        (True, None, False),
    ],
)
def test_classes_are_preferred_or_required(requires_acr, acr, is_good):
    """acr may differ from acr_values, unless the application requires it."""
    response = make_response(acr_values="mfa verify", requires_acr=requires_acr)
    if is_good:
        assert prove({"acr": acr}, response, Token("t"))
        return
    with pytest.raises(IdTokenError, match="acr"):
        prove({"acr": acr}, response, Token("t"))


def test_an_expectation_shows_no_secret(canary):
    """The repr of an expectation shows neither nonce, state, code nor token."""
    secrets = {"state": canary.text, "nonce": canary.text}
    response = make_response("code id_token token", callback={"code": canary.text}, **secrets)

    canary.assert_hidden(
        expect_id_token(response, now=NOW),
        expect_id_token(response, now=NOW, token=Token(canary.text)),
    )


def test_who_signed_in_is_in_the_claims():
    """The subject is that of the claims, and is missing without an ID token."""
    assert SignIn(None, Members({"sub": "alice"})).subject == "alice"
    assert not SignIn(Token("t")).has_subject
    assert not SignIn(Token("t"), Members({"sub": 5})).has_subject


@pytest.mark.parametrize(
    ("front", "back", "claim"),
    [
        (None, {"iss": "a", "sub": "b"}, None),
        ({"iss": "a", "sub": "b"}, {"iss": "a", "sub": "b"}, None),
        ({"iss": "a", "sub": "b"}, {"iss": "a", "sub": "c"}, "sub"),
        ({"iss": "x", "sub": "b"}, {"iss": "a", "sub": "b"}, "iss"),
        ({"iss": "a"}, {"iss": "a", "sub": "b"}, "sub"),
    ],
)
def test_both_id_tokens_are_about_one_end_user(front, back, claim):
    """Issuer and subject must be the same in both ID tokens (§3.3.3.6)."""
    front = None if front is None else Members(front)
    if claim is None:
        require_same_sign_in(front, Members(back))
        return
    with pytest.raises(IdTokenError) as caught:
        require_same_sign_in(front, Members(back))

    assert caught.value.claim == claim


def refreshed(claims=None, drop=()):
    payload = {k: v for k, v in (CLAIMS | (claims or {})).items() if k not in drop}
    return Token("t", id_token=sign(payload))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (refreshed(), refreshed({"iat": NOW + 900, "exp": NOW + 1800})),
        (refreshed(), refreshed(drop=["nonce", "auth_time"])),
        (refreshed({"aud": ["me"]}), refreshed({"aud": "me"})),
        (refreshed({"aud": ["me", "x"]}), refreshed({"aud": ["x", "me"]})),
        (refreshed({"azp": "me"}), refreshed({"azp": "me"})),
        (refreshed({"azp": "me"}), refreshed()),
        (refreshed(), Token("t")),
        (Token("t"), refreshed()),
        (Token("t"), Token("t")),
        (Token("t", id_token="opaque"), Token("t")),
    ],
)
def test_a_refresh_of_the_same_sign_in_passes(before, after):
    """A refreshed ID token may change and leave out what §12.2 allows."""
    validate_refreshed_id_token(before, after)


@pytest.mark.parametrize(
    ("before", "after", "claim"),
    [
        ({}, {"iss": "https://evil.example"}, "iss"),
        ({}, {"sub": "bob"}, "sub"),
        ({}, {"sub": None}, "sub"),
        ({}, {"aud": ["me", "you"]}, "aud"),
        ({}, {"aud": []}, "aud"),
        ({}, {"aud": None}, "aud"),
        ({}, {"aud": [["me"]]}, "aud"),
        ({}, {"auth_time": NOW}, "auth_time"),
        ({}, {"nonce": "other"}, "nonce"),
        ({}, {"azp": "me"}, "azp"),
        ({"azp": "me"}, {"azp": "you"}, "azp"),
    ],
)
def test_a_refresh_of_another_sign_in_is_refused(before, after, claim):
    """A refreshed ID token about another sign-in is refused, and the tokens are not used."""
    with pytest.raises(IdTokenError) as caught:
        validate_refreshed_id_token(refreshed(before), refreshed(after))

    assert caught.value.claim == claim


def test_a_refresh_that_is_no_jwt_is_refused():
    """A refreshed ID token that is no JWT is refused, since nothing could be compared."""
    for known, new in ((refreshed().id_token, "opaque"), ("opaque", refreshed().id_token)):
        with pytest.raises(IdTokenError, match="no JWT"):
            validate_refreshed_id_token(Token("t", id_token=known), Token("t", id_token=new))


def test_claims_are_fetched_for_a_known_end_user_alone():
    """UserInfo needs a subject: the argument's, else the ID token's, else it is an error."""
    assert require_subject(refreshed(), None) == "alice"
    assert require_subject(refreshed(), "bob") == "bob"
    for token in (
        Token("t"),
        Token("t", id_token="opaque"),
        refreshed({"sub": 5}),
        refreshed(drop=["sub"]),
    ):
        with pytest.raises(ConfigurationError, match="subject must be given"):
            require_subject(token, None)
    with pytest.raises(ConfigurationError):
        require_subject(refreshed(), "")


def test_a_browsers_token_brings_no_id_token_along():
    """A response's token has no ID token, so that nothing unverified passes for verified."""
    assert make_response("id_token token").token.id_token is None


@pytest.mark.parametrize("response_type", ["id_token token", "id_token", "token"])
def test_a_browsers_id_token_is_kept_for_the_sign_out(response_type):
    """The raw ID token stays with the sign-in, and with its token once it is verified."""
    response = make_response(response_type)
    claims = Members({"sub": "alice"}) if "id_token" in response_type else None
    done = build_front_channel_sign_in(response, claims)
    expected = "e30.e30.e30" if "id_token" in response_type else None

    assert done.id_token == expected
    assert done.has_subject is (claims is not None)
    assert done.has_token is (response_type != "id_token")
    if done.has_token:
        assert done.token.id_token == expected
        assert done.token.access_token == "the-token"
    assert "e30" not in repr(done)


def test_a_sign_in_by_code_has_the_tokens_id_token():
    """What the token endpoint gave comes first."""
    token = Token("t", id_token="back")

    assert SignIn(token, id_token="front").id_token == "back"
    assert SignIn(Token("t")).id_token is None


@pytest.mark.parametrize("response_type", ["id_token", "id_token token", "code id_token"])
def test_beside_a_code_the_second_id_token_brings_the_expected_claims(response_type):
    """A server may leave claims out of the first one (OpenID Connect Core 1.0 §3.3.3.6)."""
    response = make_response(response_type, expected_claims={"intent": "i"})
    has_code = "code" in response_type
    front = expect_id_token(response, now=NOW)
    back = expect_id_token(response, now=NOW, token=Token("the-token"))

    assert front.expected_claims == ({} if has_code else {"intent": "i"})
    assert back.expected_claims == {"intent": "i"}

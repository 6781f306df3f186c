"""ID tokens: each check, seen to accept and to refuse."""

import hashlib
import json
import sys

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OctKey, RSAKey

from aritma_auth.errors import ConfigurationError, IdTokenError, InvalidResponseError
from aritma_auth.protocol.id_token import IdTokenExpectation, verify_id_token
from aritma_auth.protocol.jwt import parse_key_set
from aritma_auth.protocol.redaction import Members
from support.signing import OTHER_RSA as OTHER
from support.signing import RSA, ec_key, encode, jwk, okp_key
from support.signing import sign as sign_claims

NOW = 1_700_000_000.0
ISSUER, ALIAS = "https://id.aritma.io", "https://id.zdata.no"
EC = ec_key()
CLAIMS = {
    "iss": ISSUER,
    "sub": "user-alice",
    "aud": "me",
    "exp": NOW + 300,
    "iat": NOW,
    "nonce": "n",
}
EXPECTED = IdTokenExpectation(issuers=frozenset({ISSUER, ALIAS}), client_id="me", nonce="n")


KEYS = [jwk(RSA)]


def sign(claims=None, key=RSA, drop=(), **header):
    payload = {k: v for k, v in (CLAIMS | (claims or {})).items() if k not in drop}
    return sign_claims(payload, key, **header)


def unsigned(**header):
    return f"{encode(json.dumps(header).encode())}.{encode(json.dumps(CLAIMS).encode())}."


def check(token, keys=KEYS, now=NOW, **expected):
    return verify_id_token(token, keys, attrs.evolve(EXPECTED, **expected), now=now)


def half_hash(text):
    return encode(hashlib.sha256(text.encode()).digest()[:16])


@pytest.mark.parametrize(
    ("token", "settings"),
    [
        pytest.param(sign(), {}, id="plain"),
        pytest.param(sign({"aud": ["me"]}), {}, id="audience as a list"),
        pytest.param(sign({"iss": ALIAS}), {}, id="an alias of the issuer"),
        pytest.param(sign({"exp": NOW + 0.5, "iat": NOW - 0.5}), {}, id="fractions"),
        pytest.param(sign({"exp": NOW - 29}), {}, id="within the leeway"),
        pytest.param(sign({"iat": NOW + 29, "nbf": NOW + 29}), {}, id="a clock ahead"),
        pytest.param(sign({"azp": "me"}), {}, id="authorized party"),
        pytest.param(sign(drop=["nonce"]), {"nonce": None}, id="no nonce was sent"),
        pytest.param(sign({"auth_time": NOW - 50}), {"max_age": 60}, id="max_age"),
        pytest.param(sign(typ=None), {}, id="no typ"),
        pytest.param(sign(typ="application/jwt"), {}, id="long typ"),
        pytest.param(sign(kid=None), {}, id="no kid, one key"),
        pytest.param(
            sign({"at_hash": half_hash("at"), "c_hash": half_hash("c")}),
            {"access_token": "at", "code": "c", "is_front_channel": True},
            id="hashes",
        ),
        pytest.param(sign(), {"access_token": "at"}, id="no at_hash in the code flow"),
        pytest.param(sign(), {"is_front_channel": True}, id="a code alone beside nothing"),
        pytest.param(sign({"azp": None, "nbf": None}), {}, id="null is absent"),
        pytest.param(sign({"s_hash": half_hash("st")}), {"state": "st"}, id="s_hash"),
        pytest.param(sign(), {"state": "st", "is_front_channel": True}, id="no s_hash is needed"),
        pytest.param(sign({"acr": "mfa"}), {"acr_values": ("verify", "mfa")}, id="acr"),
        pytest.param(sign({"acr": ["x"]}), {}, id="an acr nobody demanded"),
        pytest.param(
            sign({"intent": "i", "amount": 1, "who": ["a"], "deep": {"a": {"b": True, "c": 2}}}),
            {
                "expected_claims": Members(
                    {"intent": "i", "amount": 1, "who": ["a"], "deep": {"a": {"b": True}}}
                )
            },
            id="expected claims",
        ),
        pytest.param(
            sign({"txn": 0}), {"expected_claims": Members({"txn": None})}, id="a claim of any value"
        ),
        pytest.param(sign({"iat": NOW - 130}), {"issued_within": 100.0}, id="just new enough"),
        pytest.param(
            sign({"c_hash": half_hash("c")}),
            {"code": "c", "is_front_channel": True},
            id="code id_token has a c_hash alone",
        ),
        pytest.param(sign({"at_hash": "of another"}), {}, id="a hash of what did not come"),
    ],
)
def test_good_tokens_are_believed(token, settings):
    """A token that proves everything gives its claims."""
    assert check(token, **settings)["sub"] == "user-alice"


@pytest.mark.parametrize(
    ("token", "settings", "claim"),
    [
        pytest.param(sign({"iss": ISSUER + "/"}), {}, "iss", id="another issuer"),
        pytest.param(sign({"iss": [ISSUER]}), {}, "iss", id="issuer as a list"),
        pytest.param(sign(drop=["iss"]), {}, "iss", id="no issuer"),
        pytest.param(sign(drop=["sub"]), {}, "sub", id="no subject"),
        pytest.param(sign({"sub": ""}), {}, "sub", id="empty subject"),
        pytest.param(sign({"sub": 5}), {}, "sub", id="a number as subject"),
        pytest.param(sign(drop=["aud"]), {}, "aud", id="no audience"),
        pytest.param(sign({"aud": "you"}), {}, "aud", id="another audience"),
        pytest.param(sign({"aud": ["me", "you"]}), {}, "aud", id="another in the audience"),
        pytest.param(sign({"aud": []}), {}, "aud", id="an empty audience"),
        pytest.param(sign({"azp": "you"}), {}, "azp", id="another authorized party"),
        pytest.param(sign(drop=["exp"]), {}, "exp", id="no exp"),
        pytest.param(sign({"exp": NOW - 30}), {}, "exp", id="expired"),
        pytest.param(sign({"exp": True}), {}, "exp", id="exp is true"),
        pytest.param(sign({"exp": str(NOW + 9)}), {}, "exp", id="exp is a text"),
        pytest.param(sign({"exp": 10**20}), {}, "exp", id="exp is absurd"),
        pytest.param(sign(drop=["iat"]), {}, "iat", id="no iat"),
        pytest.param(sign({"iat": NOW + 31}), {}, "iat", id="from the future"),
        pytest.param(sign({"nbf": NOW + 31}), {}, "nbf", id="not yet valid"),
        pytest.param(sign({"nonce": "other"}), {}, "nonce", id="another nonce"),
        pytest.param(sign({"nonce": "å"}), {}, "nonce", id="an odd nonce"),
        pytest.param(sign(drop=["nonce"]), {}, "nonce", id="no nonce"),
        pytest.param(sign(), {"nonce": None}, "nonce", id="a nonce that nobody sent"),
        pytest.param(sign(), {"max_age": 60}, "auth_time", id="no auth_time"),
        pytest.param(
            sign({"auth_time": NOW - 91}), {"max_age": 60}, "auth_time", id="too long ago"
        ),
        pytest.param(sign(typ="at+jwt"), {}, "typ", id="an access token"),
        pytest.param(sign(typ="logout+jwt"), {}, "typ", id="a logout token"),
        pytest.param(
            sign({"at_hash": half_hash("x")}), {"access_token": "at"}, "at_hash", id="at_hash"
        ),
        pytest.param(sign({"c_hash": 5}), {"code": "c"}, "c_hash", id="c_hash"),
        pytest.param(sign({"aud": [["me"]]}), {}, "aud", id="a list in a list"),
        pytest.param(sign({"aud": {"me": 1}}), {}, "aud", id="an object as audience"),
        pytest.param(sign({"azp": ["me"]}), {}, "azp", id="a list as authorized party"),
        pytest.param(sign({"nonce": ["n"]}), {}, "nonce", id="a list as nonce"),
        pytest.param(
            sign({"auth_time": None}), {"max_age": 60}, "auth_time", id="auth_time is null"
        ),
        pytest.param(
            sign({"auth_time": "now"}), {"max_age": 60}, "auth_time", id="auth_time is a text"
        ),
        pytest.param(sign({"nbf": "now"}), {}, "nbf", id="nbf is a text"),
        pytest.param(sign({"acr": "pwd"}), {"acr_values": ("mfa",)}, "acr", id="another acr"),
        pytest.param(sign({"acr": ["mfa"]}), {"acr_values": ("mfa",)}, "acr", id="a list as acr"),
        pytest.param(sign(), {"acr_values": ("mfa",)}, "acr", id="no acr"),
        *(
            pytest.param(
                sign({} if found is ... else {"intent": found}),
                {"expected_claims": Members({"sub": "user-alice", "intent": expected})},
                "intent",
                id=f"expected {expected} and found {found}",
            )
            for expected, found in (
                ("i", ...),
                ("i", None),
                ("i", "ii"),
                ("i", ["i"]),
                (None, None),
                (1, True),
                (True, 1),
                (["a"], ["a", "b"]),
                ({"a": 1}, {"a": 2}),
                ({"a": {"b": 1}}, {"a": "b"}),
                ({"a": None}, {"b": 1}),
                ({}, "text"),
            )
        ),
        pytest.param(sign({"iat": NOW - 131}), {"issued_within": 100.0}, "iat", id="an old one"),
        pytest.param(sign(typ="JWE"), {}, "typ", id="another type"),
        pytest.param(sign(typ="dpop+jwt"), {}, "typ", id="a proof"),
        pytest.param(sign(typ="application/at+jwt"), {}, "typ", id="an access token in full"),
        pytest.param(
            sign({"at_hash": half_hash("at")[:-1]}), {"access_token": "at"}, "at_hash", id="cut"
        ),
        pytest.param(sign({"s_hash": half_hash("x")}), {"state": "st"}, "s_hash", id="s_hash"),
        pytest.param(
            sign({"at_hash": half_hash("at")}),
            {"access_token": "at", "code": "c", "is_front_channel": True},
            "c_hash",
            id="no c_hash in the front channel",
        ),
        pytest.param(
            sign(),
            {"access_token": "at", "is_front_channel": True},
            "at_hash",
            id="no at_hash in the front channel",
        ),
    ],
)
def test_each_check_refuses(token, settings, claim):
    """Each check refuses with the name of its claim."""
    with pytest.raises(IdTokenError) as caught:
        check(token, **settings)

    assert caught.value.claim == claim


@pytest.mark.parametrize(
    ("token", "settings", "said"),
    [
        (sign({"iss": 5}), {}, "not of type int"),
        (sign({"aud": ["me", "api", "other"]}), {}, "it is 'me', 'api', 'other'$"),
        (sign({"aud": ["me", 5]}), {}, "it is of type list$"),
        (sign({"aud": ["me", "x-the-secret-code"]}), {"code": "the-secret-code"}, r"'x-\*\*\*'$"),
        (sign({"aud": ["me", "y" * 90]}), {}, "'y{80}…'$"),
        (sign({"azp": "other"}), {}, "not 'other'$"),
        (sign({"exp": NOW - 31}), {}, "until 31 s ago$"),
        (sign({"iat": NOW + 45}), {}, "in the future by 45 s: check"),
        (sign({"nbf": "now"}), {}, "not 'now'$"),
        (sign({"exp": True}), {}, "not of type bool$"),
        (sign({"auth_time": NOW - 91}), {"max_age": 60}, r"at most 60 s old .*, not 91 s"),
        (sign({"acr": "pwd"}), {"acr_values": ("mfa",)}, "not 'pwd'$"),
        (sign(), {"acr_values": ("mfa",)}, "not none$"),
        (sign(drop=["nonce"]), {}, "and is missing$"),
        (sign(typ="at+jwt"), {}, r"not 'at\+jwt'$"),
        (sign(kid="k2"), {}, "0 of its [0-9]+ keys fit kid 'k2' and RS256$"),
        (sign(key=OTHER), {}, "1 of its [0-9]+ keys fit kid 'k1' and RS256$"),
        (unsigned(alg="none"), {}, "not 'none'$"),
    ],
    ids=[
        "issuer", "audiences", "mixed audiences", "an echo", "a long audience", "azp", "expired",
        "ahead", "a text", "a flag", "too long ago", "acr", "no acr", "no nonce", "typ", "kid",
        "key", "no signature",
    ],
)  # fmt: skip
def test_a_refusal_says_what_was_found(token, settings, said):
    """Whoever must act learns what the server sent, and by how much a time is wrong."""
    with pytest.raises(IdTokenError, match=said):
        check(token, **settings)


def test_missing_claims_are_named_together():
    """One message names all claims that are missing."""
    with pytest.raises(IdTokenError, match="lacks iss, sub, exp"):
        check(sign(drop=["iss", "sub", "exp"]))


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(unsigned(alg="none"), id="none"),
        pytest.param(unsigned(alg="RS256", kid="k1"), id="an empty signature"),
        pytest.param(unsigned(alg=5), id="an odd algorithm"),
        pytest.param(sign(typ=5), id="an odd type"),
        pytest.param(sign(key=OTHER), id="another key"),
        pytest.param(sign()[:-8] + "AAAAAAAA", id="a broken signature"),
        pytest.param(sign(kid="k2"), id="an unknown kid"),
        pytest.param(sign(kid="../k1"), id="a path as kid"),
        pytest.param(sign(kid=5), id="a number as kid"),
        pytest.param(sign(alg="PS256"), id="an algorithm that is not the key's"),
        pytest.param(sign(crit=["x"], x=True), id="an unknown extension"),
        pytest.param(sign({"nonce": "\ud800"}), id="lone surrogate"),
        pytest.param("a.b.c", id="no JSON"),
        pytest.param("only", id="no parts"),
        pytest.param("å.å.å", id="no ASCII"),
        pytest.param("a" * 200_000, id="too long"),
        pytest.param(sign(key=OTHER, jwk=OTHER.as_dict(private=False)), id="its own key"),
        pytest.param(sign(key=OTHER, jku="https://evil.example"), id="its own key's address"),
    ],
)
def test_what_the_issuer_has_not_signed_is_refused(token):
    """A token without the issuer's signature is refused, whatever its header says."""
    with pytest.raises(IdTokenError):
        check(token)


def test_a_secret_is_never_made_of_a_public_key():
    """HS256 over the text of the public key, the classic confusion, is refused."""
    token = sign(key=OctKey.import_key(b"k" * 32), alg="HS256")

    with pytest.raises(ConfigurationError, match="asymmetric"):
        check(token, algorithms=frozenset({"HS256"}))
    with pytest.raises(IdTokenError, match="not accepted"):
        check(token)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(jwk(OTHER), id="the same kid, another key"),
        pytest.param(jwk(EC), id="the same kid, another kind"),
        pytest.param(jwk(RSA, alg="PS256"), id="another algorithm"),
        pytest.param(jwk(RSA, use="enc"), id="for encryption"),
        pytest.param({"kty": "RSA", "kid": "k1"}, id="no numbers"),
        pytest.param({"kty": "RSA", "kid": "k1", "n": "!" * 400, "e": "AQAB"}, id="bad numbers"),
        pytest.param({"kty": "oct", "kid": "k1", "k": "AAAA"}, id="a shared secret"),
        pytest.param({"kty": "EC", "kid": "k1", "crv": "P-999"}, id="an unknown curve"),
        pytest.param({"kid": "k1"}, id="no kind"),
    ],
)
def test_keys_that_do_not_fit_are_passed_over(bad):
    """An unusable key neither takes its issuer down nor verifies a token."""
    assert check(sign(), keys=[bad, *KEYS])["sub"] == "user-alice"
    with pytest.raises(IdTokenError, match="no key of the issuer"):
        check(sign(), keys=[bad])


@pytest.mark.filterwarnings("ignore:.*2048.*")
def test_a_short_key_is_no_key():
    """An RSA key of fewer than 2048 bits verifies nothing."""
    short = RSAKey.generate_key(1024, auto_kid=False)

    with pytest.raises(IdTokenError, match="no key of the issuer"):
        check(sign(key=short), keys=[jwk(short)])


def test_without_a_kid_every_fitting_key_is_tried():
    """Without a kid each key that fits is tried, as the specification allows."""
    keys = [jwk(OTHER, kid="other"), jwk(EC, kid="ec"), jwk(RSA)]

    assert check(sign(kid=None), keys=keys)["sub"] == "user-alice"


def test_other_algorithms_work_where_they_are_accepted():
    """ES256 is accepted by default, since FAPI demands it."""
    key = jwk(EC, alg="ES256")

    assert check(sign(key=EC, alg="ES256"), keys=[key])["sub"] == "user-alice"


@pytest.mark.parametrize(
    ("alg", "key", "digest"),
    [
        ("ES256", EC, "sha256"),
        ("ES384", ec_key("P-384"), "sha384"),
        ("ES512", ec_key("P-521"), "sha512"),
        ("Ed25519", okp_key(), "sha512"),
        ("EdDSA", okp_key(), "sha512"),
        ("PS256", RSA, "sha256"),
        ("PS384", RSA, "sha384"),
        ("PS512", RSA, "sha512"),
        ("RS256", RSA, "sha256"),
        ("RS384", RSA, "sha384"),
        ("RS512", RSA, "sha512"),
    ],
)
def test_a_hash_is_that_of_the_signature(alg, key, digest):
    """
    A hash is the left half of the signature algorithm's digest (OpenID Connect Core 1.0
    §3.1.3.6).
    """
    full = hashlib.new(digest, b"at").digest()
    token = sign({"at_hash": encode(full[: len(full) // 2])}, key=key, alg=alg)
    settings = {"algorithms": frozenset({alg}), "access_token": "at", "keys": [jwk(key, alg=alg)]}

    assert check(token, **settings)["sub"] == "user-alice"
    with pytest.raises(IdTokenError) as caught:
        check(token, **settings | {"access_token": "other"})

    assert caught.value.claim == "at_hash"


GOOD = sign()
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n"


@given(at=st.integers(0, len(GOOD) - 1), letter=st.sampled_from(LETTERS))
def test_no_changed_token_is_believed(at, letter):
    """A changed character anywhere makes a token invalid, even in bits that decode to nothing."""
    changed = GOOD[:at] + letter + GOOD[at + 1 :]
    if changed != GOOD:
        with pytest.raises(IdTokenError):
            check(changed)


@given(at=st.integers(0, len(GOOD)), letter=st.sampled_from(LETTERS), much=st.integers(0, 3))
def test_no_longer_or_shorter_token_is_believed(at, letter, much):
    """A token with characters added or left out is invalid: each has exactly one encoding."""
    for changed in (GOOD[:at] + letter * much + GOOD[at:], GOOD[:at] + GOOD[at + much :]):
        if changed != GOOD:
            with pytest.raises(IdTokenError):
                check(changed)


@given(st.permutations(range(3)), st.sampled_from([GOOD, sign({"sub": "user-bob"})]))
def test_the_parts_of_tokens_cannot_be_mixed(order, other):
    """Header, claims and signature of several tokens make no valid token."""
    parts = [GOOD.split("."), other.split("."), GOOD.split(".")]
    mixed = ".".join(parts[row][column] for row, column in enumerate(order))
    if mixed != GOOD:
        with pytest.raises(IdTokenError):
            check(mixed)


def test_without_joserfc_the_extra_is_named(monkeypatch):
    """Without joserfc the error names the extra to install."""
    token = sign()
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with pytest.raises(ConfigurationError, match=r"aritma-auth\[oidc\]"):
        check(token)


def test_the_error_shows_no_token(canary):
    """An error shows neither the token nor the nonce nor what came with it."""
    token = sign({"sub": canary.text, "nonce": "x", "at_hash": "x"})
    secrets = {"nonce": canary.text, "access_token": canary.text, "code": canary.text}
    for settings in (secrets, secrets | {"nonce": "x"}):
        with pytest.raises(IdTokenError) as caught:
            check(token, **settings)

        canary.assert_hidden(caught.value, attrs.evolve(EXPECTED, **settings))


@pytest.mark.parametrize("members", [{}, {"keys": {}}, {"keys": "x"}])
def test_a_key_set_has_a_list(members):
    """A key set without a list of keys breaks the specification."""
    with pytest.raises(InvalidResponseError, match="no list of keys"):
        parse_key_set(Members(members))


def test_what_is_no_key_is_left_out_of_a_set():
    """A member of the list that is no key is left out."""
    assert parse_key_set(Members({"keys": [1, {"kty": "RSA"}, None, "x"]})) == [{"kty": "RSA"}]


@given(st.text(max_size=60) | st.from_regex(r"[\w-]{0,20}\.[\w-]{0,20}\.[\w-]{0,20}"))
def test_any_text_is_refused_with_a_typed_error(text):
    """Only a signed token passes, and only our error is raised."""
    with pytest.raises(IdTokenError):
        check(text)


TRUSTED = frozenset({"ledger", "archive"})


@pytest.mark.parametrize(
    "audience", ["me", ["me"], ["me", "ledger"], ["ledger", "me"], ["archive", "me", "ledger"]]
)
def test_a_further_audience_must_be_trusted(audience):
    """OpenID Connect Core §3.1.3.7 (3): an audience beside the client counts only if it is named."""
    token = sign({"aud": audience})

    assert check(token, trusted_audiences=TRUSTED)["sub"] == "user-alice"
    if isinstance(audience, list) and len(audience) > 1:
        with pytest.raises(IdTokenError) as caught:
            check(token)
        assert caught.value.claim == "aud"


@pytest.mark.parametrize(
    "audience",
    [
        "ledger",
        ["ledger"],
        ["ledger", "archive"],
        ["me", "another"],
        ["me", "ledger", "another"],
        ["me", "Ledger"],
        ["me", 5],
        ["me", None],
        ["me", ["ledger"]],
        [["me"]],
        [],
        "me ledger",
        {"me": "ledger"},
    ],
)
def test_trust_replaces_no_audience(audience):
    """The client must be named itself, and every other audience must be a trusted one."""
    with pytest.raises(IdTokenError) as caught:
        check(sign({"aud": audience}), trusted_audiences=TRUSTED)

    assert caught.value.claim == "aud"


def test_another_server_is_named():
    """The message gives the issuer that was expected and the one that came, made printable."""
    with pytest.raises(IdTokenError) as caught:
        check(sign({"iss": "https://evil.example\x1b[31m"}))

    assert ISSUER in str(caught.value)
    assert "https://evil.example" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_the_response_and_its_id_token_name_one_issuer():
    """An ID token of another alias than the authorization response named is refused."""
    assert check(sign({"iss": ALIAS}), issuer=ALIAS)
    with pytest.raises(IdTokenError, match=f"iss must be {ALIAS}, not '{ISSUER}'"):
        check(sign(), issuer=ALIAS)


@pytest.mark.parametrize(
    ("owner", "claims", "is_its_own"),
    [
        (None, {}, True),
        (ISSUER, {}, True),
        (7, {}, True),
        ("https://id.aritma.io/other", {}, False),
        ("https://id.aritma.io/{tenantid}", {}, False),
        ("https://id.aritma.io/{tenantid}", {"iss": f"{ISSUER}/acme", "tid": "acme"}, True),
        ("https://id.aritma.io/{tenantid}", {"iss": f"{ISSUER}/acme", "tid": "other"}, False),
    ],
)
def test_a_key_of_another_issuer_verifies_nothing(owner, claims, is_its_own):
    """A set with the keys of several issuers says whose each is."""
    keys = [jwk(RSA) | {"issuer": owner}]
    issuers = EXPECTED.issuers | {f"{ISSUER}/acme"}
    if is_its_own:
        assert check(sign(claims), keys, issuers=issuers)
    else:
        with pytest.raises(IdTokenError, match="no key of the issuer"):
            check(sign(claims), keys, issuers=issuers)


def test_where_tenants_share_an_issuer_the_claim_tells_them_apart():
    """An ID token of another tenant, or of none, is refused by its tid."""
    tenants = frozenset({"acme"})

    assert check(sign({"tid": "acme"}), tenants=tenants)
    for claims in ({"tid": "other"}, {}):
        with pytest.raises(IdTokenError, match="tid must be acme") as caught:
            check(sign(claims), tenants=tenants)
        assert caught.value.claim == "tid"

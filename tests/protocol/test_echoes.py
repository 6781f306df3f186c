"""What a server repeats of our secrets is masked, in whatever spelling."""

import base64
import html
import json
import traceback
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aritma_auth as aa
from aritma_auth.banking.problems import parse_problem
from aritma_auth.errors import AritmaAuthError, printable
from aritma_auth.protocol.authorization_response import validate_authorization_response
from aritma_auth.protocol.client_auth import (
    ClientCredential,
    ClientSecretBasic,
    ClientSecretPost,
    Proof,
)
from aritma_auth.protocol.client_registration import (
    build_registration_request,
    parse_registration_response,
)
from aritma_auth.protocol.echoes import MASK, hide_echoes, hide_tokens
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.redaction import HiddenStr, Members, SecretText
from aritma_auth.protocol.token_endpoint import build_authenticated_request, parse_token_response
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.userinfo import build_userinfo_request, parse_userinfo_response
from aritma_auth.protocol.www_authenticate import find_step_up, parse_challenges
from support.sign_ins import NOW, make_request

SECRET = 'aG9+c2U/ å"\\<&>%41'
SECRETS = [SECRET, "hunter22", "p w+d", "🔑-clé-\U0001f600", "a" * 500 + "/+="]


def percent(text):
    return "".join(f"%{byte:02x}" for byte in text.encode())


def json_of_every_character(text):
    units = memoryview(text.encode("utf-16-le")).cast("H")
    return "".join(f"\\u{unit:04x}" for unit in units)


def b64(prefix, suffix="", *, url=False, inner=lambda text: text):
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    return lambda text: encode(f"{prefix}{inner(text)}{suffix}".encode()).decode()


SPELLINGS = {
    "raw": lambda text: text,
    "form-encoded": quote_plus,
    "form-encoded in lower case": lambda text: quote_plus(text).replace("%2B", "%2b"),
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded, every byte": percent,
    "percent-encoded twice": lambda text: quote(quote(text, safe=""), safe=""),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON, every character": lambda text: json_of_every_character(text),
    "JSON twice": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "form in JSON": lambda text: json.dumps(quote_plus(text))[1:-1],
    "HTML": html.escape,
    "HTML by number": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "base64": b64(""),
    "base64url": b64("", url=True),
    "base64url without padding": lambda text: b64("", url=True)(text).rstrip("="),
    "base64 behind one byte": b64("x"),
    "base64 behind two bytes": b64("xy"),
    "Basic": b64("client-id:"),
    "Basic, form-encoded first": b64("my client:", inner=quote_plus),
    "Basic in a form": lambda text: quote_plus("Basic " + b64("client:")(text)),
    "base64 in the middle": b64("id:", ":more"),
    "base64 twice": lambda text: b64("{")(b64("x:")(text)),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "base32 in the middle": lambda text: base64.b32encode(f"id:{text}:more".encode()).decode(),
    "hex with colons": lambda text: text.encode().hex(":"),
    "an array of bytes": lambda text: str(list(text.encode())),
    "hex in C": lambda text: ", ".join(f"0x{byte:02x}" for byte in text.encode()),
    "octal escapes": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    "bytes of Python": lambda text: "".join(f"\\x{byte:02X}" for byte in text.encode()),
    "code points of Python": lambda text: "".join(f"\\U{ord(char):08x}" for char in text),
    "code points of JavaScript": lambda text: "".join(f"\\u{{{ord(char):x}}}" for char in text),
    "escape() of JavaScript": lambda text: json_of_every_character(text).replace("\\", "%"),
    "quoted-printable": lambda text: percent(text).replace("%", "="),
    "percent-encoded thrice": lambda text: quote(quote(percent(text), safe=""), safe=""),
    "percent-encoded six times": lambda text: f"%{'25' * 5}".join(percent(text).split("%")),
    "percent-encoded a hundred times": lambda text: f"%{'25' * 99}".join(percent(text).split("%")),
    "HTML without semicolons": lambda text: "".join(f"&#x{ord(char):x}" for char in text),
    "HTML in JSON in a form": lambda text: quote_plus(json.dumps(html.escape(text))[1:-1]),
}


def core(spelled):
    """Cut what stands beside a secret decides of its base64 off both ends."""
    return spelled[len(spelled) // 2 : -8] if len(spelled) > 24 else spelled


@pytest.mark.parametrize("secret", SECRETS, ids=lambda text: text[:8])
@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_no_spelling_of_a_secret_is_shown(spell, secret):
    """The secret, however it is spelled, gives way to the mask; the words around it stay."""
    spelled = spell(secret)
    shown = hide_echoes(f"the client sent {spelled} to us", [secret])

    assert shown.startswith(("the client sent ", MASK))
    assert MASK in shown
    assert spelled not in shown
    assert secret not in shown
    assert core(spelled) not in shown


def test_the_words_around_a_secret_stay():
    """Only the secret is masked, each time it occurs."""
    text = "code=abcd1234&code2=%61bcd1234; bcd1 is no code"

    assert hide_echoes(text, ["abcd1234"]) == "code=***&code2=***; bcd1 is no code"
    assert hide_echoes("nothing of ours", ["abcd1234"]) == "nothing of ours"


LONG = "k7Qx2mZr9TbWv4Lc8NdY-ä/+"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"it begins with {LONG[:12]}...", "it begins with ***..."),
        (f"it ends in ...{quote_plus(LONG)[-23:]}", "it ends in ...***"),
        (f"{LONG[3:20]} is part of it", "*** is part of it"),
        (f"{LONG[:7]} could be any word", f"{LONG[:7]} could be any word"),
        (f"{LONG[:8]}... could not", "***... could not"),
        (f"hex {LONG.encode().hex()}", "hex ***"),
        (f"HEX {LONG.encode().hex().upper()[2:30]}", "HEX ***"),
    ],
)
def test_a_part_of_a_secret_is_masked(said, shown):
    """Eight characters in a row are recognised, as servers cut what they quote."""
    assert hide_echoes(said, [LONG]) == shown


WORN = "k7Qx2mZr9TbWv4Lc8N"
WEARS = {
    "in capitals": str.upper,
    "in small letters": str.lower,
    "in the other case": str.swapcase,
    "base64 in small letters": lambda text: b64("id:")(text).lower(),
    "cut in two": lambda text: f"{text[:9]} {text[9:]}",
    "cut in two by a word": lambda text: f"{text[:9]} and {text[9:]}",
    "cut in two by a tag": lambda text: f"{text[:9]}<wbr class='x'>{text[9:]}",
    "cut in two by an escaped tag": lambda text: f"{text[:9]}&lt;/b&gt;{text[9:]}",
    "cut in three by tags": lambda text: f"{text[:6]}<b>{text[6:12]}</b>{text[12:]}",
    "wrapped": lambda text: "\r\n  ".join((text[:5], text[5:10], text[10:])),
    "wrapped in JSON": lambda text: "\\n".join((text[:5], text[5:10], text[10:])),
    "in groups of four": lambda text: "-".join(text[at : at + 4] for at in range(0, 18, 4)),
    "spaced": " ".join,
    "with zero-width spaces": "\u200b".join,
    "with soft hyphens in HTML": "&shy;".join,
    "with escaped zero-width joiners": "\\u200d".join,
    "coloured": lambda text: f"{text[:7]}\x1b[31m{text[7:13]}\x1b[0m{text[13:]}",
    "in quotes, character by character": lambda text: str(list(text)),
}


@pytest.mark.parametrize("wear", WEARS.values(), ids=WEARS)
def test_neither_case_nor_what_stands_between_shows_a_secret(wear):
    """A server that folds, wraps, cuts or marks up what it quotes shows nothing of it."""
    shown = hide_echoes(f"said: {wear(WORN)}!", [WORN])

    assert shown.startswith("said: ")
    # What stays beside the mask is less than a piece.
    assert sum(map(str.isalnum, shown[6:])) < 8
    assert MASK in shown


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("right", "the bright night is all right now"),
        ("a1b2", "a 1, b 3"),
        ("+#%&/()=!x", "x is not +#"),
        ("client-secret-of-payments", "the client is not known, its secret ended"),
        ("hunter22", "the hunt of 22 hounds"),
        (WORN, f"trace 00-4bf92f3577b34da6a3ce929d0e0e4736, 2026-11-29T17:00:00Z, {WORN[:7]}"),
    ],
)
def test_words_that_share_some_letters_with_a_secret_stay(secret, text):
    """What is shown names the cause, although a short secret has letters of other words."""
    assert hide_echoes(text, [secret]).replace(MASK, secret) == text


def test_json_in_base64_is_masked():
    """A token's claims and a logged body are JSON first, and base64 then."""
    body = base64.b64encode(json.dumps({"client_secret": LONG}).encode()).decode()
    shown = hide_echoes(body, [LONG])

    assert MASK in shown
    assert body[30:44] not in shown


@pytest.mark.parametrize("secret", ["", "a", "abc"])
def test_the_shortest_secrets_are_left(secret):
    """A secret of fewer than four characters could be any word."""
    assert hide_echoes("an abc is a word", [secret]) == "an abc is a word"


def test_of_two_secrets_that_overlap_none_is_shown():
    """One mask covers both, wherever they begin."""
    assert hide_echoes("x-abcdefgh-x", ["abcdef", "cdefgh"]) == "x-***-x"
    assert hide_echoes("x-abcdefgh-x", ["abcdefgh", "cdef"]) == "x-***-x"


def test_a_text_beyond_reason_costs_little_and_shows_nothing():
    """A megabyte of text is cut before it is searched; what is shown has no secret."""
    shown = hide_echoes("x" * 190 + SECRET * 60_000, [SECRET])

    assert SECRET not in printable(shown)
    assert len(shown) < 2_000


@given(st.text(min_size=4, max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_any_secret_is_hidden_in_any_text(secret, before, after):
    """No text makes a secret show raw or form-encoded, and none makes the search fail."""
    try:
        spelled = quote_plus(secret)
    except UnicodeEncodeError:
        spelled = secret
    shown = hide_echoes(f"{before}{secret}{after}{spelled}", [secret])

    assert MASK in shown
    assert secret not in shown.replace(MASK, "\0") or secret in f"{before}{after}"


@given(st.binary(max_size=60), st.binary(min_size=4, max_size=20))
def test_any_bytes_can_be_searched(text, secret):
    """Any text of a server can be searched for any secret."""
    hide_echoes(text.decode("latin-1"), [secret.decode("latin-1")])
    hide_echoes(text.decode(errors="surrogateescape"), [secret.decode("latin-1")])


def request_with(client_auth, grant, secret=SECRET):
    credential = ClientCredential("client-id", SecretText(secret))
    return build_authenticated_request(
        "https://id.example/token",
        grant.parameters(),
        client_auth=client_auth,
        credential=credential,
    )


GRANTS = {
    "refresh token": lambda text: aa.RefreshTokenGrant(text),
    "device code": lambda text: aa.DeviceCodeGrant(text),
    "delegated token": lambda text: aa.DelegationGrant(text),
    "subject token": lambda text: aa.TokenExchangeGrant(text),
    "actor token": lambda text: aa.TokenExchangeGrant("subject", actor_token=text),
    "a field of a custom grant": lambda text: aa.CustomGrant("urn:x", {"assertion": text}),
    "an extra parameter": lambda text: aa.ClientCredentialsGrant(extra={"voucher": text}),
    "client secret": lambda text: aa.ClientCredentialsGrant(),
}


def shown_by(error):
    """Write everything that an error reporter could show."""
    lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    frames = [
        line
        for line in "".join(lines).split("\n  File ")
        # The test's own frames hold the secret in plain text.
        if "/tests/" not in line.split(",")[0]
    ]
    return "\n".join((str(error), repr(error), repr(vars(error)), *frames))


@pytest.mark.parametrize("make", GRANTS.values(), ids=GRANTS)
@pytest.mark.parametrize("client_auth", [ClientSecretPost("unused"), ClientSecretBasic("unused")])
@pytest.mark.parametrize("member", ["error", "error_description", "error_uri"])
@pytest.mark.parametrize(
    "spell", [SPELLINGS["raw"], SPELLINGS["form-encoded"], SPELLINGS["Basic, form-encoded first"]]
)
def test_a_refusal_shows_nothing_that_was_sent(make, client_auth, member, spell):
    """Whatever of the request the token endpoint quotes, no part of the error shows it."""
    secret = "s3cr3t+/%<canary>åäö"
    # Another one, so that what the grant holds must be known as a secret by itself.
    client_secret = secret if make is GRANTS["client secret"] else "another-one"
    request = request_with(client_auth, make(secret), client_secret)
    body = json.dumps({"error": "invalid_request", member: f"no {spell(secret)} here"}).encode()
    response = HttpResponse(400, {}, body, request.secrets)
    with pytest.raises((aa.OAuthError, aa.InvalidResponseError)) as caught:
        parse_token_response(response, sent_at=NOW)

    shown = shown_by(caught.value)
    assert secret not in shown
    assert spell(secret) not in shown
    assert core(spell(secret)) not in shown


def test_an_echo_of_the_whole_form_shows_no_secret():
    """A form that comes back as it was sent shows no secret."""
    request = request_with(ClientSecretPost("unused"), aa.ClientCredentialsGrant(), "aG9+c2U/")
    said = {"error": "invalid_client", "error_description": bytes(request.body).decode()}
    with pytest.raises(aa.InvalidClientError) as caught:
        parse_token_response(
            HttpResponse(401, {}, json.dumps(said).encode(), request.secrets), sent_at=NOW
        )

    assert "client_secret=***" in str(caught.value)
    assert "aG9%2Bc2U%2F" not in shown_by(caught.value)


@pytest.mark.parametrize("status", [400, 401, 503])
@pytest.mark.parametrize(
    "spell", [str, percent, b64("client-id:"), lambda text: text.encode().hex()]
)
def test_a_media_type_that_repeats_a_secret_is_hidden(spell, status):
    """The media type of an error page is shown, and is the other side's text as well."""
    secret = "k7Qx2mZr9TbWv4Lc8NdY"
    request = request_with(ClientSecretPost("unused"), aa.ClientCredentialsGrant(), secret)
    said = {"Content-Type": f"text/{spell(secret).replace('%', '+')}; charset=utf-8"}
    with pytest.raises(AritmaAuthError) as caught:
        parse_token_response(HttpResponse(status, said, b"", request.secrets), sent_at=NOW)

    shown = shown_by(caught.value).lower()
    assert secret.lower() not in shown
    assert spell(secret).lower()[-16:] not in shown


def test_an_echo_of_the_assertion_is_hidden():
    """A client assertion is a credential too, though the client never chose it."""

    class Made(aa.ClientAuth):
        method = "private_key_jwt"

        def prove(self, credential):
            return Proof((("client_assertion", HiddenStr("eyJh.eyJz.c2ln")),))

    request = request_with(Made(), aa.ClientCredentialsGrant())
    body = b'{"error": "invalid_client", "error_description": "eyJh.eyJz.c2ln is too old"}'
    with pytest.raises(aa.InvalidClientError, match=r"\*\*\* is too old"):
        parse_token_response(HttpResponse(401, {}, body, request.secrets), sent_at=NOW)


@pytest.mark.parametrize("in_body", [True, False])
def test_userinfo_shows_no_token_that_its_challenge_repeats(in_body):
    """The header of a 401 is the server's text as well."""
    token = Token("t0ken+/=with-signs")
    request = build_userinfo_request("https://id.example/userinfo", token, in_body=in_body)
    echoed = quote_plus(token.access_token)
    for field in (
        f'Bearer error="invalid_token", error_description="no {echoed}"',
        f'Bearer error="{echoed}"',
    ):
        response = HttpResponse(401, {"WWW-Authenticate": field}, b"", request.secrets)
        with pytest.raises(aa.OAuthError) as caught:
            parse_userinfo_response(response, subject="alice", now=NOW)

        assert echoed not in shown_by(caught.value)
        assert token.access_token not in shown_by(caught.value)


@pytest.mark.parametrize("status", [201, 400])
@pytest.mark.parametrize("spell", [quote_plus, html.escape, str])
def test_a_member_named_by_a_secret_is_not_shown(status, spell):
    """No frame of an error holds the members' names, which the server chooses."""
    secret = "t0ken+/=with-signs"
    request = build_registration_request(
        "https://id.example/register", Members({"client_name": "a"}), SecretText(secret)
    )
    body = json.dumps({spell(secret): 1}).encode()
    with pytest.raises(aa.InvalidResponseError) as caught:
        parse_registration_response(HttpResponse(status, {}, body, request.secrets), now=NOW)

    assert spell(secret) not in shown_by(caught.value)


@pytest.mark.parametrize("members", [{"sub": "bob"}, {}])
def test_a_claim_named_by_the_token_is_not_shown(members):
    """UserInfo about another end-user is refused, and the error shows no claim of theirs."""
    token = Token("t0ken+/=with-signs")
    request = build_userinfo_request("https://id.example/userinfo", token)
    body = json.dumps({token.access_token: 1} | members).encode()
    with pytest.raises(aa.VerificationError) as caught:
        parse_userinfo_response(
            HttpResponse(200, {}, body, request.secrets), subject="alice", now=NOW
        )

    assert token.access_token not in shown_by(caught.value)


def test_a_step_up_shows_no_token_that_the_api_repeats():
    """An API may quote the token that is not enough."""
    field = 'Bearer error="insufficient_scope", error_description="%74oken-1234 is too narrow"'
    error = find_step_up([field], sent=["token-1234"])

    assert str(error).endswith("*** is too narrow")


@pytest.mark.parametrize("secret", ["the-state", "the-nonce", "v" * 43, "a-login-ticket"])
def test_a_refused_sign_in_shows_no_secret_of_the_request(secret):
    """The browser could bring back whatever the request had in its URL."""
    request = make_request(extra={"ticket": "a-login-ticket"})
    callback = {
        "state": "the-state",
        "iss": "https://id.aritma.io",
        "error": "access_denied",
        "error_description": f"no {percent(secret)}",
        "error_uri": f"https://id.example/?{secret}",
    }
    with pytest.raises(aa.AccessDeniedError) as caught:
        validate_authorization_response(request, callback, now=NOW)

    assert isinstance(caught.value, AritmaAuthError)
    assert percent(secret) not in str(caught.value)
    assert secret not in str(caught.value.uri)


JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"


@pytest.mark.parametrize(
    "text",
    [
        f"token {JWT} is not valid",
        f"token {JWT[:-8]}",
        f"Authorization: Bearer {JWT}",
        "refused: Bearer 8f1d2c3b4a5968778695a4b3c2d1e0f1",
        "refused: DPoP+8f1d2c3b4a5968778695a4b3c2d1e0f1",
        f"request {base64.b64encode(JWT.encode()).decode()}",
    ],
)
def test_what_looks_like_a_token_is_masked_unnamed(text):
    """An API's text is read where nobody knows which token was sent."""
    hidden = hide_tokens(text)

    assert MASK in hidden
    assert not any(piece in hidden for piece in ("eyJzdWI", "ZXlKaGJH", "8f1d2c3b"))


@pytest.mark.parametrize(
    "text", ["Bearer authentication is required", "eyJ", "the payment 8f1d2c3b4a5968778695", ""]
)
def test_words_are_not_masked(text):
    """A text without a token stays as it is."""
    assert hide_tokens(text) == text


def test_problems_and_challenges_repeat_no_token():
    """An application that logs what an API says of a refused request logs no token."""
    body = json.dumps(
        {"title": f"bad token {JWT}", "detail": "it was opaque-but-known-42"}
    ).encode()
    problem = parse_problem(401, body, "application/json", sent=["opaque-but-known-42"])
    (challenge,) = parse_challenges(
        [f'Bearer error_description="{JWT} and opaque-but-known-42"'], sent=["opaque-but-known-42"]
    )

    assert str(problem) == f"401: bad token {MASK}: it was {MASK}"
    assert challenge.parameters == {"error_description": f"{MASK} and {MASK}"}

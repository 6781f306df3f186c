"""Tests that a sign-in shows none of its secrets, which are all made of one canary."""

import json
from types import SimpleNamespace

import pytest

import aritma_auth as aa
from aritma_auth.protocol import authorization_parameters
from aritma_auth.protocol.redaction import SecretText
from support.journeys import REDIRECT_URI, begin, client_of, sign_in

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
def planted(monkeypatch, canary):
    """Make state, nonce and verifier of the canary."""
    secrets = SimpleNamespace(token_urlsafe=lambda _: f"{canary.text}-secret")
    monkeypatch.setattr(authorization_parameters, "secrets", secrets)
    monkeypatch.setattr(
        authorization_parameters,
        "generate_code_verifier",
        lambda: SecretText(f"{canary.text}-{'v' * 40}"),
    )
    return canary


def refusal(text, error="invalid_grant"):
    said = {"error": error, "error_description": f"Invalid: {text}", "error_uri": f"x:{text}"}
    return json.dumps(said).encode()


def tokens(text, **members):
    said = {"token_type": "Bearer", "access_token": text, "refresh_token": text}
    return json.dumps(said | {"id_token": f"{text}.{text}.{text}"} | members).encode()


FAULTS = {
    "refused": lambda s, text: None,
    "503": lambda s, text: s.faults.fail_next(503),
    "dropped": lambda s, text: s.faults.drop_next(),
    "lost": lambda s, text: s.faults.lose_response_next(),
    "truncated": lambda s, text: s.faults.truncate_next(),
    "late": lambda s, text: s.faults.delay_next(2),
    "endless": lambda s, text: s.faults.flood_next(),
    "redirected": lambda s, text: s.faults.redirect_next(f"https://evil.example/{text}"),
    "a web page": lambda s, text: s.faults.respond_next(f"<html>{text}".encode(), status=500),
    "half a response": lambda s, text: s.faults.respond_next(tokens(text)[:-1]),
    "an echo": lambda s, text: s.faults.respond_next(refusal(text), status=400),
    "an echo as the error": lambda s, text: s.faults.respond_next(refusal("", text), status=400),
    "an echo with a good status": lambda s, text: s.faults.respond_next(refusal(text)),
    "an echo longer than a message": lambda s, text: s.faults.respond_next(
        refusal("." * 180 + text), status=400
    ),
    "no ID token": lambda s, text: s.faults.respond_next(tokens(text, id_token=None)),
    "an ID token that is none": lambda s, text: s.faults.respond_next(tokens(text)),
    "a token of a wrong kind": lambda s, text: s.faults.respond_next(tokens(text, token_type=text)),
    "a token that is a list": lambda s, text: s.faults.respond_next(
        tokens(text, refresh_token=[text])
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_sign_in_that_fails_shows_no_secret(sandbox, planted, fault):
    """The error shows neither code, verifier, state and nonce nor the received tokens."""
    sandbox.overrides.authorization_response = {"code": planted.text}
    client = client_of(sandbox, timeout=0.5)
    request, callback = await begin(client)
    FAULTS[fault](sandbox, planted.text)
    with pytest.raises(aa.AritmaAuthError) as caught:
        await client.complete_sign_in(request, callback)

    planted.assert_hidden(caught.value, vars(caught.value), request, client)


@pytest.mark.parametrize("claim", ["nonce", "iss", "sub", "aud", "exp", "at_hash", "azp", "acr"])
async def test_an_id_token_with_a_wrong_claim_shows_no_secret(sandbox, planted, claim):
    """The error does not show the ID token either, which begins like every other JWT."""
    sandbox.overrides.id_token = {claim: ["another"]}
    client = client_of(sandbox)
    request, callback = await begin(client, acr_values="mfa", requires_acr=True)
    with pytest.raises(aa.IdTokenError) as caught:
        await client.complete_sign_in(request, callback)

    planted.assert_hidden(caught.value, request)
    planted.text = "eyJ"
    planted.assert_hidden(caught.value)


BAD_CALLBACKS = {
    "another state": {"state": "other"},
    "no state": {"state": None},
    "no code": {"code": None},
    "another server": {"iss": "https://other.example"},
    "a refusal": {"error": "access_denied", "error_description": "no"},
}


@pytest.mark.parametrize("bad", BAD_CALLBACKS)
async def test_a_callback_that_is_refused_shows_no_secret(sandbox, planted, bad):
    """The callback may be a mapping, a list of pairs, a URL or bytes."""
    client = client_of(sandbox)
    for form in (dict, lambda pairs: list(pairs.items()), as_query, lambda p: as_query(p).encode()):
        request = await client.begin_sign_in(REDIRECT_URI)
        good = {"state": request.state.text, "code": planted.text, "iss": sandbox.identity_url}
        pairs = {k: v for k, v in (good | BAD_CALLBACKS[bad]).items() if v is not None}
        with pytest.raises(aa.AritmaAuthError) as caught:
            await client.complete_sign_in(request, form(pairs))

        planted.assert_hidden(caught.value, request)


def as_query(pairs):
    """Write the pairs, none of which needs encoding, as a URL."""
    return f"{REDIRECT_URI}?" + "&".join(f"{name}={value}" for name, value in pairs.items())


@pytest.mark.parametrize("fault", ["an echo", "503", "dropped", "a web page", "half a response"])
async def test_a_refresh_that_fails_shows_no_secret(sandbox, planted, fault):
    """Neither the error nor any event shows a secret."""
    client, events = client_of(sandbox, timeout=0.5), []
    async with aa.TokenProvider(
        client,
        aa.SignedInGrant("alice"),
        policy=aa.RefreshPolicy(max_attempts=1),
        clock=sandbox.clock,
        on_event=events.append,
    ) as provider:
        expires_at = sandbox.clock.time() + 60
        await provider.set_token(
            aa.Token(planted.text, refresh_token=planted.text, expires_at=expires_at)
        )
        sandbox.clock.advance(61)
        FAULTS[fault](sandbox, planted.text)
        with pytest.raises(aa.AritmaAuthError) as caught:
            await provider.get_token()

        planted.assert_hidden(caught.value, provider, provider.status(), *events)
    assert events


@pytest.mark.parametrize("fault", ["an echo", "half a response", "no ID token"])
async def test_a_device_that_fails_shows_no_secret(sandbox, canary, monkeypatch, fault):
    """The error shows neither the device code nor the user code."""
    client = client_of(sandbox, "sandbox-cli")
    shown = {
        "device_code": canary.text,
        "user_code": canary.text,
        "verification_uri": "https://id.example/device",
        "verification_uri_complete": f"https://id.example/device?code={canary.text}",
        "expires_in": 60,
    }
    sandbox.faults.respond_next(json.dumps(shown).encode(), where="deviceauthorization")
    device = await client.begin_device_sign_in()

    async def sleep(seconds):
        sandbox.clock.advance(seconds)

    monkeypatch.setattr(sandbox.clock, "sleep", sleep)
    FAULTS[fault](sandbox, canary.text)
    with pytest.raises(aa.AritmaAuthError) as caught:
        await client.complete_device_sign_in(device)

    canary.assert_hidden(caught.value, device)


@pytest.mark.parametrize("where", ["header", "body"])
async def test_a_token_that_userinfo_refuses_does_not_show(sandbox, canary, where):
    """The error masks the token even if the server repeats it."""
    challenge = f'Bearer error="invalid_token", error_description="no: {canary.text}"'
    headers = {"WWW-Authenticate": challenge} if where == "header" else {}
    body = refusal(canary.text, "invalid_token")
    sandbox.faults.respond_next(body, status=401, headers=headers, where="userinfo")
    with pytest.raises(aa.OAuthError, match=r"invalid_token: .*\*\*\*") as caught:
        await client_of(sandbox).fetch_userinfo(aa.Token(canary.text), subject="user-alice")

    canary.assert_hidden(caught.value)


async def test_a_wrong_password_does_not_show(sandbox, canary):
    """The error masks the password even if the server repeats it."""
    sandbox.faults.respond_next(refusal(canary.text), status=400)
    with pytest.warns(DeprecationWarning):
        grant = aa.PasswordGrant("alice", canary.text, scope="openid")
    with pytest.raises(aa.InvalidGrantError) as caught:
        await client_of(sandbox).fetch_token(grant)

    canary.assert_hidden(caught.value, grant)
    assert caught.value.description == "Invalid: ***"


async def test_a_very_short_password_is_not_masked(sandbox):
    """A password such as 'in' must not make every message unreadable."""
    sandbox.faults.respond_next(refusal("grant"), status=400)
    with pytest.warns(DeprecationWarning):
        grant = aa.PasswordGrant("alice", "In", scope="openid")
    with pytest.raises(aa.InvalidGrantError, match="Invalid: grant"):
        await client_of(sandbox).fetch_token(grant)


async def test_a_completed_sign_in_shows_no_secret(sandbox, planted):
    """Neither the repr nor the text of a sign-in shows a token."""
    done = await sign_in(client_of(sandbox), "openid profile offline_access bankservice")

    planted.assert_hidden(done)
    for secret in (done.token.access_token, done.token.refresh_token, done.token.id_token):
        assert secret not in f"{done!r} {done} {done.token!r}"


@pytest.mark.parametrize(
    "call",
    [
        lambda client, text: client.verify_id_token(f"{text}.b.c", nonce=None),
        lambda client, text: client.verify_id_token("a.b.c", nonce=None, access_token=text),
        lambda client, text: client.verify_logout_token(f"{text}.b.c"),
        lambda client, text: client.revoke(text),
        lambda client, text: client.revoke(aa.Token(text)),
        lambda client, text: client.introspect(text),
        lambda client, text: client.end_session_url(id_token_hint=text, state="\ud800"),
    ],
    ids=[
        "id token",
        "its access token",
        "logout token",
        "revoked",
        "a Token",
        "introspected",
        "hint",
    ],
)
async def test_a_token_that_a_caller_hands_over_shows_in_no_frame(sandbox, canary, call):
    """An error reporter that shows the frames' locals finds no token, whatever fails."""
    for place in ("revocation", "introspect"):
        sandbox.faults.fail_next(503, where=place)

    with pytest.raises(aa.AritmaAuthError) as caught:
        await call(client_of(sandbox), canary.text)
    canary.assert_hidden(caught.value)

"""Tests of sign-ins by the code, hybrid and implicit flows, each of which counts once."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.client.connection import ServerConnection
from aritma_auth.protocol.authorization_response import validate_authorization_response
from aritma_auth.sandbox import Sandbox
from support.clock import ShiftedClock
from support.journeys import REDIRECT_URI, begin, client_of, sign_in, visit

pytestmark = pytest.mark.usefixtures("no_leftovers")


async def test_an_end_user_signs_in_with_a_code(sandbox, client):
    """One token request gives verified claims and tokens for the API."""
    done = await sign_in(client, "openid profile offline_access bankservice")

    assert done.subject == "user-alice"
    assert done.claims["iss"] == sandbox.identity_url
    assert done.token.refresh_token
    assert done.token.scope == ("openid", "profile", "offline_access", "bankservice")
    assert [request.grant_type for request in sandbox.token_requests] == ["authorization_code"]


async def test_the_request_has_each_given_parameter(sandbox):
    """Each given parameter is sent, beside a fresh state, nonce and S256 challenge."""
    client = client_of(sandbox)
    request = await client.begin_sign_in(
        REDIRECT_URI,
        prompt="login",
        max_age=60,
        login_hint="alice",
        acr_values=aa.build_acr_values(mfa=True, tenant="acme"),
        ui_locales="nb en",
        resource=["https://api.example/"],
        extra={"claims": "{}"},
    )
    asked = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
    secret = {name: asked.pop(name) for name in ("state", "nonce", "code_challenge")}

    assert all(len(value) >= 43 for value in secret.values())
    assert asked == {
        "response_type": "code",
        "client_id": "sandbox-web",
        "redirect_uri": REDIRECT_URI,
        "scope": "openid",
        "code_challenge_method": "S256",
        "prompt": "login",
        "max_age": "60",
        "login_hint": "alice",
        "acr_values": "mfa tenant:acme",
        "ui_locales": "nb en",
        "resource": "https://api.example/",
        "claims": "{}",
    }


async def test_no_two_sign_ins_share_a_secret(client):
    """State, nonce and verifier are new each time."""
    requests = [await client.begin_sign_in(REDIRECT_URI) for _ in range(20)]
    secrets = {secret.text for r in requests for secret in (r.state, r.nonce, r.code_verifier)}

    assert len(secrets) == 60


async def test_what_an_api_asked_for_goes_into_the_next_sign_in(sandbox, client):
    """The step-up's parameters join the application's own (RFC 9470 §4)."""
    step_up = aa.StepUpRequiredError("more", acr_values=("mfa",), max_age=300, scope=("api",))
    request = await client.begin_sign_in(
        REDIRECT_URI, "openid bankservice", step_up=step_up, requires_acr=True
    )
    done = await client.complete_sign_in(request, await visit(request))

    assert request.scope == ("openid", "bankservice", "api")
    assert (request.acr_values, request.max_age) == (("mfa",), 300)
    assert done.claims["acr"] == "mfa"
    sandbox.overrides.id_token = {"acr": "pwd"}
    with pytest.raises(aa.IdTokenError, match="acr"):
        await sign_in(client, step_up=step_up, requires_acr=True)


@pytest.mark.parametrize(
    ("resource", "again"),
    [
        ((), []),
        (("urn:aritma:banking",), ["urn:aritma:banking"]),
        (("urn:aritma:banking", "urn:aritma:bankservice"), []),
    ],
)
async def test_the_exchange_names_one_api_again(client, monkeypatch, resource, again):
    """The token request repeats a single resource, and none of several."""
    named = []
    post = ServerConnection.post_authenticated

    async def listen(connection, endpoint, parameters, *rest, **settings):
        named.extend(value for name, value in parameters if name == "resource")
        return await post(connection, endpoint, parameters, *rest, **settings)

    monkeypatch.setattr(ServerConnection, "post_authenticated", listen)
    done = await sign_in(client, "openid api bankservice", resource=resource)

    assert done.subject == "user-alice"
    assert named == again


@pytest.mark.parametrize("elsewhere", ["another client", "another tenant", "the default tenant"])
async def test_a_code_goes_to_no_client_but_its_own(sandbox, elsewhere):
    """Another client's code is refused unsent, and its own may still send it (RFC 9700 §4.4.2)."""
    tenant = {"environment": sandbox.environment.for_tenant("acme")}
    other = {
        "another client": client_of(sandbox, "sandbox-hybrid", **tenant),
        "another tenant": client_of(sandbox, environment=sandbox.environment.for_tenant("other")),
        "the default tenant": client_of(sandbox),
    }[elsewhere]
    client = client_of(sandbox, **tenant)
    request, callback = await begin(client)
    with pytest.raises(aa.ConfigurationError, match="another client"):
        await other.complete_sign_in(request, callback)
    response = validate_authorization_response(request, callback, now=sandbox.clock.time())
    with pytest.raises(aa.ConfigurationError, match="another client"):
        await other.exchange_code(response)
    with pytest.raises(aa.ConfigurationError, match="another client"):
        await other.fetch_token(aa.AuthorizationCodeGrant(response))
    asked = len(sandbox.token_requests)

    assert (asked, (await client.exchange_code(response)).subject) == (0, "user-alice")


async def test_a_token_from_the_browser_is_no_other_clients(sandbox):
    """An access token of the authorization response is bound to its client too."""
    client = client_of(sandbox, "sandbox-implicit")
    request, callback = await begin(client, "bankservice", response_type="token")
    response = validate_authorization_response(request, callback, now=sandbox.clock.time())
    with pytest.raises(aa.ConfigurationError, match="another client"):
        await client_of(sandbox).exchange_code(response)

    assert (await client.exchange_code(response)).token


@pytest.mark.parametrize("response_type", ["code", "code id_token"])
async def test_a_tenants_sign_in_is_no_other_tenants(sandbox, response_type):
    """The issuers differ, although client, redirect URI, nonce and keys are the same."""
    client = client_of(
        sandbox, "sandbox-hybrid", environment=sandbox.environment.for_tenant("acme")
    )
    request = await client.begin_sign_in(REDIRECT_URI, response_type=response_type)
    astray = attrs.evolve(
        request, authorization_endpoint=sandbox.environment.endpoint("authorization_endpoint")
    )
    with pytest.raises(aa.IssuerMismatchError):
        await client.complete_sign_in(request, await visit(astray))

    assert sandbox.token_requests == []


@pytest.mark.parametrize("response_mode", ["query", "fragment", "form_post"])
async def test_a_code_comes_back_in_every_mode(client, response_mode):
    """The response arrives as a URL's query, as its fragment or as a posted form."""
    done = await sign_in(client, response_mode=response_mode)

    assert done.subject == "user-alice"


HYBRID = ("code id_token", "code token", "code id_token token")
IMPLICIT = ("id_token", "token", "id_token token")


@pytest.mark.parametrize("response_mode", ["fragment", "form_post"])
@pytest.mark.parametrize("response_type", HYBRID)
async def test_a_hybrid_sign_in_checks_both_channels(sandbox, response_type, response_mode):
    """The token and the claims are those of the token endpoint."""
    client = client_of(sandbox, "sandbox-hybrid")
    done = await sign_in(client, response_type=response_type, response_mode=response_mode)

    assert done.subject == "user-alice"
    assert done.claims.get("c_hash") is None
    assert len(sandbox.token_requests) == 1


@pytest.mark.parametrize("response_mode", ["fragment", "form_post"])
@pytest.mark.parametrize("response_type", IMPLICIT)
async def test_an_implicit_sign_in_needs_no_token_request(sandbox, response_type, response_mode):
    """The token has no refresh token, and only an ID token gives the subject."""
    client = client_of(sandbox, "sandbox-implicit")
    scope = "bankservice" if response_type == "token" else "openid profile"
    scope += " bankservice" if response_type == "id_token token" else ""
    done = await sign_in(client, scope, response_type=response_type, response_mode=response_mode)

    assert done.claims.get("sub") == ("user-alice" if "id_token" in response_type else None)
    assert done.has_token is (response_type != "id_token")
    assert not done.has_token or done.token.refresh_token is None
    assert not done.has_token or done.token.id_token == done.id_token
    assert (done.id_token is None) == ("id_token" not in response_type)
    assert sandbox.token_requests == []


@pytest.mark.parametrize(
    ("audience", "trusted", "is_good"),
    [
        (["sandbox-web", "ledger"], "ledger", True),
        (["ledger", "sandbox-web"], ["archive", "ledger"], True),
        (["sandbox-web", "ledger"], (), False),
        (["sandbox-web", "another"], "ledger", False),
        (["ledger"], "ledger", False),
    ],
)
async def test_an_additional_audience_is_accepted_if_the_client_trusts_it(
    sandbox, audience, trusted, is_good
):
    """``trusted_audiences`` lists the further audiences of an ID token; the default is none."""
    sandbox.overrides.id_token = {"aud": audience}
    client = client_of(sandbox, trusted_audiences=trusted)
    if is_good:
        assert (await sign_in(client)).subject == "user-alice"
    else:
        with pytest.raises(aa.IdTokenError, match="aud"):
            await sign_in(client)


@pytest.mark.parametrize("trusted", [5, [5], [""], None, b"ledger"])
def test_an_audience_to_trust_is_a_name(sandbox, trusted):
    """A value of the wrong kind is refused at construction."""
    with pytest.raises(aa.ConfigurationError, match=r"^trusted_audiences must be"):
        client_of(sandbox, trusted_audiences=trusted)


async def test_an_oauth_sign_in_brings_a_token_and_no_claims(sandbox, client):
    """Without openid there is no ID token to verify, and no key is fetched."""
    sandbox.faults.fail_next(500, where="jwks")
    done = await sign_in(client, "bankservice")

    assert (done.has_subject, len(done.claims)) == (False, 0)
    assert done.token.id_token is None


async def test_a_sign_in_goes_on_in_another_process(sandbox, client):
    """Another client completes the sign-in from the request's JSON."""
    request, callback = await begin(client)
    elsewhere = client_of(sandbox)
    done = await elsewhere.complete_sign_in(
        aa.AuthorizationRequest.from_json(request.to_json()), callback
    )

    assert done.subject == "user-alice"


async def test_a_code_is_exchanged_once(sandbox, client):
    """The second use of the authorization response, or of the callback, is refused."""
    request, callback = await begin(client)
    response = validate_authorization_response(request, callback, now=sandbox.clock.time())
    await client.exchange_code(response)
    with pytest.raises(aa.ConfigurationError, match="once"):
        await client.exchange_code(response)
    with pytest.raises(aa.ConfigurationError, match="once"):
        await client.fetch_token(aa.AuthorizationCodeGrant(response))
    with pytest.raises(aa.StateMismatchError):
        await client.complete_sign_in(request, callback)

    assert len(sandbox.token_requests) == 1


@pytest.mark.parametrize(
    ("client_id", "response_type"),
    [
        ("sandbox-web", "code"),
        ("sandbox-hybrid", "code id_token"),
        ("sandbox-implicit", "id_token"),
    ],
)
async def test_an_authorization_response_counts_once_among_tasks(sandbox, client_id, response_type):
    """Of 25 tasks with the same authorization response, one signs in."""
    client = client_of(sandbox, client_id)
    request, callback = await begin(client, "openid", response_type=response_type)
    response = validate_authorization_response(request, callback, now=sandbox.clock.time())
    outcomes = await asyncio.gather(
        *(client.exchange_code(response) for _ in range(25)), return_exceptions=True
    )
    kinds = sorted(type(outcome).__name__ for outcome in outcomes)

    assert kinds == ["ConfigurationError"] * 24 + ["SignIn"]
    assert len(sandbox.token_requests) == ("code" in response_type)


async def test_a_callback_counts_once_among_threads(sandbox, client):
    """Of fifty validations of the same state, one succeeds."""
    request, callback = await begin(client)

    def validate(_):
        try:
            return validate_authorization_response(request, callback, now=sandbox.clock.time())
        except aa.StateMismatchError:
            return None

    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(validate, range(50)))

    assert len([response for response in responses if response]) == 1


async def test_a_code_that_was_not_processed_may_be_sent_again(sandbox, client):
    """A 503 does not spend the code, since the server has not processed the request."""
    request, callback = await begin(client)
    response = validate_authorization_response(request, callback, now=sandbox.clock.time())
    sandbox.faults.fail_next(503)
    with pytest.raises(aa.InvalidResponseError):
        await client.exchange_code(response)
    done = await client.exchange_code(response)

    assert done.subject == "user-alice"


async def test_a_code_is_kept_while_the_secret_is_missing(sandbox, tmp_path):
    """Nothing was sent, so the sign-in succeeds once the secret's file exists."""
    file = tmp_path / "secret"
    client = aa.OAuthClient(
        "sandbox-web", aa.Secret.from_file(file), environment=sandbox.environment
    )
    request, callback = await begin(client)
    response = validate_authorization_response(request, callback, now=sandbox.clock.time())
    with pytest.raises(aa.ConfigurationError, match="cannot be read"):
        await client.exchange_code(response)
    file.write_text("web-secret")

    assert (await client.exchange_code(response)).subject == "user-alice"


@pytest.mark.parametrize("fault", ["lose_response_next", "truncate_next"])
async def test_a_code_whose_response_was_lost_is_never_sent_again(sandbox, client, fault):
    """A second use would revoke the tokens of the first (RFC 6749 §4.1.2)."""
    request, callback = await begin(client)
    response = validate_authorization_response(request, callback, now=sandbox.clock.time())
    getattr(sandbox.faults, fault)()
    with pytest.raises(aa.TransportError):
        await client.exchange_code(response)
    with pytest.raises(aa.ConfigurationError, match="once"):
        await client.exchange_code(response)


async def test_a_refused_code_is_spent(sandbox, client):
    """The server refuses the expired code, and the client does not send it again."""
    request, callback = await begin(client)
    response = validate_authorization_response(request, callback, now=sandbox.clock.time())
    sandbox.clock.advance(301)
    with pytest.raises(aa.InvalidGrantError):
        await client.exchange_code(response)
    with pytest.raises(aa.ConfigurationError, match="once"):
        await client.exchange_code(response)


async def test_a_cancelled_exchange_spends_the_code(sandbox, client):
    """The request may have arrived, so the code is not sent again."""
    request, callback = await begin(client)
    response = validate_authorization_response(request, callback, now=sandbox.clock.time())
    gate = sandbox.faults.hold()
    exchange = asyncio.create_task(client.exchange_code(response))
    await gate.until(1)
    exchange.cancel()
    await asyncio.wait([exchange])
    gate.release()

    assert exchange.cancelled()
    with pytest.raises(aa.ConfigurationError, match="once"):
        await client.exchange_code(response)


async def test_without_keys_the_code_is_not_spent(sandbox, client):
    """The code is not sent until the keys that verify the ID token are there."""
    request, callback = await begin(client)
    response = validate_authorization_response(request, callback, now=sandbox.clock.time())
    sandbox.faults.fail_next(503, where="jwks")
    with pytest.raises(aa.InvalidResponseError):
        await client.exchange_code(response)
    asked = len(sandbox.token_requests)
    sandbox.clock.advance(1)

    assert (asked, (await client.exchange_code(response)).subject) == (0, "user-alice")


async def test_a_sign_in_without_an_id_token_is_refused(sandbox, client):
    """The scope openid requires an ID token in the token response."""
    sandbox.overrides.token_response = {"id_token": None}
    with pytest.raises(aa.IdTokenError, match="no ID token came"):
        await sign_in(client)


async def test_both_id_tokens_must_be_about_one_end_user(sandbox):
    """The sub of both ID tokens must be equal (OpenID Connect Core 1.0 §3.3.3.6)."""
    client = client_of(sandbox, "sandbox-hybrid")
    request, callback = await begin(client, response_type="code id_token")
    sandbox.overrides.id_token = {"sub": "user-mallory"}
    with pytest.raises(aa.IdTokenError, match="sub differs"):
        await client.complete_sign_in(request, callback)


@pytest.mark.parametrize("error", ["access_denied", "login_required", "consent_required"])
async def test_a_refusal_is_typed(sandbox, client, error):
    """The error has the code and the description of the authorization response."""
    sandbox.faults.deny_next(error, "no & no")
    with pytest.raises(aa.OAuthError) as caught:
        await sign_in(client)

    assert (caught.value.error, caught.value.description) == (error, "no & no")
    assert isinstance(caught.value, aa.AccessDeniedError) == (error == "access_denied")


async def test_an_end_user_signs_in_although_our_clock_is_a_day_behind(sandbox):
    """The claims are validated by the server's clock, as the Date of its responses shows it."""
    client = client_of(sandbox, clock=ShiftedClock(sandbox.clock, -86_400))

    assert (await sign_in(client, max_age=60)).subject == "user-alice"


async def test_a_sign_in_shows_no_secret(sandbox, client, canary):
    """Neither the request, the authorization response nor an error shows a secret."""
    sandbox.overrides.authorization_response = {"code": canary.text}
    request, callback = await begin(client)
    response = validate_authorization_response(request, callback, now=sandbox.clock.time())
    with pytest.raises(aa.InvalidGrantError) as caught:
        await client.exchange_code(response)

    canary.assert_hidden(request, response, caught.value)
    for secret in (request.state, request.nonce, request.code_verifier):
        assert secret.text not in repr(request) + repr(response)


async def test_keys_that_only_look_good_are_passed_over(sandbox, client):
    """Keys with the same kid and another kind, use or algorithm are ignored (FAPI 2.0 §5.4.3)."""
    sandbox.faults.publish_decoys()
    sandbox.overrides.keys += ["nonsense", None, {}]

    assert (await sign_in(client)).subject == "user-alice"


@pytest.mark.parametrize("generation", ["is4", "duende-6.3", "duende-7.4", "duende-8"])
async def test_every_generation_signs_end_users_in(generation):
    """The sign-in succeeds with discovery, with the fixed paths and for a tenant."""
    async with Sandbox(server_version=generation) as sandbox:
        sandbox.sign_in_automatically("bob")
        discovered = aa.Environment.at(sandbox.identity_url, discover=True)
        subjects = [
            (await sign_in(client_of(sandbox, environment=environment))).subject
            for environment in (sandbox.environment, discovered, discovered.for_tenant("acme"))
        ]

    assert subjects == ["user-bob"] * 3


async def test_userinfo_is_about_the_end_user_who_signed_in(sandbox, client):
    """The sub must equal the given subject or that of the ID token."""
    done = await sign_in(client, "openid profile email")
    claims = await client.fetch_userinfo(done.token)
    sandbox.overrides.userinfo = {"sub": "user-mallory"}
    with pytest.raises(aa.VerificationError, match="another end-user"):
        await client.fetch_userinfo(done.token)
    with pytest.raises(aa.VerificationError, match="another end-user"):
        await client.fetch_userinfo(done.token, subject=done.subject)

    assert (claims["name"], claims["email"]) == ("Alice Almås", "alice@sandbox.example")
    assert await client.fetch_userinfo(done.token, subject="user-mallory")


async def test_userinfo_needs_a_subject(client):
    """Without an ID token the caller must give the subject."""
    with pytest.raises(aa.ConfigurationError, match="subject must be given"):
        await client.fetch_userinfo(aa.Token("opaque"))


async def test_userinfo_refuses_as_the_server_does(sandbox, client):
    """The error is read from the WWW-Authenticate header."""
    done = await sign_in(client)
    sandbox.faults.revoke_all()
    with pytest.raises(aa.OAuthError) as caught:
        await client.fetch_userinfo(done.token)

    assert (caught.value.error, caught.value.status) == ("invalid_token", 401)


async def test_a_sign_in_is_refreshed_as_long_as_it_can_be(sandbox, client):
    """The end-user must sign in when the refresh token expires; the ID token is kept till then."""
    sandbox.add_client(attrs.evolve(sandbox.clients["sandbox-web"], refresh_tokens_rotate=True))
    done = await sign_in(client, "openid offline_access bankservice")
    store = aa.MemoryTokenStore()
    grant = aa.SignedInGrant("user-alice")
    clock = sandbox.clock
    async with aa.TokenProvider(client, grant, store=store, clock=clock, on_event=None) as tokens:
        await tokens.set_token(done.token)
        texts = [(await tokens.get_token()).access_token]
        for _ in range(2):
            sandbox.clock.advance(3601)
            texts.append((await tokens.get_token()).access_token)
    async with aa.TokenProvider(client, grant, store=store, clock=clock, on_event=None) as tokens:
        kept = await tokens.get_token()
        sandbox.clock.advance(31 * 86_400)
        with pytest.raises(aa.ReauthenticationRequiredError):
            await tokens.get_token()

    assert len(set(texts)) == 3
    assert kept.access_token == texts[-1]
    assert kept.id_token is not None
    assert sandbox.refresh_tokens.reuse_events == 0


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "auth_time"])
async def test_a_refresh_about_another_sign_in_is_refused(sandbox, client, claim):
    """An ID token of another sign-in is refused (OpenID Connect Core 1.0 §12.2)."""
    done = await sign_in(client, "openid offline_access bankservice")
    clock = sandbox.clock
    grant = aa.SignedInGrant("user-alice")
    async with aa.TokenProvider(client, grant, clock=clock, on_event=None) as tokens:
        await tokens.set_token(done.token)
        sandbox.overrides.id_token = {claim: 1 if claim == "auth_time" else "https://other.example"}
        sandbox.clock.advance(3601)
        with pytest.raises(aa.IdTokenError) as caught:
            await tokens.get_token()

    assert caught.value.claim == claim


async def test_a_token_that_a_browser_brought_serves_until_it_expires(sandbox):
    """After its expiry the error says that the token cannot be refreshed."""
    client = client_of(sandbox, "sandbox-implicit")
    done = await sign_in(client, response_type="id_token token")
    clock = sandbox.clock
    async with aa.TokenProvider(
        client, aa.SignedInGrant("user-alice"), clock=clock, on_event=None
    ) as tokens:
        await tokens.set_token(done.token)
        sandbox.clock.advance(3500)
        served = await tokens.get_token()
        sandbox.clock.advance(101)
        with pytest.raises(aa.ReauthenticationRequiredError, match=r"cannot be refreshed.*sign in"):
            await tokens.get_token()

    assert served.access_token == done.token.access_token
    assert sandbox.token_requests == []


async def test_an_end_user_who_never_signed_in_must_sign_in(sandbox, client):
    """The provider raises ReauthenticationRequiredError and sends no request."""
    async with aa.TokenProvider(client, aa.SignedInGrant("nobody"), on_event=None) as tokens:
        with pytest.raises(aa.ReauthenticationRequiredError):
            await tokens.get_token()

    assert sandbox.token_requests == []

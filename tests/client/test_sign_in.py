"""People sign in: with a code, through the browser, in both ways, and each time once."""

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


@pytest.fixture
async def sandbox():
    async with Sandbox(server_version="duende-7.4") as sandbox:
        sandbox.sign_in_automatically("alice")
        yield sandbox


@pytest.fixture
def client(sandbox):
    return client_of(sandbox)


async def test_a_person_signs_in_with_a_code(sandbox, client):
    """Verified claims, tokens for the API, one token request."""
    done = await sign_in(client, "openid profile offline_access bankservice")

    assert done.subject == "user-alice"
    assert done.claims["iss"] == sandbox.identity_url
    assert done.token.refresh_token
    assert done.token.scope == ("openid", "profile", "offline_access", "bankservice")
    assert [request.grant_type for request in sandbox.token_requests] == ["authorization_code"]


async def test_the_request_asks_as_it_was_told(sandbox):
    """Each word arrives, beside a fresh state, nonce and S256 challenge."""
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
    """RFC 9470 §4: the step-up's words join the application's own."""
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
    """The token is for it; of several, none is chosen."""
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
    """RFC 9700 §4.4.2: nothing is sent, nothing is used up, and the right one goes on."""
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
    answer = validate_authorization_response(request, callback, now=sandbox.clock.time())
    with pytest.raises(aa.ConfigurationError, match="another client"):
        await other.exchange_code(answer)
    with pytest.raises(aa.ConfigurationError, match="another client"):
        await other.fetch_token(aa.AuthorizationCodeGrant(answer))
    asked = len(sandbox.token_requests)

    assert (asked, (await client.exchange_code(answer)).subject) == (0, "user-alice")


async def test_a_token_from_the_browser_is_no_other_clients(sandbox):
    """Where no code is exchanged, too."""
    client = client_of(sandbox, "sandbox-implicit")
    request, callback = await begin(client, "bankservice", response_type="token")
    answer = validate_authorization_response(request, callback, now=sandbox.clock.time())
    with pytest.raises(aa.ConfigurationError, match="another client"):
        await client_of(sandbox).exchange_code(answer)

    assert (await client.exchange_code(answer)).token


@pytest.mark.parametrize("response_type", ["code", "code id_token"])
async def test_a_tenants_sign_in_is_no_other_tenants(sandbox, response_type):
    """Although client, redirect URI, nonce and keys are the same."""
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
    """As a URL's query, its fragment, or a posted form."""
    done = await sign_in(client, response_mode=response_mode)

    assert done.subject == "user-alice"


HYBRID = ("code id_token", "code token", "code id_token token")
IMPLICIT = ("id_token", "token", "id_token token")


@pytest.mark.parametrize("response_mode", ["fragment", "form_post"])
@pytest.mark.parametrize("response_type", HYBRID)
async def test_a_hybrid_sign_in_checks_both_channels(sandbox, response_type, response_mode):
    """The token and the claims are the token endpoint's."""
    client = client_of(sandbox, "sandbox-hybrid")
    done = await sign_in(client, response_type=response_type, response_mode=response_mode)

    assert done.subject == "user-alice"
    assert done.claims.get("c_hash") is None
    assert len(sandbox.token_requests) == 1


@pytest.mark.parametrize("response_mode", ["fragment", "form_post"])
@pytest.mark.parametrize("response_type", IMPLICIT)
async def test_an_implicit_sign_in_needs_no_token_request(sandbox, response_type, response_mode):
    """The token is usable and has no refresh token; without an ID token nobody is known."""
    client = client_of(sandbox, "sandbox-implicit")
    scope = "bankservice" if response_type == "token" else "openid profile"
    scope += " bankservice" if response_type == "id_token token" else ""
    done = await sign_in(client, scope, response_type=response_type, response_mode=response_mode)

    assert done.subject == ("user-alice" if "id_token" in response_type else None)
    assert (done.token is None) == (response_type == "id_token")
    assert done.token is None or done.token.refresh_token is None
    assert done.token is None or done.token.id_token == done.id_token
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
    """``trusted_audiences`` names who else an ID token may be for; by default nobody is."""
    sandbox.overrides.id_token = {"aud": audience}
    client = client_of(sandbox, trusted_audiences=trusted)
    if is_good:
        assert (await sign_in(client)).subject == "user-alice"
    else:
        with pytest.raises(aa.IdTokenError, match="aud"):
            await sign_in(client)


@pytest.mark.parametrize("trusted", [5, [5], [""], None, b"ledger"])
def test_an_audience_to_trust_is_a_name(sandbox, trusted):
    """A wrong kind is refused when the client is made."""
    with pytest.raises(aa.ConfigurationError, match=r"^trusted_audiences must be"):
        client_of(sandbox, trusted_audiences=trusted)


async def test_an_oauth_sign_in_brings_a_token_and_no_claims(sandbox, client):
    """Without openid there is no ID token to check; no key is fetched."""
    sandbox.faults.fail_next(500, where="jwks")
    done = await sign_in(client, "bankservice")

    assert (done.subject, len(done.claims)) == (None, 0)
    assert done.token.id_token is None


async def test_a_sign_in_goes_on_in_another_process(sandbox, client):
    """The request travels as JSON; client and browser are others."""
    request, callback = await begin(client)
    elsewhere = client_of(sandbox)
    done = await elsewhere.complete_sign_in(
        aa.AuthorizationRequest.from_json(request.to_json()), callback
    )

    assert done.subject == "user-alice"


async def test_a_code_is_exchanged_once(sandbox, client):
    """The second use of the answer is refused here, and of the callback too."""
    request, callback = await begin(client)
    answer = validate_authorization_response(request, callback, now=sandbox.clock.time())
    await client.exchange_code(answer)
    with pytest.raises(aa.ConfigurationError, match="once"):
        await client.exchange_code(answer)
    with pytest.raises(aa.ConfigurationError, match="once"):
        await client.fetch_token(aa.AuthorizationCodeGrant(answer))
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
async def test_an_answer_counts_once_however_many_come_at_once(sandbox, client_id, response_type):
    """Of 25 tasks with the same answer one signs in: its code, verifier and nonce are used once."""
    client = client_of(sandbox, client_id)
    request, callback = await begin(client, "openid", response_type=response_type)
    answer = validate_authorization_response(request, callback, now=sandbox.clock.time())
    outcomes = await asyncio.gather(
        *(client.exchange_code(answer) for _ in range(25)), return_exceptions=True
    )
    kinds = sorted(type(outcome).__name__ for outcome in outcomes)

    assert kinds == ["ConfigurationError"] * 24 + ["SignIn"]
    assert len(sandbox.token_requests) == ("code" in response_type)


async def test_a_callback_counts_once_however_many_threads_bring_it(sandbox, client):
    """Of fifty, one passes: a state is used once."""
    request, callback = await begin(client)

    def validate(_):
        try:
            return validate_authorization_response(request, callback, now=sandbox.clock.time())
        except aa.StateMismatchError:
            return None

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(validate, range(50)))

    assert len([answer for answer in answers if answer]) == 1


async def test_a_code_that_was_not_looked_at_may_be_sent_again(sandbox, client):
    """The gateway was busy, or nothing was sent; a code whose answer was lost is spent."""
    request, callback = await begin(client)
    answer = validate_authorization_response(request, callback, now=sandbox.clock.time())
    sandbox.faults.fail_next(503)
    with pytest.raises(aa.InvalidResponseError):
        await client.exchange_code(answer)
    done = await client.exchange_code(answer)

    assert done.subject == "user-alice"


async def test_a_code_is_kept_while_the_secret_is_missing(sandbox, tmp_path):
    """Nothing was sent: once the file is there, the sign-in goes on."""
    file = tmp_path / "secret"
    client = aa.OAuthClient(
        "sandbox-web", aa.Secret.from_file(file), environment=sandbox.environment
    )
    request, callback = await begin(client)
    answer = validate_authorization_response(request, callback, now=sandbox.clock.time())
    with pytest.raises(aa.ConfigurationError, match="cannot be read"):
        await client.exchange_code(answer)
    file.write_text("web-secret")

    assert (await client.exchange_code(answer)).subject == "user-alice"


@pytest.mark.parametrize("trouble", ["lose_response_next", "truncate_next"])
async def test_a_code_whose_answer_was_lost_is_never_sent_again(sandbox, client, trouble):
    """RFC 6749 §4.1.2: a second use would end the tokens of the first."""
    request, callback = await begin(client)
    answer = validate_authorization_response(request, callback, now=sandbox.clock.time())
    getattr(sandbox.faults, trouble)()
    with pytest.raises(aa.TransportError):
        await client.exchange_code(answer)
    with pytest.raises(aa.ConfigurationError, match="once"):
        await client.exchange_code(answer)


async def test_a_refused_code_is_spent(sandbox, client):
    """Five minutes later it means nothing."""
    request, callback = await begin(client)
    answer = validate_authorization_response(request, callback, now=sandbox.clock.time())
    sandbox.clock.advance(301)
    with pytest.raises(aa.InvalidGrantError):
        await client.exchange_code(answer)
    with pytest.raises(aa.ConfigurationError, match="once"):
        await client.exchange_code(answer)


async def test_a_cancelled_exchange_spends_the_code(sandbox, client):
    """It may have arrived, and nothing goes on that nobody would hear of."""
    request, callback = await begin(client)
    answer = validate_authorization_response(request, callback, now=sandbox.clock.time())
    gate = sandbox.faults.hold()
    exchange = asyncio.create_task(client.exchange_code(answer))
    await gate.until(1)
    exchange.cancel()
    await asyncio.wait([exchange])
    gate.release()

    assert exchange.cancelled()
    with pytest.raises(aa.ConfigurationError, match="once"):
        await client.exchange_code(answer)


async def test_without_keys_the_code_is_not_spent(sandbox, client):
    """What could not be checked is not asked for; a moment later it can be."""
    request, callback = await begin(client)
    answer = validate_authorization_response(request, callback, now=sandbox.clock.time())
    sandbox.faults.fail_next(503, where="jwks")
    with pytest.raises(aa.InvalidResponseError):
        await client.exchange_code(answer)
    asked = len(sandbox.token_requests)
    sandbox.clock.advance(1)

    assert (asked, (await client.exchange_code(answer)).subject) == (0, "user-alice")


async def test_a_sign_in_without_an_id_token_is_refused(sandbox, client):
    """openid was asked for."""
    sandbox.overrides.token_response = {"id_token": None}
    with pytest.raises(aa.IdTokenError, match="no ID token came"):
        await sign_in(client)


async def test_both_id_tokens_must_be_about_one_person(sandbox):
    """OpenID Connect Core 1.0 §3.3.3.6."""
    client = client_of(sandbox, "sandbox-hybrid")
    request, callback = await begin(client, response_type="code id_token")
    sandbox.overrides.id_token = {"sub": "user-mallory"}
    with pytest.raises(aa.IdTokenError, match="sub differs"):
        await client.complete_sign_in(request, callback)


@pytest.mark.parametrize("error", ["access_denied", "login_required", "consent_required"])
async def test_a_refusal_is_typed(sandbox, client, error):
    """Whoever said no: the person or the server."""
    sandbox.faults.deny_next(error, "no & no")
    with pytest.raises(aa.OAuthError) as caught:
        await sign_in(client)

    assert (caught.value.error, caught.value.description) == (error, "no & no")
    assert isinstance(caught.value, aa.AccessDeniedError) == (error == "access_denied")


async def test_a_clock_that_is_wrong_by_a_day_signs_people_in(sandbox):
    """Times are judged by the server's clock, as its answers show it."""
    client = client_of(sandbox, clock=ShiftedClock(sandbox.clock, -86_400))

    assert (await sign_in(client, max_age=60)).subject == "user-alice"


async def test_a_sign_in_shows_no_secret(sandbox, client, canary):
    """Neither the request, the answer nor the errors on the way."""
    sandbox.overrides.authorization_response = {"code": canary.text}
    request, callback = await begin(client)
    answer = validate_authorization_response(request, callback, now=sandbox.clock.time())
    with pytest.raises(aa.InvalidGrantError) as caught:
        await client.exchange_code(answer)

    canary.assert_hidden(request, answer, caught.value)
    for secret in (request.state, request.nonce, request.code_verifier):
        assert secret.text not in repr(request) + repr(answer)


async def test_keys_that_only_look_good_are_passed_over(sandbox, client):
    """FAPI 2.0 §5.4.3: the same kid, and another kind, use or algorithm; or no key at all."""
    sandbox.faults.publish_decoys()
    sandbox.overrides.keys += ["nonsense", None, {}]

    assert (await sign_in(client)).subject == "user-alice"


@pytest.mark.parametrize("generation", ["is4", "duende-6.3", "duende-7.4", "duende-8"])
async def test_every_generation_signs_people_in(generation):
    """With discovery, and by the fixed paths."""
    async with Sandbox(server_version=generation) as sandbox:
        sandbox.sign_in_automatically("bob")
        discovered = aa.Environment.at(sandbox.identity_url, discover=True)
        subjects = [
            (await sign_in(client_of(sandbox, environment=environment))).subject
            for environment in (sandbox.environment, discovered, discovered.for_tenant("acme"))
        ]

    assert subjects == ["user-bob"] * 3


async def test_userinfo_is_about_the_person_who_signed_in(sandbox, client):
    """The subject is compared; it can be given or taken from the ID token."""
    done = await sign_in(client, "openid profile email")
    claims = await client.fetch_userinfo(done.token)
    sandbox.overrides.userinfo = {"sub": "user-mallory"}
    with pytest.raises(aa.VerificationError, match="another end-user"):
        await client.fetch_userinfo(done.token)
    with pytest.raises(aa.VerificationError, match="another end-user"):
        await client.fetch_userinfo(done.token, subject=done.subject)

    assert (claims["name"], claims["email"]) == ("Alice Almås", "alice@sandbox.example")
    assert await client.fetch_userinfo(done.token, subject="user-mallory")


async def test_userinfo_needs_to_know_whom_to_expect(client):
    """A token alone does not say."""
    with pytest.raises(aa.ConfigurationError, match="subject="):
        await client.fetch_userinfo(aa.Token("opaque"))


async def test_userinfo_refuses_as_the_server_does(sandbox, client):
    """In a header alone."""
    done = await sign_in(client)
    sandbox.faults.revoke_all()
    with pytest.raises(aa.OAuthError) as caught:
        await client.fetch_userinfo(done.token)

    assert (caught.value.error, caught.value.status) == ("invalid_token", 401)


async def test_a_sign_in_is_refreshed_as_long_as_it_can_be(sandbox, client):
    """Then the person is needed; the ID token stays the sign-in's."""
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
    """OpenID Connect Core 1.0 §12.2: the tokens are not used."""
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
    """Then the error says that it cannot be refreshed."""
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


async def test_somebody_who_never_signed_in_must(sandbox, client):
    """Nothing is sent."""
    async with aa.TokenProvider(client, aa.SignedInGrant("nobody"), on_event=None) as tokens:
        with pytest.raises(aa.ReauthenticationRequiredError):
            await tokens.get_token()

    assert sandbox.token_requests == []

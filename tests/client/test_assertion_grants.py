"""Assertions and exchanged tokens, end to end: made anew for each request, and never another's."""

import asyncio

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.protocol.jwt import parse_unverified_claims
from aritma_auth.sandbox import Sandbox, SandboxClient
from aritma_auth.sandbox.identity.keys import signing_key
from support.journeys import client_of, sign_in

pytestmark = pytest.mark.usefixtures("no_leftovers")

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TYPE = "urn:ietf:params:oauth:token-type:"
KEY = aa.SigningKey.generate("ES256", key_id="k1")
HOUR = 3600


@pytest.fixture
async def sandbox():
    async with Sandbox(server_version="duende-7.4") as sandbox:
        sandbox.sign_in_automatically("alice")
        sandbox.add_client(
            SandboxClient(
                client_id="robot",
                public_key=KEY.public_jwk,
                grant_types=JWT_BEARER,
                scopes=("bankservice", "api"),
            )
        )
        yield sandbox


def robot(sandbox, client_auth=None):
    return aa.OAuthClient(
        "robot", client_auth, environment=sandbox.environment, clock=sandbox.clock
    )


def provider(client, grant, sandbox, **settings):
    return aa.TokenProvider(client, grant, clock=sandbox.clock, **settings)


def subject_of(token):
    return parse_unverified_claims(token.access_token).get("sub")


async def remote_sign(signing_input):
    await asyncio.sleep(0)
    return KEY.sign(signing_input)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(lambda: KEY, id="a key of this process"),
        pytest.param(lambda: aa.RemoteSigner("ES256", remote_sign, "k1"), id="a key elsewhere"),
        pytest.param(lambda: aa.Secret(KEY.to_jwk()), id="a secret"),
        pytest.param(lambda: KEY.to_jwk(), id="a text"),
    ],
)
async def test_a_client_signs_its_own_assertion(sandbox, key):
    """With its key alone, as at Maskinporten, it gets a token for itself."""
    given = key()
    algorithm = "ES256" if isinstance(given, str | aa.Secret) else None
    grant = aa.JwtBearerGrant(
        aa.JwtAssertion(given, algorithm=algorithm, claims={"scope": "bankservice"})
    )
    token = await robot(sandbox).fetch_token(grant)

    assert token.scope == ("bankservice",)
    assert subject_of(token) is None


async def test_each_request_has_an_assertion_of_its_own(sandbox):
    """A server that takes each assertion once gives a provider token after token."""
    grant = aa.JwtBearerGrant(aa.JwtAssertion(KEY), scope="bankservice")
    async with provider(robot(sandbox), grant, sandbox) as tokens:
        got = []
        for _ in range(3):
            got.append((await tokens.get_token()).access_token)
            sandbox.clock.advance(HOUR)

    assert len(set(got)) == 3
    assert [request.error for request in sandbox.token_requests] == [None] * 3


async def test_the_client_may_authenticate_by_another_assertion(sandbox):
    """Both assertions of one request have an identifier of their own."""
    grant = aa.JwtBearerGrant(aa.JwtAssertion(KEY), scope="bankservice")
    client = robot(sandbox, aa.PrivateKeyJwt(KEY))

    assert (await client.fetch_token(grant)).scope == ("bankservice",)


async def test_an_assertion_of_another_issuer_is_fetched_anew(sandbox):
    """A provider asks its source for each refresh, so that it outlives any assertion."""
    made = []

    async def fetch():
        made.append(sandbox.issue_assertion("alice"))
        return made[-1]

    client = client_of(sandbox, "sandbox-assertion")
    grant = aa.JwtBearerGrant(aa.Secret.from_callable(fetch), scope="bankservice")
    async with provider(client, grant, sandbox) as tokens:
        first = await tokens.get_token()
        sandbox.clock.advance(HOUR)
        second = await tokens.get_token()

    assert [subject_of(token) for token in (first, second)] == ["user-alice"] * 2
    assert len(made) == 2


async def test_an_assertion_given_as_text_is_presented_once(sandbox):
    """Nobody knows whether the server takes it again, so the end-user is asked instead."""
    client = client_of(sandbox, "sandbox-assertion")
    grant = aa.JwtBearerGrant(sandbox.issue_assertion("alice"), scope="bankservice")
    async with provider(client, grant, sandbox) as tokens:
        await tokens.get_token()
        sandbox.clock.advance(HOUR)
        with pytest.raises(aa.ReauthenticationRequiredError):
            await tokens.get_token()

    assert len(sandbox.token_requests) == 1


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://elsewhere.example"},
        {"exp": 1},
        {"iss": "https://unknown.example"},
        {"jti": None},
    ],
    ids=str,
)
async def test_the_sandbox_refuses_what_a_server_must(sandbox, claims):
    """Audience, time, issuer and identifier are validated (RFC 7523 §3)."""
    client = client_of(sandbox, "sandbox-assertion")
    with pytest.raises(aa.InvalidGrantError):
        await client.fetch_token(
            aa.JwtBearerGrant(sandbox.issue_assertion("alice", claims=claims), scope="api")
        )


async def test_the_sandbox_takes_an_assertion_once(sandbox):
    """The sandbox remembers its identifier and refuses the second use."""
    client = client_of(sandbox, "sandbox-assertion")
    grant = aa.JwtBearerGrant(sandbox.issue_assertion("alice"), scope="api")
    await client.fetch_token(grant)
    with pytest.raises(aa.InvalidGrantError):
        await client.fetch_token(grant)


async def test_a_key_that_is_not_registered_is_refused(sandbox):
    """Only the client's own key signs for it."""
    other = aa.SigningKey.generate("ES256")
    with pytest.raises(aa.InvalidGrantError):
        await robot(sandbox).fetch_token(aa.JwtBearerGrant(aa.JwtAssertion(other), scope="api"))
    with pytest.raises(aa.InvalidGrantError):
        await client_of(sandbox, "sandbox-assertion").fetch_token(
            aa.JwtBearerGrant(aa.JwtAssertion(other), scope="api")
        )


@pytest.fixture
async def alice(sandbox):
    """Give a provider of Alice's sign-in."""
    client = aa.OAuthClient(
        "sandbox-web", "web-secret", environment=sandbox.environment, clock=sandbox.clock
    )
    done = await sign_in(client, "openid offline_access bankservice")
    async with provider(client, aa.SignedInGrant("user-alice"), sandbox) as tokens:
        await tokens.set_token(done.token)
        yield tokens


def exchanger(sandbox, client_id="sandbox-exchange"):
    registered = sandbox.clients[client_id]
    return aa.OAuthClient(
        client_id,
        registered.client_secret,
        environment=sandbox.environment,
        clock=sandbox.clock,
    )


@pytest.mark.parametrize("kind", ["access_token", "id_token"])
async def test_an_exchange_outlives_its_subject_token(sandbox, alice, kind):
    """Each exchange presents a living token of the end-user, refreshed if need be."""
    grant = aa.TokenExchangeGrant(alice, subject_token_type=f"{TYPE}{kind}", scope="bankservice")
    async with provider(exchanger(sandbox), grant, sandbox) as on_behalf:
        for _ in range(3):
            assert subject_of(await on_behalf.get_token()) == "user-alice"
            sandbox.clock.advance(2 * HOUR)

    exchanges = [r for r in sandbox.token_requests if "token-exchange" in r.grant_type]
    assert [request.error for request in exchanges] == [None] * 3


async def test_a_delegation_outlives_its_token(sandbox, alice):
    """Aritma's own grant takes a provider too."""
    grant = aa.DelegationGrant(alice, scope="bankservice")
    async with provider(exchanger(sandbox, "sandbox-delegate"), grant, sandbox) as on_behalf:
        for _ in range(2):
            assert subject_of(await on_behalf.get_token()) == "user-alice"
            sandbox.clock.advance(2 * HOUR)


async def test_a_subject_token_that_was_revoked_is_replaced_once(sandbox, alice):
    """The exchange is refused, the subject's provider refreshes, and the exchange succeeds."""
    grant = aa.TokenExchangeGrant(alice, scope="bankservice")
    await alice.get_token()
    sandbox.faults.revoke_all()
    token = await exchanger(sandbox).fetch_token(grant)

    assert subject_of(token) == "user-alice"
    assert [request.error for request in sandbox.token_requests][-3:] == [
        "invalid_request",
        None,
        None,
    ]


async def test_a_refusal_that_no_other_token_helps_is_raised(sandbox, alice):
    """The second refusal is the caller's."""
    grant = aa.TokenExchangeGrant(
        alice, requested_token_type="urn:example:unknown", scope="bankservice"
    )
    with pytest.raises(aa.OAuthError, match="requested_token_type"):
        await exchanger(sandbox).fetch_token(grant)
    with pytest.raises(aa.OAuthError, match="requested_token_type"):
        await exchanger(sandbox).fetch_token(grant)

    exchanges = [r for r in sandbox.token_requests if "token-exchange" in r.grant_type]
    assert len(exchanges) == 3


async def test_an_end_user_who_signed_out_is_asked_and_comes_back(sandbox, alice):
    """The exchange says that the end-user must sign in, and works at once when they have."""
    store = aa.MemoryTokenStore()
    grant = aa.TokenExchangeGrant(alice, scope="bankservice")
    client = aa.OAuthClient("sandbox-web", "web-secret", environment=sandbox.environment)
    for settings in ({}, {"store": store}):
        async with provider(exchanger(sandbox), grant, sandbox, **settings) as on_behalf:
            await alice.forget()
            with pytest.raises(aa.ReauthenticationRequiredError):
                await on_behalf.get_token()
            done = await sign_in(client, "openid offline_access bankservice")
            await alice.set_token(done.token)
            sandbox.clock.advance(2)

            assert subject_of(await on_behalf.get_token()) == "user-alice"


async def test_no_end_user_gets_anothers_exchanged_token(sandbox):
    """Over one store and one client, each end-user has an entry of their own."""
    store = aa.MemoryTokenStore()
    web = aa.OAuthClient("sandbox-web", "web-secret", environment=sandbox.environment)
    pool = aa.TokenProviderPool(
        lambda subject: aa.TokenProvider(web, aa.SignedInGrant(subject), store=store)
    )
    exchanged = aa.TokenProviderPool(
        lambda subject: aa.TokenProvider(
            exchanger(sandbox),
            aa.TokenExchangeGrant(pool.provider(subject), scope="bankservice"),
            store=store,
        )
    )
    for name in ("alice", "bob"):
        sandbox.sign_in_automatically(name)
        done = await sign_in(web, "openid offline_access bankservice")
        await pool.provider(f"user-{name}").set_token(done.token)
    subjects = ["user-alice", "user-bob"] * 3
    tokens = await asyncio.gather(*(exchanged.get_token(subject) for subject in subjects))
    await exchanged.aclose()
    await pool.aclose()

    assert [subject_of(token) for token in tokens] == subjects


async def test_a_provider_that_lacks_the_kind_says_what_to_ask_for(sandbox):
    """Without openid there is no ID token to exchange."""
    service = aa.OAuthClient("sandbox-service", "sandbox-secret", environment=sandbox.environment)
    async with aa.TokenProvider(service, aa.ClientCredentialsGrant("bankservice")) as tokens:
        for kind in ("id_token", "refresh_token"):
            grant = aa.TokenExchangeGrant(tokens, subject_token_type=f"{TYPE}{kind}")
            with pytest.raises(
                aa.ConfigurationError, match=r"subject_token must .* ask for openid"
            ):
                await exchanger(sandbox).fetch_token(grant)


async def test_the_actor_is_another_provider(sandbox, alice):
    """The exchanged token names who acts."""
    service = aa.OAuthClient("sandbox-service", "sandbox-secret", environment=sandbox.environment)
    async with aa.TokenProvider(service, aa.ClientCredentialsGrant("bankservice")) as actor:
        grant = aa.TokenExchangeGrant(alice, actor_token=actor, scope="bankservice")
        token = await exchanger(sandbox).fetch_token(grant)

    assert parse_unverified_claims(token.access_token)["act"] == {"sub": "sandbox-service"}


async def test_an_identity_assertion_leads_to_another_server(sandbox, alice):
    """ID-JAG: an exchange at the end-user's server, presented at the API's server."""
    async with Sandbox(server_version="duende-7.4") as other:
        other.clock.offset = sandbox.clock.offset
        other.trust_issuer(sandbox.identity_url, signing_key(0).public)
        other.add_client(
            attrs.evolve(other.clients["sandbox-assertion"], client_id="sandbox-exchange")
        )
        exchange = aa.TokenExchangeGrant(
            alice,
            subject_token_type=f"{TYPE}id_token",
            requested_token_type=f"{TYPE}id-jag",
            audience=other.identity_url,
            scope="api",
        )
        there = aa.OAuthClient(
            "sandbox-exchange", "assertion-secret", environment=other.environment
        )
        async with (
            provider(exchanger(sandbox), exchange, sandbox) as assertions,
            aa.TokenProvider(there, aa.JwtBearerGrant(assertions, scope="api")) as tokens,
        ):
            token = await tokens.get_token()
            assertion = await assertions.get_token()
            with pytest.raises(aa.ConfigurationError, match="no access token"):
                assertions.middleware(["https://api.example"])

    assert subject_of(token) == "user-alice"
    assert (assertion.token_type, assertion.authorization) == ("N_A", "")


async def test_an_identity_assertion_needs_an_audience(sandbox, alice):
    """The server must know which other server it is for."""
    grant = aa.TokenExchangeGrant(
        alice, subject_token_type=f"{TYPE}id_token", requested_token_type=f"{TYPE}id-jag"
    )
    with pytest.raises(aa.OAuthError, match="audience must name the other server"):
        await exchanger(sandbox).fetch_token(grant)


async def test_an_id_token_of_the_past_is_not_exchanged(sandbox, alice):
    """The sandbox validates its ID tokens as its access tokens."""
    token = await alice.get_token()
    sandbox.clock.advance(HOUR)
    with pytest.raises(aa.OAuthError, match="not valid, or any more"):
        await exchanger(sandbox).fetch_token(
            aa.TokenExchangeGrant(token.id_token, subject_token_type=f"{TYPE}id_token")
        )


async def test_an_assertion_for_another_client_is_refused(sandbox, alice):
    """An ID-JAG names the client that may present it."""
    exchange = aa.TokenExchangeGrant(
        alice,
        subject_token_type=f"{TYPE}id_token",
        requested_token_type=f"{TYPE}id-jag",
        audience=sandbox.identity_url,
    )
    async with provider(exchanger(sandbox), exchange, sandbox) as assertions:
        grant = aa.JwtBearerGrant(assertions, scope="api")
        with pytest.raises(aa.InvalidGrantError, match="another client"):
            await exchanger(sandbox, "sandbox-assertion").fetch_token(grant)


@pytest.mark.parametrize(
    ("issued", "problem"),
    [
        ({"issued_token_type": f"{TYPE}access_token", "token_type": "Bearer"}, "issued_token_type"),
        ({"issued_token_type": f"{TYPE}access_token", "token_type": "N_A"}, "issued_token_type"),
        (
            {"token_type": "N_A"},
            "issued_token_type must be urn:ietf:params:oauth:token-type:id-jag",
        ),
        ({"issued_token_type": f"{TYPE}id-jag", "token_type": "mac"}, "token_type"),
    ],
    ids=str,
)
async def test_a_token_of_another_kind_is_presented_to_nobody(http_mock, issued, problem):
    """An access token must not reach another server as an assertion."""
    http_mock.post("https://id.aritma.io/connect/token", payload={"access_token": "abc", **issued})
    grant = aa.TokenExchangeGrant("s", requested_token_type=f"{TYPE}id-jag", audience="https://x")
    with pytest.raises(aa.InvalidResponseError, match=problem):
        await aa.OAuthClient("id", "secret").fetch_token(grant)


@pytest.mark.parametrize("kind", [None, "access_token", "jwt"])
async def test_kinds_that_an_api_takes_replace_one_another(http_mock, kind):
    """Servers respond with an access token whatever they call it."""
    http_mock.post(
        "https://id.aritma.io/connect/token",
        payload={
            "access_token": "abc",
            "token_type": "Bearer",
            "issued_token_type": f"{TYPE}access_token",
        },
    )
    wanted = None if kind is None else f"{TYPE}{kind}"
    grant = aa.TokenExchangeGrant("s", requested_token_type=wanted)

    assert (await aa.OAuthClient("id", "secret").fetch_token(grant)).access_token == "abc"


async def test_a_plain_grant_gets_no_token_that_is_none(http_mock):
    """Only a grant that asks for another kind accepts N_A."""
    http_mock.post(
        "https://id.aritma.io/connect/token", payload={"access_token": "abc", "token_type": "N_A"}
    )
    with pytest.raises(aa.InvalidResponseError, match="token_type"):
        await aa.OAuthClient("id", "secret").fetch_token(aa.TokenExchangeGrant("s"))


async def test_a_service_may_ask_for_an_identity_scope(http_mock):
    """The server decides: some give an ID token of the service."""
    http_mock.post(
        "https://id.aritma.io/connect/token",
        payload={"access_token": "abc", "token_type": "Bearer", "id_token": "e30.e30.e30"},
    )
    token = await aa.OAuthClient("id", "secret").fetch_token(
        aa.ClientCredentialsGrant("openid api")
    )

    assert token.id_token == "e30.e30.e30"


async def test_a_server_that_refuses_an_identity_scope_is_explained(sandbox):
    """IdentityServer says invalid_scope; the error says which scope, and why."""
    client = client_of(sandbox, "sandbox-service")
    sandbox.add_client(
        attrs.evolve(sandbox.clients["sandbox-service"], scopes=("openid", "bankservice"))
    )
    with pytest.raises(
        aa.OAuthError, match="refuse the scope openid with client_credentials"
    ) as no:
        await client.fetch_token(aa.ClientCredentialsGrant("openid bankservice"))

    assert no.value.error == "invalid_scope"


async def test_a_repeatable_grant_of_a_servers_own_refreshes(http_mock, clock):
    """A CustomGrant that says so is presented for the next token as well."""
    for number in range(2):
        http_mock.post(
            "https://id.aritma.io/connect/token",
            payload={"access_token": f"t{number}", "token_type": "Bearer", "expires_in": HOUR},
        )
    grant = aa.CustomGrant("urn:mine", {"a": "b"}, is_reusable=True)
    client = aa.OAuthClient("id", "secret", clock=clock)
    async with aa.TokenProvider(client, grant, clock=clock) as tokens:
        got = [await tokens.get_token()]
        clock.advance(HOUR)
        got.append(await tokens.get_token())

    assert [token.access_token for token in got] == ["t0", "t1"]

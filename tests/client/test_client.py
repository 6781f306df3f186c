"""Tests of OAuthClient, which is one registration at one authorization server."""

import json
import time
from email.utils import formatdate

import aiohttp
import pytest
from joserfc import jws
from joserfc.jwk import RSAKey

import aritma_auth as aa
from aritma_auth.protocol.client_auth import ClientAuth
from aritma_auth.sandbox.identity.keys import signing_key
from support.clock import FakeClock

URL = "https://id.aritma.io/connect/token"
GRANT = aa.ClientCredentialsGrant(scope="bankservice")
TOKEN = {"access_token": "abc", "token_type": "Bearer", "expires_in": 3600}


def sent(http_mock):
    return [call.kwargs["data"].decode() for calls in http_mock.requests.values() for call in calls]


async def test_a_token_is_fetched(http_mock):
    """One expression fetches a token, and the secret is sent in the form."""
    http_mock.post(URL, payload=TOKEN)
    before = time.time()
    token = await aa.OAuthClient("my-client", "my-secret").fetch_token(GRANT)

    assert token.access_token == "abc"
    assert before + 3600 <= token.expires_at <= time.time() + 3600
    assert sent(http_mock) == [
        "grant_type=client_credentials&scope=bankservice&client_id=my-client&client_secret=my-secret"
    ]


async def test_a_tenants_endpoint_is_called(http_mock):
    """The tenant is a segment of the endpoint's path."""
    http_mock.post("https://id.dev.aritma.io/acme/connect/token", payload=TOKEN)
    client = aa.OAuthClient("id", "secret", environment=aa.DEVELOPMENT.for_tenant("acme"))

    assert (await client.fetch_token(GRANT)).access_token == "abc"


@pytest.mark.parametrize(
    "names",
    [
        "RS265",
        (),
        ["RS256", "HS256"],
        ["none"],
        ["rs256"],
        ["ES256K"],
        [None],
        ["RS256", None],
        [[]],
    ],
)
def test_an_unknown_algorithm_is_refused_at_construction(names):
    """The error lists the known algorithms, and does not wait for the first sign-in."""
    with pytest.raises(aa.ConfigurationError, match=r"asymmetric.*ES256.*Ed25519, EdDSA.*RS256"):
        aa.OAuthClient("id", "secret", id_token_algorithms=names)


def test_one_algorithm_may_be_named_alone():
    """A single algorithm may be given as a string."""
    assert aa.OAuthClient("id", "secret", id_token_algorithms="PS256")


async def test_what_cannot_be_sent_is_not_sent(http_mock):
    """A grant's own problems are told before anything is sent."""
    with pytest.raises(aa.ConfigurationError, match="no request"):
        await aa.OAuthClient("id", "secret").fetch_token(aa.SignedInGrant("alice"))

    assert http_mock.requests == {}


async def test_a_rotated_secret_is_loaded_and_tried_once_more(http_mock):
    """Aritma's rotation adds a secret, switches, deletes the old one."""
    http_mock.post(URL, payload={"error": "invalid_client"}, status=400)
    http_mock.post(URL, payload=TOKEN)
    secrets = iter(["old", "new"])
    client = aa.OAuthClient("id", aa.Secret.from_callable(lambda: next(secrets)))

    assert (await client.fetch_token(GRANT)).access_token == "abc"
    assert [body.rpartition("=")[2] for body in sent(http_mock)] == ["old", "new"]


async def test_an_unchanged_secret_is_not_tried_again(http_mock, canary):
    """The client does not repeat a secret that the server has refused."""
    http_mock.post(URL, payload={"error": "invalid_client"}, status=400)

    with pytest.raises(aa.InvalidClientError) as caught:
        await aa.OAuthClient("id", canary.text).fetch_token(GRANT)
    assert len(sent(http_mock)) == 1
    canary.assert_hidden(caught.value)


async def test_a_second_refusal_is_final(http_mock):
    """The client sends two requests at most."""
    http_mock.post(URL, payload={"error": "invalid_client"}, status=400, repeat=True)
    secrets = iter(["old", "new", "newer"])

    with pytest.raises(aa.InvalidClientError):
        await aa.OAuthClient("id", aa.Secret.from_callable(lambda: next(secrets))).fetch_token(
            GRANT
        )
    assert len(sent(http_mock)) == 2


async def test_a_public_client_needs_no_secret(http_mock):
    """A public client sends its client_id and no secret."""
    http_mock.post(URL, payload=TOKEN)
    client = aa.OAuthClient("my-app")
    await client.fetch_token(GRANT)

    assert sent(http_mock)[0].endswith("client_id=my-app")


async def test_the_servers_clock_is_measured(http_mock):
    """The latest Date header gives the skew of the server's clock."""
    http_mock.post(URL, payload=TOKEN, headers={"Date": formatdate(1_000_060, usegmt=True)})
    http_mock.post(URL, payload=TOKEN)
    client = aa.OAuthClient("id", "secret", clock=FakeClock(wall=1_000_000.0))
    await client.fetch_token(GRANT)
    measured = client.clock_skew
    await client.fetch_token(GRANT)

    assert (measured, client.clock_skew) == (60.0, 60.0)


async def test_a_cached_response_does_not_set_the_clock(http_mock):
    """A response with an Age header has an old Date, which is not used."""
    http_mock.post(
        URL, payload=TOKEN, headers={"Date": formatdate(999_000, usegmt=True), "Age": "1000"}
    )
    client = aa.OAuthClient("id", "secret", clock=FakeClock(wall=1_000_000.0))
    await client.fetch_token(GRANT)

    assert client.clock_skew == 0.0


def test_a_text_names_an_environment():
    """An issuer's URL stands for the server whose metadata decides the rest."""
    client = aa.OAuthClient("id", environment="https://idp.example")

    assert client.environment.issuer == "https://idp.example"
    assert client.environment.discovers
    assert aa.OAuthClient("id", environment="development").environment is aa.DEVELOPMENT


@pytest.mark.parametrize("environment", [None, 7, aa.Environment, "idp.example"])
def test_what_names_no_environment_is_refused(environment):
    """The error says what to write in its place."""
    with pytest.raises(aa.ConfigurationError, match=r"https://idp\.example"):
        aa.OAuthClient("id", environment=environment)


def test_a_long_text_that_names_no_environment_is_cut():
    """A file's content in the place of a URL does not fill the log."""
    with pytest.raises(aa.ConfigurationError) as caught:
        aa.OAuthClient("id", environment="x" * 100_000)

    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("client_id", ["", "a\nb", "a\x00"])
def test_a_client_id_is_printable(client_id):
    """An empty client_id, or one with control characters, is refused at construction."""
    with pytest.raises(aa.ConfigurationError, match="client_id"):
        aa.OAuthClient(client_id, "secret")


@pytest.mark.parametrize(
    ("given", "method"),
    [
        (None, "none"),
        ("s", "client_secret_post"),
        (aa.Secret("s"), "client_secret_post"),
        (aa.ClientSecretBasic(aa.Secret("s")), "client_secret_basic"),
    ],
)
async def test_client_authentication_is_chosen_by_what_is_given(given, method):
    """A secret alone is sent in the form, as all of Aritma's samples do."""
    async with aa.OAuthClient("id", given) as client:
        assert client.client_auth.method == method
        assert isinstance(client.client_auth, ClientAuth)
        assert client.client_id == "id"
        assert method in repr(client)


def set_env(monkeypatch, **settings):
    for name in (
        "CLIENT_ID",
        "CLIENT_SECRET",
        "CLIENT_SECRET_FILE",
        "ENVIRONMENT",
        "TENANT",
        "SCOPE",
    ):
        monkeypatch.delenv(f"ARITMA_{name}", raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(f"ARITMA_{name}", value)


async def test_a_client_is_made_of_environment_variables(monkeypatch, http_mock):
    """The client reads the ARITMA_ variables that a container sets."""
    set_env(
        monkeypatch, CLIENT_ID="id", CLIENT_SECRET="s3", ENVIRONMENT="development", TENANT="acme"
    )
    http_mock.post("https://id.dev.aritma.io/acme/connect/token", payload=TOKEN)
    async with aa.TokenProvider.from_env(on_event=None) as tokens:
        await tokens.get_token()

    assert sent(http_mock) == [
        "grant_type=client_credentials&scope=bankservice&client_id=id&client_secret=s3"
    ]


async def test_a_mounted_secret_file_is_used(monkeypatch, tmp_path, http_mock):
    """The secret is read from the file, and production is the default environment."""
    (tmp_path / "secret").write_text("from-file\n")
    set_env(
        monkeypatch,
        CLIENT_ID="id",
        CLIENT_SECRET_FILE=str(tmp_path / "secret"),
        SCOPE="api",
    )
    http_mock.post(URL, payload=TOKEN)
    async with aa.TokenProvider.from_env(on_event=None) as tokens:
        await tokens.get_token()

    assert sent(http_mock) == [
        "grant_type=client_credentials&scope=api&client_id=id&client_secret=from-file"
    ]


@pytest.mark.parametrize(
    ("settings", "missing"),
    [({}, "ARITMA_CLIENT_ID"), ({"CLIENT_ID": "id"}, "ARITMA_CLIENT_SECRET")],
)
def test_a_missing_variable_is_named(monkeypatch, settings, missing):
    """The error says which variable to set."""
    set_env(monkeypatch, **settings)

    with pytest.raises(aa.ConfigurationError, match=missing):
        aa.OAuthClient.from_env()


def test_a_public_client_may_be_made_of_environment_variables(monkeypatch):
    """Without requires_secret a missing secret is no error, as in native applications."""
    set_env(monkeypatch, CLIENT_ID="id")

    assert aa.OAuthClient.from_env(requires_secret=False).client_auth.method == "none"


async def test_a_restarted_service_finds_its_token_in_the_store(http_mock):
    """A new provider of the same client finds its token in the store."""
    http_mock.post("https://id.dev.aritma.io/connect/token", payload=TOKEN)
    store = aa.MemoryTokenStore()
    client = aa.OAuthClient("id", "secret", environment=aa.DEVELOPMENT)
    for _ in range(2):
        async with aa.TokenProvider(client, GRANT, store=store) as tokens:
            assert (await tokens.get_token()).access_token == "abc"

    assert len(sent(http_mock)) == 1


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ((42,), {}, "client_id must be a printable text, as the server gave it; it is of type int"),
        ((None,), {}, "client_id must be a printable text, as the server gave it; it is None"),
        (("id", 42), {}, "client_auth must be a secret's text, .*; it is of type int"),
        (("id", b"hunter2"), {}, "client_auth must be a secret's text, .*; it is of type bytes"),
        (("id", "s"), {"environment": 7}, "environment must be .*type int"),
        (("id", "s"), {"clock": time.time}, "clock must be a Clock, .*builtin_function"),
        (("id", "s"), {"clock": lambda: 0.0}, "clock must be a Clock, .*function"),
        (("id", "s"), {"timeout": "10"}, "timeout must be a number of seconds.*type str"),
        (("id", "s"), {"timeout": None}, "timeout must be a number of seconds.*None"),
        (("id", "s"), {"timeout": True}, "timeout must be a number of seconds.*type bool"),
        (("id", "s"), {"timeout": float("nan")}, "timeout must be .*not nan"),
        (("id", "s"), {"timeout": 0}, "timeout must be .*not 0"),
        (("id", "s"), {"leeway": "30"}, "leeway must be .*type str"),
        (("id", "s"), {"leeway": -1}, "leeway must be .*not -1"),
        (("id", "s"), {"session": "x"}, "session must be an aiohttp.ClientSession.*type str"),
        (("id", "s"), {"session": aiohttp.ClientSession}, "session must be .*of type type"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_refused_at_construction(arguments, settings, message):
    """The error names the argument, what it must be and what was given, and never a value."""
    with pytest.raises(aa.ConfigurationError, match=f"^{message}") as caught:
        aa.OAuthClient(*arguments, **settings)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("grant", ["client_credentials", None, aa.ClientCredentialsGrant])
async def test_what_is_no_grant_is_refused_before_anything_is_sent(http_mock, grant):
    """The error says what a grant looks like."""
    with pytest.raises(aa.ConfigurationError, match=r"grant must be a grant, such as Client"):
        await aa.OAuthClient("id", "secret").fetch_token(grant)

    assert http_mock.requests == {}


async def test_a_provider_in_one_line(http_mock):
    """A client ID and a secret are enough to make a provider."""
    http_mock.post("https://id.dev.aritma.io/connect/token", payload=TOKEN)
    async with aa.TokenProvider.client_credentials(
        "id", "secret", environment=aa.DEVELOPMENT
    ) as tokens:
        assert (await tokens.get_token()).access_token == "abc"


ID_CLAIMS = {"iss": "https://id.zdata.no", "sub": "alice", "aud": "id", "nonce": "n"}


def id_token(now):
    payload = json.dumps(ID_CLAIMS | {"iat": now, "exp": now + 300})
    header = {"alg": "RS256", "kid": signing_key(0).kid}
    return jws.serialize_compact(header, payload, RSAKey.import_key(signing_key(0).private))


async def test_an_id_token_is_verified_by_the_servers_clock(http_mock):
    """The keys' response corrects our clock, and the issuer may be a legacy host."""
    http_mock.get(
        "https://id.aritma.io/.well-known/openid-configuration/jwks",
        payload={"keys": [signing_key(0).public]},
        headers={"Date": formatdate(1_700_086_400, usegmt=True)},
    )
    client = aa.OAuthClient("id", "secret", clock=FakeClock())
    claims = await client.verify_id_token(id_token(1_700_086_400), nonce="n")

    assert claims["sub"] == "alice"


async def test_an_id_token_is_verified_with_given_keys():
    """Given keys cause no request, so the skew of the server's clock stays unknown."""
    client = aa.OAuthClient("id", "secret", clock=FakeClock())
    keys = [signing_key(0).public]

    with pytest.raises(aa.IdTokenError, match="in the future"):
        await client.verify_id_token(id_token(1_700_086_400), nonce="n", keys=keys)
    with pytest.raises(aa.IdTokenError, match="nonce"):
        await client.verify_id_token(id_token(1_700_000_000), nonce=None, keys=keys)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.introspect(None),
        lambda client: client.revoke(b"hunter2"),
        lambda client: client.verify_logout_token(5),
        lambda client: client.verify_id_token(None, nonce=None),
        lambda client: client.end_session_url(id_token_hint=b"hunter2"),
    ],
)
async def test_what_is_no_token_is_refused_before_anything_is_sent(http_mock, call):
    """The error names the argument and the given type, and never the value."""
    with pytest.raises(aa.ConfigurationError, match="must be the token's text; it is") as caught:
        await call(aa.OAuthClient("id", "secret"))

    assert http_mock.requests == {}
    assert "hunter2" not in str(caught.value)

"""Tests of Environment.discover, and of what a server's metadata decides."""

import json
import time

import attrs
import pytest
from aiohttp import web
from yarl import URL

import aritma_auth as aa
from aritma_auth.client.cached_document import DAY
from support.clock import FakeClock
from support.loopback import serving
from support.signing import RSA, jwk, sign

WELL_KNOWN = "/.well-known/openid-configuration"


class Server:
    """Publishes metadata of one issuer, and responds with a token to each token request."""

    def __init__(self, path="", issuer=None, **members):
        self.path, self.issuer, self.members = path, issuer, members
        self.asked, self.headers, self.forms = [], [], []
        self.url = ""

    async def serve(self, request):
        self.asked.append(request.path)
        if request.path == f"{self.path}{WELL_KNOWN}":
            metadata = {
                "issuer": self.issuer or f"{self.url}{self.path}",
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
            }
            return web.json_response(metadata | self.members)
        if request.path == "/keys":
            return web.json_response({"keys": [jwk(RSA)]})
        if request.path == "/token":
            self.headers.append(request.headers.get("Authorization"))
            self.forms.append(dict(await request.post()))
            return web.json_response({"access_token": "a", "token_type": "Bearer"})
        return web.Response(status=404)


@pytest.fixture
async def serve():
    """Start servers that end with the test."""
    import contextlib

    async with contextlib.AsyncExitStack() as stack:

        async def start(*arguments, **members):
            server = Server(*arguments, **members)
            server.url = await stack.enter_async_context(serving(server.serve))
            if server.issuer is not None:
                server.issuer = server.issuer.replace("HOST", server.url)
            return server

        yield start


async def test_one_word_finds_the_rest(serve):
    """Metadata and keys are fetched once, and every client of the environment knows them."""
    server = await serve("/realms/bank")
    environment = await aa.Environment.discover(
        f"{server.url}/realms/bank", api_origins=["https://api.example"], name="keycloak"
    )
    client = aa.OAuthClient("id", "secret", environment=environment)
    token = await client.fetch_token(aa.ClientCredentialsGrant("api"))
    keys = await client.fetch_keys()

    assert token.access_token == "a"
    assert [key["kid"] for key in keys] == ["k1"]
    assert environment.api_urls == ("https://api.example:443",)
    assert environment.name == "keycloak"
    assert server.asked == [f"/realms/bank{WELL_KNOWN}", "/keys", "/token"]


async def test_a_server_without_keys_is_found_too(serve):
    """A plain OAuth server publishes no keys, and a service needs none."""
    server = await serve(jwks_uri=None)
    environment = await aa.Environment.discover(server.url)

    client = aa.OAuthClient("id", "s", environment=environment)
    await client.fetch_token(aa.ClientCredentialsGrant())

    assert environment.published.keys is None
    assert server.asked == [WELL_KNOWN, "/token"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"clock": time.time}, "clock"),
        ({"session": "http"}, "session"),
        ({"timeout": 0}, "timeout"),
    ],
)
async def test_what_cannot_reach_a_server_is_refused_before_a_request(serve, settings, named):
    """The error names the argument; the server is not asked."""
    server = await serve()

    with pytest.raises(aa.ConfigurationError, match=f"^{named} must be"):
        await aa.Environment.discover(server.url, **settings)
    assert server.asked == []


async def test_a_misspelled_setting_is_an_error_of_the_call(serve):
    """No keyword is swallowed: the call fails before anything is awaited."""
    server = await serve()

    with pytest.raises(TypeError, match="sesion"):
        aa.Environment.discover(server.url, sesion=None)


async def test_a_text_is_looked_up_at_the_first_request(serve):
    """OAuthClient and TokenProvider take the issuer's URL."""
    server = await serve()
    async with aa.TokenProvider.client_credentials(
        "id", "secret", scope="api", environment=server.url
    ) as tokens:
        await tokens.get_token()

    assert server.asked == [WELL_KNOWN, "/token"]


async def test_a_pool_of_tenants_takes_an_issuer(serve):
    """Each tenant of a pool has metadata of its own."""
    server = await serve("/acme")
    async with aa.TokenProviderPool.for_tenants("id", "s", environment=server.url) as pool:
        await pool.get_token("acme")

    assert server.asked == [f"/acme{WELL_KNOWN}", "/token"]


@pytest.mark.parametrize(
    ("pasted", "issuer"),
    [
        ("https://idp.example/a/.well-known/openid-configuration", "https://idp.example/a"),
        ("https://idp.example/.well-known/openid-configuration", "https://idp.example"),
        ("https://idp.example/.well-known/oauth-authorization-server/a", "https://idp.example/a"),
    ],
)
def test_a_pasted_metadata_address_is_told_with_the_issuer(pasted, issuer):
    """The address of the metadata is the most frequent mistake, and is no issuer."""
    for make in (aa.Environment.at, aa.Environment.named, aa.Environment.discover):
        with pytest.raises(aa.ConfigurationError, match=rf"metadata: give '{issuer}'"):
            make(pasted)


@pytest.mark.parametrize(("asked", "named"), [("", "HOST/"), ("/x", "HOST/x/"), ("/A", "HOST/a")])
async def test_another_spelling_is_told(serve, asked, named):
    """The server's own spelling is in the error, and is what must be configured."""
    server = await serve(asked, issuer=named)
    with pytest.raises(
        aa.IssuerMismatchError,
        match=rf"is '{server.issuer}': configure that issuer, equal in every",
    ):
        await aa.Environment.discover(f"{server.url}{asked}")


async def test_a_slash_too_many_is_no_mistake(serve):
    """An issuer that was given with a slash at its end is known without it, too."""
    server = await serve()

    assert (await aa.Environment.discover(f"{server.url}/")).issuer == f"{server.url}/"


@pytest.mark.parametrize("tail", ["/protocol/openid-connect/token", "/account", "/a/b/c/d"])
async def test_a_path_too_long_is_told_with_the_issuer_above(serve, tail):
    """The token endpoint's URL in the place of the issuer leads to the issuer's spelling."""
    server = await serve("/realms/bank")
    with pytest.raises(
        aa.InvalidResponseError, match=rf"the issuer there is '{server.url}/realms/bank'"
    ) as caught:
        await aa.Environment.discover(f"{server.url}/realms/bank{tail}")

    assert caught.value.status == 404


async def test_a_wrong_path_without_an_issuer_above_is_told(serve):
    """At most five addresses above are asked, and a document of another issuer is no hint."""
    server = await serve("/realms", issuer="https://evil.example")
    with pytest.raises(aa.InvalidResponseError, match="check the issuer's path"):
        await aa.Environment.discover(f"{server.url}/realms/a/b/c/d/e/f/g")
    assert len(server.asked) == 8
    with pytest.raises(aa.InvalidResponseError, match="check the issuer's path"):
        await aa.Environment.discover(f"{server.url}/realms/a")

    assert server.asked[:8] == [
        f"/realms/a/b/c/d/e/f/g{WELL_KNOWN}",
        "/.well-known/oauth-authorization-server/realms/a/b/c/d/e/f/g",
        "/.well-known/openid-configuration/realms/a/b/c/d/e/f/g",
        *(f"/realms/{path}{WELL_KNOWN}" for path in ("a/b/c/d/e/f", "a/b/c/d/e", "a/b/c/d")),
        *(f"/realms/{path}{WELL_KNOWN}" for path in ("a/b/c", "a/b")),
    ]


# --- what the metadata decides -----------------------------------------------------------------

METHODS = "token_endpoint_auth_methods_supported"


@pytest.mark.parametrize(
    ("methods", "is_basic"),
    [
        (["client_secret_basic"], True),
        (["private_key_jwt", "client_secret_basic"], True),
        (["client_secret_basic", "client_secret_post"], False),
        (["client_secret_post"], False),
        ([], True),
        (None, True),
    ],
)
async def test_a_secret_goes_where_the_server_wants_it(serve, methods, is_basic):
    """A secret alone says nothing of its place: the metadata does, whose default is Basic."""
    server = await serve(**({} if methods is None else {METHODS: methods}))
    client = aa.OAuthClient("id", "secret", environment=server.url)
    await client.fetch_token(aa.ClientCredentialsGrant())

    assert ("client_secret" in server.forms[0]) is not is_basic
    assert (server.headers[0] is not None) is is_basic


@pytest.mark.parametrize(
    ("auth", "methods"),
    [
        (aa.ClientSecretPost("s"), ["client_secret_basic", "private_key_jwt"]),
        (aa.ClientSecretBasic("s"), ["client_secret_post"]),
        (aa.PrivateKeyJwt("key"), ["client_secret_post"]),
        ("s", ["private_key_jwt"]),
    ],
)
async def test_a_method_that_is_not_offered_sends_nothing(serve, auth, methods):
    """The error names the methods that the server offers."""
    server = await serve(**{METHODS: methods})
    client = aa.OAuthClient("id", auth, environment=server.url)
    with pytest.raises(aa.ConfigurationError, match=rf"offers \({', '.join(methods)}\), not by"):
        await client.fetch_token(aa.ClientCredentialsGrant())

    assert server.forms == []


@pytest.mark.parametrize(
    ("auth", "methods"),
    [
        (aa.NoClientAuth(), ["client_secret_basic"]),
        (aa.ClientSecretPost("s"), None),
        (aa.ClientSecretPost("s"), ["client_secret_post", "none"]),
    ],
)
async def test_a_choice_that_is_not_contradicted_stands(serve, auth, methods):
    """Few servers list public clients, and silence contradicts no choice."""
    server = await serve(**({} if methods is None else {METHODS: methods}))
    await aa.OAuthClient("id", auth, environment=server.url).fetch_token(
        aa.ClientCredentialsGrant()
    )

    assert server.forms[0]["client_id"] == "id"


async def test_a_given_token_endpoint_asks_for_no_metadata(serve):
    """Where the token endpoint is given, its client authentication is the caller's to choose."""
    server = await serve(**{METHODS: ["private_key_jwt"]})
    environment = aa.Environment.at(
        server.url, discover=True, endpoints={"token_endpoint": f"{server.url}/token"}
    )
    await aa.OAuthClient("id", "s", environment=environment).fetch_token(
        aa.ClientCredentialsGrant()
    )

    assert server.asked == ["/token"]


@pytest.mark.parametrize("methods", [["plain", "S256"], [], None])
async def test_pkce_is_sent_unless_it_is_refused(serve, methods):
    """S256 is sent where it is offered, and where nothing is said."""
    server = await serve(code_challenge_methods_supported=methods)
    client = aa.OAuthClient("id", environment=server.url)
    request = await client.begin_sign_in("https://app.example/callback", "api")

    assert URL(request.url).query["code_challenge_method"] == "S256"


async def test_pkce_is_never_weakened(serve):
    """A server that offers plain alone would let a stolen code be exchanged."""
    server = await serve(code_challenge_methods_supported=["plain"])
    client = aa.OAuthClient("id", environment=server.url)
    with pytest.raises(aa.ConfigurationError, match=r"must offer PKCE with S256.*offers plain"):
        await client.begin_sign_in("https://app.example/callback", "api")


async def test_a_given_authorization_endpoint_asks_for_no_pkce(serve):
    """Where the authorization endpoint is given, its metadata is not asked."""
    server = await serve(code_challenge_methods_supported=["plain"])
    environment = aa.Environment.at(
        server.url, discover=True, endpoints={"authorization_endpoint": f"{server.url}/a"}
    )
    client = aa.OAuthClient("id", environment=environment)

    assert (await client.begin_sign_in("https://app.example/callback", "api")).url


# --- many tenants ------------------------------------------------------------------------------


def id_token(issuer, **claims):
    # The server's clock counts, which is the machine's.
    now = time.time()
    known = {"iss": issuer, "aud": "id", "sub": "alice", "iat": now, "exp": now + 60}
    return sign(known | claims)


async def test_a_template_is_filled_with_the_tokens_own_tenant(serve):
    """A multi-tenant server's ID tokens name their own tenant twice, and alike."""
    server = await serve("/common/v2.0", issuer="HOST/{tenantid}/v2.0")
    client = aa.OAuthClient("id", environment=f"{server.url}/common/v2.0")
    issuer = f"{server.url}/t-1/v2.0"
    claims = await client.verify_id_token(id_token(issuer, tid="t-1"), nonce=None)
    request = await client.begin_sign_in("https://app.example/callback", "api")

    assert claims["tid"] == "t-1"
    assert request.issuers >= {server.issuer}
    for wrong in ({"tid": "t-2"}, {}, {"tid": "t-1", "iss": server.issuer}):
        with pytest.raises(aa.IdTokenError, match="iss must be"):
            await client.verify_id_token(id_token(issuer, **wrong), nonce=None)


async def test_tenants_of_a_template_can_be_listed(serve):
    """Of all tenants of the server only those that are listed may sign in."""
    server = await serve("/common/v2.0", issuer="HOST/{tenantid}/v2.0")
    environment = await aa.Environment.discover(f"{server.url}/common/v2.0", tenants=["t-1"])
    client = aa.OAuthClient("id", environment=environment)
    listed, other = (
        id_token(f"{server.url}/{tenant}/v2.0", tid=tenant) for tenant in ("t-1", "t-2")
    )

    assert (await client.verify_id_token(listed, nonce=None))["tid"] == "t-1"
    with pytest.raises(aa.IdTokenError, match="tid must be t-1, not 't-2'") as caught:
        await client.verify_id_token(other, nonce=None)
    assert caught.value.claim == "tid"


async def test_a_template_of_another_host_is_another_server(serve):
    """A placeholder may stand for one segment of the path that was asked, and for nothing else."""
    server = await serve("/common/v2.0", issuer="https://evil.example/{tenantid}/v2.0")
    with pytest.raises(aa.IssuerMismatchError):
        await aa.Environment.discover(f"{server.url}/common/v2.0")


# --- exported and given back -------------------------------------------------------------------


async def test_an_exported_environment_needs_no_request(serve):
    """A process that starts cold is given metadata and keys, and sends the token request only."""
    server = await serve("/a")
    environment = await aa.Environment.discover(
        f"{server.url}/a",
        api_origins=["https://api.example/v1"],
        endpoint_origins=["https://login.example"],
        issuer_aliases=["https://old.example"],
        endpoints={"userinfo_endpoint": f"{server.url}/me"},
        tenants=["acme"],
        name="mine",
    )
    server.asked.clear()
    exported = environment.to_json()
    given_back = aa.Environment.from_json(exported)
    client = aa.OAuthClient("id", "secret", environment=given_back)
    await client.fetch_token(aa.ClientCredentialsGrant())

    assert given_back == environment
    assert given_back.to_json() == exported
    assert [key["kid"] for key in await client.fetch_keys()] == ["k1"]
    assert server.asked == ["/token"]


async def test_what_was_exported_is_a_day_new(serve):
    """An old export is fetched anew, and serves for a week while the server is down."""
    server, clock = await serve(), FakeClock()
    environment = await aa.Environment.discover(server.url, clock=clock)
    server.asked.clear()
    clock.advance(DAY)
    client = aa.OAuthClient("id", environment=environment, clock=clock)
    await client.fetch_metadata()
    server.path = "/gone"
    stale = await aa.OAuthClient("id", environment=environment, clock=clock).fetch_metadata()

    assert server.asked[0] == WELL_KNOWN
    assert stale.issuer == server.url


def test_an_environment_without_documents_is_exported_too():
    """What is known without asking is exported as it is."""
    for environment in (aa.PRODUCTION, aa.DEVELOPMENT.for_tenant("acme", shares_issuer=True)):
        given_back = aa.Environment.from_json(environment.to_json())

        assert given_back == environment
        assert given_back.published is None


async def test_a_tenant_has_documents_of_its_own(serve):
    """What is known of the default tenant is not what the tenant publishes."""
    environment = await aa.Environment.discover((await serve()).url)

    assert environment.with_api_origins("https://api.example").published is environment.published
    assert environment.for_tenant("acme").published is None


def changed(**members):
    document = json.loads(aa.PRODUCTION.to_json()) | members
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("[]", "not an object"),
        ("\ud800", "not JSON"),
        ("{}", "issuer is missing"),
        (changed(format=2), "format is 2, not 1"),
        (changed(issuer=7), "issuer must be a string"),
        (changed(endpoints={"token_endpoint": 7}), "must be a string"),
        (changed(published=7), "published must have"),
        (changed(published={"fetched_at": True, "metadata": {}, "keys": []}), "published must"),
        (changed(published={"fetched_at": 10**400, "metadata": {}, "keys": []}), "published must"),
        (changed(published={"fetched_at": -1, "metadata": {}, "keys": []}), "published must"),
        (changed(published={"fetched_at": 1, "metadata": [], "keys": []}), "published must have"),
        (changed(published={"fetched_at": 1, "metadata": {}, "keys": {}}), "published must have"),
        (changed(issuer="http://idp.example"), "must use https"),
    ],
)
def test_what_was_not_exported_is_refused(text, problem):
    """The error says what is wrong and quotes none of it."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        aa.Environment.from_json(text)


def test_an_export_is_a_text():
    """The wrong kind of argument is named."""
    with pytest.raises(aa.ConfigurationError, match=r"Environment\.to_json.*type bytes"):
        aa.Environment.from_json(b"{}")


async def test_given_back_metadata_is_validated_anew(serve):
    """Metadata of another issuer is refused when a client is made of it."""
    environment = await aa.Environment.discover((await serve()).url)
    other = attrs.evolve(environment, issuer="https://other.example")
    with pytest.raises(aa.IssuerMismatchError):
        aa.OAuthClient("id", environment=other)


async def test_aritmas_own_issuer_keeps_its_apis(serve, monkeypatch):
    """Metadata adds to what is known of Aritma, a tenant's too, and takes nothing away."""
    server = await serve("/acme")
    known = aa.Environment(
        server.url, "production", {"https://old.example"}, ["https://api.example"]
    )
    monkeypatch.setattr("aritma_auth.environment.PRODUCTION", known)
    found = await aa.Environment.discover(
        f"{server.url}/acme", api_origins=["https://mine.example"]
    )

    assert found.api_urls == ("https://api.example:443", "https://mine.example:443")
    assert (found.name, found.tenant) == ("production", "acme")
    assert found.issuer_aliases == {"https://old.example/acme"}
    assert found.discovers


def test_a_discovery_that_was_not_awaited_is_told():
    """It is the first mistake of a newcomer, and leaves no warning behind."""
    with pytest.raises(aa.ConfigurationError, match=r"discover\(issuer\) must be awaited"):
        aa.OAuthClient("id", "s", environment=aa.Environment.discover("https://idp.example"))


@pytest.mark.parametrize("named", ["acme.com", "https://[", "https://x:99999", "urn:x:y", "//x"])
async def test_an_issuer_that_is_no_url_can_be_an_alias(serve, named):
    """Some servers name themselves so until they are configured; the address is still known."""
    server = await serve(issuer=named)
    with pytest.raises(aa.IssuerMismatchError):
        await aa.Environment.discover(server.url)
    environment = await aa.Environment.discover(server.url, issuer_aliases=[named])
    given_back = aa.Environment.from_json(environment.to_json())
    client = aa.OAuthClient("id", "s", environment=given_back)
    await client.fetch_token(aa.ClientCredentialsGrant())

    assert given_back == environment
    assert server.asked[-1] == "/token"

"""Tests of Environment: issuers, endpoints, tenants and the origins of the APIs."""

import pytest

from aritma_auth.apis import APIS
from aritma_auth.environment import DEVELOPMENT, PRODUCTION, Environment
from aritma_auth.errors import ConfigurationError


def test_the_token_endpoints_are_aritmas():
    """The token endpoints of both environments are those of Aritma's documentation."""
    assert PRODUCTION.token_endpoint == "https://id.aritma.io/connect/token"
    assert DEVELOPMENT.token_endpoint == "https://id.dev.aritma.io/connect/token"


def test_a_tenant_goes_into_the_path():
    """A tenant shapes issuer, endpoints and aliases, and keeps the APIs."""
    acme = PRODUCTION.for_tenant("acme")

    assert acme.token_endpoint == "https://id.aritma.io/acme/connect/token"
    assert acme.tenant == "acme"
    assert acme.issuers == {"https://id.aritma.io/acme", *acme.issuer_aliases}
    assert acme.issuer_aliases == {"https://id.zdata.no/acme"}
    assert acme.api_origins == PRODUCTION.api_origins


def test_no_two_tenants_have_an_issuer_in_common():
    """An ID token of one tenant has an issuer that no other tenant accepts."""
    acme, other = PRODUCTION.for_tenant("acme"), PRODUCTION.for_tenant("other")

    assert not acme.issuers & other.issuers
    assert not acme.issuers & PRODUCTION.issuers


def test_tenants_may_share_an_issuer_where_that_is_said():
    """IdentityServer with a fixed IssuerUri names itself without the tenant."""
    acme = PRODUCTION.for_tenant("acme", shares_issuer=True)

    assert acme.issuer == "https://id.aritma.io/acme"
    assert acme.issuer_aliases == PRODUCTION.issuers | {"https://id.zdata.no/acme"}
    assert acme.tenants == {"acme"}
    assert PRODUCTION.for_tenant("acme").tenants == frozenset()


@pytest.mark.parametrize("tenant", ["", "a/b", "..", ".", "a?b", "å", "a b"])
def test_a_tenant_is_one_plain_segment(tenant):
    """A tenant that could change the rest of the path is refused."""
    with pytest.raises(ConfigurationError, match="path segment"):
        PRODUCTION.for_tenant(tenant)


def test_a_tenant_is_chosen_once():
    """An environment that has a tenant gets no other."""
    with pytest.raises(ConfigurationError, match="already for the tenant acme"):
        PRODUCTION.for_tenant("acme").for_tenant("other")


def test_another_server_with_its_own_paths():
    """Endpoints can be given, and the rest keep IdentityServer's paths."""
    environment = Environment.at(
        "https://idp.example/",
        api_origins=["https://api.example/v1"],
        issuer_aliases=["https://old.example"],
        endpoints={"token_endpoint": "https://idp.example/token"},
        name="mine",
    )

    assert environment.issuer == "https://idp.example/"
    assert environment.issuers == {
        "https://idp.example/",
        "https://idp.example",
        "https://old.example",
    }
    assert environment.token_endpoint == "https://idp.example/token"
    assert environment.endpoint("userinfo_endpoint") == "https://idp.example/connect/userinfo"
    assert environment.api_urls == ("https://api.example:443",)
    assert environment.with_api_origins("http://[::1]:8/").api_urls == (
        "http://[::1]:8",
        "https://api.example:443",
    )


def test_given_endpoints_belong_to_one_tenant():
    """Given endpoints would send a tenant's requests to the default tenant."""
    environment = Environment.at(
        "https://idp.example", endpoints={"token_endpoint": "https://idp.example/token"}
    )
    with pytest.raises(ConfigurationError, match="endpoints must be one tenant's"):
        environment.for_tenant("acme")


@pytest.mark.parametrize(
    "url", ["http://idp.example/x", "/connect/authorize", "https://a:b@idp.example/x"]
)
def test_given_endpoints_are_secure(url):
    """The authorization endpoint, which only a browser opens, must be secure too."""
    with pytest.raises(ConfigurationError, match="authorization_endpoint"):
        Environment.at("https://idp.example", endpoints={"authorization_endpoint": url})


def test_endpoints_have_the_names_of_the_standards():
    """A misspelt name is refused at construction, and sends no request to another address."""
    with pytest.raises(ConfigurationError, match="token_endpoint"):
        Environment.at("https://idp.example", endpoints={"token_url": "https://idp.example/t"})
    with pytest.raises(ConfigurationError, match="token_endpoint"):
        PRODUCTION.endpoint("token_url")


def test_given_endpoints_stay_as_they_were():
    """A later change of the caller's mapping does not change the environment."""
    endpoints = {"token_endpoint": "https://idp.example/token"}
    environment = Environment.at("https://idp.example", endpoints=endpoints)
    endpoints["token_endpoint"] = "https://evil.example/token"

    assert environment.token_endpoint == "https://idp.example/token"


def test_a_tenant_keeps_what_was_listed():
    """The tenant's environment keeps the listed origins and the other settings."""
    environment = Environment.at(
        "https://idp.example",
        endpoint_origins=["https://login.example"],
        api_origins=["https://api.example"],
        discover=True,
    )
    acme = environment.for_tenant("acme")
    wider = acme.with_api_origins("https://other.example")

    assert acme.discovers
    assert acme.endpoint_origins == wider.endpoint_origins == environment.endpoint_origins
    assert wider.api_urls == ("https://api.example:443", "https://other.example:443")
    assert wider.tenant == "acme"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://idp.example", "https"),
        ("https://idp.example/?x=1", "query"),
        ("https://idp.example/?", "query"),
    ],
)
def test_an_issuer_is_secure_and_without_query(url, problem):
    """An issuer is an https URL without a query (RFC 8414 §2)."""
    with pytest.raises(ConfigurationError, match=problem):
        Environment.at(url)


def test_one_string_is_no_collection_of_origins():
    """A string in the place of a list of URLs is refused."""
    with pytest.raises(ConfigurationError, match="list of URLs"):
        Environment.at("https://idp.example", api_origins="https://api.example")


@pytest.mark.parametrize(
    ("name", "issuer"),
    [
        ("production", PRODUCTION.issuer),
        ("Development", DEVELOPMENT.issuer),
        ("https://idp.example", "https://idp.example"),
    ],
)
def test_configurations_name_an_environment(name, issuer):
    """A configuration names an environment by its name or by the issuer's URL."""
    assert Environment.named(name).issuer == issuer


@pytest.mark.parametrize("url", ["https://idp.example", "https://idp.example/realms/a/"])
def test_an_issuers_url_leads_to_its_metadata(url):
    """Aritma's environments use IdentityServer's paths, and other issuers are discovered."""
    assert Environment.named(url).discovers
    assert Environment.named(url).for_tenant("acme").discovers
    assert not Environment.named("production").discovers


def test_an_unknown_name_is_refused():
    """A misspelt name is refused, and is not taken for a host."""
    with pytest.raises(ConfigurationError, match="production, development or an issuer"):
        Environment.named("prod")


def test_apis_are_data():
    """Each API has a scope, and base URLs where they are published."""
    assert APIS["bankservice"].scope == ("bankservice",)
    assert PRODUCTION.base_url("banking") == "https://banking.aritma.io/api/"
    assert DEVELOPMENT.base_url("iam") == "https://api.dev.aritma.io/core/iam/"
    assert PRODUCTION.for_tenant("acme").base_url("banking").endswith("/api/")


def test_an_unknown_api_is_refused():
    """The error lists the names of the known APIs."""
    with pytest.raises(ConfigurationError, match=r"one of bankservice, .*, not 'bank'"):
        PRODUCTION.base_url("bank")


@pytest.mark.parametrize(
    ("api", "environment"),
    [
        ("iam", PRODUCTION),
        ("commerce", DEVELOPMENT),
        ("banking", Environment.at("https://idp.example")),
    ],
)
def test_an_unpublished_base_url_must_be_given(api, environment):
    """A base URL that Aritma does not publish is never guessed."""
    with pytest.raises(ConfigurationError, match="give its URL"):
        environment.base_url(api)


def test_every_published_base_url_may_get_the_token():
    """The default origins are those of the APIs, and no identity server."""
    hosts = {origin.host for origin in PRODUCTION.api_origins}

    assert hosts == {
        "bankservice.zdata.no",
        "banking.aritma.io",
        "erphub-api.aritma.io",
        "events.aritma.io",
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Environment.at(None), "the issuer must be .*; it is None"),
        (lambda: Environment.at(42), "the issuer must be .*; it is of type int"),
        (lambda: Environment.at("https://i.example", api_origins="https://a.example"), "list of"),
        (lambda: Environment.at("https://i.example", api_origins=5), "list of URLs.*type int"),
        (lambda: Environment.at("https://i.example", endpoint_origins="x"), "list of URLs.*str"),
        (lambda: Environment.at("https://i.example", endpoints={"token": "x"}), "not 'token'"),
        (lambda: Environment.at("https://i.example", endpoints=["x"]), "mapping of.*type list"),
        (lambda: PRODUCTION.endpoint(None), "one of .*, not None"),
        (lambda: PRODUCTION.endpoint(["token_endpoint"]), r"one of .*, not \['token_endpoint'\]"),
        (lambda: Environment.named(None), "the environment must be production.*None"),
        (lambda: Environment.named("prod"), "must be production, .*, not 'prod'"),
    ],
)
def test_what_is_no_environment_is_refused_by_name(make, message):
    """The error names the argument, what it must be and what was given."""
    with pytest.raises(ConfigurationError, match=message):
        make()


@pytest.mark.parametrize("known", [PRODUCTION, DEVELOPMENT])
def test_aritmas_own_issuers_are_its_environments(known):
    """As a URL, with a slash or a tenant, they know Aritma's APIs and need no metadata."""
    assert Environment.named(known.issuer) == known
    assert Environment.of(f"{known.issuer}/") == known
    assert Environment.of(f"{known.issuer}/acme") == known.for_tenant("acme")
    for other in (f"{known.issuer}.example", f"{known.issuer}/a/b", "https://x.example/acme"):
        assert Environment.of(other).discovers
        assert not Environment.of(other).api_origins


def test_a_template_is_no_issuer():
    """It is what the documentation of a server for many tenants shows, and is asked for nothing."""
    with pytest.raises(ConfigurationError, match="the issuer must name a tenant in the place"):
        Environment.named("https://login.example/{tenantid}/v2.0")

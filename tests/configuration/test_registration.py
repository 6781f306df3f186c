"""Tests of what settings make, and of those that contradict one another."""

import sys

import pytest
import trustme

import aritma_auth as aa
from aritma_auth.configuration.registration import Registration
from aritma_auth.configuration.sources import read_file, read_variables
from support.clock import FakeClock


def of(**settings):
    """Read a registration from variables, its client id given."""
    given = {"client_id": "id"} | settings
    return Registration(
        read_variables({f"ARITMA_{k.upper()}": v for k, v in given.items() if v is not None})
    )


ISSUER = "https://idp.example"
SECRET = {"client_secret": "s"}
PROFILED = {
    "private_key_file": "/k",
    "signing_algorithm": "ES256",
    "dpop_key_file": "/d",
    "request_key_file": "/k",
    "profile": "fapi2-message-signing",
}


async def loaded(auth):
    return str.__str__((await auth.secret.load()).text)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"client_secret_file": "/s"}, aa.Secret),
        (SECRET | {"client_auth": "client_secret_post"}, aa.ClientSecretPost),
        (SECRET | {"client_auth": "client_secret_basic"}, aa.ClientSecretBasic),
        ({"private_key_file": "/k", "key_id": "1", "signing_algorithm": "ES256"}, aa.PrivateKeyJwt),
        ({"private_key": "k", "client_auth": "private_key_jwt"}, aa.PrivateKeyJwt),
        ({"client_assertion_file": "/a"}, aa.ClientAssertion),
        ({"client_auth": "none"}, aa.NoClientAuth),
    ],
)
def test_the_credential_that_is_given_chooses_the_method(settings, kind):
    """A secret alone leaves the method to the server's metadata."""
    registration = of(**settings)

    assert registration.problems() == []
    assert type(registration.make_client_auth()) is kind


def test_a_key_signs_as_its_settings_say():
    """The key id, the algorithm and the audience are the assertion's."""
    auth = of(
        private_key_file="/k", key_id="1", signing_algorithm="ES256", assertion_names_issuer="yes"
    ).make_client_auth()

    assert (auth.key_id, auth.algorithm, auth.names_issuer) == ("1", "ES256", True)
    assert not of(private_key_file="/k").make_client_auth().names_issuer


async def test_a_secret_comes_from_a_variable_a_file_or_a_command(tmp_path, monkeypatch):
    """Each is read anew: the settings hold where it is, and not what it is."""
    (tmp_path / "secret").write_text("from a file\n")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "from a variable")
    monkeypatch.setenv("BANK_SECRET", "from another variable")
    file = tmp_path / "aritma.toml"
    file.write_text('[registrations.a]\nclient_id = "id"\nclient_secret_variable = "BANK_SECRET"')
    method = {"client_auth": "client_secret_post"}
    command = f"{sys.executable} -c 'print(\"from a command\")'"
    found = [
        await loaded(of(**settings, **method).make_client_auth())
        for settings in (
            {"client_secret": "old"},
            {"client_secret_file": str(tmp_path / "secret")},
            {"client_secret_command": command},
        )
    ]
    named = Registration(read_file("a", file, {})).make_client_auth()

    assert found == ["from a variable", "from a file", "from a command"]
    assert (await named.load()).text == "from another variable"


def test_an_assertion_has_its_type():
    """The type of another platform is given beside the file."""
    auth = of(client_assertion_command="spire-agent api", client_assertion_type="urn:x:y")

    assert auth.make_client_auth().type == "urn:x:y"


def test_a_certificate_is_loaded(tmp_path):
    """The certificate and its key are in files, or in one."""
    pair = trustme.CA().issue_cert("client.example")
    pair.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    auth = of(certificate_file=str(tmp_path / "both.pem")).make_client_auth()

    assert auth.method == "tls_client_auth"
    with pytest.raises(aa.ConfigurationError, match=r"none\.pem must be in PEM"):
        of(certificate_file=str(tmp_path / "none.pem")).make_client_auth()


@pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
def test_a_certificate_has_two_methods(tmp_path, method):
    """The certificate of an authority, or one that is registered itself."""
    pair = trustme.CA().issue_cert("client.example")
    pair.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    auth = of(certificate_file=str(tmp_path / "both.pem"), client_auth=method).make_client_auth()

    assert auth.method == method


def test_a_certificate_beside_a_key_binds_the_tokens(tmp_path):
    """The key authenticates, and the certificate is the client's own argument."""
    pair = trustme.CA().issue_cert("client.example")
    pair.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    settings = {"certificate_file": str(tmp_path / "both.pem"), "private_key_file": "/k"}
    registration = of(**settings, client_auth="private_key_jwt")

    assert registration.problems() == []
    assert registration.make_client_auth().method == "private_key_jwt"
    assert [*registration.client_settings] == ["certificate"]


@pytest.mark.parametrize(
    ("name", "profile"),
    [("fapi2", aa.FAPI2), ("fapi2-message-signing", aa.FAPI2_MESSAGE_SIGNING)],
    ids=["fapi2", "fapi2-message-signing"],
)
def test_a_profile_is_kept_by_name(name, profile):
    """A security profile is one line of configuration."""
    assert of(**SECRET, profile=name).client_settings == {"profile": profile}


def test_a_key_for_bound_tokens_is_loaded(tmp_path):
    """One line of configuration binds the tokens; a file that is no key is named, and not shown."""
    key, file = aa.SigningKey.generate(), tmp_path / "dpop.json"
    file.write_text(key.to_jwk())

    assert of(**SECRET, dpop_key_file=str(file)).client_settings == {"dpop": aa.DPoP(key)}
    file.write_text("planted-private-key")
    problem = r"ARITMA_DPOP_KEY_FILE .*dpop\.json cannot be used: the key must be a private key"
    with pytest.raises(aa.ConfigurationError, match=problem) as caught:
        _ = of(**SECRET, dpop_key_file=str(file)).client_settings
    assert "planted" not in str(caught.value)
    for content, problem in ((None, "No such file"), (b"\xff", "it is no UTF-8")):
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
        with pytest.raises(aa.ConfigurationError, match=rf"dpop\.json cannot be read: {problem}"):
            _ = of(**SECRET, dpop_key_file=str(file)).client_settings


def test_keys_for_requests_and_encrypted_tokens_are_loaded(tmp_path):
    """A file each: what signs authorization requests, and to what the server encrypts."""
    key, file = aa.SigningKey.generate(), tmp_path / "key.json"
    file.write_text(key.to_jwk())
    settings = of(**SECRET, request_key_file=str(file), decryption_key_file=str(file))

    assert settings.client_settings.keys() == {"request_signer", "decryption_key"}
    assert settings.client_settings["request_signer"] == key


@pytest.mark.parametrize(
    ("words", "encryption"), [("RSA-OAEP", "A128CBC-HS256"), ("ECDH-ES A256GCM", "A256GCM")]
)
def test_the_encryption_of_requests_is_a_line(words, encryption):
    """The same words as in the registration; the second has the standard's default."""
    wanted = of(**SECRET, request_encryption=words).client_settings["request_encryption"]

    assert (wanted.algorithm, wanted.encryption) == (words.split()[0], encryption)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        *(
            (PROFILED | settings, f"ARITMA_PROFILE fapi2-message-signing needs {lack}")
            for settings, lack in (
                (
                    SECRET | {"private_key_file": None, "signing_algorithm": None},
                    "ARITMA_PRIVATE_KEY_FILE or ARITMA_CERTIFICATE_FILE",
                ),
                (
                    {"private_key_file": None, "signing_algorithm": None, "client_auth": "none"},
                    "ARITMA_PRIVATE_KEY_FILE or ARITMA_CERTIFICATE_FILE",
                ),
                ({"signing_algorithm": "RS256"}, "ARITMA_SIGNING_ALGORITHM, one of ES256"),
                ({"signing_algorithm": None}, "ARITMA_SIGNING_ALGORITHM, one of ES256"),
                ({"dpop_key_file": None}, "ARITMA_DPOP_KEY_FILE or ARITMA_CERTIFICATE_FILE"),
                ({"request_key_file": None}, "ARITMA_REQUEST_KEY_FILE: ARITMA_PRIVATE_KEY_FILE"),
                (
                    {"issuer": ISSUER, "endpoints": "token_endpoint=https://idp.example/t"},
                    "the server's metadata",
                ),
            )
        ),
        (SECRET | {"request_encryption": "RSA-OAEP"}, "ENCRYPTION needs ARITMA_REQUEST_KEY_FILE"),
        *(
            (PROFILED | {"request_encryption": words}, f"ENCRYPTION cannot be used: {problem}")
            for words, problem in (
                ("RSA1_5", "algorithm must be one of ECDH-ES"),
                ("RSA-OAEP none", "encryption must be one of A128CBC-HS256"),
                ("A B C", "it must be an alg, or an alg and an enc, not 3"),
            )
        ),
        ({"client_id": None} | SECRET, "set ARITMA_CLIENT_ID to the client id"),
        ({}, "set ARITMA_CLIENT_SECRET_FILE or ARITMA_CLIENT_SECRET, or another credential"),
        (
            SECRET | {"client_secret_file": "/s"},
            "ARITMA_CLIENT_SECRET and ARITMA_CLIENT_SECRET_FILE exclude each other",
        ),
        (
            SECRET | {"private_key_file": "/k"},
            "ARITMA_CLIENT_SECRET and ARITMA_PRIVATE_KEY_FILE exclude each other",
        ),
        (
            SECRET | {"client_auth": "basic"},
            "ARITMA_CLIENT_AUTH must be one of client_secret_post,",
        ),
        (SECRET | {"client_auth": "none"}, "ARITMA_CLIENT_AUTH none excludes ARITMA_CLIENT_SECRET"),
        (
            SECRET | {"client_auth": "private_key_jwt"},
            "ARITMA_CLIENT_AUTH private_key_jwt needs ARITMA_PRIVATE_KEY_FILE alone",
        ),
        (
            {"client_auth": "tls_client_auth"},
            "ARITMA_CLIENT_AUTH tls_client_auth needs ARITMA_CERTIFICATE_FILE alone",
        ),
        (SECRET | {"key_id": "1"}, "ARITMA_KEY_ID needs ARITMA_PRIVATE_KEY_FILE beside it"),
        (
            SECRET | {"certificate_key_file": "/k"},
            "ARITMA_CERTIFICATE_KEY_FILE needs ARITMA_CERTIFICATE_FILE beside it",
        ),
        (
            SECRET | {"issuer": "https://idp.example", "environment": "production"},
            "ARITMA_ISSUER and ARITMA_ENVIRONMENT exclude each other",
        ),
        (
            SECRET | {"profile": "FAPI"},
            "ARITMA_PROFILE must be one of fapi2, fapi2-message-signing",
        ),
        (SECRET | {"shares_issuer": "true"}, "ARITMA_SHARES_ISSUER needs ARITMA_TENANT beside it"),
        (SECRET | {"timeout": "soon"}, "ARITMA_TIMEOUT must be a number of seconds"),
        *(
            (SECRET | {name: value}, f"ARITMA_{name.upper()} needs ARITMA_ISSUER beside it")
            for name, value in {
                "tenants": "42",
                "issuer_aliases": ISSUER,
                "endpoint_origins": ISSUER,
                "endpoints": f"token_endpoint={ISSUER}/t",
            }.items()
        ),
    ],
)
def test_what_is_missing_or_contradictory_is_named(settings, problem):
    """One sentence names the settings, as they are called where they stand."""
    registration = of(**settings)
    (sentence,) = registration.problems()

    assert problem in sentence
    with pytest.raises(aa.ConfigurationError, match=problem.partition(" ")[0]):
        registration.require_usable()


@pytest.mark.parametrize("issuer", ["idp.example", "production"])
def test_an_issuer_that_is_no_url_is_an_error_about_the_issuer(issuer):
    """The environment was not named."""
    with pytest.raises(aa.ConfigurationError, match="the issuer must be an absolute https URL"):
        of(**SECRET, issuer=issuer).make_environment()


def test_an_environment_may_be_an_issuers_url():
    """It then has the settings of other servers."""
    registration = of(**SECRET, environment=ISSUER, tenants="42")

    assert registration.problems() == []
    assert registration.make_environment().tenants == {"42"}


def test_a_profile_needs_no_more_than_it_says():
    """Nothing is wrong with a registration that keeps to its profile, by key or certificate."""
    certified = {
        "private_key_file": None,
        "signing_algorithm": None,
        "dpop_key_file": None,
        "certificate_file": "/c",
    }

    assert of(**PROFILED).problems() == of(**PROFILED | certified).problems() == []


def test_a_file_calls_its_settings_by_their_keys(tmp_path):
    """The sentence about a file has the file's own words, and all of them at once."""
    file = tmp_path / "aritma.toml"
    file.write_text('[registrations.a]\nkey_id = "1"')

    assert Registration(read_file("a", file, {})).problems() == [
        "set client_id to the client id that the server gave",
        "set client_secret_file, or another credential of the client",
        "key_id needs private_key_file beside it",
    ]


@pytest.mark.parametrize(
    ("settings", "issuer", "discovers"),
    [
        ({}, "https://id.aritma.io", False),
        ({"environment": "development", "tenant": "acme"}, "https://id.dev.aritma.io/acme", False),
        ({"environment": "https://idp.example"}, "https://idp.example", True),
        ({"issuer": "https://idp.example/"}, "https://idp.example/", True),
        ({"issuer": "https://idp.example", "tenant": "acme"}, "https://idp.example/acme", True),
    ],
)
def test_an_environment_is_named_or_discovered(settings, issuer, discovers):
    """Aritma's two have names, and any other issuer's metadata decides the rest."""
    environment = of(**SECRET, **settings).make_environment()

    assert environment.issuer == issuer
    assert environment.discovers is discovers


def test_an_issuer_has_its_own_origins_and_endpoints():
    """Every argument of an environment has a setting."""
    environment = of(
        **SECRET,
        issuer="https://idp.example/common",
        api_origins="https://api.example",
        issuer_aliases="https://old.example",
        endpoint_origins="https://login.example",
        endpoints="token_endpoint=https://idp.example/t",
        tenants="a b",
    ).make_environment()

    assert environment.api_urls == ("https://api.example:443",)
    assert environment.issuer_aliases == {"https://old.example"}
    assert [origin.host for origin in environment.endpoint_origins] == ["login.example"]
    assert environment.endpoints == {"token_endpoint": "https://idp.example/t"}
    assert environment.tenants == {"a", "b"}


def test_aritmas_own_issuer_is_its_environment():
    """As a URL it is what its name means, and whatever else is said of it holds."""
    environment = of(**SECRET, issuer="https://id.dev.aritma.io").make_environment()

    assert environment == aa.DEVELOPMENT
    assert of(**SECRET, issuer="https://id.aritma.io").make_grant().scope == ("bankservice",)
    given = of(
        **SECRET,
        environment="https://id.aritma.io/acme",
        endpoints="token_endpoint=https://id.aritma.io/acme/t",
        issuer_aliases="https://sso.example",
        api_origins="https://api.example",
    ).make_environment()
    assert given.token_endpoint == "https://id.aritma.io/acme/t"
    assert given.tenant == "acme"
    assert given.issuer_aliases == {"https://id.zdata.no/acme", "https://sso.example"}
    assert len(given.api_urls) == len(aa.PRODUCTION.api_urls) + 1


def test_aritmas_environments_take_further_api_origins():
    """An API of the integrator's own is added to Aritma's."""
    environment = of(**SECRET, api_origins="https://api.example").make_environment()

    assert "https://api.example:443" in environment.api_urls
    assert len(environment.api_urls) == len(aa.PRODUCTION.api_urls) + 1


def test_tenants_may_share_an_issuer():
    """Then the claim tid must be the tenant."""
    environment = of(**SECRET, tenant="acme", shares_issuer="true").make_environment()

    assert environment.tenants == {"acme"}


@pytest.mark.parametrize(
    ("settings", "form"),
    [
        ({}, {"scope": "bankservice"}),
        ({"scope": "a b"}, {"scope": "a b"}),
        ({"issuer": "https://idp.example"}, {}),
        ({"environment": "https://idp.example"}, {}),
        (
            {"issuer": "https://idp.example", "audience": "https://api.example"},
            {"audience": "https://api.example"},
        ),
        (
            {"resource": "https://api.example"},
            {"scope": "bankservice", "resource": "https://api.example"},
        ),
    ],
)
def test_a_grant_asks_for_what_is_set(settings, form):
    """Aritma's servers want a scope; what another calls its APIs nobody can guess."""
    parameters = dict(of(**SECRET, **settings).make_grant().parameters())

    assert parameters == {"grant_type": "client_credentials"} | form


def test_a_client_has_the_further_settings():
    """What is not set has the client's own default."""
    given = of(**SECRET, timeout="3", trusted_audiences="a b", proxy="http://proxy.example:1")

    assert given.client_settings == {
        "timeout": 3.0,
        "trusted_audiences": ("a", "b"),
        "proxy": "http://proxy.example:1",
    }
    assert of(**SECRET).client_settings == {}


async def test_a_provider_of_a_registration_gets_a_token(aritma_sandbox, tmp_path, monkeypatch):
    """A program names its registration, and nothing else of it is in the code."""
    monkeypatch.setenv("BANK_SECRET", aritma_sandbox.client.client_secret)
    file = tmp_path / "aritma.toml"
    file.write_text(
        "[registrations.payments]\n"
        f'client_id = "{aritma_sandbox.client.client_id}"\n'
        'client_secret_variable = "BANK_SECRET"\n'
        f'issuer = "{aritma_sandbox.identity_url}"\n'
        'scope = "bankservice"\n'
    )
    async with aa.TokenProvider.from_config("payments", path=file) as tokens:
        token = await tokens.get_token()
    client = aa.OAuthClient.from_config("payments", path=file)

    assert token.scope == ("bankservice",)
    assert client.client_auth.method == "client_secret_post"


def test_what_code_gives_replaces_what_settings_say(tmp_path, monkeypatch):
    """A client without code takes whatever the constructor takes, a provider its clock."""
    file = tmp_path / "aritma.toml"
    file.write_text('[registrations.a]\nclient_id = "id"\nclient_secret_variable = "S"\nleeway = 5')
    monkeypatch.setenv("ARITMA_CLIENT_ID", "id")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "s")
    monkeypatch.setenv("ARITMA_PROXY", "no proxy")
    key, clock = aa.DPoP(aa.SigningKey.generate()), FakeClock()
    with pytest.raises(aa.ConfigurationError, match="proxy"):
        aa.OAuthClient.from_env()

    assert aa.OAuthClient.from_env(dpop=key, proxy=None).dpop is key
    assert aa.OAuthClient.from_config("a", path=file, dpop=key, clock=clock).dpop is key
    for options in ({"leeway": -1}, {"clock": 5}, {"timeout": 0}):
        with pytest.raises(aa.ConfigurationError, match=next(iter(options))):
            aa.OAuthClient.from_config("a", path=file, **options)
    with pytest.raises(aa.ConfigurationError, match="clock"):
        aa.TokenProvider.from_config("a", path=file, clock=5)


async def test_a_providers_clock_is_its_clients(aritma_sandbox, tmp_path):
    """One time for what is sent and for what is kept."""
    secret = tmp_path / "secret"
    secret.write_text(aritma_sandbox.client.client_secret)
    file = tmp_path / "aritma.toml"
    file.write_text(
        f'[registrations.a]\nclient_id = "{aritma_sandbox.client.client_id}"\n'
        f'client_secret_file = "{secret}"\nissuer = "{aritma_sandbox.identity_url}"\n'
        'scope = "bankservice"'
    )
    clock = FakeClock()
    async with aa.TokenProvider.from_config("a", path=file, clock=clock) as tokens:
        first = await tokens.get_token()
        clock.advance(first.expires_at - clock.time() + 1)
        assert await tokens.get_token() != first


def test_a_registration_may_be_public(tmp_path):
    """A native application has no secret."""
    file = tmp_path / "aritma.toml"
    file.write_text('[registrations.app]\nclient_id = "app"')
    client = aa.OAuthClient.from_config("app", path=file, requires_secret=False)

    assert client.client_auth.method == "none"
    with pytest.raises(aa.ConfigurationError, match="set client_secret_file"):
        aa.OAuthClient.from_config("app", path=file)

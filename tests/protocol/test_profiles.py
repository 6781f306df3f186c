"""Security profiles: each rule, and what a server's metadata must offer."""

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.authorization_parameters import AuthorizationParameters
from aritma_auth.protocol.client_auth import (
    ClientSecretBasic,
    ClientSecretPost,
    NoClientAuth,
    PrivateKeyJwt,
    TlsClientAuth,
)
from aritma_auth.protocol.grants import (
    ClientCredentialsGrant,
    CustomGrant,
    DeviceCodeGrant,
    PasswordGrant,
    RefreshTokenGrant,
)
from aritma_auth.protocol.metadata import ServerMetadata
from aritma_auth.protocol.profiles import FAPI2, FAPI2_MESSAGE_SIGNING, ClientSettings
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.signing import RemoteSigner, SigningKey
from support.sign_ins import make_request

BOTH = [FAPI2, FAPI2_MESSAGE_SIGNING]
ES256 = SigningKey.generate("ES256")
ES384 = SigningKey.generate("ES384")


class Context:
    """Looks like a TLS context."""

    def wrap_bio(self):
        """Wrap nothing."""


async def sign(_data):
    """Sign nothing."""


def settings(**changes):
    return ClientSettings(**({"client_auth": PrivateKeyJwt(ES256), "dpop_key": ES256} | changes))


@pytest.mark.parametrize("profile", BOTH)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dpop_key": SigningKey.generate("EdDSA")},
        {"dpop_key": RemoteSigner("PS256", sign)},
        {"dpop_key": None, "has_certificate": True},
        {"client_auth": PrivateKeyJwt("text", algorithm="PS256"), "request_signer": ES256},
        {"client_auth": PrivateKeyJwt(ES256, names_issuer=True)},
        {"client_auth": TlsClientAuth(Context()), "request_signer": ES256},
        {"id_token_algorithms": frozenset({"PS256", "Ed25519"})},
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else None,
)
def test_these_clients_keep_to_the_profile(profile, changes):
    """A key or a certificate of the right kind is all that a client needs."""
    assert profile.find_client_problems(settings(**changes)) == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"client_auth": ClientSecretPost("s")}, "client_auth must be PrivateKeyJwt or"),
        ({"client_auth": ClientSecretBasic("s")}, "not client_secret_basic"),
        ({"client_auth": NoClientAuth()}, "not none"),
        ({"client_auth": PrivateKeyJwt("text")}, "client_auth must sign with ES256"),
        ({"client_auth": PrivateKeyJwt("text", algorithm="RS256")}, "not RS256"),
        ({"client_auth": PrivateKeyJwt(ES384)}, "not ES384"),
        (
            {"client_auth": PrivateKeyJwt(ES256, audience="https://id.example/token")},
            "must name the issuer",
        ),
        ({"dpop_key": None}, "dpop must be given"),
        ({"dpop_key": ES384}, "dpop's key must sign with"),
        ({"request_signer": ES384}, "request_signer must sign with"),
        ({"id_token_algorithms": frozenset({"RS256", "PS256"})}, "without RS256"),
        ({"fixed_endpoints": ("token_endpoint", "jwks_uri")}, "remove jwks_uri, token_endpoint"),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else None,
)
def test_each_rule_refuses(changes, said):
    """A setting that breaks the profile is one sentence that says what to do."""
    problems = FAPI2.find_client_problems(settings(**changes))

    assert len(problems) == 1
    assert said in problems[0]


@pytest.mark.parametrize(
    "auth", [PrivateKeyJwt("text", algorithm="PS256"), TlsClientAuth(Context())]
)
def test_signed_requests_need_a_key(auth):
    """A key that is loaded for each assertion signs no requests."""
    client = settings(client_auth=auth)

    assert FAPI2.find_client_problems(client) == ()
    assert "request_signer must be given" in FAPI2_MESSAGE_SIGNING.find_client_problems(client)[0]


OFFER = {
    "response_types_supported": ["code"],
    "code_challenge_methods_supported": ["plain", "S256"],
    "id_token_signing_alg_values_supported": ["RS256", "PS256"],
    "token_endpoint_auth_methods_supported": ["private_key_jwt"],
    "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
    "dpop_signing_alg_values_supported": ["ES256"],
    "authorization_response_iss_parameter_supported": True,
    "request_object_signing_alg_values_supported": ["ES256"],
    "response_modes_supported": ["query", "jwt"],
    "authorization_signing_alg_values_supported": ["PS256"],
}


def metadata(changes=None, endpoints=("pushed_authorization_request_endpoint",)):
    members = {k: v for k, v in (OFFER | (changes or {})).items() if v is not None}
    urls = {name: f"https://id.example/{name}" for name in endpoints}
    return ServerMetadata("https://id.example", urls, members=Members(members))


@pytest.mark.parametrize("profile", BOTH)
def test_a_server_that_offers_all_is_ready(profile):
    """No problem is found where the metadata offers everything."""
    assert profile.find_server_problems(metadata(), settings()) == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"response_types_supported": ["token"]}, "response_types_supported must have code"),
        ({"code_challenge_methods_supported": ["plain"]}, "must have S256"),
        ({"id_token_signing_alg_values_supported": ["RS256"]}, "id_token_signing_alg"),
        ({"token_endpoint_auth_methods_supported": None}, "must have private_key_jwt"),
        ({"token_endpoint_auth_signing_alg_values_supported": ["RS256"]}, "must have ES256"),
        ({"dpop_signing_alg_values_supported": "ES256"}, "dpop_signing_alg_values_supported"),
        ({"authorization_response_iss_parameter_supported": "true"}, "must be true"),
    ],
)
def test_each_lack_of_a_server_is_named(changes, said):
    """One sentence a lack, with the metadata's member."""
    problems = FAPI2.find_server_problems(metadata(changes), settings())

    assert len(problems) == 1
    assert said in problems[0]


def test_a_server_must_take_pushed_requests():
    """Without the endpoint no sign-in can begin."""
    problems = FAPI2.find_server_problems(metadata(endpoints=()), settings())

    assert problems == (
        "pushed_authorization_request_endpoint is missing in the server's metadata",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("request_object_signing_alg_values_supported", ["PS256"]),
        ("response_modes_supported", ["query"]),
        ("authorization_signing_alg_values_supported", ["RS256"]),
    ],
)
def test_message_signing_wants_more(name, value):
    """Signed requests and responses must be offered in the client's algorithms."""
    changed = metadata({name: value})

    assert FAPI2.find_server_problems(changed, settings()) == ()
    assert name in FAPI2_MESSAGE_SIGNING.find_server_problems(changed, settings())[0]


def test_a_signed_response_names_its_issuer_itself():
    """JARM stands in for the parameter ``iss``."""
    changed = metadata({"authorization_response_iss_parameter_supported": None})

    assert FAPI2_MESSAGE_SIGNING.find_server_problems(changed, settings()) == ()


def test_a_client_that_is_not_ready_learns_what_a_server_offers():
    """A secret is no method of the profile; any way to bind tokens will do for it."""
    client = settings(client_auth=ClientSecretPost("s"), dpop_key=None)
    by_certificate = {
        "token_endpoint_auth_methods_supported": ["tls_client_auth"],
        "dpop_signing_alg_values_supported": None,
        "tls_client_certificate_bound_access_tokens": True,
    }

    assert FAPI2.find_server_problems(metadata(), client) == ()
    assert FAPI2.find_server_problems(metadata(by_certificate), client) == ()
    assert FAPI2_MESSAGE_SIGNING.find_server_problems(metadata(), client) == ()
    without = metadata({"dpop_signing_alg_values_supported": None})
    assert "dpop_signing_alg_values" in FAPI2.find_server_problems(without, client)[0]


def test_a_certificate_binds_tokens_where_the_server_says_so():
    """A client with a certificate needs no DPoP (RFC 8705 §3.3)."""
    client = settings(client_auth=TlsClientAuth(Context()), dpop_key=None, has_certificate=True)
    wanted = {"token_endpoint_auth_methods_supported": ["tls_client_auth"]}
    bound = {"tls_client_certificate_bound_access_tokens": True}

    assert FAPI2.find_server_problems(metadata(wanted | bound), client) == ()
    assert "certificate_bound" in FAPI2.find_server_problems(metadata(wanted), client)[0]


@pytest.mark.parametrize(
    "grant",
    [ClientCredentialsGrant("api"), RefreshTokenGrant("r"), DeviceCodeGrant("d")],
)
def test_these_grants_are_allowed(grant):
    """The profile has nothing against them."""
    FAPI2.require_grant(grant)


def test_the_password_grant_is_refused():
    """PasswordGrant and a CustomGrant of the same name are both refused."""
    with pytest.warns(DeprecationWarning):
        password = PasswordGrant("alice", "secret")
    for grant in (password, CustomGrant("password", {"username": "alice"})):
        with pytest.raises(ConfigurationError, match="does not allow the grant password"):
            FAPI2.require_grant(grant)


@pytest.mark.parametrize("response_type", ["token", "id_token", "code id_token"])
def test_only_a_code_comes_through_the_browser(response_type):
    """Implicit and hybrid requests are refused."""
    scope = "api" if response_type == "token" else "openid"
    with pytest.raises(ConfigurationError, match="response_type must be code"):
        FAPI2.require_request(make_request(response_type, scope=scope))


def test_message_signing_asks_for_a_signed_response():
    """The mode is set where the caller says nothing, and refused where it is another."""
    parameters = AuthorizationParameters()
    FAPI2_MESSAGE_SIGNING.prepare_sign_in(parameters)
    assert parameters == {"response_mode": "jwt"}
    FAPI2_MESSAGE_SIGNING.require_request(
        make_request(response_mode="form_post.jwt", requires_iss=True)
    )
    with pytest.raises(ConfigurationError, match="response_mode must be jwt"):
        FAPI2_MESSAGE_SIGNING.require_request(
            make_request(response_mode="query", requires_iss=True)
        )

    parameters = AuthorizationParameters()
    FAPI2.prepare_sign_in(parameters)
    assert parameters == {}
    FAPI2.require_request(make_request(requires_iss=True))


def test_a_pending_sign_in_must_have_been_begun_with_the_profile():
    """Without the demand for ``iss`` a response of another server would not be noticed."""
    with pytest.raises(ConfigurationError, match="must be begun with the profile FAPI 2"):
        FAPI2.require_request(make_request())


def test_a_profile_is_a_value():
    """Two are equal by their rules, and a report says whether both sides are ready."""
    assert attrs.evolve(FAPI2) == FAPI2 != FAPI2_MESSAGE_SIGNING
    assert aa.ProfileReport("x").is_ready
    assert not aa.ProfileReport("x", server_problems=("y",)).is_ready
    assert not aa.ProfileReport("x", client_problems=("y",)).is_ready

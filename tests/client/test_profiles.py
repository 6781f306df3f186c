"""Clients that keep to a security profile: one value, applied at construction and each request."""

import ssl
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest

import aritma_auth as aa
from aritma_auth.client.tls import choose_tls_context, require_strict_tls
from aritma_auth.sandbox import Sandbox
from support.fapi import DPOP_KEY, KEY, fapi_client, register
from support.internals import transport_of
from support.journeys import REDIRECT_URI, begin, sign_in
from support.sandbox_wire import read_jwt
from support.tls import Authority, throw_away_certificate

pytestmark = pytest.mark.usefixtures("no_leftovers")

BOTH = [aa.FAPI2, aa.FAPI2_MESSAGE_SIGNING]


@pytest.fixture
async def sandbox():
    async with Sandbox(server_version="fapi") as sandbox:
        register(sandbox)
        sandbox.sign_in_automatically("alice")
        yield sandbox


@pytest.mark.parametrize("profile", BOTH, ids=["security", "signing"])
async def test_one_value_turns_all_of_it_on(sandbox, profile):
    """The same sign-in as ever is pushed, bound to a key, and signed where the profile says so."""
    client = fapi_client(sandbox, profile)
    request, callback = await begin(client, "openid offline_access bankservice")
    done = await client.complete_sign_in(request, callback)
    query = dict(parse_qsl(urlsplit(request.url).query))
    is_signing = profile is aa.FAPI2_MESSAGE_SIGNING

    assert query.keys() == {"client_id", "request_uri"}
    assert request.requires_iss
    assert ("response=" in str(callback)) is is_signing
    assert (request.request_object is not None) is is_signing
    assert done.subject == "user-alice"
    assert done.token.token_type == "DPoP"
    assert read_jwt(done.token.access_token)[1]["cnf"] == {"jkt": DPOP_KEY.thumbprint}
    assert (client.profile, client.environment.discovers) == (profile, True)


async def test_a_response_names_its_server_although_nobody_has_announced_it(sandbox):
    """The profile demands ``iss``, whatever the metadata say (RFC 9207 §2.4)."""
    sandbox.overrides.metadata = {"authorization_response_iss_parameter_supported": None}
    sandbox.overrides.authorization_response = {"iss": None}
    with pytest.raises(aa.IssuerMismatchError, match="must name its issuer"):
        await sign_in(fapi_client(sandbox))

    assert sandbox.token_requests == []


@pytest.mark.parametrize("profile", BOTH, ids=["security", "signing"])
async def test_a_sign_in_that_was_begun_without_the_profile_is_not_completed(sandbox, profile):
    """Neither the response nor the code is looked at: it need not be signed, nor name its issuer."""
    sandbox.overrides.metadata = {"authorization_response_iss_parameter_supported": None}
    plain = fapi_client(sandbox, None, aa.PrivateKeyJwt(KEY, names_issuer=True))
    request, callback = await begin(plain, push=True)
    with pytest.raises(aa.ConfigurationError, match="with the profile"):
        await fapi_client(sandbox, profile).complete_sign_in(request, callback)

    assert sandbox.token_requests == []
    assert (await plain.complete_sign_in(request, callback)).subject == "user-alice"


@pytest.mark.parametrize("profile", BOTH, ids=["security", "signing"])
@pytest.mark.parametrize("published", [None, ["https://id.example/par"]])
async def test_a_server_without_pushed_requests_is_told_apart_at_once(sandbox, profile, published):
    """The error names the profile, and gives no advice that the profile would refuse."""
    names = {"pushed_authorization_request_endpoint": published}
    sandbox.overrides.metadata = names | {"mtls_endpoint_aliases": names}
    with pytest.raises(aa.ConfigurationError, match=f"since the profile {profile.name}") as told:
        await begin(fapi_client(sandbox, profile))

    assert "endpoints" not in str(told.value)
    assert sandbox.requests_at("par") == sandbox.requests_at("authorize") == 0


async def test_pushed_requests_at_the_alias_alone_are_enough(tmp_path):
    """A client with a certificate uses the alias, and needs no other address (RFC 8705 §5)."""
    authority = Authority(tmp_path)
    async with Sandbox(server_version="fapi", ssl_context=authority.server()) as sandbox:
        register(sandbox)
        url = f"{sandbox.identity_url}/connect/par"
        name = "pushed_authorization_request_endpoint"
        sandbox.overrides.metadata = {name: None, "mtls_endpoint_aliases": {name: url}}
        client = fapi_client(sandbox, dpop=None, certificate=authority.certificate())

        assert (await client.begin_sign_in(REDIRECT_URI)).request_uri is not None


async def test_signed_requests_are_for_the_issuer_as_it_spells_itself(sandbox):
    """A slash at the end of the configured issuer is not in the audience, for browser or CIBA."""
    register(sandbox, grant_types=("authorization_code", "urn:openid:params:grant-type:ciba"))
    environment = aa.Environment.at(f"{sandbox.identity_url}/")
    client = fapi_client(sandbox, aa.FAPI2_MESSAGE_SIGNING, environment=environment)
    seen, send = [], transport_of(client).send

    async def listen(request, **settings):
        seen.append(dict(parse_qsl(bytes(request.body or b"").decode())).get("request"))
        return await send(request, **settings)

    transport_of(client).send = listen
    await client.begin_sign_in(REDIRECT_URI)
    await client.begin_backchannel_sign_in("openid", login_hint="alice")
    audiences = [read_jwt(jwt)[1]["aud"] for jwt in seen if jwt]

    assert audiences == [sandbox.identity_url] * 2


async def test_assertions_name_the_issuer(sandbox):
    """One audience, as text: an endpoint's address would be refused by the profile's servers."""
    client = fapi_client(sandbox)
    token = await client.fetch_token(aa.ClientCredentialsGrant("bankservice"))

    assert token.token_type == "DPoP"
    assert client.client_auth.names_issuer


async def test_an_environment_keeps_what_a_profile_has_no_rule_for(sandbox):
    """Aliases and origins survive; the endpoints are looked up."""
    environment = aa.Environment.at(
        sandbox.identity_url,
        api_origins=[sandbox.banking_url],
        issuer_aliases=["https://alias.example"],
        endpoint_origins=["https://tokens.example"],
    )
    applied = fapi_client(sandbox, environment=environment).environment

    assert applied.discovers
    assert applied.api_origins == environment.api_origins
    assert applied.endpoint_origins == environment.endpoint_origins
    assert applied.issuers == environment.issuers


def test_every_broken_rule_is_named_at_once():
    """A client with a secret learns all that it lacks, before anything is sent."""
    with pytest.raises(aa.ConfigurationError) as told:
        aa.OAuthClient("me", "secret", profile=aa.FAPI2, id_token_algorithms="RS256")

    said = str(told.value)
    assert said.startswith("the profile FAPI 2.0 Security Profile demands: client_auth must be")
    assert "dpop must be given" in said
    assert "id_token_algorithms must be some of" in said


def test_configured_endpoints_are_refused():
    """Only the server's metadata say where requests go."""
    environment = aa.Environment.at(
        "https://idp.example", endpoints={"token_endpoint": "https://idp.example/t"}
    )
    with pytest.raises(aa.ConfigurationError, match="remove token_endpoint"):
        aa.OAuthClient(
            "me",
            aa.PrivateKeyJwt(KEY),
            environment=environment,
            dpop=aa.DPoP(DPOP_KEY),
            profile=aa.FAPI2,
        )


@pytest.mark.parametrize("given", ["FAPI2", True, object()])
async def test_a_profile_of_another_kind_is_refused(sandbox, given):
    """The argument is named, at construction and when a client is assessed."""
    with pytest.raises(aa.ConfigurationError, match="profile must be a Profile"):
        fapi_client(sandbox, given)
    with pytest.raises(aa.ConfigurationError, match="profile must be a Profile"):
        await fapi_client(sandbox).assess_profile(given)


async def test_what_the_profile_demands_is_not_switched_off(sandbox):
    """Neither pushing nor signing, nor the place of the response, is for the caller to change."""
    client = fapi_client(sandbox, aa.FAPI2_MESSAGE_SIGNING)
    for wish, said in (
        ({"push": False}, "push must not be False: the profile requires"),
        ({"sign": False}, "sign must not be False: the profile requires"),
        ({"response_mode": "query"}, "response_mode must be jwt"),
        ({"response_type": "code id_token"}, "response_type must be code"),
    ):
        with pytest.raises(aa.ConfigurationError, match=said):
            await client.begin_sign_in(REDIRECT_URI, **wish)
    with pytest.warns(DeprecationWarning):
        password = aa.PasswordGrant("alice", "alice-password")
    with pytest.raises(aa.ConfigurationError, match="does not allow the grant password"):
        await client.fetch_token(password)

    assert sandbox.requests_at("par") == sandbox.requests_at("token") == 0


async def test_a_token_never_goes_into_a_form(sandbox):
    """UserInfo takes the token in the header."""
    client = fapi_client(sandbox)
    done = await sign_in(client)
    with pytest.raises(aa.ConfigurationError, match="in_body must be False"):
        await client.fetch_userinfo(done.token, in_body=True)

    assert (await client.fetch_userinfo(done.token))["sub"] == "user-alice"


@pytest.mark.parametrize("profile", BOTH, ids=["security", "signing"])
async def test_a_ready_client_and_server_are_told_so(sandbox, profile):
    """The report has no problems."""
    report = await fapi_client(sandbox, profile).assess_profile(profile)

    assert report.is_ready, report
    assert report.profile == profile.name


async def test_a_client_that_is_not_ready_is_told_what_to_do(sandbox):
    """A client without a profile asks for one, and both sides' problems are listed."""
    client = aa.OAuthClient("sandbox-web", "web-secret", environment=sandbox.environment)
    sandbox.overrides.metadata = {"pushed_authorization_request_endpoint": None}
    report = await client.assess_profile(aa.FAPI2)

    assert not report.is_ready
    assert "pushed_authorization_request_endpoint is missing" in report.server_problems[0]
    assert [problem.split()[0] for problem in report.client_problems] == ["client_auth", "dpop"]


async def test_identityserver_lacks_one_thing_for_it():
    """IdentityServer 7.4 signs with RS256 unless it is told otherwise."""
    async with Sandbox(server_version="duende-7.4") as sandbox:
        register(sandbox)
        report = await fapi_client(sandbox).assess_profile(aa.FAPI2)

    assert report.client_problems == ()
    assert [problem.split()[0] for problem in report.server_problems] == [
        "id_token_signing_alg_values_supported"
    ]


def test_the_tls_context_is_strict(tmp_path):
    """TLS 1.2 or later, and four cipher suites of TLS 1.2 (RFC 9325 §4.2)."""
    context = aa.create_tls_context()
    older = {c["name"] for c in context.get_ciphers() if c["protocol"] != "TLSv1.3"}

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert len(older) == 4
    assert all(name.startswith("ECDHE-") and "GCM" in name for name in older)
    require_strict_tls(context, "it")
    for wrong in (str(tmp_path / "none.pem"), "/dev/zero", 5):
        with pytest.raises(aa.ConfigurationError, match="cafile must be"):
            aa.create_tls_context(wrong)


@pytest.mark.parametrize("fault", ["version", "ciphers"])
def test_a_lax_tls_context_is_refused(fault):
    """An older version or another suite is named before a connection is made."""
    context = aa.create_tls_context()
    if fault == "version":
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    else:
        context.set_ciphers("DEFAULT")
    with pytest.raises(aa.ConfigurationError, match="it must allow TLS"):
        require_strict_tls(context, "it")


KEYED = aa.PrivateKeyJwt(KEY)


async def test_the_sessions_own_tls_counts():
    """A session's strict context is left to it; a lax one or a fingerprint is refused."""
    strict = aa.create_tls_context()
    assert isinstance(choose_tls_context(None, None), ssl.SSLContext)
    for tls, said in (
        (True, None),
        (strict, None),
        (ssl.create_default_context(), "connector must allow TLS"),
        (aiohttp.Fingerprint(b"0" * 32), "must have a TLS context"),
    ):
        connector = aiohttp.TCPConnector(ssl=tls)
        async with aiohttp.ClientSession(connector=connector) as session:
            if said is None:
                assert (choose_tls_context(session, None) is None) is (tls is strict)
            else:
                with pytest.raises(aa.ConfigurationError, match=said):
                    choose_tls_context(session, None)


def test_a_certificates_context_is_strict_or_made_so(tmp_path):
    """The caller's own context must be strict; one made of files is restricted."""
    strict = aa.create_tls_context()
    assert choose_tls_context(None, strict) is strict
    with pytest.raises(aa.ConfigurationError, match="certificate must allow TLS"):
        aa.OAuthClient(
            "me",
            aa.TlsClientAuth(ssl.create_default_context()),
            profile=aa.FAPI2,
            environment=ISSUER,
        )
    files = aa.ClientCertificate(*throw_away_certificate(tmp_path))
    client = aa.OAuthClient("me", aa.TlsClientAuth(files), profile=aa.FAPI2, environment=ISSUER)

    require_strict_tls(files.ssl_context, "it")
    assert client.profile is aa.FAPI2
    # What is no context is the transport's to refuse.
    with pytest.raises(aa.ConfigurationError, match="certificate must be a ClientCertificate or"):
        aa.OAuthClient("me", aa.TlsClientAuth(Wrapping()), profile=aa.FAPI2, environment=ISSUER)


class Wrapping:
    """Looks like a TLS context, and is none."""

    def wrap_bio(self):
        """Wrap nothing."""


ISSUER = aa.Environment.at("https://idp.example")


@pytest.mark.parametrize("as_context", [False, True])
async def test_tokens_must_be_bound_to_the_certificate_without_dpop(tmp_path, as_context):
    """A server that forgets to bind is noticed, though both token types are Bearer."""
    authority = Authority(tmp_path)
    given = authority.certificate()
    if as_context:
        given = aa.create_tls_context()
        given.load_verify_locations(authority.ca_file)
        given.load_cert_chain(*authority.issue())
    async with Sandbox(server_version="fapi", ssl_context=authority.server()) as sandbox:
        register(sandbox)
        client = fapi_client(sandbox, dpop=None, certificate=given)
        grant = aa.ClientCredentialsGrant("api")
        assert (await client.fetch_token(grant)).token_type == "Bearer"
        sandbox.overrides.access_token["cnf"] = None
        with pytest.raises(aa.InvalidResponseError, match="names none"):
            await client.fetch_token(grant)

"""Tests of `aritma-auth doctor`."""

import asyncio
import base64
import json
import ssl

import pytest
from yarl import URL

import aritma_auth as aa
from aritma_auth import cli
from aritma_auth.cli import network_checks
from aritma_auth.cli.exit_codes import ExitCode
from aritma_auth.cli.findings import examine, examine_keys, name_server
from aritma_auth.protocol.metadata import parse_metadata
from aritma_auth.protocol.redaction import Members
from support.tls import certificates

CLIENT = aa.OAuthClient("id", "secret", environment=aa.Environment.at("https://idp.example"))
GOOD = {
    "authorization_response_iss_parameter_supported": True,
    "code_challenge_methods_supported": ["plain", "S256"],
    "grant_types_supported": ["authorization_code", "client_credentials"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "token_endpoint_auth_methods_supported": ["client_secret_post"],
}
PLAIN = {
    "grant_types_supported": ["authorization_code", "client_credentials"],
    "backchannel_authentication_endpoint": None,
    "dpop_signing_alg_values_supported": None,
    "pushed_authorization_request_endpoint": None,
    "request_parameter_supported": None,
    "tls_client_certificate_bound_access_tokens": None,
}
"""What the sandbox may come to offer, and not in this test."""

GOLDEN_WIDE = """\
ok  client                 sandbox-service, authenticates by client_secret_post
ok  proxy                  none
ok  TLS                    none: the server is on this machine
ok  metadata               ISSUER/.well-known/openid-configuration
ok  issuer                 ISSUER
ok  server                 IdentityServer4, or Duende IdentityServer 5
ok  token endpoint         ISSUER/connect/token
ok  grants                 authorization_code client_credentials
ok  client authentication  client_secret_basic client_secret_post private_key_jwt
ok  PKCE                   plain S256
--  response issuer        not in authorization responses
                           > with more than one server, use a redirect URI for each (RFC 9700 §4.4.2)
ok  PAR                    not offered
ok  bound tokens           not offered: a stolen token can be used
ok  ID tokens              RS256
ok  also offers            introspection, revocation, device sign-in, sign-out, back-channel logout, front-channel logout
ok  keys                   RS256
--  FAPI 2.0               not ready: the server lacks 4 things, this client 2
                           > if you need this profile, --fapi names what is missing
ok  clock                  +0 s from ours

No problem found. The secret was not tried: add --request-token.
"""
GOLDEN_NARROW = """\
NO  TLS       no address for
              id.invalid
              > check the name, the
              resolver, the VPN
"""


def findings_of(members, client=CLIENT, endpoint="https://idp.example/connect/token", foreign=()):
    metadata = aa.ServerMetadata(
        "https://idp.example",
        {} if endpoint is None else {"token_endpoint": endpoint},
        {name: f"https://elsewhere.example/{name}" for name in foreign},
        members=Members(members),
    )
    return {finding.what: finding for finding in examine(client, metadata)}


@pytest.fixture
def settings(running, monkeypatch):
    """Give the settings of the sandbox's service."""
    monkeypatch.setenv("ARITMA_CLIENT_ID", "sandbox-service")
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "sandbox-secret")
    monkeypatch.setenv("ARITMA_ENVIRONMENT", running.identity_url)
    monkeypatch.setenv("COLUMNS", "160")
    running.token_requests.clear()
    yield running
    running.overrides.metadata.clear()
    running.overrides.keys.clear()


@pytest.fixture
def doctor(settings, capsys):
    """Run the command with --json; give its exit code and its findings by name."""

    def run(*arguments):
        code = cli.run(["doctor", "--json", *arguments])
        told = json.loads(capsys.readouterr().out)
        findings = {finding["what"]: finding for finding in told["findings"]}
        bad = [name for name, finding in findings.items() if finding["status"] == "problem"]
        assert told["problems"] == len(bad)
        assert code == (ExitCode.FAILED if bad else ExitCode.DONE)
        assert all(finding["advice"] for finding in findings.values() if finding["status"] != "ok")
        return bad, findings

    return run


def plain(text):
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def test_a_server_that_fits_has_no_problem():
    """A server that offers all that the client needs gives findings without a problem."""
    findings = findings_of(GOOD)

    assert {finding.status for finding in findings.values()} == {"ok"}
    assert findings["grants"].found == "authorization_code client_credentials"


@pytest.mark.parametrize(
    ("changed", "arguments", "what", "problem"),
    [
        ({}, {"foreign": ["jwks_uri"]}, "on other hosts", "list their origins in endpoint_origins"),
        (
            {"token_endpoint_auth_methods_supported": None},
            {},
            "client authentication",
            "this client uses client_secret_post: authenticate it by one of these",
        ),
        (
            {"code_challenge_methods_supported": ["plain"]},
            {},
            "PKCE",
            "S256 is always sent: the server must offer it",
        ),
        (
            {"id_token_signing_alg_values_supported": ["HS256"]},
            {},
            "ID tokens",
            "a client accepts ES256, PS256, RS256: name others in id_token_algorithms",
        ),
    ],
)
def test_what_cannot_work_is_named(changed, arguments, what, problem):
    """Each problem is a finding of its own that says what to do."""
    findings = findings_of({**GOOD, **changed}, **arguments)

    assert [finding.what for finding in findings.values() if finding.status != "ok"] == [what]
    assert findings[what].problem == problem


def test_an_endpoint_that_is_no_secure_url_is_named():
    """Listing an origin would not help: the server must publish another address."""
    insecure = {"token_endpoint": "http://idp.example/token", "jwks_uri": "https://cdn.example/"}
    metadata = parse_metadata(
        Members({"issuer": "https://idp.example", **insecure}), issuers={"https://idp.example"}
    )
    client = aa.OAuthClient("id", "secret", environment="https://idp.example")
    findings = {finding.what: finding for finding in examine(client, metadata)}

    assert findings["no secure URLs"].found == "token_endpoint"
    assert findings["no secure URLs"].problem == "the server must publish https URLs of these"
    assert findings["on other hosts"].found == "https://cdn.example:443"


@pytest.mark.parametrize(
    ("changed", "what", "note"),
    [
        ({"code_challenge_methods_supported": None}, "PKCE", "ask its owner"),
        ({"grant_types_supported": ["password"]}, "grants", "client_credentials is not among"),
        (
            {"authorization_response_iss_parameter_supported": None},
            "response issuer",
            "a redirect URI for each",
        ),
    ],
)
def test_what_matters_to_some_is_a_note(changed, what, note):
    """What may work is no problem, and is said."""
    findings = findings_of({**GOOD, **changed})

    assert [finding.what for finding in findings.values() if finding.status != "ok"] == [what]
    assert findings[what].status == "note"
    assert note in findings[what].note


@pytest.mark.parametrize(
    ("members", "what", "found"),
    [
        ({}, "PAR", "not offered"),
        ({"pushed_authorization_request_endpoint": "https://idp.example/par"}, "PAR", "offered"),
        (
            {
                "pushed_authorization_request_endpoint": "https://idp.example/par",
                "require_pushed_authorization_requests": True,
            },
            "PAR",
            "required",
        ),
        ({"dpop_signing_alg_values_supported": ["ES256"]}, "bound tokens", "DPoP (ES256)"),
        (
            {"tls_client_certificate_bound_access_tokens": True},
            "bound tokens",
            "certificates (RFC 8705)",
        ),
        ({"id_token_signing_alg_values_supported": None}, "ID tokens", "not published"),
        ({"revocation_endpoint": "https://idp.example/r"}, "also offers", "revocation"),
        ({"request_parameter_supported": False}, "also offers", "nothing more"),
    ],
)
def test_what_a_server_offers_is_shown(members, what, found):
    """Pushed requests, bound tokens and further endpoints are named."""
    finding = findings_of({**GOOD, **members})[what]

    assert (finding.found, finding.status) == (found, "ok")


@pytest.mark.parametrize(
    "endpoint", ["https://idp.example/token", "https://idp.example/oauth2/v1/token"]
)
def test_another_token_endpoint_is_named_with_what_to_do(endpoint):
    """A published token endpoint that this client does not use is a problem with a remedy."""
    finding = findings_of(GOOD, endpoint=endpoint)["token endpoint"]

    assert finding.found == endpoint
    assert "sends token requests to https://idp.example/connect/token" in finding.problem
    assert "Environment.discover('https://idp.example')" in finding.problem
    assert "set ARITMA_ENVIRONMENT to https://idp.example" in finding.problem


@pytest.mark.parametrize(
    ("settings", "endpoint", "has_problem"),
    [
        ({}, "https://idp.example/token", False),
        ({}, None, True),
        (
            {"endpoints": {"token_endpoint": "https://idp.example/a"}},
            "https://idp.example/a",
            False,
        ),
        ({"endpoints": {"token_endpoint": "https://idp.example/a"}}, "https://idp.example/b", True),
    ],
)
def test_a_discovered_token_endpoint_is_no_problem(settings, endpoint, has_problem):
    """With discovery the published endpoint is the one in use, unless another is configured."""
    environment = aa.Environment.at("https://idp.example", discover=True, **settings)
    client = aa.OAuthClient("id", "secret", environment=environment)
    finding = findings_of(GOOD, client, endpoint=endpoint)["token endpoint"]

    assert (finding.problem is not None) is has_problem


def test_a_token_endpoint_that_is_not_published_is_no_problem():
    """A server that publishes no token endpoint says nothing against the one in use."""
    finding = findings_of(GOOD, endpoint=None)["token endpoint"]

    assert (finding.found, finding.problem) == ("not published", None)


def test_a_secret_goes_where_the_server_wants_it():
    """With discovery a secret is sent by Basic to a server that takes nothing else."""
    environment = aa.Environment.at("https://idp.example", discover=True)
    client = aa.OAuthClient("id", "secret", environment=environment)
    members = {**GOOD, "token_endpoint_auth_methods_supported": ["client_secret_basic"]}

    assert findings_of(members, client)["client authentication"].problem is None
    assert findings_of(members)["client authentication"].problem is not None


def test_a_public_client_needs_no_method():
    """A public client is accepted though the server does not list the method `none`."""
    client = aa.OAuthClient("id", environment=CLIENT.environment)

    assert findings_of(GOOD, client)["client authentication"].problem is None


PAR = {"pushed_authorization_request_endpoint": "https://idp.example/connect/par"}
ISS = {"authorization_response_iss_parameter_supported": True}
CIBA = {"backchannel_authentication_endpoint": "https://idp.example/connect/ciba"}


@pytest.mark.parametrize(
    ("path", "members", "also_at_8414", "name"),
    [
        ("/connect/token", {}, False, "IdentityServer4, or Duende IdentityServer 5"),
        ("/connect/token", CIBA, False, "Duende IdentityServer 6.0 or 6.1"),
        ("/connect/token", {**CIBA, **ISS}, False, "Duende IdentityServer 6.2 or 6.3"),
        ("/connect/token", {**PAR, **ISS}, False, "Duende IdentityServer 7.0 or newer"),
        ("/connect/token", {**PAR, **ISS}, True, "Duende IdentityServer 7.4 or newer"),
        ("/realms/x/protocol/openid-connect/token", {}, False, "Keycloak"),
        ("/tenant/oauth2/v2.0/token", {}, False, "Microsoft Entra ID"),
        ("/token", {}, True, "not one that is known by its paths"),
    ],
)
def test_the_server_and_its_generation_are_named(path, members, also_at_8414, name):
    """A product is known by its paths, and IdentityServer's generation by what it publishes."""
    document = Members({"token_endpoint": f"https://idp.example{path}", **members})

    assert name_server(document, has_oauth_metadata=also_at_8414) == name


def rsa(bits, **members):
    modulus = base64.urlsafe_b64encode(b"\xff" * (bits // 8)).rstrip(b"=").decode()
    return {"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", **members}


@pytest.mark.parametrize(
    ("keys", "status", "advice"),
    [
        ([rsa(2048, kid="1"), {"kty": "EC", "kid": "2"}], "ok", None),
        ([], "problem", "the server must publish keys"),
        ([rsa(1024, kid="1")], "problem", "must have 2048 bits or more"),
        ([rsa(1024, kid="1"), rsa(2048, kid="2")], "note", "1 with fewer than 2048 bits"),
        ([rsa(2048, kid="1"), rsa(2048, kid="1")], "note", "several have one id"),
    ],
)
def test_keys_that_verify_nothing_are_named(keys, status, advice):
    """Weak keys and ids that several keys share are said."""
    finding = examine_keys(keys)

    assert finding.status == status
    assert advice is None or advice in (finding.problem or finding.note)


def test_the_findings_are_lines(settings, capsys):
    """Each finding is a line, and its advice another one."""
    settings.overrides.metadata.update(PLAIN)
    assert cli.run(["doctor"]) == ExitCode.DONE
    shown = plain(capsys.readouterr().out).replace(settings.identity_url, "ISSUER")

    assert shown.replace("-1 s", "+0 s") == GOLDEN_WIDE


def test_no_secret_is_sent_unless_asked_for(doctor, settings):
    """Without --request-token nothing is asked of the token endpoint."""
    bad, findings = doctor()
    assert bad == []
    assert "token" not in findings
    assert settings.token_requests == []

    bad, findings = doctor("--request-token")
    assert bad == []
    assert findings["token"]["found"] == "Bearer for bankservice api"
    assert len(settings.token_requests) == 1


def test_readiness_for_fapi_is_examined(doctor, monkeypatch, capsys, settings):
    """With --fapi each lack is a problem; without a client only the server's count."""
    settings.overrides.metadata.update(PLAIN)
    assert cli.run(["doctor", "--fapi"]) == ExitCode.FAILED
    shown = capsys.readouterr().out
    assert shown.count("NO  FAPI 2.0 ") == 6
    assert "> client_auth must be PrivateKeyJwt or TlsClientAuth" in shown
    _, findings = doctor()
    assert "the server lacks 4 things, this client 2" in findings["FAPI 2.0"]["found"]

    monkeypatch.delenv("ARITMA_CLIENT_ID")
    _, findings = doctor()
    assert "the server lacks 4 things, this client 0" in findings["FAPI 2.0"]["found"]


def test_a_server_that_is_ready_for_fapi_is_named(doctor, monkeypatch, settings):
    """A server that publishes all that the profile wants is ready."""

    async def assess(client, profile):
        return aa.ProfileReport(profile=profile.name)

    monkeypatch.setattr(aa.OAuthClient, "assess_profile", assess)
    bad, findings = doctor("--fapi")

    assert bad == []
    assert findings["FAPI 2.0"]["found"] == "ready"


def test_a_client_with_a_profile_must_be_ready_for_it(monkeypatch, settings, capsys, tmp_path):
    """Its own profile is examined, and what the server lacks for it is a problem unasked."""
    key = tmp_path / "key.json"
    key.write_text(aa.SigningKey.generate().to_jwk())
    monkeypatch.delenv("ARITMA_CLIENT_SECRET")
    for name in ("PRIVATE_KEY_FILE", "DPOP_KEY_FILE", "REQUEST_KEY_FILE"):
        monkeypatch.setenv(f"ARITMA_{name}", str(key))
    monkeypatch.setenv("ARITMA_SIGNING_ALGORITHM", "ES256")
    monkeypatch.setenv("ARITMA_PROFILE", "fapi2-message-signing")
    settings.overrides.metadata.update(PLAIN)

    assert cli.run(["doctor"]) == ExitCode.FAILED
    assert "NO  FAPI 2.0 " in (shown := capsys.readouterr().out)
    assert "> authorization_signing_alg_values_supported must have" in shown


def test_a_refused_token_is_a_finding(doctor, monkeypatch):
    """A wrong secret is one finding beside the others, and is not shown."""
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", "wrong-secret-canary")
    bad, findings = doctor("--request-token")

    assert bad == ["token"]
    assert findings["token"]["advice"].startswith("invalid_client")
    assert "canary" not in str(findings)


def test_any_issuer_can_be_examined_without_a_client(doctor, monkeypatch, settings):
    """An issuer on the command line and no settings are enough."""
    monkeypatch.delenv("ARITMA_CLIENT_ID")
    monkeypatch.setenv("ARITMA_ENVIRONMENT", "development")
    bad, findings = doctor(settings.identity_url, "--request-token")

    assert bad == []
    assert findings["client"]["found"] == "none: only the server is checked"
    assert findings["token"]["found"] == "not requested"
    assert findings["issuer"]["found"] == settings.identity_url


def test_a_secret_is_sent_to_its_own_server_only(doctor, monkeypatch, settings):
    """--request-token at another issuer than that of the settings sends no secret there."""
    monkeypatch.setenv("ARITMA_ENVIRONMENT", "development")
    bad, findings = doctor(settings.identity_url, "--request-token")

    assert bad == []
    assert findings["token"]["found"] == "not requested"
    assert "belongs to https://id.dev.aritma.io" in findings["token"]["advice"]
    assert settings.token_requests == []


def test_the_proxy_of_the_settings_is_used(monkeypatch, capsys, unused_tcp_port):
    """ARITMA_PROXY is the way that the doctor takes, and is named without its password."""
    monkeypatch.setenv("ARITMA_CLIENT_ID", "id")
    monkeypatch.setenv("ARITMA_ISSUER", "https://id.invalid")
    monkeypatch.setenv("ARITMA_PROXY", f"http://user:word@127.0.0.1:{unused_tcp_port}")

    assert cli.run(["doctor", "--json"]) == ExitCode.FAILED
    out = capsys.readouterr().out
    findings = {finding["what"]: finding for finding in json.loads(out)["findings"]}
    assert findings["proxy"]["found"] == f"http://127.0.0.1:{unused_tcp_port}"
    assert findings["TLS"]["found"] == "by way of the proxy: not examined"
    assert "the proxy on the way to id.invalid" in findings["metadata"]["advice"]
    assert "word" not in out


def test_settings_that_are_not_usable_are_a_finding(doctor, monkeypatch, settings):
    """A setting that is not usable does not keep the server from being examined."""
    monkeypatch.setenv("ARITMA_TENANT", "a/b")
    bad, findings = doctor()

    assert bad == ["settings"]
    assert "tenant must be one path segment" in findings["settings"]["advice"]
    assert findings["issuer"]["found"] == settings.identity_url


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (lambda issuer: f"{issuer}/", "differs by a slash at the end"),
        (lambda issuer: issuer.replace("http", "HTTP"), "differs in capital letters"),
        (lambda issuer: "https://elsewhere.example", "names another server"),
        (lambda issuer: None, "the metadata must name its issuer"),
    ],
)
def test_the_spelling_of_the_issuer_is_examined(doctor, settings, change, advice):
    """Another spelling is named, nothing secret is sent, and the examination goes on."""
    settings.overrides.metadata["issuer"] = change(settings.identity_url)
    bad, findings = doctor("--request-token")

    assert "issuer" in bad
    assert advice in findings["issuer"]["advice"]
    assert findings["token"]["found"] == "not requested"
    assert settings.token_requests == []
    assert "clock" in findings


def test_a_newer_server_is_known(monkeypatch, capsys):
    """IdentityServer's newer generations serve RFC 8414's address, which is looked at."""
    from support.apart import sandbox_apart

    with sandbox_apart(server_version="duende-7.4") as newer:
        cli.run(["doctor", newer.identity_url, "--json"])
    findings = {f["what"]: f for f in json.loads(capsys.readouterr().out)["findings"]}

    assert findings["server"]["found"] == "Duende IdentityServer 7.4 or newer"
    assert findings["PAR"]["found"] == "offered"
    assert findings["response issuer"]["status"] == "ok"


def test_a_server_without_metadata_is_examined_further(doctor, settings):
    """Each address is tried; the keys are then looked for by IdentityServer's paths."""
    settings.faults.fail_next(404, where="discovery")
    bad, findings = doctor()

    assert "metadata" in bad
    assert "/.well-known/oauth-authorization-server" in findings["metadata"]["advice"]
    assert (findings["clock"]["status"], findings["clock"]["found"]) == (
        "note",
        "unknown: not compared",
    )


def test_metadata_that_is_gone_a_moment_later_is_a_finding(doctor, settings):
    """What is fetched a second time and fails is a finding of its own."""
    document = json.dumps({"issuer": settings.identity_url}).encode()
    settings.faults.respond_next(document, status=200, where="discovery")
    settings.faults.fail_next(404, where="discovery")
    bad, _ = doctor()

    assert "metadata" in bad


def test_a_wrong_clock_is_a_problem(doctor, settings, monkeypatch):
    """A clock that is an hour from the server's makes the command fail."""
    monkeypatch.setattr(settings.clock, "offset", 3600.0)

    bad, findings = doctor()
    assert bad == ["clock"]
    assert findings["clock"]["found"].startswith("+3")


def test_keys_that_cannot_be_fetched_are_one_finding(doctor, settings):
    """A key set that is away is reported beside the findings about the metadata."""
    settings.faults.fail_next(404, where="jwks")
    bad, findings = doctor()

    assert bad == ["keys"]
    assert "no ID token can be verified" in findings["keys"]["advice"]


def test_a_server_that_is_not_there(monkeypatch, capsys):
    """Without any response each check says what is missing; narrow terminals get narrow lines."""
    monkeypatch.setenv("COLUMNS", "36")

    assert cli.run(["doctor", "https://id.invalid"]) == ExitCode.FAILED
    shown = plain(capsys.readouterr().out)
    assert GOLDEN_NARROW in shown
    assert all(len(line) <= 36 for line in shown.splitlines())
    assert shown.endswith("\nProblems: 3.\n")


@pytest.mark.parametrize("issuer", ["nonsense", "http://elsewhere.example"])
def test_an_issuer_is_a_url(capsys, issuer):
    """What is no secure URL is an error of the configuration; nothing is sent."""
    assert cli.run(["doctor", issuer]) == ExitCode.CONFIGURATION


async def read(reader, writer):
    await reader.read()


async def examine_tls(handler=None, *, server=None, context=None, port=None):
    listener, ended = None, asyncio.Event()

    async def serve(reader, writer):
        try:
            await (handler or read)(reader, writer)
        finally:
            writer.close()
            ended.set()

    if port is None:
        listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server)
        port = listener.sockets[0].getsockname()[1]
    findings = await network_checks.examine_network(
        URL(f"https://127.0.0.1:{port}"), context=context
    )
    if listener is not None:
        if not findings[-1].found.startswith("the certificate"):
            await ended.wait()
        listener.close()
        await listener.wait_closed()
    return findings[-1]


async def test_a_trusted_certificate_has_an_end(monkeypatch):
    """The TLS version and the days that are left are shown, and few days are a note."""
    server, trusting = certificates()
    finding = await examine_tls(server=server, context=trusting)
    assert finding.status == "ok"
    assert finding.found.startswith("TLSv1.3, the certificate lasts ")

    monkeypatch.setattr(network_checks, "_DAYS_LEFT", 1_000_000)
    finding = await examine_tls(server=server, context=trusting)
    assert finding.note == "the server's owner must renew it soon"


async def test_an_untrusted_certificate_is_named():
    """A certificate of an unknown authority is a problem with what to do."""
    server, _ = certificates()
    finding = await examine_tls(server=server, context=ssl.create_default_context())

    assert finding.found.startswith("the certificate is not trusted: ")
    assert "SSL_CERT_FILE" in finding.problem


async def test_a_port_without_tls_is_named():
    """A server that speaks no TLS is asked about."""

    async def speak(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")

    finding = await examine_tls(speak)

    assert finding.found.startswith("no handshake (")
    assert "an https server?" in finding.problem


async def test_a_port_that_is_closed_is_named(unused_tcp_port):
    """A refused connection is one finding."""
    finding = await examine_tls(port=unused_tcp_port)

    assert finding.found == f"no connection to 127.0.0.1:{unused_tcp_port} (ConnectionRefusedError)"


async def test_a_host_that_does_not_respond_is_named(monkeypatch):
    """A connection that hangs ends after a while."""
    monkeypatch.setattr(network_checks, "_TIMEOUT", 0.05)

    finding = await examine_tls(read)

    assert finding.found.startswith("no connection to 127.0.0.1:")
    assert "within 0.05 s" in finding.found


@pytest.mark.parametrize(
    ("proxy", "found"),
    [
        ("http://user:password@proxy.example:3128/x", "http://proxy.example:3128"),
        ("nonsense", "not an URL: check HTTPS_PROXY"),
    ],
)
async def test_a_proxy_is_named_without_its_password(monkeypatch, proxy, found):
    """The proxy's address is shown, and TLS is then its business."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    named, tls = await network_checks.examine_network(URL("https://idp.example"))

    assert named.found == found
    assert tls.found == "by way of the proxy: not examined"
    monkeypatch.setenv("NO_PROXY", "idp.example")
    assert network_checks.find_proxy(URL("https://idp.example")) is None

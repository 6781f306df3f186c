"""Tests of private_key_jwt and client certificates, as requests and against the sandbox."""

import asyncio
import base64
import json
import ssl
import time
import warnings
from urllib.parse import parse_qs

import aiohttp
import attrs
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

import aritma_auth as aa
from aritma_auth.protocol.client_auth import ClientCredential, generate_jti
from aritma_auth.protocol.client_auth.assertion import ASSERTION_TYPE
from aritma_auth.protocol.redaction import SecretText
from aritma_auth.protocol.unsigned_jwt import UnsignedJwt
from aritma_auth.sandbox import Sandbox, SandboxClient
from aritma_auth.sandbox.identity.keys import signing_key
from support.signing import small_rsa

GRANT = aa.ClientCredentialsGrant(scope="bankservice")
RSA = RSAKey.import_key(signing_key(0).private)
EC = ECKey.generate_key("P-256", auto_kid=False)
ED = OKPKey.generate_key("Ed25519", auto_kid=False)


def pem(key, *, private):
    return key.as_pem(private=private).decode()


def credential(key=None, **fields):
    secret = None if key is None else SecretText(key)
    return ClientCredential(
        "my-client",
        secret,
        token_endpoint="https://id.aritma.io/connect/token",
        **({"now": 1000.9, "jti": "fresh"} | fields),
    )


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED, "Ed25519"), (ED, "EdDSA")],
)
def test_the_assertion_says_what_identityserver_checks(key, algorithm):
    """The assertion has the claims, the header and the signature that IdentityServer checks."""
    method = aa.PrivateKeyJwt("unused", algorithm=algorithm, key_id="k1")
    proof = method.prove(credential(pem(key, private=True)))
    with warnings.catch_warnings():
        # joserfc warns of the older name when it verifies; making the proof must not warn.
        warnings.filterwarnings("ignore", "EdDSA is deprecated")
        token = jwt.decode(proof.parameters[1][1], key, algorithms=[algorithm])

    assert proof.parameters[0] == ("client_assertion_type", ASSERTION_TYPE)
    assert [name for name, _ in proof.parameters] == ["client_assertion_type", "client_assertion"]
    assert token.header == {"alg": algorithm, "typ": "JWT", "kid": "k1"}
    assert token.claims == {
        "iss": "my-client",
        "sub": "my-client",
        "aud": "https://id.aritma.io/connect/token",
        "jti": "fresh",
        "iat": 1000,
        "exp": 1060,
    }


def test_the_audience_can_be_the_issuer():
    """The audience may be the issuer, which newer servers require."""
    method = aa.PrivateKeyJwt("unused", audience="https://id.aritma.io")
    proof = method.prove(credential(pem(RSA, private=True)))
    payload = jws.extract_compact(proof.parameters[1][1].encode()).payload

    assert b'"aud":"https://id.aritma.io"' in payload


def test_an_assertion_for_the_issuer_says_so_by_its_type():
    """Its audience is the issuer, as one text, and its type is that of client authentication."""
    method = aa.PrivateKeyJwt("unused", names_issuer=True, key_id="k1")
    proof = method.prove(credential(pem(RSA, private=True), issuer="https://id.aritma.io/acme"))
    token = jwt.decode(proof.parameters[1][1], RSA, algorithms=["RS256"])

    assert token.header == {"alg": "RS256", "typ": "client-authentication+jwt", "kid": "k1"}
    assert token.claims["aud"] == "https://id.aritma.io/acme"


def test_an_assertion_has_one_audience():
    """An audience beside names_issuer would make one of the two ineffective."""
    with pytest.raises(aa.ConfigurationError, match="exclude each other"):
        aa.PrivateKeyJwt("unused", names_issuer=True, audience="https://id.aritma.io")


def test_an_assertion_made_elsewhere_is_sent_as_it_is(canary):
    """The form has the client, the type and the platform's token, which no repr shows."""
    method = aa.ClientAssertion("unused", type="urn:example:svid")
    proof = method.prove(ClientCredential("my-client", SecretText(canary.text)))

    assert tuple(proof.parameters) == (
        ("client_id", "my-client"),
        ("client_assertion_type", "urn:example:svid"),
        ("client_assertion", canary.text),
    )
    assert aa.ClientAssertion("unused").type == ASSERTION_TYPE
    assert canary.text not in repr((proof, aa.ClientAssertion(canary.text)))


@pytest.mark.parametrize("wrong", ["", "jwt-bearer", "urn:a b", "urn:\n", "urn:\ud800"])
def test_the_type_of_an_assertion_is_a_uri(wrong):
    """A short name in its place is refused at construction."""
    with pytest.raises(aa.ConfigurationError, match="type must be a URI, such as urn:ietf"):
        aa.ClientAssertion("unused", type=wrong)


def test_a_missing_assertion_is_refused():
    """Nothing is sent without it."""
    with pytest.raises(aa.ConfigurationError, match="client_assertion needs a secret"):
        aa.ClientAssertion("unused").prove(credential())


async def test_an_assertion_in_a_file_is_read_for_each_request(key_only, aritma_sandbox, tmp_path):
    """A platform renews the file, and the next request presents what it holds then."""
    file = tmp_path / "token"
    endpoint = f"{aritma_sandbox.identity_url}/connect/token"

    def renew():
        now = int(time.time())
        times = {"iat": now, "exp": now + 60, "jti": generate_jti()}
        claims = {"iss": "key-only", "sub": "key-only", "aud": endpoint} | times
        file.write_text(sign_jwt(claims, RSA, algorithm="RS256"))

    auth = aa.ClientAssertion(aa.Secret.from_file(file))
    client = aa.OAuthClient("key-only", auth, environment=aritma_sandbox.environment)
    for _ in range(2):
        renew()
        assert (await client.fetch_token(GRANT)).access_token
    with pytest.raises(aa.InvalidClientError, match="client_assertion"):
        await client.fetch_token(GRANT)


async def test_the_issuer_is_named_as_the_server_spells_it():
    """An assertion for the issuer is accepted, with and without discovery."""
    async with Sandbox(server_version="duende-7.4") as sandbox:
        sandbox.add_client(SandboxClient(client_id="key-only", public_key=pem(RSA, private=False)))
        for environment in (sandbox.environment, sandbox.identity_url):
            auth = aa.PrivateKeyJwt(pem(RSA, private=True), names_issuer=True)
            client = aa.OAuthClient("key-only", auth, environment=environment)

            assert (await client.fetch_token(GRANT)).access_token


def test_a_key_may_be_a_json_web_key():
    """The private key may be a JSON Web Key in one line of JSON."""
    text = json.dumps(EC.as_dict(private=True))
    proof = aa.PrivateKeyJwt("unused", algorithm="ES256").prove(credential(text))

    assert proof.parameters[1][1].count(".") == 2


def sign_jwt(claims, key, *, algorithm):
    """Sign claims with a key in PEM."""
    return UnsignedJwt(aa.SigningKey(pem(key, private=True), algorithm=algorithm), claims).sign()


@pytest.mark.parametrize("algorithm", ["none", "HS256", "rs256", ""])
def test_only_asymmetric_algorithms_are_taken(algorithm):
    """An algorithm with a shared secret, or with none, is refused at construction."""
    with pytest.raises(aa.ConfigurationError, match="algorithm must be one of"):
        aa.PrivateKeyJwt("unused", algorithm=algorithm)


def test_a_method_without_its_key_is_refused():
    """The error is raised before anything is sent."""
    with pytest.raises(aa.ConfigurationError, match="needs a private key"):
        aa.PrivateKeyJwt("unused").prove(credential())


def test_a_key_that_is_a_text_is_imported_once_while_it_is_the_same():
    """A key's import costs more than a signature: a text is imported anew only when it changes."""
    method = aa.PrivateKeyJwt("unused", algorithm="ES256")
    texts = [pem(ECKey.generate_key("P-256"), private=True) for _ in range(2)]
    first, again, other = (
        method.build_assertion(credential(text)).signer for text in (texts[0], *texts)
    )

    assert first is again
    assert first != other


def test_no_more_than_sixteen_imported_keys_are_remembered():
    """A key that was replaced, or is one of very many, is let go."""
    method = aa.PrivateKeyJwt("unused", algorithm="ES256")
    texts = [pem(ECKey.generate_key("P-256"), private=True) for _ in range(17)]
    first, *_ = [method.build_assertion(credential(text)).signer for text in texts]

    assert method.build_assertion(credential(texts[0])).signer is not first


def test_identifiers_are_fresh():
    """Each assertion gets a random jti that no other has."""
    assert len({generate_jti() for _ in range(100)}) == 100


@pytest.fixture
def key_only(aritma_sandbox):
    """Register a client that has a key and no secret."""
    return aritma_sandbox.add_client(
        SandboxClient(client_id="key-only", public_key=pem(RSA, private=False))
    )


def client_of(sandbox, **settings):
    secret = aa.Secret(pem(RSA, private=True))
    return aa.OAuthClient(
        "key-only", aa.PrivateKeyJwt(secret, **settings), environment=sandbox.environment
    )


async def test_a_key_brings_tokens(aritma_sandbox, key_only):
    """Each request has an assertion of its own, since the sandbox accepts each one once."""
    client = client_of(aritma_sandbox)
    tokens = [await client.fetch_token(GRANT) for _ in range(3)]

    assert len({token.access_token for token in tokens}) == 3


async def test_a_tenants_endpoint_is_the_audience(aritma_sandbox, key_only):
    """The audience of the assertion contains the tenant's path."""
    environment = aritma_sandbox.environment.for_tenant("acme")
    method = aa.PrivateKeyJwt(aa.Secret(pem(RSA, private=True)))
    client = aa.OAuthClient("key-only", method, environment=environment)

    assert (await client.fetch_token(GRANT)).scope == ("bankservice",)


async def test_the_servers_clock_counts(aritma_sandbox, key_only):
    """The first response shows the skew, and later assertions use the server's clock."""
    aritma_sandbox.clock.advance(86400)
    client = client_of(aritma_sandbox)
    with pytest.raises(aa.InvalidClientError):
        await client.fetch_token(GRANT)

    assert client.clock_skew == pytest.approx(86400, abs=3)
    assert (await client.fetch_token(GRANT)).scope == ("bankservice",)


async def test_an_assertion_for_another_server_is_refused(aritma_sandbox, key_only):
    """The server checks the audience of an assertion."""
    client = client_of(aritma_sandbox, audience="https://elsewhere.example")
    with pytest.raises(aa.InvalidClientError):
        await client.fetch_token(GRANT)


def assertion(key=RSA, algorithm="RS256", **claims):
    base = {"iss": "key-only", "sub": "key-only", "aud": "AUD", "jti": "j", "exp": 2**40}
    return {
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": sign_jwt(base | claims, key, algorithm=algorithm),
    }


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(assertion(iss="other"), id="issuer"),
        pytest.param(assertion(sub="nobody", iss="nobody"), id="unknown client"),
        pytest.param(assertion(aud="else"), id="audience"),
        pytest.param(assertion(jti=None), id="no jti"),
        pytest.param(assertion(exp="soon"), id="exp"),
        pytest.param(assertion(exp=1), id="expired"),
        pytest.param(assertion(EC, "ES256"), id="another key"),
        pytest.param(assertion() | {"client_assertion_type": "x"}, id="type"),
        pytest.param({"client_assertion": "x"}, id="no JWT"),
        pytest.param({"client_assertion": "x.W10.y"}, id="no object"),
        pytest.param({"client_id": "key-only"}, id="no assertion at all"),
    ],
)
async def test_the_sandbox_refuses_what_identityserver_would(aritma_sandbox, key_only, form):
    """The error is invalid_client for every wrong assertion."""
    response = await post(aritma_sandbox, form)

    assert response == {"error": "invalid_client"}


async def test_an_assertion_is_taken_once(aritma_sandbox, key_only):
    """A replayed assertion is refused with invalid_client."""
    claims = {"aud": f"{aritma_sandbox.identity_url}/connect/token"}
    first = await post(aritma_sandbox, assertion(**claims))
    second = await post(aritma_sandbox, assertion(**claims))

    assert "access_token" in first
    assert second == {"error": "invalid_client"}


async def test_an_elliptic_key_is_known_too(aritma_sandbox):
    """The sandbox accepts an ES256 assertion by a P-256 key."""
    aritma_sandbox.add_client(
        SandboxClient(client_id="key-only", public_key=pem(EC, private=False))
    )
    form = assertion(EC, "ES256", aud=f"{aritma_sandbox.identity_url}/connect/token")

    assert "access_token" in await post(aritma_sandbox, form)


@pytest.mark.parametrize(
    ("generation", "is_taken"),
    [("is4", False), ("duende-6.3", True), ("duende-7.4", True), ("duende-8", True)],
)
@pytest.mark.parametrize("tenant", ["", "/acme"])
async def test_the_issuer_is_an_audience_from_duende_on(generation, is_taken, tenant):
    """IdentityServer 4 accepts only its token endpoint as the audience."""
    async with Sandbox(server_version=generation) as sandbox:
        sandbox.add_client(SandboxClient(client_id="key-only", public_key=pem(RSA, private=False)))
        issuer = f"{sandbox.identity_url}{tenant}"
        for_issuer = await post(sandbox, assertion(aud=issuer), tenant)
        for_endpoint = await post(
            sandbox, assertion(aud=f"{issuer}/connect/token", jti="k"), tenant
        )
        for_par = await post(sandbox, assertion(aud=f"{issuer}/connect/par", jti="p"), tenant)

    assert ("access_token" in for_issuer) is is_taken
    assert ("access_token" in for_par) is is_taken
    assert "access_token" in for_endpoint


async def post(sandbox, form, tenant=""):
    data = {"grant_type": "client_credentials", **form}
    async with aiohttp.ClientSession(sandbox.identity_url) as session:
        async with session.post(f"{tenant}/connect/token", data=data) as response:
            return await response.json()


async def test_a_certificate_names_the_client_and_goes_to_the_connection(http_mock):
    """The client_id is in the form, and the certificate in the handshake (RFC 8705)."""
    context = ssl.create_default_context()
    http_mock.post(
        "https://id.aritma.io/connect/token",
        payload={"access_token": "a", "token_type": "Bearer"},
    )
    await aa.OAuthClient("my-client", aa.TlsClientAuth(context)).fetch_token(GRANT)
    ((call,),) = http_mock.requests.values()

    assert parse_qs(call.kwargs["data"].decode())["client_id"] == ["my-client"]
    assert isinstance(call.kwargs["ssl"], ssl.SSLContext)


def test_a_key_in_lines_is_a_secret(canary):
    """A PEM key is the only secret that may have line breaks."""
    assert "Secret" in repr(aa.Secret(pem(RSA, private=True)))
    with pytest.raises(aa.ConfigurationError, match="control characters"):
        aa.Secret(f"two\nlines {canary.text}")


@pytest.mark.parametrize(("bits", "algorithm"), [(1024, "RS256"), (1536, "PS256"), (2040, "RS512")])
def test_a_weak_key_of_ours_signs_nothing(bits, algorithm):
    """An RSA key of fewer than 2048 bits is refused with its size (RFC 7518 §3.3)."""
    for key in small_rsa(bits):
        with pytest.raises(aa.ConfigurationError, match=f"at least 2048 bits, not {bits}"):
            aa.PrivateKeyJwt("unused", algorithm=algorithm).prove(credential(key))


def test_a_key_of_2048_bits_signs():
    """A key of exactly 2048 bits, the limit, is allowed."""
    for key in small_rsa(2048):
        proof = aa.PrivateKeyJwt("unused").prove(credential(key))

        assert proof.parameters[1][1].count(".") == 2


class Kms:
    """A key management service: signs elsewhere, or does not."""

    def __init__(self, key=EC, problem=None):
        self.key = aa.SigningKey(pem(key, private=True))
        self.problem = problem
        self.signed = []

    async def sign(self, data):
        await asyncio.sleep(0)
        if self.problem is not None:
            raise self.problem
        self.signed.append(data)
        return self.key.sign(data)


def signing_client(sandbox, key, **settings):
    return aa.OAuthClient(
        "key-only", aa.PrivateKeyJwt(key), environment=sandbox.environment, **settings
    )


@pytest.mark.parametrize(("key", "algorithm"), [(EC, "ES256"), (RSA, "PS256")])
async def test_a_key_that_never_leaves_its_place_brings_tokens(aritma_sandbox, key, algorithm):
    """A RemoteSigner signs each assertion; the key itself is nowhere in this process."""
    aritma_sandbox.add_client(
        SandboxClient(client_id="key-only", public_key=pem(key, private=False))
    )
    kms = Kms(key)
    signer = aa.RemoteSigner(algorithm, kms.sign, key_id="kms/1")
    client = signing_client(aritma_sandbox, signer)
    tokens = [await client.fetch_token(GRANT) for _ in range(2)]

    assert len({token.access_token for token in tokens}) == 2
    assert len(kms.signed) == 2
    header = json.loads(base64.urlsafe_b64decode(kms.signed[0].split(b".")[0] + b"=="))
    assert header == {"alg": algorithm, "typ": "JWT", "kid": "kms/1"}


async def test_a_key_of_this_process_is_read_once(aritma_sandbox):
    """A SigningKey brings its algorithm and key id; nothing is loaded for a request."""
    aritma_sandbox.add_client(
        SandboxClient(client_id="key-only", public_key=pem(EC, private=False))
    )
    key = aa.SigningKey(pem(EC, private=True), key_id="k1")
    client = signing_client(aritma_sandbox, key)

    assert client.client_auth.secret is None
    assert (await client.fetch_token(GRANT)).scope == ("bankservice",)
    with pytest.raises(aa.ConfigurationError, match="algorithm must be that of the key, ES256"):
        aa.PrivateKeyJwt(key, algorithm="RS256")
    assert aa.PrivateKeyJwt(key, algorithm="ES256") != aa.PrivateKeyJwt(key, key_id="other")


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        (OSError("secret-of-the-kms"), "its function raised OSError"),
        (asyncio.CancelledError(), "its function raised CancelledError"),
        (TimeoutError(), "it did not sign within 10 seconds"),
    ],
)
async def test_a_key_that_is_away_is_an_outage(aritma_sandbox, problem, says):
    """A signer that fails is asked again later; nothing was sent, and its own words are not told."""
    signer = aa.RemoteSigner("ES256", Kms(problem=problem).sign)
    with pytest.raises(aa.TransportError, match=says) as caught:
        await signing_client(aritma_sandbox, signer).fetch_token(GRANT)

    assert not caught.value.may_have_arrived
    assert not caught.value.is_permanent
    assert "secret-of-the-kms" not in str(caught.value)
    assert caught.value.__context__ is None


async def test_a_signer_is_awaited_no_longer_than_a_request(aritma_sandbox):
    """A signer that hangs ends with the client's own time-out."""

    async def hang(_data):
        await asyncio.Event().wait()

    client = signing_client(aritma_sandbox, aa.RemoteSigner("ES256", hang), timeout=0.01)
    with pytest.raises(aa.TransportError, match=r"did not sign within 0\.01 seconds"):
        await client.fetch_token(GRANT)


async def test_a_signers_own_error_is_its_callers(aritma_sandbox):
    """An error of this package that the function raises comes through as it is."""
    signer = aa.RemoteSigner("ES256", Kms(problem=aa.ConfigurationError("no such key")).sign)
    with pytest.raises(aa.ConfigurationError, match="no such key"):
        await signing_client(aritma_sandbox, signer).fetch_token(GRANT)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSA.as_dict(private=True), "RS256"),
        (RSA.as_dict(private=True) | {"alg": "PS256"}, "PS256"),
        (EC.as_dict(private=True), "ES256"),
        (ED.as_dict(private=True), "EdDSA"),
    ],
)
async def test_a_keys_kind_decides_its_algorithm(tmp_path, key, algorithm):
    """One setting less; and a JSON Web Key may have lines, as an editor writes it."""
    file = tmp_path / "key.json"
    file.write_text(json.dumps(key, indent=2))
    auth = aa.PrivateKeyJwt(aa.Secret.from_file(file))
    loaded = attrs.evolve(credential(), secret=await auth.secret.load())

    assert auth.build_assertion(loaded).signer.algorithm == algorithm


async def test_an_unusable_key_is_said_with_its_place(tmp_path):
    """The error names the file, and shows nothing of it."""
    file = tmp_path / "key.pem"
    file.write_text("planted-private-key")
    auth = aa.PrivateKeyJwt(aa.Secret.from_file(file))
    loaded = attrs.evolve(credential(), secret=await auth.secret.load())
    with pytest.raises(
        aa.ConfigurationError, match=r"the file .*key\.pem cannot be used"
    ) as caught:
        auth.build_assertion(loaded)

    assert "planted" not in str(caught.value)
    with pytest.raises(aa.ConfigurationError, match=r"^the key must be a private key"):
        aa.PrivateKeyJwt("planted").build_assertion(credential("planted"))

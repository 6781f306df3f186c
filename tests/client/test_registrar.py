"""Clients that register themselves at the sandbox, and manage their registration."""

import json

import attrs
import pytest
from aiohttp import web

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox
from support.loopback import serving
from support.tls import Authority

pytestmark = pytest.mark.usefixtures("no_leftovers")

KEY = aa.SigningKey.generate("ES256")
METADATA = {
    "redirect_uris": ["http://127.0.0.1/callback"],
    "grant_types": ["authorization_code", "client_credentials"],
    "token_endpoint_auth_method": "private_key_jwt",
    "jwks": {"keys": [{**KEY.public_jwk, "use": "sig"}]},
    "scope": "openid bankservice",
    "dpop_bound_access_tokens": True,
}


@pytest.fixture
async def sandbox():
    async with Sandbox(server_version="fapi") as sandbox:
        yield sandbox


@pytest.fixture
def registrar(sandbox):
    return aa.ClientRegistrar(sandbox.identity_url, clock=sandbox.clock)


async def test_a_registered_client_gets_tokens_at_once(sandbox, registrar):
    """What registration gives is what a client under the profile is made of."""
    registered = await registrar.register(METADATA)
    client = aa.OAuthClient(
        registered.client_id,
        aa.PrivateKeyJwt(KEY),
        environment=sandbox.environment,
        dpop=aa.DPoP(KEY),
        profile=aa.FAPI2,
    )

    assert registered.client_secret is None
    assert registered.metadata["scope"] == "openid bankservice"
    assert (await client.fetch_token(aa.ClientCredentialsGrant("bankservice"))).token_type == "DPoP"


async def test_a_registered_secret_is_what_a_client_takes(sandbox, registrar):
    """The secret goes into the client as it is."""
    registered = await registrar.register(
        {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_post"}
    )
    client = aa.OAuthClient(
        registered.client_id, registered.client_secret, environment=sandbox.environment
    )

    assert (await client.fetch_token(aa.ClientCredentialsGrant("bankservice"))).access_token
    assert registered.client_secret not in repr(registered)


async def test_each_response_replaces_the_token_that_manages(registrar):
    """The token before is good no more: the caller keeps what comes last (RFC 7592 §3)."""
    first = await registrar.register(METADATA)
    second = await registrar.fetch(first)
    third = await registrar.update(second, {"client_name": "Payments", "scope": None})
    with pytest.raises(aa.OAuthError) as told:
        await registrar.fetch(first)

    assert told.value.error == "invalid_token"
    assert third.client_id == first.client_id
    assert third.metadata["client_name"] == "Payments"
    assert "scope" not in third.metadata
    assert (await registrar.fetch(third)).metadata == third.metadata


async def test_a_deleted_client_is_no_more(sandbox, registrar):
    """Its registration cannot be read, and it gets no token."""
    registered = await registrar.register(METADATA)
    await registrar.delete(registered)

    assert registered.client_id not in sandbox.clients
    with pytest.raises(aa.OAuthError):
        await registrar.delete(registered)


async def test_an_initial_access_token_is_sent_where_it_is_wanted(sandbox, registrar):
    """Without it the server refuses, and no error shows it."""
    sandbox.client_registrations.initial_access_token = "the-initial-token"
    with pytest.raises(aa.OAuthError) as told:
        await registrar.register(METADATA, initial_access_token="another-token")

    assert told.value.error == "invalid_token"
    assert (await registrar.register(METADATA, initial_access_token="the-initial-token")).client_id


@pytest.mark.parametrize("token", [b"bytes", 5, ["x"]])
async def test_an_initial_access_token_is_a_text(registrar, token):
    """Anything else is refused before a request is sent."""
    with pytest.raises(aa.ConfigurationError, match="initial_access_token"):
        await registrar.register(METADATA, initial_access_token=token)


async def test_a_refusal_names_its_reason(registrar):
    """The server's code is the error's."""
    with pytest.raises(aa.OAuthError) as told:
        await registrar.register(METADATA | {"redirect_uris": ["http://elsewhere.example"]})

    assert told.value.error == "invalid_redirect_uri"


async def test_a_server_without_registration_says_so():
    """IdentityServer publishes no such endpoint."""
    async with Sandbox(server_version="duende-8") as sandbox:
        registrar = aa.ClientRegistrar(sandbox.identity_url)
        with pytest.raises(aa.ConfigurationError, match="registration_endpoint"):
            await registrar.register(METADATA)


async def test_an_endpoint_that_is_not_published_can_be_given(sandbox):
    """Duende's configuration API is beside the metadata."""
    sandbox.overrides.metadata = {"registration_endpoint": None}
    url = f"{sandbox.identity_url}/connect/dcr"
    environment = aa.Environment.at(sandbox.identity_url, endpoints={"registration_endpoint": url})

    assert (await aa.ClientRegistrar(environment).register(METADATA)).client_id


@pytest.mark.parametrize(
    "uri", ["https://elsewhere.example/client", "http://elsewhere.example", "client", "http://a b"]
)
async def test_the_managing_token_goes_to_the_server_alone(sandbox, registrar, uri):
    """A response that names another address gets no token."""
    registered = attrs.evolve(await registrar.register(METADATA), registration_client_uri=uri)
    before = sandbox.requests_at("dcr")
    with pytest.raises(aa.ConfigurationError, match="registration_client_uri"):
        await registrar.fetch(registered)

    assert sandbox.requests_at("dcr") == before


async def test_an_address_at_a_listed_origin_is_trusted(sandbox):
    """A server that manages clients on another host must be listed in endpoint_origins."""
    another = sandbox.identity_url.replace("127.0.0.1", "localhost")
    environment = aa.Environment.at(sandbox.identity_url, endpoint_origins=[another])
    registrar = aa.ClientRegistrar(environment)
    registered = await registrar.register(METADATA)
    moved = registered.registration_client_uri.replace("127.0.0.1", "localhost")

    assert await registrar.fetch(attrs.evolve(registered, registration_client_uri=moved))


@pytest.mark.parametrize("client", [None, "client", {"client_id": "x"}])
async def test_only_a_registered_client_is_managed(registrar, client):
    """A mapping or an identifier is not enough: the token is missing."""
    for call in (registrar.fetch, registrar.delete):
        with pytest.raises(aa.ConfigurationError, match="client must be"):
            await call(client)
    with pytest.raises(aa.ConfigurationError, match="client must be"):
        await registrar.update(client, {})


async def test_the_certificate_goes_to_the_alias(tmp_path):
    """A directory's certificate is presented where the server asks for it (RFC 8705 §5)."""
    authority = Authority(tmp_path)
    async with Sandbox(server_version="fapi", ssl_context=authority.server()) as sandbox:
        sandbox.client_registrations.requires_certificate = True
        another = sandbox.identity_url.replace("127.0.0.1", "localhost")
        aliases = {"registration_endpoint": f"{another}/connect/dcr"}
        sandbox.overrides.metadata = {"mtls_endpoint_aliases": aliases}
        environment = aa.Environment.at(sandbox.identity_url, endpoint_origins=[another])
        registrar = aa.ClientRegistrar(environment, certificate=authority.certificate())
        registered = await registrar.register(METADATA)

        assert registered.registration_client_uri.startswith(another)
        assert (await registrar.fetch(registered)).client_id == registered.client_id


async def test_a_request_is_sent_once_over_a_connection_of_its_own():
    """aiohttp repeats what a dropped connection has lost: a client would be registered twice."""
    seen = []

    async def serve(request):
        seen.append((request.method, request.path, request.headers.get("Connection")))
        if request.path == "/register":
            request.transport.close()
        issuer = f"http://{request.host}"
        return web.json_response({"issuer": issuer, "registration_endpoint": f"{issuer}/register"})

    async with serving(serve) as url:
        with pytest.raises(aa.TransportError) as told:
            await aa.ClientRegistrar(url, timeout=5).register(METADATA)

    assert told.value.may_have_arrived
    assert [each for each in seen if each[1] == "/register"] == [("POST", "/register", "close")]


async def test_what_the_server_repeats_of_a_secret_is_hidden(registrar, sandbox):
    """An error_description that quotes the token shows no token."""
    body = json.dumps({"error": "invalid_client_metadata", "error_description": "the-initial-one"})
    sandbox.faults.respond_next(body.encode(), status=400, where="dcr")
    with pytest.raises(aa.OAuthError) as told:
        await registrar.register(METADATA, initial_access_token="the-initial-one")

    assert "the-initial-one" not in str(told.value)


def test_it_shows_where_it_registers():
    """The issuer is no secret."""
    assert repr(aa.ClientRegistrar("https://id.example")) == (
        "<ClientRegistrar at https://id.example>"
    )

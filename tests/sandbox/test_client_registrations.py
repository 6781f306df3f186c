"""The sandbox's registration of clients, without a client of ours."""

import json

import aiohttp
import pytest
from aiohttp import web

from support.loopback import serving
from support.sandbox_wire import get
from support.signing import OTHER_RSA, jwk, sign

pytestmark = pytest.mark.usefixtures("no_leftovers")

KEYS = {"keys": [{"kty": "RSA", "use": "enc"}, "text", jwk()]}
METADATA = {"redirect_uris": ["https://app.example/cb"], "scope": "openid api"}


SERVER_VERSION = "fapi"


async def ask(sandbox, metadata, *, method="POST", path="", token=None, **settings):
    """Send metadata to the registration endpoint; give the status and the JSON."""
    body = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    headers = {"Content-Type": "application/json"} | settings.pop("headers", {})
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    url = f"{sandbox.identity_url}/connect/dcr{path}"
    async with aiohttp.ClientSession() as http:
        async with http.request(method, url, data=body, headers=headers, **settings) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None


async def test_a_client_is_described_to_itself(sandbox):
    """The response has an identifier, a secret, and what manages the registration."""
    status, described = await ask(sandbox, METADATA)
    client = sandbox.clients[described["client_id"]]

    assert status == 201
    assert described["client_secret"] == client.client_secret
    assert described["client_secret_expires_at"] == 0
    assert described["scope"] == "openid api"
    assert described["registration_client_uri"].endswith(f"/connect/dcr/{client.client_id}")
    assert client.scopes == ("openid", "api")
    assert sandbox.requests_at("dcr") == 1


async def test_the_metadata_name_the_endpoint(sandbox):
    """Only the version for FAPI has it."""
    _, metadata, _ = await get(sandbox, "/.well-known/openid-configuration")

    assert metadata["registration_endpoint"] == f"{sandbox.identity_url}/connect/dcr"


async def test_what_the_client_asks_for_is_enforced(sandbox):
    """Bound tokens, pushed requests and signed claims are registered."""
    wanted = {
        "dpop_bound_access_tokens": True,
        "require_pushed_authorization_requests": True,
        "userinfo_signed_response_alg": "PS256",
    }
    _, described = await ask(sandbox, METADATA | wanted)
    client = sandbox.clients[described["client_id"]]

    assert client.requires_dpop
    assert client.requires_par
    assert client.userinfo_is_signed


async def test_without_a_scope_every_scope_may_be_requested(sandbox):
    """The server decides what a client may have that asks for nothing (RFC 7591 §2)."""
    _, described = await ask(sandbox, {"grant_types": ["client_credentials"]})

    assert {"openid", "bankservice"} <= set(sandbox.clients[described["client_id"]].scopes)


@pytest.mark.parametrize("name", ["tls_client_auth_san_dns", "tls_client_auth_subject_dn"])
@pytest.mark.parametrize("text", ["app.example", "O=Bank, CN=app.example"])
async def test_a_certificate_is_registered_by_its_name(sandbox, name, text):
    """A DNS name, or the CN of a subject."""
    wanted = {"token_endpoint_auth_method": "tls_client_auth", name: text}
    _, described = await ask(sandbox, METADATA | wanted)

    assert sandbox.clients[described["client_id"]].certificate_name == "app.example"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://app.example/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example/cb#x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://[::1"]}, "invalid_redirect_uri"),
        ({"redirect_uris": "https://app.example/cb"}, "invalid_client_metadata"),
        ({"grant_types": [1]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "magic"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "invalid_client_metadata"),
        (
            {
                "jwks": {"keys": [{"use": "enc", "kty": "x"}]},
                "id_token_encrypted_response_alg": "x",
            },
            "invalid_client_metadata",
        ),
        ({"jwks_uri": "https://app.example/jwks"}, "invalid_client_metadata"),
        ({"jwks_uri": "http://127.0.0.1:1/jwks"}, "invalid_client_metadata"),
        ({"jwks_uri": "http://[::1"}, "invalid_client_metadata"),
    ],
)
async def test_unusable_metadata_are_refused(sandbox, changes, error):
    """The error is one of RFC 7591 §3.2.2."""
    status, refused = await ask(sandbox, METADATA | changes)

    assert (status, refused["error"]) == (400, error)


@pytest.mark.parametrize("body", [b"", b"[]", b"text"])
async def test_a_body_that_is_no_object_is_refused(sandbox, body):
    """So is one of another media type."""
    status, refused = await ask(sandbox, body)
    other, _ = await ask(sandbox, METADATA, headers={"Content-Type": "text/plain"})

    assert (status, refused["error"], other) == (400, "invalid_client_metadata", 400)


@pytest.mark.parametrize("served", [KEYS, []])
async def test_keys_are_fetched_from_the_clients_own_address(sandbox, served):
    """The first key that signs verifies the client's assertions; what is no key set has none."""

    async def serve(_request):
        return web.json_response(served)

    async with serving(serve) as url:
        wanted = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": f"{url}/jwks"}
        status, described = await ask(sandbox, METADATA | wanted)

    if served == KEYS:
        assert json.loads(sandbox.clients[described["client_id"]].public_key) == jwk()
    else:
        assert (status, described["error"]) == (400, "invalid_client_metadata")


async def test_only_the_clients_own_token_manages_it(sandbox):
    """Another client's token, or none, is refused with a challenge alone."""
    _, first = await ask(sandbox, METADATA)
    _, second = await ask(sandbox, METADATA)
    path = f"/{first['client_id']}"
    for token in (None, "another", second["registration_access_token"]):
        for method in ("GET", "PUT", "DELETE"):
            described = {**METADATA, "client_id": first["client_id"]}
            assert await ask(sandbox, described, method=method, path=path, token=token) == (
                401,
                None,
            )
    unknown = await ask(sandbox, b"", method="GET", path="/unknown", token="x")

    assert unknown == (401, None)


@pytest.mark.parametrize("changes", [{"client_id": "another"}, {"client_secret": "another"}])
async def test_an_update_cannot_replace_who_the_client_is(sandbox, changes):
    """The identifier and the secret must be the client's own (RFC 7592 §2.2)."""
    _, first = await ask(sandbox, METADATA)
    sent = {**METADATA, "client_id": first["client_id"], **changes}
    path, token = f"/{first['client_id']}", first["registration_access_token"]
    status, refused = await ask(sandbox, sent, method="PUT", path=path, token=token)

    assert (status, refused["error"]) == (400, "invalid_client_metadata")


async def test_a_token_may_stay_the_same(sandbox):
    """A server need not replace it; the secret stays through an update either way."""
    sandbox.client_registrations.tokens_rotate = False
    _, first = await ask(sandbox, METADATA)
    path, token = f"/{first['client_id']}", first["registration_access_token"]
    sent = {**METADATA, "client_id": first["client_id"], "client_name": "Payments"}
    status, second = await ask(sandbox, sent, method="PUT", path=path, token=token)

    assert status == 200
    assert second["client_name"] == "Payments"
    assert second["client_secret"] == first["client_secret"]
    assert second["registration_access_token"] == token
    assert sandbox.client_registrations.requests[1]["client_name"] == "Payments"
    assert (await ask(sandbox, b"", method="DELETE", path=path, token=token)) == (204, None)


async def test_a_software_statement_outranks_what_the_client_says(sandbox):
    """Its claims take the place of the metadata (RFC 7591 §2.3)."""
    sandbox.client_registrations.software_key = json.dumps(jwk())
    claims = {"iat": int(sandbox.clock.time()), "iss": "directory", "client_name": "Verified"}
    sent = METADATA | {"software_statement": sign(claims), "client_name": "Claimed"}
    _, described = await ask(sandbox, sent)

    assert described["client_name"] == "Verified"
    assert described["software_statement"] == sent["software_statement"]
    assert "iss" not in described


@pytest.mark.parametrize("changes", [{"iat": None}, {"iat": "now"}, {"iat": 1}, {"key": OTHER_RSA}])
async def test_an_unusable_software_statement_is_refused(sandbox, changes):
    """It must be recent, and signed by the directory that the server trusts."""
    sandbox.client_registrations.software_key = jwk()
    key = {"key": changes["key"]} if "key" in changes else {}
    claims = {"iat": int(sandbox.clock.time()), "client_name": "Verified"} | changes
    claims.pop("key", None)
    status, refusal = await ask(sandbox, METADATA | {"software_statement": sign(claims, **key)})

    assert (status, refusal["error"]) == (400, "invalid_software_statement")


async def test_a_missing_software_statement_is_refused(sandbox):
    """A server that trusts a directory registers nobody else."""
    sandbox.client_registrations.software_key = jwk()
    status, refusal = await ask(sandbox, METADATA)

    assert (status, refusal["error"]) == (400, "invalid_software_statement")


async def test_a_server_may_demand_a_certificate(sandbox):
    """A connection without one registers nobody."""
    sandbox.client_registrations.requires_certificate = True
    status, _ = await ask(sandbox, METADATA)

    assert status == 401
    assert not sandbox.client_registrations.requests

"""The sandbox's token endpoint responds as IdentityServer does."""

import base64
import json

import aiohttp
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from aritma_auth.sandbox import Sandbox, SandboxClient

SERVICE = {"client_id": "sandbox-service", "client_secret": "sandbox-secret"}
APP = {"client_id": "sandbox-app", "client_secret": "app-secret"}
ALICE = {"grant_type": "password", "username": "alice", "password": "alice-password"}
CC = {"grant_type": "client_credentials"}


@pytest.fixture
async def sandbox():
    async with Sandbox() as sandbox:
        yield sandbox


async def ask(sandbox, form, *, tenant="", headers=None, method="POST"):
    url = f"{sandbox.identity_url}{tenant}/connect/token"
    async with aiohttp.ClientSession() as session:
        async with session.request(method, url, data=form, headers=headers) as response:
            return response.status, json.loads(await response.read()), response.headers


async def test_a_token_is_shaped_like_aritmas_sample(sandbox):
    """Members, headers and claims come in the sample's order, and the signature verifies."""
    status, answer, headers = await ask(sandbox, {**CC, **SERVICE, "scope": "bankservice"})
    async with aiohttp.ClientSession(sandbox.identity_url) as session:
        async with session.get("/.well-known/openid-configuration/jwks") as response:
            keys = KeySet.import_key_set(await response.json())
    token = jwt.decode(answer["access_token"], keys, algorithms=["RS256"])

    assert status == 200
    assert list(answer) == ["access_token", "expires_in", "token_type", "scope"]
    assert headers["Content-Type"] == "application/json; charset=UTF-8"
    assert headers["Cache-Control"] == "no-store, no-cache, max-age=0"
    assert headers["Pragma"] == "no-cache"
    assert headers["X-Aritma-Sandbox"] == "stand-in"
    assert list(token.header) == ["alg", "kid", "typ", "x5t"]
    assert token.header["kid"] == (
        base64.urlsafe_b64decode(token.header["x5t"] + "=").hex().upper() + "RS256"
    )
    assert list(token.claims)[:7] == ["nbf", "exp", "iss", "aud", "client_id", "iat", "scope"]
    assert token.claims["aud"] == ["bankservice", f"{sandbox.identity_url}/resources"]
    assert token.claims["exp"] - token.claims["nbf"] == answer["expires_in"] == 3600


@pytest.mark.parametrize(
    ("form", "error", "description"),
    [
        ({}, "invalid_client", None),
        (CC, "invalid_client", None),
        ({**CC, "client_id": "nobody", "client_secret": "x"}, "invalid_client", None),
        ({**CC, **SERVICE, "client_secret": "wrong"}, "invalid_client", None),
        ({**CC, **SERVICE, "client_secret": "x" * 101}, "invalid_client", None),
        (
            {**CC, "client_id": "sandbox-expired", "client_secret": "expired-secret"},
            "invalid_client",
            None,
        ),
        (SERVICE, "unsupported_grant_type", None),
        ({**SERVICE, "grant_type": "delegation"}, "unsupported_grant_type", None),
        ({**SERVICE, **ALICE}, "unauthorized_client", None),
        ({**CC, **SERVICE, "scope": "unknown"}, "invalid_scope", None),
        ({**CC, **SERVICE, "scope": "zam"}, "invalid_scope", None),
        ({**CC, **SERVICE, "scope": "bankservice " * 30}, "invalid_scope", None),
        ({**APP, **CC, "scope": "openid"}, "unauthorized_client", None),
        ({**APP, **ALICE, "password": "wrong"}, "invalid_grant", "invalid_username_or_password"),
        ({**APP, **ALICE, "username": "eve"}, "invalid_grant", "invalid_username_or_password"),
        ({**APP, "grant_type": "refresh_token"}, "invalid_request", None),
        ({**APP, "grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant", None),
    ],
)
async def test_errors_are_400_with_identityservers_codes(sandbox, form, error, description):
    """Error responses have IdentityServer's codes, mostly without a description."""
    status, answer, headers = await ask(sandbox, form)

    assert status == 400
    assert answer == {"error": error} | (
        {} if description is None else {"error_description": description}
    )
    assert headers["Cache-Control"] == "no-store, no-cache, max-age=0"
    assert "WWW-Authenticate" not in headers
    assert sandbox.token_requests[-1].error == error


async def test_client_credentials_have_no_identity_scopes(sandbox):
    """Client credentials cannot have identity scopes, even if the client may."""
    sandbox.add_client(SandboxClient(client_id="m", secrets="s", scopes=("openid", "api")))
    asked = await ask(sandbox, {**CC, "client_id": "m", "client_secret": "s", "scope": "openid"})
    omitted = await ask(sandbox, {**CC, "client_id": "m", "client_secret": "s"})

    assert asked[1] == {"error": "invalid_scope"}
    assert omitted[1]["scope"] == "api"


async def test_only_forms_are_read(sandbox):
    """A request that is no form is invalid_request."""
    got = await ask(sandbox, None, method="GET")
    posted = await ask(sandbox, b"{}", headers={"Content-Type": "application/json"})

    assert got[:2] == posted[:2] == (400, {"error": "invalid_request"})


async def test_no_scope_means_all_of_the_clients(sandbox):
    """Without a scope the client gets all of its own, as Aritma's samples request it."""
    _, answer, _ = await ask(sandbox, {**CC, **SERVICE})

    assert answer["scope"] == "bankservice api"


def basic(text):
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (basic("sandbox-service:sandbox-secret"), 200),
        (basic("sandbox-special:s3cr3tV%40lue%21%2B%25"), 200),
        (basic("sandbox-special:s3cr3tV@lue!+%"), 400),
        (basic("no colon"), 400),
        ({"Authorization": "Basic !!!"}, 400),
        ({"Authorization": "Basic /w=="}, 400),
    ],
)
async def test_basic_is_form_decoded(sandbox, header, status):
    """A client that does not encode '+' and '%' is refused, as by IdentityServer."""
    assert (await ask(sandbox, CC, headers=header))[0] == status


async def test_two_secrets_are_valid_while_one_replaces_the_other(sandbox):
    """During a rotation both secrets are valid, as at Aritma."""
    for secret in ("new-secret", "old-secret"):
        form = {**CC, "client_id": "sandbox-rotating", "client_secret": secret}
        assert (await ask(sandbox, form))[0] == 200


async def test_a_public_client_shows_no_secret(sandbox):
    """A public client's id is enough."""
    sandbox.add_client(SandboxClient(client_id="public", grant_types="client_credentials"))

    assert (await ask(sandbox, {**CC, "client_id": "public"}))[0] == 200


async def test_a_tenant_has_an_issuer_of_its_own(sandbox):
    """Metadata and tokens name the tenant's issuer."""
    _, answer, _ = await ask(sandbox, {**CC, **SERVICE}, tenant="/acme")
    payload = json.loads(base64.urlsafe_b64decode(answer["access_token"].split(".")[1] + "=="))
    async with aiohttp.ClientSession(sandbox.identity_url) as session:
        async with session.get("/acme/.well-known/openid-configuration") as response:
            metadata = await response.json()

    assert payload["iss"] == metadata["issuer"] == f"{sandbox.identity_url}/acme"
    assert metadata["token_endpoint"] == f"{sandbox.identity_url}/acme/connect/token"
    assert sandbox.token_requests[-1].tenant == "acme"
    assert sandbox.environment.for_tenant("acme").token_endpoint == metadata["token_endpoint"]


async def refresh(sandbox, handle, client=APP):
    return await ask(sandbox, {**client, "grant_type": "refresh_token", "refresh_token": handle})


async def sign_in(sandbox):
    _, answer, _ = await ask(sandbox, {**APP, **ALICE, "scope": "api offline_access"})
    return answer


async def test_a_one_time_refresh_token_rotates(sandbox):
    """The response brings the successor, and the subject stays."""
    first = await sign_in(sandbox)
    status, second, _ = await refresh(sandbox, first["refresh_token"])

    assert status == 200
    assert second["refresh_token"] != first["refresh_token"]
    assert list(second) == ["access_token", "expires_in", "token_type", "refresh_token", "scope"]


async def test_a_sign_in_without_offline_access_has_no_refresh_token(sandbox):
    """Only offline_access brings a refresh token."""
    _, answer, _ = await ask(sandbox, {**APP, **ALICE, "scope": "api"})

    assert "refresh_token" not in answer


@pytest.mark.parametrize(("on_reuse", "successor"), [("revoke_family", 400), ("refuse", 200)])
async def test_reuse_is_noticed_and_may_end_the_family(sandbox, on_reuse, successor):
    """A reuse revokes the family (RFC 9700 §4.14.2) or is only refused, as by IdentityServer."""
    sandbox.refresh_tokens.on_reuse = on_reuse
    other = await sign_in(sandbox)
    first = await sign_in(sandbox)
    _, second, _ = await refresh(sandbox, first["refresh_token"])
    reused = await refresh(sandbox, first["refresh_token"])

    assert reused[:2] == (400, {"error": "invalid_grant"})
    assert sandbox.refresh_tokens.reuse_events == 1
    assert (await refresh(sandbox, second["refresh_token"]))[0] == successor
    assert (await refresh(sandbox, other["refresh_token"]))[0] == 200


async def test_a_reusable_refresh_token_stays(sandbox):
    """A refresh token for many uses stays the same, as by default since version 7.0."""
    sandbox.add_client(
        SandboxClient(
            client_id="sandbox-app",
            secrets="app-secret",
            grant_types=("password", "refresh_token"),
            scopes=("api", "offline_access"),
            refresh_tokens_rotate=False,
        )
    )
    first = await sign_in(sandbox)
    _, second, _ = await refresh(sandbox, first["refresh_token"])

    assert second["refresh_token"] == first["refresh_token"]


async def test_another_clients_refresh_token_is_refused(sandbox):
    """A refresh token belongs to the client that it was issued to."""
    sandbox.add_client(SandboxClient(client_id="o", secrets="s", grant_types="refresh_token"))
    first = await sign_in(sandbox)

    assert (
        await refresh(sandbox, first["refresh_token"], {"client_id": "o", "client_secret": "s"})
    )[0] == 400
    assert sandbox.refresh_tokens.reuse_events == 0


async def test_keys_roll_over_and_old_ones_stay_published(sandbox):
    """The newest key comes first."""
    before = sandbox.issuer.keys[0].kid
    sandbox.issuer.roll_keys()

    assert [key.kid for key in sandbox.issuer.keys][1:] == [before]
    assert sandbox.issuer.keys[0].kid != before

"""Metadata, UserInfo, introspection and revocation."""

import base64

import aiohttp
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from aritma_auth.sandbox import Sandbox
from support.sandbox_wire import WEB, get, post, read_jwt, tokens_of

pytestmark = pytest.mark.usefixtures("no_leftovers")

SERVICE = {"client_id": "sandbox-service", "client_secret": "sandbox-secret"}
API = {"client_id": "bankservice", "client_secret": "api-secret"}
DISCOVERY = "/.well-known/openid-configuration"
NEWER = {
    "authorization_response_iss_parameter_supported",
    "introspection_endpoint_auth_methods_supported",
    "prompt_values_supported",
    "revocation_endpoint_auth_methods_supported",
}


async def test_discovery_says_what_the_version_says(every):
    """IdentityServer 4 has fewer members, and PAR came with version 7."""
    _, metadata, _ = await get(every, DISCOVERY)
    issuer = every.identity_url

    assert metadata["issuer"] == issuer
    assert metadata["jwks_uri"] == f"{issuer}{DISCOVERY}/jwks"
    assert metadata["end_session_endpoint"] == f"{issuer}/connect/endsession"
    assert metadata["code_challenge_methods_supported"] == ["plain", "S256"]
    assert "api" in metadata["scopes_supported"]
    assert NEWER.intersection(metadata) == (set() if every.server_version == "is4" else NEWER)
    has_par = every.server_version in {"duende-7.4", "duende-8"}
    assert ("pushed_authorization_request_endpoint" in metadata) is has_par


async def test_an_issuer_is_written_in_small_letters(sandbox):
    """Endpoints keep the letters of the request; the issuer in metadata and tokens is in small letters."""
    _, metadata, _ = await get(sandbox, f"/AcMe{DISCOVERY}")
    form = {**SERVICE, "grant_type": "client_credentials"}
    _, answer, _ = await post(sandbox, "/AcMe/connect/token", form)

    assert metadata["issuer"] == f"{sandbox.identity_url}/acme"
    assert metadata["token_endpoint"] == f"{sandbox.identity_url}/AcMe/connect/token"
    assert read_jwt(answer["access_token"])[1]["iss"] == metadata["issuer"]


@pytest.mark.parametrize("tenant", ["", "/acme"])
async def test_rfc_8414s_address_is_there_from_7_4_on(every, tenant):
    """Versions from 7.4 on serve RFC 8414's address, with the tenant last."""
    path = f"/.well-known/oauth-authorization-server{tenant}"
    status, metadata, _ = await get(every, path)

    if every.server_version in {"duende-7.4", "duende-8"}:
        assert metadata["issuer"] == f"{every.identity_url}{tenant}"
    else:
        assert status == 404


def bearer(token, scheme="Bearer"):
    return {"Authorization": f"{scheme} {token}"}


@pytest.mark.parametrize(
    ("scope", "claims"),
    [
        ("openid", {"sub": "user-alice"}),
        (
            "openid profile",
            {"sub": "user-alice", "name": "Alice Almås", "preferred_username": "alice"},
        ),
        ("openid email", {"sub": "user-alice", "email": "alice@sandbox.example"}),
    ],
)
@pytest.mark.parametrize("how", ["get", "post", "form", "tenant"])
async def test_userinfo_tells_what_the_scope_allows(sandbox, scope, claims, how):
    """UserInfo gives the claims of the scope, for a token in the header or the form."""
    token = (await tokens_of(sandbox, scope=scope))["access_token"]
    path = "/acme/connect/userinfo" if how == "tenant" else "/connect/userinfo"
    if how == "form":
        status, told, _ = await post(sandbox, path, {"access_token": token})
    elif how == "post":
        status, told, _ = await post(sandbox, path, {}, headers=bearer(token))
    else:
        status, told, _ = await get(sandbox, path, headers=bearer(token))

    assert (status, told) == (200, claims)


async def machine_token(sandbox):
    form = {**SERVICE, "grant_type": "client_credentials"}
    return (await post(sandbox, "/connect/token", form))[1]["access_token"]


@pytest.mark.parametrize(
    ("kind", "status", "challenge"),
    [
        ("none", 401, '"invalid_token"'),
        ("forged", 401, '"invalid_token"'),
        ("lower case", 401, '"invalid_token"'),
        ("machine", 401, '"invalid_token"'),
        ("unknown", 401, '"invalid_token"'),
        ("expired", 401, '"invalid_token",error_description="The access token expired"'),
        ("no openid", 403, '"insufficient_scope"'),
    ],
)
async def test_userinfo_refuses_in_a_header_alone(sandbox, kind, status, challenge):
    """An error of UserInfo is in the challenge, and the body is empty."""
    token = (await tokens_of(sandbox, scope="api" if kind == "no openid" else "openid"))[
        "access_token"
    ]
    if kind == "machine":
        token = await machine_token(sandbox)
    if kind == "unknown":
        del sandbox.users["alice"]
    if kind == "expired":
        sandbox.clock.advance(3600)
    headers = {"none": {}, "forged": bearer("x"), "lower case": bearer(token, "bearer")}
    got = await get(sandbox, "/connect/userinfo", headers=headers.get(kind, bearer(token)))

    assert got[:2] == (status, "")
    assert got[2]["WWW-Authenticate"] == f'Bearer realm="IdentityServer",error={challenge}'


async def test_userinfo_takes_a_token_in_one_way(sandbox):
    """A token in the header and the form at once is refused, even if valid (RFC 6750 §2)."""
    token = (await tokens_of(sandbox, scope="openid"))["access_token"]
    form = {"access_token": token}
    got = await post(sandbox, "/connect/userinfo", form, headers=bearer(token))

    assert got[:2] == (400, "")
    assert got[2]["WWW-Authenticate"] == 'Bearer realm="IdentityServer",error="invalid_request"'


@pytest.mark.parametrize(
    ("path", "status"), [("userinfo", 405), ("introspect", 405), ("revocation", 405)]
)
async def test_other_methods_are_refused_in_silence(sandbox, path, status):
    """Another method gets 405 without a body."""
    async with aiohttp.ClientSession(sandbox.identity_url) as http:
        async with http.put(f"/connect/{path}") as response:
            assert (response.status, await response.read()) == (status, b"")


@pytest.mark.parametrize("path", ["introspect", "revocation"])
async def test_only_forms_are_read(sandbox, path):
    """Another media type gets 415 without a body."""
    headers = {"Content-Type": "application/json"}
    got = await post(sandbox, f"/connect/{path}", b"{}", headers=headers)

    assert got[:2] == (415, "")


async def introspect(sandbox, token, caller, **kwargs):
    form = {**caller, "token": token}
    return (await post(sandbox, "/connect/introspect", form, **kwargs))[:2]


async def test_an_api_sees_its_own_part_of_a_token(sandbox):
    """An API sees the claims and its own part of the scope, by form or by Basic."""
    token = (await tokens_of(sandbox, scope="openid api bankservice"))["access_token"]
    status, told = await introspect(sandbox, token, API)
    basic = {"Authorization": f"Basic {base64.b64encode(b'bankservice:api-secret').decode()}"}
    by_basic = await introspect(sandbox, token, {}, headers=basic)

    assert status == 200
    assert by_basic[1] == told
    assert (told["active"], told["scope"], told["sub"]) == (True, "bankservice", "user-alice")
    assert told["iss"] == sandbox.identity_url
    assert {"aud", "exp", "client_id", "nbf", "sid"} <= told.keys()


async def test_what_an_api_may_not_see_is_inactive(sandbox):
    """Other APIs' tokens, expired ones, refresh tokens and unknown texts are inactive."""
    answer = await tokens_of(sandbox, scope="openid bankservice offline_access")
    other = (await tokens_of(sandbox, scope="openid api"))["access_token"]
    texts = [other, answer["refresh_token"], "forged"]
    told = [(await introspect(sandbox, text, API))[1] for text in texts]
    sandbox.clock.advance(3600)
    told.append((await introspect(sandbox, answer["access_token"], API))[1])

    assert told == [{"active": False}] * 4


@pytest.mark.parametrize(
    "caller",
    [
        {},
        {"client_id": "bankservice", "client_secret": "wrong"},
        {"client_id": "nobody", "client_secret": "x"},
    ],
    ids=str,
)
async def test_unknown_callers_are_refused(every, caller):
    """An unknown caller gets 401 without a body."""
    assert await introspect(every, "x", caller) == (401, "")


async def test_a_token_must_be_given(sandbox):
    """A request without a token gets 400."""
    assert await introspect(sandbox, "", API) == (400, {"error": "invalid_request"})


async def test_clients_may_ask_from_version_7_on(every):
    """Clients introspect any access token and their own refresh tokens from version 7 on."""
    answer = await tokens_of(every, scope="openid api offline_access")
    told = [
        await introspect(every, answer[name], caller)
        for name, caller in (
            ("access_token", SERVICE),
            ("refresh_token", WEB),
            ("refresh_token", SERVICE),
        )
    ]
    if every.server_version in {"is4", "duende-6.3"}:
        assert told == [(401, "")] * 3
        return
    assert [status for status, _ in told] == [200] * 3
    assert [body["active"] for _, body in told] == [True, True, False]
    assert told[0][1]["scope"] == told[1][1]["scope"] == "openid api offline_access"


async def test_responses_are_signed_on_request(every):
    """
    Versions from 7.3 on sign the response on request (RFC 9701); older ones respond in plain JSON.
    """
    token = (await tokens_of(every, scope="openid bankservice"))["access_token"]
    wanted = "application/token-introspection+jwt"
    for caller in (API, WEB):
        _, told, headers = await post(
            every,
            "/connect/introspect",
            {**caller, "token": token},
            headers={"Accept": wanted},
        )
        if every.server_version in {"is4", "duende-6.3"}:
            assert headers.get("Content-Type") != wanted
            continue
        keys = (await get(every, f"{DISCOVERY}/jwks"))[1]
        answer = jwt.decode(told, KeySet.import_key_set(keys), algorithms=["RS256"])
        assert headers["Content-Type"].startswith(wanted)
        assert answer.header["typ"] == "token-introspection+jwt"
        assert answer.claims["aud"] == caller["client_id"]
        assert answer.claims["token_introspection"]["sub"] == "user-alice"


async def revoke(sandbox, client=WEB, **form):
    return (await post(sandbox, "/connect/revocation", {**client, **form}))[:2]


@pytest.mark.parametrize("hint", [{}, {"token_type_hint": "refresh_token"}], ids=str)
async def test_a_refresh_token_is_ended(sandbox, hint):
    """A revocation gets 200 without a body, and so does its repetition."""
    handle = (await tokens_of(sandbox, scope="api offline_access"))["refresh_token"]
    form = {**WEB, "grant_type": "refresh_token", "refresh_token": handle}

    assert [await revoke(sandbox, token=handle, **hint) for _ in range(2)] == [(200, "")] * 2
    assert (await post(sandbox, "/connect/token", form))[1] == {"error": "invalid_grant"}


async def test_access_tokens_and_others_tokens_live_on(sandbox):
    """Access tokens and another client's tokens stay valid, with the same response."""
    answer = await tokens_of(sandbox, scope="openid offline_access")
    assert await revoke(sandbox, token=answer["access_token"]) == (200, "")
    assert await revoke(sandbox, SERVICE, token=answer["refresh_token"]) == (200, "")
    got = await get(sandbox, "/connect/userinfo", headers=bearer(answer["access_token"]))
    form = {**WEB, "grant_type": "refresh_token", "refresh_token": answer["refresh_token"]}

    assert got[0] == 200
    assert (await post(sandbox, "/connect/token", form))[0] == 200


@pytest.mark.parametrize(
    ("client", "form", "error"),
    [
        (WEB, {}, "invalid_request"),
        (WEB, {"token": "x", "token_type_hint": "id_token"}, "unsupported_token_type"),
        ({**WEB, "client_secret": "wrong"}, {"token": "x"}, "invalid_client"),
    ],
    ids=str,
)
async def test_what_cannot_be_revoked_is_said(sandbox, client, form, error):
    """An unsupported revocation gets 400 and a code."""
    assert await revoke(sandbox, client, **form) == (400, {"error": error})


@pytest.mark.parametrize(
    ("version", "error"),
    [
        ("is4", "invalid_client"),
        ("duende-6.3", "invalid_request"),
        ("duende-7.4", "invalid_request"),
        ("duende-8", "invalid_request"),
    ],
)
async def test_a_request_without_client_is_refused_by_version(version, error):
    """
    A request without a client is invalid_client at IdentityServer 4 and invalid_request since 6.2.
    """
    async with Sandbox(server_version=version) as sandbox:
        assert (await post(sandbox, "/connect/token", {"grant_type": "password"}))[1] == {
            "error": error
        }

"""What real servers do, and the sandbox on request: echoes, pages of proxies, odd refresh tokens."""

import asyncio
import base64
import json

import aiohttp
import pytest

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox import Sandbox
from support.sandbox_wire import WEB, get, post, tokens_of

SERVICE = {"client_id": "sandbox-service", "client_secret": "sandbox-secret"}
CC = {**SERVICE, "grant_type": "client_credentials"}
APP = {"client_id": "sandbox-app", "client_secret": "app-secret"}
PASSWORD = {**APP, "grant_type": "password", "username": "alice", "password": "alice-password"}
SECRET = "sä/c+r&t"


async def ask(sandbox, **form):
    return (await post(sandbox, "/connect/token", CC | form))[:2]


async def sign_in(sandbox):
    form = {**PASSWORD, "scope": "api offline_access"}
    return (await post(sandbox, "/connect/token", form))[1]


async def refresh(sandbox, token):
    form = {**APP, "grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
    return (await post(sandbox, "/connect/token", form))[:2]


async def call(sandbox, token):
    async with aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        async with http.get(f"{sandbox.banking_url}api/accounts", headers=headers) as response:
            return response.status


SPELLED = {
    "raw": SECRET,
    "form": "s%C3%A4%2Fc%2Br%26t",
    "uri": "s%C3%A4%2Fc%2Br%26t",
    "percent": "%73%c3%a4%2f%63%2b%72%26%74",
    "json": "s\\u00e4\\/c+r&t",
    "unicode-escapes": "\\u0073\\u00e4\\u002f\\u0063\\u002b\\u0072\\u0026\\u0074",
    "html": "sä/c+r&amp;t",
    "hex": "73c3a42f632b722674",
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64url": base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("spelling", SPELLED)
async def test_a_secret_is_repeated_in_each_spelling(sandbox, spelling):
    """An error_description can repeat the client secret as some server or log would write it."""
    sandbox.faults.echo_next(spelling)

    assert await ask(sandbox, client_secret=SECRET) == (
        400,
        {"error": "invalid_request", "error_description": SPELLED[spelling]},
    )


JSON_PLACES = {
    "error": (400, {"error": SECRET}),
    "error_uri": (400, {"error": "invalid_request", "error_uri": SECRET}),
    "member": (400, {"error": "invalid_request", "trace": {"request": [SECRET]}}),
    "token_type": (200, {"access_token": "a", "token_type": SECRET, "expires_in": 60}),
    "scope": (
        200,
        {"access_token": "a", "token_type": "Bearer", "expires_in": 60, "scope": SECRET},
    ),
}


@pytest.mark.parametrize("place", JSON_PLACES)
async def test_a_secret_is_repeated_in_each_member(sandbox, place):
    """Any member of a JSON body can repeat the secret, in success responses too."""
    sandbox.faults.echo_next(place=place)

    assert await ask(sandbox, client_secret=SECRET) == JSON_PLACES[place]


@pytest.mark.parametrize(
    ("place", "media_type"),
    [("html", "text/html"), ("text", "text/plain"), ("problem", "application/problem+json")],
)
async def test_a_secret_is_repeated_in_a_body_of_another_kind(sandbox, place, media_type):
    """Pages and problem details can repeat the secret."""
    sandbox.faults.echo_next(place=place, status=500)
    status, body, headers = await post(sandbox, "/connect/token", CC | {"client_secret": SECRET})

    assert status == 500
    assert SECRET in (json.loads(body)["detail"] if place == "problem" else body)
    assert headers["Content-Type"].startswith(media_type)


async def test_a_challenge_repeats_the_bearer_token(sandbox):
    """The API's own challenge can repeat the access token."""
    sandbox.faults.echo_next(place="challenge", status=401, where="userinfo")
    bearer = {"Authorization": "Bearer the-token"}
    status, _, headers = await get(sandbox, "/connect/userinfo", headers=bearer)

    assert status == 401
    assert 'error_description="the-token"' in headers["WWW-Authenticate"]


async def test_basic_is_repeated_as_it_came_and_decoded(sandbox):
    """Of a Basic header both the secret and the whole credentials are repeated."""
    sandbox.faults.echo_next()
    credentials = base64.b64encode(b"sandbox-service:sandbox-secret").decode()
    headers = {"Authorization": f"Basic {credentials}"}
    form = {"grant_type": "client_credentials"}
    _, body, _ = await post(sandbox, "/connect/token", form, headers=headers)

    assert body["error_description"].split() == ["sandbox-secret", credentials]


@pytest.mark.parametrize(
    ("page", "status", "media_type", "body"),
    [
        ("gateway", 502, "text/html", "502 Bad Gateway"),
        ("ingress", 404, "text/plain; charset=utf-8", "default backend"),
        ("firewall", 403, "text/html", "403 Forbidden"),
        ("empty", 401, None, ""),
    ],
)
async def test_pages_of_what_stands_in_front(sandbox, page, status, media_type, body):
    """An error can come from a gateway, an ingress or a firewall, or have no body at all."""
    sandbox.faults.fail_next(status, page=page)
    got, text, headers = await post(sandbox, "/connect/token", CC)

    assert got == status
    assert headers.get("Content-Type") == media_type
    assert body in text
    assert (text == "") == (page == "empty")


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("spelling", lambda faults: faults.echo_next("rot13")),
        ("place", lambda faults: faults.echo_next(place="footnote")),
        ("page", lambda faults: faults.fail_next(500, page="captcha")),
    ],
)
async def test_an_unknown_name_is_an_error(sandbox, name, order):
    """A typing error is an error that names the argument, and not a silent no-op."""
    with pytest.raises(ConfigurationError, match=f"{name} must be one of"):
        order(sandbox.faults)


async def test_an_endpoint_hangs_for_one_request(sandbox):
    """A hung request gets nothing, and the next one is served."""
    sandbox.faults.hang_next()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(sandbox), 0.1)

    assert (await ask(sandbox))[0] == 200


async def test_a_body_stalls_after_its_first_byte(sandbox):
    """The header comes with a status, and the body never ends."""
    sandbox.faults.stall_next(401, headers={"WWW-Authenticate": "Bearer"}, where="api")
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{sandbox.banking_url}api/accounts") as response:
            assert response.status == 401
            assert await response.content.readexactly(1) == b" "
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(response.read(), 0.1)


async def test_a_kept_connection_closes_as_the_next_request_arrives(sandbox):
    """A fresh connection is served, a kept one is closed before the request is processed."""
    sandbox.faults.drop_kept_alive()
    url = f"{sandbox.identity_url}/connect/token"
    async with aiohttp.ClientSession() as http:
        async with http.post(url, data=CC) as first:
            await first.read()
        with pytest.raises(aiohttp.ClientError):
            # aiohttp repeats idempotent requests by itself, and no POST.
            await http.post(url, data=CC)
        async with http.post(url, data=CC) as third:
            await third.read()
        sandbox.faults.drop_kept_alive(is_on=False)
        async with http.post(url, data=CC) as fourth:
            assert (first.status, third.status, fourth.status) == (200, 200, 200)
    assert len(sandbox.token_requests) == 3


async def test_one_access_token_for_as_long_as_it_lives(sandbox):
    """The same token comes again, even revoked, and expires_in counts down to a new one."""
    sandbox.issuer.repeats_access_tokens = True
    first = (await ask(sandbox))[1]
    sandbox.clock.advance(3599)
    sandbox.faults.revoke_all()
    again = (await ask(sandbox))[1]
    other_scope = (await ask(sandbox, scope="api"))[1]
    sandbox.clock.advance(1)
    next_one = (await ask(sandbox))[1]

    assert again["access_token"] == first["access_token"]
    assert [answer["expires_in"] for answer in (first, again, next_one)] == [3600, 1, 3600]
    assert len({answer["access_token"] for answer in (first, other_scope, next_one)}) == 3
    assert await call(sandbox, first) == 401


async def statuses_of_reuse(sandbox):
    """Redeem a refresh token; give what it, once more, and then its successor get."""
    first = await sign_in(sandbox)
    _, second = await refresh(sandbox, first)
    reused = await refresh(sandbox, first)
    return reused[0], (await refresh(sandbox, second))[0]


@pytest.mark.parametrize(
    ("on_reuse", "statuses"),
    [("revoke_family", (400, 400)), ("refuse", (400, 200)), ("accept", (200, 200))],
)
async def test_reuse_is_refused_as_servers_differ(sandbox, on_reuse, statuses):
    """A reuse ends the family, is refused alone, or is accepted."""
    sandbox.refresh_tokens.on_reuse = on_reuse

    assert await statuses_of_reuse(sandbox) == statuses
    assert sandbox.refresh_tokens.reuse_events == (0 if on_reuse == "accept" else 1)


async def test_a_refresh_token_without_rotation_stays(sandbox):
    """Since version 7 a refresh token is for many uses, which is the fifth shape."""
    async with Sandbox(server_version="duende-8") as sandbox:
        first = await sign_in(sandbox)
        second = (await refresh(sandbox, first))[1]

        assert second["refresh_token"] == first["refresh_token"]
        assert await statuses_of_reuse(sandbox) == (200, 200)


async def test_the_old_refresh_token_lives_until_the_new_access_token_is_used(sandbox):
    """A client that lost the response may repeat it; once the API has seen the token it may not."""
    sandbox.refresh_tokens.on_reuse = "accept_until_used"
    first = await sign_in(sandbox)
    _, lost = await refresh(sandbox, first)
    repeated, second = await refresh(sandbox, first)
    used = await call(sandbox, second)
    refused, _ = await refresh(sandbox, first)
    kept, _ = await refresh(sandbox, second)

    assert (repeated, used, refused, kept) == (200, 200, 400, 200)
    assert lost["refresh_token"] != second["refresh_token"]


async def test_a_grace_gives_the_successor_once_more(sandbox):
    """Within the grace a repeated refresh is no reuse; after it, it is one."""
    sandbox.refresh_tokens.grace = 30
    first = await sign_in(sandbox)
    _, second = await refresh(sandbox, first)
    sandbox.clock.advance(29)
    status, repeated = await refresh(sandbox, first)
    assert (status, repeated["refresh_token"]) == (200, second["refresh_token"])
    assert sandbox.refresh_tokens.reuse_events == 0

    sandbox.clock.advance(1)
    assert (await refresh(sandbox, first))[0] == 400
    assert (await refresh(sandbox, second))[0] == 400
    assert sandbox.refresh_tokens.reuse_events == 1


async def test_a_grace_ends_when_the_successor_is_spent(sandbox):
    """Two refresh tokens of one sign-in are never both redeemed, even within the grace."""
    sandbox.refresh_tokens.grace = 30
    first = await sign_in(sandbox)
    _, second = await refresh(sandbox, first)
    await refresh(sandbox, second)

    assert (await refresh(sandbox, first))[0] == 400
    assert sandbox.refresh_tokens.reuse_events == 1


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (None, 400, ""),
        ("invalid_request", 400, {"error": "invalid_request"}),
        ("unauthorized_client", 403, {"error": "unauthorized_client"}),
    ],
)
async def test_an_invalid_refresh_token_is_refused_by_another_name(sandbox, error, status, body):
    """Some servers send an empty 400, invalid_request or a 403 instead of invalid_grant."""
    sandbox.refresh_tokens.error, sandbox.refresh_tokens.error_status = error, status

    assert await refresh(sandbox, {"refresh_token": "unknown"}) == (status, body)
    assert sandbox.token_requests[-1].error == (error or "empty body")


async def test_reuse_has_names():
    """An unknown name is an error that lists the known ones."""
    async with Sandbox() as sandbox:
        with pytest.raises(ConfigurationError, match="on_reuse must be one of revoke_family"):
            sandbox.refresh_tokens.on_reuse = "forgive"


@pytest.mark.parametrize(
    "value", [0, -1, "3600", 3600.5, 9223372036854775807, 10**18, None, "soon", True, [60]]
)
async def test_odd_lifetimes_come_as_ordered(sandbox, value):
    """Any expires_in can be sent, from INT64_MAX to a list."""
    sandbox.overrides.token_response["expires_in"] = value

    assert (await ask(sandbox))[1].get("expires_in") == value


@pytest.mark.parametrize("value", ["bearer", "BEARER", "mac", "DPoP", "", "N_A", None, ["Bearer"]])
async def test_odd_token_types_come_as_ordered(sandbox, value):
    """Any token_type can be sent, in any case."""
    sandbox.overrides.token_response["token_type"] = value

    assert (await ask(sandbox))[1].get("token_type") == value


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("issuer", "https://other.example"),
        ("token_endpoint", "http://evil.example/token"),
        ("token_endpoint", 42),
        ("jwks_uri", "not a URL"),
        ("scopes_supported", "openid"),
        ("require_pushed_authorization_requests", True),
        ("service_documentation", "\x1b[2J\u202e"),
    ],
)
async def test_odd_metadata_come_as_ordered(sandbox, member, value):
    """Any member of the metadata can be of another type, hostile, or new."""
    sandbox.overrides.metadata[member] = value
    _, metadata, _ = await get(sandbox, "/.well-known/openid-configuration")

    assert metadata[member] == value


async def test_a_refresh_may_bring_no_refresh_token_scope_or_id_token(sandbox):
    """The client keeps what it had where a refresh response lacks a member."""
    signed_in = await tokens_of(sandbox, scope="openid api offline_access")
    for member in ("refresh_token", "scope", "id_token"):
        sandbox.overrides.token_response[member] = None
    form = {**WEB, "grant_type": "refresh_token", "refresh_token": signed_in["refresh_token"]}
    _, refreshed, _ = await post(sandbox, "/connect/token", form)

    assert set(refreshed) == {"access_token", "token_type", "expires_in"}

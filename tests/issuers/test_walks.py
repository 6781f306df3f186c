"""Each issuer's look-alike, walked: discovery, a service, a sign-in, refresh, UserInfo, sign-out."""

import asyncio
import time

import aiohttp
import pytest

import aritma_auth as aa
from support.issuers import CLIENT_ID, CLIENT_KEY, CLIENT_SECRET, ISSUERS, look_alike

CALLBACK = "https://app.example/callback"
BYE = "https://app.example/bye"

everyone = pytest.mark.parametrize("data", ISSUERS, ids=lambda data: data.slug)
services = pytest.mark.parametrize(
    "data", [data for data in ISSUERS if data.service], ids=lambda data: data.slug
)
end_users = pytest.mark.parametrize(
    "data", [data for data in ISSUERS if data.sign_in], ids=lambda data: data.slug
)


async def discover(server):
    return await aa.Environment.discover(
        server.issuer,
        endpoint_origins=server.endpoint_origins,
        issuer_aliases=server.issuer_aliases,
        tenants=server.data.environment.get("tenants", ()),
        api_origins=[server.api],
    )


async def client_of(server):
    method = server.data.client.get("auth")
    auth = {
        None: CLIENT_SECRET,
        "none": None,
        "client_secret_basic": aa.ClientSecretBasic(CLIENT_SECRET),
        "private_key_jwt": aa.PrivateKeyJwt(CLIENT_KEY, names_issuer=True),
    }[method]
    return aa.OAuthClient(CLIENT_ID, auth, environment=await discover(server))


async def visit(url):
    """Open a URL as a browser does, and give where it leads."""
    async with aiohttp.ClientSession() as browser:
        async with browser.get(url, allow_redirects=False) as response:
            assert response.status == 302
            return response.headers["Location"]


async def sign_in(server, client):
    wanted = server.data.sign_in
    names = ("acr_values", "extra", "prompt")
    settings = {name: wanted[name] for name in names if name in wanted}
    request = await client.begin_sign_in(CALLBACK, wanted["scope"], **settings)
    return await client.complete_sign_in(request, await visit(request.url))


@everyone
async def test_the_issuer_is_found(data):
    """Its metadata decides every endpoint that it publishes; none is refused."""
    async with look_alike(data) as server:
        client = await client_of(server)
        metadata = await client.fetch_metadata()

        assert metadata.foreign_endpoints == {}
        assert metadata.issuer == server.metadata()["issuer"]
        assert metadata.endpoints.items() <= server.metadata().items()
        assert [key["kid"] for key in await client.fetch_keys()] == ["k1"]


@pytest.mark.parametrize(
    "data",
    [data for data in ISSUERS if data.environment.get("endpoint_origins")],
    ids=lambda data: data.slug,
)
async def test_a_host_that_is_not_listed_gets_no_secret(data):
    """Without the listed origins an endpoint on another host is told by its address."""
    async with look_alike(data) as server:
        environment = await aa.Environment.discover(server.issuer)
        foreign = aa.OAuthClient(CLIENT_ID, CLIENT_SECRET, environment=environment)
        name, *_ = (await foreign.fetch_metadata()).foreign_endpoints

        with pytest.raises(
            aa.ConfigurationError, match=f"not at {server.other}: list.*endpoint_origins"
        ):
            (await foreign.fetch_metadata()).endpoint(name)


def grant_of(wanted):
    if wanted.get("is_assertion"):
        claims = {"scope": wanted["scope"]}
        return aa.JwtBearerGrant(aa.JwtAssertion(CLIENT_KEY, claims=claims))
    return aa.ClientCredentialsGrant(wanted.get("scope"), extra=wanted.get("extra", {}))


@services
async def test_a_service_gets_a_token(data):
    """The credential goes where the server takes it, and the grant asks as it wants."""
    async with look_alike(data) as server:
        client = await client_of(server)
        token = await client.fetch_token(grant_of(data.service))

        assert token.access_token
        assert token.expires_at > time.time()
        assert token.refresh_token is None


@services
async def test_a_service_calls_the_listed_api_alone(data):
    """What `api_origins` names gets the token, and the issuer's other host does not."""
    async with look_alike(data) as server:
        client = await client_of(server)
        async with (
            aa.TokenProvider(client, grant_of(data.service)) as tokens,
            tokens.session() as session,
        ):
            async with session.get(f"{server.api}/accounts") as response:
                assert response.status == 200
            async with session.get(f"{server.other}/accounts") as response:
                assert response.status == 404

        assert server.calls == ["/accounts"]
        assert "/accounts" in server.asked
        assert server.shown == []


@end_users
async def test_an_end_user_signs_in(data):
    """The ID token names the issuer that the server is, or the tenant's own."""
    async with look_alike(data) as server:
        done = await sign_in(server, await client_of(server))

        assert done.subject == "alice"
        assert done.claims["iss"] == server.fill(
            data.server.get("signs_as") or server.metadata()["issuer"]
        )
        assert done.token.refresh_token in server.refresh_tokens


@end_users
async def test_a_sign_in_is_refreshed_twice(data):
    """A refresh token that was replaced is replaced here, and one that was not is kept."""
    async with look_alike(data) as server:
        client = await client_of(server)
        first = (await sign_in(server, client)).token
        policy = aa.RefreshPolicy(forced_refresh_interval_base=0.001)
        async with aa.TokenProvider(client, aa.SignedInGrant("alice"), policy=policy) as tokens:
            await tokens.set_token(first)
            seen = [first]
            for _ in range(2):
                await asyncio.sleep(0.002)
                tokens.report_rejected(seen[-1])
                seen.append(await tokens.get_token())

        assert len({token.access_token for token in seen}) == 3
        is_replaced = data.server.get("rotates", False)
        assert len({token.refresh_token for token in seen}) == (3 if is_replaced else 1)
        assert seen[-1].refresh_token in server.refresh_tokens


@end_users
async def test_userinfo_is_about_the_end_user(data):
    """Where there is UserInfo, it is asked for with the token of the sign-in."""
    async with look_alike(data) as server:
        client = await client_of(server)
        done = await sign_in(server, client)
        if "userinfo_endpoint" in data.metadata:
            assert (await client.fetch_userinfo(done.token))["sub"] == "alice"
        else:
            with pytest.raises(aa.ConfigurationError, match="must have userinfo_endpoint"):
                await client.fetch_userinfo(done.token)


@end_users
async def test_the_end_user_signs_out(data):
    """The browser comes back from the server's page, where there is one."""
    async with look_alike(data) as server:
        client = await client_of(server)
        done = await sign_in(server, client)
        settings = {"post_logout_redirect_uri": BYE, "state": "s-1"} | data.sign_out
        leave = client.end_session_url(id_token_hint=done.id_token, **settings)
        if "end_session_endpoint" not in data.metadata:
            with pytest.raises(aa.ConfigurationError, match="must have end_session_endpoint"):
                await leave
            return
        back = await visit(await leave)

        assert back.partition("?")[0] == BYE
        if "sign_out_returns_by" not in data.server:
            aa.validate_logout_callback(back, state="s-1")


@end_users
async def test_a_sign_in_is_revoked(data):
    """Where there is revocation, the refresh token ends; elsewhere the error says so."""
    async with look_alike(data) as server:
        client = await client_of(server)
        token = (await sign_in(server, client)).token
        if "revocation_endpoint" in data.metadata:
            await client.revoke(token)
            assert server.refresh_tokens == {}
        else:
            with pytest.raises(aa.EndpointMissingError, match="must have revocation_endpoint"):
                await client.revoke(token)


async def test_only_the_listed_tenants_end_users_sign_in():
    """At an issuer for many tenants, another tenant's ID token is refused."""
    data = next(data for data in ISSUERS if data.slug == "entra-common")
    async with look_alike(data) as server:
        environment = await aa.Environment.discover(
            server.issuer, endpoint_origins=server.endpoint_origins, tenants=["another"]
        )
        client = aa.OAuthClient(CLIENT_ID, CLIENT_SECRET, environment=environment)
        with pytest.raises(aa.IdTokenError, match="tid must be another"):
            await sign_in(server, client)


@pytest.mark.parametrize("slug", ["auth0", "authentik", "maskinporten"])
async def test_a_slash_that_is_missing_is_told(slug):
    """The right spelling is in the error."""
    data = next(data for data in ISSUERS if data.slug == slug)
    async with look_alike(data) as server:
        with pytest.raises(aa.IssuerMismatchError, match=f"its issuer is '{server.issuer}'"):
            await aa.Environment.discover(server.issuer.rstrip("/"))


def test_no_vendor_is_named_in_the_package():
    """What differs between servers is in their metadata and in the caller's settings."""
    import re
    from pathlib import Path

    package = Path(aa.__file__).parent
    names = (
        r"keycloak|auth0|okta|entra\b|azure|google|cognito|zitadel|authentik|maskinporten|idporten"
    )
    branches = re.compile(rf"^\s*(?:el)?if .*(?:{names})", re.IGNORECASE | re.MULTILINE)

    found = [file for file in package.rglob("*.py") if branches.search(file.read_text())]
    assert found == []

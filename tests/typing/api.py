"""A program that uses the public API: type-checked, never run."""

import aiohttp
import redis.asyncio

import aritma_auth as aa


async def three_lines() -> int:
    client = aa.OAuthClient(
        "client-id", aa.Secret.from_env("ARITMA_CLIENT_SECRET"), environment=aa.DEVELOPMENT
    )
    async with aa.TokenProvider(client, aa.ClientCredentialsGrant(scope="bankservice")) as tokens:
        async with aiohttp.ClientSession(middlewares=[tokens.middleware()]) as bank:
            async with bank.get("https://bankservicedemo.zdata.no/api/v3/accounts/42") as response:
                return response.status


async def everything_has_a_type() -> tuple[str, float | None, tuple[str, ...] | None]:
    async with aa.TokenProvider.client_credentials("id", "secret", scope=["api"]) as tokens:
        token: aa.Token = await tokens.get_token(min_ttl=60, timeout=5)
        dropped: bool = tokens.invalidate(token)
        status: str = tokens.status().freshness
        assert dropped or status
        return token.access_token, token.expires_at, token.scope


def errors_answer_two_questions(error: aa.AritmaAuthError) -> float | None:
    return None if error.is_permanent else error.retry_after


def tokens_are_made_by_hand() -> aa.Token:
    return aa.Token("text", expires_at=5.0, refresh_token="text", id_token=None)


def stores_are_interchangeable() -> list[aa.TokenStore]:
    keys = aa.EncryptionKeys({"1": bytes(32)})
    return [
        aa.MemoryTokenStore(),
        aa.FileTokenStore("tokens", keys=keys),
        aa.KeyringTokenStore(),
        aa.RedisTokenStore("rediss://redis.example", keys=keys),
        aa.RedisTokenStore(redis.asyncio.Redis(), keys=keys),
        aa.RedisTokenStore(redis.asyncio.RedisCluster("redis.example", 6379), keys=keys),
    ]


async def people_sign_in(
    client: aa.OAuthClient, pending: aa.PendingSignIns, url: str
) -> str | None:
    request = await client.begin_sign_in("https://me.example/cb", "openid", prompt="login")
    taken: aa.AuthorizationRequest = pending.take(pending.add(request))
    try:
        done: aa.SignIn = await client.complete_sign_in(taken, url)
    except aa.StepUpRequiredError as step_up:
        await client.begin_sign_in("https://me.example/cb", step_up=step_up)
        return None
    name = (await client.fetch_userinfo(done.require_token())).get("name")
    assert name is None or isinstance(name, str)
    return done.require_subject()


async def people_leave(client: aa.OAuthClient, form: dict[str, str], url: str) -> str | None:
    logout: aa.LogoutToken = await client.verify_logout_token(form["logout_token"])
    aa.validate_front_channel_logout(url, issuers=client.environment.issuers, session_id="s")
    aa.validate_logout_callback(url, state=None)
    return logout.session_id


async def a_device_waits(client: aa.OAuthClient) -> bool:
    authorization: aa.DeviceAuthorization = await client.begin_device_sign_in()
    done = await client.complete_device_sign_in(authorization)
    answer: aa.Introspection | None = None
    if done.token is not None:
        answer = await client.introspect(done.token.access_token)
        await client.revoke(done.token)
    return answer is not None and answer.active

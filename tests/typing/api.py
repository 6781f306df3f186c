"""A program that uses the public API: type-checked, never run."""

from typing import Annotated

import aiohttp
import fastapi
import redis.asyncio
from aiohttp import web

import aritma_auth as aa
from aritma_auth import banking, events, stores
from aritma_auth.integrations.aiohttp_web import SignedInUser, WebPaths, WebSignIn
from aritma_auth.integrations.fastapi import WebSignIn as FastAPISignIn
from aritma_auth.integrations.opentelemetry import Telemetry
from aritma_auth.integrations.session_store import MemorySessionStore, RedisSessionStore
from aritma_auth.testing import FakeClient, ManualClock, assert_signed


async def call_an_api() -> int:
    client = aa.OAuthClient(
        "client-id", aa.Secret.from_env("ARITMA_CLIENT_SECRET"), environment=aa.DEVELOPMENT
    )
    async with aa.TokenProvider(client, aa.ClientCredentialsGrant("bankservice")) as tokens:
        async with aiohttp.ClientSession(middlewares=[tokens.middleware()]) as bank:
            async with bank.get("https://bankservicedemo.zdata.no/api/v3/accounts/42") as response:
                return response.status


async def use_a_token() -> tuple[str, float | None, tuple[str, ...] | None]:
    async with aa.TokenProvider.client_credentials("id", "secret", scope=["api"]) as tokens:
        token: aa.Token = await tokens.get_token(min_ttl=60, timeout=5)
        has_other: bool = tokens.report_rejected(token)
        status: aa.ProviderStatus = tokens.status()
        freshness: str = status.freshness
        assert has_other or freshness
        return token.access_token, token.expires_at, token.scope


def ask_an_error(error: aa.AritmaAuthError) -> float | None:
    return None if error.is_permanent else error.retry_after


def make_a_token() -> aa.Token:
    return aa.Token("text", expires_at=5.0, refresh_token="text", id_token=None)


def choose_a_store() -> list[aa.TokenStore]:
    keys = aa.EncryptionKeys({"1": bytes(32)})
    return [
        aa.MemoryTokenStore(),
        aa.FileTokenStore("tokens", keys=keys),
        aa.KeyringTokenStore(),
        aa.RedisTokenStore("rediss://redis.example", keys=keys),
        aa.RedisTokenStore(redis.asyncio.Redis(), keys=keys),
        aa.RedisTokenStore(redis.asyncio.RedisCluster("redis.example", 6379), keys=keys),
    ]


async def sign_in(client: aa.OAuthClient, pending: aa.PendingSignIns, url: str) -> str | None:
    wanted: aa.AuthorizationParameters = {"prompt": "login", "max_age": 60}
    request = await client.begin_sign_in("https://me.example/cb", "openid", **wanted)
    begun: aa.PendingSignIn = pending.add(request, "/accounts")
    taken: aa.PendingSignIn = pending.take({begun.cookie: begun.handle}, request.state.text)
    try:
        done: aa.SignIn = await client.complete_sign_in(taken.request, url)
    except aa.StepUpRequiredError as step_up:
        await client.begin_sign_in("https://me.example/cb", step_up=step_up)
        return None
    name = (await client.fetch_userinfo(done.token)).get("name")
    assert name is None or isinstance(name, str)
    return done.subject


async def keep_to_a_profile(key: aa.SigningKey) -> bool:
    client = aa.OAuthClient(
        "id", aa.PrivateKeyJwt(key), dpop=aa.DPoP(key), request_signer=key, profile=aa.FAPI2
    )
    report: aa.ProfileReport = await client.assess_profile(aa.FAPI2_MESSAGE_SIGNING)
    payment = aa.AuthorizationDetail("payment", actions=["initiate"], extra={"amount": "5"})
    asked: aa.BackchannelAuthentication = await client.begin_backchannel_sign_in(
        "openid", login_hint="alice", authorization_details=[payment], notify=True
    )
    found = aa.validate_backchannel_notification([asked], authorization=None, body=b"")
    done = await client.complete_backchannel_sign_in(found, is_notified=True)
    return report.is_ready and not aa.find_ungranted_details([payment], done.token)


async def exchange(client: aa.OAuthClient, request: aa.AuthorizationRequest, url: str) -> aa.Token:
    response: aa.AuthorizationResponse = aa.validate_authorization_response(request, url, now=0.0)
    return (await client.exchange_code(response)).token


async def sign_out(client: aa.OAuthClient, form: dict[str, str], url: str) -> str | None:
    logout: aa.LogoutToken = await client.verify_logout_token(form["logout_token"])
    aa.validate_front_channel_logout(url, issuers=client.environment.issuers, session_id="s")
    aa.validate_logout_callback(url, state=None)
    return logout.session_id


async def sign_in_on_a_device(client: aa.OAuthClient) -> bool:
    authorization: aa.DeviceAuthorization = await client.begin_device_sign_in()
    done = await client.complete_device_sign_in(authorization)
    introspection: aa.Introspection = await client.introspect(done.token.access_token)
    await client.revoke(done.token)
    return introspection.active


class VaultClient:
    """A client that gets its tokens elsewhere; a provider needs no more of one."""

    client_id = "vault"
    client_auth: aa.ClientAuth = aa.NoClientAuth()
    environment = aa.DEVELOPMENT
    clock_skew = 0.0

    async def fetch_token(self, grant: aa.Grant, *, timeout: float | None = None) -> aa.Token:
        return aa.Token(grant.grant_type, expires_at=timeout)


def extend(clock: aa.Clock, seen: list[aa.Event]) -> aa.TokenProvider:
    source: aa.TokenSource = VaultClient()
    grant = aa.ClientCredentialsGrant("api")
    return aa.TokenProvider(source, grant, clock=clock, on_event=seen.append)


async def receive_events(request: web.Request, log: banking.DeliveryLog) -> web.Response:
    receiver = banking.EventReceiver(aa.Secret("a"), tenants="acme", deliveries=log)

    @receiver.on(banking.PaymentStatusUpdated)
    async def payment_changed(event: banking.PaymentStatusUpdated) -> None:
        assert event.has_status("acsc")

    @receiver.on(banking.CloudEvent, name="all")
    async def all_of_them(event: banking.CloudEvent) -> None:
        assert event.tenant is None or event.data

    await payment_changed(
        banking.PaymentStatusUpdated(
            envelope=banking.CloudEvent(id="1", source="s", type="t"), payment_id="p", status="acsc"
        )
    )
    return await receiver.aiohttp(request)


async def sign_payment(bank: aiohttp.ClientSession, environment: aa.Environment) -> int | None:
    payment: banking.PendingPayment = banking.PendingPayment.generate()
    payment = payment.begin_creation({"a": 1}, now=0.0)
    request: banking.ApiRequest = payment.build_creation_request({"a": 1})
    async with bank.request(**request.arguments()) as response:
        payment = payment.created(await response.json(), environment=environment)
    if payment.action_for("alice") is banking.PaymentAction.SIGN:
        step: banking.ScaStep = payment.step("alice", environment=environment)
        assert step.acr_values
    return payment.remaining


async def rotate(iam: aiohttp.ClientSession, place: banking.SecretPlace) -> float | None:
    done = await banking.rotate_secret(
        "id", place, banking.FileSecretPlace("journal"), iam=iam, iam_url="https://iam.example"
    )
    watch = banking.ExpirationWatch()
    watch.watch_secret("id", None if done is None else done.expires_at)
    days: list[int] = [each.days for each in watch.check()]
    return float(days[0]) if days else None


def sign_end_users_in(client: aa.OAuthClient, keys: aa.EncryptionKeys) -> web.Application:
    sign_in = WebSignIn(
        client,
        "https://me.example",
        "openid bankservice",
        api_url="https://bankservicedemo.zdata.no/",
        sessions=RedisSessionStore("rediss://redis.example", keys=keys),
        store=aa.RedisTokenStore("rediss://redis.example", keys=keys),
        paths=WebPaths(callback="/auth/callback"),
        parameters={"acr_values": ["mfa"], "lifetime": 300.0},
    )

    async def accounts(request: web.Request) -> web.Response:
        user: SignedInUser = await sign_in.require_user(request)
        async with sign_in.session(request) as bank, bank.get("api/v3/accounts/42") as response:
            return web.json_response({user.name: await response.json()})

    app = web.Application()
    sign_in.setup(app)
    app.router.add_get("/accounts", accounts)
    return app


def sign_end_users_in_with_fastapi(client: aa.OAuthClient) -> fastapi.FastAPI:
    sign_in = FastAPISignIn(client, "https://me.example", sessions=MemorySessionStore())
    app = fastapi.FastAPI()
    sign_in.install(app)

    @app.get("/accounts")
    async def accounts(
        user: Annotated[SignedInUser, fastapi.Depends(sign_in.require_user)],
        bank: Annotated[aiohttp.ClientSession, fastapi.Depends(sign_in.session)],
    ) -> dict[str, int]:
        async with bank.get("api/v3/accounts/42") as response:
            return {user.name: response.status}

    return app


async def observe(client: aa.OAuthClient) -> dict[str, object]:
    telemetry: events.WaitingListener = Telemetry(lambda event: print(event.as_dict()))
    pool: aa.TokenProviderPool[int] = aa.TokenProviderPool(
        lambda _key: aa.TokenProvider(client, aa.ClientCredentialsGrant(), on_event=telemetry),
        label=lambda key: f"tenant {key}",
    )
    status: aa.PoolStatus = pool.status()
    keys: tuple[int, ...] = pool.keys()
    is_ready: bool = await pool.provider(keys[0]).is_ready(timeout=0.5)
    names: list[str | None] = [failing.key for failing in status.failures]
    return {"ready": is_ready, "failing": names, **status.as_dict()}


async def test_without_a_server(request: web.Request) -> None:
    clock = ManualClock()
    source: aa.TokenSource = FakeClient(["https://api.example"], clock=clock)
    async with aa.TokenProvider(source, aa.ClientCredentialsGrant(), clock=clock) as tokens:
        assert_signed(request, await tokens.get_token())


def misspell_public_names() -> list[object]:
    # A type checker reports a name that is not public: no package offers any name at all.
    return [
        aa.Tokn,  # type: ignore[attr-defined]
        events.TokenAquired,  # type: ignore[attr-defined]
        stores.RedisStore,  # type: ignore[attr-defined]
    ]

"""Tests of the provider of an end-user's tokens: stored ones, or those of a new sign-in."""

import functools
import secrets

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.native_app import login
from aritma_auth.sandbox import Sandbox
from support.clock import FakeClock
from support.journeys import client_of, sign_in

pytestmark = pytest.mark.usefixtures("no_leftovers")

SCOPE = "openid profile offline_access api"


async def sign_in_as(username, sandbox, client):
    """Sign a user of the sandbox in, as the `sign_in` of `signed_in_provider`."""
    sandbox.sign_in_automatically(username)
    return await sign_in(client, SCOPE)


async def refuse(client):
    pytest.fail("no sign-in must begin")


async def test_a_provider_signs_in_when_it_must(client, aritma_sandbox):
    """The first provider signs in, and the next one uses the stored tokens."""
    store = aa.MemoryTokenStore()
    by_alice = functools.partial(sign_in_as, "alice", aritma_sandbox)
    async with await login.signed_in_provider(client, store=store, sign_in=by_alice) as tokens:
        first = await tokens.get_token()
    async with await login.signed_in_provider(client, store=store, sign_in=refuse) as tokens:
        again = await tokens.get_token()

    assert first.access_token == again.access_token
    assert [request.grant_type for request in aritma_sandbox.token_requests] == [
        "authorization_code"
    ]


@pytest.mark.parametrize("store", [None, aa.MemoryTokenStore()], ids=["no store", "empty store"])
async def test_a_first_sign_in_is_reported_as_no_failure(client, aritma_sandbox, caplog, store):
    """A provider without a stored sign-in warns of nothing, and reports later failures."""
    by_alice = functools.partial(sign_in_as, "alice", aritma_sandbox)
    with caplog.at_level("DEBUG", "aritma_auth"):
        async with await login.signed_in_provider(client, store=store, sign_in=by_alice) as tokens:
            seen = [record for record in caplog.records if record.name == "aritma_auth"]
            loud = [record.aritma_event for record in seen if record.levelname != "DEBUG"]
            assert loud == ["TokenSet"]
            assert "sign-in has ended" not in caplog.text
            token = await tokens.get_token()
            ended = attrs.evolve(token, expires_at=1.0, refresh_token=None)
            await tokens.forget()
            await tokens.set_token(ended)
            with pytest.raises(aa.ReauthenticationRequiredError):
                await tokens.get_token()

    assert "the end-user must sign in again" in caplog.text


async def test_a_listener_that_traces_callers_does_so_here_too(client, aritma_sandbox):
    """It learns of each caller that waits, and of the events after the sign-in."""

    class Tracer:
        def __init__(self):
            self.seen = []

        def __call__(self, event):
            self.seen.append(type(event).__name__)

        def on_wait(self, flight):
            self.seen.append("waits")

    tracer = Tracer()
    by_alice = functools.partial(sign_in_as, "alice", aritma_sandbox)
    async with await login.signed_in_provider(client, sign_in=by_alice, on_event=tracer):
        pass

    assert tracer.seen == ["waits", "FlightStarted", "FlightEnded", "TokenSet"]


async def test_end_users_have_their_own_tokens(client, aritma_sandbox):
    """`end_user` distinguishes the stored tokens of two end-users."""
    store = aa.MemoryTokenStore()
    for name in ("alice", "bob"):
        sign_in = functools.partial(sign_in_as, name, aritma_sandbox)
        async with await login.signed_in_provider(
            client, end_user=name, store=store, sign_in=sign_in
        ):
            pass
    for name in ("alice", "bob"):
        async with await login.signed_in_provider(
            client, end_user=name, store=store, sign_in=refuse
        ) as tokens:
            claims = await client.fetch_userinfo(await tokens.get_token())
            assert claims["sub"] == f"user-{name}"


@pytest.fixture
async def store(client):
    """Give a store with an expired token and a refresh token that the server does not know."""
    clock, store = FakeClock(), aa.MemoryTokenStore()
    async with aa.TokenProvider(client, aa.SignedInGrant("me"), store=store, clock=clock) as tokens:
        await tokens.set_token(
            aa.Token("old", expires_at=clock.time() - 1, refresh_token="revoked", issued_at=1.0)
        )
    return store


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (None, 400),
        (b"", 400),
        (b'{"error":"invalid_request","error_description":"no such token"}', 400),
        (b'{"error":"unauthorized_client"}', 403),
        (b'{"error":"token_expired"}', 400),
        (b'{"error":"Invalid refresh token"}', 400),
    ],
    ids=str,
)
async def test_a_sign_in_that_has_ended_is_begun_anew(client, aritma_sandbox, store, body, status):
    """A refresh token that the server refuses, by whatever name, leads to a new sign-in."""

    async def by_alice(client):
        return await sign_in_as("alice", aritma_sandbox, client)

    if body is not None:
        aritma_sandbox.faults.respond_next(body, status=status)
    async with await login.signed_in_provider(client, store=store, sign_in=by_alice) as tokens:
        token = await tokens.get_token()

    assert token.access_token != "old"
    assert (await client.fetch_userinfo(token))["sub"] == "user-alice"
    async with await login.signed_in_provider(client, store=store, sign_in=refuse) as tokens:
        assert (await tokens.get_token()).access_token == token.access_token


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 503),
        (b"<html>default backend</html>", 404),
        (b"<html>blocked</html>", 403),
        (b'{"status":403,"error":"Forbidden","path":"/connect/token"}', 403),
        (b'{"statusCode":400,"error":"Bad Request"}', 400),
        (b'{"error":"Access to this API has been disallowed"}', 403),
        (b'{"error":"Blocked by the policy of our house"}', 400),
        (b'{"error":"forbidden"}', 403),
        (b'{"error":"waf_blocked"}', 403),
        (b'{"error":"bad_request"}', 400),
        (b'{"error":"invalid_client"}', 401),
        (b'{"error":"temporarily_unavailable"}', 400),
    ],
    ids=str,
)
async def test_another_failure_asks_for_no_sign_in(client, aritma_sandbox, store, body, status):
    """An outage, a page of a gateway or a refused client is raised, and no sign-in begins."""
    aritma_sandbox.faults.respond_next(body, status=status, times=10)
    with pytest.raises(aa.AritmaAuthError) as caught:
        await login.signed_in_provider(client, store=store, sign_in=refuse)

    assert not isinstance(caught.value, aa.ReauthenticationRequiredError)


class AwayStore(aa.MemoryTokenStore):
    """A store that cannot be read for some times."""

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.times = 0

    async def load(self, key):
        if self.times:
            self.times -= 1
            raise self.error
        return await super().load(key)


async def put(client, store):
    """Store a live token of an end-user."""
    async with aa.TokenProvider(client, aa.SignedInGrant("me"), store=store) as tokens:
        await tokens.set_token(aa.Token("stored", expires_at=9e9, refresh_token="r"))


@pytest.mark.parametrize("times", [1, 100])
@pytest.mark.parametrize(
    "error", [aa.StoreError("away"), PermissionError("away"), TimeoutError()], ids=repr
)
async def test_a_store_that_is_away_asks_for_no_sign_in(client, error, times):
    """A store that fails once or for long is an outage; its sign-in is used when it is back."""
    store, events = AwayStore(error), []
    await put(client, store)
    store.times = times
    with pytest.raises((aa.StoreError, aa.TransportError)) as caught:
        await login.signed_in_provider(client, store=store, sign_in=refuse, on_event=events.append)
    assert not caught.value.is_permanent
    assert "StoreFailed" in {type(event).__name__ for event in events}

    store.times = 0
    async with await login.signed_in_provider(client, store=store, sign_in=refuse) as tokens:
        assert (await tokens.get_token()).access_token == "stored"


async def test_an_entry_of_another_key_asks_for_no_sign_in(client, tmp_path):
    """An entry that this process cannot decrypt is an outage, and stays for those who can."""
    keys = [aa.EncryptionKeys({"1": secrets.token_urlsafe(32)}) for _ in range(2)]
    mine, theirs = (aa.FileTokenStore(tmp_path, keys=each) for each in keys)
    await put(client, theirs)
    with pytest.raises((aa.StoreError, aa.TransportError)) as caught:
        await login.signed_in_provider(client, store=mine, sign_in=refuse)
    assert not caught.value.is_permanent

    async with await login.signed_in_provider(client, store=theirs, sign_in=refuse) as tokens:
        assert (await tokens.get_token()).access_token == "stored"


async def give_a_text(client):
    return "token"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sign_in": "browser"}, "sign_in must be a coroutine function"),
        ({"sign_in": lambda: None}, "sign_in must be a coroutine function.* must take 1 argument$"),
        ({"sign_in": lambda client: aa.SignIn(None)}, "sign_in must be a coroutine function"),
        ({"sign_in": give_a_text}, "returns a SignIn; it is of type str"),
        ({"on_event": "log"}, "on_event must be a function"),
        ({"on_event": give_a_text}, "on_event must be a plain function"),
        ({"end_user": 5}, "end_user must be"),
        ({"store": "/tmp/tokens"}, "store must be a TokenStore"),
    ],
)
async def test_an_unusable_argument_of_a_provider_is_refused(client, settings, said):
    """A wrong kind of argument is named, with what it must be."""
    with pytest.raises(aa.ConfigurationError, match=said):
        await login.signed_in_provider(client, **({"sign_in": refuse} | settings))


async def test_a_failed_sign_in_leaves_no_provider(client, aritma_sandbox):
    """The error of the sign-in is raised, and the provider is closed."""

    async def fail(client):
        raise aa.AccessDeniedError("access_denied")

    with pytest.raises(aa.AccessDeniedError):
        await login.signed_in_provider(client, sign_in=fail)


async def test_a_sign_in_without_a_token_is_refused():
    """A sign-in that gave an ID token alone raises ConfigurationError."""

    async def identify(client):
        return aa.SignIn(None)

    async with Sandbox() as sandbox:
        with pytest.raises(aa.ConfigurationError, match="must have a token"):
            await login.signed_in_provider(client_of(sandbox, "sandbox-cli"), sign_in=identify)

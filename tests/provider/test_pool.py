"""Thousands of keys, one provider each."""

import asyncio
import gc
import threading
from contextvars import ContextVar

import aiohttp
import pytest

import aritma_auth as aa
from support.clock import FakeClock
from support.fakes import FakeClient, settle
from support.internals import backoffs_of, providers_of
from support.loopback import serving
from support.rig import DOWN, GRANT
from support.stores import FailingStore

pytestmark = pytest.mark.usefixtures("no_leftovers")


class Makers:
    """Makes providers, each with a client that the test steers."""

    def __init__(self, grant=GRANT, **settings):
        self.clock = FakeClock()
        self.clients = {}
        self.made = []
        self._grant = grant
        self._settings = settings

    def __call__(self, key):
        self.made.append(key)
        client = self.clients.setdefault(key, FakeClient(self.clock))
        return aa.TokenProvider(
            client, self._grant, clock=self.clock, on_event=None, **self._settings
        )


async def test_each_key_has_one_provider():
    """The factory is called once for each key, however often it is asked for."""
    makers = Makers()
    pool = aa.TokenProviderPool(makers)
    tokens = await asyncio.gather(*(pool.get_token(key) for key in "aabab"))

    assert pool.provider("a") is pool.provider("a") is not pool.provider("b")
    assert makers.made == ["a", "b"]
    assert [client.requests for client in makers.clients.values()] == [1, 1]
    assert tokens[0] is tokens[1] is tokens[3]
    assert len(pool) == 2


async def unknown(_request=None):
    """Look a tenant up somewhere else."""


@pytest.mark.parametrize("key", [None, float("nan"), unknown], ids=["None", "nan", "a coroutine"])
async def test_a_key_that_names_nobody_is_refused(key):
    """One provider for all of whom nothing is known, or a new one for each call, is no pool."""
    makers = Makers()
    pool = aa.TokenProviderPool(makers)
    with pytest.raises(aa.ConfigurationError, match=r"^key must be the same value for the same"):
        await pool.get_token(key() if callable(key) else key)

    assert makers.made == []


async def test_a_closed_pool_is_not_entered_again():
    """What can serve nothing is told where it is opened."""
    pool = aa.TokenProviderPool(Makers())
    await pool.aclose()
    with pytest.raises(aa.ProviderClosedError, match="make a new one"):
        async with pool:
            raise AssertionError


async def test_a_provider_forgotten_while_another_was_made_is_found_again():
    """Another thread was faster, and its provider has been put aside already."""
    makers, faster = Makers(), []

    def make(key):
        if not faster:
            faster.append(None)
            faster[0] = pool.provider(key)
            pool.provider("another")
        return makers(key)

    pool = aa.TokenProviderPool(make, max_size=1)

    assert pool.provider("a") is faster[0]


async def test_the_failures_of_one_key_are_no_others():
    """Each key has its own backoff."""
    makers = Makers()
    pool = aa.TokenProviderPool(makers)
    pool.provider("down")
    makers.clients["down"].answers = [DOWN] * 9
    with pytest.raises(aa.TransportError):
        await pool.get_token("down")

    assert (await pool.get_token("up")).access_token == "token-1"
    status = pool.status()
    assert (status.size, status.max_size, status.refreshing) == (2, 10_000, 0)
    assert [failing.key for failing in status.failures] == ["down"]


async def test_what_was_used_longest_ago_is_forgotten():
    """The evicted provider is made anew when its key is asked for again."""
    makers = Makers()
    pool = aa.TokenProviderPool(makers, max_size=2)
    for key in ("a", "b", "a", "c", "a", "b"):
        await pool.get_token(key)
        gc.collect()

    assert makers.made == ["a", "b", "c", "b"]
    assert len(pool) == 2


async def test_one_that_a_caller_holds_is_found_again():
    """A key never has two providers."""
    makers = Makers()
    pool = aa.TokenProviderPool(makers, max_size=1)
    held = pool.provider("a")
    pool.provider("b")

    assert pool.provider("a") is held
    assert makers.made == ["a", "b"]
    assert len(pool) == 1


async def test_a_provider_is_not_forgotten_while_it_refreshs():
    """The pool grows until it has."""
    makers = Makers()
    pool = aa.TokenProviderPool(makers, max_size=1)
    pool.provider("a")
    answer = makers.clients["a"].hold()
    waiting = asyncio.create_task(pool.get_token("a"))
    await settle()
    await pool.get_token("b")
    grown = (len(pool), pool.status().refreshing)
    answer.set_result(makers.clients["a"].make_token())
    await waiting
    await pool.get_token("c")
    gc.collect()

    assert grown == (2, 1)
    assert len(pool) == 1
    assert makers.made == ["a", "b", "c"]


@pytest.mark.parametrize(("store", "size"), [(None, 2), (aa.MemoryTokenStore(), 1)])
async def test_a_refresh_token_that_nobody_else_knows_is_not_forgotten(store, size):
    """With a store, it is known there."""
    makers = Makers(aa.SignedInGrant("alice"), store=store)
    pool = aa.TokenProviderPool(makers, max_size=1)
    await pool.provider("a").set_token(aa.Token("t", refresh_token="r"))
    pool.provider("b")

    assert len(pool) == size


async def test_closing_closes_every_provider():
    """Also those that were forgotten and are still held."""
    pool = aa.TokenProviderPool(Makers(), max_size=1)
    async with pool:
        held = pool.provider("a")
        kept = pool.provider("b")

    for provider in (held, kept):
        with pytest.raises(aa.ProviderClosedError):
            await provider.get_token()
    with pytest.raises(aa.ProviderClosedError, match="make a new one"):
        pool.provider("a")


async def test_a_pool_that_is_closed_while_a_provider_is_made_keeps_none():
    """The factory may take its time."""
    makers = Makers()

    def make(key):
        asyncio.run(pool.aclose())
        return makers(key)

    pool = aa.TokenProviderPool(make)
    with pytest.raises(aa.ProviderClosedError):
        await asyncio.to_thread(pool.provider, "a")

    assert len(pool) == 0


def test_two_threads_get_the_same_provider():
    """The second thread uses the provider that the first has put in place."""
    both_here = threading.Barrier(2)
    makers = Makers()

    def make(key):
        both_here.wait(10)
        return makers(key)

    pool = aa.TokenProviderPool(make)
    found = []
    threads = [threading.Thread(target=lambda: found.append(pool.provider("a"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert found[0] is found[1]


def test_an_impossible_size_is_refused():
    """A pool of none would make a provider for each call."""
    with pytest.raises(aa.ConfigurationError, match="max_size"):
        aa.TokenProviderPool(Makers(), max_size=0)


def test_a_pool_says_how_large_it_is():
    """Its repr shows neither keys nor tokens."""
    pool = aa.TokenProviderPool(Makers())
    pool.provider("secret tenant")

    assert repr(pool) == "<TokenProviderPool of 1 providers>"


async def test_tenants_are_in_the_path(aritma_sandbox):
    """One client, one scope, each tenant's own token."""
    me = aritma_sandbox.client
    async with aa.TokenProviderPool.for_tenants(
        me.client_id, me.client_secret, environment=aritma_sandbox.environment
    ) as pool:
        tokens = [await pool.get_token(tenant) for tenant in ("acme", "globex", "acme")]

    assert tokens[0] is tokens[2] is not tokens[1]
    assert [request.tenant for request in aritma_sandbox.token_requests] == ["acme", "globex"]


# The middleware


@pytest.fixture
async def api():
    """Give an API that responds with the Authorization it saw, and refuses what a test tells it to."""
    seen = {"refuse": set(), "calls": []}

    async def handler(request):
        header = request.headers.get("Authorization")
        seen["calls"].append(header)
        return aiohttp.web.Response(
            status=401 if header in seen["refuse"] else 200, text=str(header)
        )

    async with serving(handler) as url:
        seen["url"] = url
        yield seen


class NamedTokens(Makers):
    """Makes tokens that tell whose they are."""

    def __call__(self, key):
        provider = super().__call__(key)
        client = self.clients[key]
        make = client.make_token

        def named(**fields):
            token = make(**fields)
            return aa.Token(
                f"{key}-{client.made}", expires_at=token.expires_at, issued_at=token.issued_at
            )

        client.make_token = named
        return provider


async def get(session, url, **kwargs):
    async with session.get(url, **kwargs) as response:
        return await response.text()


async def test_each_request_is_signed_with_its_own_tenants_token(api):
    """Picked by a function of the request."""
    pool = aa.TokenProviderPool(NamedTokens())
    middleware = pool.middleware(lambda request: request.headers.pop("X-Tenant"), [api["url"]])
    async with aiohttp.ClientSession(api["url"], middlewares=[middleware]) as session:
        texts = await asyncio.gather(
            *(get(session, "/", headers={"X-Tenant": tenant}) for tenant in ("acme", "globex"))
        )

    assert texts == ["Bearer acme-1", "Bearer globex-1"]


async def test_a_context_variable_picks_for_each_task(api):
    """As a web framework sets it for each request that it serves."""
    tenant = ContextVar("tenant")
    pool = aa.TokenProviderPool(NamedTokens())
    middleware = pool.middleware(tenant, [api["url"]])

    async def call(session, name):
        tenant.set(name)
        return await get(session, "/")

    async with aiohttp.ClientSession(api["url"], middlewares=[middleware]) as session:
        texts = await asyncio.gather(*(call(session, name) for name in ("acme", "globex")))

    assert texts == ["Bearer acme-1", "Bearer globex-1"]


async def test_without_a_tenant_nothing_is_sent(api):
    """The error names the variable to set."""
    pool = aa.TokenProviderPool(NamedTokens())
    middleware = pool.middleware(ContextVar("tenant"), [api["url"]])
    async with aiohttp.ClientSession(api["url"], middlewares=[middleware]) as session:
        with pytest.raises(aa.ConfigurationError, match="context variable tenant"):
            await get(session, "/")

    assert api["calls"] == []


async def test_other_origins_get_no_token_and_need_no_tenant(api):
    """A request elsewhere passes unsigned, or is refused."""
    pool = aa.TokenProviderPool(NamedTokens())
    events = []
    lenient = pool.middleware(ContextVar("tenant"), ["https://api.example"], on_event=events.append)
    strict = pool.middleware(ContextVar("tenant"), ["https://api.example"], strict=True)
    async with aiohttp.ClientSession(api["url"]) as session:
        text = await get(session, "/", middlewares=[lenient])
        with pytest.raises(aa.ConfigurationError, match="only, not to"):
            await get(session, "/", middlewares=[strict])

    assert text == "None"
    assert len(events) == 1


async def test_a_refused_token_of_one_tenant_is_refreshed_alone(api):
    """One refresh and one repetition follow."""
    makers = NamedTokens()
    pool = aa.TokenProviderPool(makers)
    middleware = pool.middleware(lambda request: request.headers["X-Tenant"], [api["url"]])
    async with aiohttp.ClientSession(api["url"], middlewares=[middleware]) as session:
        for tenant in ("acme", "globex"):
            await get(session, "/", headers={"X-Tenant": tenant})
        api["refuse"].add("Bearer acme-1")
        texts = [await get(session, "/", headers={"X-Tenant": t}) for t in ("acme", "globex")]

    assert texts == ["Bearer acme-2", "Bearer globex-1"]
    assert [client.requests for client in makers.clients.values()] == [2, 1]


def test_a_picking_middleware_tells_its_origins():
    """Its repr names the origins, as that of BearerMiddleware does."""
    middleware = aa.TokenProviderPool(Makers()).middleware(str, ["https://api.example"])

    assert repr(middleware) == (
        "<KeyedBearerMiddleware over <BearerMiddleware for https://api.example:443>>"
    )


@pytest.mark.parametrize("keys", [50, 100, 500])
async def test_refresh_tokens_of_services_fill_no_pool(keys):
    """A service's grant gets another token, so the refresh token that came with it may go."""
    makers = Makers()
    pool = aa.TokenProviderPool(makers, max_size=10)
    for number in range(keys):
        pool.provider(number)
        client = makers.clients[number]
        client.answers = [client.make_token(refresh_token=f"refresh-{number}")]
        await pool.get_token(number)

    assert len(pool) == 10


async def test_an_end_users_refresh_token_stays_in_the_pool():
    """It is the only copy of a sign-in: the pool grows instead of losing it."""
    makers = Makers(grant=aa.SignedInGrant("alice"))
    pool = aa.TokenProviderPool(makers, max_size=1)
    for number in range(3):
        token = aa.Token("x", refresh_token="y", expires_at=makers.clock.time() + 3600)
        await pool.provider(number).set_token(token)

    assert len(pool) == 3


@pytest.mark.parametrize(
    "trouble", [{"save"}, {"load"}, {"load", "save", "lease"}], ids=["save", "load", "all"]
)
async def test_a_sign_in_that_its_store_has_not_stays_in_the_pool(trouble):
    """The store was away at the sign-in: the provider is the only copy until it has written it."""
    store = FailingStore()
    makers = Makers(grant=aa.SignedInGrant("alice"), store=store)
    pool = aa.TokenProviderPool(makers, max_size=1)
    store.failing = trouble
    token = aa.Token("x", refresh_token="y", expires_at=makers.clock.time() + 3600)
    await pool.provider("a").set_token(token)
    for number in range(3):
        pool.provider(number)
    is_kept = "a" in providers_of(pool)

    assert is_kept
    assert pool.provider("a").peek() is not None
    await pool.aclose()


async def test_a_backoff_outlives_its_provider():
    """A pool that is smaller than its working set obeys Retry-After all the same."""
    makers = Makers()
    pool = aa.TokenProviderPool(makers, max_size=2)
    for _ in range(3):
        for number in range(10):
            pool.provider(number)
            makers.clients[number].answers = [aa.TransportError("busy", retry_after=60)] * 9
            with pytest.raises(aa.TransportError):
                await pool.get_token(number)
            gc.collect()
    requests = [client.requests for client in makers.clients.values()]
    makers.clock.advance(70)
    for number in range(10):
        makers.clients[number].answers = []
        await pool.get_token(number)

    assert len(pool) == 2
    assert requests == [1] * 10


async def test_backoffs_of_evicted_providers_are_let_go(monkeypatch):
    """They are bounded while they last, and dropped when they are over."""
    monkeypatch.setattr("aritma_auth.provider.pool._BACKOFFS", 5)
    makers = Makers()
    pool = aa.TokenProviderPool(makers, max_size=1)
    for number in range(20):
        pool.provider(number)
        makers.clients[number].answers = [aa.TransportError("busy", retry_after=60)]
        with pytest.raises(aa.TransportError):
            await pool.get_token(number)
    most = len(backoffs_of(pool))
    makers.clock.advance(70)
    for number in range(20, 30):
        pool.provider(number)

    assert most == 5
    assert len(backoffs_of(pool)) == 0


def test_a_pool_refuses_what_it_cannot_use():
    """Each message names the argument and what it must be, when the pool is made or first used."""
    with pytest.raises(aa.ConfigurationError, match="factory must be a function"):
        aa.TokenProviderPool(None)
    for size in ("10", 1.5, True):
        with pytest.raises(aa.ConfigurationError, match="max_size must be a whole number"):
            aa.TokenProviderPool(Makers(), max_size=size)
    with pytest.raises(aa.ConfigurationError, match="1 or more, not 0"):
        aa.TokenProviderPool(Makers(), max_size=0)
    with pytest.raises(aa.ConfigurationError, match="factory returns must be a TokenProvider"):
        aa.TokenProviderPool(lambda key: "provider").provider("a")
    with pytest.raises(aa.ConfigurationError, match="key must be a function of a request"):
        aa.TokenProviderPool(Makers()).middleware("tenant", ["https://api.example"])
    with pytest.raises(aa.ConfigurationError, match="pool must be a TokenProviderPool"):
        aa.KeyedBearerMiddleware({}, str, ["https://api.example"])


async def test_a_provider_that_refreshes_stays_in_the_pool():
    """Its callers wait for one refresh: a second provider of the key would start another."""
    makers = Makers()
    pool = aa.TokenProviderPool(makers, max_size=1)
    pool.provider("a")
    answer = makers.clients["a"].hold()
    caller = asyncio.ensure_future(pool.get_token("a"))
    await settle()
    for number in range(3):
        pool.provider(number)
        pool.provider(number)
    is_kept = "a" in providers_of(pool)
    answer.set_result(None)
    await caller
    for number in range(3, 6):
        pool.provider(number)

    assert is_kept
    assert "a" not in providers_of(pool)

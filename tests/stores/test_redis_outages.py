"""Providers whose Redis is away, slow, full, read-only, restarted or emptied."""

import asyncio
import contextlib
import time

import pytest

import aritma_auth as aa
from aritma_auth.events import StoreFailed, StoreReturned, TokenAdopted
from support.clock import FakeClock
from support.rig import GRANT, Rig, presented
from support.valkey import Server

pytestmark = pytest.mark.usefixtures("no_leftovers")

KEYS = aa.EncryptionKeys({"1": bytes(32)})


@pytest.fixture
def clock():
    """Give a clock that starts now, since the server has the machine's time."""
    return FakeClock(wall=time.time())


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


@pytest.fixture
async def store(server):
    """Give a store that is patient, since the machine may be busy."""
    server.do("FLUSHALL")
    async with aa.RedisTokenStore(server.url, keys=KEYS, timeout=30) as store:
        yield store


@pytest.fixture
async def quick_store(server, store):
    """Give another one over the same data, which does not wait long for a server that hangs."""
    async with aa.RedisTokenStore(server.url, keys=KEYS, timeout=0.2) as quick_store:
        yield quick_store


@contextlib.contextmanager
def killed(server):
    """Kill the server: nobody listens on its port."""
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextlib.contextmanager
def read_only(server):
    """Make the server a replica, as in the middle of a failover."""
    server.do("REPLICAOF", "127.0.0.1", "1")
    try:
        yield
    finally:
        server.do("REPLICAOF", "NO", "ONE")


@contextlib.contextmanager
def full(server):
    """Let the server refuse everything new."""
    with server.configured("maxmemory-policy", "noeviction"), server.configured("maxmemory", "1"):
        yield


@contextlib.contextmanager
def hung(server):
    """Let the server accept connections and respond to nothing."""
    with server.hung():
        yield


async def come_back(rig):
    """Refresh until the store is used again: a busy machine may exceed its time-out at first."""
    for _ in range(20):
        rig.clock.advance(3600)
        await rig.get()
        if rig.happened(StoreReturned):
            break
    assert rig.happened(StoreReturned) == [StoreReturned()]


async def get_at_last(rig):
    """Give a token although a busy machine may exceed the store's time-out at first."""
    for _ in range(20):
        try:
            return await rig.get()
        except aa.TransportError as error:
            rig.clock.advance(error.retry_after)
    return await rig.get()


FAULTS = [killed, hung, full, read_only]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_a_service_goes_on_by_itself_and_comes_back(server, store, quick_store, clock, fault):
    """A service works without Redis, reports it, and shares its token again afterwards without a stampede."""
    rig = Rig(clock, store=quick_store)
    with fault(server):
        first = await asyncio.wait_for(rig.get(), 20)
        again = await rig.get()
    away = rig.happened(StoreFailed)
    await come_back(rig)
    newest = await rig.get()
    others = [Rig(clock, store=store) for _ in range(3)]
    tokens = [await other.get() for other in others]

    assert (first, again) == ("token-1", "token-1")
    assert away
    assert newest != "token-1"
    assert set(tokens) == {newest}
    assert [other.client.requests for other in others] == [0, 0, 0]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_callers_with_a_living_token_notice_nothing(server, store, clock, fault):
    """The store is used only when a token is refreshed."""
    rig = Rig(clock, store=store)
    token = await rig.get()
    with fault(server):
        served = [await rig.get() for _ in range(100)]

    assert set(served) == {token}
    assert rig.happened(StoreFailed) == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_a_refresh_token_waits_for_its_lease(server, store, quick_store, clock, fault):
    """The live token is served, then a transient error comes, then the refresh token is presented once."""
    one, rig = (
        Rig(clock, grant=aa.RefreshTokenGrant("first"), store=each) for each in (store, quick_store)
    )
    one.client.answers = [one.client.make_token(refresh_token="second")]
    token = await one.get()
    assert await get_at_last(rig) == token
    with fault(server):
        clock.advance(3000)
        served = await rig.get()
        clock.advance(700)
        with pytest.raises(aa.TransportError, match="without its lock") as caught:
            await asyncio.wait_for(rig.get(), 20)
    clock.advance(caught.value.retry_after + 20)
    rig.client.answers = [rig.client.make_token(refresh_token="third")]
    await get_at_last(rig)

    assert served == token
    assert presented(one) + presented(rig) == ["first", "second"]


async def test_a_server_that_restarts_empty_costs_one_request(server, clock):
    """One process requests a token, and the others adopt it."""
    server.do("FLUSHALL")
    async with aa.RedisTokenStore(server.url, keys=KEYS, timeout=10) as store:
        rigs = [Rig(clock, store=store) for _ in range(4)]
        for number, rig in enumerate(rigs):
            # Nobody's tokens look like another's.
            rig.client.made = 100 * number
            await rig.get()
        with killed(server):
            pass
        clock.advance(3600)
        await asyncio.gather(*(rig.get() for rig in rigs))

    assert sum(rig.client.requests for rig in rigs) == 2
    assert sum(len(rig.happened(TokenAdopted)) for rig in rigs) == 6


async def test_an_emptied_server_gets_the_refresh_token_back(server, store, clock):
    """A process that has the refresh token in memory writes it back."""
    rig = Rig(clock, grant=aa.RefreshTokenGrant("first"), store=store)
    rig.client.answers = [rig.client.make_token(refresh_token="second")]
    await rig.get()
    server.do("FLUSHALL")
    clock.advance(3600)
    rig.client.answers = [rig.client.make_token(refresh_token="third")]
    await rig.get()
    later = Rig(clock, grant=aa.RefreshTokenGrant("first"), store=store)

    assert await later.get() == await rig.get()
    assert [grant.refresh_token.text for grant in rig.client.grants] == ["first", "second"]
    assert later.client.requests == 0


async def test_one_token_request_for_a_cold_start_of_many(server, clock):
    """Processes with connections of their own start with one token request."""
    server.do("FLUSHALL")
    async with contextlib.AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(aa.RedisTokenStore(server.url, keys=KEYS, timeout=30))
            for _ in range(5)
        ]
        rigs = [Rig(clock, store=store, grant=GRANT) for store in stores]
        answer = rigs[0].client.hold()
        for rig in rigs[1:]:
            rig.client.answers = [answer]
        waiting = [asyncio.create_task(rig.get()) for rig in rigs]
        deadline = time.monotonic() + 20
        while not sum(rig.client.requests for rig in rigs):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        answer.set_result(rigs[0].client.make_token())
        tokens = await asyncio.gather(*waiting)

    assert set(tokens) == {"token-1"}
    assert sum(rig.client.requests for rig in rigs) == 1

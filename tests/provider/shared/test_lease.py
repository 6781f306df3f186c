"""Leases: kept alive, given back whatever happens, and done without where nothing can be spent."""

import asyncio
import contextlib

import pytest

import aritma_auth as aa
from aritma_auth.events import StoreFailed
from aritma_auth.provider.sharing_policy import SharingPolicy
from support.fakes import settle
from support.rig import DOWN, Rig
from support.sharing import key_for

pytestmark = pytest.mark.usefixtures("no_leftovers")

ALICE = aa.SignedInGrant("alice")


class StubbornLease:
    """A lease that takes its time, or more, to be kept or given back."""

    fence = 1

    def __init__(self):
        self.is_given_back = False
        self.go_on = asyncio.Event()
        self.is_kept = asyncio.Event()

    async def keep(self):
        self.is_kept.set()
        return True

    async def release(self):
        await self.go_on.wait()
        self.is_given_back = True


def grant_lease(store, lease):
    """Let a store grant this lease once."""

    async def acquire(_key, *, seconds):
        return lease

    store.acquire = acquire


@pytest.mark.parametrize("held_by", ["another provider", "a flight of its own"])
async def test_a_service_goes_on_without_a_lease_that_is_never_given_back(clock, store, held_by):
    """Its grant may be presented again, so that a holder that stands still stops nobody."""
    rig = Rig(clock, store=store)
    holder = rig if held_by == "a flight of its own" else Rig(clock, store=store)
    lease = await store.acquire(key_for(holder), seconds=9999)
    began = clock.monotonic()
    token = await rig.get()
    waited = clock.monotonic() - began
    await lease.release()

    assert token == "token-1"
    assert 20 <= waited < 21


async def test_one_at_a_time_goes_on_without_the_lease(clock, store):
    """The mark stands for the lease: the others adopt what the first one gets."""
    rigs = [Rig(clock, store=store) for _ in range(4)]
    lease = await store.acquire(key_for(rigs[0]), seconds=9999)
    tokens = await asyncio.gather(*(rig.get() for rig in rigs))
    await lease.release()

    assert len(set(tokens)) == 1
    assert sum(rig.client.requests for rig in rigs) == 1


async def test_a_failure_without_the_lease_is_shared_too(clock, store):
    """An outage of the server is met once, also when the lease is stuck."""
    rigs = [Rig(clock, store=store) for _ in range(3)]
    for rig in rigs:
        rig.client.answers = [DOWN] * 9
    lease = await store.acquire(key_for(rigs[0]), seconds=9999)
    for rig in rigs:
        with pytest.raises(aa.TransportError, match="down"):
            await rig.get()
    await lease.release()

    assert [rig.client.requests > 0 for rig in rigs] == [True, False, False]


async def test_a_sign_in_waits_for_its_lease(clock, store):
    """A one-time refresh token is not presented while another process may be at it."""
    rig = Rig(clock, grant=aa.RefreshTokenGrant("first"), store=store)
    lease = await store.acquire(key_for(rig), seconds=9999)
    with pytest.raises(aa.TransportError, match="another process is refreshing"):
        await rig.get()
    await lease.release()

    assert rig.client.requests == 0


async def close_pool(provider):
    pool = aa.TokenProviderPool(lambda _key: provider)
    pool.provider("a")
    await pool.aclose()


async def leave(provider):
    async with provider:
        pass


ENDINGS = {
    "aclose": lambda provider: provider.aclose(),
    "forget": lambda provider: provider.forget(),
    "sign_out": lambda provider: provider.sign_out(),
    "pool": close_pool,
    "async with": leave,
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("turns", range(8))
async def test_a_lease_is_given_back_although_its_return_is_cut_short(clock, store, ending, turns):
    """Closing is cancelled while the lease is on its way back."""
    lease = StubbornLease()
    grant_lease(store, lease)
    rig = Rig(clock, store=store)
    rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    leaving = asyncio.create_task(ENDINGS[ending](rig.provider))
    for _ in range(turns):
        await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait((leaving,))
    lease.go_on.set()
    caller.cancel()
    await asyncio.wait((caller,))
    await rig.provider.aclose()

    assert lease.is_given_back


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("turns", [1, 4])
async def test_a_lease_is_given_back_although_its_last_heartbeat_is_slow(
    clock, store, ending, turns
):
    """Closing is cut short and begun again while the heartbeat has yet to end."""
    lease, freed = StubbornLease(), asyncio.Event()
    lease.go_on.set()

    async def keep():
        lease.is_kept.set()
        while not freed.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await freed.wait()
        return True

    lease.keep = keep
    grant_lease(store, lease)
    rig = Rig(clock, store=store, sharing=SharingPolicy(lease=0.003, max_lease=60))
    rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await lease.is_kept.wait()
    leaving = asyncio.create_task(ENDINGS[ending](rig.provider))
    for _ in range(turns):
        await asyncio.sleep(0)
    leaving.cancel()
    await settle()
    again = [asyncio.create_task(way(rig.provider)) for way in ENDINGS.values()]
    await settle()
    freed.set()
    await asyncio.gather(caller, leaving, *again, return_exceptions=True)

    assert lease.is_given_back


def test_a_lease_is_given_back_at_the_end_of_its_loop(clock, store):
    """asyncio.run cancels the refresh that its job has left behind."""
    lease = StubbornLease()
    rig = Rig(clock, store=store)

    async def job():
        grant_lease(store, lease)
        lease.go_on.set()
        rig.client.hold()
        asyncio.get_running_loop().create_task(rig.get())
        await settle()

    asyncio.run(job())

    assert lease.is_given_back


@pytest.mark.parametrize("turns", range(15))
async def test_a_lease_that_is_granted_while_the_provider_closes_is_given_back(clock, store, turns):
    """However far the flight has come, the next provider finds nobody at it."""
    rig = Rig(clock, store=store)
    caller = asyncio.create_task(rig.get())
    for _ in range(turns):
        await asyncio.sleep(0)
    await rig.provider.aclose()
    await asyncio.gather(caller, return_exceptions=True)

    assert await store.acquire(key_for(rig), seconds=30) is not None


@pytest.mark.parametrize("ending", ["aclose", "time-out"])
async def test_a_lease_that_is_granted_too_late_is_given_back(clock, store, ending):
    """The store goes on although it was cancelled, and grants what nobody waits for any more."""
    lease, go_on = StubbornLease(), asyncio.Event()
    lease.go_on.set()

    async def acquire(_key, *, seconds):
        while not go_on.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await go_on.wait()
        return lease

    store.acquire = acquire
    rig = Rig(clock, store=store, sharing=SharingPolicy(store_timeout=0.01))
    caller = asyncio.create_task(rig.get())
    await settle()
    if ending == "time-out":
        await caller
    await rig.provider.aclose()
    await asyncio.gather(caller, return_exceptions=True)
    go_on.set()
    await settle()

    assert lease.is_given_back


@pytest.mark.parametrize("swallowed", [1, 2, 99])
async def test_a_heartbeat_that_swallows_its_cancellation_delays_nobody(clock, store, swallowed):
    """As CPython 3.11 does when a cancellation meets the end of a wait_for."""
    lease = StubbornLease()
    lease.go_on.set()
    left = swallowed
    freed = asyncio.Event()

    async def keep():
        nonlocal left
        lease.is_kept.set()
        while not freed.is_set():
            try:
                await freed.wait()
            except asyncio.CancelledError:
                left -= 1
                if left <= 0:
                    raise
        return True

    lease.keep = keep
    grant_lease(store, lease)
    sharing = SharingPolicy(lease=0.003, max_lease=60, store_timeout=0.05)
    rig = Rig(clock, store=store, sharing=sharing)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await lease.is_kept.wait()
    answer.set_result(rig.client.make_token())
    async with asyncio.timeout(20):
        token = await caller
    freed.set()

    assert token == "token-1"
    assert lease.is_given_back


async def test_a_store_that_awaits_a_cancelled_task_counts_as_away(clock, store):
    """Its CancelledError is not taken for the caller's."""

    async def load(_key):
        raise asyncio.CancelledError

    store.load = load
    rig = Rig(clock, store=store)

    assert await rig.get() == "token-1"
    assert rig.happened(StoreFailed)[0].error.startswith("CancelledError, test_lease.py:")

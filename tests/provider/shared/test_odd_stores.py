"""A store whose methods do what no store should: callers get a token, or an error of the package."""

import asyncio

import pytest

import aritma_auth as aa
from aritma_auth.events import StoreFailed
from support.clock import LoopClock
from support.loops import run_leaping
from support.rig import Rig

pytestmark = pytest.mark.usefixtures("no_leftovers")


async def swallow():
    """Go on for a minute, whoever cancels it."""
    loop = asyncio.get_running_loop()
    until = loop.time() + 60
    while loop.time() < until:
        try:
            await asyncio.sleep(until - loop.time())
        except asyncio.CancelledError:
            continue


async def await_a_cancelled_task():
    """Raise CancelledError although nobody has cancelled it."""
    raise asyncio.CancelledError


async def give_a_text():
    """Return what is neither an entry, a lease nor an answer."""
    return "text"


def give_no_coroutine():
    """Return what cannot be awaited."""
    return 7


ODD = {
    function.__name__: function
    for function in (swallow, await_a_cancelled_task, give_a_text, give_no_coroutine)
}
OPERATIONS = ["load", "save", "acquire", "keep", "release", "watch"]


class OddStore(aa.MemoryTokenStore):
    """A store with one operation that is replaced."""

    def __init__(self, clock, operation, odd):
        super().__init__(clock=clock)
        self.operation, self.odd = operation, odd

    def _do(self, operation, method, *args, **kwargs):
        return self.odd() if operation == self.operation else method(*args, **kwargs)

    async def load(self, key):
        return await self._do("load", super().load, key)

    async def save(self, key, record, *, replaces, fence=0):
        return await self._do("save", super().save, key, record, replaces=replaces, fence=fence)

    async def acquire(self, key, *, seconds):
        lease = await self._do("acquire", super().acquire, key, seconds=seconds)
        return OddLease(lease, self) if hasattr(lease, "fence") else lease

    async def watch(self, key, *, generation):
        await self._do("watch", super().watch, key, generation=generation)


class OddLease:
    """A lease of such a store."""

    def __init__(self, lease, store):
        self.lease, self.store, self.fence = lease, store, lease.fence

    async def keep(self):
        return await self.store._do("keep", self.lease.keep)

    async def release(self):
        await self.store._do("release", self.lease.release)


@pytest.mark.parametrize("grant", [aa.ClientCredentialsGrant(), aa.RefreshTokenGrant("first")])
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_odd_store_costs_nobody_a_refresh_for_ever(operation, odd, grant):
    """Each call ends in time with a token or an error of ours, and the store that works is used."""
    clock = LoopClock()
    store = OddStore(clock, operation, ODD[odd])
    rig = Rig(clock, grant=grant, store=store)

    async def call():
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await rig.provider.get_token()
        except aa.AritmaAuthError as error:
            problem = error
        else:
            problem = None
        assert loop.time() - began <= aa.RefreshPolicy().refresh_timeout
        return problem

    async def job():
        problems = [await call()]
        clock.advance(4000)
        problems.append(await call())
        store.operation = None
        clock.advance(4000)
        assert await call() is None
        began = asyncio.get_running_loop().time()
        await rig.provider.aclose()
        assert asyncio.get_running_loop().time() - began < 30
        return problems

    problems = run_leaping(job())

    if grant.is_reusable and operation != "acquire":
        assert problems == [None, None]


@pytest.mark.parametrize("operation", ["load", "save"])
def test_what_is_wrong_with_an_odd_store_is_said(clock, operation):
    """The event names the operation and the type, never the value."""
    store = OddStore(clock, operation, give_a_text)
    rig = Rig(clock, store=store)

    async def job():
        await rig.provider.get_token()
        await rig.provider.aclose()

    run_leaping(job())

    assert rig.happened(StoreFailed)[0] == StoreFailed(
        operation, f"{operation} returned what is of type str"
    )

"""A store whose methods do what no store should: callers get a token, or an error of the package."""

import asyncio

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.events import StoreFailed
from aritma_auth.stores import Entry, Record, SharedBackoff
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
        is_right = self.operation != "acquire" and lease is not None
        return OddLease(lease, self) if is_right else lease

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

    if grant.is_reusable:
        assert problems == [None, None]


BACKOFF = SharedBackoff(aa.TransportError("down"))


class Fenceless:
    """What has the methods of a lease, and no number."""

    keep = release = staticmethod(await_a_cancelled_task)

    def __init__(self, fence="1"):
        self.fence = fence


ENTRY, ANSWER = "an Entry or None", "True or False"
LEASE = "a Lease, with fence, keep() and release(), or None"
WRONG = [
    ("load", "text", ENTRY, "a value of type str"),
    ("load", aa.Token("canary"), ENTRY, "a value of type Token"),
    ("load", Record(), ENTRY, "a value of type Record"),
    ("load", Entry, ENTRY, "a value of type type"),
    ("load", Entry(None), ENTRY, "an Entry whose record is of the wrong kind"),
    ("load", Entry(Record(), generation="2"), ENTRY, "an Entry whose generation is of"),
    ("load", Entry(Record(), token_age=float("nan")), ENTRY, "an Entry whose token_age is of"),
    ("load", Entry(Record(), problem=7), ENTRY, "an Entry whose problem is of the wrong kind"),
    ("load", Entry(Record({"access_token": "canary"})), ENTRY, "an Entry whose record.token is of"),
    ("load", Entry(Record(serial=True)), ENTRY, "an Entry whose record.serial is of"),
    ("load", Entry(Record(redeeming_since="now")), ENTRY, "an Entry whose record.redeeming_since"),
    ("load", Entry(Record(backoff="5 s")), ENTRY, "an Entry whose record.backoff is of"),
    *(
        ("load", Entry(Record(backoff=attrs.evolve(BACKOFF, **wrong))), ENTRY, "an Entry whose")
        for wrong in ({"error": OSError()}, {"count": 1.5}, {"seconds": None}, {"credential": 1})
    ),
    ("save", None, ANSWER, "None"),
    ("save", 1, ANSWER, "a value of type int"),
    ("save", "yes", ANSWER, "a value of type str"),
    ("acquire", True, LEASE, "a value of type bool"),
    ("acquire", "text", LEASE, "a value of type str"),
    ("acquire", object(), LEASE, "a value of type object"),
    ("acquire", Fenceless(), LEASE, "a value of type Fenceless"),
    ("acquire", Fenceless, LEASE, "a value of type type"),
]


@pytest.mark.parametrize(("operation", "returned", "wanted", "found"), WRONG)
def test_what_is_wrong_with_an_odd_store_is_said(clock, operation, returned, wanted, found):
    """The event names the class, the method and the types, never a value; the store is away."""

    async def give():
        return returned

    store = OddStore(clock, operation, give)
    rig = Rig(clock, store=store)

    async def job():
        await rig.provider.get_token()
        await rig.provider.aclose()

    run_leaping(job())

    told = rig.happened(StoreFailed)[0]
    shown = {"acquire": "lease"}.get(operation, operation)
    assert told.operation == shown
    assert told.error.startswith(f"OddStore.{operation} must return {wanted}; it returned {found}")
    assert "canary" not in str(told)


@pytest.mark.parametrize(
    ("returned", "found"),
    [
        ("text", "a value of type str"),
        ((None, None), "a pair without a Lease"),
        (("lease", None), "a value of type str"),
        ((1, 2, 3), "a value of type tuple"),
        ((Fenceless(1), "text"), "a value of type str"),
    ],
)
def test_a_pair_of_operations_must_return_both(clock, returned, found):
    """A store that offers two operations at once is held to what it offers."""

    class Paired(OddStore):
        async def acquire_and_load(self, _key, *, seconds):
            return returned

        async def save_and_release(self, _key, _record, *, replaces, fence, lease):
            return None

    rig = Rig(clock, store=Paired(clock, None, None))

    async def job():
        await rig.provider.get_token()
        await rig.provider.aclose()

    run_leaping(job())

    assert rig.happened(StoreFailed)[0].error == (
        "Paired.acquire_and_load must return a Lease and an Entry or None, as a pair, or None; "
        f"it returned {found}"
    )


def test_a_store_whose_can_watch_fails_is_polled():
    """A property may raise like a method."""
    clock = LoopClock()

    class Unwatched(aa.MemoryTokenStore):
        @property
        def can_watch(self):
            raise OSError

    store = Unwatched(clock=clock)
    leader, waiter = (Rig(clock, store=store) for _ in range(2))

    async def job():
        response = leader.client.hold()
        callers = [asyncio.ensure_future(leader.get())]
        await asyncio.sleep(0.1)
        callers.append(asyncio.ensure_future(waiter.get()))
        await asyncio.sleep(1)
        response.set_result(leader.client.make_token())
        tokens = await asyncio.gather(*callers)
        await leader.provider.aclose()
        await waiter.provider.aclose()
        return tokens

    assert run_leaping(job()) == ["token-1", "token-1"]
    assert len(leader.client.grants) + len(waiter.client.grants) == 1

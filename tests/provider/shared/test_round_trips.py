"""How often a refresh through Redis asks the server, and the operations that are paired for it."""

import time

import pytest

import aritma_auth as aa
from aritma_auth.events import StoreFailed
from aritma_auth.stores import Record
from support.clock import FakeClock
from support.rig import Rig
from support.sharing import key_for
from support.stores import KEY, KEYS, OTHER_KEY
from support.valkey import Server

pytestmark = pytest.mark.usefixtures("no_leftovers")

SERVICE, ONE_TIME = aa.ClientCredentialsGrant("api"), aa.RefreshTokenGrant("first")


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
    server.do("FLUSHALL")
    async with aa.RedisTokenStore(server.url, keys=KEYS, timeout=30) as store:
        # The server knows each script from now on.
        lease = await store.acquire(OTHER_KEY, seconds=60)
        await store.save_and_release(OTHER_KEY, Record(), replaces=0, fence=1, lease=lease)
        await store.load(OTHER_KEY)
        yield store


def trips_of(server):
    ran = server.do("INFO", "commandstats")
    return sum(ran.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))


@pytest.mark.parametrize(("grant", "trips"), [(SERVICE, 3), (ONE_TIME, 4)])
async def test_a_refresh_makes_no_round_trip_too_many(server, store, clock, grant, trips):
    """It looks, takes the lease, marks a one-time refresh token as presented, and writes."""
    rig = Rig(clock, grant=grant, store=store)
    for number in range(1, 4):
        before = trips_of(server)
        assert await rig.get() == f"token-{number}"
        assert trips_of(server) - before == trips
        clock.advance(3600)


async def test_a_token_of_another_process_costs_one_round_trip(server, store, clock):
    """It is looked at, and adopted."""
    await Rig(clock, grant=SERVICE, store=store).get()
    other, before = Rig(clock, grant=SERVICE, store=store), trips_of(server)
    await other.get()

    assert trips_of(server) - before == 1
    assert other.client.requests == 0


async def test_a_failure_is_written_with_the_release_of_the_lease(server, store, clock):
    """Others learn of it, and none waits for the lease."""
    rig = Rig(clock, grant=SERVICE, store=store)
    rig.client.answers = [aa.TransportError("down")] * 9
    before = trips_of(server)
    with pytest.raises(aa.TransportError):
        await rig.get()

    # Two are for the mark before the first repetition: by then others may have waited for long.
    assert trips_of(server) - before == 3 + 2
    entry = await store.load(key_for(rig))
    assert entry.record.backoff.count == 1
    assert await store.acquire(key_for(rig), seconds=1)


async def test_a_callback_is_told_of_the_token_under_the_lease(store, clock):
    """So the callbacks of all processes see the tokens in order."""
    seen = []

    async def on_token(_token):
        seen.append(await store.acquire(key_for(rig), seconds=60))

    rig = Rig(clock, grant=SERVICE, store=store, on_token=on_token)
    await rig.get()

    assert seen == [None]
    assert await store.acquire(key_for(rig), seconds=1)


async def test_a_lease_ends_with_the_write_that_it_was_for(store):
    """The next one is granted at once, with the record that was written."""
    lease, entry = await store.acquire_and_load(KEY, seconds=60)
    held = await store.acquire_and_load(KEY, seconds=60)
    fence = lease.fence
    is_written = await store.save_and_release(
        KEY, Record(serial=1), replaces=0, fence=fence, lease=lease
    )
    other, found = await store.acquire_and_load(KEY, seconds=60)

    assert entry is None
    assert held is None
    assert is_written
    assert found.record.serial == 1
    assert other.fence > fence
    assert not await lease.keep()


@pytest.mark.parametrize("fault", ["another generation", "a foreign lease"])
async def test_a_lease_that_is_still_needed_is_kept(store, fault):
    """A record that was not written leaves the lease, and so does a lease of something else."""
    lease, _ = await store.acquire_and_load(KEY, seconds=60)
    foreign = await aa.MemoryTokenStore().acquire(KEY, seconds=60)
    is_foreign = fault == "a foreign lease"
    is_written = await store.save_and_release(
        KEY,
        Record(serial=1),
        replaces=0 if is_foreign else 7,
        fence=lease.fence,
        lease=foreign if is_foreign else lease,
    )

    assert is_written is is_foreign
    assert await lease.keep()


async def test_a_write_whose_response_was_lost_may_be_repeated(store):
    """The second one finds the record written, and the lease released."""
    lease, _ = await store.acquire_and_load(KEY, seconds=60)
    record = Record(aa.Token("token", issued_at=time.time()), 1)
    arguments = {"replaces": 0, "fence": lease.fence, "lease": lease}
    await store.save_and_release(KEY, record, **arguments)
    other = await store.acquire(KEY, seconds=60)
    again = await store.save_and_release(KEY, record, **arguments)

    assert other is not None
    assert not again
    assert (await store.load(KEY)).record == record
    assert await other.keep()


async def test_an_entry_that_cannot_be_read_under_the_lease_is_reported(server, store, clock):
    """As it is when it is loaded by itself."""
    unreadable = Rig(clock, grant=SERVICE, store=store)
    await unreadable.get()
    async with aa.RedisTokenStore(
        server.url, keys=aa.EncryptionKeys({"2": bytes(32)}), timeout=30
    ) as other:
        rig = Rig(clock, grant=SERVICE, store=other)
        assert await rig.get() == "token-1"

    assert any(isinstance(event, StoreFailed) for event in rig.events)


async def test_a_write_that_another_overtook_is_repeated_under_the_lease(store, clock):
    """The lease goes with the write that succeeds."""
    rig = Rig(clock, grant=SERVICE, store=store)
    fetch = rig.client.fetch_token

    async def fetch_late(grant, *, timeout=None):
        await store.save(key_for(rig), Record(), replaces=0)
        return await fetch(grant, timeout=timeout)

    rig.client.fetch_token = fetch_late

    assert await rig.get() == "token-1"
    assert (await store.load(key_for(rig))).token.access_token == "token-1"
    assert await store.acquire(key_for(rig), seconds=1)

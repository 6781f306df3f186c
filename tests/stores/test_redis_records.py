"""Records in Redis and Valkey: names, lifetimes, ages, and what cannot be read."""

import asyncio
import time
from itertools import pairwise

import pytest

import aritma_auth as aa
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.stores import EncryptionKeys, Record, SharedBackoff
from aritma_auth.stores.key import token_key
from support.clock import ShiftedClock
from support.proxy import proxied
from support.rig import Rig
from support.stores import KEY, KEYS, OTHER_KEY, fresh_token
from support.valkey import Server

pytestmark = pytest.mark.usefixtures("no_leftovers")

DAY = 24 * 3600
DOWN = aa.TransportError("down")


@pytest.fixture
async def store(server, open_store):
    async with open_store(server) as store:
        yield store


async def test_the_names_of_keys_tell_nothing(store, server, prefix, names):
    """The names are made of the key, which is a digest."""
    lease = await store.acquire(KEY, seconds=9)
    await store.save(KEY, Record(fresh_token()), replaces=0, fence=lease.fence)

    assert sorted(server.do("KEYS", f"{prefix}*")) == sorted(name.encode() for name in names)


async def test_nothing_can_be_read_on_the_wire_or_on_the_disk(canary, open_store):
    """Neither tokens nor what is known of them are in clear outside the process."""
    secret = canary.text
    record = Record(
        fresh_token(secret, refresh_token=secret, id_token=secret, extra={secret: secret}),
        backoff=SharedBackoff(aa.OAuthError("odd", secret), credential=secret),
    )
    with Server("appendonly yes", "appendfsync always") as server:
        async with proxied(server.port) as proxy, open_store(proxy) as store:
            await store.save(KEY, record, replaces=0)
            assert (await store.load(KEY)).token.access_token == secret
        files = b"".join(path.read_bytes() for path in server.folder.rglob("*") if path.is_file())

    assert KEY.encode() in files
    assert KEY.encode() in proxy.requests
    assert secret.encode() not in files
    assert secret.encode() not in proxy.requests


@pytest.mark.parametrize(
    ("make_record", "seconds"),
    [
        (lambda: Record(fresh_token(lifetime=100)), 100),
        (lambda: Record(fresh_token(lifetime=100, age=40)), 60),
        (lambda: Record(fresh_token(lifetime=100, age=-40)), 100),
        (lambda: Record(fresh_token(lifetime=100, age=1e12)), 1),
        (lambda: Record(fresh_token(lifetime=1e12)), 10 * 365 * DAY),
        (lambda: Record(aa.Token("endless", issued_at=time.time())), 300),
        (lambda: Record(fresh_token(lifetime=100, refresh_token="r")), 30 * DAY),
        (lambda: Record(redeeming_since=time.time()), 30 * DAY),
        (lambda: Record(serial=5), 30 * DAY),
        (lambda: Record(fresh_token(lifetime=100), backoff=SharedBackoff(DOWN, seconds=90)), 150),
        (lambda: Record(fresh_token(lifetime=200), backoff=SharedBackoff(DOWN, seconds=90)), 200),
        (lambda: Record(backoff=SharedBackoff(DOWN, seconds=-5)), 55),
        (Record, 1),
    ],
    ids=[
        "a fresh token",
        "an older token",
        "a token from the future",
        "a token that is over",
        "a token for ages",
        "a token without an end",
        "a refresh token",
        "a mark",
        "a sign-in that has ended",
        "a gate longer than its token",
        "a token longer than its gate",
        "a gate that is over",
        "nothing",
    ],
)
async def test_a_record_is_kept_as_long_as_it_is_good_for(
    store, server, names, make_record, seconds
):
    """The server expires a record by itself when nothing in it can be used any more."""
    await store.save(KEY, make_record(), replaces=0)

    assert (seconds - 20) * 1000 < server.do("PTTL", names[0]) <= seconds * 1000


async def test_leases_expire_and_their_fences_go_on(store, server, names):
    """A lease expires by itself, and its fence is kept as long as a refresh token."""
    lease = await store.acquire(KEY, seconds=9)
    ttls = [server.do("PTTL", name) for name in names[1:]]
    await store.save(KEY, Record(fresh_token()), replaces=0, fence=lease.fence)
    await lease.keep()

    assert 8000 < ttls[0] <= 9000
    assert 29 * DAY * 1000 < ttls[1] <= 30 * DAY * 1000
    assert 29 * DAY * 1000 < server.do("PTTL", names[2]) <= 30 * DAY * 1000
    assert 8000 < server.do("PTTL", names[1]) <= 9000
    server.do("DEL", names[1])
    assert not await lease.keep()
    assert (await store.acquire(KEY, seconds=9)).fence == lease.fence + 1


async def test_fences_never_repeat(store):
    """A fence never repeats, also when the holder of an earlier lease writes late."""
    leases = []
    for _ in range(2):
        leases.append(await store.acquire(KEY, seconds=9))
        await leases[-1].release()
    await store.save(KEY, Record(fresh_token()), replaces=0, fence=leases[0].fence)
    leases.append(await store.acquire(KEY, seconds=9))
    await store.save(KEY, Record(fresh_token()), replaces=1, fence=leases[2].fence)
    await leases[2].release()
    leases.append(await store.acquire(KEY, seconds=9))

    assert [lease.fence for lease in leases] == [1, 2, 3, 4]
    assert not await store.save(KEY, Record(fresh_token()), replaces=2, fence=leases[1].fence)


async def test_the_retention_and_the_default_lifetime_can_be_set(server, open_store, names):
    """Both are settings in seconds."""
    async with open_store(server, retention=500, default_lifetime=50) as store:
        await store.save(KEY, Record(aa.Token("endless", issued_at=time.time())), replaces=0)
        assumed = server.do("PTTL", names[0])
        await store.save(KEY, Record(fresh_token(lifetime=9, refresh_token="r")), replaces=1)

    assert 40_000 < assumed <= 50_000
    assert 490_000 < server.do("PTTL", names[0]) <= 500_000


async def test_the_server_tells_how_old_a_token_is(server, open_store):
    """The server's clock counts the age, also for a reader and a writer whose clock is behind."""
    old = fresh_token(age=100)
    behind = ShiftedClock(SYSTEM_CLOCK, -3600)
    async with open_store(server) as store, open_store(server, clock=behind) as late:
        await store.save(KEY, Record(old), replaces=0)
        found = [await late.load(KEY)]
        await late.save(KEY, Record(old, redeeming_since=1.0), replaces=1)
        found += [await late.load(KEY), await store.load(KEY)]
        await late.save(KEY, Record(fresh_token("two", age=3600)), replaces=2)
        new = await late.load(KEY)
        await late.save(KEY, Record(), replaces=3)
        without_token = await store.load(KEY)

    assert all(100 <= entry.token_age < 120 for entry in found)
    assert 0 <= new.token_age < 20
    assert without_token.token_age is None


async def test_a_reader_whose_clock_is_ahead_takes_a_token_for_older(server, open_store):
    """Such a reader cannot be distinguished from a server whose clock was set back: see below."""
    ahead = ShiftedClock(SYSTEM_CLOCK, 3600)
    async with open_store(server) as store, open_store(server, clock=ahead) as early:
        await store.save(KEY, Record(fresh_token(age=100)), replaces=0)

        assert 3700 <= (await early.load(KEY)).token_age < 3720
        assert 100 <= (await store.load(KEY)).token_age < 120


async def test_a_token_of_a_writer_whose_clock_is_ahead_is_not_younger_than_new(store):
    """An age is never negative."""
    await store.save(KEY, Record(fresh_token(age=-50)), replaces=0)

    assert 0 <= (await store.load(KEY)).token_age < 20


STAMPS = {
    "an hour ahead": lambda now: now + 3_600_000,
    "far ahead": lambda now: 99_999_999_999_999,
    "a word": lambda now: "soon",
    "infinite": lambda now: "inf",
    "no number": lambda now: "nan",
    "negative": lambda now: -1,
    "0": lambda now: 0,
}
"""Stamps in clear that a writer without the key, or a server whose clock was set back, leaves."""


@pytest.mark.parametrize("stamp", STAMPS)
async def test_no_stamp_makes_an_old_token_younger(store, server, names, stamp):
    """The encrypted record says when the token was issued, and nothing in clear outranks it."""
    await store.save(
        KEY, Record(fresh_token(age=3600, lifetime=3590, refresh_token="r")), replaces=0
    )
    server.do("HSET", names[0], "born", STAMPS[stamp](int(time.time() * 1000)))

    assert (await store.load(KEY)).token_age >= 3600


@pytest.mark.parametrize("stamp", STAMPS)
async def test_no_stamp_makes_a_backoff_longer(store, server, names, stamp):
    """The encrypted record says when the backoff began and for how long."""
    await store.save(KEY, Record(backoff=SharedBackoff(DOWN, 2, 0.3)), replaces=0)
    server.do("HSET", names[0], "backoff", STAMPS[stamp](int(time.time() * 1000)))
    before = (await store.load(KEY)).record.backoff
    await asyncio.sleep(0.35)
    after = (await store.load(KEY)).record.backoff

    assert before.seconds <= 0.3
    assert after.seconds <= 0
    assert after.count == 2


@pytest.mark.parametrize("field", ["granted", "written"])
@pytest.mark.parametrize("value", ["1e300", "inf", "nan", "-5", "word", "41"])
async def test_no_fence_in_clear_keeps_holders_of_a_lease_from_writing(
    store, server, names, field, value
):
    """The next lease has a higher fence than any that can have written."""
    await (await store.acquire(KEY, seconds=9)).release()
    server.do("HSET", names[2], field, value)
    lease = await store.acquire(KEY, seconds=9)

    assert lease.fence == 42 if value == "41" else lease.fence in {1, 2}
    assert await store.save(KEY, Record(fresh_token()), replaces=0, fence=lease.fence)


@pytest.mark.parametrize("ahead", [0, -50])
async def test_the_server_tells_what_is_left_of_a_backoff(server, open_store, ahead):
    """The server's clock counts the seconds, also for a reader whose clock is behind."""
    clock = ShiftedClock(SYSTEM_CLOCK, ahead)
    async with open_store(server) as store, open_store(server, clock=clock) as other:
        await store.save(KEY, Record(backoff=SharedBackoff(DOWN, 2, 60.0)), replaces=0)
        backoff = (await other.load(KEY)).record.backoff

    assert 40 < backoff.seconds <= 60
    assert backoff.count == 2


async def test_a_provider_refuses_what_moved_stamps_would_let_it_do(store, server, prefix):
    """An expired token is not served, and a short backoff does not stop the fleet for an hour."""
    rig = Rig(SYSTEM_CLOCK, store=store)
    key = token_key(rig.client, rig.grant)
    name = f"{prefix}:{{{key}}}:v"
    in_an_hour = int(time.time() * 1000) + 3_600_000
    await store.save(key, Record(fresh_token("old", age=3605, refresh_token="r"), 1), replaces=0)
    server.do("HSET", name, "born", in_an_hour)

    assert await rig.get() == "token-1"

    other = Rig(SYSTEM_CLOCK, store=store, grant=aa.ClientCredentialsGrant("other"))
    key = token_key(other.client, other.grant)
    await store.save(key, Record(backoff=SharedBackoff(DOWN, 1, 1.5)), replaces=0)
    server.do("HSET", f"{prefix}:{{{key}}}:v", "backoff", in_an_hour)
    with pytest.raises(aa.TransportError) as caught:
        await other.get()
    assert caught.value.retry_after <= 1.6
    await asyncio.sleep(caught.value.retry_after)
    assert await other.get() == "token-1"


def copy_of_another(server, names):
    assert server.do("COPY", names[0].replace(KEY, OTHER_KEY), names[0], "REPLACE") == 1


def of_another_version(server, names):
    encrypted = KEYS.encrypt(b'{"version": 2}', place=f"{names[0]} 1")
    server.do("HSET", names[0], "record", encrypted)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda server, names: server.do("SET", names[0], "x"), "key"),
        (lambda server, names: [server.do("DEL", names[0]), server.do("SADD", names[0], 1)], "key"),
        (lambda server, names: server.do("HDEL", names[0], "record"), "key"),
        (lambda server, names: server.do("HSET", names[0], "record", b"\x01\x01"), "key"),
        (lambda server, names: server.do("HSET", names[0], "record", b"\x01\x011" + 64 * b"x"), "authentication tag"),
        (copy_of_another, "another place"),
        (of_another_version, "another version"),
    ],
    ids=["text", "set", "hash", "short", "garbage", "a copy", "a version"],
)  # fmt: skip
async def test_what_cannot_be_read_is_an_unreadable_entry(store, server, names, damage, problem):
    """A value that cannot be read has a generation, and is replaced only by those who have seen it."""
    await store.save(OTHER_KEY, Record(fresh_token("other")), replaces=0)
    await store.save(KEY, Record(fresh_token()), replaces=0)
    damage(server, names)
    entry = await store.load(KEY)

    assert (entry.record, entry.token_age) == (Record(), None)
    assert problem in entry.problem
    assert not await store.save(KEY, Record(fresh_token("two")), replaces=0)
    assert await store.save(KEY, Record(fresh_token("two")), replaces=entry.generation)
    assert (await store.load(KEY)).token.access_token == "two"


async def test_a_lease_that_is_none_is_taken(store, server, names):
    """A key that never expires would keep every process out, and one that expires is waited for."""
    server.do("RPUSH", names[1], "x")
    lease = await store.acquire(KEY, seconds=9)
    server.do("DEL", names[1])
    server.do("RPUSH", names[1], "x")
    server.do("PEXPIRE", names[1], 60_000)

    assert lease is not None
    assert not await lease.keep()
    await lease.release()
    assert await store.acquire(KEY, seconds=9) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda server, name: server.do("SET", name, "x"),
        lambda server, name: server.do("HSET", name, "granted", "many", "written", "few"),
        lambda server, name: server.do("DEL", name),
    ],
    ids=["text", "words", "lost"],
)
async def test_damaged_fences_start_anew(store, server, names, damage):
    """A holder from before the damage may still write, and the fences go on from there."""
    damage(server, names[2])
    first = await store.acquire(KEY, seconds=9)
    await first.release()
    damage(server, names[2])

    assert await store.save(KEY, Record(fresh_token()), replaces=0, fence=first.fence + 5)
    assert (await store.acquire(KEY, seconds=9)).fence == first.fence + 6


async def test_encryption_keys_can_be_rotated_while_all_runs(server, open_store):
    """First all processes know the new key, then it encrypts, then the old one is removed."""
    old, new = b"o" * 32, b"n" * 32
    rings = [{"1": old}, {"1": old, "2": new}, {"2": new, "1": old}, {"2": new}]
    for number, (writes, reads) in enumerate(pairwise(rings)):
        async with open_store(server, keys=EncryptionKeys(writes)) as writer:
            await writer.save(KEY, Record(fresh_token(), number), replaces=number)
        async with open_store(server, keys=EncryptionKeys(reads)) as reader:
            entry = await reader.load(KEY)
            assert (entry.record.serial, entry.problem) == (number, None)
    async with open_store(server, keys=EncryptionKeys({"1": old})) as left_behind:
        assert "key" in (await left_behind.load(KEY)).problem

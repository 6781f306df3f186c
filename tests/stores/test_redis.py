"""Redis and Valkey: what is kept and for how long, and what happens when the server fails."""

import asyncio
import contextlib
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from secrets import token_hex
from types import SimpleNamespace

import pytest
import redis as redis_py
import redis.asyncio
import trustme

import aritma_auth as aa
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.stores import Record, SharedBackoff
from aritma_auth.stores.encryption import EncryptionKeys
from support.proxy import proxied
from support.valkey import CLUSTER, Server, shared_server, unused_port

pytestmark = pytest.mark.usefixtures("no_leftovers")

KEY, OTHER_KEY = "0" * 32, "1" * 32
KEYS = EncryptionKeys.generate()
DAY = 24 * 3600
DOWN = aa.TransportError("down")


@pytest.fixture
def server():
    """A server that many tests share."""
    return shared_server()


@pytest.fixture(scope="module")
def own_server():
    """A server that tests break, and repair."""
    with Server() as server:
        yield server


@pytest.fixture
def prefix():
    return token_hex(4)


@pytest.fixture
def open_store(prefix):
    """Open a store with this test's prefix."""

    def open_store(server, **settings):
        url = getattr(server, "url", server)
        # A busy machine is no defect.
        return aa.RedisTokenStore(
            url, **{"keys": KEYS, "prefix": prefix, "timeout": 30, **settings}
        )

    return open_store


@pytest.fixture
async def store(server, open_store):
    async with open_store(server) as store:
        yield store


@pytest.fixture
def names(prefix):
    """Names of the key's value, lease and fences."""
    return [f"{prefix}:{{{KEY}}}:{kind}" for kind in "vlf"]


def token(text="one", *, age=0.0, lifetime=3600.0, **others):
    now = time.time() - age
    return aa.Token(text, issued_at=now, expires_at=now + lifetime, **others)


# What is kept


async def test_the_names_of_keys_tell_nothing(store, server, prefix, names):
    """They are made of the key, which is a digest."""
    lease = await store.acquire(KEY, seconds=9)
    await store.save(KEY, Record(token()), replaces=0, fence=lease.fence)

    assert sorted(server.do("KEYS", f"{prefix}*")) == sorted(name.encode() for name in names)


async def test_nothing_can_be_read_on_the_wire_or_on_the_disk(canary, open_store):
    """Neither tokens nor what is known of them."""
    secret = canary.text
    record = Record(
        token(secret, refresh_token=secret, id_token=secret, extra={secret: secret}),
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
        (lambda: Record(token(lifetime=100)), 100),
        (lambda: Record(token(lifetime=100, age=40)), 60),
        (lambda: Record(token(lifetime=100, age=-40)), 100),
        (lambda: Record(token(lifetime=100, age=1e12)), 1),
        (lambda: Record(token(lifetime=1e12)), 10 * 365 * DAY),
        (lambda: Record(aa.Token("endless", issued_at=time.time())), 300),
        (lambda: Record(token(lifetime=100, refresh_token="r")), 30 * DAY),
        (lambda: Record(redeeming_since=time.time()), 30 * DAY),
        (lambda: Record(serial=5), 30 * DAY),
        (lambda: Record(token(lifetime=100), backoff=SharedBackoff(DOWN, seconds=90)), 150),
        (lambda: Record(token(lifetime=200), backoff=SharedBackoff(DOWN, seconds=90)), 200),
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
    """The server forgets it by itself."""
    await store.save(KEY, make_record(), replaces=0)

    assert (seconds - 20) * 1000 < server.do("PTTL", names[0]) <= seconds * 1000


async def test_leases_end_by_themselves_and_their_numbers_go_on(store, server, names):
    """Also after a write; both are kept as long as a refresh token."""
    lease = await store.acquire(KEY, seconds=9)
    ttls = [server.do("PTTL", name) for name in names[1:]]
    await store.save(KEY, Record(token()), replaces=0, fence=lease.fence)
    await lease.keep()

    assert 8000 < ttls[0] <= 9000
    assert 29 * DAY * 1000 < ttls[1] <= 30 * DAY * 1000
    assert 29 * DAY * 1000 < server.do("PTTL", names[2]) <= 30 * DAY * 1000
    assert 8000 < server.do("PTTL", names[1]) <= 9000
    server.do("DEL", names[1])
    assert not await lease.keep()
    assert (await store.acquire(KEY, seconds=9)).fence == lease.fence + 1


async def test_numbers_of_leases_never_repeat(store):
    """Also when the holder of an earlier one writes late; later ones remember what was written."""
    leases = []
    for _ in range(2):
        leases.append(await store.acquire(KEY, seconds=9))
        await leases[-1].release()
    await store.save(KEY, Record(token()), replaces=0, fence=leases[0].fence)
    leases.append(await store.acquire(KEY, seconds=9))
    await store.save(KEY, Record(token()), replaces=1, fence=leases[2].fence)
    await leases[2].release()
    leases.append(await store.acquire(KEY, seconds=9))

    assert [lease.fence for lease in leases] == [1, 2, 3, 4]
    assert not await store.save(KEY, Record(token()), replaces=2, fence=leases[1].fence)


async def test_the_retention_and_the_assumed_lifetime_can_be_set(server, open_store, names):
    """In seconds."""
    async with open_store(server, retention=500, default_lifetime=50) as store:
        await store.save(KEY, Record(aa.Token("endless", issued_at=time.time())), replaces=0)
        assumed = server.do("PTTL", names[0])
        await store.save(KEY, Record(token(lifetime=9, refresh_token="r")), replaces=1)

    assert 40_000 < assumed <= 50_000
    assert 490_000 < server.do("PTTL", names[0]) <= 500_000


async def test_the_server_tells_how_old_a_token_is(server, open_store, monkeypatch):
    """Whatever the clocks of those who read and write it say."""
    old = token(age=100)
    async with open_store(server) as store:
        await store.save(KEY, Record(old), replaces=0)
        # From now on this machine's clock is an hour ahead.
        ahead = SimpleNamespace(time=lambda: time.time() + 3600)
        monkeypatch.setattr(SYSTEM_CLOCK, "time", ahead.time)
        found = [await store.load(KEY)]
        await store.save(KEY, Record(old, redeeming_since=1.0), replaces=1)
        found.append(await store.load(KEY))
        await store.save(KEY, Record(token("two", age=-3600)), replaces=2)
        new = await store.load(KEY)
        await store.save(KEY, Record(), replaces=3)
        without_token = await store.load(KEY)

    assert all(100 <= entry.token_age < 120 for entry in found)
    assert 0 <= new.token_age < 20
    assert without_token.token_age is None


async def test_a_token_that_is_older_by_its_writers_clock_is_not_younger_than_new(
    store, server, names
):
    """The server's clock may have been set back."""
    await store.save(KEY, Record(token()), replaces=0)
    server.do("HSET", names[0], "born", "99999999999999")

    assert (await store.load(KEY)).token_age == 0


async def test_the_server_tells_what_is_left_of_a_gate(store, monkeypatch):
    """Whatever the clocks of those who read and write it say."""
    await store.save(KEY, Record(backoff=SharedBackoff(DOWN, 2, 60.0)), replaces=0)
    ahead = SimpleNamespace(time=lambda: time.time() + 3600)
    monkeypatch.setattr(SYSTEM_CLOCK, "time", ahead.time)
    gate = (await store.load(KEY)).record.backoff

    assert 40 < gate.seconds <= 60
    assert gate.count == 2


# What is found


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
async def test_what_cannot_be_read_is_a_problem_and_is_overwritten(
    store, server, names, damage, problem
):
    """As if nothing were there; but not by those who have seen something else."""
    await store.save(OTHER_KEY, Record(token("other")), replaces=0)
    await store.save(KEY, Record(token()), replaces=0)
    damage(server, names)
    entry = await store.load(KEY)

    assert (entry.record, entry.token_age) == (Record(), None)
    assert problem in entry.problem
    assert not await store.save(KEY, Record(token("two")), replaces=0)
    assert await store.save(KEY, Record(token("two")), replaces=entry.generation)
    assert (await store.load(KEY)).token.access_token == "two"


async def test_a_lease_that_is_none_is_taken(store, server, names):
    """What has no end would keep everybody out for ever; what ends does so by itself."""
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
async def test_damaged_numbers_of_leases_start_anew(store, server, names, damage):
    """Who has one of before may still write; then the numbers go on from there."""
    damage(server, names[2])
    first = await store.acquire(KEY, seconds=9)
    await first.release()
    damage(server, names[2])

    assert await store.save(KEY, Record(token()), replaces=0, fence=first.fence + 5)
    assert (await store.acquire(KEY, seconds=9)).fence == first.fence + 6


async def test_sealing_keys_can_be_changed_while_all_runs(server, open_store):
    """First all learn to open with the new one, then it seals, then the old one goes."""
    old, new = b"o" * 32, b"n" * 32
    rings = [{"1": old}, {"1": old, "2": new}, {"2": new, "1": old}, {"2": new}]
    for number, (writes, reads) in enumerate(pairwise(rings)):
        async with open_store(server, keys=EncryptionKeys(writes)) as writer:
            await writer.save(KEY, Record(token(), number), replaces=number)
        async with open_store(server, keys=EncryptionKeys(reads)) as reader:
            entry = await reader.load(KEY)
            assert (entry.record.serial, entry.problem) == (number, None)
    async with open_store(server, keys=EncryptionKeys({"1": old})) as left_behind:
        assert "key" in (await left_behind.load(KEY)).problem


# What fails


@contextlib.contextmanager
def refused(server):
    server.kill()
    yield
    server.start()


def hung(server):
    return server.hung()


def full(server):
    return server.configured("maxmemory", "1")


def locked(server):
    return server.configured("requirepass", "secret")


@contextlib.contextmanager
def replica(server):
    server.do("REPLICAOF", "127.0.0.1", server.port)
    yield
    server.do("REPLICAOF", "NO", "ONE")


@contextlib.contextmanager
def restricted(server, *rules):
    server.do("ACL", "SETUSER", "default", *rules)
    yield
    server.do("ACL", "SETUSER", "default", "reset", "on", "nopass", "~*", "&*", "+@all")


def without_scripts(server):
    return restricted(server, "-@scripting")


def without_keys(server):
    return restricted(server, "resetkeys", "~other:*")


OPERATIONS = {
    "load": lambda store, lease: store.load(KEY),
    "save": lambda store, lease: store.save(KEY, Record(token()), replaces=0),
    "acquire": lambda store, lease: store.acquire(KEY, seconds=9),
    "keep": lambda store, lease: lease.keep(),
    "release": lambda store, lease: lease.release(),
}
ALL = set(OPERATIONS)
WRITING = {"save", "acquire", "keep", "release"}


@pytest.mark.parametrize(
    ("broken", "failing", "words"),
    [
        (refused, ALL, "ConnectionError"),
        (hung, ALL, "TimeoutError"),
        (full, {"save", "acquire"}, "OutOfMemoryError (the server is full)"),
        (replica, WRITING, "ReadOnlyError (the server is a replica)"),
        (locked, ALL, "AuthenticationError (check the user name"),
        (without_scripts, ALL, "NoPermissionError (allow its user"),
        (without_keys, ALL, "NoPermissionError (allow its user"),
    ],
)
async def test_a_server_that_fails_is_told_as_an_error_of_ours(
    own_server, open_store, prefix, broken, failing, words
):
    """Soon, with nothing of redis-py about it; and all is well once the server is."""
    async with open_store(own_server) as store:
        lease = await store.acquire(OTHER_KEY, seconds=60)
        # Only those who are away a while are asked to log in.
        own_server.do("CLIENT", "KILL", "USER", "default")
        store._timeout = 0.05 if broken is hung else 30
        failed, errors, started = set(), [], time.monotonic()
        with broken(own_server):
            for name, operation in OPERATIONS.items():
                try:
                    await operation(store, lease)
                except aa.StoreError as error:
                    failed.add(name)
                    errors.append(error)
        seconds = time.monotonic() - started
        store._timeout = 30
        own_server.do("DEL", f"{prefix}:{{{KEY}}}:v")

        assert failed == failing
        assert words in str(errors[0])
        assert not any(error.is_permanent for error in errors)
        assert not any(error.__cause__ or error.__context__ for error in errors)
        assert seconds < 20
        assert await store.save(KEY, Record(token()), replaces=0)
        assert (await store.load(KEY)).token.access_token == "one"
        assert await store.acquire("2" * 32, seconds=9) is not None


async def test_a_full_server_still_replaces_what_it_has(own_server, open_store):
    """A rotated refresh token must not get lost for want of room that it has already."""
    async with open_store(own_server) as store:
        await store.save(KEY, Record(token(refresh_token="one")), replaces=0)
        with full(own_server):
            assert await store.save(KEY, Record(token(refresh_token="two")), replaces=1)


async def test_an_odd_answer_is_told_by_its_code_alone(store, server, monkeypatch):
    """Its text may repeat what was sent."""
    script = redis_scripts_with("return redis.error_reply('MISCONF token=secret')")
    monkeypatch.setattr("aritma_auth.stores.redis.LOAD", script)
    with pytest.raises(aa.StoreError, match=r"^Redis failed to load: ResponseError MISCONF$"):
        await store.load(KEY)
    script = redis_scripts_with("return redis.error_reply('secret token')")
    monkeypatch.setattr("aritma_auth.stores.redis.LOAD", script)
    with pytest.raises(aa.StoreError, match=r"^Redis failed to load: ResponseError$"):
        await store.load(KEY)


def redis_scripts_with(text):
    from aritma_auth.stores.redis_scripts import Script

    return Script(text)


async def test_a_server_that_has_forgotten_the_scripts_is_told_again(store, server):
    """As a restart, a fail-over or an administrator makes it."""
    lease = await store.acquire(KEY, seconds=9)
    for operation in OPERATIONS.values():
        server.do("SCRIPT", "FLUSH")
        await operation(store, lease)


async def test_a_server_that_comes_back_empty_is_used_at_once(own_server, open_store):
    """Generations and numbers of leases start anew; leases of before are over."""
    async with open_store(own_server) as store:
        for _ in range(3):
            await (before := await store.acquire(KEY, seconds=60)).release()
        before = await store.acquire(KEY, seconds=60)
        await store.save(KEY, Record(token("old")), replaces=0, fence=before.fence)
        own_server.kill()
        own_server.start()

        assert await store.load(KEY) is None
        assert not await before.keep()
        after = await store.acquire(KEY, seconds=60)
        assert after.fence == 1
        assert await store.save(KEY, Record(token("new")), replaces=0, fence=after.fence)
        # The holder of before has not noticed: it comes too late all the same.
        assert not await store.save(KEY, Record(token("old")), replaces=0, fence=before.fence)


async def test_a_server_that_keeps_its_data_goes_on_after_a_crash(open_store):
    """With its generations, leases and numbers."""
    with Server("appendonly yes", "appendfsync always") as server:
        async with open_store(server) as store:
            lease = await store.acquire(KEY, seconds=60)
            await store.save(KEY, Record(token()), replaces=0, fence=lease.fence)
            server.kill()
            server.start()

            assert (await store.load(KEY)).generation == 1
            assert await lease.keep()
            await lease.release()
            assert (await store.acquire(KEY, seconds=60)).fence == lease.fence + 1


# Answers that are lost


async def test_a_lease_whose_answer_was_lost_is_given_back(server, open_store, store, names):
    """It is not known whether it was granted: others need not wait for its end."""
    async with proxied(server.port) as proxy, open_store(proxy) as deaf:
        server.do("SCRIPT", "FLUSH")
        await deaf.acquire(KEY, seconds=60)
        server.do("DEL", names[1])
        proxy.is_mute, deaf._timeout = True, 0.2
        with pytest.raises(aa.StoreError, match="lease"):
            await deaf.acquire(KEY, seconds=60)

        assert (await store.acquire(KEY, seconds=60)).fence == 3


async def test_what_is_asked_twice_is_answered_twice(server, open_store):
    """A client may send a script again when a connection ends before its answer."""
    async with proxied(server.port) as proxy, open_store(proxy) as store:
        # The server knows the scripts.
        await store.acquire(OTHER_KEY, seconds=60)
        await store.save(OTHER_KEY, Record(token()), replaces=0)
        proxy.cuts = 1
        lease = await store.acquire(KEY, seconds=60)
        proxy.cuts = 1
        is_saved = await store.save(KEY, Record(token()), replaces=0, fence=lease.fence)
        proxy.cuts = 1
        await lease.release()

        assert lease.fence == 1
        assert is_saved
        assert (await store.load(KEY)).generation == 1
        assert (await store.acquire(KEY, seconds=60)).fence == 2


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_cancelled_operation_leaves_the_store_as_usable_as_it_was(server, open_store, name):
    """No connection is given on with an answer that somebody else has asked for."""
    async with proxied(server.port) as proxy, open_store(proxy) as store:
        lease = await store.acquire(OTHER_KEY, seconds=60)
        proxy.is_mute, proxy.requests = True, b""
        waiting = asyncio.create_task(OPERATIONS[name](store, lease))
        await proxy.arrived(b"{")
        # A cancelled asker gives back a lease that it may have, and does not wait long for that.
        store._timeout = 0.2
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        proxy.is_mute, store._timeout = False, 30

        assert await store.acquire(KEY, seconds=60) is not None
        await store.save(KEY, Record(token("two")), replaces=1 if await store.load(KEY) else 0)
        assert (await store.load(KEY)).token.access_token == "two"


# Clients


async def test_many_operations_share_few_connections(server, open_store):
    """The others wait for one."""
    before = server.do("CLIENT", "LIST").count(b"\n")
    async with open_store(server) as store:
        await asyncio.gather(*(store.load(str(number)) for number in range(200)))
        assert server.do("CLIENT", "LIST").count(b"\n") - before <= 16


def test_one_store_serves_many_event_loops(server, open_store):
    """One after the other, and at the same time."""
    store = open_store(server)

    async def use(number):
        async with store:
            await store.save(str(number), Record(token(), number), replaces=0)
            return (await store.load(str(number))).record.serial

    with ThreadPoolExecutor() as threads:
        found = list(threads.map(lambda number: asyncio.run(use(number)), range(4)))

    assert found == [0, 1, 2, 3]
    assert asyncio.run(use(4)) == 4


def test_loops_that_are_closed_are_forgotten(open_store):
    """A program that runs one after the other does not grow."""
    store = open_store(f"redis://localhost:{unused_port()}")

    async def use():
        with pytest.raises(aa.StoreError):
            await store.load(KEY)

    for _ in range(3):
        asyncio.run(use())

    assert len(store._clients._clients) == 1


async def test_a_store_can_be_closed_and_used_again(store):
    """Closing ends connections, not the store."""
    await store.aclose()
    await store.aclose()

    assert await store.load(KEY) is None


async def test_a_given_client_is_used_as_it_is_and_stays_open(server, open_store):
    """Even one that decodes what it gets."""
    async with redis.asyncio.Redis(port=server.port, decode_responses=True) as client:
        async with open_store(client) as store:
            await store.save(KEY, Record(token()), replaces=0)
            assert (await store.load(KEY)).token.access_token == "one"
            assert repr(store).endswith("a given Redis>")
        assert await client.ping()


async def test_a_cluster_serves_as_well_as_one_server(open_store, names):
    """All of one key is in one slot, so that the scripts may touch it."""
    with Server(*CLUSTER) as server:
        server.become_a_cluster()
        async with (
            redis.asyncio.RedisCluster("127.0.0.1", server.port) as client,
            open_store(client) as store,
        ):
            lease = await store.acquire(KEY, seconds=60)
            await store.save(KEY, Record(token()), replaces=0, fence=lease.fence)
            for operation in OPERATIONS.values():
                await operation(store, lease)
        slots = {server.do("CLUSTER", "KEYSLOT", name) for name in (KEY, *names)}

    assert len(slots) == 1


async def test_tls_is_spoken_and_the_server_is_checked(server, open_store, tmp_path):
    """Against the files that the URL names, or else against the machine's."""
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with proxied(server.port, ssl_context=context) as proxy:
        url = f"rediss://localhost:{proxy.port}"
        async with open_store(f"{url}?ssl_ca_certs={tmp_path / 'ca.pem'}") as store:
            assert await store.load(KEY) is None
            assert "pem" not in repr(store)
        async with open_store(url) as store:
            with pytest.raises(aa.StoreError, match="ConnectionError"):
                await store.load(KEY)


# Users


GRANTED = "+eval +evalsha +time +exists +del +get +set +hget +hset +pttl +pexpire"


@pytest.fixture
def user(server, prefix, canary):
    """A user who may do no more than the documentation asks for."""
    server.do("ACL", "SETUSER", prefix, "on", f">{canary.text}", f"~{prefix}:*", *GRANTED.split())
    yield SimpleNamespace(name=prefix, password=canary.text)
    server.do("ACL", "DELUSER", prefix)


async def test_a_restricted_user_will_do(server, open_store, user, canary):
    """With the name and the password that the URL has; neither is shown."""
    url = f"redis://{user.name}:{user.password}@localhost:{server.port}/"
    async with open_store(url, prefix=user.name) as store:
        lease = await store.acquire(KEY, seconds=60)
        for operation in OPERATIONS.values():
            await operation(store, lease)

    canary.assert_hidden(store)
    assert user.name not in repr(store).removeprefix(f"<RedisTokenStore {user.name!r}")


async def test_a_rotated_password_is_found(server, open_store, user):
    """It is read for each new connection, and comes before the URL's."""
    passwords = ["first", "second"]
    url = f"redis://{user.name}:outdated@localhost:{server.port}"
    secret = aa.Secret.from_callable(lambda: passwords[0])
    server.do("ACL", "SETUSER", user.name, ">first")
    async with open_store(url, password=secret, prefix=user.name) as store:
        await store.load(KEY)
        server.do("ACL", "SETUSER", user.name, "resetpass", ">second")
        server.do("CLIENT", "KILL", "USER", user.name)
        with pytest.raises(aa.StoreError, match="check the user name and the password"):
            await store.load(KEY)
        passwords.pop(0)

        assert await store.load(KEY) is None


async def test_the_default_user_has_a_password_only(own_server, open_store):
    """As servers without users know it."""
    with locked(own_server):
        async with open_store(f"redis://:secret@localhost:{own_server.port}") as store:
            assert await store.load(KEY) is None


async def test_a_password_that_cannot_be_read_says_so(server, open_store, monkeypatch):
    """And the connection that was opened for it is not used without."""
    monkeypatch.delenv("REDIS_PASSWORD", raising=False)
    secret = aa.Secret.from_env("REDIS_PASSWORD")
    async with open_store(server, password=secret) as store:
        for _ in range(2):
            with pytest.raises(aa.StoreError, match="REDIS_PASSWORD must hold a secret"):
                await store.load(KEY)


async def test_errors_show_neither_password_nor_tokens(open_store, canary):
    """Nor do their tracebacks."""
    url = f"redis://user:{canary.text}@localhost:{unused_port()}"
    async with open_store(url) as store:
        for operation in (
            store.load(KEY),
            store.save(KEY, Record(token(canary.text, refresh_token=canary.text)), replaces=0),
            store.acquire(KEY, seconds=1),
        ):
            with pytest.raises(aa.StoreError) as caught:
                await operation
            canary.assert_hidden(caught.value)


# Settings


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "localhost:6379",
        "redis://",
        "rediss:/0",
        "redis://[::1",
        "redis://localhost:port",
        "http://localhost",
        "unix:///run/redis.sock",
        "redis://localhost/zero",
        "redis://localhost/-1",
        "redis://localhost/²",
        "redis://redis.example",
        "redis://10.0.0.7:6379/0",
        "rediss://localhost?ssl_cert_reqs=none",
        "rediss://localhost?socket_timeout=20",
        "rediss://localhost?db=1",
    ],
)
def test_a_url_that_cannot_be_right_is_refused(url, open_store, canary):
    """Without showing it: it may hold a password."""
    url = url.replace("://", f"://user:{canary.text}@")
    with pytest.raises(aa.ConfigurationError, match=r"rediss://|ssl_ca_certs") as caught:
        open_store(url)
    canary.assert_hidden(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "localhost:6379/0"),
        ("redis://127.0.0.2:1234", "127.0.0.2:1234/0"),
        ("redis://[::1]/3", "::1:6379/3"),
        ("rediss://user:password@redis.example:6380/12", "redis.example:6380/12"),
    ],
)
def test_a_store_shows_where_its_server_is(url, shown):
    """And not as whom it is spoken to."""
    assert repr(aa.RedisTokenStore(url, keys=KEYS)) == f"<RedisTokenStore 'aa' at {shown}>"


def test_plaintext_to_other_machines_must_be_allowed(open_store):
    """Some networks are as good as one machine."""
    assert "redis.example" in repr(open_store("redis://redis.example", allow_plaintext=True))


@pytest.mark.parametrize("prefix", ["", "a b", "{a}", "a}", "a\n"])
def test_a_prefix_that_cannot_be_one_is_refused(prefix):
    """Braces would move the keys of all entries into one slot, or of one entry into many."""
    with pytest.raises(aa.ConfigurationError, match="prefix"):
        aa.RedisTokenStore("redis://localhost", keys=KEYS, prefix=prefix)


@pytest.mark.parametrize("keys", [None, b"k" * 32, {"1": b"k" * 32}])
def test_there_is_no_store_without_sealing_keys(keys, canary):
    """The error says how to make one."""
    with pytest.raises(aa.ConfigurationError, match="token_urlsafe") as caught:
        aa.RedisTokenStore(f"redis://user:{canary.text}@localhost", keys=keys)
    canary.assert_hidden(caught.value)


@pytest.mark.parametrize(
    ("client", "settings", "words"),
    [
        (redis_py.Redis(), {}, "redis.asyncio"),
        (object(), {}, "redis.asyncio"),
        (redis.asyncio.Redis(), {"password": aa.Secret("x")}, "must go with a URL"),
        (redis.asyncio.Redis(), {"allow_plaintext": True}, "must go with a URL"),
    ],
    ids=["sync", "object", "password", "plaintext"],
)
def test_a_client_that_cannot_be_used_is_refused(client, settings, words):
    """And so is what a client already knows."""
    with pytest.raises(aa.ConfigurationError, match=words):
        aa.RedisTokenStore(client, keys=KEYS, **settings)


async def test_redis_is_not_watched(store):
    """Those who wait look again."""
    assert not store.can_watch
    with pytest.raises(NotImplementedError):
        await store.watch(KEY, generation=0)


def test_the_error_names_the_extra(monkeypatch):
    """And not a module of somebody else."""
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(aa.ConfigurationError, match=r"aritma-auth\[redis\]"):
        aa.RedisTokenStore("redis://localhost", keys=KEYS)


def test_redis_is_imported_when_a_store_is_made():
    """It takes longer than all the rest."""
    code = "import sys, aritma_auth; aritma_auth.RedisTokenStore; assert 'redis' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

"""Redis and Valkey servers that fail, restart or lose a response."""

import asyncio
import contextlib
import time

import pytest

import aritma_auth as aa
from aritma_auth.stores import Record
from aritma_auth.stores.redis_connection import run_bounded
from support.proxy import proxied
from support.stores import KEY, OPERATIONS, OTHER_KEY, fresh_token, within_some_attempts
from support.valkey import Server

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
async def store(server, open_store):
    async with open_store(server) as store:
        yield store


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
async def test_a_server_that_fails_is_a_store_error(
    own_server, open_store, prefix, broken, failing, words
):
    """The error comes soon and holds nothing of redis-py, and the store recovers with the server."""
    timeout = 0.5 if broken is hung else 30
    async with open_store(own_server, timeout=timeout) as store, open_store(own_server) as other:
        lease = await within_some_attempts(lambda: store.acquire(OTHER_KEY, seconds=60))
        # Only a new connection logs in.
        own_server.do("CLIENT", "KILL", "USER", "default")
        failed, errors, started = set(), [], time.monotonic()
        with broken(own_server):
            for name, operation in OPERATIONS.items():
                try:
                    await operation(store, lease)
                except aa.StoreError as error:
                    failed.add(name)
                    errors.append(error)
        seconds = time.monotonic() - started
        own_server.do("DEL", f"{prefix}:{{{KEY}}}:v")

        assert failed == failing
        assert words in str(errors[0])
        assert not any(error.is_permanent for error in errors)
        assert not any(error.__cause__ or error.__context__ for error in errors)
        assert seconds < 30
        await within_some_attempts(lambda: store.save(KEY, Record(fresh_token()), replaces=0))
        loaded = await within_some_attempts(lambda: store.load(KEY))
        assert loaded.token.access_token == "one"
        assert await other.acquire("2" * 32, seconds=9) is not None


async def test_a_full_server_still_replaces_what_it_has(own_server, open_store):
    """A rotated refresh token replaces the old one on a server that is full."""
    async with open_store(own_server) as store:
        await store.save(KEY, Record(fresh_token(refresh_token="one")), replaces=0)
        with full(own_server):
            assert await store.save(KEY, Record(fresh_token(refresh_token="two")), replaces=1)


ODD = {
    "a number": "7",
    "a text": "'secret'",
    "a status": "redis.status_reply('OK')",
    "nothing in a list": "{}",
    "numbers": "{1, 2, 3, 4, 5}",
    "texts": "{'a', 'b', 'c', 'd'}",
    "a list of lists": "{{1}, {2}}",
    "another's entry": "{'1', 'secret', false, false}",
}
CALLS = {
    "load": lambda store, _lease: store.load(KEY),
    "save": lambda store, _lease: store.save(KEY, Record(), replaces=0),
    "acquire": lambda store, _lease: store.acquire(KEY, seconds=9),
    "keep": lambda _store, lease: lease.keep(),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("call", CALLS)
async def test_what_no_script_returns_is_the_stores_failure(store, server, monkeypatch, call, odd):
    """A proxy or another program in Redis's place may respond anything: its words stay hidden."""
    lease = await store.acquire(OTHER_KEY, seconds=9)
    script = redis_scripts_with(f"return {ODD[odd]}")
    for name in ("LOAD", "SAVE", "ACQUIRE", "KEEP"):
        monkeypatch.setattr(f"aritma_auth.stores.redis.{name}", script)
    with pytest.raises(
        aa.StoreError, match=r"^Redis must respond what the store's scripts"
    ) as caught:
        await CALLS[call](store, lease)

    assert "secret" not in str(caught.value)


async def test_an_unknown_error_is_shown_by_its_code_alone(store, server, monkeypatch):
    """The text of the server's error may repeat what was sent."""
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


async def test_a_server_that_has_forgotten_the_scripts_gets_them_again(store, server):
    """A restart, a failover or an administrator makes a server forget its scripts."""
    lease = await store.acquire(KEY, seconds=9)
    for operation in OPERATIONS.values():
        server.do("SCRIPT", "FLUSH")
        await operation(store, lease)


async def test_a_server_that_comes_back_empty_is_used_at_once(own_server, open_store):
    """Generations and fences start anew, and the leases from before have ended."""
    async with open_store(own_server) as store:
        for _ in range(3):
            await (before := await store.acquire(KEY, seconds=60)).release()
        before = await store.acquire(KEY, seconds=60)
        await store.save(KEY, Record(fresh_token("old")), replaces=0, fence=before.fence)
        own_server.kill()
        own_server.start()

        assert await store.load(KEY) is None
        assert not await before.keep()
        after = await store.acquire(KEY, seconds=60)
        assert after.fence == 1
        assert await store.save(KEY, Record(fresh_token("new")), replaces=0, fence=after.fence)
        # The holder of before has not noticed: it comes too late all the same.
        assert not await store.save(KEY, Record(fresh_token("old")), replaces=0, fence=before.fence)


async def test_a_server_that_keeps_its_data_goes_on_after_a_crash(open_store):
    """A server with persistence goes on with its generations, leases and fences."""
    with Server("appendonly yes", "appendfsync always") as server:
        async with open_store(server) as store:
            lease = await store.acquire(KEY, seconds=60)
            await store.save(KEY, Record(fresh_token()), replaces=0, fence=lease.fence)
            server.kill()
            server.start()

            assert (await store.load(KEY)).generation == 1
            assert await lease.keep()
            await lease.release()
            assert (await store.acquire(KEY, seconds=60)).fence == lease.fence + 1


async def test_a_lease_whose_response_was_lost_is_released(server, open_store, store, names):
    """Others need not wait for the end of a lease that may have been granted."""
    server.do("SCRIPT", "FLUSH")
    await store.acquire(KEY, seconds=60)
    server.do("DEL", names[1])
    async with proxied(server.port) as proxy, open_store(proxy, timeout=0.5) as deaf:
        proxy.is_mute = True
        with pytest.raises(aa.StoreError, match="lease"):
            await deaf.acquire(KEY, seconds=60)

    assert (await store.acquire(KEY, seconds=60)).fence == 3


async def test_a_script_that_is_sent_twice_returns_the_same(server, open_store):
    """The client may send a script again when a connection ends before the response."""
    async with proxied(server.port) as proxy, open_store(proxy) as store:
        # The server knows the scripts.
        await store.acquire(OTHER_KEY, seconds=60)
        await store.save(OTHER_KEY, Record(fresh_token()), replaces=0)
        proxy.cuts = 1
        lease = await store.acquire(KEY, seconds=60)
        proxy.cuts = 1
        is_saved = await store.save(KEY, Record(fresh_token()), replaces=0, fence=lease.fence)
        proxy.cuts = 1
        await lease.release()

        assert lease.fence == 1
        assert is_saved
        assert (await store.load(KEY)).generation == 1
        assert (await store.acquire(KEY, seconds=60)).fence == 2


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_cancelled_operation_leaves_the_store_as_usable_as_it_was(server, open_store, name):
    """No connection is reused with the response to another's command still in it."""
    # A cancelled acquire releases the lease that it may have, within another time-out.
    async with proxied(server.port) as proxy, open_store(proxy, timeout=2) as store:
        lease = await store.acquire(OTHER_KEY, seconds=60)
        proxy.is_mute, proxy.requests = True, b""
        waiting = asyncio.create_task(OPERATIONS[name](store, lease))
        await proxy.arrived(b"{")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        proxy.is_mute = False

        assert await store.acquire(KEY, seconds=60) is not None
        await store.save(
            KEY, Record(fresh_token("two")), replaces=1 if await store.load(KEY) else 0
        )
        assert (await store.load(KEY)).token.access_token == "two"


async def test_a_cancellation_that_redis_py_drops_counts_all_the_same():
    """CPython 3.11's wait_for drops one that meets its end: nobody must wait for the rest."""
    begun = asyncio.Event()

    async def drop():
        with contextlib.suppress(asyncio.CancelledError):
            begun.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return "result"

    working = asyncio.create_task(run_bounded(30, "to load", drop))
    await begun.wait()
    working.cancel()
    await asyncio.wait([working])

    assert working.cancelled()

"""The contract of session stores, run over each of them."""

import asyncio

import pytest
import redis.asyncio

import aritma_auth as aa
from aritma_auth.integrations.session_store import (
    MemorySessionStore,
    RedisSessionStore,
    SessionStore,
)
from aritma_auth.stores import EncryptionKeys
from support.clock import FakeClock
from support.valkey import shared_server


@pytest.fixture(params=["memory", "redis"])
async def store(request):
    if request.param == "memory":
        yield MemorySessionStore()
    else:
        async with RedisSessionStore(
            shared_server().url, keys=EncryptionKeys.generate(), prefix=f"aa-{id(request)}"
        ) as store:
            yield store


async def test_a_text_is_kept_until_it_is_taken(store):
    """It is found again, written over, and taken once."""
    await store.put("a", "one", seconds=60)
    await store.put("a", "blåbær", seconds=60)

    assert await store.get("a") == "blåbær"
    assert await store.get("b") is None
    assert await store.take("a") == "blåbær"
    assert await store.take("a") is None


async def test_a_text_is_added_once(store):
    """Of two processes that add, one learns that it was the second."""
    assert await store.add("a", "one", seconds=60)
    assert not await store.add("a", "two", seconds=60)
    assert await store.get("a") == "one"


async def test_of_many_callers_one_takes_a_text(store):
    """A response that is sent twice at once is accepted once."""
    await store.put("a", "one", seconds=60)
    taken = await asyncio.gather(*(store.take("a") for _ in range(20)))

    assert sorted(map(str, taken)) == ["None"] * 19 + ["one"]


async def test_each_store_follows_the_protocol(store):
    """An application can tell a store from anything else, and no store shows a text."""
    await store.put("a", "the-secret", seconds=60)

    assert isinstance(store, SessionStore)
    assert "the-secret" not in repr(store)


async def test_a_text_ends_in_memory():
    """A text ends with its seconds; another can then be added in its place."""
    clock = FakeClock()
    store = MemorySessionStore(clock=clock)
    await store.put("a", "one", seconds=60)
    clock.advance(60)

    assert await store.get("a") is None
    assert await store.take("a") is None
    assert await store.add("a", "two", seconds=60)


async def test_memory_keeps_no_more_than_its_limit():
    """Beyond the limit the texts that would end first go: begun sign-ins, and no session."""
    store = MemorySessionStore(limit=3)
    await store.put("session", "mine", seconds=3600)
    for number in range(100):
        await store.put(f"pending-{number}", "theirs", seconds=600)

    assert await store.get("session") == "mine"
    assert repr(store) == "<MemorySessionStore of 3 texts>"


async def test_a_text_that_is_written_again_stays():
    """The end of what was there before does not end what has replaced it."""
    clock = FakeClock()
    store = MemorySessionStore(clock=clock)
    await store.put("a", "one", seconds=10)
    await store.put("a", "two", seconds=60)
    clock.advance(20)
    await store.put("b", "three", seconds=60)

    assert await store.get("a") == "two"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [({"limit": 0}, "limit"), ({"limit": "many"}, "limit"), ({"clock": None}, "clock")],
)
def test_wrong_arguments_are_named(arguments, problem):
    """The message names the argument."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        MemorySessionStore(**arguments)


async def test_redis_keeps_ciphertext_for_a_time():
    """Nobody without the key reads a text, and the server lets go of it by itself."""
    server = shared_server()
    async with redis.asyncio.Redis.from_url(server.url, decode_responses=True) as client:
        store = RedisSessionStore(client, keys=EncryptionKeys.generate(), prefix="aa-seen")
        await store.put("a", "the-secret", seconds=60)
        assert "the-secret" not in await client.get("aa-seen:a")
        assert 0 < await client.pttl("aa-seen:a") <= 60_000
        # Bound to its name: nobody can give one session's text to another.
        await client.rename("aa-seen:a", "aa-seen:b")
        with pytest.raises(aa.StoreError, match="cannot be read"):
            await store.get("b")
        await client.set("aa-seen:c", "no base64 é", ex=60)
        with pytest.raises(aa.StoreError, match="no base64"):
            await store.take("c")


async def test_a_server_that_is_away_is_a_store_error():
    """The error of redis-py does not leave the package."""
    async with RedisSessionStore("redis://127.0.0.1:1", keys=EncryptionKeys.generate()) as store:
        with pytest.raises(aa.StoreError, match="Redis failed at GET"):
            await store.get("a")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"keys": "secret-key"}, "keys"),
        ({"prefix": 5}, "prefix"),
        ({"timeout": 0}, "timeout"),
        ({"server": "http://127.0.0.1"}, "server"),
    ],
)
def test_wrong_arguments_of_redis_are_named(changes, problem):
    """The message names the argument and shows no key."""
    given = {"server": "redis://127.0.0.1", "keys": EncryptionKeys.generate()} | changes
    with pytest.raises(aa.ConfigurationError, match=problem) as caught:
        RedisSessionStore(given.pop("server"), **given)

    assert "secret-key" not in str(caught.value)

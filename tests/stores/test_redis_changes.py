"""Waiters that Redis notifies of a write, and what happens when it does not."""

import asyncio

import pytest

import aritma_auth as aa
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.stores import Record
from aritma_auth.stores import redis_changes as changes
from support.fakes import until
from support.rig import GRANT, Rig
from support.stores import KEY, OTHER_KEY, fresh_token
from support.valkey import Server

pytestmark = pytest.mark.usefixtures("no_leftovers")

ENTRY, CHANNEL = "aa:{key}:v", "aa:changes"
CONFIRMED = {"type": "subscribe", "channel": b"aa:changes", "data": 1}


def published(data):
    """Return a message as redis-py gives it."""
    return {"type": "message", "channel": b"aa:changes", "data": data}


class FakePubSub:
    """A connection whose messages a test sends: a message, an error to raise, or None for quiet."""

    def __init__(self, *messages):
        self.messages = asyncio.Queue()
        for message in messages:
            self.messages.put_nowait(message)
        self.subscriptions = []
        self.is_closed = False

    async def subscribe(self, channel):
        self.subscriptions.append(channel)

    async def get_message(self, *, timeout):
        message = await self.messages.get()
        if isinstance(message, Exception):
            raise message
        return message

    async def aclose(self):
        self.is_closed = True


class Entry:
    """An entry in the store, and how often it was looked at."""

    def __init__(self, generation=1):
        self.generation = generation
        self.looks = 0

    def waiting(self, listener, known=1):
        """Begin to wait for another generation than the known one."""

        async def is_changed():
            self.looks += 1
            return self.generation != known

        return asyncio.create_task(listener.wait(ENTRY, known, is_changed))


def listening(*pubsubs):
    """Return a listener that opens these connections one after the other."""
    opened = iter(pubsubs)
    return changes.ChangeListener(lambda: next(opened), CHANNEL, 5.0)


async def settled():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_message_ends_the_wait():
    """A waiter looks once, since the write may have come first, and then waits for the message."""
    pubsub, entry = FakePubSub(CONFIRMED), Entry()
    listener = listening(pubsub)
    waiting = entry.waiting(listener)
    await settled()
    is_early = waiting.done()
    pubsub.messages.put_nowait(published(b"aa:{key}:v 2"))
    await waiting

    assert (is_early, entry.looks, pubsub.subscriptions) == (False, 1, [CHANNEL])
    await listener.aclose()
    assert pubsub.is_closed


async def test_two_messages_at_once_end_the_wait_once():
    """A second write, published before the waiter has gone on, finds nobody to wake."""
    pubsub, entry = FakePubSub(CONFIRMED), Entry()
    listener = listening(pubsub)
    waiting = entry.waiting(listener)
    await settled()
    pubsub.messages.put_nowait(published(b"aa:{key}:v 2"))
    pubsub.messages.put_nowait(published(b"aa:{key}:v 3"))
    await waiting

    assert entry.looks == 1
    await listener.aclose()


async def test_a_listener_for_which_nobody_waited_has_no_connection_to_close():
    """A store that is closed before any wait has opened nothing."""
    await listening().aclose()


async def test_a_write_before_the_subscription_is_found():
    """What was published before the subscription ends the wait at once."""
    listener = listening(FakePubSub(CONFIRMED))
    await Entry(generation=2).waiting(listener)
    await listener.aclose()


async def test_the_store_is_not_looked_at_again_while_the_subscription_lasts():
    """A second wait for the same generation sends nothing; one for a missed generation looks."""
    pubsub, entry = FakePubSub(CONFIRMED), Entry()
    listener = listening(pubsub)
    first = entry.waiting(listener)
    await settled()
    first.cancel()
    await settled()
    second = entry.waiting(listener)
    await settled()
    looks = entry.looks
    second.cancel()
    entry.generation = 2
    pubsub.messages.put_nowait(published("aa:{key}:v 2"))
    await settled()
    await entry.waiting(listener)

    assert (looks, entry.looks) == (1, 2)
    await listener.aclose()


@pytest.mark.parametrize(
    "data", [b"aa:{other}:v 2", b"aa:{key}:v", b"aa:{key}:v \xff", b"", "aa:{key}:v two"], ids=repr
)
async def test_a_message_about_something_else_ends_no_wait(data):
    """Another entry, and whatever another program publishes, is ignored."""
    pubsub, entry = FakePubSub(CONFIRMED, published(data)), Entry()
    listener = listening(pubsub)
    waiting = entry.waiting(listener)
    await settled()

    assert not waiting.done()
    waiting.cancel()
    await listener.aclose()


async def test_a_connection_that_was_replaced_ends_every_wait():
    """redis-py subscribes again by itself; a message may have been lost meanwhile."""
    pubsub, entry = FakePubSub(CONFIRMED), Entry()
    listener = listening(pubsub)
    waiting = [entry.waiting(listener) for _ in range(2)]
    await settled()
    pubsub.messages.put_nowait(CONFIRMED)
    await asyncio.gather(*waiting)
    await listener.aclose()


async def test_the_connection_is_closed_once_nobody_waits():
    """A quiet connection stays open for a waiter, and is closed without one; the next opens one."""
    pubsubs, entry = [FakePubSub(CONFIRMED, None), FakePubSub(CONFIRMED)], Entry()
    listener = listening(*pubsubs)
    waiting = entry.waiting(listener)
    await settled()
    was_closed = pubsubs[0].is_closed
    waiting.cancel()
    await settled()
    pubsubs[0].messages.put_nowait(None)
    await settled()
    again = entry.waiting(listener)
    await settled()

    assert (was_closed, pubsubs[0].is_closed, pubsubs[1].is_closed) == (False, True, False)
    again.cancel()
    await listener.aclose()


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([None], "TimeoutError"),
        ([ConnectionError("secret detail")], "ConnectionError"),
        ([CONFIRMED, ConnectionError("secret detail")], "ConnectionError"),
    ],
    ids=["unconfirmed", "refused", "lost"],
)
async def test_a_failure_ends_the_wait_and_is_not_repeated_at_once(messages, words):
    """Waiters get a StoreError and poll; for ten seconds no other connection is opened."""
    pubsub, entry = FakePubSub(*messages), Entry()
    listener = listening(pubsub)
    with pytest.raises(aa.StoreError, match=words) as caught:
        await entry.waiting(listener)
    with pytest.raises(aa.StoreError, match="a moment ago"):
        await entry.waiting(listener)

    assert "secret" not in str(caught.value)
    assert pubsub.is_closed


async def test_another_connection_is_tried_after_a_failure(monkeypatch):
    """After the pause a waiter subscribes again."""
    monkeypatch.setattr(changes, "_COOL_DOWN", 0.0)
    listener = listening(FakePubSub(ConnectionError()), FakePubSub(CONFIRMED))
    with pytest.raises(aa.StoreError):
        await Entry().waiting(listener)
    await Entry(generation=2).waiting(listener)
    await listener.aclose()


async def test_closing_ends_the_wait():
    """A waiter gets a StoreError when the store is closed."""
    pubsub = FakePubSub(CONFIRMED)
    listener = listening(pubsub)
    waiting = Entry().waiting(listener)
    await settled()
    await listener.aclose()

    with pytest.raises(aa.StoreError):
        await waiting
    assert pubsub.is_closed


async def test_a_closed_store_leaves_no_connection(server, open_store):
    """Neither a waiter nor a subscription outlives the store."""
    before = len(server.do("CLIENT", "LIST").splitlines())
    async with open_store(server) as store:
        watching = asyncio.create_task(store.watch(KEY, generation=0))
        await until(lambda: b"cmd=subscribe" in server.do("CLIENT", "LIST"))
        # Its look at the entry follows on a connection of its own.
        await until(lambda: b"cmd=eval" in server.do("CLIENT", "LIST"))
        await store.load(KEY)
    with pytest.raises(aa.StoreError):
        await watching

    await until(lambda: len(server.do("CLIENT", "LIST").splitlines()) <= before)


async def test_one_subscription_serves_all_keys(server, open_store):
    """However many entries are waited for, one connection is subscribed."""
    async with open_store(server) as store:
        watching = [asyncio.create_task(store.watch(key, generation=0)) for key in (KEY, OTHER_KEY)]
        await until(lambda: b"cmd=subscribe" in server.do("CLIENT", "LIST"))
        subscribed = server.do("CLIENT", "LIST").count(b"cmd=subscribe")
        for key in (KEY, OTHER_KEY):
            await store.save(key, Record(fresh_token()), replaces=0)
        await asyncio.wait_for(asyncio.gather(*watching), 30)

    assert subscribed == 1


async def test_a_server_that_ends_lets_the_waiters_poll(open_store):
    """A waiter whose server has gone gets a StoreError."""
    with Server() as server:
        async with open_store(server, timeout=0.2) as store:
            watching = asyncio.create_task(store.watch(KEY, generation=0))
            await asyncio.sleep(0.05)
            server.kill()
            with pytest.raises(aa.StoreError):
                await asyncio.wait_for(watching, 30)


async def test_a_user_without_the_rights_still_writes(server, open_store, prefix, canary):
    """Without PUBLISH and SUBSCRIBE records are written, and waiters are told to poll."""
    commands = "+eval +evalsha +time +exists +del +get +set +hget +hset +pttl +pexpire"
    server.do("ACL", "SETUSER", prefix, "on", f">{canary.text}", f"~{prefix}:*", *commands.split())
    async with open_store(f"redis://{prefix}:{canary.text}@localhost:{server.port}") as store:
        written = await store.save(KEY, Record(fresh_token()), replaces=0)
        with pytest.raises(aa.StoreError, match="allow its user") as caught:
            await store.watch(KEY, generation=1)
    server.do("ACL", "DELUSER", prefix)

    assert written
    canary.assert_hidden(caught.value)


async def test_a_waiting_process_gets_the_token_without_polling(server, open_store):
    """A cold process gets the token of another's request when it is stored, not at its next look."""
    rarely = aa.SharingPolicy(min_poll=60, max_poll=60)
    async with open_store(server) as one, open_store(server) as two:
        leader = Rig(clock=SYSTEM_CLOCK, store=one, grant=GRANT, sharing=rarely)
        follower = Rig(clock=SYSTEM_CLOCK, store=two, grant=GRANT, sharing=rarely)
        response = leader.client.hold()
        leading = asyncio.create_task(leader.get())
        await until(lambda: leader.client.requests)
        following = asyncio.create_task(follower.get())
        await until(lambda: b"cmd=subscribe" in server.do("CLIENT", "LIST"))
        response.set_result(leader.client.make_token())
        tokens = await asyncio.wait_for(asyncio.gather(leading, following), 30)

    assert set(tokens) == {"token-1"}
    assert follower.client.requests == 0

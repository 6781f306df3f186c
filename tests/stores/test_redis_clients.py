"""Clients, event loops, TLS, users and passwords of a RedisTokenStore."""

import asyncio
import gc
import ssl
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import redis.asyncio
import trustme

import aritma_auth as aa
from aritma_auth.stores import Record
from support.fakes import until
from support.proxy import proxied
from support.stores import KEY, OPERATIONS, fresh_token
from support.valkey import CLUSTER, Server, unused_port

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
async def store(server, open_store):
    async with open_store(server) as store:
        yield store


async def test_many_operations_share_few_connections(server, open_store):
    """Operations beyond the limit wait for a connection."""
    before = server.do("CLIENT", "LIST").count(b"\n")
    async with open_store(server) as store:
        await asyncio.gather(*(store.load(str(number)) for number in range(200)))
        assert server.do("CLIENT", "LIST").count(b"\n") - before <= 16


def test_one_store_serves_many_event_loops(server, open_store):
    """One store serves event loops that run one after the other and at the same time."""
    store = open_store(server)

    async def use(number):
        async with store:
            await store.save(str(number), Record(fresh_token(), number), replaces=0)
            return (await store.load(str(number))).record.serial

    with ThreadPoolExecutor() as threads:
        found = list(threads.map(lambda number: asyncio.run(use(number)), range(4)))

    assert found == [0, 1, 2, 3]
    assert asyncio.run(use(4)) == 4


def test_loops_that_are_closed_are_forgotten(open_store):
    """A program that runs one loop after the other does not grow."""
    store = open_store(f"redis://localhost:{unused_port()}")

    async def use():
        with pytest.raises(aa.StoreError):
            await store.load(KEY)

    loops = []
    for _ in range(5):
        with asyncio.Runner() as runner:
            loops.append(weakref.ref(runner.get_loop()))
            runner.run(use())
    del runner
    gc.collect()

    assert sum(loop() is not None for loop in loops) <= 1


def test_a_loop_that_ends_closes_its_connections(server, open_store):
    """A job of its own event loop leaves no connection behind, although it does not close the store."""
    before = server.do("CLIENT", "LIST").count(b"\n")
    store = open_store(server)

    async def work():
        watching = asyncio.create_task(store.watch(KEY, generation=0))
        await store.load(KEY)
        await asyncio.sleep(0)
        return watching

    for _ in range(3):
        asyncio.run(work())
    deadline = time.monotonic() + 10
    while server.do("CLIENT", "LIST").count(b"\n") > before and time.monotonic() < deadline:
        time.sleep(0.01)

    assert server.do("CLIENT", "LIST").count(b"\n") <= before


async def test_a_store_can_be_closed_and_used_again(store):
    """Closing ends the connections, not the store."""
    await store.aclose()
    await store.aclose()

    assert await store.load(KEY) is None


@pytest.mark.parametrize("turns", [1, 6, 8, 10])
async def test_closing_can_be_repeated(open_store, turns):
    """A call that was cut short leaves no connection behind, once another has returned."""
    with Server() as server:
        store = open_store(server)
        watching = asyncio.create_task(store.watch(KEY, generation=0))
        await asyncio.gather(*(store.load(f"{number:032}") for number in range(6)))
        closing = asyncio.create_task(store.aclose())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait((closing, watching))
        await store.aclose()
        watching.exception()
        await until(lambda: server.do("CLIENT", "LIST").count(b"\n") == 1)


async def test_a_given_client_is_used_as_it_is_and_stays_open(server, open_store):
    """A given client stays open, and may even decode responses."""
    async with redis.asyncio.Redis(port=server.port, decode_responses=True) as client:
        async with open_store(client) as store:
            await store.save(KEY, Record(fresh_token()), replaces=0)
            assert (await store.load(KEY)).token.access_token == "one"
            assert repr(store).endswith("a given Redis>")
        assert await client.ping()


async def test_a_cluster_serves_as_well_as_one_server(open_store, names):
    """All names of one key are in one slot, so that the scripts may use them together."""
    with Server(*CLUSTER) as server:
        server.become_a_cluster()
        async with (
            redis.asyncio.RedisCluster("127.0.0.1", server.port) as client,
            open_store(client) as store,
        ):
            lease = await store.acquire(KEY, seconds=60)
            await store.save(KEY, Record(fresh_token()), replaces=0, fence=lease.fence)
            for operation in OPERATIONS.values():
                await operation(store, lease)
        slots = {server.do("CLUSTER", "KEYSLOT", name) for name in (KEY, *names)}

    assert len(slots) == 1


async def test_tls_is_spoken_and_the_server_is_checked(server, open_store, tmp_path):
    """The certificate is verified against the files that the URL names, or else the machine's."""
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


GRANTED = "+eval +evalsha +time +exists +del +get +set +hget +hset +pttl +pexpire"


@pytest.fixture
def user(server, prefix, canary):
    """Give a user who may do no more than the documentation asks for."""
    server.do("ACL", "SETUSER", prefix, "on", f">{canary.text}", f"~{prefix}:*", *GRANTED.split())
    yield SimpleNamespace(name=prefix, password=canary.text)
    server.do("ACL", "DELUSER", prefix)


async def test_a_restricted_user_will_do(server, open_store, user, canary):
    """The URL's user and password suffice, and neither is shown."""
    url = f"redis://{user.name}:{user.password}@localhost:{server.port}/"
    async with open_store(url, prefix=user.name) as store:
        lease = await store.acquire(KEY, seconds=60)
        for operation in OPERATIONS.values():
            await operation(store, lease)

    canary.assert_hidden(store)
    assert user.name not in repr(store).removeprefix(f"<RedisTokenStore {user.name!r}")


async def test_a_rotated_password_is_found(server, open_store, user):
    """The password is loaded for each connection, and goes before the URL's."""
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
    """A URL without a user name logs in as the default user."""
    with own_server.configured("requirepass", "secret"):
        async with open_store(f"redis://:secret@localhost:{own_server.port}") as store:
            assert await store.load(KEY) is None


async def test_a_password_that_cannot_be_read_says_so(server, open_store, monkeypatch):
    """The error names the source, and the connection is not used without the password."""
    monkeypatch.delenv("REDIS_PASSWORD", raising=False)
    secret = aa.Secret.from_env("REDIS_PASSWORD")
    async with open_store(server, password=secret) as store:
        for _ in range(2):
            with pytest.raises(aa.StoreError, match="REDIS_PASSWORD must hold a secret"):
                await store.load(KEY)


@pytest.mark.parametrize("database", [0, 3])
async def test_a_connection_whose_log_in_was_cut_short_is_not_used(server, open_store, database):
    """Otherwise commands would go out without the password, and to database 0."""
    may_load = asyncio.Event()

    async def load():
        await may_load.wait()
        return "wrong"

    secret = aa.Secret.from_callable(load)
    url = f"redis://127.0.0.1:{server.port}/{database}"
    async with open_store(url, password=secret, timeout=0.2) as store:
        for _ in range(3):
            with pytest.raises(aa.StoreError):
                await store.save(KEY, Record(fresh_token()), replaces=0)
        may_load.set()
        with pytest.raises(aa.StoreError, match="AuthenticationError"):
            await store.load(KEY)
    async with open_store(server) as other:
        assert await other.load(KEY) is None


async def test_errors_show_neither_password_nor_tokens(open_store, canary):
    """Neither the errors nor their tracebacks show a secret."""
    url = f"redis://user:{canary.text}@localhost:{unused_port()}"
    async with open_store(url) as store:
        for operation in (
            store.load(KEY),
            store.save(
                KEY, Record(fresh_token(canary.text, refresh_token=canary.text)), replaces=0
            ),
            store.acquire(KEY, seconds=1),
        ):
            with pytest.raises(aa.StoreError) as caught:
                await operation
            canary.assert_hidden(caught.value)

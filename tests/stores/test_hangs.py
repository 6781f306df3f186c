"""Disks, keyrings and servers that hang: bounded in time, threads and memory, and they recover."""

import asyncio
import gc
import os
import threading
import time
import weakref

import pytest

import aritma_auth as aa
from aritma_auth.events import StoreFailed, StoreReturned
from support.clock import FakeClock
from support.fakes import until
from support.keyrings import DictKeyring
from support.proxy import proxied
from support.rig import Rig
from support.stores import KEY, KEYS, NEW, OLD, within_some_attempts
from support.valkey import Server

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture(autouse=True)
async def no_idle_threads():
    """Wait for the threads of earlier tests to end."""
    await until(lambda: not store_threads())


def store_threads():
    """Return how many threads of stores there are."""
    return sum(thread.name.startswith("aritma-auth store") for thread in threading.enumerate())


@pytest.fixture
def dead_disk(monkeypatch):
    """Let every opening of an entry block until the event is set."""
    is_back, real = threading.Event(), os.open

    def blocking(path, *arguments, **settings):
        if str(path).endswith(".token"):
            is_back.wait(60)
        return real(path, *arguments, **settings)

    monkeypatch.setattr(os, "open", blocking)
    yield is_back
    is_back.set()


@pytest.fixture
def own_executor_only(monkeypatch):
    """Fail what runs in the event loop's default executor."""

    def refuse(*_arguments):
        raise AssertionError("the default executor belongs to the application")

    monkeypatch.setattr(asyncio.BaseEventLoop, "run_in_executor", refuse)


@pytest.fixture
def hung_once(monkeypatch):
    """Let the next opening of an entry block until the second event is set; the first one tells."""
    has_begun, is_back, real = threading.Event(), threading.Event(), os.open

    def blocking(path, *arguments, **settings):
        if str(path).endswith(".token") and not has_begun.is_set():
            has_begun.set()
            is_back.wait(60)
        return real(path, *arguments, **settings)

    monkeypatch.setattr(os, "open", blocking)
    yield has_begun, is_back
    is_back.set()


@pytest.mark.parametrize("hangs", ["save", "acquire"])
async def test_a_disk_that_hangs_for_one_process_stops_no_other(tmp_path, hung_once, hangs):
    """A hung process holds no lock: others get the lease and write, and it finds that it is late."""
    has_begun, is_back = hung_once
    hung, other = aa.FileTokenStore(tmp_path), aa.FileTokenStore(tmp_path)
    has_begun.set()
    assert await other.save(KEY, OLD, replaces=0)
    has_begun.clear()
    work = hung.save(KEY, OLD, replaces=1) if hangs == "save" else hung.acquire(KEY, seconds=5)
    hanging = asyncio.ensure_future(work)
    await asyncio.to_thread(has_begun.wait, 20)

    lease = await other.acquire(KEY, seconds=5)
    assert lease is not None
    assert await other.save(KEY, NEW, replaces=1, fence=lease.fence)
    is_back.set()
    assert not await hanging
    await lease.release()


@pytest.mark.usefixtures("own_executor_only")
async def test_a_thousand_hung_operations_hold_four_threads(tmp_path, dead_disk):
    """Each caller's time-out ends its own operation, and all is well once the disk is back."""
    store = aa.FileTokenStore(tmp_path)
    started = time.monotonic()

    async def use(number):
        async with asyncio.timeout(0.3):
            if number % 2:
                return await store.load(KEY)
            return await store.save(KEY, OLD, replaces=0)

    results = await asyncio.gather(*map(use, range(1000)), return_exceptions=True)

    assert all(isinstance(result, TimeoutError) for result in results)
    assert time.monotonic() - started < 20
    assert 1 <= store_threads() <= 4
    dead_disk.set()
    is_saved = False
    async with asyncio.timeout(30):
        while not is_saved:
            # A save that hung may come through meanwhile.
            entry = await store.load(KEY)
            is_saved = await store.save(KEY, NEW, replaces=entry.generation if entry else 0)
    assert (await store.load(KEY)).record == NEW


@pytest.mark.usefixtures("own_executor_only")
async def test_a_hundred_stores_on_dead_disks_hold_a_bounded_number_of_threads(tmp_path, dead_disk):
    """The threads are bounded for the process, not for each store."""
    stores = [aa.FileTokenStore(tmp_path / str(number)) for number in range(100)]
    for store in stores:
        (tmp_path / str(stores.index(store))).mkdir(0o700)
    loads = [asyncio.ensure_future(store.load(KEY)) for store in stores for _ in range(3)]
    await asyncio.wait(loads, timeout=0.3)

    assert store_threads() <= 32
    dead_disk.set()
    assert set(await asyncio.gather(*loads)) == {None}


@pytest.mark.usefixtures("own_executor_only")
async def test_a_keyring_that_hangs_holds_four_threads(tmp_path):
    """A keyring may wait for ever for an end-user who does not unlock it."""
    backend, is_back = DictKeyring(), threading.Event()
    get = backend.get_password
    backend.get_password = lambda *names: (is_back.wait(60), get(*names))[1]
    store = aa.KeyringTokenStore(keyring=backend, lock_folder=tmp_path)
    loads = [asyncio.ensure_future(store.load(str(number))) for number in range(1000)]
    await asyncio.wait(loads, timeout=0.3)
    held = store_threads()
    for load in loads:
        load.cancel()
    await asyncio.wait(loads)
    is_back.set()

    assert held <= 4
    assert await asyncio.wait_for(store.load(KEY), 30) is None


@pytest.mark.parametrize("operation", ["load", "save", "acquire"])
async def test_a_cancelled_operation_on_a_dead_disk_ends_at_once(tmp_path, dead_disk, operation):
    """The thread goes on by itself, and leaves neither a lease nor a half-written entry."""
    store = aa.FileTokenStore(tmp_path)
    calls = {
        "load": lambda: store.load(KEY),
        "save": lambda: store.save(KEY, OLD, replaces=0),
        "acquire": lambda: store.acquire(KEY, seconds=30),
    }
    calling = asyncio.ensure_future(calls[operation]())
    await asyncio.wait([calling], timeout=0.2)
    was_running = not calling.done()
    started = time.monotonic()
    calling.cancel()
    await asyncio.wait([calling])
    waited = time.monotonic() - started
    dead_disk.set()

    assert was_running
    assert calling.cancelled()
    # The disk hangs for a minute.
    assert waited < 20
    lease = None
    async with asyncio.timeout(30):
        while lease is None:
            lease = await store.acquire(KEY, seconds=30)
        entry = await store.load(KEY)
    assert entry is None or entry.record == OLD
    await lease.release()


async def test_hung_operations_leave_no_memory_behind(tmp_path, dead_disk):
    """A dead disk that is tried again for a day must not make the process grow."""
    store = aa.FileTokenStore(tmp_path)
    kept = []
    for number in range(500):
        record = aa.Record(aa.Token(f"token-{number}"), number)
        kept.append(weakref.ref(record))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await store.save(KEY, record, replaces=0)
        del record
    gc.collect()

    assert sum(record() is not None for record in kept) <= 5


@pytest.mark.usefixtures("own_executor_only")
async def test_a_provider_goes_on_without_a_hung_disk_and_comes_back(tmp_path, dead_disk):
    """get_token() ends within the store's time-out, and the store is used again afterwards."""
    clock = FakeClock()
    sharing = aa.SharingPolicy(store_timeout=0.2)
    rigs = [
        Rig(clock, store=aa.FileTokenStore(tmp_path, clock=clock), sharing=sharing)
        for _ in range(20)
    ]
    started = time.monotonic()
    tokens = await asyncio.gather(*(rig.get() for rig in rigs))
    waited = time.monotonic() - started
    dead_disk.set()
    # A busy machine may need longer than the store's time-out for the first attempt.
    async with asyncio.timeout(30):
        while not rigs[0].happened(StoreReturned):
            clock.advance(3600)
            await rigs[0].get()

    assert set(tokens) == {"token-1"}
    assert waited < 20
    assert store_threads() <= 4
    assert rigs[0].happened(StoreFailed)


async def test_a_thousand_operations_on_a_hung_server_end_in_time(open_store):
    """They wait for the few connections no longer than for the server."""
    with Server() as server:
        async with open_store(server, timeout=0.5) as store:
            threads = threading.active_count()
            with server.hung():
                started = time.monotonic()
                results = await asyncio.gather(
                    *(store.load(str(number)) for number in range(1000)), return_exceptions=True
                )
                waited = time.monotonic() - started
                assert threading.active_count() <= threads + 1
            connections = server.do("CLIENT", "LIST").count(b"\n")

            assert {type(result) for result in results} == {aa.StoreError}
            assert waited < 20
            assert connections <= 18
        async with open_store(server) as store:
            assert await store.load(KEY) is None


@pytest.mark.parametrize("operation", ["load", "acquire", "save"])
async def test_a_server_that_drips_ends_in_time(server, open_store, operation):
    """A response that never comes to its end is none."""
    async with proxied(server.port) as proxy, open_store(proxy, timeout=0.3) as store:
        proxy.is_mute = True
        started = time.monotonic()
        calls = {
            "load": lambda: store.load(KEY),
            "acquire": lambda: store.acquire(KEY, seconds=1),
            "save": lambda: store.save(KEY, OLD, replaces=0),
        }
        with pytest.raises(aa.StoreError, match="TimeoutError"):
            await calls[operation]()
        waited = time.monotonic() - started
        proxy.is_mute = False

        assert waited < 20
        entry = await within_some_attempts(lambda: store.load(KEY))
        assert entry is None or operation == "save"


async def test_a_password_that_is_never_loaded_ends_in_time(server):
    """A vault that hangs is part of the operation that needs it, and has its time-out."""

    async def hang():
        await asyncio.Event().wait()

    secret = aa.Secret.from_callable(hang)
    async with aa.RedisTokenStore(server.url, keys=KEYS, password=secret, timeout=0.2) as store:
        started = time.monotonic()
        for _ in range(3):
            with pytest.raises(aa.StoreError):
                await store.load(KEY)

    assert time.monotonic() - started < 20

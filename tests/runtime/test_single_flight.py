"""One flight, joined from tasks, loops, threads and after forks."""

import asyncio
import gc
import logging
import os
import socket
import sys
import threading
import time
import weakref

import aiohttp
import pytest

import aritma_auth as aa
from aritma_auth.runtime.lock import STATE_LOCK, fork_safe_lock, reset_all_locks
from aritma_auth.runtime.single_flight import SingleFlight
from aritma_auth.runtime.tasks import silence, uninterrupted
from support.clock import FakeClock
from support.fakes import FakeClient
from support.internals import end_flight, flight_of
from support.loops import COLLECTS_IN_ORDER, new_eager_loop

GRANT = aa.ClientCredentialsGrant(scope="bankservice")


def make(work):
    return SingleFlight(lambda _flight: work(), fork_safe_lock())


class SlowClient(FakeClient):
    """A client whose requests take real time, on any loop."""

    def __init__(self, seconds=0.05):
        super().__init__(FakeClock())
        self.seconds = seconds

    async def fetch_token(self, grant, *, timeout=None):
        self.grants.append(grant)
        await asyncio.sleep(self.seconds)
        return self.make_token()


def provider_of(client):
    return aa.TokenProvider(client, GRANT, clock=client.clock, on_event=None)


async def test_a_flight_that_is_over_is_joined_at_once():
    """The result of a flight stays readable after its end."""

    async def work():
        return "result"

    single = make(work)
    flight = single.launch()
    first = await single.join(flight)

    assert first == await single.join(flight) == "result"
    assert single.current is None


async def test_many_waiters_go_on_a_part_in_each_turn_of_their_loop():
    """The rest of the loop runs between them, and those cancelled meanwhile stay so."""

    async def work():
        return "result"

    single = make(work)
    flight = single.launch()
    waiting = [single.join(flight) for _ in range(1_000)]
    await waiting[0]
    one_turn = sum(future.done() for future in waiting)
    waiting[-1].cancel()
    rest = await asyncio.gather(*waiting[:-1])

    assert 0 < one_turn < 500
    assert set(rest) == {"result"}
    assert waiting[-1].cancelled()


async def test_a_cancelled_flight_is_lost_and_the_next_starts_anew():
    """Its waiters get None, and start over."""
    started = []

    async def work():
        started.append(1)
        await asyncio.Event().wait()

    single = make(work)
    waiting = asyncio.ensure_future(single.join(single.launch()))
    await asyncio.sleep(0.01)
    await single.cancel()
    await single.cancel()

    assert await waiting is None
    assert single.launch() is single.current
    await single.cancel()


async def test_work_that_raises_is_told_and_not_repeated():
    """The work must not raise; starting over would raise it again, for ever."""
    runs = []

    async def work():
        runs.append(1)
        raise KeyError("detail")

    single = make(work)
    flight = single.launch()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="raised KeyError"):
            await single.join(flight)

    assert len(runs) == 1


async def test_a_task_that_cannot_start_leaves_no_flight(monkeypatch):
    """The next caller can start a flight."""

    async def work():
        return "result"

    single = make(work)
    loop = asyncio.get_running_loop()

    def refuse(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(loop, "create_task", refuse)
    with pytest.raises(MemoryError):
        single.launch()
    monkeypatch.undo()

    assert await single.join(single.launch()) == "result"


def run_in_threads(provider, threads, callers, new_loop=asyncio.new_event_loop):
    """Call get_token from several loops in as many threads; give all tokens."""
    found, barrier = [], threading.Barrier(threads)

    async def ask():
        tokens = await asyncio.gather(*(provider.get_token() for _ in range(callers)))
        found.extend(token.access_token for token in tokens)

    def run():
        barrier.wait()
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(ask())

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    return found


@pytest.mark.parametrize(
    "new_loop",
    [
        pytest.param(asyncio.new_event_loop, id="asyncio"),
        pytest.param(
            new_eager_loop,
            id="eager",
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="needs Python 3.12"),
        ),
        "uvloop",
    ],
)
def test_four_threads_of_fifty_callers_share_one_request(new_loop):
    """The callers of every loop join one flight."""
    if new_loop == "uvloop":
        new_loop = pytest.importorskip("uvloop").new_event_loop
    client = SlowClient(0.2)
    found = run_in_threads(provider_of(client), 4, 50, new_loop)

    assert found == ["token-1"] * 200
    assert client.requests == 1


def test_a_provider_is_used_in_one_loop_after_another():
    """Nothing is bound to the loop of the first call."""
    client = SlowClient(0)
    provider = provider_of(client)
    first = asyncio.run(provider.get_token())
    client.clock.advance(3600)
    second = asyncio.run(provider.get_token())

    assert (first.access_token, second.access_token) == ("token-1", "token-2")


def test_a_loop_that_ends_in_mid_flight_hurts_nobody():
    """asyncio.run cancels the flight, and the next loop starts another."""
    client = SlowClient(5)
    provider = provider_of(client)

    async def impatient():
        with pytest.raises(aa.TokenTimeoutError):
            await provider.get_token(timeout=0.01)

    asyncio.run(impatient())
    client.seconds = 0

    assert asyncio.run(provider.get_token()).access_token == "token-1"


def test_a_loop_closed_without_cancelling_leaves_no_complaint(caplog):
    """Its flight is forgotten, and asyncio reports neither 'was destroyed' nor 'never retrieved'."""
    client = SlowClient(5)
    provider = provider_of(client)
    loop = asyncio.new_event_loop()
    caller = loop.create_task(provider.get_token())
    silence(caller)
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    del caller, loop
    client.seconds = 0
    token = asyncio.run(provider.get_token())
    gc.collect()

    assert token.access_token == "token-1"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def hold_in_another_loop(provider):
    """Start a flight in a thread's loop and leave the loop standing still; give the loop."""
    loop = asyncio.new_event_loop()

    async def start():
        task = asyncio.ensure_future(provider.get_token())
        silence(task)
        await asyncio.sleep(0.01)
        return task

    return loop, loop.run_until_complete(start())


def test_a_waiter_does_not_wait_for_a_loop_that_was_closed():
    """The waiter notices, and starts a flight of its own."""
    client = SlowClient(5)
    provider = provider_of(client)
    loop, caller = hold_in_another_loop(provider)

    async def wait_and_close():
        waiting = asyncio.create_task(provider.get_token())
        await asyncio.sleep(0.05)
        client.seconds = 0
        loop.close()
        return await waiting

    assert asyncio.run(wait_and_close()).access_token == "token-1"
    del caller


def test_a_waiter_does_not_wait_for_ever_for_a_loop_that_stands_still(monkeypatch):
    """After a second the flight counts as lost."""
    monkeypatch.setattr("aritma_auth.runtime.single_flight._LOOK_AGAIN", 0.01)
    client = SlowClient(0.1)
    provider = provider_of(client)
    loop, caller = hold_in_another_loop(provider)
    token = asyncio.run(provider.get_token())
    loop.run_until_complete(caller)
    loop.close()

    assert token.access_token == "token-1"
    assert asyncio.run(provider.get_token()).access_token == "token-1"


def test_a_provider_is_closed_from_another_loop():
    """The flight of a running loop is cancelled there, and its callers get ProviderClosedError."""
    client = SlowClient(30)
    provider = provider_of(client)
    heard = []

    def call():
        try:
            asyncio.run(provider.get_token())
        except aa.ProviderClosedError as error:
            heard.append(error)

    worker = threading.Thread(target=call)
    worker.start()
    while not client.grants:
        time.sleep(0.005)
    asyncio.run(provider.aclose())
    worker.join(20)

    assert len(heard) == 1


async def test_another_loop_does_not_cut_off_what_becomes_critical_meanwhile():
    """Whether it may be cut is decided on the flight's own loop, in the moment of the cut."""
    entered = asyncio.Event()

    async def work():
        with uninterrupted():
            entered.set()
            await asyncio.sleep(0.2)
        return "result"

    single = make(work)
    flight = single.launch()
    await entered.wait()
    await asyncio.to_thread(asyncio.run, single.cancel())

    assert flight.result == "result"


def test_closing_forgets_a_flight_whose_loop_is_gone():
    """Closing does not wait for a loop that cannot run any more."""
    client = SlowClient(5)
    provider = provider_of(client)
    loop, caller = hold_in_another_loop(provider)
    loop.close()
    del caller
    asyncio.run(provider.aclose())

    assert not provider.status().is_refreshing


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_starts_anew():
    """Neither its parent's lock nor its parent's flight is its own."""
    client = SlowClient(5)
    provider = provider_of(client)
    loop, caller = hold_in_another_loop(provider)
    with STATE_LOCK:
        child = os.fork()
        if child == 0:
            asyncio.events._set_running_loop(None)
            client.seconds = 0
            token = asyncio.run(provider.get_token())
            os._exit(0 if token.access_token == "token-1" else 1)
    _, status = os.waitpid(child, 0)
    caller.cancel()
    loop.run_until_complete(asyncio.wait((caller,)))
    loop.run_until_complete(provider.aclose())
    loop.close()

    assert os.waitstatus_to_exitcode(status) == 0


def test_after_a_fork_locks_and_flights_are_new(monkeypatch):
    """The same is seen from inside: the lock is free, and the flight is not this process's."""
    provider = provider_of(SlowClient(5))
    loop, caller = hold_in_another_loop(provider)
    flight = flight_of(provider)
    holder = threading.Thread(target=STATE_LOCK.acquire)
    holder.start()
    holder.join()
    was_free = STATE_LOCK.acquire(blocking=False)
    reset_all_locks()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    is_refreshing = provider.status().is_refreshing
    caller.cancel()
    flight.task.work.cancel()
    loop.run_until_complete(asyncio.wait((caller, flight.task.work)))
    loop.close()

    assert not was_free
    assert not is_refreshing


def test_a_flight_that_ends_outside_of_any_loop_wakes_nobody():
    """This happens when the garbage collector closes it after its loop."""

    async def work():
        await asyncio.Event().wait()

    single = make(work)
    loop = asyncio.new_event_loop()

    async def start():
        flight = single.launch()
        waiting = asyncio.ensure_future(single.join(flight))
        silence(waiting)
        await asyncio.sleep(0.01)
        return flight

    flight = loop.run_until_complete(start())
    loop.close()
    end_flight(single, flight, None)
    end_flight(single, flight, None)

    assert flight.is_over
    assert single.current is None


@pytest.mark.parametrize("steps", [*range(3, 16), 30])
def test_a_loop_closed_in_mid_request_leaves_no_open_session(steps, recwarn, caplog, monkeypatch):
    """What asyncio itself says of a socket that a closed loop left open is not ours to silence."""
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = aa.OAuthClient(
            "id", "secret", environment=aa.Environment.at(f"http://127.0.0.1:{port}")
        )
        provider = aa.TokenProvider(client, GRANT, on_event=None)
        loop = asyncio.new_event_loop()
        caller = loop.create_task(provider.get_token())
        silence(caller)
        loop.run_until_complete(turn(steps))
        loop.close()
        del caller, loop
        asyncio.run(provider.aclose())
        del provider
        gc.collect()

    sessions = [one for one in gc.get_objects() if isinstance(one, aiohttp.ClientSession)]
    assert [session for session in sessions if not session.closed] == []
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    caplog.clear()
    if not COLLECTS_IN_ORDER:
        return
    # aiohttp writes a request in a task of its own.
    assert [text for record in errors if "aiohttp" not in (text := record.getMessage())] == []
    assert [repr(complaint.exc_value) for complaint in complaints] == []
    assert not [warning for warning in recwarn if "session" in str(warning.message)]


async def turn(times):
    """Let the loop turn so often and no longer: each number ends at another await."""
    for _ in range(times):
        await asyncio.sleep(0)


def test_a_forgotten_provider_is_collected_without_complaint(caplog):
    """No task, session or lock keeps it alive."""
    provider = provider_of(SlowClient(0))
    asyncio.run(provider.get_token())
    forgotten = weakref.ref(provider)
    del provider
    gc.collect()

    assert forgotten() is None
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []

"""Tests of CachedDocument: one request at a time fetches it, and it is kept while fresh."""

import asyncio
import threading

import pytest

import aritma_auth as aa
from aritma_auth.client.cached_document import COOL_DOWN, DAY, STALE, CachedDocument
from support.clock import FakeClock
from support.fakes import settle


class Press:
    """Publishes numbered editions, or raises what is listed first."""

    def __init__(self):
        self.clock = FakeClock()
        self.fetches = 0
        self.errors = []
        self.gate = None
        self.document = CachedDocument(self.fetch, self.clock)

    async def fetch(self):
        self.fetches += 1
        edition = self.fetches
        if self.gate is not None:
            await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        return edition


@pytest.fixture
def press():
    return Press()


DOWN = aa.TransportError("down")


async def test_it_is_fetched_once_a_day(press):
    """The document is fetched again when it is a day old."""
    first = [await press.document.get() for _ in range(3)]
    press.clock.advance(DAY - 1)
    late = await press.document.get()
    press.clock.advance(1)

    assert (first, late, await press.document.get()) == ([1, 1, 1], 1, 2)


async def test_many_callers_are_one_request(press):
    """Concurrent callers share one request, also when the first of them is cancelled."""
    press.gate = asyncio.Event()
    callers = [asyncio.create_task(press.document.get()) for _ in range(25)]
    await settle()
    callers[0].cancel()
    press.gate.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)

    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1:] == [1] * 24
    assert press.fetches == 1


async def test_several_threads_are_one_request(press):
    """Threads with an event loop each share one request; a second would bring edition two."""
    started = threading.Barrier(4)

    def run():
        async def main():
            started.wait()
            return await press.document.get()

        editions.append(asyncio.run(main()))

    editions = []
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)

    assert editions == [1, 1, 1, 1]


def test_a_request_whose_loop_ends_is_made_again(press):
    """A new loop fetches the document again when the first request's loop has closed."""

    async def give_up():
        task = asyncio.create_task(press.document.get())
        await settle()
        task.cancel()

    press.gate = asyncio.Event()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(give_up())
    loop.close()
    press.gate = None

    assert asyncio.run(press.document.get()) == 2


def test_the_failure_of_a_request_that_was_given_up_is_nobodys(press):
    """Its loop stood still, and another loop has the document: no pause begins."""
    gate = press.gate = asyncio.Event()
    loop = asyncio.new_event_loop()
    caller = loop.create_task(press.document.get())
    loop.run_until_complete(settle())
    # What waits for the gate is ready when the loop stops, and so the first to go on.
    loop.call_soon(gate.set)
    loop.call_soon(loop.stop)
    loop.run_forever()
    press.gate = None
    assert asyncio.run(press.document.get()) == 2

    press.errors = [DOWN]
    assert loop.run_until_complete(caller) == 2
    loop.close()

    assert press.errors == []
    assert asyncio.run(press.document.reload()) == 3


async def test_an_outage_before_the_first_response_is_one_request_and_a_pause(press):
    """25 callers, and 25 more during the pause, each raise a copy of the same failure."""
    press.errors = [DOWN, DOWN, DOWN]
    outcomes = await asyncio.gather(
        *(press.document.get() for _ in range(25)), return_exceptions=True
    )
    press.clock.advance(0.5)
    outcomes += await asyncio.gather(
        *(press.document.get() for _ in range(25)), return_exceptions=True
    )

    assert {type(error) for error in outcomes} == {aa.TransportError}
    assert {round(error.retry_after, 1) for error in outcomes} == {1.0, 0.5}
    assert len({id(error) for error in outcomes}) == 50
    assert press.fetches == 1


async def test_the_pause_grows_to_a_minute(press):
    """Each failure doubles the pause up to a minute; a response resets it."""
    press.errors = [DOWN] * 8
    pauses = []
    for _ in range(8):
        with pytest.raises(aa.TransportError) as caught:
            await press.document.get()
        pauses.append(caught.value.retry_after)
        press.clock.advance(pauses[-1])
    first = await press.document.get()
    press.clock.advance(STALE)
    press.errors = [DOWN]
    with pytest.raises(aa.TransportError) as caught:
        await press.document.get()

    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60], abs=0.05)
    assert first == 9
    assert caught.value.retry_after == pytest.approx(1, abs=0.05)


async def test_the_servers_own_pause_is_kept_within_a_minute(press):
    """The server's Retry-After lengthens the pause, up to a minute."""
    press.errors = [
        aa.TransportError("busy", retry_after=30),
        aa.TransportError("x", retry_after=1e6),
    ]
    pauses = []
    for _ in range(2):
        with pytest.raises(aa.TransportError) as caught:
            await press.document.get()
        pauses.append(caught.value.retry_after)
        press.clock.advance(30)

    assert pauses == pytest.approx([30, COOL_DOWN], abs=0.05)


async def test_a_caller_who_sleeps_for_retry_after_causes_a_fetch(press):
    """Also if its timer fires some milliseconds early, as uvloop's may."""
    press.errors = [DOWN]
    with pytest.raises(aa.TransportError) as caught:
        await press.document.get()
    press.clock.advance(caught.value.retry_after - 0.016)

    assert await press.document.get() == 2


async def test_an_old_document_serves_while_the_server_is_down(press):
    """A stale document is served for a week while the server fails; then the error is raised."""
    await press.document.get()
    press.clock.advance(DAY)
    press.errors = [DOWN] * 3
    stale = [await press.document.get() for _ in range(5)]
    asked = press.fetches
    press.clock.advance(STALE - DAY)
    with pytest.raises(aa.TransportError):
        await press.document.get()

    assert (stale, asked) == ([1] * 5, 2)


async def test_a_reload_is_forced_once_a_minute(press):
    """A flood of unknown keys costs one request a minute."""
    await press.document.get()
    flood = [await press.document.reload() for _ in range(100)]
    press.clock.advance(COOL_DOWN - 1)
    early = await press.document.reload()
    press.clock.advance(1)

    assert flood == [2] * 100
    assert (early, await press.document.reload()) == (2, 3)


async def test_concurrent_reloads_share_one_request(press):
    """Each forced reload waits for the new keys, while get() serves the old document."""
    await press.document.get()
    press.gate = asyncio.Event()
    forced = [asyncio.create_task(press.document.reload()) for _ in range(25)]
    await settle()
    at_ease = await press.document.get()
    press.gate.set()

    assert await asyncio.gather(*forced) == [2] * 25
    assert at_ease == 1


async def test_a_failed_reload_gives_the_old_document_and_may_soon_be_tried_again(press):
    """A failed reload blocks the next one for a second, a successful one for a minute."""
    await press.document.get()
    press.errors = [DOWN]
    failed = [await press.document.reload() for _ in range(10)]
    press.clock.advance(1)

    assert failed == [1] * 10
    assert await press.document.reload() == 3


async def test_a_clock_that_is_set_back_makes_everything_old(press):
    """A document that was fetched in the future of a corrected clock is fetched anew."""
    press.clock.advance(1_000_000_000)
    await press.document.get()
    await press.document.reload()
    press.clock.advance(-1_000_000_000)

    assert await press.document.get() == 3
    assert await press.document.reload() == 4


async def test_a_reload_without_a_document_is_a_first_request(press):
    """A reload without a cached document raises the failure of its request."""
    press.errors = [DOWN]
    with pytest.raises(aa.TransportError):
        await press.document.reload()
    press.clock.advance(1)

    assert await press.document.reload() == 2


async def test_a_documents_age_counts_from_the_request(press):
    """A document's age counts from the start of its request, not from the response."""
    press.gate = asyncio.Event()
    asking = asyncio.create_task(press.document.get())
    await settle()
    press.clock.advance(3600)
    press.gate.set()
    await asking
    press.clock.advance(DAY - 3600)

    assert await press.document.get() == 2


@pytest.mark.parametrize("ask", ["get", "reload"])
async def test_a_request_that_is_lost_each_time_is_given_up(press, ask):
    """A caller is not kept for ever by event loops that end before the response."""

    async def end_with_the_loop():
        press.fetches += 1
        raise asyncio.CancelledError

    document = CachedDocument(end_with_the_loop, press.clock)

    with pytest.raises(aa.TransportError, match="keep the loops running"):
        await getattr(document, ask)()

    assert press.fetches == 10

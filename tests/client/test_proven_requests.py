"""Requests that share a server's nonces: when they are repeated, and when they take turns."""

import asyncio

import pytest
from yarl import URL

import aritma_auth as aa
from aritma_auth.client.dpop_proofs import ProofMaker
from aritma_auth.protocol.dpop import INVALID_PROOF, USE_NONCE

pytestmark = pytest.mark.usefixtures("no_leftovers")

KEY = aa.SigningKey.generate("ES256")
URL_A = URL("https://api.example/a")
ELSEWHERE = URL("https://other.example/a")


@pytest.fixture
def proofs(clock):
    return ProofMaker(aa.DPoP(KEY), clock, clock.time, 30.0)


def refuse(proofs, request, nonce, url=URL_A):
    """Let a server refuse a request's nonce and give it another one; tell whether to repeat."""
    proofs.learn(url, nonce)
    return request.may_repeat(USE_NONCE)


async def is_held_back(request):
    """Tell whether a request waits for its turn; let it wait."""
    task = asyncio.create_task(request.take_turn())
    for _ in range(10):
        await asyncio.sleep(0)
    if task.done():
        await task
        return None
    return task


async def test_a_request_alone_is_repeated_once(proofs):
    """No other request has spent its nonce: a second refusal says that the server is broken."""
    request = proofs.begin(URL_A)

    assert refuse(proofs, request, "one")
    assert request.view.nonce == "one"
    assert not refuse(proofs, request, "two")
    request.end()


async def test_a_request_elsewhere_explains_nothing(proofs):
    """Each server has nonces of its own."""
    request, other = proofs.begin(URL_A), proofs.begin(ELSEWHERE)
    refuse(proofs, request, "one")

    assert not refuse(proofs, request, "two")
    request.end()
    other.end()


async def test_an_old_nonce_given_again_is_no_reason_to_repeat(proofs):
    """The server would want the same for ever."""
    request, other = proofs.begin(URL_A), proofs.begin(URL_A)
    refuse(proofs, request, "one")

    assert not refuse(proofs, request, "one")
    request.end()
    other.end()


async def test_requests_that_refuse_one_another_take_turns(proofs):
    """The first waits for those under way, each next one for the response before it."""
    first, second, third = (proofs.begin(URL_A) for _ in range(3))
    for number, request in enumerate((first, second)):
        assert refuse(proofs, request, f"first-{number}")
    assert refuse(proofs, first, "second-0")
    waiting = await is_held_back(first)
    assert waiting is not None
    assert refuse(proofs, second, "second-1")
    also = await is_held_back(second)
    assert also is not None
    third.end()
    await waiting

    assert first.view.nonce == "second-1"
    assert not also.done()
    proofs.learn(URL_A, "after-first")
    first.end()
    await also
    assert second.view.nonce == "after-first"
    second.end()


async def test_new_requests_take_their_turn_too(proofs, clock):
    """For a minute; then requests go in parallel again, as at every other server."""
    first, second = proofs.begin(URL_A), proofs.begin(URL_A)
    refuse(proofs, first, "one")
    refuse(proofs, first, "two")
    second.end()
    await first.take_turn()
    new, elsewhere = proofs.begin(URL_A), proofs.begin(ELSEWHERE)
    waiting = await is_held_back(new)

    assert waiting is not None
    assert await is_held_back(elsewhere) is None
    elsewhere.end()
    first.end()
    await waiting
    clock.advance(60)
    later = proofs.begin(URL_A)
    assert await is_held_back(later) is None
    new.end()
    later.end()


async def refuse_to_the_end(proofs, clock, request, round_trip=0.0):
    """Let a server refuse whatever a request tries, and return the number of its attempts."""
    attempts = 0
    while True:
        await request.take_turn()
        attempts += 1
        clock.advance(round_trip)
        if not refuse(proofs, request, f"nonce-{clock.time()}-{attempts}"):
            request.end()
            return attempts


async def test_in_its_turn_a_request_starts_over_after_growing_pauses(proofs, clock):
    """Another process may spend the nonces of the same server: two attempts, then a pause."""
    await refuse_to_the_end(proofs, clock, proofs.begin(URL_A))

    assert await refuse_to_the_end(proofs, clock, proofs.begin(URL_A), round_trip=0.05) == 24
    windows = [0.2, 0.4, 0.8, 1.6, 3.2, *[4.0] * 5]
    assert all(0 <= pause <= window for pause, window in zip(clock.slept, windows, strict=True))
    assert len(set(clock.slept)) > 5


async def test_a_server_that_accepts_no_nonce_is_found_out(proofs, clock):
    """The first request is repeated once; then two try to the end, and no further ones."""
    attempts = [await refuse_to_the_end(proofs, clock, proofs.begin(URL_A)) for _ in range(5)]

    assert attempts == [2, 24, 24, 2, 2]


async def test_nobody_waits_at_a_server_that_accepts_no_nonce(proofs, clock):
    """Each request gets its refusal at once, however many there are."""
    for _ in range(3):
        await refuse_to_the_end(proofs, clock, proofs.begin(URL_A))
    first, second = proofs.begin(URL_A), proofs.begin(URL_A)

    assert await is_held_back(first) is None
    assert await is_held_back(second) is None
    first.end()
    second.end()


async def test_a_server_that_accepts_a_nonce_again_is_tried_to_the_end_again(proofs, clock):
    """One accepted proof is enough."""
    for _ in range(3):
        await refuse_to_the_end(proofs, clock, proofs.begin(URL_A))
    request = proofs.begin(URL_A)
    await request.take_turn()
    request.end()

    assert await refuse_to_the_end(proofs, clock, proofs.begin(URL_A)) == 24


async def test_refusals_at_any_number_of_servers_fill_no_memory(proofs, clock):
    """Those that were used longest ago are forgotten, and begin anew."""
    urls = [URL(f"https://host{number}.example/a") for number in range(257)]
    for url in urls:
        proofs.learn(url, "one")
        proofs.begin(url).end()
    attempts = []
    for url in (urls[0], urls[-1]):
        request = proofs.begin(url)
        attempts.append(1)
        while refuse(proofs, request, f"nonce-{attempts[-1]}", url):
            attempts[-1] += 1
            await request.take_turn()
        request.end()

    assert attempts == [2, 24]


async def test_only_a_nonce_is_a_reason_to_repeat_again(proofs):
    """A proof that is refused for another reason is repeated once, if the clock explains it."""
    request, other = proofs.begin(URL_A), proofs.begin(URL_A)
    proofs.learn(URL_A, None, "Thu, 01 Jan 2032 00:00:00 GMT")
    assert request.may_repeat(INVALID_PROOF)
    proofs.learn(URL_A, None, "Thu, 01 Jan 2042 00:00:00 GMT")

    assert not request.may_repeat(INVALID_PROOF)
    request.end()
    other.end()


async def test_a_request_that_turns_have_overtaken_joins_them(proofs):
    """It began before them, and was refused a second time when nobody else was under way."""
    first, second = proofs.begin(URL_A), proofs.begin(URL_A)
    refuse(proofs, second, "one")
    refuse(proofs, first, "two")
    refuse(proofs, first, "three")
    first.end()

    assert refuse(proofs, second, "four")
    await second.take_turn()
    assert second.view.nonce == "four"
    second.end()


async def test_turns_begin_anew_after_their_time(proofs, clock):
    """A request that still held its turn of before waits with the others."""
    old, other = proofs.begin(URL_A), proofs.begin(URL_A)
    refuse(proofs, old, "one")
    refuse(proofs, old, "two")
    other.end()
    await old.take_turn()
    clock.advance(60)
    new, other = proofs.begin(URL_A), proofs.begin(URL_A)
    refuse(proofs, new, "three")
    refuse(proofs, new, "four")
    other.end()
    waiting = await is_held_back(new)
    assert waiting is not None
    also = await is_held_back(old)
    await waiting

    assert also is not None
    new.end()
    await also
    old.end()


async def test_turns_at_any_number_of_servers_fill_no_memory(proofs):
    """Those that began longest ago are forgotten."""
    urls = [URL(f"https://host{number}.example/a") for number in range(257)]
    held = []
    for url in urls:
        first, second = proofs.begin(url), proofs.begin(url)
        refuse(proofs, first, "one", url)
        refuse(proofs, first, "two", url)
        second.end()
        await first.take_turn()
        held.append(first)
    waits = [await is_held_back(proofs.begin(url)) for url in (urls[0], urls[-1])]

    assert waits[0] is None
    assert waits[1] is not None
    for request in held:
        request.end()
    await waits[1]

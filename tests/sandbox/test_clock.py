"""The sandbox's clock, which is a client's and a provider's too."""

import asyncio
import threading

import aritma_auth as aa
from aritma_auth.sandbox import SandboxClock


def frozen_clock():
    clock = SandboxClock()
    clock.freeze()
    return clock


def test_advance_moves_both_clocks():
    """A frozen clock moves by exactly the seconds that a test advances it."""
    clock = frozen_clock()
    wall, monotonic = clock.time(), clock.monotonic()
    clock.advance(60)

    assert (wall + 60, monotonic + 60) == (clock.time(), clock.monotonic())


def test_a_wall_clock_that_is_set_back_leaves_the_monotonic_clock_alone():
    """A negative advance is a clock step: the monotonic clock never goes back."""
    clock = frozen_clock()
    wall, monotonic = clock.time(), clock.monotonic()
    clock.advance(-60)

    assert (wall - 60, monotonic) == (clock.time(), clock.monotonic())


def test_a_clock_goes_with_the_machine_until_it_is_frozen():
    """An untouched clock runs, and freezing it twice keeps the first moment."""
    clock = SandboxClock()
    before = clock.monotonic()
    while clock.monotonic() == before:
        pass
    clock.freeze()
    stopped = clock.time(), clock.monotonic()
    clock.freeze()

    assert stopped == (clock.time(), clock.monotonic())


async def test_a_sleep_ends_when_the_clock_has_moved_far_enough():
    """Advancing half the way does not end it."""
    clock = frozen_clock()
    sleeping = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    clock.advance(6)
    for _ in range(5):
        await asyncio.sleep(0)
    half_way = sleeping.done()
    clock.advance(6)
    await sleeping

    assert half_way is False


async def test_a_clock_that_runs_ends_a_sleep_by_itself():
    """Without a freeze the machine's time ends the sleep, also one of no length."""
    clock = SandboxClock()
    before = clock.monotonic()
    await clock.sleep(0)
    await clock.sleep(0.02)

    # A timer may fire a little early.
    assert clock.monotonic() - before >= 0.01


async def test_freezing_stops_a_sleep_that_is_under_way():
    """A sleep follows the clock, not the machine."""
    clock = SandboxClock()
    sleeping = asyncio.create_task(clock.sleep(0.02))
    await asyncio.sleep(0)
    clock.freeze()
    await asyncio.sleep(0.05)
    is_asleep = not sleeping.done()
    clock.advance(1)
    await sleeping

    assert is_asleep


async def test_another_thread_may_move_the_clock():
    """A sandbox on a loop of its own is moved from the test's thread."""
    clock = frozen_clock()
    sleeping = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    mover = threading.Thread(target=clock.advance, args=(10,))
    mover.start()
    await asyncio.wait_for(sleeping, 30)
    mover.join()


async def test_a_provider_lives_by_the_sandboxs_clock(sandbox):
    """The same object is the sandbox's time and the provider's: advancing it ages the token for both."""
    me = sandbox.client
    client = aa.OAuthClient(me.client_id, me.client_secret, environment=sandbox.environment)
    async with (
        client,
        aa.TokenProvider(
            client, aa.ClientCredentialsGrant(scope="bankservice"), clock=sandbox.clock
        ) as tokens,
    ):
        first = await tokens.get_token()
        sandbox.clock.advance(3601)
        second = await tokens.get_token()

    assert first.access_token != second.access_token

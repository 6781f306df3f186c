"""The token cache, with a client that the test steers and a clock that it moves."""

import asyncio
import contextvars
import logging
import random
import re

import pytest

import aritma_auth as aa
from aritma_auth.events import ClockSkewed, RefreshFailed, TokenAcquired, TokenRejected
from aritma_auth.protocol.client_auth import NoClientAuth
from aritma_auth.protocol.tokens import Token
from support.clock import FakeClock
from support.fakes import FakeClient, settle
from support.internals import flight_of, refresher_of
from support.rig import DOWN, GRANT, REFUSED, Rig, presented

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
async def rig(clock):
    rig = Rig(clock)
    yield rig
    await rig.provider.aclose()


async def test_ten_thousand_cold_callers_make_one_request(rig):
    """Each caller gets the token of one request."""
    tokens = await asyncio.gather(*(rig.provider.get_token() for _ in range(10_000)))

    assert rig.client.requests == 1
    assert {token.access_token for token in tokens} == {"token-1"}


async def test_a_fresh_token_is_served_without_a_lock_or_an_await(rig):
    """The cached path finishes in the caller's first step."""
    await rig.get()

    coroutine = rig.provider.get_token()
    with pytest.raises(StopIteration) as finished:
        coroutine.send(None)
    assert finished.value.value.access_token == "token-1"


async def test_a_synchronous_look_gives_only_a_fresh_token(rig):
    """A look starts no refresh."""
    cold = rig.provider.peek()
    token = await rig.provider.get_token()
    fresh = rig.provider.peek()
    rig.clock.advance(2701)

    assert cold is None
    assert fresh is token
    assert rig.provider.peek() is None
    assert rig.client.requests == 1


async def test_the_starters_cancellation_costs_the_others_nothing(rig):
    """The first caller goes; the other 9,999 are served by the same request."""
    answer = rig.client.hold()
    callers = [asyncio.create_task(rig.get()) for _ in range(10_000)]
    await settle()
    callers[0].cancel()
    await settle()
    answer.set_result(None)
    results = await asyncio.gather(*callers, return_exceptions=True)

    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == ["token-1"] * 9_999
    assert rig.client.requests == 1


async def test_half_of_the_callers_cancelled_at_random(rig):
    """Whichever callers are cancelled, one request serves the rest."""
    answer = rig.client.hold()
    callers = [asyncio.create_task(rig.get()) for _ in range(1_000)]
    await settle()
    gone = set(random.Random(7).sample(range(1_000), 500))
    for number in gone:
        callers[number].cancel()
    await settle()
    answer.set_result(None)
    results = await asyncio.gather(*callers, return_exceptions=True)

    assert [n for n, r in enumerate(results) if r == "token-1"] == sorted(set(range(1000)) - gone)
    assert rig.client.requests == 1


async def test_when_every_caller_is_cancelled_the_request_ends_and_its_token_is_kept(rig):
    """A response that is on its way is not thrown away."""
    answer = rig.client.hold()
    callers = [asyncio.create_task(rig.get()) for _ in range(50)]
    await settle()
    for caller in callers:
        caller.cancel()
    await settle()
    answer.set_result(None)
    await settle()

    assert await rig.get() == "token-1"
    assert rig.client.requests == 1


@pytest.mark.parametrize("steps", range(8))
async def test_cancelling_at_any_await_point_costs_nobody_else_anything(rig, steps):
    """However far the first caller has come, the second is served by the same request."""
    first = asyncio.create_task(rig.get())
    second = asyncio.create_task(rig.get())
    for _ in range(steps):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait((first,))

    assert await second == "token-1"
    assert rig.client.requests == 1


async def test_failures_reach_each_waiter_as_its_own(rig):
    """One request fails, and no two callers share an exception object or its traceback."""
    answer = rig.client.hold()
    callers = [asyncio.create_task(rig.get()) for _ in range(20)]
    await settle()
    answer.set_exception(REFUSED)
    results = await asyncio.gather(*callers, return_exceptions=True)

    assert {type(result) for result in results} == {aa.InvalidClientError}
    assert len({id(result) for result in results}) == 20
    assert rig.client.requests == 1
    assert all(result.__context__ is None for result in results)


async def test_a_callers_timeout_ends_its_wait_and_not_the_request(rig):
    """The others get the token of the same request."""
    answer = rig.client.hold()
    patient = asyncio.create_task(rig.get())
    with pytest.raises(aa.TokenTimeoutError) as caught:
        await rig.get(timeout=0.01)
    answer.set_result(None)

    assert await patient == "token-1"
    assert rig.client.requests == 1
    assert caught.value.is_permanent is False
    assert isinstance(caught.value, TimeoutError)


async def test_a_timeout_longer_than_the_request_does_not_matter(rig):
    """The token comes in time and is served."""
    assert await rig.get(timeout=5) == "token-1"


async def test_the_request_runs_in_a_clean_context(rig):
    """No caller's tracing span or log field leaks into it."""
    variable = contextvars.ContextVar("variable", default="clean")
    seen = []
    rig.client.fetch_token = lambda grant: _look(rig.client, variable, seen)
    variable.set("a caller's")
    await rig.get()

    assert seen == ["clean"]


async def _look(client, variable, seen):
    seen.append(variable.get())
    return client.make_token()


async def test_a_stale_token_is_served_while_one_refresh_runs(rig):
    """No caller waits at a rotation."""
    await rig.get()
    rig.clock.advance(2700)
    answer = rig.client.hold()
    served = [await rig.get() for _ in range(100)]
    status = rig.provider.status()
    answer.set_result(None)
    await settle()

    assert served == ["token-1"] * 100
    assert status.is_refreshing
    assert status.freshness == "stale"
    assert await rig.get() == "token-2"
    assert rig.client.requests == 2


async def test_a_slow_refresh_that_began_in_time_stalls_nobody(rig):
    """The old token is served to its end, then callers wait."""
    await rig.get()
    rig.clock.advance(2701)
    answer = rig.client.hold()
    served = [await rig.get()]
    rig.clock.advance(890)
    served += [await rig.get() for _ in range(10)]
    rig.clock.advance(10)
    waiting = asyncio.create_task(rig.get())
    await settle()
    is_waiting = not waiting.done()
    answer.set_result(None)

    assert served == ["token-1"] * 11
    assert is_waiting
    assert await waiting == "token-2"
    assert rig.client.requests == 2


async def test_callers_in_the_hard_window_wait_for_a_refresh_that_began_there(rig):
    """Each of them gets the new token."""
    await rig.get()
    rig.clock.advance(3590)
    answer = rig.client.hold()
    callers = [asyncio.create_task(rig.get()) for _ in range(3)]
    await settle()
    answer.set_result(None)

    assert await asyncio.gather(*callers) == ["token-2"] * 3


async def test_an_expiring_token_waits_for_its_refresh(rig):
    """In the hard window callers get the new token."""
    await rig.get()
    rig.clock.advance(3590)

    assert await rig.get() == "token-2"


async def test_an_expiring_token_is_served_when_its_refresh_fails(rig):
    """Static stability: no failure while a live token is in hand."""
    await rig.get()
    rig.clock.advance(3590)
    rig.client.answers = [DOWN]

    assert await rig.get() == "token-1"
    assert rig.happened(RefreshFailed)[0].has_live_token


async def test_once_a_refresh_has_failed_nobody_waits_while_the_token_lives(rig):
    """A hanging server stalls no caller twice."""
    await rig.get()
    rig.clock.advance(2700)
    rig.client.answers = [DOWN]
    await rig.get()
    await settle()
    rig.clock.advance(880)
    hanging = rig.client.hold()
    served = [await rig.get() for _ in range(10)]
    hanging.set_result(None)
    await settle()

    assert served == ["token-1"] * 10
    assert rig.client.requests == 3


async def test_an_expired_token_is_never_handed_out(rig):
    """When it cannot be refreshed, the caller gets the reason."""
    await rig.get()
    rig.clock.advance(3600)
    rig.client.answers = [DOWN] * 3

    with pytest.raises(aa.TransportError, match="down"):
        await rig.get()


async def test_a_25_second_token_is_reused(clock):
    """Windows scale with the lifetime: no request per call."""
    rig = Rig(clock, lifetime=25)
    for _ in range(10):
        await rig.get()
        clock.advance(1)

    assert rig.client.requests == 1


async def test_an_unknown_lifetime_is_assumed(clock):
    """Without expires_in the token is used for the policy's 300 s."""
    rig = Rig(clock, lifetime=None)
    await rig.get()
    clock.advance(224)
    await rig.get()
    requests_before_the_window = rig.client.requests
    clock.advance(76)

    assert requests_before_the_window == 1
    assert await rig.get() == "token-2"


async def test_the_lifetime_counts_from_when_the_request_left(rig):
    """A response that took 3,000 of 3,600 seconds leaves 600."""
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    token = rig.client.make_token()
    rig.clock.advance(3000)
    answer.set_result(token)
    await caller

    assert rig.provider.status().expires_in == pytest.approx(600)


async def test_a_token_that_expired_on_its_way_is_not_served(rig):
    """It is a failure like any other, with a pause before the next try."""
    rig.draw = 0.5
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    token = rig.client.make_token()
    rig.clock.advance(3601)
    answer.set_result(token)

    with pytest.raises(aa.TransportError, match="had expired"):
        await caller
    with pytest.raises(aa.TransportError, match="had expired"):
        await rig.get()
    assert rig.client.requests == 1


async def test_min_ttl_refreshes_a_token_that_lives_too_short(rig):
    """A caller with a long task gets a token that lasts for it."""
    await rig.get()
    rig.clock.advance(2000)

    assert await rig.get(min_ttl=1600) == "token-1"
    assert await rig.get(min_ttl=1601) == "token-2"


async def test_min_ttl_beyond_the_lifetime_makes_no_storm(rig):
    """A lifetime that the server never grants is not requested again and again."""
    for _ in range(5):
        await rig.get(min_ttl=10**6)

    assert rig.client.requests == 1


async def test_min_ttl_gives_way_when_the_server_is_down(rig):
    """The token that lives is served."""
    await rig.get()
    rig.clock.advance(2000)
    rig.client.answers = [DOWN]

    assert await rig.get(min_ttl=2000) == "token-1"
    assert await rig.get(min_ttl=2000) == "token-1"
    assert rig.client.requests == 2


async def test_transient_failures_are_tried_again_in_the_flight(rig):
    """Callers that wait for a first token get up to three attempts."""
    rig.client.answers = [DOWN, DOWN]
    rig.draw = 0.5

    assert await rig.get() == "token-1"
    assert rig.clock.slept == [0.5, 1.0]


async def test_an_outage_costs_requests_by_the_gate_and_not_by_the_load(rig):
    """25 callers after a failed flight get the same failure at once, and after the backoff one request probes."""
    rig.client.answers = [DOWN] * 100
    rig.draw = 0.5
    for _ in range(25):
        with pytest.raises(aa.TransportError) as caught:
            await rig.get()
    requests_at_first = rig.client.requests
    rig.clock.advance(caught.value.retry_after)
    results = await asyncio.gather(*(rig.get() for _ in range(25)), return_exceptions=True)

    assert requests_at_first == 3
    assert rig.client.requests == 4
    assert {type(result) for result in results} == {aa.TransportError}
    assert rig.client.peak == 1


async def test_after_an_outage_the_next_probe_heals(rig):
    """After the backoff one request succeeds, and the failures are forgotten."""
    rig.client.answers = [DOWN] * 3
    rig.draw = 0.5
    with pytest.raises(aa.TransportError) as caught:
        await rig.get()
    rig.clock.advance(caught.value.retry_after)

    assert await rig.get() == "token-1"
    assert rig.provider.status().failures == 0


async def test_retry_after_closes_the_gate(rig):
    """The server's own pause is obeyed, also within a flight if it is short."""
    rig.client.answers = [aa.TransportError("busy", retry_after=2), DOWN, DOWN]
    with pytest.raises(aa.TransportError):
        await rig.get()

    assert rig.clock.slept[0] == 2


async def test_a_pause_beyond_the_refresh_time_ends_the_flight(rig):
    """Callers learn at once that the server asked for a minute."""
    rig.client.answers = [aa.TransportError("busy", retry_after=60)]
    with pytest.raises(aa.TransportError) as caught:
        await rig.get()

    assert rig.client.requests == 1
    assert caught.value.retry_after == pytest.approx(60, abs=0.05)


async def test_a_permanent_no_is_asked_once(rig):
    """20 callers at the same time and 5 more make one request."""
    rig.client.answers = [REFUSED] * 100
    results = await asyncio.gather(*(rig.get() for _ in range(20)), return_exceptions=True)
    for _ in range(5):
        with pytest.raises(aa.InvalidClientError) as caught:
            await rig.get()

    assert {type(result) for result in results} == {aa.InvalidClientError}
    assert rig.client.requests == 1
    assert caught.value.is_permanent
    assert caught.value.retry_after == pytest.approx(1, abs=0.05)


async def test_permanent_pauses_grow(rig):
    """One second, then two, then four."""
    rig.client.answers = [REFUSED] * 3
    pauses = []
    for _ in range(3):
        with pytest.raises(aa.InvalidClientError) as caught:
            await rig.get()
        pauses.append(caught.value.retry_after)
        rig.clock.advance(caught.value.retry_after)

    assert pauses == pytest.approx([1, 2, 4], abs=0.05)


async def test_a_changed_credential_ends_a_refusal(rig):
    """A new secret is tried a second after the refusal at the latest, however long the pause."""
    rig.client.answers = [REFUSED] * 3
    for _ in range(3):
        with pytest.raises(aa.InvalidClientError) as caught:
            await rig.get()
        if caught.value.retry_after < 4:
            rig.clock.advance(caught.value.retry_after)
    rig.client.secret.value = "two"
    rig.clock.advance(1)

    assert caught.value.retry_after == pytest.approx(4, abs=0.05)
    assert await rig.get() == "token-1"


async def test_a_credential_that_cannot_be_loaded_stays_refused(rig):
    """Its absence is remembered as it was."""
    rig.client.answers = [aa.ConfigurationError("unset")]
    rig.client.secret.value = aa.ConfigurationError("unset")
    for _ in range(2):
        with pytest.raises(aa.ConfigurationError, match="unset"):
            await rig.get()

    assert rig.client.requests == 1


async def test_a_clients_own_bug_is_named_and_not_swallowed(rig):
    """An unexpected exception becomes a typed error that names its class."""
    rig.client.answers = [KeyError("secret detail")]

    with pytest.raises(aa.ConfigurationError, match="KeyError") as caught:
        await rig.get()
    assert "secret detail" not in str(caught.value)


async def test_a_client_without_a_secret_stays_refused(rig):
    """There is no secret that could change."""
    rig.client.client_auth = NoClientAuth()
    rig.client.answers = [REFUSED]
    for _ in range(2):
        with pytest.raises(aa.InvalidClientError):
            await rig.get()
    rig.clock.advance(0.5)

    assert rig.client.requests == 1


async def test_a_clients_own_time_out_is_told_as_it_is(rig):
    """A TokenSource may be another provider, whose caller's time is over."""
    rig.client.answers = [aa.TokenTimeoutError("its own")] * 3
    with pytest.raises(aa.TokenTimeoutError, match="its own"):
        await rig.get()


async def test_a_client_that_cannot_tell_its_credential_stays_refused(rig):
    """Its bug is remembered by its name."""
    rig.client.answers = [REFUSED]
    rig.client.secret.value = KeyError("secret detail")
    for _ in range(2):
        with pytest.raises(aa.InvalidClientError):
            await rig.get()

    assert rig.client.requests == 1


async def test_a_rejected_token_is_dropped_once(rig):
    """A late rejection of an old token does not hurt the new one."""
    old = await rig.provider.get_token()

    assert rig.provider.report_rejected(old) is True
    assert rig.provider.report_rejected(old) is True
    assert await rig.get() == "token-2"
    assert rig.provider.report_rejected(old) is True
    assert await rig.get() == "token-2"
    assert [event.refreshes for event in rig.happened(TokenRejected)] == [True]


async def test_an_api_that_refuses_every_token_makes_no_storm(rig):
    """A second refusal within 30 s forces no refresh."""
    rig.provider.report_rejected(await rig.provider.get_token())
    second = await rig.provider.get_token()
    refused_again = rig.provider.report_rejected(second)
    rig.clock.advance(30)

    assert refused_again is False
    assert await rig.get() == "token-2"
    assert rig.provider.report_rejected(second) is True
    assert [event.refreshes for event in rig.happened(TokenRejected)] == [True, False, True]


async def test_reject_knows_when_a_newer_token_is_here(rig):
    """The refusal of an old token leads to the new one, without a refresh."""
    old = await rig.provider.get_token()
    rig.clock.advance(3590)
    await rig.get()

    assert rig.provider.report_rejected(old) is True
    assert rig.client.requests == 2


async def test_five_hundred_refusals_make_one_refresh(rig):
    """However many requests met a 401."""
    old = await rig.provider.get_token()

    async def refused():
        assert rig.provider.report_rejected(old)
        return await rig.get()

    results = await asyncio.gather(*(refused() for _ in range(500)))

    assert set(results) == {"token-2"}
    assert rig.client.requests == 2


async def test_set_token_puts_a_token_in_place(rig):
    """What a sign-in brought is served; its age counts."""
    await rig.provider.set_token(
        Token("mine", expires_at=rig.clock.time() + 100, issued_at=rig.clock.time() - 100)
    )

    assert await rig.get() == "mine"
    assert rig.provider.status().expires_in == pytest.approx(100)
    assert rig.client.requests == 0


@pytest.mark.parametrize("before", [(), ("get_token",), ("forget",), ("get_token", "forget")])
async def test_set_token_leaves_nothing_behind_but_the_token(rig, before):
    """Without a store nothing that refreshes is made, since a process may have thousands."""
    for method in before:
        await getattr(rig.provider, method)()
    await rig.provider.set_token(Token("mine", expires_at=rig.clock.time() + 100))

    assert refresher_of(rig.provider) is None


async def test_set_token_without_stamps(rig):
    """A token made by hand counts from now."""
    await rig.provider.set_token(Token("mine", expires_at=rig.clock.time() + 100))

    assert rig.provider.status().expires_in == pytest.approx(100)


@pytest.mark.parametrize("before", [(), ("older",), ("older", "old")])
async def test_a_slow_refresh_overwrites_no_newer_token(rig, before):
    """What was put in place meanwhile stays, and a failure of old is not remembered."""
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    for name in (*before, "newer"):
        await rig.provider.set_token(Token(name, expires_at=rig.clock.time() + 3600))
    answer.set_result(None)
    await caller

    assert await rig.get() == "newer"


async def test_a_slow_failure_does_not_hurt_a_newer_token(rig):
    """Its backoff does not delay the newer token's own refreshes."""
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    await rig.provider.set_token(Token("newer", expires_at=rig.clock.time() + 3600))
    answer.set_exception(REFUSED)

    assert await caller == "newer"
    assert rig.provider.status().failures == 0


async def test_a_living_token_gives_way_to_none_that_has_ended(rig):
    """A response whose token has ended already is a failed refresh, and no caller of the living one fails."""
    old = Token("old", expires_at=rig.clock.time() + 3600)
    await rig.provider.set_token(old)
    rig.clock.advance(3200)
    rig.client.answers = [Token("ended", issued_at=1.0, expires_at=1.0) for _ in range(3)]
    served = [await rig.get()]
    await settle()
    served.append(await rig.get())

    assert served == ["old", "old"]
    assert rig.provider.status().failures == 1
    rig.clock.advance(400)
    with pytest.raises(
        aa.TransportError, match="had expired when its response came: it was valid for"
    ):
        await rig.get()


async def test_the_refresh_token_of_a_token_that_has_ended_is_presented_next(clock):
    """It is the newest: the one before it is spent."""
    rig = Rig(clock, grant=aa.SignedInGrant())
    old = Token("old", expires_at=rig.clock.time() + 3600, refresh_token="one")
    await rig.provider.set_token(old)
    rig.clock.advance(3200)
    ended = Token("ended", issued_at=1.0, expires_at=1.0, refresh_token="two")
    rig.client.answers = [ended]
    served = [await rig.get()]
    await settle()
    served.append(await rig.get())
    rig.clock.advance(2)
    await rig.get()
    await settle()

    assert served == ["old", "old"]
    assert presented(rig) == ["one", "two"]
    assert await rig.get() == "token-1"


async def test_the_servers_word_on_the_same_token_counts(rig):
    """A server that returns the cached token as one that has ended knows better than its first response."""
    old = Token("old", expires_at=rig.clock.time() + 3600)
    await rig.provider.set_token(old)
    rig.clock.advance(3200)
    rig.client.answers = [Token("old", issued_at=1.0, expires_at=1.0)]
    await rig.get()
    await settle()

    with pytest.raises(aa.TransportError):
        await rig.get()


async def test_events_tell_what_happened(rig):
    """Refreshes and skewed clocks are events, without secrets."""
    rig.client.clock_skew = -31.0
    await rig.get()

    assert rig.happened(TokenAcquired)[0].lifetime == 3600
    assert rig.happened(ClockSkewed) == [ClockSkewed(-31.0)]
    assert "token-1" not in repr(rig.events)


async def test_status_describes_an_empty_provider_and_a_failing_one(rig):
    """The status has what a health check needs, with and without a token."""
    empty = rig.provider.status()
    rig.client.answers = [REFUSED]
    with pytest.raises(aa.InvalidClientError):
        await rig.get()
    failing = rig.provider.status()

    assert empty.freshness == "none"
    assert empty.expires_in is None
    assert empty.retry_in is None
    assert failing.failures == 1
    assert failing.retry_in == 1.0
    assert "invalid_client" in failing.last_error


async def test_closing_in_mid_flight_tells_the_callers(rig):
    """They get ProviderClosedError, and no task is left."""
    rig.client.hold()
    callers = [asyncio.create_task(rig.get()) for _ in range(3)]
    await settle()
    await rig.provider.aclose()
    results = await asyncio.gather(*callers, return_exceptions=True)

    assert {type(result) for result in results} == {aa.ProviderClosedError}
    assert rig.client.in_flight == 0


async def test_a_closed_provider_serves_nothing(rig):
    """Not even a token that still lives."""
    await rig.get()
    await rig.provider.aclose()
    await rig.provider.aclose()

    with pytest.raises(aa.ProviderClosedError):
        await rig.get()
    with pytest.raises(aa.ProviderClosedError):
        await rig.provider.set_token(Token("x"))
    with pytest.raises(aa.ProviderClosedError, match="make a new one"):
        async with rig.provider:
            raise AssertionError


async def test_a_provider_is_a_context_manager(clock):
    """It closes at the end, whatever happened."""
    rig = Rig(clock)
    with pytest.raises(ZeroDivisionError):
        async with rig.provider as provider:
            await provider.get_token()
            raise ZeroDivisionError

    with pytest.raises(aa.ProviderClosedError):
        await rig.get()


async def test_a_step_of_the_wall_clock_throws_no_good_token_away(rig):
    """Where the monotonic clock counts suspend, it alone decides."""
    await rig.get()
    rig.clock.wall += 7200
    first = await rig.get()
    rig.clock.wall -= 90_000

    assert (first, await rig.get()) == ("token-1", "token-1")


async def test_a_sleeping_monotonic_clock_is_corrected_by_the_wall_clock():
    """After a suspend the token is known to be expired."""
    rig = Rig(FakeClock(counts_suspend=False))
    await rig.get()
    rig.clock.wall += 7200

    assert await rig.get() == "token-2"


@pytest.mark.parametrize("slept", [1400, 3000, 3599])
@pytest.mark.parametrize("counts_suspend", [True, False])
async def test_a_sleep_during_the_request_counts(counts_suspend, slept):
    """The lifetime counts from when the request left, also if the monotonic clock stood still."""
    clock = FakeClock(counts_suspend=counts_suspend)
    rig = Rig(clock)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    token = rig.client.make_token()
    clock.wall += slept
    clock.mono += slept if counts_suspend else 0
    answer.set_result(token)
    await caller
    left = rig.provider.status().expires_in
    clock.wall += 3600 - slept
    clock.mono += 3600 - slept if counts_suspend else 0

    assert left == pytest.approx(3600 - slept)
    assert rig.provider.status().freshness == "expired"
    await rig.provider.aclose()


@pytest.mark.parametrize("seconds", [3600, 3601, 86_400])
async def test_a_freeze_between_the_refresh_and_the_waiters_waking_counts(rig, seconds):
    """A waiter looks at the clock when it serves, and starts over if the token has ended."""
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    flight = flight_of(rig.provider)
    answer.set_result(None)
    # The flight's own callback runs before the waiter wakes.
    flight.task.work.add_done_callback(lambda _: rig.clock.advance(seconds))

    assert await caller == "token-2"


async def test_a_timeout_serves_a_token_that_still_lives(rig):
    """A caller that is out of time is better served with a token that ends soon than with none."""
    await rig.get()
    rig.clock.advance(3590)
    answer = rig.client.hold()
    served = await rig.get(timeout=0.01)
    rig.clock.advance(10)
    with pytest.raises(aa.TokenTimeoutError):
        await rig.get(timeout=0.01)
    answer.set_result(None)

    assert served == "token-1"


async def test_a_timeout_serves_a_token_that_is_shorter_than_wished(rig):
    """The same holds for a caller whose min_ttl asks for more than is left."""
    await rig.get()
    rig.clock.advance(2000)
    answer = rig.client.hold()
    served = await rig.get(min_ttl=2000, timeout=0.01)
    answer.set_result(None)
    await settle()

    assert served == "token-1"


async def test_a_timeout_serves_no_rejected_token(rig):
    """A token that an API rejected is not served, in time or out of it."""
    rig.provider.report_rejected(await rig.provider.get_token())
    answer = rig.client.hold()
    with pytest.raises(aa.TokenTimeoutError):
        await rig.get(timeout=0.01)
    answer.set_result(None)

    assert await rig.get() == "token-2"


async def test_a_call_after_set_token_gets_the_new_sign_in(rig):
    """It does not get the token of a refresh that began before, even if its own has ended."""
    answer = rig.client.hold()
    earlier = asyncio.create_task(rig.get())
    await settle()
    await rig.provider.set_token(Token("newer", expires_at=rig.clock.time() + 3600))
    later = asyncio.create_task(rig.get(min_ttl=10))
    await settle()
    answer.set_result(None)

    assert await later == await earlier == "newer"


async def test_the_repr_shows_no_secret(rig, canary):
    """Neither provider, status nor events show it."""
    await rig.provider.set_token(Token(canary.text))

    canary.assert_hidden(rig.provider, rig.provider.status(), rig.events)
    assert repr(rig.provider) == "<TokenProvider of 'fake': fresh>"


async def test_a_listener_that_raises_hurts_nobody(clock, caplog):
    """Its error is logged by its class, and by the line of the program that raised it."""
    client = FakeClient(clock)

    def listen(event):
        raise RuntimeError("secret detail")

    provider = aa.TokenProvider(client, GRANT, clock=clock, on_event=listen)

    assert (await provider.get_token()).access_token == "token-1"
    assert re.search(r"raised RuntimeError, test_provider\.py:\d+ in listen", caplog.text)
    assert "secret detail" not in caplog.text


async def test_without_a_listener_nothing_is_told(clock, caplog):
    """An on_event of None switches events off."""
    provider = aa.TokenProvider(FakeClient(clock), GRANT, clock=clock, on_event=None)
    await provider.get_token()

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_by_default_failures_are_logged_as_warnings(clock, caplog):
    """A first token and a recovery are logged for information, all else for debugging."""
    caplog.set_level("DEBUG", "aritma_auth")
    client = FakeClient(clock)
    client.answers = [REFUSED]
    provider = aa.TokenProvider(client, GRANT, clock=clock)
    with pytest.raises(aa.InvalidClientError):
        await provider.get_token()
    client.secret.value = "two"
    clock.advance(1)
    await provider.get_token()

    logged = [record for record in caplog.records if record.levelname != "DEBUG"]
    assert [(record.levelname, record.aritma_event) for record in logged] == [
        ("WARNING", "RefreshFailed"),
        ("INFO", "TokenAcquired"),
        ("INFO", "RefreshRecovered"),
    ]


@pytest.mark.parametrize("grant", ["client_credentials", aa.ClientCredentialsGrant, None])
def test_what_is_no_grant_is_refused_at_once(clock, grant):
    """The error comes at construction, and not with the first get_token."""
    with pytest.raises(aa.ConfigurationError, match="grant must be a grant, such as Client"):
        aa.TokenProvider(FakeClient(clock), grant)

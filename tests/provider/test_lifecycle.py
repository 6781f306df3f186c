"""The token's life as a pure state machine, and the backoff beside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aritma_auth.errors import (
    ConfigurationError,
    InvalidClientError,
    TransportError,
)
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.backoff import (
    ForcedRefreshLimiter,
    RetryState,
    backoff,
    pause_between_attempts,
    plan_retry,
    plan_shared_pause,
)
from aritma_auth.provider.lifecycle import Action, Freshness, decide, plan_lifetime
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.provider.sharing_policy import SharingPolicy
from aritma_auth.stores import SharedBackoff

POLICY = RefreshPolicy()
DOWN = TransportError("down")
REFUSED = InvalidClientError("invalid_client")


def life(lifetime, draw=0.0, policy=POLICY, at=1000.0):
    expires_at = None if lifetime is None else 5000.0 + lifetime
    token = Token("x", issued_at=5000.0, expires_at=expires_at)
    return plan_lifetime(policy, token, issued_at=at, wall=5000.0, draw=draw)


@pytest.mark.parametrize(
    ("lifetime", "draw", "soft", "hard"),
    [
        pytest.param(3600, 0.0, 900, 60, id="an hour: the caps"),
        pytest.param(3600, 1.0, 450, 60, id="an hour, latest start"),
        pytest.param(86400, 0.0, 900, 60, id="a day: the caps"),
        pytest.param(60, 0.0, 15, 3, id="a minute: the fractions"),
        pytest.param(25, 0.5, 4.6875, 1.25, id="25 seconds"),
        pytest.param(2, 0.0, 0.5, 0.1, id="two seconds"),
        pytest.param(None, 0.0, 75, 15, id="unknown: 300 s assumed"),
    ],
)
def test_windows_scale_with_the_lifetime(lifetime, draw, soft, hard):
    """Both windows are seconds before the token's end."""
    marks = life(lifetime, draw)

    assert marks.expires_at == 1000 + (lifetime or 300)
    assert marks.expires_at - marks.refresh_at == pytest.approx(soft)
    assert marks.expires_at - marks.must_refresh_at == pytest.approx(hard)


def test_a_hostile_lifetime_is_capped():
    """A lifetime counts as thirty days at most, whatever the server says."""
    assert life(1e17).lifetime == 30 * 86400


@given(
    st.floats(0.001, 1e9),
    st.floats(0, 0.999),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_marks_are_always_in_order(lifetime, draw, soft, hard, jitter):
    """Whatever the policy, the order is: issued, background window, blocking window, end."""
    policy = RefreshPolicy(
        background_window_fraction=soft,
        blocking_window_fraction=hard,
        background_window_jitter=jitter,
    )
    marks = life(lifetime, draw, policy, at=0.0)

    assert 0 <= marks.refresh_at <= marks.must_refresh_at <= marks.expires_at


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (1000.0, Freshness.FRESH),
        (3699.9, Freshness.FRESH),
        (3700.0, Freshness.STALE),
        (4539.9, Freshness.STALE),
        (4540.0, Freshness.EXPIRING),
        (4599.9, Freshness.EXPIRING),
        (4600.0, Freshness.EXPIRED),
    ],
)
def test_states_follow_the_marks(now, expected):
    """Each mark belongs to the state it begins."""
    assert life(3600).freshness(now) is expected


def test_a_clock_that_slept_is_corrected_by_the_other():
    """Where the monotonic clock stops in suspend, the wall clock counts."""
    marks = life(3600)

    assert marks.now(monotonic=1010.0, wall=5010.0) == 1010.0
    assert marks.now(monotonic=1010.0, wall=9000.0) == 5000.0
    assert marks.now(monotonic=1010.0, wall=0.0) == 1010.0


@pytest.mark.parametrize(
    ("min_ttl", "now", "expected"),
    [(0, 4600.0, True), (100, 4500.0, True), (101, 4500.0, False), (10**6, 1001.0, True)],
)
def test_a_caller_cannot_ask_for_more_than_can_be_had(min_ttl, now, expected):
    """More than the lifetime without its background window would refresh on every call."""
    assert life(3600).outlasts(min_ttl, now=now, policy=POLICY) is expected


F, S, E, X, N = (
    Freshness.FRESH,
    Freshness.STALE,
    Freshness.EXPIRING,
    Freshness.EXPIRED,
    Freshness.NONE,
)
CLOSED, OPEN = RetryState(DOWN, 1, 2000.0), RetryState(DOWN, 1, 500.0)
REFUSAL, OLD_REFUSAL = RetryState(REFUSED, 1, 2000.0, 1001.0), RetryState(REFUSED, 1, 500.0)
LOOK = RetryState(REFUSED, 1, 2000.0, 1000.0)


@pytest.mark.parametrize(
    ("freshness", "long_enough", "failure", "expected"),
    [
        (F, True, None, Action.SERVE),
        (F, True, CLOSED, Action.SERVE),
        (F, False, None, Action.WAIT),
        (F, False, CLOSED, Action.SERVE),
        (S, True, None, Action.SERVE_AND_REFRESH),
        (S, True, OPEN, Action.SERVE_AND_REFRESH),
        (S, True, CLOSED, Action.SERVE),
        (S, False, None, Action.WAIT),
        (E, True, None, Action.WAIT),
        (E, True, OPEN, Action.SERVE_AND_REFRESH),
        (E, True, CLOSED, Action.SERVE),
        (E, True, REFUSAL, Action.SERVE),
        (X, True, None, Action.WAIT),
        (X, True, OPEN, Action.WAIT),
        (X, True, CLOSED, Action.REFUSE),
        (N, True, None, Action.WAIT),
        (N, True, CLOSED, Action.REFUSE),
        (N, True, REFUSAL, Action.REFUSE),
        (N, True, LOOK, Action.WAIT),
        (N, True, OLD_REFUSAL, Action.WAIT),
    ],
)
def test_what_a_caller_gets(freshness, long_enough, failure, expected):
    """This is the whole table of decisions."""
    step = decide(
        freshness, long_enough=long_enough, failure=failure, is_refreshing=False, now=1000.0
    )

    assert step is expected


@pytest.mark.parametrize(
    ("freshness", "long_enough", "expected"),
    [
        (F, True, Action.SERVE),
        (S, True, Action.SERVE_AND_REFRESH),
        (E, True, Action.SERVE_AND_REFRESH),
        (E, False, Action.WAIT),
        (X, True, Action.WAIT),
        (N, True, Action.WAIT),
    ],
)
def test_nobody_waits_for_a_refresh_that_began_in_time(freshness, long_enough, expected):
    """It is only slow; the token that lives is served meanwhile."""
    step = decide(freshness, long_enough=long_enough, failure=None, is_refreshing=True, now=1000.0)

    assert step is expected


def pauses(error, count, draw=0.999, **kwargs):
    failure, found = None, []
    for _ in range(count):
        failure = plan_retry(POLICY, error, failure, now=0.0, draw=draw, **kwargs)
        found.append(round(failure.not_before, 1))
    return found


def test_transient_failures_back_off():
    """Three short pauses, of which the first is drawn; then the upper half of a limit that doubles up to 300 s."""
    assert pauses(DOWN, 4, draw=0.0) == [1.4, 1.8, 1.8, 1.8]
    assert pauses(DOWN, 12) == [
        1.8,
        1.8,
        1.8,
        3.6,
        7.2,
        14.4,
        28.8,
        57.6,
        115.1,
        230.3,
        299.9,
        299.9,
    ]
    assert pauses(DOWN, 12, draw=0.0)[4:] == [3.6, 7.2, 14.4, 28.8, 57.6, 115.2, 150, 150]


def alone(error, count, draw, now, lives_for):
    """Return the pause of a process without a store, whose token lives for so long."""
    ends = None if lives_for is None else now + lives_for
    before = None if count == 1 else RetryState(DOWN, count - 1, now)
    marks = {"calm_until": ends and ends - lives_for / 15, "alive_until": ends}
    return plan_retry(POLICY, error, before, now=now, draw=draw, **marks).not_before - now


def shared(error, count, draw, _now, lives_for):
    """Return the pause of all who share a store."""
    return plan_shared_pause(
        POLICY, SharingPolicy(), error, count=count, draw=draw, alive_for=lives_for
    )


def requests_in(outage, plan, begun, draws, latency, error=DOWN, lives_for=None):
    """Return when requests were sent in an outage that began at 0, and the first after its end."""
    sent, now = [], begun
    while now < outage:
        sent.append(now)
        failed_at = now + latency
        left = None if lives_for is None else lives_for - failed_at
        now = failed_at + plan(error, len(sent), draws[len(sent) - 1], failed_at, left)
    return sent, now


DRAWS = st.lists(st.floats(0, 1), min_size=40, max_size=40)
LIVES = st.none() | st.floats(120, 30 * 86400)


@pytest.mark.parametrize("plan", [alone, shared])
@given(
    begun=st.floats(0, 4.999),
    draws=DRAWS,
    latency=st.floats(0, 0.2),
    lives_for=LIVES,
)
def test_a_short_outage_gets_three_requests_and_its_end_is_noticed_soon(
    plan, begun, draws, latency, lives_for
):
    """Whatever is drawn: three in five seconds, and the next one two seconds after their end at the latest."""
    sent, after = requests_in(5, plan, begun, draws, latency, lives_for=lives_for)

    assert len(sent) <= 3
    assert after <= 7 + 1e-9


@pytest.mark.parametrize("plan", [alone, shared])
@given(
    begun=st.floats(0, 59.999),
    draws=DRAWS,
    latency=st.floats(0, 10),
    lives_for=LIVES,
    retry_after=st.none() | st.floats(0, 60),
)
def test_a_minute_of_outage_gets_eight_requests(
    plan, begun, draws, latency, lives_for, retry_after
):
    """Whatever is drawn, and whatever the server asks for."""
    error = TransportError("down", retry_after=retry_after)
    sent, _ = requests_in(60, plan, begun, draws, latency, error, lives_for)

    assert len(sent) <= 8


def test_permanent_failures_pause_without_jitter():
    """The pause is one second, doubling up to 300."""
    assert pauses(REFUSED, 10) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]


@pytest.mark.parametrize(
    ("asked", "draw", "pause"), [(10, 0.0, 10), (10, 0.5, 10.5), (10**6, 0.0, 3600)]
)
def test_retry_after_is_obeyed_capped_and_stretched(asked, draw, pause):
    """The pause is at most an hour, plus up to a tenth."""
    error = TransportError("busy", retry_after=asked)

    assert plan_retry(POLICY, error, None, now=0.0, draw=draw).not_before == pytest.approx(pause)


def test_while_nobody_needs_a_token_the_pause_is_longer():
    """After the short ones it is a sixteenth of the time left to the blocking window at least."""
    assert pauses(DOWN, 5, draw=0.0, calm_until=160.0) == [1.4, 1.8, 1.8, 10.0, 10.0]


def test_back_off_never_overflows():
    """Any number of failures gives the cap, and no OverflowError."""
    assert backoff(POLICY, 10**9, 1.0) == 300.0
    assert pause_between_attempts(POLICY, DOWN, 10**9, 1.0) == 300.0


@pytest.mark.parametrize(
    ("error", "attempt", "draw", "pause"),
    [
        (DOWN, 1, 0.0, 0.0),
        (DOWN, 1, 0.5, 0.5),
        (DOWN, 2, 0.5, 1.0),
        (TransportError("busy", retry_after=4), 1, 0.5, 4.2),
    ],
)
def test_callers_wait_for_the_next_attempt_with_full_jitter(error, attempt, draw, pause):
    """It is a random part of 1 s, 2 s and so on, or what the server asks for, stretched."""
    assert pause_between_attempts(POLICY, error, attempt, draw) == pytest.approx(pause)


def test_a_failure_that_the_store_tells_of_has_no_pause_of_its_own():
    """The fleet's pause counts, which another process has begun, and the fleet's count."""
    before = RetryState(DOWN, 1, 100.0, since=90.0)
    told = SharedBackoff(DOWN, count=5, seconds=2.0)
    failure = plan_retry(POLICY, DOWN, before, now=100.0, draw=0.5, told=told)
    hostile = SharedBackoff(DOWN, seconds=1e9)

    assert (failure.not_before, failure.count, failure.since) == (102.1, 5, 90.0)
    assert plan_retry(POLICY, DOWN, None, now=0.0, draw=0.0, told=hostile).not_before == 3600


def test_each_caller_gets_an_error_of_its_own():
    """It has the seconds that are left, never negative."""
    failure = RetryState(DOWN, 1, 10.0)
    one, other = failure.as_error(now=4.0), failure.as_error(now=20.0)

    assert one is not other
    assert one is not DOWN
    assert one.retry_after == pytest.approx(6, abs=0.05)
    assert other.retry_after == 0


@given(
    now=st.floats(0, 1e9),
    pause=st.floats(0, 3600),
    early=st.floats(0, 0.016),
)
def test_a_caller_who_sleeps_for_retry_after_is_let_through(now, pause, early):
    """Also if its timer fires early: by the milliseconds of uvloop, or by a tick of a coarse clock."""
    failure = RetryState(DOWN, 1, now + pause, look_at=float("inf"))
    told = failure.as_error(now=now).retry_after
    action = decide(
        Freshness.NONE,
        long_enough=False,
        failure=failure,
        is_refreshing=False,
        now=now + max(0.0, told - early),
    )

    assert action is Action.WAIT
    assert told <= pause + 0.1


def test_a_401_forces_one_refresh_and_closes_the_gate():
    """The interval is 30 s, doubles up to 300 s when the next rejection comes soon, and is 30 s again when it does not."""
    gate, now, found = ForcedRefreshLimiter(), 0.0, []
    for _ in range(6):
        gate = gate.admit(POLICY, now=now, lifetime=3600)
        found.append(gate.interval)
        assert gate.admit(POLICY, now=gate.closed_until - 0.1, lifetime=3600) is None
        now = gate.closed_until

    assert found == [30, 60, 120, 240, 300, 300]
    assert gate.admit(POLICY, now=now + 301, lifetime=3600).interval == 30
    assert gate.admit(POLICY, now=now + 301, lifetime=10).interval == 5


@pytest.mark.parametrize(
    "setting",
    [
        {"background_window_fraction": 1.1},
        {"blocking_window_fraction": -0.1},
        {"background_window_cap": 0},
        {"backoff_base": float("nan")},
        {"max_attempts": 0},
    ],
)
def test_numbers_that_make_no_sense_are_refused_by_name(setting):
    """The error names the number and what it must be."""
    with pytest.raises(ConfigurationError, match=f"RefreshPolicy: {next(iter(setting))}"):
        RefreshPolicy(**setting)


def test_a_number_of_sharing_is_refused_by_its_own_name():
    """The error names SharingPolicy, and not the policy of one process."""
    with pytest.raises(ConfigurationError, match="SharingPolicy: lease must be"):
        SharingPolicy(lease=0)


@pytest.mark.parametrize(
    ("until", "refresh_at"),
    [(3000.0, 3700.0), (3800.0, 3800.0), (9000.0, 4540.0)],
    ids=["earlier than planned", "later", "beyond the hard window"],
)
def test_a_refresh_is_put_off_up_to_the_hard_window(until, refresh_at):
    """Another process refreshes the token; the other marks stay."""
    planned = life(3600)
    marks = planned.postponed(until)

    assert marks.refresh_at == refresh_at
    assert (marks.must_refresh_at, marks.expires_at) == (4540.0, 4600.0)


@pytest.mark.parametrize(
    ("error", "count", "draw", "pause"),
    [
        (DOWN, 1, 0.0, 1.4),
        (DOWN, 1, 1.0, 1.8),
        (DOWN, 9, 1.0, 30.0),
        (TransportError("busy", retry_after=100), 1, 1.0, 110.0),
        (REFUSED, 9, 0.0, 256.0),
    ],
)
def test_a_fleets_pause_is_never_near_zero_and_capped(error, count, draw, pause):
    """One process sends the request of all, and a server that is back must not idle."""
    assert plan_shared_pause(POLICY, SharingPolicy(), error, count=count, draw=draw) == (
        pytest.approx(pause)
    )


def test_the_server_is_asked_again_when_the_token_ends():
    """It may be back by then: no backoff outlasts the token that is still served."""
    before = RetryState(DOWN, 8, 0.0)
    failure = plan_retry(
        POLICY, DOWN, before, now=100.0, draw=1.0, calm_until=103.0, alive_until=105.0
    )
    pause = plan_shared_pause(POLICY, SharingPolicy(), DOWN, count=9, draw=1.0, alive_for=5.0)

    assert failure.not_before == 105.0
    assert pause == 5.0


def test_a_policy_shows_what_was_set():
    """Its repr names the numbers that differ from the defaults, as a signature's default shows."""
    assert repr(RefreshPolicy()) == "RefreshPolicy()"
    assert repr(SharingPolicy(lease=5.0)) == "SharingPolicy(lease=5.0)"

"""The rules of the shared refresh that no ordinary history reaches."""

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.provider.shared.knowledge import Knowledge, Moment, VersionedToken, View
from aritma_auth.provider.shared.machine import SharedRefresh
from aritma_auth.provider.shared.messages import (
    Acquire,
    Failed,
    Leased,
    Load,
    Loaded,
    Raise,
    Release,
    Responded,
    Save,
    Saved,
    Send,
    Serve,
    Unavailable,
    Woke,
)
from aritma_auth.provider.shared.state import Phase, Purpose
from aritma_auth.provider.sharing_policy import SharingPolicy
from aritma_auth.stores import Entry, Record

WALL = 1_700_000_000.0
OLD = aa.Token("old", issued_at=WALL, expires_at=WALL + 60, refresh_token="r1")
NEW = aa.Token("new", issued_at=WALL, expires_at=WALL + 60, refresh_token="r2")
RULES = SharedRefresh(aa.SignedInGrant("alice"), RefreshPolicy(), SharingPolicy())
SERVICE = SharedRefresh(aa.ClientCredentialsGrant("api"), RefreshPolicy(), SharingPolicy())
KNOWN = Knowledge(is_reusable=False, is_grant_spent=True, newest=VersionedToken(OLD, 1))
AT_START = Moment(1000.0, WALL)
TOO_LATE = Moment(1000.0 + RefreshPolicy().refresh_timeout, WALL + 30)


def begun(rules=RULES, known=KNOWN, **changes):
    """Give a refresh that is under way, with its lease."""
    state, _ = rules.begin(known, Purpose.REFRESH, AT_START)
    return attrs.evolve(state, fence=1, serial=1, basis=OLD, **changes)


def stored(token, serial):
    return View(Entry(Record(token, serial)), asked_at=1000.0, asked_wall=WALL)


def test_a_refresh_that_is_overruled_when_its_time_is_over_ends():
    """A sign-in came meanwhile, and no time is left to look at it: the caller is told."""
    overruled = attrs.evolve(KNOWN, newest=VersionedToken(None, 2))
    state, action = RULES.step(begun(known=overruled, phase=Phase.PAUSE), Woke(), TOO_LATE)

    assert isinstance(action, Release)
    assert isinstance(state.outcome, Raise)
    assert "changes faster" in str(state.outcome.error)


def test_an_entry_that_always_changes_is_written_a_hundred_times_at_most():
    """What is owed stays owed, and the refresh ends."""
    owed = attrs.evolve(KNOWN, newest=VersionedToken(NEW, 2), is_owed=True)
    state = begun(known=owed, phase=Phase.WRITE, writes=100)
    state, action = RULES.step(state, Loaded(stored(OLD, 1)), AT_START)

    assert isinstance(action, Release)
    assert isinstance(state.outcome, Raise)
    assert state.known.is_owed


@pytest.mark.parametrize("is_cut_off", [True, False])
def test_a_refresh_after_one_that_was_cut_off_lets_the_others_know(is_cut_off):
    """They have waited for the first one, and would go on alone before the second one ends."""
    known = Knowledge(is_reusable=True)
    state, _ = SERVICE.begin(known, Purpose.REFRESH, AT_START)
    state, _ = SERVICE.step(state, Leased(1), AT_START)
    if not is_cut_off:
        token = attrs.evolve(NEW, refresh_token=None)
        state, _ = SERVICE.step(state, Loaded(stored(token, 1)), AT_START)
    again, _ = SERVICE.begin(state.known, Purpose.REFRESH, AT_START)
    again, _ = SERVICE.step(again, Leased(2), AT_START)
    again, action = SERVICE.step(again, Loaded(View()), AT_START)

    assert isinstance(action, Save if is_cut_off else Send)


def test_a_lease_with_the_entry_needs_no_look():
    """What its store returned under the lease is decided from at once."""
    state, _ = SERVICE.begin(Knowledge(is_reusable=True), Purpose.REFRESH, AT_START)
    _, action = SERVICE.step(state, Leased(1, View()), AT_START)

    assert isinstance(action, Send)


def test_a_lease_that_the_last_write_has_released_is_not_given_back_again():
    """The refresh ends with the write."""
    owed = attrs.evolve(KNOWN, newest=VersionedToken(NEW, 2), is_owed=True, is_leading=True)
    state = begun(known=owed, phase=Phase.WRITE, response=Responded(NEW, 1000.0))
    state, action = RULES.step(state, Loaded(stored(OLD, 1)), AT_START)
    assert isinstance(action, Save)
    assert action.is_last
    state, action = RULES.step(state, Saved(is_written=True, is_released=True), AT_START)

    assert action == Serve(NEW, 1000.0)
    assert not state.known.is_leading


def test_a_refresh_that_goes_on_after_its_last_write_asks_for_another_lease():
    """A sign-in came while the token was written, and the lease went with that."""
    owed = attrs.evolve(KNOWN, newest=VersionedToken(NEW, 2), is_owed=True)
    state = begun(known=owed, phase=Phase.WRITE, response=Responded(NEW, 1000.0))
    state, _ = RULES.step(state, Loaded(stored(OLD, 1)), AT_START)
    sign_in = attrs.evolve(NEW, access_token="of a sign-in", refresh_token="r3", expires_at=1.0)
    state.known = attrs.evolve(state.known, newest=VersionedToken(sign_in, 3))
    state, action = RULES.step(state, Saved(is_written=True, is_released=True), AT_START)
    assert isinstance(action, Load)
    _, action = RULES.step(state, Loaded(stored(sign_in, 3)), AT_START)

    assert isinstance(action, Acquire)


@pytest.mark.parametrize(("rules", "moment"), [(SERVICE, AT_START), (RULES, TOO_LATE)])
def test_a_token_that_cannot_be_stored_now_is_served(rules, moment):
    """A service's at once, since another can be had; a sign-in's when its time is over."""
    known = attrs.evolve(
        KNOWN, is_reusable=rules is SERVICE, newest=VersionedToken(NEW, 2), is_owed=True
    )
    response = Responded(NEW, 1000.0)
    state = begun(rules, known, phase=Phase.WRITE, response=response)
    state, action = rules.step(state, Unavailable(), moment)

    assert isinstance(action, Release)
    assert state.outcome.token == NEW
    assert state.known.is_owed is (rules is RULES)


def test_an_entry_that_could_not_be_read_is_looked_at_before_the_next_write():
    """Its writer may have been mended, or its key given to this process."""
    unreadable = View(Entry(Record(), problem="another key"), asked_at=1000.0, asked_wall=WALL)
    state = begun(phase=Phase.LATER, view=unreadable, response=Responded(NEW, 1000.0))
    _, action = RULES.step(state, Woke(), AT_START)

    assert isinstance(action, Load)


def test_a_failure_that_cannot_be_noted_for_all_is_raised_all_the_same():
    """The store went away between the server's refusal and the note of it."""
    error = aa.TransportError("down", may_have_arrived=False)
    ended = attrs.evolve(OLD, issued_at=WALL - 100, expires_at=WALL - 40)
    state = begun(phase=Phase.ASK, view=stored(ended, 1), sent_at=1000.0, attempts=3)
    moment = attrs.evolve(AT_START, is_patient=False)
    state, _ = RULES.step(state, Failed(error), moment)
    assert state.phase is Phase.NOTE
    state, action = RULES.step(state, Unavailable(), moment)

    assert isinstance(action, Release)
    assert str(state.outcome.error) == "down"


def test_a_sign_in_while_the_mark_is_written_is_looked_at_before_anything_is_sent():
    """The refresh token that was marked belongs to an older sign-in."""
    overruled = attrs.evolve(KNOWN, newest=VersionedToken(NEW, 2))
    state = begun(phase=Phase.CLAIM, view=stored(OLD, 1), saving=Record(OLD, 1, WALL))
    _, action = RULES.step(attrs.evolve(state, known=overruled), Saved(is_written=True), AT_START)

    assert isinstance(action, Load)


@pytest.mark.parametrize(
    ("rules", "expected"), [(RULES, Send), (SERVICE, Load)], ids=["one-time", "reusable"]
)
def test_a_refresh_without_the_store_tries_again_after_its_pause(rules, expected):
    """What may be redeemed once is asked for again; a service looks first, as others may have."""
    known = attrs.evolve(KNOWN, is_reusable=rules is SERVICE)
    state = begun(rules, known, phase=Phase.PAUSE, is_alone=True)
    basis = None if rules is SERVICE else OLD
    _, action = rules.step(attrs.evolve(state, basis=basis), Woke(), AT_START)

    assert isinstance(action, expected)


def test_a_response_that_a_sign_in_has_overtaken_is_not_kept_for_later():
    """The store is away, and the newer sign-in is what must be written."""
    newer = aa.Token("newer", issued_at=WALL, expires_at=WALL + 60, refresh_token="r3")
    known = attrs.evolve(KNOWN, newest=VersionedToken(newer, 3), is_owed=True)
    state = begun(known=known, phase=Phase.WRITE, response=Responded(NEW, 1000.0))
    state, action = RULES.step(state, Unavailable(), AT_START)

    assert isinstance(action, Load)
    assert state.response is None

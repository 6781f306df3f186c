"""What one process knows of a shared token, whatever the clocks of the others say."""

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.provider.shared.knowledge import Knowledge, Moment, VersionedToken, View
from aritma_auth.provider.shared.machine import SharedRefresh
from aritma_auth.provider.shared.messages import (
    Acquire,
    Leased,
    Loaded,
    Responded,
    Save,
    Serve,
    Unavailable,
    WaitForChange,
)
from aritma_auth.provider.shared.state import Phase, Purpose
from aritma_auth.provider.sharing_policy import SharingPolicy
from aritma_auth.stores import Entry, Record

POLICY = RefreshPolicy()
WALL = 1_700_000_000.0
OLD = aa.Token("old", issued_at=WALL, expires_at=WALL + 60, refresh_token="r1")
NEW = aa.Token("new", issued_at=WALL, expires_at=WALL + 60, refresh_token="r2")
SIGN_IN = aa.SignedInGrant("alice")
RULES = SharedRefresh(SIGN_IN, POLICY, SharingPolicy())
NOTHING = Knowledge(is_reusable=False, is_grant_spent=True)


def at(seconds, **changes):
    """Make the moment so many seconds after the beginning, on both clocks."""
    return attrs.evolve(Moment(1000.0 + seconds, WALL + seconds), **changes)


@pytest.mark.parametrize("slept", [21.0, 100.0, 3600.0])
def test_a_stored_token_ends_by_the_wall_clock_where_the_other_sleeps(slept):
    """The store told its age before the machine slept, and the monotonic clock slept too."""
    view = View(Entry(Record(OLD, 1), token_age=40.0), asked_at=1000.0, asked_wall=WALL)
    moment = at(0.0, wall=WALL + slept)

    assert NOTHING.alive_in(view, POLICY, attrs.evolve(moment, counts_suspend=False)) is None
    assert NOTHING.alive_in(view, POLICY, moment) is not None


@pytest.mark.parametrize("grant", [SIGN_IN, aa.ClientCredentialsGrant()], ids=["user", "service"])
@pytest.mark.parametrize("held", [None, NEW], ids=["nothing in hand", "another in hand"])
def test_a_rejected_token_is_not_adopted_whatever_is_in_hand(grant, held):
    """Neither at the look nor while another process refreshes it."""
    rules = SharedRefresh(grant, POLICY, SharingPolicy())
    known = Knowledge(is_reusable=grant.is_reusable)
    state, _ = rules.begin(known, Purpose.REFRESH, at(0.0))
    view = View(Entry(Record(OLD, 1), token_age=1.0), asked_at=1000.0, asked_wall=WALL)
    moment = at(0.0, held=held, rejected=OLD)
    state, looked = rules.step(state, Loaded(view), moment)
    state, followed = rules.step(state, Leased(None), moment)
    _, again = rules.step(state, Loaded(view), moment)

    assert (looked, again) == (Acquire(), Acquire())
    assert isinstance(followed, WaitForChange)
    assert rules.step(state, Loaded(view), at(0.0, held=held))[1].token is OLD


@pytest.mark.parametrize("slept", [0.0, 5.0, 11.0])
def test_an_adopted_token_counts_from_when_the_store_was_asked(slept):
    """It is handed over with the time of both clocks, so that a sleep meanwhile is accounted for."""
    state, _ = RULES.begin(NOTHING, Purpose.REFRESH, at(0.0))
    view = View(Entry(Record(OLD, 1), token_age=10.0), asked_at=1000.0, asked_wall=WALL)
    moment = at(0.0, wall=WALL + slept, counts_suspend=False)
    _, action = RULES.step(state, Loaded(view), moment)

    assert action == Serve(OLD, 990.0, WALL - 10.0, is_adopted=True)


@pytest.mark.parametrize("behind", [0.0, 45.0, 250.0])
def test_a_mark_of_our_own_makes_no_token_younger(behind):
    """The age that the store told holds, not the one by a wall clock that is behind."""
    told = View(Entry(Record(OLD, 1), token_age=68.0), asked_at=1000.0, asked_wall=WALL - behind)
    marked = told.written(Record(OLD, 1, WALL))

    assert marked.generation == 2
    assert marked.entry.token_age == 68.0
    assert NOTHING.alive_in(marked, POLICY, at(0.0, wall=WALL - behind)) is None


@pytest.mark.parametrize("before", [None, Entry(Record()), Entry(Record(OLD, 1), token_age=68.0)])
def test_another_token_has_no_age_of_the_store_yet(before):
    """It counts by its own stamp until the store has told its age."""
    assert View(before).written(Record(NEW, 2)).entry.token_age is None


@pytest.mark.parametrize("behind", [0.0, 45.0, 250.0])
def test_what_we_wrote_back_after_a_loss_of_memory_is_not_adopted(behind):
    """Its age is unknown here but for a wall clock; whether it lives, the cache knows."""
    before = View(None, asked_at=1000.0, asked_wall=WALL - behind)
    written = before.written(Record(OLD, 1)).written(Record(OLD, 1, WALL))

    assert NOTHING.alive_in(written, POLICY, at(0.0, wall=WALL - behind)) is None


@pytest.mark.parametrize("ahead", [1, 200, 7200])
@pytest.mark.parametrize("asked", ["refresh", "write"])
def test_a_sign_in_outranks_what_a_clock_ahead_has_stored(ahead, asked):
    """Even if a refresh looks first: it was stored before, and only seems to be newer."""
    known = NOTHING.signed_in(NEW, now=1000.0, wall=WALL)
    purpose = Purpose.REFRESH if asked == "refresh" else Purpose.WRITE_NOW
    state, _ = RULES.begin(known, purpose, at(0.0))
    stored = NOTHING.signed_in(OLD, now=1000.0, wall=WALL + ahead).newest
    entry = Entry(Record(stored.token, stored.serial))
    state, _ = RULES.step(state, Loaded(View(entry, 1000.0, WALL)), at(0.0))

    assert state.known.newest.token is NEW
    assert state.known.newest.serial == stored.serial + 1
    assert state.known.is_owed


@pytest.mark.parametrize("token", [None, NEW])
def test_what_cannot_be_read_raises_a_serial_once(token):
    """Each look would put it minutes ahead of the clock, and above the sign-ins of other hosts."""
    known = NOTHING.signed_in(token, now=1000.0, wall=WALL)
    unreadable = View(Entry(Record(), problem="another key"), 1000.0, WALL)
    raised = known.outranking(unreadable)
    another = known.signed_in(token, now=1001.0, wall=WALL + 1)

    assert raised.newest.serial > known.newest.serial + 300_000_000
    assert raised.outranking(unreadable) == raised
    assert another.outranking(unreadable).newest.serial > another.newest.serial
    stored = NOTHING.signed_in(OLD, now=1000.0, wall=WALL + 7200).newest
    readable = View(Entry(Record(stored.token, stored.serial)), 1001.0, WALL + 1)
    assert raised.outranking(readable).newest.serial == stored.serial + 1


@pytest.mark.parametrize("earlier", [1, 2, 5])
def test_a_sign_in_is_newer_than_any_number_of_earlier_ones_elsewhere(earlier):
    """The clock says so where the store cannot be asked: no sign-in's serial runs ahead of it."""
    other = NOTHING
    for number in range(earlier):
        other = other.signed_in(OLD, now=1000.0, wall=WALL + number / 10)

    known = NOTHING.signed_in(NEW, now=1000.0, wall=WALL + 1)

    assert known.newest.serial > other.newest.serial
    assert other.signed_in(NEW, now=1000.0, wall=WALL - 7200).newest.serial > other.newest.serial


@pytest.mark.parametrize("event", [Loaded(View(None, 1000.0, WALL)), Unavailable()])
def test_a_sign_in_is_new_until_its_own_call_has_met_the_store(event):
    """Later the serials tell which sign-in is newer: another host's may have come since."""
    state, _ = RULES.begin(
        NOTHING.signed_in(NEW, now=1000.0, wall=WALL), Purpose.WRITE_NOW, at(0.0)
    )
    state, _ = RULES.step(state, event, at(0.0))
    other = NOTHING.signed_in(OLD, now=1000.0, wall=WALL + 200).newest
    later = View(Entry(Record(other.token, other.serial)), 1001.0, WALL + 1)
    state, _ = RULES.begin(state.known, Purpose.REFRESH, at(1.0))
    state, _ = RULES.step(state, Loaded(later), at(1.0))

    assert state.known.newest.token is OLD


@pytest.mark.parametrize(
    ("back", "age"), [(7200.0, 3.0), (2.0, 3.0), (0.5, 2.5), (0.0, 3.0), (-7200.0, 7203.0)]
)
def test_a_token_is_stored_as_old_as_the_monotonic_clock_says(back, age):
    """The wall clock, by which others count, may be set back between the response and its write."""
    ask, _ = RULES.begin(NOTHING.signed_in(OLD, now=1000.0, wall=WALL), Purpose.REFRESH, at(0.0))
    state = attrs.evolve(ask, phase=Phase.ASK, basis=OLD, serial=ask.known.newest.serial)
    later = at(3.0, wall=WALL + 3.0 - back)
    state, action = RULES.step(state, Responded(NEW, 1000.0), later)

    assert isinstance(action, Save)
    written = action.record.token
    assert later.wall - written.issued_at == age
    assert written.expires_at - written.issued_at == NEW.expires_at - NEW.issued_at
    assert state.response.token is NEW


@pytest.mark.parametrize("age", [0.0, 40.0, 7200.0])
@pytest.mark.parametrize("back", [-7200.0, 0.0, 200.0, 7200.0])
def test_a_token_that_a_store_lost_is_written_back_as_old_as_it_is(back, age):
    """Its issuer's clock may have been ahead of this one, and the store has said how old it was."""
    token = attrs.evolve(OLD, issued_at=WALL - age + back, expires_at=WALL - age + back + 60)
    view = View(Entry(Record(token, 1), token_age=age), asked_at=1000.0, asked_wall=WALL)
    state, _ = RULES.begin(NOTHING.saw(view), Purpose.REFRESH, at(50.0))
    state, action = RULES.step(state, Loaded(View(None, 1050.0, WALL + 50)), at(50.0))

    assert isinstance(action, Save)
    written = action.record.token
    assert WALL + 50 - written.issued_at == max(50 + age, 50 + age - back)
    assert written.expires_at - written.issued_at == 60


@pytest.mark.parametrize("back", [0.0, 200.0, 7200.0])
def test_a_mark_that_a_store_without_memory_gets_makes_no_token_younger(back):
    """A service's mark is written with the token that it knows, and counts as a write of it."""
    token = attrs.evolve(OLD, issued_at=WALL - 70 + back, expires_at=WALL - 10 + back)
    view = View(Entry(Record(token, 1), token_age=70.0), asked_at=1000.0, asked_wall=WALL)
    service = SharedRefresh(aa.ClientCredentialsGrant(), POLICY, SharingPolicy())
    known = Knowledge(is_reusable=True).saw(view)
    state, _ = service.begin(known, Purpose.REFRESH, at(5.0))
    state = attrs.evolve(state, others_wait=True)
    empty = View(None, 1005.0, WALL + 5)
    state, _ = service.step(state, Loaded(empty), at(5.0))
    state, action = service.step(state, Leased(1, empty), at(5.0))

    assert state.phase is Phase.CLAIM
    assert WALL + 5 - action.record.token.issued_at == 75.0


@pytest.mark.parametrize("seen", [0.0, 1.0])
def test_a_token_is_no_younger_for_having_been_seen_again(seen):
    """A file does not tell its age, and a process that looks later knows of the earlier look."""
    known = NOTHING.saw(View(Entry(Record(OLD, 1), token_age=40.0), asked_at=1000.0))
    again = known.saw(View(Entry(Record(OLD, 1)), asked_at=1000.0 + seen))
    other = known.saw(View(Entry(Record(NEW, 2)), asked_at=1000.0 + seen))

    assert again.issued_by == 960.0
    assert other.issued_by == 1000.0 + seen


@pytest.mark.parametrize("seen", [0.0, 4.0, 60.0])
def test_a_mark_is_known_from_when_it_was_seen_first(seen):
    """A later refresh of the same process does not begin to wait anew; another mark is another."""
    first, second = Record(redeeming_since=WALL - 7200), Record(redeeming_since=WALL + 1)
    known = NOTHING.looked(View(Entry(first), 1000.0), now=1000.0, longest=5.0)
    at = 1000.0 + seen

    assert known.looked(View(Entry(first), at), now=at, longest=5.0).mark_seen_at == 1000.0
    assert known.looked(View(Entry(second), at), now=at, longest=5.0).mark_seen_at == at


@pytest.mark.parametrize(("gap", "since"), [(0.0, 1000.0), (5.0, 1000.0), (5.1, 1005.1)])
def test_a_mark_is_watched_as_long_as_no_gap_is_too_long(gap, since):
    """Not anew by each refresh, but by a process that stood still or found the store away."""
    record = Record(redeeming_since=WALL)
    known = NOTHING.looked(View(Entry(record), 1000.0), now=1000.0, longest=5.0)
    at = 1000.0 + gap

    assert known.looked(View(Entry(record), at), now=at, longest=5.0).watched_from == since


@pytest.mark.parametrize("is_written", [True, False])
def test_what_became_of_an_older_tokens_write_says_nothing_of_the_newest(is_written):
    """A sign-in came while the write went on; its own write is still owed."""
    known = attrs.evolve(NOTHING, newest=VersionedToken(NEW, 2), is_owed=True, unresolved=1)

    assert known.wrote(Record(OLD, 1), is_written=is_written) is known

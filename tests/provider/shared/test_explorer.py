"""The shared refresh in every interleaving of two processes and what may happen to them."""

from collections import deque

import pytest

from aritma_auth.provider.shared.knowledge import Knowledge, View
from aritma_auth.provider.shared.situation import Situation
from aritma_auth.stores import Entry, Record
from support.explorer.moves import moves
from support.explorer.search import explore, walk
from support.explorer.space import Space
from support.explorer.world import GENERATION, NOW, TOKENS, BrokenInvariantError, start

FAULTS = ["outage", "crash", "loss", "freeze", "forget"]
"""Each by itself; the nox session ``interleavings`` has more of them, and several at once."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_interleaving_breaks_an_invariant(fault):
    """In every world that two processes reach the invariants hold, and from each all gets well."""
    assert explore(start(fault)) > 1_000


@pytest.mark.timeout(300)
def test_no_interleaving_of_paired_operations_breaks_an_invariant():
    """The same over a store that loads with the lease, and releases it with the last write."""
    assert explore(start("crash", is_paired=True)) > 1_000


@pytest.mark.timeout(300)
def test_no_random_way_through_four_faults_breaks_an_invariant():
    """A sign-in, a sign-out, a crash and an outage meet in one history: too many worlds to visit all."""
    assert walk(start("sign-in", "forget", "crash", "outage"), 150) > 1_000


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "faults", [[], ["crash"], ["outage"], ["forget"]], ids=["healthy", "crash", "outage", "forget"]
)
def test_a_process_with_a_wrong_key_harms_nobody(faults):
    """It replaces nothing that it cannot read, and says that this is an outage."""
    assert explore(start(*faults, wrong_key=True)) > 20


@pytest.mark.timeout(300)
def test_nothing_that_is_left_out_of_a_world_matters_to_what_follows():
    """From a world with all that it remembers follow the same ones as from its number."""
    space, world = Space(is_reduced=False), start("crash")
    found, queue = {space.number_of(world): world}, deque([space.number_of(world)])
    while queue:
        number = queue.popleft()
        following = {space.number_of(move.after): move.after for move in moves(found[number])}
        assert {after for _, _, after in space.moves(number)} == following.keys()
        new = following.keys() - found.keys()
        found.update((after, following[after]) for after in new)
        queue.extend(new)


def test_a_successor_that_came_during_a_call_of_set_token_does_not_undo_a_forget():
    """The call looks again after the refresh, and what is stored is the end of that sign-in."""
    known = Knowledge(is_reusable=False).signed_in(TOKENS["b"], now=NOW, wall=10_000.0)
    known = known.refreshed(TOKENS["b1"], asked_at=NOW)
    forgotten = View(Entry(Record(None, known.newest.serial + 1), GENERATION))
    assert known.outranking(forgotten).saw(forgotten).newest.token is None


MISSING = {
    "nobody waits for a mark": ("crash", Situation, "wait_before_claim", lambda _: 0.0),
    "a lost write is not owed": (
        *("outage", Knowledge, "missed"),
        lambda known, *, now: Knowledge(is_reusable=False, is_grant_spent=True),
    ),
}
"""What is taken away from the machine, and the fault that tells."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_reduced", [True, False], ids=["reduced", "every way"])
@pytest.mark.parametrize("what", MISSING)
def test_a_machine_without_one_of_its_rules_is_found_out(what, is_reduced, monkeypatch):
    """The search finds what breaks, with the ways that it leaves out and without them."""
    fault, owner, name, instead = MISSING[what]
    monkeypatch.setattr(owner, name, instead)
    with pytest.raises(BrokenInvariantError, match=r", after 0 "):
        explore(start(fault), is_reduced=is_reduced)

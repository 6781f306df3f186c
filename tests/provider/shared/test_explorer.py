"""The shared refresh in every interleaving of two processes and what may happen to them."""

import pytest

from support.explorer.search import explore, walk
from support.explorer.world import start

FAULTS = ["outage", "crash", "loss", "freeze"]
"""Each by itself; the nox session ``interleavings`` has more of them, in pairs."""


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
    assert explore(start(*faults, wrong_key=True)) > 40

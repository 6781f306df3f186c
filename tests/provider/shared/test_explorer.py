"""The shared refresh in every interleaving of two processes and what may happen to them."""

import pytest

from support.explorer import explore, start

FAULTS = ["outage", "crash", "loss", "freeze", "forget", "sign-in"]
"""Each by itself; the nox session ``interleavings`` has pairs of them."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_interleaving_breaks_an_invariant(fault):
    """In every world that two processes reach the invariants hold, and from each all gets well."""
    assert explore(start(fault)) > 1_000


@pytest.mark.timeout(300)
@pytest.mark.parametrize("faults", [[], ["outage"]], ids=["healthy", "outage"])
def test_a_process_with_a_wrong_key_harms_nobody(faults):
    """It replaces nothing that it cannot read, and says that this is an outage."""
    assert explore(start(*faults, wrong_key=True)) > 50

"""Histories in which an earlier version broke an invariant, and their neighbours."""

import pytest

from support.simulation.histories import HISTORIES, SEEDS, make_history
from support.simulation.run import run_plan
from support.simulation.universe import quiet


@pytest.mark.parametrize("name", HISTORIES)
def test_what_broke_the_first_version_holds(name):
    """Every invariant holds in a history that broke one of the first version."""
    with quiet():
        for seed in SEEDS:
            violation = run_plan(make_history(name, seed)).violation
            assert violation is None, f"latencies of seed {seed}: {violation}"

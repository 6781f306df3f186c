"""The mends that simulation demands: each can be taken away, and is missed then."""

from pathlib import Path

import pytest

from support.simulation.histories import HISTORIES
from support.simulation.mutations import MUTATIONS, apply, find, read_package


def test_each_mutation_changes_the_package_as_it_is_now():
    """No mutation is out of date, and what it makes is Python."""
    sources = read_package()
    for mutation in MUTATIONS:
        changed = apply(mutation, sources)
        assert changed
        for path, text in changed.items():
            compile(text, str(path), "exec")


def test_each_mutation_says_what_tells_it():
    """A mutation names a history or a seed; ``nox -s simulation -- mutations`` runs them all."""
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert all(isinstance(one.told_by, int) or one.told_by in HISTORIES for one in MUTATIONS)


def test_the_page_about_simulation_names_what_tells_each_mutation():
    """What each mend is for, and which history or seed misses it, is as the mutations say."""
    page = (Path(__file__).parents[2] / "docs/explanation/simulation.md").read_text()
    for one in MUTATIONS:
        told_by = f"seed {one.told_by:,}" if isinstance(one.told_by, int) else one.told_by
        assert f"| {one.name} | {one.what} | {told_by} |" in page


def test_a_mutation_that_is_out_of_date_is_refused():
    """A text that the package does not have changes nothing silently."""
    with pytest.raises(LookupError, match="F1: 0 places"):
        apply(MUTATIONS[0], {})


def test_a_missing_mend_is_told():
    """The history that tells a flight's missing end fails on the mutant."""
    told_by, invariant = find(MUTATIONS[0], [MUTATIONS[0].told_by])
    assert told_by == MUTATIONS[0].told_by
    assert invariant == "every caller ends in time"

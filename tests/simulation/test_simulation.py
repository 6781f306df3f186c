"""The simulation: its seeds hold, a history replays exactly, and a failure is made smaller."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import aritma_auth as aa
from support.simulation.history import History
from support.simulation.plan import Plan, Step, World, make_plan
from support.simulation.run import run_plan, run_range, run_seed, shrink
from support.simulation.universe import quiet

TESTS = Path(__file__).parents[1]
PLAIN_WORLD = World("signed_in", "redis", processes=2, lifetime=60, duration=200.0)


def test_a_history_replays_exactly_from_its_seed():
    """The same seed gives the same trace, to the last microsecond."""
    with quiet():
        for seed in range(20):
            first, again = run_seed(seed), run_seed(seed)
            assert first.trace == again.trace


def test_a_history_does_not_depend_on_how_python_hashes():
    """Another process with another hash seed gives the same trace."""
    program = (
        "from support.simulation.run import run_seed\n"
        "from support.simulation.universe import quiet\n"
        "with quiet():\n"
        "    print(*(run_seed(seed).digest for seed in range(12)))\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": _import_path(), "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


def _import_path():
    return os.pathsep.join([str(TESTS), *(path for path in sys.path if path)])


@pytest.mark.parametrize("grant", ["signed_in", "client_credentials"])
def test_a_fleet_without_faults_makes_one_request_a_rotation(grant):
    """Three processes that ask every few seconds make one token request per lifetime."""
    world = World(grant, "redis", processes=3, lifetime=60, duration=300.0)
    steps = tuple(Step(1.0 + at / 3, "call", at % 3) for at in range(890))
    with quiet():
        history = run_plan(Plan(1, world, steps))
    assert history.violation is None
    assert 5 <= len(history.server.requests) <= 10


def test_virtual_time_passes_without_waiting_for_it():
    """A history of an hour is over at once, and its universe has seen the hour."""
    world = World("client_credentials", "", processes=1, lifetime=300, duration=3600.0)
    with quiet():
        history = run_plan(Plan(1, world, (Step(3500.0, "call"),)))
    assert history.violation is None
    assert history.universe.now > 3600


def test_a_killed_process_does_nothing_more():
    """A process that is killed in mid-exchange neither stores nor sends; another one takes over."""
    steps = (
        Step(100.0, "kill", slot=0, seconds=500.0, anchor="arrived"),
        Step(101.0, "call", slot=0),
        Step(150.0, "call", slot=1),
    )
    with quiet():
        history = run_plan(Plan(1, PLAIN_WORLD, steps))
    killed = next(when for when, text in history.trace if text == "p0 killed")
    assert not [text for when, text in history.trace if when > killed and text.startswith("p0 ")]
    assert history.violation is None


def test_a_failure_is_found_and_made_smaller(monkeypatch):
    """A provider that serves expired tokens is found out, and few steps are left of its history."""
    get_token = aa.TokenProvider.get_token
    served = {}

    async def serve_the_first_for_ever(provider, *args, **kwargs):
        token = served.get(provider)
        if token is None:
            token = served[provider] = await get_token(provider, *args, **kwargs)
        return token

    monkeypatch.setattr(aa.TokenProvider, "get_token", serve_the_first_for_ever)
    with quiet():
        plan = make_plan(1)
        violation = run_plan(plan).violation
        assert violation.invariant == "no expired token"
        served.clear()
        small = shrink(plan, violation.invariant)
        assert len(small.steps) <= 2
        assert run_plan(small).violation.invariant == "no expired token"
        served.clear()


@pytest.mark.parametrize("key", ["right", "wrong"])
def test_a_process_that_reuses_no_token_is_found_out(key, monkeypatch):
    """One that cannot read the others' tokens counts by itself, and neither hides behind the other."""
    call = History.call

    def ask_anew(history, step, process):
        if process.key == key:
            history.forget(step, process)
        history.universe.after(1.0, lambda: call(history, step, process))

    world = World("client_credentials", "redis", 2, lifetime=300, duration=400.0, wrong_key=1)
    calls = tuple(Step(10.0 + 15 * at, "call", at % 2) for at in range(25))
    with quiet():
        assert run_plan(Plan(1, world, calls)).violation is None
        monkeypatch.setattr(History, "call", ask_anew)
        assert run_plan(Plan(1, world, calls)).violation.invariant == "tokens are reused"


def test_every_kind_of_step_is_something_that_a_history_can_do():
    """No plan asks for what `History` does not know."""
    kinds = {step.kind for seed in range(300) for step in make_plan(seed).steps}
    assert all(callable(getattr(History, kind, None)) for kind in kinds)
    assert len(kinds) >= 20


def test_a_small_set_of_seeds_holds():
    """No invariant fails in the suite's seeds; `nox -s simulation` runs many more."""
    failed, _ = run_range(0, 60)
    assert failed == {}

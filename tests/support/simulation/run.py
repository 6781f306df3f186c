"""Run seeds; replay and shrink what fails."""

import time

import attrs

from support.simulation.history import History
from support.simulation.payments.history import PaymentHistory
from support.simulation.payments.plan import PaymentWorld, make_death_plan, make_payment_plan
from support.simulation.plan import World, make_plan
from support.simulation.universe import quiet

_COLLECT_EVERY = 10

PLANS = {"tokens": make_plan, "payments": make_payment_plan, "deaths": make_death_plan}
"""What a seed can mean."""

_HISTORIES = {World: History, PaymentWorld: PaymentHistory}


def run_plan(plan, *, verbose=False):
    """Run a plan; give the history."""
    history = _HISTORIES[type(plan.world)](plan, verbose=verbose)
    history.run()
    return history


def run_seed(seed, kind="tokens"):
    """Run a seed; give the history."""
    return run_plan(PLANS[kind](seed))


def shrink(plan, invariant):
    """Leave out steps as long as the same invariant does not hold."""
    chunk = max(1, len(plan.steps) // 2)
    while True:
        position, is_smaller = 0, False
        while position < len(plan.steps):
            steps = plan.steps[:position] + plan.steps[position + chunk :]
            smaller = attrs.evolve(plan, steps=steps)
            violation = run_plan(smaller).violation
            if violation is not None and violation.invariant == invariant:
                plan, is_smaller = smaller, True
            else:
                position += chunk
        if chunk == 1 and not is_smaller:
            return plan
        chunk = max(1, chunk // 2)


def report(seed, kind="tokens"):
    """Describe a seed's failure: its world, the steps that it needs, and what happened."""
    plan = PLANS[kind](seed)
    first = run_plan(plan)
    if first.violation is None:
        return f"seed {seed}: no violation"
    again = run_plan(plan)
    small = shrink(plan, first.violation.invariant)
    history = run_plan(small, verbose=True)
    return "\n".join(
        [
            f"seed {seed}: {first.violation}",
            f"replay: {first.digest} {again.digest}",
            f"smaller: {history.violation}",
            *(f"  {step}" for step in small.steps),
            f"  {small.world}",
            *(f"  {when:10.4f}  {text}" for when, text in history.trace),
        ]
    )


def run_range(first, last, *, kind="tokens", limit=None):
    """Run seeds from first to last; give those that fail, by invariant."""
    failed = {}
    began = time.perf_counter()
    for start in range(first, last, _COLLECT_EVERY):
        with quiet():
            for seed in range(start, min(last, start + _COLLECT_EVERY)):
                violation = run_seed(seed, kind).violation
                if violation is not None:
                    failed.setdefault(violation.invariant, []).append(seed)
        if limit is not None and sum(map(len, failed.values())) >= limit:
            break
    took = time.perf_counter() - began
    return failed, took

"""What one seed means: a world of payments, and the steps that happen in it."""

import random

import attrs

from support.simulation.plan import NETWORK, PAUSES, STORE, Plan, Step

_DAY = 24 * 3600.0
_OUTAGES = ("api 503", "api 500", "api hang", "identity 503", "identity hang")
_ANCHORS = ("sent", "arrived", "delivered", "step")


@attrs.frozen
class PaymentWorld:
    """
    What does not change in a history.

    Attributes:
        signers: The end-users who must sign, in the order of their arrival.

        arrivals: True seconds when each comes first.

        processes: Size of the application's fleet.

        store: ``redis`` or ``file`` (the provider's, shared by processes), or empty.

        lifetime: Seconds of an access token.

        duration: Seconds until all is healed.

        key_lifetime: Seconds for which the bank knows an Idempotency-Key: longer than a payment's
            window for repetitions and everything that may delay a request.

        settles_after: Seconds from the last signature to the execution.

        event_delay: Seconds of an event's way, on average; a later one may come first.

        duplicates: Part of the events that are delivered twice although they were accepted.

        lost_events: Part of the deliveries whose response is lost.
    """

    signers: tuple = ("user-alice", "user-bob")
    arrivals: tuple = (1.0, 40.0)
    processes: int = 1
    store: str = ""
    lifetime: int = 300
    duration: float = 300.0
    key_lifetime: float = 1500.0
    settles_after: float = 1.0
    event_delay: float = 1.0
    duplicates: float = 0.0
    lost_events: float = 0.0
    counts_suspend: bool = True
    wall_offsets: tuple = (0.0, 0.0, 0.0)


def make_payment_plan(seed):
    """Make the plan of a seed."""
    rng = random.Random(f"payment plan {seed}")
    world = _make_world(rng)
    steps = [*_make_polls(rng, world), *_make_faults(rng, world)]
    return Plan(seed, world, tuple(sorted(steps, key=lambda step: step.at)))


def make_death_plan(number):
    """
    Make the plan in which the one process is killed at its callback of that number, and again.

    Its successor dies after as many callbacks: what the first death left must not trip the second.
    Beyond the last callback of the payment nothing is killed, and no event comes in time to help.
    """
    deaths = (Step(0.0, "kill", seconds=3.0, anchor="step", skip=n) for n in (number, 2 * number))
    return Plan(number, PaymentWorld(event_delay=1e6), tuple(deaths))


def _make_world(rng):
    signers = ["user-alice", "user-bob"]
    rng.shuffle(signers)
    first = rng.uniform(0.5, 20.0)
    second = first + rng.choice((0.0, 0.01, 1.0, 30.0, 400.0, 3 * _DAY)) * rng.random()
    return PaymentWorld(
        signers=tuple(signers),
        arrivals=(first, second),
        processes=rng.choice((1, 1, 2, 2, 3)),
        store=rng.choice(("", "redis", "file")),
        lifetime=rng.choice((25, 60, 300, 3600)),
        duration=rng.uniform(30.0, 500.0),
        settles_after=rng.choice((0.0, 1.0, 100.0, 2000.0)),
        event_delay=rng.choice((0.01, 1.0, 60.0, 600.0)),
        duplicates=rng.choice((0.0, 0.5, 1.0)),
        lost_events=rng.choice((0.0, 0.3, 0.8)),
        counts_suspend=rng.random() < 0.6,
        wall_offsets=tuple(rng.choice((0.0, 0.0, 7.0, -45.0, 200.0)) for _ in range(3)),
    )


def _make_polls(rng, world):
    for _ in range(rng.choice((0, 0, 3, 20))):
        at = rng.uniform(1.0, world.duration)
        yield Step(at, "poll", rng.randrange(world.processes), seconds=rng.choice((0.0, 1.0)))


def _make_faults(rng, world):
    # The payment happens in the first minute, and so should its troubles.
    latest = min(world.duration * 0.95, 150.0)
    for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 4, 6, 9, 14))):
        kind = rng.choices([kind for kind, _ in _KINDS], [weight for _, weight in _KINDS])[0]
        yield _make_fault(rng, world, kind, rng.uniform(0.0, latest))


def _make_fault(rng, world, kind, at):
    slot = rng.randrange(world.processes)
    seconds = rng.choice(PAUSES) * rng.uniform(0.8, 1.2)
    detail, anchor = "", rng.choice(("", *_ANCHORS))
    if kind == "outage":
        detail, anchor = rng.choice(_OUTAGES), ""
        seconds = rng.choice((0.5, 5.0, 20.0, 60.0, 300.0))
    elif kind == "network_fault":
        detail, anchor = rng.choice(NETWORK), ""
        slot = rng.choice((slot, -1))
    elif kind == "store_fault":
        detail, anchor = rng.choice(STORE), ""
    elif kind == "loss":
        detail = rng.choice(("lose", "lose", "reset", "truncate"))
    elif kind == "wall":
        seconds = rng.choice((5.0, 100.0, -5.0, -100.0))
    return Step(
        at, kind, slot, detail, seconds, anchor=anchor, skip=rng.choice((0, 1, 2, 3, 5, 8, 13, 40))
    )


_KINDS = (
    ("kill", 12),
    ("loss", 6),
    ("outage", 4),
    ("network_fault", 4),
    ("freeze", 3),
    ("suspend", 2),
    ("block", 2),
    ("cancel", 3),
    ("wall", 1),
    ("store_fault", 2),
    ("fail_authorizations", 1),
)

"""What one seed means: a world, and the steps that happen in it, as data that can be made smaller."""

import random

import attrs

ANCHORS = ("sent", "arrived", "delivered", "store begun", "store done", "step")
"""What an armed step waits for: it then happens after a few callbacks more of that process."""

OUTAGES = ("503", "429", "500", "hang", "proxy page", "firewall", "invalid_client")
NETWORK = (
    "refuse",
    "black hole",
    "lose requests",
    "lose responses",
    "reset requests",
    "reset responses",
    "late",
)
VAULT = ("hangs", "fails", "is cancelled")
STORE = ("slow", "away", "hung", "loses answers")
PAUSES = (0.05, 0.5, 2.0, 8.0, 11.0, 14.0, 31.0, 65.0)


@attrs.frozen
class World:
    """
    What does not change in a history.

    Attributes:
        grant: ``client_credentials`` or ``signed_in``.

        store: ``redis`` or ``file`` (shared by processes), ``memory`` (within one), or empty.

        processes: Size of the fleet.

        lifetime: Seconds of an access token.

        duration: Seconds until all is healed.

        rotates: Refresh tokens are good for one time only.

        reuse_ends_family: A spent refresh token that comes again ends the sign-in.

        grace: Seconds for which a spent one may come again.

        counts_suspend: The processes' monotonic clocks go on while the machine sleeps.

        wall_offsets: Seconds by which each machine's wall clock is ahead.

        wrong_key: The process that has another encryption key, or None.
    """

    grant: str
    store: str
    processes: int
    lifetime: int
    duration: float
    rotates: bool = True
    reuse_ends_family: bool = True
    grace: float = 0.0
    counts_suspend: bool = True
    wall_offsets: tuple = (0.0, 0.0, 0.0)
    wrong_key: int | None = None


@attrs.frozen
class Step:
    """
    One thing that happens.

    Attributes:
        at: True seconds.

        kind: What; the method of `History` with this name does it.

        slot: To which process.

        detail: Of which kind.

        seconds: For how long.

        timeout: A caller's time-out, or None.

        loop: On which of its event loops.

        anchor: What it waits for from then on, or empty.

        skip: Callbacks of that process to let pass after the anchor.
    """

    at: float
    kind: str
    slot: int = 0
    detail: str = ""
    seconds: float = 0.0
    timeout: float | None = None
    loop: str = "main"
    anchor: str = ""
    skip: int = 0


@attrs.frozen
class Plan:
    """A seed's world and steps."""

    seed: int
    world: World
    steps: tuple


def make_plan(seed):
    """Make the plan of a seed."""
    rng = random.Random(f"plan {seed}")
    world = _make_world(rng)
    steps = [*_make_calls(rng, world), *_make_faults(rng, world)]
    return Plan(seed, world, tuple(sorted(steps, key=lambda step: step.at)))


def _make_world(rng):
    grant = rng.choices(("signed_in", "client_credentials"), (4, 1))[0]
    store = rng.choices(("redis", "file", "memory", ""), (5, 2, 1, 2))[0]
    shared = store in {"redis", "file"}
    processes = rng.choice((1, 2, 2, 3, 3)) if store else 1
    lifetime = rng.choice((25, 25, 60, 60, 60, 120, 300, 900))
    offsets = tuple(rng.choice((0.0, 0.0, 7.0, -45.0, 200.0)) for _ in range(3))
    if store != "redis":
        offsets = offsets[:1] * 3
    return World(
        grant,
        store,
        processes,
        lifetime,
        duration=rng.uniform(1.5, 4.5) * max(lifetime, 60),
        rotates=rng.random() < 0.92,
        reuse_ends_family=rng.random() < 0.8,
        grace=rng.choice((0.0, 0.0, 0.0, 30.0)),
        counts_suspend=rng.random() < 0.6,
        wall_offsets=offsets,
        wrong_key=rng.randrange(processes)
        if shared and processes > 1 and rng.random() < 0.08
        else None,
    )


def _make_calls(rng, world):
    period = max(2.5, world.lifetime / rng.choice((5, 10, 14)))
    loops = ("main", "main", "side") if rng.random() < 0.4 else ("main",)
    jobs = rng.random() < 0.2
    for slot in range(world.processes):
        at = 1.0 + rng.uniform(0, period)
        while at < world.duration:
            timeout = rng.choice((None, None, 0.3, 3.0, 12.0))
            crowd = rng.choice((1, 1, 1, 2, 4))
            for _ in range(crowd):
                kind = "job" if jobs and rng.random() < 0.5 else "call"
                seconds = rng.choice((0.0, 0.05, 0.3, 2.0)) if kind == "job" else 0.0
                yield Step(at, kind, slot, timeout=timeout, loop=rng.choice(loops), seconds=seconds)
            at += period * rng.uniform(0.3, 1.7)


def _make_faults(rng, world):
    count = rng.choice((0, 1, 1, 2, 2, 3, 4, 6, 9, 14))
    kinds = [kind for kind, weight, fits in _KINDS if fits(world) for _ in range(weight)]
    at = None
    for _ in range(count):
        # Troubles like company.
        if at is None or rng.random() < 0.5:
            at = rng.uniform(1.0, world.duration * 0.95)
        else:
            at += rng.choice((0.0, 0.0, 1.0, 9.0, 12.0, 30.0)) * rng.random()
        yield _make_fault(rng, world, rng.choice(kinds), at)


def _make_fault(rng, world, kind, at):
    slot = rng.randrange(world.processes)
    detail, seconds, timeout = "", rng.choice(PAUSES) * rng.uniform(0.8, 1.2), None
    if kind == "outage":
        detail = rng.choice(OUTAGES)
        seconds = rng.choice((5.0, 20.0, 60.0, 150.0, 300.0))
        timeout = rng.choice((None, None, 1, 3, 30))
    elif kind == "network_fault":
        detail = rng.choice(NETWORK)
        slot = rng.choice((slot, -1))
    elif kind == "loss":
        detail = rng.choice(("lose", "lose", "reset", "truncate"))
    elif kind == "store_fault":
        detail = rng.choice(STORE)
        slot = rng.choice((slot, -1))
    elif kind in {"set_token", "forget", "sign_out", "aclose"} and rng.random() < 0.3:
        detail, timeout = "cancelled", rng.choice((0.0, 0.002, 0.01, 0.1, 3.0)) * rng.random()
    elif kind == "vault":
        detail = rng.choice(VAULT)
    elif kind == "wall":
        choices = (5.0, 100.0, 7200.0, -5.0, -100.0, -7200.0)
        # Processes that share a machine's disk share its clock, and a store without one believes it.
        seconds = rng.choice(
            choices if world.store == "redis" or world.processes == 1 else choices[:3]
        )
    anchor = (
        rng.choice(("", *ANCHORS)) if kind not in {"outage", "network_fault", "store_fault"} else ""
    )
    return Step(
        at,
        kind,
        slot,
        detail,
        seconds,
        timeout,
        loop=rng.choice(("main", "main", "side")),
        anchor=anchor,
        skip=rng.choice((0, 0, 1, 2, 3, 5, 8, 13)),
    )


def _always(world):
    return True


def _signed_in(world):
    return world.grant == "signed_in"


def _shared(world):
    return world.store in {"redis", "file"}


_KINDS = (
    ("cancel", 3, _always),
    ("reject", 3, _always),
    ("set_token", 2, _signed_in),
    ("forget", 1, _always),
    ("sign_out", 1, _signed_in),
    ("aclose", 1, _always),
    ("freeze", 3, _always),
    ("suspend", 2, _always),
    ("kill", 3, _shared),
    ("wall", 2, _always),
    ("block", 2, _always),
    ("stand", 2, _always),
    ("close_loop", 1, _always),
    ("end_run", 2, _always),
    ("outage", 4, _always),
    ("network_fault", 4, _always),
    ("loss", 4, _always),
    ("store_fault", 5, _shared),
    ("vault", 1, _always),
    ("amnesia", 1, _shared),
    ("revoke", 1, _signed_in),
)

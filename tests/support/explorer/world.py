"""A world as a value: processes, the store's entry, the server, the clock, and what may go wrong."""

import math

import attrs

import aritma_auth as aa
from aritma_auth.provider.shared.knowledge import Knowledge
from aritma_auth.provider.shared.machine import SharedRefresh
from aritma_auth.stores import Entry, Record

POLICY = aa.RefreshPolicy(
    backoff_cap=1,
    permanent_error_backoff_cap=1,
    refresh_timeout=6,
    default_lifetime=1e9,
    max_lifetime=1e9,
    max_attempts=1,
)
SHARING = aa.SharingPolicy(
    redemption_timeout=2,
    store_retry_interval=1,
    store_loss_grace=1,
    min_poll=1,
    max_poll=1,
    recheck_interval=1,
    store_timeout=0.25,
)
RULES = SharedRefresh(aa.SignedInGrant("alice"), POLICY, SHARING)
DRAW = 0.5
NOW = 1000.0
GENERATION = 1000


class BrokenInvariantError(AssertionError):
    """A world that must not be."""


def token(name, *, is_fresh):
    """Make a token; its refresh token has the same name."""
    ends = None if is_fresh else 2.0
    return aa.Token(name, refresh_token=f"r-{name}", issued_at=1.0, expires_at=ends)


TOKENS = {name: token(name, is_fresh=len(name) > 1) for name in ("a", "a1", "a2", "b", "b1", "b2")}
"""Sign-ins a and b, whose access tokens have ended, and what they are exchanged for."""


@attrs.frozen
class Job:
    """A refresh or a write under way: its state, its action, and how far that is."""

    state: object
    action: object
    until: float = 0.0
    result: object = None
    generation: int = 0
    """The cache's when it began."""


@attrs.frozen
class Process:
    known: Knowledge = attrs.field(
        factory=lambda: Knowledge(is_reusable=False, is_grant_spent=True)
    )
    refresh: Job | None = None
    write: Job | None = None
    keep_at: float | None = None
    """When what is owed is written at the next try."""
    held: str | None = None
    """The cache's token, if it is fresh."""
    generation: int = 0
    can_read: bool = True
    is_frozen: bool = False


@attrs.frozen
class World:
    now: float = NOW
    processes: tuple[Process, ...] = ()
    entry: Entry | None = None
    noted_at: float = 0.0
    """When the entry's backoff began."""
    writer: int = 0
    """The process that wrote the entry: none with another key can read it."""
    lease: int | None = None
    is_away: bool = False
    away_since: float = 0.0
    spent: tuple[tuple[str, float], ...] = ()
    """Refresh tokens that the server has taken, and when the mark for that was decided on."""
    ended: frozenset[str] = frozenset()
    """Sign-ins that the server has ended, since a spent token came again."""
    excused: frozenset[str] = frozenset()
    """Sign-ins whose newest token nobody has in hand: a response, its holder or its time is lost."""
    wanted: frozenset[str] = frozenset({"a"})
    """The sign-ins that may be the newest one; "" after `forget`."""
    is_paired: bool = False
    """The store loads with the lease, and releases it with the last write."""
    faults: frozenset[str] = frozenset()
    """What may still happen once: crash, outage, sign-in, forget, loss, freeze."""

    def with_process(self, index, **changes):
        processes = list(self.processes)
        processes[index] = attrs.evolve(processes[index], **changes)
        return attrs.evolve(self, processes=tuple(processes))

    def without(self, fault):
        return attrs.evolve(self, faults=self.faults - {fault})


@attrs.frozen
class Move:
    """What may follow: what happens, and the world after it."""

    label: str
    after: World
    is_urgent: bool = attrs.field(default=False, kw_only=True)
    """No time passes before it."""
    is_fault: bool = attrs.field(default=False, kw_only=True)


def start(*faults, wrong_key=False, is_paired=False):
    """Give the world to begin with: a sign-in that both processes must refresh."""
    processes = (Process(), Process(can_read=not wrong_key))
    entry = Entry(Record(TOKENS["a"], 1), GENERATION)
    return World(processes=processes, entry=entry, is_paired=is_paired, faults=frozenset(faults))


def aged(world):
    """Give the entry's record as it is now."""
    record = world.entry.record
    if record.backoff is None:
        return record
    left = max(0.0, math.ceil(record.backoff.seconds) - (world.now - world.noted_at))
    return attrs.evolve(record, backoff=attrs.evolve(record.backoff, seconds=left))


def family(one):
    """Name the sign-in that a token is of; none for no token."""
    return "" if one is None else one.access_token[0]


def owes_act(process):
    """Tell whether what a process's user did is not stored yet."""
    return process.known.is_owed and process.known.is_by_user


def reads(world, index):
    """Tell whether a process can read the entry."""
    keys = {world.processes[each].can_read for each in (index, world.writer)}
    return world.writer == index or keys == {True}

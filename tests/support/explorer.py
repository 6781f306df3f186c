"""
Every interleaving of processes that share a refresh, over an abstract store, server and clock.

A world is a value. `moves` gives all worlds that may follow: any process whose action can end, a
fault that is left over, or, if nothing can happen now, a second that passes. Two worlds that differ
only in when they are count as one, so that there are finitely many.

An outage of the store is over within the second, unseen by a process that does not look in it, or
longer than the pause between two looks. Time passes only when each process waits for it: a process
takes no time for its own steps, unless it is the one that stands still for once.

    python -m support.explorer sign-in crash                            # every world
    python -m support.explorer --walks 20000 sign-in forget crash outage   # as many random ways
"""

import math
import random
import sys
from collections import deque

import attrs

import aritma_auth as aa
from aritma_auth.provider.shared.knowledge import Knowledge, Moment, View
from aritma_auth.provider.shared.machine import SharedRefresh
from aritma_auth.provider.shared.messages import (
    Acquire,
    Failed,
    Leased,
    Load,
    Loaded,
    Pause,
    Postpone,
    Raise,
    Release,
    Responded,
    Save,
    Saved,
    Send,
    Serve,
    Unavailable,
    WaitForChange,
    Woke,
    Wrote,
)
from aritma_auth.provider.shared.state import Phase, Purpose
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
FAR = 8.0
"""Seconds after which nothing depends on a moment any more."""


LONGEST_WAY = 150
FAULT_RATE = 0.1


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
    was_frozen: bool = False


@attrs.frozen
class World:
    now: float = 1000.0
    processes: tuple[Process, ...] = ()
    entry: Entry | None = None
    noted_at: float = 0.0
    """When the entry's backoff began."""
    writer: int = 0
    """The process that wrote the entry: another one with a wrong key cannot read it."""
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


def start(*faults, wrong_key=False, is_paired=False):
    """Give the world to begin with: a sign-in that both processes must refresh."""
    processes = (Process(), Process(can_read=not wrong_key))
    entry = Entry(Record(TOKENS["a"], 1), 1)
    return World(processes=processes, entry=entry, is_paired=is_paired, faults=frozenset(faults))


def moves(world):
    """Give what may follow: what happens, the world after it, and whether it is a fault."""
    found, is_urgent = [], False
    is_calm = not world.faults & {"sign-in", "forget", "freeze"}
    for index, process in enumerate(world.processes):
        if process.is_frozen:
            found.append(("goes on", world.with_process(index, is_frozen=False), False))
            continue
        for label, job, after, must in _steps(world, index, process):
            is_urgent |= must
            if is_calm and label.startswith("hears"):
                # Nobody else can tell whether this comes before or after any other step.
                heard = [move for move in _steps(world, index, process) if move[1] == job]
                return [(f"{index} {label} {job}", after, False) for label, job, after, _ in heard]
            found.append((f"{index} {label} {job}", after, False))
        found += _starts(world, index, process)
        is_urgent |= process.keep_at is not None and process.keep_at <= world.now
    found += _faults(world)
    if world.is_away and not 0 < world.now - world.away_since <= SHARING.max_poll:
        found.append(("the store is back", attrs.evolve(world, is_away=False), False))
    if not is_urgent:
        found.append(("a second passes", attrs.evolve(world, now=world.now + 1), False))
    return found


def _moment(world, process):
    held, now = process.held and TOKENS[process.held], world.now
    until = float("inf") if held else float("-inf")
    return Moment(now, now, DRAW, held=held, held_until=until, spare_until=until)


def _view(world, index):
    process, entry = world.processes[index], world.entry
    if entry is not None and not process.can_read and world.writer != index:
        entry = Entry(Record(), entry.generation, problem="another key")
    elif entry is not None:
        entry = attrs.evolve(entry, record=_aged(world))
    return View(entry, world.now, world.now)


def _aged(world):
    record = world.entry.record
    if record.backoff is None:
        return record
    left = max(0.0, math.ceil(record.backoff.seconds) - (world.now - world.noted_at))
    return attrs.evolve(record, backoff=attrs.evolve(record.backoff, seconds=left))


def _begin(world, index, name, purpose):
    process = world.processes[index]
    state, action = RULES.begin(process.known, purpose, _moment(world, process))
    job = Job(state, action, generation=process.generation)
    return world.with_process(index, **{name: job})


def _starts(world, index, process):
    if process.refresh is None and process.held is None:
        after = _begin(world, index, "refresh", Purpose.REFRESH)
        yield f"{index} is called", after, False
    if process.keep_at is not None and process.keep_at <= world.now:
        after = world.with_process(index, keep_at=None)
        if process.known.is_owed and process.write is None:
            after = _begin(after, index, "write", Purpose.WRITE)
        yield f"{index} writes what it owes", after, False


def _steps(world, index, process):
    for name in ("refresh", "write"):
        job = getattr(process, name)
        if job is None:
            continue
        for label, after, must in _act(world, index, process, name, job):
            yield label, name, after, must


def _act(world, index, process, name, job):
    """Carry the job's action out, by one step: what happens, what follows, and whether it must."""
    action = job.action
    if isinstance(action, Load | WaitForChange):
        return _look(world, index, name, job)
    if isinstance(action, Save):
        return _save(world, index, process, name, job)
    if isinstance(action, Send):
        return _send(world, index, name, job)
    if isinstance(action, Acquire):
        return _acquire(world, index, name, job)
    if isinstance(action, Release):
        lease = None if world.lease == index else world.lease
        after = attrs.evolve(world, lease=lease)
        return [("gives the lease back", _tell(after, index, name, job, Woke()), True)]
    assert isinstance(action, Pause)
    is_over = world.now >= job.until
    return [("wakes", _tell(world, index, name, job, Woke()), True)] if is_over else []


def _look(world, index, name, job):
    action, is_over = job.action, True
    if isinstance(action, WaitForChange):
        is_over = world.now >= job.until
        if not is_over and _generation(world.entry) == action.view.generation:
            return
    event = Unavailable() if world.is_away else Loaded(_view(world, index))
    yield "looks", _tell(world, index, name, job, event), is_over


def _acquire(world, index, name, job):
    if world.is_away:
        yield "asks in vain for the lease", _tell(world, index, name, job, Unavailable()), True
    elif world.lease is None:
        after = attrs.evolve(world, lease=index)
        view = _view(after, index) if world.is_paired else None
        yield "gets the lease", _tell(after, index, name, job, Leased(1, view)), True
    else:
        yield "sees the lease held", _tell(world, index, name, job, Leased(None)), True


def _save(world, index, process, name, job):
    if job.result is not None:
        yield "hears of its write", _tell(world, index, name, job, job.result), True
        if world.is_away:
            yield "hears nothing of its write", _tell(world, index, name, job, Unavailable()), True
    elif world.is_away:
        yield "cannot write", _tell(world, index, name, job, Unavailable()), True
    elif _generation(world.entry) != job.action.replaces:
        yield "is too late to write", _done(world, index, name, job, Saved(False)), True
    else:
        after = _write(world, index, process, job.action, name)
        is_released = world.is_paired and job.action.is_last and world.lease == index
        if is_released:
            after = attrs.evolve(after, lease=None)
        yield "writes", _done(after, index, name, job, Saved(True, is_released)), True


def _send(world, index, name, job):
    must = world.now >= job.until
    if job.result is None:
        after, result = _present(world, job)
        yield "presents its token", _done(after, index, name, job, result), must
    else:
        yield "gets a response", _tell(world, index, name, job, job.result), must


def _done(world, index, name, job, result):
    return world.with_process(index, **{name: attrs.evolve(job, result=result)})


def _generation(entry):
    return 0 if entry is None else entry.generation


def _family(one):
    return "" if one is None else one.access_token[0]


def _write(world, index, process, action, name):
    record, before = action.record, world.entry
    if record.serial < before.record.serial:
        raise BrokenInvariantError("an older token replaces a newer one")
    is_readable = process.can_read or world.writer == index
    if not is_readable and not (process.known.is_by_user and name == "write"):
        raise BrokenInvariantError("an entry that could not be read is replaced")
    entry = Entry(record, before.generation + 1)
    return attrs.evolve(world, entry=entry, writer=index, noted_at=world.now)


def _present(world, job):
    presented, claimed_at = job.action.token.access_token, job.state.claimed_at
    family, spent = presented[0], dict(world.spent)
    refused = Failed(aa.ReauthenticationRequiredError("refused"))
    if presented in spent:
        if world.now < spent[presented] + SHARING.redemption_timeout:
            raise BrokenInvariantError("a spent token is presented before its time-out")
        if family not in world.excused:
            raise BrokenInvariantError("a spent token is presented though its successor is known")
        return attrs.evolve(world, ended=world.ended | {family}), refused
    if family in world.ended:
        return world, refused
    spent[presented] = claimed_at
    successor = family + str(int(presented[1:] or 0) + 1)
    world = attrs.evolve(world, spent=tuple(sorted(spent.items())))
    return world, Responded(TOKENS[successor], world.now)


def _tell(world, index, name, job, event):
    process = world.processes[index]
    moment = _moment(world, process)
    state, action = RULES.step(attrs.evolve(job.state, known=process.known), event, moment)
    world = world.with_process(index, known=state.known)
    if isinstance(event, Responded) and state.response is None:
        # The user has signed in or out here meanwhile: the response is of no interest any more.
        world = attrs.evolve(world, excused=world.excused | {_family(event.token)})
    if not isinstance(action, Serve | Postpone | Raise | Wrote):
        seconds = getattr(action, "seconds", getattr(action, "timeout", 0.0))
        job = Job(state, action, world.now + seconds, generation=job.generation)
        return world.with_process(index, **{name: job})
    world = world.with_process(index, **{name: None})
    if isinstance(action, Serve) and job.generation == process.generation:
        world = world.with_process(index, held=action.token.access_token)
    if isinstance(action, Raise):
        _check_error(world, index, state, action.error)
    if state.known.is_owed and process.keep_at is None:
        retry = world.now + SHARING.store_retry_interval
        world = world.with_process(index, keep_at=retry)
    return world


def _check_error(world, index, state, error):
    if not isinstance(error, aa.ReauthenticationRequiredError):
        if error.is_permanent or error.retry_after == 0:
            raise BrokenInvariantError("an outage is told as something permanent")
        return
    if not world.processes[index].can_read and world.writer != index:
        raise BrokenInvariantError("sign in again, of an entry that cannot be read")
    # A sign-in that came since the process looked is as good as one that comes next.
    is_late = _generation(world.entry) != state.view.generation
    is_late |= any(other.known.is_owed and other.known.is_by_user for other in world.processes)
    if not is_late and "" not in world.wanted and not (world.wanted & world.ended):
        raise BrokenInvariantError("sign in again, though the sign-in lives")


def _faults(world):
    """Give what may happen at any time: what users do, and what goes wrong."""
    if "outage" in world.faults:
        after = attrs.evolve(world, is_away=True, away_since=world.now)
        yield "the store goes away", after.without("outage"), True
    for index, process in enumerate(world.processes):
        if process.is_frozen:
            continue
        for act in ("sign-in", "forget"):
            if act in world.faults and process.write is None:
                yield f"{index} {act}", _user_acts(world, index, act).without(act), True
        lost = _lost_with(process)
        if "crash" in world.faults:
            yield f"{index} dies", _end(world, index, process, lost).without("crash"), True
        if "freeze" in world.faults:
            after = attrs.evolve(world, excused=world.excused | lost)
            after = after.with_process(index, is_frozen=True)
            yield f"{index} stands still", after.without("freeze"), True
        job = process.refresh
        if "loss" in world.faults and job is not None and isinstance(job.action, Send):
            error = aa.TransportError("lost", may_have_arrived=job.result is not None)
            after = _tell(world, index, "refresh", job, Failed(error))
            if job.result is not None:
                after = attrs.evolve(after, excused=after.excused | lost)
            yield f"{index}'s response is lost", after.without("loss"), True


def _end(world, index, process, lost):
    lease = None if world.lease == index else world.lease
    after = attrs.evolve(world, lease=lease, excused=world.excused | lost)
    if process.known.is_owed and process.known.is_by_user:
        # What its user did may have ended with it: nobody was told that it is done.
        stored = frozenset({_family(world.entry.record.token)})
        after = attrs.evolve(after, wanted=after.wanted | stored)
    after = after.with_process(index, **attrs.asdict(Process(), recurse=False))
    return after.with_process(index, can_read=process.can_read)


def _lost_with(process):
    """Give the sign-in whose newest token only this process has, or is about to get."""
    job, known = process.refresh, process.known
    lost = {_family(known.newest.token)} if known.is_owed else set()
    if job is not None and isinstance(job.action, Send):
        lost.add(_family(job.action.token))
    if job is not None and job.state.response is not None:
        lost.add(_family(job.state.response.token))
    return lost


def _user_acts(world, index, act):
    process = world.processes[index]
    signed_in = TOKENS["b"] if act == "sign-in" else None
    is_first = {"sign-in", "forget"} <= world.faults
    known = process.known.signed_in(signed_in, wall=10_000.0 if is_first else 20_000.0)
    # Two acts of which neither was written before the other began have no order.
    others = [other for other in world.processes if other.known.is_owed and other.known.is_by_user]
    wanted = frozenset({_family(signed_in)}) | (world.wanted if others else frozenset())
    generation = process.generation + 1
    world = attrs.evolve(world, wanted=wanted)
    world = world.with_process(index, known=known, held=None, generation=generation)
    return _begin(world, index, "write", Purpose.WRITE_NOW)


def is_good(world):
    """Tell whether all is well: nothing under way, and the newest sign-in is in use, or ended."""
    record = world.entry.record
    if any(process.known.is_owed for process in world.processes):
        return False
    if world.wanted & world.ended:
        return True
    if _family(record.token) not in world.wanted:
        return False
    if record.token is None:
        return True
    is_usable = record.token.access_token not in dict(world.spent)
    readers = [process for index, process in enumerate(world.processes) if _reads(world, index)]
    return is_usable and all(process.held for process in readers)


def _reads(world, index):
    return world.processes[index].can_read or world.writer == index


def explore(world):
    """
    Visit every world that can be reached.

    Worlds are told apart by the 64 bits of a hash: of a million worlds, two are taken for one with
    a chance of one to thirty million.

    Returns:
        How many there are.

    Raises:
        BrokenInvariantError: An invariant is broken; it tells what led there.
    """
    root = hash(key_of(world))
    came_from, queue, back, good = {root: None}, deque([(root, world)]), {}, set()
    while queue:
        key, world = queue.popleft()
        if is_good(world):
            good.add(key)
        try:
            following = moves(world)
            for label, after, is_fault in following:
                reached = hash(key_of(after))
                if not is_fault:
                    back.setdefault(reached, []).append(key)
                if reached not in came_from:
                    came_from[reached] = (key, label)
                    queue.append((reached, after))
        except BrokenInvariantError as error:
            raise BrokenInvariantError(f"{error}, after {story(came_from, key)}") from None
    _check_ends(came_from, back, good)
    return len(came_from)


def walk(world, count, seed=0):
    """
    Go as many random ways through worlds that are too many to visit all.

    Each way ends when all is well and no fault is left, or after `LONGEST_WAY` moves.

    Returns:
        How many different worlds were visited.

    Raises:
        BrokenInvariantError: An invariant is broken; it tells what led there.
    """
    draw, seen, first = random.Random(seed), set(), world
    for _ in range(count):
        world, labels = first, []
        for _ in range(LONGEST_WAY):
            seen.add(hash(key_of(world)))
            try:
                following = moves(world)
            except BrokenInvariantError as error:
                raise BrokenInvariantError(f"{error}, after {'; '.join(labels)}") from None
            faults = [move for move in following if move[2]]
            # Faults are rare, so that they meet every stage of a refresh.
            is_faulty = faults and (draw.random() < FAULT_RATE or len(faults) == len(following))
            steps = faults if is_faulty else [move for move in following if not move[2]]
            label, world, _ = draw.choice(steps)
            labels.append(label)
            if not world.faults and is_good(world):
                break
    return len(seen)


def _check_ends(came_from, back, good):
    """Check that from each world all can become well without another fault."""
    well, todo = set(good), list(good)
    while todo:
        for key in back.get(todo.pop(), ()):
            if key not in well:
                well.add(key)
                todo.append(key)
    stuck = next((key for key in came_from if key not in well), None)
    if stuck is not None:
        raise BrokenInvariantError(f"nothing gets well again after {story(came_from, stuck)}")


def story(came_from, key):
    """Tell what led to a world."""
    labels = []
    while came_from[key] is not None:
        key, label = came_from[key]
        labels.append(label)
    return "; ".join(reversed(labels)) or "nothing"


def key_of(world):
    """Make equal of two worlds all that does not tell them apart."""
    generations = sorted(_generations(world))
    rank = {generation: number for number, generation in enumerate(generations)}
    now, is_told_apart = world.now, not all(one.can_read for one in world.processes)

    def since(moment):
        # From 0, since the hashes of -1 and -2 are equal.
        return None if moment is None else FAR + max(-FAR, min(FAR, moment - now))

    def record(one):
        # How often it failed does not matter: the pause is as long each time.
        mark, backoff = since(one.redeeming_since), one.backoff
        return _name(one.token), one.serial, mark, backoff and backoff.seconds

    def view(one):
        entry = one.entry
        return entry and (rank[entry.generation], record(entry.record), entry.problem)

    def known(one):
        return (
            _name(one.newest.token),
            one.newest.serial,
            one.is_owed,
            one.is_by_user,
            _name(one.refused),
            min(one.unresolved, 2),
            one.is_new,
            since(one.mark),
            since(one.mark_seen_at) if one.mark is not None else None,
            since(one.watched_from) if one.mark is not None else None,
            min(2, now - one.looked_at) if one.mark is not None else None,
            one.looked_at > float("-inf"),
            None if one.away_since is None else min(2, now - one.away_since),
        )

    def job(one, generation):
        if one is None:
            return None
        state, action, phase = one.state, one.action, one.state.phase
        is_asking = phase in _ASKING or state.response is not None
        return (
            since(one.until),
            one.generation == generation,
            type(action).__name__,
            one.result and type(one.result).__name__,
            getattr(one.result, "is_written", None),
            getattr(one.result, "is_released", None),
            _name(getattr(one.result, "token", None)),
            rank[action.replaces] if isinstance(action, Save) else None,
            since(state.began_at),
            (since(state.changed_at), state.others_wait) if state.known.is_reusable else None,
            state.purpose,
            phase,
            view(state.view),
            max(0, state.quiet_until - now),
            state.is_alone,
            state.fence,
            is_asking and (_name(state.basis), state.serial, since(state.claimed_at)),
            state.writes if state.response or state.purpose is not Purpose.REFRESH else 0,
            isinstance(action, Save) and record(state.saving),
            state.response and _name(state.response.token),
            phase is Phase.RELEASE and type(state.outcome).__name__,
            type(state.refusal).__name__,
        )

    def process(index, one):
        return (
            world.lease == index,
            is_told_apart and world.writer == index,
            known(one.known),
            job(one.refresh, one.generation),
            job(one.write, one.generation),
            since(one.keep_at),
            one.held,
            one.can_read,
            one.is_frozen,
        )

    # Which process is which does not matter.
    processes = [process(index, one) for index, one in enumerate(world.processes)]
    return (
        tuple(sorted(processes, key=hash)),
        rank[world.entry.generation],
        record(_aged(world)),
        world.is_away and min(2, world.now - world.away_since),
        world.is_away,
        tuple((name, since(at)) for name, at in world.spent),
        world.ended,
        world.excused,
        world.wanted,
        world.faults,
    )


_ASKING = (Phase.CLAIM, Phase.ASK, Phase.PAUSE)


def _name(one):
    return one and one.access_token


def _generations(world):
    yield world.entry.generation
    yield 0
    for process in world.processes:
        for job in (process.refresh, process.write):
            if job is not None:
                yield _generation(job.state.view.entry)
                if isinstance(job.action, Save):
                    yield job.action.replaces


if __name__ == "__main__":
    _, *chosen = sys.argv
    if chosen[0] == "--walks":
        print(walk(start(*chosen[2:]), int(chosen[1])), "different worlds on", chosen[1], "ways")
    else:
        print(explore(start(*chosen)), "worlds")

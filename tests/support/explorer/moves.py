"""What may follow a world: the steps of its processes, faults, and time."""

import math

import attrs

import aritma_auth as aa
from aritma_auth.provider.shared.knowledge import Moment, View
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
from aritma_auth.provider.shared.state import Purpose
from aritma_auth.stores import Entry, Record
from support.explorer.world import (
    DRAW,
    RULES,
    SHARING,
    TOKENS,
    BrokenInvariantError,
    Job,
    Move,
    Process,
    aged,
    family,
)


def moves(world):
    """
    Give the moves of a world.

    A step that nothing else can see or change is taken at once: whatever could come before it comes
    after it as well. So a call and its first look at the store are one move.
    """
    found, is_urgent = [], False
    is_calm = not world.faults & {"sign-in", "forget", "freeze"}
    for index, process in enumerate(world.processes):
        if process.is_frozen:
            found.append(Move("goes on", world.with_process(index, is_frozen=False)))
            continue
        for name in ("refresh", "write"):
            steps = list(_steps(world, index, name))
            if steps and is_calm and _is_unseen(world, process, name):
                return steps
            found += steps
        found += _starts(world, index, process, is_calm=is_calm)
        is_urgent |= process.keep_at is not None and process.keep_at <= world.now
    is_urgent |= any(move.is_urgent for move in found)
    found += _faults(world)
    if world.is_away and not 0 < world.now - world.away_since <= SHARING.max_poll:
        found.append(Move("the store is back", attrs.evolve(world, is_away=False)))
    if not is_urgent:
        found.append(Move("a second passes", attrs.evolve(world, now=world.now + 1)))
    return found


def _is_unseen(world, process, name):
    """
    Tell whether the next step of a job depends on nothing but its own process, and is due.

    The other job of the process sees what this one learns, and an outage may still swallow the
    response to a write.
    """
    job = getattr(process, name)
    if name == "refresh":
        is_alone = process.write is None and (process.keep_at or math.inf) > world.now
    else:
        is_alone = process.refresh is None and process.held is not None
    if isinstance(job.action, Save):
        return is_alone and job.result is not None and "outage" not in world.faults
    return is_alone and isinstance(job.action, Pause)


def _moment(world, process):
    held, now = process.held and TOKENS[process.held], world.now
    until = float("inf") if held else float("-inf")
    return Moment(now, now, DRAW, held=held, held_until=until, spare_until=until)


def _view(world, index):
    entry = world.entry
    if entry is not None and not reads(world, index):
        entry = Entry(Record(), entry.generation, problem="another key")
    elif entry is not None:
        entry = attrs.evolve(entry, record=aged(world))
    return View(entry, world.now, world.now)


def _begin(world, index, name, purpose):
    process = world.processes[index]
    state, action = RULES.begin(process.known, purpose, _moment(world, process))
    job = Job(state, action, generation=process.generation)
    return world.with_process(index, **{name: job})


def _starts(world, index, process, *, is_calm):
    if process.refresh is None and process.held is None:
        after = _begin(world, index, "refresh", Purpose.REFRESH)
        called = Move(f"{index} is called", after)
        if is_calm:
            for move in _steps(after, index, "refresh"):
                yield attrs.evolve(move, label=f"{called.label}; {move.label}", is_urgent=False)
        else:
            yield called
    if process.keep_at is not None and process.keep_at <= world.now:
        after = world.with_process(index, keep_at=None)
        if process.known.is_owed and process.write is None:
            after = _begin(after, index, "write", Purpose.WRITE)
        yield Move(f"{index} writes what it owes", after, is_urgent=True)


def _steps(world, index, name):
    process = world.processes[index]
    job = getattr(process, name)
    if job is not None:
        for label, after, is_urgent in _act(world, index, process, name, job):
            yield Move(f"{index} {label} ({name})", after, is_urgent=is_urgent)


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


def _write(world, index, process, action, name):
    record, before = action.record, world.entry
    if record.serial < before.record.serial:
        raise BrokenInvariantError("an older token replaces a newer one")
    # A sign-in made here is newer than whatever it is.
    is_sign_in = process.known.is_by_user and (name == "write" or process.known.owes_sign_in)
    if not reads(world, index) and not is_sign_in:
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
        world = attrs.evolve(world, excused=world.excused | {family(event.token)})
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
    if not reads(world, index):
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
        yield Move("the store goes away", after.without("outage"), is_fault=True)
    for index, process in enumerate(world.processes):
        if process.is_frozen:
            continue
        for act in ("sign-in", "forget"):
            if act in world.faults and process.write is None:
                yield Move(
                    f"{index} {act}", _user_acts(world, index, act).without(act), is_fault=True
                )
        lost = _lost_with(process)
        if "crash" in world.faults:
            yield Move(
                f"{index} dies", _end(world, index, process, lost).without("crash"), is_fault=True
            )
        if "freeze" in world.faults:
            after = attrs.evolve(world, excused=world.excused | lost)
            after = after.with_process(index, is_frozen=True)
            yield Move(f"{index} stands still", after.without("freeze"), is_fault=True)
        job = process.refresh
        if "loss" in world.faults and job is not None and isinstance(job.action, Send):
            error = aa.TransportError("lost", may_have_arrived=job.result is not None)
            after = _tell(world, index, "refresh", job, Failed(error))
            if job.result is not None:
                after = attrs.evolve(after, excused=after.excused | lost)
            yield Move(f"{index}'s response is lost", after.without("loss"), is_fault=True)


def _end(world, index, process, lost):
    lease = None if world.lease == index else world.lease
    after = attrs.evolve(world, lease=lease, excused=world.excused | lost)
    if process.known.is_owed and process.known.is_by_user:
        # What its user did may have ended with it: nobody was told that it is done.
        stored = frozenset({family(world.entry.record.token)})
        after = attrs.evolve(after, wanted=after.wanted | stored)
    after = after.with_process(index, **attrs.asdict(Process(), recurse=False))
    return after.with_process(index, can_read=process.can_read)


def _lost_with(process):
    """Give the sign-in whose newest token only this process has, or is about to get."""
    job, known = process.refresh, process.known
    lost = {family(known.newest.token)} if known.is_owed else set()
    if job is not None and isinstance(job.action, Send):
        lost.add(family(job.action.token))
    if job is not None and job.state.response is not None:
        lost.add(family(job.state.response.token))
    return lost


def _user_acts(world, index, act):
    process = world.processes[index]
    signed_in = TOKENS["b"] if act == "sign-in" else None
    is_first = {"sign-in", "forget"} <= world.faults
    wall = 10_000.0 if is_first else 20_000.0
    known = process.known.signed_in(signed_in, now=world.now, wall=wall)
    # Two acts of which neither was written before the other began have no order.
    others = [other for other in world.processes if other.known.is_owed and other.known.is_by_user]
    # Who cannot read the entry cannot forget it, and is told so.
    is_in_vain = signed_in is None and not reads(world, index)
    is_open = bool(others) or is_in_vain
    wanted = frozenset({family(signed_in)}) | (world.wanted if is_open else frozenset())
    generation = process.generation + 1
    world = attrs.evolve(world, wanted=wanted)
    world = world.with_process(index, known=known, held=None, generation=generation)
    return _begin(world, index, "write", Purpose.WRITE_NOW)


def reads(world, index):
    """Tell whether a process can read the entry."""
    keys = {world.processes[each].can_read for each in (index, world.writer)}
    return world.writer == index or keys == {True}

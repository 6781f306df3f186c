"""What may follow a world: the steps of its processes, faults, and time."""

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
    owes_act,
    reads,
)


def moves(world):
    """Give the moves of a world: its processes' steps, what goes wrong, and time."""
    found = [move for index in range(len(world.processes)) for move in moves_of(world, index)]
    found += moves_of_store(world)
    if not any(move.is_urgent for move in found):
        found.append(Move("a second passes", pass_time(world)))
    return found


def moves_of(world, index, *, is_merged=False):
    """
    Give the steps of a process, what its user does, and what goes wrong with it.

    ``is_merged`` makes one move of a call and its first look: nothing comes between that does not
    come before as well, if no user acts and the process does not stand still.
    """
    process = world.processes[index]
    if process.is_frozen:
        return [Move(f"{index} goes on", world.with_process(index, is_frozen=False))]
    return [
        *_steps(world, index, "refresh"),
        *_steps(world, index, "write"),
        *_starts(world, index, process, is_merged=is_merged),
        *_faults(world, index, process),
    ]


def is_unseen(world, index):
    """
    Tell whether a step of a process is due that nothing else can see or change.

    Then it is taken before all others: a history in which they come first is told as well, since
    each of them has the same effect before and after it. That holds for what may still go wrong
    with this process too, or what its user does, unless

    - an outage may swallow the response to a write;
    - two acts of users may come, or another's is not stored yet: their order tells which is newer;
    - the process dies with an act: whether it is in vain depends on what others have stored.
    """
    process, faults = world.processes[index], world.faults
    acts = faults & {"sign-in", "forget"}
    if process.is_frozen or len(acts) == 2:
        return False
    others = [one for one in world.processes if one is not process]
    if acts and any(owes_act(one) or not one.can_read for one in (*others, process)):
        return False
    if "crash" in faults and owes_act(process):
        return False
    jobs = [job for job in (process.refresh, process.write) if job is not None]
    is_alone = all(_is_local(world, job) for job in jobs)
    return is_alone and any(isinstance(job.action, Save) or job.until <= world.now for job in jobs)


def _is_local(world, job):
    """Tell whether a job's next step depends on nothing but its own process."""
    if isinstance(job.action, Save):
        is_late = _generation(world.entry) != job.action.replaces
        return is_calm(world) and (is_late or job.result is not None)
    return isinstance(job.action, Pause)


def is_calm(world):
    """Tell whether the store is there, and will not go away."""
    return not world.is_away and "outage" not in world.faults


def is_entry_good(world):
    """Tell whether the store has the newest sign-in, or the server has ended it."""
    token = world.entry.record.token
    if world.wanted & world.ended:
        return True
    is_usable = token is None or token.access_token not in dict(world.spent)
    return is_usable and family(token) in world.wanted


def is_process_good(world, index):
    """Tell whether a process owes nothing, and has a token if there is one."""
    process = world.processes[index]
    # A sign-out is owed for ever by who cannot read the entry.
    may_write = reads(world, index) or process.known.owes_sign_in
    needs_token = not (world.wanted & world.ended) and world.entry.record.token is not None
    has_token = process.held or not reads(world, index)
    return not (process.known.is_owed and may_write) and bool(has_token or not needs_token)


def moves_of_store(world):
    """
    Let the store go away, and come back.

    An outage is over within the second, or longer than the pause between two looks.
    """
    found = []
    if "outage" in world.faults:
        after = attrs.evolve(world, is_away=True, away_since=world.now)
        found.append(Move("the store goes away", after.without("outage"), is_fault=True))
    if world.is_away and not 0 < world.now - world.away_since <= SHARING.max_poll:
        found.append(Move("the store is back", attrs.evolve(world, is_away=False)))
    return found


def pass_time(world):
    """Let a second pass: no process has anything to do at once."""
    return attrs.evolve(world, now=world.now + 1)


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


def _starts(world, index, process, *, is_merged):
    if process.refresh is None and process.held is None:
        after = _begin(world, index, "refresh", Purpose.REFRESH)
        called = Move(f"{index} is called", after)
        if is_merged:
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
    is_late |= any(owes_act(other) for other in world.processes)
    if not is_late and "" not in world.wanted and not (world.wanted & world.ended):
        raise BrokenInvariantError("sign in again, though the sign-in lives")


def _faults(world, index, process):
    """Give what may happen to a process at any time."""
    for act in ("sign-in", "forget"):
        if act in world.faults and process.write is None:
            after = _user_acts(world, index, act)
            yield Move(f"{index} {act}", after.without(act), is_fault=True)
    lost = _lost_with(process)
    if "crash" in world.faults:
        after = _end(world, index, process, lost)
        yield Move(f"{index} dies", after.without("crash"), is_fault=True)
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
    if owes_act(process):
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
    others = [other for other in world.processes if owes_act(other)]
    # Who cannot read the entry cannot forget it, and is told so.
    is_in_vain = signed_in is None and not reads(world, index)
    is_open = bool(others) or is_in_vain
    wanted = frozenset({family(signed_in)}) | (world.wanted if is_open else frozenset())
    generation = process.generation + 1
    world = attrs.evolve(world, wanted=wanted)
    world = world.with_process(index, known=known, held=None, generation=generation)
    return _begin(world, index, "write", Purpose.WRITE_NOW)

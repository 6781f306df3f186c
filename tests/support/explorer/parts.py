"""
A world in three parts: what all share, and two processes. What nothing tells apart is one.

Each part is a value of its own: its moments are those of a clock that shows `NOW`, and its
generations those beside an entry of `GENERATION`. So the step of a process is worked out once for
all worlds in which it sees the same. A part is settled, so that there are finitely many:

- A moment counts only for as long as some rule compares it with the clock.
- How often an entry was written does not matter: a generation is the entry's own, or another.
- A mark is compared with others for equality, never with the clock. So three are told apart: one
  made now, the stored one if it is older, and one that a process which stands still is about to
  store. A process forgets any other.
- What the next event replaces before anything reads it is forgotten: most of the view while the
  entry is being loaded, or the serial and mark of an old claim.
- What the server knows of a refresh token that nobody has, in a process or in the store, matters to
  nobody.
- The counts of failures and claims matter to nobody: here each pause ends within a second.
"""

import math
import operator

import attrs

import aritma_auth as aa
from aritma_auth.provider.shared.knowledge import Knowledge, VersionedToken, View
from aritma_auth.provider.shared.messages import (
    Acquire,
    Failed,
    Load,
    Pause,
    Postpone,
    Raise,
    Release,
    Responded,
    Save,
    Saved,
    Send,
    Serve,
    WaitForChange,
)
from aritma_auth.provider.shared.state import Phase, Purpose, Refresh
from aritma_auth.stores import Entry, Record, SharedBackoff
from support.explorer.world import GENERATION, NOW, POLICY, SHARING, Job, Process, World, aged

STORED, PENDING = NOW - 1, NOW - 2
"""Marks: the stored one, and one that is about to be stored late."""

_LONG_AGO = NOW - SHARING.redemption_timeout
"""Before it no moment differs from another, but for these two."""
_CLAIMED = NOW - 2 * SHARING.redemption_timeout
_BEGAN = NOW - POLICY.refresh_timeout
_ASKING = (Phase.CLAIM, Phase.ASK, Phase.PAUSE)
_NO_RECORD = Record()
_OLD_VIEW = View(Entry(_NO_RECORD, GENERATION - 2), NOW, NOW)

_MOMENTS = {
    World: ("noted_at", "away_since"),
    Process: ("keep_at",),
    Job: ("until",),
    Refresh: ("began_at", "quiet_until", "claimed_at"),
    Knowledge: ("mark", "mark_seen_at", "watched_from", "looked_at", "away_since"),
    Record: ("redeeming_since",),
}
_WITHIN = {
    World: ("entry",),
    Process: ("known", "refresh", "write"),
    Job: ("state", "action"),
    Refresh: ("view", "saving"),
    View: ("entry",),
    Entry: ("record",),
    Save: ("record",),
    WaitForChange: ("view",),
}
_GENERATIONS = {Entry: "generation", Save: "replaces"}


@attrs.frozen
class Part:
    """A process, and what it has of what all share."""

    process: Process
    has_lease: bool = False
    is_writer: bool = False
    """The entry is this process's."""


def shift(value, seconds, generations):
    """Set all clocks of a value on, and the entry's generation."""
    kind, changes = type(value), {}
    for name in _MOMENTS.get(kind, ()):
        moment = getattr(value, name)
        if moment is not None and seconds:
            changes[name] = moment + seconds
    if kind is World and seconds:
        changes["spent"] = tuple((name, at + seconds) for name, at in value.spent)
    for name in _WITHIN.get(kind, ()):
        inner = getattr(value, name)
        moved = shift(inner, seconds, generations)
        if moved is not inner:
            changes[name] = moved
    if kind in _GENERATIONS and generations:
        name = _GENERATIONS[kind]
        changes[name] = getattr(value, name) + generations
    return attrs.evolve(value, **changes) if changes else value


def settle(process, stored, *, is_calm):
    """
    Give a process without what tells it from no other.

    Args:
        process: What it is of.

        stored: The entry's mark.

        is_calm: The store is there, and will not go away.
    """
    return attrs.evolve(
        process,
        known=_settle_known(process, stored, is_calm=is_calm),
        refresh=process.refresh and _settle_job(process, process.refresh, stored),
        write=process.write and _settle_job(process, process.write, stored),
        keep_at=process.keep_at and max(NOW, math.ceil(process.keep_at)),
        generation=1,
    )


def _settle_known(process, stored, *, is_calm):
    one, jobs = process.known, (process.refresh, process.write)
    is_writing = any(job and job.state.phase is Phase.WRITE for job in jobs)
    mark = _settle_mark(one.mark, stored, None)
    looked_at = max(_LONG_AGO, one.looked_at) if mark else _LONG_AGO
    # Only a store that is away is asked since when, and whether it was ever there.
    has_looked = is_calm or one.looked_at > float("-inf")
    away_since = None if is_calm else one.away_since
    return attrs.evolve(
        one,
        issued_by=NOW,
        is_by_user=one.is_owed and one.is_by_user,
        # The next token that is owed counts its own attempts.
        unresolved=min(3, one.unresolved) if one.is_owed or is_writing else 0,
        is_raised=one.is_new and one.is_raised,
        mark=mark,
        mark_seen_at=max(_LONG_AGO, one.mark_seen_at) if mark else NOW,
        watched_from=max(_LONG_AGO, one.watched_from) if mark else NOW,
        looked_at=looked_at if has_looked else one.looked_at,
        away_since=away_since and max(_LONG_AGO, away_since),
        is_leading=False,
    )


def _settle_job(process, job, stored):
    state = _settle_state(job, stored)
    is_over = isinstance(job.action, Release) and not isinstance(state.outcome, Serve)
    serves_nothing = is_over or state.purpose is not Purpose.REFRESH
    return attrs.evolve(
        job,
        state=state,
        action=_settle_action(job.action, state),
        until=max(NOW, math.ceil(job.until)),
        result=_settle_response(job.result),
        generation=int(serves_nothing or job.generation == process.generation),
    )


def _settle_action(action, state):
    match action:
        case WaitForChange():
            return WaitForChange(state.view, 0.0)
        case Save():
            is_current = action.replaces == GENERATION
            return Save(state.saving, GENERATION - (not is_current), 0, action.is_last)
        case Send():
            return Send(state.basis, 0.0, is_at_risk=False)
        case Pause():
            return Pause(0.0)
    return action


def _settle_response(result):
    return Responded(result.token, NOW) if isinstance(result, Responded) else result


def _settle_state(job, stored):
    state, action = job.state, job.action
    is_write = state.purpose is not Purpose.REFRESH
    asks = state.phase in _ASKING or state.response is not None
    is_ending = isinstance(action, Release) or state.phase is Phase.NOTE
    is_saving = isinstance(action, Save)
    is_timeless = is_write or is_ending
    return attrs.evolve(
        state,
        # What the process knows is told to each step anew.
        known=None,
        began_at=NOW if is_timeless else max(_BEGAN, state.began_at),
        view=_settle_view(job, stored),
        changed_at=NOW,
        quiet_until=max(NOW, state.quiet_until),
        others_wait=False,
        basis=state.basis if asks else None,
        serial=state.serial if asks else 0,
        claimed_at=max(_CLAIMED, state.claimed_at) if asks else NOW,
        sent_at=None,
        is_at_risk=False,
        attempts=min(1, state.attempts) if asks else 0,
        writes=state.writes if state.response or is_write else 0,
        saving=_settle_record(state.saving, stored, PENDING) if is_saving else _NO_RECORD,
        response=_settle_response(state.response),
        outcome=_settle_outcome(state.outcome) if is_ending else Postpone(0.0),
    )


def _settle_outcome(outcome):
    match outcome:
        case Serve():
            return Serve(outcome.token, NOW)
        case Raise():
            return Raise(outcome.error)
        case Postpone():
            return Postpone(0.0)
    return outcome


def _settle_view(job, stored):
    """Give what is still read of what the store returned last."""
    state, action = job.state, job.action
    view, token = state.view, state.view.record.token
    if view.entry is None:
        return _OLD_VIEW
    # This process's own write makes its view the entry's again.
    behind = GENERATION - view.generation
    is_current = behind == int(getattr(job.result, "is_written", False))
    is_alive = token is not None and token.expires_at is None
    record, problem = Record(token, view.record.serial) if is_alive else _NO_RECORD, None
    if isinstance(action, Release):
        is_current = is_current and is_final(state.outcome)
        record = _NO_RECORD
    elif isinstance(action, Load) or state.phase is Phase.AWAY:
        is_current, problem = False, view.entry.problem
    else:
        problem = view.entry.problem
        if isinstance(action, Send) or state.phase in {Phase.PAUSE, Phase.LATER, Phase.WRITE}:
            # Of another mark than the stored one it matters that there is one.
            record = _settle_record(view.record, stored, STORED)
    generation = view.generation if is_current else GENERATION - 2
    return View(
        Entry(record, generation, problem=problem),
        NOW,
        NOW,
        is_told=view.is_told or not (is_alive and record.token),
    )


def is_final(outcome):
    """Tell whether a refresh ends with "sign in again"."""
    return isinstance(getattr(outcome, "error", None), aa.ReauthenticationRequiredError)


def _settle_record(record, stored, other):
    backoff = record.backoff
    if backoff is not None:
        seconds = math.ceil(backoff.seconds)
        backoff = attrs.evolve(backoff, count=1, seconds=seconds) if seconds > 0 else None
    mark = _settle_mark(record.redeeming_since, stored, other)
    return attrs.evolve(record, redeeming_since=mark, backoff=backoff)


def _settle_mark(mark, stored, other):
    if mark is None or mark == NOW:
        return mark
    return STORED if mark == stored else other


def settle_shared(world, names):
    """
    Give what all share without what matters to nobody.

    Args:
        world: What they share.

        names: The tokens that processes have.
    """
    record = aged(world)
    record = _settle_record(record, record.redeeming_since, None)
    token = record.token
    if token is not None and token.refresh_token:
        names |= {token.access_token}
    families = {name[0] for name in names}
    return attrs.evolve(
        world,
        entry=attrs.evolve(world.entry, record=record),
        noted_at=NOW,
        away_since=max(_LONG_AGO, world.away_since) if world.is_away else NOW,
        spent=tuple((name, max(_LONG_AGO, at)) for name, at in world.spent if name in names),
        ended=world.ended & (families | world.wanted),
        excused=world.excused & families,
    )


def names_of(process):
    """Name every token with a refresh token that a process has in hand."""
    found = [process.known.newest.token]
    for job in (process.refresh, process.write):
        if job is not None:
            state = job.state
            found += [state.view.record.token, state.basis, state.saving.token]
            found.append(state.response and state.response.token)
            found.append(getattr(job.result, "token", None))
    return {one.access_token for one in found if one and one.refresh_token}


def key_of(value):
    """Make a value that is equal for equal parts; tokens and errors by what is read of them."""
    kind = type(value)
    read = _READ.get(kind)
    if read is not None:
        return kind.__name__, *map(key_of, read(value))
    if kind is aa.Token:
        # Of a sign-in that has ended the store keeps the access token alone.
        return value.access_token, value.refresh_token is not None
    if isinstance(value, aa.AritmaAuthError):
        return kind.__name__, value.is_permanent, value.retry_after == 0
    return value


def _reads(kind):
    """Make what gives all attributes of a value, as a tuple."""
    names = [field.name for field in attrs.fields(kind)]
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda value: [getattr(value, name) for name in names]


_READ = {
    kind: _reads(kind)
    for kind in (
        *(Part, Process, World, Knowledge, VersionedToken, Job, Refresh, View, Entry, Record),
        *(SharedBackoff, Load, WaitForChange, Acquire, Save, Send, Pause, Release),
        *(Saved, Responded, Failed, Serve, Postpone, Raise),
    )
}

"""
When two worlds are one: the key leaves out whatever no later move depends on.

- Moments count from now, and each only for as long as some rule compares it with the clock.
- Which process is which does not matter, nor how often an entry was written: generations are told
  apart by whether they are the entry's own.
- A mark is compared with others for equality, never with the clock: it is a number among the marks
  that are stored or about to be.
- What the next event replaces before anything reads it is left out: most of the view while the
  entry is being loaded, or the serial and mark of an old claim.
- What the server knows of a refresh token that nobody has, in a process or in the store, matters to
  nobody.
- The counts of failures and of claims: each pause is as long as the one before it here.
"""

import aritma_auth as aa
from aritma_auth.provider.shared.messages import Load, Release, Save, Send
from aritma_auth.provider.shared.state import Phase, Purpose
from support.explorer.world import POLICY, SHARING, aged

_LONG = 8.0
"""Seconds after which nothing depends on a moment any more."""
_WATCHED = 2.0
"""The same for how long a mark has been watched, and the store looked at, or away."""
_CLAIMED = 4.0
"""The same for the moment of a mark of one's own: redemption_timeout, and the time to watch it."""
_ASKING = (Phase.CLAIM, Phase.ASK, Phase.PAUSE)


def key_of(world):
    """Make equal of two worlds all that does not tell them apart."""
    return _Key(world).make()


class _Key:
    def __init__(self, world):
        self.world, self.now, self.entry = world, world.now, world.entry
        jobs = [job for one in world.processes for job in (one.refresh, one.write) if job]
        writing = [job.state.saving for job in jobs if isinstance(job.action, Save)]
        marks = {one.redeeming_since for one in (self.entry.record, *writing)}
        self.marks = sorted(marks - {None})

    def make(self):
        world = self.world
        tokens = [one for one in _tokens(world) if one and one.refresh_token]
        names = {one.access_token for one in tokens}
        families = {name[0] for name in names}
        redemption = SHARING.redemption_timeout
        processes = [self.process(index, one) for index, one in enumerate(world.processes)]
        return (
            tuple(sorted(processes, key=hash)),
            self.record(aged(world)),
            world.is_away and self.age(world.away_since),
            world.is_away,
            tuple((name, self.since(at, redemption)) for name, at in world.spent if name in names),
            world.ended & (families | world.wanted),
            world.excused & families,
            world.wanted,
            world.faults,
        )

    def process(self, index, one):
        world, jobs = self.world, (one.refresh, one.write)
        is_told_apart = not all(each.can_read for each in world.processes)
        is_writing = any(job and isinstance(job.action, Save) for job in jobs)
        return (
            world.lease == index,
            is_told_apart and world.writer == index,
            self.known(one.known, is_writing=is_writing),
            *(job and self.job(job, one.generation) for job in jobs),
            self.since(one.keep_at),
            one.held,
            one.can_read,
            one.is_frozen,
        )

    def known(self, one, *, is_writing):
        mark = self.mark(one.mark)
        return (
            _name(one.newest.token),
            one.newest.serial,
            one.is_owed,
            one.is_owed and one.is_by_user,
            one.is_new and one.is_raised,
            _name(one.refused),
            min(one.unresolved, 2) if one.is_owed or is_writing else 0,
            one.is_new,
            mark,
            mark and self.since(one.mark_seen_at, SHARING.redemption_timeout),
            mark and self.since(one.watched_from, _WATCHED),
            mark and self.age(one.looked_at),
            one.looked_at > float("-inf"),
            one.away_since is not None and self.age(one.away_since),
            one.away_since is None,
        )

    def job(self, one, cached):
        state, action, result = one.state, one.action, one.result
        is_write = state.purpose is not Purpose.REFRESH
        asks = state.phase in _ASKING or state.response is not None
        return (
            self.since(one.until),
            one.generation == cached,
            type(action).__name__,
            type(result).__name__,
            getattr(result, "is_written", None),
            getattr(result, "is_released", None),
            _name(getattr(result, "token", None)),
            is_write or self.since(state.began_at, POLICY.refresh_timeout),
            state.purpose,
            state.phase,
            self.view(state, action),
            max(0, state.quiet_until - self.now),
            state.is_alone,
            state.fence,
            asks and (_name(state.basis), state.serial, self.since(state.claimed_at, _CLAIMED)),
            state.writes if state.response or is_write else 0,
            isinstance(action, Save) and self.save(state, action),
            state.response and _name(state.response.token),
            self.outcome(state, action),
            type(state.refusal).__name__,
        )

    def view(self, state, action):
        """Give what is still read of what the store returned last."""
        one, token = state.view, state.view.record.token
        is_alive = token is not None and token.expires_at is None
        alive = is_alive and (_name(token), one.record.serial, one.is_told)
        is_current = one.generation == self.entry.generation
        if isinstance(action, Release):
            return is_current
        if isinstance(action, Load) or state.phase is Phase.AWAY:
            return alive, one.is_unreadable
        is_read = isinstance(action, Send) or state.phase in {Phase.PAUSE, Phase.LATER}
        return is_current, one.is_unreadable, alive, is_read and self.record(one.record)

    def save(self, state, action):
        is_current = action.replaces == self.entry.generation
        return is_current, action.is_last, self.record(state.saving)

    def outcome(self, state, action):
        """Give how the refresh ends, once that is decided."""
        if not (isinstance(action, Release) or state.phase is Phase.NOTE):
            return None
        one, error = state.outcome, getattr(state.outcome, "error", None)
        is_final = isinstance(error, aa.ReauthenticationRequiredError)
        is_wrong = error and (error.is_permanent or error.retry_after == 0)
        return type(one).__name__, _name(getattr(one, "token", None)), is_final, is_wrong

    def record(self, one):
        backoff = one.backoff and (one.backoff.seconds, type(one.backoff.error).__name__)
        return _name(one.token), one.serial, self.mark(one.redeeming_since), backoff

    def mark(self, moment):
        # A new one is made of the clock, and may be an old one.
        if moment is None or (moment not in self.marks and moment != self.now):
            return None
        return moment == self.now, moment in self.marks and self.marks.index(moment)

    def since(self, moment, limit=_LONG):
        # From 0, since the hashes of -1 and -2 are equal.
        return None if moment is None else _LONG + max(-limit, min(_LONG, moment - self.now))

    def age(self, moment):
        return min(_WATCHED, self.now - moment)


def _name(one):
    # Of a sign-in that has ended the store keeps the access token alone.
    return one and (one.access_token, one.refresh_token is not None)


def _tokens(world):
    """Give every token that a process or the store has."""
    yield world.entry.record.token
    for process in world.processes:
        yield process.known.newest.token
        for job in (process.refresh, process.write):
            if job is not None:
                yield job.state.view.record.token
                yield job.state.basis
                yield job.state.saving.token
                yield job.state.response and job.state.response.token
                yield getattr(job.result, "token", None)

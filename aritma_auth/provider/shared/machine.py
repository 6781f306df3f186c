"""
One refresh for all who share a store, as a pure state machine.

              +-----------------------------------------------------------------+
              v                                                                 |
    begin -> LOOK --- the stored token can be spared: adopt it -------+         |
              |   --- the stored failure is not over: raise it -------+         |
              |   --- this process knows a newer token: WRITE it, LOOK on       |
              v                                                       |         |
            LEASE --- another holds it: serve the cache's token ------+         |
              |       if it lives, else wait for a change ----------------------+
              |                                                       |         |
              |   granted: LOOK again, then                           |         |
              v                                                       |         |
            CLAIM --- marks the entry before a one-time token is sent |         |
              |       (another has changed the entry) --------------------------+
              v                                                       |         |
             ASK ---- invalid_grant: there may be a newer token --------------- +
              |  ---- unsent, or within the server's grace: PAUSE, CLAIM again  |
              |  ---- another failure: NOTE it for all, raise it -----+         |
              v                                                       |         |
            WRITE --- the store is away: LATER, WRITE again           |         |
              |       (a newer sign-in has been stored) ------------------------+
              v                                                       v
            RELEASE -------------------------------------------->  the end

If the store is away, LOOK, LEASE and CLAIM lead to ASK alone where that spends nothing; else to
AWAY and LOOK again, for a short time and while no token lives; else to the end.

Theory of operation. Three facts meet here: what the process knows (`Knowledge`), what the store
returned last (`View`), and the clocks with the provider's cache (`Moment`). An event changes the
first two; the next action is then decided from all three as they are at that moment. Nothing is
decided from what held when an earlier action began, so the order in which awaited things end does
not matter: a sign-in, a sign-out or a rejected token that came meanwhile is seen at the next step.
A refresh has one outstanding action at a time. Writes of what is owed to the store (a sign-in, a
sign-out, a successor that could not be stored) run beside it by the same rules.

Invariants; tests/provider/shared/test_explorer.py checks them in every state that two processes
reach:

1. A one-time token is presented only under a mark that the process has put on the very entry that
   it decided from, and that request is over before the mark is as old as ``redemption_timeout``.
   Nobody else presents the token earlier. So it is never presented twice at once, and never again
   while its successor may still be stored.
2. A new token is written before it is served. What could not be written is owed, and written as
   long as the process lives, unless the store has something newer.
3. An entry is replaced by a higher serial, or marked by its reader, and never otherwise (compare
   and swap by its generation). One that cannot be read is replaced by a sign-in made here, or
   where the grant may be presented again.
4. "Sign in again" is said of a store that was read. A store that is away or cannot be read is an
   outage.
5. An older sign-in replaces no newer one, and nothing brings a token back after `forget`.
6. A rejected token is neither adopted nor served.
7. Every refresh ends by its time-out.
"""

from copy import copy
from typing import assert_never

import attrs

from aritma_auth.errors import (
    AritmaAuthError,
    ReauthenticationRequiredError,
    TransportError,
    VerificationError,
)
from aritma_auth.protocol.grants import RefreshTokenGrant
from aritma_auth.protocol.json_response import is_ambiguous
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.shared import messages as msg
from aritma_auth.provider.shared.knowledge import Found, Knowledge, Moment, is_same
from aritma_auth.provider.shared.situation import Rules, Situation
from aritma_auth.provider.shared.state import Phase, Purpose, Refresh
from aritma_auth.provider.token_request import SIGN_IN_AGAIN
from aritma_auth.stores import Record

_POLL_GROWTH = 1.6
_LONGEST_POLL = 1.5
"""What the longest pause between two looks is multiplied by at most."""
_WRITES = 3
"""Attempts to write a token while others change the entry."""
_CLAIMS = 100
"""The same for a mark."""

_AWAY = (
    "the token store is away, and a refresh token is not presented without its lock: it may be "
    "good for one time only"
)
_UNREADABLE = (
    "this process cannot read the stored token: give it the encryption keys, and the version of "
    "aritma_auth, of the process that wrote it"
)
_LOST = (
    "the token store has lost all that it had since this process began: bring it back, as by "
    "mounting its folder again, or restart the process to begin anew"
)
_REFRESHING = "another process is refreshing the token and has not finished: try again later"
_CHANGING = "the stored token changes faster than it can be claimed: try again later"


@attrs.frozen
class SharedRefresh(Rules):
    """The machine of a grant and its numbers."""

    def begin(
        self, known: Knowledge, purpose: Purpose, moment: Moment
    ) -> tuple[Refresh, msg.Action]:
        """Begin a refresh, or a write of what is owed."""
        now, poll = moment.now, self.sharing.min_poll
        state = Refresh(known, purpose, now, poll, changed_at=now, others_wait=known.is_leading)
        return state, msg.Load()

    def step(self, state: Refresh, event: msg.Event, moment: Moment) -> tuple[Refresh, msg.Action]:
        """Give the refresh after an event, and what to do next."""
        state = copy(state)
        return state, _Step(self, state, moment).take(event)


class _Step(Situation):
    """
    One step: changes the refresh by an event, and says what to do next.

    Each method whose name is a place of the drawing returns the action that leads there.
    """

    def take(self, event: msg.Event) -> msg.Action:  # noqa: PLR0911 - a case each
        """Change the refresh by an event, and return what to do next."""
        match event:
            case msg.Loaded():
                return self._loaded(event)
            case msg.Leased(None):
                return self._follow()
            case msg.Leased(fence, view):
                # The holder before may have finished between the look and the lease.
                self.state.fence = fence
                self.state.known = attrs.evolve(self.state.known, is_leading=True)
                return self._look() if view is None else self._loaded(msg.Loaded(view))
            case msg.Saved():
                return self._saved(event)
            case msg.Responded():
                return self._responded(event)
            case msg.Failed(error, credential):
                return self._failed(error, credential)
            case msg.Woke():
                return self._woke()
            case msg.Unavailable():
                return self._unavailable()
            case _:
                assert_never(event)

    # What is known and what is stored

    def _look(self) -> msg.Action:
        self.state.phase = Phase.LOOK
        return msg.Load()

    def _loaded(self, loaded: msg.Loaded) -> msg.Action:
        state, view, now = self.state, loaded.view, self.moment.now
        longest = self.sharing.max_poll * _LONGEST_POLL + self.sharing.store_timeout
        if state.known.newest.serial:
            view = view.for_one_who_knows()
        known = state.known.looked(view, now=now, longest=longest)
        is_call = state.purpose is Purpose.WRITE_NOW
        if is_call or known.is_new:
            known = known.outranking(view)
        known = attrs.evolve(known.saw(view), is_new=known.is_new and not is_call)
        if known.is_owed and not state.known.is_owed:
            # The store has lost its memory: another process may know a newer token still.
            state.quiet_until = view.asked_at + self.sharing.store_loss_grace
        if view.generation != state.view.generation:
            state.changed_at = now
        state.known, state.view = known, view
        return self._decide()

    def _decide(self) -> msg.Action:  # noqa: PLR0911 - a rule each
        state, known, view = self.state, self.state.known, self.state.view
        if state.purpose is not Purpose.REFRESH:
            return self._write_owed()
        if state.response is not None:
            return self._keep(state.response)
        if view.is_unreadable and not (known.is_reusable or known.owes_sign_in):
            return self._finish(msg.Raise(self._outage(_LOST if view.is_lost else _UNREADABLE)))
        found = known.alive_in(view, self.policy, self.moment)
        if found is not None and found.is_spare(self.moment):
            return self._adopt(found)
        if known.is_owed:
            # The store is behind: nobody may act on the older token in it.
            return self._write() if state.writes < _CLAIMS else self._give_up(_CHANGING)
        shared = known.backoff_in(view)
        if shared is not None:
            return self._finish(msg.Raise(shared.error, shared))
        if state.fence is None:
            state.phase = Phase.LEASE
            return msg.Acquire()
        return self._lead()

    def _adopt(self, found: Found) -> msg.Action:
        state, life = self.state, found.life
        known = state.known.adopted(state.view)
        state.known = attrs.evolve(known, is_by_user=False, away_since=None)
        return self._release(
            msg.Serve(found.token, life.issued_at, life.wall_issued_at, is_adopted=True)
        )

    # Another process holds the lease

    def _follow(self) -> msg.Action:
        state, moment, sharing = self.state, self.moment, self.sharing
        if moment.now < moment.spare_until:
            return self._release(msg.Postpone(sharing.recheck_interval * (0.5 + moment.draw)))
        waited, state.others_wait = moment.now - state.changed_at, True
        if state.known.is_reusable and waited >= self.leaders_time:
            # The holder stands still, and nothing is spent by asking twice: go on without the
            # lease. The mark lets one process at a time do so.
            return self._lead()
        seconds = state.poll * (0.5 + moment.draw)
        state.poll = min(state.poll * _POLL_GROWTH, sharing.max_poll)
        return self._watch(seconds, _REFRESHING)

    def _watch(self, seconds: float, what: str) -> msg.Action:
        if self.left <= 0:
            return self._give_up(what)
        self.state.phase = Phase.LOOK
        return msg.WaitForChange(self.state.view, min(seconds, self.left))

    # This process leads

    def _lead(self) -> msg.Action:
        state, known, view = self.state, self.state.known, self.state.view
        if known.presentable is None and not known.is_grant_left:
            return self._note(state.refusal or ReauthenticationRequiredError(SIGN_IN_AGAIN))
        self._choose(known.presentable)
        is_first = state.fence is not None and not state.others_wait
        if not self.is_once and (is_first or view.is_unreadable):
            return self._ask()
        # A leader that others have waited with marks the entry too: they would go on alone.
        wait = self.wait_before_claim()
        if wait > 0:
            return self._watch(min(wait, self.sharing.max_poll), _CHANGING)
        if self.is_too_late:
            # Not after the claim alone: others would wait for nothing.
            return self._give_up(_CHANGING)
        state.is_at_risk = view.record.redeeming_since is not None
        return self._claim()

    def _choose(self, basis: Token | None) -> None:
        state = self.state
        if not is_same(basis, state.basis):
            state.sent_at = None
        state.basis, state.serial = basis, state.known.newest.serial

    def _claim(self) -> msg.Action:
        state, moment, record = self.state, self.moment, self.state.view.record
        if state.writes >= _CLAIMS:
            return self._give_up(_CHANGING)
        # The store may have lost its memory, and then counts the token's age from this write.
        state.known = state.known.dated(now=moment.now, wall=moment.wall)
        newest = state.known.newest
        # What happened to an older token is of no interest any more.
        shared = record.backoff if record.serial == newest.serial else None
        state.claimed_at = moment.now
        return self._save(Phase.CLAIM, Record(newest.token, newest.serial, moment.wall, shared))

    def _ask(self) -> msg.Action:
        state, timeout = self.state, self.left - self.time_to_write
        if self.is_once and not state.is_alone:
            timeout = min(timeout, self.mark_left)
        if timeout <= 0 or self.is_too_late:
            return self._give_up(_CHANGING)
        state.phase = Phase.ASK
        state.attempts += 1
        state.sent_at = self.moment.now if state.sent_at is None else state.sent_at
        return msg.Send(state.basis, timeout, state.is_at_risk)

    def _responded(self, response: msg.Responded) -> msg.Action:
        state = self.state
        if self.is_overruled:
            return self._again()
        state.known = state.known.refreshed(response.token, asked_at=response.asked_at)
        state.response, state.writes = response, 0
        return self._serve(response) if state.is_alone else self._decide()

    def _again(self) -> msg.Action:
        state, moment = self.state, self.moment
        if is_same(state.known.newest.token, moment.held) and moment.now < moment.held_until:
            return self._release(msg.Postpone(0.0))
        state.response = state.sent_at = None
        if self.left <= 0:
            return self._give_up(_CHANGING)
        return self._ask_alone() if state.is_alone else self._look()

    def _failed(self, error: AritmaAuthError, credential: str) -> msg.Action:
        state, basis = self.state, self.state.basis
        if self.is_overruled:
            return self._again()
        is_refresh = basis is not None or isinstance(self.grant, RefreshTokenGrant)
        # A reusable grant does not end; its subject's sign-in has, and asking again does not help.
        may_end = basis is not None or not self.grant.is_reusable
        is_refused = may_end and isinstance(error, ReauthenticationRequiredError)
        if basis is None and not self.grant.is_reusable:
            # A code whose response was lost is never sent again (RFC 6749 §4.1.2).
            is_spent = is_refused or (is_ambiguous(error) and not is_refresh)
            is_spent = is_spent or state.known.is_grant_spent
            state.known = attrs.evolve(state.known, is_grant_spent=is_spent)
        if is_refused:
            state.known = attrs.evolve(state.known, refused=basis or state.known.refused)
            state.refusal, state.attempts = error, 0
            # Another process may have rotated it: the store says so.
            return self._ask_alone() if state.is_alone else self._look()
        pause = self.pause_before_repeat(error, is_refresh=is_refresh)
        if pause is None:
            return self._note(error, credential)
        state.phase = Phase.PAUSE
        state.is_at_risk = state.is_at_risk or (self.is_once and is_ambiguous(error))
        return msg.Pause(pause)

    # What is owed is written: what came, before it is served

    def _keep(self, response: msg.Responded) -> msg.Action:
        state, known = self.state, self.state.known
        if not is_same(response.token, known.newest.token):
            return self._again()
        if not known.is_owed or state.writes >= _WRITES:
            return self._serve(response, is_overtaken=known.is_owed)
        if state.view.is_unreadable and not known.is_reusable:
            return self._later(response)
        return self._write()

    def _write_owed(self) -> msg.Action:
        state, known = self.state, self.state.known
        if not known.is_owed:
            return msg.Wrote(is_written=True)
        if state.view.is_unreadable and not known.owes_sign_in:
            return msg.Wrote(is_written=False)
        if state.writes >= _WRITES:
            return msg.Wrote(is_written=False, is_overtaken=True)
        return self._write()

    def _write(self) -> msg.Action:
        state, moment = self.state, self.moment
        known = state.known.dated(now=moment.now, wall=moment.wall)
        state.known = attrs.evolve(known, unresolved=known.unresolved + 1)
        return self._save(Phase.WRITE, state.known.owed_record(state.view))

    def _save(self, phase: Phase, record: Record) -> msg.Action:
        state = self.state
        # After a conflict a later lease may have written: the generation decides alone.
        fence = 0 if state.response is not None and state.writes else state.fence or 0
        state.phase, state.saving = phase, record
        state.writes += 1
        is_last = phase is Phase.NOTE or state.response is not None
        return msg.Save(record, state.view.generation, fence, is_last)

    def _later(self, response: msg.Responded) -> msg.Action:
        # The lease keeps the others from presenting its predecessor: an outage that begins and ends
        # as the mark does is outlasted so. After a longer one it is owed, and the others watch.
        state, left = self.state, min(self.left, self.mark_left + self.watch_time)
        if not is_same(response.token, state.known.newest.token):
            return self._again()
        if state.known.is_reusable or left <= 0:
            return self._serve(response)
        state.phase, state.writes = Phase.LATER, 0
        return msg.Pause(min(left, self.sharing.store_retry_interval))

    def _serve(self, response: msg.Responded, *, is_overtaken: bool = False) -> msg.Action:
        # A token that can be had again is owed to nobody.
        state, known = self.state, self.state.known
        state.known = attrs.evolve(known, is_owed=known.is_owed and not known.is_reusable)
        return self._release(
            msg.Serve(response.token, response.asked_at, is_overtaken=is_overtaken)
        )

    # A failure is written for all

    def _note(self, error: AritmaAuthError, credential: str = "") -> msg.Action:
        state, before = self.state, self.state.view.record
        state.outcome = msg.Raise(error)
        if state.is_alone or state.view.is_unreadable:
            return self._finish(state.outcome)
        token = before.token
        if token is not None and isinstance(error, ReauthenticationRequiredError):
            # No other process needs to learn that it has ended.
            token = attrs.evolve(token, refresh_token=None)
        may_be_spent = is_ambiguous(error) or isinstance(error, VerificationError)
        mark = before.redeeming_since if may_be_spent else None
        shared = self.shared_backoff(before, error, credential)
        return self._save(Phase.NOTE, Record(token, before.serial, mark, shared))

    # What becomes of writes and pauses, and of a store that is away

    def _saved(self, saved: msg.Saved) -> msg.Action:
        state, is_written = self.state, saved.is_written
        if saved.is_released:
            state.fence, state.known = None, attrs.evolve(state.known, is_leading=False)
        if state.phase is Phase.NOTE:
            return self._finish(state.outcome)
        known = attrs.evolve(state.known, away_since=None)
        state.known = known.wrote(state.saving, is_written=is_written)
        if not is_written:
            return self._look()
        state.view = state.view.written(state.saving)
        if state.phase is Phase.WRITE:
            return self._decide()
        state.known = state.known.marked(state.saving.redeeming_since, at=state.claimed_at)
        if self.is_overruled:
            return self._again()
        # The process may have stood still: others count the mark's age from before the claim.
        is_late = self.mark_left * 2 < self.sharing.redemption_timeout
        return self._claim() if is_late else self._ask()

    def _woke(self) -> msg.Action:
        state = self.state
        if state.phase is Phase.RELEASE:
            return state.outcome
        if state.phase is Phase.LATER and not state.view.is_unreadable:
            return self._decide()
        if state.phase in {Phase.LATER, Phase.AWAY}:
            return self._look()
        if self.is_overruled:
            return self._again()
        return self._repeat()

    def _repeat(self) -> msg.Action:
        state = self.state
        if self.is_once:
            return self._ask() if state.is_alone else self._claim()
        # The holder before may have died, and those who have waited since would go on alone: a
        # leader that has marked nothing does so now.
        is_unmarked = state.known.is_reusable and state.fence is not None and not state.others_wait
        if not (state.is_alone or is_unmarked):
            return self._ask()
        # The store may be back, and another process may have a token meanwhile.
        state.is_alone, state.others_wait = False, state.others_wait or is_unmarked
        return self._look()

    def _unavailable(self) -> msg.Action:
        state = self.state
        state.known = state.known.missed(now=self.moment.now)
        if state.purpose is not Purpose.REFRESH:
            is_new = state.known.is_new and state.purpose is not Purpose.WRITE_NOW
            state.known = attrs.evolve(state.known, is_new=is_new)
            return msg.Wrote(is_written=False)
        if state.response is not None:
            return self._later(state.response)
        return self._finish(state.outcome) if state.phase is Phase.NOTE else self._ask_alone()

    def _ask_alone(self) -> msg.Action:
        known = self.state.known
        basis = None if known.is_reusable else known.presentable
        is_left = basis is not None or known.is_grant_left
        may_refresh = self.sharing.refresh_without_store or self.usage.reusable
        if not (known.is_reusable or (may_refresh and is_left)):
            return self._wait_for_store()
        self._choose(basis)
        self.state.is_alone = True
        return self._ask()

    def _wait_for_store(self) -> msg.Action:
        # A short outage costs callers without a token time, and no failure.
        state, moment, sharing = self.state, self.moment, self.sharing
        pause = sharing.store_retry_interval * (1 + moment.draw / 4)
        is_short = state.known.is_store_back_soon(now=moment.now, within=sharing.redemption_timeout)
        if not is_short or self.is_served or self.left <= pause:
            return self._finish(msg.Raise(self._outage(_AWAY)))
        state.phase, state.is_alone = Phase.AWAY, False
        return msg.Pause(pause)

    def _outage(self, what: str) -> TransportError:
        pause = self.sharing.store_retry_interval
        return TransportError(what, retry_after=pause, may_have_arrived=False)

    # The end

    def _give_up(self, what: str) -> msg.Action:
        # A full disk can be read: the store is away as long as nothing is written.
        if self.state.known.away_since is not None:
            return self._finish(msg.Raise(self._outage(_AWAY)))
        return self._finish(msg.Raise(TransportError(what, may_have_arrived=False)))

    def _finish(self, outcome: msg.Outcome) -> msg.Action:
        # Static stability across a restart: a stored token that lives is better than none.
        found = self.state.known.alive_in(self.state.view, self.policy, self.moment)
        if found is not None and self.moment.now >= self.moment.held_until:
            return self._adopt(found)
        return self._release(outcome)

    def _release(self, outcome: msg.Outcome) -> msg.Action:
        state = self.state
        if state.fence is None:
            return outcome
        state.known = attrs.evolve(state.known, is_leading=False)
        state.phase, state.fence, state.outcome = Phase.RELEASE, None, outcome
        return msg.Release()

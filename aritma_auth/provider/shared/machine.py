"""
One refresh for all who share a store, as a pure state machine.

              +-----------------------------------------------------------------+
              v                                                                 |
    begin -> LOOK --- the stored token is fresh: adopt it ------------+         |
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

import enum
from typing import assert_never

import attrs

from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    InvalidResponseError,
    ReauthenticationRequiredError,
    TransportError,
    VerificationError,
)
from aritma_auth.protocol.grants import Grant, RefreshTokenGrant
from aritma_auth.protocol.json_response import is_ambiguous
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.backoff import backoff, plan_shared_pause
from aritma_auth.provider.lifecycle import Freshness
from aritma_auth.provider.policy import ONE_TIME, RefreshPolicy, RefreshTokenUsage, SharingPolicy
from aritma_auth.provider.shared.knowledge import (
    Found,
    Knowledge,
    Moment,
    VersionedToken,
    View,
    is_same,
)
from aritma_auth.provider.shared.messages import (
    Acquire,
    Action,
    Event,
    Failed,
    Leased,
    Load,
    Loaded,
    Outcome,
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
from aritma_auth.provider.token_request import SIGN_IN_AGAIN
from aritma_auth.stores import Record, SharedBackoff

_POLL_GROWTH = 1.6
_LONGEST_POLL = 1.5
"""What the longest pause between two looks is multiplied by at most."""
_WRITES = 3
"""Attempts to write a token while others change the entry."""
_CLAIMS = 100
"""The same for a mark."""
_LEADERS_SHARE = 2 / 3
"""Part of the refresh's time that the holder of the lease may take for a grant that is reusable."""
_GRACE_SPREAD = 5.0
"""Seconds over which the repeats within a server's grace are spread."""

_AWAY = (
    "the token store is away, and a refresh token is not presented without its lock: it may be "
    "good for one time only"
)
_UNREADABLE = (
    "this process cannot read the stored token: give it the encryption keys, and the version of "
    "aritma_auth, of the process that wrote it"
)
_REFRESHING = "another process is refreshing the token and has not finished: try again later"
_CHANGING = "the stored token changes faster than it can be claimed: try again later"


class Purpose(enum.Enum):
    """What the steps are for."""

    REFRESH = enum.auto()
    WRITE = enum.auto()
    """Write what is owed."""
    WRITE_NOW = enum.auto()
    """The same in a call of `set_token` or `forget`: that is newer than whatever is stored."""


class Phase(enum.Enum):
    """What is waited for; the names are those of the drawing."""

    LOOK = enum.auto()
    LEASE = enum.auto()
    CLAIM = enum.auto()
    ASK = enum.auto()
    PAUSE = enum.auto()
    WRITE = enum.auto()
    LATER = enum.auto()
    NOTE = enum.auto()
    RELEASE = enum.auto()


@attrs.frozen
class Refresh:
    """A refresh under way, or a write."""

    known: Knowledge
    """What the process knows; it outlives the refresh."""
    purpose: Purpose
    began_at: float
    poll: float
    """Seconds until the next look at an entry that another process is refreshing."""
    phase: Phase = Phase.LOOK
    view: View = attrs.field(factory=View)
    changed_at: float = 0.0
    """When this refresh saw the entry change last: whoever holds the lease lived then."""
    watched_from: float = 0.0
    """When this refresh saw its mark first."""
    quiet_until: float = float("-inf")
    """Until then no one-time token is presented."""
    is_alone: bool = False
    """The store is away, and the server is asked without it."""
    fence: int | None = None
    """Number of the lease, if it is held."""
    basis: Token | None = None
    """The token whose refresh token is presented, or None for the grant itself."""
    serial: int = 0
    """The newest token's when this was decided."""
    claimed_at: float = 0.0
    """When the mark was decided on; it is written later."""
    sent_at: float | None = None
    """When the basis was presented first."""
    is_at_risk: bool = False
    """The basis may be spent."""
    attempts: int = 0
    """Requests so far."""
    writes: int = 0
    """Records so far."""
    saving: Record = attrs.field(factory=Record)
    """The last of them."""
    response: Responded | None = None
    refusal: AritmaAuthError | None = None
    """Why the server refused the last basis for good."""
    outcome: Outcome = attrs.field(factory=lambda: Postpone(0.0))
    """The end, once the lease is given back."""

    @property
    def is_critical(self) -> bool:
        """Something that can be had only once is on its way."""
        is_sent = self.phase is Phase.ASK and not (self.known.is_reusable and self.basis is None)
        return is_sent or self.response is not None or self.phase in {Phase.CLAIM, Phase.NOTE}


Step = tuple[Refresh, Action]


@attrs.frozen
class SharedRefresh:
    """The rules: a grant and the numbers."""

    grant: Grant
    policy: RefreshPolicy
    sharing: SharingPolicy
    usage: RefreshTokenUsage = ONE_TIME

    def begin(self, known: Knowledge, purpose: Purpose, moment: Moment) -> Step:
        """Begin a refresh, or a write of what is owed."""
        now = moment.now
        return Refresh(known, purpose, now, self.sharing.min_poll, changed_at=now), Load()

    def step(self, state: Refresh, event: Event, moment: Moment) -> Step:  # noqa: PLR0911 - a case each
        """Give the refresh after an event, and what to do next."""
        match event:
            case Loaded(view):
                return self._loaded(state, view, moment)
            case Leased(fence):
                # The holder before may have finished between the look and the lease.
                return (
                    self._follow(state, moment)
                    if fence is None
                    else self._look(attrs.evolve(state, fence=fence))
                )
            case Saved(is_written):
                return self._saved(state, moment, is_written=is_written)
            case Responded():
                return self._responded(state, event, moment)
            case Failed(error, credential):
                return self._failed(state, error, credential, moment)
            case Woke():
                return self._woke(state, moment)
            case Unavailable():
                return self._unavailable(state, moment)
            case _:
                assert_never(event)

    def _left(self, state: Refresh, moment: Moment) -> float:
        limit = self.policy.refresh_timeout
        if state.known.is_reusable and state.fence is not None:
            # The rest is for those who wait for the lease, if its holder stands still.
            limit *= _LEADERS_SHARE
        return state.began_at + limit - moment.now

    def _is_once(self, state: Refresh) -> bool:
        if state.basis is None and not isinstance(self.grant, RefreshTokenGrant):
            return not self.grant.is_reusable
        return not self.usage.reusable

    # What is known and what is stored

    def _look(self, state: Refresh) -> Step:
        return attrs.evolve(state, phase=Phase.LOOK), Load()

    def _loaded(self, state: Refresh, view: View, moment: Moment) -> Step:
        known = state.known.marked(view.record.redeeming_since, at=moment.now)
        is_call = state.purpose is Purpose.WRITE_NOW
        if is_call or known.is_new:
            known = known.outranking(view)
        known = attrs.evolve(known.saw(view), is_new=known.is_new and not is_call)
        if known.is_owed and not state.known.is_owed:
            # The store has lost its memory: another process may know a newer token still.
            grace = self.sharing.store_loss_grace
            state = attrs.evolve(state, quiet_until=view.asked_at + grace)
        if view.generation != state.view.generation:
            state = attrs.evolve(state, changed_at=moment.now)
        mark = view.record.redeeming_since
        is_other = mark is None or mark != state.view.record.redeeming_since
        # A process that stood still has watched nothing meanwhile.
        longest = self.sharing.max_poll * _LONGEST_POLL + self.sharing.store_timeout
        if is_other or moment.now - state.view.asked_at > longest:
            state = attrs.evolve(state, watched_from=moment.now)
        return self._decide(attrs.evolve(state, known=known, view=view), moment)

    def _decide(self, state: Refresh, moment: Moment) -> Step:  # noqa: PLR0911 - a rule each
        known, view = state.known, state.view
        if state.purpose is not Purpose.REFRESH:
            return self._write_owed(state)
        if state.response is not None:
            return self._keep(state, state.response, moment)
        if view.is_unreadable and not (known.is_reusable or known.owes_sign_in):
            return self._finish(state, Raise(self._outage(_UNREADABLE)), moment)
        found = known.alive_in(view, self.policy, moment)
        if found is not None and found.life.freshness(moment.on(found.life)) is Freshness.FRESH:
            return self._adopt(state, found)
        if known.is_owed:
            # The store is behind: nobody may act on the older token in it.
            return self._write(state, moment)
        shared = known.backoff_in(view)
        if shared is not None:
            error = shared.error.copy()
            error.retry_after = shared.seconds
            return self._finish(state, Raise(error), moment)
        if state.fence is None:
            return attrs.evolve(state, phase=Phase.LEASE), Acquire()
        return self._lead(state, moment)

    def _adopt(self, state: Refresh, found: Found) -> Step:
        newest = VersionedToken(found.token, state.view.record.serial)
        known = attrs.evolve(state.known, newest=newest, is_owed=False, is_by_user=False)
        life = found.life
        outcome = Serve(found.token, life.issued_at, life.wall_issued_at, is_adopted=True)
        return self._release(attrs.evolve(state, known=known), outcome)

    # Another process holds the lease

    def _follow(self, state: Refresh, moment: Moment) -> Step:
        if moment.now < moment.spare_until:
            pause = self.sharing.recheck_interval * (0.5 + moment.draw)
            return self._release(state, Postpone(pause))
        waited = moment.now - state.changed_at
        if state.known.is_reusable and waited >= self.policy.refresh_timeout * _LEADERS_SHARE:
            # The holder stands still, and nothing is spent by asking twice: go on without the
            # lease. The mark lets one process at a time do so.
            return self._lead(state, moment)
        if self._left(state, moment) <= 0:
            return self._finish(state, Raise(_busy(_REFRESHING)), moment)
        poll = min(state.poll * _POLL_GROWTH, self.sharing.max_poll)
        seconds = state.poll * (0.5 + moment.draw)
        return self._watch(attrs.evolve(state, poll=poll), seconds, moment)

    def _watch(self, state: Refresh, seconds: float, moment: Moment) -> Step:
        seconds = min(seconds, self._left(state, moment))
        return attrs.evolve(state, phase=Phase.LOOK), WaitForChange(state.view, seconds)

    # This process leads

    def _lead(self, state: Refresh, moment: Moment) -> Step:
        known, view = state.known, state.view
        if known.presentable is None and not known.is_grant_left:
            error = state.refusal or ReauthenticationRequiredError(SIGN_IN_AGAIN)
            return self._note(state, error, "", moment)
        state = self._base(state, known.presentable)
        is_leader = state.fence is not None and state.poll <= self.sharing.min_poll
        if not self._is_once(state) and (is_leader or view.is_unreadable):
            return self._ask(state, moment)
        # A leader that had to wait marks the entry too: others wait as long, and would go on alone.
        wait = self._wait_before_claim(state, moment)
        if wait <= 0:
            is_at_risk = view.record.redeeming_since is not None
            return self._claim(attrs.evolve(state, is_at_risk=is_at_risk), moment)
        if self._left(state, moment) <= 0:
            return self._finish(state, Raise(_busy(_CHANGING)), moment)
        return self._watch(state, min(wait, self.sharing.max_poll), moment)

    def _wait_before_claim(self, state: Refresh, moment: Moment) -> float:
        """
        Give the seconds for which another process may still have the successor of the newest token.

        A mark is waited for until this process has known it for as long as a request can take: no
        two hosts' wall clocks agree. One that it has known for long is watched for a while all the
        same: the store may have been away until now, and its writer may have the successor and
        write it any moment.
        """
        record, known, sharing = state.view.record, state.known, self.sharing
        quiet = state.quiet_until - moment.now
        if record.redeeming_since is None or record.serial != known.newest.serial:
            return quiet
        limit = sharing.redemption_timeout
        watch = min(limit, sharing.store_retry_interval + sharing.store_loss_grace)
        left = known.mark_seen_at + limit - moment.now
        return max(quiet, left, state.watched_from + watch - moment.now)

    def _base(self, state: Refresh, basis: Token | None) -> Refresh:
        sent_at = state.sent_at if is_same(basis, state.basis) else None
        serial = state.known.newest.serial
        return attrs.evolve(state, basis=basis, serial=serial, sent_at=sent_at)

    def _claim(self, state: Refresh, moment: Moment) -> Step:
        newest, record = state.known.newest, state.view.record
        # What happened to an older token is of no interest any more.
        shared = record.backoff if record.serial == newest.serial else None
        mark = Record(newest.token, newest.serial, moment.wall, shared)
        if state.writes >= _CLAIMS:
            return self._finish(state, Raise(_busy(_CHANGING)), moment)
        return self._save(attrs.evolve(state, claimed_at=moment.now), Phase.CLAIM, mark)

    def _ask(self, state: Refresh, moment: Moment) -> Step:
        timeout = self._left(state, moment)
        if self._is_once(state) and not state.is_alone:
            timeout = min(timeout, self._mark_left(state, moment))
        if timeout <= 0:
            return self._finish(state, Raise(_busy(_CHANGING)), moment)
        sent_at = moment.now if state.sent_at is None else state.sent_at
        attempts = state.attempts + 1
        state = attrs.evolve(state, phase=Phase.ASK, attempts=attempts, sent_at=sent_at)
        return state, Send(state.basis, timeout, state.is_at_risk)

    def _mark_left(self, state: Refresh, moment: Moment) -> float:
        return state.claimed_at + self.sharing.redemption_timeout - moment.now

    def _responded(self, state: Refresh, response: Responded, moment: Moment) -> Step:
        if self._is_overruled(state):
            return self._again(state, moment)
        known = state.known.refreshed(response.token)
        state = attrs.evolve(state, known=known, response=response, writes=0)
        if state.is_alone:
            return self._serve(state, response)
        return self._decide(state, moment)

    def _is_overruled(self, state: Refresh) -> bool:
        # A sign-in or sign-out came meanwhile, here or by the store.
        return state.known.newest.serial != state.serial

    def _again(self, state: Refresh, moment: Moment) -> Step:
        if is_same(state.known.newest.token, moment.held) and moment.now < moment.held_until:
            return self._release(state, Postpone(0.0))
        state = attrs.evolve(state, response=None, sent_at=None)
        if self._left(state, moment) <= 0:
            return self._finish(state, Raise(_busy(_CHANGING)), moment)
        return self._ask_alone(state, moment) if state.is_alone else self._look(state)

    def _failed(
        self, state: Refresh, error: AritmaAuthError, credential: str, moment: Moment
    ) -> Step:
        if self._is_overruled(state):
            return self._again(state, moment)
        known, basis = state.known, state.basis
        is_refresh = basis is not None or isinstance(self.grant, RefreshTokenGrant)
        # A reusable grant does not end; its subject's sign-in has, and asking again does not help.
        may_end = basis is not None or not self.grant.is_reusable
        is_refused = may_end and isinstance(error, ReauthenticationRequiredError)
        if basis is None and not self.grant.is_reusable:
            # A code whose response was lost is never sent again (RFC 6749 §4.1.2).
            is_spent = is_refused or (is_ambiguous(error) and not is_refresh)
            known = attrs.evolve(known, is_grant_spent=known.is_grant_spent or is_spent)
        if is_refused:
            known = attrs.evolve(known, refused=basis or known.refused)
            state = attrs.evolve(state, known=known, refusal=error, attempts=0)
            # Another process may have rotated it: the store says so.
            return self._ask_alone(state, moment) if state.is_alone else self._look(state)
        state = attrs.evolve(state, known=known)
        pause = self._pause_before_repeat(state, error, moment, is_refresh=is_refresh)
        if pause is None:
            return self._note(state, error, credential, moment)
        is_at_risk = state.is_at_risk or (self._is_once(state) and is_ambiguous(error))
        return attrs.evolve(state, phase=Phase.PAUSE, is_at_risk=is_at_risk), Pause(pause)

    def _pause_before_repeat(
        self, state: Refresh, error: AritmaAuthError, moment: Moment, *, is_refresh: bool
    ) -> float | None:
        left = self._left(state, moment)
        # A complete response that cannot be used, such as another token type, comes again.
        is_unusable = isinstance(error, InvalidResponseError) and error.status == 200
        if error.is_permanent or is_unusable or left <= 0:
            return None
        if self._is_once(state) and is_ambiguous(error):
            # It may be spent: only a server with a grace takes it again, once the first request
            # must be over.
            sent_at = moment.now if state.sent_at is None else state.sent_at
            begin = max(0.0, sent_at + self.sharing.redemption_timeout - moment.now)
            grace = sent_at + self.usage.grace - moment.now
            end = min(begin + _GRACE_SPREAD, grace, left)
            return begin + moment.draw * (end - begin) if is_refresh and begin < end else None
        if not moment.is_patient or state.attempts >= self.policy.max_attempts:
            return None
        pause = max(error.retry_after or 0.0, backoff(self.policy, state.attempts, moment.draw))
        return pause if pause < left else None

    # What came is written before it is served

    def _keep(self, state: Refresh, response: Responded, moment: Moment) -> Step:
        known = state.known
        if not is_same(response.token, known.newest.token):
            return self._again(state, moment)
        if not known.is_owed:
            return self._serve(state, response)
        if state.writes >= _WRITES:
            return self._serve(state, response, is_overtaken=True)
        if state.view.is_unreadable and not known.is_reusable:
            return self._later(state, response, moment)
        return self._write(state, moment)

    def _write(self, state: Refresh, moment: Moment) -> Step:
        if state.writes >= _CLAIMS:
            return self._finish(state, Raise(_busy(_CHANGING)), moment)
        return self._save_owed(state)

    def _save_owed(self, state: Refresh) -> Step:
        known = attrs.evolve(state.known, unresolved=state.known.unresolved + 1)
        record = known.owed_record(state.view)
        return self._save(attrs.evolve(state, known=known), Phase.WRITE, record)

    def _save(self, state: Refresh, phase: Phase, record: Record) -> Step:
        # After a conflict a later lease may have written: the generation decides alone.
        fence = 0 if state.response is not None and state.writes else state.fence or 0
        state = attrs.evolve(state, phase=phase, saving=record, writes=state.writes + 1)
        return state, Save(record, state.view.generation, fence)

    def _later(self, state: Refresh, response: Responded, moment: Moment) -> Step:
        # So long the others wait before they present its predecessor; it is owed after that too.
        left = min(self._left(state, moment), self._mark_left(state, moment))
        if not is_same(response.token, state.known.newest.token):
            return self._again(state, moment)
        if state.known.is_reusable or left <= 0:
            return self._serve(state, response)
        state = attrs.evolve(state, phase=Phase.LATER, writes=0)
        return state, Pause(min(left, self.sharing.store_retry_interval))

    def _serve(self, state: Refresh, response: Responded, *, is_overtaken: bool = False) -> Step:
        # A token that can be had again is owed to nobody.
        known = state.known
        known = attrs.evolve(known, is_owed=known.is_owed and not known.is_reusable)
        outcome = Serve(response.token, response.asked_at, is_overtaken=is_overtaken)
        return self._release(attrs.evolve(state, known=known), outcome)

    def _write_owed(self, state: Refresh) -> Step:
        known = state.known
        if not known.is_owed:
            return state, Wrote(is_written=True)
        if state.view.is_unreadable and not known.owes_sign_in:
            return state, Wrote(is_written=False)
        if state.writes >= _WRITES:
            return state, Wrote(is_written=False, is_overtaken=True)
        return self._save_owed(state)

    # A failure is written for all

    def _note(
        self, state: Refresh, error: AritmaAuthError, credential: str, moment: Moment
    ) -> Step:
        before = state.view.record
        if state.is_alone or state.view.is_unreadable:
            return self._finish(state, Raise(error), moment)
        token = before.token
        if token is not None and isinstance(error, ReauthenticationRequiredError):
            # No other process needs to learn that it has ended.
            token = attrs.evolve(token, refresh_token=None)
        may_be_spent = is_ambiguous(error) or isinstance(error, VerificationError)
        mark = before.redeeming_since if may_be_spent else None
        shared = self._shared_backoff(before, error, credential, moment)
        state = attrs.evolve(state, outcome=Raise(error))
        return self._save(state, Phase.NOTE, Record(token, before.serial, mark, shared))

    def _shared_backoff(
        self, before: Record, error: AritmaAuthError, credential: str, moment: Moment
    ) -> SharedBackoff | None:
        if isinstance(error, ConfigurationError | VerificationError):
            # Local errors must not block the other processes.
            return before.backoff
        count = 1 + (0 if before.backoff is None else before.backoff.count)
        ends = None if before.token is None else before.token.expires_at
        left = None if ends is None or ends <= moment.wall else ends - moment.wall
        seconds = plan_shared_pause(
            self.policy, self.sharing, error, count=count, draw=moment.draw, alive_for=left
        )
        return SharedBackoff(error.copy(), count, seconds, credential)

    # What becomes of writes and pauses, and of a store that is away

    def _saved(self, state: Refresh, moment: Moment, *, is_written: bool) -> Step:
        if state.phase is Phase.NOTE:
            return self._finish(state, state.outcome, moment)
        known = state.known.wrote(state.saving, is_written=is_written)
        state = attrs.evolve(state, known=known)
        if not is_written:
            return self._look(state)
        state = attrs.evolve(state, view=state.view.written(state.saving))
        if state.phase is Phase.WRITE:
            return self._decide(state, moment)
        marked = state.known.marked(state.saving.redeeming_since, at=state.claimed_at)
        state = attrs.evolve(state, known=marked)
        if self._is_overruled(state):
            return self._again(state, moment)
        # The process may have stood still: others count the mark's age from before the claim.
        is_late = self._mark_left(state, moment) * 2 < self.sharing.redemption_timeout
        return self._claim(state, moment) if is_late else self._ask(state, moment)

    def _woke(self, state: Refresh, moment: Moment) -> Step:
        if state.phase is Phase.RELEASE:
            return state, state.outcome
        if state.phase is Phase.LATER:
            return self._look(state) if state.view.is_unreadable else self._decide(state, moment)
        if self._is_overruled(state):
            return self._again(state, moment)
        if state.is_alone and not self._is_once(state):
            # The store may be back, and another process may have a token meanwhile.
            return self._look(attrs.evolve(state, is_alone=False))
        is_marked = self._is_once(state) and not state.is_alone
        return self._claim(state, moment) if is_marked else self._ask(state, moment)

    def _unavailable(self, state: Refresh, moment: Moment) -> Step:
        if state.purpose is not Purpose.REFRESH:
            is_new = state.known.is_new and state.purpose is not Purpose.WRITE_NOW
            known = attrs.evolve(state.known, is_new=is_new)
            return attrs.evolve(state, known=known), Wrote(is_written=False)
        if state.response is not None:
            return self._later(state, state.response, moment)
        if state.phase is Phase.NOTE:
            return self._finish(state, state.outcome, moment)
        return self._ask_alone(state, moment)

    def _ask_alone(self, state: Refresh, moment: Moment) -> Step:
        known = state.known
        basis = None if known.is_reusable else known.presentable
        is_left = basis is not None or known.is_grant_left
        may_refresh = self.sharing.refresh_without_store or self.usage.reusable
        if not (known.is_reusable or (may_refresh and is_left)):
            return self._finish(state, Raise(self._outage(_AWAY)), moment)
        return self._ask(attrs.evolve(self._base(state, basis), is_alone=True), moment)

    def _outage(self, what: str) -> TransportError:
        pause = self.sharing.store_retry_interval
        return TransportError(what, retry_after=pause, may_have_arrived=False)

    # The end

    def _finish(self, state: Refresh, outcome: Outcome, moment: Moment) -> Step:
        # Static stability across a restart: a stored token that lives is better than none.
        found = state.known.alive_in(state.view, self.policy, moment)
        if found is not None and moment.now >= moment.held_until:
            return self._adopt(state, found)
        return self._release(state, outcome)

    def _release(self, state: Refresh, outcome: Outcome) -> Step:
        if state.fence is None:
            return state, outcome
        return attrs.evolve(state, phase=Phase.RELEASE, fence=None, outcome=outcome), Release()


def _busy(what: str) -> TransportError:
    return TransportError(what, may_have_arrived=False)

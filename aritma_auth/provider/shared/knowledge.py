"""
What one process knows of a shared token, and what follows from it; pure.

Knowledge outlives a refresh, a view is what the store returned last, and a moment is everything
that changes by itself: the clocks, a random number, and what the provider's cache holds.
"""

import attrs

from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.lifecycle import Freshness, TokenLifetime, plan_lifetime
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.stores import Entry, Record, SharedBackoff

_CLOCKS_DIFFER = 300.0
"""Seconds by which a token may seem to be from the future."""
_CLOCK_STEP = 1.0
"""Seconds by which a wall clock may be set back without a token's dates being corrected."""
_SECOND = 1_000_000
"""Serials in a second: fine enough that `_UNSEEN` puts no sign-in ahead of the clock."""
_UNSEEN = 1000
"""Refreshes that others may have stored unseen, while this machine's clock was behind."""


def is_same(one: Token | None, other: Token | None) -> bool:
    """Tell whether two tokens are one, or both are none."""
    if one is None or other is None:
        return one is other
    return one.access_token == other.access_token


@attrs.frozen
class VersionedToken:
    """A token, or the lack of one, and its number: neither is replaced without the other."""

    token: Token | None = None
    serial: int = 0


@attrs.frozen
class Moment:
    """What changes by itself, as it is when an event comes."""

    now: float
    """Monotonic seconds; all times without another word are."""
    wall: float
    """POSIX seconds."""
    draw: float = 0.0
    """A random number in [0, 1)."""
    held: Token | None = None
    """The token in the provider's cache."""
    held_until: float = float("-inf")
    """Until then it may be served."""
    spare_until: float = float("-inf")
    """Until then nobody needs to wait for another."""
    rejected: Token | None = None
    """The token that an API refused last."""

    is_patient: bool = True
    """Callers wait, and the failure before this was no failure: try more than once."""
    counts_suspend: bool = True
    """The monotonic clock goes on while the machine sleeps."""

    def on(self, life: TokenLifetime) -> float:
        """Give the time on a token's own line; the wall clock knows of a sleep if no other does."""
        return self.now if self.counts_suspend else life.now(monotonic=self.now, wall=self.wall)


@attrs.frozen
class View:
    """What the store returned last."""

    entry: Entry | None = None
    asked_at: float = 0.0
    """When the question left."""
    asked_wall: float = 0.0
    """The same in POSIX seconds."""
    is_told: bool = True
    """The store returned its token; one that this process wrote is as old as the cache knows."""
    is_concerned: bool = True
    """The entry's backoff is not about another credential than this process's."""

    @property
    def record(self) -> Record:
        """The entry's record; an empty one without an entry."""
        return Record() if self.entry is None else self.entry.record

    @property
    def generation(self) -> int:
        """The entry's generation; 0 without an entry."""
        return 0 if self.entry is None else self.entry.generation

    @property
    def is_unreadable(self) -> bool:
        """There is an entry that this process cannot read: it may hold anything."""
        return self.entry is not None and self.entry.problem is not None

    @property
    def is_lost(self) -> bool:
        """All that the store had is gone, this entry perhaps included."""
        return self.entry is not None and self.entry.is_lost

    def for_one_who_knows(self) -> "View":
        """Give it to a process that knows a token: what the store has lost, it has forgotten."""
        if self.entry is None or not self.is_lost:
            return self
        return attrs.evolve(self, entry=attrs.evolve(self.entry, problem=None, is_lost=False))

    @property
    def issued_by(self) -> float:
        """Then its token had been issued: the store may tell its age, whatever wall clocks say."""
        told = None if self.entry is None else self.entry.token_age
        return self.asked_at - max(0.0, told or 0.0)

    def written(self, record: Record) -> "View":
        """Give the view after this process has replaced the entry."""
        entry = self.entry
        is_kept = entry is not None and is_same(record.token, entry.token)
        # The same token is as old as it was when the store told its age, whatever our clocks say.
        age = entry.token_age if entry is not None and is_kept else None
        is_told = self.is_told and is_kept
        return attrs.evolve(self, entry=Entry(record, self.generation + 1, age), is_told=is_told)

    def life_of(self, token: Token, policy: RefreshPolicy) -> TokenLifetime:
        """
        Plan the stored token's life.

        Its age counts from the question's departure: the store may have told it at any moment
        before the response came.
        """
        told = None if self.entry is None else self.entry.token_age
        age = self.asked_wall - token.issued_at if told is None else told
        if age < -_CLOCKS_DIFFER:
            # The wall clock was set back since the token was issued: its age is unknown.
            age = policy.max_lifetime
        began, wall = self.asked_at - max(0.0, age), self.asked_wall - max(0.0, age)
        return plan_lifetime(policy, token, issued_at=began, wall=wall, draw=0.0)


@attrs.frozen
class Found:
    """A stored token that lives."""

    token: Token
    life: TokenLifetime

    def is_spare(self, moment: Moment) -> bool:
        """Tell whether nobody needs to wait for another: a stale one is refreshed in background."""
        return self.life.freshness(moment.on(self.life)) in {Freshness.FRESH, Freshness.STALE}


@attrs.frozen
class Knowledge:
    """What one process knows of a key, from its first refresh to its end."""

    is_reusable: bool
    """The grant may be presented again: a token that is lost can be had again."""
    is_grant_spent: bool = False
    """The grant may not be presented any more."""
    newest: VersionedToken = attrs.field(factory=VersionedToken)
    """The newest token; without a token but with a serial the sign-in has ended."""
    issued_by: float = float("inf")
    """Then it had been issued."""
    is_owed: bool = False
    """The store does not have it, as far as is known: it must be written."""
    is_by_user: bool = False
    """It came from `set_token` or `forget` here, not from a refresh or the store."""
    refused: Token | None = None
    """The token whose refresh token the server refused for good."""
    unresolved: int = 0
    """Attempts to write it of which it is not known whether they were successful."""
    is_new: bool = False
    """It came from the user and has not met the store yet: it is newer than what is there."""
    is_raised: bool = False
    """Its serial is above whatever an entry may have that cannot be read."""
    mark: float | None = None
    """The mark on the stored token that was seen last, or put there."""
    mark_seen_at: float = 0.0
    """When it was seen first: the wall clock that it was made of may be another's."""
    watched_from: float = 0.0
    """Since then it has been looked at, with no gap in which its writer could come and go."""
    looked_at: float = float("-inf")
    """When the last question to the store left."""
    away_since: float | None = None
    """When the store was first seen to be away; None if it has done since what it is there for."""
    is_leading: bool = False
    """A refresh here holds the lease; if another begins, that one was cut off."""

    def signed_in(self, token: Token | None, *, now: float, wall: float) -> "Knowledge":
        """
        Learn of a sign-in here, or with None of its end.

        Its serial starts at the wall clock, so that it is newer than any sign-in or refresh before
        it, also while the store cannot be asked.
        """
        newest = VersionedToken(token, max(self.newest.serial + _UNSEEN, int(wall * _SECOND)))
        age = 0.0 if token is None else max(0.0, wall - token.issued_at)
        is_spent = not self.is_reusable
        return attrs.evolve(
            self,
            newest=newest,
            issued_by=now - age,
            is_owed=True,
            is_by_user=True,
            is_grant_spent=is_spent,
            unresolved=0,
            is_new=True,
            is_raised=False,
        )

    def refreshed(self, token: Token, *, asked_at: float) -> "Knowledge":
        """Learn of a token from the server."""
        newest = VersionedToken(token, self.newest.serial + 1)
        is_spent = not self.is_reusable
        return attrs.evolve(
            self,
            newest=newest,
            issued_by=asked_at,
            is_owed=True,
            is_by_user=False,
            is_grant_spent=is_spent,
            unresolved=0,
            is_new=False,
        )

    def dated(self, *, now: float, wall: float) -> "Knowledge":
        """
        Date the newest token by the wall clock as it is now, before it is written.

        The others tell its age by its dates. Those are of another host's clock, or of one that may
        have been set back since.
        """
        token, issued_at = self.newest.token, wall - (now - self.issued_by)
        late = 0.0 if token is None else token.issued_at - max(issued_at, 1.0)
        if token is None or late < _CLOCK_STEP:
            return self
        ends = None if token.expires_at is None else token.expires_at - late
        token = attrs.evolve(token, issued_at=token.issued_at - late, expires_at=ends)
        return attrs.evolve(self, newest=attrs.evolve(self.newest, token=token))

    def outranking(self, view: View) -> "Knowledge":
        """
        Number the user's sign-in, which came just now, above what is stored.

        Another host's clock may be ahead, so that what it stored before has the higher serial. Not
        if the sign-in may have been stored already: then what is stored may be its successor.
        """
        serial, is_raised = view.record.serial, view.is_unreadable
        # A successor that a refresh brought meanwhile does not outrank a `forget` made elsewhere.
        if not self.is_by_user or (is_raised and self.is_raised):
            return self
        if is_raised:
            # Its serial cannot be read either: it came of a clock that differs by no more.
            serial = self.newest.serial + _UNSEEN + int(_CLOCKS_DIFFER * _SECOND)
        if not self.is_owed or serial < self.newest.serial or self.unresolved:
            return self
        newest = attrs.evolve(self.newest, serial=serial + 1)
        return attrs.evolve(self, newest=newest, is_raised=is_raised)

    def marked(self, mark: float | None, *, at: float) -> "Knowledge":
        """Learn of a mark that this process has put on the stored token."""
        return attrs.evolve(self, mark=mark, mark_seen_at=at, watched_from=at, looked_at=at)

    def looked(self, view: View, *, now: float, longest: float) -> "Knowledge":
        """
        Learn of the mark on the stored token.

        A process that looks again after more than ``longest`` seconds stood still, or the store was
        away: it has watched nothing meanwhile.
        """
        mark = view.record.redeeming_since
        is_other = mark != self.mark
        is_watched = not is_other and now - self.looked_at <= longest
        return attrs.evolve(
            self,
            mark=mark,
            mark_seen_at=now if is_other else self.mark_seen_at,
            watched_from=self.watched_from if is_watched else now,
            looked_at=view.asked_at,
        )

    def missed(self, *, now: float) -> "Knowledge":
        """Learn that the store is away."""
        return attrs.evolve(self, away_since=now if self.away_since is None else self.away_since)

    def wrote(self, record: Record, *, is_written: bool) -> "Knowledge":
        """Learn what became of a write; a newer token may have come meanwhile."""
        if self.newest != VersionedToken(record.token, record.serial):
            return self
        if is_written:
            return attrs.evolve(self, is_owed=False)
        return attrs.evolve(self, unresolved=max(0, self.unresolved - 1))

    def saw(self, view: View) -> "Knowledge":
        """Learn what is stored: the higher serial is the newer token, and the store wins a tie."""
        record = view.record
        if view.is_unreadable:
            return self
        if record.serial >= self.newest.serial:
            return self.adopted(view)
        return attrs.evolve(self, is_owed=self.is_owed or self.is_ahead_of(view))

    def adopted(self, view: View) -> "Knowledge":
        """Take what is stored for the newest token."""
        newest = VersionedToken(view.record.token, view.record.serial)
        is_known = is_same(newest.token, self.newest.token)
        return attrs.evolve(
            self,
            newest=newest,
            issued_by=min(view.issued_by, self.issued_by) if is_known else view.issued_by,
            is_owed=False,
            is_by_user=self.is_by_user and is_known,
        )

    def is_ahead_of(self, view: View) -> bool:
        """
        Tell whether what is stored must not be used, since this process knows better.

        A service's stored token is as good as its own, unless its user signed in or out here.
        """
        is_behind = view.record.serial < self.newest.serial
        return is_behind and (self.is_by_user or not self.is_reusable)

    def owed_record(self, view: View) -> Record:
        """Make the record that the store is owed; an outage remains one, whoever signs in."""
        backoff = view.record.backoff
        lasts = self.is_by_user and backoff is not None and not backoff.error.is_permanent
        return Record(self.newest.token, self.newest.serial, None, backoff if lasts else None)

    @property
    def owes_sign_in(self) -> bool:
        """The store is owed a sign-in made here: newer than whatever cannot be read in it."""
        return self.is_owed and self.is_by_user and self.newest.token is not None

    @property
    def presentable(self) -> Token | None:
        """The newest token if it has a refresh token that the server has not refused."""
        token = self.newest.token
        refused = None if self.refused is None else self.refused.refresh_token
        is_good = token is not None and token.refresh_token not in {None, refused}
        return token if is_good else None

    @property
    def is_grant_left(self) -> bool:
        """The grant itself may be presented; with a serial the key has had a token by it."""
        return self.is_reusable or not (self.is_grant_spent or self.newest.serial)

    def alive_in(self, view: View, policy: RefreshPolicy, moment: Moment) -> Found | None:
        """
        Give the stored token if it may be served.

        The one that the cache holds is the cache's, whose marks also account for suspend and
        clock steps here.
        """
        token = view.record.token
        is_known = token is None or is_same(token, moment.held) or is_same(token, moment.rejected)
        if token is None or is_known or self.is_ahead_of(view) or not view.is_told:
            return None
        life = view.life_of(token, policy)
        return Found(token, life) if life.is_alive(moment.on(life)) else None

    def backoff_in(self, view: View) -> SharedBackoff | None:
        """Give the failure because of which nobody asks the server now."""
        backoff = view.record.backoff
        if backoff is None or backoff.seconds <= 0 or not view.is_concerned:
            return None
        # The end of an older sign-in says nothing of a newer one.
        is_old = backoff.error.is_permanent and self.is_ahead_of(view)
        return None if is_old else backoff

    def is_store_back_soon(self, *, now: float, within: float) -> bool:
        """Tell whether the store is away for a short time only: one that never worked is not."""
        has_worked = self.looked_at > float("-inf")
        return has_worked and self.away_since is not None and now - self.away_since < within

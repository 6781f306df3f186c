"""The invariants, judged by what the server, the store and the callers saw."""

import attrs

import aritma_auth as aa

REDEMPTION = aa.SharingPolicy().redemption_timeout
REQUEST = 10.0
EARLY = 0.3
"""Seconds between a mark in the store and the request's departure."""

FLIGHT = 75.0
"""Seconds within which a caller without a time-out hears something."""

SLACK = 0.5
"""Seconds by which a caller's time-out may be late: looks at other loops, and latency."""

_MOMENT = 1e-6
_SOON = 0.2
_LEASE_LOST = 60.0
"""Seconds after a pause in which a service's process may go on without the lease it has lost."""

STORED_WITHIN = 8.0
"""Seconds of health after which a received successor is in the store."""


@attrs.define(eq=False)
class Call:
    """
    One caller of `get_token`, or of another method.

    Attributes:
        began: True seconds.

        ended: True seconds, or None while it waits.
    """

    process: object
    loop: object
    what: str
    began: float
    timeout: float | None = None
    ended: float | None = None
    outcome: str = ""


class Watch:
    """
    Checks what holds, at every step.

    Args:
        universe: Told of what does not hold.

        world: What does not change.
    """

    def __init__(self, universe, world):
        self.universe = universe
        self.world = world
        self.server = None
        self.shelf = None
        self.calls = []
        self.installed = {}
        self.begun = {}
        self.forgotten = []
        self.memory_lost_at = []
        self.outages = []
        self.store_faults = []
        self.is_healed = False

    # -- tokens handed out --------------------------------------------------------------------

    def handed_out(self, call, token):
        """Check a token that a caller was given."""
        now, process = self.universe.now, call.process
        access = self.server.access.get(token.access_token)
        if access is None:
            self.universe.fail("a token of the server", f"{process.name} got {token!r}")
            return
        # A process whose clocks have both failed tells the others a wrong age too.
        is_told = process.has_a_true_clock and access.process.has_a_true_clock
        ends_at = access.ends_at + access.untold_age
        if now >= ends_at and is_told:
            late = now - ends_at
            self.universe.fail(
                "no expired token", f"{process.name} got one {late:.3f} s after its end"
            )
        if access.family is not None:
            process.known = max(process.known, access.family.number)
        rejected_at = process.rejected.get(access.text)
        if rejected_at is not None and call.began >= rejected_at:
            self.universe.fail("no rejected token", f"{process.name} got {access.text} again")
        superseded_at = access.family and process.superseded.get(access.family.number)
        if superseded_at and call.began >= superseded_at:
            self.universe.fail(
                "no token of an earlier sign-in",
                f"{process.name} got {access.text} of sign-in {access.family.number}",
            )

    def superseded(self, process, since):
        """Count the sign-ins that were in place before as not to be handed out by a process."""
        if self._clocks_decide(since, self.universe.now):
            return
        for number, installed_at in self.installed.items():
            if installed_at <= since:
                process.superseded[number] = self.universe.moment()

    def _clocks_decide(self, since, until):
        # Without the store's word the clocks tell which sign-in is newer.
        clocks_differ = len(set(self.world.wall_offsets)) > 1
        return clocks_differ and self.store_was_ill(since, until)

    # -- token requests -----------------------------------------------------------------------

    def asked(self, connection):
        """Check a request to whatever endpoint as it arrives."""
        process = connection.process
        if process.closed_at is not None and connection.opened_at > process.closed_at:
            self.universe.fail("nothing after close", f"{process.name} asked the server")

    def presented(self, new):
        """Check a token request as it arrives."""
        token = new.refresh_token
        for old in self.server.requests[-9:-1]:
            if token is None and old.refresh_token is None:
                self._check_one_in_flight(old, new)
        if token is not None and self.world.rotates:
            for old in token.presentations:
                self._check_presented_again(token, old, new)

    def _is_open(self, old, now):
        return old.ended_at is None or old.ended_at > now

    def _check_one_in_flight(self, old, new):
        if not self._is_open(old, new.began_at) or self._could_not_know(old, new):
            return
        if self.store_was_ill(old.began_at - 2 * REQUEST, new.sent_at):
            return
        if any(
            _was_disturbed(each, each.began_at - _LEASE_LOST, new.sent_at) for each in (old, new)
        ):
            return
        if old.process is not new.process and not self.world.store:
            return
        if not old.connection.loop.is_running():
            return
        self.universe.fail(
            "one token request in flight",
            f"{new.process.name} asked at {new.sent_at:.3f}, {old.process.name} since {old.sent_at:.3f}",
        )

    def _check_presented_again(self, token, old, new):
        name = f"{new.process.name} presented {token.text} at {new.sent_at:.3f}"
        if self._lost_memory(old.began_at - REQUEST, new.sent_at) or self._could_not_know(old, new):
            return
        if old.outcome.startswith("outage") and old.delivered_at is not None:
            return
        is_open = self._is_open(old, new.sent_at)
        if self.world.store == "memory" and not is_open:
            # When the mark was made is seen in the network and on the disk alone.
            return
        # The time-out counts from the mark; within it the request is over, which is another check.
        age = new.sent_at - (old.began_at if is_open else old.claimed_at)
        if age < REDEMPTION - EARLY:
            how = "at once" if is_open else "too early"
            self.universe.fail(
                f"a refresh token is not presented {how}",
                f"{name}, {old.process.name} {age:.3f} s before ({old.outcome})",
            )
        elif old.delivered_at is None or old.outcome != "rotated":
            return
        elif old.process is new.process:
            if not _is_torn(old):
                self.universe.fail(
                    "a received successor is kept",
                    f"{name}, but got its successor at {old.delivered_at:.3f}",
                )
        elif not _is_torn(old) and self.had_time_to_store(
            old.process, old.connection.loop, old.delivered_at, new.sent_at
        ):
            self.universe.fail(
                "a received successor is stored",
                f"{name}, but {old.process.name} got its successor at {old.delivered_at:.3f}",
            )

    def _could_not_know(self, old, new):
        # Once it has begun to connect, a process that is frozen sends when it goes on.
        # Timers that do not count a machine's sleep do not see that it was too long, either.
        slept = new.process.slept(new.began_at - _SOON, new.sent_at)
        return (
            slept
            or _was_disturbed(new, new.began_at + _MOMENT, new.sent_at)
            or (self._is_open(old, new.sent_at) and _was_disturbed(old, old.began_at, new.sent_at))
        )

    def had_time_to_store(self, process, loop, since, until):
        """Tell whether a process was well for long enough after it had received a token."""
        ill = [[begin, end] for slot, begin, end in self.store_faults if slot == process.slot]
        ill += [*process.disturbed, *loop.disturbed]
        end = until if process.died_at is None else min(until, process.died_at)
        well = since
        for begin, stop in sorted(ill):
            if begin - well >= STORED_WITHIN and well < end:
                break
            if stop > well:
                well = stop
        return end - well >= STORED_WITHIN

    def _lost_memory(self, since, until):
        return any(since <= when <= until for when in self.memory_lost_at)

    def store_was_ill(self, since, until):
        """Tell whether the store was away, or lost its memory, in some true time."""
        return self._lost_memory(since, until) or any(
            begin <= until and since <= end for _, begin, end in self.store_faults
        )

    # -- the store ----------------------------------------------------------------------------

    def store_lost_memory(self):
        """Count the store's memory as lost now."""
        self.memory_lost_at.append(self.universe.now)

    def saved(self, process, cell, record):
        """Check a record that a process has written to the store."""
        before = None if cell is None else cell.record.redeeming_since
        if record.redeeming_since not in {None, before}:
            process.marked_at = self.universe.now
            if process.closed_at is not None:
                self.universe.fail("nothing after close", f"{process.name} marked the entry")
        is_unreadable = cell is not None and cell.sealed_by != process.key and not self.is_healed
        if is_unreadable and record.token is None and not process.has_forgotten:
            self.universe.fail(
                "what cannot be read is not overwritten", f"{process.name} wrote no token"
            )

    # -- callers ------------------------------------------------------------------------------

    def begin(self, process, loop, what, timeout=None):
        """Count a call as begun."""
        call = Call(process, loop, what, self.universe.moment(), timeout)
        self.calls.append(call)
        return call

    def end(self, call, outcome):
        """Check that a call has ended in time, with a token or an error of ours."""
        call.ended, call.outcome = self.universe.now, outcome
        self.universe.note(call.process.name, call.loop.name, call.what, "->", outcome)
        self._check_time(call, call.ended)

    def failed(self, call, error):
        """Check what a call failed with."""
        self.end(call, type(error).__name__)
        if isinstance(error, aa.ReauthenticationRequiredError):
            self._check_sent_away(call)
        if not isinstance(error, aa.AritmaAuthError):
            self.universe.fail(
                "errors are ours",
                f"{call.what} of {call.process.name}: {type(error).__name__}: {error}",
            )

    def _check_sent_away(self, call):
        """Check that "sign in again" is the server's word, or the application's own."""
        process = call.process
        if self.memory_lost_at or self.forgotten or not self.installed:
            return
        if any(family.refused or family.ended for family in self.server.families):
            return
        if not (self.world.store == "" and process.incarnation):
            self.universe.fail("sign in again is the server's word", f"{process.name} was told so")

    def _check_time(self, call, now):
        limit = FLIGHT if call.timeout is None else call.timeout + SLACK
        # With a time-out of its own a caller depends on no loop but its own.
        loops = call.process.loops.values() if call.timeout is None else ()
        loops = [call.loop, *(loop for loop in loops if loop is not call.loop)]
        took = now - call.began - call.process.seconds_disturbed(call.began, now, loops)
        if took > limit:
            self.universe.fail(
                "every caller ends in time",
                f"{call.what} of {call.process.name} took {took:.1f} s of {limit:.1f}",
            )

    def check_unfinished(self):
        """Check that nobody waits too long."""
        for call in self.calls:
            if call.ended is None and call.loop.is_running() and not call.process.is_dead:
                self._check_time(call, self.universe.now)

    # -- outages ------------------------------------------------------------------------------

    def check_outage(self, since, until):
        """Check how often each process has asked the server while it was away."""
        for process in self.universe.processes:
            asked = sum(
                1
                for connection in self.server.connections
                if connection.process is process and since < connection.opened_at < until
            )
            # One that has been started meanwhile knows of no failure.
            lived = until - max(since, process.started_at)
            limit = 8 + lived / 12
            if asked > limit:
                self.universe.fail(
                    "requests in an outage are bounded",
                    f"{asked} of {process.name} in {lived:.0f} s, not {limit:.0f}",
                )

    def check_reuse(self):
        """Check that a history without faults asks for a token once per lifetime."""
        world = self.world
        # The first flight that a short loop leaves is lost; later ones are not.
        limit = 4 + (world.duration + 400) / (0.7 * world.lifetime)
        # A process that can read nothing of the others' shares nothing with them.
        alone = sum(request.process.key != "right" for request in self.server.requests)
        for asked in (alone, len(self.server.requests) - alone):
            if asked > limit:
                self.universe.fail("tokens are reused", f"{asked} requests, not {limit:.0f}")

    # -- the end ------------------------------------------------------------------------------

    def check_newest(self, process, token):
        """Check that what a process was told of is not lost: `set_token` writes, once it is called."""
        family = self.server.access[token.access_token].family
        if family is None or self.forgotten or not process.signed_in:
            return
        newest = process.signed_in[-1]
        set_at = self.begun[newest], self.installed.get(newest, self.universe.now)
        # A process that is frozen in its call sets the older sign-in later: the call that ends last
        # counts.
        is_set_later = self.installed.get(family.number, 0.0) >= set_at[1]
        if family.number < newest and not is_set_later and not self._clocks_decide(*set_at):
            self.universe.fail(
                "a sign-in that was set is kept",
                f"{process.name} has sign-in {family.number}, was told of {newest}",
            )

    def check_final(self, process, outcome, forgotten):
        """Check what a process has when all is healthy again: a sign-in ends by the server's word."""
        if outcome == "token":
            return
        if self.world.grant == "signed_in":
            newest = self.server.families[-1]
            said = newest.refused or newest.ended is not None
            if outcome == "ReauthenticationRequiredError" and (said or forgotten):
                return
            if self.shelf and self.shelf.is_held_by_a_standing_loop():
                # A file's lease ends with its process, and a one-time token needs the lease.
                return
        self.universe.fail(
            "no sign-in is lost", f"{process.name} has {outcome} when all is healthy"
        )


def _was_disturbed(presentation, since, until):
    return presentation.process.was_disturbed(since, until, presentation.connection.loop)


def _is_torn(presentation):
    """Tell whether its loop was closed with its tasks, or stands still: nothing can run there."""
    loop = presentation.connection.loop
    return loop.is_torn or loop.mode == "standing"

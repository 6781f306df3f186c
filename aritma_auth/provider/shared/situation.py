"""What a step of the shared refresh decides from, and the numbers that follow from it; pure."""

import attrs

from aritma_auth.errors import AritmaAuthError, ConfigurationError, VerificationError
from aritma_auth.protocol.grants import Grant, RefreshTokenGrant
from aritma_auth.protocol.json_response import is_ambiguous, is_unusable
from aritma_auth.provider.backoff import pause_between_attempts, plan_shared_pause
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.provider.shared.knowledge import Moment
from aritma_auth.provider.shared.state import Refresh
from aritma_auth.provider.sharing_policy import (
    ONE_TIME,
    RefreshTokenUsage,
    SharingPolicy,
    enough_to_redeem,
)
from aritma_auth.stores import Record, SharedBackoff

_LEADERS_SHARE = 2 / 3
"""Part of the refresh's time that the holder of the lease may take for a grant that is reusable."""
_WRITERS_SHARE = 1 / 4
"""Part of the refresh's time that may be kept free for writing what cannot be had again."""
_GRACE_SPREAD = 5.0
"""Seconds over which the repeats within a server's grace are spread."""


@attrs.frozen
class Rules:
    """A grant and the numbers."""

    grant: Grant
    policy: RefreshPolicy
    sharing: SharingPolicy
    usage: RefreshTokenUsage = ONE_TIME


class Situation:
    """The rules, a refresh under way and the moment."""

    def __init__(self, rules: Rules, state: Refresh, moment: Moment) -> None:
        self.grant, self.policy, self.usage = rules.grant, rules.policy, rules.usage
        self.sharing = rules.sharing
        self.state = state
        self.moment = moment

    @property
    def left(self) -> float:
        """Seconds until the refresh must be over."""
        is_leaders = self.state.known.is_reusable and self.state.fence is not None
        limit = self.leaders_time if is_leaders else self.policy.refresh_timeout
        return self.state.began_at + limit - self.moment.now

    @property
    def leaders_time(self) -> float:
        """Seconds that the holder of the lease may take if the grant is reusable."""
        # The rest is for those who wait for the lease, if its holder stands still.
        return self.policy.refresh_timeout * _LEADERS_SHARE

    @property
    def mark_left(self) -> float:
        """Seconds until others may present what this process has marked."""
        return self.state.claimed_at + self.sharing.redemption_timeout - self.moment.now

    @property
    def watch_time(self) -> float:
        """Seconds for which an old mark is watched, and a successor written under the lease."""
        # In it a process that owes the successor finds out that the store is back, and writes.
        sharing, most = self.sharing, self.policy.refresh_timeout * _WRITERS_SHARE
        usual = sharing.store_retry_interval + sharing.store_loss_grace
        return min(sharing.redemption_timeout, usual, most)

    @property
    def is_once(self) -> bool:
        """What is presented may be spent by it."""
        if self.state.basis is None and not isinstance(self.grant, RefreshTokenGrant):
            return not self.grant.is_reusable
        return not self.usage.reusable

    @property
    def time_to_write(self) -> float:
        """Seconds of the refresh that are kept free for the write."""
        # What can be had only once is written under the lease, also if the store blinks.
        return self.watch_time if self.is_once and not self.state.is_alone else 0.0

    @property
    def is_too_late(self) -> bool:
        """Too little time is left to present anything."""
        least = enough_to_redeem(self.sharing) if self.is_once else 0.0
        return self.left - self.time_to_write <= least

    @property
    def is_overruled(self) -> bool:
        """A sign-in or sign-out came meanwhile, here or by the store."""
        return self.state.known.newest.serial != self.state.serial

    @property
    def is_served(self) -> bool:
        """Callers have a token that lives, from the cache or from the store."""
        found = self.state.known.alive_in(self.state.view, self.policy, self.moment)
        return found is not None or self.moment.now < self.moment.held_until

    def wait_before_claim(self) -> float:
        """
        Return the seconds in which another process may have the successor of the newest token.

        A mark is waited for until this process has known it for as long as a request can take: no
        two hosts' wall clocks agree. One that it has known for long is watched for a while all the
        same: the store may have been away until now, and its writer may have the successor and
        write it any moment.
        """
        state, known, now = self.state, self.state.known, self.moment.now
        record, quiet = state.view.record, state.quiet_until - now
        if record.redeeming_since is None or record.serial != known.newest.serial:
            return quiet
        over_at = known.mark_seen_at + self.sharing.redemption_timeout
        return max(quiet, over_at - now, known.watched_from + self.watch_time - now)

    def pause_before_repeat(self, error: AritmaAuthError, *, is_refresh: bool) -> float | None:
        """Return the seconds until the request is repeated after an error, or None if it is not."""
        state, moment, left = self.state, self.moment, self.left
        if error.is_permanent or is_unusable(error) or left <= 0:
            return None
        if self.is_once and is_ambiguous(error):
            # It may be spent: only a server with a grace takes it again, once the first request
            # must be over.
            sent_at = moment.now if state.sent_at is None else state.sent_at
            begin = max(0.0, sent_at + self.sharing.redemption_timeout - moment.now)
            grace = sent_at + self.usage.grace - moment.now
            end = left - self.time_to_write - enough_to_redeem(self.sharing)
            end = min(begin + _GRACE_SPREAD, grace, end)
            return begin + moment.draw * (end - begin) if is_refresh and begin < end else None
        if not moment.is_patient or state.attempts >= self.policy.max_attempts:
            return None
        pause = pause_between_attempts(self.policy, error, state.attempts, moment.draw)
        return pause if pause < left else None

    def shared_backoff(
        self, before: Record, error: AritmaAuthError, credential: str
    ) -> SharedBackoff | None:
        """Make what the other processes are told of a failure."""
        if isinstance(error, ConfigurationError | VerificationError):
            # Local errors must not block the other processes.
            return before.backoff
        count = 1 + (0 if before.backoff is None else before.backoff.count)
        ends = None if before.token is None else before.token.expires_at
        left = None if ends is None or ends <= self.moment.wall else ends - self.moment.wall
        seconds = plan_shared_pause(
            self.policy, self.sharing, error, count=count, draw=self.moment.draw, alive_for=left
        )
        return SharedBackoff(error.copy(), count, seconds, credential)

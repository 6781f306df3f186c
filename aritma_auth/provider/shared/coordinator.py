"""
Carries out what the shared refresh decides; `machine` has the theory of operation.

Each action is awaited, and what came of it is told to the machine under the state lock, which gives
the next action. Between the server's response and its write nothing else is done.
"""

import asyncio
import contextlib
from collections.abc import Callable

import attrs

from aritma_auth import events
from aritma_auth.errors import AritmaAuthError, StoreError
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.cache import IssuedToken
from aritma_auth.provider.settings import Settings, credential_fingerprint
from aritma_auth.provider.shared import messages as msg
from aritma_auth.provider.shared.knowledge import Knowledge, Moment, View
from aritma_auth.provider.shared.machine import SharedRefresh
from aritma_auth.provider.shared.resilient_store import (
    HeldLease,
    ResilientStore,
    StoreUnavailableError,
)
from aritma_auth.provider.shared.state import Phase, Purpose, Refresh
from aritma_auth.provider.token_request import TokenRequester
from aritma_auth.runtime.lock import STATE_LOCK
from aritma_auth.runtime.tasks import GuardedTask, stop_if_lost, uninterrupted
from aritma_auth.stores import Entry, SharedBackoff


class RefreshCoordinator:
    """
    One process's part in the refreshes of a key.

    Args:
        settings: What the provider was made with.

        requester: Sends the token requests.

        store: The key's entry.

        look_around: Returns the clocks and what the cache holds, as they are now.
    """

    def __init__(
        self,
        settings: Settings,
        requester: TokenRequester,
        store: ResilientStore,
        look_around: Callable[[], Moment],
    ) -> None:
        self.store = store
        self.settings = settings
        self.requester = requester
        grant = settings.grant
        self._rules = SharedRefresh(
            grant, settings.policy, settings.sharing, settings.refresh_tokens
        )
        self._known = Knowledge(grant.is_reusable, is_grant_spent=not grant.is_requestable)
        self._look_around = look_around
        self._last_seen = 0
        self._is_closed = False
        # With its loop: the timer of a loop that has ended never fires.
        self._timer: tuple[asyncio.AbstractEventLoop, asyncio.TimerHandle] | None = None
        self._writing: GuardedTask[None] | None = None

    def begin(self, purpose: Purpose) -> tuple[Refresh, msg.Action]:
        """Begin a refresh, or a write."""
        with STATE_LOCK:
            return self._rules.begin(self._known, purpose, self._look_around())

    def step(self, state: Refresh, event: msg.Event) -> tuple[Refresh, msg.Action]:
        """Tell the machine what happened: what this process knows now counts, not what it knew."""
        with STATE_LOCK:
            state = attrs.evolve(state, known=self._known)
            was_decided = state.phase is Phase.RELEASE
            state, action = self._rules.step(state, event, self._look_around())
            self._known = state.known
            served = None if was_decided else _newly_served(state, action)
            if served is not None and self.settings.on_token is not None:
                # Under the same lock as the decision: no sign-in of another thread comes between.
                self.settings.on_token.announce(served, self.settings.report)
        return state, action

    async def refresh(self) -> IssuedToken | msg.Postpone | SharedBackoff:
        """
        Adopt the stored token, or lead the refresh for all who share the store.

        Returns:
            The token, when to look again, or the failure of another process.

        Raises:
            AritmaAuthError: The failure of this process.
        """
        try:
            return await _Run(self).refresh()
        finally:
            self._write_later()

    @property
    def is_stored(self) -> bool:
        """The newest token is in the store, as far as is known."""
        return not self._known.is_owed

    def signed_in(self, token: Token | None) -> None:
        """Learn of a sign-in here, or with None of its end; the caller holds the state lock."""
        clock = self.settings.clock
        self._known = self._known.signed_in(token, now=clock.monotonic(), wall=clock.time())

    async def write(self, purpose: Purpose = Purpose.WRITE_NOW) -> bool:
        """Write the newest token or the sign-in's end to the store; tell whether it is there."""
        if purpose is Purpose.WRITE_NOW:
            # Only the store can tell that a sign-in is newer than what a clock ahead has stored.
            self.store.try_again()
        try:
            return await _Run(self).write(purpose)
        finally:
            self._write_later()

    async def forget(self) -> None:
        """
        Write to the store that the sign-in has ended, so that nobody brings it back.

        Raises:
            StoreError: It could not be written yet; it is tried again as long as the process lives.
        """
        if not await self.write():
            raise StoreError("the token store has not forgotten the token: forget it again later")

    def _write_later(self) -> None:
        """Go on trying to write what is owed, as long as this loop runs."""
        if self.is_stored or self._is_closed:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # The write is being collected with a loop that was closed: no timer of it would end.
            return
        if self._timer is not None and self._timer[0].is_running():
            return
        pause = self.settings.sharing.store_retry_interval * (1 + self.settings.draw() / 4)
        self._timer = loop, loop.call_later(pause, self._write_again)

    def _write_again(self) -> None:
        self._timer = None
        # A loop that stood still may have one timer more.
        if not (self.is_stored or self._is_closed):
            self._writing = GuardedTask(self._write_owed(), "aritma-auth store")

    async def _write_owed(self) -> None:
        with uninterrupted():
            await self.write(Purpose.WRITE)

    async def aclose(self) -> None:
        """Stop trying, after a last attempt."""
        self._is_closed = True
        if self._timer is not None:
            self._timer[1].cancel()
        if self._writing is not None:
            await self._writing.end(self.settings.policy.refresh_timeout)
        if not self.is_stored:
            # There is no later attempt that the store could be spared for.
            self.store.try_again()
            await self.write(Purpose.WRITE)

    async def newest(self) -> Token | None:
        """Return the newest token that this process or the store knows of."""
        with contextlib.suppress(StoreUnavailableError):
            view = await self.look()
            with STATE_LOCK:
                self._known = self._known.saw(view)
        return self._known.newest.token

    async def serial(self) -> int:
        """Return the number of the stored token; it changes with each new one, and 0 means none."""
        with contextlib.suppress(StoreUnavailableError):
            self._last_seen = (await self.look()).record.serial
        return self._last_seen

    async def look(self) -> View:
        """Load the entry."""
        clock = self.settings.clock
        asked_at, wall = clock.monotonic(), clock.time()
        entry = await self.store.load()
        return await self.view_of(entry, asked_at, wall)

    async def view_of(self, entry: Entry | None, asked_at: float, wall: float) -> View:
        """Return an entry as this process sees it, asked for at that moment of both clocks."""
        backoff = None if entry is None else entry.record.backoff
        if backoff is None or backoff.seconds <= 0 or not backoff.credential:
            return View(entry, asked_at, wall)
        # Another credential than the refused one may be tried.
        is_concerned = backoff.credential == await self.credential()
        return View(entry, asked_at, wall, is_concerned=is_concerned)

    async def credential(self) -> str:
        """Return what changes with this process's credential."""
        return await credential_fingerprint(self.settings)


class _Run:
    """Carries out one refresh, or one write."""

    def __init__(self, coordinator: RefreshCoordinator) -> None:
        self._coordinator = coordinator
        self._lease: HeldLease | None = None
        self._issued: IssuedToken | None = None
        self._told: Token | None = None

    async def refresh(self) -> IssuedToken | msg.Postpone | SharedBackoff:
        outcome = await self._run(Purpose.REFRESH)
        if isinstance(outcome, msg.Raise):
            if outcome.told is None:
                raise outcome.error
            return outcome.told
        if not isinstance(outcome, msg.Serve):
            return msg.Postpone(getattr(outcome, "seconds", 0.0))
        if self._issued is not None and self._issued.token is outcome.token:
            return self._issued
        return IssuedToken(
            outcome.token, outcome.issued_at, outcome.wall_issued_at, is_adopted=True
        )

    async def write(self, purpose: Purpose) -> bool:
        outcome = await self._run(purpose)
        return isinstance(outcome, msg.Wrote) and outcome.is_written

    async def _run(self, purpose: Purpose) -> msg.Outcome:
        state, action = self._coordinator.begin(purpose)
        try:
            while not isinstance(action, msg.Outcome):
                # Under the lease: so the callbacks of all processes see the tokens in order.
                await self._deliver(state, action)
                if state.response is None:
                    stop_if_lost()
                with uninterrupted() if state.is_critical else contextlib.nullcontext():
                    event = await self._carry_out(action)
                state, action = self._coordinator.step(state, event)
        finally:
            if self._lease is not None:
                await self._lease.release()
        await self._deliver(state, action)
        if isinstance(action, msg.Serve | msg.Wrote) and action.is_overtaken:
            failed = events.StoreFailed("save", "other writers were faster")
            self._coordinator.settings.report(failed)
        return action

    async def _deliver(self, state: Refresh, action: msg.Action) -> None:
        """Tell the callback of the token that this refresh has brought, once."""
        announcer, served = self._coordinator.settings.on_token, _newly_served(state, action)
        if announcer is not None and served is not None and served is not self._told:
            self._told = served
            with uninterrupted():
                await announcer.deliver()

    async def _carry_out(self, action: msg.Action) -> msg.Event:
        try:
            return await self._act(action)
        except StoreUnavailableError:
            return msg.Unavailable()

    async def _act(self, action: msg.Action) -> msg.Event:
        coordinator, store = self._coordinator, self._coordinator.store
        match action:
            case msg.Load():
                return msg.Loaded(await coordinator.look())
            case msg.WaitForChange(view, seconds):
                await store.wait_for_change(view.generation, seconds)
                return msg.Loaded(await coordinator.look())
            case msg.Acquire():
                return await self._acquire()
            case msg.Save():
                return await self._save(action)
            case msg.Send():
                return await self._send(action)
            case msg.Pause(seconds):
                await coordinator.settings.clock.sleep(seconds)
            case msg.Release():  # pragma: no branch - the other actions end the refresh
                lease, self._lease = self._lease, None
                assert lease is not None  # noqa: S101 - the machine gives back what it was given
                await lease.release()
        return msg.Woke()

    async def _acquire(self) -> msg.Event:
        coordinator, clock = self._coordinator, self._coordinator.settings.clock
        asked_at, wall = clock.monotonic(), clock.time()
        lease = self._lease = await coordinator.store.acquire()
        if lease is None:
            return msg.Leased(None)
        if not lease.is_loaded:
            return msg.Leased(lease.fence)
        return msg.Leased(lease.fence, await coordinator.view_of(lease.entry, asked_at, wall))

    async def _save(self, action: msg.Save) -> msg.Event:
        store, lease = self._coordinator.store, self._lease
        record, numbers = action.record, {"replaces": action.replaces, "fence": action.fence}
        # A callback is told of the token under the lease.
        if lease is None or not action.is_last or self._coordinator.settings.on_token is not None:
            return msg.Saved(await store.save(record, **numbers))
        is_written = await store.save_and_release(record, lease, **numbers)
        if not lease.is_held:
            self._lease = None
        return msg.Saved(is_written, is_released=self._lease is None)

    async def _send(self, action: msg.Send) -> msg.Event:
        settings = self._coordinator.settings
        if action.is_at_risk:
            fingerprint = "" if action.token is None else action.token.fingerprint
            settings.report(events.RefreshTokenAtRisk(fingerprint))
        try:
            issued = await self._coordinator.requester.send(action.token, timeout=action.timeout)
        except AritmaAuthError as error:
            failure = error.copy()
        else:
            self._issued = issued
            return msg.Responded(issued.token, issued.issued_at)
        credential = await self._coordinator.credential() if failure.is_permanent else ""
        return msg.Failed(failure, credential)


def _newly_served(state: Refresh, action: msg.Action) -> Token | None:
    """Return the token that a refresh has brought and ends with, or None."""
    outcome = state.outcome if isinstance(action, msg.Release) else action
    if isinstance(outcome, msg.Serve) and not outcome.is_adopted:
        return outcome.token
    return None

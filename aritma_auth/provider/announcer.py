"""
Tells an application's own callback of each new token, so that the application can keep it.

Theory of operation
-------------------

::

    refresh, under the lease --+
    set_token -----------------+--> announce: the newest, or None --> deliver --> callback
    forget, sign_out ----------+                  ^                      |
                                                  +--- a pause ----------+ it failed

The newest announcement is owed until the callback has accepted it. One call runs at a time, in a
flight that nobody's cancellation and no loop's end can cut in two, so the callback sees the tokens
in the order in which they came. A call that fails or does not end in time is repeated after a
growing pause, unless a newer announcement has taken its place: that one replaces it, since the
older refresh token may be spent. A call that does not end even when it is cancelled keeps the
next one waiting.

The token is served whatever the callback does: refusing it would not bring its predecessor back.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aritma_auth import events
from aritma_auth.errors import ConfigurationError, require_function
from aritma_auth.events.base import Event
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.backoff import backoff
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.runtime.callables import is_coroutine_function
from aritma_auth.runtime.lock import STATE_LOCK
from aritma_auth.runtime.single_flight import Flight, SingleFlight
from aritma_auth.runtime.tasks import WorkBrokenOffError, run_within, uninterrupted

TokenCallback = Callable[[Token | None], Awaitable[None]]
"""Keeps a token, or with None lets go of the one that was kept."""


def require_callback(on_token: object) -> None:
    """
    Require a callback of tokens to be a coroutine function.

    Args:
        on_token: What was given.

    Raises:
        ConfigurationError: It is something else.
    """
    required = "a coroutine function that takes a token or None"
    require_function("on_token", required, on_token, 1, is_awaited=True)
    if callable(on_token) and is_coroutine_function(on_token):
        return
    raise ConfigurationError(
        "on_token must be a coroutine function (async def): the provider waits until it has kept "
        "the token"
    )


_CALLS = 10
"""Calls in a row at most, each for a newer token: callers wait for them."""


def _report_nothing(_event: Event) -> None:
    """Stand for the listener before anything was announced."""


class TokenAnnouncer:
    """
    Tells the callback of the newest token.

    Args:
        callback: The application's coroutine function.

        policy: How long a call may take, and the pauses between failed ones.

        draw: Random numbers in [0, 1) for the pauses.
    """

    __slots__ = (
        "_callback",
        "_calling",
        "_draw",
        "_failures",
        "_flights",
        "_is_closed",
        "_newest",
        "_number",
        "_policy",
        "_report",
        "_timer",
        "is_owed",
    )

    def __init__(
        self,
        callback: TokenCallback,
        policy: RefreshPolicy,
        draw: Callable[[], float],
    ) -> None:
        self._callback = callback
        self._policy = policy
        self._draw = draw
        self._report: Callable[[Event], None] = _report_nothing
        self._newest: Token | None = None
        self._number = 0
        self._failures = 0
        self.is_owed = False
        """The callback has not accepted the newest announcement."""
        # The task in which a call runs, the one that was given up included.
        self._calling: asyncio.Task[object] | None = None
        self._timer: tuple[asyncio.AbstractEventLoop, asyncio.TimerHandle] | None = None
        self._is_closed = False
        self._flights: SingleFlight[bool] = SingleFlight(
            self._run, STATE_LOCK, patience=lambda _flight: policy.on_token_timeout
        )

    def announce(self, token: Token | None, report: Callable[[Event], None]) -> None:
        """
        Owe the callback a token, or with None its end; the caller holds the state lock.

        Args:
            token: The newest token.

            report: Receives TokenCallbackFailed.
        """
        self._newest, self._report = token, report
        self._number += 1
        self._failures = 0
        self.is_owed = True

    async def deliver(self) -> None:
        """Call the callback until it has accepted the newest announcement, or a call has failed."""
        # A flight may be lost with its loop, or end just before this announcement.
        while self.is_owed:
            if await self._flights.join(self._flights.launch()) is False:
                return

    @property
    def is_calling(self) -> bool:
        """The running task is the callback's own."""
        return self._calling is not None and self._calling is asyncio.current_task()

    async def _run(self, _flight: Flight[bool]) -> bool:
        with uninterrupted():
            for _ in range(_CALLS):
                with STATE_LOCK:
                    if not self.is_owed:
                        break
                    number, token, report = self._number, self._newest, self._report
                problem = await self._call(token)
                with STATE_LOCK:
                    is_newest = self._number == number
                    if is_newest:
                        self.is_owed = problem is not None
                        self._failures += self.is_owed
                if problem is None:
                    continue
                fingerprint = "" if token is None else token.fingerprint
                report(events.TokenCallbackFailed(fingerprint, problem))
                if is_newest:
                    break
        if self.is_owed:
            self._call_later()
        return not self.is_owed

    async def _call(self, token: Token | None) -> str | None:
        """Call the callback once; return what went wrong, or None."""
        if self._calling is not None and not self._calling.get_loop().is_closed():
            return "an earlier call has not ended"
        try:
            await run_within(
                self._policy.on_token_timeout, self._keep(token), "aritma-auth on_token"
            )
        except WorkBrokenOffError as broken:
            return broken.raised
        except ConfigurationError as error:
            # Ours: it holds no secret, and says what to do.
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever an application's callback raises
            from aritma_auth.runtime.raised import describe_raised  # of wrong code only

            return describe_raised(error)
        return None

    async def _keep(self, token: Token | None) -> None:
        self._calling = asyncio.current_task()
        try:
            await self._callback(token)
        finally:
            self._calling = None

    def _call_later(self) -> None:
        """Call again after a pause, as long as this loop runs."""
        loop = asyncio.get_running_loop()
        if self._is_closed or (self._timer is not None and not self._timer[0].is_closed()):
            return
        pause = backoff(self._policy, self._failures, self._draw())
        self._timer = loop, loop.call_later(pause, self._call_again)

    def _call_again(self) -> None:
        self._timer = None
        if self.is_owed:
            self._flights.launch()

    async def aclose(self) -> None:
        """Wait for the call under way, and try for the last time what failed before."""
        self._is_closed = True
        if self._timer is not None:
            self._timer[1].cancel()
            self._timer = None
        await self._flights.cancel()
        await self.deliver()

"""
Requests that prove a key, and what they do when a server refuses the proof and not the request.

::

    a proof with the newest nonce known ──refused──> with the nonce of the refusal ──refused──┐
                                                                                              v
       one request of this client at a time, with the nonce of the response before it ──refused──┐
                            ^                                                                 v
                            └── a random pause, twice as long each time <──refused── once more

A server may accept its newest nonce alone, and once (RFC 9449 §8.2 lets it): of requests in
parallel all but one are then refused, and their repetitions refuse one another. From the first
second refusal on its requests take turns, for a minute. No other server waits for anything.

Other processes with the same key take no turns with these. A request that is refused in its turn
starts over after a random pause, as stations of one radio channel do. A server that accepts no
nonce at all looks the same: the first request that is alone there is repeated once, and so is each
one after two that were refused to the end, until one is accepted.
"""

import secrets
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from yarl import URL

from aritma_auth.protocol.dpop import INVALID_PROOF, USE_NONCE
from aritma_auth.protocol.urls import Origin, origin_of
from aritma_auth.runtime.clock import Clock
from aritma_auth.runtime.lock import fork_safe_lock
from aritma_auth.runtime.turns import Turns

T = TypeVar("T")

_MAX_ATTEMPTS = 24
"""One in its turn is enough, unless another process spends the nonces of the same server."""

_MAX_REFUSED = 2
_FIRST_WINDOW, _MAX_WINDOW = 4, 4.0
"""Round trips within which a request first starts over, doubled each time; seconds at most."""

_MAX_ORIGINS = 256
_TURNS_LAST = 60.0
"""Seconds after which requests go in parallel again: a server may have been mended."""

_CLOCK_STEP = 5.0
"""Seconds by which a response must move our view of a server's clock to explain a refusal."""


class ServerView(NamedTuple):
    """
    What a client knows of a server for its proofs.

    Attributes:
        nonce: Its newest nonce; empty if it has given none.

        skew: Seconds that its clock is ahead of ours, or None if it is the authorization server's.
    """

    nonce: str = ""
    skew: float | None = None


class RequestTurns:
    """
    What requests of one client know of one another, at the servers whose nonces need it.

    Args:
        clock: Tells our time.

        timeout: Seconds that a request waits for its turn at most.
    """

    __slots__ = ("_lock", "_refused", "_timeout", "_turns", "active", "clock")

    def __init__(self, clock: Clock, timeout: float) -> None:
        self.active: set[ProvenRequest] = set()
        self.clock = clock
        self._timeout = timeout
        self._turns: dict[Origin, tuple[Turns, float]] = {}
        self._refused: dict[Origin, int] = {}
        self._lock = fork_safe_lock()

    def find(self, origin: Origin) -> Turns | None:
        """Find the turns at a server; None where requests go in parallel."""
        # Nearly every client has no such server.
        turns, until = self._turns.get(origin, (None, 0.0)) if self._turns else (None, 0.0)
        return turns if self.clock.monotonic() < until else None

    def begin(self, origin: Origin) -> None:
        """Let the requests to a server take turns from now on."""
        turns = self.find(origin) or Turns(
            each for each in tuple(self.active) if each.origin == origin
        )
        self._remember(self._turns, origin, (turns, self.clock.monotonic() + _TURNS_LAST))

    async def take(self, turns: Turns, request: "ProvenRequest") -> None:
        """Wait until it is a request's turn."""
        await turns.take(request, self._timeout)

    def has_others(self, request: "ProvenRequest") -> bool:
        """Tell whether other requests to the same server are under way."""
        return any(
            other is not request and other.origin == request.origin for other in tuple(self.active)
        )

    def may_compete(self, origin: Origin) -> bool | None:
        """Tell whether a refusal may be due to other processes; None if nothing is known."""
        refused = self._refused.get(origin)
        return None if refused is None else refused < _MAX_REFUSED

    def report(self, origin: Origin, *, is_refused: bool) -> None:
        """Count the requests but the first that a server has refused since it accepted one."""
        before = self._refused.get(origin)
        if is_refused and before is not None:
            self._remember(self._refused, origin, before + 1)
        elif before != 0:
            self._remember(self._refused, origin, 0)

    def _remember(self, known: dict[Origin, T], origin: Origin, value: T) -> None:
        with self._lock:
            known.pop(origin, None)
            while len(known) >= _MAX_ORIGINS:
                del known[next(iter(known))]
            known[origin] = value


class ProvenRequest:
    """
    One request over all its attempts; end it when its response has come, or will not.

    Attributes:
        origin: Where it goes.

        view: What the next proof is made of: the server's nonce, and its clock.
    """

    __slots__ = (
        "_attempts",
        "_held",
        "_is_refused",
        "_look",
        "_refusals_in_turn",
        "_round_trip",
        "_sent_at",
        "_turns",
        "_url",
        "origin",
        "view",
    )

    def __init__(self, turns: RequestTurns, url: URL, look: Callable[[URL], ServerView]) -> None:
        self._look = look
        self._turns = turns
        self._url = url
        self._attempts = 1
        self._refusals_in_turn = 0
        self._is_refused = False
        self._sent_at = self._round_trip = 0.0
        self._held: Turns | None = None
        self.origin = origin_of(url)
        self.view = look(url)
        turns.active.add(self)

    def may_repeat(self, error: str) -> bool:
        """
        Tell whether another proof may be accepted where one was refused.

        Ask at once, before other responses come: a server may accept each nonce once, and has given
        this one to the refused request.

        Args:
            error: The error code of the refusal, or an empty text.
        """
        after = self._look(self._url)
        self._is_refused = error == USE_NONCE
        if not _may_help(error, self.view, after):
            return False
        if self._attempts > 1 and not self._competes():
            return False
        self._attempts += 1
        self._refusals_in_turn += self._held is not None
        self._round_trip = self._turns.clock.monotonic() - self._sent_at
        self.view = after
        return True

    def _competes(self) -> bool:
        """Tell whether other requests may have spent the nonce; from then on they take turns."""
        turns, may = self._turns, self._turns.may_compete(self.origin)
        if not self._is_refused or may is False or self._attempts == _MAX_ATTEMPTS:
            return False
        if not may and not turns.has_others(self) and turns.find(self.origin) is None:
            return False
        turns.begin(self.origin)
        return True

    async def take_turn(self) -> None:
        """Wait for the request's turn before each attempt, where requests take turns."""
        turns = self._turns.find(self.origin)
        if turns is not None and self._turns.may_compete(self.origin) is not False:
            await self._wait(turns)
        self._is_refused = False
        self._sent_at = self._turns.clock.monotonic()

    async def _wait(self, turns: Turns) -> None:
        if turns is not self._held:
            self._give_back()
            self._held = turns
            await self._turns.take(turns, self)
        elif self._refusals_in_turn % 2:
            # At once: a refusal brings the nonce, and whoever comes between spends it.
            return
        else:
            window = _FIRST_WINDOW * self._round_trip * 2 ** (self._refusals_in_turn // 2 - 1)
            await self._turns.clock.sleep(generate_pause(min(window, _MAX_WINDOW)))
        self.view = self._look(self._url)

    def end(self) -> None:
        """Let the next request have its turn."""
        self._turns.active.discard(self)
        if self.view.nonce:
            self._turns.report(self.origin, is_refused=self._is_refused)
        self._give_back()
        turns = self._turns.find(self.origin)
        if turns is not None:
            # They may have begun while this request was under way.
            turns.give_back(self)

    def _give_back(self) -> None:
        if self._held is not None:
            self._held.give_back(self)


def generate_pause(window: float) -> float:
    """Draw a pause of so many seconds at most."""
    return window * secrets.randbelow(1 << 16) / (1 << 16)


def _may_help(error: str, before: ServerView, after: ServerView) -> bool:
    if error == USE_NONCE:
        # A server that wants the nonce it was given would want it for ever.
        return after.nonce != before.nonce
    # Only a clock that differs from what we thought explains the refusal.
    return error == INVALID_PROOF and abs((after.skew or 0) - (before.skew or 0)) > _CLOCK_STEP

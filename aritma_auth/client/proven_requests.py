"""
Requests that prove a key, and what they do when a server refuses the proof and not the request.

::

    a proof with the newest nonce known ──refused──> with the nonce of the refusal ──refused──┐
                                                                                              │
      only if this client has other requests at that server, which may have spent the nonce   │
                                                                                              v
       one request at a time, each with the nonce of the response before it, once the others end

A server may accept its newest nonce alone, and once (RFC 9449 §8.2 lets it): of requests in
parallel all but one are then refused, and their repetitions refuse one another. From the first
second refusal on its requests take turns, for a minute. No other server waits for anything.
"""

from collections.abc import Callable
from typing import NamedTuple

from yarl import URL

from aritma_auth.protocol.dpop import INVALID_PROOF, USE_NONCE
from aritma_auth.protocol.urls import Origin, origin_of
from aritma_auth.runtime.clock import Clock
from aritma_auth.runtime.turns import Turns

_MAX_ATTEMPTS = 6
"""One in its turn is enough, unless another process spends the nonces of the same server."""

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

    __slots__ = ("_clock", "_timeout", "_turns", "active")

    def __init__(self, clock: Clock, timeout: float) -> None:
        self.active: set[ProvenRequest] = set()
        self._clock = clock
        self._timeout = timeout
        self._turns: dict[Origin, tuple[Turns, float]] = {}

    def find(self, origin: Origin) -> Turns | None:
        """Find the turns at a server; None where requests go in parallel."""
        # Nearly every client has no such server.
        turns, until = self._turns.get(origin, (None, 0.0)) if self._turns else (None, 0.0)
        return turns if self._clock.monotonic() < until else None

    def begin(self, origin: Origin) -> None:
        """Let the requests to a server take turns from now on."""
        turns = self.find(origin) or Turns(
            each for each in tuple(self.active) if each.origin == origin
        )
        self._turns.pop(origin, None)
        while len(self._turns) >= _MAX_ORIGINS:
            del self._turns[next(iter(self._turns))]
        self._turns[origin] = turns, self._clock.monotonic() + _TURNS_LAST

    async def take(self, turns: Turns, request: "ProvenRequest") -> None:
        """Wait until it is a request's turn."""
        await turns.take(request, self._timeout)

    def has_others(self, request: "ProvenRequest") -> bool:
        """Tell whether other requests to the same server are under way."""
        return any(
            other is not request and other.origin == request.origin for other in tuple(self.active)
        )


class ProvenRequest:
    """
    One request over all its attempts; end it when its response has come, or will not.

    Attributes:
        origin: Where it goes.

        view: What the next proof is made of: the server's nonce, and its clock.
    """

    __slots__ = ("_attempts", "_held", "_look", "_turns", "_url", "origin", "view")

    def __init__(self, turns: RequestTurns, url: URL, look: Callable[[URL], ServerView]) -> None:
        self._look = look
        self._turns = turns
        self._url = url
        self._attempts = 1
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
        if self._attempts == _MAX_ATTEMPTS or not _may_help(error, self.view, after):
            return False
        if self._attempts > 1 and not self._shares_nonces(error):
            return False
        self._attempts += 1
        self.view = after
        return True

    def _shares_nonces(self, error: str) -> bool:
        """Tell whether other requests may have spent the nonce; from then on they take turns."""
        if error != USE_NONCE:
            return False
        if self._held is not None:
            return True
        if self._turns.has_others(self):
            self._turns.begin(self.origin)
            return True
        return self._turns.find(self.origin) is not None

    async def take_turn(self) -> None:
        """Wait for the request's turn before each attempt, where requests take turns."""
        turns = self._turns.find(self.origin)
        if turns is None or turns is self._held:
            return
        self._give_back()
        self._held = turns
        await self._turns.take(turns, self)
        self.view = self._look(self._url)

    def end(self) -> None:
        """Let the next request have its turn."""
        self._turns.active.discard(self)
        self._give_back()
        turns = self._turns.find(self.origin)
        if turns is not None:
            # They may have begun while this request was under way.
            turns.give_back(self)

    def _give_back(self) -> None:
        if self._held is not None:
            self._held.give_back(self)


def _may_help(error: str, before: ServerView, after: ServerView) -> bool:
    if error == USE_NONCE:
        # A server that wants the nonce it was given would want it for ever.
        return after.nonce != before.nonce
    # Only a clock that differs from what we thought explains the refusal.
    return error == INVALID_PROOF and abs((after.skew or 0) - (before.skew or 0)) > _CLOCK_STEP

"""
Hands events to their handlers, each event to each handler once.

::

    claim --> granted --> the handler --> done --------> finish --> remembered
      |                        +--> failed --> release             delivered again
      |                        +--> took too long                  again once the claim ran out
      +--> handled: dropped
      +--> busy: another request has it                            delivered again

A handler that fails does not hold up the other events of its batch: they are handled, and when the
batch comes again only the failed one is left.
"""

import secrets
from collections.abc import Awaitable, Callable, Iterable
from inspect import iscoroutinefunction
from typing import Any, Generic, TypeVar

import attrs

from aritma_auth.banking.cloud_events import CloudEvent
from aritma_auth.banking.deliveries import Claim, DeliveryLog, delivery_key
from aritma_auth.banking.events import BankingEvent
from aritma_auth.errors import (
    ConfigurationError,
    printable,
    require_function,
    require_instance,
    wrong_kind,
)
from aritma_auth.events import DeliveryFailed, DeliveryRepeated
from aritma_auth.events.base import Listener
from aritma_auth.runtime.clock import Clock
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.raised import describe_raised
from aritma_auth.runtime.tasks import WorkBrokenOffError, run_to_the_end, run_within
from aritma_auth.runtime.values import Value

E = TypeVar("E", bound=BankingEvent | CloudEvent)
T = TypeVar("T")

_CLAIM_MARGIN = 10.0
"""Seconds that a claim outlives its request: a handler that is cancelled needs time to end."""

_FINISH = 5.0
"""Seconds in which a log of deliveries writes down what was done."""

_TIMED_OUT = "it took too long"
_HANDLED = "it was handled"


@attrs.frozen(eq=False, repr=False)
class _Handler(Value, Generic[E]):
    name: str
    kind: type[E]
    call: Callable[[E], Awaitable[None]] = attrs.field(repr=False)


class EventDispatcher:
    """
    Knows the handlers of one receiver, and lets each handle each event once.

    Args:
        deliveries: Remembers what was handled.

        timeout: Seconds that a request may take, its handlers included.

        retention: Seconds to remember what was handled.

        clock: The clock of deadlines.

        tell: Takes events for the log.
    """

    @hides_arguments
    def __init__(
        self,
        deliveries: DeliveryLog,
        *,
        timeout: float,
        retention: float,
        clock: Clock,
        tell: Listener,
    ) -> None:
        self._deliveries = deliveries
        self._claim = timeout + _CLAIM_MARGIN
        self._retention = retention
        self._clock = clock
        self._tell = tell
        self._handlers: list[_Handler[Any]] = []

    def on(
        self, kind: type[E], name: str | None
    ) -> Callable[[Callable[[E], Awaitable[None]]], Callable[[E], Awaitable[None]]]:
        """Return the decorator that registers a handler; see `EventReceiver.on`."""
        _require_kind(kind)
        if name is not None:
            require_instance("name", "a text or None", name, str)

        def register(handler: Callable[[E], Awaitable[None]]) -> Callable[[E], Awaitable[None]]:
            required = "a coroutine function (async def) of one event"
            if not iscoroutinefunction(handler):
                raise wrong_kind("the handler", required, handler)
            require_function("the handler", required, handler, 1, is_awaited=True)
            known = name or handler.__qualname__
            if any(other.name == known for other in self._handlers):
                raise ConfigurationError(
                    f"each handler must have a name of its own; two are {known!r}: give name="
                )
            self._handlers.append(_Handler(known, kind, handler))
            return handler

        return register

    async def handle_all(
        self, events: Iterable[CloudEvent | BankingEvent], deadline: float
    ) -> bool:
        """
        Hand events to their handlers, in order.

        Args:
            events: What came.

            deadline: When the request must be over, on the monotonic clock.

        Returns:
            Every handler has handled every event of its kind, now or before.
        """
        is_complete = True
        for event in events:
            envelope = event if isinstance(event, CloudEvent) else event.envelope
            for handler in self._handlers:
                if isinstance(event, handler.kind):
                    is_complete &= await self._handle(handler, event, envelope, deadline)
                elif handler.kind is CloudEvent:
                    is_complete &= await self._handle(handler, envelope, envelope, deadline)
        return is_complete

    async def _handle(
        self, handler: _Handler[E], event: E, envelope: CloudEvent, deadline: float
    ) -> bool:
        shown = printable(envelope.type, 80)
        try:
            problem = await self._handle_once(handler, event, envelope, deadline)
        except WorkBrokenOffError as broken:
            problem = broken.raised
        except Exception as error:  # noqa: BLE001 - a log of the caller's may raise anything
            problem = describe_raised(error)
        if problem == _HANDLED:
            self._tell(DeliveryRepeated(handler.name, shown))
        elif problem is not None:
            self._tell(DeliveryFailed(handler.name, shown, problem))
            return False
        return True

    async def _handle_once(
        self, handler: _Handler[E], event: E, envelope: CloudEvent, deadline: float
    ) -> str | None:
        """Return None once the handler has handled the event, else what came in between."""
        if self._left(deadline) <= 0:
            return _TIMED_OUT
        log, key = self._deliveries, delivery_key(envelope, handler.name)
        owner = secrets.token_hex(16)
        claim = await _within(self._left(deadline), log.claim(key, owner, seconds=self._claim))
        if claim is not Claim.GRANTED:
            return _HANDLED if claim is Claim.HANDLED else "another request handles it"
        try:
            problem = await _within(self._left(deadline), _problem_of(handler.call(event)))
        except TimeoutError:
            # It may not have ended: its claim is left to run out.
            return _TIMED_OUT
        except WorkBrokenOffError as broken:
            problem = broken.raised
        if problem is None:
            # A cancelled request must not undo what its handler has done.
            finishing = _within(_FINISH, log.finish(key, seconds=self._retention))
            await run_to_the_end(finishing, "aritma-auth events")
        else:
            await _within(_FINISH, log.release(key, owner))
        return problem

    def _left(self, deadline: float) -> float:
        return deadline - self._clock.monotonic()

    def __len__(self) -> int:
        return len(self._handlers)


async def _within(seconds: float, awaitable: Awaitable[T]) -> T:
    return await run_within(max(0.0, seconds), _awaited(awaitable), "aritma-auth events")


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


async def _problem_of(handling: Awaitable[None]) -> str | None:
    try:
        await handling
    except Exception as error:  # noqa: BLE001 - whatever a handler raises
        # Its class and place alone: its text may quote the event.
        return describe_raised(error)
    return None


def _require_kind(kind: object) -> None:
    if not isinstance(kind, type) or not issubclass(kind, BankingEvent | CloudEvent):
        raise wrong_kind("kind", "a class of events, such as PaymentStatusUpdated", kind)

"""
The log, and how a listener is told.

No event is loaded here: most services make none.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from aritma_auth.errors import ConfigurationError, require_function
from aritma_auth.runtime.callables import is_coroutine_function

if TYPE_CHECKING:
    from aritma_auth.events.base import Event, Listener

T = TypeVar("T")

_log = logging.getLogger("aritma_auth")


@runtime_checkable
class WaitingListener(Protocol):
    """
    A listener that also learns which callers wait, such as one that traces them.

    Each caller that waits for a flight costs a call of it; a plain function costs none.
    """

    def __call__(self, event: "Event", /) -> None:
        """Learn of an event."""
        ...

    def on_wait(self, flight: int, /) -> None:
        """
        Learn that a caller begins to wait for a flight; called in that caller's own context.

        Args:
            flight: The number that FlightStarted and FlightEnded carry.
        """
        ...


def log_event(event: "Event") -> None:
    """
    Write an event to the ``aritma_auth`` logger: its text, and its fields as ``aritma_*`` extras.

    Args:
        event: What happened; its ``level`` is the record's.
    """
    level = event.level
    if _log.isEnabledFor(level):
        extra = {f"aritma_{name}": value for name, value in event.as_dict().items()}
        _log.log(level, "%s", event, extra=extra)


def takes_routine(listener: "Listener | None") -> bool:
    """
    Tell whether a listener takes the events of a healthy refresh: a quiet log drops them.

    Args:
        listener: The caller's function.
    """
    return listener is not None and (listener is not log_event or _log.isEnabledFor(logging.INFO))


def require_listener(on_event: object, name: str = "on_event") -> None:
    """
    Require a listener of events to be a plain function, or None.

    Args:
        on_event: What was given.

        name: The argument.

    Raises:
        ConfigurationError: It cannot be called, or is a coroutine function that nobody would await.
    """
    if on_event is None or on_event is log_event:
        return
    if callable(on_event) and is_coroutine_function(on_event):
        raise ConfigurationError(
            f"{name} must be a plain function, not a coroutine function: start a task inside it"
        )
    # Otherwise each event would become an error in the log.
    require_function(name, "a function that takes one event, or None", on_event, 1)


def notify(listener: "Listener | None", event: "Event") -> None:
    """
    Tell a listener, if there is one; what it raises ends here, and is logged by class and place.

    A KeyboardInterrupt and a SystemExit go to whoever runs the loop, in its next turn.

    Args:
        listener: The caller's function.

        event: What happened.
    """
    if listener is not None:
        _call(listener, event)


def notify_of_wait(listener: WaitingListener, flight: int) -> None:
    """
    Tell a listener that a caller begins to wait; what it raises ends here too.

    Args:
        listener: The caller's object.

        flight: Number of the flight.
    """
    _call(listener.on_wait, flight)


def _call(function: Callable[[T], None], argument: T) -> None:
    try:
        function(argument)
    except BaseException as error:  # noqa: BLE001 - whatever a caller's function raises
        # Loaded for a wrong listener only.
        from aritma_auth.runtime.raised import INTERRUPTS, describe_raised, pass_on

        if isinstance(error, INTERRUPTS):
            pass_on(error)
            return
        # A plain function is not cancelled: a CancelledError is that of something it looked at.
        # Its own error may hold what the listener knows: its class and its place are named.
        _log.error("an event listener raised %s", describe_raised(error))

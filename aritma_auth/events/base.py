"""The parent of all events, the log, and how a listener is told."""

import logging
from collections.abc import Callable
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

import attrs

from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    printable,
    require_function,
)
from aritma_auth.runtime.callables import is_coroutine_function
from aritma_auth.runtime.values import Value

_log = logging.getLogger("aritma_auth")

_PLAIN = (str, int, float)

_TEXT_LIMIT = 1000
"""Characters of a log line at most: parts of it come from other parties."""


@attrs.frozen(eq=False, repr=False)
class Event(Value):
    """
    The parent of all events; none holds a secret.

    What is unknown is empty: an event of a middleware over several providers has no client.

    Attributes:
        issuer: The authorization server, tenant path included.

        client_id: The client's identifier.

        tenant: The tenant of the environment.

        key: The provider's key in its pool, as the pool's ``label`` shows it.

        grant: The grant type that the provider was made with.

        scope: The scope that the grant asks for.

        fingerprint: Eight hex digits that tell tokens apart.
    """

    _LEVEL: ClassVar[int] = logging.DEBUG

    issuer: str = attrs.field(default="", kw_only=True)
    client_id: str = attrs.field(default="", kw_only=True)
    tenant: str = attrs.field(default="", kw_only=True)
    key: str = attrs.field(default="", kw_only=True)
    grant: str = attrs.field(default="", kw_only=True)
    scope: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    fingerprint: str = attrs.field(default="", kw_only=True)

    @property
    def level(self) -> int:
        """The level at which `log_event` logs it."""
        return self._LEVEL

    def _text(self) -> str:
        """Say what happened, without whose token it is."""
        own = [field.name for field in attrs.fields(type(self)) if field.name not in _ABOUT]
        said = ", ".join(f"{name}={getattr(self, name)}" for name in own)
        return f"{type(self).__name__}: {said}" if said else type(self).__name__

    def as_dict(self) -> dict[str, str | int | float | bool]:
        """
        Return the event for machines: its name as ``event``, and each field that is not empty.

        A scope is one text, and an error is its text, with ``error_type`` and ``is_permanent``.
        """
        found: dict[str, str | int | float | bool] = {"event": type(self).__name__}
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if isinstance(value, AritmaAuthError):
                found["error_type"] = type(value).__name__
                found["is_permanent"] = value.is_permanent
                value = str(value)
            elif isinstance(value, tuple):
                value = " ".join(value)
            if value is not None and value != "":
                found[field.name] = value if isinstance(value, _PLAIN) else str(value)
        return found

    def __str__(self) -> str:
        marks = {
            "key": "" if self.key == self.tenant else self.key,
            "tenant": self.tenant,
            "client": self.client_id,
            "issuer": self.issuer,
            "grant": self.grant,
            "scope": " ".join(self.scope),
            "token": self.fingerprint,
        }
        about = " ".join(f"{name}={value}" for name, value in marks.items() if value)
        return printable(f"{self._text()} [{about}]" if about else self._text(), _TEXT_LIMIT)


E = TypeVar("E", bound=Event)
T = TypeVar("T")

_ABOUT = frozenset(field.name for field in attrs.fields(Event))


Listener = Callable[[Event], None]


@runtime_checkable
class WaitingListener(Protocol):
    """
    A listener that also learns which callers wait, such as one that traces them.

    Each caller that waits for a flight costs a call of it; a plain function costs none.
    """

    def __call__(self, event: Event, /) -> None:
        """Learn of an event."""
        ...

    def on_wait(self, flight: int, /) -> None:
        """
        Learn that a caller begins to wait for a flight; called in that caller's own context.

        Args:
            flight: The number that FlightStarted and FlightEnded carry.
        """
        ...


def log_event(event: Event) -> None:
    """
    Write an event to the ``aritma_auth`` logger: its text, and its fields as ``aritma_*`` extras.

    Args:
        event: What happened; its ``level`` is the record's.
    """
    level = event.level
    if _log.isEnabledFor(level):
        extra = {f"aritma_{name}": value for name, value in event.as_dict().items()}
        _log.log(level, "%s", event, extra=extra)


def told(error: AritmaAuthError) -> str:
    """Say an error in a line: its class and its text."""
    return f"{type(error).__name__}: {error}"


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


def notify(listener: Listener | None, event: Event) -> None:
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

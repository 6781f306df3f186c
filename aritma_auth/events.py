"""
What happens to tokens, as typed values for logs, metrics and health checks.

Each event says whose token it is about: issuer, client, tenant, pool key, grant and scope. As text
it is one line for people, `Event.as_dict` is the same for machines, and `log_event` writes both.
"""

import inspect
import logging
from collections.abc import Callable
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

import attrs

from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    ReauthenticationRequiredError,
    printable,
    wrong_kind,
)
from aritma_auth.runtime.values import Value

__all__ = [
    "AuthorizationReplaced",
    "ClockSkewed",
    "ConsentExpiring",
    "DeliveryFailed",
    "DeliveryRefused",
    "DeliveryRepeated",
    "Event",
    "FlightEnded",
    "FlightStarted",
    "Listener",
    "NonceRequired",
    "ReauthenticationRequired",
    "RefreshFailed",
    "RefreshRecovered",
    "RefreshTokenAtRisk",
    "RequestReplayed",
    "RequestUnsigned",
    "SecretExpiring",
    "StoreFailed",
    "StoreReturned",
    "StoreUsed",
    "TokenAcquired",
    "TokenAdopted",
    "TokenCallbackFailed",
    "TokenForgotten",
    "TokenRefreshed",
    "TokenRejected",
    "TokenRequestFailed",
    "TokenSet",
    "WaitingListener",
    "log_event",
]

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


@attrs.frozen(eq=False, repr=False)
class FlightStarted(Event):
    """
    A refresh begins: the one flight that every caller waits for.

    Attributes:
        flight: Number of the flight in this process.

        has_live_token: The cached token has not expired: no caller need wait.
    """

    flight: int
    has_live_token: bool

    def _text(self) -> str:
        why = "in the background" if self.has_live_token else "while callers wait"
        return f"flight {self.flight} starts {why}"


@attrs.frozen(eq=False, repr=False)
class FlightEnded(Event):
    """
    A refresh has ended.

    Attributes:
        flight: Number of the flight in this process.

        outcome: ``issued`` (the server issued a token), ``adopted`` (another process had stored
            one), ``failed``, ``postponed`` (another process is refreshing) or ``cancelled``.

        took: Seconds from start to end.

        waiters: Callers that waited for it.
    """

    flight: int
    outcome: str
    took: float
    waiters: int

    def _text(self) -> str:
        return f"flight {self.flight} {self.outcome} after {self.took:.3f} s, {self.waiters} waited"


@attrs.frozen(eq=False, repr=False)
class TokenRequestFailed(Event):
    """
    One token request failed; the same flight may send another.

    Attributes:
        error: What went wrong.

        took: Seconds from request to failure.
    """

    error: AritmaAuthError
    took: float

    def _text(self) -> str:
        return f"a token request failed after {self.took:.3f} s: {_told(self.error)}"


@attrs.frozen(eq=False, repr=False)
class TokenAcquired(Event):
    """
    A provider's first token is in use: it had none before.

    Attributes:
        fingerprint: Eight hex digits that tell tokens apart.

        lifetime: Seconds from request to end.

        took: Seconds that the refresh took.
    """

    fingerprint: str
    lifetime: float
    took: float

    _LEVEL: ClassVar[int] = logging.INFO

    def _text(self) -> str:
        return f"first token, of {self.lifetime:.0f} s, after {self.took:.3f} s"


@attrs.frozen(eq=False, repr=False)
class TokenRefreshed(Event):
    """
    A new token is in use, in place of an older one.

    Attributes:
        fingerprint: Eight hex digits that tell tokens apart.

        lifetime: Seconds from request to end.

        took: Seconds that the refresh took.
    """

    fingerprint: str
    lifetime: float
    took: float

    def _text(self) -> str:
        return f"token refreshed, for {self.lifetime:.0f} s, after {self.took:.3f} s"


@attrs.frozen(eq=False, repr=False)
class TokenAdopted(Event):
    """
    A token that another process had stored is in use; no token request was sent.

    Attributes:
        fingerprint: Eight hex digits that tell tokens apart.

        lifetime: Seconds from request to end.

        age: Seconds of it that are over.

        is_first: The provider had no token before.
    """

    fingerprint: str
    lifetime: float
    age: float
    is_first: bool = False

    @property
    def level(self) -> int:
        """INFO for a provider's first token."""
        return logging.INFO if self.is_first else logging.DEBUG

    def _text(self) -> str:
        which = "first token" if self.is_first else "token"
        left = self.lifetime - self.age
        return f"{which} adopted from the store, with {left:.0f} s left"


@attrs.frozen(eq=False, repr=False)
class TokenSet(Event):
    """
    The caller has put a token in place with ``set_token``, such as that of a sign-in.

    Attributes:
        fingerprint: Eight hex digits that tell tokens apart.

        lifetime: Seconds from its issue to its end.

        age: Seconds of it that are over.
    """

    _LEVEL: ClassVar[int] = logging.INFO

    fingerprint: str
    lifetime: float
    age: float

    def _text(self) -> str:
        return f"a token was put in place, with {self.lifetime - self.age:.0f} s left"


@attrs.frozen(eq=False, repr=False)
class TokenCallbackFailed(Event):
    """
    A provider's ``on_token`` has not kept a token; it is called again, and the token is served.

    Attributes:
        fingerprint: Eight hex digits of the token; empty if its end was to be told.

        error: Name of the exception's class: TimeoutError also if the call did not end in time.
    """

    _LEVEL: ClassVar[int] = logging.WARNING

    fingerprint: str
    error: str

    def _text(self) -> str:
        return f"on_token failed and will be called again: {self.error}"


@attrs.frozen(eq=False, repr=False)
class TokenForgotten(Event):
    """
    A token was forgotten by `TokenProvider.forget` or `TokenProvider.sign_out`.

    Attributes:
        fingerprint: Eight hex digits of the token; empty if there was none.

        is_revoked: The server has revoked it.
    """

    _LEVEL: ClassVar[int] = logging.INFO

    fingerprint: str
    is_revoked: bool

    def _text(self) -> str:
        return f"the token was {'revoked and ' if self.is_revoked else ''}forgotten"


@attrs.frozen(eq=False, repr=False)
class RefreshFailed(Event):
    """
    A refresh failed.

    Attributes:
        error: What went wrong.

        failures: Failures in a row.

        pause: Seconds before the next attempt: the backoff.

        has_live_token: The cached token has not expired, and is still served.
    """

    error: AritmaAuthError
    failures: int
    pause: float
    has_live_token: bool

    @property
    def level(self) -> int:
        """WARNING, except for what ReauthenticationRequired says once."""
        is_told = isinstance(self.error, ReauthenticationRequiredError)
        return logging.DEBUG if is_told else logging.WARNING

    def _text(self) -> str:
        effect = (
            "the cached token is still served" if self.has_live_token else "calls fail meanwhile"
        )
        return (
            f"refresh failed ({self.failures} in a row, next attempt in {self.pause:.1f} s, "
            f"{effect}): {_told(self.error)}"
        )


@attrs.frozen(eq=False, repr=False)
class RefreshRecovered(Event):
    """
    There is a token again after failures.

    Attributes:
        after: Seconds since the first failure.

        failures: Failures in a row until now.
    """

    after: float
    failures: int

    _LEVEL: ClassVar[int] = logging.INFO

    def _text(self) -> str:
        return f"recovered after {self.after:.1f} s and {self.failures} failed refreshes"


@attrs.frozen(eq=False, repr=False)
class ReauthenticationRequired(Event):
    """
    Only the end-user can bring another token; emitted once, until there is one.

    Attributes:
        error: Why the token cannot be refreshed.

        has_live_token: The cached token has not expired, and is still served.
    """

    error: AritmaAuthError
    has_live_token: bool

    _LEVEL: ClassVar[int] = logging.WARNING

    def _text(self) -> str:
        return f"the end-user must sign in again: {self.error}"


@attrs.frozen(eq=False, repr=False)
class TokenRejected(Event):
    """
    An API refused a token.

    Attributes:
        fingerprint: Eight hex digits of the refused token.

        refreshes: A refresh follows; otherwise the last forced refresh is too recent.
    """

    fingerprint: str
    refreshes: bool

    def _text(self) -> str:
        then = "a refresh follows" if self.refreshes else "the last forced refresh is too recent"
        return f"an API rejected the token: {then}"


@attrs.frozen(eq=False, repr=False)
class RequestReplayed(Event):
    """
    A request that an API had rejected with 401 was sent again, with another token.

    Attributes:
        origin: Scheme, host and port of the request.

        status: Status of the second response.
    """

    origin: str
    status: int

    def _text(self) -> str:
        return f"a request to {self.origin} was replayed with another token: {self.status}"


@attrs.frozen(eq=False, repr=False)
class NonceRequired(Event):
    """
    An API wanted its nonce in the proof of a token's key: the request is repeated with it.

    Attributes:
        origin: Scheme, host and port of the request.
    """

    origin: str

    def _text(self) -> str:
        return f"{self.origin} wants a nonce in the proof: the request is repeated with it"


@attrs.frozen(eq=False, repr=False)
class RequestUnsigned(Event):
    """
    A request went out without a token, since the token may not go to its origin.

    Attributes:
        origin: Scheme, host and port of the request.

        is_first: It is the middleware's first to this origin; only these are logged as warnings.
    """

    origin: str
    is_first: bool = False

    @property
    def level(self) -> int:
        """WARNING once for each origin."""
        return logging.WARNING if self.is_first else logging.DEBUG

    def _text(self) -> str:
        return f"a request to {self.origin} was sent unsigned: name this origin in origins"


@attrs.frozen(eq=False, repr=False)
class AuthorizationReplaced(Event):
    """
    A request's own ``Authorization`` header was replaced by the token.

    Attributes:
        origin: Scheme, host and port of the request.
    """

    origin: str

    def _text(self) -> str:
        return f"the Authorization header of a request to {self.origin} was replaced"


@attrs.frozen(eq=False, repr=False)
class StoreUsed(Event):
    """
    A token store has done what it was asked for.

    Attributes:
        operation: ``load``, ``save`` or ``lease``.

        took: Seconds that it took.
    """

    operation: str
    took: float

    def _text(self) -> str:
        return f"the token store was used ({self.operation}) in {self.took:.3f} s"


@attrs.frozen(eq=False, repr=False)
class StoreFailed(Event):
    """
    A token store could not be used.

    Attributes:
        operation: ``load``, ``read``, ``save`` or ``lease``, or ``identify`` if a grant cannot say
            whose its tokens are and therefore takes part in no store.

        error: Name of the error's class, or what is wrong with an entry.
    """

    operation: str
    error: str

    _LEVEL: ClassVar[int] = logging.WARNING

    def _text(self) -> str:
        return f"the token store failed ({self.operation}): {self.error}"


@attrs.frozen(eq=False, repr=False)
class StoreReturned(Event):
    """A token store that could not be used can be used again."""

    _LEVEL: ClassVar[int] = logging.INFO

    def _text(self) -> str:
        return "the token store can be used again"


@attrs.frozen(eq=False, repr=False)
class RefreshTokenAtRisk(Event):
    """
    A refresh token is presented again although it may be spent.

    The response to its first request was lost, or the process that waited for it ended.

    Attributes:
        fingerprint: Eight hex digits of the access token that came with it; empty if it is what the
            sign-in began with.
    """

    fingerprint: str

    _LEVEL: ClassVar[int] = logging.WARNING

    def _text(self) -> str:
        return "a refresh token is presented again, and may be spent: no response came before"


@attrs.frozen(eq=False, repr=False)
class ClockSkewed(Event):
    """
    The server's clock and ours differ by more than 30 s.

    Attributes:
        skew: Seconds that the server's clock is ahead.
    """

    skew: float

    _LEVEL: ClassVar[int] = logging.WARNING

    def _text(self) -> str:
        return f"the server's clock is {self.skew:+.0f} s from this machine's: set the clock"


@attrs.frozen(eq=False, repr=False)
class DeliveryRefused(Event):
    """
    A receiver of events refused a request.

    Attributes:
        reason: Why, in words that quote nothing of the request.

        status: The HTTP status of the response; 503 makes the sender deliver again.
    """

    reason: str
    status: int

    _LEVEL: ClassVar[int] = logging.WARNING

    def _text(self) -> str:
        return f"a delivery of events was refused with {self.status}: {self.reason}"


@attrs.frozen(eq=False, repr=False)
class DeliveryFailed(Event):
    """
    A handler of events failed; the event is delivered again.

    Attributes:
        handler: The handler's name.

        event_type: The event's type.

        error: Name of the error's class, or what went wrong.
    """

    handler: str
    event_type: str
    error: str

    _LEVEL: ClassVar[int] = logging.WARNING

    def _text(self) -> str:
        return (
            f"the handler {self.handler} failed with {self.event_type} ({self.error}): the event "
            "comes again"
        )


@attrs.frozen(eq=False, repr=False)
class DeliveryRepeated(Event):
    """
    An event came again that its handler has handled; it was dropped.

    Attributes:
        handler: The handler's name.

        event_type: The event's type.
    """

    handler: str
    event_type: str

    def _text(self) -> str:
        return f"{self.event_type} came again; the handler {self.handler} has handled it"


@attrs.frozen(eq=False, repr=False)
class SecretExpiring(Event):
    """
    A client's secret ends soon, or has ended; ``client_id`` names the client.

    Attributes:
        days: Whole days that are left; 0 on its last day, negative once it has ended.

        expires_at: Its end in POSIX seconds.
    """

    days: int
    expires_at: float

    _LEVEL: ClassVar[int] = logging.WARNING

    def _text(self) -> str:
        if self.days < 0:
            return "the client secret has ended: rotate it"
        return f"the client secret ends in {self.days} days: rotate it"


@attrs.frozen(eq=False, repr=False)
class ConsentExpiring(Event):
    """
    An end-user's consent ends soon, or has ended.

    Attributes:
        consent_id: The consent.

        status: Its status, in the letters of the API.

        days: Whole days that are left; 0 on its last day, negative once it has ended.
    """

    consent_id: str
    status: str
    days: int

    _LEVEL: ClassVar[int] = logging.WARNING

    def _text(self) -> str:
        if self.days < 0:
            return f"the consent {self.consent_id} has ended ({self.status}): ask the end-user"
        return f"the consent {self.consent_id} ends in {self.days} days: refresh it"


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


def _told(error: AritmaAuthError) -> str:
    return f"{type(error).__name__}: {error}"


def require_listener(on_event: object) -> None:
    """
    Require a listener of events to be a plain function, or None.

    Args:
        on_event: What was given.

    Raises:
        ConfigurationError: It cannot be called, or is a coroutine function that nobody would await.
    """
    call = getattr(on_event, "__call__", None)  # noqa: B004 - a callable object may be async too
    if inspect.iscoroutinefunction(on_event) or inspect.iscoroutinefunction(call):
        raise ConfigurationError(
            "on_event must be a plain function, not a coroutine function: start a task inside it"
        )
    if on_event is not None and call is None:
        raise wrong_kind("on_event", "a function that takes one event, or None", on_event)


def notify(listener: Listener | None, event: Event) -> None:
    """
    Tell a listener, if there is one; what it raises is logged by its class's name and ends here.

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
    except Exception as error:  # noqa: BLE001 - whatever a caller's function raises
        _log.error("an event listener raised %s", type(error).__name__)

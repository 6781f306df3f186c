"""What happens to tokens, as typed values for logs, metrics and health checks."""

import inspect
import logging
from collections.abc import Callable

import attrs

from aritma_auth.errors import AritmaAuthError, ConfigurationError, wrong_kind
from aritma_auth.runtime.values import Value

__all__ = [
    "AuthorizationReplaced",
    "ClockSkewed",
    "Event",
    "Listener",
    "RefreshFailed",
    "RefreshTokenAtRisk",
    "RequestUnsigned",
    "StoreFailed",
    "StoreReturned",
    "TokenAdopted",
    "TokenRefreshed",
    "TokenRejected",
    "log_event",
]

_log = logging.getLogger("aritma_auth")


@attrs.frozen(eq=False, repr=False)
class Event(Value):
    """The parent of all events; none holds a secret."""


@attrs.frozen(eq=False, repr=False)
class TokenRefreshed(Event):
    """
    A new token is in use.

    Attributes:
        fingerprint: Eight hex digits that tell tokens apart.

        lifetime: Seconds from request to end.

        took: Seconds that the refresh took.
    """

    fingerprint: str
    lifetime: float
    took: float


@attrs.frozen(eq=False, repr=False)
class TokenAdopted(Event):
    """
    A token that another process had stored is in use; no token request was sent.

    Attributes:
        fingerprint: Eight hex digits that tell tokens apart.
    """

    fingerprint: str


@attrs.frozen(eq=False, repr=False)
class RefreshFailed(Event):
    """
    A refresh failed.

    Attributes:
        error: What went wrong.

        failures: Failures in a row.

        pause: Seconds before the next attempt.

        has_live_token: The cached token has not expired, and is still served.
    """

    error: AritmaAuthError
    failures: int
    pause: float
    has_live_token: bool


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


@attrs.frozen(eq=False, repr=False)
class AuthorizationReplaced(Event):
    """
    A request's own ``Authorization`` header was replaced by the token.

    Attributes:
        origin: Scheme, host and port of the request.
    """

    origin: str


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


@attrs.frozen(eq=False, repr=False)
class StoreReturned(Event):
    """A token store that could not be used can be used again."""


@attrs.frozen(eq=False, repr=False)
class RefreshTokenAtRisk(Event):
    """
    A refresh token is presented although it may be spent: the process that began to use it ended.

    Attributes:
        fingerprint: Eight hex digits of the access token that came with it; empty if it is what the
            sign-in began with.
    """

    fingerprint: str


@attrs.frozen(eq=False, repr=False)
class ClockSkewed(Event):
    """
    The server's clock and ours differ by more than 30 s.

    Attributes:
        skew: Seconds that the server's clock is ahead.
    """

    skew: float


Listener = Callable[[Event], None]

_FAILURES = (ClockSkewed, RefreshTokenAtRisk, RefreshFailed, StoreFailed)


def log_event(event: Event) -> None:
    """
    Write an event to the ``aritma_auth`` logger: failures as warnings, all else for debugging.

    Args:
        event: What happened.
    """
    is_warning = isinstance(event, _FAILURES) or (
        isinstance(event, RequestUnsigned) and event.is_first
    )
    _log.log(logging.WARNING if is_warning else logging.DEBUG, "%s", event)


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
    if listener is None:
        return
    try:
        listener(event)
    except Exception as error:  # noqa: BLE001 - whatever a caller's function raises
        _log.error("an event listener raised %s", type(error).__name__)

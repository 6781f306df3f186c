"""Events and actions of the shared refresh: what happened, and what to do next."""

import attrs

from aritma_auth.errors import AritmaAuthError
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.shared.knowledge import View
from aritma_auth.stores import Record, SharedBackoff


@attrs.frozen
class Loaded:
    """The store returned the entry, at once or after a change."""

    view: View


@attrs.frozen
class Unavailable:
    """The store did not do what was asked, as far as is known."""


@attrs.frozen
class Leased:
    """
    The store granted the lease of this number; with None another process holds it.

    A store whose operations are round trips returns the entry with it.
    """

    fence: int | None
    view: View | None = None


@attrs.frozen
class Saved:
    """The store has written the record, and released the lease; or the entry was another one."""

    is_written: bool
    is_released: bool = False


@attrs.frozen
class Responded:
    """The server issued a token; the request for it left at ``asked_at``."""

    token: Token
    asked_at: float


@attrs.frozen
class Failed:
    """No token came; a permanent error is about this credential."""

    error: AritmaAuthError
    credential: str = ""


@attrs.frozen
class Woke:
    """A pause is over, or the lease is given back."""


Event = Loaded | Unavailable | Leased | Saved | Responded | Failed | Woke


@attrs.frozen
class Load:
    """Load the entry: Loaded, Unavailable."""


@attrs.frozen
class WaitForChange:
    """Wait until the entry changes, at most so many seconds, and load it: Loaded, Unavailable."""

    view: View
    seconds: float


@attrs.frozen
class Acquire:
    """Ask for the lease: Leased, Unavailable."""


@attrs.frozen
class Save:
    """
    Replace the entry of this generation: Saved, Unavailable.

    With the last write of a refresh its lease may be released.
    """

    record: Record
    replaces: int
    fence: int
    is_last: bool = False


@attrs.frozen
class Send:
    """
    Present a token's refresh token, or without one the grant itself: Responded, Failed.

    After ``timeout`` seconds the request must be over, since others may present the same then. One
    that is at risk may be spent.
    """

    token: Token | None
    timeout: float
    is_at_risk: bool


@attrs.frozen
class Pause:
    """Wait: Woke."""

    seconds: float


@attrs.frozen
class Release:
    """Give the lease back: Woke."""


@attrs.frozen
class Serve:
    """The end: a token. If it is overtaken, others were always faster to write."""

    token: Token
    issued_at: float
    wall_issued_at: float = 0.0
    """POSIX seconds of the same moment, of an adopted token."""
    is_adopted: bool = False
    is_overtaken: bool = False


@attrs.frozen
class Postpone:
    """The end: the cache has a token; another refresh is due in so many seconds."""

    seconds: float


@attrs.frozen
class Raise:
    """The end: an error. One that the store tells of has been met by another process."""

    error: AritmaAuthError
    told: SharedBackoff | None = None


@attrs.frozen
class Wrote:
    """The end of a write of what is owed."""

    is_written: bool
    is_overtaken: bool = False


Outcome = Serve | Postpone | Raise | Wrote
Action = Load | WaitForChange | Acquire | Save | Send | Pause | Release | Outcome

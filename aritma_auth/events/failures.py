"""What goes wrong with a refresh, and its end; loaded when the first of them is emitted."""

import logging
from typing import ClassVar

import attrs

from aritma_auth.errors import AritmaAuthError, ReauthenticationRequiredError
from aritma_auth.events.base import Event, told


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
        return f"a token request failed after {self.took:.3f} s: {told(self.error)}"


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
            f"{effect}): {told(self.error)}"
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
class ClockSkewed(Event):
    """
    The server's clock and ours differ by more than 30 s; emitted once, until one of them is set.

    Attributes:
        skew: Seconds that the server's clock is ahead.
    """

    skew: float

    _LEVEL: ClassVar[int] = logging.WARNING

    def _text(self) -> str:
        return f"the server's clock is {self.skew:+.0f} s from this machine's: set the clock"

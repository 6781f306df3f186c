"""What a token store does, and the tokens that come from it."""

import logging
from typing import ClassVar

import attrs

from aritma_auth.events.base import Event


@attrs.frozen(eq=False, repr=False)
class TokenAdopted(Event):
    """
    A token that another process had stored is in use; no token request was sent.

    Attributes:
        fingerprint: Eight hex digits that tell tokens apart.

        lifetime: Seconds from request to end.

        age: Seconds since the request.

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

        error: The error's class and its place in your own code, or what is wrong with an entry.
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

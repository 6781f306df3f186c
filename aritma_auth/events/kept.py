"""Tokens that the application puts in place, keeps itself, or ends."""

import logging
from typing import ClassVar

import attrs

from aritma_auth.events.base import Event


@attrs.frozen(eq=False, repr=False)
class TokenSet(Event):
    """
    The caller has put a token in place with ``set_token``, such as that of a sign-in.

    Attributes:
        fingerprint: Eight hex digits that tell tokens apart.

        lifetime: Seconds from its issue to its end.

        age: Seconds since its issue.
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

        error: Class of the exception and its place in your own code, or the text of a
            ConfigurationError; TimeoutError also if the call did not end in time.
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

        is_revocable: False if a sign-out found that the server offers no revocation: what others
            have of the token stays valid until it expires.
    """

    _LEVEL: ClassVar[int] = logging.INFO

    fingerprint: str
    is_revoked: bool
    is_revocable: bool = True

    def _text(self) -> str:
        if not self.is_revocable:
            return "the token was forgotten, and not revoked: the server offers no revocation"
        return f"the token was {'revoked and ' if self.is_revoked else ''}forgotten"

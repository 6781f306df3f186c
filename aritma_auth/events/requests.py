"""What becomes of single requests, most of them an API's."""

import logging

import attrs

from aritma_auth.events.base import Event


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
    A server wanted its nonce in the proof of a token's key: the request is repeated with it.

    At the token endpoint there is no token yet, and the fingerprint is empty.

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

        is_first: It is the middleware's first to this origin; only these are logged as warnings.
    """

    origin: str
    is_first: bool = False

    @property
    def level(self) -> int:
        """WARNING once for each origin."""
        return logging.WARNING if self.is_first else logging.DEBUG

    def _text(self) -> str:
        return (
            f"the Authorization header of a request to {self.origin} was replaced: leave it out, "
            "or give keep_authorization=True"
        )

"""
Requests that carry a token bound to a key: with a proof, and once more if the API wants its nonce.

An API that wants a nonce, or another time, has looked at the proof and not at the token, which
stays. That repetition is apart from the one that a rejected token gets: a request may need both.
"""

from collections.abc import Callable
from typing import Protocol

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, hdrs
from yarl import URL

from aritma_auth import events
from aritma_auth.events.base import Event
from aritma_auth.protocol.dpop import USE_NONCE, refuses_proof
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.urls import origin_of
from aritma_auth.provider.replay import RefusedResponse, is_replayable, let_go

_PROOF = "DPoP"
_NONCE = "DPoP-Nonce"

# RFC 9449 §9 says 401; an API that responds as token endpoints do says the same with 400.
_REFUSALS = frozenset({400, 401})

_View = tuple[str, float | None]
"""What is known of a server: its newest nonce, and how far its clock is ahead."""


class ProvenRequest(Protocol):
    """One request over all its attempts."""

    @property
    def view(self) -> _View:
        """What the next proof is made of."""
        ...

    async def take_turn(self) -> None:
        """Wait for the request's turn before each attempt, where requests take turns."""
        ...

    def may_repeat(self, error: str) -> bool:
        """Tell, at once after a refusal, whether another proof may be accepted."""
        ...

    def end(self) -> None:
        """Let the next request have its turn."""
        ...


class RequestProofs(Protocol):
    """What makes the proofs of a client's requests; `aritma_auth.OAuthClient.proofs` is one."""

    def begin(self, url: URL) -> ProvenRequest:
        """Begin a request."""
        ...

    async def prove(
        self,
        method: str,
        url: URL,
        access_token: str | None = None,
        view: _View | None = None,
    ) -> str:
        """Make the proof of one request."""
        ...

    def report_to(self, report: Callable[[Event], None]) -> None:
        """Report demanded nonces of the token requests that this task sends from now on."""
        ...

    def learn(self, url: URL, nonce: str | None, date: str | None = None) -> None:
        """Remember what a response says for later proofs."""
        ...

    def require_bound(self, token: Token) -> None:
        """Require a token to be bound to a key before it is sent."""
        ...


class BoundRequests:
    """
    Sends the requests of one source of tokens that are bound to a key.

    Args:
        proofs: Makes the proofs.
    """

    __slots__ = ("_proofs",)

    def __init__(self, proofs: RequestProofs) -> None:
        self._proofs = proofs

    async def send(
        self,
        request: ClientRequest,
        handler: ClientHandlerType,
        token: Token,
        report: Callable[[Event], None],
    ) -> ClientResponse:
        """
        Send a request with its token and proof.

        Args:
            request: The request.

            handler: Sends it.

            token: Goes with it.

            report: Receives NonceRequired.

        Raises:
            ConfigurationError: The token is a bearer token.

            TransportError: A remote signer failed; nothing was sent.

        Spec: RFC 9449 §7.1, §9.
        """
        proofs, url = self._proofs, request.url
        proofs.require_bound(token)
        proven = proofs.begin(url)
        try:
            while True:
                await proven.take_turn()
                response = await self._send(request, handler, token, proven.view)
                error = _find_error(response)
                if not error or not is_replayable(request) or not proven.may_repeat(error):
                    return response
                refused = RefusedResponse(response)
                del response
                await let_go(refused)
                refused.response.release()
                if error == USE_NONCE:
                    report(events.NonceRequired(origin_of(url).url, fingerprint=token.fingerprint))
        finally:
            proven.end()

    def is_refused(self, response: ClientResponse) -> bool:
        """Tell whether an API refuses the proof, which another token would not help."""
        return bool(_find_error(response))

    async def _send(
        self, request: ClientRequest, handler: ClientHandlerType, token: Token, view: _View
    ) -> ClientResponse:
        proofs, url, headers = self._proofs, request.url, request.headers
        proof = await proofs.prove(request.method, url, token.access_token, view)
        headers[hdrs.AUTHORIZATION] = token.authorization
        headers[_PROOF] = proof
        try:
            response = await handler(request)
        finally:
            # request_info of aiohttp's responses and errors is a live view of these headers.
            headers.popall(hdrs.AUTHORIZATION, None)
            headers.popall(_PROOF, None)
        date = response.headers.get(hdrs.DATE) if _find_error(response) else None
        proofs.learn(url, response.headers.get(_NONCE), date)
        return response


def _find_error(response: ClientResponse) -> str:
    if response.status not in _REFUSALS:
        return ""
    return refuses_proof(response.headers.getall(hdrs.WWW_AUTHENTICATE, ()))

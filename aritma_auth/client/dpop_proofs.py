"""
DPoP proofs as requests need them: signed, fresh, with the latest nonce of the server they go to.

A server may give another nonce with every response, so the newest one counts (RFC 9449 §8.2). A
proof is dated by the clock of the server that it is for, if a refusal has shown that clock.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar

import attrs
from yarl import URL

from aritma_auth.client.proven_requests import ProvenRequest, RequestTurns, ServerView
from aritma_auth.client.signatures import sign_jwt
from aritma_auth.errors import ConfigurationError, OAuthError, oauth_error
from aritma_auth.events import NonceRequired
from aritma_auth.events.base import Event
from aritma_auth.protocol.client_auth import generate_jti
from aritma_auth.protocol.dpop import USE_NONCE, DPoP, build_proof, parse_nonce, refuses_proof
from aritma_auth.protocol.http_messages import HttpRequest, HttpResponse, parse_http_date
from aritma_auth.protocol.redaction import HiddenStr
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.urls import Origin, origin_of
from aritma_auth.runtime.clock import Clock
from aritma_auth.runtime.lock import fork_safe_lock

_MAX_ORIGINS = 256
"""Origins that are remembered: a hostile redirect could name any number."""

_REFUSALS = frozenset({400, 401})

_UNAUTHORIZED = 401

_UNKNOWN = ServerView()

T = TypeVar("T")

_reporter: ContextVar[Callable[[Event], None] | None] = ContextVar("_reporter", default=None)
"""Whose refresh sends the requests of this context."""


class ProofMaker:
    """
    Makes the proofs of one client.

    Args:
        dpop: The key.

        clock: Tells our time.

        server_time: Tells POSIX seconds by the authorization server's clock.

        timeout: Seconds that a remote signer may take.
    """

    __slots__ = ("_clock", "_lock", "_server_time", "_timeout", "_turns", "_views", "dpop")

    def __init__(
        self, dpop: DPoP, clock: Clock, server_time: Callable[[], float], timeout: float
    ) -> None:
        self.dpop = dpop
        self._clock = clock
        self._server_time = server_time
        self._timeout = timeout
        self._views: dict[Origin, ServerView] = {}
        self._lock = fork_safe_lock()
        self._turns = RequestTurns(clock, timeout)

    def begin(self, url: URL) -> ProvenRequest:
        """
        Begin a request that carries a proof.

        Args:
            url: Where it goes.

        Returns:
            The request over all its attempts; end it.
        """
        return ProvenRequest(self._turns, url, self.view)

    async def prove(
        self,
        method: str,
        url: URL,
        access_token: str | None = None,
        view: ServerView | None = None,
    ) -> HiddenStr:
        """
        Make the proof of one request.

        Args:
            method: The request's method.

            url: Where it goes.

            access_token: The token that it carries; None at the token endpoint.

            view: What the proof is made of, as `view` gave it; None takes what is known now.

        Raises:
            TransportError: A remote signer failed; nothing was sent.
        """
        nonce, skew = self.view(url) if view is None else view
        proof = build_proof(
            self.dpop.key,
            method,
            url,
            now=self._clock.time() + (skew or 0),
            jti=generate_jti(),
            nonce=nonce,
            access_token=access_token,
        )
        return await sign_jwt(proof, within=self._timeout)

    async def add_to(
        self,
        request: HttpRequest,
        access_token: str | None = None,
        view: ServerView | None = None,
    ) -> HttpRequest:
        """
        Return a protocol request with its proof.

        Args:
            request: The request.

            access_token: The token that it carries; None at the token endpoint.

            view: What the proof is made of, as `view` gave it; None takes what is known now.

        Raises:
            TransportError: A remote signer failed; nothing was sent.
        """
        proof = await self.prove(request.method, URL(request.url), access_token, view)
        return attrs.evolve(
            request,
            headers={**request.headers, "DPoP": proof},
            secrets=(*request.secrets, proof),
        )

    async def send_with_token(
        self,
        request: HttpRequest,
        token: Token,
        send: Callable[[HttpRequest], Awaitable[HttpResponse]],
    ) -> HttpResponse:
        """
        Send a request that carries an access token, and again if the server wants its nonce.

        Args:
            request: Has the token in its ``Authorization`` header.

            token: The token.

            send: Sends it.

        Raises:
            ConfigurationError: The token is a bearer token, or in the body.

            TransportError: A remote signer failed; nothing was sent.
        """
        if "Authorization" not in request.headers:
            raise ConfigurationError(
                "in_body must be False: a token that is bound to a key goes in the header "
                "(RFC 9449 §7.1)"
            )
        self.require_bound(token)
        proven = self.begin(URL(request.url))
        try:
            while True:
                await proven.take_turn()
                response = await send(await self.add_to(request, token.access_token, proven.view))
                challenge = response.headers.get("www-authenticate")
                refusal = refuses_proof([challenge or ""])
                if response.status == _UNAUTHORIZED and not challenge and not proven.view.nonce:
                    # RFC 9449 §9 wants a challenge; a first nonce without one says the same.
                    refusal = USE_NONCE
                if not proven.may_repeat(refusal):
                    return response
        finally:
            proven.end()

    async def send_repeatedly(self, url: URL, send: Callable[[ServerView], Awaitable[T]]) -> T:
        """
        Send a request of the client's own, and again if the server says what its proof lacked.

        Args:
            url: Where it goes.

            send: Sends it with a proof, and an assertion, of its own: no server accepts one twice.
        """
        proven = self.begin(url)
        try:
            while True:
                await proven.take_turn()
                try:
                    return await send(proven.view)
                except OAuthError as error:
                    # The server has looked at the proof alone: neither code nor refresh token is
                    # spent.
                    if not proven.may_repeat(error.error):
                        raise
                    self._report_repetition(url, error.error)
        finally:
            proven.end()

    def view(self, url: URL) -> ServerView:
        """
        Return what is known of a server.

        Args:
            url: Any address there.
        """
        known = self._views.get(origin_of(url), _UNKNOWN)
        skew = self._server_time() - self._clock.time() if known.skew is None else known.skew
        return ServerView(known.nonce, skew)

    def report_to(self, report: Callable[[Event], None]) -> None:
        """
        Report demanded nonces of the requests that this task sends from now on.

        Args:
            report: Receives NonceRequired.
        """
        _reporter.set(report)

    def _report_repetition(self, url: URL, error: str) -> None:
        report = _reporter.get()
        if report is not None and error == USE_NONCE:
            report(NonceRequired(origin_of(url).url))

    def learn(self, url: URL, nonce: str | None, date: str | None = None) -> None:
        """
        Remember what a response says for later proofs.

        Args:
            url: Where the request went.

            nonce: The response's ``DPoP-Nonce``, which any response may carry, or None.

            date: The response's ``Date`` if it refuses a proof, or None: a client that takes its
                tokens from a store may never have seen a server's clock.
        """
        at = None if date is None else parse_http_date(date)
        found = parse_nonce(nonce)
        if not found and at is None:
            return
        origin, views = origin_of(url), self._views
        known = views.get(origin, _UNKNOWN)
        if at is None and known.nonce == found:
            return
        skew = known.skew if at is None else at - self._clock.time()
        with self._lock:
            # Newest last: what was learned longest ago makes room.
            views.pop(origin, None)
            while len(views) >= _MAX_ORIGINS:
                del views[next(iter(views))]
            views[origin] = ServerView(found or known.nonce, skew)

    def require_accepted(self, response: HttpResponse) -> None:
        """
        Require a response of the authorization server not to refuse the proof in a header alone.

        Args:
            response: The response; if it is JSON, its own error counts (RFC 9449 §5, §8).

        Raises:
            OAuthError: It does, as an API would (§7.1, §9).
        """
        if response.status not in _REFUSALS or response.media_type == "application/json":
            return
        error = refuses_proof([response.headers.get("www-authenticate", "")])
        if error:
            raise oauth_error(error, status=response.status)

    def require_bound(self, token: Token) -> None:
        """
        Require a token to be bound to a key before it is sent: nothing is downgraded silently.

        Args:
            token: The token.

        Raises:
            ConfigurationError: It is a bearer token.
        """
        if token.token_type != "DPoP":
            raise ConfigurationError(
                f"the token must be of type DPoP, since its client has a DPoP key, not "
                f"{token.token_type}: get it by this client, or remove dpop from the client"
            )

    def __repr__(self) -> str:
        return f"<ProofMaker with {self.dpop!r}>"

"""Signs httpx's requests with a bearer token, by the rules of the aiohttp middleware."""
# ruff: noqa: SLF001 - the rules are the middleware's, looked at from inside

import asyncio
import contextlib
import sys
import urllib.request
from collections.abc import AsyncGenerator, Generator, Iterable
from typing import TYPE_CHECKING

from yarl import URL

from aritma_auth.errors import ConfigurationError, require_instance
from aritma_auth.events import Listener, NonceRequired, RequestReplayed, log_event
from aritma_auth.events.listeners import require_listener
from aritma_auth.optional import require
from aritma_auth.protocol.dpop import USE_NONCE
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.urls import origin_of
from aritma_auth.protocol.www_authenticate import find_step_up
from aritma_auth.provider.middleware import BearerMiddleware
from aritma_auth.provider.provider import TokenProvider
from aritma_auth.runtime.hidden_arguments import hides_arguments

require("httpx", "httpx")

import httpx

from aritma_auth.integrations.httpx_requests import (
    Sending,
    SmallBody,
    Wanted,
    find_proof_error,
    is_replayable,
    responses_to,
    send,
    send_proved,
)

if TYPE_CHECKING:
    from aritma_auth.provider.bound_requests import ProvenRequest, RequestProofs
    from aritma_auth.provider.middleware import BearerTokenSource

__all__ = ["BearerAuth"]

_UNAUTHORIZED = 401
_REFUSALS = frozenset({401, 403})

_Steps = Generator[httpx.Request | Wanted, httpx.Response | Token | str, None]


class BearerAuth(httpx.Auth):
    """
    Authentication for ``httpx.AsyncClient(auth=...)``, ``httpx.Client(auth=...)`` or one request.

    Only requests to the named origins are signed. The header is removed once the response or an
    error of httpx has come, from the requests of redirects too, and httpx removes it itself where a
    redirect leads to another origin.

    On a 401 of the API the token is refreshed once, however many requests got one, and each request
    is repeated once, if its body can be sent again and the refresh brought a different token. A
    challenge that asks for a wider scope or a stronger sign-in becomes a `StepUpRequiredError`.

    With `DPoP` each request carries a proof of its own, and is repeated once if the API wants its
    nonce in the proof; the token then stays. Where httpx follows a redirect, the next hop is signed
    once it was refused. Tokens that are bound to a certificate need it at the API too:
    ``httpx.AsyncClient(verify=client.ssl_context)``.

    With ``httpx.Client`` a token that must be fetched is fetched on an event loop of the calling
    thread's own, so that synchronous programs need none.

    Args:
        source: Gives the tokens; usually a `TokenProvider`.

        origins: URLs whose scheme, host and port the token may go to; by default those of a
            provider's environment.

        strict: Refuse requests to other origins instead of sending them unsigned.

        keep_authorization: Leave a request alone that has an ``Authorization`` header of its own;
            by default the token replaces it, with an event.

        on_event: Receives the events of a source that is no `TokenProvider`; a provider has its
            own listener.

    Raises:
        ConfigurationError: No origin is given, or one is not https (http is for loopback only).

    Spec: RFC 6750 §2.1, §3.1, §5.3; RFC 9449 §7.1; RFC 9470 §3.
    """

    @hides_arguments
    def __init__(
        self,
        source: "BearerTokenSource",
        origins: Iterable[str] | None = None,
        *,
        strict: bool = False,
        keep_authorization: bool = False,
        on_event: Listener | None = log_event,
    ) -> None:
        require_listener(on_event)
        if isinstance(source, TokenProvider):
            self._rules = source.middleware(
                origins, strict=strict, keep_authorization=keep_authorization
            )
        else:
            self._rules = BearerMiddleware(
                source,
                () if origins is None else origins,
                strict=strict,
                keep_authorization=keep_authorization,
                on_event=on_event,
            )
        self._source = source
        self._proofs: RequestProofs | None = getattr(source, "proofs", None)

    def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign one request of an ``httpx.AsyncClient``."""
        return _AsyncFlow(self._sign(request))

    async def _sign(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        steps = self._steps(request)
        try:
            step = next(steps)
            while True:
                # Not in one expression: what httpx throws at the yield must reach the finally.
                if isinstance(step, httpx.Request):
                    response = yield step
                    step = steps.send(response)
                else:
                    step = steps.send(await step())
        except StopIteration:
            return
        finally:
            steps.close()

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign one request of an ``httpx.Client``."""
        steps = self._steps(request)
        try:
            step = next(steps)
            while True:
                if isinstance(step, httpx.Request):
                    response = yield step
                    step = steps.send(response)
                else:
                    step = steps.send(_wait_for(step))
        except StopIteration:
            return
        finally:
            steps.close()

    def _steps(self, request: httpx.Request) -> _Steps:
        """Yield what is needed next: a token, a proof, or the response to a request."""
        require_instance("request", "an httpx.Request", request, httpx.Request)
        rules, url = self._rules, URL(str(request.url))
        if not rules._allow(url):
            rules._pass_unsigned(url)
            yield request
            return
        _require_direct(request.url)
        if "Authorization" in request.headers:
            if rules._keep:
                yield request
                return
            rules._report_replaced(url)
        token = self._source.peek() or _as_token((yield self._source.get_token))
        response = yield from self._send(request, token)
        if not self._is_refused(response):
            return
        _raise_step_up(response, token)
        if (
            response.status_code != _UNAUTHORIZED
            or not is_replayable(request)
            # Another token would not help where the proof is refused.
            or (self._proofs is not None and find_proof_error(response))
            or not self._source.report_rejected(token)
        ):
            return
        other = _as_token((yield self._source.get_token))
        if other.access_token == token.access_token:
            # The server has no other token: the API would respond the same.
            return
        # httpx reads this response to its end before it sends the next request.
        response.stream = SmallBody(response.stream)
        response = yield from self._send(request, other)
        origin = origin_of(url).url
        rules._report(RequestReplayed(origin, response.status_code, fingerprint=other.fingerprint))
        if self._is_refused(response):
            _raise_step_up(response, other)

    def _is_refused(self, response: httpx.Response) -> bool:
        # A redirect may have led elsewhere: another server's refusal says nothing of the token.
        url = URL(str(response.url))
        return response.status_code in _REFUSALS and self._rules._allow(url)

    def _send(self, request: httpx.Request, token: Token) -> Sending:
        """Send a request, and sign the hop of a redirect that was refused without a signature."""
        while True:
            if self._proofs is None:
                response = yield from send(request, token)
            else:
                response = yield from self._send_bound(self._proofs, request, token)
            hop = response.request
            if not self._is_unsigned(hop, request, response):
                return response
            # httpx counts each of them as a redirect, so that they end.
            response.stream = SmallBody(response.stream)
            request = hop
            _require_direct(request.url)

    def _is_unsigned(
        self, hop: httpx.Request, request: httpx.Request, response: httpx.Response
    ) -> bool:
        if hop is request or response.status_code != _UNAUTHORIZED or not is_replayable(hop):
            return False
        url = URL(str(hop.url))
        # A bearer token goes with redirects within its origin; a proof is for one request.
        is_signed = self._proofs is None and origin_of(url) == origin_of(URL(str(request.url)))
        return not is_signed and self._rules._allow(url)

    def _send_bound(self, proofs: "RequestProofs", request: httpx.Request, token: Token) -> Sending:
        proofs.require_bound(token)
        url = URL(str(request.url))
        proven = proofs.begin(url)
        try:
            while True:
                response = yield from self._prove(proofs, proven, request, token)
                error = find_proof_error(response)
                is_ours = response.request is request and is_replayable(request)
                if not error or not is_ours or not proven.may_repeat(error):
                    return response
                response.stream = SmallBody(response.stream)
                if error == USE_NONCE:
                    origin = origin_of(url).url
                    self._rules._report(NonceRequired(origin, fingerprint=token.fingerprint))
        finally:
            proven.end()

    def _prove(
        self,
        proofs: "RequestProofs",
        proven: "ProvenRequest",
        request: httpx.Request,
        token: Token,
    ) -> Sending:
        # As httpx sends it: an API compares the target.
        target = URL(str(request.url), encoded=True)

        async def prove() -> str:
            await proven.take_turn()
            return await proofs.prove(request.method, target, token.access_token, proven.view)

        proof = yield prove
        assert isinstance(proof, str)  # noqa: S101 - what was asked for
        last = yield from send_proved(request, token, proof)
        for response in reversed(responses_to(request, last)):
            url = URL(str(response.request.url))
            if self._rules._allow(url):
                date = response.headers.get("Date") if find_proof_error(response) else None
                proofs.learn(url, response.headers.get("DPoP-Nonce"), date)
        return last

    def __repr__(self) -> str:
        return repr(self._rules).replace("BearerMiddleware", "BearerAuth")


class _AsyncFlow(AsyncGenerator[httpx.Request, httpx.Response]):
    """An asynchronous flow that learns for which error it is closed, as a synchronous one does."""

    def __init__(self, flow: AsyncGenerator[httpx.Request, httpx.Response]) -> None:
        self._flow = flow

    async def asend(self, value: httpx.Response) -> httpx.Request:
        """Take a response, and give the next request."""
        return await self._flow.asend(value)

    async def athrow(
        self,
        typ: type[BaseException] | BaseException,
        _value: object = None,
        _traceback: object = None,
    ) -> httpx.Request:
        """Raise an error where the flow waits."""
        return await self._flow.athrow(typ)

    async def aclose(self) -> None:
        """End the flow. A plain asynchronous generator's end has no context."""
        end = GeneratorExit()
        end.__context__ = sys.exception()
        with contextlib.suppress(GeneratorExit, StopAsyncIteration):
            await self.athrow(end)


def _wait_for(wanted: Wanted) -> Token | str:
    async def call() -> Token | str:
        return await wanted()

    _require_no_loop()
    return asyncio.run(call())


def _require_no_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigurationError(
        "httpx.Client must not block a running event loop: use httpx.AsyncClient there"
    )


def _as_token(given: httpx.Response | Token | str) -> Token:
    assert isinstance(given, Token)  # noqa: S101 - what was asked for
    return given


def _raise_step_up(response: httpx.Response, token: Token) -> None:
    """Raise what an API asks for, if its challenge says more than "another token"."""
    challenges = response.headers.get_list("WWW-Authenticate")
    step_up = find_step_up(challenges, sent=(token.access_token,))
    if step_up is not None:
        raise step_up


def _require_direct(url: httpx.URL) -> None:
    if url.scheme != "http":
        return
    proxies = urllib.request.getproxies()
    if not ("http" in proxies or "all" in proxies) or urllib.request.proxy_bypass(url.host):
        return
    raise ConfigurationError(
        "a token goes to http on loopback only directly, and this request would pass a proxy in "
        "clear text: set NO_PROXY=127.0.0.1,localhost"
    )

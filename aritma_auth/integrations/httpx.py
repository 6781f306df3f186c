"""Signs httpx's requests with a bearer token, by the rules of the aiohttp middleware."""
# ruff: noqa: SLF001 - the rules are the middleware's, looked at from inside

import asyncio
import contextlib
import sys
import time
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from yarl import URL

from aritma_auth.errors import ConfigurationError
from aritma_auth.events import Listener, RequestReplayed, log_event
from aritma_auth.optional import require
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.urls import origin_of
from aritma_auth.protocol.www_authenticate import find_step_up
from aritma_auth.provider.middleware import BearerMiddleware
from aritma_auth.provider.provider import TokenProvider

require("httpx", "httpx")

import httpx  # noqa: E402 - the extra comes first

if TYPE_CHECKING:
    from aritma_auth.provider.middleware import BearerTokenSource

__all__ = ["BearerAuth"]

_AUTHORIZATION = "Authorization"
_UNAUTHORIZED = 401
_REFUSALS = frozenset({401, 403})

_SMALL_BODY = 1 << 16
"""Bytes of a refused response that are read before the request is repeated."""

_READ_WITHIN = 1.0
"""Seconds to read them."""


class _Wanted:
    """What the steps of a request yield when they need a token."""


_TOKEN: Final = _Wanted()

_Steps = Generator[httpx.Request | _Wanted, "httpx.Response | Token", None]


class BearerAuth(httpx.Auth):
    """
    Authentication for ``httpx.AsyncClient(auth=...)``, ``httpx.Client(auth=...)`` or one request.

    Only requests to the named origins are signed. The header is removed once the response or an
    error of httpx has come, from the requests of redirects too, and httpx removes it itself where a
    redirect leads to another origin. On a 401 of the API the
    token is refreshed once, however many requests got one, and each request is repeated once, if
    its body can be sent again and the refresh brought a different token. A challenge that asks for
    a wider scope or a stronger sign-in becomes a `StepUpRequiredError`.

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
        ConfigurationError: No origin is given, or one is not https (http is for loopback only);
            or the provider's tokens are bound to a key, which only the aiohttp middleware proves.

    Spec: RFC 6750 §2.1, §3.1, §5.3; RFC 9470 §3.
    """

    def __init__(
        self,
        source: "BearerTokenSource",
        origins: Iterable[str] | None = None,
        *,
        strict: bool = False,
        keep_authorization: bool = False,
        on_event: Listener | None = log_event,
    ) -> None:
        if getattr(source, "proofs", None) is not None:
            raise ConfigurationError(
                "tokens that are bound to a key (DPoP) need a proof with each request: use the "
                "aiohttp middleware of the provider"
            )
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
                if isinstance(step, _Wanted):
                    step = steps.send(await self._source.get_token())
                else:
                    response = yield step
                    step = steps.send(response)
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
                if isinstance(step, _Wanted):
                    step = steps.send(self._wait_for_token())
                else:
                    response = yield step
                    step = steps.send(response)
        except StopIteration:
            return
        finally:
            steps.close()

    def _wait_for_token(self) -> Token:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self._source.get_token())
        raise ConfigurationError(
            "httpx.Client must not block a running event loop: use httpx.AsyncClient there"
        )

    def _steps(self, request: httpx.Request) -> _Steps:
        """Yield what is needed next: a token, or the response to a request."""
        rules, url = self._rules, URL(str(request.url))
        if not rules._allow(url):
            rules._pass_unsigned(url)
            yield request
            return
        if url.scheme == "http":
            _require_direct(url)
        if _AUTHORIZATION in request.headers and rules._keeps(url):
            yield request
            return
        token = self._source.peek() or _as_token((yield _TOKEN))
        response = yield from _send(request, token)
        # A redirect may have led elsewhere: another server's refusal says nothing of the token.
        if response.status_code not in _REFUSALS or not rules._allow(URL(str(response.url))):
            return
        _raise_step_up(response, token)
        is_unauthorized = response.status_code == _UNAUTHORIZED
        # A spent stream would be sent again empty, and nothing would notice.
        is_replayable = isinstance(request.stream, httpx.ByteStream)
        if not (is_unauthorized and is_replayable and self._source.report_rejected(token)):
            return
        other = _as_token((yield _TOKEN))
        if other.access_token == token.access_token:
            # The server has no other token: the API would respond the same.
            return
        # httpx reads this response to its end before it sends the next request.
        response.stream = _SmallBody(response.stream)
        response = yield from _send(request, other)
        origin = origin_of(url).url
        rules._report(RequestReplayed(origin, response.status_code, fingerprint=other.fingerprint))
        if response.status_code in _REFUSALS:
            _raise_step_up(response, other)

    def __repr__(self) -> str:
        return repr(self._rules).replace("BearerMiddleware", "BearerAuth")


class _AsyncFlow(AsyncGenerator[httpx.Request, httpx.Response]):
    """
    An asynchronous flow that learns for which error it is closed, as a synchronous one does.

    Args:
        flow: The flow.
    """

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


def _as_token(given: httpx.Response | Token) -> Token:
    assert isinstance(given, Token)  # noqa: S101 - what was asked for
    return given


def _send(
    request: httpx.Request, token: Token
) -> Generator[httpx.Request, "httpx.Response | Token", httpx.Response]:
    request.headers[_AUTHORIZATION] = token.authorization
    try:
        response = yield request
    except GeneratorExit as end:
        _remove_from_errors(end, token)
        raise
    finally:
        # httpx's errors hold the request.
        request.headers.pop(_AUTHORIZATION, None)
    assert isinstance(response, httpx.Response)  # noqa: S101 - what was asked for
    for each in (response, *response.history):
        each.request.headers.pop(_AUTHORIZATION, None)
    if response.next_request is not None:
        # Of a redirect that is not followed: it is signed when it is sent.
        response.next_request.headers.pop(_AUTHORIZATION, None)
    return response


def _remove_from_errors(end: BaseException, token: Token) -> None:
    """
    Remove the token from the request that an error of httpx holds.

    httpx closes the flow while its error is on its way and does not throw it here, so that it is
    the context of the end. After a redirect it holds another request, with a copy of the header.
    """
    error: BaseException | None = end
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        # An error of httpx that came about without a request says so by a RuntimeError.
        with contextlib.suppress(RuntimeError):
            if isinstance(error, httpx.RequestError | httpx.HTTPStatusError):
                _remove(error.request, token)
        error = error.__context__


def _remove(request: httpx.Request, token: Token) -> None:
    # Another call's error may be further up, with a header of its own.
    if request.headers.get(_AUTHORIZATION) == token.authorization:
        del request.headers[_AUTHORIZATION]


def _raise_step_up(response: httpx.Response, token: Token) -> None:
    """Raise what an API asks for, if its challenge says more than "another token"."""
    challenges = response.headers.get_list("WWW-Authenticate")
    step_up = find_step_up(challenges, sent=(token.access_token,))
    if step_up is not None:
        raise step_up


def _require_direct(url: URL) -> None:
    proxies = urllib.request.getproxies()
    if not ("http" in proxies or "all" in proxies) or urllib.request.proxy_bypass(url.host or ""):
        return
    raise ConfigurationError(
        "a token goes to http on loopback only directly, and this request would pass a proxy in "
        "clear text: set NO_PROXY=127.0.0.1,localhost"
    )


class _SmallBody(httpx.AsyncByteStream, httpx.SyncByteStream):
    """
    The body of a refused response: what is large or slow is not read.

    Args:
        stream: The body as it comes.
    """

    def __init__(self, stream: httpx.AsyncByteStream | httpx.SyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._stream, httpx.AsyncByteStream)  # noqa: S101 - of an AsyncClient
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(_READ_WITHIN):
                async for part in self._stream:
                    parts.append(part)
                    if sum(map(len, parts)) > _SMALL_BODY:
                        return
        except TimeoutError:
            return
        for part in parts:
            yield part

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._stream, httpx.SyncByteStream)  # noqa: S101 - of a Client
        parts: list[bytes] = []
        ends_at = time.monotonic() + _READ_WITHIN
        for part in self._stream:
            parts.append(part)
            if sum(map(len, parts)) > _SMALL_BODY or time.monotonic() > ends_at:
                return
        yield from parts

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        assert isinstance(self._stream, httpx.AsyncByteStream)  # noqa: S101 - as above
        await self._stream.aclose()

    def close(self) -> None:
        """Close the connection, unless the body was read to its end."""
        assert isinstance(self._stream, httpx.SyncByteStream)  # noqa: S101 - as above
        self._stream.close()

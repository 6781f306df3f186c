"""Requests of httpx with a token, which afterwards hold neither token nor proof."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import TypeAlias

from aritma_auth.optional import require
from aritma_auth.protocol.dpop import refuses_proof
from aritma_auth.protocol.tokens import Token

require("httpx", "httpx")

import httpx

_PROOF_REFUSALS = frozenset({400, 401})
"""The second by RFC 9449 §9, the first by some APIs as by a token endpoint."""

_AUTHORIZATION = "Authorization"
_PROOF = "DPoP"

_SMALL_BODY = 1 << 16
"""Bytes of a refused response that are read before the request is repeated."""

_READ_WITHIN = 1.0
"""Seconds to read them."""

Wanted: TypeAlias = Callable[[], Awaitable[Token | str]]
"""What the steps of a request yield when they need what only a coroutine brings."""

Sending: TypeAlias = Generator[httpx.Request | Wanted, httpx.Response | Token | str, httpx.Response]


def send(request: httpx.Request, token: Token) -> Sending:
    """
    Send a request with its token, which nothing that httpx keeps shows afterwards.

    Args:
        request: The request.

        token: Goes with it, and with the redirects that httpx follows within the origin.
    """
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


def send_proved(request: httpx.Request, token: Token, proof: str) -> Sending:
    """
    Send a request with its token and a proof, which redirects do not take along.

    Args:
        request: The request.

        token: Goes with it.

        proof: The proof for this request alone.
    """
    request.headers = _ProvedHeaders(request.headers, proof)
    try:
        return (yield from send(request, token))
    finally:
        request.headers = httpx.Headers(request.headers)


class _ProvedHeaders(httpx.Headers):
    """
    Headers with a proof that transports alone see.

    httpx copies a request's headers to the next hop of a redirect, whatever its origin, and keeps
    them in its errors. A proof is for one request alone.
    """

    def __init__(self, headers: httpx.Headers, proof: str) -> None:
        self._proof = (_PROOF.encode(), proof.encode())
        super().__init__(headers)
        self.pop(_PROOF, None)

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """The headers as transports send them."""
        return [*super().raw, self._proof]


def is_replayable(request: httpx.Request) -> bool:
    """Tell whether a request's body can be sent again."""
    # A spent stream would be sent again empty, and nothing would notice.
    return isinstance(request.stream, httpx.ByteStream)


def find_proof_error(response: httpx.Response) -> str:
    """Return the error code of a refused proof; empty if the response refuses none."""
    if response.status_code not in _PROOF_REFUSALS:
        return ""
    return refuses_proof(response.headers.get_list("WWW-Authenticate"))


def responses_to(request: httpx.Request, last: httpx.Response) -> list[httpx.Response]:
    """Return what a request and the hops after it got, the newest first."""
    found = [last]
    for each in reversed(last.history):
        if found[-1].request is request:
            break
        found.append(each)
    return found


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


class SmallBody(httpx.AsyncByteStream, httpx.SyncByteStream):
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

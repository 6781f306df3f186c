"""Faults of the wire, queued by a test and met by one request after the other."""

import asyncio
import gzip
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from aiohttp.typedefs import Handler

from aritma_auth.errors import require_count

_HOUR = 3600

Fault = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


class Hold:
    """
    Holds requests until it is released.

    Attributes:
        arrived: Requests that it has held so far.
    """

    def __init__(self) -> None:
        self.arrived = 0
        self._released = asyncio.Event()
        self._arrival = asyncio.Condition()

    async def pass_through(self) -> None:
        """Count one request and hold it until the release."""
        async with self._arrival:
            self.arrived += 1
            self._arrival.notify_all()
        await self._released.wait()

    async def until(self, count: int = 1) -> None:
        """
        Wait until requests have arrived.

        Args:
            count: Number of requests.
        """
        require_count("count", count)
        async with self._arrival:
            await self._arrival.wait_for(lambda: self.arrived >= count)

    def release(self) -> None:
        """Release the held requests, and let all that come after them pass."""
        self._released.set()


class FaultQueue:
    """
    The faults of one place, and what was counted there.

    Attributes:
        latency: Delay of every response in seconds.

        count: Requests so far.

        peak: The most requests in flight at the same time.

        drops_kept_alive: Every request on a connection that has carried one before meets its end.
    """

    def __init__(self) -> None:
        self.latency = 0.0
        self.count = 0
        self.peak = 0
        self.drops_kept_alive = False
        self._in_flight = 0
        self._queue: deque[Fault] = deque()
        self._hold: Hold | None = None

    def add(self, fault: Fault, times: int = 1) -> None:
        """
        Queue a fault for the next requests that have none.

        Args:
            fault: The fault.

            times: Number of requests.
        """
        self._queue.extend([fault] * times)

    def clear(self) -> None:
        """Forget the faults that no request has met yet."""
        self._queue.clear()

    def hold(self) -> Hold:
        """Hold every request from now on, until the hold is released."""
        self._hold = Hold()
        return self._hold

    def release(self) -> None:
        """Release whatever is held."""
        if self._hold is not None:
            self._hold.release()

    async def serve(
        self, request: web.Request, handler: Handler, *, is_kept_alive: bool
    ) -> web.StreamResponse:
        """
        Serve one request, with the fault that it meets.

        Args:
            request: The request.

            handler: The route's own handler.

            is_kept_alive: The request's connection has carried one before.
        """
        self.count += 1
        self._in_flight += 1
        self.peak = max(self.peak, self._in_flight)
        try:
            if is_kept_alive and self.drops_kept_alive:
                return _close_connection(request)
            fault = self._queue.popleft() if self._queue else None
            if self._hold is not None:
                await self._hold.pass_through()
            if self.latency:
                await asyncio.sleep(self.latency)
            return await (handler(request) if fault is None else fault(request, handler))
        finally:
            self._in_flight -= 1


def respond(status: int, body: bytes, headers: Mapping[str, str]) -> Fault:
    """Respond with something else; the request is not processed."""

    async def fault(_request: web.Request, _handler: Handler) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return fault


def delay(seconds: float) -> Fault:
    """Process the request, and respond so much later."""

    async def fault(request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await handler(request)

    return fault


def drop(*, processed: bool) -> Fault:
    """Close the connection without a response, before or after processing the request."""

    async def fault(request: web.Request, handler: Handler) -> web.StreamResponse:
        if processed:
            await handler(request)
        return _close_connection(request)

    return fault


def truncate() -> Fault:
    """Promise a longer body than is sent, then close the connection."""

    async def fault(request: web.Request, _handler: Handler) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"access_token":"')
        _close_connection(request)
        return response

    return fault


def hang() -> Fault:
    """Never respond; the request ends with its connection, or with the sandbox."""

    async def fault(_request: web.Request, _handler: Handler) -> web.StreamResponse:
        while True:  # noqa: ASYNC110 - nothing but cancellation ends it
            await asyncio.sleep(_HOUR)

    return fault


def stall(status: int, headers: Mapping[str, str]) -> Fault:
    """Send the header and the first byte of a body, then nothing more."""

    async def fault(request: web.Request, _handler: Handler) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={**headers, "Content-Length": "60"})
        await response.prepare(request)
        await response.write(b" ")
        while True:  # noqa: ASYNC110 - nothing but cancellation ends it
            await asyncio.sleep(_HOUR)

    return fault


def send_raw(octets: bytes) -> Fault:
    """Write bytes to the connection as they are, without HTTP of the server's own, and close it."""

    async def fault(request: web.Request, _handler: Handler) -> web.StreamResponse:
        if (transport := request.transport) is not None:
            transport.write(octets)
            transport.close()
        return web.Response(status=500)

    return fault


def endless(interval: float, chunk: bytes) -> Fault:
    """Send the same chunk again and again, with seconds in between."""

    async def fault(request: web.Request, _handler: Handler) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(chunk)
            await asyncio.sleep(interval)

    return fault


def gzip_bomb(size: int) -> Fault:
    """Send a small body that unpacks to so many bytes."""
    packed = gzip.compress(b" " * size)
    return respond(200, packed, {"Content-Type": "application/json", "Content-Encoding": "gzip"})


def _close_connection(request: web.Request) -> web.StreamResponse:
    if (transport := request.transport) is not None:
        transport.abort()
    return web.Response(status=500)

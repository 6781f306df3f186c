"""What can go wrong on a wire: faults, queued by a test and met one request after the other."""

import asyncio
import gzip
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Fault = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


class Gate:
    """
    Holds requests until it is released.

    Attributes:
        arrived: Requests that it has held so far.
    """

    def __init__(self) -> None:
        self.arrived = 0
        self._released = asyncio.Event()
        self._arrival = asyncio.Condition()

    async def hold(self) -> None:
        """Hold one request."""
        async with self._arrival:
            self.arrived += 1
            self._arrival.notify_all()
        await self._released.wait()

    async def until(self, count: int = 1) -> None:
        """
        Wait until requests have arrived.

        Args:
            count: How many.
        """
        async with self._arrival:
            await self._arrival.wait_for(lambda: self.arrived >= count)

    def release(self) -> None:
        """Let the held requests go on, and all that come after them."""
        self._released.set()


class Faults:
    """
    The faults of one place.

    Attributes:
        latency: Seconds by which every answer is late.

        count: Requests so far.

        peak: Requests at the same time at most.
    """

    def __init__(self) -> None:
        self.latency = 0.0
        self.count = 0
        self.peak = 0
        self._now = 0
        self._queue: deque[Fault] = deque()
        self._gate: Gate | None = None

    def add(self, fault: Fault, times: int = 1) -> None:
        """
        Queue a fault.

        Args:
            fault: What happens to the next request without one.

            times: To how many requests.
        """
        self._queue.extend([fault] * times)

    def hold(self) -> Gate:
        """Hold every request from now on, until the gate is released."""
        self._gate = Gate()
        return self._gate

    def release(self) -> None:
        """Release whatever is held."""
        if self._gate is not None:
            self._gate.release()

    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """
        Serve one request, with whatever is to go wrong.

        Args:
            request: The request.

            handler: What answers it when nothing goes wrong.
        """
        self.count += 1
        self._now += 1
        self.peak = max(self.peak, self._now)
        try:
            fault = self._queue.popleft() if self._queue else None
            if self._gate is not None:
                await self._gate.hold()
            if self.latency:
                await asyncio.sleep(self.latency)
            return await (handler(request) if fault is None else fault(request, handler))
        finally:
            self._now -= 1


def answer(status: int, body: bytes, headers: Mapping[str, str]) -> Fault:
    """
    Answer something else.

    Args:
        status: HTTP status.

        body: The body as it is.

        headers: Header fields.
    """

    async def fault(_request: web.Request, _handler: Handler) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return fault


def delay(seconds: float) -> Fault:
    """
    Answer late.

    Args:
        seconds: How late.
    """

    async def fault(request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await handler(request)

    return fault


def drop(*, processed: bool) -> Fault:
    """
    Close the connection without an answer.

    Args:
        processed: The server has acted on the request before.
    """

    async def fault(request: web.Request, handler: Handler) -> web.StreamResponse:
        if processed:
            await handler(request)
        return _cut(request)

    return fault


def truncate() -> Fault:
    """Promise a longer body than is sent, then close the connection."""

    async def fault(request: web.Request, _handler: Handler) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"access_token":"')
        _cut(request)
        return response

    return fault


def endless(interval: float, chunk: bytes) -> Fault:
    """
    Send a body that never ends.

    Args:
        interval: Seconds between two chunks.

        chunk: What is sent again and again.
    """

    async def fault(request: web.Request, _handler: Handler) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(chunk)
            await asyncio.sleep(interval)

    return fault


def gzip_bomb(size: int) -> Fault:
    """
    Send a small body that says it unpacks to a large one.

    Args:
        size: Bytes when unpacked.
    """
    packed = gzip.compress(b" " * size)
    return answer(200, packed, {"Content-Type": "application/json", "Content-Encoding": "gzip"})


def _cut(request: web.Request) -> web.StreamResponse:
    if (transport := request.transport) is not None:
        transport.abort()
    return web.Response(status=500)

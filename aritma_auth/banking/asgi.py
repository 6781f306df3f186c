"""The ASGI side of a receiver of events: plain messages, so that no framework is imported."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol, cast

from aritma_auth.errors import ConfigurationError

Scope = Mapping[str, object]
Message = dict[str, object]


class Reply(Protocol):
    """What to respond with: `EventReply`."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields."""
        ...


async def serve(
    respond: Callable[..., Awaitable[Reply]],
    scope: Scope,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """
    Serve one connection: a request, or the server's start and end if the receiver runs alone.

    Args:
        respond: `EventReceiver.receive`.

        scope: The connection.

        receive: Gives its messages.

        send: Takes ours.

    Raises:
        ConfigurationError: It is a WebSocket.

    Spec: ASGI 3.0.
    """
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    if scope["type"] != "http":
        raise ConfigurationError("a receiver of events must be served by HTTP, not by a WebSocket")
    headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
    reply = await respond(
        cast("str", scope["method"]),
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers],
        _body(receive),
    )
    fields = {**reply.headers, "Content-Length": "0"}
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
        }
    )
    await send({"type": "http.response.body", "body": b""})


async def _body(receive: Callable[[], Awaitable[Message]]) -> AsyncIterator[bytes]:
    is_more = True
    while is_more:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionError("the client has gone")
        yield cast("bytes", message.get("body", b""))
        is_more = bool(message.get("more_body", False))


async def _live(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})

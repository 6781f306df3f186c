"""ASGI applications on loopback, served by uvicorn."""

import asyncio
import contextlib
import socket

import uvicorn


def listen():
    """Listen on a free port; give the socket and the base URL, without trailing slash."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, base_url(listener)


def base_url(listener):
    """Give the URL at which a socket listens."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


class _AnnouncedServer(uvicorn.Server):
    """A server with an event that is set as soon as it listens."""

    def __init__(self, config):
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.is_up.set()


@contextlib.asynccontextmanager
async def serving_asgi(app, listener=None, **settings):
    """Serve an application on a port of its own, or on a socket that listens; give the base URL."""
    listener = listener or listen()[0]
    server = _AnnouncedServer(uvicorn.Config(app, log_level="critical", ws="none", **settings))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await server.is_up.wait()
    try:
        yield base_url(listener)
    finally:
        server.should_exit = True
        await task

"""An ASGI application on loopback, served by uvicorn."""

import asyncio
import contextlib
import socket

import uvicorn


class _AnnouncedServer(uvicorn.Server):
    """A server with an event that is set as soon as it listens."""

    def __init__(self, config):
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.is_up.set()


@contextlib.asynccontextmanager
async def serving_asgi(app):
    """Serve an application; give the base URL, without trailing slash."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = _AnnouncedServer(uvicorn.Config(app, log_level="critical", ws="none"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await server.is_up.wait()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task

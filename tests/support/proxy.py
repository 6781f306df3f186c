"""A way to a server on which responses get lost."""

import asyncio
import contextlib


class Proxy:
    """
    Passes on what comes to a local port; what goes wrong is set from outside.

    Attributes:
        requests: All that was passed on.

        is_mute: Requests arrive, answers are lost.

        cuts: So many answers are replaced by the end of their connection.
    """

    def __init__(self, target):
        self.requests = b""
        self.is_mute = False
        self.cuts = 0
        self._target = target
        self._more = asyncio.Event()
        self._tasks = set()

    def connected(self, reader, writer):
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader, writer):
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            # The server is being started again.
            writer.close()
            return
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._ask(reader, back))
                ways.create_task(self._answer(there, writer))
        finally:
            for end in (writer, back):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _ask(self, reader, back):
        while data := await _read(reader):
            self.requests += data
            self._more.set()
            back.write(data)
        back.close()

    async def _answer(self, there, writer):
        while data := await _read(there):
            if self.cuts:
                self.cuts -= 1
                break
            if not self.is_mute:
                writer.write(data)
        writer.close()

    async def arrived(self, text):
        """Wait until a request with this text has come."""
        while text not in self.requests:
            self._more.clear()
            await self._more.wait()

    async def close(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _read(reader):
    try:
        return await reader.read(65536)
    except OSError:
        return b""


@contextlib.asynccontextmanager
async def proxied(target, *, ssl_context=None):
    """Give a proxy for a local port; `port` is its own, and `url` is Redis's way to say so."""
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.connected, "127.0.0.1", 0, ssl=ssl_context)
    proxy.port = server.sockets[0].getsockname()[1]
    proxy.url = f"redis://127.0.0.1:{proxy.port}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()

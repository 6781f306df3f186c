"""An HTTP proxy on loopback that opens tunnels, or refuses to."""

import asyncio
import contextlib


class ConnectProxy:
    """
    Opens a tunnel for each CONNECT.

    Attributes:
        heads: The head of each request, as it came.

        status: What the proxy responds; with 200 it opens the tunnel.

        authorization: The Proxy-Authorization that it demands, or None.
    """

    def __init__(self):
        self.heads = []
        self.status = 200
        self.authorization = None
        self._tasks = set()

    def connected(self, reader, writer):
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        method, target, _ = head.split(" ", 2)
        status = self.status
        if self.authorization and f"Proxy-Authorization: {self.authorization}\r\n" not in head:
            status = 407
        if method != "CONNECT":
            status = 405
        writer.write(f"HTTP/1.1 {status} Status\r\nContent-Length: 0\r\n\r\n".encode())
        if status == 200:
            host, _, port = target.rpartition(":")
            there, back = await asyncio.open_connection(host, int(port))
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
        writer.close()

    async def close(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pass_on(reader, writer):
    try:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
    finally:
        # A tunnel that is still open when the proxy ends.
        writer.close()


@contextlib.asynccontextmanager
async def connect_proxy():
    """Give a proxy; `url` is its address."""
    proxy = ConnectProxy()
    server = await asyncio.start_server(proxy.connected, "127.0.0.1", 0)
    proxy.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    proxy.url = f"http://{proxy.address}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()

"""The server's end of a connection: HTTP/1.1 as bytes, one request each."""

import json
from urllib.parse import parse_qs

import attrs


@attrs.frozen
class Request:
    """A request as it arrived; its header fields have lower-case names."""

    method: str
    path: str
    headers: dict
    body: bytes

    def form(self):
        """Parse the body as a form."""
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    def json(self):
        """Parse the body as JSON."""
        return json.loads(self.body or b"{}")


class Peer:
    """
    The server's end of one connection.

    Args:
        server: Its ``handle`` acts on a request, and its ``think`` gives the seconds that it takes.

        connection: The connection.

    Attributes:
        presentation: What is told when the response has arrived, or None.
    """

    def __init__(self, server, connection):
        self.server = server
        self.connection = connection
        self.presentation = None
        self._buffer = b""

    def received(self, data):
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lines = head.decode().split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (ln.partition(":") for ln in lines[1:])
        }
        if len(body) < int(headers.get("content-length", 0)):
            return
        self._buffer = b""
        method, path, _ = lines[0].split(" ")
        self.server.handle(self, Request(method, path, headers, body))

    def send(self, status, body, media_type, *headers):
        lines = [
            f"HTTP/1.1 {status} Said",
            f"Content-Type: {media_type}",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in headers),
        ]
        message = "\r\n".join([*lines, "", body]).encode()
        self.server.universe.after(self.server.think(), lambda: self.connection.respond(message))

    def delivered(self):
        if self.presentation is not None:
            self.presentation.delivered_at = self.server.universe.now

    def lost(self):
        pass

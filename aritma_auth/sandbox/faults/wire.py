"""What goes wrong on the wire: late, lost, broken off, or no OAuth response at all."""

from collections.abc import Mapping

from aritma_auth.errors import require_count, require_flag, require_instance, require_seconds
from aritma_auth.sandbox.arguments import (
    require_headers,
    require_known,
    require_text,
    require_times,
)
from aritma_auth.sandbox.faults import injection
from aritma_auth.sandbox.faults.echo import PLACES_IN_RESPONSE, SPELLINGS, echo
from aritma_auth.sandbox.faults.injection import Fault, FaultQueue, Hold

_ENDPOINTS = (
    "token",
    "discovery",
    "jwks",
    "authorize",
    "userinfo",
    "introspect",
    "revocation",
    "deviceauthorization",
    "par",
    "ciba",
    "dcr",
    "endsession",
)
PLACES = ("api", *_ENDPOINTS)
"""Where faults may happen: the Banking APIs, and the identity server's endpoints."""

_MAX_SIZE = 1 << 30

_PAGES = {
    "gateway": (b"<!doctype html><title>Bad Gateway</title><h1>502 Bad Gateway</h1>", "text/html"),
    "ingress": (b"default backend - 404", "text/plain; charset=utf-8"),
    "firewall": (b"<html><head><title>403 Forbidden</title></head>Forbidden</html>", "text/html"),
    "empty": (b"", None),
}
"""What stands in front of a server sends such bodies; an empty one comes without a media type."""


def place_of(path: str) -> str | None:
    """
    Give the place of a request to the identity server; pages have none.

    Args:
        path: The request's path.
    """
    if "/.well-known/" in path:
        return "jwks" if path.endswith("/jwks") else "discovery"
    if path.startswith("/connect/dcr/"):
        # The client's identifier is at the end of what manages its registration.
        return "dcr"
    head, _, name = path.rpartition("/")
    return name if head.endswith("/connect") and name in _ENDPOINTS else None


class WireFaults:
    """The faults that need no knowledge of what is sent; ``where`` is one of `PLACES`."""

    def __init__(self) -> None:
        self._queues = {place: FaultQueue() for place in PLACES}

    def at(self, where: str) -> FaultQueue:
        """
        Give the faults of one place, and its counts.

        Args:
            where: One of the places.

        Raises:
            ConfigurationError: There is no such place.
        """
        return self._queues[require_known("where", where, PLACES)]

    def hold(self, where: str = "token") -> Hold:
        """
        Hold requests until the hold is released.

        Args:
            where: One of the places.
        """
        return self.at(where).hold()

    def release_all(self) -> None:
        """Release every request that is held anywhere."""
        for queue in self._queues.values():
            queue.release()

    def set_latency(self, seconds: float, where: str = "token") -> None:
        """
        Make every response late.

        Args:
            seconds: Delay of each response.

            where: One of the places.
        """
        require_seconds("seconds", seconds)
        self.at(where).latency = seconds

    def delay_next(self, seconds: float, *, times: int = 1, where: str = "token") -> None:
        """
        Make the next responses late.

        Args:
            seconds: Delay of each response.

            times: Number of responses.

            where: One of the places.
        """
        require_seconds("seconds", seconds)
        self._add(injection.delay(seconds), times, where)

    def fail_next(
        self,
        status: int,
        *,
        page: str = "gateway",
        retry_after: float | str | None = None,
        times: int = 1,
        where: str = "token",
    ) -> None:
        """
        Respond to the next requests with an error page that is no OAuth response.

        Args:
            status: HTTP status.

            page: ``gateway`` and ``firewall`` for HTML, ``ingress`` for a plain text, or ``empty``.

            retry_after: ``Retry-After`` as seconds or as an HTTP date.

            times: Number of requests.

            where: One of the places.
        """
        _require_status(status)
        body, media_type = _PAGES[require_known("page", page, _PAGES)]
        headers = {} if media_type is None else {"Content-Type": media_type}
        if retry_after is not None:
            if not isinstance(retry_after, str):
                require_seconds("retry_after", retry_after)
            headers["Retry-After"] = str(retry_after)
        self._add(injection.respond(status, body, headers), times, where)

    def respond_next(
        self,
        body: bytes,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        where: str = "token",
    ) -> None:
        """
        Respond to the next requests with anything at all.

        Args:
            body: The body as it is.

            status: HTTP status.

            headers: Header fields; JSON's media type by default.

            times: Number of requests.

            where: One of the places.
        """
        _require_octets("body", body)
        _require_status(status)
        require_headers(headers)
        fields = {"Content-Type": "application/json"} if headers is None else headers
        self._add(injection.respond(status, body, fields), times, where)

    def send_raw_next(self, octets: bytes, *, times: int = 1, where: str = "token") -> None:
        """
        Write bytes to the connections of the next requests, and close them.

        For what no HTTP server writes: HTTP/1.0, odd headers, a response without a reason phrase.

        Args:
            octets: The whole response, status line and header included.

            times: Number of requests.

            where: One of the places.
        """
        _require_octets("octets", octets)
        self._add(injection.send_raw(octets), times, where)

    def redirect_next(self, location: str, *, status: int = 307, where: str = "token") -> None:
        """
        Redirect the next request.

        Args:
            location: The address to redirect to.

            status: HTTP status.

            where: One of the places.
        """
        require_text("location", location)
        self.respond_next(b"", status=status, headers={"Location": location}, where=where)

    def echo_next(
        self,
        spelling: str = "raw",
        place: str = "error_description",
        *,
        status: int = 400,
        times: int = 1,
        where: str = "token",
    ) -> None:
        """
        Repeat the secrets of the next requests in the responses.

        Args:
            spelling: How each secret is written: ``raw``, ``form``, ``percent``, ``uri``, ``json``,
                ``unicode-escapes``, ``html``, ``hex``, ``base64`` or ``base64url``.

            place: The text that repeats them: ``error``, ``error_description``, ``error_uri``, an
                unknown ``member``, ``token_type`` or ``scope`` of a success response, an ``html``
                or ``text`` body, a ``challenge``, or ``problem`` details.

            status: HTTP status of an error.

            times: Number of requests.

            where: One of the places.
        """
        require_known("spelling", spelling, SPELLINGS)
        require_known("place", place, PLACES_IN_RESPONSE)
        _require_status(status)
        self._add(echo(spelling, place, status), times, where)

    def drop_kept_alive(self, where: str = "token", *, is_on: bool = True) -> None:
        """
        Close each connection that was kept alive when the next request arrives on it.

        Servers do so when their keep-alive time ends. A request on a fresh connection is processed.

        Args:
            where: One of the places.

            is_on: False stops it.
        """
        require_flag("is_on", is_on)
        self.at(where).drops_kept_alive = is_on

    def hang_next(self, *, times: int = 1, where: str = "token") -> None:
        """
        Never respond to the next requests.

        Args:
            times: Number of requests.

            where: One of the places.
        """
        self._add(injection.hang(), times, where)

    def stall_next(
        self,
        status: int = 200,
        *,
        headers: Mapping[str, str] | None = None,
        where: str = "token",
    ) -> None:
        """
        Respond to the next request with a header and the first byte of a body, then nothing more.

        Args:
            status: HTTP status.

            headers: Header fields; JSON's media type by default.

            where: One of the places.
        """
        _require_status(status)
        require_headers(headers)
        fields = {"Content-Type": "application/json"} if headers is None else headers
        self._add(injection.stall(status, fields), 1, where)

    def drop_next(self, *, times: int = 1, where: str = "token") -> None:
        """
        Close the connection before the next requests are processed.

        Args:
            times: Number of requests.

            where: One of the places.
        """
        self._add(injection.drop(processed=False), times, where)

    def lose_response_next(self, *, times: int = 1, where: str = "token") -> None:
        """
        Close the connection after the next requests were processed, without a response.

        Args:
            times: Number of requests.

            where: One of the places.
        """
        self._add(injection.drop(processed=True), times, where)

    def truncate_next(self, *, where: str = "token") -> None:
        """
        Break the next response off in its middle.

        Args:
            where: One of the places.
        """
        self._add(injection.truncate(), 1, where)

    def flood_next(self, *, where: str = "token") -> None:
        """
        Respond to the next request with a body that never ends.

        Args:
            where: One of the places.
        """
        self._add(injection.endless(0, b" " * 65536), 1, where)

    def drip_next(self, interval: float = 0.05, *, where: str = "token") -> None:
        """
        Respond to the next request byte by byte, for ever.

        Args:
            interval: Seconds between two bytes.

            where: One of the places.
        """
        require_seconds("interval", interval)
        self._add(injection.endless(interval, b" "), 1, where)

    def bomb_next(self, size: int = 1 << 26, *, where: str = "token") -> None:
        """
        Respond to the next request with a small body that unpacks to a large one.

        Args:
            size: Bytes when unpacked.

            where: One of the places.
        """
        require_count("size", size, least=1, most=_MAX_SIZE)
        self._add(injection.gzip_bomb(size), 1, where)

    def _add(self, fault: Fault, times: int, where: str) -> None:
        require_times(times)
        self.at(where).add(fault, times)


def _require_status(given: object) -> None:
    require_count("status", given, least=100, most=999)


def _require_octets(name: str, given: object) -> None:
    require_instance(name, "bytes", given, bytes)

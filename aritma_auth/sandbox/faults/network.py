"""Everything that can go wrong between a client and the sandbox, pulled by levers."""

from collections.abc import Mapping

from aritma_auth.sandbox.faults import injection
from aritma_auth.sandbox.faults.injection import Gate
from aritma_auth.sandbox.state import SandboxState

_HTML = "<!doctype html><title>Bad Gateway</title><h1>502 Bad Gateway</h1>"


class Meddling(SandboxState):
    """
    The levers of the wire.

    Each takes ``where``: ``api`` for the Banking APIs, else the identity server's ``token``,
    ``discovery``, ``jwks``, ``authorize``, ``userinfo``, ``introspect``, ``revocation``,
    ``deviceauthorization`` or ``endsession``.
    """

    def hold(self, where: str = "token") -> Gate:
        """
        Hold requests until the gate is released.

        Args:
            where: One of the places.
        """
        return self._place(where).hold()

    def set_latency(self, seconds: float, where: str = "token") -> None:
        """
        Make every answer late.

        Args:
            seconds: How late.

            where: One of the places.
        """
        self._place(where).latency = seconds

    def delay_next(self, seconds: float, *, times: int = 1, where: str = "token") -> None:
        """
        Make the next answers late.

        Args:
            seconds: How late.

            times: How many answers.

            where: One of the places.
        """
        self._place(where).add(injection.delay(seconds), times)

    def fail_next(
        self,
        status: int,
        *,
        retry_after: float | str | None = None,
        times: int = 1,
        where: str = "token",
    ) -> None:
        """
        Answer the next requests with a gateway's error page.

        Args:
            status: HTTP status.

            retry_after: ``Retry-After`` as seconds or as a date.

            times: How many requests.

            where: One of the places.
        """
        headers = {"Content-Type": "text/html"}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        self._place(where).add(injection.answer(status, _HTML.encode(), headers), times)

    def answer_next(
        self,
        body: bytes,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        where: str = "token",
    ) -> None:
        """
        Answer the next requests with anything at all.

        Args:
            body: The body as it is.

            status: HTTP status.

            headers: Header fields; JSON's media type by default.

            times: How many requests.

            where: One of the places.
        """
        fields = {"Content-Type": "application/json"} if headers is None else headers
        self._place(where).add(injection.answer(status, body, fields), times)

    def redirect_next(self, location: str, *, status: int = 307, where: str = "token") -> None:
        """
        Redirect the next request.

        Args:
            location: Where to.

            status: HTTP status.

            where: One of the places.
        """
        self.answer_next(b"", status=status, headers={"Location": location}, where=where)

    def drop_next(self, *, times: int = 1, where: str = "token") -> None:
        """
        Close the connection before the next requests are worked on.

        Args:
            times: How many requests.

            where: One of the places.
        """
        self._place(where).add(injection.drop(processed=False), times)

    def lose_answer_next(self, *, times: int = 1, where: str = "token") -> None:
        """
        Close the connection after the next requests were worked on: the answer is lost.

        Args:
            times: How many requests.

            where: One of the places.
        """
        self._place(where).add(injection.drop(processed=True), times)

    def truncate_next(self, *, where: str = "token") -> None:
        """
        Break the next answer off in its middle.

        Args:
            where: One of the places.
        """
        self._place(where).add(injection.truncate())

    def flood_next(self, *, where: str = "token") -> None:
        """
        Answer the next request with a body that never ends.

        Args:
            where: One of the places.
        """
        self._place(where).add(injection.endless(0, b" " * 65536))

    def drip_next(self, interval: float = 0.05, *, where: str = "token") -> None:
        """
        Answer the next request byte by byte, for ever.

        Args:
            interval: Seconds between two bytes.

            where: One of the places.
        """
        self._place(where).add(injection.endless(interval, b" "))

    def bomb_next(self, size: int = 1 << 26, *, where: str = "token") -> None:
        """
        Answer the next request with a small body that unpacks to a large one.

        Args:
            size: Bytes when unpacked.

            where: One of the places.
        """
        self._place(where).add(injection.gzip_bomb(size))

"""What a test makes go wrong: on the wire, and with tokens, keys and authorization requests."""

from collections import deque
from collections.abc import Mapping

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox.faults import injection
from aritma_auth.sandbox.faults.injection import FaultQueue, Hold
from aritma_auth.sandbox.identity.keys import DECOY, signing_key
from aritma_auth.sandbox.identity.refresh_tokens import RefreshTokens
from aritma_auth.sandbox.identity.token_issuer import TokenIssuer
from aritma_auth.sandbox.overrides import ResponseOverrides

_ENDPOINTS = (
    "token",
    "discovery",
    "jwks",
    "authorize",
    "userinfo",
    "introspect",
    "revocation",
    "deviceauthorization",
    "endsession",
)
PLACES = ("api", *_ENDPOINTS)
"""Where faults may happen: the Banking APIs, and the identity server's endpoints."""

_HTML = "<!doctype html><title>Bad Gateway</title><h1>502 Bad Gateway</h1>"


def place_of(path: str) -> str | None:
    """
    Give the place of a request to the identity server; pages have none.

    Args:
        path: The request's path.
    """
    if "/.well-known/" in path:
        return "jwks" if path.endswith("/jwks") else "discovery"
    head, _, name = path.rpartition("/")
    return name if head.endswith("/connect") and name in _ENDPOINTS else None


class Faults:
    """
    The faults of one sandbox; ``sandbox.faults`` is one.

    Those of the wire take ``where``: ``api`` for the Banking APIs, else the identity server's
    ``token``, ``discovery``, ``jwks``, ``authorize``, ``userinfo``, ``introspect``, ``revocation``,
    ``deviceauthorization`` or ``endsession``.

    Args:
        issuer: Knows the access tokens.

        refresh_tokens: Knows the refresh tokens.

        overrides: Where decoy keys are published.
    """

    def __init__(
        self, issuer: TokenIssuer, refresh_tokens: RefreshTokens, overrides: ResponseOverrides
    ) -> None:
        self._issuer = issuer
        self._refresh_tokens = refresh_tokens
        self._overrides = overrides
        self._queues = {place: FaultQueue() for place in PLACES}
        self._denials: deque[tuple[str, str | None]] = deque()

    def at(self, where: str) -> FaultQueue:
        """
        Give the faults of one place, and its counts.

        Args:
            where: One of the places.

        Raises:
            ConfigurationError: There is no such place.
        """
        queue = self._queues.get(where)
        if queue is None:
            raise ConfigurationError(f"where must be one of {', '.join(PLACES)}, not {where!r}")
        return queue

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
        self.at(where).latency = seconds

    def delay_next(self, seconds: float, *, times: int = 1, where: str = "token") -> None:
        """
        Make the next responses late.

        Args:
            seconds: Delay of each response.

            times: Number of responses.

            where: One of the places.
        """
        self.at(where).add(injection.delay(seconds), times)

    def fail_next(
        self,
        status: int,
        *,
        retry_after: float | str | None = None,
        times: int = 1,
        where: str = "token",
    ) -> None:
        """
        Respond to the next requests with a gateway's error page.

        Args:
            status: HTTP status.

            retry_after: ``Retry-After`` as seconds or as an HTTP date.

            times: Number of requests.

            where: One of the places.
        """
        headers = {"Content-Type": "text/html"}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        self.at(where).add(injection.respond(status, _HTML.encode(), headers), times)

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
        fields = {"Content-Type": "application/json"} if headers is None else headers
        self.at(where).add(injection.respond(status, body, fields), times)

    def redirect_next(self, location: str, *, status: int = 307, where: str = "token") -> None:
        """
        Redirect the next request.

        Args:
            location: The address to redirect to.

            status: HTTP status.

            where: One of the places.
        """
        self.respond_next(b"", status=status, headers={"Location": location}, where=where)

    def drop_next(self, *, times: int = 1, where: str = "token") -> None:
        """
        Close the connection before the next requests are processed.

        Args:
            times: Number of requests.

            where: One of the places.
        """
        self.at(where).add(injection.drop(processed=False), times)

    def lose_response_next(self, *, times: int = 1, where: str = "token") -> None:
        """
        Close the connection after the next requests were processed, without a response.

        Args:
            times: Number of requests.

            where: One of the places.
        """
        self.at(where).add(injection.drop(processed=True), times)

    def truncate_next(self, *, where: str = "token") -> None:
        """
        Break the next response off in its middle.

        Args:
            where: One of the places.
        """
        self.at(where).add(injection.truncate())

    def flood_next(self, *, where: str = "token") -> None:
        """
        Respond to the next request with a body that never ends.

        Args:
            where: One of the places.
        """
        self.at(where).add(injection.endless(0, b" " * 65536))

    def drip_next(self, interval: float = 0.05, *, where: str = "token") -> None:
        """
        Respond to the next request byte by byte, for ever.

        Args:
            interval: Seconds between two bytes.

            where: One of the places.
        """
        self.at(where).add(injection.endless(interval, b" "))

    def bomb_next(self, size: int = 1 << 26, *, where: str = "token") -> None:
        """
        Respond to the next request with a small body that unpacks to a large one.

        Args:
            size: Bytes when unpacked.

            where: One of the places.
        """
        self.at(where).add(injection.gzip_bomb(size))

    def deny_next(self, error: str = "access_denied", description: str | None = None) -> None:
        """
        Respond to the next authorization request with an error.

        Errors that IdentityServer never sends back are shown on its own page instead.

        Args:
            error: The error code.

            description: Its ``error_description``, or None.
        """
        self._denials.append((error, description))

    def take_denial(self) -> tuple[str, str | None] | None:
        """Give the error that a test has planned for this authorization request, if any."""
        return self._denials.popleft() if self._denials else None

    def revoke_all(self, *, refresh_tokens: bool = False) -> None:
        """
        Revoke every access token issued so far: the APIs respond with 401.

        Args:
            refresh_tokens: The refresh tokens too; refreshing is then ``invalid_grant``.
        """
        self._issuer.revoke_all()
        if refresh_tokens:
            self._refresh_tokens.revoke_all()

    def publish_decoys(self) -> None:
        """
        Publish keys under the valid key's id that must not verify anything.

        Each has another type, algorithm or use, or is malformed.
        """
        valid = self._issuer.keys[0].public
        other = signing_key(DECOY).public["n"]
        curve = {"crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}
        point = {"y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
        self._overrides.keys += [
            {"kty": "EC", "kid": valid["kid"], "use": "sig", "alg": "ES256", **curve, **point},
            {**valid, "n": other, "use": "enc", "alg": "RSA-OAEP"},
            {**valid, "n": other, "alg": "RS512"},
            {"kty": "XYZ", "kid": valid["kid"]},
            {"kty": "RSA", "kid": valid["kid"], "use": "sig", "alg": "RS256"},
        ]

"""What a test makes go wrong: on the wire, and with tokens, keys and authorization requests."""

from collections import deque
from collections.abc import Iterable, Mapping

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox.faults import injection
from aritma_auth.sandbox.faults.echo import PLACES_IN_RESPONSE, SPELLINGS, echo
from aritma_auth.sandbox.faults.injection import FaultQueue, Hold
from aritma_auth.sandbox.identity.certificates import ClientCertificates
from aritma_auth.sandbox.identity.keys import DECOY, signing_key
from aritma_auth.sandbox.identity.proofs import Nonces, ProofValidator
from aritma_auth.sandbox.identity.pushed_requests import PushedRequests
from aritma_auth.sandbox.identity.refresh_tokens import RefreshTokens
from aritma_auth.sandbox.identity.request_objects import RequestObjects
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
    "par",
    "ciba",
    "endsession",
)
PLACES = ("api", *_ENDPOINTS)
"""Where faults may happen: the Banking APIs, and the identity server's endpoints."""

_PAGES = {
    "gateway": (b"<!doctype html><title>Bad Gateway</title><h1>502 Bad Gateway</h1>", "text/html"),
    "ingress": (b"default backend - 404", "text/plain; charset=utf-8"),
    "firewall": (b"<html><head><title>403 Forbidden</title></head>Forbidden</html>", "text/html"),
    "empty": (b"", None),
}
"""What stands in front of a server sends such bodies; an empty one comes without a media type."""


def _require_known(name: str, value: str, known: Iterable[str]) -> str:
    if value not in known:
        raise ConfigurationError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    return value


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
    ``deviceauthorization``, ``par``, ``ciba`` or ``endsession``.

    Args:
        issuer: Knows the access tokens.

        refresh_tokens: Knows the refresh tokens.

        pushed_requests: Knows the pushed authorization requests.

        request_objects: Verifies the signed ones.

        overrides: Where decoy keys are published.

        proofs: Validates the DPoP proofs, and knows their nonces.

        certificates: Knows the clients' certificates.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        refresh_tokens: RefreshTokens,
        pushed_requests: PushedRequests,
        request_objects: RequestObjects,
        overrides: ResponseOverrides,
        proofs: ProofValidator,
        certificates: ClientCertificates,
    ) -> None:
        self._issuer = issuer
        self._refresh_tokens = refresh_tokens
        self._pushed_requests = pushed_requests
        self._request_objects = request_objects
        self._overrides = overrides
        self._proofs = proofs
        self._certificates = certificates
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
        return self._queues[_require_known("where", where, PLACES)]

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
        body, media_type = _PAGES[_require_known("page", page, _PAGES)]
        headers = {} if media_type is None else {"Content-Type": media_type}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        self.at(where).add(injection.respond(status, body, headers), times)

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

    def send_raw_next(self, octets: bytes, *, times: int = 1, where: str = "token") -> None:
        """
        Write bytes to the connections of the next requests, and close them.

        For what no HTTP server writes: HTTP/1.0, odd headers, a response without a reason phrase.

        Args:
            octets: The whole response, status line and header included.

            times: Number of requests.

            where: One of the places.
        """
        self.at(where).add(injection.send_raw(octets), times)

    def redirect_next(self, location: str, *, status: int = 307, where: str = "token") -> None:
        """
        Redirect the next request.

        Args:
            location: The address to redirect to.

            status: HTTP status.

            where: One of the places.
        """
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
        _require_known("spelling", spelling, SPELLINGS)
        _require_known("place", place, PLACES_IN_RESPONSE)
        self.at(where).add(echo(spelling, place, status), times)

    def drop_kept_alive(self, where: str = "token", *, is_on: bool = True) -> None:
        """
        Close each connection that was kept alive when the next request arrives on it.

        Servers do so when their keep-alive time ends. A request on a fresh connection is processed.

        Args:
            where: One of the places.

            is_on: False stops it.
        """
        self.at(where).drops_kept_alive = is_on

    def hang_next(self, *, times: int = 1, where: str = "token") -> None:
        """
        Never respond to the next requests.

        Args:
            times: Number of requests.

            where: One of the places.
        """
        self.at(where).add(injection.hang(), times)

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
        fields = {"Content-Type": "application/json"} if headers is None else headers
        self.at(where).add(injection.stall(status, fields))

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

    def require_pushed_requests(self, *, is_on: bool = True) -> None:
        """
        Refuse every authorization request that was not pushed; the metadata says so (RFC 9126 §5).

        Args:
            is_on: False stops it.
        """
        self._pushed_requests.is_required = is_on

    def require_signed_requests(self, *, is_on: bool = True) -> None:
        """
        Refuse authorization requests that are not signed; the metadata says so (RFC 9101 §10.5).

        Args:
            is_on: False stops it.
        """
        self._request_objects.is_required = is_on

    def expire_pushed_requests(self) -> None:
        """Let the references of all pushed authorization requests expire at once."""
        self._pushed_requests.expire_all()

    def require_dpop_nonces(
        self,
        *,
        uses: int | None = None,
        are_single: bool = False,
        where: str = "token",
        is_on: bool = True,
    ) -> None:
        """
        Require a nonce in each DPoP proof; every response carries the current one (RFC 9449 §8).

        Args:
            uses: Proofs after which a nonce is replaced; it is still accepted until its successor
                is replaced too. None keeps one nonce.

            are_single: Each response carries a nonce of its own, which is accepted once.

            where: ``token`` for the identity server, or ``api`` for the Banking APIs.

            is_on: False stops it.
        """
        nonces = self._nonces(where)
        nonces.is_required, nonces.uses, nonces.are_single = is_on, uses, are_single

    def expire_dpop_nonce(self, where: str = "token") -> None:
        """
        Make every nonce given so far stale, also for requests under way.

        Args:
            where: ``token`` for the identity server, or ``api`` for the Banking APIs.
        """
        self._nonces(where).roll(keep_old=False)

    def refuse_proof_next(
        self,
        error: str = "use_dpop_nonce",
        *,
        offers_nonce: bool = True,
        times: int = 1,
        where: str = "token",
    ) -> None:
        """
        Refuse the next DPoP proofs, whatever they carry.

        Args:
            error: ``use_dpop_nonce`` or ``invalid_dpop_proof``.

            offers_nonce: Another nonce comes with the refusal; otherwise the one before it, or none
                where no nonces are required.

            times: Number of proofs.

            where: ``token`` for the identity server, or ``api`` for the Banking APIs.
        """
        known = ("use_dpop_nonce", "invalid_dpop_proof")
        error = _require_known("error", error, known)
        self._nonces(where).refuse_next(error, times, offers_nonce=offers_nonce)

    def swap_certificate_next(self, *, times: int = 1, where: str = "token") -> None:
        """
        Let the next requests with a certificate look as if they had another client's.

        Args:
            times: Number of requests.

            where: ``token``, ``userinfo`` or ``api``.
        """
        places = ("token", "userinfo", "api")
        self._certificates.swap_next(_require_known("where", where, places), times)

    def bind_next_to_another_key(self, *, times: int = 1) -> None:
        """
        Bind the next access tokens to a key that nobody has, so that no API accepts them.

        Args:
            times: Number of tokens.
        """
        self._issuer.bind_next_to_another_key(times=times)

    def _nonces(self, where: str) -> Nonces:
        places = {"token": self._proofs.identity, "api": self._proofs.api}
        return places[_require_known("where", where, places)]

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

"""What an authorization server publishes: fetched once, kept, and believed with care."""

import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import attrs

from aritma_auth.environment import Environment
from aritma_auth.errors import AritmaAuthError, InvalidResponseError
from aritma_auth.flight import SingleFlight
from aritma_auth.lock import ForkSafeLock
from aritma_auth.protocol.answers import parse_answer
from aritma_auth.protocol.metadata import ServerMetadata, metadata_urls, parse_metadata
from aritma_auth.protocol.signatures import JsonWebKey, names_unknown_key, read_keys
from aritma_auth.protocol.wire import HttpRequest, HttpResponse

T = TypeVar("T")

Send = Callable[[HttpRequest], Awaitable[HttpResponse]]

DAY = 86_400.0
"""Seconds for which metadata and keys are kept: IdentityServer announces keys 14 days ahead."""

COOL_DOWN = 60.0
"""Seconds between two reloads that something unknown has forced."""


class Published(Generic[T]):
    """
    A published document: one fetch in flight, kept for a day, and longer while the server is down.

    Args:
        fetch: Fetches it.

        ttl: Seconds for which it is kept.

        cool_down: Seconds between two forced reloads, and after a failed one.

        monotonic: Gives seconds.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[T]],
        *,
        ttl: float = DAY,
        cool_down: float = COOL_DOWN,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._ttl = ttl
        self._cool_down = cool_down
        self._monotonic = monotonic
        self._kept: _Kept[T] | None = None
        self._quiet_until = float("-inf")
        self._flights: SingleFlight[_Kept[T] | AritmaAuthError] = SingleFlight(
            self._run, ForkSafeLock()
        )

    async def get(self) -> T:
        """
        Give the document.

        Raises:
            AritmaAuthError: It cannot be had, and none is kept.
        """
        kept, now = self._kept, self._monotonic()
        if kept is not None and (now < kept.fetched_at + self._ttl or now < self._quiet_until):
            return kept.value
        return await self._load()

    async def reload(self) -> T:
        """Give a newer document if the last forced reload is long enough ago, else the kept one."""
        kept, now = self._kept, self._monotonic()
        if kept is not None and now < self._quiet_until:
            return kept.value
        self._quiet_until = now + self._cool_down
        return await self._load()

    async def _load(self) -> T:
        outcome = None
        while outcome is None:
            outcome = await self._flights.join(self._flights.launch())
        if isinstance(outcome, _Kept):
            return outcome.value
        kept = self._kept
        if kept is None:
            raise outcome.copy()
        # Stale is better than none: the server is down, and its keys are probably the same.
        self._quiet_until = self._monotonic() + self._cool_down
        return kept.value

    async def _run(self) -> "_Kept[T] | AritmaAuthError":
        started = self._monotonic()
        try:
            kept = _Kept(await self._fetch(), started)
        except AritmaAuthError as error:
            return error.copy()
        self._kept = kept
        return kept


@attrs.frozen
class _Kept(Generic[T]):
    value: T
    fetched_at: float


class Discovery:
    """
    One server's metadata and keys.

    Args:
        environment: Whose they are, and what is known without asking.

        send: Sends a request.

        clock: Gives POSIX seconds.

        by_certificate: The client has a certificate: the aliases for such clients are preferred.

    Spec: OpenID Connect Discovery 1.0; RFC 8414; RFC 8705 §5.
    """

    def __init__(
        self,
        environment: Environment,
        send: Send,
        clock: Callable[[], float],
        *,
        by_certificate: bool = False,
    ) -> None:
        self._environment = environment
        self._send = send
        self._clock = clock
        self._by_certificate = by_certificate
        self._metadata = Published(self._fetch_metadata)
        self._keys = Published(self._fetch_keys)

    async def metadata(self) -> ServerMetadata:
        """
        Give the server's metadata, fetched at most once a day.

        Raises:
            IssuerMismatchError: The document is another server's.

            InvalidResponseError: There is no metadata at any of its addresses.

            TransportError: No answer came.
        """
        return await self._metadata.get()

    async def endpoint(self, name: str) -> str:
        """
        Give an endpoint's URL: the one configured, the one discovered, or IdentityServer's.

        Args:
            name: Its metadata name.

        Raises:
            ConfigurationError: The server has none, or it stands on an origin that is not listed.
        """
        environment = self._environment
        if name in environment.endpoints or not environment.discovers:
            return environment.endpoint(name)
        metadata = await self._metadata.get()
        return metadata.endpoint(name, by_certificate=self._by_certificate)

    async def names_issuer_in_answers(self) -> bool:
        """Tell whether authorization answers must carry ``iss``; unknown without discovery."""
        if not self._environment.discovers:
            return False
        return (await self._metadata.get()).names_issuer_in_answers

    async def keys(self) -> list[JsonWebKey]:
        """Give the server's public keys, fetched at most once a day."""
        return await self._keys.get()

    async def keys_for(self, token: str) -> list[JsonWebKey]:
        """
        Give the keys for a signed token; if it names an unknown one, they are fetched anew.

        Args:
            token: The compact serialisation.

        Spec: OpenID Connect Core 1.0 §10.1.1.
        """
        keys = await self._keys.get()
        return await self._keys.reload() if names_unknown_key(token, keys) else keys

    async def _fetch_metadata(self) -> ServerMetadata:
        response = HttpResponse(404)
        for url in metadata_urls(self._environment.issuer):
            response = await self._send(_get(url))
            if response.status not in {400, 404, 405, 410}:
                break
        if response.status == 404:
            raise InvalidResponseError(
                f"{self._environment.issuer} publishes no metadata: give its endpoints", status=404
            )
        return parse_metadata(
            response,
            issuers=self._environment.issuers,
            trusted=self._environment.endpoint_origins,
            now=self._clock(),
        )

    async def _fetch_keys(self) -> list[JsonWebKey]:
        response = await self._send(_get(await self.endpoint("jwks_uri")))
        return list(
            read_keys(parse_answer(response, now=self._clock(), what="the key set's endpoint"))
        )


def _get(url: str) -> HttpRequest:
    return HttpRequest("GET", url, {"Accept": "application/json"})

"""The only module that sends protocol requests."""

import asyncio
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    InvalidResponseError,
    TransportError,
    require_seconds,
    wrong_kind,
)
from aritma_auth.protocol.http_messages import BODY_LIMIT, HttpRequest, HttpResponse
from aritma_auth.protocol.urls import require_secure_url
from aritma_auth.version import __version__

if TYPE_CHECKING:
    import ssl

_CHUNK = 1 << 16


class Transport:
    """
    Sends protocol requests and nothing else.

    Of a session that the caller gives, only its connections are used (pool, resolver, TLS, limits,
    proxy): its default headers, cookies, middlewares, traces and ``raise_for_status`` have no part
    in a request that carries credentials, nor these in the caller's requests. Without one, each
    request has a session of its own, so nothing is bound to an event loop or left to close.

    Args:
        session: The caller's session, or None.

        timeout: Seconds for one request, from start to last byte.

        ssl_context: Client certificate for mutual TLS (RFC 8705), or None.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession | None = None,
        *,
        timeout: float = 10.0,
        ssl_context: "ssl.SSLContext | None" = None,
    ) -> None:
        if session is not None and not isinstance(session, aiohttp.ClientSession):
            raise wrong_kind("session", "an aiohttp.ClientSession or None", session)
        require_seconds("timeout", timeout, above_zero=True)
        self._session = session
        self._timeout = timeout
        self._ssl_context = ssl_context

    async def send(self, request: HttpRequest, *, timeout: float | None = None) -> HttpResponse:
        """
        Send one request and read the whole answer.

        Redirects are not followed, cookies neither sent nor kept, and at most 1 MiB is read.

        Args:
            request: What to send; its URL is checked first.

            timeout: Seconds, or None for the transport's own.

        Returns:
            The answer, whatever its status.

        Raises:
            ConfigurationError: The URL is not secure, or the caller's session is closed.

            TransportError: No complete answer came.

            InvalidResponseError: The answer is too large or compressed against our wish.
        """
        url = require_secure_url(request.url, "the endpoint")
        limit = aiohttp.ClientTimeout(total=self._timeout if timeout is None else timeout)
        failure: AritmaAuthError
        try:
            async with self._open_session(limit) as session:
                return await self._exchange(session, url, request)
        except AritmaAuthError:
            raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = _describe(error, url)
        # Outside the except block: aiohttp's error holds the request.
        raise failure

    async def _exchange(
        self, session: aiohttp.ClientSession, url: URL, request: HttpRequest
    ) -> HttpResponse:
        async with session.request(
            request.method,
            url,
            headers=request.headers,
            data=request.body or None,
            allow_redirects=False,
            raise_for_status=False,
            middlewares=(),
            proxy=self._proxy(url),
            ssl=True if self._ssl_context is None else self._ssl_context,
        ) as response:
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                response.close()
                raise InvalidResponseError(
                    f"{url.raw_host} compressed an answer although identity was asked for",
                    status=response.status,
                )
            return HttpResponse(response.status, response.headers, await _read(response, url))

    def _open_session(self, limit: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
        connector = self._shared_connector()
        return aiohttp.ClientSession(
            connector=connector,
            connector_owner=connector is None,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_DEFAULT_HEADERS,
            timeout=limit,
            auto_decompress=False,
        )

    def _shared_connector(self) -> aiohttp.BaseConnector | None:
        session = self._session
        if session is None:
            return None
        if session.closed:
            raise ConfigurationError("the session given to OAuthClient is closed: keep it open")
        # A session belongs to one event loop; elsewhere the request opens its own connection.
        # The loop has no public name that works without a deprecation warning.
        owner = getattr(session, "_loop", None)
        elsewhere = owner is not None and owner is not asyncio.get_running_loop()
        return None if elsewhere else session.connector

    def _proxy(self, url: URL) -> str | URL | None:
        session = self._session
        if session is None:
            return None
        # aiohttp has no public name for a session's own proxy.
        own: str | URL | None = getattr(session, "_default_proxy", None)
        if own is not None or not session.trust_env or url.raw_host is None:
            return own
        # aiohttp's trust_env would read .netrc too and add a second Authorization.
        if urllib.request.proxy_bypass(url.raw_host):
            return None
        return urllib.request.getproxies().get(url.scheme)


_DEFAULT_HEADERS: Mapping[str, str] = {
    "Accept-Encoding": "identity",
    "User-Agent": f"aritma-auth/{__version__}",
}


async def _read(response: aiohttp.ClientResponse, url: URL) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > BODY_LIMIT:
            response.close()
            body.clear()
            raise InvalidResponseError(
                f"{url.raw_host} sent more than {BODY_LIMIT} bytes", status=response.status
            )
    return bytes(body)


def _describe(error: Exception, url: URL) -> AritmaAuthError:
    place = f"{url.raw_host}:{url.port}"
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
        return TransportError(f"no answer from {place} in time: try again later")
    if isinstance(error, aiohttp.ClientSSLError):
        return TransportError(
            f"TLS with {place} failed ({type(error).__name__}): check certificates and proxies",
            may_have_arrived=False,
        )
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
        return TransportError(
            f"the connection to {place} failed ({type(error).__name__}): try again later",
            may_have_arrived=not unsent,
        )
    if isinstance(error, aiohttp.ClientError):
        return TransportError(f"{place} broke off its answer ({type(error).__name__})")
    return ConfigurationError(f"the request to {place} cannot be sent ({type(error).__name__})")

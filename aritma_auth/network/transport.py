"""
The only module that sends protocol requests.

A request has its own aiohttp session, so that nothing of the caller's session takes part in it but
what `_Connections` names: default headers, cookies, middlewares, traces, ``raise_for_status`` and
``.netrc`` never meet a credential.
"""

import asyncio
import ssl
import urllib.request
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TypedDict, cast

import aiohttp
import attrs
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
from aritma_auth.runtime.tasks import WorkBrokenOffError, is_lost, run_within
from aritma_auth.runtime.values import Value
from aritma_auth.version import __version__

_CHUNK = 1 << 16
_DEFAULT_HEADERS: Mapping[str, str] = {
    "Accept-Encoding": "identity",
    "User-Agent": f"aritma-auth/{__version__}",
}


class _Limits(TypedDict, total=False):
    """Limits of a session that are no part of its connector."""

    read_bufsize: int
    max_line_size: int
    max_field_size: int


@attrs.frozen(eq=False, repr=False)
class _Connections(Value):
    """
    What is used of the caller's session: connector, proxy, and the limits on headers.

    aiohttp has no public name for most of it; a test walks through all settings of a session.
    """

    connector: aiohttp.BaseConnector | None = None
    proxy: str | URL | None = attrs.field(default=None, repr=False)
    proxy_auth: aiohttp.BasicAuth | None = attrs.field(default=None, repr=False)
    uses_environment: bool = False
    limits: _Limits = attrs.field(factory=_Limits)

    @classmethod
    def of(cls, session: aiohttp.ClientSession) -> "_Connections":
        # A session belongs to one event loop; elsewhere the request opens its own connection.
        # The loop has no public name that works without a deprecation warning.
        owner = getattr(session, "_loop", None)
        elsewhere = owner is not None and owner is not asyncio.get_running_loop()
        names = {name: getattr(session, f"_{name}", None) for name in _Limits.__annotations__}
        return cls(
            None if elsewhere else session.connector,
            getattr(session, "_default_proxy", None),
            getattr(session, "_default_proxy_auth", None),
            session.trust_env,
            cast("_Limits", {name: value for name, value in names.items() if value is not None}),
        )

    def proxy_for(self, url: URL) -> URL | None:
        """
        Give the proxy for a URL.

        Raises:
            ConfigurationError: The proxy's address is no URL.
        """
        if url.scheme == "http":
            # http is for loopback only: through a proxy it would leave the machine in clear text.
            return None
        address = self.proxy
        if address is None and self.uses_environment and not _bypasses_proxy(url):
            # aiohttp's trust_env would read .netrc too and add a second Authorization.
            address = urllib.request.getproxies().get(url.scheme)
        return require_proxy(address) if address else None

    def connector_for(self, url: URL) -> aiohttp.BaseConnector | None:
        """
        Give the connector for a URL; None lets the request open its own connection.

        http is for loopback only: a connector through SOCKS, or a resolver that maps ``localhost``
        elsewhere, would carry it off the machine in clear text.
        """
        if url.scheme == "http" and not _stays_here(self.connector):
            return None
        return self.connector

    @property
    def proxy_headers(self) -> Mapping[str, str] | None:
        """The proxy's credentials, if they are not part of its URL."""
        return (
            None if self.proxy_auth is None else {"Proxy-Authorization": self.proxy_auth.encode()}
        )


def _stays_here(connector: aiohttp.BaseConnector | None) -> bool:
    if type(connector) is not aiohttp.TCPConnector:
        return isinstance(connector, aiohttp.UnixConnector | aiohttp.NamedPipeConnector)
    # Neither has a public name.
    resolver = type(getattr(connector, "_resolver", None))
    has_own_sockets = getattr(connector, "_socket_factory", None) is not None
    return resolver.__module__ == "aiohttp.resolver" and not has_own_sockets


def require_proxy(address: str | URL) -> URL:
    """
    Require a proxy's address to be the URL of one.

    Raises:
        ConfigurationError: It is not; the message does not quote it.
    """
    if not isinstance(address, str | URL):
        raise wrong_kind("proxy", "a URL, such as http://proxy.example:3128", address)
    try:
        proxy = URL(address)
    except ValueError:
        proxy = URL()
    if proxy.scheme not in {"http", "https"} or proxy.raw_host is None:
        # Not quoted: it may hold a password.
        del address, proxy
        raise ConfigurationError(
            "the proxy must be an http or https URL, such as http://proxy.example:3128: check the "
            "proxy that was given, the session's, or the variable HTTPS_PROXY"
        )
    return proxy


def _bypasses_proxy(url: URL) -> bool:
    return bool(urllib.request.proxy_bypass(url.raw_host or ""))


class Transport:
    """
    Sends protocol requests and nothing else.

    Args:
        session: The caller's session, or None: then each request opens and closes its own
            connection, so nothing is bound to an event loop or left to close.

        timeout: Seconds for one request, from start to last byte.

        ssl_context: TLS settings for these requests, such as those with a client's certificate
            (RFC 8705); None takes those of the session.

        proxy: URL of the proxy for these requests, in the place of the session's.

    Raises:
        ConfigurationError: The session or the context does not verify certificates, or an argument
            is of the wrong kind.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession | None = None,
        *,
        timeout: float = 10.0,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        if session is not None:
            if not isinstance(session, aiohttp.ClientSession):
                raise wrong_kind("session", "an aiohttp.ClientSession or None", session)
            require_verified_session(session)
        require_seconds("timeout", timeout, above_zero=True)
        self._session = session
        self.timeout = timeout
        self.ssl_context = None if ssl_context is None else require_context(ssl_context)
        self._proxy = None if proxy is None else require_proxy(proxy)

    async def send(
        self,
        request: HttpRequest,
        *,
        timeout: float | None = None,
        is_one_time: bool = False,
    ) -> HttpResponse:
        """
        Send one request and read the whole response.

        Redirects are not followed, cookies neither sent nor kept, and at most 1 MiB is read.

        Args:
            request: What to send; its URL is checked first.

            timeout: Seconds, or None for the transport's own.

            is_one_time: It presents what can be presented once: a connection kept alive is not
                used, since the server may close it just as the request arrives.

        Returns:
            The response, whatever its status.

        Raises:
            ConfigurationError: The URL is not secure, or the caller's session is closed.

            TransportError: No complete response came, or nobody waits for one any more.

            InvalidResponseError: The response is too large, or compressed unasked.
        """
        from aritma_auth.protocol.successors import tell_departure  # with the first request

        url = require_secure_url(request.url, "the endpoint")
        if is_lost():
            raise TransportError(
                f"the request to {url.raw_host} was not sent: its event loop stood still, and "
                "nobody waits for it any more",
                may_have_arrived=False,
            )
        tell_departure()
        exchange = _Exchange(self._connections(), url, self.ssl_context, is_one_time=is_one_time)
        return await exchange.run(request, self.timeout if timeout is None else timeout)

    def _connections(self) -> _Connections:
        # At each request: whoever has made a context may change it at any time.
        if self.ssl_context is not None:
            require_context(self.ssl_context)
        session = self._session
        if session is None:
            return _Connections(proxy=self._proxy)
        if session.closed:
            raise ConfigurationError(
                "the session given to OAuthClient must stay open as long as the client is used, "
                "and it is closed"
            )
        require_verified_session(session)
        connections = _Connections.of(session)
        if self._proxy is None:
            return connections
        return attrs.evolve(connections, proxy=self._proxy, proxy_auth=None)


class _Exchange:
    """One request and its response."""

    def __init__(
        self,
        connections: _Connections,
        url: URL,
        ssl_context: ssl.SSLContext | None,
        *,
        is_one_time: bool,
    ) -> None:
        self._connections = connections
        self._url = url
        self._ssl_context = ssl_context
        self._is_one_time = is_one_time
        # Not by the kind of the error: a tunnel may break off like a response.
        self._is_sent = False

    async def run(self, request: HttpRequest, timeout: float) -> HttpResponse:
        """Send the request and read its response within a time."""
        try:
            outcome = await run_within(timeout, self._send(request), "aritma-auth request")
        except WorkBrokenOffError as broken:
            outcome = self._blame_session(broken.raised)
        except TimeoutError:
            outcome = TransportError(
                f"no response from {self._place} within {timeout:g} seconds: try again later",
                may_have_arrived=self._is_sent,
            )
        if isinstance(outcome, AritmaAuthError):
            raise outcome
        return outcome

    async def _send(self, request: HttpRequest) -> HttpResponse | AritmaAuthError:
        loop = asyncio.get_running_loop()
        session = self._open_session()
        try:
            return await self._exchange(session, request)
        except GeneratorExit:
            session.detach()
            raise
        except AritmaAuthError as known:
            return known.with_traceback(None)
        except Exception as error:  # noqa: BLE001 - of a session's own resolver, or socket factory
            # A value, not raised from here: aiohttp's error holds the request.
            return self._describe(error)
        finally:
            if loop.is_closed():
                # Nothing can be awaited any more: the sockets end with the loop that owned them.
                session.detach()
            await session.close()

    async def _exchange(self, session: aiohttp.ClientSession, request: HttpRequest) -> HttpResponse:
        url, connections = self._url, self._connections
        async with session.request(
            request.method,
            url,
            headers={**request.headers, **({"Connection": "close"} if self._is_one_time else {})},
            data=request.body or None,
            allow_redirects=False,
            raise_for_status=False,
            middlewares=(),
            proxy=connections.proxy_for(url),
            proxy_headers=connections.proxy_headers,
            ssl=True if self._ssl_context is None else self._ssl_context,
            # Part of the pool's key: the connections that others keep alive are not found by it.
            server_hostname=url.raw_host if self._is_one_time else None,
        ) as response:
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                response.close()
                raise InvalidResponseError(
                    f"{url.raw_host} must not compress a response, since identity was asked for: "
                    "look at the proxies on the way",
                    status=response.status,
                )
            return HttpResponse(response.status, response.headers, await _read(response, url))

    def _open_session(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(self._note_sent)
        connector = self._connections.connector_for(self._url)
        return aiohttp.ClientSession(
            connector=connector,
            connector_owner=connector is None,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_DEFAULT_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trace_configs=[trace],
            **self._connections.limits,
        )

    async def _note_sent(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        _params: aiohttp.TraceRequestHeadersSentParams,
    ) -> None:
        self._is_sent = True

    @property
    def _place(self) -> str:
        return f"{self._url.raw_host}:{self._url.port}"

    def _describe(self, error: Exception) -> AritmaAuthError:
        from aritma_auth.network.failures import name_failure  # with the first failure

        place, kind = self._place, name_failure(error)
        if isinstance(error, aiohttp.ClientHttpProxyError):
            problem = (
                f"the proxy refused a connection to {place} with status {error.status}: check the "
                "proxy's address, credentials and rules"
            )
        elif isinstance(error, aiohttp.ClientProxyConnectionError):
            problem = (
                f"the proxy on the way to {place} cannot be reached: check that it runs, and its "
                "address"
            )
        elif isinstance(error, aiohttp.ClientSSLError):
            problem = f"TLS with {place} failed ({kind}): check certificates and proxies"
        elif isinstance(error, RuntimeError):
            # asyncio's word for a loop that was closed under the request, aiohttp's for a session.
            problem = (
                f"the request to {place} ended with its event loop or its session: keep both open"
            )
        elif not self._is_sent and self._connections.proxy_for(self._url) is not None:
            problem = (
                f"the proxy opened no tunnel to {place} ({kind}): check its address and scheme, or "
                "try again later"
            )
        elif isinstance(error, aiohttp.ClientConnectionError | OSError):
            # Some servers refuse a wrong password by closing the connection.
            is_closed = isinstance(error, aiohttp.ServerDisconnectedError)
            hint = "; if that lasts, check what was sent, such as a password" if is_closed else ""
            problem = f"the connection to {place} failed ({kind}): try again later{hint}"
        elif isinstance(error, aiohttp.ClientResponseError):
            problem = f"{place} sent no valid HTTP response ({kind}): check scheme and port"
        elif isinstance(error, aiohttp.ClientError):
            problem = f"{place} broke off its response ({kind}): try again later"
        elif not isinstance(error, ValueError):
            from aritma_auth.runtime.raised import describe_raised  # of wrong sessions only

            return self._blame_session(describe_raised(error))
        else:
            return ConfigurationError(
                f"the request to {place} must be one that HTTP can carry, and it is not ({kind}): "
                "check the URL, the client id and its secret"
            )
        return TransportError(problem, may_have_arrived=self._is_sent)

    def _blame_session(self, raised: str) -> TransportError:
        return TransportError(
            f"the request to {self._place} was ended by {raised}: look at the resolver and the "
            "connector of the session that was given",
            may_have_arrived=self._is_sent,
        )


def require_context(certificate: object) -> ssl.SSLContext:
    """
    Return the TLS settings of a client certificate.

    Args:
        certificate: A `ClientCertificate`, or an ``ssl.SSLContext`` with one.

    Raises:
        ConfigurationError: It is neither, or does not verify the server.
    """
    context = getattr(certificate, "ssl_context", certificate)
    if not isinstance(context, ssl.SSLContext):
        raise wrong_kind("certificate", "a ClientCertificate or an ssl.SSLContext", certificate)
    _require_verified(context, "the certificate's ssl_context")
    return context


def require_verified_session(session: aiohttp.ClientSession, what: str = "the session") -> None:
    """
    Require a session to verify the certificates of servers.

    Args:
        session: The session.

        what: Its name in the error.

    Raises:
        ConfigurationError: Its connector does not.
    """
    # aiohttp has no public name for the connector's TLS settings.
    _require_verified(getattr(session.connector, "_ssl", True), f"{what}'s connector")


def require_verified_request(request: aiohttp.ClientRequest) -> None:
    """
    Require a request to verify the certificate of its server.

    Args:
        request: A request to an https URL.

    Raises:
        ConfigurationError: It does not, by its own settings or by those of its session.
    """
    own = request.ssl
    if own is True:
        require_verified_session(request.session, "the API session")
    else:
        _require_verified(own, "the request's ssl")


def _require_verified(given: object, what: str) -> None:
    """Refuse TLS settings under which a certificate is not verified."""
    if isinstance(given, ssl.SSLContext):
        verifies = given.verify_mode is ssl.CERT_REQUIRED and given.check_hostname
    else:
        # A fingerprint pins one certificate.
        verifies = given is True or isinstance(given, aiohttp.Fingerprint)
    if not verifies:
        raise ConfigurationError(
            f"{what} must verify certificates and host names: neither a client secret nor a token "
            "is sent without; trust a private authority with "
            "ssl.create_default_context(cafile=...)"
        )


async def _read(response: aiohttp.ClientResponse, url: URL) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > BODY_LIMIT:
            response.close()
            body.clear()
            raise InvalidResponseError(
                f"{url.raw_host} responded {response.status} with more than {BODY_LIMIT} bytes: "
                "check the URL",
                status=response.status,
            )
    return bytes(body)

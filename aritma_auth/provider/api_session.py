"""A session for an API: signed by a provider, with its client's certificate."""

from collections.abc import Iterable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from aritma_auth.errors import require_instance, wrong_kind
from aritma_auth.network.transport import require_proxy
from aritma_auth.protocol.urls import require_secure_url
from aritma_auth.provider.settings import TokenSource

if TYPE_CHECKING:
    import ssl

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from aritma_auth.certificate import ClientCertificate
    from aritma_auth.provider.middleware import BearerMiddleware


def open_session(
    client: TokenSource,
    signer: "BearerMiddleware",
    base_url: str | None,
    timeout: aiohttp.ClientTimeout | None,
    middlewares: Iterable[aiohttp.ClientMiddlewareType],
    proxy: str | None,
) -> aiohttp.ClientSession:
    """Open a session whose requests are signed; `TokenProvider.session` says more."""
    if base_url is not None:
        require_secure_url(base_url, "base_url")
    if timeout is not None:
        required = "an aiohttp.ClientTimeout or None"
        require_instance("timeout", required, timeout, aiohttp.ClientTimeout)
    require_instance("middlewares", "a collection of middlewares", middlewares, Iterable)
    middlewares = tuple(middlewares)
    for middleware in middlewares:
        if not callable(middleware):
            raise wrong_kind("each of middlewares", "a client middleware of aiohttp", middleware)
    by = None if proxy is None else require_proxy(proxy)
    context: ssl.SSLContext | None = getattr(client, "ssl_context", None)
    certificate: ClientCertificate | None = getattr(client, "certificate", None)
    watched = () if certificate is None else (_watch(certificate),)
    connector = (
        aiohttp.TCPConnector(ssl=True if context is None else context)
        if certificate is None
        else _CertifiedConnector(certificate)
    )
    return aiohttp.ClientSession(
        base_url,
        connector=connector,
        middlewares=(*middlewares, *watched, signer),
        proxy=by,
        timeout=aiohttp.ClientTimeout(total=30) if timeout is None else timeout,
    )


def _watch(certificate: "ClientCertificate") -> aiohttp.ClientMiddlewareType:
    async def watch(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        await certificate.refresh()
        return await handler(request)

    return watch


class _CertifiedConnector(aiohttp.TCPConnector):
    """
    Opens connections that present the certificate of now.

    A connection keeps the certificate that it began with, and a busy one lives for hours: the API
    would refuse on it each token that is bound to the certificate after it.
    """

    def __init__(self, certificate: "ClientCertificate") -> None:
        super().__init__(ssl=certificate.ssl_context)
        self._certificate = certificate
        self._presented: WeakKeyDictionary[ResponseHandler, str] = WeakKeyDictionary()

    async def connect(
        self, req: ClientRequest, traces: "list[Trace]", timeout: aiohttp.ClientTimeout
    ) -> "Connection":
        while True:
            own = self._certificate.thumbprint
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or self._presented.setdefault(protocol, own) == own:
                return connection
            connection.close()

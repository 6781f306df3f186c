"""A session for an API: signed by a provider, with its client's certificate."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from aritma_auth.provider.settings import TokenSource

if TYPE_CHECKING:
    import ssl

    from aritma_auth.certificate import ClientCertificate
    from aritma_auth.provider.middleware import BearerMiddleware


def open_session(
    client: TokenSource,
    signer: "BearerMiddleware",
    base_url: str | None,
    timeout: aiohttp.ClientTimeout | None,
    middlewares: Iterable[aiohttp.ClientMiddlewareType],
) -> aiohttp.ClientSession:
    """Open a session whose requests are signed; `TokenProvider.session` says more."""
    context: ssl.SSLContext | None = getattr(client, "ssl_context", None)
    certificate: ClientCertificate | None = getattr(client, "certificate", None)
    watched = () if certificate is None else (_watch(certificate),)
    return aiohttp.ClientSession(
        base_url,
        connector=aiohttp.TCPConnector(ssl=True if context is None else context),
        middlewares=(*middlewares, *watched, signer),
        timeout=aiohttp.ClientTimeout(total=30) if timeout is None else timeout,
    )


def _watch(certificate: "ClientCertificate") -> aiohttp.ClientMiddlewareType:
    async def watch(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        await certificate.refresh()
        return await handler(request)

    return watch
